r"""Upper limits on the signal strength: CLs with asymptotic formulas, of our own or by pyhf.

:math:`CL_s(\mu) = p_{s+b}/p_b`, and the limit is the μ at which it is :math:`\alpha` = 1 - level. With the
asymptotic distributions of :math:`\tilde q_\mu` and :math:`q_A`, its value on the Asimov data without
signal, the limit expected where the background fluctuates by N standard deviations solves
:math:`\sqrt{q_A(\mu)} = \Phi^{-1}(1 - \alpha \Phi(N)) + N`. Reference: arXiv:1007.1727; A. Read,
J. Phys. G 28 (2002) 2693.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from hepml_root.errors import MissingDependencyError, SettingError, unknown
from hepml_root.evaluation.arrays import checked_vector
from hepml_root.evaluation.binned_likelihood import BinnedLikelihood, solve_rising
from hepml_root.evaluation.estimate import to_json

BACKENDS = ("asymptotic", "pyhf")
#: Standard deviations of the background's fluctuation of the expected limits.
BANDS = (-2, -1, 0, 1, 2)


@dataclasses.dataclass(frozen=True)
class Limit:
    """An upper limit on the signal strength μ; the signal is excluded where it is below 1.

    Attributes
    ----------
    expected
        The median limit without signal.
    bands
        Expected limits (5,) where the background fluctuates by -2, -1, 0, 1, 2 standard deviations.
    observed
        The limit of the observed counts; None without any.
    level
        Confidence level, 0.95.
    backend
        What computed it: "asymptotic" or "pyhf".
    """

    expected: float
    bands: tuple[float, ...]
    observed: float | None
    level: float
    backend: str

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)

    def __str__(self) -> str:
        text = f"μ < {self.expected:.3g} expected [{self.bands[1]:.3g}, {self.bands[3]:.3g}]"
        if self.observed is not None:
            text += f", {self.observed:.3g} observed"
        return f"{text} at {100 * self.level:g} % CL"


def upper_limit(
    model: BinnedLikelihood,
    observed: ArrayLike | None = None,
    *,
    level: float = 0.95,
    backend: str = "asymptotic",
) -> Limit:
    """Return the CLs upper limit on the signal strength of binned counts.

    Both backends use the asymptotic formulas on the same likelihood: our own solves it by roots, pyhf by
    minimisation, starting from the HistFactory workspace (:mod:`hepml_root.evaluation.histfactory`). pyhf's
    normalisation uncertainty interpolates between ±1 standard deviation, which differs from the lognormal
    of ours by less than the asymptotic formulas are good for. With fewer than about five expected events
    in the bins that decide, neither is precise: throw toys.

    Arguments
    ---------
    model
        Signal at μ = 1, background and its uncertainties.
    observed
        Counts (bins,), for the observed limit.
    level
        Confidence level.
    backend
        "asymptotic" or "pyhf" (``pip install 'hepml_root[limits]'``).

    Raises
    ------
    SettingError
        The level or the backend is unknown, there is no signal, or something is observed where neither
        signal nor background is expected.
    MissingDependencyError
        pyhf is asked for and not installed.
    ShapeError
        ``observed`` has another number of bins.

    Example
    -------
    >>> limit = upper_limit(BinnedLikelihood([10.0], [100.0], correlated=0.1), [95.0])
    >>> round(limit.expected, 2), limit.observed < limit.expected
    (2.79, True)
    """
    if backend not in BACKENDS:
        raise SettingError(unknown("backend of limits", backend, BACKENDS))
    if not 0.0 < level < 1.0:
        raise SettingError(f"level={level!r}: a confidence level lies between 0 and 1.")
    if not model.signal.any():
        raise SettingError("without any expected signal there is no limit on its strength.")
    if observed is not None:
        _refuse_impossible(model, observed)
    if backend == "pyhf":
        return _by_pyhf(model, observed, level)
    alpha = 1.0 - level
    bands = tuple(_expected(model, alpha, shift) for shift in BANDS)
    found = None if observed is None else _observed(model, observed, alpha)
    return Limit(bands[2], bands, found, level, "asymptotic")


def _refuse_impossible(model: BinnedLikelihood, observed: ArrayLike) -> None:
    counts = checked_vector("the counts", np.atleast_1d(observed), len(model.signal))
    impossible = np.flatnonzero((counts > 0) & (model.signal == 0) & (model.background == 0))
    if len(impossible):
        raise SettingError(
            f"{counts[impossible[0]]:g} events are observed in bin {impossible[0]}, where neither signal nor "
            "background is expected: no strength explains them. Join it with a neighbouring bin."
        )


def _expected(model: BinnedLikelihood, alpha: float, shift: float) -> float:
    wanted = norm.isf(alpha * norm.cdf(shift)) + shift
    return solve_rising(lambda strength: model.exclusion(strength) - wanted, _scale(model))


def _observed(model: BinnedLikelihood, observed: ArrayLike, alpha: float) -> float:
    asimov = model.fitted(0.0, observed)  # what is expected without signal, after the fit

    def missing(strength: float) -> float:
        return alpha - cls_value(model.exclusion(strength, observed), asimov.exclusion(strength))

    return solve_rising(missing, _scale(model))


def cls_value(root_observed: float, root_asimov: float) -> float:
    """Return CLs from ``√q̃`` of the observed and of the Asimov data without signal, asymptotically.

    Example
    -------
    >>> round(cls_value(1.96, 1.96), 3)  # the median: p_b = 1/2
    0.05
    """
    if root_asimov == 0.0:
        return 1.0
    if root_observed <= root_asimov:
        with_signal, without = root_observed, root_observed - root_asimov
    else:  # the best fit is below 0, where q̃ is not the square of a Gaussian
        with_signal = (root_observed**2 + root_asimov**2) / (2.0 * root_asimov)
        without = (root_observed**2 - root_asimov**2) / (2.0 * root_asimov)
    return float(math.exp(norm.logsf(with_signal) - norm.logsf(without)))


def _scale(model: BinnedLikelihood) -> float:
    """Return a signal strength of the order of the limit."""
    return float((3.0 + math.sqrt(model.background.sum())) / model.signal.sum())


def _by_pyhf(model: BinnedLikelihood, observed: ArrayLike | None, level: float) -> Limit:
    from hepml_root.evaluation.histfactory import workspace

    pyhf = import_pyhf()
    asymptotic = upper_limit(model, level=level)
    content = workspace(model, observed=observed, largest_strength=10.0 * asymptotic.bands[-1])
    loaded = pyhf.Workspace(content)
    likelihood = loaded.model()
    data = loaded.data(likelihood)
    limit = pyhf.infer.intervals.upper_limits.upper_limit(data, likelihood, level=1.0 - level)
    bands = tuple(float(value) for value in limit[1])
    return Limit(bands[2], bands, None if observed is None else float(limit[0]), level, "pyhf")


def import_pyhf() -> Any:
    """Return the module pyhf.

    Raises
    ------
    MissingDependencyError
        It is not installed.
    """
    try:
        import pyhf
    except ImportError as error:
        raise MissingDependencyError(
            "this needs pyhf, which is not installed: `pip install 'hepml_root[limits]'`, or take "
            "backend='asymptotic'."
        ) from error
    return pyhf
