"""The base of all variable transforms: layers whose state is learnt from weighted data, not by gradients."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepml_root.errors import UnsupportedOperationError
from hepml_root.layers import weighted

_BLOCK = 65536


class Transform(keras.layers.Layer):
    """A variable transform over the last axis, ``(events, features)`` or ``(events, constituents,
    features)``.

    :meth:`adapt` learns the state from data and weights once; the state is kept as non-trainable weights, so
    it is saved and exported with the model, and the network meets raw physical inputs. Transforms work in
    float32 whatever the precision of the network, as inputs such as energies do not fit half precision.

    A new transform overrides ``build`` (declare the state with :meth:`state`), ``learn``, ``call`` and, where
    one exists, ``inverse``.
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)

    def state(self, name: str, value: ArrayLike) -> Any:
        """Declare one array of the state with its value before :meth:`adapt`."""
        array = np.asarray(value, dtype=np.float32)

        def initial(shape: Any, dtype: Any) -> Any:  # noqa: ARG001 - Keras asks for both
            return keras.ops.convert_to_tensor(array, dtype)

        return self.add_weight(
            shape=array.shape,
            initializer=initial,
            trainable=False,
            name=name,
        )

    def adapt(
        self, x: ArrayLike, weight: ArrayLike | None = None, mask: ArrayLike | None = None
    ) -> Transform:
        """Learn the state from values, weights ``(events,)`` and, for padded constituents, their mask.

        Negative weights are used with their sign.

        Raises
        ------
        ShapeError, WeightError, EmptySelectionError
            See :func:`hepml_root.layers.weighted.rows`.
        NonFiniteInputError
            A value is NaN or infinite (only :class:`Impute` takes NaN).
        """
        x = np.asarray(x)
        if not self.built:
            self.build((None, *x.shape[1:]))
        self.learn(*weighted.rows(x, weight, mask))
        return self

    def learn(self, x: NDArray, weight: NDArray[np.float64]) -> None:
        """Set the state from rows ``(rows, features)`` and their weights ``(rows,)``; nothing to learn by
        default."""

    def inverse(self, y: Any) -> Any:
        """Return the values that the transform maps to ``y``."""
        raise UnsupportedOperationError(
            f"the transform {type(self).__name__} has no inverse for values of shape {np.shape(y)}."
        )

    def transformed(self, x: NDArray) -> NDArray[np.float32]:
        """Return the transform of an array as an array, block by block, for adapting what follows it."""
        parts = [
            keras.ops.convert_to_numpy(self(x[first : first + _BLOCK])) for first in range(0, len(x), _BLOCK)
        ]
        return np.concatenate(parts)
