"""Every build of a model is held to the scores in the model's file, and to ONNX Runtime, before it is used.

What comes of it is the certificate of the build: like the manifest's "parity" (export/certificate.py), with
the stored scores as "probe".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepml_root.errors import MissingDependencyError, ModelFileError, ParityError

if TYPE_CHECKING:
    import onnx

    from hepml_root.inference.compile import CompiledModel

Infer = Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], None]

# Largest difference allowed, of the largest absolute value of an output (at least 1): networks add in float32
# in different orders, and the stored scores are those of the training framework.
TOLERANCE = 2e-5
# What moving every input by this factor does to the scores says how well they are determined at all.
NUDGE = np.float32(1 + 2.0**-22)
EVENTS = 64  # random ones, for a model that carries none
_MOST_NUMBERS = 1 << 22  # of these together


def certify(compiled: CompiledModel, path: Path, infer: Infer | None = None) -> dict[str, Any]:
    """Compare a compiled network with the scores in its model's file, and with ONNX Runtime.

    ONNX Runtime gets the events that the file carries, else random ones, and edge events made from them.

    Arguments
    ---------
    compiled
        The network.
    path
        The file of its model.
    infer
        What is run, if not its own ``infer``: one of the builds of a portable library.

    Returns
    -------
    ``{"probe": {...}, "reference": "ONNX Runtime", "cpp": {...}}``, of the latter what
    :func:`hepml_root.export.parity.check` gives, or why it was "skipped".

    Raises
    ------
    ParityError
        A score differs by more than the bound; see :func:`check` and :mod:`hepml_root.export.parity`.
    ModelFileError
        The events in the file are damaged or do not fit the model.
    """
    stored = check(compiled, infer)
    found: dict[str, Any] = {"probe": {"max_abs_difference": stored}} if stored else {}
    entry = _against_onnxruntime(compiled, path, infer or compiled.infer)
    return {**found, "reference": "ONNX Runtime", "cpp": entry}


def predict(
    compiled: CompiledModel, blocks: Mapping[str, np.ndarray], infer: Infer | None = None
) -> list[np.ndarray]:
    """Evaluate a compiled network on ``{input: (events, ...)}``; one array ``(events, ...)`` per output."""
    inputs = [
        np.ascontiguousarray(blocks[entry["name"]], np.float32) for entry in compiled.manifest["inputs"]
    ]
    outputs = [
        np.empty((len(inputs[0]), *entry["shape"]), np.float32) for entry in compiled.manifest["outputs"]
    ]
    (infer or compiled.infer)(inputs, outputs)
    return outputs


def check(compiled: CompiledModel, infer: Infer | None = None) -> dict[str, float]:
    """Run a compiled network on its model's probe events, in one block and one by one.

    Arguments
    ---------
    compiled
        The network.
    infer
        What is run, if not its own ``infer``: one of the builds of a portable library.

    Returns
    -------
    The largest absolute difference per output; empty if the model carries no probe, or draws random numbers,
    which are its own in every engine.

    Raises
    ------
    ParityError
        A score differs by more than 2e-5 of the output's largest value (at least 1) plus eight times what the
        last bits of the inputs change, or is NaN on one side only.
    ModelFileError
        The probe is damaged or does not fit the model.
    """
    given, wanted = _stored(compiled)
    if not given or compiled.draws:
        return {}
    infer = infer or compiled.infer
    shapes = {
        part: {entry["name"]: math.prod(entry["shape"]) for entry in compiled.manifest[part]}
        for part in ("inputs", "outputs")
    }
    events = len(next(iter(given.values()), ()))
    try:
        inputs = [
            np.ascontiguousarray(given[name].reshape(events, size)) for name, size in shapes["inputs"].items()
        ]
        expected = {name: wanted[name].reshape(events, size) for name, size in shapes["outputs"].items()}
    except (KeyError, ValueError) as error:
        raise ModelFileError(f"the probe does not fit the model's inputs and outputs ({error!r}).") from error

    def run(arrays: list[np.ndarray], at_once: int) -> list[np.ndarray]:
        results = [np.empty((events, size), np.float32) for size in shapes["outputs"].values()]
        for first in range(0, events, at_once):
            block = slice(first, first + at_once)
            infer([array[block] for array in arrays], [result[block] for result in results])
        return results

    moved = run([np.where(np.isin(array, (0, 1)), array, array * NUDGE) for array in inputs], events)
    largest = dict.fromkeys(expected, 0.0)
    for how, results in (("in one block", run(inputs, max(events, 1))), ("one by one", run(inputs, 1))):
        for (name, right), got, other in zip(expected.items(), results, moved, strict=True):
            difference, unsure = _distance(got, right), np.nan_to_num(_distance(got, other), posinf=0.0)
            scale = max(1.0, float(np.max(np.abs(right), initial=0.0, where=np.isfinite(right))))
            if not (difference <= TOLERANCE * scale + 8 * unsure).all():
                raise ParityError(
                    f"the compiled network does not reproduce the model's probe events: output '{name}' "
                    f"differs {how} by up to {difference.max():.3g} (scale {scale:.3g}). It is not used; "
                    "please report it."
                )
            largest[name] = max(largest[name], float(difference.max(initial=0.0)))
    return largest


def _stored(compiled: CompiledModel) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the events in the model's file and their scores; empty where there are none."""
    if not compiled.manifest.get("probe"):
        return {}, {}
    from hepml_root.export.manifest import probe_arrays  # needs onnx: only when a library is new

    return probe_arrays(compiled.manifest)


