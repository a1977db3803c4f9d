"""The parity certificate: the same events through Keras, ONNX Runtime, our C++ and, where there, SOFIE.

An export is held to Keras on real events and on edge values (:mod:`hepml_root.export.parity`), in one block,
in blocks of several sizes and event by event. The result is the manifest's "parity": for each runtime either
the largest differences, of the real events and of every kind of edge event, with its version and the
processor's instruction set, or why it was "skipped". A runtime that differs stops the export, and no file is
written.

The library that is compiled for it stays in the cache, where `define`, `apply` and `compile` find it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from hepml_root.errors import (
    CompilerError,
    OutputWriteError,
    ParityError,
    SettingError,
    UnsupportedOperationError,
    unknown,
)
from hepml_root.export import manifest as manifests
from hepml_root.export import parity

if TYPE_CHECKING:
    from hepml_root.inference.compile import CompiledModel

# Which of these take part in all exports of this process: names with commas, or "0" for none, for jobs that
# export many models and use few of them in C++.
VARIABLE = "HEPML_ROOT_CERTIFY"
GENERATED = ("cpp", "sofie")
NAMES = {"onnxruntime": "ONNX Runtime", "cpp": "C++", "sofie": "SOFIE"}
_LONGEST_REASON = 300


def wanted(certify: bool | Sequence[str]) -> tuple[str, ...]:
    """Return which generated code takes part: what is asked for, as far as the environment allows it.

    Raises
    ------
    SettingError
        There is no such runtime.

    Example
    -------
    >>> wanted(False)
    ()
    """
    asked = _known("certify", (GENERATED if certify else ()) if isinstance(certify, bool) else certify)
    allowed = os.environ.get(VARIABLE)
    if allowed is None:
        return asked
    names = [] if allowed.strip() in ("", "0") else [name.strip() for name in allowed.split(",")]
    return tuple(name for name in _known(VARIABLE, names) if name in asked)


def _known(where: str, names: Sequence[str]) -> tuple[str, ...]:
    for name in [names] if isinstance(names, str) else names:
        if name not in GENERATED:
            raise SettingError(f"{where}: {unknown('runtime', name, GENERATED)}")
    return tuple(names) if not isinstance(names, str) else (names,)


def onnxruntime_version() -> str:
    import onnxruntime

    return str(onnxruntime.__version__)


def generated(
    proto: onnx.ModelProto,
    manifest: Mapping[str, Any],
    name: str,
    held: parity.Reference,
    reference: str,
    runtimes: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """Return the entries of the runtimes that are generated code, ``{"cpp": ..., "sofie": ...}``.

    Arguments
    ---------
    proto, manifest
        The model, complete but for these entries.
    name
        Of the file that it will be, which the library in the cache goes by.
    held
        Events, and what the reference gives for them.
    reference
        Its name, for messages.
    runtimes
        Which of them take part.

    Raises
    ------
    ParityError
        One of them differs from the reference.
    """
    outputs = [block["name"] for block in manifest["outputs"]]
    entries = {name: skipped("not asked for.") for name in GENERATED}
    with tempfile.TemporaryDirectory(prefix="hepml_root-") as folder:
        path = manifests.write_model(proto, manifest, Path(folder) / name)
        for runtime, compare in (("cpp", _cpp), ("sofie", _sofie)):
            if runtime in runtimes:
                entries[runtime] = compare(path, held, outputs, reference)
    return entries


def skipped(reason: object) -> dict[str, Any]:
    """The entry of a runtime that took no part."""
    lines = str(reason).strip().splitlines() or ["no reason given"]
    return {"skipped": lines[0][:_LONGEST_REASON]}


def _cpp(path: Path, held: parity.Reference, outputs: list[str], reference: str) -> dict[str, Any]:
    from hepml_root.inference.compile import compile
    from hepml_root.inference.compiler import find_compiler

    try:
        compiled = compile(path)
    except (CompilerError, UnsupportedOperationError, OutputWriteError) as error:
        return skipped(error)
    try:
        entry = parity.check(held, compiled_predict(compiled), outputs, (reference, "C++"))
    except ParityError:
        assert compiled.library is not None
        shutil.rmtree(compiled.library.parent, ignore_errors=True)
        raise
    compiler = find_compiler().version.splitlines()[0]
    return {**entry, "compiler": compiler, "instruction_set": compiled.isa}


def compiled_predict(compiled: CompiledModel) -> parity.Predict:
    """Return a function that evaluates a compiled network on blocks."""
    from hepml_root.inference.probe import predict

    return lambda blocks: predict(compiled, blocks)


def _sofie(path: Path, held: parity.Reference, outputs: list[str], reference: str) -> dict[str, Any]:
    from hepml_root.export import sofie

    try:
        found, version = sofie.evaluate(path, held.blocks)
    except (UnsupportedOperationError, CompilerError) as error:
        return skipped(error)
    # It computes one event at a time whatever is asked for, so one pass over all of them says everything.
    try:
        entry = parity.check(held, lambda _: found, outputs, (reference, "SOFIE"), batches=())
    except ParityError as error:
        raise ParityError(f"{error} To export without SOFIE: certify=['cpp'], or {VARIABLE}=cpp.") from error
    return {**entry, "version": f"ROOT {version}"}


def lines(agreement: Mapping[str, Any]) -> list[str]:
    """Return the certificate in a manifest's "parity" (or one of a compilation) as lines to print.

    Example
    -------
    >>> entry = {"events": 100, "max_abs_difference": 3e-7, "edge_events": 9, "edge_max_abs_difference": 0.0}
    >>> for line in lines({"reference": "Keras", "onnxruntime": entry, "cpp": {"skipped": "no compiler."}}):
    ...     print(line)
    Keras and ONNX Runtime: 3.0e-07 on 100 events, 0 on 9 edge events
    Keras and C++: not compared: no compiler.
    """
    reference = str(agreement.get("reference", "Keras"))
    found = []
    for key, name in NAMES.items():
        entry = agreement.get(key)
        if not isinstance(entry, Mapping):
            continue
        begin = f"{reference} and {name}" if reference != name else f"{name} in one batch and in several"
        if "skipped" in entry:
            found.append(f"{begin}: not compared: {entry['skipped']}")
            continue
        about = ", ".join(
            str(entry[key]) for key in ("version", "compiler", "instruction_set") if entry.get(key)
        )
        found.append(
            f"{begin}{f' ({about})' if about else ''}: {_short(entry['max_abs_difference'])} on "
            f"{entry['events']:,} events, {_short(entry['edge_max_abs_difference'])} on "
            f"{entry['edge_events']} edge events"
        )
    return found


def _short(difference: float) -> str:
    return f"{difference:.1e}" if difference else "0"
