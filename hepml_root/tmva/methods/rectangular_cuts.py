"""Rectangular cuts (Cuts): for each signal efficiency the box that lets least background pass.

The box of a step of 1 % is the best one that was found (``learning/box_search``); FitMethod says
by the numbers of which of TMVA's optimisers the effort is given.
"""

from __future__ import annotations

import os

import numpy as np

from hepml_root.errors import SettingError, WeightError
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet
from hepml_root.tmva.learning.box_search import BOTH, ONLY_ABOVE, ONLY_BELOW, search_boxes
from hepml_root.tmva.methods.method import Booking, Method, Trained, positive_part
from hepml_root.tmva.options.classical import CUTS

_BINS = 100
_BEYOND = 0.01  # of the range of the events, on both sides
_NOT_HERE = {
    "MINUIT": "gradients of counted events are 0 almost everywhere",
    "EventScan": "it takes the square of the number of events",
}


class RectangularCuts(Method):
    """TMVA's kCuts; see the module for what it does."""

    type_name = "Cuts"
    own_options = CUTS
    summary = "Rectangular cuts"
    help = """The box of cuts with the largest background rejection at each signal efficiency.
Few variables that separate well do best; VarTransform=D or PCA helps where they are correlated.
VarProp=FSmart cuts each variable on one side only, which is more stable with few events.
The response is 1 inside the box: ask the Reader with the signal efficiency, EvaluateMVA(tag, 0.7)."""

    def __init__(self, booking: Booking) -> None:
        super().__init__(booking)
        method, title = str(self.options["FitMethod"]), booking.title
        if method in _NOT_HERE:
            raise SettingError(
                f"'{title}': FitMethod={method} is not done here: {_NOT_HERE[method]}. Take GA, MC or SA."
            )
        if self.options["EffMethod"] != "EffSel":
            raise SettingError(
                f"'{title}': EffMethod={self.options['EffMethod']}: efficiencies are counted here. Take "
                "EffSel."
            )
        if self._tries() < 0:
            raise SettingError(f"'{title}': the numbers of FitMethod={method} have to be positive.")

    def _tries(self) -> int:
        """Return how many boxes are tried."""
        options = self.options
        if options["FitMethod"] == "GA":
            return int(options["PopSize"]) * int(options["Steps"]) * int(options["Cycles"])
        return int(options["MaxCalls"] if options["FitMethod"] == "SA" else options["SampleSize"])

    def train(self, data: DataSet, console: Console) -> Trained:
        """Search the boxes; the same seed gives the same."""
        events, title = positive_part(data, self.options), self.booking.title
        signal = events.classes == data.signal
        for name, mask in (("signal", signal), ("background", ~signal)):
            total = events.weights[mask].sum()
            if not total > 0:
                raise WeightError(f"'{title}': the weights of the {name} add up to {total:g} in training.")
        sides, ranges = [], []
        for i, variable in enumerate(data.variables):
            values = events.variables[:, i].astype(np.float64)
            kind = str(self.options.at("VarProp", i))
            if kind == "FSmart":
                means = [np.average(values[mask], weights=events.weights[mask]) for mask in (signal, ~signal)]
                kind = "FMax" if means[0] > means[1] else "FMin"
            sides.append({"FMax": ONLY_ABOVE, "FMin": ONLY_BELOW}.get(kind, BOTH))
            low, high = values.min(), values.max()
            low, high = low - _BEYOND * (high - low), high + _BEYOND * (high - low)
            asked = [float(self.options.at(name, i)) for name in ("CutRangeMin", "CutRangeMax")]
            if asked[0] != asked[1]:
                if not asked[0] < asked[1]:
                    raise SettingError(
                        f"'{title}': the cuts on '{variable.label}' are to lie between {asked[0]:g} and "
                        f"{asked[1]:g}: CutRangeMin[{i}] has to be the smaller one."
                    )
                low, high = asked
            ranges.append((low, high))
        seed = int(self.options["Seed"]) or int.from_bytes(os.urandom(4), "little")
        console.line(f"Search boxes: {self._tries()} are tried")
        found = search_boxes(
            events.variables, signal, events.weights, np.array(ranges), sides,
            bins=_BINS, tries=self._tries(), seed=seed,
        )  # fmt: skip
        for tenth in range(1, 10):
            box = tenth * _BINS // 10
            console.line(
                f"Cut values for requested signal efficiency: {tenth / 10:.1f} (background efficiency "
                f"{found.background_efficiency[box]:.4f})"
            )
            for i, variable in enumerate(data.variables):
                low, high = found.least[box, i], found.most[box, i]
                console.line(f"Cut[{i:2}]: {low:>10.6g} < {variable.label} <= {high:>10.6g}")
        return Trained(found)
