"""What to read from where: a user's sources, columns, cuts and weights, made definite before reading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from hepml_root.data.columns import Column
from hepml_root.data.feed import Jagged, Request, blocks
from hepml_root.data.finite import check_missing_setting
from hepml_root.data.rdataframe import Frame, Source
from hepml_root.data.representation import Representation
from hepml_root.data.represented_inputs import check_columns, is_jagged, represented, separate
from hepml_root.data.schema import Schema, blocks_of, refuse_duplicates, signal_class
from hepml_root.data.split import check_seed
from hepml_root.data.weights import normalisation
from hepml_root.errors import ColumnTypeError, SettingError, WeightError, unknown

Value = TypeVar("Value")

# What is read exactly beside the inputs: (role, label).
Need = tuple[str, str]
WEIGHT: Need = ("weight", "")
TRAINING_WEIGHT: Need = ("training_weight", "")
EVENT_NUMBER: Need = ("event_number", "")


@dataclass(frozen=True)
class Part:
    """One source of one class, with its own cut, weight and normalisation.

    ``factor`` is σ·L·1000 / G where a cross section was given, else 1; ``parameters`` are None where the
    class has none.
    """

    label: int
    class_name: str
    frame: Frame
    cut: str | None
    weight: str | None
    training_weight: str | None
    parameters: tuple[str | None, ...]
    cross_section: float | None = None
    generated: float | None = None
    factor: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """All that decides which numbers a dataset holds, and in which order; nothing is read yet."""

    schema: Schema
    parts: tuple[Part, ...]
    inputs: tuple[Column, ...]
    spectators: tuple[Column, ...] = ()
    event_number: Column | None = None
    luminosity: float | None = None
    missing: str = "error"
    balance: bool = True
    seed: int = 1
    max_events: int | None = None
    threads: int | None = None

    @property
    def counts_as_yields(self) -> bool:
        """True if no physics weight was given at all, so that weights only count events."""
        return all(part.weight is None and part.cross_section is None for part in self.parts)

    @property
    def needs(self) -> tuple[Need, ...]:
        """Role and label of what is read exactly beside the inputs, in the order of :meth:`request`."""
        needs: list[Need] = []
        if any(part.weight is not None for part in self.parts):
            needs.append(WEIGHT)
        if any(part.training_weight is not None for part in self.parts):
            needs.append(TRAINING_WEIGHT)
        needs += [("parameter", column.label) for column in self.parameters]
        needs += [("target", column.label) for column in self.schema.targets]
        needs += [("spectator", column.label) for column in self.spectators]
        if self.event_number is not None:
            needs.append(EVENT_NUMBER)
        return tuple(needs)

    def request(self, part: Part, inputs: bool = True, needs: Sequence[Need] | None = None) -> Request:
        """What is asked of the feed for one part: inputs, and what is read exactly, in that order."""
        flat = tuple(column.expression for column in self.inputs if not column.jagged) if inputs else ()
        jagged: tuple[Any, ...] = ()
        if inputs:
            jagged = tuple(
                Jagged(block.name, tuple(column.expression for column in block.columns), block.shape[0])
                for block in self.schema.blocks
                if block.is_padded
            )
            jagged += represented(self.schema.blocks)
        exact: list[str] = []
        for need in self.needs if needs is None else needs:
            expression = self._expression(part, need)
            while expression in exact:  # the feed reads each text once; here every need has its own place
                expression = f"({expression})"
            exact.append(expression)
        return Request(matrix=flat, jagged=jagged, exact=tuple(exact), cut=part.cut)

    def _expression(self, part: Part, need: Need) -> str:
        role, label = need
        if need == WEIGHT:
            return part.weight or "1."
        if need == TRAINING_WEIGHT:
            return part.training_weight or part.weight or "1."
        if need == EVENT_NUMBER and self.event_number is not None:
            return self.event_number.expression
        if role == "parameter":
            index = [column.label for column in self.parameters].index(label)
            return part.parameters[index] or "std::numeric_limits<double>::quiet_NaN()"
        columns = self.schema.targets if role == "target" else self.spectators
        return next(column.expression for column in columns if column.label == label)

    @property
    def parameters(self) -> tuple[Column, ...]:
        """Columns of the parameters block."""
        return next((block.columns for block in self.schema.blocks if block.kind == "parameter"), ())

    def provenance(self) -> dict[str, Any]:
        """Where the data come from, JSON-able but for the spectators' columns."""
        names = self.schema.classes or ("all events",)
        files: dict[tuple[str, str], dict[str, Any]] = {}
        for part in self.parts:
            for entry in part.frame.provenance():
                files.setdefault((entry["path"], entry["tree"]), dict(entry))
        weights: dict[str, Any] = {name: [] for name in names}
        cuts: dict[str, Any] = {name: [] for name in names}
        for part in self.parts:
            weights[part.class_name].append(
                {
                    "source": part.frame.name,
                    "expression": part.weight,
                    "training_expression": part.training_weight,
                    "cross_section": part.cross_section,
                    "luminosity": self.luminosity if part.cross_section is not None else None,
                    "generated": part.generated,
                }
            )
            cuts[part.class_name].append(part.cut)
        return {
            "files": list(files.values()),
            "cut": {name: given[0] if len(set(given)) == 1 else given for name, given in cuts.items()},
            "weights": weights,
            "spectators": self.spectators,
            "seed": self.seed,
            "max_events": self.max_events,
            "missing": self.missing,
        }


