"""The base of losses that are functions of a batch's expected counts, not sums over its events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from hepml_root.errors import SettingError, unknown
from hepml_root.losses.binned import in_quadrature
from hepml_root.losses.counts import SoftBins, batch_sums, counts_of

FORMS = ("negative", "inverse", "negative_square", "inverse_square")
# Where a selection leaves no background, the significance diverges; less than this part of it is not
# resolved.
_LEAST_BACKGROUND = 1e-6
# The inverse forms diverge at Z = 0; below this part of the significance before any selection they go on as
# straight lines.
_LEAST_SIGNIFICANCE = 1e-3


def inverse_power(value: Any, power: int, least: float) -> Any:
    """Return value**-power; below ``least`` its tangent there, so that value and slope are finite at 0.

    Example
    -------
    >>> [float(inverse_power(np.array(z), 1, 0.5)) for z in (4.0, 0.5, 0.0)]
    [0.25, 2.0, 4.0]
    """
    low = float(least) ** -power
    beyond = ops.minimum(value - least, 0.0)
    return ops.maximum(value, least) ** -power - beyond * (power * low / least)


def checked_yield(name: str, what: str, value: float | None) -> float | None:
    """Return an expected number of events as a float, or None if it is not known yet."""
    if value is None:
        return None
    if not (np.isfinite(value) and value > 0):
        raise SettingError(f"{name}: {what}={value}; the expected {what} events must be a positive number.")
    return float(value)


class BatchLoss(keras.losses.Loss):
    """A loss that is one number for a whole batch: a function of sums of weights over its events.

    ``loss(y_true, y_pred, sample_weight)`` is ``value(sums(y_true, y_pred, sample_weight))``. The sums
    add up: those of several batches, added, give the loss of all their events together. So the exact gradient
    of a batch too large to hold is that of ``Σ g · sums(batch)`` over its parts, with g the gradient of
    ``value`` at the total.

    Attributes
    ----------
    signal, background
        Expected events before the selection, or None: not known yet.
    """

    def __init__(self, signal: float | None, background: float | None, name: str) -> None:
        super().__init__(name=name, reduction="sum")
        self.signal = checked_yield(name, "signal", signal)
        self.background = checked_yield(name, "background", background)

    @property
    def needs_yields(self) -> bool:
        """Whether the expected events are not known yet."""
        return self.signal is None or self.background is None

    def with_yields(self, signal: float, background: float) -> BatchLoss:
        """Return this loss with the expected events where they were left out; those that were given stay.

        Example
        -------
        >>> from hepml_root.losses import AsimovSignificance
        >>> loss = AsimovSignificance(background=5.0, systematic=0.3).with_yields(14.0, 20762.0)
        >>> loss.signal, loss.background, loss.needs_yields
        (14.0, 5.0, False)
        """
        config = self.get_config()
        for what, value in (("signal", signal), ("background", background)):
            config[what] = value if config[what] is None else config[what]
        return type(self).from_config(config)

    def yields(self) -> tuple[float, float]:
        """Return the expected events (signal, background).

        Raises
        ------
        SettingError
            They are not known yet.
        """
        if self.signal is None or self.background is None:
            missing = [name for name in ("signal", "background") if getattr(self, name) is None]
            raise SettingError(
                f"{self.name} does not know the expected events of {' and '.join(missing)}. Give "
                "signal=… and background=…, or call with_yields; hr.fit fills them "
                "from the weights of its dataset."
            )
        return self.signal, self.background

    def sums(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the batch's sums of weights that the loss is a function of."""
        raise NotImplementedError

    def value(self, sums: Any) -> Any:
        """Return the loss of sums of weights, a scalar."""
        raise NotImplementedError

    # Keras would weight and average one loss per event in __call__; here the weights belong inside the
    # counts.
    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return self.value(self.sums(y_true, y_pred, sample_weight))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        return {"signal": self.signal, "background": self.background, "name": self.name}


