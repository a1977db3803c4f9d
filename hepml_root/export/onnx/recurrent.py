"""Export rules of recurrent layers: SimpleRNN, LSTM, GRU, Bidirectional, and any cell step by step.

A layer becomes one RNN, LSTM or GRU operator. Time goes first in ONNX, so there is a Transpose before and
behind it; between stacked layers they vanish.

Masks
-----
Keras carries the state over a masked step. ONNX knows a length per event: what comes behind it is not read.
The two agree where a mask is a *prefix*, ones and then zeros, as all masks of this project's jagged columns
are. Whether a mask is one cannot be seen in a graph, so it is only taken for one where that is known: the
input is named in ``emit(..., prefix_masks=...)``, which ``hr.export`` does for mask blocks whose events all
hold prefixes, and the mask reaches the layer through comparisons and logical products alone. Then the
operator's ``sequence_lens`` is the sum of the mask.

Any other mask is exported exactly all the same: the steps that are there are moved to the front in their
order (TopK, GatherND), the operator runs over that many, and each step then reads the result of the last
step that is there (CumSum, GatherND). Nothing but these few operators is spent on it; there is no loop.

What no operator knows (an unusual activation, an own cell, ConvLSTM, stacked cells) is written out step by
step: a graph as long as the sequence, but exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, tree
from numpy.typing import NDArray

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.onnx.elementwise import scalar, truth
from hepml_root.export.onnx.graph import Graph, Tensor
from hepml_root.export.onnx.rules import Call, layer_rule
from hepml_root.export.onnx.shapes import flipped, join

# Activations that the operators know: their names there, and alpha and beta of those that have them. Each of
# those takes the next entries of the operator's lists; the others take none.
_ACTIVATIONS: dict[Any, tuple[str, tuple[float, float] | None]] = {
    keras.activations.tanh: ("Tanh", None),
    keras.activations.sigmoid: ("Sigmoid", None),
    keras.activations.relu: ("Relu", None),
    keras.activations.linear: ("Affine", (1.0, 0.0)),
    keras.activations.hard_sigmoid: ("HardSigmoid", (1.0 / 6.0, 0.5)),
    keras.activations.softsign: ("Softsign", None),
    keras.activations.softplus: ("Softplus", None),
}
_DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
# Where ONNX's gates are among Keras's: input, output, forget, cell instead of input, forget, cell, output.
_GATES = {"RNN": [0], "GRU": [0, 1, 2], "LSTM": [0, 3, 1, 2]}


@dataclass
class _Weights:
    """One direction of an operator: ONNX's W, R, B and activations."""

    op: str
    units: int
    kernel: NDArray[np.float32]
    recurrent: NDArray[np.float32]
    bias: NDArray[np.float32]
    activations: list[tuple[str, tuple[float, float] | None]]
    reset_after: bool = False


def _array(variable: Any) -> NDArray[np.float32]:
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float32)


