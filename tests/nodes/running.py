"""Compiles the forms of many tests together and compares what they compute with what is expected."""

from __future__ import annotations

import ctypes
import multiprocessing
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from hepml_root.data.feed_library import SHARED
from hepml_root.inference.compiler import find_compiler
from tests.nodes.cases import Form

FLAGS = (
    "-std=gnu++17",
    "-O1",
    "-march=native",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fPIC",
    *SHARED,
    "-w",
)
# A wide block, a narrow one, and one that is not full.
EVENTS = 48 + 16 + 3
# Of the output's scale, and of the number itself; ONNX's own runner takes 1e-3 of the number.
TOLERANCE = 1e-5
# Tests whose numbers are written with four digits.
ROUNDED = {"test_averagepool_2d_ceil_last_window_starts_on_pad": 1e-3}


@dataclass
class Outcome:
    """Whether a form computes what is expected, and if not, what it does instead."""

    form: Form
    problem: str = ""


def run(forms: Sequence[Form]) -> list[Outcome]:
    """Compile some forms into one library and compare; a crash costs only the form that crashes."""
    with tempfile.TemporaryDirectory(prefix="hepml-root-nodes-") as name:
        library = Path(name) / "nodes.so"
        try:
            _compile(forms, library)
        except RuntimeError as error:
            if len(forms) == 1:
                return [Outcome(forms[0], f"does not compile: {error}")]
            return [outcome for form in forms for outcome in run([form])]
        problems = _in_child(forms, library)
        if problems is None:
            problems = [(_in_child([form], library, i) or ["crashes"])[0] for i, form in enumerate(forms)]
    return [Outcome(form, problem) for form, problem in zip(forms, problems, strict=True)]


def _compile(forms: Sequence[Form], library: Path) -> None:
    folder = library.parent
    text = []
    for i, form in enumerate(forms):
        form.source.save(folder, overwrite=True)
        text += [
            f'#include "{form.source.name}.hxx"',
            f'extern "C" void run_{i}(const float* const* x, std::size_t n, float* const* y)',
            f"{{ static const {form.source.namespace}::Session session; session.infer(x, n, y); }}",
        ]
    (folder / "nodes.cxx").write_text("\n".join(text))
    command = [*find_compiler().command, *FLAGS, "nodes.cxx", "-o", library.name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line]
        raise RuntimeError("; ".join(errors[:3]))


def _in_child(forms: Sequence[Form], library: Path, first: int = 0) -> list[str] | None:
    """Compare in a process of its own, so that a crash can be told; None is one."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_compare_all, args=(forms, library, first, sender))
    child.start()
    sender.close()
    try:
        problems: list[str] | None = receiver.recv()
    except EOFError:
        problems = None
    child.join()
    return problems


def _compare_all(forms: Sequence[Form], library: Path, first: int, sender: Connection) -> None:
    loaded = ctypes.CDLL(str(library))
    problems = []
    for i, form in enumerate(forms, start=first):
        try:
            problems.append(_problem(form, getattr(loaded, f"run_{i}")))
        except Exception as error:
            problems.append(f"{type(error).__name__}: {error}")
    sender.send(problems)


def _infer(function: ctypes._NamedFuncPointer, rows: list[np.ndarray], sizes: list[int]) -> list[np.ndarray]:
    events = len(rows[0])
    rows = [np.ascontiguousarray(array, dtype=np.float32) for array in rows]
    outputs = [np.full((events, size), np.nan, np.float32) for size in sizes]
    pointer = ctypes.c_void_p
    x = (pointer * len(rows))(*[array.ctypes.data for array in rows])
    y = (pointer * len(outputs))(*[array.ctypes.data for array in outputs])
    function(x, ctypes.c_size_t(events), y)
    return outputs


def _problem(form: Form, function: ctypes._NamedFuncPointer) -> str:
    """Return what is wrong with a form: alone, in a block of equal events, and beside other events."""
    sizes = [array.shape[1] for array in form.expected]
    declared = [int(np.prod(entry["shape"])) for entry in form.source.manifest["outputs"]]
    if declared != sizes:
        return f"its outputs have {declared} numbers per event instead of {sizes}"
    count = len(form.rows[0])
    for event in range(count):
        alone = _infer(function, [array[event : event + 1] for array in form.rows], sizes)
        wrong = _difference(alone, [array[event : event + 1] for array in form.expected], form)
        if wrong:
            return f"one event alone: {wrong}"
    repeated = np.arange(EVENTS) % count
    block = _infer(function, [array[repeated] for array in form.rows], sizes)
    wrong = _difference(block, [array[repeated] for array in form.expected], form)
    if wrong:
        return f"a block of events: {wrong}"
    # Every second event changed a little: the others must stay, and these must be as they are alone.
    r = np.random.default_rng(1)
    rows = [array[repeated].copy() for array in form.rows]
    for array, entry in zip(rows, form.source.manifest["inputs"], strict=True):
        if not _is_whole(array) and entry["kind"] != "mask":
            array[1::2] *= r.uniform(0.9, 1.1, array[1::2].shape).astype(np.float32)
    mixed = _infer(function, rows, sizes)
    singles = [_infer(function, [array[i : i + 1] for array in rows], sizes) for i in range(EVENTS)]
    single = [np.concatenate([event[i] for event in singles]) for i in range(len(sizes))]
    wrong = _difference(mixed, single, form)
    return f"a block of different events against each alone: {wrong}" if wrong else ""


def _is_whole(array: np.ndarray) -> bool:
    finite = array[np.isfinite(array)]
    return bool((finite == np.round(finite)).all())


def _difference(computed: list[np.ndarray], expected: list[np.ndarray], form: Form) -> str:
    for i, (a, b) in enumerate(zip(computed, expected, strict=True)):
        b = np.asarray(b, dtype=np.float64)
        finite = b[np.isfinite(b)]
        scale = float(np.abs(finite).max()) if finite.size else 0.0
        tolerance = ROUNDED.get(form.case.name, TOLERANCE)
        allowed = 0.0 if form.kinds[i] in "biu" else tolerance * (scale + np.abs(b)) + 1e-38
        with np.errstate(invalid="ignore"):
            wrong = ~((a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= allowed))
        if wrong.any():
            where = tuple(int(n) for n in np.argwhere(wrong)[0])
            said = f"{a[where]} instead of {b[where]} at {where}"
            return f"output {i} has {int(wrong.sum())} of {wrong.size} wrong: {said}"
    return ""
