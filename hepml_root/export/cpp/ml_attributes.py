"""The attributes and inputs of ai.onnx.ml operators, as trees, linear models and transforms all have them."""

from __future__ import annotations

from typing import Any

import numpy as np

from hepml_root.export.cpp.graph import Node, Tensor

ML = "ai.onnx.ml"
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


def numbers(node: Node, name: str, dtype: Any, length: int | None = None) -> np.ndarray:
    """Return a list or tensor attribute as an array; zeros where it is left out and ``length`` is given."""
    import onnx

    value = node.attributes.get(f"{name}_as_tensor", node.attributes.get(name))
    if isinstance(value, onnx.TensorProto):
        value = onnx.numpy_helper.to_array(value)
        if value.dtype not in (np.float32, np.uint8):
            raise node.refuse(f"{name} are {value.dtype}; float32 is taken.")
    array = np.zeros(length or 0, dtype) if value is None or len(value) == 0 else np.asarray(value, dtype)
    if array.ndim != 1 or (length is not None and len(array) != length):
        raise node.refuse(f"{name} has {array.size} entries where {length} are needed.")
    return array


def source_of(node: Node) -> Tensor:
    """Return the row of features."""
    source = node.tensor()
    if len(source.shape) != 2 - node.leading or source.kind == "bool":
        raise node.refuse(f"takes rows of numbers; its input has the shape {source.shape} per event.")
    if not node.batched and source.shape[0] != 1:
        raise node.refuse("several rows in a static model; read it as batched.")
    return source


def text(node: Node, name: str, default: str, allowed: tuple[str, ...]) -> str:
    """Return a text attribute, or the text for its number (ai.onnx.ml 5)."""
    value = node.attributes.get(name, default)
    if isinstance(value, int) and 0 <= value < len(allowed):
        return allowed[value]
    value = value.decode(errors="replace") if isinstance(value, bytes) else value
    if value not in allowed:
        raise node.refuse(f"{name}={value!r}; {', '.join(allowed)} exist.")
    return str(value)
