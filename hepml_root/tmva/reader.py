"""TMVA's Reader: the same calls on the same weight files, evaluated by the compiled engine."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import ColumnNotFoundError, ColumnTypeError, SettingError, ShapeError, unknown
from hepml_root.inference.session import Session
from hepml_root.tmva.options.declaration import parse
from hepml_root.tmva.options.factory import READER
from hepml_root.tmva.weights.conversion import inputs, write
from hepml_root.tmva.weights.cuts import Cuts, box_at
from hepml_root.tmva.weights.header import Variable
from hepml_root.tmva.weights.mva_pdfs import probability, rarity
from hepml_root.tmva.weights.own_model import OwnModel
from hepml_root.tmva.weights.weights_xml import WeightFile, read_weights

NOT_A_NUMBER = np.float32(-999)  # what TMVA answers to an event with NaN


@dataclass(frozen=True)
class _Declared:
    """A variable or spectator as it was added."""

    expression: str
    label: str
    address: Any


@dataclass(frozen=True)
class _Booked:
    """A method with what evaluates it: of Cuts one session for each box that was asked for."""

    weights: WeightFile
    sessions: dict[int | None, Session] = field(default_factory=dict)


class Reader:
    """Evaluates weight files of TMVA event by event, as ``TMVA::Reader`` does.

    Arguments
    ---------
    options
        TMVA's, such as ``"!Color:!Silent"``; they concern its messages and change nothing here.
    engine
        As in :class:`hepml_root.Session`. "onnxruntime" compiles nothing.

    Raises
    ------
    SettingError
        There is no such option.

    Example
    -------
    >>> import tempfile
    >>> from array import array
    >>> from hepml_root import tmva as TMVA
    >>> text = '''<MethodSetup Method="Fisher::Fisher"><GeneralInfo>
    ... <Info name="TMVA Release" value="4.2.1 [262657]"/></GeneralInfo><Options/>
    ... <Variables NVar="1"><Variable VarIndex="0" Expression="pt" Label="pt"/></Variables>
    ... <Transformations NTransformations="0"/>
    ... <Weights NCoeff="2"><Coefficient Index="0" Value="-1"/><Coefficient Index="1" Value="0.5"/></Weights>
    ... </MethodSetup>'''
    >>> file = tempfile.mkdtemp() + "/fisher.weights.xml"
    >>> _ = open(file, "w").write(text)
    >>> reader, pt = TMVA.Reader("!Color", engine="onnxruntime"), array("f", [0.0])
    >>> reader.AddVariable("pt", pt)
    >>> reader.BookMVA("Fisher", file)
    >>> pt[0] = 10.0
    >>> reader.EvaluateMVA("Fisher")
    4.0
    >>> reader.EvaluateMVA([2.0], "Fisher")
    0.0
    """

    def __init__(self, options: Any = "", *, engine: str = "auto") -> None:
        parse(READER, options, "Reader")
        self._engine = engine
        self._variables: list[_Declared] = []
        self._spectators: list[_Declared] = []
        self._methods: dict[str, _Booked] = {}

    def AddVariable(self, expression: str, address: Any) -> None:
        """Declare the next input variable.

        Arguments
        ---------
        expression
            As in training, with ``label := expression`` and spaces as one likes.
        address
            Where the value of the event will be: ``array("f", [0])`` or a numpy array of float32.

        Raises
        ------
        SettingError
            A method is booked already, or the expression was added before.
        ColumnTypeError
            ``address`` is nothing that holds a float.
        """
        self._add("variable", self._variables, expression, address)

    def AddSpectator(self, expression: str, address: Any = None) -> None:
        """Declare the next spectator. Only categories and cross validation look at its value, and need its
        address. See :meth:`AddVariable`.
        """
        self._add("spectator", self._spectators, expression, address)

    def _add(self, kind: str, declared: list[_Declared], expression: Any, address: Any) -> None:
        expression = str(expression)  # a TString as well
        if self._methods:
            raise SettingError(
                f"the {kind} '{expression}' comes after BookMVA: declare all variables and spectators before."
            )
        label, separator, formula = expression.partition(":=")
        if not separator:
            label = formula = expression
        if _plain(formula) in [_plain(other.expression) for other in declared]:
            raise SettingError(f"the {kind} '{expression}' is declared twice.")
        if address is not None or kind == "variable":
            _value(address, expression)
        declared.append(_Declared(formula.strip(), label.strip(), address))

    def BookMVA(self, tag: Any, file: Any) -> None:
        """Read a weight file, and compile it if it is not in the cache.

        Arguments
        ---------
        tag
            The name to evaluate it by.
        file
            The file ``*.weights.xml``: a text, a TString or a path.

        Raises
        ------
        SettingError
            The tag is taken.
        ColumnNotFoundError
            The variables or spectators declared are not those of the file, in its order.
        SourceNotFoundError, ModelFileError, UnsupportedOperationError
            As :func:`hepml_root.tmva.read_weights`.
        """
        tag = str(tag)
        if tag in self._methods:
            raise SettingError(f"a method '{tag}' is booked already.")
        weights = read_weights(str(file))
        self._match("variable", "AddVariable", self._variables, weights.header.variables, weights)
        self._match("spectator", "AddSpectator", self._spectators, weights.header.spectators, weights)
        for entry in self._taken(weights):
            if entry.address is None:
                raise SettingError(
                    f"'{tag}' ({weights.header.method}) looks at the spectator '{entry.expression}': give "
                    "its address to AddSpectator."
                )
        booked = _Booked(weights)
        if not isinstance(weights.weights, Cuts):
            booked.sessions[None] = self._session(weights, None)
        self._methods[tag] = booked

    def _session(self, weights: WeightFile, signal_efficiency: float | None) -> Session:
        if isinstance(weights.weights, OwnModel):
            return Session(weights.weights.path, engine=self._engine)
        with tempfile.TemporaryDirectory(prefix="hepml_root-") as folder:
            path = write(
                weights, Path(folder) / "method.onnx", signal_efficiency=signal_efficiency, events=None,
                overwrite=False, points=None, generated=(),
            )  # fmt: skip
            # A box of cuts is used for one working point: nothing is compiled for it.
            return Session(path, engine=self._engine if signal_efficiency is None else "onnxruntime")

    @staticmethod
    def _match(
        kind: str,
        call: str,
        declared: Sequence[_Declared],
        wanted: Sequence[Variable],
        weights: WeightFile,
    ) -> None:
        names = [variable.expression for variable in wanted]
        place = f"'{weights.path}' ({weights.header.method}::{weights.header.title})"
        for position, (given, variable) in enumerate(zip(declared, wanted, strict=False)):
            if _plain(given.expression) in (_plain(variable.expression), _plain(variable.label)):
                continue
            where = [i for i, name in enumerate(names) if _plain(name) == _plain(given.expression)]
            if where:
                raise ColumnNotFoundError(
                    f"{place}: {kind} {position} is '{variable.expression}', and '{given.expression}' "
                    f"is {kind} "
                    f"{where[0]}: call {call} in the order {', '.join(names)}."
                )
            raise ColumnNotFoundError(
                f"{place}: {kind} {position} is '{variable.expression}'; "
                + unknown(kind, given.expression, names)
            )
        if len(declared) != len(wanted):
            raise ColumnNotFoundError(
                f"{place} has {len(wanted)} {kind}s, and {len(declared)} are declared. Call {call} for "
                "each, in the "
                f"order {', '.join(names) or '(none)'}."
            )

    def EvaluateMVA(self, *arguments: Any) -> float:
        """Return the response of a classifier for one event.

        ``EvaluateMVA(tag[, aux])`` takes the event from the addresses, ``EvaluateMVA(values, tag[, aux])``
        from a list. ``aux`` is the signal efficiency of the method Cuts. An event with NaN gives −999. A
        regression with one target gives its value.

        Raises
        ------
        SettingError
            There is no such method, it is no classifier, or Cuts lacks its efficiency.
        ShapeError
            ``values`` are not as many as variables.
        """
        booked, values, aux = self._asked("EvaluateMVA", "Classification", arguments, regression=True)
        if np.isnan(values).any():
            return float(NOT_A_NUMBER)
        return float(self._evaluated(booked, values, aux)[0])

    def EvaluateRegression(self, *arguments: Any) -> list[float] | float:
        """Return the values of a regression for one event, one for each target.

        ``EvaluateRegression(tag)``, ``EvaluateRegression(values, tag)``; with the number of a target
        before the tag, as in TMVA, this one value. See :meth:`EvaluateMVA` for the errors.
        """
        return self._several("EvaluateRegression", "Regression", "target", arguments)

    def EvaluateMulticlass(self, *arguments: Any) -> list[float] | float:
        """Return the response for each class for one event, or with the number of a class before the tag that
        of this class; arguments and errors as in :meth:`EvaluateRegression`."""
        return self._several("EvaluateMulticlass", "Multiclass", "class", arguments)

    def _several(
        self, call: str, analysis: str, what: str, arguments: tuple[Any, ...]
    ) -> list[float] | float:
        which = None
        if len(arguments) > 1 and isinstance(arguments[0], (int, np.integer)):
            which, arguments = int(arguments[0]), arguments[1:]
        booked, values, _ = self._asked(call, analysis, arguments)
        found = [float(value) for value in self._evaluated(booked, values, None)]
        if which is None:
            return found
        if not 0 <= which < len(found):
            raise SettingError(f"{what} {which}: the method has {len(found)}, counted from 0.")
        return found[which]

    def GetProba(self, *arguments: Any) -> float:
        """Return the probability that the event is signal: ``GetProba(tag[, signal fraction])``, or with the
        values before the tag. The method must have been trained with CreateMVAPdfs.

        Raises
        ------
        SettingError
            The file has no densities of the response, or as :meth:`EvaluateMVA`.
        """
        pdfs, response, fraction = self._response("GetProba", arguments)
        return float(probability(pdfs, response, 0.5 if fraction is None else fraction)[0])

    def GetRarity(self, *arguments: Any) -> float:
        """Return the share of the background with a smaller response; arguments as :meth:`GetProba`."""
        pdfs, response, _ = self._response("GetRarity", arguments)
        return float(rarity(pdfs, response)[0])

    def _response(
        self, call: str, arguments: tuple[Any, ...]
    ) -> tuple[Any, NDArray[np.float32], float | None]:
        booked, values, fraction = self._asked(call, "Classification", arguments)
        if booked.weights.mva_pdfs is None:
            raise SettingError(
                f"{call}: '{booked.weights.path}' has no densities of the response. Train the method with "
                "CreateMVAPdfs."
            )
        return booked.weights.mva_pdfs, self._evaluated(booked, values, None), fraction

    def _asked(
        self, call: str, analysis: str, arguments: tuple[Any, ...], regression: bool = False
    ) -> tuple[_Booked, NDArray[np.float32], float | None]:
        """Return the method, the event and the auxiliary value of a call.

        ``regression``: one with a single target will do.
        """
        from_list = bool(arguments) and not _is_text(arguments[0])
        rest = arguments[1:] if from_list else arguments
        if not rest or len(rest) > 2:
            raise SettingError(f"{call}(tag[, aux]) or {call}(values, tag[, aux]).")
        tag = str(rest[0])
        if tag not in self._methods:
            raise SettingError(unknown("method", tag, self._methods, "Book it with BookMVA(tag, file)."))
        booked = self._methods[tag]
        found = booked.weights.header.analysis
        single = found == "Regression" and len(booked.weights.header.targets) == 1
        if found != analysis and not (regression and single):
            calls = {"Classification": "MVA", "Regression": "Regression", "Multiclass": "Multiclass"}
            raise SettingError(f"'{tag}' is a {found.lower()} method: call Evaluate{calls[found]}.")
        if from_list:
            values = np.asarray(arguments[0])
            taken = inputs(booked.weights)
            if values.shape != (len(taken),) or values.dtype.kind not in "fiub":
                raise ShapeError(
                    f"{len(taken)} numbers are needed, one for each of "
                    f"{', '.join(variable.label for variable in taken)}; given: shape {values.shape}, "
                    f"type {values.dtype}."
                )
        else:
            values = np.array(
                [_value(entry.address, entry.expression) for entry in self._taken(booked.weights)]
            )
        return booked, values.astype(np.float32), None if len(rest) == 1 else float(rest[1])

    def _taken(self, weights: WeightFile) -> list[_Declared]:
        """Return the variables, and the spectators that the method looks at."""
        found = weights.weights
        numbers = found.spectators if isinstance(found, OwnModel) else ()
        return [*self._variables, *(self._spectators[number] for number in numbers)]

    def _evaluated(
        self, booked: _Booked, values: NDArray[np.float32], aux: float | None
    ) -> NDArray[np.float32]:
        weights, box = booked.weights.weights, None
        if isinstance(weights, Cuts):
            if aux is None:
                raise SettingError("the method Cuts needs the signal efficiency: EvaluateMVA(tag, 0.7).")
            number = box_at(weights, aux)
            box = -1 if number is None else number
            if box not in booked.sessions:
                booked.sessions[box] = self._session(booked.weights, aux)
        found = booked.sessions[box].infer(values[None])
        assert isinstance(found, np.ndarray)
        return found[0]


def _is_text(value: Any) -> bool:
    """Return whether a value is a text: also a TString, a std::string or a path."""
    return isinstance(value, (str, os.PathLike)) or hasattr(value, "Data") or hasattr(value, "c_str")


def _plain(expression: str) -> str:
    return "".join(expression.split())


def _value(address: Any, expression: str) -> float:
    """Return the number at an address."""
    try:
        value = address.value if hasattr(address, "value") else address[0]
        number = float(value)
    except (TypeError, IndexError, ValueError) as error:
        raise ColumnTypeError(
            f"the address of '{expression}' is a {type(address).__name__} that holds no number: give "
            "array('f', [0]) "
            "or a numpy array of float32."
        ) from error
    return number if math.isfinite(number) else float(np.float32(number))
