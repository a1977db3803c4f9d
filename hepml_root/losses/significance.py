r"""Losses that maximise the expected significance of a counting experiment in the classifier's output.

A batch stands for the whole sample: its weighted scores, normalised to the expected yields, give smooth
counts of signal and background behind a selection that accepts an event with probability ŷ,

.. math:: s = S \frac{\sum_{i \in sig} w_i \hat y_i}{\sum_{i \in sig} w_i}, \qquad
          b = B \frac{\sum_{i \in bkg} w_i \hat y_i}{\sum_{i \in bkg} w_i}

with S and B the yields expected before it. These losses are functions of sums over the batch, not sums over
events: one batch gives one number, and it should hold thousands of events for s and b to be precise.
Reference: A. Elwood, D. Krücker, arXiv:1806.00322.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from hepml_root.errors import SettingError, unknown

# Thirty-two points give Z to float32 rounding for s/b up to 10^3, and to 10^-4 up to 10^5.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS
# Where a selection leaves no background, the significance diverges; less than this part of it is not
# resolved.
_LEAST_BACKGROUND = 1e-6


def expected_counts(
    y_true: Any, y_pred: Any, sample_weight: Any, signal: float, background: float
) -> tuple[Any, Any]:
    """Return the smooth counts (s, b) of a batch: two scalars, in expected events.

    Each class is normalised by its own sum of weights in the batch, so the expectation depends neither on the
    size of the batch, nor on its composition, nor on the scale of the weights. A class without (positive)
    weight in the batch counts 0. Shapes: ``y_true`` and ``y_pred`` ``(events, 1)``, ``sample_weight``
    ``(events,)`` or None.

    Example
    -------
    >>> target, score = np.array([[1.0], [0.0]]), np.array([[0.5], [0.1]])
    >>> s, b = expected_counts(target, score, None, signal=10.0, background=100.0)
    >>> round(float(s), 4), round(float(b), 4)
    (5.0, 10.0)
    """
    if len(y_pred.shape) > 1 and y_pred.shape[-1] != 1:
        raise SettingError(
            f"a significance needs one output, the score of the signal; this model has {y_pred.shape[-1]}."
        )
    score = ops.reshape(ops.convert_to_tensor(y_pred), (-1,))
    target = ops.cast(ops.reshape(y_true, (-1,)), score.dtype)
    if sample_weight is None:
        weight = ops.ones_like(score)
    else:
        weight = ops.cast(ops.reshape(sample_weight, (-1,)), score.dtype)
    of_signal, of_background = weight * target, weight * (1.0 - target)
    return (
        signal * _part(ops.sum(of_signal * score), ops.sum(of_signal)),
        background * _part(ops.sum(of_background * score), ops.sum(of_background)),
    )


def _part(accepted: Any, total: Any) -> Any:
    """Return accepted / total, not below 0, and 0 where the total is not positive."""
    there = total > 0
    return ops.where(there, ops.maximum(accepted, 0.0) / ops.where(there, total, ops.ones_like(total)), 0.0)


def _log1p_ratio(x: Any) -> Any:
    """Return log(1 + x) / x, 1 at zero."""
    small = x < 1e-3
    safe = ops.where(small, ops.ones_like(x), x)
    return ops.where(small, 1.0 - x * (0.5 - x / 3.0), ops.log1p(safe) / safe)


def _expm1_ratio(x: Any) -> Any:
    """Return (exp(x) - 1) / x, 1 at zero."""
    small = x < 1e-3
    safe = ops.where(small, ops.ones_like(x), x)
    return ops.where(small, 1.0 + x * (0.5 + x / 6.0), ops.expm1(safe) / safe)


def asimov_significance(s: Any, b: Any, systematic: float = 0.0) -> Any:
    r"""Return the median discovery significance of s signal over b ± σ background events, σ = systematic · b.

    .. math:: Z_A^2 = 2 \left[ (s+b) \ln \frac{(s+b)(b+\sigma^2)}{b^2 + (s+b)\sigma^2}
              - \frac{b^2}{\sigma^2} \ln \left( 1 + \frac{\sigma^2 s}{b (b + \sigma^2)} \right) \right]

    (arXiv:1806.00322; :math:`2 [(s+b) \ln(1+s/b) - s]` without systematic uncertainty). As it stands,
    the formula loses all digits in float32 where s is much less than b + σ². It is evaluated as the equal
    integral

    .. math:: Z_A^2 = 2 b \int_0^{s/b} \ln \left( 1 + \frac{(1-\lambda) x}{1 + \lambda x} \right) dx, \qquad
              \lambda = \frac{\sigma^2}{b + \sigma^2}

    whose integrand is positive, and small for small s: values and gradients are right to a few roundings of
    float32 for any s ≥ 0, b > 0, s/b < 10³ and systematic ≥ 0 (Z to 10⁻⁴ for s/b < 10⁵). For small s it goes
    to :math:`s / \sqrt{b + \sigma^2}`.

    Arguments
    ---------
    s, b
        Expected events, scalars or arrays of one shape.
    systematic
        Relative uncertainty of b.

    Example
    -------
    >>> round(float(asimov_significance(14.0, 5.0, 0.3)), 3)
    3.615
    """
    s, b = ops.convert_to_tensor(s), ops.convert_to_tensor(b)
    ratio = ops.expand_dims(s / b, -1)
    rest = ops.expand_dims(1.0 / (1.0 + systematic**2 * b), -1)  # 1 - lambda
    nodes, weights = ops.cast(_NODES, s.dtype), ops.cast(_WEIGHTS, s.dtype)
    # With x = exp(L t) - 1 and L = log(1 + s/b), t runs from 0 to 1, and the points are where they matter.
    length = ops.log1p(ratio)
    x_by_length = nodes * _expm1_ratio(length * nodes)
    x = length * x_by_length
    slope = rest / (1.0 + (1.0 - rest) * x)
    integrand = (1.0 + x) * slope * x_by_length * _log1p_ratio(slope * x)
    # The integral over (s/b)^2, which is finite and positive at s = 0, so that its root has a gradient there.
    scaled = ops.sum(weights * integrand, axis=-1) * ops.squeeze(_log1p_ratio(ratio), -1) ** 2
    return s * ops.sqrt(2.0 * scaled / b)


def simple_significance(s: Any, b: Any) -> Any:
    r"""Return :math:`s / \sqrt{s + b}` of expected events, scalars or arrays of one shape.

    Example
    -------
    >>> round(float(simple_significance(9.0, 16.0)), 4)
    1.8
    """
    s, b = ops.convert_to_tensor(s), ops.convert_to_tensor(b)
    return s / ops.sqrt(s + b)


class _SignificanceLoss(keras.losses.Loss):
    """A loss of the whole batch: minus a significance, or one over it."""

    def __init__(self, signal: float, background: float, form: str, name: str) -> None:
        super().__init__(name=name, reduction="sum")
        for what, value in (("signal", signal), ("background", background)):
            if not (np.isfinite(value) and value > 0):
                raise SettingError(
                    f"{name}: {what}={value}; the expected {what} events must be a positive number."
                )
        if form not in ("negative", "inverse"):
            raise SettingError(unknown("form of the loss", form, ["negative", "inverse"]))
        self.signal, self.background, self.form = float(signal), float(background), form

    def significance(self, s: Any, b: Any) -> Any:
        raise NotImplementedError

    @property
    def magnitude(self) -> float:
        """The size of the loss before any selection; penalties are meant for losses of order one."""
        value = float(keras.ops.convert_to_numpy(self.significance(self.signal, self.background)))
        return value if self.form == "negative" else 1.0 / value

    # Keras would weight and average one loss per event in __call__; here the weights belong inside the
    # counts.
    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        s, b = expected_counts(y_true, y_pred, sample_weight, self.signal, self.background)
        value = self.significance(s, ops.maximum(b, _LEAST_BACKGROUND * self.background))
        return -value if self.form == "negative" else 1.0 / value

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        return {"signal": self.signal, "background": self.background, "form": self.form, "name": self.name}


@keras.saving.register_keras_serializable(package="hepml_root")
class AsimovSignificance(_SignificanceLoss):
    r"""Minus the Asimov discovery significance of the batch, :math:`-Z_A(s, b, \sigma)`.

    See :func:`asimov_significance` for the formula and :func:`expected_counts` for s and b. Shapes:
    ``y_true`` and ``y_pred`` ``(events, 1)``, ``sample_weight`` ``(events,)``; the loss is a scalar. A
    background below 10⁻⁶ of what is expected counts as that much: the significance diverges at b = 0.

    Arguments
    ---------
    signal, background
        Expected events before the selection (cross section × luminosity × acceptance).
    systematic
        Relative uncertainty of the background.
    form
        "negative" (-Z, finite gradients everywhere) or "inverse" (1/Z, as published; diverges at s = 0).

    Raises
    ------
    SettingError
        A yield is not positive, the uncertainty is negative, or the form is unknown.

    Reference: arXiv:1806.00322.

    Example
    -------
    >>> loss = AsimovSignificance(signal=14.0, background=5.0, systematic=0.3)
    >>> round(float(loss(np.array([[1.0], [0.0]]), np.array([[1.0], [1.0]]))), 3)
    -3.615
    """

    def __init__(
        self,
        signal: float,
        background: float,
        systematic: float = 0.0,
        *,
        form: str = "negative",
        name: str = "asimov_significance",
    ) -> None:
        super().__init__(signal, background, form, name)
        if not (np.isfinite(systematic) and systematic >= 0):
            raise SettingError(f"{name}: systematic={systematic}; a relative uncertainty is not negative.")
        self.systematic = float(systematic)

    def significance(self, s: Any, b: Any) -> Any:
        return asimov_significance(s, b, self.systematic)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "systematic": self.systematic}


@keras.saving.register_keras_serializable(package="hepml_root")
class Significance(_SignificanceLoss):
    r"""Minus the simple significance of the batch, :math:`-s/\sqrt{s+b}`.

    See :func:`expected_counts` for s and b. Shapes: ``y_true`` and ``y_pred`` ``(events, 1)``,
    ``sample_weight`` ``(events,)``; the loss is a scalar.

    Arguments
    ---------
    signal, background
        Expected events before the selection.
    form
        "negative" (finite gradients everywhere) or "inverse" (diverges at s = 0).

    Raises
    ------
    SettingError
        A yield is not positive, or the form is unknown.

    Reference: arXiv:1806.00322.

    Example
    -------
    >>> loss = Significance(signal=9.0, background=16.0)
    >>> round(float(loss(np.array([[1.0], [0.0]]), np.array([[1.0], [1.0]]))), 4)
    -1.8
    """

    def __init__(
        self, signal: float, background: float, *, form: str = "negative", name: str = "significance"
    ) -> None:
        super().__init__(signal, background, form, name)

    def significance(self, s: Any, b: Any) -> Any:
        return simple_significance(s, b)