def resolve(
    sources: Any,
    inputs: Sequence[str | Column | Representation],
    *,
    targets: Sequence[str | Column],
    parameters: Sequence[str | Column] | Mapping[str, Any],
    weight: Any,
    training_weight: Any,
    spectators: Sequence[str | Column],
    event_number: str | Column | None,
    cut: Any,
    units: Mapping[str, str] | None,
    max_length: int | Mapping[str, int] | None,
    cross_section: Any,
    luminosity: float | None,
    generated: Any,
    signal: str | None,
    missing: str,
    max_events: int | None,
    threads: int | None,
    balance: bool,
    seed: int,
) -> Recipe:
    """Make the arguments of :meth:`Dataset.from_root` definite, open the sources, check what can be."""
    check_missing_setting(missing)
    check_seed(seed)
    if max_events is not None and max_events < 1:
        raise SettingError(f"max_events={max_events}: give a positive number of events per class, or None.")
    classes, named = _named_sources(sources, bool(targets))
    names = classes or ("all events",)

    # The cut of a source joins the others; σ·L normalisation needs the source without any.
    opened = [
        (name, source, Frame.open(replace(source, cut=None))) for name in names for source in named[name]
    ]
    first = opened[0][2]
    plain, representations = separate(inputs)
    columns = _with_lengths([Column.parse(text, role="input") for text in plain], max_length, first)
    for representation in representations:
        check_columns(representation, first)
    if not columns and not representations:
        raise SettingError("give at least one input.")
    parameter_columns, of_class = _parameters(parameters, names)
    target_columns = [Column.parse(text, role="target") for text in _listed(targets)]
    spectator_columns = [Column.parse(text, role="spectator") for text in _listed(spectators)]
    number = None if event_number is None else Column.parse(event_number, role="event_number")
    everything = [*columns, *parameter_columns, *target_columns, *spectator_columns]
    refuse_duplicates(column.label for column in everything)
    columns, parameter_columns, target_columns, spectator_columns = _with_units(
        units, columns, parameter_columns, target_columns, spectator_columns
    )

    cuts = per_class("cut", cut, names)
    weights = per_class("weight", weight, names)
    training = per_class("training_weight", training_weight, names)
    sections = per_class("cross_section", cross_section, names)
    sums = per_class("generated", generated, names)
    for what, shared in (("cross_section", sections), ("generated", sums)):
        for name in names:
            sharing = [s for s in named[name] if shared[name] is not None and getattr(s, what) is None]
            if len(sharing) > 1:
                raise SettingError(
                    f"{what} of class '{name}' would count {len(sharing)} times, once for each source. "
                    f"Give each its own, Source(…, {what}=…), or list the files of one process in one Source."
                )
    unnormalised = isinstance(cross_section, Mapping)
    parts = []
    for name, source, frame in opened:
        section = _specific("cross_section", name, source.cross_section, sections[name], cross_section)
        parts.append(
            Part(
                label=names.index(name),
                class_name=name,
                frame=frame,
                cut=both_cuts(source.cut, cuts[name]),
                weight=_specific("weight", name, source.weight, weights[name], weight),
                training_weight=training[name],
                parameters=of_class[name],
                cross_section=section,
                generated=_specific("generated", name, source.generated, sums[name], generated),
            )
        )
        if section is None and luminosity is not None and not (unnormalised and name in cross_section):
            raise SettingError(
                f"no cross section was given for class '{name}' ({frame.name}), only a luminosity. Give both "
                f"or cross_section={{'{name}': None, …}} if its weights are normalised already."
            )
        if section is not None and luminosity is None:
            raise SettingError(
                f"a cross section was given for class '{name}', but no luminosity (in 1/fb) to go with it."
            )
    recipe = Recipe(
        schema=Schema(
            blocks_of(columns, parameter_columns, representations),
            classes,
            signal_class(classes, signal) if classes else None,
            tuple(target_columns),
        ),
        parts=tuple(parts),
        inputs=tuple(columns),
        spectators=tuple(spectator_columns),
        event_number=number,
        luminosity=luminosity,
        missing=missing,
        balance=balance,
        seed=seed,
        max_events=max_events,
        threads=threads,
    )
    return replace(recipe, parts=tuple(_normalised(part, recipe) for part in recipe.parts))


