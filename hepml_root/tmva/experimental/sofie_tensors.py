"""What SOFIE says of the tensors of a model: names, types, shapes and values, read off an ONNX graph."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from hepml_root.errors import SettingError, ShapeError, unknown
from hepml_root.export.manifest import graph_inputs

Shape = tuple[int | str, ...]  # a text is a free length


class ETensorType(enum.IntEnum):
    """Types of numbers; their values are ONNX's own."""

    UNDEFINED = 0
    FLOAT = 1
    UNINT8 = 2
    INT8 = 3
    UINT16 = 4
    INT16 = 5
    INT32 = 6
    INT64 = 7
    STRING = 8
    BOOL = 9
    FLOAT16 = 10
    DOUBLE = 11
    UINT32 = 12
    UINT64 = 13
    COMPLEX64 = 14
    COMPLEX28 = 15
    BFLOAT16 = 16


_CPP_NAMES = {
    ETensorType.FLOAT: "float",
    ETensorType.DOUBLE: "double",
    ETensorType.INT8: "int8_t",
    ETensorType.INT32: "int32_t",
    ETensorType.INT64: "int64_t",
    ETensorType.UNINT8: "uint8_t",
    ETensorType.BOOL: "bool",
}


def ConvertTypeToString(kind: int) -> str:
    """Return the C++ name of a type.

    >>> ConvertTypeToString(ETensorType.FLOAT)
    'float'
    """
    found = ETensorType(int(kind))
    return _CPP_NAMES.get(found, found.name.lower())


def ConvertStringToType(name: str) -> ETensorType:
    """Return the type of a C++ name.

    Raises
    ------
    SettingError
        There is no such type.
    """
    by_name = {text: kind for kind, text in _CPP_NAMES.items()}
    if str(name) not in by_name:
        raise SettingError(unknown("type of tensors", str(name), by_name))
    return by_name[str(name)]


def ConvertShapeToString(shape: Sequence[int | str]) -> str:
    """Return a shape as a text.

    >>> ConvertShapeToString(["events", 7])
    '{ events , 7 }'
    """
    return f"{{ {' , '.join(map(str, shape))} }}"


def ConvertShapeToLength(shape: Sequence[int]) -> int:
    """Return how many numbers a shape has.

    >>> ConvertShapeToLength([2, 3])
    6
    """
    return math.prod(int(length) for length in shape)


def clean_name(name: str) -> str:
    """Return the name that SOFIE gives a tensor: without what C++ names cannot have.

    >>> clean_name("dense/kernel:0"), clean_name("16.weight")
    ('densekernel0', '16weight')
    """
    return re.sub(r"[^A-Za-z0-9_]", "", name.replace("-", "_"))


def fix_lengths(proto: onnx.ModelProto, lengths: Mapping[str, int]) -> None:
    """Give free lengths of a graph's inputs numbers, and forget what was inferred from them.

    Raises
    ------
    SettingError
        No input has a length of that name.
    """
    free = {
        dim.dim_param
        for value in graph_inputs(proto)
        for dim in value.type.tensor_type.shape.dim
        if dim.HasField("dim_param")
    }
    for name in lengths:
        if name not in free:
            raise SettingError(unknown("free length", name, free))
    del proto.graph.value_info[:]
    for value in (*proto.graph.input, *proto.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in lengths:
                dim.dim_value = int(lengths[dim.dim_param])


class Tensors:
    """The tensors of a graph, by the names that SOFIE gives them.

    Arguments
    ---------
    inputs, outputs, intermediate
        ``{name: (type, shape)}``; what ONNX cannot infer is left out of ``intermediate``.
    initialized
        ``{name: values}``: the weights.
    """

    def __init__(self, proto: onnx.ModelProto) -> None:
        inferred = onnx.shape_inference.infer_shapes(proto).graph
        self.inputs = {clean_name(v.name): _described(v) for v in graph_inputs(proto)}
        self.outputs = {clean_name(v.name): _described(v) for v in inferred.output}
        self.intermediate = {clean_name(v.name): _described(v) for v in inferred.value_info}
        self.initialized: dict[str, NDArray[Any]] = {
            clean_name(tensor.name): numpy_helper.to_array(tensor) for tensor in proto.graph.initializer
        }

    def find(self, name: str) -> tuple[ETensorType, Shape]:
        """Return type and shape of a tensor.

        Raises
        ------
        SettingError
            There is no such tensor.
        """
        name = clean_name(str(name))
        if name in self.initialized:
            values = self.initialized[name]
            kind = onnx.helper.np_dtype_to_tensor_dtype(values.dtype)
            return ETensorType(kind), values.shape
        known = {**self.intermediate, **self.outputs, **self.inputs}
        if name not in known:
            raise SettingError(unknown("tensor", name, [*known, *self.initialized]))
        return known[name]

    def fixed_shape(self, name: str) -> list[int]:
        """Return a shape that has no free length.

        Raises
        ------
        ShapeError
            A length is free.
        """
        shape = self.find(name)[1]
        numbers = [length for length in shape if isinstance(length, (int, np.integer))]
        if len(numbers) < len(shape):
            raise ShapeError(
                f"tensor '{name}' has the shape {ConvertShapeToString(shape)}: give its free lengths to "
                "Initialize, or ask GetDynamicTensorShape."
            )
        return [int(length) for length in numbers]


def _described(value: onnx.ValueInfoProto) -> tuple[ETensorType, Shape]:
    tensor = value.type.tensor_type
    shape = tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in tensor.shape.dim
    )
    return ETensorType(tensor.elem_type), shape
