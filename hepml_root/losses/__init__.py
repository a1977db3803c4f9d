"""Losses: functions of expected counts and thin classes around them, found by name through one dictionary.

>>> [name for name in sorted(NAMES) if "asimov" in name]
['asimov', 'asimovsignificance', 'binnedasimov', 'binnedasimovsignificance']
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from hepml_root.errors import SettingError, unknown
from hepml_root.losses.batch_loss import BatchLoss, SignificanceLoss
from hepml_root.losses.batch_statistics import BatchStatistics, assess_batch, propose_batch_size
from hepml_root.losses.binned import correlated_discovery, correlated_exclusion, in_quadrature
from hepml_root.losses.counting import (
    asimov_significance,
    discovery_significance,
    exclusion_significance,
    simple_significance,
    systematic_significance,
)
from hepml_root.losses.counts import SoftBins, batch_sums, counts_of, expected_counts
from hepml_root.losses.critic import AdversarialLoss, LeastSquares, WassersteinGP, adversarial_loss
from hepml_root.losses.divergence import mean_discrepancy, normal_divergence
from hepml_root.losses.inferno import Inferno, profiled_information
from hepml_root.losses.reconstruction import MeanScore
from hepml_root.losses.regression import ScaledSquaredError
from hepml_root.losses.significance import (
    AsimovSignificance,
    BinnedAsimovSignificance,
    DiscoverySignificance,
    ExclusionSignificance,
    Significance,
    SystematicSignificance,
)

__all__ = [
    "NAMES",
    "AdversarialLoss",
    "AsimovSignificance",
    "BatchLoss",
    "BatchStatistics",
    "BinnedAsimovSignificance",
    "DiscoverySignificance",
    "ExclusionSignificance",
    "Inferno",
    "LeastSquares",
    "MeanScore",
    "ScaledSquaredError",
    "Significance",
    "SignificanceLoss",
    "SoftBins",
    "SystematicSignificance",
    "WassersteinGP",
    "adversarial_loss",
    "asimov_significance",
    "assess_batch",
    "batch_sums",
    "correlated_discovery",
    "correlated_exclusion",
    "counts_of",
    "discovery_significance",
    "exclusion_significance",
    "expected_counts",
    "get",
    "in_quadrature",
    "mean_discrepancy",
    "normal_divergence",
    "profiled_information",
    "propose_batch_size",
    "simple_significance",
    "systematic_significance",
]

# Names are looked up without case and underscores.
NAMES: dict[str, Callable[..., keras.losses.Loss]] = {
    "asimov": AsimovSignificance,
    "asimovsignificance": AsimovSignificance,
    "binnedasimov": BinnedAsimovSignificance,
    "binnedasimovsignificance": BinnedAsimovSignificance,
    "significance": Significance,
    "systematicsignificance": SystematicSignificance,
    "discovery": DiscoverySignificance,
    "discoverysignificance": DiscoverySignificance,
    "exclusion": ExclusionSignificance,
    "exclusionsignificance": ExclusionSignificance,
    "inferno": Inferno,
    "meanscore": MeanScore,
    "scaledsquarederror": ScaledSquaredError,
}


class FunctionLoss(keras.losses.Loss):
    """A loss from a function (y_true, y_pred) that gives one number for each event."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        super().__init__(name=getattr(function, "__name__", "loss"))
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.function(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


def get(loss: str | keras.losses.Loss | Callable[..., Any], **settings: Any) -> keras.losses.Loss:
    """Return a loss from its name here or in Keras, with its settings; a loss object is given back as it is.

    Raises
    ------
    SettingError
        The name is unknown (the nearest are listed), or the settings do not fit the loss.

    Example
    -------
    >>> get("asimov", signal=31.2, background=20762, systematic=0.3).systematic
    0.3
    >>> get("binary_crossentropy").name
    'binary_crossentropy'
    """
    if isinstance(loss, keras.losses.Loss):
        return loss
    if not isinstance(loss, str):
        if not callable(loss):
            raise SettingError(
                f"a loss is a name, a Keras loss or a function (y_true, y_pred), not {loss!r}."
            )
        return FunctionLoss(loss)
    key = loss.replace("_", "").casefold()
    of_keras = {
        name.casefold(): made
        for name, made in vars(keras.losses).items()
        if isinstance(made, type) and issubclass(made, keras.losses.Loss) and made is not keras.losses.Loss
    }
    made = NAMES.get(key) or of_keras.get(
        {"mse": "meansquarederror", "mae": "meanabsoluteerror"}.get(key, key)
    )
    if made is None:
        raise SettingError(unknown("loss", loss, [*NAMES, *of_keras]))
    try:
        return made(**settings)
    except TypeError as error:
        raise SettingError(f"loss '{loss}': {error}.") from error
