"""Rules for recurrent layers: RNN, LSTM and GRU, in both directions, with a length per event.

A layer is one step of the generated network: it loops over the sequence itself. Its storage is that of the
outputs which somebody reads, and of the state while it runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepml_root.export.cpp.elementwise import constant, floats
from hepml_root.export.cpp.graph import Lowering, Node, Tensor, check_size, rule
from hepml_root.export.cpp.steps import Moved, Place, Step
from hepml_root.export.cpp.weights import Weights, number

TILE = 16  # units side by side, as engine/recurrent.hxx reads them
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
DEFAULTS = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}
DIRECTIONS = {b"forward": (False,), b"reverse": (True,), b"bidirectional": (False, True)}

# Activations of ONNX with the alpha and beta they have if none are given; None: they take none.
ACTIVATIONS: dict[str, tuple[float | None, float | None]] = {
    "Affine": (1.0, 0.0),
    "Elu": (1.0, None),
    "HardSigmoid": (0.2, 0.5),
    "LeakyRelu": (0.01, None),
    "Relu": (None, None),
    "ScaledTanh": (1.0, 1.0),
    "Sigmoid": (None, None),
    "Softplus": (None, None),
    "Softsign": (None, None),
    "Tanh": (None, None),
    "ThresholdedRelu": (1.0, None),
}


@dataclass(eq=False)
class Direction:
    """One direction of a layer: its C++ cell, and what engine/recurrent.hxx reads for it."""

    backwards: bool
    cell: str
    alpha: tuple[float, ...]
    beta: tuple[float, ...]
    products: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
    peepholes: np.ndarray | None = None


@dataclass(frozen=True)
class Extents:
    """The axes of a layer, and whether the batch that is written out (if any) comes first (layout 1)."""

    steps: int
    events: int  # axes that stand for events in the file but are none of the engine's: static reading
    inputs: int
    units: int
    directions: int
    batch_first: bool

    def sequence(self, features: int, directions: int) -> tuple[tuple[int, ...], int, int, int]:
        """Return a sequence's shape, and how far its steps, events and directions lie apart."""
        if self.batch_first:
            shape = (self.events, self.steps, directions, features)
            return shape, directions * features, self.steps * directions * features, features
        shape = (self.steps, directions, self.events, features)
        return shape, directions * self.events * features, features, self.events * features

    def state(self) -> tuple[tuple[int, ...], int, int]:
        """Return a state's shape, and how far its events and directions lie apart."""
        if self.batch_first:
            return (self.events, self.directions, self.units), self.directions * self.units, self.units
        return (self.directions, self.events, self.units), self.units, self.events * self.units


