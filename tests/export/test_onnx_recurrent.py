"""Recurrent layers: one operator each, and masks as Keras has them, with and without holes."""

from __future__ import annotations

from itertools import product

import keras
import numpy as np
import onnxruntime
import pytest
from keras import layers, ops

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.onnx import emit, predict

STEPS, FEATURES, UNITS = 5, 3, 4
KINDS = {"SimpleRNN": layers.SimpleRNN, "LSTM": layers.LSTM, "GRU": layers.GRU}
OPERATOR = {"SimpleRNN": "RNN", "LSTM": "LSTM", "GRU": "GRU"}


def op_types(proto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


def sequences(prefix: bool, count: int = 12) -> dict[str, np.ndarray]:
    """Sequences with masks: of all lengths from none on, or with holes; what is masked is large."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(count, STEPS, FEATURES)).astype(np.float32)
    mask = rng.random((count, STEPS)) < 0.6
    mask[:3] = [[False], [True], [False]]
    mask[1, -1] = mask[2, 0] = True
    mask[3] = [False] * (STEPS - 1) + [True]
    if prefix:
        mask = np.arange(STEPS) < (np.arange(count) % (STEPS + 1))[:, None]
    values[~mask] *= 1000.0
    return {"x": values, "mask": mask.astype(np.float32)}


def variants(name: str) -> dict:
    """Ways to put a layer, as functions of the sequence, the mask and an initial state.

    Everything that is done around the operator is the same for all; the LSTM stands for it.
    """
    kind = KINDS[name]

    def layer(**settings):
        return lambda x, m, _h: kind(UNITS, **settings)(x, mask=m)

    result = {
        "plain": lambda x, _m, _h: kind(UNITS, return_sequences=True)(x),
        "without bias": layer(activation="relu", use_bias=False),
        "softsign": layer(activation="softsign", go_backwards=True),
        "unrolled": layer(unroll=True, recurrent_dropout=0.3),
        "no operator": lambda x, m, _h: kind(2, activation="gelu", return_sequences=True)(x, mask=m),
        "initial state": lambda x, m, h: kind(UNITS, return_sequences=True, return_state=True)(
            x, initial_state=[h, 2.0 * h] if name == "LSTM" else h, mask=m
        ),
        "cell": lambda x, m, _h: layers.RNN(kind(UNITS).cell)(x, mask=m),
        "both ways": lambda x, m, _h: layers.Bidirectional(
            kind(UNITS, return_sequences=True, return_state=True)
        )(x, mask=m),
    }
    if name != "LSTM":
        return result
    for several, backwards, zeros in product((False, True), repeat=3):
        result[f"mask {several:d}{backwards:d}{zeros:d}"] = layer(
            return_sequences=several, go_backwards=backwards, zero_output_for_mask=zeros, return_state=True
        )

    def both(mode, several):
        return lambda x, m, _h: layers.Bidirectional(kind(UNITS, return_sequences=several), merge_mode=mode)(
            x, mask=m
        )

    result |= {
        f"both ways {mode}": both(mode, mode in ("sum", None))
        for mode in ("concat", "sum", "mul", "ave", None)
    }
    return result


@pytest.mark.parametrize("name", KINDS)
def test_all_ways(name: str) -> None:
    keras.utils.set_random_seed(1)
    x, mask = keras.Input((STEPS, FEATURES), name="x"), keras.Input((STEPS,), name="mask")
    state = keras.Input((UNITS,), name="h")
    outputs = {}
    for way, layer in variants(name).items():
        results = layer(x, mask > 0.5, state)
        for number, result in enumerate(results if isinstance(results, (list, tuple)) else [results]):
            outputs[f"{way} {number}"] = result
    model = keras.Model({"x": x, "mask": mask, "h": state}, outputs)
    rng = np.random.default_rng(3)
    for weight in model.weights:
        weight.assign(0.5 * rng.normal(size=weight.shape))
    one, other = sequences(True), sequences(False)
    blocks = {key: np.concatenate([one[key], other[key]]) for key in one}
    blocks["h"] = rng.normal(size=(len(blocks["x"]), UNITS)).astype(np.float32)
    wanted = predict(model, blocks)
    for prefix, counts in ((True, (1, len(one["x"]))), (False, (1, len(blocks["x"])))):
        proto = emit(model, prefix_masks=["mask"] if prefix else [])
        assert not {"Loop", "Scan", "If"} & set(op_types(proto))
        assert ("GatherND" in op_types(proto)) is not prefix
        session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
        for events in counts:
            found = session.run(None, {key: array[:events] for key, array in blocks.items()})
            for output, a, b in zip(proto.graph.output, wanted, found, strict=True):
                np.testing.assert_allclose(b, a[:events], rtol=2e-5, atol=2e-5, err_msg=output.name)


@pytest.mark.parametrize("name", KINDS)
def test_stacked_layers_are_one_operator_each(name: str) -> None:
    kind = KINDS[name]

    x, mask = keras.Input((STEPS, FEATURES), name="x"), keras.Input((STEPS,), name="mask")
    there = mask > 0.5
    y = layers.Bidirectional(kind(UNITS, return_sequences=True))(x, mask=there)
    y = layers.Dropout(0.2)(kind(UNITS, return_sequences=True)(y, mask=there))
    y = kind(UNITS)(y, mask=there)
    proto = emit(keras.Model({"x": x, "mask": mask}, y), prefix_masks=["mask"])
    assert op_types(proto) == [
        "Greater", "Cast", "ReduceSum", "Transpose", OPERATOR[name], "Transpose", "Reshape", OPERATOR[name],
        "Reshape", OPERATOR[name], "Reshape",
    ]  # fmt: skip
    assert all(node.input[4] for node in proto.graph.node if node.op_type == OPERATOR[name])


def test_activations_with_and_without_parameters(same_layers_as_keras, events) -> None:
    """The parameters of one activation are not taken for those of another, whatever comes before it."""
    pairs = {
        "parameters second": {"activation": "linear"},
        "parameters first": {"recurrent_activation": "hard_sigmoid"},
        "no parameters": {"activation": "softplus", "recurrent_activation": "softsign"},
    }
    kinds = {"rnn": layers.Bidirectional(layers.SimpleRNN(UNITS, activation="linear"))}
    for name, settings in pairs.items():
        for kind in (layers.LSTM, layers.GRU):
            kinds[f"{kind.__name__} {name}"] = kind(UNITS, **settings)
            kinds[f"{kind.__name__} {name}, both ways"] = layers.Bidirectional(kind(UNITS, **settings))
    proto = same_layers_as_keras(kinds, {"x": events((STEPS, FEATURES), 30)}, tolerance=1e-5)
    assert {"RNN", "LSTM", "GRU"} <= set(op_types(proto))


def test_other_cells_and_masks(same_layers_as_keras, events) -> None:
    """Cells without an operator are written out; a mask that Keras computes itself may have holes."""
    kinds = {
        "reset before": layers.GRU(UNITS, reset_after=False, return_sequences=True),
        "two kinds": layers.Bidirectional(
            layers.LSTM(UNITS, return_sequences=True),
            backward_layer=layers.GRU(UNITS, go_backwards=True, return_sequences=True),
        ),
        "stacked cells": layers.RNN([layers.LSTMCell(2), layers.GRUCell(3)], return_sequences=True),
        "masking": lambda x: layers.LSTM(UNITS)(layers.Masking()(ops.relu(x[:, :, :1]))),
        "repeated": lambda x: layers.LSTM(2, return_sequences=True)(layers.RepeatVector(3)(x[:, 0])),
    }
    same_layers_as_keras(kinds, {"x": events((STEPS, FEATURES), 30)}, tolerance=1e-5)
    images = {
        "images": layers.ConvLSTM2D(2, 3, padding="same"),
        "all images": layers.ConvLSTM2D(2, 2, return_sequences=True, go_backwards=True),
    }
    same_layers_as_keras(images, {"x": events((2, 4, 3, 2), 20)}, tolerance=1e-5)


def test_a_state_that_lives_on_is_refused() -> None:
    x = keras.Input(batch_shape=(2, STEPS, FEATURES), name="x")
    layer = layers.LSTM(2, stateful=True, name="memory")
    with pytest.raises(UnsupportedOperationError, match=r"memory.*stateful=True"):
        emit(keras.Model(x, layer(x)))
