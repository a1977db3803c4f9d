"""Small data sets and results of methods, made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepml_root.tmva.data_sets.events import DataSet, Sample
from hepml_root.tmva.output.results import MethodResult
from hepml_root.tmva.weights.header import Variable


def variable(name: str, *, unit: str = "", kind: str = "F", title: str = "") -> Variable:
    label, _, expression = name.partition(":=")
    return Variable(
        (expression or label).strip(),
        label.strip(),
        title or label.strip(),
        unit,
        label.strip(),
        kind,
        None,
        None,
    )


def sample(
    variables: Any, classes: Any, weights: Any = None, targets: Any = None, spectators: Any = None
) -> Sample:
    table = np.asarray(variables, np.float32)
    nothing = np.zeros((len(table), 0), np.float32)
    return Sample(
        table,
        nothing if spectators is None else np.asarray(spectators, np.float32),
        nothing if targets is None else np.asarray(targets, np.float32),
        np.asarray(classes, np.int32),
        np.ones(len(table)) if weights is None else np.asarray(weights, np.float64),
    )


def data_set(
    training: Sample,
    test: Sample,
    variables: Sequence[Variable],
    *,
    analysis: str = "Classification",
    classes: Sequence[str] = ("Signal", "Background"),
    targets: Sequence[Variable] = (),
    spectators: Sequence[Variable] = (),
) -> DataSet:
    return DataSet(
        "dataset",
        analysis,
        tuple(variables),
        tuple(spectators),
        tuple(targets),
        tuple(classes),
        training,
        test,
    )


def result(
    data: DataSet,
    test: Any,
    training: Any,
    *,
    title: str = "BDT",
    type_name: str = "BDT",
    weight_file: Path | str = "dataset/weights/none.weights.xml",
    monitors: Mapping[str, Mapping[str, Any]] | None = None,
    **more: Any,
) -> MethodResult:
    def columns(values: Any) -> Any:
        table = np.asarray(values, np.float32)
        return table[:, None] if table.ndim == 1 else table

    return MethodResult(
        type_name, title, data, Path(weight_file), Path("none.onnx"), columns(training), columns(test), 0.5,
        monitors or {}, **more,
    )  # fmt: skip


def gaussian_classes(events: int, seed: int, variables: int = 2, weighted: bool = True) -> Sample:
    """Signal around +½ and background around −½ in all variables, with weights of 1 and about 2."""
    generator = np.random.default_rng(seed)
    classes = np.arange(events) % 2
    centres = np.where(classes == 0, 0.5, -0.5)[:, None]
    table = generator.normal(centres, 1.0, (events, variables)).astype(np.float32)
    weights = np.where(classes == 0, 1.0, generator.uniform(1.0, 3.0, events)) if weighted else None
    return sample(table, classes, weights, spectators=table[:, :1] * 2)
