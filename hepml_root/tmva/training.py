"""One method from its booking to its files: transformations, training, weight file, ONNX file, C++ header."""

from __future__ import annotations

import datetime
import platform
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

import hepml_root
from hepml_root.data.feed_library import import_root
from hepml_root.errors import EmptySelectionError, OutputWriteError, UnsupportedOperationError
from hepml_root.export import cpp, parity
from hepml_root.inference.session import Session
from hepml_root.output import writing
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet, Sample
from hepml_root.tmva.data_sets.fitting import fit_transformations, transform, transform_data
from hepml_root.tmva.methods.method import Booking, Method, OwnGraph, Trained
from hepml_root.tmva.options.in_files import file_options
from hepml_root.tmva.weights import conversion
from hepml_root.tmva.weights.cuts import Cuts
from hepml_root.tmva.weights.header import Header
from hepml_root.tmva.weights.mva_pdfs import fit_mva_pdfs
from hepml_root.tmva.weights.pdf import Pdf
from hepml_root.tmva.weights.transformations import Transformation
from hepml_root.tmva.weights.weights_writer import write_weights
from hepml_root.tmva.weights.weights_xml import WeightFile

# What the files say that they can be read by: TMVA refuses files of a later release than its own.
RELEASE = "4.2.1 [262657]"
_BLOCK = 4096  # events; nearest neighbours have a distance to each training event for each of them


@dataclass(frozen=True)
class Fitted:
    """A trained method: transformations of its variables, what training gave, and how long it took.

    With CreateMVAPdfs, and after :func:`write`, also the densities of its response (signal, background).
    """

    transformations: tuple[Transformation, ...]
    trained: Trained
    seconds: float
    mva_pdfs: tuple[Pdf, Pdf] | None = None


@dataclass(frozen=True)
class Files:
    """Where a method was written to; ``model`` is None for cuts, which are one model for each efficiency."""

    weights: Path
    model: Path | None
    header: Path | None


def fit(method: Method, data: DataSet, console: Console) -> Fitted:
    """Fit the transformations of a method, and train it.

    Raises
    ------
    EmptySelectionError
        No training event is left without those of negative weights.
    SettingError
        VarTransform cannot be read.
    """
    start = time.perf_counter()
    training = data.training
    if method.options["IgnoreNegWeightsInTraining"]:
        training = training.take(training.weights >= 0)
        if not len(training):
            raise EmptySelectionError(f"'{method.booking.title}': all training events have negative weights.")
        console.line(
            f"{len(data.training) - len(training)} training events with negative weights are left out."
        )
    data = replace(data, training=training)
    transformations = fit_transformations(str(method.options["VarTransform"]), data)
    if transformations:
        if method.transforms_by_class:
            samples = {}
            for what in ("training", "test"):
                sample = getattr(data, what)
                variables = sample.variables.copy()
                for number in range(len(data.classes)):
                    chosen = sample.classes == number
                    variables[chosen] = transform(transformations, variables[chosen], number)
                samples[what] = sample.with_variables(variables)
            data = replace(data, **samples)
        else:
            data = transform_data(transformations, data)
    trained = method.train(data, console)
    return Fitted(transformations, trained, time.perf_counter() - start)


def with_mva_pdfs(booking: Booking, data: DataSet, fitted: Fitted) -> Fitted:
    """Return the same with densities of the response to training events, if CreateMVAPdfs asks for them."""
    asked = booking.options["CreateMVAPdfs"] and data.analysis == "Classification"
    if not asked or isinstance(fitted.trained.weights, Cuts):
        return fitted
    events = data.training
    answers = graph_responses(graph(booking, data, fitted), inputs(fitted, events))[:, 0]
    signal = events.classes == data.signal
    return replace(
        fitted, mva_pdfs=fit_mva_pdfs(answers, signal, events.weights, booking.options, booking.title)
    )


def graph(booking: Booking, data: DataSet, fitted: Fitted) -> onnx.ModelProto:
    """Return the graph of a trained method, transformations of the variables included."""
    return conversion.emit(_weight_file(booking, data, fitted))


