"""SVM: the surface between two classes that few training events, the support vectors, decide.

    f(x) = Σᵢ αᵢ K(xᵢ, x) + b,    y = 1 / (1 + exp(−f)); in a regression f itself

with a kernel K of ``weights/vector_kernels``. The weight file has TMVA's form, but of products of
kernels, which TMVA's Reader would add. Kernels compare the
variables as VarTransform leaves them: book it with VarTransform=N, which brings all to −1…1. The cost C of an
event is multiplied with its weight, of which the mean in each class is made 1, and with n_small / n_class, so
that both classes cost as much in all. (TMVA multiplies C with the weight as it is, and with n_S / n_B for the
background of a smaller signal, but also for the signal of a smaller background.) scikit-learn trains.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import SettingError, unknown
from hepml_root.tmva import training
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet
from hepml_root.tmva.methods.checks import at_least, check_classes, positive, refuse_negative_weights, refused
from hepml_root.tmva.methods.method import Booking, Method, OwnGraph, Trained
from hepml_root.tmva.options.neighbours import SUPPORT_VECTORS
from hepml_root.tmva.weights.conversion import INPUT, OUTPUT
from hepml_root.tmva.weights.graph import Graph
from hepml_root.tmva.weights.support_vectors import SupportVectors as Weights
from hepml_root.tmva.weights.support_vectors import add_support_vectors
from hepml_root.tmva.weights.vector_kernels import KERNELS, Kernel

_REGRESSION_COST = 0.002
_MOST_ROUNDING = 1e-3  # of the response
_EVENTS_TO_COMPARE = 200
_MOST_BOUND = 0.9  # of the events of a regression: the function is nearly constant then
_MOST_OF_A_TABLE = 20_000  # events, where the kernels of all pairs are kept (3 GB)


class SupportVectors(Method):
    """Support vector machines; see the module.

    Reference: C. Cortes, V. Vapnik, Machine Learning 20 (1995) 273.
    """

    type_name = "SVM"
    own_options = SUPPORT_VECTORS
    analyses = ("Classification", "Regression")
    summary = "A surface between the classes that the events near it decide (scikit-learn)."
    help = """The surface between the classes is decided by the training events near it, the support
