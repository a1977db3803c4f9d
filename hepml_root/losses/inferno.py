r"""An inference-aware loss: the variance of a parameter that is measured from the network's histogram.

The network's output fills a histogram with :math:`\lambda_k(\theta)` expected events a bin. The Fisher
information of its Poisson counts, with nuisance parameters constrained to one standard deviation,

.. math:: I_{ab} = \sum_k \frac{1}{\lambda_k} \frac{\partial \lambda_k}{\partial \theta_a}
                   \frac{\partial \lambda_k}{\partial \theta_b} + \delta_{ab} [a \ne 0],

gives the variance of the measured parameter after a fit of all of them, :math:`(I^{-1})_{00}`, at the nominal
point. A network that makes it small gives up separation where that would only measure a nuisance parameter.
Reference: P. de Castro, T. Dorigo, arXiv:1806.04743, where the derivatives are those of the simulation; here
they are differences to varied samples, which is what an analysis has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from hepml_root.errors import SettingError, unknown
from hepml_root.losses.batch_loss import BatchLoss, inverse_power
from hepml_root.losses.binned import root
from hepml_root.losses.counts import SoftBins, in_single

_LEAST_COUNT = 1e-6
# The variance diverges without information; below this part of what is there before any selection it goes on
# as a straight line.
_LEAST_INFORMATION = 1e-6


def profiled_information(expected: Any, derivatives: Any, constraints: Any) -> Any:
    r"""Return the Fisher information on the first parameter when all others are fitted too, a scalar.

    It is :math:`1 / (I^{-1})_{00}`, found by eliminating one parameter after the other,
    :math:`I \to I - I_{\cdot j} I_{j \cdot} / I_{jj}`. Shapes: ``expected`` ``(bins,)``, positive;
    ``derivatives`` ``(parameters, bins)``; ``constraints`` ``(parameters,)``, the information on each from
    elsewhere, positive for all but the first.

    Example
    -------
    >>> signal, background = np.array([10.0, 0.0]), np.array([10.0, 20.0])
    >>> derivatives = np.stack([signal, 0.5 * background])  # strength; a background uncertainty of 50 %
    >>> round(float(profiled_information(signal + background, derivatives, np.array([0.0, 1.0]))), 4)
    4.1379
    """
    derivatives = ops.convert_to_tensor(derivatives)
    information = ops.matmul(derivatives / expected, ops.transpose(derivatives))
    information = information + ops.diag(ops.cast(constraints, information.dtype))
    for last in range(information.shape[0] - 1, 0, -1):
        column = information[:last, last:]
        information = information[:last, :last] - column * ops.transpose(column) / information[last, last]
    return information[0, 0]


@keras.saving.register_keras_serializable(package="hepml_root")
class Inferno(BatchLoss):
    r"""The variance of a parameter measured from a histogram of the output, nuisance parameters profiled.

    **The histogram.** With ``bins``, soft bins of one score (:class:`hepml_root.losses.counts.SoftBins`);
    without, the network's K outputs are the bins, each event's memberships (a softmax).

    **Variations** are what one standard deviation of a parameter does, and come in two ways.

    - In the weights: ``y_true`` has, after the label, a column for each of ``variations`` with the ratio of
      the varied to the nominal weight. Make such a dataset as a regression of the label and the ratios.
    - In the scores, for uncertainties of the inputs: ``y_pred`` has, after the nominal outputs, as many
      outputs again for each of ``score_variations``: those of the same network for varied inputs.

    Shapes: ``y_true`` ``(events, 1 + variations)``; ``y_pred`` ``(events, outputs · (1 +
    score_variations))``, where outputs is 1 with ``bins`` and K without; ``sample_weight`` ``(events,)`` or
    None; the loss is a scalar. Ratios change the yield as well as the shape. A count below 0, of negative
    weights, is 0.

    Arguments
    ---------
    signal, background
        Expected events before the selection.
    bins, bandwidth
        A number of bins of the score from 0 to 1, or their edges; None: the outputs are the bins.
    measured
        "signal_strength" (1 is the expected signal), or the name of one of the variations, in units of it.
    variations, score_variations
        Names of what varies the weights and the scores. All but the measured one are nuisance parameters with
        a standard deviation of 1.
    systematic
        Relative uncertainty of the background's normalisation: one more nuisance parameter, if not 0.
    form
        "variance", or "deviation", its root.

    Raises
    ------
    SettingError
        The measured parameter or the form is unknown, a name comes twice, a yield is not positive, or the
        columns of ``y_true`` or ``y_pred`` are not those of the variations.

    Reference: arXiv:1806.04743.

    Example
    -------
    >>> loss = Inferno(signal=10.0, background=30.0, systematic=0.5)
    >>> outputs = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])  # two bins
    >>> round(float(loss(np.array([[1.0], [0.0], [0.0], [0.0]]), outputs)), 4)  # 1 / 4.1379
    0.2417
    """

    def __init__(
        self,
        signal: float | None = None,
        background: float | None = None,
        *,
        bins: int | Sequence[float] | None = None,
        bandwidth: float = 0.1,
        measured: str = "signal_strength",
        variations: Sequence[str] = (),
        score_variations: Sequence[str] = (),
        systematic: float = 0.0,
        form: str = "variance",
        name: str = "inferno",
    ) -> None:
        super().__init__(signal, background, name)
        self.bins = None if bins is None else SoftBins.of(bins, bandwidth)
        self.bandwidth = float(bandwidth)
        self.variations, self.score_variations = list(variations), list(score_variations)
        names = ["signal_strength", *self.variations, *self.score_variations]
        if len({*names, "background"}) < len(names) + 1:
            raise SettingError(f"{name}: {names}, and background, must be different names of parameters.")
        if measured not in names:
            raise SettingError(unknown("parameter to measure", measured, names))
        if form not in ("variance", "deviation"):
            raise SettingError(unknown("form of the loss", form, ["variance", "deviation"]))
        if not (np.isfinite(systematic) and systematic >= 0):
            raise SettingError(f"{name}: systematic={systematic}; a relative uncertainty is not negative.")
        self.measured, self.form, self.systematic = measured, form, float(systematic)

    @property
    def magnitude(self) -> float:
        """The size of the loss before any selection; penalties are meant for losses of order one."""
        if self.measured != "signal_strength":
            return 1.0
        signal, background = self.yields()
        variance = (signal + background) / signal**2 + (self.systematic * background / signal) ** 2
        return variance if self.form == "variance" else variance**0.5

    def sums(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the sums of weights, ``(2, 1 + bins · (1 + variations + score_variations))``.

        Row 0 is of signal, row 1 of background; column 0 is the sum of weights, then come the bins of the
        nominal histogram, and of what each variation adds to it, event by event, as the difference of two
        histograms would have few digits left.
        """
        y_pred = in_single(y_pred)
        y_true = ops.cast(y_true, y_pred.dtype)
        self._check_columns(y_true.shape[-1], y_pred.shape[-1])
        label = y_true[:, 0]
        weight = ops.ones_like(label) if sample_weight is None else ops.cast(sample_weight, label.dtype)
        weight = ops.reshape(weight, (-1,))
        of_signal = weight * label
        classes = ops.stack([of_signal, weight - of_signal])
        outputs = y_pred.shape[-1] // (1 + len(self.score_variations))
        nominal = self._parts(y_pred[:, :outputs])
        total = ops.sum(classes, axis=1, keepdims=True)
        columns = [total, self._in_bins(total, ops.matmul(classes, nominal))]
        for number in range(len(self.variations)):
            more = classes * (y_true[:, 1 + number] - 1.0)
            columns.append(self._in_bins(ops.sum(more, axis=1, keepdims=True), ops.matmul(more, nominal)))
        for number in range(1, 1 + len(self.score_variations)):
            varied = self._parts(y_pred[:, number * outputs : (number + 1) * outputs])
            columns.append(self._in_bins(0.0 * total, ops.matmul(classes, varied - nominal)))
        return ops.concatenate(columns, axis=1)

    def value(self, sums: Any) -> Any:
        signal, background = self.yields()
        total = sums[:, :1]
        there = total > 0
        expected = ops.cast(np.array([[signal], [background]]), sums.dtype)
        scale = ops.where(there, expected / ops.where(there, total, 1.0), 0.0)
        names = [*self.variations, *self.score_variations]
        counts = ops.reshape(sums[:, 1:] * scale, (2, 1 + len(names), -1))
        nominal = ops.maximum(counts[:, 0], 0.0)
        least = _LEAST_COUNT * (signal + background) / nominal.shape[-1]
        everything = ops.maximum(nominal[0] + nominal[1], least)
        changes = ops.unstack(ops.sum(counts, axis=0), axis=0)[1:]
        derivatives = {"signal_strength": nominal[0]} | dict(zip(names, changes, strict=True))
        if self.systematic:
            derivatives["background"] = self.systematic * nominal[1]
        first = derivatives.pop(self.measured)
        if self.measured != "signal_strength":
            del derivatives["signal_strength"]
        information = profiled_information(
            everything,
            ops.stack([first, *derivatives.values()]),
            np.array([0.0] + [1.0] * len(derivatives)),
        )
        least_information = _LEAST_INFORMATION
        if self.measured == "signal_strength":
            least_information *= signal**2 / (signal + background)
        variance = inverse_power(information, 1, least_information)
        return variance if self.form == "variance" else root(variance)

    def _parts(self, outputs: Any) -> Any:
        """Return the part of each event in each bin; of soft bins, above each edge: half the work."""
        return outputs if self.bins is None else self.bins.above(outputs[:, 0])

    def _in_bins(self, total: Any, sums: Any) -> Any:
        """Return sums in bins, ``(2, bins)``, of those that :meth:`_parts` gives and of the sum of all."""
        if self.bins is None:
            return sums
        above = ops.concatenate([total, sums], axis=1)
        return ops.concatenate([above[:, :-1] - above[:, 1:], above[:, -1:]], axis=1)

    def _check_columns(self, targets: int, outputs: int) -> None:
        if targets != 1 + len(self.variations):
            raise SettingError(
                f"{self.name}: y_true has {targets} columns; the label and the weight ratios of "
                f"{self.variations or 'no variations'} are {1 + len(self.variations)}."
            )
        sets = 1 + len(self.score_variations)
        if (
            outputs % sets
            or (self.bins is not None and outputs != sets)
            or (self.bins is None and outputs < 2 * sets)
        ):
            each = "one score" if self.bins is not None else "two or more bins"
            raise SettingError(
                f"{self.name}: y_pred has {outputs} columns; {each}, nominal and for each of the "
                f"{sets - 1} score variations, are needed."
            )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "bins": None if self.bins is None else list(self.bins.edges),
            "bandwidth": self.bandwidth,
            "measured": self.measured,
            "variations": self.variations,
            "score_variations": self.score_variations,
            "systematic": self.systematic,
            "form": self.form,
        }
