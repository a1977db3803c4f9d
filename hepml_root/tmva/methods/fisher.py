"""Fisher discriminants: the direction that separates two classes best, for their size.

    w = √(N_S N_B) / (N_S + N_B) · C⁻¹ (μ_S − μ_B),   y = w·x − w·(μ_S + μ_B)/2

with C the sum of the covariances of both classes (Fisher), to which Mahalanobis adds that between them.

Reference: R. A. Fisher, Annals Eugenics 7 (1936) 179.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import SettingError, WeightError
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet
from hepml_root.tmva.methods.method import Method, Trained, positive_part, ranked
from hepml_root.tmva.options.classical import FISHER
from hepml_root.tmva.weights.linear import Linear

_SINGULAR = 1e-14


class Fisher(Method):
    """TMVA's kFisher; see the module for its formula."""

    type_name = "Fisher"
    own_options = FISHER
    summary = "Fisher discriminant"
    ranked_by = "Discr. power"
    help = """A Fisher discriminant is the linear combination of the variables in which the means of
signal and background are farthest from each other, compared with the widths of both.
It is the best there is for Gaussian variables with the same covariance in both classes, and needs no tuning.
Variables whose means are the same for both classes contribute nothing, whatever their shapes:
transform them first (their absolute value, for example), or take a method that is not linear.
Method=Mahalanobis takes the covariance of all events together."""

    def train(self, data: DataSet, console: Console) -> Trained:
        """Return the coefficients; there is nothing random."""
        events = positive_part(data, self.options)
        signal = events.classes == data.signal
        values = events.variables.astype(np.float64)
        refuse_constant(values, data.labels, self.booking.title)
        sums, means, covariances = [], [], []
        for name, mask in (("signal", signal), ("background", ~signal)):
            weights = events.weights[mask]
            if not weights.sum() > 0:
                raise WeightError(
                    f"'{self.booking.title}': the weights of the {name} add up to {weights.sum():g} in "
                    "training."
                )
            mean = weights @ values[mask] / weights.sum()
            centred = values[mask] - mean
            covariances.append((centred * weights[:, None]).T @ centred / weights.sum())
            sums.append(float(weights.sum()))
            means.append(mean)
        total = sums[0] + sums[1]
        overall = (sums[0] * means[0] + sums[1] * means[1]) / total
        between = (
            sum(n * np.outer(mean - overall, mean - overall) for n, mean in zip(sums, means, strict=True))
            / total
        )
        within = covariances[0] + covariances[1]
        full = within + between
        matrix = full if self.options["Method"] == "Mahalanobis" else within
        factor = np.sqrt(sums[0] * sums[1]) / total
        coefficients = factor * solve(matrix, means[0] - means[1], data.labels, self.booking.title)
        offset = -0.5 * coefficients @ (means[0] + means[1])
        diagonal = np.diag(full)
        power = np.divide(np.diag(between), diagonal, out=np.zeros(len(diagonal)), where=diagonal > 0)
        self._ranking = ranked(data.labels, power)
        print_coefficients(console, "Fisher", data.labels, coefficients, float(offset))
        return Trained(Linear(np.concatenate([[offset], coefficients])[None]))

    def ranking(self) -> list[tuple[str, float]] | None:
        return getattr(self, "_ranking", None)


def refuse_constant(values: NDArray[np.float64], labels: Sequence[str], title: str) -> None:
    """Raise if a variable has one value only.

    Raises
    ------
    SettingError
        It has.
    """
    constant = [label for label, column in zip(labels, values.T, strict=True) if np.ptp(column) == 0]
    if constant:
        raise SettingError(f"'{title}': {', '.join(constant)} is constant in training. Leave it out.")


def solve(
    matrix: NDArray[np.float64], side: NDArray[np.float64], labels: Sequence[str], title: str
) -> NDArray[np.float64]:
    """Solve linear equations whose matrix is a covariance.

    Raises
    ------
    SettingError
        It is singular: a variable is a linear function of others.
    """
    scale = np.sqrt(np.abs(np.diag(matrix)))
    scale = np.where(scale > 0, scale, 1.0)
    correlations = matrix / np.outer(scale, scale)
    if np.abs(np.linalg.eigvalsh(correlations)).min() < _SINGULAR:
        raise SettingError(
            f"'{title}': the covariance of {', '.join(labels)} is singular: a variable is a linear function "
            "of others. Leave it out."
        )
    return np.asarray(np.linalg.solve(correlations, side / scale) / scale)


def print_coefficients(
    console: Console,
    name: str,
    labels: Sequence[str],
    coefficients: NDArray[np.float64],
    offset: float,
) -> None:
    """Print the table that TMVA prints."""
    width = max(len("(offset)"), *(len(label) for label in labels))
    console.line(f"Results for {name} coefficients:")
    rule = "-" * (width + 15)
    console.line(rule)
    console.line(f"{'Variable':>{width}}:  Coefficient:")
    console.line(rule)
    for label, value in zip((*labels, "(offset)"), (*coefficients.tolist(), offset), strict=True):
        console.line(f"{label:>{width}}: {value:>+12.3f}")
    console.line(rule)
