"""From numpy arrays and pandas tables to a dataset: shapes, labels and weights checked one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepml_root.data.columns import Column
from hepml_root.data.finite import check_finite, check_missing_setting
from hepml_root.data.parameters import fill_parameters
from hepml_root.data.representation import Representation
from hepml_root.data.schema import (
    MASKED,
    Block,
    Schema,
    blocks_of,
    mask_of,
    refuse_duplicates,
    signal_class,
)
from hepml_root.data.split import check_seed, integral
from hepml_root.data.weights import check_weights
from hepml_root.errors import EmptySelectionError, SettingError, ShapeError, unknown

if TYPE_CHECKING:
    from hepml_root.data.dataset import Dataset


def from_arrays(
    cls: type[Dataset],
    X: Any,
    labels: ArrayLike | None = None,
    *,
    target: ArrayLike | None = None,
    classes: Sequence[str] | None = None,
    signal: str | None = None,
    columns: Sequence[str | Column] | Mapping[str, Sequence[str | Column]] | None = None,
    representations: Sequence[Representation] = (),
    targets: Sequence[str | Column] | None = None,
    weight: ArrayLike | None = None,
    training_weight: ArrayLike | None = None,
    balance: bool = True,
    spectators: Mapping[str, ArrayLike] | None = None,
    event_number: ArrayLike | None = None,
    units: Mapping[str, str] | None = None,
    missing: str = "error",
    seed: int = 1,
) -> Dataset:
    """Make a dataset from numpy arrays or a pandas table.

    Arguments
    ---------
    X:
        Inputs: (events, features) array; a pandas DataFrame, whose columns give the labels; or a dict
        {block: array} with "features", "parameters", jagged blocks g (events, constituents, features) with
        g + "_mask" (events, constituents), images (events, height, width, channels), and of a graph
        g + "_neighbours" (events, constituents, neighbours), g + "_edges" (events, constituents, neighbours,
        features) and g + "_edges_mask". float32 C-ordered arrays are not copied.
    labels:
        Class of each event, (events,): indices into ``classes``, bool, or names. None for regression.
    target:
        Regression targets, (events,) or (events, targets).
    classes:
        Names of the classes in order. Without it, 0 and 1 are "background" and "signal", more are
        "class_0" …, and names keep the order in which they first appear.
    signal:
        Name of the signal class; else the one called sig…, else the first of ``classes`` that is not called
        background… or bkg….
    columns:
        Labels (or :class:`Column`) of the features; a dict {block: labels} for several blocks.
    representations:
        Those that made some of the blocks, as ``representation(arrays)`` gives them: what the blocks are is
        then known, and models of them can be applied to files.
    targets:
        Labels of the regression targets.
    weight:
        Physics weights, (events,); 1 if None.
    training_weight:
        Weights to train with, (events,), before balancing; the physics weights if None.
    balance:
        Scale the training weights to equal class sums. The mean is brought to 1 in any case.
    spectators:
        {label: (events,) array}.
    event_number:
        Whole numbers that name the events, (events,).
    units:
        {label: unit} of inputs and targets.
    missing:
        "error" refuses NaN in an input, "keep" lets it pass for the Impute transform.
    seed:
        Seed of the draws that fill parameters for classes without any (see :meth:`from_root`).

    Raises
    ------
    ShapeError
        Arrays differ in their number of events, or have the wrong number of axes.
    EmptySelectionError
        There is no event, or a class has none.
    NonFiniteInputError
        An input or target holds NaN or infinity.
    WeightError
        Weights of the wrong length, not finite, or with a zero or negative sum in a class.
    SettingError
        A label is given twice, or a class does not exist.

    Example
    -------
    >>> import numpy as np, hepml_root as hr
    >>> data = hr.Dataset.from_arrays(np.eye(4), np.array([1, 0, 0, 1]), weight=np.array([1, 2, 2, 3.0]))
    >>> data.classes, data.signal, data.task
    (('background', 'signal'), 'signal', 'binary')
    >>> data.training_weight
    array([0.5, 1. , 1. , 1.5], dtype=float32)
    """
    check_missing_setting(missing)
    check_seed(seed)
    if (labels is None) == (target is None):
        raise SettingError("give either labels (classification) or target (regression).")
    units = dict(units or {})
    arrays, blocks = _blocks(X, columns, units, tuple(representations))
    events = len(next(iter(arrays.values())))
    for name, array in arrays.items():
        if len(array) != events:
            raise ShapeError(f"the block '{name}' has {len(array)} events, the first block {events}.")
    if events == 0:
        raise EmptySelectionError("the arrays hold no event.")

    indices: NDArray[np.int32] | None = None
    regression: NDArray[np.float32] | None = None
    names: tuple[str, ...] = ()
    target_columns: tuple[Column, ...] = ()
    if labels is not None:
        indices, names = class_indices(np.asarray(labels), classes)
        if len(indices) != events:
            raise ShapeError(f"{len(indices)} labels were given for {events} events.")
        for index, name in enumerate(names):
            if not (indices == index).any():
                raise EmptySelectionError(f"the class '{name}' has no event.")
    else:
        regression = np.ascontiguousarray(target, dtype=np.float32)
        regression = regression[:, None] if regression.ndim == 1 else regression
        if regression.ndim != 2 or len(regression) != events:
            raise ShapeError(f"the target has shape {regression.shape}, expected ({events}, targets).")
        target_columns = tuple(_columns(targets, regression.shape[1], "target", "target", units))
        check_finite(
            {"target": regression},
            (Block("target", "target", regression.shape[1:], target_columns),),
            "error",
            None,
            (),
        )

    plain = [block for block in blocks if block.representation is None and block.of is None]
    all_labels = [label for block in plain for label in block.labels]
    all_labels += [column.label for column in target_columns] + list(spectators or {})
    refuse_duplicates(all_labels)
    for label in units:
        if label not in all_labels:
            raise SettingError(unknown("column to give units", label, all_labels))

    physics = np.ones(events) if weight is None else np.ascontiguousarray(weight, dtype=np.float64)
    check_weights(physics, events, "the weights")
    base: NDArray[np.float32] | None = None
    if training_weight is not None:
        base = np.ascontiguousarray(training_weight, dtype=np.float32)
        check_weights(base, events, "the training weights")
    kept = {label: np.asarray(values) for label, values in (spectators or {}).items()}
    numbers = None if event_number is None else integral(np.asarray(event_number), "event_number")
    for label, values in (*kept.items(), ("event_number", numbers)):
        if values is not None and values.shape != (events,):
            raise ShapeError(f"'{label}' has shape {values.shape}, expected ({events},).")

    if "parameters" in arrays and indices is not None:
        arrays["parameters"] = fill_parameters(arrays["parameters"], indices, names, physics, seed)
    check_finite(arrays, blocks, missing, indices, names)
    schema = Schema(blocks, names, None if indices is None else signal_class(names, signal), target_columns)
    return cls(
        schema,
        arrays,
        labels=indices,
        regression_target=regression,
        weight=physics,
        training_base=base,
        balanced=balance,
        spectators=kept,
        event_number=numbers,
        provenance={"spectators": tuple(Column(label, label, role="spectator") for label in kept)},
        counts_as_yields=weight is None,
    )


def class_indices(
    labels: NDArray[Any], classes: Sequence[str] | None
) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Turn labels (indices, bool or names) into indices, shape (events,), and the names of the classes.

    Raises
    ------
    ShapeError
        The labels have more than one axis.
    SettingError
        A label is no class.

    Example
    -------
    >>> class_indices(np.array(["b", "a", "b"]), None)
    (array([0, 1, 0], dtype=int32), ('b', 'a'))
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ShapeError(
            f"labels have shape {labels.shape}, expected (events,) with the class of each event."
        )
    if labels.dtype.kind in "UOS":
        texts = labels.astype(str)
        found, first, inverse = np.unique(texts, return_index=True, return_inverse=True)
        if classes is None:
            order = np.argsort(first)
            classes = tuple(str(name) for name in found[order])
            place = np.argsort(order)
        else:
            for name in found:
                if name not in classes:
                    raise SettingError(unknown("class", str(name), classes))
            place = np.array([list(classes).index(name) for name in found])
        refuse_duplicates(classes, "class")
        return place[inverse].astype(np.int32), tuple(classes)
    indices = integral(labels, "labels").astype(np.int32)
    highest = int(indices.max(initial=0))
    if classes is None:
        classes = (
            ("background", "signal") if highest < 2 else [f"class_{index}" for index in range(highest + 1)]
        )
    refuse_duplicates(classes, "class")
    if int(indices.min(initial=0)) < 0 or highest >= len(classes):
        raise SettingError(
            f"labels run from {indices.min()} to {highest}, but there are {len(classes)} classes "
            f"({', '.join(classes)}): labels are indices into `classes`, from 0."
        )
    if len(classes) < 2:
        raise SettingError("classification needs at least two classes.")
    return indices, tuple(classes)


def _blocks(
    X: Any,
    columns: Sequence[str | Column] | Mapping[str, Sequence[str | Column]] | None,
    units: dict[str, str],
    representations: tuple[Representation, ...],
) -> tuple[dict[str, NDArray[Any]], tuple[Block, ...]]:
    """Blocks of inputs as float32 arrays, in the order of the model's inputs, and their description."""
    if hasattr(X, "columns") and hasattr(X, "to_numpy"):  # a pandas DataFrame, without importing pandas
        columns = [str(name) for name in X.columns] if columns is None else columns
        X = X.to_numpy(dtype=np.float32)
    given: dict[str, Any] = dict(X) if isinstance(X, Mapping) else {"features": X}
    per_block = dict(columns) if isinstance(columns, Mapping) else {"features": columns}
    for name in per_block:
        if name not in given and per_block[name] is not None:
            raise SettingError(unknown("block to name columns of", name, given))

    inputs: list[Column] = []
    parameters: list[Column] = []
    others: list[Block] = []
    arrays = {
        block.name: _shaped(given, block)
        for representation in representations
        for block in representation.blocks()
    }
    masks = {mask_of(name) for name in given} & set(given)
    for name, values in given.items():
        if name in masks or name in arrays:
            continue
        kind = _kind(name, values, given)
        array = np.ascontiguousarray(values, dtype=np.float32)
        axes = _AXES[kind]
        if array.ndim != len(axes):
            raise ShapeError(f"the block '{name}' has shape {array.shape}, expected ({', '.join(axes)}).")
        arrays[name] = array
        if kind == "index":
            others.append(Block(name, kind, array.shape[1:]))
            continue
        role = "parameter" if kind == "parameter" else "input"
        prefix = {"features": "x", "parameters": "parameter"}.get(name, name + "_")
        made = _columns(per_block.get(name), array.shape[-1], prefix, role, units)
        if kind in MASKED:
            arrays[mask_of(name)] = _mask(given, name, array.shape[:-1])
        if kind in ("image", "edges"):
            others.append(Block(name, kind, array.shape[1:], tuple(made)))
            if kind == "edges":
                others.append(Block(mask_of(name), "mask", array.shape[1:-1]))
            continue
        if kind == "jagged":
            made = [replace(column, role="input", max_length=array.shape[1], group=name) for column in made]
        (parameters if role == "parameter" else inputs).extend(made)
    made_of = blocks_of(inputs, parameters, representations)
    plain = [block for block in made_of if block.representation is None and block.of is None]
    blocks = (*plain, *others, *made_of[len(plain) :])
    if not blocks:
        raise ShapeError("there is no input: give at least one block with at least one column.")
    return {block.name: arrays[block.name] for block in blocks}, blocks


