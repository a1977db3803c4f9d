"""The steps of a generated network: what each reads, its storage, and how it is written in C++.

Every step has its own storage of ``size`` floats per event.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from hepml_root.export.cpp.expression import (
    Call,
    Expression,
    Number,
    Sum,
    Weight,
    emit,
    functor,
    headers,
    loads,
    parts,
    redirected,
    replace,
)
from hepml_root.export.cpp.weights import Weights

if TYPE_CHECKING:
    from hepml_root.export.cpp.graph import Tensor

Place = Callable[["Tensor"], str]
Moved = Callable[["Tensor"], "Tensor"]

TILE = 16  # neurons side by side, as engine/dense.hxx reads them
MOST_ROWS = 4  # left-over neurons that are stored one by one
MOST_LIGHT_CALLS = 6
LARGEST = float(np.finfo(np.float32).max)


class Step:
    """One storage of ``size`` floats per event. Compared by identity."""

    # Floats beyond the storage that are written (and mean nothing) when one event is computed alone.
    slack = 0

    # Multiplications per event of its products, and whether rows of a value fill the registers in place of
    # more events (`vectors` in passes.py).
    work = 0
    has_rows = False

    def __init__(self, size: int) -> None:
        self.size = size

    @property
    def headers(self) -> tuple[str, ...]:
        """The headers of the engine (include/hepml_root/engine) that its code needs, without ".hxx"."""
        return ()

    def reads(self) -> Iterator[Tensor]:
        """Yield the values that this step needs."""
        return iter(())

    def redirect(self, moved: Moved) -> None:
        """Replace the values that this step needs by what ``moved`` makes of them."""

    def key(self) -> Hashable | None:
        """Return what a step must have in common with another to give the same; None if that is not known."""
        return None

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:
        """Return the C++ lines that fill the storage at ``to``; ``place`` gives where a value is."""
        raise NotImplementedError


class Input(Step):
    """A graph input: filled before the network is computed."""

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:  # noqa: ARG002
        return []


class Map(Step):
    """An element-wise formula, computed in one loop."""

    def __init__(self, size: int, expression: Expression) -> None:
        super().__init__(size)
        self.expression = expression

    @property
    def headers(self) -> tuple[str, ...]:
        return headers(self.expression)

    def reads(self) -> Iterator[Tensor]:
        return (load.tensor for load in loads(self.expression))

    def redirect(self, moved: Moved) -> None:
        self.expression = redirected(self.expression, moved)

    def key(self) -> Hashable:
        steps: dict[Step, int] = {}

        def place(tensor: Tensor) -> str:
            return f"{steps.setdefault(tensor.step, len(steps))}:{tensor.offset}"

        constants = Weights()
        formula = "".join(emit(self.expression, place, constants))
        return formula, constants.array().tobytes(), tuple(steps), self.size

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:
        return [f"engine::elementwise<M, {self.size}>({to}, {functor(self.expression, place, weights)});"]


class Scratch(Step):
    """Room that a step needs while it is computed, and that keeps nothing."""

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:  # noqa: ARG002
        return []


class Epilogued(Step):
    """A step whose results pass a formula before they are stored: the element-wise steps that followed it."""

    header: str  # of the kernel

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.epilogue: Expression = Sum()

    @property
    def headers(self) -> tuple[str, ...]:
        return (self.header, *headers(self.epilogue))

    def sources(self) -> Iterator[Tensor]:
        """Yield the values that the step itself needs, without those of the formula."""
        raise NotImplementedError

    def reads(self) -> Iterator[Tensor]:
        yield from self.sources()
        for load in loads(self.epilogue):
            yield load.tensor

    def redirect(self, moved: Moved) -> None:
        self.epilogue = redirected(self.epilogue, moved)

    def take(self, epilogue: Expression) -> None:
        """Compute a formula of the results, in which ``Sum()`` stands for one of them."""
        self.epilogue = epilogue
        while self._fold():
            pass

    def channels(self) -> np.ndarray | None:
        """Return the channel of every result, or None if the step can take no scales and shifts of them."""
        return None

    def absorb(self, scale: np.ndarray, shift: np.ndarray) -> bool:  # noqa: ARG002
        """Scale and shift the results of every channel without a formula; return whether that can be."""
        return False

    def _fold(self) -> bool:
        """Absorb one scale or shift that the formula begins with; return whether there was one."""
        users = [
            part
            for part in parts(self.epilogue)
            if isinstance(part, Call) and any(isinstance(a, Sum) for a in part.arguments)
        ]
        if len(users) != 1 or sum(isinstance(a, Sum) for a in users[0].arguments) != 1:
            return False
        user = users[0]
        others = [None if isinstance(a, Sum) else self._per_channel(a) for a in user.arguments]
        first = others[0] is None and isinstance(user.arguments[0], Sum)
        known = [values for values in others if values is not None]
        if (
            not known
            or len(known) + 1 != len(others)
            or not all(np.isfinite(values).all() for values in known)
        ):
            return False
        one, zero = np.ones_like(known[0]), np.zeros_like(known[0])
        if user.formula == "{0} + {1}":
            scale, shift = one, known[0]
        elif user.formula == "{0} * {1}":
            scale, shift = known[0], zero
        elif user.formula == "{0} - {1}" and first:
            scale, shift = one, -known[0]
        elif user.formula == "{0} * {1} + {2}" and first:
            scale, shift = known
        else:
            return False
        if not self.absorb(scale, shift):
            return False
        self.epilogue = replace(self.epilogue, lambda part: Sum() if part is user else None)
        return True

    def _per_channel(self, expression: Expression) -> np.ndarray | None:
        """Return a constant as one number per channel, or None if it is none."""
        channels = self.channels()
        if channels is None or not isinstance(expression, Number | Weight):
            return None
        if isinstance(expression, Number):
            return np.full(int(channels.max()) + 1, expression.value, np.float64)
        values = expression.array.ravel().astype(np.float64)
        whole = values if expression.broadcast is None else values[expression.broadcast.indices()]
        if whole.size != channels.size:
            return None
        of_channel = np.zeros(int(channels.max()) + 1)
        of_channel[channels] = whole
        return of_channel if (of_channel[channels] == whole).all() else None

    @property
    def when(self) -> str:
        """When the kernel computes the formula (engine/sums.hxx)."""
        return f"engine::Epilogue::{'in_registers' if _is_light(self.epilogue) else 'after_storing'}"

    def ending(self, place: Place, weights: Weights) -> str:
        """Return C++ that makes the function object of the formula."""
        if isinstance(self.epilogue, Sum):
            return "engine::Identity{}"
        return functor(self.epilogue, place, weights, "V sum, At at")


class Dense(Epilogued):
    """``rows`` products with one constant matrix (inputs, neurons), a bias, and a formula of the sums."""

    header = "dense"

    def __init__(self, source: Tensor, matrix: np.ndarray, bias: np.ndarray, rows: int) -> None:
        super().__init__(rows * matrix.shape[1])
        self.source, self.matrix, self.bias, self.rows = source, matrix, bias, rows
        self.work, self.has_rows = rows * matrix.size, rows > 2

    def sources(self) -> Iterator[Tensor]:
        yield self.source

    def redirect(self, moved: Moved) -> None:
        super().redirect(moved)
        self.source = moved(self.source)

    def channels(self) -> np.ndarray | None:
        return np.arange(self.size) % self.matrix.shape[1]

    def absorb(self, scale: np.ndarray, shift: np.ndarray) -> bool:
        matrix, bias = self.matrix * scale, self.bias * scale + shift
        if not (np.abs(matrix) < LARGEST).all() or not (np.abs(bias) < LARGEST).all():
            return False
        self.matrix, self.bias = matrix, bias
        return True

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:
        inputs, neurons = self.matrix.shape
        packed, bias = weights.code(pack(self.matrix)), weights.code(self.bias)
        return [
            f"engine::dense<M, {self.when}, {self.rows}, {inputs}, {neurons}>"
            f"({place(self.source)}, {packed}, {bias}, {to}, {self.ending(place, weights)});"
        ]


# Functions that need so few registers that they are computed while the sums of a product fill the others.
LIGHT = (
    "relu",
    "leaky_relu",
    "clip_above",
    "clip_below",
    "absolute",
    "minimum",
    "maximum",
    "where",
    "less",
    "equal",
)


def _is_light(epilogue: Expression) -> bool:
    formulas = [part.formula for part in parts(epilogue) if isinstance(part, Call)]
    functions = {name for formula in formulas for name in re.findall(r"engine::(\w+)\(", formula)}
    return functions <= set(LIGHT) and len(formulas) <= MOST_LIGHT_CALLS


def pack(matrix: np.ndarray) -> np.ndarray:
    """Return a matrix (inputs, neurons) in the order in which engine/dense.hxx reads it.

    Tiles of 16 neurons, in each the 16 weights of an input side by side; at most 4 left-over neurons follow
    row by row, padded to a multiple of 16 inputs.
    """
    inputs, neurons = matrix.shape
    rows = neurons % TILE if neurons % TILE <= MOST_ROWS else 0
    tiles = -(-(neurons - rows) // TILE)
    in_tiles = np.zeros((inputs, tiles * TILE), dtype=np.float32)
    in_tiles[:, : neurons - rows] = matrix[:, : neurons - rows]
    left_over = np.zeros((rows, -(-inputs // TILE) * TILE), dtype=np.float32)
    left_over[:, :inputs] = matrix[:, neurons - rows :].T
    tiled = in_tiles.reshape(inputs, tiles, TILE).transpose(1, 0, 2)
    return np.concatenate([tiled.ravel(), left_over.ravel()])


class AlongAxis(Step):
    """A kernel of engine/reduce.hxx on a value seen as (outer, axis, inner)."""

    headers: tuple[str, ...] = ("reduce",)

    def __init__(
        self,
        kernel: str,
        source: Tensor,
        extents: tuple[int, ...],
        size: int,
        arguments: tuple[str, ...] = (),
    ) -> None:
        super().__init__(size)
        self.kernel, self.source, self.extents, self.arguments = kernel, source, extents, arguments

    def reads(self) -> Iterator[Tensor]:
        yield self.source

    def redirect(self, moved: Moved) -> None:
        self.source = moved(self.source)

    def key(self) -> Hashable:
        return self.kernel, self.source.step, self.source.offset, self.extents, self.arguments

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:  # noqa: ARG002
        name, _, operation = self.kernel.partition(":")
        parameters = ", ".join(
            ["M", *([f"engine::{operation}"] if operation else []), *map(str, self.extents)]
        )
        arguments = ", ".join([place(self.source), to, *self.arguments])
        return [f"engine::{name}<{parameters}>({arguments});"]
