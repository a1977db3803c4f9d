"""Linear discriminants (LD): weighted least squares.

    c = (Xᵀ W X)⁻¹ Xᵀ W t,   X = (1, x₁, x₂, …)

In a regression t is a target, and y = c₀ + Σ cᵢ xᵢ. Of two classes t is 1 for signal and 0 for background,
and the constant is replaced by −½ Σ cᵢ x̄ᵢ with the mean of all events.
"""

from __future__ import annotations

import numpy as np

from hepml_root.errors import WeightError
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet
from hepml_root.tmva.methods.fisher import print_coefficients, refuse_constant, solve
from hepml_root.tmva.methods.method import Method, Trained, positive_part, ranked
from hepml_root.tmva.options.classical import LD
from hepml_root.tmva.weights.linear import Linear


class LinearDiscriminant(Method):
    """TMVA's kLD; see the module for its formula."""

    type_name = "LD"
    own_options = LD
    analyses = ("Classification", "Regression")
    summary = "Linear discriminant"
    ranked_by = "Discr. power"
    help = """A linear discriminant is fitted to 1 for signal and 0 for background, or to the targets of a
regression, by least squares; for two classes it is the Fisher discriminant but for its scale.
It needs no tuning. What is not linear in the variables escapes it: transform them first."""

    def train(self, data: DataSet, console: Console) -> Trained:
        """Return the coefficients of each output; there is nothing random."""
        events = positive_part(data, self.options)
        weights = events.weights
        total = weights.sum()
        if not total > 0:
            raise WeightError(f"'{self.booking.title}': the weights add up to {total:g} in training.")
        if data.analysis == "Regression":
            wanted = events.targets.astype(np.float64)
        else:
            wanted = (events.classes == data.signal).astype(np.float64)[:, None]
        values = events.variables.astype(np.float64)
        refuse_constant(values, data.labels, self.booking.title)
        mean, middle = weights @ values / total, weights @ wanted / total
        centred = values - mean
        covariance = (centred * weights[:, None]).T @ centred / total
        rows = []
        for output in range(wanted.shape[1]):
            side = (centred * weights[:, None]).T @ (wanted[:, output] - middle[output]) / total
            found = solve(covariance, side, data.labels, self.booking.title)
            regression = data.analysis == "Regression"
            offset = middle[output] - found @ mean if regression else -0.5 * found @ mean
            rows.append(np.concatenate([[offset], found]))
        table = np.array(rows)
        self._ranking = ranked(data.labels, np.abs(table[0, 1:]))
        print_coefficients(console, "LD", data.labels, table[0, 1:], float(table[0, 0]))
        return Trained(Linear(table))

    def ranking(self) -> list[tuple[str, float]] | None:
        return getattr(self, "_ranking", None)
