"""Settings of this project's models as TMVA's options: ``batch_norm=True`` is ``BatchNorm=T``.

What there is comes from the signatures of the functions in the zoo (:mod:`hepml_root.models.presets`) and of
the generators (:mod:`hepml_root.models.generators`): a new model needs its entry there and nothing here.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from typing import Any

from hepml_root import models
from hepml_root.errors import SettingError, unknown
from hepml_root.models.generators import generators
from hepml_root.models.presets import zoo
from hepml_root.tmva.options.declaration import Option, Options

# What the method itself decides, or has an option of its own for.
_DECIDED = frozenset(
    (
        *("data", "showers", "name", "seed", "inputs", "block", "image", "sequence", "transforms", "loss"),
        *("learning_rate", "patience", "validation", "threads"),
    )
)
# A DataLoader has one kind of variables.
NOT_BOOKED = {"fusion": "joins several kinds of data, and a DataLoader has one; use hr.models.fusion."}


def model_names() -> list[str]:
    """Return the names of all models and generators that can be booked."""
    return [name for name in (*zoo(), *generators()) if name not in NOT_BOOKED]


def known_model(name: str, what: str) -> str:
    """Return a model's name if there is such a model; case and underscores do not matter.

    Raises
    ------
    SettingError
        There is none; the nearest are named.

    Example
    -------
    >>> known_model("ShowerFlow", "HepML")
    'shower_flow'
    """
    folded = {known.replace("_", ""): known for known in (*model_names(), *NOT_BOOKED)}
    found = folded.get(name.replace("_", "").lower())
    if found in NOT_BOOKED:
        raise SettingError(f"{what}: Model={name}: it {NOT_BOOKED[found]}")
    if found is None:
        raise SettingError(f"{what}: {unknown('model', name, model_names())}")
    return found


def defaults_of(model: str) -> dict[str, Any]:
    """Return the settings of a model with their defaults.

    Example
    -------
    >>> defaults_of("dense")["hidden"]
    (64, 64)
    """
    function = generators()[model].function if model in generators() else getattr(models, model)
    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in _DECIDED
    }


def option_name(setting: str) -> str:
    """Return a setting as TMVA writes names.

    >>> option_name("batch_norm")
    'BatchNorm'
    """
    return "".join(part.capitalize() for part in setting.split("_"))


def model_options() -> tuple[Option, ...]:
    """Return an option for every setting of the models; what is True or False in all is a switch."""
    owners: dict[str, list[str]] = {}
    switches: dict[str, bool] = {}
    for model in model_names():
        for name, default in defaults_of(model).items():
            owners.setdefault(name, []).append(model)
            switches[name] = switches.get(name, True) and isinstance(default, bool)
    return tuple(
        Option(option_name(name), False if switches[name] else "", f"Setting of {', '.join(owners[name])}.")
        for name in owners
    )


def settings_of(model: str, options: Options, extra: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return the settings of a model that were booked.

    Arguments
    ---------
    options
        Those of the method: what was given among :func:`model_options`.
    extra
        Objects given as keywords.

    Raises
    ------
    SettingError
        The model has no such setting, or it cannot be read.
    """
    defaults = defaults_of(model)
    names = {option_name(name): name for name in defaults}
    every = {option.name for option in model_options()}
    found = {}
    for name in (*sorted(options.given & every), *extra):
        if name not in names:
            raise SettingError(f"{what}: {unknown(f'setting of the model {model}', name, names)}")
        setting = names[name]
        if name in extra:
            found[setting] = extra[name]
        elif isinstance(options[name], bool):
            found[setting] = options[name]
        else:
            found[setting] = read_setting(str(options[name]), defaults[setting], f"{what}: {name}")
    return found


def read_setting(text: str, default: Any, what: str) -> Any:
    """Return the value of a setting that was written as text.

    Raises
    ------
    SettingError
        It is a number or list that cannot be read.

    Example
    -------
    >>> read_setting("64,32", (64, 64), "Hidden"), read_setting("64", (64, 64), "Hidden")
    ((64, 32), (64,))
    >>> read_setting("relu", "tanh", "Activation"), read_setting("((3,),(4,))", (), "Filters")
    ('relu', ((3,), (4,)))
    """
    if isinstance(default, bool):
        if text.lower() in ("true", "t", "1", "false", "f", "0"):
            return text.lower() in ("true", "t", "1")
        raise SettingError(f"{what}={text}: True or False is needed.")
    if text == "None":
        return None
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        # Words: of a name, or of a list of names.
        value = tuple(part.strip() for part in text.split(",")) if isinstance(default, tuple) else text
    if isinstance(default, tuple) and not isinstance(value, (tuple, list)):
        value = (value,)
    numbers = isinstance(default, (int, float)) or (
        isinstance(default, tuple) and default and not isinstance(default[0], str)
    )
    if numbers and _has_words(value):
        wanted = "numbers, separated by commas," if isinstance(default, tuple) else "a number"
        raise SettingError(f"{what}={text}: {wanted} needed; the default is {default}.")
    return value


def _has_words(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return any(_has_words(part) for part in value)
    return isinstance(value, str)