def per_class(what: str, value: Any, classes: Sequence[str]) -> dict[str, Any]:
    """Spread a setting over the classes: one value for all, or {class: value}, None for a class left out.

    Raises
    ------
    SettingError
        A class that does not exist.

    Example
    -------
    >>> per_class("cut", {"signal": "pt > 20"}, ("signal", "background"))
    {'signal': 'pt > 20', 'background': None}
    """
    if not isinstance(value, Mapping):
        return dict.fromkeys(classes, value)
    for name in value:
        if name not in classes:
            raise SettingError(f"{what}: " + unknown("class", str(name), classes))
    return {name: value.get(name) for name in classes}


def both_cuts(first: str | None, second: str | None) -> str | None:
    """Return the cut that asks for both.

    >>> both_cuts("pt > 20", "eta < 2 || tight")
    '(pt > 20) && (eta < 2 || tight)'
    """
    if first and second and first != second:
        return f"({first}) && ({second})"
    return first or second or None


def _specific(what: str, name: str, own: Value | None, of_class: Value | None, given: Any) -> Value | None:
    """The setting of a Source goes before the one for all classes; twice for one class is an error."""
    if own is not None and of_class is not None and isinstance(given, Mapping):
        raise SettingError(f"{what} of class '{name}' is given twice: in its Source and as {what}={{…}}.")
    return of_class if own is None else own


def _named_sources(sources: Any, regression: bool) -> tuple[tuple[str, ...], dict[str, list[Source]]]:
    """Names of the classes (none for regression), and the sources of each."""
    if not isinstance(sources, Mapping):
        if not regression:
            raise SettingError(
                "classification needs its sources by class, {'signal': …, 'background': …}; "
                "for regression give targets=[…]."
            )
        return (), {"all events": list(_sources(sources))}
    if regression:
        raise SettingError(
            "regression takes one source, or a list of them, not sources by class: give either the mapping "
            "of classes or targets."
        )
    if len(sources) < 2:
        raise SettingError(f"classification needs at least two classes, got {len(sources)}.")
    return tuple(str(name) for name in sources), {str(name): list(_sources(s)) for name, s in sources.items()}


def _listed(columns: Any) -> Any:
    """One column is a list of one; the letters of its name are none."""
    return [columns] if isinstance(columns, str | Column) else columns


