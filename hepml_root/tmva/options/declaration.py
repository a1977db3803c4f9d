"""Options: declared once with type, default, allowed values and help; read from TMVA's option strings.

``"!H:V:NTrees=850:VarProp[1]=FMax"``: options end with a colon, ``!`` is False, a bare name is True, a bare
word that is an allowed value of one option chooses it (``Fisher`` for ``Method=Fisher``). Names and allowed
values are read in any case. Keywords are written as PyROOT writes them: ``H=False`` is ``!H``.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hepml_root.errors import IgnoredOptionWarning, SettingError, unknown

Value = bool | int | float | str
_TRUE, _FALSE = ("true", "t", "1", "ktrue"), ("false", "f", "0", "kfalse")
_warned: set[tuple[str, str]] = set()


@dataclass(frozen=True)
class Option:
    """One option.

    Arguments
    ---------
    name, default, help
        As TMVA has them; the type of the default is that of the option.
    allowed
        The only values of a text; none: any text.
    indexed
        It may be given for one variable or class: ``Name[2]=…``; ``Name=…`` is for all.
    honoured
        False: read, and said once that it changes nothing; ``instead`` says why or what to do.
    """

    name: str
    default: Value
    help: str
    allowed: tuple[str, ...] = ()
    indexed: bool = False
    honoured: bool = True
    instead: str = ""

    def read(self, text: str, what: str) -> Value:
        """Return the value of a text.

        Raises
        ------
        SettingError
            It is no value of this option.
        """
        if isinstance(self.default, bool):
            if text.lower() in (*_TRUE, *_FALSE):
                return text.lower() in _TRUE
            raise SettingError(f"{what}: {self.name}={text}: True or False is needed.")
        if isinstance(self.default, (int, float)):
            try:
                return int(float(text)) if isinstance(self.default, int) else float(text)
            except (ValueError, OverflowError):
                kind = "a whole number" if isinstance(self.default, int) else "a number"
                raise SettingError(f"{what}: {self.name}={text}: {kind} is needed.") from None
        if not self.allowed:
            return text
        found = [value for value in self.allowed if value.lower() == text.lower()]
        if not found:
            raise SettingError(f"{what}: {unknown(f'value for {self.name}', text, self.allowed)}")
        return found[0]


class Options(Mapping[str, Value]):
    """The values of options by name, and which of them were given.

    Example
    -------
    >>> declared = (Option("NTrees", 800, "number of trees"), Option("V", False, "say more"))
    >>> options = parse(declared, "!V:NTrees=850", "BDT")
    >>> options["NTrees"], sorted(options.given)
    (850, ['NTrees', 'V'])
    >>> parse(declared, "NTree=850", "BDT")
    Traceback (most recent call last):
    hepml_root.errors.SettingError: BDT: no option 'NTree'. Nearest: 'NTrees'. Available: NTrees, V.
    """

    def __init__(
        self, declared: Sequence[Option], values: Mapping[str, Value], indexed: Mapping[str, dict[int, Value]]
    ) -> None:
        self.declared = tuple(declared)
        self.given = frozenset((*values, *indexed))
        self._values = {option.name: option.default for option in declared} | dict(values)
        self._indexed = indexed

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def at(self, name: str, index: int) -> Any:
        """Return an indexed option for one variable or class: its own value, else that of all."""
        return self._indexed.get(name, {}).get(index, self._values[name])

    def replaced(self, name: str, value: Value) -> Options:
        """Return the same with another value of one option, which counts as given or not as before."""
        indexed = {key: dict(values) for key, values in self._indexed.items()}
        changed = Options(self.declared, self._values | {name: value}, indexed)
        changed.given = self.given
        return changed

    def own(self, name: str) -> dict[int, Value]:
        """Return what was given of an option with an index: {index: value}."""
        return dict(self._indexed.get(name, {}))


def parse(
    declared: Sequence[Option],
    text: Any = "",
    what: str = "options",
    keywords: Mapping[str, Any] | None = None,
) -> Options:
    """Read an option string, and keywords behind it; see the module for their form.

    Arguments
    ---------
    declared
        The options that exist.
    text
        The option string (``str`` or ``TString``).
    what
        Whose options they are, for messages.
    keywords
        PyROOT's keyword options.

    Raises
    ------
    SettingError
        There is no such option (the nearest are named), or the value is none of it.

    Warns
    -----
    IgnoredOptionWarning
        An option is given twice with two values: the last one counts, as in TMVA.
    """
    by_name = {option.name.lower(): option for option in declared}
    values: dict[str, Value] = {}
    indexed: dict[str, dict[int, Value]] = {}
    parts = [part.strip() for part in str(text).split(":")]
    parts += [
        part for name, value in (keywords or {}).items() for part in keyword_text(name, value).split(":")
    ]
    for part in filter(None, parts):
        name, equals, given = (piece.strip() for piece in part.partition("="))
        negated = name.startswith("!")
        name = name.lstrip("!").strip()
        found = re.fullmatch(r"(.+?)\[(\d+)\]", name)
        option = by_name.get((found[1] if found else name).lower())
        if option is None and not equals and not negated:
            chosen = [o for o in declared if name.lower() in [value.lower() for value in o.allowed]]
            if chosen:
                option, given, equals = chosen[0], name, "="
        if option is None or (found and not option.indexed):
            names = [o.name for o in declared]
            raise SettingError(f"{what}: {unknown('option', name, names)}")
        if equals and negated:
            raise SettingError(f"{what}: '{part}': an option is negated, or has a value, not both.")
        if not equals:
            if not isinstance(option.default, bool):
                raise SettingError(f"{what}: '{part}': {option.name} needs a value: {option.name}=…")
            given = "False" if negated else "True"
        value = option.read(given, what)
        place, key = (indexed.setdefault(option.name, {}), int(found[2])) if found else (values, option.name)
        if key in place and place[key] != value:  # type: ignore[index]
            warnings.warn(
                f"{what}: {name} is given twice: {place[key]} and {value}. The last one counts.",  # type: ignore[index]
                IgnoredOptionWarning, 3,
            )  # fmt: skip
        place[key] = value  # type: ignore[index]
        if not option.honoured and value != option.default and (what, option.name) not in _warned:
            _warned.add((what, option.name))
            why = f" {option.instead}" if option.instead else ""
            warnings.warn(
                f"{what}: the option {option.name} changes nothing here.{why}", IgnoredOptionWarning, 3
            )
    return Options(declared, values, indexed)


def keyword_text(name: str, value: Any) -> str:
    """Return one keyword as it stands in an option string, as PyROOT writes it.

    >>> keyword_text("H", False), keyword_text("NTrees", 850), keyword_text("VarTransform", None)
    ('!H', 'NTrees=850', 'VarTransform=None')
    """
    if isinstance(value, bool):
        return name if value else f"!{name}"
    return f"{name}={value}"
