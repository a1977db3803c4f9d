"""Transforms of single values: logarithm, clipping, and filling in missing values."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hepml_root.errors import NonFiniteInputError, SettingError, unknown
from hepml_root.layers import weighted
from hepml_root.layers.transform import Transform


@keras.saving.register_keras_serializable(package="hepml_root")
class Log(Transform):
    r"""Natural logarithm, for momenta, masses and other steeply falling positive columns.

    .. math:: y = \ln \max(x, x_0)

    where :math:`x_0` is the smallest positive training value of the column: zero and negative values map to
    :math:`\ln x_0`. Shapes: ``(..., features)`` to the same. The inverse, exp(y), holds for x ≥ x_0.

    Raises
    ------
    NonFiniteInputError
        In :meth:`adapt`: a column holds infinity or has no positive value.

    Example
    -------
    >>> import numpy as np
    >>> layer = Log().adapt(np.array([[1.0], [100.0]]))
    >>> np.round(layer(np.array([[10.0], [0.0]])), 3)[:, 0]
    array([2.303, 0.   ], dtype=float32)
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.floor = self.state("floor", np.full(input_shape[-1], 1e-30))

    def learn(self, x: NDArray, weight: NDArray[np.float64]) -> None:  # noqa: ARG002 - a minimum has no weights
        weighted.finite(x, "log")
        smallest = np.where(x > 0, x, np.inf).min(axis=0)
        if not np.isfinite(smallest).all():
            column = int(np.argmax(~np.isfinite(smallest)))
            raise NonFiniteInputError(f"log: column {column} has no positive value. Leave it out of the log.")
        self.floor.assign(np.maximum(smallest, 1e-37))

    def call(self, x: Any) -> Any:
        return ops.log(ops.maximum(x, self.floor))

    def inverse(self, y: Any) -> Any:
        """Return exp(y), which gives ``y`` back for values down to the smallest positive training value."""
        return ops.exp(ops.convert_to_tensor(y, "float32"))


@keras.saving.register_keras_serializable(package="hepml_root")
class Clip(Transform):
    r"""Clip columns to a range, so that outliers cannot dominate.

    .. math:: y = \min(\max(x, x_{low}), x_{high})

    Shapes: ``(..., features)`` to the same. The inverse is the identity inside the range; values outside are
    lost.

    Arguments
    ---------
    low, high
        The range, in the units of the columns; where left out, the weighted quantiles below are used.
    quantile
        The part of the weight that lies beyond each edge that is not given.

    Example
    -------
    >>> import numpy as np
    >>> Clip(low=0.0, high=1.0).adapt(np.zeros((3, 1)))(np.array([[5.0]])).numpy().tolist()
    [[1.0]]
    """

    def __init__(
        self, low: float | None = None, high: float | None = None, quantile: float = 0.001, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not 0.0 <= quantile < 0.5:
            raise SettingError(f"clip: quantile={quantile} must lie in [0, 0.5).")
        if low is not None and high is not None and low >= high:
            raise SettingError(f"clip: low={low} is not below high={high}.")
        self.low, self.high, self.quantile = low, high, quantile

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        features = int(input_shape[-1])  # type: ignore[arg-type]
        self.lowest = self.state("lowest", np.full(features, -3e38 if self.low is None else self.low))
        self.highest = self.state("highest", np.full(features, 3e38 if self.high is None else self.high))

    def learn(self, x: NDArray, weight: NDArray[np.float64]) -> None:
        weighted.finite(x, "clip")
        columns = range(x.shape[1])
        if self.low is None:
            self.lowest.assign([weighted.quantile(x[:, i], weight, self.quantile) for i in columns])
        if self.high is None:
            self.highest.assign([weighted.quantile(x[:, i], weight, 1.0 - self.quantile) for i in columns])

    def call(self, x: Any) -> Any:
        return ops.minimum(ops.maximum(x, self.lowest), self.highest)

    def inverse(self, y: Any) -> Any:
        """Return ``y``: the identity inside the range."""
        return ops.convert_to_tensor(y, "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "low": self.low, "high": self.high, "quantile": self.quantile}


@keras.saving.register_keras_serializable(package="hepml_root")
class Impute(Transform):
    """Fill in missing values, NaN or a sentinel such as -999, with the column's weighted median or mean.

    Values that are there pass unchanged. Shapes: ``(..., features)`` to the same. There is no inverse.

    Arguments
    ---------
    strategy
        "median", "mean", or a number to fill in.
    sentinel
        A value that also means "missing", in the units of the columns.

    Raises
    ------
    NonFiniteInputError
        In :meth:`adapt`: a column holds infinity, or nothing but missing values.
    SettingError
        The strategy is unknown.

    Example
    -------
    >>> import numpy as np
    >>> layer = Impute(sentinel=-999.0).adapt(np.array([[1.0], [2.0], [3.0], [np.nan], [-999.0]]))
    >>> layer(np.array([[np.nan], [-999.0], [7.0]])).numpy().tolist()
    [[2.0], [2.0], [7.0]]
    """

    def __init__(
        self, strategy: str | float = "median", sentinel: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(strategy, str) and strategy not in ("median", "mean"):
            raise SettingError(unknown("strategy", strategy, ["median", "mean"], "A number is taken too."))
        self.strategy, self.sentinel = strategy, sentinel

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        constant = 0.0 if isinstance(self.strategy, str) else self.strategy
        self.fill = self.state("fill", np.full(input_shape[-1], constant))

    def _missing(self, x: Any) -> Any:
        missing = ops.isnan(x)
        if self.sentinel is not None:
            missing = ops.logical_or(missing, ops.equal(x, self.sentinel))
        return missing

    def learn(self, x: NDArray, weight: NDArray[np.float64]) -> None:
        if not isinstance(self.strategy, str):
            return
        fill = np.empty(x.shape[1])
        for column in range(x.shape[1]):
            values = x[:, column]
            there = ~np.isnan(values)
            if self.sentinel is not None:
                there &= values != self.sentinel
            if not there.any():
                raise NonFiniteInputError(
                    f"impute: column {column} holds nothing but missing values; leave it out."
                )
            known, known_weight = weighted.rows(values[there, None], weight[there])
            weighted.finite(known, "impute")
            if self.strategy == "median":
                fill[column] = weighted.quantile(known[:, 0], known_weight, 0.5)
            else:
                fill[column] = weighted.moments(known, known_weight)[0][0]
        self.fill.assign(fill)

    def call(self, x: Any) -> Any:
        return ops.where(self._missing(x), self.fill, x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "strategy": self.strategy, "sentinel": self.sentinel}
