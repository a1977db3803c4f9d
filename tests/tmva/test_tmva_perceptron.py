"""kMLP: what HiddenLayers says, gradients against differences, and what is learnt of real samples."""

from __future__ import annotations

import numpy as np
import pytest
from trained_methods import auc, book, class_example, data_set, higgs, quiet, response, sample

from hepml_root import tmva as TMVA
from hepml_root.errors import IgnoredOptionWarning, SettingError, WeightError
from hepml_root.tmva import training
from hepml_root.tmva.methods.feed_forward import Events, FeedForward
from hepml_root.tmva.methods.network_training import QuasiNewton, Watch, _regulators
from hepml_root.tmva.methods.perceptron import hidden_layers
from hepml_root.tmva.weights.network import Network


def test_hidden_layers() -> None:
    assert hidden_layers("N,N-1", 4) == [4, 3]
    assert hidden_layers("n+5, 10 ,5", 7) == [12, 10, 5]
    assert hidden_layers("", 4) == []


@pytest.mark.parametrize("text", ["N*2", "5N", "N5", "10,,5", "a", "10;5", "N+", "5.5"])
def test_hidden_layers_that_cannot_be_read_are_refused_when_booked(text: str) -> None:
    with pytest.raises(SettingError, match=r"MLP 'Tested': HiddenLayers=.*layer \d is"):
        book("MLP", f"HiddenLayers={text}")