class SignificanceLoss(BatchLoss):
    """A loss that is minus a significance, one over it, or the square of either.

    A subclass says what the significance of expected counts is: ``significance(s, b)``, for scalars and for
    arrays with one entry a bin. It sets what that needs before it calls this constructor.
    """

    systematic: float | list[float] = 0.0
    correlated = False

    def __init__(
        self,
        signal: float | None,
        background: float | None,
        form: str,
        bins: int | Sequence[float] | None,
        bandwidth: float,
        least_background: float | None,
        name: str,
    ) -> None:
        super().__init__(signal, background, name)
        if form not in FORMS:
            raise SettingError(unknown("form of the loss", form, FORMS))
        if least_background is not None and not (np.isfinite(least_background) and least_background > 0):
            raise SettingError(f"{name}: least_background={least_background}; a positive number is needed.")
        self.form = form
        self.least_background = None if least_background is None else float(least_background)
        self.bins = None if bins is None else SoftBins.of(bins, bandwidth)
        self.bandwidth = float(bandwidth)
        if self.bins is None and (self.correlated or not isinstance(self.systematic, float)):
            raise SettingError(f"{name}: correlated=True, or a systematic for each bin, needs bins=….")
        given = None if isinstance(self.systematic, float) else len(self.systematic)
        if self.bins is not None and given not in (None, len(self.bins)):
            raise SettingError(f"{name}: {given} systematics were given for {len(self.bins)} bins.")
        # Of the sample before any selection; known here, as inside a compiled function nothing has a value.
        self._before = float("nan") if self.needs_yields else self._significance_before()

    def _significance_before(self) -> float:
        parts = np.ones(1) if self.bins is None else np.full(len(self.bins), 1.0 / len(self.bins))
        s, b = (ops.convert_to_tensor(events * parts) for events in self.yields())
        return float(ops.convert_to_numpy(self.combined(s, b)))

    def significance(self, s: Any, b: Any) -> Any:
        """Return the significance of expected events, scalars or ``(bins,)`` of the same shape."""
        raise NotImplementedError

    def shared(self, s: Any, b: Any) -> Any:
        """Return the significance of bins whose backgrounds one uncertainty moves, a scalar."""
        raise NotImplementedError

    def combined(self, s: Any, b: Any) -> Any:
        """Return the significance of all bins together, ``(bins,)`` to a scalar."""
        return self.shared(s, b) if self.correlated else in_quadrature(self.significance(s, b))

    def of_significance(self, value: Any) -> Any:
        """Return the loss of a significance, by ``form``."""
        if self.form == "negative":
            return -value
        if self.form == "negative_square":
            return -value * value
        return inverse_power(value, 1 if self.form == "inverse" else 2, _LEAST_SIGNIFICANCE * self._before)

    @property
    def magnitude(self) -> float:
        """The size of the loss before any selection; penalties are meant for losses of order one."""
        self.yields()
        return {
            "negative": self._before,
            "inverse": 1.0 / self._before,
            "negative_square": self._before**2,
            "inverse_square": self._before**-2,
        }[self.form]

    def sums(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        return batch_sums(y_true, y_pred, sample_weight, self.bins)

    def value(self, sums: Any) -> Any:
        return self.of_counts(*counts_of(sums, *self.yields()))

    def of_counts(self, s: Any, b: Any) -> Any:
        """Return the loss of expected events: scalars, or with bins ``(bins,)``. No background is less than
        ``least_background``. Without bins, arrays of the same shape give the losses of each pair.
        """
        least = self.least_background
        if least is None:
            least = _LEAST_BACKGROUND * self.yields()[1]
        b = ops.maximum(b, least if self.bins is None else least / len(self.bins))
        return self.of_significance(self.significance(s, b) if self.bins is None else self.combined(s, b))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "form": self.form,
            "bins": None if self.bins is None else list(self.bins.edges),
            "bandwidth": self.bandwidth,
            "least_background": self.least_background,
        }
