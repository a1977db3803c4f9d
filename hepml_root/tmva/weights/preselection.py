"""Cuts before the trees of a BDT (DoPreselection): where a variable has only one class, the answer is ±1.

    y = −1 where x < c or x > c lets only background through, +1 where it lets only signal through

In TMVA's order: for each variable the lower cuts of background and signal, then the upper ones; the last that
an event meets counts, and trees see the events that meet none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hepml_root.export.trees import float32_thresholds
from hepml_root.tmva.weights.graph import Graph
from hepml_root.tmva.weights.xml_nodes import XmlNode

_KINDS = (("LowBkg", False, -1.0), ("LowSig", False, 1.0), ("HighBkg", True, -1.0), ("HighSig", True, 1.0))
# TMVA's: the least share of a class that is worth a cut, and how far from the last event it is put, in
# units of the variable's range.
_LEAST_SHARE, _MARGIN = 0.05, 0.01


@dataclass(frozen=True)
class PreselectionCut:
    """Events with ``variable`` above (or below) ``cut`` get ``answer``."""

    variable: int
    above: bool
    cut: float
    answer: float


Cuts = tuple[PreselectionCut, ...]


def read_preselection(node: XmlNode, variables: int) -> Cuts:
    """Read the attributes of the node ``Weights``; none where the BDT was trained without.

    Raises
    ------
    ModelFileError
        An attribute is missing, or no number.
    """
    if "PreselectionLowBkgVar0" not in node.attributes:
        return ()
    found = []
    for variable in range(variables):
        for kind, above, answer in _KINDS:
            name = f"Preselection{kind}Var{variable}"
            cut = node.number(f"{name}Value")
            if node.integer(name, most=1):
                found.append(PreselectionCut(variable, above, cut, answer))
    return tuple(found)


def attributes(cuts: Cuts, variables: int) -> dict[str, str]:
    """Return the attributes of the node ``Weights``, as TMVA writes them."""
    there = {(cut.variable, cut.above, cut.answer): cut.cut for cut in cuts}
    found = {}
    for variable in range(variables):
        for kind, above, answer in _KINDS:
            value = there.get((variable, above, answer))
            name = f"Preselection{kind}Var{variable}"
            found[name] = str(int(value is not None))
            found[f"{name}Value"] = f"{value or 0.0:.16e}"
    return found


def add_preselection(graph: Graph, values: str, result: str, cuts: Cuts) -> str:
    """Add the cuts around the response of the trees; return the name of what comes out."""
    for cut in cuts:
        column = graph.columns(values, [cut.variable])
        # The nearest float32 on the side of the cut, so that every float32 is decided as in double precision.
        edge = np.array([cut.cut])
        if cut.above:
            met = graph.add("Greater", column, graph.constant(float32_thresholds(edge)))
        else:
            met = graph.add("Less", column, graph.constant(-float32_thresholds(-edge)))
        result = graph.add("Where", met, graph.constant([[cut.answer]]), result)
    return result


def decided(cuts: Sequence[PreselectionCut], variables: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the answer of the cuts for events ``(events, variables)``, 0 where none is met."""
    answers = np.zeros(len(variables))
    for cut in cuts:
        column = variables[:, cut.variable].astype(np.float64)
        answers[column > cut.cut if cut.above else column < cut.cut] = cut.answer
    return answers


def find_cuts(
    variables: NDArray[np.generic], signal: NDArray[np.bool_], weights: NDArray[np.float64]
) -> Cuts:
    """Return the cuts beyond which training events are of one class, 5 % of it at least.

    Arguments
    ---------
    variables
        ``(events, variables)``.
    signal, weights
        ``(events,)``.

    Example
    -------
    >>> x = np.array([[0.0], [1.0], [2.0], [3.0], [4.0]])
    >>> find_cuts(x, np.array([False, False, True, False, True]), np.ones(5))[0].cut
    0.96
    """
    found = []
    totals = {True: weights[signal].sum(), False: weights[~signal].sum()}
    for variable, column in enumerate(np.asarray(variables, np.float64).T):
        margin = _MARGIN * np.ptp(column)
        ends = {kind: (column[signal == kind].min(), column[signal == kind].max()) for kind in (True, False)}
        for _, above, answer in _KINDS:
            kind = answer > 0  # the class that is alone beyond the cut
            low, high = ends[not kind]
            alone = (signal == kind) & (column > high if above else column < low)
            if weights[alone].sum() <= _LEAST_SHARE * totals[kind]:
                continue
            cut = high + margin if above else column[alone].max() - margin
            found.append(PreselectionCut(variable, above, float(cut), answer))
    return tuple(found)
