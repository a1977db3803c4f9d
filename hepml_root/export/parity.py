"""Do two runtimes compute the same? Comparison of Keras, ONNX Runtime and C++ on real and on extreme events.

Networks are compared in float32, where the order of additions alone changes the last bits. Two outputs agree
if they differ by no more than

    tolerance · scale  +  8 · (what the last bits of the inputs do to the reference itself)

with the scale of the output (1 for probabilities, the largest real output of a regression target) and a
tolerance of 1e-5, about a hundred roundings of one float32 number. The second part measures the conditioning:
an extreme event, a thousand spreads off, where a network subtracts huge numbers from each other, is
determined no better.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from hepml_root.errors import ModelFileError, ParityError, ShapeError
from hepml_root.export.manifest import encode_array, probe_arrays

TOLERANCE = 1e-5
MOST_EVENTS = 2048
PROBE_EVENTS = 64
_PROBE_BYTES = 256 * 1024
_BATCHES = (1, 7, 67)  # 67: a large block, a small one and a rest, in our own kernels
_FEW = 3  # batches of real events in each of these sizes; edge events are in all of them

# Edge events by name: what the values of an event are multiplied with, or how its constituents are there.
EDGES: dict[str, float | str] = {
    "zeros": 0.0,
    "10 times the largest": 10.0,
    "-10 times the largest": -10.0,
    "1000 times the largest": 1e3,
    "-1000 times the largest": -1e3,
    "denormal": 1e-41,
    "no constituent": "none",
    "one constituent": "one",
    "all constituents": "all",
    "garbage behind the mask": "garbage",
    "missing": "missing",
}

Blocks = Mapping[str, NDArray[Any]]
Predict = Callable[[Blocks], list[NDArray[Any]]]


@dataclass(frozen=True)
class Difference:
    """The largest difference of two outputs: absolute, relative to the larger value, in which event."""

    max_abs: float
    max_rel: float
    event: int

    def __str__(self) -> str:
        return f"{self.max_abs:.3g} (relative {self.max_rel:.3g}) in event {self.event}"


def compare(a: NDArray[Any], b: NDArray[Any]) -> Difference:
    """Compare outputs ``(events, ...)`` of two runtimes.

    The same infinity on both sides, or NaN on both, is no difference; NaN or infinity on one side only is an
    infinite one.

    Raises
    ------
    ShapeError
        The shapes differ.

    Example
    -------
    >>> print(compare(np.array([[1.0], [2.0]]), np.array([[1.0], [2.5]])))
    0.5 (relative 0.2) in event 1
    """
    difference = _absolute(a, b)
    if difference.size == 0:
        return Difference(0.0, 0.0, 0)
    flat = difference.reshape(len(difference), -1).max(axis=1)
    larger = np.maximum(np.abs(np.asarray(a, np.float64)), np.abs(np.asarray(b, np.float64)))
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.where(difference > 0, difference / larger, 0.0)
    relative = np.where(np.isnan(relative), np.inf, relative)
    event = int(np.argmax(flat))
    return Difference(float(flat[event]), float(relative.max()), event)


def _absolute(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        raise ShapeError(f"outputs of the shapes {a.shape} and {b.shape} cannot be compared.")
    with np.errstate(invalid="ignore"):
        difference = np.abs(a - b)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(same, 0.0, np.where(np.isnan(difference), np.inf, difference))


def onnxruntime_predict(model: onnx.ModelProto | bytes, names: Sequence[str]) -> Predict:
    """Return a function that evaluates an ONNX model on blocks with ONNX Runtime, one thread.

    Raises
    ------
    ModelFileError
        ONNX Runtime refuses the model, or, when called, the events.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    content = model if isinstance(model, bytes) else model.SerializeToString()
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no public base
        raise ModelFileError(f"ONNX Runtime does not take the model: {error}") from error
    types = {entry.name: numpy_type(entry.type) for entry in session.get_inputs()}
    for entry in session.get_outputs():
        if not entry.type.startswith("tensor(") or entry.type == "tensor(string)":
            raise ModelFileError(f"the output '{entry.name}' is {entry.type}, no array of numbers.")

    def predict(blocks: Blocks) -> list[NDArray[Any]]:
        feed = {name: np.ascontiguousarray(blocks[name], types[name]) for name in names}
        try:
            return session.run(None, feed)
        except Exception as error:
            raise ModelFileError(
                f"ONNX Runtime cannot run the model on {len(feed[names[0]])} events: {error}"
            ) from error

    return predict


