"""Evaluate one Keras model in Keras and, exported, in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
import numpy as np
import onnx
import onnxruntime
import pytest

from hepml_root.export.onnx import emit, predict

BATCHES = (1, 7, 1000)
# Operators that compute shapes or hide loops: none may be in an exported graph.
FORBIDDEN = {"Shape", "Size", "Loop", "Scan", "If", "ConstantOfShape", "Range", "NonZero", "Constant"}


def assert_same_as_keras(
    model: keras.Model,
    blocks: Mapping[str, np.ndarray],
    tolerance: float = 2e-6,
) -> onnx.ModelProto:
    """Export ``model``, compare it with Keras on ``blocks`` at several batch sizes, return the graph."""
    proto = emit(model)
    assert not FORBIDDEN & {node.op_type for node in proto.graph.node}
    # Only what is an output already, or an input, may need a copy to be an output.
    named = {value.name for value in (*proto.graph.input, *proto.graph.output)}
    assert all(node.input[0] in named for node in proto.graph.node if node.op_type == "Identity")
    assert all(value.type.tensor_type.shape.dim[0].dim_param == "events" for value in proto.graph.input)
    assert all(value.type.tensor_type.shape.dim[0].dim_param == "events" for value in proto.graph.output)
    wanted = predict(model, blocks)
    events = len(next(iter(blocks.values())))
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for batch in BATCHES:
        found = [
            session.run(None, {name: np.float32(array[i : i + batch]) for name, array in blocks.items()})
            for i in range(0, min(events, 2 * batch), batch)
        ]
        for index, output in enumerate(wanted):
            joined = np.concatenate([part[index] for part in found])
            assert joined.dtype == np.float32
            scale = max(1.0, float(np.abs(output[np.isfinite(output)]).max(initial=0.0)))
            np.testing.assert_allclose(
                joined,
                output[: len(joined)],
                rtol=tolerance,
                atol=tolerance * scale,
                err_msg=proto.graph.output[index].name,
            )
    return proto


def randomise(model: keras.Model) -> keras.Model:
    """Give all weights, biases and statistics random values."""
    rng = np.random.default_rng(3)
    for weight in model.weights:
        if weight.dtype == "float32":
            values = 0.3 * rng.normal(size=weight.shape)
            weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    return model


def random_events(shape: tuple[int, ...], events: int = 200, seed: int = 1) -> np.ndarray:
    """Normal numbers, preceded by events full of zeros, ones, and numbers large and small of both signs."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(events, *shape)).astype(np.float32)
    for event, number in enumerate((0.0, 1.0, -1.0, 30.0, -30.0, 1e-6, -1e-6)):
        values[event] = number
    return values


@pytest.fixture
def same_as_keras() -> Callable[..., onnx.ModelProto]:
    """The comparison of a model with its export."""
    keras.utils.set_random_seed(1)
    return assert_same_as_keras


@pytest.fixture
def same_layers_as_keras() -> Callable[..., onnx.ModelProto]:
    """The comparison of many layers ``{name: function of inputs}`` at once, each an output of one model."""

    def compare(
        layers: Mapping[str, Callable[..., object]], blocks: Mapping[str, np.ndarray], tolerance: float = 5e-6
    ) -> onnx.ModelProto:
        keras.utils.set_random_seed(1)
        inputs = {name: keras.Input(array.shape[1:], name=name) for name, array in blocks.items()}
        outputs = {}
        for name, layer in layers.items():
            results = layer(*inputs.values())
            several = results if isinstance(results, (list, tuple)) else [results]
            outputs |= {f"{name} {number}": result for number, result in enumerate(several)}
        return assert_same_as_keras(randomise(keras.Model(inputs, outputs)), blocks, tolerance)

    return compare


@pytest.fixture
def events() -> Callable[..., np.ndarray]:
    """Random and extreme events of a shape."""
    return random_events
