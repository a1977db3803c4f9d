"""Maximum-likelihood fits of the right functions: what can be got out of a sample by who knows its shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from benchmarks.ganplification.targets import CamelBack, Shell, Target

Floats = NDArray[np.float64]


def draw_from_fit(target: Target, sample: Floats, points: int, generator: np.random.Generator) -> Floats:
    """Fit the target's function to a sample (points, dimensions), and return points drawn from the fit."""
    if isinstance(target, CamelBack):
        share, means, widths = fit_camel_back(sample[:, 0])
        side = (generator.uniform(size=points) > share).astype(int)
        return (means[side] + widths[side] * generator.standard_normal(points))[:, None]
    centre, radius, width = fit_shell(sample)
    directions = generator.standard_normal((points, sample.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return centre + directions * (radius + width * generator.standard_normal((points, 1)))


def fit_camel_back(x: Floats) -> tuple[float, Floats, Floats]:
    """Return the share of the first Gaussian, both means, and both widths: five parameters.

    By expectation maximisation, which starts from the two halves and converges in a few steps here.
    """
    left = (x < np.median(x)).astype(float)
    first = np.where(left == 1, 0.99, 0.01)
    for _ in range(200):
        member = np.stack([first, 1.0 - first])
        total = member.sum(axis=1)
        means = member @ x / total
        widths = np.sqrt(np.sum(member * (x - means[:, None]) ** 2, axis=1) / total)
        share = total / len(x)
        density = share[:, None] * stats.norm.pdf(x, means[:, None], widths[:, None])
        first = density[0] / density.sum(axis=0)
    return float(share[0]), means, widths


def fit_shell(x: Floats) -> tuple[Floats, float, float]:
    """Return centre (5,), radius and width of a Gaussian shell: seven parameters."""

    def cost(parameters: Floats) -> float:
        distance = np.linalg.norm(x - parameters[:-2], axis=1)
        # The density is that of the radius over the surface of the sphere, ∝ distance⁴.
        log = stats.norm.logpdf(distance, parameters[-2], np.exp(parameters[-1])) - (
            Shell.dimensions - 1
        ) * np.log(np.maximum(distance, 0.1))
        return -float(log.sum())

    centre = x.mean(axis=0)
    distance = np.linalg.norm(x - centre, axis=1)
    begin = np.concatenate([centre, [distance.mean(), np.log(distance.std())]])
    best = optimize.minimize(cost, begin, method="BFGS").x
    return best[:-2], float(best[-2]), float(np.exp(best[-1]))