def _weights(cell: Any) -> _Weights | None:
    """The cell as an operator, or None if there is none."""
    op = {layers.SimpleRNNCell: "RNN", layers.LSTMCell: "LSTM", layers.GRUCell: "GRU"}.get(type(cell))
    if op is None:
        return None
    used = [cell.activation] if op == "RNN" else [cell.recurrent_activation, cell.activation]
    if op == "LSTM":
        used.append(cell.activation)
    names = [_ACTIVATIONS.get(activation) for activation in used]
    if None in names:
        return None
    units, order = int(cell.units), _GATES[op]

    def gates(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        parts = np.split(matrix, len(order), axis=-1)
        return np.concatenate([parts[gate] for gate in order], axis=-1)

    biases = np.zeros((2, len(order) * units), np.float32)
    if cell.use_bias:
        stored = _array(cell.bias).reshape(-1, len(order) * units)
        biases[: len(stored)] = gates(stored)
    return _Weights(
        op,
        units,
        gates(_array(cell.kernel)).T,
        gates(_array(cell.recurrent_kernel)).T,
        biases.reshape(-1),
        [name for name in names if name is not None],
        bool(getattr(cell, "reset_after", False)),
    )


# -- masks ------------------------------------------------------------------------------------------------


def _is_prefix(graph: Graph, mask: Tensor) -> bool:
    """Whether a mask is known to be ones and then zeros in every event."""
    if mask in graph.inputs:
        return mask.name in graph.prefix_masks
    maker = next((node for node in reversed(graph.nodes) if mask in node.outputs), None)
    if maker is None:
        return False
    sources = [tensor for tensor in maker.inputs if tensor is not None]
    numbers = [float(t.value.reshape(-1)[0]) for t in sources if t.value is not None and t.value.size == 1]
    if maker.op in ("Cast", "Identity", "And", "Or"):
        return all(_is_prefix(graph, tensor) for tensor in sources)
    if maker.op == "Reshape":
        return mask.shape[:2] == sources[0].shape[:2] and _is_prefix(graph, sources[0])
    if maker.op in ("Greater", "GreaterOrEqual") and numbers and sources[1].value is not None:
        inside = 0 <= numbers[0] < 1 if maker.op == "Greater" else 0 < numbers[0] <= 1
        return inside and _is_prefix(graph, sources[0])
    if maker.op == "Not":
        equal = next((node for node in graph.nodes if sources[0] in node.outputs), None)
        zero = equal is not None and any(t is not None and t.value is not None for t in equal.inputs)
        if equal is not None and equal.op == "Equal" and zero:
            constant = next(t for t in equal.inputs if t is not None and t.value is not None)
            other = next((t for t in equal.inputs if t is not None and t.value is None), None)
            return other is not None and not np.any(constant.value) and _is_prefix(graph, other)
    return False


class _Steps:
    """Which steps of a sequence (events, steps, features) are there, and how results find their steps."""

    def __init__(self, graph: Graph, mask: Tensor | None) -> None:
        self.graph = graph
        self.mask: Tensor | None = None
        self.lengths: Tensor | None = None
        self.prefix = True
        if mask is None:
            return
        if mask.value is not None:
            if not np.all(mask.value):
                raise UnsupportedOperationError(
                    f"{graph.where()}: a mask that is the same for all events cannot be exported; slice the "
                    "sequence instead."
                )
            return
        self.prefix = _is_prefix(graph, mask)
        self.mask = truth(graph, graph.reshape(mask, mask.shape[:2]))
        self.there = graph.cast(self.mask, "int32" if self.prefix else "int64")
        count = graph.node(
            "ReduceSum", self.there, graph.constant([1], "int64"), shape=self.mask.shape[:1], keepdims=0
        )
        self.lengths = graph.cast(count, "int32")

    def column(self) -> Tensor:
        """The mask as (events, steps, 1)."""
        assert self.mask is not None
        return self.graph.reshape(self.mask, [*self.mask.shape, 1])

    def _gather(self, value: Tensor, positions: Tensor) -> Tensor:
        graph = self.graph
        index = graph.reshape(positions, [*positions.shape, 1])
        return graph.node("GatherND", value, index, shape=value.shape, dtype=value.dtype, batch_dims=1)

    def to_front(self, value: Tensor) -> Tensor:
        """The steps that are there in their order, and behind them the others."""
        if self.mask is None:
            return value
        if self.prefix:
            return self._unfilled(value)
        steps = value.shape[1]
        first = np.arange(2 * steps, steps, -1, dtype=np.float32)[None]
        graph = self.graph
        rank = graph.node(
            "Where", self.mask, graph.constant(first), graph.constant(first - steps),
            shape=self.mask.shape, dtype="float32",
        )  # fmt: skip
        _, positions = graph.nodes_with(
            "TopK", rank, graph.constant([steps], "int64"),
            shapes=[rank.shape] * 2, dtypes=["float32", "int64"], axis=1, largest=1, sorted=1,
        )  # fmt: skip
        return self._gather(value, positions)

    def _unfilled(self, value: Tensor) -> Tensor:
        """``value`` without what was filled in at padded steps, which the operator does not read."""
        makers = {id(tensor): node for node in self.graph.nodes for tensor in node.outputs}
        filled = makers.get(id(value))
        if filled is None or filled.op != "Where" or filled.inputs[0] is None:
            return value
        column = makers.get(id(filled.inputs[0]))
        same = column is not None and column.op == "Reshape" and column.inputs[0] is self.mask
        inside = filled.inputs[1]
        return inside if same and inside is not None and inside.shape == value.shape else value

    def to_places(self, value: Tensor, last: Tensor, backwards: bool, zeros: bool) -> Tensor:
        """The results (events, steps, units) of an operator, at the steps they belong to.

        At a masked step there is the result of the step before it in the order of processing, or zero if
        there is none or ``zeros`` is asked for. The operators give zero behind the length.
        """
        if self.mask is None:
            return value
        graph = self.graph
        nothing = scalar(graph, 0.0)
        if self.prefix:
            if zeros or backwards:
                return value
            final = graph.reshape(last, [last.shape[0], 1, *last.shape[1:]])
            return graph.node("Where", self.column(), value, final, shape=value.shape, dtype="float32")
        axis = graph.constant(np.asarray(1), "int64")
        if backwards:  # the steps that are there before this one; behind the last of them it is zero
            places = graph.node("CumSum", self.there, axis, shape=self.there.shape, exclusive=1)
        else:
            # Before the first step this is -1, the last place, which is behind the length then: zero.
            count = graph.node("CumSum", self.there, axis, shape=self.there.shape)
            places = graph.node("Sub", count, graph.constant(np.asarray(1), "int64"))
        result = self._gather(value, places)
        if not zeros:
            return result
        return graph.node("Where", self.column(), result, nothing, shape=result.shape, dtype="float32")

    def end(self, last: Tensor, backwards: bool, zeros: bool) -> Tensor:
        """The result (events, units) behind the last step."""
        if self.mask is None or not zeros:
            return last
        graph = self.graph
        position = 0 if backwards else self.mask.shape[1] - 1
        there = graph.slice(self.mask, 1, position, position + 1)
        return graph.node("Where", there, last, scalar(graph, 0.0), shape=last.shape, dtype="float32")

    def state(self, final: Tensor, initial: Tensor | None) -> Tensor:
        """The final state; that of an event without any step is the initial one."""
        if self.lengths is None or initial is None:
            return final
        graph = self.graph
        some = graph.node("Greater", self.lengths, graph.constant(np.asarray(0), "int32"), dtype="bool")
        some = graph.reshape(some, [*some.shape, 1])
        return graph.node("Where", some, final, initial, shape=final.shape, dtype="float32")


# -- the operator -------------------------------------------------------------------------------------------


def _operator(
    graph: Graph,
    directions: Sequence[_Weights],
    value: Tensor,
    steps: _Steps,
    initial: Sequence[Sequence[Tensor] | None],
    backwards: bool,
) -> list[Tensor]:
    """Add the operator; return Y (steps, directions, events, units), Y_h and for an LSTM Y_c (directions,
    events, units).
    """
    first = directions[0]
    count, events = len(directions), value.shape[0]
    sequence = graph.transpose(value, [1, 0, 2])
    weights = [
        graph.constant(np.stack([getattr(d, name) for d in directions]))
        for name in ("kernel", "recurrent", "bias")
    ]
    states: list[Tensor | None] = []
    if any(initial):
        for number in range(2 if first.op == "LSTM" else 1):
            rows = [
                graph.reshape(s[number], [1, *s[number].shape])
                for s in initial
                if s is not None  # one for every direction, or none at all
            ]
            states.append(rows[0] if len(rows) == 1 else graph.node(
                "Concat", *rows, shape=[len(rows), events, first.units], axis=0
            ))  # fmt: skip
    options: dict[str, Any] = {"hidden_size": first.units}
    options["direction"] = "bidirectional" if count == 2 else "reverse" if backwards else "forward"
    activations = [entry for d in directions for entry in d.activations]
    if [name for name, _ in activations] != _DEFAULTS[first.op] * count:
        options["activations"] = [name for name, _ in activations]
        numbers = [pair for _, pair in activations if pair is not None]
        if numbers:
            options["activation_alpha"] = [alpha for alpha, _ in numbers]
            options["activation_beta"] = [beta for _, beta in numbers]
    if first.op == "GRU":
        options["linear_before_reset"] = int(first.reset_after)
    shape = [count, events, first.units]
    shapes = [[sequence.shape[0], *shape], shape] + ([shape] if first.op == "LSTM" else [])
    return graph.nodes_with(
        first.op, sequence, *weights, steps.lengths, *states,
        shapes=shapes, dtypes=["float32"] * len(shapes), **options,
    )  # fmt: skip


def _one_per_event(graph: Graph, states: Any, like: Tensor) -> list[Tensor] | None:
    """Initial states as tensors with a row per event; None for zeros."""
    if states is None:
        return None
    tensors = [graph.tensor(s, "float32") for s in tree.flatten(states)]
    if all(t.value is not None and not np.any(t.value) for t in tensors):
        return None
    if any(t.value is not None for t in tensors):
        raise UnsupportedOperationError(
            f"{graph.where()}: initial states that are the same for all events cannot be exported; compute "
            "them from an input."
        )
    if any(t.shape[0] != like.shape[0] for t in tensors):
        raise UnsupportedOperationError(f"{graph.where()}: the initial states need one row per event.")
    return tensors


def _layer(
    graph: Graph, call: Call, layer: Any, value: Tensor, steps: _Steps, initial: Any
) -> tuple[Tensor, list[Tensor]]:
    """One recurrent layer: its output and its final states."""
    if layer.stateful:
        raise UnsupportedOperationError(
            f"{graph.where()} keeps its state from one batch to the next (stateful=True), so an event's "
            "result depends on others."
        )
    weights = _weights(layer.cell) if value.rank == 3 else None
    if weights is None:
        return _unrolled(graph, call, layer, value, steps, initial)
    given = _one_per_event(graph, initial, value)
    backwards = bool(layer.go_backwards)
    zeros = bool(layer.zero_output_for_mask)
    outputs = _operator(graph, [weights], steps.to_front(value), steps, [given], backwards)
    events, units = value.shape[0], weights.units
    finals = [graph.reshape(t, [events, units]) for t in outputs[1:]]
    states = [
        steps.state(final, None if given is None else given[number]) for number, final in enumerate(finals)
    ]
    if not layer.return_sequences:
        return steps.end(finals[0], backwards, zeros), states
    rows = graph.reshape(outputs[0], [value.shape[1], events, units])
    result = steps.to_places(graph.transpose(rows, [1, 0, 2]), finals[0], backwards, zeros)
    return (flipped(graph, result, 1) if backwards else result), states


def _unrolled(
    graph: Graph, call: Call, layer: Any, value: Tensor, steps: _Steps, initial: Any
) -> tuple[Tensor, list[Tensor]]:
    """The cell written out for every step, with Keras's handling of masks."""
    cell, length = layer.cell, value.shape[1]
    if initial is None:
        initial = layer.get_initial_state(1)
    initial = tree.map_structure(lambda state: graph.tensor(state, "float32"), initial)
    options = {"training": False} if getattr(cell, "_call_has_training_arg", False) else {}
    states, previous = list(initial) if tree.is_nested(initial) else [initial], None
    results: list[Tensor] = []
    order = range(length - 1, -1, -1) if layer.go_backwards else range(length)
    for step in order:
        row = graph.slice(value, 1, step, step + 1)
        row = graph.reshape(row, [row.shape[0], *row.shape[2:]])

        def one_step(x: Any, held: Any) -> Any:
            return cell(x, held, **options)

        output, new = call.expand(one_step, row, states)
        new = list(new) if tree.is_nested(new) else [new]
        if steps.mask is not None:
            there = graph.slice(steps.mask, 1, step, step + 1)

            def chosen(fresh: Tensor, old: Tensor, there: Tensor = there) -> Tensor:
                condition = graph.reshape(there, [there.shape[0], *[1] * (fresh.rank - 1)])
                return graph.node("Where", condition, fresh, old, shape=fresh.shape, dtype="float32")

            nothing = graph.constant(np.zeros([1] * output.rank, np.float32))
            carried = nothing if previous is None or layer.zero_output_for_mask else previous
            output = chosen(output, carried)
            new = tree.map_structure(chosen, new, states)
        states, previous = new, output
        results.append(output)
    if layer.return_sequences:
        rows = [graph.reshape(r, [r.shape[0], 1, *r.shape[1:]]) for r in results]
        return join(graph, rows, 1), tree.flatten(states)
    return results[-1], tree.flatten(states)


@layer_rule(
    layers.RNN, layers.SimpleRNN, layers.LSTM, layers.GRU,
    layers.ConvLSTM1D, layers.ConvLSTM2D, layers.ConvLSTM3D,
)  # fmt: skip
def recurrent(
    graph: Graph, call: Call, sequences: Any, initial_state: Any = None, mask: Any = None, **_options: Any
) -> Any:
    value = graph.tensor(sequences, "float32")
    steps = _Steps(graph, _one_mask(graph, mask))
    output, states = _layer(graph, call, call.operation, value, steps, initial_state)
    return [output, *states] if call.operation.return_state else output


def _one_mask(graph: Graph, mask: Any) -> Tensor | None:
    masks = [m for m in tree.flatten(mask) if m is not None]
    return graph.tensor(masks[0]) if masks else None


@layer_rule(layers.Bidirectional)
def bidirectional(
    graph: Graph, call: Call, sequences: Any, initial_state: Any = None, mask: Any = None, **_options: Any
) -> Any:
    layer = call.operation
    pair = (layer.forward_layer, layer.backward_layer)
    value = graph.tensor(sequences, "float32")
    steps = _Steps(graph, _one_mask(graph, mask))
    given = tree.flatten(initial_state) if initial_state is not None else []
    halves = [
        _one_per_event(graph, half or None, value)
        for half in (given[: len(given) // 2], given[len(given) // 2 :])
    ]
    joint = _joint_operator(pair, value, halves)
    if joint is not None:
        forward, backward, together, states = _both_ways(graph, layer, joint, value, steps, halves)
    else:
        (forward, first), (backward, second) = (
            _layer(graph, call, one, value, steps, half) for one, half in zip(pair, halves, strict=True)
        )
        if layer.return_sequences:
            backward = flipped(graph, backward, 1)
        together, states = None, [*first, *second]
    results: list[Tensor]
    if layer.merge_mode == "concat":
        last = forward.rank - 1
        results = [together if together is not None else join(graph, [forward, backward], last)]
    elif layer.merge_mode is None:
        results = [forward, backward]
    else:
        results = [graph.node("Mul" if layer.merge_mode == "mul" else "Add", forward, backward)]
        if layer.merge_mode == "ave":
            results = [graph.node("Mul", results[0], scalar(graph, 0.5))]
    if layer.return_state:
        results += states
    return results if len(results) > 1 else results[0]


def _joint_operator(pair: Sequence[Any], value: Tensor, halves: Sequence[Any]) -> list[_Weights] | None:
    """The weights of both directions if one operator can hold them."""
    plain = all(isinstance(layer, layers.RNN) and not layer.stateful for layer in pair)
    if not plain or value.rank != 3 or pair[0].go_backwards or not pair[1].go_backwards:
        return None
    # Keras sets this for both; one operator gives zeros at padded steps.
    if any(layer.zero_output_for_mask != layer.return_sequences for layer in pair):
        return None
    found = [weights for layer in pair if (weights := _weights(layer.cell)) is not None]
    if len(found) < 2 or (found[0].op, found[0].units, found[0].reset_after) != (
        found[1].op, found[1].units, found[1].reset_after,
    ):  # fmt: skip
        return None
    return found if (halves[0] is None) == (halves[1] is None) else None


def _both_ways(
    graph: Graph,
    layer: Any,
    weights: list[_Weights],
    value: Tensor,
    steps: _Steps,
    halves: Sequence[list[Tensor] | None],
) -> tuple[Tensor, Tensor, Tensor | None, list[Tensor]]:
    """One operator for both directions: each one's result, both side by side for "concat", and the states."""
    outputs = _operator(graph, weights, steps.to_front(value), steps, halves, False)
    events, units, length = value.shape[0], weights[0].units, value.shape[1]
    several = layer.return_sequences

    def one(tensor: Tensor, axis: int, number: int) -> Tensor:
        part = graph.slice(tensor, axis, number, number + 1)
        return graph.reshape(part, [*part.shape[:axis], *part.shape[axis + 1 :]])

    states = []
    if layer.return_state:
        for number in range(2):
            held = halves[number]
            for kind, tensor in enumerate(outputs[1:]):
                states.append(steps.state(one(tensor, 0, number), held[kind] if held else None))
    final = one(outputs[1], 0, 0)

    def placed(rows: Tensor) -> Tensor:
        """(steps, events, units) as (events, steps, units), masked steps zero."""
        return steps.to_places(graph.transpose(rows, [1, 0, 2]), final, False, True)

    if layer.merge_mode == "concat":
        if several:
            rows = graph.reshape(graph.transpose(outputs[0], [0, 2, 1, 3]), [length, events, 2 * units])
            together = placed(rows)
        else:
            together = graph.reshape(graph.transpose(outputs[1], [1, 0, 2]), [events, 2 * units])
        return together, together, together, states
    if several:
        parts = [placed(one(outputs[0], 1, number)) for number in range(2)]
    else:
        parts = [one(outputs[1], 0, number) for number in range(2)]
    return parts[0], parts[1], None, states