vectors. Book it with VarTransform=N, so that all variables count the same. Gamma is one over the width
squared of the kernel: large values follow single events. C is the cost of events on the wrong side:
large values do, too. Search both, by HyperParameterOptimisation or on few events, since the time of
training grows with the square of their number."""

    def __init__(self, booking: Booking) -> None:
        super().__init__(booking)
        for name in ("C", "Tol"):
            positive(booking, name)
        at_least(booking, "MaxIter", 1)
        self._kernels(1)

    def _kernels(self, variables: int) -> Kernel:
        """Return the kernel; the list of Γ is held to the variables when these are known."""
        chosen = self.options["Kernel"]
        names = [chosen]
        if chosen in ("Prod", "Sum"):
            separator = "*" if chosen == "Prod" else "+"
            names = [name.strip() for name in str(self.options["KernelList"]).split(separator)]
            for name in names:
                if name not in KERNELS:
                    raise SettingError(
                        f"SVM '{self.booking.title}': {unknown('kernel in KernelList', name, KERNELS)} "
                        f"Kernel={chosen} is of kernels with {separator} between them."
                    )
        return Kernel(
            tuple(names), chosen == "Sum", positive(self.booking, "Gamma"), self._gammas(variables),
            int(at_least(self.booking, "Order", 1)), float(self.options["Theta"]),
        )  # fmt: skip

    def _gammas(self, variables: int) -> NDArray[np.float64]:
        text = str(self.options["GammaList"]).strip()
        if not text:
            return np.ones(variables)
        try:
            gammas = np.array([float(entry) for entry in text.split(",")])
        except ValueError:
            gammas = np.zeros(1)
        if not (np.isfinite(gammas) & (gammas > 0)).all():
            raise refused(self.booking, "GammaList", text, "a number above 0 for each variable, with commas,")
        return gammas

    def train(self, data: DataSet, console: Console) -> Trained:
        variables = len(data.variables)
        kernel = self._kernels(variables)
        if len(self._gammas(variables)) != variables:
            text = self.options["GammaList"]
            raise refused(self.booking, "GammaList", text, f"a number for each of {variables} variables")
        refuse_negative_weights(self.booking, data, "They would make costs negative.")
        if data.analysis == "Regression" and data.outputs != 1:
            raise SettingError(f"SVM '{self.booking.title}': {data.outputs} targets; TMVA's SVM has one.")
        model, scale, offset = self._fit(data, kernel)
        if model.fit_status_:
            console.warning(
                f"training stopped after MaxIter={self.options['MaxIter']} steps for each event, before Tol "
                "was reached: give more, or VarTransform=N."
            )
        console.line(f"{len(model.support_)} of {len(data.training)} training events are support vectors.")
        if data.analysis == "Regression" and len(model.support_) > _MOST_BOUND * len(data.training):
            console.warning(
                f"{len(model.support_)} of {len(data.training)} events are farther off than Tol, since "
                f"the cost C={model.C:g} is small: give a larger C."
            )
        vectors = Weights(
            data.training.variables[model.support_].astype(np.float64), model.dual_coef_[0] * scale,
            float(model.intercept_[0]) * scale + offset, kernel,
        )  # fmt: skip
        graph = Graph(INPUT)
        result = add_support_vectors(graph, INPUT, vectors, data.analysis == "Regression")
        found = OwnGraph(graph.model(self.booking.title, variables, result, OUTPUT, 1))
        if data.analysis == "Classification":
            self._warn_of_rounding(
                data, lambda x: 1 / (1 + np.exp(-model.decision_function(x))), found, console
            )
        else:
            self._warn_of_rounding(data, lambda x: model.predict(x) * scale + offset, found, console)
        return Trained(vectors if vectors.as_tmva else found)

    def _warn_of_rounding(self, data: DataSet, machine: Any, found: OwnGraph, console: Console) -> None:
        """Of a large C, a small decision is the difference of large sums, and the graph has float32."""
        events = data.training.variables[:_EVENTS_TO_COMPARE]
        values = training.graph_responses(found.model, events)[:, 0].astype(np.float64)
        wanted = machine(events.astype(np.float64))
        rounding = float(np.abs(values - wanted).max())
        if rounding > _MOST_ROUNDING * max(1.0, float(np.ptp(wanted))):
            console.warning(f"the response is rounded by up to {rounding:.1g}: take a smaller C.")

    def _fit(self, data: DataSet, kernel: Kernel) -> tuple[Any, float, float]:
        """Return the machine, and what its values are multiplied with and moved by."""
        from sklearn.svm import SVC, SVR

        sample = data.training
        settings: dict[str, Any] = {
            "tol": self.options["Tol"],
            "max_iter": self.options["MaxIter"] * len(sample),
            "cache_size": 500,
        } | self._of_library(kernel, len(sample))
        x = sample.variables.astype(np.float64)
        if data.analysis == "Regression":
            cost = self.options["C"] if "C" in self.options.given else _REGRESSION_COST
            # Tol is an error of targets of which the range is -1 to 1.
            low, high = (float(end) for end in (sample.targets.min(), sample.targets.max()))
            half = 0.5 * (high - low) or 1.0
            target = (sample.targets[:, 0].astype(np.float64) - low) / half - 1.0
            weights = sample.weights / sample.weights.mean()
            return (
                SVR(C=cost, epsilon=self.options["Tol"], **settings).fit(x, target, weights),
                half,
                low + half,
            )
        check_classes(self.booking, data)
        signal = sample.classes == data.signal
        weights = np.zeros(len(sample))
        fewest = min(int(signal.sum()), int((~signal).sum()))
        for rows in (signal, ~signal):
            weights[rows] = sample.weights[rows] / sample.weights[rows].mean() * fewest / rows.sum()
        return SVC(C=self.options["C"], **settings).fit(x, signal.astype(np.int32), weights), 1.0, 0.0

    def _of_library(self, kernel: Kernel, events: int) -> dict[str, Any]:
        """scikit-learn computes the first and the third kernel itself, and keeps no table of them."""
        if kernel.names == ("RBF",):
            return {"kernel": "rbf", "gamma": self.options["Gamma"]}
        if kernel.names == ("Polynomial",):
            order, theta = self.options["Order"], self.options["Theta"]
            return {"kernel": "poly", "gamma": 1.0, "degree": order, "coef0": theta}
        if events > _MOST_OF_A_TABLE:
            raise SettingError(
                f"SVM '{self.booking.title}': Kernel={self.options['Kernel']} of {events} training events; "
                f"{_MOST_OF_A_TABLE} are possible. Train with fewer, or with RBF or Polynomial."
            )
        return {"kernel": kernel}
