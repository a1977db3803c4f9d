"""ROOT's own generator, SOFIE, on an exported file: where ROOT has it (the pip build has not).

The graph is first written with SOFIE's operators (:mod:`hepml_root.export.sofie_rewrites`). Its parser then
runs in a process of its own, as it ends the process on some errors and brings its protobuf and BLAS along::

    from hepml_root.export import sofie
    sofie.generate("higgs.onnx", "sofie/higgs.hxx")     # and higgs.dat beside it, its weights

Our own C++ (:mod:`hepml_root.export.cpp`) takes more networks and is faster; this is for comparison, and for
code that is written for SOFIE's headers.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from hepml_root.errors import CompilerError, ParityError, UnsupportedOperationError
from hepml_root.export.manifest import graph_inputs, load_onnx
from hepml_root.export.sofie_rewrites import acceptable
from hepml_root.output import refuse_existing, writing

LIBRARY = "libROOTTMVASofieParser"
SECONDS = 600  # of the child process
# Names under which machines keep BLAS, which the code of SOFIE calls.
_BLAS = ("libblas", "libopenblas", "libcblas", "libgslcblas")


@cache
def why_not() -> str:
    """Return why there is no SOFIE here, or "" if there is.

    ROOT is looked for, not started.
    """
    if importlib.util.find_spec("ROOT") is None:
        return "ROOT is not installed."
    return "" if has_library(LIBRARY) else f"this ROOT has no SOFIE ({LIBRARY} is not there)."


def has_library(name: str) -> bool:
    """Return whether ROOT has a library, such as ``libTMVA``; ROOT is looked for, not started."""
    found = importlib.util.find_spec("ROOT")
    if found is None or found.origin is None:
        return False
    folder = Path(found.origin).parent
    folders = [folder, folder.parent, folder / "lib", folder.parent / "lib"]
    if os.environ.get("ROOTSYS"):
        folders.append(Path(os.environ["ROOTSYS"]) / "lib")
    if shutil.which("root-config"):
        said = subprocess.run(["root-config", "--libdir"], capture_output=True, text=True, check=False)
        folders.append(Path(said.stdout.strip() or folder))
    return any(next(place.glob(f"{name}.*"), None) for place in folders if place.is_dir())


def generate(
    model: str | os.PathLike[str], output: str | os.PathLike[str], *, overwrite: bool = False
) -> Path:
    """Write SOFIE's header of an exported model, for one event at a time, and its file of weights.

    Arguments
    ---------
    model
        The ``.onnx`` file.
    output
        The header to write, ``NAME.hxx``; the weights go beside it, ``NAME.dat``. Its session is
        ``TMVA_SOFIE_NAME::Session("NAME.dat")``.
    overwrite
        Whether existing files may be replaced.

    Returns
    -------
    Path
        The header.

    Raises
    ------
    UnsupportedOperationError
        There is no SOFIE here, or it does not take the network; the node is named.
    CompilerError
        SOFIE's parser fails; the message has what it says.
    OutputExistsError, OutputWriteError
        The files exist or cannot be written.
    """
    output = Path(output)
    weights = output.with_suffix(".dat")
    for path in (output, weights):
        refuse_existing(path, overwrite)
    _require()
    name = _name(output.stem)
    with tempfile.TemporaryDirectory(prefix="hepml_root-") as folder:
        work = Path(folder)
        onnx.save(acceptable(load_onnx(model)), work / f"{name}.onnx")
        _run(work, name)
        for made, path in ((work / f"{name}.dat", weights), (work / f"{name}.hxx", output)):
            if made.is_file():
                with writing(path, overwrite) as temporary:
                    shutil.copyfile(made, temporary)
    return output


def evaluate(model: str | os.PathLike[str], blocks: Mapping[str, np.ndarray]) -> tuple[list[np.ndarray], str]:
    """Score events with SOFIE's code, one by one, in ROOT's interpreter.

    Arguments
    ---------
    model
        The ``.onnx`` file.
    blocks
        ``{input: (events, ...)}``.

    Returns
    -------
    One array ``(events, ...)`` per output, and ROOT's version.

    Raises
    ------
    UnsupportedOperationError, CompilerError
        As :func:`generate`.
    ParityError
        SOFIE gives another number of values than the network has.
    """
    _require()
    single = acceptable(load_onnx(model))
    name = _name(Path(model).stem)
    with tempfile.TemporaryDirectory(prefix="hepml_root-") as folder:
        work = Path(folder)
        onnx.save(single, work / f"{name}.onnx")
        arrays = {
            f"input_{i}": np.ascontiguousarray(blocks[value.name], _type(value))
            for i, value in enumerate(graph_inputs(single))
        }
        np.savez(work / "inputs.npz", **arrays)  # type: ignore[arg-type]
        version = _run(work, name)
        with np.load(work / "outputs.npz") as found:
            results = [found[f"output_{i}"] for i in range(len(single.graph.output))]
    events = len(next(iter(blocks.values())))
    outputs = []
    for value, array in zip(single.graph.output, results, strict=True):
        shape = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)[1:]
        if array.size != events * int(np.prod(shape)):
            raise ParityError(
                f"SOFIE gives {array.size // max(events, 1)} numbers for the output '{value.name}' {shape}."
            )
        outputs.append(array.reshape(events, *shape))
    return outputs, version


def _type(value: onnx.ValueInfoProto) -> Any:
    return onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)


def _name(stem: str) -> str:
    """SOFIE names a namespace after the file, as it is: let it be a name."""
    return re.sub(r"\W", "_", stem, flags=re.ASCII)[:64] or "model"


def _require() -> None:
    if why_not():
        raise UnsupportedOperationError(why_not())


def _run(work: Path, name: str) -> str:
    """Let SOFIE work in a process of its own, and return ROOT's version."""
    command = [sys.executable, "-m", "hepml_root.export.sofie", name]
    environment = dict(os.environ)
    package = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    try:
        done = subprocess.run(
            command, cwd=work, env=environment, capture_output=True, text=True, errors="replace",
            timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise CompilerError(f"SOFIE did not end within {SECONDS} seconds.") from error
    report = work / "report.json"
    if done.returncode or not report.is_file():
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        telling = [line for line in said if "SOFIE" in line or "rror" in line] or said
        raise CompilerError(f"SOFIE fails: {telling[-1].strip() if telling else 'it says nothing.'}")
    return str(json.loads(report.read_text())["version"])


# -- in the child process -----------------------------------------------------------------------------------


def _child(name: str) -> None:
    """Parse ``name``.onnx in this folder, write the header, and score inputs.npz if it is there."""
    import ROOT

    parser = ROOT.TMVA.Experimental.SOFIE.RModelParser_ONNX()
    model = parser.Parse(f"{name}.onnx")
    model.Generate()
    model.OutputGenerated(f"{name}.hxx")
    if Path("inputs.npz").is_file():
        for library in _BLAS:
            if ROOT.gSystem.Load(library) >= 0:
                break
        if not ROOT.gInterpreter.Declare(f'#include "{name}.hxx"'):
            raise RuntimeError("SOFIE's header does not compile in ROOT's interpreter.")
        session = getattr(ROOT, f"TMVA_SOFIE_{name}").Session(f"{name}.dat")
        with np.load("inputs.npz") as given:
            inputs = [given[f"input_{i}"] for i in range(len(given.files))]
        scores = _scores(session, inputs, model.GetOutputTensorNames().size())
        np.savez("outputs.npz", **scores)  # type: ignore[arg-type]
    Path("report.json").write_text(json.dumps({"version": str(ROOT.gROOT.GetVersion())}))


def _scores(session: Any, inputs: Sequence[np.ndarray], outputs: int) -> dict[str, np.ndarray]:
    rows: list[list[np.ndarray]] = [[] for _ in range(outputs)]
    for event in range(len(inputs[0])):
        found = session.infer(*(np.ascontiguousarray(array[event]).reshape(-1) for array in inputs))
        parts = [found] if outputs == 1 else list(found)
        for row, part in zip(rows, parts, strict=True):
            row.append(np.array([float(value) for value in part], np.float32))
    return {f"output_{i}": np.stack(row) for i, row in enumerate(rows)}


if __name__ == "__main__":
    _child(sys.argv[1])
