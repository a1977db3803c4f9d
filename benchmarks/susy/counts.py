"""The cut travels: one network of the table, exported with it; s and b counted in RDataFrame and in C++."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.susy.plan import COMPRESSED, UNCOMPRESSED, Case
from benchmarks.susy.samples import SIGNALS, Samples, parts
from benchmarks.susy.table import Cut, Row, compared

if TYPE_CHECKING:
    from benchmarks.susy.page import Results

_PROGRAM = Path(__file__).with_name("count.cxx")
_INCLUDE = Path(__file__).resolve().parents[2] / "hepml_root" / "include"
# The network that is exported, by preference; what is not in the table is passed over.
_CASES = tuple(
    Case(signal, network, yields, 0.3)
    for signal in (COMPRESSED, UNCOMPRESSED)
    for network in ("shallow", "deep")
    for yields in ("sample", "talk")
)


@dataclass(frozen=True)
class Counted:
    """What passes the cut in one engine: events of the test sample and the sum of their weights, which is the
    number of expected events; and what the table has."""

    case: Case
    point: str
    engine: str
    kind: str
    events: int
    expected: float
    table: float

    def line(self) -> dict[str, Any]:
        return {
            "name": f"susy {SIGNALS[self.case.signal]}, {self.kind} behind '{self.point}', {self.engine}",
            "value": self.expected,
            "unit": "expected events",
            "reference": f"table: {self.table:.6g}; {self.events} simulated events",
            "ratio": round(self.expected / self.table, 9) if self.table else None,
        }

    def sentence(self) -> str:
        return (
            f"- {self.engine}: {self.expected:.6g} expected {self.kind} events ({self.events} simulated "
            f"ones); in the table {self.table:.6g}."
        )


def count(found: Results, samples: Samples, folder: Path) -> list[Counted]:
    """Export the network of seed 1 of one case with its cut; count it in both engines."""
    group = next(
        (group for case in _CASES for group in found.table if group[0].case == case), None
    )  # fmt: skip
    if group is None:
        return []
    row = next(row for row in group if row.loss == "asimov")
    path, point, cut = exported(row, samples, folder)
    files = written(row.case, samples, folder)
    expected = {"signal": cut.signal, "background": cut.background}
    found_in = [("RDataFrame", _in_rdataframe(path, point, files))]
    compiled = _in_cpp(path, point, row.case, samples, folder)
    if compiled is not None:
        found_in.append(("compiled C++", compiled))
    return [
        Counted(row.case, point, engine, kind, *numbers[kind], expected[kind])
        for engine, numbers in found_in
        for kind in expected
    ]


def exported(row: Row, samples: Samples, folder: Path) -> tuple[Path, str, Cut]:
    """Write `search.onnx` with the working point of seed 1 of a row; return path, its name, the cut."""
    import hepml_root as hr

    cut = row.cuts[0]
    (training,) = compared(row.case, samples, folder, [row.loss], [cut.seed]).trainings
    point = training.cuts[0].working_point()
    _, _, test = parts(samples.folder, row.case.signal)
    model = folder / f"{row.case.training(row.loss, cut.seed).name}.keras"
    path = hr.export(
        model, folder / "search.onnx", data=test, working_points=[point], overwrite=True, certify=False
    )
    return path, str(point["name"]), cut


def _scaled(case: Case, samples: Samples) -> Iterator[tuple[str, Any, Any]]:
    """Give of each class its name, the inputs of the test events, and weights that add up to its yield."""
    _, _, test = parts(samples.folder, case.signal)
    is_signal = test.target[:, 0] > 0.5
    of_signal, of_background = samples.counts(case.signal, case.yields)
    for kind, members, expected in (
        ("signal", is_signal, of_signal),
        ("background", ~is_signal, of_background),
    ):
        weight = test.weight[members]
        yield kind, test.X["features"][members], weight * (expected / weight.sum())


def written(case: Case, samples: Samples, folder: Path) -> dict[str, str]:
    """Write the test events to `test_events.root`, a tree for each class; return FILE:TREE of each."""
    import uproot

    from hepml_root.output import writing
    from hepml_root.simulation.one_lepton import FEATURES

    path = folder / "test_events.root"
    with writing(path, overwrite=True) as temporary, uproot.recreate(temporary) as file:
        for kind, inputs, weight in _scaled(case, samples):
            types = dict.fromkeys(FEATURES, "float32") | {"weight": "float64"}
            columns = {name: inputs[:, place] for place, name in enumerate(FEATURES)}
            file.mktree(kind, types).extend(columns | {"weight": weight})
    return {kind: f"{path}:{kind}" for kind in ("signal", "background")}


def _in_rdataframe(path: Path, point: str, files: dict[str, str]) -> dict[str, tuple[int, float]]:
    import ROOT

    import hepml_root as hr

    found = {}
    for kind, source in files.items():
        file, _, tree = source.rpartition(":")
        node = hr.define(ROOT.RDataFrame(tree, file), path, select=point)
        events, expected = node.Count(), node.Sum("weight")
        found[kind] = (int(events.GetValue()), float(expected.GetValue()))
    return found


def _in_cpp(
    path: Path, point: str, case: Case, samples: Samples, folder: Path
) -> dict[str, tuple[int, float]] | None:
    """Compile the program of the package and run it; None without a compiler."""
    from hepml_root.errors import CompilerError
    from hepml_root.export.cpp import generate
    from hepml_root.inference.compiler import find_compiler

    try:
        compiler = find_compiler()
    except CompilerError:
        return None
    generate(path, "search").save(folder, overwrite=True)
    folder = folder.resolve()
    options = ["-std=c++17", "-O1", f"-I{folder}", f"-I{_INCLUDE}"]
    compiler.run([*options, str(_PROGRAM), "-o", "count"], folder)
    found = {}
    for kind, inputs, weight in _scaled(case, samples):
        events = folder / f"{kind}.bin"
        events.write_bytes(inputs.astype("float32").tobytes() + weight.astype("float64").tobytes())
        done = subprocess.run(
            [str(folder / "count"), str(events), str(len(weight))], check=True, capture_output=True, text=True
        )
        lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
        number, total = lines[point].split()
        found[kind] = (int(number), float(total))
        events.unlink()
    return found
