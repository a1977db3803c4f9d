"""Transformations of variables (the option VarTransform) fitted on training events.

``"D,G,N"`` is a chain: each step is fitted on what the one before it gives. ``D_Background`` takes the
events of one class, ``N(_V0_,_V2_)`` or ``N(pt,eta)`` some variables. Every step is fitted for each class,
too, and for all together, as weight files have it; what is applied is the last of these sets, so that of a
step with a class is the set of this class.

    I   nothing
    N   ranges to −1 … 1 (in a regression of the targets, too)
    D   inverse square root of the weighted covariance
    P   principal components (of events without weights, as in TMVA)
    U   cumulative distribution: uniform
    G   the same, then the quantile of a Gaussian
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from hepml_root.errors import EmptySelectionError, SettingError, UnsupportedOperationError, unknown
from hepml_root.tmva.data_sets.events import DataSet, Sample
from hepml_root.tmva.weights.cumulative import cumulative_distribution
from hepml_root.tmva.weights.graph import Graph
from hepml_root.tmva.weights.transformations import ALL_CLASSES, Transformation, add_transformations

_KINDS = {
    "I": "Identity", "Ident": "Identity", "Identity": "Identity",
    "D": "Decorrelation", "Deco": "Decorrelation", "Decorrelate": "Decorrelation",
    "P": "PCA", "PCA": "PCA",
    "U": "Uniform", "Uniform": "Uniform",
    "G": "Gauss", "Gauss": "Gauss",
    "N": "Normalize", "Norm": "Normalize", "Normalise": "Normalize", "Normalize": "Normalize",
}  # fmt: skip
T = TypeVar("T")
_SINGULAR = 1e-14  # smallest eigenvalue of correlations, relative to 1, that is none of rounding


@dataclass(frozen=True)
class _Step:
    """One step of a chain: what it is, its class (None: all), the positions of variables, and targets."""

    text: str
    kind: str
    which: int | None
    variables: tuple[int, ...]
    targets: tuple[int, ...]


def fit_transformations(spec: str, data: DataSet) -> tuple[Transformation, ...]:
    """Fit the transformations of an option VarTransform on the training events.

    Arguments
    ---------
    spec
        TMVA's string: ``N``, ``D,G,N``, ``D_Background,P_Signal,G,N_AllClasses``, ``N(_V0_,_V2_)``; ``None``.
    data
        Training events with weights and classes.

    Returns
    -------
    tuple
        What :func:`transform` applies, and weight files hold; identities are left out.

    Raises
    ------
    SettingError
        A transformation, class or variable does not exist; a variable is constant, or variables depend on
        each other linearly, so that they cannot be transformed.
    EmptySelectionError
        A class has no training events.
    UnsupportedOperationError
        Spectators, or targets otherwise than by N: no weight file could take that back.

    Reference: A. Hoecker et al., TMVA users guide, arXiv:physics/0703039, section 4.

    Example
    -------
    >>> from hepml_root.tmva.weights.header import Variable
    >>> x = np.float32([[0, 1], [4, 2], [2, 7]])
    >>> sample = Sample(x, x[:, :0], x[:, :0], np.int32([0, 1, 1]), np.ones(3))
    >>> variables = tuple(Variable(name, name, "", "", name, "F", None, None) for name in "xy")
    >>> data = DataSet("data", "Classification", variables, (), (), ("Signal", "Background"), sample, sample)
    >>> (normalize,) = fit_transformations("N", data)
    >>> values = transform([normalize], data.training.variables)
    >>> values.min(axis=0).tolist(), values.max(axis=0).tolist()
    ([-1.0, -1.0], [1.0, 1.0])
    """
    steps = _parse(spec, data)
    variables = np.asarray(data.training.variables, np.float32)
    for index, name in enumerate(data.classes):
        if len(data.classes) > 1 and not (data.training.classes == index).any():
            raise EmptySelectionError(f"class '{name}' has no training events to fit VarTransform={spec} on.")
    if not len(data.training):
        raise EmptySelectionError(f"there are no training events to fit VarTransform={spec} on.")
    found: list[Transformation] = []
    for step in steps:
        fitted = _fit(step, variables, data, first_of_targets=not any(entry.targets for entry in found))
        found.append(fitted)
        variables = transform([fitted], variables)
    return tuple(found)


def transform(
    transformations: Sequence[Transformation], variables: NDArray[np.generic], which: int = ALL_CLASSES
) -> NDArray[np.float32]:
    """Apply transformations, with the graph that exported files have.

    Arguments
    ---------
    transformations
        Fitted, or read from a weight file.
    variables
        ``(events, variables)``.
    which
        Index of a class, or all of them: what TMVA takes for every method but Likelihood.

    Returns
    -------
    array
        ``(events, variables)``, float32.
    """
    values = np.ascontiguousarray(variables, np.float32)
    if not transformations or not len(values):
        return values
    graph = Graph("features")
    columns = values.shape[1]
    result = add_transformations(graph, "features", transformations, columns, which)
    model = graph.model("transformations", columns, result, "transformed", columns)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"features": values})[0], np.float32)


def transform_data(transformations: Sequence[Transformation], data: DataSet) -> DataSet:
    """Return the events with transformed variables, and in a regression targets.

    The graph of a weight file takes the targets back by itself.
    """

    def sample(events: Sample) -> Sample:
        changed = events.with_variables(transform(transformations, events.variables))
        return replace(changed, targets=_targets(transformations, events.targets))

    return replace(data, training=sample(data.training), test=sample(data.test))


def _targets(transformations: Sequence[Transformation], targets: NDArray[np.float32]) -> NDArray[np.float32]:
    values = np.array(targets, np.float32)
    for transformation in transformations:
        for position, place in transformation.targets:
            low, high = (np.float32(end) for end in transformation.ranges[-1][place])
            scale = np.float32(1.0 / float(high - low))
            values[:, position] = (values[:, position] - low) * scale * np.float32(2) - np.float32(1)
    return values


# ---- reading the string ----------------------------------------------------------------------------------


def _parse(spec: str, data: DataSet) -> list[_Step]:
    steps = []
    for text in _split(spec):
        head, bracket, inside = text.partition("(")
        if bracket and not inside.endswith(")"):
            raise SettingError(f"VarTransform={spec}: the bracket of '{text}' is not closed.")
        name, _, class_name = head.strip().partition("_")
        if name not in _KINDS:
            raise SettingError(
                unknown("transformation", name, ("I", "D", "P", "U", "G", "N"), f"VarTransform={spec}.")
            )
        kind = _KINDS[name]
        which = None
        if class_name and class_name != "AllClasses":
            if class_name not in data.classes:
                raise SettingError(
                    f"VarTransform={spec}: " + unknown("class", class_name, (*data.classes, "AllClasses"))
                )
            which = data.classes.index(class_name)
        # TMVA's own choice: N and U take the targets along.
        chosen = inside[:-1] if bracket else "_V_,_T_" if kind in ("Normalize", "Uniform") else "_V_"
        variables, targets = _selected(chosen, data, spec)
        if targets and kind not in ("Normalize", "Identity"):
            raise UnsupportedOperationError(
                f"VarTransform={spec}: the targets cannot go through '{text}', which no weight file can take "
                f"back. Take N for them, or transform the variables alone: {name}(_V_)."
            )
        if kind != "Identity":
            steps.append(_Step(text, kind, which, variables, targets))
    return steps


def _split(spec: str) -> list[str]:
    """Split at commas and plus signs that are in no bracket."""
    if spec.strip() in ("", "None"):
        return []
    parts, depth = [""], 0
    for letter in spec:
        depth += (letter == "(") - (letter == ")")
        if letter in ",+" and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _selected(text: str, data: DataSet, spec: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return positions of variables and targets, each ascending, as TMVA sorts them."""
    chosen: dict[str, set[int]] = {"V": set(), "T": set()}
    groups = {"V": data.variables, "T": data.targets}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        kind, number = part.strip("_")[:1], part.strip("_")[1:]
        if (
            part.startswith("_")
            and part.endswith("_")
            and kind in groups
            and (not number or number.isdigit())
        ):
            count = len(groups[kind])
            if number and int(number) >= count:
                raise SettingError(f"VarTransform={spec}: '{part}', but there are {count}, counted from 0.")
            chosen[kind] |= {int(number)} if number else set(range(count))
            continue
        if part.startswith("_") and part.endswith("_"):
            raise UnsupportedOperationError(
                f"VarTransform={spec}: '{part}'; variables (_V_, _V2_, or their names) and targets (_T_) can "
                "be transformed."
            )
        places = [
            (group, place)
            for group, entries in groups.items()
            for place, entry in enumerate(entries)
            if part in (entry.label, entry.expression)
        ]
        if not places:
            names = [entry.label for entries in groups.values() for entry in entries]
            raise SettingError(f"VarTransform={spec}: {unknown('variable', part, names)}")
        chosen[places[0][0]].add(places[0][1])
    if not chosen["V"] and not chosen["T"]:
        raise SettingError(f"VarTransform={spec}: '({text})' chooses nothing.")
    return tuple(sorted(chosen["V"])), tuple(sorted(chosen["T"]))