def numpy_type(text: str) -> np.dtype[Any]:
    """Return the numpy type of what ONNX Runtime calls "tensor(float)"; float32 for types that numpy lacks.

    >>> numpy_type("tensor(int64)"), numpy_type("tensor(float)")
    (dtype('int64'), dtype('float32'))
    """
    name = text.removeprefix("tensor(").removesuffix(")")
    known = {"float": "float32", "double": "float64", "bool": "bool"}
    whole = re.fullmatch(r"u?int(8|16|32|64)", name)
    return np.dtype(known.get(name) or (name if whole else "float32"))


def spread(events: int, most: int) -> NDArray[np.intp]:
    """Return up to ``most`` positions evenly spread over ``events``."""
    return np.unique(np.linspace(0, max(events - 1, 0), min(most, events)).astype(np.intp))


def edge_events(
    real: Blocks, kinds: Mapping[str, str], missing: bool = False
) -> tuple[dict[str, NDArray[np.float32]], list[str]]:
    """Return extreme events made from real ones, the same number for each block, and what each is.

    All zero; ten times and a thousand times the largest values, of both signs; denormal numbers; a real event
    with no constituent, with one, and with all; where there are masks, one constituent and numbers a thousand
    times the largest in the places of the others; with ``missing``, a real event full of NaN. Positions of
    neighbours stay those of a real event: others would point at nothing.

    Arguments
    ---------
    real
        Real events ``{block: (events, ...)}``.
    kinds
        ``{block: "flat" | "parameter" | "jagged" | "mask" | "image" | "edges" | "index"}``.

    Example
    -------
    >>> events, names = edge_events({"features": np.ones((5, 2), np.float32)}, {"features": "flat"})
    >>> names[2], events["features"][2].tolist()
    ('-10 times the largest', [-10.0, -10.0])
    """
    size = {
        name: np.abs(np.where(np.isfinite(array), array, 0.0)).max(axis=0, initial=1e-3)
        for name, array in real.items()
    }
    first = {name: np.nan_to_num(np.asarray(array[0], np.float32)) for name, array in real.items()}
    left_out = set() if missing else {"missing"}
    if "mask" not in kinds.values():
        left_out.add("garbage")
    edges = {name: factor for name, factor in EDGES.items() if factor not in left_out}
    events: dict[str, list[NDArray[Any]]] = {name: [] for name in real}
    for factor in edges.values():
        for name in real:
            if kinds.get(name) == "mask":
                mask = np.ones_like(first[name])
                if factor in ("none", "one", "garbage"):
                    mask[0 if factor == "none" else 1 :] = 0
                events[name].append(mask)
            elif kinds.get(name) == "index":
                events[name].append(first[name] * (factor != 0.0))
            elif factor == "garbage" and kinds.get(name) in ("jagged", "edges"):
                garbage = np.asarray(1e3 * size[name], np.float32)
                garbage[:1] = first[name][:1]
                events[name].append(garbage)
            elif isinstance(factor, str):
                events[name].append(np.full_like(first[name], np.nan) if factor == "missing" else first[name])
            elif factor == EDGES["denormal"]:
                events[name].append(np.full_like(first[name], factor))
            else:
                events[name].append(np.asarray(factor * size[name], np.float32))
    return {name: np.stack(rows).astype(np.float32) for name, rows in events.items()}, list(edges)


