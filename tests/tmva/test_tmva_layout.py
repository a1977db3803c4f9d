"""kDL's strings: what they mean, and what is said of mistakes in them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from trained_methods import book

from hepml_root.errors import SettingError
from hepml_root.tmva.methods.deep_network import Input, build
from hepml_root.tmva.methods.layout import (
    BatchNorm,
    Convolution,
    Dense,
    MaxPool,
    Recurrent,
    Reshape,
    evaluate_width,
    parse_input_layout,
    parse_layout,
)
from hepml_root.tmva.methods.training_strategy import Phase, parse_strategy


def test_layouts_of_the_tutorials() -> None:
    """TMVA_CNN_Classification, TMVA_RNN_Classification, TMVAClassification, TMVA_Higgs_Classification."""
    cnn = (
        "CONV|10|3|3|1|1|1|1|RELU,BNORM,CONV|10|3|3|1|1|1|1|RELU,MAXPOOL|2|2|1|1,"
        "RESHAPE|FLAT,DENSE|100|RELU,DENSE|1|LINEAR"
    )
    convolution = Convolution(10, (3, 3), (1, 1), (1, 1), "RELU")
    assert parse_layout(cnn) == [
        convolution,
        BatchNorm(),
        convolution,
        MaxPool((2, 2), (1, 1)),
        Reshape(None),
        Dense("100", "RELU"),
        Dense("1", "LINEAR"),
    ]
    rnn = "LSTM|10|30|10|0|1,RESHAPE|FLAT,DENSE|64|TANH,LINEAR"
    assert parse_layout(rnn)[0] == Recurrent("LSTM", 10, 30, 10, sequence=True)
    assert parse_layout("DENSE|64|TANH,DENSE|TANH|64,LINEAR") == [
        Dense("64", "TANH"),
        Dense("64", "TANH"),
        Dense("", "LINEAR"),
    ]
    assert parse_layout("relu|N+5,linear")[0] == Dense("N+5", "RELU")
    assert parse_layout("GRU|4|3|2|0|0|1,LINEAR")[0] == Recurrent("GRU", 4, 3, 2, False, reset_after=True)
    assert parse_layout("RNN|4|3|2,LINEAR")[0] == Recurrent("RNN", 4, 3, 2, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "CONV|10|3|3|1|1|RELU,LINEAR",
            r"layer 1 \('CONV\|10\|3\|3\|1\|1\|RELU'\): CONV\|filters.*6 of these 8",
        ),
        ("CONV|10|0|3|1|1|0|0|RELU,LINEAR", "height is '0'; a whole number from 1"),
        ("CONV|10|3|3|1|1|0|-1|RELU,LINEAR", "padding columns is '-1'; a whole number from 0"),
        ("CONV|10|3|3|1|1|1|1|RELLU,LINEAR", "no activation 'RELLU'. Nearest: 'RELU'"),
        ("DENSE|64|RELU,MAXPOOL|2|2,LINEAR", r"layer 2 .*MAXPOOL\|height\|width.*2 of these 4"),
        ("DENSE|64|RELU,DENSE|64", None),
        ("DENSE|RELU,LINEAR", r"layer 1 \('DENSE\|RELU'\).*only the last layer may leave the width out"),
        ("DENSE|64|RELU|TANH,LINEAR", "two activations, RELU and TANH"),
        ("DNSE|64|RELU,LINEAR", "no layer or activation 'DNSE'. Nearest: 'DENSE'"),
        ("DENSE|6a|RELU,LINEAR", "the width is '6a'"),
        ("DENSE|64|32|RELU,LINEAR", "no layer or activation '32'"),
        ("DENSE|64|RELU,", "layer 2 .*it is empty"),
        ("DENSE|64|RELU,RESHAPE|FLAT", "the last layer has to be dense"),
        ("RESHAPE|2|3,LINEAR", r"RESHAPE\|FLAT or RESHAPE\|channels"),
        ("RESHAPE|2|x|3,LINEAR", "height is 'x'"),
        ("BNORM|0.9,LINEAR", "BNORM is needed, with nothing behind it"),
        ("LSTM|10|30,LINEAR", r"LSTM\|hidden\|features\|steps.*2 of these 5"),
        ("GRU|10|30|5|1|0,LINEAR", "remember=1: .*Put 0 there"),
    ],
)
def test_mistakes_in_a_layout_name_the_layer_and_the_form(text: str, said: str | None) -> None:
    if said is None:  # a last layer of 64 is refused later, when it is known how many are needed
        assert parse_layout(text)[-1] == Dense("64")
        return
    with pytest.raises(SettingError, match=said):
        book("DL", f"Layout={text}")


@pytest.mark.parametrize(
    "formula", ["__import__('os')", "N**9", "1/0", "-1", "x", "1e9", "9" * 200, "(", "True"]
)
def test_widths_are_formulas_of_n_alone(formula: str) -> None:
    with pytest.raises(SettingError, match="the width is"):
        evaluate_width(formula, 4)


def test_input_layouts() -> None:
    assert parse_input_layout("3|0|5") == (3, 1, 5)
    for text in ("1|2|3|4", "a|2", "", "1.5|2|3"):
        with pytest.raises(SettingError, match="InputLayout="):
            parse_input_layout(text)


def test_strategies_of_the_tutorials() -> None:
    text = (
        "LearningRate=1e-3,Momentum=0.9,Repetitions=1,ConvergenceSteps=5,BatchSize=100,TestRepetitions=1,"
        "MaxEpochs=20,WeightDecay=1e-4,Regularization=None,Optimizer=ADAM,DropConfig=0.0+0.0+0.0+0."
    )
    assert parse_strategy(text) == [
        Phase(1e-3, 0.9, "ADAM", 100, 20, 1, 5, 1e-4, "NONE", (0.0, 0.0, 0.0, 0.0)),
    ]
    old = "LearningRate=1e-1,Renormalize=L2,DropRepetitions=5,Multithreading=True|Regularization=l2"
    assert [phase.regularization for phase in parse_strategy(old)] == ["NONE", "L2"]
    higgs = "Optimizer=ADAM,ADAM_beta1=0.8,ADAM_beta2=0.99,ADAM_eps=1.E-7,RMSPROP_rho=0.5"
    assert parse_strategy(higgs)[0].constants == (("beta_1", 0.8), ("beta_2", 0.99), ("epsilon", 1e-7))
    assert parse_strategy("DropConfig=.5+.25")[0].drop == (0.5, 0.25)


def test_a_comma_that_a_tutorial_forgot() -> None:
    """TMVA_RNN_Classification writes MaxEpochs=10 and Optimizer=ADAM without one."""
    with pytest.warns(UserWarning, match="a comma is missing; it is read as MaxEpochs=10,Optimizer=SGD"):
        phase = parse_strategy("BatchSize=100,MaxEpochs=10Optimizer=SGD,DropConfig=0.0+0.5")[0]
    assert phase == Phase(batch_size=100, epochs=10, optimizer="SGD", drop=(0.0, 0.5))
    with pytest.warns(UserWarning, match="a comma is missing"):
        assert parse_strategy("LearningRate=1e-2Momentum=0.5")[0] == Phase(0.01, 0.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("LearningRte=1", "phase 1: no setting 'LearningRte'. Nearest: 'LearningRate'"),
        ("LearningRate=1|BatchSize=2.5", "phase 2: BatchSize=2.5: a whole number"),
        ("LearningRate=-1", "LearningRate=-1: a number from"),
        ("Optimizer=ADAMM", "no Optimizer 'ADAMM'. Nearest: 'ADAM'"),
        ("Regularization=L3", "None, L1 or L2"),
        ("DropConfig=0.5+1.0", "parts from 0 to below 1"),
        ("DropConfig=a", "parts from 0 to below 1"),
        ("ADAM_beta1=1.5", "ADAM_beta1=1.5: a number between 0 and 1"),
        ("LearningRate", "name=value is needed"),
        ("LearningRate=1||LearningRate=2", "phase 2: it is empty"),
        ("MaxEpochs=nan", "a whole number from"),
    ],
)
def test_mistakes_in_a_strategy_name_the_phase(text: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        book("DL", f"TrainingStrategy={text}")


def given(shape: tuple[int, ...], variables: int | None = None) -> Input:
    rng = np.random.default_rng(1)
    count = int(np.prod(shape)) if variables is None else variables
    return Input(rng.normal(size=(50, count)).astype(np.float32), np.ones(50), shape)


def test_images_are_read_channel_by_channel() -> None:
    """A convolution of ones over the whole of channel 1 of (2, 3, 4) adds the variables 12 to 23."""
    image = given((2, 3, 4))
    layers = parse_layout("CONV|1|3|4|1|1|0|0|LINEAR,LINEAR")
    model = build(layers, image, "Regression", 1).model
    convolution, dense = model.get_layer("conv_1"), model.get_layer("dense_2")
    kernel = np.zeros((3, 4, 2, 1), np.float32)
    kernel[:, :, 1] = 1
    convolution.set_weights([kernel, np.zeros(1, np.float32)])
    dense.set_weights([np.ones((1, 1), np.float32), np.zeros(1, np.float32)])
    mean, spread = image.variables.mean(), image.variables.std()
    wanted = ((image.variables - mean) / spread)[:, 12:].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.asarray(model(image.variables)), wanted, rtol=1e-4, atol=1e-4)


def test_a_reshape_keeps_the_order_of_values() -> None:
    """(2, 2, 3) → (3, 2, 2) → a row: as numpy reshapes it, channels outermost."""
    image = given((2, 2, 3))
    model = build(parse_layout("RESHAPE|3|2|2,RESHAPE|FLAT,LINEAR"), image, "Regression", 12).model
    model.get_layer("dense_3").set_weights([np.eye(12, dtype=np.float32), np.zeros(12, np.float32)])
    mean, spread = image.variables.mean(), image.variables.std()
    np.testing.assert_allclose(
        np.asarray(model(image.variables)), (image.variables - mean) / spread, rtol=1e-4, atol=1e-4
    )
    inner = keras.Model(model.inputs, model.get_layer("dense_3").input)
    assert inner.output_shape == (None, 12)


def test_sequences_are_read_step_by_step() -> None:
    """With steps|features the variable t·features + f is feature f of step t: standardised over all steps."""
    sequence = given((5, 2))
    model = build(parse_layout("LSTM|3|2|5|0|1,LINEAR"), sequence, "Classification", 1).model
    taken = keras.Model(model.inputs, model.get_layer("lstm_1").input)(sequence.variables)
    table = sequence.variables.reshape(50, 5, 2)
    mean, spread = table.mean(axis=(0, 1)), table.std(axis=(0, 1))
    np.testing.assert_allclose(np.asarray(taken), (table - mean) / spread, rtol=1e-4, atol=1e-4)
    assert model.get_layer("lstm_1").output.shape == (None, 5, 3)
    assert model.output_shape == (None, 1)


def test_padding_is_that_of_tmva() -> None:
    """(h + 2 p − f) / s + 1: 16 + 2·1 − 3 = 15 in steps of 1 and of 5."""
    layers = parse_layout("CONV|4|3|3|1|5|1|1|RELU,MAXPOOL|2|2|2|2,LINEAR")
    model = build(layers, given((1, 16, 16)), "Classification", 1).model
    assert model.get_layer("conv_1").output.shape == (None, 16, 4, 4)
    assert model.get_layer("maxpool_2").output.shape == (None, 8, 2, 4)


@pytest.mark.parametrize(
    "name", ["RELU", "TANH", "FTANH", "SYMMRELU", "SOFTSIGN", "SIGMOID", "LINEAR", "GAUSS"]
)
def test_activations(name: str) -> None:
    row = given((), 1)
    model = build(parse_layout(f"DENSE|1|{name},LINEAR"), row, "Regression", 1).model
    for layer in ("dense_1", "dense_2"):
        model.get_layer(layer).set_weights([np.ones((1, 1), np.float32), np.zeros(1, np.float32)])
    x = (row.variables - row.variables.mean()) / row.variables.std()
    wanted = {
        "RELU": np.maximum(x, 0),
        "TANH": np.tanh(x),
        "FTANH": np.tanh(x),
        "SYMMRELU": np.abs(x),
        "SOFTSIGN": x / (1 + np.abs(x)),
        "SIGMOID": 1 / (1 + np.exp(-x)),
        "LINEAR": x,
        "GAUSS": np.exp(-(x**2)),
    }[name]
    np.testing.assert_allclose(np.asarray(model(row.variables)), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "shape", "said"),
    [
        ("CONV|4|3|3|1|1|0|0|RELU,LINEAR", (), "layer 1: CONV needs an image.*a row of 12.*InputLayout="),
        ("CONV|4|5|1|1|1|0|0|RELU,LINEAR", (1, 4, 3), "height 5 in steps of 1 do not fit in a height of 4"),
        ("CONV|4|1|2|1|2|0|0|RELU,LINEAR", (1, 4, 3), "width 2 in steps of 2 leave 1 over in a width of 3"),
        ("RESHAPE|1|2|5,LINEAR", (1, 4, 3), r"RESHAPE to 1\|2\|5 is 10 values; there are 12 \(1\|4\|3\)"),
        ("LSTM|4|5|2|0|1,LINEAR", (4, 3), r"LSTM of 2 steps with 5 features takes 10 values; there are 12"),
        ("DENSE|N-12|RELU,LINEAR", (), "layer 1: its width 'N-12' is 0 with 12 variables"),
        ("DENSE|3|RELU,DENSE|2|LINEAR", (), "layer 2, the last one, gives 2 values; 1 are needed"),
        ("LINEAR", (1, 4, 4), r"InputLayout=1\|4\|4 holds 16 values; there are 12 variables"),
    ],
)
def test_layers_that_do_not_fit(text: str, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        build(parse_layout(text), given(shape, 12), "Classification", 1)


def test_an_output_function_is_not_taken_twice() -> None:
    for text, names in (("SIGMOID", 0), ("LINEAR", 1), ("TANH", 1)):
        model = build(parse_layout(text), given((), 3), "Classification", 1).model
        assert sum(layer.name == "response" for layer in model.layers) == names


def test_seeds_decide_the_initial_weights() -> None:
    layers = parse_layout("TANH|5,LINEAR")

    def weights(seed: int | None, name: str = "XAVIER") -> np.ndarray:
        built = build(layers, given((), 3), "Classification", 1, seed=seed, initializer=name)
        return np.asarray(built.model.get_layer("dense_1").kernel)

    np.testing.assert_array_equal(weights(3), weights(3))
    assert not np.allclose(weights(3), weights(4))
    assert not np.allclose(weights(3), weights(3, "XAVIERUNIFORM"))
