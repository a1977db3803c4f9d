"""Representations of a job file: ``data.representations``, checked against what the package has.

>>> settings = {"kind": "constituents", "pt": "jet_pt", "eta": "jet_eta", "phi": "jet_phi", "max_len": 8}
>>> check_representations({"particles": settings}, "job.yaml")  # doctest: +ELLIPSIS
Traceback (most recent call last):
...
hepml_root.errors.JobFileError: job.yaml: data.representations.particles.max_len: unknown setting, did you \
mean 'max_length'? constituents takes: pt, eta, phi, mass, features, extra, max_length, ...
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hepml_root.errors import HepmlError, JobFileError, nearest

if TYPE_CHECKING:
    from hepml_root.data.representation import Representation


def kinds() -> dict[str, Callable[..., Representation]]:
    """Return the functions that make representations, by name."""
    from hepml_root import representations
    from hepml_root.data.representation import Representation

    found: dict[str, Callable[..., Representation]] = {}
    for name in representations.__all__:
        function = getattr(representations, name)
        returns = getattr(function, "__annotations__", {}).get("return", "")
        made = getattr(inspect.getmodule(function), str(returns), None)
        if inspect.isfunction(function) and inspect.isclass(made) and issubclass(made, Representation):
            found[name] = function
    return found


def check_representations(given: Mapping[str, Mapping[str, Any]], file: str) -> None:
    """Raise JobFileError if a representation has no known kind, lacks a setting or has an unknown one."""
    for name, settings in given.items():
        place = f"{file}: data.representations.{name}"
        functions = kinds()
        kind = settings.get("kind")
        if kind not in functions:
            what = "missing" if kind is None else f"unknown kind '{kind}'"
            raise JobFileError(f"{place}.kind: {what}{_meant(str(kind), functions)}")
        taken = inspect.signature(functions[str(kind)]).parameters
        names = [parameter for parameter in taken if parameter != "name"]
        for key in settings:
            if key != "kind" and key not in names:
                meant = _meant(key, names, f"{kind} takes")
                raise JobFileError(f"{place}.{key}: unknown setting{meant}")
        for key in names:
            if taken[key].default is inspect.Parameter.empty and key not in settings:
                raise JobFileError(f"{place}.{key}: missing; {kind} needs it.")


def representations_of(given: Mapping[str, Mapping[str, Any]]) -> list[Representation]:
    """Return the representations that a checked job asks for.

    Raises
    ------
    JobFileError
        A setting has a value that the representation does not take.
    """
    functions = kinds()
    made = []
    for name, settings in given.items():
        values = {key: _value(value) for key, value in settings.items() if key != "kind"}
        try:
            made.append(functions[str(settings["kind"])](name, **values))
        except HepmlError as error:
            raise JobFileError(f"data.representations.{name}: {error}") from error
        except (AttributeError, TypeError, ValueError) as error:
            raise JobFileError(
                f"data.representations.{name}: a setting has a value of the wrong type ({error})."
            ) from error
    return made


def _value(value: Any) -> Any:
    return tuple(_value(item) for item in value) if isinstance(value, list) else value


def _meant(name: str, names: Any, takes: str = "There are") -> str:
    close = nearest(name, names)
    meant = f", did you mean '{close[0]}'?" if close else "."
    return f"{meant} {takes}: {', '.join(names)}."
