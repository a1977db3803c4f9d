"""Branches and loops that are decided when the code is generated: the branch taken, the turns one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hepml_root.export.cpp.expression import Call, Load, broadcast
from hepml_root.export.cpp.graph import Node, Result, Tensor, Value
from hepml_root.export.cpp.moves import assemble, numbered, pick
from hepml_root.export.cpp.steps import Map

if TYPE_CHECKING:
    import onnx

    from hepml_root.export.cpp.reading import Reader, Scope

MOST_TURNS = 1_000

Typed = tuple[Result | None, np.dtype | None]


def control(node: Node, reader: Reader, scope: Scope) -> list[Typed] | None:
    """Return the outputs of a node with subgraphs and their types; None if it is another operator."""
    if node.domain or node.operator not in ("If", "Loop", "Scan"):
        return None
    return {"If": branch, "Loop": loop, "Scan": scan}[node.operator](node, reader, scope)


def _graph(node: Node, name: str) -> onnx.GraphProto:
    import onnx

    graph = node.attributes.get(name)
    if not isinstance(graph, onnx.GraphProto):
        raise node.refuse(f"its subgraph {name!r} is absent.")
    return graph


def branch(node: Node, reader: Reader, scope: Scope) -> list[Typed]:
    """The branch that a constant condition takes; both, and a choice, in a static model."""
    condition = node.inputs[0]
    if isinstance(condition, np.ndarray):
        taken = _graph(node, "then_branch" if bool(condition.reshape(-1)[0]) else "else_branch")
        return reader.subgraph(taken, scope, [], node)
    if not isinstance(condition, Tensor) or node.batched or condition.size != 1:
        raise node.refuse("its condition must be constant; here it depends on the events.")
    yes, no = (reader.subgraph(_graph(node, f"{name}_branch"), scope, [], node) for name in ("then", "else"))
    results: list[Typed] = []
    for (a, dtype), (b, _) in zip(yes, no, strict=True):
        one, other = (_as_tensor(node, reader, value) for value in (a, b))
        if one.shape != other.shape or one.kind != other.kind:
            raise node.refuse(
                f"its branches give {one.kind} of shape {one.shape} or {other.kind} of shape {other.shape}, "
                "and its condition is not constant."
            )
        choice = Load(condition, broadcast((1,) * len(one.shape), one.shape))
        formula = Call("engine::where({0}, {1}, {2})", (choice, Load(one), Load(other)))
        results.append((reader.lowering.add(Map(one.size, formula), one.shape, one.kind), dtype))
    return results


def loop(node: Node, reader: Reader, scope: Scope) -> list[Typed]:
    """A loop whose number of turns is known, by its count or because its condition becomes false."""
    graph = _graph(node, "body")
    most = MOST_TURNS + 1
    if node.optional(0) is not None:
        most = int(node.constant(0, "the number of turns").reshape(-1)[0])
    going = True
    if node.optional(1) is not None:
        going = bool(node.constant(1, "the condition").reshape(-1)[0])
    carried: list[Typed] = [(node.inputs[i], node.dtype(i)) for i in range(2, len(node.inputs))]
    collected: list[list[Typed]] = [[] for _ in range(len(graph.output) - 1 - len(carried))]
    turn = 0
    while turn < most and going:
        if turn == MOST_TURNS:
            raise node.refuse(f"more than {MOST_TURNS:,} turns.")
        given: list[Typed] = [(np.array(turn, np.int64), None), (np.array(True), None), *carried]
        condition, *results = reader.subgraph(graph, scope, given, node)
        if not isinstance(condition[0], np.ndarray):
            raise node.refuse("how often it turns depends on the events.")
        going = bool(condition[0].reshape(-1)[0])
        carried = results[: len(carried)]
        for values, value in zip(collected, results[len(carried) :], strict=True):
            values.append(value)
        turn += 1
    return carried + [_stacked(node, reader, values, 0, False) for values in collected]


def scan(node: Node, reader: Reader, scope: Scope) -> list[Typed]:
    """A loop over the pieces of some values along an axis."""
    graph, count = _graph(node, "body"), int(node.attributes["num_scan_inputs"])
    states = len(node.inputs) - count
    outputs = len(graph.output) - states
    if count < 1 or states < 0 or outputs < 0:
        raise node.refuse(f"{count} of its {len(node.inputs)} inputs are scanned.")

    def per(name: str, length: int) -> list[int]:
        given = list(node.attributes.get(name, [0] * length))
        if len(given) != length:
            raise node.refuse(f"{name} has {len(given)} entries instead of {length}.")
        return given

    backward, axes = per("scan_input_directions", count), per("scan_input_axes", count)
    carried: list[Typed] = [(node.inputs[i], node.dtype(i)) for i in range(states)]
    scanned = [
        _pieces(node, reader, node.inputs[states + i], axes[i], bool(backward[i])) for i in range(count)
    ]
    if len({len(pieces) for pieces in scanned}) != 1:
        raise node.refuse("the values that it scans have different lengths.")
    collected: list[list[Typed]] = [[] for _ in range(outputs)]
    for pieces in zip(*scanned, strict=True):
        given = [*carried, *((piece, node.dtype(states + i)) for i, piece in enumerate(pieces))]
        results = reader.subgraph(graph, scope, given, node)
        carried = results[:states]
        for values, value in zip(collected, results[states:], strict=True):
            values.append(value)
    out_axes, reversed_ = per("scan_output_axes", outputs), per("scan_output_directions", outputs)
    return carried + [
        _stacked(node, reader, values, axis, bool(turned))
        for values, axis, turned in zip(collected, out_axes, reversed_, strict=True)
    ]


def _pieces(node: Node, reader: Reader, value: Value | None, axis: int, backward: bool) -> list[Any]:
    """Return the pieces of a value along an axis of the file, which they do not have any more."""
    if isinstance(value, Tensor):
        if value.batch_axis:
            node.batch_axis = value.batch_axis
        place = node.axis(axis, len(value.shape))
        behind = value.batch_axis - (place < value.batch_axis)
        node.batch_axis = 0
        numbers = np.moveaxis(numbered(value), place, 0)
        pieces: list[Any] = [
            replace(pick(reader.lowering, value, part), batch_axis=behind) for part in numbers
        ]
    elif isinstance(value, np.ndarray) and -value.ndim <= axis < value.ndim:
        pieces = list(np.moveaxis(value, axis, 0))
    else:
        raise node.refuse("it scans a value that has no pieces.")
    if not 0 < len(pieces) <= MOST_TURNS:
        raise node.refuse(f"{len(pieces)} turns; up to {MOST_TURNS:,} are supported.")
    return pieces[::-1] if backward else pieces


def _as_tensor(node: Node, reader: Reader, value: Result | None) -> Tensor:
    if isinstance(value, np.ndarray) and not node.batched:
        return reader.lowering.constant(value)
    if not isinstance(value, Tensor):
        raise node.refuse("one of its results does not depend on the events.")
    return value


def _stacked(node: Node, reader: Reader, values: list[Typed], axis: int, backward: bool) -> Typed:
    """Return values of one shape side by side along a new axis of the file."""
    ordered = [value for value, _ in (reversed(values) if backward else values)]
    if not ordered:
        raise node.refuse("it does not turn, so that an output of it is empty.")
    dtype = values[0][1]
    arrays = [value for value in ordered if isinstance(value, np.ndarray)]
    if len(arrays) == len(ordered):
        return np.stack(arrays, axis), dtype
    tensors = [_as_tensor(node, reader, value) for value in ordered]
    if len({(tensor.shape, tensor.kind, tensor.batch_axis) for tensor in tensors}) != 1:
        raise node.refuse(f"its turns give values of shapes {sorted({t.shape for t in tensors})}.")
    first = tensors[0]
    rank = len(first.shape) + 1 + node.leading
    if not -rank <= axis < rank:
        raise node.refuse(f"stacks along axis {axis} of a value with {rank} axes.")
    axis %= rank
    batch = first.batch_axis + (node.batched and axis <= first.batch_axis)
    place = axis - (node.batched and axis > first.batch_axis)
    numbers = np.arange(len(tensors) * first.size).reshape(len(tensors), *first.shape)
    order = np.moveaxis(numbers, 0, place)
    stacked = assemble(reader.lowering, tensors, order, first.kind)
    return replace(stacked, batch_axis=int(batch)), dtype