def _nudged(blocks: Blocks, kinds: Mapping[str, str], rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Move every input by one or two units in its last place; masks, positions and missing values stay."""
    moved = {}
    for name, array in blocks.items():
        if kinds.get(name) in ("mask", "index"):
            moved[name] = np.asarray(array)
        else:
            sign = rng.choice(np.array([-1.0, 1.0], np.float32), size=np.shape(array))
            moved[name] = (np.asarray(array, np.float32) * (1 + sign * np.float32(2**-22))).astype(np.float32)
    return moved


@dataclass(frozen=True)
class Reference:
    """What one runtime gives on some events, and how closely another has to meet it.

    ``events`` counts the real ones, which come first; edge events follow, ``edges`` says what they are.
    """

    blocks: dict[str, NDArray[np.float32]]
    outputs: list[NDArray[np.float32]]
    bounds: list[NDArray[np.float64]]
    events: int
    flushed: list[NDArray[np.float32]]
    edges: list[str] = field(default_factory=list)


def least_scale(manifest: Mapping[str, Any]) -> float:
    """Return the scale below which outputs are not told apart: of a generator, ten thresholds of a cell.

    Cells are cut by a steep ramp, which lets a rounding grow by its steepness. A generator may say a
    "rounding" of its own, which is the difference of a cell that is allowed.
    """
    made = manifest.get("generator") or {}
    threshold = float((made.get("geometry") or {}).get("threshold", 0.0))
    return max(10.0 * threshold, float(made.get("rounding", 0.0)) / TOLERANCE)


def reference(
    predict: Predict,
    real: Blocks,
    kinds: Mapping[str, str],
    *,
    probabilities: bool = False,
    missing: bool = False,
    tolerance: float = TOLERANCE,
    least: float = 0.0,
) -> Reference:
    """Evaluate the runtime that others are held to, on real events and on edge events made from them.

    Arguments
    ---------
    predict
        Takes ``{block: (events, ...)}``, gives a list with one array ``(events, ...)`` per output.
    real
        Real events.
    kinds
        The kind of each block.
    probabilities
        The outputs are probabilities, whose scale is 1.
    missing
        NaN is a legitimate input of this model.
    tolerance
        Relative to the scale of the outputs.
    least
        The scale of an output is not taken to be smaller than this. With it, the tolerance of an event
        whose outputs are larger than those of all real ones is larger by as much.
    """
    count = len(next(iter(real.values())))
    edges, names = edge_events(real, kinds, missing)
    blocks = {name: np.concatenate([np.asarray(real[name], np.float32), edges[name]]) for name in real}
    outputs = [np.asarray(output, np.float32) for output in predict(blocks)]
    # A runtime may treat denormal numbers as zero: what it gives then is as good.
    smallest = np.finfo(np.float32).tiny
    flushed = predict({name: np.where(np.abs(array) < smallest, 0, array) for name, array in blocks.items()})
    rng = np.random.default_rng(1)
    sensitivity = [np.zeros(output.shape) for output in outputs]
    for _ in range(3):
        for total, moved, output in zip(
            sensitivity, predict(_nudged(blocks, kinds, rng)), outputs, strict=True
        ):
            np.maximum(total, np.nan_to_num(_absolute(moved, output), posinf=0.0), out=total)
    bounds = []
    for output, moved in zip(outputs, sensitivity, strict=True):
        finite = np.where(np.isfinite(output[:count]), np.abs(output[:count]), 0.0)
        largest = np.ones(output.shape[1:]) if probabilities else finite.max(axis=0, initial=0.0)
        # An output that is 0 in all events, as of a network before training, has no scale of its own.
        scale = np.maximum(np.where(largest > 0.0, largest, 1.0), least)
        with np.errstate(invalid="ignore"):
            size = np.maximum(scale, np.where(np.isfinite(output), np.abs(output), 0.0))
        if least > 0.0:
            # Beyond the real events' energies what networks give to their exponentials grows with the energy,
            # and with it the relative roundings of cells.
            of_event = np.where(np.isfinite(output), np.abs(output), 0.0).reshape(len(output), -1).max(axis=1)
            larger = np.maximum(of_event / max(float(finite.max(initial=0.0)), least), 1.0)
            size = size * larger.reshape(-1, *[1] * (output.ndim - 1))
        bounds.append(tolerance * size + 8.0 * moved)
    flushed = [np.asarray(output, np.float32) for output in flushed]
    return Reference(blocks, outputs, bounds, count, flushed, names)


def check(
    held: Reference,
    predict: Predict,
    names: Sequence[str],
    runtimes: tuple[str, str],
    batches: Sequence[int] = _BATCHES,
) -> dict[str, Any]:
    """Hold one runtime to the reference, in one batch and in small ones; return the entry for the manifest.

    The small batches hold some of the real events and all edge events, also each of them alone.

    Raises
    ------
    ParityError
        They differ by more than the bound; the message names the output, the event and both values.
    """
    total = len(next(iter(held.blocks.values())))
    worst = np.zeros(total)
    for batch in (total, *batches):
        chosen = (
            np.r_[: min(held.events, _FEW * batch), held.events : total] if batch < total else np.r_[:total]
        )
        parts = [
            predict({name: array[chosen[i : i + batch]] for name, array in held.blocks.items()})
            for i in range(0, len(chosen), batch)
        ]
        for index, name in enumerate(names):
            found = np.concatenate([part[index] for part in parts])
            wanted, flushed = held.outputs[index][chosen], held.flushed[index][chosen]
            difference = np.minimum(_absolute(found, wanted), _absolute(found, flushed))
            excess = difference > held.bounds[index][chosen]
            if excess.any():
                where = np.unravel_index(int(np.argmax(np.where(excess, difference, -1.0))), difference.shape)
                value = float(found[where])
                _refuse(held, name, index, (int(chosen[where[0]]), *where[1:]), value, batch, runtimes)
            largest = difference.reshape(len(chosen), -1).max(axis=1, initial=0.0)
            worst[chosen] = np.maximum(worst[chosen], largest)
    edges = worst[held.events :]
    return {
        "events": held.events,
        "max_abs_difference": float(worst[: held.events].max(initial=0.0)),
        "edge_events": total - held.events,
        "edge_max_abs_difference": float(edges.max(initial=0.0)),
        "edges": dict(zip(held.edges, edges.tolist(), strict=False)),
    }


def _refuse(
    held: Reference,
    name: str,
    index: int,
    where: tuple[Any, ...],
    got: float,
    batch: int,
    runtimes: tuple[str, str],
) -> None:
    event = int(where[0])
    number = event if event < held.events else event - held.events
    kind = f"event {number}"
    if event >= held.events:
        kind = f"edge event {number}" + (f" ({held.edges[number]})" if held.edges else "")
    shown = ", ".join(
        f"{block}={np.array2string(array[event].reshape(-1)[:6], precision=4)}"
        for block, array in held.blocks.items()
    )
    wanted = float(held.outputs[index][where])
    bound = float(held.bounds[index][where])
    if np.isfinite(wanted) and np.isfinite(got):
        advice = "Please report this with the model."
    else:
        advice = (
            "Numbers above 3.4e38 overflow in float32: look for 'exponential', powers, or weights that large."
        )
    raise ParityError(
        f"{runtimes[0]} and {runtimes[1]} do not agree: output '{name}' of {kind} is "
        f"{wanted:.9g} in {runtimes[0]} and {got:.9g} in {runtimes[1]} (allowed difference {bound:.3g}, "
        f"batches of {batch}); inputs: {shown}. Nothing was written. {advice}"
    )


def probe(held: Reference, names: Sequence[str]) -> dict[str, Any]:
    """The manifest's probe: up to 64 real events and their outputs, fewer where events are large."""
    per_event = sum(4 * int(np.prod(array.shape[1:])) for array in (*held.blocks.values(), *held.outputs))
    chosen = spread(held.events, int(np.clip(_PROBE_BYTES // max(per_event, 1), 4, PROBE_EVENTS)))
    return {
        "inputs": {name: encode_array(array[chosen]) for name, array in held.blocks.items()},
        "outputs": {
            name: encode_array(output[chosen]) for name, output in zip(names, held.outputs, strict=True)
        },
    }


def verify(manifest: Mapping[str, Any], predict: Predict) -> Difference:
    """Run the probe events in a manifest through a runtime and return the largest difference to the stored
    outputs.

    Arguments
    ---------
    predict
        Takes ``{input: (events, ...)}``, gives one array per output, in the manifest's order.

    Raises
    ------
    ModelFileError
        The manifest holds no probe events.
    """
    inputs, outputs = probe_arrays(manifest)
    if not inputs or not outputs:
        raise ModelFileError(
            "the manifest holds no probe events to verify the model with. Export it with data=."
        )
    found = predict(inputs)
    differences = [compare(outputs[block["name"]], found[i]) for i, block in enumerate(manifest["outputs"])]
    return max(differences, key=lambda difference: difference.max_abs)