def test_a_layer_without_neurons_is_refused() -> None:
    with pytest.raises(SettingError, match=r"layer 2 \('0'\) has 0 neurons; at least one"):
        book("MLP", "HiddenLayers=5,0")
    with pytest.raises(SettingError, match=r"layer 2 \('N-1'\) has 0 neurons with 1 variables"):
        hidden_layers("N,N-1", 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("NCycles=0", "NCycles=0: at least 1"),
        ("Sampling=1.5", "Sampling=1.5: from"),
        ("DecayRate=1", "DecayRate=1: from 0 to"),
        ("UseRegulator", "belongs to TrainingMethod=BFGS"),
        ("NeuronType=relo", "Nearest: 'ReLU'"),
        ("NCycle=5", "Nearest: 'NCycles'"),
    ],
)
def test_options_are_checked_when_booked(text: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        book("MLP", text)


def test_options_that_change_nothing_are_said() -> None:
    with pytest.warns(IgnoredOptionWarning, match="CalculateErrors changes nothing"):
        book("MLP", "CalculateErrors")


@pytest.mark.parametrize("estimator", ["CE", "softmax", "MSE"])
@pytest.mark.parametrize("neuron_input", ["sum", "sqsum", "abssum"])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "radial", "linear", "ReLU"])
def test_gradients_are_those_of_differences(activation: str, neuron_input: str, estimator: str) -> None:
    rng = np.random.default_rng(3)
    outputs = 1 if estimator == "CE" else 3
    network = FeedForward([4, 5, 3, outputs], activation, neuron_input, estimator)
    network.vector[:] = rng.normal(size=network.vector.size) * 0.5
    wanted = {
        "CE": rng.integers(0, 2, (20, 1)).astype(float),
        "softmax": np.eye(3)[rng.integers(0, 3, 20)],
        "MSE": rng.normal(size=(20, outputs)),
    }[estimator]
    events = Events(rng.normal(size=(20, 4)), wanted, rng.uniform(0.5, 2.0, 20))
    gradient = network.gradient(events)
    step = 1e-6
    start = network.vector.copy()
    for place in range(start.size):
        values = []
        for sign in (1, -1):
            network.vector[:] = start
            network.vector[place] += sign * step
            values.append(events.weights @ network.deviations(events))
        difference = (values[0] - values[1]) / (2 * step)
        # Central differences of numbers of order 10 in double precision: 1e-5 is what they can show.
        assert gradient[place] == pytest.approx(difference, abs=2e-5, rel=1e-5)
    network.vector[:] = start
    # The sensitivities add up to the gradient of the sums of the outputs; of MSE the chain is direct.
    if estimator == "MSE":
        error = 2 * events.weights[:, None] * (network.response(events.inputs) - wanted)
        chained = np.einsum("oew,eo->w", network.sensitivities(events.inputs), error)
        np.testing.assert_allclose(chained, gradient, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("neuron_input", ["sum", "sqsum", "abssum"])
def test_the_written_network_computes_what_was_trained(neuron_input: str) -> None:
    """Variables far from zero: mean and spread have to go into the weights and come out in float32."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(300, 3)) * [1.0, 50.0, 0.01] + [0.0, 300.0, 0.05]
    classes = (x[:, 1] > 300.0).astype(int)
    data = data_set(sample(x, classes), sample(x, classes))
    method = book("MLP", f"HiddenLayers=4:NCycles=30:NeuronInputType={neuron_input}:NeuronType=tanh")
    trained = method.train(data, quiet())
    assert isinstance(trained.weights, Network)
    assert trained.weights.output == "sigmoid"
    assert [table.shape for table in trained.weights.layers] == [(4, 4), (5, 1)]
    values = response(trained, data)[:, 0]
    right = np.where(classes == 0, values, 1 - values)
    estimator = np.mean(-2 * np.log(right))
    # TMVA's tanh is 4e-5 off, float32 weights of x of 300 half as much again.
    assert estimator == pytest.approx(trained.monitors["Convergence"]["train"][-1], rel=1e-3)


def test_back_propagation_reaches_the_real_tmva() -> None:
    """TMVA's MLP with these options reaches .9138 on such events, with another split: .005 is two
    standard deviations of the AUC of 10 000 test events."""
    data = class_example()
    method = book("MLP", "NeuronType=tanh:NCycles=300:HiddenLayers=N+5:TestRate=50:!UseRegulator")
    trained = method.train(data, quiet())
    assert auc(trained, data) > 0.9138 - 0.005
    table = trained.monitors["Convergence"]
    assert table["epoch"].tolist() == [50, 100, 150, 200, 250, 300]
    assert table["train"][-1] < table["train"][0]
    assert np.isfinite(table["test"]).all()


def test_bfgs_beats_the_real_tmva_on_higgs() -> None:
    """TMVA's MLP reaches .7055 with 7000 training events a class; here are 2000."""
    data = higgs()
    trained = book("MLP", "NeuronType=tanh:NCycles=60:HiddenLayers=N+5:TrainingMethod=BFGS").train(
        data, quiet()
    )
    assert auc(trained, data) > 0.73


def test_regulators_keep_a_large_network_from_learning_noise() -> None:
    """100 events a class: without regulators 25 neurons learn them by heart."""
    data = class_example(100)
    words = "NeuronType=tanh:NCycles=300:HiddenLayers=25:TrainingMethod=BFGS:TestRate=300"
    free = book("MLP", words).train(data, quiet())
    regulated = book("MLP", f"{words}:UseRegulator").train(data, quiet())
    assert regulated.monitors["Convergence"]["train"][-1] > free.monitors["Convergence"]["train"][-1]
    assert auc(regulated, data) > auc(free, data) + 0.02


def test_regulators_find_the_precision_of_targets() -> None:
    """A line with noise of 0.5 has the precision 4; 2000 events measure it to 3 %: twice that is allowed."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2000, 1))
    events = Events(x, 2 * x + rng.normal(size=x.shape) * 0.5, np.ones(2000))
    network = FeedForward([1, 1], "linear", "sum", "MSE")
    QuasiNewton(20).train(network, events, Watch(events, events, 20), rng)
    assert network.vector[0] == pytest.approx(2.0, abs=0.05)  # four standard deviations of the slope
    alphas, precision = _regulators(network, events, np.array([0, 0]), np.array([0.1]), 1.0)
    assert precision == pytest.approx(4.0, rel=0.065)
    # Two weights, both determined, with the squares 4 and 0: alpha is 2 / 4.
    assert alphas[0] == pytest.approx(0.5, rel=0.06)


def test_the_genetic_algorithm_learns() -> None:
    data = class_example()
    trained = book("MLP", "NeuronType=tanh:NCycles=60:HiddenLayers=3:TrainingMethod=GA").train(data, quiet())
    assert auc(trained, data) > 0.85


@pytest.mark.parametrize("words", ["", ":TrainingMethod=BFGS", ":BPMode=batch:BatchSize=50:LearningRate=0.1"])
def test_regression_of_two_targets(words: str) -> None:
    rng = np.random.default_rng(7)
    x = rng.uniform(-2, 2, (1500, 2))
    targets = np.stack([300 + 50 * x[:, 0], x[:, 0] * x[:, 1]], axis=1)
    whole = sample(x, np.zeros(1500), targets=targets)
    data = data_set(whole.take(slice(0, 1000)), whole.take(slice(1000, None)), analysis="Regression")
    text = "NeuronType=tanh:NCycles=150:HiddenLayers=12:NeuronInputType=sum" + words
    trained = book("MLP", text, analysis="Regression").train(data, quiet())
    assert trained.weights.output == "linear"
    residual = response(trained, data) - data.test.targets
    # Two thirds of the spread of a product would be left to a straight line; a tenth is a learnt one.
    assert (residual.std(axis=0) < 0.2 * data.test.targets.std(axis=0)).all()


@pytest.mark.parametrize("neuron_input", ["sqsum", "abssum"])
def test_regression_with_inputs_that_are_not_sums(neuron_input: str) -> None:
    """Outputs without an offset: the network that is written answers what was trained."""
    x = np.random.default_rng(8).uniform(0, 2, (800, 1))
    rows = sample(x, np.zeros(800), targets=50 + 10 * x**2)
    text = f"NCycles=100:HiddenLayers=6:TrainingMethod=BFGS:NeuronInputType={neuron_input}"
    data = data_set(rows, rows, analysis="Regression")
    trained = book("MLP", text, analysis="Regression").train(data, quiet())
    targets = rows.targets.astype(np.float64)
    reached = np.sqrt(np.mean((response(trained, data) - targets) ** 2))
    size = np.sqrt(np.mean(targets**2))
    assert reached == pytest.approx(size * np.sqrt(trained.monitors["Convergence"]["train"][-1]), rel=0.02)
    # A constant leaves all of the spread over, a straight line a quarter.
    assert reached < 0.5 * targets.std()


def test_multiclass_gives_probabilities() -> None:
    rng = np.random.default_rng(9)
    classes = rng.integers(0, 3, 1500)
    x = rng.normal(size=(1500, 2)) + np.array([[0, 0], [2, 0], [0, 2]])[classes]
    whole = sample(x, classes)
    data = data_set(
        whole.take(slice(0, 1000)), whole.take(slice(1000, None)), analysis="Multiclass", classes="abc"
    )
    trained = book("MLP", "NCycles=60:HiddenLayers=6", analysis="Multiclass").train(data, quiet())
    found = response(trained, data)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    # The best possible is .81; three standard deviations of 500 events are .05.
    assert np.mean(found.argmax(axis=1) == data.test.classes) > 0.76


@pytest.mark.parametrize("analysis", ["Classification", "Multiclass", "Regression"])
def test_the_file_is_read_as_it_was_trained(tmp_path, analysis: str) -> None:
    """TMVA's own form of a network, through its writer and our reader of TMVA's files."""
    rng = np.random.default_rng(11)
    x = rng.normal(size=(200, 2)) * [1, 30] + [0, 100]
    classes = np.arange(200) % (1 if analysis == "Regression" else 3 if analysis == "Multiclass" else 2)
    targets = x[:, ::-1] * 10 if analysis == "Regression" else None
    names = {"Multiclass": "abc"}.get(analysis, ("Signal", "Background"))
    rows = sample(x, classes, targets=targets)
    data = data_set(rows, rows, analysis=analysis, classes=names)
    text = "NCycles=5:HiddenLayers=N+1,2:NeuronType=tanh:EstimatorType=CE"
    method = book("MLP", text, tmp_path, analysis=analysis)
    fitted = training.fit(method, data, quiet())
    files = training.write(method.booking, data, fitted)
    again = TMVA.read_weights(files.weights).weights
    assert again.output == ("sigmoid" if analysis == "Classification" else "linear")
    for one, other in zip(fitted.trained.weights.layers, again.layers, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    found = training.responses(files.model, rows.variables)
    np.testing.assert_allclose(found, response(fitted.trained, data), rtol=1e-4, atol=1e-5)


def test_the_estimator_is_that_of_the_analysis_and_the_file_says_so() -> None:
    method = book("MLP", "EstimatorType=MSE")
    assert method.options["EstimatorType"] == method.booking.options["EstimatorType"] == "CE"
    assert "EstimatorType" in method.options.given
    assert book("MLP", analysis="Multiclass").options["EstimatorType"] == "MSE"


def test_convergence_ends_the_training() -> None:
    data = class_example(100)
    text = "NCycles=400:HiddenLayers=2:TestRate=5:ConvergenceTests=3:ConvergenceImprove=0.05"
    table = book("MLP", text).train(data, quiet()).monitors["Convergence"]
    assert 15 <= table["epoch"][-1] < 400
    last = table["train"][-4:]
    assert last[1:].min() > last[0] - 0.05


def test_seed_decides() -> None:
    data = class_example(100)

    def weights(seed: int) -> np.ndarray:
        return book("MLP", f"NCycles=3:RandomSeed={seed}").train(data, quiet()).weights.layers[0]

    np.testing.assert_array_equal(weights(4), weights(4))
    assert not np.allclose(weights(4), weights(5))


def test_negative_weights_are_left_out_where_asked() -> None:
    data = class_example(100)
    negative = data.training.weights.copy()
    negative[:50] *= -1
    rows = data.training
    changed = data_set(sample(rows.variables, rows.classes, negative), data.test)
    method = book("MLP", "NCycles=3:IgnoreNegWeightsInTraining:TestRate=1")
    found = method.train(changed, quiet()).weights.layers[0]
    kept = data_set(sample(rows.variables[50:], rows.classes[50:], negative[50:]), data.test)
    np.testing.assert_array_equal(found, book("MLP", "NCycles=3").train(kept, quiet()).weights.layers[0])
    with pytest.raises(WeightError, match="have no sum"):
        book("MLP", "NCycles=3").train(
            data_set(sample(rows.variables, rows.classes, -np.abs(negative)), data.test), quiet()
        )


def test_a_training_that_diverges_is_said() -> None:
    data = class_example(100)
    rng = np.random.default_rng(1)
    target = sample(rng.normal(size=(200, 2)), np.zeros(200), targets=rng.normal(size=200))
    data = data_set(target, target, analysis="Regression")
    method = book("MLP", "NCycles=5:LearningRate=1e3:NeuronType=linear", analysis="Regression")
    with np.errstate(all="ignore"), pytest.raises(SettingError, match="smaller LearningRate"):
        method.train(data, quiet())
