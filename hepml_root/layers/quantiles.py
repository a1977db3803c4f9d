"""Transforms through the weighted distribution function of each column: uniform (TMVA's U) and Gauss (G).

The map is a table of knots, joined by straight lines and written as a sum of clipped ramps: elementwise
operations and one sum, which every runtime has (a Gauss map through erfinv would not export to ONNX).
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from hepml_root.errors import SettingError
from hepml_root.layers import weighted
from hepml_root.layers.transform import Transform


class _Table(Transform):
    r"""A rising piecewise linear map for each column.

    .. math:: y = y_0 + \sum_k \Delta y_k \; \mathrm{clip}((x - x_k) / \Delta x_k, 0, 1)
    """

    def __init__(self, knots: int = 32, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if knots < 2:
            raise SettingError(f"knots={knots}: a table needs at least 2.")
        self.knots = int(knots)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        features = int(input_shape[-1])  # type: ignore[arg-type]
        shape = (features, self.knots - 1)
        # Before adapt: the identity between -1 and 1, so that an unadapted model can be built and loaded
        # into.
        first = np.zeros(shape)
        first[:, 0] = 1.0
        self.x_start = self.state("x_start", -first)
        self.x_step = self.state("x_step", np.where(first > 0, 2.0, 1.0))
        self.y_start = self.state("y_start", -first)
        self.y_step = self.state("y_step", 2.0 * first)

    def call(self, x: Any) -> Any:
        ramps = ops.clip((ops.expand_dims(x, -1) - self.x_start) / self.x_step, 0.0, 1.0)
        return ops.sum(ramps * self.y_step, axis=-1) + self.y_start[:, 0]

    def inverse(self, y: Any) -> Any:
        """Return the values that give ``y``: exact inside the training range, its edges beyond."""
        y = ops.convert_to_tensor(y, "float32")
        used = self.y_step > 0
        heights = ops.where(used, self.y_step, 1.0)
        ramps = ops.clip((ops.expand_dims(y, -1) - self.y_start) / heights, 0.0, 1.0)
        return ops.sum(ops.where(used, ramps * self.x_step, 0.0), axis=-1) + self.x_start[:, 0]

    def positions(self, events: float) -> NDArray[np.float64]:
        """Return the probabilities at which knots are wanted, given the effective number of events."""
        raise NotImplementedError

    def values(self, probability: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what the transform gives at a probability."""
        raise NotImplementedError

    def learn(self, x: NDArray, weight: NDArray[np.float64]) -> None:
        weighted.finite(x, type(self).__name__)
        events = max(weight.sum() ** 2 / np.sum(weight**2), 2.0)
        edge = 0.5 / events
        wanted = self.positions(events)
        tables = [self._table(x[:, column], weight, wanted, edge) for column in range(x.shape[1])]
        states = (self.x_start, self.x_step, self.y_start, self.y_step)
        for state, arrays in zip(states, zip(*tables, strict=True), strict=True):
            state.assign(np.stack(arrays))

    def _table(
        self, x: NDArray, weight: NDArray[np.float64], wanted: NDArray[np.float64], edge: float
    ) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Return knots and steps of one column, filled up with steps of height zero."""
        x_knots, function = weighted.distribution(x, weight)
        if len(x_knots) > self.knots:
            x_knots, function = (
                np.interp(wanted, function, x_knots),
                np.clip(wanted, function[0], function[-1]),
            )
        # Neighbouring knots must differ clearly in float32.
        least = 1e-6 * max(np.ptp(x_knots), np.abs(x_knots).max())
        apart = np.concatenate([[True], np.diff(x_knots) > least])
        x_knots, function = x_knots[apart], function[apart]
        y_knots = self.values(np.clip(function, edge, 1.0 - edge))
        x_start = np.full(self.knots - 1, x_knots[-1])
        x_step = np.ones(self.knots - 1)
        y_start = np.full(self.knots - 1, y_knots[-1])
        y_step = np.zeros(self.knots - 1)
        used = len(x_knots) - 1
        x_start[:used], x_step[:used] = x_knots[:-1], np.diff(x_knots)
        y_start[:used], y_step[:used] = y_knots[:-1], np.diff(y_knots)
        return x_start, x_step, y_start, y_step

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "knots": self.knots}


@keras.saving.register_keras_serializable(package="hepml_root")
class Uniform(_Table):
    r"""Make each column uniform in [0, 1] with its weighted distribution function: TMVA's "U".

    .. math:: y = F(x) = \frac{\sum_{x_i < x} w_i + \frac{1}{2} \sum_{x_i = x} w_i}{\sum w_i}

    joined by straight lines between ``knots`` quantiles. Values outside the training range map to the edges.
    Columns with few distinct values keep one output for each. Shapes: ``(..., features)`` to the same. The
    inverse is exact inside the training range. Reference: arXiv:physics/0703039, section 4.1.

    Arguments
    ---------
    knots
        Points of the table for each column; the cost of an event grows with it.

    Example
    -------
    >>> import numpy as np
    >>> x = np.random.default_rng(1).exponential(size=(5000, 1))
    >>> y = np.asarray(Uniform().adapt(x)(x))
    >>> bool(abs(y.mean() - 0.5) < 0.01 and abs(y.std() - 12**-0.5) < 0.01)
    True
    """

    def positions(self, events: float) -> NDArray[np.float64]:  # noqa: ARG002 - even steps for any number
        return np.linspace(0.0, 1.0, self.knots)

    def values(self, probability: NDArray[np.float64]) -> NDArray[np.float64]:
        return probability


@keras.saving.register_keras_serializable(package="hepml_root")
class Gauss(_Table):
    r"""Make each column a standard normal distribution: TMVA's "G".

    .. math:: y = \Phi^{-1}(F(x)) = \sqrt{2}\, \mathrm{erf}^{-1}(2 F(x) - 1)

    with :math:`F` as in :class:`Uniform`. The knots are even in y, so that the tails are as finely tabulated
    as the core; between knots the map is linear. The largest training value maps to the quantile
    :math:`1 - 1/(2 n)` of n effective events, and values beyond it too. Shapes: ``(..., features)`` to the
    same. The inverse is exact inside the training range. Reference: arXiv:physics/0703039, section 4.1.

    Arguments
    ---------
    knots
        Points of the table for each column; the cost of an event grows with it.

    Example
    -------
    >>> import numpy as np
    >>> x = np.random.default_rng(1).exponential(size=(5000, 1))
    >>> y = np.asarray(Gauss().adapt(x)(x))
    >>> bool(abs(y.mean()) < 0.01 and abs(y.std() - 1) < 0.02)
    True
    """

    def positions(self, events: float) -> NDArray[np.float64]:
        reach = ndtri(1.0 - 0.5 / events)
        return ndtr(np.linspace(-reach, reach, self.knots))

    def values(self, probability: NDArray[np.float64]) -> NDArray[np.float64]:
        return ndtri(probability)
