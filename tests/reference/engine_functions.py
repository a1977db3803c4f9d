"""Fit the polynomials of include/hepml_root/engine/functions.hxx: prints the coefficients used there.

Every fit is minimax in the relative error of the function: least squares on Chebyshev points whose weights
grow where the error is largest (Lawson's iteration), linearised where there is a denominator.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from scipy import special

Function = Callable[[np.ndarray], np.ndarray]


def points(low: float, high: float, count: int = 4000) -> np.ndarray:
    t = np.cos(np.pi * (np.arange(count) + 0.5) / count)
    return low + (high - low) * (t + 1) / 2


def minimax(
    basis: np.ndarray, target: np.ndarray, weight: np.ndarray, turns: int = 300
) -> tuple[float, np.ndarray]:
    """Return the largest weighted error, and coefficients of ``basis`` that nearly minimise it."""
    emphasis = np.ones(len(target))
    best = (np.inf, np.zeros(basis.shape[1]))
    for _ in range(turns):
        scale = np.sqrt(emphasis) * weight
        found = np.linalg.lstsq(basis * scale[:, None], target * scale, rcond=None)[0]
        error = np.abs(basis @ found - target) * weight
        if error.max() < best[0]:
            best = (float(error.max()), found)
        emphasis *= (error / error.max() + 1e-3) ** 0.7
        emphasis /= emphasis.mean()
    return best


def odd_quotient(
    function: Function, high: float, above: int, below: int
) -> tuple[float, np.ndarray, np.ndarray]:
    """Fit x P(x^2) / Q(x^2) with Q(0) = 1 on (0, high]; return the error and both lists of coefficients."""
    x = points(1e-3, high)
    z, y = (x / high) ** 2, function(x) / x
    emphasis, denominator = np.ones(len(x)), np.ones(len(x))
    best = (np.inf, np.zeros(above + below + 1))
    powers = np.vander(z, max(above, below) + 1, increasing=True)
    basis = np.concatenate([powers[:, : above + 1], -y[:, None] * powers[:, 1 : below + 1]], axis=1)
    for _ in range(400):
        scale = np.sqrt(emphasis) / np.abs(y * denominator)
        found = np.linalg.lstsq(basis * scale[:, None], y * scale, rcond=None)[0]
        denominator = 1 + powers[:, 1 : below + 1] @ found[above + 1 :]
        error = np.abs(powers[:, : above + 1] @ found[: above + 1] / denominator / y - 1)
        if error.max() < best[0]:
            best = (float(error.max()), found)
        emphasis *= (error / error.max() + 1e-3) ** 0.7
        emphasis /= emphasis.mean()
    size = high ** (-2.0 * np.arange(max(above, below) + 1))
    numerator = best[1][: above + 1] * size[: above + 1]
    return best[0], numerator, np.concatenate([[1.0], best[1][above + 1 :] * size[1 : below + 1]])


def tanh_table() -> tuple[float, np.ndarray]:
    """Fit tanh by 32 cubics in |x|; return the largest relative error and the table, a row per power of |x|.

    The piece of x is counted by the lowest bit of the exponent's last two and the first three of the mantissa
    of 0.5625 x + 0.3125: 8 pieces an octave, narrow where tanh bends. Of a number modulo 32 the first piece
    is the tenth. Coefficients are rounded from the lowest power on, each before the higher ones are fitted.
    """
    scale, offset, high = 0.5625, 0.3125, 8.3125
    bounds = [offset]
    while bounds[-1] < 16 * offset:
        bounds.append(bounds[-1] + 2.0 ** np.floor(np.log2(bounds[-1])) / 8)
    ends = np.minimum((np.array(bounds) - offset) / scale, high)
    table, worst = np.zeros((4, 32)), 0.0
    for piece, (low, up) in enumerate(itertools.pairwise(ends)):
        x = points(low, up, 400)
        y = np.tanh(x)
        if up == high:  # the last piece ends at 1
            y += (1 - np.tanh(high)) * (x - low) / (up - low)
        # tanh x = x + O(x^3): of the first piece two coefficients are known.
        known = [0.0, 1.0] if piece == 0 else []
        while len(known) < 4:
            rest = y - np.polynomial.Polynomial([*known, 0.0])(x)
            middle = (low + up) / 2  # powers of x alone are nearly dependent on a narrow piece
            shifted = np.vander((x - middle) / (up - low), 4 - len(known), increasing=True)
            power = x ** len(known)
            found = minimax(shifted * power[:, None], rest, 1 / y, 60)[1]
            local = np.polynomial.Polynomial(found)(
                np.polynomial.Polynomial([-middle / (up - low), 1 / (up - low)])
            )
            known.append(float(np.float32(local.coef[0])))
        table[:, (piece + 10) % 32] = known
        worst = max(worst, float(np.max(np.abs(np.polynomial.Polynomial(known)(x) / np.tanh(x) - 1))))
    return worst, table


def show(name: str, error: float, *lists: np.ndarray) -> None:
    print(f"{name}: relative error {error:.2g}")
    for coefficients in lists:
        print("   " + ", ".join(f"{value:.9g}f" for value in coefficients))


def main() -> None:
    r = points(-0.5 * np.log(2) * 1.001, 0.5 * np.log(2) * 1.001)
    tail = (np.expm1(r) - r) / r**2
    show("e^r = 1 + r + r^2 P(r)", *minimax(np.vander(r, 5, increasing=True), tail, r**2 / np.exp(r)))

    f = points(np.sqrt(0.5) - 1, np.sqrt(2) - 1)
    tail = (np.log1p(f) - f + f * f / 2) / f**3
    weight = np.abs(f**3 / np.log1p(f))
    show("log(1 + f) = f - f^2/2 + f^3 P(f)", *minimax(np.vander(f, 9, increasing=True), tail, weight))

    basis = np.vander(r, 5, increasing=True) * r[:, None]
    show("e^r = 1 + r P(r), of sigmoid", *minimax(basis, np.expm1(r), 1 / np.exp(r)))

    show("tanh = x P(x^2) / Q(x^2)", *odd_quotient(np.tanh, 7.95, 3, 4))
    error, table = tanh_table()
    show("tanh = P(x) in 32 pieces", error, *table)

    r = points(1e-3, np.pi / 4)
    z = r * r
    tail = (np.sin(r) / r - 1) / z
    show("sin r = r + r z P(z), z = r^2", *minimax(np.vander(z, 3, increasing=True), tail, z * r / np.sin(r)))
    tail = (np.cos(r) - 1 + z / 2) / z**2
    show("cos r = 1 - z/2 + z^2 P(z)", *minimax(np.vander(z, 3, increasing=True), tail, z**2 / np.cos(r)))

    t = points(1e-3, np.tan(np.pi / 8) * 1.001)
    tail = (np.arctan(t) / t - 1) / t**2
    show("atan t = t + t z P(z)", *minimax(np.vander(t**2, 4, increasing=True), tail, t**3 / np.arctan(t)))

    s = points(1e-3, 0.5)
    tail = (np.arcsin(s) / s - 1) / s**2
    show("asin s = s + s z P(z)", *minimax(np.vander(s**2, 5, increasing=True), tail, s**3 / np.arcsin(s)))

    x = points(1e-3, 1.0)
    tail = (np.sinh(x) / x - 1) / x**2
    show("sinh x = x + x z P(z)", *minimax(np.vander(x**2, 3, increasing=True), tail, x**3 / np.sinh(x)))

    y = special.erf(x) / x
    show("erf = x P(x^2) below 1", *minimax(np.vander(x * x, 6, increasing=True), y, 1 / y))

    lowest = 1 / (1 + 0.4 * 10.2)
    t = points(lowest, 1.0)
    y = special.erfcx((1 / t - 1) / 0.4)
    basis = np.vander(t, 9, increasing=True) * t[:, None]
    show("e^(z^2) erfc = t P(t), t = 1 / (1 + 0.4 z)", *minimax(basis, y, 1 / y))


if __name__ == "__main__":
    main()
