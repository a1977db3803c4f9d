"""Operators that are defined by others: ONNX's own functions, and those that a model brings along.

An operator without a rule, or whose rule refuses a node, is computed by its body if it has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hepml_root.export.cpp.graph import Dimensions, Node, Tensor

if TYPE_CHECKING:
    import onnx


def body(
    entry: onnx.NodeProto, node: Node, functions: Mapping[tuple[str, str, str], onnx.FunctionProto]
) -> onnx.FunctionProto | None:
    """Return the body of a node's operator, or None if it has none."""
    import onnx

    own = functions.get((node.domain, node.operator, entry.overload))
    if own is not None:
        return own
    try:
        # The library's own type hints leave out what is needed of it.
        schema: Any = onnx.defs.get_schema(node.operator, node.opset, node.domain)
    except onnx.defs.SchemaError:
        return None
    plain = _fitting(schema.function_opset_versions, node.opset)
    dependent = _fitting(schema.context_dependent_function_opset_versions, node.opset)
    if plain is None and dependent is None:
        return None
    if plain is not None:
        text = schema.get_function_with_opset_version(plain)
    else:
        types = [_type(node, index).SerializeToString() for index in range(len(node.inputs))]
        try:
            text = schema.get_context_dependent_function_with_opset_version(
                dependent, entry.SerializeToString(), types
            )
        except Exception:  # the builders of bodies raise what they like where the types do not suffice
            return None
    found = onnx.FunctionProto()
    found.ParseFromString(text)
    return found if found.node else None


def _fitting(versions: Iterable[int], opset: int) -> int | None:
    """Return the newest of some versions that is not newer than the model."""
    return max((version for version in versions if version <= opset), default=None)


def _type(node: Node, index: int) -> onnx.TypeProto:
    import onnx

    value, dtype = node.inputs[index], node.dtype(index)
    if value is None or dtype is None:
        return onnx.TypeProto()
    shape: list[int | str]
    if isinstance(value, Tensor):
        shape = list(value.shape)
        if node.batched:
            shape.insert(value.batch_axis, "N")
    else:
        shape = list((value.array if isinstance(value, Dimensions) else value).shape)
    return onnx.helper.make_tensor_type_proto(onnx.helper.np_dtype_to_tensor_dtype(dtype), shape)


def filled(entry: onnx.NodeProto, function: onnx.FunctionProto, node: Node) -> list[onnx.NodeProto]:
    """Return the nodes of a body with the attributes that the node gives them."""
    import onnx

    known: dict[str, onnx.AttributeProto] = {}
    try:
        schema = onnx.defs.get_schema(node.operator, node.opset, node.domain)
        known = {name: attribute.default_value for name, attribute in schema.attributes.items()}
    except onnx.defs.SchemaError:
        pass
    known |= {attribute.name: attribute for attribute in function.attribute_proto}
    known |= {attribute.name: attribute for attribute in entry.attribute}
    return [_with_attributes(inner, known) for inner in function.node]


def _with_attributes(entry: onnx.NodeProto, known: Mapping[str, onnx.AttributeProto]) -> onnx.NodeProto:
    import onnx

    copy = onnx.NodeProto()
    copy.CopyFrom(entry)
    del copy.attribute[:]
    for attribute in entry.attribute:
        given = attribute
        if attribute.ref_attr_name:
            referred = known.get(attribute.ref_attr_name)
            if referred is None or referred.type == onnx.AttributeProto.UNDEFINED:
                continue  # left out, and without a default
            given = onnx.AttributeProto()
            given.CopyFrom(referred)
            given.name = attribute.name
        added = copy.attribute.add()
        added.CopyFrom(given)
        if added.HasField("g"):
            nodes = [_with_attributes(inner, known) for inner in added.g.node]
            del added.g.node[:]
            added.g.node.extend(nodes)
    return copy
