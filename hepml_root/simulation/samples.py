"""The samples that can be generated: what each one is, its Pythia settings, its branches, its detector.

>>> find("top-jets").tree
'jets'
>>> try:
...     find("top-jet")
... except SettingError as error:
...     print(str(error).partition(",")[0])
no sample 'top-jet'. Nearest: 'top-jets'
"""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hepml_root.errors import SettingError, unknown

if TYPE_CHECKING:
    from hepml_root.simulation.batch import Batch
    from hepml_root.simulation.detector import Detector

# Sample name -> (module, attribute): a module is imported when its sample is asked for.
_WHERE: dict[str, tuple[str, str]] = {
    "top-jets": ("hepml_root.simulation.jets", "TOP_JETS"),
    "qcd-jets": ("hepml_root.simulation.jets", "QCD_JETS"),
    "higgs": ("hepml_root.simulation.higgs", "HIGGS"),
    "higgs-ttbar": ("hepml_root.simulation.higgs", "HIGGS_TTBAR"),
    "stop-900-100": ("hepml_root.simulation.stop", "STOP_900_100"),
    "stop-600-400": ("hepml_root.simulation.stop", "STOP_600_400"),
    "ttbar-1l": ("hepml_root.simulation.top_pairs", "TTBAR_1L"),
    "muons-prompt": ("hepml_root.simulation.muons", "PROMPT"),
    "muons-from-jets": ("hepml_root.simulation.muons", "FROM_JETS"),
    "photon-showers": ("hepml_root.simulation.shower_samples", "PHOTONS"),
    "electron-showers": ("hepml_root.simulation.shower_samples", "ELECTRONS"),
}


@dataclass(frozen=True)
class Branch:
    """One branch of a sample's tree.

    Attributes
    ----------
    name
        Name of the branch. That of a jagged branch begins with its group and an underscore.
    meaning, unit
        What it is, for people; the unit is empty for numbers without one.
    dtype
        NumPy type of one value.
    group
        Of a jagged branch: the objects it belongs to, as ``constituent``. All branches of a group have the
        same length in an event, which is the branch ``n<group>``.
    shape
        Of a branch with a fixed number of values in each event.

    Raises
    ------
    SettingError
        The name of a jagged branch does not begin with its group.
    """

    name: str
    meaning: str
    unit: str = ""
    dtype: str = "float32"
    group: str = ""
    shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.group and not self.name.startswith(f"{self.group}_"):
            raise SettingError(
                f"the branch '{self.name}' belongs to the group '{self.group}': call it '{self.group}_…'."
            )


# What a batch of collisions becomes: the columns of the rows that were selected, and for each row the
# position in the batch of the collision it comes from (ascending).
Rows = tuple[Mapping[str, Any], Any]


@dataclass(frozen=True)
class Slice:
    """A part of the collisions that is drawn by itself, as a range of p̂T.

    Attributes
    ----------
    pythia
        Settings of Pythia beside the sample's. The slices of a sample are disjoint, and make up all of its
        collisions.
    share
        Of the sample's rows.
    """

    pythia: tuple[str, ...]
    share: float


