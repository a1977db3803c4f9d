"""From ROOT files and data frames to a dataset, in memory or lazy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.columns import Column
from hepml_root.data.finite import check_finite
from hepml_root.data.parameters import fill_parameters
from hepml_root.data.represented_inputs import count_losses
from hepml_root.data.schema import Block, mask_of
from hepml_root.data.split import integral
from hepml_root.data.weights import check_weights
from hepml_root.errors import EmptySelectionError

if TYPE_CHECKING:
    from hepml_root.data.dataset import Dataset
    from hepml_root.data.feed import Rows
    from hepml_root.data.recipe import Need, Part, Recipe
    from hepml_root.data.representation import Representation


def from_root(
    cls: type[Dataset],
    sources: Any,
    inputs: Sequence[str | Column | Representation],
    *,
    targets: Sequence[str | Column] = (),
    parameters: Sequence[str | Column] | Mapping[str, Any] = (),
    weight: str | Mapping[str, str | None] | None = None,
    training_weight: str | Mapping[str, str | None] | None = None,
    spectators: Sequence[str | Column] = (),
    event_number: str | Column | None = None,
    cut: str | Mapping[str, str | None] | None = None,
    units: Mapping[str, str] | None = None,
    max_length: int | Mapping[str, int] | None = None,
    cross_section: float | Mapping[str, float | None] | None = None,
    luminosity: float | None = None,
    generated: float | Mapping[str, float | None] | None = None,
    signal: str | None = None,
    missing: str = "error",
    max_events: int | None = None,
    threads: int | None = None,
    balance: bool = True,
    seed: int = 1,
    lazy: bool = False,
) -> Any:
    """Read a dataset from ROOT files, trees, RNTuples or RDataFrame nodes.

    Formula of the physics weight: w = wᵢ · σ · L · 1000 / G, with wᵢ the ``weight`` expression, σ the cross
    section in pb, L the luminosity in 1/fb, and G the sum of weights of all generated events before any cut;
    w = wᵢ without a cross section, and 1 without a weight.

    Arguments
    ---------
    sources:
        {class: source} for classification, in the order of the classes; one source with ``targets`` for
        regression. A source is a file ("f.root:tree"), a glob, a list of files, a TTree or TChain, an
        RDataFrame node, or a :class:`Source`. A list of Sources or nodes makes one class of several
        processes, each with its own cut, weight and cross section.
    inputs:
        What the network sees: columns ("name", "label := expression", or :class:`Column`), and
        representations of jagged columns (``hr.representations.constituents(…)``), any number of each.
    targets:
        Columns to predict (regression).
    parameters:
        Inputs of a parameterised network (arXiv:1601.07913): columns as in ``inputs``, or
        {label: {class: expression or None}}. Classes with None get values drawn, with ``seed``, from the
        weighted distribution of the others.
    weight:
        Expression of the events' weights, for all classes or {class: expression}.
    training_weight:
        Expression of weights to train with instead of the physics weights; no σ·L enters these.
    spectators:
        Columns that are kept beside the inputs, as float64, int64 or uint64.
    event_number:
        Column of whole numbers that name the events, to split by.
    cut:
        Only events for which this expression is true are read; for all classes or {class: expression}. It is
        joined with the cut of a Source.
    units:
        {label: unit} of inputs, targets and spectators.
    max_length:
        Number of values kept of plain jagged columns: one for all, or {label or group: number}.
        Representations have lengths of their own.
    cross_section:
        In pb, {class: σ}; None for a class whose weights are normalised already. Needs ``luminosity``. The
        processes of a class of several have theirs in their Sources.
    luminosity:
        Integrated luminosity in 1/fb.
    generated:
        G, {class: number}; the sum of weights of the whole source before any cut if it is not given. A data
        frame with Filters needs it.
    signal:
        Name of the signal class; else the class called sig…, else the first not called background… or bkg….
    missing:
        "error" refuses NaN in an input, "keep" lets it pass for the Impute transform. Infinity is always
        refused, and so is NaN in what a representation reads: a sum over constituents has no value then that
        could be imputed.
    max_events:
        At most this many events of each source, the first ones. Their weights are not scaled up: the yields
        are those of the events read.
    threads:
        Threads of the feed.
    balance:
        Scale the training weights to equal class sums. The mean is brought to 1 in any case.
    seed:
        Seed of the drawn parameters.
    lazy:
        Read nothing yet: gives a :class:`hepml_root.data.LazyDataset`, to ``split`` and to ``stream``.

    Returns
    -------
    A :class:`Dataset` with the classes one after the other, in the order of the files; or a LazyDataset. What
    representations left out (constituents truncated or dropped, events without any) is counted for each
    class in ``provenance["representations"]``, and printed.

    Raises
    ------
    SourceNotFoundError, CorruptFileError
        A file or tree does not exist, or is damaged.
    ColumnNotFoundError, ColumnTypeError, ExpressionError
        A column does not exist, is no number, does not compile, or has one value per event where a
        representation needs several (or the other way round).
    ShapeError
        Jagged columns that belong together have different numbers of values in an event.
    EmptySelectionError
        A class has no event after its cut.
    NonFiniteInputError
        An input, parameter or target holds NaN or infinity.
    WeightError
        Weights are not finite, or have a zero or negative sum in a class.
    SettingError
        A label is given twice, a class does not exist, or settings contradict one another.

    Example
    -------
    >>> import hepml_root as hr
    >>> higgs = hr.data.shipped_file("Higgs_data.root")
    >>> data = hr.Dataset.from_root(
    ...     {"signal": f"{higgs}:sig_tree", "background": f"{higgs}:bkg_tree"},
    ...     inputs=["m_bb", "jet1_b-tag", "dphi := abs(lepton_phi - jet1_phi)"],
    ...     spectators=["m_wwbb"], cut="lepton_pT > 1")
    >>> print(data)
    7709 events for binary; inputs: features (3,)
    class       events  sum of weights     ±  negative  effective events
    signal        3712            3712  60.9     0.0 %            3712.0
    background    3997            3997  63.2     0.0 %            3997.0
    effective events in training: 7698.5
    """
    from hepml_root.data.recipe import resolve

    recipe = resolve(
        sources,
        inputs,
        targets=targets,
        parameters=parameters,
        weight=weight,
        training_weight=training_weight,
        spectators=spectators,
        event_number=event_number,
        cut=cut,
        units=units,
        max_length=max_length,
        cross_section=cross_section,
        luminosity=luminosity,
        generated=generated,
        signal=signal,
        missing=missing,
        max_events=max_events,
        threads=threads,
        balance=balance,
        seed=seed,
    )
    if lazy:
        from hepml_root.data.lazy import LazyDataset

        return LazyDataset(recipe)
    return read_dataset(cls, recipe)


def read_dataset(cls: type[Dataset], recipe: Recipe) -> Dataset:
    """Read all of a recipe into memory."""
    from hepml_root.data.feed import read

    requests = [(part.frame, recipe.request(part)) for part in recipe.parts]
    rows, counts = read(requests, threads=recipe.threads, max_events=recipe.max_events)
    refuse_empty(recipe, counts)
    arrays = assemble(recipe, recipe.parts, rows, counts)
    provenance = recipe.provenance()
    if arrays.losses:
        provenance["representations"] = count_losses(arrays.losses, arrays.labels, recipe.schema.classes)
    if arrays.labels is not None and "parameters" in arrays.X:
        arrays.X["parameters"] = fill_parameters(
            arrays.X["parameters"], arrays.labels, recipe.schema.classes, arrays.weight, recipe.seed
        )
        check(recipe, arrays, kind="parameter")
    return cls(
        recipe.schema,
        arrays.X,
        labels=arrays.labels,
        regression_target=arrays.regression_target,
        weight=arrays.weight,
        training_base=arrays.training_base,
        balanced=recipe.balance,
        spectators=arrays.spectators,
        event_number=arrays.event_number,
        provenance=provenance,
        counts_as_yields=recipe.counts_as_yields,
    )


def refuse_empty(recipe: Recipe, counts: Sequence[int]) -> None:
    """Raise EmptySelectionError if a class has no event."""
    for name in recipe.schema.classes or ("all events",):
        of_class = [part for part in recipe.parts if part.class_name == name]
        if sum(count for part, count in zip(recipe.parts, counts, strict=True) if part.class_name == name):
            continue
        where = ", ".join(part.frame.name for part in of_class)
        cuts = sorted({part.cut for part in of_class if part.cut})
        reason = (
            f"no event passes the cut {' or '.join(repr(cut) for cut in cuts)}"
            if cuts
            else "there is no event"
        )
        who = f"the class '{name}'" if recipe.schema.classes else "the selection"
        raise EmptySelectionError(f"{who} is empty: {reason} in {where}. Loosen the cut or check the source.")


@dataclass
class Arrays:
    """Events of one or several parts, in the arrays of a dataset."""

    X: dict[str, NDArray[Any]]
    labels: NDArray[np.int32] | None
    regression_target: NDArray[np.float32] | None
    weight: NDArray[np.float64]
    training_base: NDArray[np.float64] | None
    spectators: dict[str, NDArray[Any]]
    event_number: NDArray[np.integer[Any]] | None
    losses: dict[str, NDArray[np.uint32]] = field(default_factory=dict)

    def take(self, rows: NDArray[np.intp]) -> Arrays:
        """Some of the events."""
        return self._each(lambda array: array[rows])

    def empty(self, events: int) -> Arrays:
        """Arrays like these for another number of events, not filled."""
        return self._each(lambda array: np.empty((events, *array.shape[1:]), dtype=array.dtype))

    def put(self, first: int, events: Arrays) -> int:
        """Write ``events`` from position ``first`` on; return the position after them."""
        last = first + len(events.weight)
        for name, value in vars(events).items():
            own = getattr(self, name)
            for key in value if isinstance(value, dict) else ():
                own[key][first:last] = value[key]
            if value is not None and not isinstance(value, dict):
                own[first:last] = value
        return last

    def _each(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Arrays:
        def of(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: change(array) for name, array in value.items()}
            return None if value is None else change(value)

        return Arrays(**{name: of(value) for name, value in vars(self).items()})


def assemble(
    recipe: Recipe,
    parts: Sequence[Part],
    rows: Rows,
    counts: Sequence[int],
    first_entry: int = 0,
    needs: Sequence[Need] | None = None,
) -> Arrays:
    """Sort the rows of some parts into the arrays of a dataset, and check that they are finite.

    Parameters are left NaN where they are to be drawn. Nothing large is copied: the feed's matrix is the
    features block.

    Arguments
    ---------
    recipe, parts:
        What was read.
    rows, counts:
        The rows, part after part, and how many each part has.
    first_entry:
        Position of the first row in its part, for messages.
    needs:
        What was read exactly, if not all of ``recipe.needs``.
    """
    from hepml_root.data.recipe import EVENT_NUMBER, TRAINING_WEIGHT, WEIGHT

    events = len(rows)
    exact = dict(zip(recipe.needs if needs is None else needs, rows.exact.values(), strict=True))
    X: dict[str, NDArray[Any]] = {}
    for block in recipe.schema.blocks:
        if block.kind == "flat":
            X[block.name] = rows.matrix
        elif block.kind == "parameter":
            values = [exact["parameter", column.label] for column in block.columns]
            X[block.name] = np.stack(values, axis=1).astype(np.float32)
        elif block.is_padded:
            X[block.name], X[mask_of(block.name)] = rows.jagged[block.name]
        elif block.representation is not None:
            names = [other.name for other in block.representation.blocks()]
            X.update(zip(names, rows.jagged[block.name], strict=True))
    labels = None
    if recipe.schema.classes:
        labels = np.repeat(np.array([part.label for part in parts], dtype=np.int32), counts)
    weight = exact[WEIGHT].astype(np.float64, copy=False) if WEIGHT in exact else np.ones(events)
    factors = [part.factor for part in parts]
    if any(factor != 1 for factor in factors):
        first = 0
        for count, factor in zip(counts, factors, strict=True):
            weight[first : first + count] *= factor
            first += count
    base = exact[TRAINING_WEIGHT].astype(np.float64, copy=False) if TRAINING_WEIGHT in exact else None
    target = None
    if recipe.schema.targets:
        target = np.stack([exact["target", column.label] for column in recipe.schema.targets], axis=1)
        target = target.astype(np.float32)
    arrays = Arrays(
        X=X,
        labels=labels,
        regression_target=target,
        weight=weight,
        training_base=base,
        spectators={label: values for (role, label), values in exact.items() if role == "spectator"},
        event_number=integral(exact[EVENT_NUMBER], "event_number") if EVENT_NUMBER in exact else None,
        losses=rows.losses,
    )
    check_weights(weight, events, "the weights")
    if base is not None:
        check_weights(base, events, "the training weights")
    for kind in ("flat", "jagged", "image", "edges"):
        check(recipe, arrays, kind, first_entry)
    if target is not None:
        block = Block("target", "target", target.shape[1:], recipe.schema.targets)
        check_finite({"target": target}, (block,), "error", None, (), first_entry)
    return arrays


def check(recipe: Recipe, arrays: Arrays, kind: str, first_entry: int = 0) -> None:
    """Check that the blocks of one kind are finite."""
    blocks = tuple(block for block in recipe.schema.blocks if block.kind == kind)
    missing = "error" if kind == "parameter" else recipe.missing
    check_finite(arrays.X, blocks, missing, arrays.labels, recipe.schema.classes, first_entry)
