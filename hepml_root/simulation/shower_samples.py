"""Samples of calorimeter showers, generated as those of collisions: in chunks with seeds of their own."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hepml_root.data.geometry import Geometry, geometry
from hepml_root.data.shower_conditions import CONDITIONS
from hepml_root.data.shower_file import GEOMETRY, TREE, Sparse
from hepml_root.errors import SettingError, unknown
from hepml_root.simulation.calorimeter import BLOCK, showers
from hepml_root.simulation.samples import Branch, Rows, Sample

_MEANING = {
    "energy": "of the particle",
    "eta": "pseudorapidity of the particle",
    "x": "where the particle meets the front face",
    "y": "where the particle meets the front face",
    "angle": "between the particle and the normal of the front face, towards +x",
}
_CELLS = (
    Branch("cell_index", "number of a cell that is not 0", dtype="int32", group="cell"),
    Branch("cell_energy", "its energy, on the scale of the geometry", "GeV", group="cell"),
)


@dataclass(frozen=True)
class ShowerSample(Sample):
    """A sample of showers; its file is what :meth:`hepml_root.data.showers.Showers.from_root` reads.

    The options are "geometry" (the name of a shipped one), "energy" (``least:largest``, or a number [GeV]),
    "spectrum" ("uniform" or "log"), and "x", "y", "angle", "eta", which become conditions where they are
    given.

    Attributes
    ----------
    particle:
        "photon" or "electron".
    calorimeter:
        A geometry of one's own, which counts instead of the option.
    """

    particle: str = "photon"
    calorimeter: Geometry | None = None

    @property
    def geometry(self) -> Geometry:
        """The calorimeter of the sample."""
        return self.calorimeter or geometry(self.options["geometry"])

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Return the range of each condition that is given."""
        given = {label: str(self.options[label]) for label in CONDITIONS if self.options[label] != ""}
        return {label: _range(label, text) for label, text in given.items()}

    def with_settings(self, settings: Mapping[str, Any]) -> Sample:
        """Return this sample with some options changed; ranges may be texts ``"10:100"`` or pairs.

        Raises
        ------
        SettingError
            An option does not exist or has a wrong value.
        """
        for key in settings:
            if key not in self.options:
                raise SettingError(unknown("option", key, self.options, f"Of the sample '{self.name}'."))
        options = {**self.options, **{key: _text(value) for key, value in settings.items()}}
        changed = replace(self, options=options)
        own = [Branch(label, _MEANING[label], CONDITIONS[label]) for label in changed.ranges()]
        changed.geometry  # noqa: B018 (an unknown one is refused here)
        return replace(changed, branches=(*own, *_CELLS))

    @property
    def packages(self) -> tuple[str, ...]:
        """The distributions whose versions are recorded."""
        return ("numpy", "scipy")

    def recipe(self) -> dict[str, Any]:
        """Return what the content depends on besides options and seed."""
        return {"geometry": self.geometry.to_dict(), "particle": self.particle}

    def texts(self) -> dict[str, str]:
        """Return texts that the file holds besides the provenance."""
        return {GEOMETRY: json.dumps(self.geometry.to_dict())}

    def own_rows(self, seed: int, number: int, rows: int) -> Mapping[str, Any]:
        """Return the first ``rows`` showers of chunk ``number``.

        Raises
        ------
        SettingError
            An option is out of its range.
        """
        sequence = np.random.SeedSequence([seed, number, zlib.crc32(self.name.encode())])
        made = showers(
            self.geometry,
            rows,
            particle=self.particle,
            spectrum=self.options["spectrum"],
            seed=int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(2)),
            **self.ranges(),
        )
        cells = Sparse.of(made.energies, made.conditions)
        columns = {label: made.conditions[:, place] for place, label in enumerate(made.labels)}
        return {**columns, "ncell": cells.counts, "cell_index": cells.index, "cell_energy": cells.energy}


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ":".join(str(one) for one in value)
    return str(value)


def _range(label: str, text: str) -> tuple[float, float]:
    try:
        ends = [float(one) for one in text.split(":")]
        least, largest = ends if len(ends) == 2 else (*ends, *ends)
    except ValueError:
        raise SettingError(f"{label}={text}: write a number, or a range as 10:100.") from None
    if not least <= largest:
        raise SettingError(f"{label}={text}: a range goes from the least to the largest.")
    return least, largest


def _no_collisions(batch: object, options: Mapping[str, Any]) -> Rows:
    raise NotImplementedError  # the rows are the sample's own


def _sample(particle: str) -> Sample:
    options = {"geometry": "si-w-30", "energy": "10:100", "spectrum": "uniform"}
    bare = ShowerSample(
        name=f"{particle}-showers",
        title=f"showers of single {particle}s in a calorimeter, parametrised",
        pythia=(),
        branches=(),
        columns=_no_collisions,
        tree=TREE,
        options=options | dict.fromkeys(("x", "y", "angle", "eta"), ""),
        chunk=8 * BLOCK,
        reference="hep-ex/0001020",
        particle=particle,
    )
    return bare.with_settings({})


PHOTONS, ELECTRONS = _sample("photon"), _sample("electron")
