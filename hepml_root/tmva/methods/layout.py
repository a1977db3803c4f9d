"""kDL's strings of what the network is: the layers of a Layout, and InputLayout.

Layers are separated by commas, what they are made of by ``|``::

    DENSE|64|RELU    RELU|64    DENSE|(N+100)*2|TANH    LINEAR
    CONV|filters|height|width|stride rows|stride columns|padding rows|padding columns|activation
    MAXPOOL|height|width|stride rows|stride columns
    RESHAPE|FLAT     RESHAPE|channels|height|width      BNORM
    RNN|hidden|features|steps|remember|return sequence  and LSTM, GRU likewise

N is the number of variables. A layer without a width has as many values as the analysis needs.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hepml_root.errors import SettingError, unknown

ACTIVATIONS = ("RELU", "TANH", "FTANH", "SYMMRELU", "SOFTSIGN", "SIGMOID", "LINEAR", "GAUSS")
FORMS = {
    "DENSE": "DENSE|width|activation",
    "CONV": "CONV|filters|height|width|stride rows|stride columns|padding rows|padding columns|activation",
    "MAXPOOL": "MAXPOOL|height|width|stride rows|stride columns",
    "RESHAPE": "RESHAPE|FLAT or RESHAPE|channels|height|width",
    "BNORM": "BNORM",
    "RNN": "RNN|hidden|features|steps|remember|return sequence",
    "LSTM": "LSTM|hidden|features|steps|remember|return sequence",
    "GRU": "GRU|hidden|features|steps|remember|return sequence",
}
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_MOST_WIDTH = 1_000_000


@dataclass(frozen=True)
class Dense:
    """Neurons that see all values; ``width`` is a formula of N, empty for as many as the analysis needs."""

    width: str
    activation: str = "TANH"


@dataclass(frozen=True)
class Convolution:
    filters: int
    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    activation: str = "TANH"


@dataclass(frozen=True)
class MaxPool:
    size: tuple[int, int]
    stride: tuple[int, int]


@dataclass(frozen=True)
class Reshape:
    """To channels, height and width; None: to a row of values."""

    shape: tuple[int, int, int] | None


@dataclass(frozen=True)
class BatchNorm:
    pass


@dataclass(frozen=True)
class Recurrent:
    kind: str
    units: int
    features: int
    steps: int
    sequence: bool
    reset_after: bool = False


Layer = Dense | Convolution | MaxPool | Reshape | BatchNorm | Recurrent


def parse_layout(text: str, what: str = "DL") -> list[Layer]:
    """Return the layers of a Layout.

    Raises
    ------
    SettingError
        A layer cannot be read; the message has its number, what was read, and the form that is needed.

    Example
    -------
    >>> parse_layout("TANH|128,DENSE|N*2|RELU,LINEAR")
    [Dense(width='128', activation='TANH'), Dense(width='N*2', activation='RELU'), Dense(width='', \
activation='LINEAR')]
    """
    parts = [part.strip() for part in text.split(",")]
    layers: list[Layer] = []
    for number, part in enumerate(parts, start=1):
        where = f"{what}: Layout: layer {number} ('{part}')"
        tokens = [token.strip() for token in part.split("|")]
        kind = tokens[0].upper()
        if not part:
            raise SettingError(f"{where}: it is empty. Layers are separated by one comma each.")
        if kind in ("RNN", "LSTM", "GRU"):
            layers.append(_recurrent(kind, tokens, where))
        elif kind in _PARSERS:
            layers.append(_PARSERS[kind](tokens, where))
        else:
            layers.append(_dense(tokens, where))
    last = layers[-1]
    if not isinstance(last, Dense):
        raise SettingError(
            f"{what}: Layout ends with '{parts[-1]}': the last layer has to be dense: add DENSE|1|LINEAR, or "
            "LINEAR, which has as many values as are needed."
        )
    for number, layer in enumerate(layers[:-1], start=1):
        if isinstance(layer, Dense) and layer.width in ("", "0"):
            raise SettingError(
                f"{what}: Layout: layer {number} ('{parts[number - 1]}'): {FORMS['DENSE']} is needed; only "
                "the last layer may leave the width out."
            )
    return layers


def _dense(tokens: Sequence[str], where: str) -> Dense:
    width, activation = "", ""
    for token in tokens[1:] if tokens[0].upper() == "DENSE" else tokens:
        if token.upper() in ACTIVATIONS:
            if activation:
                raise SettingError(f"{where}: two activations, {activation} and {token}; {FORMS['DENSE']}.")
            activation = token.upper()
        elif width:
            names = [*FORMS, *ACTIVATIONS]
            raise SettingError(f"{where}: {unknown('layer or activation', token, names)}")
        else:
            try:
                evaluate_width(token, None, where)
            except SettingError as error:
                names = [*FORMS, *ACTIVATIONS]
                if token and not any(letter.isdigit() for letter in token):
                    raise SettingError(f"{where}: {unknown('layer or activation', token, names)}") from error
                raise
            width = token
    return Dense(width, activation or "TANH")


def _convolution(tokens: Sequence[str], where: str) -> Convolution:
    form = FORMS["CONV"]
    activation = "TANH"
    if len(tokens) == 9:
        activation = tokens[8].upper()
        if activation not in ACTIVATIONS:
            raise SettingError(f"{where}: {unknown('activation', tokens[8], ACTIVATIONS)}")
    elif len(tokens) != 8:
        raise SettingError(f"{where}: {form} is needed; there are {len(tokens) - 1} of these 8.")
    numbers = _numbers(tokens[1:8], form, where, zeros=(5, 6))
    return Convolution(
        numbers[0],
        (numbers[1], numbers[2]),
        (numbers[3], numbers[4]),
        (numbers[5], numbers[6]),
        activation,
    )


def _max_pool(tokens: Sequence[str], where: str) -> MaxPool:
    if len(tokens) != 5:
        raise SettingError(f"{where}: {FORMS['MAXPOOL']} is needed; there are {len(tokens) - 1} of these 4.")
    numbers = _numbers(tokens[1:], FORMS["MAXPOOL"], where)
    return MaxPool((numbers[0], numbers[1]), (numbers[2], numbers[3]))


def _reshape(tokens: Sequence[str], where: str) -> Reshape:
    if tokens[-1].upper() == "FLAT" and len(tokens) > 1:
        return Reshape(None)
    if len(tokens) != 4:
        raise SettingError(f"{where}: {FORMS['RESHAPE']} is needed.")
    channels, height, width = _numbers(tokens[1:], FORMS["RESHAPE"], where)
    return Reshape((channels, height, width))


def _batch_norm(tokens: Sequence[str], where: str) -> BatchNorm:
    if len(tokens) != 1:
        raise SettingError(f"{where}: {FORMS['BNORM']} is needed, with nothing behind it.")
    return BatchNorm()


def _recurrent(kind: str, tokens: Sequence[str], where: str) -> Recurrent:
    if not 4 <= len(tokens) <= 7:
        raise SettingError(f"{where}: {FORMS[kind]} is needed; there are {len(tokens) - 1} of these 5.")
    numbers = _numbers(tokens[1:], FORMS[kind], where, zeros=(3, 4, 5))
    units, features, steps, *flags = [*numbers, 0, 0, 0][: max(6, len(numbers))]
    if flags[0]:
        raise SettingError(
            f"{where}: remember={flags[0]}: a state that is kept from one event to the next would make the "
            "response depend on their order. Put 0 there."
        )
    return Recurrent(kind, units, features, steps, bool(flags[1]), bool(flags[2]))


def _numbers(tokens: Sequence[str], form: str, where: str, zeros: Sequence[int] = ()) -> list[int]:
    """Return whole numbers, from 1, or from 0 at the places ``zeros``."""
    names = form.split("|")[1:] if "or" not in form else form.rpartition(" or ")[2].split("|")[1:]
    found = []
    for place, token in enumerate(tokens):
        least = 0 if place in zeros else 1
        if not token.isdigit() or int(token) < least:
            name = names[place] if place < len(names) else "reset gate after"
            raise SettingError(
                f"{where}: {name} is '{token}'; a whole number from {least} is needed: {form}."
            )
        found.append(int(token))
    return found


_PARSERS: dict[str, Callable[[Sequence[str], str], Layer]] = {
    "CONV": _convolution,
    "MAXPOOL": _max_pool,
    "RESHAPE": _reshape,
    "BNORM": _batch_norm,
}


def evaluate_width(formula: str, variables: int | None, where: str = "DL") -> int:
    """Return a width such as ``(N+100)*2``; without N yet, only its form is looked at.

    Raises
    ------
    SettingError
        It is no formula of numbers and N, or not a whole number from 0.

    Example
    -------
    >>> evaluate_width("(N+100)*2", 4), evaluate_width("n/2", 5)
    (208, 2)
    """

    def value(node: ast.expr) -> float:
        number = node.value if isinstance(node, ast.Constant) else None
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            return float(number)
        if isinstance(node, ast.Name) and node.id in ("N", "n"):
            return 1e3 if variables is None else float(variables)
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            return float(_OPERATORS[type(node.op)](value(node.left), value(node.right)))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -value(node.operand)
        raise ValueError

    try:
        if len(formula) > 100:
            raise ValueError
        found = value(ast.parse(formula.strip(), mode="eval").body)
        if variables is not None and not 0 <= found <= _MOST_WIDTH:
            raise ValueError
    except (ValueError, SyntaxError, ZeroDivisionError, OverflowError, RecursionError, MemoryError):
        raise SettingError(
            f"{where}: the width is '{formula[:60]}'; a number from 0 to {_MOST_WIDTH}, or a formula of N, "
            "the number of variables, as (N+100)*2, is needed."
        ) from None
    return int(found)


def parse_input_layout(text: str, what: str = "DL") -> tuple[int, ...]:
    """Return an InputLayout: channels, height, width; steps, features; or () for a row of variables.

    Raises
    ------
    SettingError
        It cannot be read.

    Example
    -------
    >>> parse_input_layout("1|16|16"), parse_input_layout("10|30"), parse_input_layout("0|0|0")
    ((1, 16, 16), (10, 30), ())
    """
    tokens = [token.strip() for token in text.split("|")]
    if len(tokens) > 3 or not all(token.isdigit() for token in tokens):
        raise SettingError(
            f"{what}: InputLayout={text}: channels|height|width of an image, or steps|features of a "
            "sequence, is needed."
        )
    numbers = tuple(int(token) for token in tokens)
    if not any(numbers):
        return ()
    return tuple(max(number, 1) for number in numbers)
