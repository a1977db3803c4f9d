"""The events of the search: files, the expected events in two normalisations, the parts of the split.

The background is `ttbar-1l`, the signals are `stop-900-100` and, compressed, `stop-600-400`.

**Two normalisations.** "sample": the sum of a file's weights, that is cross section × efficiency × luminosity
with the efficiency that these events have. "talk": what the authors' code hepML scaled its samples to. They
agree within some 20 % on the background and on (900, 100), not on (600, 400), whose published efficiency of
0.144 is seven times that of our events: so large that it cannot be of the same selection.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hepml_root.errors import SettingError, unknown

SIGNALS = {"stop-900-100": "(900, 100)", "stop-600-400": "(600, 400), compressed"}
BACKGROUND = "ttbar-1l"
NAMES = (*SIGNALS, BACKGROUND)
YIELDS = ("sample", "talk")
# Cross section [fb] and efficiency, at 30/fb, in the code of arXiv:1806.00322.
TALK = {
    "stop-900-100": (17.6, 0.059),
    "stop-600-400": (228.195, 0.14395662704),
    BACKGROUND: (844_000.0, 8.2e-4),
}
TALK_LUMINOSITY = 30.0
# Of the test and of the validation events. A cut of the search keeps one background event in some hundred:
# both need many.
TEST, VALIDATION = 0.3, 0.3


@dataclass(frozen=True)
class Samples:
    """Where the files are, and what they stand for.

    Attributes
    ----------
    folder
        Has NAME.root of each sample, as `hepml-root generate` writes them.
    cross_sections
        ``{name: fb}`` other than those that the files were made with.
    luminosity
        In 1/fb; None: that of the files.
    """

    folder: Path
    cross_sections: Mapping[str, float] = field(default_factory=dict, hash=False)
    luminosity: float | None = None

    def __post_init__(self) -> None:
        for name, value in self.cross_sections.items():
            if name not in NAMES:
                raise SettingError(unknown("sample", name, NAMES))
            if not value > 0:
                raise SettingError(f"the cross section of {name} is a positive number of fb, not {value!r}.")
        if self.luminosity is not None and not self.luminosity > 0:
            raise SettingError(f"a luminosity is a positive number of 1/fb, not {self.luminosity!r}.")

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.root"

    def missing(self) -> list[Path]:
        """Return the files that are not there."""
        return [self.file(name) for name in NAMES if not self.file(name).exists()]

    def made(self, name: str) -> dict[str, Any]:
        """Return the provenance of a sample."""
        return _provenance(self.file(name))

    def expected(self, name: str, yields: str) -> float:
        """Return the expected events of a sample after its selection."""
        made = self.made(name)
        options = made["options"]
        if yields == "talk":
            cross_section, efficiency = TALK[name]
            usual, luminosity = cross_section * efficiency, TALK_LUMINOSITY
        else:
            cross_section, luminosity = options["cross_section_fb"], options["luminosity_fb"]
            usual = cross_section * made["filter_efficiency"]
        scale = self.cross_sections.get(name, cross_section) / cross_section
        return float(usual * scale * (self.luminosity or luminosity))

    def counts(self, signal: str, yields: str) -> tuple[float, float]:
        """Return the expected events of a signal and of the background."""
        return self.expected(signal, yields), self.expected(BACKGROUND, yields)


@functools.cache
def _provenance(path: Path) -> dict[str, Any]:
    from hepml_root.simulation import provenance

    return provenance(path)


@functools.lru_cache(maxsize=2)
def parts(samples_folder: Path, signal: str, share: float = 1.0) -> tuple[Any, Any, Any]:
    """Return training, validation and test events, the same for all trainings of a signal.

    ``share`` is the part of the background events that is used: the first ones, which are a sample of their
    own. Each part stands for the yield of the whole.
    """
    import numpy as np

    import hepml_root as hr
    from hepml_root.simulation.one_lepton import FEATURES

    files = {"signal": signal, "background": BACKGROUND}
    data = hr.Dataset.from_root(
        {name: f"{samples_folder / file}.root:events" for name, file in files.items()},
        inputs=list(FEATURES),
        weight="weight",
        event_number="event_number",
        threads=1,
    )
    if share < 1:
        (background,) = np.flatnonzero(np.array(data.classes) == "background")
        own = np.flatnonzero(data.labels == background)
        keep = np.ones(len(data), dtype=bool)
        keep[own[round(share * len(own)) :]] = False
        data = data[keep]
    return data.split(test=TEST, validation=VALIDATION, seed=1)
