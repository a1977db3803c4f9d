"""What the tests of trained networks share: booking without a Factory, real samples, responses."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import uproot
from sklearn.metrics import roc_auc_score

import hepml_root as hr
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet, Sample
from hepml_root.tmva.methods.method import Booking, Method, OwnGraph, Trained
from hepml_root.tmva.methods.registry import method_class
from hepml_root.tmva.options.declaration import parse
from hepml_root.tmva.options.shared import SHARED
from hepml_root.tmva.weights.graph import Graph
from hepml_root.tmva.weights.header import Header, Variable
from hepml_root.tmva.weights.network import Network, add_network


def book(kind: str, text: str = "", folder: Path = Path(), *, analysis="Classification", **extra) -> Method:
    """Return a method as the Factory books it, titled "Tested"."""
    made = method_class(kind)
    options = parse((*SHARED, *made.own_options), text, f"{kind} 'Tested'")
    return made(Booking("Job", "dataset", "Tested", kind, options, analysis, Path(folder), extra))


def variable(label: str) -> Variable:
    return Variable(label, label, label, "", label, "F", None, None)


def sample(variables, classes, weights=None, targets=None, spectators=None) -> Sample:
    events = len(variables)
    none = np.zeros((events, 0), np.float32)
    return Sample(
        np.asarray(variables, np.float32),
        none if spectators is None else np.asarray(spectators, np.float32),
        none if targets is None else np.asarray(targets, np.float32).reshape(events, -1),
        np.asarray(classes, np.int32),
        np.ones(events) if weights is None else np.asarray(weights, float),
    )


def data_set(training, test, *, analysis="Classification", classes=("Signal", "Background"), spectators=()):
    return DataSet(
        "dataset",
        analysis,
        tuple(variable(f"x{number}") for number in range(training.variables.shape[1])),
        tuple(variable(label) for label in spectators),
        tuple(variable(f"t{number}") for number in range(training.targets.shape[1])),
        ("Regression",) if analysis == "Regression" else tuple(classes),
        training,
        test,
    )


def _columns(name: str, tree: str) -> dict[str, np.ndarray]:
    with uproot.open(hr.data.shipped_file(name)) as file:
        return file[tree].arrays(library="np")


@cache
def class_example(count: int = 1000) -> DataSet:
    """tmva_class_example.root with the variables of TMVA's tutorial, ``count`` training events a class."""
    tables, weights = [], []
    for tree in ("TreeS", "TreeB"):
        c = _columns("tmva_class_example.root", tree)
        rows = (c["var1"] + c["var2"], c["var1"] - c["var2"], c["var3"], c["var4"])
        tables.append(np.stack(rows, axis=1))
        weights.append(c.get("weight", np.ones(len(c["var1"]))))
    return _two_classes(tables, weights, count)


@cache
def higgs(count: int = 2000, high_level: bool = True) -> DataSet:
    """Higgs_data.root with the 7 high-level inputs, or all 28."""
    tables = []
    for tree in ("sig_tree", "bkg_tree"):
        columns = _columns("Higgs_data.root", tree)
        table = np.stack([values for name, values in columns.items() if name != "Type"], axis=1)
        tables.append(table[:, 21:] if high_level else table)
    return _two_classes(tables, [np.ones(len(table)) for table in tables], count)


def _two_classes(tables, weights, count: int) -> DataSet:
    rng = np.random.default_rng(1)
    orders = [rng.permutation(len(table)) for table in tables]

    def part(rows: slice, most: int | None = None) -> Sample:
        chosen = [order[rows][:most] for order in orders]
        values = [table[rows] for table, rows in zip(tables, chosen, strict=True)]
        given = [weight[rows] / weight[rows].mean() for weight, rows in zip(weights, chosen, strict=True)]
        classes = np.repeat([0, 1], [len(rows) for rows in chosen])
        mixed = rng.permutation(len(classes))
        return sample(np.concatenate(values)[mixed], classes[mixed], np.concatenate(given)[mixed])

    return data_set(part(slice(0, count)), part(slice(count, None), 5000))


def quiet() -> Console:
    return Console("test", silent=True)


def response(trained: Trained, data: DataSet, variables=None) -> np.ndarray:
    """Return what ONNX Runtime gives for variables, by default of the test, ``(events, outputs)``."""
    weights = trained.weights
    if isinstance(weights, Network):
        graph = Graph("features")
        result = add_network(graph, "features", weights, _header(data))
        model = graph.model("network", len(data.variables), result, "score", data.outputs)
    else:
        assert isinstance(weights, OwnGraph)
        model = weights.model
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs, outputs = session.get_inputs(), session.get_outputs()
    assert [value.shape[1:] for value in inputs] == [[len(data.variables)]]
    assert [value.shape[1:] for value in outputs] == [[data.outputs]]
    values = data.test.variables if variables is None else np.asarray(variables, np.float32)
    return session.run(None, {inputs[0].name: values})[0]


def _header(data: DataSet) -> Header:
    return Header(
        "MLP", "Tested", data.analysis, {}, {}, data.variables, (), data.classes, data.targets, (4, 2, 1)
    )


def auc(trained: Trained, data: DataSet) -> float:
    """Return the area under the ROC curve of the test, weighted."""
    score = response(trained, data)[:, 0]
    return float(roc_auc_score(data.test.classes == data.signal, score, sample_weight=data.test.weights))