# ---- fitting ---------------------------------------------------------------------------------------------


def _fit(
    step: _Step, variables: NDArray[np.float32], data: DataSet, first_of_targets: bool
) -> Transformation:
    """Fit one step on what the steps before have made of the variables."""
    # A second normalisation would find the targets between -1 and 1.
    targets = step.targets if first_of_targets else ()
    chosen = variables[:, list(step.variables)]
    labels = [data.variables[i].label for i in step.variables] + [data.targets[i].label for i in targets]
    weights = data.training.weights
    classes = len(data.classes)
    masks = [data.training.classes == index for index in range(classes)] if classes > 1 else []
    masks.append(np.ones(len(weights), bool))
    base = Transformation(
        step.kind,
        step.variables,
        step.variables,
        tuple((position, len(step.variables) + i) for i, position in enumerate(targets)),
    )
    if step.kind == "Normalize":
        inputs = np.concatenate([chosen, data.training.targets[:, list(targets)]], axis=1)
        everywhere = _range(inputs)
        _refuse_constant(step, everywhere, labels)
        return replace(base, ranges=_referred(step, [_range(inputs[mask], everywhere) for mask in masks]))
    values = chosen.astype(np.float64)
    _refuse_constant(step, _range(values), labels)
    if step.kind == "Decorrelation":
        return replace(base, matrices=_referred(step, _roots(step, values, weights, masks, labels)))
    if step.kind == "PCA":
        if len(step.variables) < 2:
            raise SettingError(f"VarTransform, '{step.text}': principal components need two variables.")
        pairs = [_principal_components(values[mask]) for mask in masks]
        return replace(
            base,
            matrices=_referred(step, [vectors for vectors, _ in pairs]),
            means=_referred(step, [mean for _, mean in pairs]),
        )
    sets = []
    for number, mask in enumerate(masks):
        pdfs = (
            cumulative_distribution(
                chosen[mask, i], weights[mask], f"Var{i}", number, f"'{step.text}' of '{labels[i]}'"
            )
            for i in range(len(step.variables))
        )
        sets.append(tuple(pdfs))
    return replace(base, cumulative=_referred(step, sets))


