"""The output file of a Factory, in TMVA's layout, written by ROOT into the TFile that the user opened."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hepml_root.errors import SettingError, ShapeError
from hepml_root.tmva.data_sets.events import DataSet
from hepml_root.tmva.output.classifier import write_classifier
from hepml_root.tmva.output.classifier_evaluation import ClassifierEvaluation
from hepml_root.tmva.output.monitors import write_monitors
from hepml_root.tmva.output.multiclass import write_multiclass
from hepml_root.tmva.output.regression import write_regression
from hepml_root.tmva.output.results import MethodResult
from hepml_root.tmva.output.root_objects import (
    Branch,
    checked_directory,
    folder,
    keep_text,
    loose_histograms,
    write_tree,
)
from hepml_root.tmva.output.variables import (
    transformed_variables,
    write_correlations,
    write_input_variables,
)


def write_output(
    file: Any,
    data: DataSet,
    results: Sequence[MethodResult],
    transformations: str = "I",
    *,
    evaluations: Mapping[str, ClassifierEvaluation] | None = None,
    variables: bool = True,
) -> dict[str, list[tuple[str, float]]]:
    """Write everything of one dataset: variables, methods, trees.

    In the directory ``<dataset>/``: ``CorrelationMatrixS``, ``…B``; ``InputVariables_<T>/`` for each
    transformation; ``Method_<Type>/<Title>/`` with ``TrainingPath``, ``WeightFileName`` and the histograms of
    the method; ``TestTree`` and ``TrainTree`` with the events and the responses of all methods (of a method
    called like a variable as ``MVA_<Title>``). Objects with the same names are replaced; the file stays open,
    and what else it holds stays.

    Arguments
    ---------
    file
        An open ROOT.TFile, or a directory of one.
    data
        The events.
    results
        Of the methods trained on them, in any order.
    transformations
        The Factory's option ``Transformations``, such as ``I;D;P;G,D``.
    evaluations
        {title: ``ClassifierEvaluation``} where these are there
        already.
    variables
        False leaves out what does not depend on methods, if it was written before.

    Returns
    -------
    dict
        For each transformation the variables with their separations, in falling order (classification).

    Raises
    ------
    SettingError
        ``file`` is no TFile, two methods have one title, or a transformation is not known.
    OutputWriteError
        The file is closed or read-only, or the disk is full.
    ShapeError
        A method has not one response for each event.
    NonFiniteInputError, EmptySelectionError, WeightError
        A response cannot be shown; the message names the method.

    Reference: A. Hoecker et al., TMVA users guide, arXiv:physics/0703039.

    Example
    -------
    >>> import tempfile
    >>> import ROOT
    >>> from hepml_root.tmva.data_sets.events import DataSet, Sample
    >>> from hepml_root.tmva.weights.header import Variable
    >>> empty, values = np.zeros((6, 0), np.float32), np.arange(6, dtype=np.float32)[:, None]
    >>> sample = Sample(values, empty, empty, np.arange(6, dtype=np.int32) % 2, np.ones(6))
    >>> pt = Variable("pt", "pt", "pt", "GeV", "pt", "F", 0.0, 5.0)
    >>> data = DataSet("dataset", "Classification", (pt,), (), (), ("Signal", "Background"), sample, sample)
    >>> file = ROOT.TFile.Open(f"{tempfile.mkdtemp()}/TMVA.root", "RECREATE")
    >>> [(name, round(value, 3)) for name, value in write_output(file, data, [])["Id"]]
    [('pt', 1.0)]
    >>> sorted(key.GetName() for key in file.GetDirectory("dataset").GetListOfKeys())
    ['CorrelationMatrixB', 'CorrelationMatrixS', 'InputVariables_Id', 'TestTree', 'TrainTree']
    >>> file.Close()
    """
    checked_directory(file)
    _check(data, results)
    with loose_histograms():
        parent = folder(file, data.name, f"Base directory for dataset {data.name}")
        separations = {}
        if variables:
            write_correlations(parent, data)
            for transformed in transformed_variables(transformations, data):
                separations[transformed.name] = write_input_variables(parent, data, transformed)
        for result in results:
            _write_method(parent, result, (evaluations or {}).get(result.title))
        for name, sample, part in (("TestTree", data.test, "test"), ("TrainTree", data.training, "training")):
            branches = _branches(data, results, part)
            write_tree(parent, name, branches, class_names=("className", data.classes, sample.classes))
    return separations


def _check(data: DataSet, results: Sequence[MethodResult]) -> None:
    titles = [result.title for result in results]
    if twice := sorted({title for title in titles if titles.count(title) > 1}):
        raise SettingError(f"two methods are called '{twice[0]}': book them with different titles.")
    for result in results:
        for part, sample in (("test", data.test), ("training", data.training)):
            found, wanted = np.shape(getattr(result, part)), (len(sample), data.outputs)
            if found != wanted:
                raise ShapeError(f"'{result.title}' has {part} responses {found}; {wanted} are needed.")


def _write_method(parent: Any, result: MethodResult, evaluation: ClassifierEvaluation | None) -> None:
    title = f"Directory for all {result.type_name} methods"
    directory = folder(folder(parent, f"Method_{result.type_name}", title), result.title)
    keep_text(directory, "TrainingPath", os.getcwd())
    keep_text(directory, "WeightFileName", str(result.weight_file))
    if result.data.analysis == "Classification":
        write_classifier(directory, result, evaluation)
    elif result.data.analysis == "Multiclass":
        write_multiclass(directory, result)
    else:
        write_regression(directory, result)
    write_monitors(directory, result)


def _branches(data: DataSet, results: Sequence[MethodResult], part: str) -> dict[str, Branch]:
    """Columns of a tree in TMVA's order; those of methods follow the alphabet."""
    sample = data.test if part == "test" else data.training
    branches = {"classID": Branch(sample.classes.astype(np.int32))}
    for group, table in (
        (data.variables, sample.variables),
        (data.targets, sample.targets),
        (data.spectators, sample.spectators),
    ):
        for place, variable in enumerate(group):
            branches[variable.internal or variable.label] = Branch(np.asarray(table[:, place], np.float32))
    branches["weight"] = Branch(sample.weights.astype(np.float32))
    responses = {}
    for result in results:
        values = np.asarray(getattr(result, part), np.float32)
        if data.analysis == "Classification":
            responses[result.title] = Branch(values[:, 0])
            probability = getattr(result, f"probability_{part}")
            if probability is not None:
                responses[f"prob_{result.title}"] = Branch(np.asarray(probability, np.float32))
        elif data.analysis == "Multiclass":
            responses[result.title] = Branch(values, data.classes)
        else:
            leaves = tuple(target.internal or target.label for target in data.targets)
            responses[result.title] = Branch(values, leaves)
    # A method called like a variable would hide it.
    named = {name if name not in branches else f"MVA_{name}": values for name, values in responses.items()}
    return branches | {name: named[name] for name in sorted(named)}
