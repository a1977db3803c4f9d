"""What is known when the code is generated: constants are computed, and the arithmetic of shapes goes away.

Constants are computed by ONNX's reference implementation, after a look at the size of the result: a model
from outside may ask for an array that no machine holds. In a batched model a shape has one number that is not
known, that of the events; it is carried through the operations that keep it recognisable.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hepml_root.export.cpp.graph import LARGEST_VALUE, Dimensions, Node, Tensor, Value

if TYPE_CHECKING:
    import onnx


# Operators that may not be computed once for all events, and those whose subgraphs have rules of their own.
NOT_CONSTANT = {
    *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"),
    *("If", "Loop", "Scan", "SequenceMap"),
}


def fold(entry: onnx.NodeProto, node: Node) -> list[Value | None] | None:
    """Return the values of a node's outputs if they are known now, else None."""
    if node.domain or node.operator in NOT_CONSTANT:
        return None
    if node.operator in ("Shape", "Size") and isinstance(node.optional(0), Tensor):
        return [_shape(node)]
    if any(isinstance(value, Tensor) for value in node.inputs):
        return None
    if any(isinstance(value, Dimensions) for value in node.inputs):
        return _with_batch(entry, node)
    return evaluate(entry, node, node.inputs)


def _shape(node: Node) -> Value:
    """Return the shape of a value of the events, or a part of it, or its product."""
    shape, batch = list(node.tensor().shape), node.tensor().batch_axis
    full = np.array(
        [*shape[:batch], *([Dimensions.BATCH] if node.batched else []), *shape[batch:]], dtype=np.int64
    )
    if node.operator == "Size":
        return Dimensions(full.prod()) if node.batched else np.array(full.prod(), dtype=np.int64)
    full = full[slice(node.attributes.get("start", 0), node.attributes.get("end"))]
    return Dimensions(full) if (full == Dimensions.BATCH).any() else full


# Operations that only move the numbers of a shape.
MOVES = {
    *("Concat", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose"),
    "Unsqueeze",
}
COMPARISONS = {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"}


def _with_batch(entry: onnx.NodeProto, node: Node) -> list[Value | None] | None:
    """Return what a node makes of a shape with the number of events in it; None if a rule may know.

    Numbers above all sizes are multiples of the number of events. Only what is certain for every number of
    events from 1 on is computed.
    """
    import onnx

    arrays = [value.array if isinstance(value, Dimensions) else value for value in node.inputs]
    known = [array for array in arrays if isinstance(array, np.ndarray)]
    uncertain = node.refuse("computes with the number of events, which is not known.")
    if node.operator == "Cast":
        if node.attributes.get("to") not in (onnx.TensorProto.INT32, onnx.TensorProto.INT64):
            raise uncertain
        return [node.inputs[0]]
    if node.operator in MOVES:
        if node.operator != "Concat" and any(isinstance(value, Dimensions) for value in node.inputs[1:]):
            raise uncertain
    elif node.operator in ("Mul", "ReduceProd"):
        if not all(array.dtype.kind in "iu" and (array >= 0).all() for array in known):
            raise uncertain
        # Multiples stay below 2^63, and squares of the number of events far above it.
        factors = known if node.operator == "Mul" else [known[0]]
        product = [array.astype(np.float64) for array in factors]
        whole = product[0] * product[1] if len(product) == 2 else product[0].prod()
        if np.max(whole) > float(Dimensions.BATCH * LARGEST_VALUE):
            raise uncertain
    elif node.operator == "Div":
        a, b = known
        if b.dtype.kind not in "iu" or (b <= 0).any() or (a % b != 0).any():
            raise uncertain
    elif node.operator in COMPARISONS:
        a, b = np.broadcast_arrays(*known)
        involved = (np.abs(a) > LARGEST_VALUE) | (np.abs(b) > LARGEST_VALUE)
        if not ((a == b) | (np.minimum(a, b) <= 0))[involved].all():
            raise uncertain
    elif node.operator == "Where":
        if isinstance(node.optional(0), Dimensions):
            raise uncertain
    else:
        return None
    return [None if r is None else _remembered(r) for r in evaluate(entry, node, arrays)]


def _remembered(result: np.ndarray) -> Value:
    if result.dtype == np.bool_:
        return result
    return Dimensions(result) if result.size and np.abs(result).max() > LARGEST_VALUE else result


# Operators whose result may be far larger than their inputs, by numbers among these.
GROWING = {"ConstantOfShape", "Expand", "OneHot", "Pad", "Range", "Resize", "Tile", "Upsample"}


def evaluate(entry: onnx.NodeProto, node: Node, inputs: Sequence[Any]) -> list[Any]:
    """Compute a node whose inputs are all constant, with ONNX's reference implementation."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    # An input of a function that the call leaves out has a name inside it, but no value.
    given = {
        name: value for name, value in zip(entry.input, inputs, strict=True) if name and value is not None
    }
    if node.operator == "Range":
        given = _scalars(node, given)
    _check_growth(entry, node, given)
    make = onnx.helper
    graph = make.make_graph(
        [entry],
        "constant",
        [
            make.make_tensor_value_info(name, make.np_dtype_to_tensor_dtype(value.dtype), None)
            for name, value in given.items()
        ],
        [make.make_empty_tensor_value_info(name) for name in entry.output if name],
    )
    alone = make.make_model(graph, opset_imports=[make.make_opsetid("", node.opset)])
    try:
        with np.errstate(all="ignore"):  # the logarithm of a constant 0 is what the model says
            computed = iter(ReferenceEvaluator(alone).run(None, given))
    except Exception as error:  # the reference implementation raises whatever numpy or Python does
        raise node.refuse(f"its constant inputs cannot be evaluated: {error}") from error
    return [np.asarray(next(computed)) if name else None for name in entry.output]


def _scalars(node: Node, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the inputs of a Range as scalars: ONNX's own definitions give it lists of one number."""
    if any(value.size != 1 for value in given.values()):
        raise node.refuse("its inputs are no single numbers.")
    return {name: value.reshape(()) for name, value in given.items()}


def _check_growth(entry: onnx.NodeProto, node: Node, given: dict[str, np.ndarray]) -> None:
    """Refuse a node whose result would be larger than any value that is taken, before it is computed."""
    import onnx

    if node.operator in GROWING:
        for name, value in given.items():
            if (
                value.dtype.kind in "iu"
                and value.size
                and np.abs(value.astype(np.float64)).max() > LARGEST_VALUE
            ):
                raise node.refuse(f"its constant input {name!r} asks for a value that is too large.")
    types = {
        name: onnx.helper.make_tensor_type_proto(
            onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
        )
        for name, value in given.items()
    }
    data = {
        name: onnx.numpy_helper.from_array(value, name) for name, value in given.items() if value.size <= 64
    }
    try:
        schema = onnx.defs.get_schema(node.operator, node.opset, "")
        inferred = onnx.shape_inference.infer_node_outputs(
            schema, entry, types, data, opset_imports=[onnx.helper.make_opsetid("", node.opset)]
        )
    except Exception as error:  # a missing operator, or shapes that do not fit
        raise node.refuse(f"its constant inputs do not fit: {str(error).strip()}") from error
    for result in inferred.values():
        dimensions = [d.dim_value for d in result.tensor_type.shape.dim if d.HasField("dim_value")]
        largest = max(LARGEST_VALUE, sum(value.size for value in given.values()))
        if any(n < 0 for n in dimensions) or math.prod(dimensions) > largest:
            raise node.refuse(f"its constant result of shape {dimensions} is too large.")
