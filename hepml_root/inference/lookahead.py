"""Scores of plain columns, computed ahead in blocks: the fast road of :func:`hepml_root.define`.

The C++ is in ``include/hepml_root/feed/score.hxx``; it is compiled once, as the rest of the feed is.
"""

from __future__ import annotations

import ctypes
import functools
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hepml_root.data.feed_library import TYPES, import_root, int_array, library, text_array
from hepml_root.data.feed_trees import NUMBER_TYPES
from hepml_root.errors import HepmlError, SlowerWarning
from hepml_root.inference.bindings import InputBlock
from hepml_root.inference.frame_columns import FrameColumns

if TYPE_CHECKING:
    from hepml_root.inference.compile import CompiledModel

# Types whose C++ names all mean the same type; of 64-bit integers there are two of one size.
_SCALARS = ("bool", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64")


class _ScorePlace(ctypes.Structure):
    """A model; the C++ struct of the same name."""

    _fields_ = (
        ("infer", ctypes.c_void_p),
        ("columns", ctypes.POINTER(ctypes.c_char_p)),
        ("types", ctypes.POINTER(ctypes.c_int)),
        ("column_count", ctypes.c_size_t),
        ("inputs", ctypes.POINTER(ctypes.c_int)),
        ("input_count", ctypes.c_size_t),
        ("sources", ctypes.POINTER(ctypes.c_int)),
        ("constants", ctypes.POINTER(ctypes.c_float)),
        ("value_count", ctypes.c_size_t),
        ("outputs", ctypes.POINTER(ctypes.c_int)),
        ("output_count", ctypes.c_size_t),
    )


def can_look_ahead(blocks: Sequence[InputBlock], compiled: CompiledModel, frame: FrameColumns) -> bool:
    """Whether all inputs are scalar columns or constants, of a frame on this machine with a compiler."""
    if frame.distributed or compiled.library is None:
        return False
    for block in blocks:
        if block.kind not in ("flat", "parameter"):
            return False
        for column in block.columns:
            if column.expression is not None and (
                column.expression not in frame.names
                or NUMBER_TYPES.get(frame.type(column.expression)) not in _SCALARS
            ):
                return False
    return _compiled()


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


def define_ahead(
    name: str,
    blocks: Sequence[InputBlock],
    outputs: Sequence[Mapping[str, Any]],
    compiled: CompiledModel,
    frame: FrameColumns,
) -> Any:
    """Define a column with the model's outputs: float for one value, RVec<float> for several.

    :func:`can_look_ahead` must have said so.
    """
    ROOT = import_root()
    columns: list[str] = []
    sources: list[int] = []
    constants: list[float] = []
    for block in blocks:
        for column in block.columns:
            constants.append(float(column.constant or 0.0))
            if column.expression is None:
                sources.append(-1)
                continue
            sources.append(len(columns))
            columns.append(column.expression)
    types = [TYPES.index(NUMBER_TYPES[frame.type(column)]) for column in columns]
    sizes = [_product(output["shape"]) for output in outputs]
    place = _ScorePlace(
        ctypes.cast(compiled.function(), ctypes.c_void_p).value,
        text_array(columns),
        int_array(types),
        len(columns),
        int_array([block.size for block in blocks]),
        len(blocks),
        int_array(sources),
        (ctypes.c_float * len(constants))(*constants),
        len(constants),
        int_array(sizes),
        len(sizes),
    )
    node = ROOT.RDF.AsRNode(frame.node)
    scored = ROOT.RDF.AsRNode(frame.node)
    library("score").checked(
        "hepml_score_define",
        ctypes.c_void_p(ROOT.addressof(node)),
        name.encode(),
        ctypes.byref(place),
        ctypes.c_void_p(ROOT.addressof(scored)),
    )
    return scored


def _product(shape: Sequence[int]) -> int:
    product = 1
    for length in shape:
        product *= length
    return product
