"""Multilayer perceptrons (MLP).

    aⱼ = f(Σᵢ wᵢⱼ aᵢ + bⱼ)      neuron input "sum"
    aⱼ = f(Σᵢ (wᵢⱼ aᵢ)² + bⱼ²)  "sqsum"
    aⱼ = f(Σᵢ |wᵢⱼ aᵢ| + |bⱼ|)  "abssum"

with f a sigmoid, tanh, radial exp(−x²/2), ReLU or linear; the output neurons have a sigmoid
(EstimatorType=CE) or are linear (MSE), and of several classes the softmax is taken. Since TMVA 4.2.1 its
tanh is a fraction of two polynomials, 4·10⁻⁵ off at most: files of these releases get the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import UnsupportedOperationError
from hepml_root.tmva.weights.graph import Graph
from hepml_root.tmva.weights.header import Header
from hepml_root.tmva.weights.xml_nodes import XmlNode

ACTIVATIONS = ("linear", "sigmoid", "tanh", "radial", "ReLU")
INPUTS = ("sum", "sqsum", "abssum")
MOST_LAYERS = 100
MOST_SYNAPSES = 20_000_000
_FAST_TANH = (4, 2, 1)  # the release that it came with
# The continued fraction of tanh, cut off: x (135135 + …) / (135135 + …) in powers of x², and where it ends.
_ABOVE, _BELOW = (1.0, 378.0, 17325.0, 135135.0), (28.0, 3150.0, 62370.0, 135135.0)
_SATURATED = 4.97


@dataclass(frozen=True)
class Network:
    """The weights of an MLP.

    Arguments
    ---------
    layers
        For each pair of layers the weights ``(neurons + 1, next neurons)``; the last row is that of the bias.
    activation, neuron_input, output
        The functions of the hidden neurons, and that of the outputs: ``sigmoid`` or ``linear``.
    fast_tanh
        TMVA takes its approximation for tanh.
    """

    layers: tuple[NDArray[np.float32], ...]
    activation: str
    neuron_input: str
    output: str
    fast_tanh: bool


def read_network(node: XmlNode, header: Header) -> Network:
    """Read the node ``Weights`` of an MLP.

    Raises
    ------
    ModelFileError
        A layer, neuron or weight is missing, or the layers do not fit the variables.
    UnsupportedOperationError
        A function of the neurons is not known.
    """
    for name, default, known in (("NeuronType", "sigmoid", ACTIVATIONS), ("NeuronInputType", "sum", INPUTS)):
        if header.option(name, default) not in known:
            raise UnsupportedOperationError(
                f"{node.source}: {name}={header.option(name, default)[:40]} is not read; known are "
                f"{', '.join(known)}."
            )
    estimator = header.option("EstimatorType", "MSE")
    if estimator not in ("MSE", "CE"):
        raise UnsupportedOperationError(
            f"{node.source}: EstimatorType={estimator[:40]}; known are MSE and CE."
        )
    layout = node.child("Layout")
    layers = layout.in_order("Layer", "NLayers", "Index")
    if not 2 <= len(layers) <= MOST_LAYERS:
        raise layout.error(f"{len(layers)} layers; 2 to {MOST_LAYERS} are read.")
    sizes = [layer.integer("NNeurons", least=1) for layer in layers]
    neurons = [size - 1 for size in sizes[:-1]] + sizes[-1:]  # without the bias
    outputs = len(header.outputs)
    for place, found, wanted in ((0, neurons[0], len(header.variables)), (-1, neurons[-1], outputs)):
        if found != wanted:
            raise layers[place].error(
                f"{found} neurons; the file has {wanted} variables or outputs for these."
            )
    if min(neurons) < 1 or sum(a * b for a, b in zip(sizes[:-1], neurons[1:], strict=True)) > MOST_SYNAPSES:
        raise layout.error(f"layers of {sizes} neurons.")
    tables = []
    for layer, following in zip(layers, [*neurons[1:], 0], strict=True):
        rows = layer.counted("Neuron", "NNeurons")
        for row in rows:
            if row.integer("NSynapses") != following:
                raise row.error(
                    f"NSynapses={row.integer('NSynapses')}; the next layer has {following} neurons."
                )
        table = np.array([row.numbers(following) for row in rows])
        if np.abs(table).max(initial=0.0) > np.finfo(np.float32).max:
            raise layer.error("a weight is beyond float32.")
        tables.append(table.astype(np.float32))
    return Network(
        tuple(tables[:-1]),
        header.option("NeuronType", "sigmoid"),
        header.option("NeuronInputType", "sum"),
        "sigmoid" if estimator == "CE" else "linear",
        header.release >= _FAST_TANH,
    )


def add_network(graph: Graph, values: str, weights: Network, header: Header) -> str:
    """Add the response of an MLP; return its name."""
    for number, table in enumerate(weights.layers):
        matrix, bias = table[:-1], table[-1]
        if weights.neuron_input == "sqsum":
            values, matrix, bias = graph.add("Mul", values, values), matrix**2, bias**2
        elif weights.neuron_input == "abssum":
            values, matrix, bias = graph.add("Abs", values), np.abs(matrix), np.abs(bias)
        values = graph.affine(values, matrix, bias)
        last = number + 1 == len(weights.layers)
        values = _activated(graph, values, weights.output if last else weights.activation, weights.fast_tanh)
    return graph.add("Softmax", values, axis=1) if header.analysis == "Multiclass" else values


def _activated(graph: Graph, values: str, function: str, fast_tanh: bool) -> str:
    if function == "linear":
        return values
    if function == "radial":
        square = graph.add("Mul", values, values)
        return graph.add("Exp", graph.add("Mul", square, graph.constant(-0.5)))
    if function == "tanh" and fast_tanh:
        return _fraction(graph, values)
    return graph.add({"sigmoid": "Sigmoid", "tanh": "Tanh", "ReLU": "Relu"}[function], values)


def _fraction(graph: Graph, values: str) -> str:
    inside = graph.clipped(values, -_SATURATED, _SATURATED)
    square = graph.add("Mul", inside, inside)
    parts = []
    for coefficients in (_ABOVE, _BELOW):
        part = graph.constant(coefficients[0])
        for coefficient in coefficients[1:]:
            part = graph.add("Add", graph.add("Mul", part, square), graph.constant(coefficient))
        parts.append(part)
    fraction = graph.add("Div", graph.add("Mul", inside, parts[0]), parts[1])
    outside = graph.add("Greater", graph.add("Abs", values), graph.constant(_SATURATED))
    return graph.add("Where", outside, graph.add("Sign", values), fraction)
