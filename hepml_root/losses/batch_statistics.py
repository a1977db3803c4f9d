r"""What a batch can know: its effective events, and the bias of a significance estimated from them.

A batch gives the expected counts with errors, :math:`\hat s = s (1 + \epsilon_s)`, and a loss f that bends
gives a wrong mean,

.. math:: \langle f(\hat s, \hat b) \rangle - f(s, b) =
          \tfrac12 \left( s^2 f_{ss} V_s + b^2 f_{bb} V_b \right) + \ldots, \qquad
          V = \frac{1 - \varepsilon}{\varepsilon n},

where n is the effective number of events of the class in the batch, :math:`(\sum w)^2 / \sum w^2`, and ε the
part of them that is selected. The gradient is biased alike: towards selections in which the batch by chance
has no background. It falls with 1/n, so more events in a batch, or the sums of several batches, are the
remedy.

With few events in a batch the expansion says nothing. The mean is therefore taken over the counts
themselves, :math:`\hat s = s k V` where k is a Poisson number with the mean 1/V, and the same of b: so the
background that a loss counts at least has its effect. With bins only the term above is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray
from scipy.stats import poisson

from hepml_root.data.weights import Yield
from hepml_root.errors import SettingError, WeightError
from hepml_root.losses.batch_loss import SignificanceLoss
from hepml_root.losses.significance import AsimovSignificance

# What a good selection of a search keeps, when nothing better is known.
SIGNAL_EFFICIENCY, BACKGROUND_EFFICIENCY = 0.3, 0.01
# The bias, in per cent, from which there is a warning.
TOLERATED = 5.0
_SMALLEST = 256
_MOST = 2**40
# From this many selected events on, their number is as good as normal.
_MANY = 100.0


@dataclass(frozen=True)
class BatchStatistics:
    """What a significance loss can know from one batch.

    Attributes
    ----------
    batch_size
        Events in the batch.
    signal, background
        Effective events of the two classes in it.
    signal_selected, background_selected
        Those behind a selection of the assumed efficiencies.
    bias
        Of the loss, in per cent of its size; negative: it looks better than it is.
    spread
        Of the loss from batch to batch, one standard deviation, in per cent of its size.
    bias_of
        The bias of other batch sizes.
    """

    batch_size: int
    signal: float
    background: float
    signal_selected: float
    background_selected: float
    bias: float
    spread: float
    bias_of: Callable[[int], float] = field(repr=False, compare=False)

    def enough(self, tolerated: float = TOLERATED) -> int:
        """Return the smallest multiple of the batch size by a power of two which has no larger bias."""
        size = self.batch_size
        # A bias may go through zero where events are few.
        while size < _MOST and max(abs(self.bias_of(size)), abs(self.bias_of(2 * size))) > tolerated:
            size *= 2
        return size

    def warning(self, tolerated: float = TOLERATED) -> str | None:
        """Return what to warn of, in numbers, where the bias is more than ``tolerated`` per cent; or None.

        Example
        -------
        >>> loss = AsimovSignificance(31.2, 20762.0, systematic=0.3)
        >>> print(assess_batch(loss, np.ones(5000), np.ones(5000), batch_size=2048).warning())
        ... # doctest: +ELLIPSIS
        a batch of 2048 events holds 1024.0 effective signal events and 1024.0 of background; ...
        >>> assess_batch(loss, np.ones(5000), np.ones(5000), batch_size=8192).warning() is None
        True
        """
        if abs(self.bias) <= tolerated:
            return None
        size = self.enough(tolerated)
        return (
            f"a batch of {self.batch_size} events holds {self.signal:.1f} effective signal events and "
            f"{self.background:.1f} of background; a selection like the one in mind leaves "
            f"{self.signal_selected:.1f} and {self.background_selected:.1f} of them. The loss then is biased "
            f"by {self.bias:+.3g} % and scatters by {self.spread:.2g} % from batch to batch. Take "
            f"batch_size={size}, or accumulate={size // self.batch_size} batches."
        )


def assess_batch(
    loss: SignificanceLoss,
    signal_weights: ArrayLike | Yield,
    background_weights: ArrayLike | Yield,
    batch_size: int,
    *,
    signal_efficiency: float = SIGNAL_EFFICIENCY,
    background_efficiency: float = BACKGROUND_EFFICIENCY,
) -> BatchStatistics:
    """Return what a batch of so many events, drawn from all of them, tells a significance loss.

    Arguments
    ---------
    loss
        A significance loss; where it does not know its yields, the sums of the weights are taken. With bins,
        a count of all is replaced by one in each of as many equal parts.
    signal_weights, background_weights
        Physics weights of all training events of the class, ``(events,)``, or its row of a table of yields.
    batch_size
        Events in a batch.
    signal_efficiency, background_efficiency
        The parts that the selection in mind keeps: those of a first training, if there is one.

    Raises
    ------
    SettingError
        An efficiency is not in (0, 1], or the batch has no event.
    WeightError
        A class has no events, or its weights have no positive sum.

    Example
    -------
    >>> loss = AsimovSignificance(31.2, 20762.0, systematic=0.3)
    >>> found = assess_batch(loss, np.ones(5000), np.ones(5000), batch_size=1024)
    >>> found.signal, round(found.background_selected, 2)
    (512.0, 5.12)
    """
    if int(batch_size) < 1:
        raise SettingError(f"batch_size={batch_size}: at least one event is needed.")
    for name, value in (
        ("signal_efficiency", signal_efficiency),
        ("background_efficiency", background_efficiency),
    ):
        if not 0.0 < value <= 1.0:
            raise SettingError(f"{name}={value}: a part between 0 and 1 is needed.")
    rows = [_row("signal", signal_weights), _row("background", background_weights)]
    total = sum(row.events for row in rows)
    shares = [row.effective / total for row in rows]
    efficiencies = (signal_efficiency, background_efficiency)
    known = loss.with_yields(*(row.sum for row in rows))
    point = [part * value for part, value in zip(efficiencies, known.yields(), strict=True)]

    def moments(size: int) -> tuple[float, float]:
        variances = [
            (1.0 - part) / (part * size * share) for part, share in zip(efficiencies, shares, strict=True)
        ]
        found = (_mean_of_counts if known.bins is None else _expanded)(known, point, variances)
        return 100.0 * found[0], 100.0 * found[1]

    bias, spread = moments(int(batch_size))
    effective = [batch_size * share for share in shares]
    return BatchStatistics(
        batch_size=int(batch_size),
        signal=effective[0],
        background=effective[1],
        signal_selected=signal_efficiency * effective[0],
        background_selected=background_efficiency * effective[1],
        bias=bias,
        spread=spread,
        bias_of=lambda size: moments(size)[0],
    )


def _row(name: str, weights: ArrayLike | Yield) -> Yield:
    row = weights if isinstance(weights, Yield) else Yield.of(name, np.asarray(weights, dtype=np.float64))
    if not (row.events and row.sum > 0 and math.isfinite(row.sum)):
        raise WeightError(
            f"{name}: {row.events} events with a sum of weights of {row.sum:g} give no expected events."
        )
    return row


def _mean_of_counts(loss: Any, point: list[float], variances: list[float]) -> tuple[float, float]:
    """Return bias and standard deviation of the loss in units of its size, over the counts of batches."""
    (signal, of_signal), (background, of_background) = (_fluctuating(one) for one in variances)
    s, b = np.meshgrid(point[0] * signal, point[1] * background, indexing="ij")
    values, middle = (
        ops.convert_to_numpy(
            loss.of_counts(*(ops.convert_to_tensor(np.asarray(one), dtype="float64") for one in counts))
        )
        for counts in ((s, b), point)
    )
    probability = np.outer(of_signal, of_background)
    mean = float((probability * values).sum())
    variance = float((probability * (values - mean) ** 2).sum())
    size = abs(float(middle))
    return (mean - float(middle)) / size, math.sqrt(variance) / size


def _fluctuating(variance: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return values of a count of mean 1 and their probabilities: a Poisson number times its variance."""
    mean = math.inf if variance == 0 else 1.0 / variance
    if mean > _MANY:
        nodes, weights = (np.asarray(one, np.float64) for one in np.polynomial.hermite_e.hermegauss(20))
        return 1.0 + math.sqrt(variance) * nodes, weights / weights.sum()
    numbers = np.arange(math.ceil(mean + 10.0 * math.sqrt(mean) + 20.0))
    return np.asarray(numbers * variance, dtype=np.float64), np.asarray(
        poisson.pmf(numbers, mean), dtype=np.float64
    )


