"""The steps of a generated network: what each reads, its storage, and how it is written in C++.

Every step has its own storage of ``size`` floats per event.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from hepml_root.export.cpp_expression import Call, Expression, Sum, emit, headers, loads, parts, redirected
from hepml_root.export.cpp_weights import Weights

if TYPE_CHECKING:
    from hepml_root.export.cpp_graph import Tensor

Place = Callable[["Tensor"], str]
Moved = Callable[["Tensor"], "Tensor"]

TILE = 16  # neurons side by side, as engine/dense.hxx reads them
MOST_ROWS = 4  # left-over neurons that are stored one by one
MOST_LIGHT_CALLS = 6
ALWAYS_INLINE = "__attribute__((always_inline))"


class Step:
    """One storage of ``size`` floats per event. Compared by identity."""

    # Floats beyond the storage that are written (and mean nothing) when one event is computed alone.
    slack = 0

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

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:
        body = emit(self.expression, place, weights)
        return [
            f"engine::each<M, {self.size}>({to}, [&](auto at) {ALWAYS_INLINE} {{",
            *(f"   {line}" for line in body),
            "});",
        ]


class Product(Step):
    """Sums of inputs times weights, and a formula of them (the epilogue) that is computed before storing."""

    epilogue: Expression = Sum()

    def with_epilogue(self, epilogue: Expression) -> Product:
        """Return the same sums with a formula of them: ``Sum()`` in it stands for a sum."""
        fused = copy.copy(self)
        fused.epilogue = epilogue
        return fused


class Scratch(Step):
    """Room that a step needs while it is computed, and that keeps nothing."""

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:  # noqa: ARG002
        return []


class Dense(Product):
    """``rows`` products with one constant matrix (inputs, neurons), a bias, and a formula of the sums."""

    slack = TILE

    def __init__(self, source: Tensor, matrix: np.ndarray, bias: np.ndarray, rows: int) -> None:
        super().__init__(rows * matrix.shape[1])
        self.source, self.matrix, self.bias, self.rows = source, matrix, bias, rows

    @property
    def headers(self) -> tuple[str, ...]:
        return ("dense", *headers(self.epilogue))

    def reads(self) -> Iterator[Tensor]:
        yield self.source
        for load in loads(self.epilogue):
            yield load.tensor

    def redirect(self, moved: Moved) -> None:
        self.source = moved(self.source)
        self.epilogue = redirected(self.epilogue, moved)

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:
        inputs, neurons = self.matrix.shape
        packed, bias = weights.place(pack(self.matrix)), weights.place(self.bias)
        when = "in_registers" if _is_light(self.epilogue) else "after_storing"
        start = (
            f"engine::dense<M, engine::Epilogue::{when}, {self.rows}, {inputs}, {neurons}>"
            f"({place(self.source)}, w + {packed}, w + {bias}, {to},"
        )
        if isinstance(self.epilogue, Sum):
            return [f"{start} engine::Identity{{}});"]
        body = emit(self.epilogue, place, weights)
        at = "auto at" if any("at." in line for line in body) else "auto"
        return [f"{start} [&](auto sum, {at}) {ALWAYS_INLINE} {{", *(f"   {line}" for line in body), "});"]


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

    headers = ("reduce",)

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

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:  # noqa: ARG002
        name, _, operation = self.kernel.partition(":")
        parameters = ", ".join(
            ["M", *([f"engine::{operation}"] if operation else []), *map(str, self.extents)]
        )
        arguments = ", ".join([place(self.source), to, *self.arguments])
        return [f"engine::{name}<{parameters}>({arguments});"]