# Axes of the array of each kind of block.
_AXES = {
    "flat": ("events", "features"),
    "parameter": ("events", "parameters"),
    "jagged": ("events", "constituents", "features"),
    "image": ("events", "height", "width", "channels"),
    "index": ("events", "constituents", "neighbours"),
    "edges": ("events", "constituents", "neighbours", "features"),
}


def _kind(name: str, values: Any, given: Mapping[str, Any]) -> str:
    """Kind of a block, by its name and number of axes."""
    if name in ("features", "parameters"):
        return "flat" if name == "features" else "parameter"
    for end, kind in (("_neighbours", "index"), ("_edges", "edges")):
        if name.endswith(end) and name.removesuffix(end) in given:
            return kind
    return "image" if np.ndim(values) == 4 else "jagged"


def _mask(given: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mask of a block: the one given, else that of no padding."""
    mask = given.get(mask_of(name))
    array = np.ones(shape, dtype=bool) if mask is None else np.asarray(mask).astype(bool, copy=False)
    if array.shape != shape:
        raise ShapeError(f"the mask of '{name}' has shape {array.shape}, expected {shape}.")
    return array


def _shaped(given: Mapping[str, Any], block: Block) -> NDArray[Any]:
    """The array of a block that a representation made, checked."""
    if block.name not in given:
        raise SettingError(
            unknown(
                "block", block.name, given, "A representation that makes it is among representations=[…]."
            )
        )
    array = np.ascontiguousarray(given[block.name], dtype=np.float32)
    if array.shape[1:] != block.shape:
        raise ShapeError(
            f"the block '{block.name}' has shape {array.shape}, its representation makes "
            f"(events, {', '.join(map(str, block.shape))})."
        )
    return array.astype(bool) if block.kind == "mask" else array


def _columns(
    labels: Sequence[str | Column] | None, width: int, prefix: str, role: str, units: Mapping[str, str]
) -> list[Column]:
    if labels is None:
        labels = [prefix if width == 1 and role == "target" else f"{prefix}{index}" for index in range(width)]
    if len(labels) != width:
        raise ShapeError(
            f"{len(labels)} labels were given for {width} columns: {', '.join(map(str, labels))}."
        )
    return [
        label if isinstance(label, Column) else Column(label, label, role=role, units=units.get(label, ""))
        for label in labels
    ]
