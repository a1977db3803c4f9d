"""Graphs made of graphs: each of several models answers, and the one whose turn it is counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from hepml_root.tmva.graph import Graph


def add_model(graph: Graph, model: onnx.ModelProto, values: str) -> str:
    """Add a whole model, its input being ``values``; return the name of its output.

    Arguments
    ---------
    model
        One input and one output; operators of the versions that :mod:`hepml_root.tmva.graph` writes.
    """
    prefix = f"part_{len(graph.nodes)}_"
    own = {array.name for array in model.graph.initializer}
    given = [entry.name for entry in model.graph.input if entry.name not in own]
    names = {given[0]: values, "": ""}
    for array in model.graph.initializer:
        names[array.name] = graph.constant(numpy_helper.to_array(array), None)
    for node in model.graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        del copy.input[:], copy.output[:]
        copy.input.extend(names[name] for name in node.input)
        for name in node.output:
            names[name] = prefix + name if name else ""
        copy.output.extend(names[name] for name in node.output)
        copy.name = prefix + node.name
        graph.nodes.append(copy)
    return names[model.graph.output[0].name]


def add_choice(graph: Graph, chosen: Sequence[str], results: Sequence[str]) -> str:
    """Return, event by event, the result whose condition ``(events, 1)`` is above 0.5, and 0 where none is.

    Of several the last one counts.
    """
    value = graph.constant(np.zeros((1, 1)))
    for condition, result in zip(chosen, results, strict=True):
        value = graph.add("Where", graph.add("Greater", condition, graph.constant(0.5)), result, value)
    return value