def _against_onnxruntime(compiled: CompiledModel, path: Path, infer: Infer) -> dict[str, Any]:
    try:
        import onnxruntime
    except ImportError as error:
        return {"skipped": str(MissingDependencyError(f"onnxruntime is not installed ({error})."))}
    from hepml_root.export import parity
    from hepml_root.export.manifest import load_onnx

    model = load_onnx(path)
    if draws_random_numbers(model):
        return {"skipped": "the network draws random numbers."}
    inputs, outputs = ([entry["name"] for entry in compiled.manifest[part]] for part in ("inputs", "outputs"))
    given, _ = _stored(compiled)
    kinds = {entry["name"]: entry.get("kind", "flat") for entry in compiled.manifest["inputs"]}
    if (
        not given and "index" in kinds.values()
    ):  # a division by 0 or an index beyond a table may end the process
        return {"skipped": "it takes whole numbers, and the file does not say which there are."}
    real = given or _random_events(compiled.manifest["inputs"])
    try:
        held = parity.reference(
            parity.onnxruntime_predict(model, inputs),
            real,
            kinds,
            probabilities=compiled.manifest.get("task") in ("binary", "multiclass"),
            least=parity.least_scale(compiled.manifest),
        )
    except ModelFileError as error:  # it does not take the model, or these events
        return {"skipped": str(error).splitlines()[0][:300]}
    ours = lambda blocks: predict(compiled, blocks, infer)  # noqa: E731
    entry = parity.check(held, ours, outputs, ("ONNX Runtime", "C++"))
    source = "the model's file" if given else "random numbers"
    return {**entry, "events_from": source, "version": str(onnxruntime.__version__)}


def draws_random_numbers(model: onnx.ModelProto) -> bool:
    """Whether a network has an operator whose results two runtimes cannot share."""
    random = ("Random", "Multinomial", "Bernoulli")

    def some(nodes: Iterable[onnx.NodeProto]) -> bool:
        return any(
            node.op_type.startswith(random)
            or any(
                some(graph.node) for a in node.attribute for graph in ([a.g] if a.HasField("g") else a.graphs)
            )
            for node in nodes
        )

    return some(model.graph.node) or any(some(function.node) for function in model.functions)


def _random_events(inputs: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Return events for a model from elsewhere: normal numbers; zeros and ones for masks."""
    rng = np.random.default_rng(1)
    numbers = sum(math.prod(entry["shape"]) for entry in inputs)
    events = int(np.clip(_MOST_NUMBERS // max(numbers, 1), 4, EVENTS))
    blocks = {}
    for entry in inputs:
        shape = (events, *entry["shape"])
        mask = entry.get("kind") == "mask"
        values = rng.integers(0, 2, shape) if mask else rng.normal(size=shape)
        blocks[entry["name"]] = values.astype(np.float32)
    return blocks


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return absolute differences: 0 where both are the same or NaN, infinite if only one is NaN."""
    with np.errstate(invalid="ignore"):
        difference = np.abs(a.astype(np.float64) - b)
    difference[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0
    return np.where(np.isnan(difference), np.inf, difference)
