"""TMVA's RReader: a weight file evaluated on vectors and matrices, without addresses."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import UnsupportedOperationError
from hepml_root.tmva.experimental.scorer import Scorer
from hepml_root.tmva.reader import NOT_A_NUMBER
from hepml_root.tmva.weights.conversion import emit, inputs
from hepml_root.tmva.weights.cuts import Cuts
from hepml_root.tmva.weights.weights_xml import read_weights


class RReader:
    """Evaluates a weight file, of TMVA or of this package.

    Shapes: events are ``(events, variables)`` or ``(variables,)``. Responses of one event are ``(outputs,)``;
    of many ``(events,)`` of a classifier or a regression with one target, ``(events, outputs)`` of others. A
    classifier answers −999 to an event with NaN, as TMVA's Reader.

    Arguments
    ---------
    path
        The file ``*.weights.xml``.
    engine
        As in :class:`hepml_root.Session`.

    Raises
    ------
    SourceNotFoundError, ModelFileError
        As :func:`hepml_root.tmva.read_weights`.
    UnsupportedOperationError
        The method cannot be evaluated, or needs more than the variables (Cuts).

    Example
    -------
    >>> import tempfile
    >>> text = '''<MethodSetup Method="Fisher::Fisher"><GeneralInfo>
    ... <Info name="TMVA Release" value="4.2.1 [262657]"/></GeneralInfo><Options/>
    ... <Variables NVar="1"><Variable VarIndex="0" Expression="pt" Label="pt"/></Variables>
    ... <Transformations NTransformations="0"/>
    ... <Weights NCoeff="2"><Coefficient Index="0" Value="-1"/><Coefficient Index="1" Value="0.5"/></Weights>
    ... </MethodSetup>'''
    >>> file = tempfile.mkdtemp() + "/fisher.weights.xml"
    >>> _ = open(file, "w").write(text)
    >>> reader = RReader(file, engine="onnxruntime")
    >>> reader.GetVariableNames(), reader.Compute([10.0]).tolist(), reader.Compute([[2.0], [4.0]]).tolist()
    (['pt'], [4.0], [0.0, 1.0])
    """

    def __init__(self, path: str | os.PathLike[str], *, engine: str = "auto") -> None:
        file = str(path)
        weights = read_weights(file)
        if isinstance(weights.weights, Cuts):
            raise UnsupportedOperationError(
                f"'{file}': Cuts needs a signal efficiency: use TMVA.Reader's EvaluateMVA(tag, aux)."
            )
        self._header, self._inputs = weights.header, inputs(weights)
        self._scorer = Scorer(emit(weights), file, engine)

    def Compute(self, *x: Any) -> NDArray[np.float32]:
        """Return the response for one event or many.

        Arguments
        ---------
        x
            The variables of one event, in one row or one by one, or an array ``(events, variables)``. Behind
            them the spectators that a category looks at; see :meth:`GetVariables`.

        Raises
        ------
        ShapeError
            An event has another number of variables.
        """
        found = self._scorer.compute(x)
        if self._header.analysis == "Classification":
            values = np.asarray(x[0] if len(x) == 1 else x, np.float32)
            found = np.where(np.isnan(values).any(axis=-1, keepdims=True), NOT_A_NUMBER, found)
        return found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found

    def GetVariableNames(self) -> list[str]:
        """Return the titles of the variables, or their labels where they have none."""
        return [variable.title or variable.label for variable in self._header.variables]

    def GetVariables(self) -> list[str]:
        """Return the expressions of what :meth:`Compute` takes, as RDataFrame may compute them."""
        return [variable.expression for variable in self._inputs]

    def GetSpectatorNames(self) -> list[str]:
        """Return the titles of the spectators, or their labels where they have none."""
        return [variable.title or variable.label for variable in self._header.spectators]

    def functor(self, count: int, kind: str) -> Any:
        """Return what ``Compute[count, kind](reader)`` gives to RDataFrame's Define."""
        return self._scorer.functor(count, kind)