def _sources(given: Any) -> Iterator[Source]:
    """Sources of one class: several processes with cross sections of their own; a list of files is one."""
    if isinstance(given, list | tuple) and not all(
        isinstance(entry, str) or hasattr(entry, "__fspath__") for entry in given
    ):
        for entry in given:
            yield from _sources(entry)
        return
    yield given if isinstance(given, Source) else Source(given)


def _with_lengths(
    columns: list[Column], max_length: int | Mapping[str, int] | None, frame: Frame
) -> list[Column]:
    """Give jagged columns their maximum length: one for all, or by label or group."""
    result = []
    by_name = dict(max_length) if isinstance(max_length, Mapping) else {}
    unused = set(by_name)
    for column in columns:
        length = column.max_length
        for name in (column.label, column.group):
            if name in by_name:
                length = by_name[name]
                unused.discard(name)
                break
        jagged = is_jagged(frame, column.expression)
        if jagged and length is None and isinstance(max_length, int):
            length = max_length
        if jagged and length is None:
            raise ColumnTypeError(
                f"the input '{column}' has several values per event. Say how many of them to keep: "
                f"max_length={{'{column.label}': 20}}, or one expression for each, such as "
                f"'{column.label}_0 := {column.expression}[0]'."
            )
        result.append(column if length == column.max_length else replace(column, max_length=length))
    for name in unused:
        raise SettingError("max_length: " + unknown("column or group", name, [c.label for c in columns]))
    return result


def _with_units(units: Mapping[str, str] | None, *groups: list[Column]) -> tuple[list[Column], ...]:
    units = dict(units or {})
    labels = [column.label for columns in groups for column in columns]
    for label in units:
        if label not in labels:
            raise SettingError("units: " + unknown("column", label, labels))
    return tuple(
        [replace(column, units=units.get(column.label, column.units)) for column in columns]
        for columns in groups
    )


def _parameters(
    given: Sequence[str | Column] | Mapping[str, Any], classes: Sequence[str]
) -> tuple[list[Column], dict[str, tuple[str | None, ...]]]:
    """Parameter columns, and their expression in each class: None where it is to be drawn."""
    columns: list[Column] = []
    expressions: list[dict[str, str | None]] = []
    for entry in _listed(given):
        value = given[str(entry)] if isinstance(given, Mapping) else entry
        if isinstance(value, Mapping):
            in_class = per_class(f"parameter '{entry}'", value, classes)
            known = [expression for expression in in_class.values() if expression is not None]
            if not known:
                raise SettingError(f"the parameter '{entry}' has an expression in no class.")
            columns.append(Column(str(entry), known[0], role="parameter"))
        else:
            column = Column.parse(value, role="parameter")
            if isinstance(given, Mapping):
                column = replace(column, label=str(entry))
            columns.append(column)
            in_class = dict.fromkeys(classes, column.expression)
        expressions.append(in_class)
    return columns, {name: tuple(in_class[name] for in_class in expressions) for name in classes}


def _normalised(part: Part, recipe: Recipe) -> Part:
    """Find σ·L·1000 / G of a part, reading the weights of the whole source for G if it was not given."""
    if part.cross_section is None or recipe.luminosity is None:
        return part
    generated = part.generated
    if generated is None:
        if part.frame.filtered:
            raise SettingError(
                f"the data frame of class '{part.class_name}' has Filters, so the sum of weights before any "
                "cut cannot be read from it. Give it as generated=…, or cut with cut=… instead of Filters."
            )
        generated = generated_sum(part.frame, part.weight)
    try:
        factor = normalisation(part.cross_section, recipe.luminosity, generated)
    except WeightError as error:
        raise WeightError(f"class '{part.class_name}': {error}") from None
    return replace(part, generated=generated, factor=factor)


def generated_sum(frame: Frame, weight: str | None) -> float:
    """Sum of weights of a whole source before any cut; its number of entries if it has no weights."""
    expression = weight or "1."
    return float(sum(rows.exact[expression].sum() for rows in blocks(frame, Request(exact=(expression,)))))