@dataclass(frozen=True)
class Sample:
    """What one sample is.

    Attributes
    ----------
    name, title
        The name by which it is asked for, and one line for people.
    pythia
        Settings of Pythia 8, one a string, such as ``"Beams:eCM = 14000."``.
    branches
        The tree's branches; ``event_number`` is added to all samples.
    columns
        Function of a :class:`~hepml_root.simulation.batch.Batch` and the sample's options that returns
        ``(columns, events)``: ``{branch name: values of the selected rows}`` (arrays ``(rows,)`` or
        ``(rows, *shape)``; awkward arrays ``(rows, var)`` for jagged branches) and, ascending, the index in
        the batch of the collision that each row comes from. The rows count as the sample's events.
    tree
        Name of the tree.
    detector
        The detector's response; None if the sample needs none.
    options
        Settings of the sample's own, with their defaults: numbers, texts or bools.
    prepare
        Called with the Pythia object before ``init``, and with the options; what it returns (such as a user
        hook) is kept alive as long as Pythia is.
    chunk
        Rows that are made with one seed.
    batch
        Collisions that are handed to ``columns`` at once.
    version
        Raise it whenever the same settings give other events: cached files of older versions are then left.
    reference
        Where the definitions come from.
    cross_section_factor
        What Pythia's cross section has to be multiplied by: the share of decays that ``pythia`` forces on
        hadrons, which it does not know of; or the inverse of the share that ``prepare`` keeps where it shapes
        a distribution, as Pythia takes what is vetoed for another process. The events do not depend on it.
    expected
        Function of the options: the number of collisions that are expected, cross section times luminosity.
        The branch ``weight`` is then scaled such that its sum is the number of expected events after the
        selection. ``prepare`` has to return an :func:`~hepml_root.simulation.importance.importance_hook`,
        which counts what was drawn, and ``columns`` to give the weights of :attr:`Batch.trials`.
    slices
        Of a sample with ``expected``: parts that are drawn apart, in every chunk.
    """

    name: str
    title: str
    pythia: tuple[str, ...]
    branches: tuple[Branch, ...]
    columns: Callable[[Batch, Mapping[str, Any]], Rows]
    tree: str = "events"
    detector: Detector | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[[Any, Mapping[str, Any]], object] | None = None
    chunk: int = 1000
    batch: int = 200
    version: int = 1
    reference: str = ""
    cross_section_factor: float = 1.0
    expected: Callable[[Mapping[str, Any]], float] | None = None
    slices: tuple[Slice, ...] = ()

    @property
    def packages(self) -> tuple[str, ...]:
        """Packages that make the events; their versions are recorded."""
        return ("pythia8mc", "fastjet", "numpy", "awkward")

    def check_events(self, events: int) -> None:
        """Raise SettingError if there cannot be so many."""

    def own_rows(self, seed: int, number: int, rows: int) -> Mapping[str, Any] | None:  # noqa: ARG002
        """Return the columns of a chunk of a sample that is not made by Pythia; None of one that is.

        Jagged branches are flat, their lengths under ``n<group>``.
        """
        return None

    def recipe(self) -> dict[str, Any]:
        """Return what the content depends on besides what all samples have; it becomes provenance."""
        return {}

    def texts(self) -> dict[str, str]:
        """Return what the file holds as texts besides the provenance."""
        return {}

    def with_settings(self, settings: Mapping[str, Any]) -> Sample:
        """Return this sample with some settings changed.

        A key with a colon is a setting of Pythia (``"PartonLevel:MPI": "on"``); ``detector.FIELD`` is a
        parameter of the detector; any other key is one of the sample's options.

        Raises
        ------
        SettingError
            The option or the detector's parameter does not exist, or has a value of a wrong kind.
        """
        pythia, options, parameters = list(self.pythia), dict(self.options), {}
        for key, value in settings.items():
            if ":" in key:
                pythia.append(f"{key} = {_pythia_text(value)}")
            elif key.startswith("detector."):
                parameters[key.removeprefix("detector.")] = value
            elif key in options:
                options[key] = _as(options[key], value, f"option '{key}' of sample '{self.name}'")
            else:
                remedy = (
                    "Settings of Pythia have a colon in their name, the detector's begin with 'detector.'."
                )
                raise SettingError(unknown("option", key, options, remedy))
        detector = self.detector
        if parameters:
            if detector is None:
                raise SettingError(f"sample '{self.name}' has no detector whose parameters could be set.")
            names = {one.name: getattr(detector, one.name) for one in dataclasses.fields(detector)}
            for key, value in parameters.items():
                if key not in names:
                    raise SettingError(unknown("parameter of the detector", key, names))
                parameters[key] = _as(names[key], value, f"parameter '{key}' of the detector")
            detector = dataclasses.replace(detector, **parameters)
        return dataclasses.replace(self, pythia=tuple(pythia), options=options, detector=detector)


def _pythia_text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _as(default: Any, value: Any, what: str) -> Any:
    """Return ``value`` as the kind of the default; a text is read."""
    if isinstance(default, bool):
        words = {"on": True, "true": True, "yes": True, "1": True}
        words |= {"off": False, "false": False, "no": False, "0": False}
        if isinstance(value, str) and value.lower() in words:
            return words[value.lower()]
        if isinstance(value, bool):
            return value
    elif isinstance(default, int | float):
        try:
            return type(default)(value)
        except (TypeError, ValueError):
            pass
    elif isinstance(default, tuple):
        try:
            given = json.loads(value) if isinstance(value, str) else value
            if np.shape(given) and np.shape(given)[1:] == np.shape(default)[1:]:
                return _tuple(given)
        except (TypeError, ValueError):
            pass
    elif isinstance(value, type(default)):
        return value
    raise SettingError(f"{what}: {value!r} cannot be taken; an example of its kind is {default!r}.")


def _tuple(values: Any) -> Any:
    return tuple(map(_tuple, values)) if isinstance(values, list | tuple) else values


def names() -> list[str]:
    """Return the names of all samples."""
    return list(_WHERE)


def find(name: str | Sample) -> Sample:
    """Return the sample of that name.

    Raises
    ------
    SettingError
        There is none; the message has the nearest ones.
    """
    if isinstance(name, Sample):
        return name
    if name not in _WHERE:
        raise SettingError(unknown("sample", name, _WHERE))
    module, attribute = _WHERE[name]
    sample = getattr(importlib.import_module(module), attribute)
    assert isinstance(sample, Sample)
    return sample
