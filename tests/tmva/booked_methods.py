"""Methods as a Factory books them, on samples of normal distributions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from hepml_root.tmva import training
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet, Sample
from hepml_root.tmva.methods.method import Booking, Method, OwnGraph, Trained
from hepml_root.tmva.methods.registry import method_class
from hepml_root.tmva.options.declaration import parse
from hepml_root.tmva.options.shared import SHARED
from hepml_root.tmva.weights.header import Variable

CLASSES = ("Signal", "Background", "Other")


def variable(name: str) -> Variable:
    return Variable(name, name, "", "", name, "F", -5.0, 5.0)


def normal_data(
    events: int = 400,
    variables: int = 3,
    classes: int = 2,
    seed: int = 1,
    regression: bool = False,
    distance: float = 1.0,
) -> DataSet:
    """Classes whose means are ``distance`` apart in every variable; or a regression of x0² + x1."""
    rng = np.random.default_rng(seed)

    def sample() -> Sample:
        which = np.arange(events, dtype=np.int32) % (1 if regression else classes)
        x = rng.normal(size=(events, variables)) - distance * which[:, None]
        x = x.astype(np.float32)
        target = x[:, :1] ** 2 + x[:, 1:2] if regression else np.zeros((events, 0))
        spectators = np.arange(events, dtype=np.float32)[:, None]
        return Sample(x, spectators, target.astype(np.float32), which, rng.uniform(0.5, 1.5, events))

    names = tuple(variable(f"x{i}") for i in range(variables))
    analysis = "Regression" if regression else "Classification" if classes == 2 else "Multiclass"
    return DataSet(
        "normal", analysis, names, (variable("eventID"),), (variable("t"),) if regression else (),
        ("Regression",) if regression else CLASSES[:classes], sample(), sample(),
    )  # fmt: skip


def booked(type_name: str, options: str, data: DataSet, title: str = "") -> Method:
    """Return a method as BookMethod makes it."""
    kind = method_class(type_name)
    read = parse((*SHARED, *kind.own_options), options, type_name)
    title = title or type_name
    return kind(Booking("job", data.name, title, type_name, read, data.analysis, Path(data.name)))


def trained(type_name: str, options: str, data: DataSet) -> Trained:
    """Return what training gives, its weights as the whole graph."""
    method = booked(type_name, options, data)
    fitted = training.fit(method, data, Console(type_name))
    return Trained(OwnGraph(training.graph(method.booking, data, fitted)), fitted.trained.monitors)


def response(found: Trained, events: np.ndarray) -> np.ndarray:
    """What ONNX Runtime computes of the graph."""
    session = onnxruntime.InferenceSession(found.weights.model.SerializeToString())
    return session.run(None, {"features": np.asarray(events, np.float32)})[0]