class Recurrent(Step):
    """A layer over a whole sequence."""

    headers = ("recurrent",)

    def __init__(
        self,
        extents: Extents,
        directions: list[Direction],
        source: Tensor,
        lengths: Tensor | None,
        states: list[Tensor | None],
        outputs: list[bool],
        clip: float | None,
    ) -> None:
        self.extents, self.directions, self.clip = extents, directions, clip
        self.source, self.lengths, self.states = source, lengths, states
        _, self.y_step, self.y_event, self.y_direction = extents.sequence(extents.units, extents.directions)
        shape, self.state_event, self.state_direction = extents.state()
        sizes = [extents.steps * math.prod(shape), math.prod(shape), math.prod(shape)]
        self.offsets: list[int | None] = []
        size = 0
        for wanted, needed in zip(outputs, sizes, strict=True):
            self.offsets.append(size if wanted else None)
            size += needed if wanted else 0
        self.scratch = -(-size // TILE) * TILE
        super().__init__(self.scratch + 5 * -(-extents.units // TILE) * TILE)

    def reads(self) -> Iterator[Tensor]:
        yield self.source
        yield from (value for value in (self.lengths, *self.states) if value is not None)

    def redirect(self, moved: Moved) -> None:
        self.source = moved(self.source)
        self.lengths = None if self.lengths is None else moved(self.lengths)
        self.states = [None if state is None else moved(state) for state in self.states]

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:
        extents = self.extents
        _, x_step, x_event, _ = extents.sequence(extents.inputs, 1)
        lines = []
        for index, direction in enumerate(self.directions):
            products = [
                "{" + ", ".join(f"w + {weights.place(array)}" for array in product) + "}"
                for product in direction.products
            ]
            peepholes = "nullptr"
            if direction.peepholes is not None:
                peepholes = f"w + {weights.place(direction.peepholes)}"
            alpha, beta = (
                "{" + ", ".join(map(number, numbers)) + "}" for numbers in (direction.alpha, direction.beta)
            )
            sizes = f"{extents.steps}, {extents.inputs}, {extents.units}, {x_step}, {self.y_step}"
            sequence = (
                f"{{{sizes}, {'true' if direction.backwards else 'false'}, {number(self.clip or 0.0)}, "
                f"{alpha}, {beta}, {{{', '.join(products)}}}, {peepholes}}}"
            )

            def at(where: str | None, shift: int, stride: int) -> str:
                if where is None:
                    return "nullptr"
                moves = ([f"{shift}"] if shift else []) + ([f"n * {stride}"] if extents.events > 1 else [])
                if not moves:
                    return where
                return f"{where} + " + (f"({' + '.join(moves)}) * M::lanes" if moves else "")

            def output(number: int) -> str | None:
                offset = self.offsets[number]
                return None if offset is None else f"{to} + {offset} * M::lanes"

            states = [None if state is None else place(state) for state in self.states]
            values = [
                at(place(self.source), 0, x_event),
                at(None if self.lengths is None else place(self.lengths), 0, 1),
                *(at(state, index * self.state_direction, self.state_event) for state in states),
                at(output(0), index * self.y_direction, self.y_event),
                *(at(output(n), index * self.state_direction, self.state_event) for n in (1, 2)),
                f"{to} + {self.scratch} * M::lanes",
            ]
            masked = "false" if self.lengths is None else "true"
            call = f"engine::recurrent<M, {direction.cell}, {masked}>"
            if extents.events > 1:
                lines.append(f"for (std::size_t n = 0; n < {extents.events}; ++n)")
            call += f"(engine::Sequence{sequence},"
            lines += [call, f"   engine::SequenceValues{{{', '.join(values)}}});"]
        return lines


def pack(gates: list[np.ndarray]) -> np.ndarray:
    """Return matrices (units, inputs), one per gate, in the order in which engine/recurrent.hxx reads them.

    Tiles of 16 units; in each, for every input and every gate, 16 weights side by side.
    """
    units, inputs = gates[0].shape
    tiles = -(-units // TILE)
    padded = np.zeros((len(gates), tiles * TILE, inputs), dtype=np.float32)
    padded[:, :units] = np.stack(gates)
    return padded.reshape(len(gates), tiles, TILE, inputs).transpose(1, 3, 0, 2).ravel()


def pack_biases(sums: list[np.ndarray]) -> np.ndarray:
    """Return biases (units,), one per sum, as tiles of 16 units."""
    return pack([bias[:, None] for bias in sums])


@rule("RNN", "LSTM", "GRU")
def recurrent(node: Node, lowering: Lowering) -> list[Any]:
    operator, gates = node.operator, GATES[node.operator]
    batch_first = bool(node.attributes.get("layout", 0))
    direction = node.attributes.get("direction", b"forward")
    if direction not in DIRECTIONS:
        raise node.refuse(f"direction={direction!r}; forward, reverse and bidirectional exist.")
    count = len(DIRECTIONS[direction])
    source = node.tensor(0)
    floats(node, [source])
    first, second, inputs = node.full_shape(source, 0 if batch_first else 1, 3)
    steps, events = (second, first) if batch_first else (first, second)

    w, r = (
        constant(node, node.constant(i, what)).astype(np.float64)
        for i, what in ((1, "the weights W"), (2, "the recurrent weights R"))
    )
    units = r.shape[-1]
    b = np.zeros((count, 2 * gates * units))
    if node.optional(3) is not None:
        b = constant(node, node.constant(3, "the bias")).astype(np.float64)
    for what, array, shape in (
        ("W", w, (count, gates * units, inputs)),
        ("R", r, (count, gates * units, units)),
        ("B", b, (count, 2 * gates * units)),
    ):
        if array.shape != shape or 0 in shape:
            raise node.refuse(f"{what} has shape {array.shape} where {shape} fits its input.")
    if node.attributes.get("hidden_size", units) != units:
        raise node.refuse(f"hidden_size={node.attributes['hidden_size']}, but R has {units} units.")
    extents = Extents(steps, events, inputs, units, count, batch_first)
    check_size((2 * steps + 4) * count * events * units)

    peepholes = None
    if operator == "LSTM" and node.optional(7) is not None:
        peepholes = constant(node, node.constant(7, "the peepholes"))
        if peepholes.shape != (count, 3 * units):
            raise node.refuse(f"peepholes of shape {peepholes.shape}; {(count, 3 * units)} fits.")
    clip = node.attributes.get("clip")
    if clip is not None and not clip >= 0:
        raise node.refuse(f"clip={clip}; it is the bound of an absolute value.")
    activations = _activations(node, count)
    directions = []
    for i, backwards in enumerate(DIRECTIONS[direction]):
        names, alpha, beta = zip(*activations[i], strict=True)
        cell, products = _cell(node, units, w[i], r[i], b[i], names)
        packed = None
        if peepholes is not None:
            packed = np.zeros((3, -(-units // TILE) * TILE), np.float32)
            packed[:, :units] = peepholes[i].reshape(3, units)
        directions.append(Direction(backwards, cell, alpha, beta, products, packed))

    shapes = [*_shapes(extents)][: 3 if operator == "LSTM" else 2]
    wanted = [i < len(node.outputs) and bool(node.outputs[i]) for i in range(3)]
    if len(node.outputs) > len(shapes) and any(node.outputs[len(shapes) :]):
        raise node.refuse(f"it has {len(node.outputs)} outputs where {len(shapes)} exist.")
    states = [_state(node, lowering, extents, 5)]
    states.append(_state(node, lowering, extents, 6) if operator == "LSTM" else None)
    layer = Recurrent(
        extents,
        directions,
        source,
        _lengths(node, lowering, steps, events),
        states,
        [i < len(shapes) and wanted[i] for i in range(3)],
        clip,
    )
    lowering.add(layer, (layer.size,))
    return [
        None
        if layer.offsets[i] is None
        else node.without_batch(Tensor(layer, shape, "float", layer.offsets[i] or 0), axis)
        for i, (shape, axis) in enumerate(shapes)
    ]


def _shapes(extents: Extents) -> Iterator[tuple[tuple[int, ...], int]]:
    """Yield the full shapes of the outputs, with their axes of the batch."""
    shape, _, _, _ = extents.sequence(extents.units, extents.directions)
    yield shape, 0 if extents.batch_first else 2
    for _ in range(2):
        yield extents.state()[0], 0 if extents.batch_first else 1


def _activations(node: Node, directions: int) -> list[list[tuple[str, float, float]]]:
    """Return name, alpha and beta of every activation, direction by direction."""
    defaults = DEFAULTS[node.operator]
    names = [n.decode() for n in node.attributes.get("activations", [])] or list(defaults) * directions
    if len(names) != len(defaults) * directions:
        raise node.refuse(f"{len(names)} activations where {len(defaults) * directions} are needed.")
    known = {name.lower(): name for name in ACTIVATIONS}
    # The lists hold numbers for those activations alone that take one.
    given = [iter(node.attributes.get(f"activation_{which}", [])) for which in ("alpha", "beta")]
    found = []
    for name in names:
        if name.lower() not in known:
            raise node.refuse(f"activation {name!r}; {', '.join(ACTIVATIONS)} are supported.")
        name = known[name.lower()]
        alpha, beta = (
            0.0 if default is None else float(next(values, default))
            for default, values in zip(ACTIVATIONS[name], given, strict=True)
        )
        found.append((name, alpha, beta))
    return [found[i * len(defaults) : (i + 1) * len(defaults)] for i in range(directions)]


def _cell(
    node: Node, units: int, w: np.ndarray, r: np.ndarray, b: np.ndarray, activations: Sequence[str]
) -> tuple[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """Return the C++ class of a cell, and for each of its products packed W, R and biases."""
    gates = GATES[node.operator]
    of_input, of_state = np.split(w, gates), np.split(r, gates)
    w_bias, r_bias = np.split(b[: gates * units], gates), np.split(b[gates * units :], gates)
    bias = [one + other for one, other in zip(w_bias, r_bias, strict=True)]
    functions = ", ".join(f"engine::gates::{name}" for name in activations)
    clipped = "true" if node.attributes.get("clip") is not None else "false"

    def product(first: int, last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return pack(of_input[first:last]), pack(of_state[first:last]), pack_biases(bias[first:last])

    if node.operator == "RNN":
        return f"engine::Rnn<{functions}, {clipped}>", [product(0, 1)]
    if node.operator == "LSTM":
        peepholes = "true" if node.optional(7) is not None else "false"
        coupled = "true" if node.attributes.get("input_forget", 0) else "false"
        return f"engine::Lstm<{functions}, {peepholes}, {coupled}, {clipped}>", [product(0, 4)]
    if node.attributes.get("linear_before_reset", 0):
        sums = pack_biases([*bias[:2], w_bias[2], r_bias[2]])
        return f"engine::GruResetAfter<{functions}, {clipped}>", [(pack(of_input), pack(of_state), sums)]
    return f"engine::GruResetBefore<{functions}, {clipped}>", [product(0, 2), product(2, 3)]


def _lengths(node: Node, lowering: Lowering, steps: int, events: int) -> Tensor | None:
    """Return the steps of each event, None if every event has all of them."""
    given = node.optional(4)
    if isinstance(given, Tensor):
        if node.full_shape(given, 0, 1) != (events,):
            raise node.refuse("sequence_lens must hold one length per event.")
        return given
    if given is None:
        return None
    given = node.constant(4, "sequence_lens")
    if np.all(given == steps):
        return None
    if given.shape != (events,) or given.dtype.kind != "i" or given.min() < 0 or given.max() > steps:
        raise node.refuse(f"sequence_lens must hold one length from 0 to {steps} per event.")
    return lowering.constant(given)


def _state(node: Node, lowering: Lowering, extents: Extents, index: int) -> Tensor | None:
    """Return an initial state, None for zeros."""
    given = node.optional(index)
    shape, _, _ = extents.state()
    if isinstance(given, Tensor):
        floats(node, [given])
        if node.full_shape(given, 0 if extents.batch_first else 1, 3) != shape:
            raise node.refuse(f"input {index}, an initial state, must have the shape {shape}.")
        return given
    if given is None:
        return None
    array = constant(node, node.constant(index, "an initial state"))
    if array.shape != shape:
        raise node.refuse(f"input {index}, an initial state, has the shape {array.shape} where {shape} fits.")
    return lowering.constant(array) if array.any() else None
