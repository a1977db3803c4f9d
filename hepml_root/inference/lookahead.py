"""Scores computed ahead in blocks: the fast road of :func:`hepml_root.define`.

The C++ is in ``include/hepml_root/feed/score.hxx``; it is compiled once, as the rest of the feed is.
"""

from __future__ import annotations

import ctypes
import functools
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hepml_root.data.feed_expressions import compile_expression, find_columns, kernel_address
from hepml_root.data.feed_library import (
    CPP_TYPES,
    TYPES,
    GroupPlace,
    KernelPlace,
    import_root,
    int_array,
    library,
    text_array,
)
from hepml_root.data.feed_trees import NUMBER_TYPES
from hepml_root.data.represented_arrays import made
from hepml_root.errors import HepmlError, SlowerWarning
from hepml_root.inference.bindings import InputBlock
from hepml_root.inference.frame_columns import FrameColumns

if TYPE_CHECKING:
    from hepml_root.inference.compile import CompiledModel

# Types whose C++ names all mean the same type; of 64-bit integers there are two of one size.
_SCALARS = ("bool", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64")
_LIST = re.compile(r"(?:ROOT::VecOps::RVec|ROOT::RVec|RVec|std::vector|vector)<([\w: ]+?)(?:, ?.*)?>")
# What expressions may name to be computed for events that the loop leaves out: functions that change nothing
# and always return.
_PURE = frozenset(
    (
        *("abs", "fabs", "sqrt", "cbrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "pow"),
        *("sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh"),
        *("atanh", "hypot", "min", "max", "fmin", "fmax", "floor", "ceil", "round", "trunc", "fmod"),
        *("Abs", "Sqrt", "Exp", "Log", "Log10", "Power", "Sin", "Cos", "Tan", "SinH", "CosH", "TanH", "ATan"),
        *("ATan2", "Hypot", "Min", "Max", "Pi", "TwoPi", "std", "TMath", "float", "double", "M_PI"),
    )
)
_WORD = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_FIRST_KERNEL = 1 << 30


class _ScorePlace(ctypes.Structure):
    """A model; the C++ struct of the same name."""

    _fields_ = (
        ("infer", ctypes.c_void_p),
        ("columns", ctypes.POINTER(ctypes.c_char_p)),
        ("types", ctypes.POINTER(ctypes.c_int)),
        ("column_count", ctypes.c_size_t),
        ("lists", ctypes.POINTER(ctypes.c_char_p)),
        ("list_count", ctypes.c_size_t),
        ("kernels", ctypes.POINTER(KernelPlace)),
        ("kernel_count", ctypes.c_size_t),
        ("matrix", ctypes.POINTER(ctypes.c_int)),
        ("matrix_size", ctypes.c_size_t),
        ("groups", ctypes.POINTER(GroupPlace)),
        ("group_count", ctypes.c_size_t),
        ("inputs", ctypes.POINTER(ctypes.c_int)),
        ("tensors", ctypes.POINTER(ctypes.c_int)),
        ("input_count", ctypes.c_size_t),
        ("sources", ctypes.POINTER(ctypes.c_int)),
        ("constants", ctypes.POINTER(ctypes.c_float)),
        ("value_count", ctypes.c_size_t),
        ("outputs", ctypes.POINTER(ctypes.c_int)),
        ("output_count", ctypes.c_size_t),
        ("by_event", ctypes.c_char_p),
    )


class _NotAheadError(Exception):
    """An input that only the event loop can give."""


class Lookahead:
    """How the inputs of a model are made of branches of a tree, without the event loop.

    :func:`look_ahead` gives one where that can be done.
    """

    def __init__(self, blocks: Sequence[InputBlock], frame: FrameColumns) -> None:
        self._frame = frame
        self._columns: list[str] = []
        self._lists: list[str] = []
        self._kernels: list[KernelPlace] = []
        self._expressions: dict[str, int] = {}
        self._matrix: list[int] = []
        self._sources: list[int] = []
        self._constants: list[float] = []
        self._sizes = [block.size for block in blocks]
        groups: list[tuple[InputBlock, list[int], list[int]]] = []
        tensors: dict[str, int] = {}
        for block in blocks:
            if block.kind in ("flat", "parameter"):
                self._add_values(block)
            elif block.is_padded:
                groups.append((block, [self._list(str(c.expression)) for c in block.columns], []))
                tensors[block.name] = len(tensors)
                tensors[block.mask or f"{len(tensors)} without a mask"] = len(tensors)
            elif block.represented is not None:
                one = block.represented
                lists = [self._list(expression) for expression in one.columns]
                groups.append((block, lists, [self._number(expression) for expression in one.scalars]))
                for tensor in one.tensors:
                    tensors[tensor.name] = len(tensors)
        self._tensors = [tensors.get(block.name, -1) for block in blocks]
        for block, number in zip(blocks, self._tensors, strict=True):
            if number < 0 and block.kind not in ("flat", "parameter"):
                raise _NotAheadError(block.name)
        self._matrix = [self._final(number) for number in self._matrix]
        self._groups = [
            _group(block, lists, [self._final(number) for number in numbers])
            for block, lists, numbers in groups
        ]

    @property
    def plain(self) -> bool:
        """Whether the inputs are columns as they are, which the loop can give as well."""
        return not (self._kernels or self._groups)

    def _add_values(self, block: InputBlock) -> None:
        for column in block.columns:
            self._constants.append(float(column.constant or 0.0))
            if column.expression is None:
                self._sources.append(-1)
            else:
                self._sources.append(len(self._matrix))
                self._matrix.append(self._number(column.expression))

    def _stored(self, name: str) -> int:
        if NUMBER_TYPES.get(self._frame.type(name)) not in _SCALARS:
            raise _NotAheadError(name)
        if name not in self._columns:
            self._columns.append(name)
        return self._columns.index(name)

    def _list(self, name: str) -> int:
        if name not in self._frame.names:
            raise _NotAheadError(name)
        found = _LIST.fullmatch(self._frame.type(name))
        if found is None or found[1] not in NUMBER_TYPES:
            raise _NotAheadError(name)
        if name not in self._lists:
            self._lists.append(name)
        return self._lists.index(name)

    def _number(self, expression: str) -> int:
        """Return the number of a column, or _FIRST_KERNEL and more for an expression."""
        if expression in self._frame.names:
            return self._stored(expression)
        if expression not in self._expressions:
            found = find_columns(expression, dict.fromkeys(self._frame.names))
            if not set(_WORD.findall(re.sub(r"\bcolumn\d+_", "", found.text))) <= _PURE:
                raise _NotAheadError(expression)
            inputs = [self._stored(name) for name in found.columns]
            kinds = {name: NUMBER_TYPES[self._frame.type(name)] for name in found.columns}
            if re.search(r"[/%]", found.text) and (
                re.search(r"[<>=!&|^~]", found.text)
                or any(not kind.startswith("float") for kind in kinds.values())
            ):
                raise _NotAheadError(expression)  # a division of integers by 0 ends the process
            types = {name: CPP_TYPES[TYPES.index(kind)] for name, kind in kinds.items()}
            function = compile_expression(found, types, dict.fromkeys(self._frame.names))
            if function.jagged or function.kernel is None or function.type not in _SCALARS:
                raise _NotAheadError(expression)
            kernel = KernelPlace(
                kernel_address(function), int_array(inputs), len(inputs), TYPES.index(function.type)
            )
            self._expressions[expression] = _FIRST_KERNEL + len(self._kernels)
            self._kernels.append(kernel)
        return self._expressions[expression]

    def _final(self, number: int) -> int:
        """Number of a column or kernel as the C++ counts them: kernels after all columns."""
        return number if number < _FIRST_KERNEL else len(self._columns) + number - _FIRST_KERNEL

    def define(
        self, node: Any, name: str, outputs: Sequence[int], compiled: CompiledModel, by_event: str = ""
    ) -> Any:
        """Define a column with the model's outputs: float for one value, RVec<float> for several.

        Arguments
        ---------
        node:
            A node of the frame.
        name:
            The new column.
        outputs:
            Numbers of values of the model's outputs.
        compiled:
            The model.
        by_event:
            A column of ``node`` with the same scores, computed event by event, which is read where events
            cannot be scored ahead; not needed if the inputs are :attr:`plain`.
        """
        ROOT = import_root()
        types = [TYPES.index(NUMBER_TYPES[self._frame.type(column)]) for column in self._columns]
        place = _ScorePlace(
            ctypes.cast(compiled.function(), ctypes.c_void_p).value,
            text_array(self._columns),
            int_array(types),
            len(self._columns),
            text_array(self._lists),
            len(self._lists),
            (KernelPlace * max(len(self._kernels), 1))(*self._kernels),
            len(self._kernels),
            int_array(self._matrix),
            len(self._matrix),
            (GroupPlace * max(len(self._groups), 1))(*self._groups),
            len(self._groups),
            int_array(self._sizes),
            int_array(self._tensors),
            len(self._sizes),
            int_array(self._sources),
            (ctypes.c_float * max(len(self._constants), 1))(*self._constants),
            len(self._constants),
            int_array(list(outputs)),
            len(outputs),
            by_event.encode(),
        )
        before, scored = ROOT.RDF.AsRNode(node), ROOT.RDF.AsRNode(node)
        library("score").checked(
            "hepml_score_define",
            ctypes.c_void_p(ROOT.addressof(before)),
            name.encode(),
            ctypes.byref(place),
            ctypes.c_void_p(ROOT.addressof(scored)),
        )
        return scored


def _group(block: InputBlock, lists: list[int], scalars: list[int]) -> GroupPlace:
    """Return what makes tensors of jagged columns, all of them floats."""
    one = block.represented
    tensors = 2 if one is None else len(one.tensors)
    return GroupPlace(
        None if one is None else made(one.description),
        int_array(lists), len(lists), int_array(scalars), len(scalars),
        (ctypes.c_ubyte * tensors)(),
        block.shape[0] if one is None else 0,
    )  # fmt: skip


def look_ahead(
    blocks: Sequence[InputBlock], compiled: CompiledModel, frame: FrameColumns
) -> Lookahead | None:
    """Return how the inputs are made of branches, or None where the event loop has to give them.

    They can be made where the frame is on this machine with a compiler, and all inputs are scalar columns,
    constants, formulas of such, or jagged columns. Columns may still turn out to be no branches, in the loop.
    """
    if frame.distributed or compiled.library is None:
        return None
    try:
        found = Lookahead(blocks, frame)
    except (_NotAheadError, HepmlError):  # event by event, which says what is wrong
        return None
    return found if _compiled() else None


@functools.cache
def _compiled() -> bool:
    """Whether the library is there: it takes a compiler, and a ROOT with the internals it is written for."""
    try:
        return bool(library("score").compiled)
    except HepmlError as error:
        warnings.warn(
            f"scores are computed event by event instead of in blocks, several times slower: {error}",
            SlowerWarning,
            stacklevel=4,
        )
        return False


def sizes(outputs: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the number of values of each output."""
    result = []
    for output in outputs:
        product = 1
        for length in output["shape"]:
            product *= length
        result.append(product)
    return result