def graph_responses(model: onnx.ModelProto, events: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a graph answers ``(events, outputs)`` to its inputs ``(events, columns)``, in blocks."""
    predict = parity.onnxruntime_predict(model, [conversion.INPUT])
    blocks = [
        predict({conversion.INPUT: events[first : first + _BLOCK]})[0]
        for first in range(0, max(len(events), 1), _BLOCK)
    ]
    found: NDArray[np.float32] = np.concatenate(blocks)
    return found


def inputs(fitted: Fitted, sample: Sample) -> NDArray[np.float32]:
    """Return the columns of events that a trained method takes: variables, and spectators it looks at."""
    weights = fitted.trained.weights
    if not isinstance(weights, OwnGraph) or not weights.spectators:
        return sample.variables
    return np.hstack([sample.variables, sample.spectators[:, list(weights.spectators)]])


def _weight_file(booking: Booking, data: DataSet, fitted: Fitted) -> WeightFile:
    path = booking.folder / f"{booking.job}_{booking.title}.weights.xml"
    header = _header(booking, data, fitted)
    return WeightFile(path, header, fitted.transformations, fitted.trained.weights, fitted.mva_pdfs)


def write(booking: Booking, data: DataSet, fitted: Fitted) -> Files:
    """Write weight file, ONNX file and C++ header of a trained method; older ones are replaced.

    Raises
    ------
    OutputWriteError
        The folder cannot be written.
    ParityError, ModelFileError
        The method's answers are no finite numbers, or runtimes differ.
    """
    stem = f"{booking.job}_{booking.title}"
    weights = _weight_file(booking, data, fitted)
    path, model = weights.path, booking.folder / f"{stem}.onnx"
    own = isinstance(fitted.trained.weights, OwnGraph)
    try:
        model.unlink(missing_ok=True)
    except OSError as error:
        raise OutputWriteError(f"cannot write '{model}': {error.strerror or error}.") from error
    write_weights(weights, path, overwrite=True)
    if isinstance(fitted.trained.weights, Cuts):
        return Files(path, None, None)
    try:
        conversion.write(
            weights, model, signal_efficiency=None, events=inputs(fitted, data.training), overwrite=True,
            points=None, generated=(),
        )  # fmt: skip
    except BaseException:
        if own:  # it would name a model that is not there
            path.unlink(missing_ok=True)
        raise
    keras_file = fitted.trained.weights.keras_file if isinstance(fitted.trained.weights, OwnGraph) else None
    if keras_file is not None and Path(keras_file).parent.resolve() != booking.folder.resolve():
        with writing(booking.folder / f"{stem}.keras", True) as temporary:
            shutil.copyfile(keras_file, temporary)
    return Files(path, model, _cpp_header(model, stem))


def _cpp_header(model: Path, stem: str) -> Path | None:
    """Write ``<Job>_<Title>.hxx``, what TMVA writes its ``.class.C`` for."""
    try:
        return cpp.generate(model, cpp.identifier(stem)).save(model.parent, overwrite=True)
    except UnsupportedOperationError:
        return None  # an operator that only ONNX Runtime has


def _header(booking: Booking, data: DataSet, fitted: Fitted) -> Header:
    root = import_root()
    info: Mapping[str, str] = {
        "TMVA Release": RELEASE,
        "ROOT Release": f"{root.gROOT.GetVersion()} [{root.gROOT.GetVersionInt()}]",
        "Creator": f"hepml_root {hepml_root.__version__}",
        "Date": datetime.datetime.now().strftime("%a %b %d %H:%M:%S %Y"),
        "Host": f"{platform.system()} {platform.machine()}",
        "Dir": ".",
        "Training events": str(len(data.training)),
        "TrainingTime": f"{fitted.seconds:.8e}",
        "AnalysisType": data.analysis,
    }
    return Header(
        booking.type_name, booking.title, data.analysis, info,
        file_options(booking.type_name, booking.options, len(data.variables)),
        data.variables, data.spectators, data.classes, data.targets, (4, 2, 1),
    )  # fmt: skip


def responses(model: Path, events: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a model file answers ``(events, outputs)`` to its inputs ``(events, columns)``."""
    session = Session(model, engine="onnxruntime")
    parts = [
        np.asarray(session.infer(events[first : first + _BLOCK]))
        for first in range(0, max(len(events), 1), _BLOCK)
    ]
    found: NDArray[np.float32] = np.concatenate(parts).reshape(len(events), -1)
    return found
