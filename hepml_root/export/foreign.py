"""ONNX files of other programs, brought into the form of ours: inputs that carry the names of a dataset's
blocks, and one float32 output ``(events, labels)`` in the order of the manifest.

PyTorch, scikit-learn (skl2onnx), tf2onnx and others write the same network with names, outputs and orders of
classes of their own. What is changed here are names and the ends of the graph, never the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hepml_root.errors import ModelFileError, SettingError, ShapeError, unknown
from hepml_root.export import manifest as manifests

_LABEL_TYPES = (TensorProto.INT64, TensorProto.INT32, TensorProto.STRING)


def name_inputs(
    proto: onnx.ModelProto, source: object, names: Sequence[str], given: Mapping[str, str]
) -> None:
    """Give the inputs of a graph the names of the data's blocks, and their order.

    Arguments
    ---------
    names
        The blocks.
    given
        {input of the graph: block}. A single input takes the name of a single block; others have to carry
        the names already.

    Raises
    ------
    SettingError
        ``given`` names an input or a block that is not there.
    ShapeError
        The inputs are not the blocks.
    ModelFileError
        The file is for one number of events only.
    """
    found = [value.name for value in manifests.graph_inputs(proto)]
    for old, new in given.items():
        if old not in found:
            raise SettingError(unknown("input of the graph", old, found))
        if new not in names:
            raise SettingError(unknown("block of the data", new, names))
    if not given and len(found) == len(names) == 1:
        given = {found[0]: names[0]}
    _rename(proto, {old: new for old, new in given.items() if old != new})
    renamed = [given.get(name, name) for name in found]
    if sorted(renamed) != sorted(names):
        raise ShapeError(
            f"'{source}' has the inputs {found}, but the blocks of the data are {list(names)}. Say which is "
            f"which with inputs={{'{found[0] if found else 'input'}': '{names[0]}', …}}."
        )
    for value in manifests.graph_inputs(proto):
        dims = value.type.tensor_type.shape.dim
        if dims and dims[0].dim_value > 0:
            raise ModelFileError(
                f"'{source}' takes {dims[0].dim_value} event(s) at a time, no more and no fewer. Export it "
                "with a free first axis (torch.onnx.export: dynamic_axes={'input': {0: 'events'}}; skl2onnx: "
                "FloatTensorType([None, columns]))."
            )
    order = {name: position for position, name in enumerate(names)}
    ordered = sorted(manifests.graph_inputs(proto), key=lambda value: order[value.name])
    weights = [value for value in proto.graph.input if value.name not in order]
    del proto.graph.input[:]
    proto.graph.input.extend([*ordered, *weights])


def _rename(proto: onnx.ModelProto, names: Mapping[str, str]) -> None:
    """Rename values of a graph, also where its subgraphs read them."""
    graph = proto.graph
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    taken |= {tensor.name for tensor in graph.initializer}
    for old, new in names.items():
        if new in taken - set(names):
            raise ShapeError(
                f"the input '{old}' cannot be called '{new}': the graph uses that name for something else."
            )
    for node in _nodes(graph):
        node.input[:] = [names.get(name, name) for name in node.input]
    for value in graph.input:
        value.name = names.get(value.name, value.name)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes of a graph and of the graphs inside them."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _nodes(inner)


def choose_output(proto: onnx.ModelProto, asked: str | None = None) -> None:
    """Leave the outputs that hold scores.

    Classifiers of scikit-learn give two: the class, which is no number to cut on and is left out, and a
    probability for each class, which is taken out of the dictionaries (``ZipMap``) that skl2onnx puts it
    into.

    Arguments
    ---------
    asked
        The one output to keep; None: all tensors that are no class labels.

    Raises
    ------
    SettingError
        There is no output of that name.
    """
    graph = proto.graph
    _unzip(graph)
    if asked is not None:
        kept = [value for value in graph.output if value.name == asked]
        if not kept:
            raise SettingError(unknown("output", asked, [value.name for value in graph.output]))
    else:
        kept = [value for value in graph.output if not _is_class_label(value)] or list(graph.output)
    if len(kept) == len(graph.output):
        return
    kept = list(map(_copy, kept))
    del graph.output[:]
    graph.output.extend(kept)
    _drop_unused(graph)


def _is_class_label(value: onnx.ValueInfoProto) -> bool:
    tensor = value.type.tensor_type
    return tensor.elem_type in _LABEL_TYPES and len(tensor.shape.dim) <= 1


def _unzip(graph: onnx.GraphProto) -> None:
    """Replace outputs that are dictionaries {class: probability} by the probabilities."""
    outputs = {value.name: value for value in graph.output}
    for node in [node for node in graph.node if node.op_type == "ZipMap" and node.output[0] in outputs]:
        names = next(
            (a for a in node.attribute if a.name in ("classlabels_int64s", "classlabels_strings")), None
        )
        if names is None:
            continue
        count = len(names.ints) or len(names.strings)
        plain = helper.make_tensor_value_info(node.input[0], TensorProto.FLOAT, ["events", count])
        if node.input[0] in outputs:
            graph.output.remove(outputs[node.output[0]])
        else:
            outputs[node.output[0]].CopyFrom(plain)
        graph.node.remove(node)


def _copy(message: Any) -> Any:
    """A copy that outlives the list that the message is in."""
    copied = type(message)()
    copied.CopyFrom(message)
    return copied


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Remove the nodes that no output needs: of a class label, they work with whole numbers and texts."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.isdisjoint(node.output):
            continue
        kept.append(_copy(node))
        holder = onnx.GraphProto()
        holder.node.append(node)
        needed |= {name for inner in _nodes(holder) for name in inner.input}
    kept.reverse()
    del graph.node[:]
    graph.node.extend(kept)
    tables = [_copy(tensor) for tensor in graph.initializer if tensor.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(tables)


def order_output(
    proto: onnx.ModelProto, source: object, wanted: Sequence[str], given: Sequence[str] | None
) -> None:
    """Bring a graph's one output into the form ``(events, wanted)``.

    Arguments
    ---------
    wanted
        Labels of the values that the task asks for: the signal of a binary one, the classes of others.
    given
        Labels of the values that the graph gives, in its order, of which those that are wanted are taken.
        None: it gives what is wanted.

    Raises
    ------
    SettingError
        A label that is wanted is not given, or one is given twice.
    ShapeError
        The output has another number of values, or the graph has several outputs.
    ModelFileError
        The file does not say how many values the output has.
    """
    graph = proto.graph
    if len(graph.output) != 1:
        if given is None:
            return
        raise ShapeError(
            f"'{source}' has the outputs {[value.name for value in graph.output]}; labels are for one: "
            "choose it with output=…"
        )
    output = graph.output[0]
    known = [_known(dim) for dim in output.type.tensor_type.shape.dim[1:]]
    if not known or not all(known):
        output.CopyFrom(onnx.shape_inference.infer_shapes(proto).graph.output[0])
    dims = output.type.tensor_type.shape.dim
    if len(dims) == 1:  # (events,)
        _append(graph, "Reshape", np.array([-1, 1], np.int64))
        dims.add().dim_value = 1
    if len(dims) != 2:
        if given is not None:
            raise ShapeError(
                f"'{source}': labels are for an output (events, values); it has {len(dims)} axes."
            )
        return
    if not _known(dims[1]):
        raise ModelFileError(
            f"'{source}' does not say how many values '{output.name}' has. Export it with the events as the "
            "only free axis."
        )
    count = dims[1].dim_value
    if given is None:
        if count != len(wanted) and len(wanted) == 1 and count == 2:
            raise ShapeError(
                f"'{source}' gives 2 values per event, and a binary task has one, '{wanted[0]}'. Say what "
                f"they are, in the order of the network: labels=['background', '{wanted[0]}'], or the other "
                "way round."
            )
        return
    if len(given) != count:
        raise ShapeError(f"'{source}' gives {count} values per event, and {len(given)} labels are given.")
    if len(set(given)) < len(given):
        raise SettingError(f"labels={list(given)}: each label once.")
    for label in wanted:
        if label not in given:
            raise SettingError(f"labels={list(given)}: " + unknown("label", label, given))
    places = [list(given).index(label) for label in wanted]
    if places != list(range(count)):
        _append(graph, "Gather", np.array(places, np.int64), axis=1)
        dims[1].dim_value = len(places)


def _known(dim: onnx.TensorShapeProto.Dimension) -> bool:
    return dim.HasField("dim_value") and dim.dim_value > 0


def _append(graph: onnx.GraphProto, operator: str, constant: np.ndarray, **attributes: Any) -> None:
    """Add a node behind the graph's one output; the output keeps its name."""
    name = graph.output[0].name
    taken = {value for node in _nodes(graph) for value in (*node.input, *node.output)}
    taken |= {tensor.name for tensor in graph.initializer}
    before, table = (_free(f"{name}_{what}", taken) for what in (f"before_{operator}", operator.lower()))
    for node in _nodes(graph):
        node.input[:] = [before if value == name else value for value in node.input]
        node.output[:] = [before if value == name else value for value in node.output]
    graph.initializer.append(numpy_helper.from_array(constant, table))
    graph.node.append(helper.make_node(operator, [before, table], [name], **attributes))


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def require_float32(proto: onnx.ModelProto, source: object) -> None:
    """Blocks are float32, and masks 0 and 1; a mask may also be taken as bool.

    Raises
    ------
    ModelFileError
        An input or output is of another type.
    """
    single, truth = TensorProto.FLOAT, TensorProto.BOOL
    for allowed, values in (
        ({single, truth}, manifests.graph_inputs(proto)),
        ({single}, proto.graph.output),
    ):
        for value in values:
            kind = value.type.tensor_type.elem_type if value.type.HasField("tensor_type") else None
            if kind not in allowed:
                name = "no tensor" if kind is None else TensorProto.DataType.Name(kind)
                raise ModelFileError(
                    f"'{source}': '{value.name}' is {name}; inputs and outputs have to be float32 tensors. "
                    "Export the model in single precision (PyTorch: model.float(); skl2onnx: "
                    "FloatTensorType inputs), or choose another output with output=…"
                )
