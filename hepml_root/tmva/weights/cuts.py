"""Rectangular cuts (Cuts): 1 for an event inside a box, 0 for one outside, one box for each signal
efficiency.

    y = 1 where  minᵢ < xᵢ ≤ maxᵢ  for all variables

A file holds boxes for equal steps of the signal efficiency from 0 to 1. TMVA takes, at an efficiency in the
n-th step, the box n + 1 (of 100 steps: at 0.705 that of 0.71 to 0.72), and the last one from there on; so
it is done here. Efficiencies that are not above 0 let nothing pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import SettingError
from hepml_root.export.trees import float32_thresholds
from hepml_root.tmva.weights.graph import Graph
from hepml_root.tmva.weights.header import Header
from hepml_root.tmva.weights.xml_nodes import XmlNode

MOST_BOXES = 100_000


@dataclass(frozen=True)
class Cuts:
    """Boxes ``(boxes, variables)``, with the efficiencies ``(boxes,)`` that training found for them."""

    least: NDArray[np.float64]
    most: NDArray[np.float64]
    signal_efficiency: NDArray[np.float64]
    background_efficiency: NDArray[np.float64]


def read_cuts(node: XmlNode, header: Header) -> Cuts:
    """Read the node ``Weights`` of a cut optimisation.

    Raises
    ------
    ModelFileError
        A box, or a cut of one, is missing.
    """
    if header.analysis != "Classification":
        raise node.error(f"cuts for {header.analysis}; TMVA has them for two classes.")
    count = node.integer("nbins", least=1, most=MOST_BOXES)
    boxes = sorted(node.all("Bin"), key=lambda box: box.integer("ibin"))
    if [box.integer("ibin") for box in boxes] != list(range(1, count + 1)):
        raise node.error(
            f"nbins={count}, but there are {len(boxes)} nodes <Bin>, or their numbers have gaps."
        )
    sides = []
    for side in ("cutMin", "cutMax"):
        rows = [box.child("Cuts") for box in boxes]
        sides.append(
            np.array([[row.number(f"{side}_{i}") for i in range(len(header.variables))] for row in rows])
        )
    efficiencies = (np.array([box.number(name) for box in boxes]) for name in ("effS", "effB"))
    return Cuts(*sides, *efficiencies)


def box_at(weights: Cuts, signal_efficiency: float) -> int | None:
    """Return the number of the box, from 0; None where nothing passes.

    Raises
    ------
    SettingError
        The efficiency is no number from 0 to 1.
    """
    if not math.isfinite(signal_efficiency) or not 0.0 <= signal_efficiency <= 1.0:
        raise SettingError(
            f"signal_efficiency={signal_efficiency}: a number from 0 to 1 is needed; the file has boxes for "
            f"{len(weights.least)} steps."
        )
    if signal_efficiency == 0.0:
        return None
    count = len(weights.least)
    # The bin of a ROOT axis: between two edges, each of them a multiple of the rounded width.
    step, width = int(count * signal_efficiency), 1.0 / count
    if signal_efficiency < step * width:
        step -= 1
    elif signal_efficiency >= (step + 1) * width:
        step += 1
    # The number of the bin counts from 1, and is taken for that of a box, which counts from 0.
    return min(step + 1, count - 1)


def add_cuts(graph: Graph, values: str, weights: Cuts, signal_efficiency: float) -> str:
    """Add the response at a signal efficiency; return its name."""
    box = box_at(weights, signal_efficiency)
    variables = weights.least.shape[1]
    if box is None:  # the same for all events, but of their number
        return graph.affine(graph.add("Mul", values, graph.constant(0.0)), np.zeros((variables, 1)))
    # Doubles become the largest float32 below, so that every float32 is on the same side.
    least, most = (graph.constant(float32_thresholds(side[box])) for side in (weights.least, weights.most))
    above, below = graph.add("Greater", values, least), graph.add("LessOrEqual", values, most)
    number = graph.add("Cast", graph.add("And", above, below), to=1)
    inside = graph.affine(number, np.ones((variables, 1)))
    return graph.add("Cast", graph.add("Greater", inside, graph.constant(variables - 0.5)), to=1)
