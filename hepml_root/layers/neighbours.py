"""Nearest neighbours among the constituents of an event, and their features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from hepml_root.errors import SettingError

# Squared distances of constituents that are not there, and of neighbours that have been taken already. No
# distance of finite physical coordinates comes near, and they do not overflow float32.
_ABSENT, _TAKEN = 1e30, 2e30


class GatherConstituents(keras.Operation):
    """Values ``(events, constituents, features)`` at an index ``(events, constituents, k)``; see
    :func:`gather`.

    An operation of its own, since ONNX has one operator for it (GatherND), and `keras.ops` has none.
    """

    def call(self, values: Any, index: Any) -> Any:
        # Rows of one long table: its gradient adds whole rows. That of take_along_axis adds single numbers
        # and takes five times as long (256 events of 48 x 7 neighbours and 32 features: 15 against 73 ms).
        constituents, features = values.shape[1], values.shape[2]
        first = constituents * ops.arange(ops.shape(values)[0], dtype="int32")
        rows = ops.cast(index, "int32") + ops.reshape(first, (-1, 1, 1))
        return ops.take(ops.reshape(values, (-1, features)), rows, axis=0)

    def compute_output_spec(self, values: Any, index: Any) -> Any:
        return keras.KerasTensor((*index.shape, values.shape[-1]), dtype=values.dtype)


def gather(values: Any, index: Any) -> Any:
    """Return the features of constituents by their position in the event.

    .. math:: y_{e i j} = x_{e,\\, n_{e i j}}

    Arguments
    ---------
    values
        x ``(events, constituents, features)``.
    index
        n ``(events, constituents, k)``, whole numbers from 0 of any type.

    Example
    -------
    >>> import numpy as np
    >>> x = np.array([[[10.0], [20.0], [30.0]]], dtype="float32")
    >>> np.asarray(gather(x, np.array([[[1], [2], [0]]])))[0, :, :, 0].tolist()
    [[20.0], [30.0], [10.0]]
    """
    if isinstance(values, keras.KerasTensor) or isinstance(index, keras.KerasTensor):
        return GatherConstituents().symbolic_call(values, index)
    return GatherConstituents().call(ops.convert_to_tensor(values), ops.convert_to_tensor(index))


def squared_distances(points: Any) -> Any:
    """Return the squared distances of all pairs, ``(events, constituents, constituents)``.

    Differences are taken coordinate by coordinate up to four coordinates: exact for close constituents, and
    the same bit by bit in every runtime. For longer vectors |a|² + |b|² - 2ab goes through a matrix product,
    as the differences would take as much memory as all edges' features.
    """
    if points.shape[-1] <= 4:
        total = None
        for axis in range(points.shape[-1]):
            x = points[..., axis]
            square = ops.square(ops.expand_dims(x, 2) - ops.expand_dims(x, 1))
            total = square if total is None else total + square
        return total
    norm = ops.sum(ops.square(points), axis=-1)
    product = ops.matmul(points, ops.transpose(points, (0, 2, 1)))
    return ops.expand_dims(norm, 2) + ops.expand_dims(norm, 1) - 2.0 * product


def _nearest(distances: Any, k: int) -> Any:
    """Return the positions ``(events, constituents, k)`` of the smallest numbers along axis 1, nearest first,
    of a matrix that is symmetric but for columns of absent constituents."""
    if isinstance(distances, keras.KerasTensor):  # on the way to ONNX, which has the operator
        return ops.top_k(-ops.transpose(distances, (0, 2, 1)), k)[1]
    # k times the smallest, over the middle axis, so that all operations run over whole vectors: under XLA
    # four times as fast as top_k, and not slower without. Of equal ones the first is taken, as by top_k.
    position = ops.reshape(ops.arange(distances.shape[1], dtype="float32"), (1, -1, 1))
    chosen = []
    for _ in range(k):
        smallest = ops.min(distances, axis=1, keepdims=True)
        first = ops.min(ops.where(distances <= smallest, position, 1e9), axis=1, keepdims=True)
        distances = ops.where(position == first, _TAKEN, distances)
        chosen.append(first)
    return ops.cast(ops.transpose(ops.concatenate(chosen, axis=1), (0, 2, 1)), "int32")


def nearest_neighbours(points: Any, mask: Any, k: int) -> tuple[Any, Any]:
    """Return the k nearest other constituents of each, and which of these are there.

    Euclidean distance, nearest first; itself is never chosen, and a padded constituent only where no real one
    is left, and then marked as not there. With n constituents in an event, the first min(k, n - 1) are real.

    Arguments
    ---------
    points
        ``(events, constituents, coordinates)``; at padded constituents anything finite.
    mask
        ``(events, constituents)``, 1 where a constituent is.
    k
        Neighbours; fewer if the tensor is shorter.

    Returns
    -------
    index, there
        Positions ``(events, constituents, k)`` as whole numbers, and 1.0 or 0.0 of the same shape.

    Example
    -------
    >>> import numpy as np
    >>> points = np.array([[[0.0], [1.0], [3.0], [0.0]]], dtype="float32")
    >>> index, there = nearest_neighbours(points, np.array([[1.0, 1.0, 1.0, 0.0]], dtype="float32"), k=2)
    >>> np.asarray(index)[0, :3].tolist(), np.asarray(there)[0].astype(int).tolist()
    ([[1, 2], [0, 2], [1, 0]], [[1, 1], [1, 1], [1, 1], [0, 0]])
    """
    if not isinstance(points, keras.KerasTensor):
        points, mask = ops.convert_to_tensor(points), ops.convert_to_tensor(mask)
    constituents = points.shape[1]
    k = max(1, min(k, constituents - 1))
    itself = ops.reshape(ops.eye(constituents), (1, constituents, constituents))
    # Axis 1 is the neighbour, axis 2 the constituent that looks for it. Nothing here has a gradient.
    distances = ops.stop_gradient(squared_distances(points))
    refused = ops.maximum(itself, ops.expand_dims(1.0 - mask, 2))
    index = _nearest(ops.where(refused > 0.5, _ABSENT, distances), k)
    others = ops.sum(mask, axis=1, keepdims=True) - 1.0
    slot = ops.reshape(ops.arange(k, dtype="float32"), (1, 1, k))
    there = ops.cast(ops.less(slot, ops.expand_dims(others, 2) - 0.5), "float32") * ops.expand_dims(mask, 2)
    return index, there


@keras.saving.register_keras_serializable(package="hepml_root")
class NearestNeighbours(keras.layers.Layer):
    """The k nearest neighbours of each constituent, as a layer; see :func:`nearest_neighbours`.

    Takes points ``(events, constituents, coordinates)`` and the mask ``(events, constituents)``; gives the
    positions and which of them are there, each ``(events, constituents, k)``.

    Arguments
    ---------
    k
        Neighbours, from 1.

    Raises
    ------
    SettingError
        k is no whole number from 1.

    Example
    -------
    >>> import numpy as np
    >>> layer = NearestNeighbours(k=1)
    >>> index, there = layer([np.array([[[0.0], [5.0], [6.0]]]), np.ones((1, 3))])
    >>> np.asarray(index)[0, :, 0].tolist()
    [1, 2, 1]
    """

    def __init__(self, k: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(k, bool) or int(k) != k or k < 1:
            raise SettingError(f"k={k!r} neighbours: a whole number from 1 is needed.")
        self.k = int(k)

    def call(self, inputs: Sequence[Any]) -> tuple[Any, Any]:
        points, mask = inputs
        there = ops.expand_dims(mask, -1) > 0.5
        return nearest_neighbours(ops.where(there, points, ops.zeros_like(points)), mask, self.k)

    def compute_output_spec(self, inputs: Sequence[Any]) -> tuple[Any, Any]:
        shape = tuple(inputs[0].shape)
        k = max(1, min(self.k, shape[1] - 1))
        shape = (*shape[:2], k)
        return keras.KerasTensor(shape, dtype="int32"), keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "k": self.k}
