"""The model zoo: all models by name, the data they take, and their presets.

It is written down in ``presets.yaml`` beside this file; numbers of parameters and FLOPs are counted
(:mod:`hepml_root.models.cost`), never written down.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hepml_root.errors import SettingError, unknown

if TYPE_CHECKING:
    import keras

_FILE = Path(__file__).with_name("presets.yaml")
_TINY = {
    "flat": {"features": [4]},
    "any": {"features": [4]},
    "image": {"jet_image": [8, 8, 1]},
    "jagged": {"particles": [5, ["pt", "eta", "phi", "mass", "delta_eta", "delta_phi", "log_pt"]]},
}

Shapes = Mapping[str, Any]


@dataclass(frozen=True)
class Preset:
    """Settings of a model that belong together.

    Attributes
    ----------
    name:
        Such as "lite".
    settings:
        Arguments of the model's function.
    shapes:
        The data it is meant for, ``{block: shape}``, and for which its cost is stated.
    parameters:
        Published number of trainable parameters, None where there is none.
    reference:
        Where it comes from.
    """

    name: str
    settings: Mapping[str, Any]
    shapes: Shapes
    parameters: int | None = None
    reference: str = ""


@dataclass(frozen=True)
class Entry:
    """One model of the zoo.

    Attributes
    ----------
    name:
        Of the function in :mod:`hepml_root.models`.
    module:
        Where it is.
    data:
        Kind of the block that it is made for: "flat", "jagged", "image", or "any".
    summary, when, reference:
        What it is, when to take it, where it comes from.
    symmetric:
        Whether the order of the constituents does not matter.
    network:
        Whether it is a Keras network; boosted trees are not.
    presets:
        By name; "default" are the function's own defaults.
    tiny:
        Small settings for tests.
    """

    name: str
    module: str
    data: str
    summary: str
    when: str
    reference: str
    presets: Mapping[str, Preset]
    tiny: Preset
    symmetric: bool = False
    network: bool = True

    def build(self, data: Any, preset: str = "default", /, **changes: Any) -> Any:
        """Return the model for some data, with a preset's settings and ``changes`` to them."""
        chosen = self.tiny if preset == "tiny" else self.presets.get(preset)
        if chosen is None:
            raise SettingError(unknown(f"preset of {self.name}", preset, self.presets))
        function = getattr(importlib.import_module("hepml_root.models"), self.name)
        return function(data, **{**chosen.settings, **changes})


@cache
def zoo() -> dict[str, Entry]:
    """Return all models by name.

    Example
    -------
    >>> zoo()["cnn"].presets["top_tagger"].settings["hidden"]
    [64, 256, 256]
    """
    return {name: _entry(name, keys) for name, keys in yaml.safe_load(_FILE.read_text()).items()}


def _entry(name: str, keys: dict[str, Any]) -> Entry:
    example = keys.get("example", {})
    given = {"default": {}, **(keys.get("presets") or {})}
    presets = {
        preset: Preset(
            preset,
            words.get("settings", {}),
            words.get("data", example),
            words.get("parameters"),
            words.get("reference", keys["reference"]),
        )
        for preset, words in given.items()
    }
    tiny = keys.get("tiny", {})
    return Entry(
        name=name,
        module=keys["module"],
        data=keys["data"],
        summary=keys["summary"],
        when=keys["when"],
        reference=keys["reference"],
        presets=presets,
        tiny=Preset("tiny", tiny.get("settings", {}), tiny.get("data", _TINY[keys["data"]])),
        symmetric=keys.get("symmetric", False),
        network=keys.get("network", True),
    )


def entry(name: str) -> Entry:
    """Return a model of the zoo by name.

    Raises
    ------
    SettingError
        There is no such model; the nearest are listed.
    """
    if name not in zoo():
        raise SettingError(unknown("model", name, zoo()))
    return zoo()[name]


def preset(model: str, preset: str, data: Any, /, **changes: Any) -> keras.Model:
    """Return a model of the zoo with a preset's settings, for some data.

    Arguments
    ---------
    model
        Name of the model: ``hepml-root models`` lists them.
    preset
        Its name; "default" are the model's own defaults.
    data
        A :class:`Dataset`, its ``describe()``, or ``{block: shape}``.
    changes
        Settings in place of those of the preset.

    Raises
    ------
    SettingError
        There is no such model or preset, or a setting is unknown or out of its range.

    Example
    -------
    >>> preset("cnn", "top_tagger", {"jet_image": (40, 40, 1)}, name="tagger").name
    'tagger'
    """
    return entry(model).build(data, preset, **changes)
