r"""Significances of a counting experiment: differentiable functions of expected events, stable in float32.

The model: n events are counted where s + b are expected, and an auxiliary measurement of m events, of which
τ b are expected, constrains the background. A relative uncertainty r of b means :math:`\tau = 1 / (r^2 b)`,
so that :math:`\sigma^2 = b / \tau = r^2 b^2`. With the background profiled, the likelihood ratio of the data
expected under one hypothesis, tested against the other, gives the median significance.

The published formulas are differences of large numbers: in float32 they lose all digits where s is small
against b + σ². Here they are written as sums of two positive terms, the pull of the count and that of the
auxiliary measurement. With :math:`x = s/b`, :math:`\lambda = \sigma^2 / (b + \sigma^2)` and

.. math:: \phi(z) = (1 + z) \ln(1 + z) - z, \qquad h(z) = z - \ln(1 + z),

both of which go to :math:`z^2/2` at zero, discovery has :math:`\hat b / b = 1 + \lambda x` and

.. math:: Z^2 = 2 b \left[ (1 + \lambda x)\, \phi\!\left( \frac{(1-\lambda) x}{1 + \lambda x} \right)
              + \frac{1 - \lambda}{\lambda}\, h(\lambda x) \right],

and exclusion, with :math:`\hat b / b = 1 - \delta` and :math:`\delta^2 - (1 + x) \delta + \lambda x = 0`,

.. math:: Z^2 = 2 b \left[ h(x - \delta) + \frac{1 - \lambda}{\lambda}\, h(-\delta) \right].

By the minimum, derivatives of Z are those of the likelihood at the profiled background; they are given in
closed form too, which keeps the loss as cheap as a sum (:func:`with_slopes`). Values and derivatives are
right to some roundings for s ≥ 0, b > 0 and s/b < 10³⁰, and finite at s = 0. A background below 10⁻³⁰ counts
as that much, where the significance diverges (as the root of a logarithm).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

_LEAST = 1e-30
# Ten points integrate t²/(1 - w²t²) from 0 to 1 to the precision of float64 for |w| <= 1/2.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(10)
_NODES = 0.5 * (_NODES + 1.0)
_SQUARES, _WEIGHTS = _NODES**2, 0.5 * _WEIGHTS * _NODES**2


def curvature(z: Any, one_and_z: Any, sign: Any) -> Any:
    r"""Return :math:`\phi(z) / z^2` where ``sign`` is 1 and :math:`h(z) / z^2` where it is -1; 1/2 at z = 0.

    With :math:`w = z / (2 + z)` the logarithm is :math:`2 \operatorname{artanh} w = 2 (w + w^3 S)`, and both
    are :math:`\frac{1 - w}{2} (1 + (w \pm 1) w S)`, where nothing cancels. ``one_and_z`` is 1 + z, given on
    its own because z near -1 has no digits left of it. Shapes: any, with ``sign`` broadcast.

    Example
    -------
    >>> [round(float(curvature(np.array([1.0]), np.array([2.0]), sign)[0]), 6) for sign in (1.0, -1.0)]
    [0.386294, 0.306853]
    """
    half, w, rest = _logarithm(z, one_and_z)
    return half * (1.0 + (w + sign) * w * rest)


def _logarithm(z: Any, one_and_z: Any) -> tuple[Any, Any, Any]:
    """Return (1 - w)/2, w and S of ln(1 + z) = 2 (w + w³ S)."""
    half = 1.0 / (1.0 + one_and_z)
    w = z * half
    near = ops.abs(w) < 0.5
    square = ops.expand_dims(ops.where(near, w * w, 0.0), -1)
    series = ops.sum(ops.cast(_WEIGHTS, w.dtype) / (1.0 - square * ops.cast(_SQUARES, w.dtype)), axis=-1)
    far = ops.where(near, ops.ones_like(w), w)
    return half, w, ops.where(near, series, (0.5 * ops.log(one_and_z) / far - 1.0) / (far * far))


def with_slopes(value: Any, *slopes: tuple[Any, Any]) -> Any:
    """Return a value with given derivatives: pairs of a variable and the derivative by it, of its shape.

    Where they are known, they cost a few operations instead of two for each that made the value. Derivatives
    of derivatives are not carried. Shapes: ``value`` that of the variables, or a scalar.
    """
    result = ops.stop_gradient(value)
    for variable, slope in slopes:
        nothing = ops.stop_gradient(slope) * (variable - ops.stop_gradient(variable))
        result = result + (nothing if len(nothing.shape) == len(value.shape) else ops.sum(nothing))
    return result


def _tensors(s: Any, b: Any) -> tuple[Any, Any]:
    s, b = ops.convert_to_tensor(s), ops.convert_to_tensor(b)
    return s, ops.maximum(b, _LEAST)


def relative_variance(b: Any, systematic: Any, control: float | None) -> Any:
    r"""Return σ²/b of the background: :math:`r^2 b`, and :math:`1/\tau` of a control region."""
    variance = 0.0 if control is None else 1.0 / control
    if isinstance(systematic, (int, float)):
        return systematic**2 * b + variance
    return ops.cast(np.square(systematic), b.dtype) * b + variance


def simple_significance(s: Any, b: Any) -> Any:
    r"""Return :math:`s / \sqrt{s + b}` of expected events, scalars or arrays of one shape.

    Example
    -------
    >>> round(float(simple_significance(9.0, 16.0)), 4)
    1.8
    """
    s, b = _tensors(s, b)
    return s / ops.sqrt(s + b)


def systematic_significance(s: Any, b: Any, systematic: Any = 0.0) -> Any:
    r"""Return :math:`s / \sqrt{s + b + \sigma^2}`, σ = systematic · b, of expected events.

    The approximation of :func:`asimov_significance` for s much less than b + σ² that is safe at b = 0: there
    it goes to √s. Shapes: scalars or arrays of one shape; ``systematic`` a number or one for each entry.

    Example
    -------
    >>> round(float(systematic_significance(9.0, 12.0, 1 / 6)), 4)
    1.8
    """
    s, b = _tensors(s, b)
    return s / ops.sqrt(s + b * (1.0 + relative_variance(b, systematic, None)))


def asimov_significance(s: Any, b: Any, systematic: Any = 0.0) -> Any:
    r"""Return the median discovery significance of s signal over b ± σ background events, σ = systematic · b.

    .. math:: Z_A^2 = 2 \left[ (s+b) \ln \frac{(s+b)(b+\sigma^2)}{b^2 + (s+b)\sigma^2}
              - \frac{b^2}{\sigma^2} \ln \left( 1 + \frac{\sigma^2 s}{b (b + \sigma^2)} \right) \right]

    Evaluated as a sum of positive terms, see :mod:`hepml_root.losses.counting`. Its limits: without
    systematic uncertainty :math:`2 [(s+b) \ln(1+s/b) - s]`; for small s :math:`s / \sqrt{b + \sigma^2}`,
    which is also the slope at s = 0. Shapes: scalars or arrays of one shape.

    Arguments
    ---------
    s, b
        Expected events.
    systematic
        Relative uncertainty of b, a number or one for each entry.

    Reference: arXiv:1806.00322, arXiv:1007.1727.

    Example
    -------
    >>> round(float(asimov_significance(14.0, 5.0, 0.3)), 3)
    3.615
    """
    return discovery_significance(s, b, systematic)


def discovery_significance(s: Any, b: Any, systematic: Any = 0.0, control: float | None = None) -> Any:
    r"""Return the median significance with which s + b events reject b events, the background profiled.

    .. math:: Z = \sqrt{q_0}, \qquad q_0 = -2 \ln \frac{L(0, \hat{\hat b})}{L(\hat \mu, \hat b)}
              \quad \text{at} \quad n = s + b,\; m = \tau b

    With ``systematic`` alone it is :func:`asimov_significance`; with ``control`` alone it is the formula of
    Li and Ma. Shapes: scalars or arrays of one shape.

    Arguments
    ---------
    s, b
        Expected events.
    systematic
        Relative uncertainty of b, a number or one for each entry.
    control
        Background events in a control region for each background event counted, τ: adds b/τ to σ².

    Reference: arXiv:1007.1727; T. Li, Y. Ma, Astrophys. J. 272 (1983) 317.

    Example
    -------
    >>> [round(float(discovery_significance(10.0, 20.0, control=ratio)), 4) for ratio in (None, 2.0)]
    [2.0804, 1.6574]
    """
    given_s, given_b = s, b = _tensors(s, b)
    s, b = ops.stop_gradient(s), ops.stop_gradient(b)
    variance = relative_variance(b, systematic, control)
    ratio, rest = s / b, 1.0 / (1.0 + variance)  # x and 1 - lambda
    fitted = variance * rest * ratio  # of the background, less 1
    shrunk = rest / (1.0 + fitted)
    z = ops.stack([shrunk * ratio, fitted])
    half, w, series = _logarithm(z, 1.0 + z)
    count, auxiliary = ops.unstack(half * (1.0 + (w - 1.0) * w * series), axis=0)  # h(z) / z²
    phi = count + 2.0 * half[0] * w[0] * series[0]
    root = ops.sqrt(2.0 * rest * (shrunk * phi + variance * rest * auxiliary) / b)
    # By s, the derivative of Z²/2 is ln(n / b̂), by b it is ln(n / b̂) - (1 - lambda) x, less where τ goes
    # with b.
    scale = shrunk / (b * root)
    by_s = scale * 2.0 * half[0] * (1.0 + w[0] * w[0] * series[0])
    by_b = -scale * (ratio * (shrunk * count + variance * rest))  # in this order nothing overflows
    if control is not None:
        by_b = by_b + ratio * rest * rest * auxiliary / (control * b * root)
    return with_slopes(s * root, (given_s, by_s), (given_b, by_b))


def exclusion_significance(s: Any, b: Any, systematic: Any = 0.0, control: float | None = None) -> Any:
    r"""Return the median significance with which b events reject s + b events, the background profiled.

    .. math:: Z^2 = 2 \left[ s - b \ln \frac{b + s + x}{2b}
              - \frac{b^2}{\sigma^2} \ln \frac{b - s + x}{2b} \right]
              - (b + s - x) \left( 1 + \frac{b}{\sigma^2} \right), \qquad
              x^2 = (s + b)^2 - \frac{4 s b \sigma^2}{b + \sigma^2}

    Without uncertainty it is :math:`2 [s - b \ln(1 + s/b)]`. A signal is excluded at 95 % confidence where
    Z > 1.64. It goes to √(2s) without background, where discovery diverges: the better loss for a search that
    expects to set a limit. Evaluated as a sum of positive terms, see :mod:`hepml_root.losses.counting`.
    Shapes: scalars or arrays of one shape.

    Arguments
    ---------
    s, b
        Expected events.
    systematic
        Relative uncertainty of b, a number or one for each entry.
    control
        Background events in a control region for each background event counted, τ: adds b/τ to σ².

    Reference: arXiv:1007.1727 with μ = 1 tested on μ = 0; N. Kumar, S. Martin, arXiv:1510.03456.

    Example
    -------
    >>> round(float(exclusion_significance(10.0, 20.0)), 4)
    1.9446
    """
    given_s, given_b = s, b = _tensors(s, b)
    s, b = ops.stop_gradient(s), ops.stop_gradient(b)
    variance = relative_variance(b, systematic, control)
    ratio, rest = s / b, 1.0 / (1.0 + variance)  # x and 1 - lambda
    # Everything in units of 1 + x, in which nothing overflows; `root` is that of the discriminant, `excess`
    # is `root` - `distance` without the cancellation.
    unit = 1.0 / (1.0 + ratio)
    signed, scaled = (ratio - 1.0) * unit, ratio * unit
    distance = ops.abs(signed)
    product = 4.0 * rest * scaled * unit
    root = ops.sqrt(distance * distance + product)
    excess = product / (root + distance)
    half = 1.0 / (1.0 + root)
    count = (excess + (distance + signed) + 2.0 * rest * unit) * half  # (x - delta) / x
    auxiliary = 2.0 * variance * rest * unit * half  # delta / x
    left = (excess + (distance - signed) + 2.0 * rest * scaled) * half  # 1 - delta
    u = count * ratio
    half, w, series = _logarithm(ops.stack([u, -auxiliary * ratio]), ops.stack([1.0 + u, left]))
    own, other = ops.unstack(half * (1.0 + (w - 1.0) * w * series), axis=0)  # h(z) / z²
    phi = own + 2.0 * half[0] * w[0] * series[0]
    pull = left / (1.0 + u)
    root = ops.sqrt(2.0 * count * (count * own + auxiliary * pull * other) / b)
    # By s, the derivative of Z²/2 is 1 - n / (s + b̂); by b it is that of the counts at the profiled b̂.
    scale = count / ((1.0 + u) * b * root)
    by_b = -scale * ratio * (count * phi + auxiliary)
    if control is not None:
        by_b = by_b + ratio * (count * pull) ** 2 * other / (control * b * root)
    return with_slopes(s * root, (given_s, scale), (given_b, by_b))
