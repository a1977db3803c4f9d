"""What is known of a particle that makes a shower."""

from __future__ import annotations

from collections.abc import Sequence

from hepml_root.data.schema import refuse_duplicates
from hepml_root.errors import SettingError, unknown

# Label and unit. "angle" is that between the particle and the
# normal of the front face, towards +x; "x" and "y" are where it meets the front face.
CONDITIONS = {"energy": "GeV", "eta": "", "x": "mm", "y": "mm", "angle": "rad"}


def check_labels(labels: Sequence[str]) -> None:
    """Raise SettingError unless ``labels`` are conditions of showers, each once, with "energy" among them."""
    for label in labels:
        if label not in CONDITIONS:
            raise SettingError(unknown("condition of showers", str(label), CONDITIONS))
    refuse_duplicates(labels, "condition")
    if "energy" not in labels:
        raise SettingError("showers need the condition 'energy', that of the particle in GeV.")
