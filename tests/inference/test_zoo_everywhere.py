"""Every architecture of the field, small: with each instruction set, and in ROOT's interpreter."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks.inference import networks
from hepml_root.data.feed_library import SHARED
from hepml_root.errors import CompilerError
from hepml_root.export.cpp import generate
from hepml_root.export.parity import onnxruntime_predict
from hepml_root.inference.compile import _interpreted
from hepml_root.inference.compiler import FLAGS, INSTRUCTIONS, find_compiler, runs
from hepml_root.inference.interface import INFER, call, interpreted_source, library_source

TOLERANCE = 1e-5  # of the largest value of an output
EVENTS = 67


def worst(path: Path, function: Callable[..., None]) -> float:
    """Largest difference to ONNX Runtime, of the scale of the output; in a block and one by one."""
    model = onnx.load(str(path))
    blocks = networks.events(model, EVENTS)
    wanted = onnxruntime_predict(model, list(blocks))(blocks)
    rows = [np.ascontiguousarray(array, np.float32) for array in blocks.values()]
    differences = []
    for batch in (EVENTS, 1):
        results = [np.full(array.shape, np.nan, np.float32) for array in wanted]
        for first in range(0, EVENTS, batch):
            part = slice(first, first + batch)
            call(function, [array[part] for array in rows], [result[part] for result in results])
        differences += [np.abs(r - w).max() / np.abs(w).max() for r, w in zip(results, wanted, strict=True)]
    return float(np.max(differences))  # NaN if there is one


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("zoo")
    return {name: networks.file(name, folder, small=True) for name in networks.NETWORKS}


@pytest.mark.slow
@pytest.mark.parametrize("instructions", ["avx2", "plain"])
def test_with_each_instruction_set(files: dict[str, Path], instructions: str, tmp_path: Path) -> None:
    """Of those of the processor itself, tests/export/test_zoo_parity.py takes care."""
    if not runs(instructions):
        pytest.skip(f"this processor does not run {instructions}")
    text = []
    for number, path in enumerate(files.values()):
        source = generate(path, f"zoo_{number}")
        source.save(tmp_path)
        text.append(library_source(source.name, f"zoo_symbol_{number}"))
    (tmp_path / "zoo.cxx").write_text("\n".join(text))
    flags = ["-O1" if flag == "-O3" else flag for flag in (*FLAGS, *INSTRUCTIONS[instructions], *SHARED)]
    find_compiler().run([*flags, "zoo.cxx", "-o", "zoo.so"], tmp_path)
    library = ctypes.CDLL(str(tmp_path / "zoo.so"))
    found = {
        name: worst(path, INFER((f"zoo_symbol_{number}_infer", library)))
        for number, (name, path) in enumerate(files.items())
    }
    assert {name: difference for name, difference in found.items() if not difference < TOLERANCE} == {}


@pytest.mark.filterwarnings("ignore:no C")
@pytest.mark.parametrize(
    "names", [("transformer", "cnn"), pytest.param(tuple(networks.NETWORKS), marks=pytest.mark.slow)], ids=len
)
def test_in_the_interpreter(names: tuple[str, ...], tmp_path: Path) -> None:
    """It is another compiler, clang, and stricter in places; two have most of what only one network has."""
    pytest.importorskip("ROOT")
    found = {}
    for name in names:
        path = networks.file(name, tmp_path, small=True)
        found[name] = worst(path, _interpreted(path, CompilerError("not asked for")).function())
    assert {name: difference for name, difference in found.items() if not difference < TOLERANCE} == {}


@pytest.mark.filterwarnings("ignore:no C")
def test_headers_around_an_interpreted_network_keep_their_target(tmp_path: Path) -> None:
    """The interpreter is told to use wide registers for one network; it is one program with all others."""
    ROOT = pytest.importorskip("ROOT")
    path = networks.file("mlp", tmp_path, small=True)
    include = '#include "{}"'
    assert ROOT.gInterpreter.Declare(include.format(generate(path, "before").save(tmp_path)))
    interpreted = _interpreted(path, CompilerError("not asked for"))
    assert worst(path, interpreted.function()) < TOLERANCE
    # The header of the network itself, and one with the same engine under another name.
    assert ROOT.gInterpreter.Declare(include.format(interpreted.header))
    assert ROOT.gInterpreter.Declare(include.format(generate(path, "after").save(tmp_path)))
    model = onnx.load(str(path))
    (x,) = networks.events(model, EVENTS).values()
    (wanted,) = onnxruntime_predict(model, [model.graph.input[0].name])({model.graph.input[0].name: x})
    x = np.ascontiguousarray(x, np.float32)
    for name in ("before", interpreted.name, "after"):
        assert ROOT.gInterpreter.Declare(
            f"void {name}_scores(const float* x, std::size_t n, float* y)"
            f" {{ TMVA_SOFIE_{name}::Session().infer(x, n, y); }}"
        )
        for batch in (EVENTS, 1):
            found = np.full(wanted.shape, np.nan, np.float32)
            for first in range(0, EVENTS, batch):
                getattr(ROOT, f"{name}_scores")(x[first].ravel(), batch, found[first:].ravel())
            assert np.abs(found - wanted).max() < TOLERANCE, name
    # What a worker of a distributed frame interprets, where the same header was included before.
    assert ROOT.gInterpreter.Declare(interpreted_source(interpreted.header, "worker"))
    function = INFER(int(ROOT.gInterpreter.Calc("(long)&worker_infer")))
    assert worst(path, function) < TOLERANCE