def _expanded(loss: Any, point: list[float], variances: list[float]) -> tuple[float, float]:
    """Return bias and standard deviation of a loss with bins in units of its size, to second order."""
    step = 1e-3
    bins = len(loss.bins)

    def value(number: int, which: int, shift: float) -> float:  # with one bin of one class scaled
        counts = np.outer(point, np.full(bins, 1.0 / bins))
        counts[which, number] *= 1.0 + shift
        s, b = (ops.convert_to_tensor(row, dtype="float64") for row in counts)
        return float(ops.convert_to_numpy(loss.of_counts(s, b)))

    middle = value(0, 0, 0.0)
    bias = square = 0.0
    for number in range(bins):
        for which, variance in enumerate(variances):
            up, down = value(number, which, step), value(number, which, -step)
            # A bin holds so many times fewer events.
            bias += 0.5 * bins * variance * (up - 2.0 * middle + down) / step**2
            square += bins * variance * ((up - down) / (2.0 * step)) ** 2
    return bias / abs(middle), math.sqrt(square) / abs(middle)


def propose_batch_size(
    signal_weights: ArrayLike | Yield,
    background_weights: ArrayLike | Yield,
    *,
    loss: SignificanceLoss | None = None,
    signal_efficiency: float = SIGNAL_EFFICIENCY,
    background_efficiency: float = BACKGROUND_EFFICIENCY,
    tolerated: float = TOLERATED,
) -> int:
    """Return the smallest power of two whose batches bias the loss by at most ``tolerated`` per cent.

    It is at least 256, and not more than all events there are. Arguments as in :func:`assess_batch`; without
    ``loss`` it is the Asimov significance without systematic uncertainty.

    Example
    -------
    >>> propose_batch_size(np.full(50_000, 31.2 / 50_000), np.full(50_000, 20762 / 50_000))
    2048
    """
    rows = [_row("signal", signal_weights), _row("background", background_weights)]
    if not tolerated > 0:
        raise SettingError(f"tolerated={tolerated}: a positive number of per cent is needed.")
    smallest = assess_batch(
        loss or AsimovSignificance(),
        rows[0],
        rows[1],
        batch_size=_SMALLEST,
        signal_efficiency=signal_efficiency,
        background_efficiency=background_efficiency,
    )
    events = sum(row.events for row in rows)
    return int(min(smallest.enough(tolerated), events))
