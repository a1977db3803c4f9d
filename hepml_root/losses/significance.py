r"""Losses that maximise the expected significance of a counting experiment in the classifier's output.

A batch stands for the whole sample: its weighted scores, normalised to the expected yields, give smooth
counts s and b behind a selection that accepts an event with probability ŷ (:mod:`hepml_root.losses.counts`),
and these a significance (:mod:`hepml_root.losses.counting`). One batch gives one number, and it should hold
thousands of events for s and b to be precise: :mod:`hepml_root.losses.batch_statistics` says how many.

All of them share these settings.

signal, background
    Expected events before the selection (cross section × luminosity × acceptance). Left out, ``hr.fit`` fills
    them with the sums of the weights of its dataset.
form
    "negative" (-Z), "inverse" (1/Z), "negative_square" (-Z²) or "inverse_square" (1/Z²). The inverse forms go
    on as straight lines below 1/1000 of the significance before any selection, where they would diverge.
bins, bandwidth
    A number of bins of the score from 0 to 1, or their edges: the significances of all bins are added in
    quadrature. :class:`hepml_root.losses.counts.SoftBins` says what resolution the soft edges lose.
least_background
    Expected background events, of all bins together, below which it counts as that much; 10⁻⁶ of
    ``background`` by default. Where a batch has no background left, significances diverge: a value of the
    order of the weight of a background event keeps a network from hiding in the holes of a small sample.

Negative weights keep their sign in the sums; a count that comes out below 0 is 0. Shapes: ``y_true`` and
``y_pred`` ``(events, 1)``, ``sample_weight`` ``(events,)``; the loss is a scalar.

Reference: A. Elwood, D. Krücker, arXiv:1806.00322.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from hepml_root.errors import SettingError
from hepml_root.losses.batch_loss import SignificanceLoss
from hepml_root.losses.binned import correlated_discovery, correlated_exclusion
from hepml_root.losses.counting import (
    asimov_significance,
    discovery_significance,
    exclusion_significance,
    simple_significance,
    systematic_significance,
)


def _checked_systematic(name: str, systematic: float | Sequence[float]) -> float | list[float]:
    values = np.asarray(systematic, dtype=np.float64)
    if values.ndim > 1 or not (np.isfinite(values).all() and (values >= 0).all()):
        raise SettingError(f"{name}: systematic={systematic}; a relative uncertainty is not negative.")
    return float(values) if values.ndim == 0 else values.tolist()


@keras.saving.register_keras_serializable(package="hepml_root")
class Significance(SignificanceLoss):
    r"""Minus the simple significance of the batch, :math:`-s/\sqrt{s+b}`.

    The published loss :math:`(s+b)/s^2` is ``form="inverse_square"``. Formula: :func:`simple_significance`;
    shapes and the settings ``signal``, ``background``, ``form``, ``bins``, ``bandwidth``,
    ``least_background``: :mod:`hepml_root.losses.significance`.

    Raises
    ------
    SettingError
        A yield is not positive, the form is unknown, or the bins cannot be.

    Reference: arXiv:1806.00322.

    Example
    -------
    >>> loss = Significance(signal=9.0, background=16.0)
    >>> round(float(loss(np.array([[1.0], [0.0]]), np.array([[1.0], [1.0]]))), 4)
    -1.8
    """

    def __init__(
        self,
        signal: float | None = None,
        background: float | None = None,
        *,
        form: str = "negative",
        bins: int | Sequence[float] | None = None,
        bandwidth: float = 0.1,
        least_background: float | None = None,
        name: str = "significance",
    ) -> None:
        super().__init__(signal, background, form, bins, bandwidth, least_background, name)

    def significance(self, s: Any, b: Any) -> Any:
        return simple_significance(s, b)


@keras.saving.register_keras_serializable(package="hepml_root")
class SystematicSignificance(SignificanceLoss):
    r"""Minus the simple significance with a background uncertainty, :math:`-s/\sqrt{s+b+\sigma^2}`.

    Finite without background, unlike the Asimov significance: a loss to pretrain with. Formula:
    :func:`systematic_significance`; shapes and the settings that are not explained here:
    :mod:`hepml_root.losses.significance`.

    Arguments
    ---------
    systematic
        Relative uncertainty of the background, a number or one for each bin; independent between bins.

    Raises
    ------
    SettingError
        A yield is not positive, an uncertainty is negative, the form is unknown, or the bins cannot be.

    Example
    -------
    >>> loss = SystematicSignificance(signal=9.0, background=12.0, systematic=1 / 6)
    >>> round(float(loss(np.array([[1.0], [0.0]]), np.array([[1.0], [1.0]]))), 4)
    -1.8
    """

    def __init__(
        self,
        signal: float | None = None,
        background: float | None = None,
        systematic: float | Sequence[float] = 0.0,
        *,
        form: str = "negative",
        bins: int | Sequence[float] | None = None,
        bandwidth: float = 0.1,
        least_background: float | None = None,
        name: str = "systematic_significance",
    ) -> None:
        self.systematic = _checked_systematic(name, systematic)
        super().__init__(signal, background, form, bins, bandwidth, least_background, name)

    def significance(self, s: Any, b: Any) -> Any:
        return systematic_significance(s, b, self.systematic)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "systematic": self.systematic}


@keras.saving.register_keras_serializable(package="hepml_root")
class AsimovSignificance(SignificanceLoss):
    r"""Minus the Asimov discovery significance of the batch, :math:`-Z_A(s, b, \sigma)`.

    Formula: :func:`asimov_significance`; shapes and the settings that are not explained here:
    :mod:`hepml_root.losses.significance`.

    Arguments
    ---------
    systematic
        Relative uncertainty of the background, a number or one for each bin.
    correlated
        With bins: whether one uncertainty moves the background of all bins together
        (:func:`correlated_discovery`), or each bin has its own.

    Raises
    ------
    SettingError
        A yield is not positive, an uncertainty is negative, the form is unknown, or the bins cannot be.

    Reference: arXiv:1806.00322.

    Example
    -------
    >>> loss = AsimovSignificance(signal=14.0, background=5.0, systematic=0.3)
    >>> round(float(loss(np.array([[1.0], [0.0]]), np.array([[1.0], [1.0]]))), 3)
    -3.615
    """

    def __init__(
        self,
        signal: float | None = None,
        background: float | None = None,
        systematic: float | Sequence[float] = 0.0,
        *,
        form: str = "negative",
        bins: int | Sequence[float] | None = None,
        bandwidth: float = 0.1,
        correlated: bool = False,
        least_background: float | None = None,
        name: str = "asimov_significance",
    ) -> None:
        self.systematic = _checked_systematic(name, systematic)
        self.correlated = bool(correlated)
        super().__init__(signal, background, form, bins, bandwidth, least_background, name)

    def significance(self, s: Any, b: Any) -> Any:
        return asimov_significance(s, b, self.systematic)

    def shared(self, s: Any, b: Any) -> Any:
        return correlated_discovery(s, b, self.systematic)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "systematic": self.systematic, "correlated": self.correlated}


@keras.saving.register_keras_serializable(package="hepml_root")
class BinnedAsimovSignificance(AsimovSignificance):
    """:class:`AsimovSignificance` in ten bins of the score, with one background uncertainty for all of them.

    Example
    -------
    >>> loss = BinnedAsimovSignificance(signal=14.0, background=5.0, systematic=0.3)
    >>> len(loss.bins), loss.correlated
    (10, True)
    """

    def __init__(
        self,
        signal: float | None = None,
        background: float | None = None,
        systematic: float | Sequence[float] = 0.0,
        *,
        form: str = "negative",
        bins: int | Sequence[float] = 10,
        bandwidth: float = 0.1,
        correlated: bool = True,
        least_background: float | None = None,
        name: str = "binned_asimov_significance",
    ) -> None:
        super().__init__(
            signal, background, systematic, form=form, bins=bins, bandwidth=bandwidth, correlated=correlated,
            least_background=least_background, name=name,
        )  # fmt: skip


@keras.saving.register_keras_serializable(package="hepml_root")
class DiscoverySignificance(AsimovSignificance):
    r"""Minus the median discovery significance with a profiled background: :class:`AsimovSignificance` with
    the statistics of a control region.

    Formula: :func:`discovery_significance`; shapes and the settings that are not explained here:
    :mod:`hepml_root.losses.significance` and :class:`AsimovSignificance`.

    Arguments
    ---------
    control
        Background events in a control region for each background event behind the selection, τ; None: there
        is none.

    Raises
    ------
    SettingError
        ``control`` is not positive, or as for :class:`AsimovSignificance`.

    Reference: arXiv:1007.1727.

    Example
    -------
    >>> loss = DiscoverySignificance(signal=10.0, background=20.0, control=2.0)
    >>> round(float(loss(np.array([[1.0], [0.0]]), np.array([[1.0], [1.0]]))), 4)
    -1.6574
    """

    def __init__(
        self,
        signal: float | None = None,
        background: float | None = None,
        systematic: float | Sequence[float] = 0.0,
        *,
        control: float | None = None,
        form: str = "negative",
        bins: int | Sequence[float] | None = None,
        bandwidth: float = 0.1,
        correlated: bool = False,
        least_background: float | None = None,
        name: str = "discovery_significance",
    ) -> None:
        if control is not None and not (np.isfinite(control) and control > 0):
            raise SettingError(f"{name}: control={control}; a ratio of expected events is positive.")
        self.control = None if control is None else float(control)
        super().__init__(
            signal, background, systematic, form=form, bins=bins, bandwidth=bandwidth, correlated=correlated,
            least_background=least_background, name=name,
        )  # fmt: skip

    def significance(self, s: Any, b: Any) -> Any:
        return discovery_significance(s, b, self.systematic, self.control)

    def shared(self, s: Any, b: Any) -> Any:
        return correlated_discovery(s, b, self.systematic, self.control)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "control": self.control}


@keras.saving.register_keras_serializable(package="hepml_root")
class ExclusionSignificance(DiscoverySignificance):
    r"""Minus the median significance with which the signal is excluded if there is none.

    Formula: :func:`exclusion_significance`; settings as of :class:`DiscoverySignificance`, with one
    ``systematic`` for all bins where they are correlated.

    Reference: arXiv:1007.1727; arXiv:1510.03456.

    Example
    -------
    >>> loss = ExclusionSignificance(signal=10.0, background=20.0)
    >>> round(float(loss(np.array([[1.0], [0.0]]), np.array([[1.0], [1.0]]))), 4)
    -1.9446
    """

    def __init__(
        self,
        signal: float | None = None,
        background: float | None = None,
        systematic: float | Sequence[float] = 0.0,
        *,
        control: float | None = None,
        form: str = "negative",
        bins: int | Sequence[float] | None = None,
        bandwidth: float = 0.1,
        correlated: bool = False,
        least_background: float | None = None,
        name: str = "exclusion_significance",
    ) -> None:
        super().__init__(
            signal, background, systematic, control=control, form=form, bins=bins, bandwidth=bandwidth,
            correlated=correlated, least_background=least_background, name=name,
        )  # fmt: skip

    def significance(self, s: Any, b: Any) -> Any:
        return exclusion_significance(s, b, self.systematic, self.control)

    def shared(self, s: Any, b: Any) -> Any:
        return correlated_exclusion(s, b, self.systematic, self.control)