def _roots(
    step: _Step,
    values: NDArray[np.float64],
    weights: NDArray[np.float64],
    masks: Sequence[NDArray[np.bool_]],
    labels: Sequence[str],
) -> list[NDArray[np.float64]]:
    """Return the matrix of each class, and that of all of them; of classes that have none the latter."""
    matrices = [_inverse_root(_covariance(values[mask], weights[mask])) for mask in masks]
    together = matrices[-1]
    if together is None or matrices[-1 if step.which is None else step.which] is None:
        raise SettingError(
            f"VarTransform, '{step.text}': the covariance of {', '.join(labels)} is singular or negative: a "
            "variable is a linear function of others, or weights are negative. Leave it out."
        )
    return [together if matrix is None else matrix for matrix in matrices]


def _referred(step: _Step, sets: list[T]) -> tuple[T, ...]:
    """Return the sets with that of the class that the step names in the last place, which is applied."""
    return tuple(sets) if step.which is None or len(sets) == 1 else (*sets[:-1], sets[step.which])


def _range(values: NDArray[np.generic], instead: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return minima and maxima ``(variables, 2)``; ``instead`` of what is constant."""
    found = np.stack([values.min(axis=0), values.max(axis=0)], axis=1).astype(np.float64)
    if instead is not None:
        constant = found[:, 0] >= found[:, 1]
        found[constant] = instead[constant]
    return found


def _refuse_constant(step: _Step, ranges: NDArray[np.float64], labels: Sequence[str]) -> None:
    for label, (low, high) in zip(labels, ranges, strict=True):
        if not np.isfinite([low, high]).all():
            raise SettingError(f"VarTransform, '{step.text}': '{label}' holds NaN or infinity.")
        if not low < high:
            raise SettingError(
                f"VarTransform, '{step.text}': '{label}' is {low:g} in all training events. Leave it out."
            )


def _covariance(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    total = weights.sum()
    mean = weights @ values / total
    centred = values - mean
    return (centred * weights[:, None]).T @ centred / total


def _inverse_root(covariance: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the symmetric inverse square root of a matrix; None where it has none."""
    scale = np.sqrt(np.diag(covariance))
    if not np.isfinite(scale).all() or not (scale > 0).all():
        return None
    if np.linalg.eigvalsh(covariance / np.outer(scale, scale))[0] < _SINGULAR:
        return None
    sizes, vectors = np.linalg.eigh(covariance)
    if not (sizes > 0).all():
        return None
    return (vectors / np.sqrt(sizes)) @ vectors.T


def _principal_components(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return eigenvectors as columns, that of the largest eigenvalue first, and the mean."""
    mean = values.mean(axis=0)
    centred = values - mean
    _, vectors = np.linalg.eigh(centred.T @ centred / len(values))
    vectors = vectors[:, ::-1]
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0)
    return vectors * np.where(largest < 0, -1.0, 1.0), mean
