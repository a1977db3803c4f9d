"""Boosted decision trees (BDT) with TMVA's options: what they mean, and the events that trees are grown on.

The trees are grown in ``learning/tree_growing``, boosted in ``learning/tree_boosting``
and :mod:`hepml_root.tmva.learning.tree_regression`; the weights are TMVA's own, which its Reader takes.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import EmptySelectionError, IgnoredOptionWarning, SettingError, WeightError
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet, Sample
from hepml_root.tmva.learning.negative_weights import paired
from hepml_root.tmva.learning.tree_boosting import (
    AdaBoostSettings,
    Bagging,
    Boosted,
    ada_boost,
    gradient_boost,
    gradient_boost_classes,
)
from hepml_root.tmva.learning.tree_growing import Forester, Growth
from hepml_root.tmva.learning.tree_regression import Loss, ada_boost_r2, bag_target, gradient_boost_target
from hepml_root.tmva.methods.method import Booking, Method, Trained, positive_part, ranked
from hepml_root.tmva.options.declaration import Options, Value
from hepml_root.tmva.options.trees import BDT, NO_PRUNING
from hepml_root.tmva.weights.preselection import PreselectionCut, decided, find_cuts
from hepml_root.tmva.weights.trees import BoostedTrees

# What is not given in a regression has other defaults.
_REGRESSION: dict[str, Value] = {
    "MaxDepth": 50, "MinNodeSize": "0.2%", "BoostType": "AdaBoostR2", "UseYesNoLeaf": False,
    "SeparationType": "RegressionVariance",
}  # fmt: skip
_BOOSTS = {
    "Classification": ("AdaBoost", "RealAdaBoost", "AdaCost", "Bagging", "Grad"),
    "Regression": ("AdaBoostR2", "Bagging", "Grad"),
    "Multiclass": ("Grad",),
}


class BoostedDecisionTrees(Method):
    """TMVA's kBDT."""

    type_name = "BDT"
    own_options = BDT
    analyses = ("Classification", "Regression", "Multiclass")
    summary = "Boosted decision trees"
    ranked_by = "Variable Importance"
    help = """Decision trees are grown one after the other, each with more weight on what those before it got
wrong (AdaBoost), or fitted to what they left over (Grad); the answer is a vote of all of them.
Trees should be small: MaxDepth 2 to 4, MinNodeSize 1 to 5 % of the training events.
Grad wants Shrinkage of 0.1 or less and more trees then; UseBaggedBoost makes both more robust.
Compare training and test: where the training is much better, take smaller trees, or fewer.
Linear correlations need many cuts: VarTransform=D helps."""

    def __init__(self, booking: Booking) -> None:
        if booking.analysis == "Regression":
            booking = replace(booking, options=_with_defaults(booking.options, _REGRESSION))
        super().__init__(booking)
        title, options = booking.title, self.options
        boosts = _BOOSTS[booking.analysis]
        if options["BoostType"] not in boosts:
            raise SettingError(
                f"'{title}': BoostType={options['BoostType']} in a {booking.analysis.lower()}: "
                f"{', '.join(boosts)} {'is' if len(boosts) == 1 else 'are'} possible."
            )
        for name in ("NTrees", "Shrinkage", "AdaBoostBeta", "MaxDepth", "BaggedSampleFraction"):
            if not options[name] > 0:
                raise SettingError(f"'{title}': {name}={options[name]}: a number above 0 is needed.")
        if options["SigToBkgFraction"] <= 0:
            raise SettingError(f"'{title}': SigToBkgFraction={options['SigToBkgFraction']} is not above 0.")
        if not 0.0 <= options["HuberQuantile"] <= 1.0:
            raise SettingError(f"'{title}': HuberQuantile={options['HuberQuantile']} is not from 0 to 1.")
        self._node_size()
        if options["PruneMethod"] != "NoPruning":
            warnings.warn(
                f"'{title}': PruneMethod={options['PruneMethod']} changes nothing here. {NO_PRUNING}",
                IgnoredOptionWarning,
                3,
            )

    def _node_size(self) -> float:
        """Return MinNodeSize as a part of the events."""
        text = str(self.options["MinNodeSize"])
        try:
            percent = float(text.replace("%", "").strip())
        except ValueError:
            raise SettingError(
                f"'{self.booking.title}': MinNodeSize={text}: a number in percent is needed, such as 2.5%."
            ) from None
        if not 0 < percent < 50:
            raise SettingError(
                f"'{self.booking.title}': MinNodeSize={text}: more than 0 and less than 50 percent is needed."
            )
        return percent / 100.0

    def train(self, data: DataSet, console: Console) -> Trained:
        """Grow and boost the trees; the same events and options give the same trees."""
        options, title = self.options, self.booking.title
        if data.analysis == "Regression" and len(data.targets) != 1:
            raise SettingError(
                f"'{title}': {len(data.targets)} targets; a BDT learns one. Book one for each."
            )
        events = self._events(data)
        cuts: tuple[PreselectionCut, ...] = ()
        if options["DoPreselection"] and data.analysis == "Classification":
            cuts, events = self._preselected(events, data, console)
        weights = self._normalised(events, data)
        growth = self._growth(data, len(events))
        whole = [variable.kind == "I" for variable in data.variables]
        forester = Forester(events.variables, whole, growth)
        console.line(f"Training {options['NTrees']} Decision Trees ... patience please")
        found = self._boosted(forester, data, events, weights)
        if found.stopped:
            console.warning(
                f"stopped after {len(found.weights)} of {options['NTrees']} steps: {found.stopped}."
            )
        importance = np.sqrt(found.importance)
        total = importance.sum()
        self._ranking = ranked(data.labels, importance / total if total > 0 else importance)
        leaf = "response" if growth.separation == "RegressionVariance" else self._leaf()
        monitors = {
            "MonitorNtuple": {
                "iTree": np.arange(len(found.weights), dtype=np.int32),
                "boostWeight": np.array(found.weights),
                "errorFraction": np.array(found.errors),
            }
        }
        return Trained(BoostedTrees(str(options["BoostType"]), leaf, tuple(found.trees), cuts), monitors)

    def ranking(self) -> list[tuple[str, float]] | None:
        return getattr(self, "_ranking", None)

    def _leaf(self) -> str:
        pure = self.options["BoostType"] in ("RealAdaBoost", "AdaCost")
        return "kind" if self.options["UseYesNoLeaf"] and not pure else "purity"

    def _growth(self, data: DataSet, events: int) -> Growth:
        options = self.options
        regression = data.analysis == "Regression" or options["BoostType"] == "Grad"
        least = self._node_size()
        if options["nEventsMin"] > 0:
            least = options["nEventsMin"] / events
        depth = int(options["MaxDepth"])
        if options["NNodesMax"] > 0:
            depth, nodes = 0, 1
            while nodes < options["NNodesMax"]:
                nodes, depth = 3 * nodes, depth + 1
        cuts = int(options["nCuts"])
        variables = int(options["UseNvars"])
        if "UseNvars" not in options.given:
            variables = int(np.sqrt(len(data.variables)) + 0.6)
        return Growth(
            depth=depth,
            least=least,
            cuts=20 if cuts < 1 and data.analysis == "Regression" else cuts,
            separation="RegressionVariance" if regression else str(options["SeparationType"]),
            purity_limit=float(options["NodePurityLimit"]),
            random_variables=max(variables, 1) if options["UseRandomisedTrees"] else 0,
            poisson=bool(options["UsePoissonNvars"]),
            clean=not regression and self._leaf() == "kind",
        )

    def _events(self, data: DataSet) -> Sample:
        """Return the training events with what NegWeightTreatment says of negative weights."""
        events = positive_part(data, self.options)
        events = events.take(events.weights != 0)
        treatment = str(self.options["NegWeightTreatment"])
        if treatment in ("IgnoreNegWeightsInTraining", "NoNegWeightsInTraining"):
            events = events.take(events.weights > 0)
        elif treatment == "PairNegWeightsGlobal":
            events = paired(events)
        if not len(events):
            raise EmptySelectionError(f"'{self.booking.title}': no training event is left.")
        if not events.weights.sum() > 0:
            raise WeightError(
                f"'{self.booking.title}': the weights add up to {events.weights.sum():g} in training. "
                "NegWeightTreatment=IgnoreNegWeightsInTraining leaves negative ones out."
            )
        return events

    def _preselected(
        self, events: Sample, data: DataSet, console: Console
    ) -> tuple[tuple[PreselectionCut, ...], Sample]:
        """Return the cuts beyond which there is one class only, and the events that are left for trees."""
        signal = events.classes == data.signal
        cuts = find_cuts(events.variables, signal, events.weights)
        for cut in cuts:
            what = "signal" if cut.answer > 0 else "background"
            sign = ">" if cut.above else "<"
            console.line(f"found cut: {what} if {data.labels[cut.variable]} {sign} {cut.cut:g}")
        left = events.take(decided(cuts, events.variables) == 0)
        if len(np.unique(left.classes)) < 2:
            raise EmptySelectionError(
                f"'{self.booking.title}': DoPreselection tells the classes apart by itself, leaving nothing "
                "to learn for trees. Cut on these variables in the analysis."
            )
        return cuts, left

    def _normalised(self, events: Sample, data: DataSet) -> NDArray[np.float64]:
        """Return weights whose sum is the number of events; those of signal and background are balanced."""
        weights = events.weights.astype(np.float64)
        count = len(weights)
        if data.analysis != "Classification" or self.options["SkipNormalization"]:
            return weights * (count / weights.sum())
        signal = events.classes == data.signal
        sums = [float(weights[mask].sum()) for mask in (signal, ~signal)]
        if not min(sums) > 0:
            raise WeightError(
                f"'{self.booking.title}': the weights add up to {sums[0]:g} for the signal and {sums[1]:g} "
                "for the background in training."
            )
        ratio = float(self.options["SigToBkgFraction"])
        shares = (ratio / (1.0 + ratio), 1.0 / (1.0 + ratio))
        return weights * np.where(signal, count * shares[0] / sums[0], count * shares[1] / sums[1])

    def _boosted(
        self, forester: Forester, data: DataSet, events: Sample, weights: NDArray[np.float64]
    ) -> Boosted:
        options = self.options
        kind, trees, shrinkage = (
            str(options["BoostType"]),
            int(options["NTrees"]),
            float(options["Shrinkage"]),
        )
        count, bagging = len(data.variables), self._bagging(len(events))
        if data.analysis == "Regression":
            target = events.targets[:, 0].astype(np.float64)
            if kind == "Grad":
                loss = Loss(str(options["RegressionLossFunctionBDTG"]), float(options["HuberQuantile"]))
                return gradient_boost_target(
                    forester, count, target, weights, trees, shrinkage, bagging, loss
                )
            if kind == "Bagging":
                return bag_target(forester, count, target, weights, trees, bagging)
            loss_name = str(options["AdaBoostR2Loss"])
            return ada_boost_r2(forester, count, target, weights, trees, bagging, loss_name)
        if data.analysis == "Multiclass":
            classes = len(data.classes)
            return gradient_boost_classes(
                forester, count, events.classes, classes, weights, trees, shrinkage, bagging
            )
        signal = events.classes == data.signal
        if kind == "Grad":
            return gradient_boost(forester, count, signal, weights, trees, shrinkage, bagging)
        settings = AdaBoostSettings(
            kind, trees, float(options["AdaBoostBeta"]), self._leaf() == "kind",
            options["NegWeightTreatment"] == "InverseBoostNegWeights",
            costs=(
                float(options["Css"]), float(options["Cts_sb"]), float(options["Ctb_ss"]),
                float(options["Cbb"]),
            ),
        )  # fmt: skip
        return ada_boost(forester, count, signal, weights, settings, bagging)

    def _bagging(self, events: int) -> Bagging:
        options = self.options
        asked = options["UseBaggedBoost"] or options["UseBaggedGrad"] or options["BoostType"] == "Bagging"
        fraction = float(options["BaggedSampleFraction"])
        if "GradBaggingFraction" in options.given and "BaggedSampleFraction" not in options.given:
            fraction = float(options["GradBaggingFraction"])
        if options["UseNTrainEvents"] > 0:
            fraction = options["UseNTrainEvents"] / events
        return Bagging(fraction if asked else 0.0)


def _with_defaults(options: Options, defaults: dict[str, Value]) -> Options:
    """Return the options with other values of what was not given."""
    declared = [
        replace(option, default=defaults[option.name]) if option.name in defaults else option
        for option in options.declared
    ]
    given = {name: options[name] for name in options.given}
    own = {name: options.own(name) for name in options.given if options.own(name)}
    return Options(declared, given, own)
