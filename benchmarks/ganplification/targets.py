"""The two known distributions: how to draw from them, and cells that are equally probable."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, ndtr

Floats = NDArray[np.float64]


class Target(Protocol):
    """A known distribution of points (points, dimensions)."""

    name: str
    title: str
    dimensions: int

    def draw(self, points: int, generator: np.random.Generator) -> Floats:
        """Return points (points, dimensions)."""
        ...

    def levels(self, points: Floats) -> Floats:
        """Return coordinates (points, dimensions) in which the truth is uniform from 0 to 1."""
        ...


class CamelBack:
    """``½ N(−4, 1) + ½ N(4, 1)`` in one dimension."""

    name, title, dimensions = "camel-back", "two Gaussians, 1-D", 1
    mean, width = 4.0, 1.0

    def draw(self, points: int, generator: np.random.Generator) -> Floats:
        """Return points (points, 1)."""
        sides = generator.choice([-self.mean, self.mean], points)
        return (sides + self.width * generator.standard_normal(points))[:, None]

    def levels(self, points: Floats) -> Floats:
        """Return the probability below each point (points, 1)."""
        return 0.5 * sum(ndtr((points - side) / self.width) for side in (-self.mean, self.mean))


class Shell:
    """A Gaussian shell in five dimensions: radius ``N(4, 1)``, directions uniform on the sphere."""

    name, title, dimensions = "shell", "spherical shell, 5-D", 5
    radius, width = 4.0, 1.0

    def draw(self, points: int, generator: np.random.Generator) -> Floats:
        """Return points (points, 5)."""
        directions = generator.standard_normal((points, self.dimensions))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        return directions * (self.radius + self.width * generator.standard_normal((points, 1)))

    def levels(self, points: Floats) -> Floats:
        r"""Return radius and four angles of each point as probabilities (points, 5); they are independent.

        The radius by its Gaussian (folded, since a negative one is the same as the opposite direction). With
        the spherical angles :math:`\cos\theta_k = x_k / \sqrt{x_k^2 + … + x_5^2}`, the number
        :math:`(1 + \cos\theta_k)/2` has the beta distribution of :math:`a = b = (5 - k)/2`, and the last
        angle is uniform.
        """
        squares = np.cumsum(points[:, ::-1] ** 2, axis=1)[:, ::-1]
        radius = np.sqrt(squares[:, 0])
        columns = [ndtr((radius - self.radius) / self.width) - ndtr((-radius - self.radius) / self.width)]
        for k in range(self.dimensions - 2):
            cosine = points[:, k] / np.maximum(np.sqrt(squares[:, k]), 1e-300)
            half = 0.5 * (self.dimensions - 1 - k)
            columns.append(betainc(half, half, np.clip(0.5 * (1.0 + cosine), 0.0, 1.0)))
        columns.append(np.arctan2(points[:, -1], points[:, -2]) / (2.0 * np.pi) + 0.5)
        return np.stack(columns, axis=1)


TARGETS: dict[str, Target] = {target.name: target for target in (CamelBack(), Shell())}


def quantile_error(levels: Floats, number: int) -> float:
    r"""Return the mean squared error of the fractions of points in equally probable cells.

    .. math:: \mathrm{MSE} = \frac{1}{n} \sum_{j=1}^{n} \left(x_j - \frac{1}{n}\right)^2

    The n cells are all combinations of ``number`` quantiles of each of the ``levels`` (points, dimensions).

    >>> quantile_error(np.array([[0.1], [0.2], [0.3], [0.8]]), 2)  # ¾ and ¼ in place of ½
    0.0625
    """
    index = np.minimum((levels * number).astype(np.intp), number - 1)
    total = number ** levels.shape[1]
    places = np.ravel_multi_index(tuple(index.T), (number,) * levels.shape[1])
    fractions = np.bincount(places, minlength=total) / len(levels)
    return float(np.mean((fractions - 1.0 / total) ** 2))


def expected_error(cells: int, points: float) -> float:
    """Return what the error of ``points`` drawn from the truth is on average: (1 − 1/n) / (n · points).

    >>> expected_error(cells=2, points=100)  # a fair coin: ½ · ½ / 100
    0.0025
    """
    return (1.0 - 1.0 / cells) / (cells * points)
