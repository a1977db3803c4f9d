"""Linear transforms: standardise, min–max (TMVA's N), decorrelate (D) and principal components (P)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hepml_root.errors import WeightError
from hepml_root.layers import weighted
from hepml_root.layers.transform import Transform


class _Scale(Transform):
    """y = (x - centre) * factor, column by column."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        features = input_shape[-1]
        self.centre = self.state("centre", np.zeros(features))
        self.factor = self.state("factor", np.ones(features))

    def call(self, x: Any) -> Any:
        return (x - self.centre) * self.factor

    def inverse(self, y: Any) -> Any:
        """Return the values that give ``y``; exact to rounding for every ``y``."""
        return ops.convert_to_tensor(y, "float32") / self.factor + self.centre


@keras.saving.register_keras_serializable(package="hepml_root")
class Standardise(_Scale):
    r"""Standardise columns: weighted mean 0 and weighted standard deviation 1.

    .. math:: y = (x - \mu) / \sigma

    A constant column is only centred. Shapes: ``(..., features)`` to the same. Invertible everywhere.

    Example
    -------
    >>> import numpy as np
    >>> layer = Standardise().adapt(np.array([[10.0], [30.0]]), weight=[3.0, 1.0])
    >>> [round(float(y), 3) for y in layer(np.array([[15.0]]))[0]]
    [0.0]
    """

    def learn(self, x: NDArray, weight: NDArray[np.float64]) -> None:
        weighted.finite(x, "standardise")
        mean, covariance = weighted.moments(x, weight)
        self.centre.assign(mean)
        self.factor.assign(1.0 / weighted.spread(np.diag(covariance), mean))


@keras.saving.register_keras_serializable(package="hepml_root")
class MinMax(_Scale):
    r"""Map each column's range in the training data to [-1, 1]: TMVA's "N" (normalise).

    .. math:: y = 2 \frac{x - x_{min}}{x_{max} - x_{min}} - 1

    Values outside the training range map linearly beyond [-1, 1]. Events of weight zero do not count;
    otherwise the weights play no role in a range. A constant column maps to 0. Shapes: ``(..., features)`` to
    the same. Invertible everywhere. Reference: arXiv:physics/0703039, section 4.1.

    Example
    -------
    >>> import numpy as np
    >>> layer = MinMax().adapt(np.array([[0.0], [10.0]]))
    >>> float(layer(np.array([[7.5]]))[0, 0])
    0.5
    """

    def learn(self, x: NDArray, weight: NDArray[np.float64]) -> None:  # noqa: ARG002 - a range has no weights
        weighted.finite(x, "min–max")
        low, high = x.min(axis=0).astype(np.float64), x.max(axis=0).astype(np.float64)
        half = 0.5 * (high - low)
        self.centre.assign(0.5 * (high + low))
        self.factor.assign(1.0 / np.where(half > 0, half, 1.0))


class _Rotate(Transform):
    """y = (x - centre) A + offset, with the inverse matrix kept beside A."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        features = int(input_shape[-1])  # type: ignore[arg-type]
        self.centre = self.state("centre", np.zeros(features))
        self.matrix = self.state("matrix", np.eye(features))
        self.offset = self.state("offset", np.zeros(features))
        self.inverse_matrix = self.state("inverse_matrix", np.eye(features))

    def call(self, x: Any) -> Any:
        return ops.matmul(x - self.centre, self.matrix) + self.offset

    def inverse(self, y: Any) -> Any:
        """Return the values that give ``y``; exact to rounding where no column is a combination of others."""
        y = ops.convert_to_tensor(y, "float32")
        return ops.matmul(y - self.offset, self.inverse_matrix) + self.centre


def _covariance(x: NDArray, weight: NDArray[np.float64], what: str) -> tuple[NDArray, NDArray, NDArray, int]:
    """Return mean, eigenvalues (rising) and eigenvectors of the covariance, and how many values are zero."""
    weighted.finite(x, what)
    mean, covariance = weighted.moments(x, weight)
    scale = weighted.spread(np.diag(covariance), mean)
    # The rank is read off the correlation matrix, where columns of different units compare.
    correlations = np.linalg.eigvalsh(covariance / np.outer(scale, scale))
    if correlations[0] < -1e-6:
        raise WeightError(
            f"the weighted covariance matrix is not positive (an eigenvalue of the correlation matrix is "
            f"{correlations[0]:.4g}): negative weights dominate. Adapt to the absolute values of the weights."
        )
    values, vectors = np.linalg.eigh(covariance)
    return mean, np.maximum(values, 0.0), vectors, int(np.count_nonzero(correlations < 1e-9))


@keras.saving.register_keras_serializable(package="hepml_root")
class Decorrelate(_Rotate):
    r"""Remove linear correlations with the square root of the covariance matrix: TMVA's "D".

    .. math:: y = C^{-1/2} (x - \mu) \; (+\, C^{-1/2} \mu \text{ for TMVA's D, which does not centre})

    Each output is the combination closest to the input of the same position; the outputs have unit variance
    and no linear correlation. Directions in which the data do not vary (a column that is a combination of
    others) are set to zero, and are lost in the inverse. Shapes: ``(..., features)`` to the same.

    Arguments
    ---------
    centre
        Subtract the mean (default). The letter "D" in a chain does not, as in TMVA.

    Raises
    ------
    WeightError
        Negative weights make the covariance matrix negative in some direction.

    Reference: arXiv:physics/0703039, section 4.1.

    Example
    -------
    >>> import numpy as np
    >>> x = np.random.default_rng(1).normal(size=(1000, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    >>> y = np.asarray(Decorrelate().adapt(x)(x))
    >>> bool(abs(np.corrcoef(y.T)[0, 1]) < 1e-5)
    True
    """

    def __init__(self, centre: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.centred = centre

    def learn(self, x: NDArray, weight: NDArray[np.float64]) -> None:
        mean, values, vectors, zeros = _covariance(x, weight, "decorrelate")
        root = np.sqrt(values)
        root[:zeros] = 0.0
        reciprocal = np.concatenate([np.zeros(zeros), 1.0 / root[zeros:]])
        matrix = (vectors * reciprocal) @ vectors.T
        self.centre.assign(mean)
        self.matrix.assign(matrix)
        self.inverse_matrix.assign((vectors * root) @ vectors.T)
        self.offset.assign(np.zeros_like(mean) if self.centred else mean @ matrix)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "centre": self.centred}


@keras.saving.register_keras_serializable(package="hepml_root")
class PCA(_Rotate):
    r"""Rotate to principal components, largest variance first: TMVA's "P".

    .. math:: y = (x - \mu) V, \qquad C V = V \, \mathrm{diag}(\lambda_1 \ge \lambda_2 \ge \dots)

    The components keep their variances (chain "P,N" or "P,standardise" to scale them). The largest entry of
    each eigenvector is positive, so that the signs do not depend on the machine. Shapes: ``(..., features)``
    to the same. Invertible everywhere. Reference: arXiv:physics/0703039, section 4.1.

    Example
    -------
    >>> import numpy as np
    >>> x = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    >>> np.round(PCA().adapt(x)(x), 3)[:, 0]
    array([-1.414,  0.   ,  1.414], dtype=float32)
    """

    def learn(self, x: NDArray, weight: NDArray[np.float64]) -> None:
        mean, _, vectors, _ = _covariance(x, weight, "principal components")
        vectors = vectors[:, ::-1]
        largest = vectors[np.argmax(np.abs(vectors), axis=0), np.arange(vectors.shape[1])]
        vectors = vectors * np.sign(largest)
        self.centre.assign(mean)
        self.matrix.assign(vectors)
        self.inverse_matrix.assign(vectors.T)


@keras.saving.register_keras_serializable(package="hepml_root")
class TargetScale(_Scale):
    r"""Give a regression's output in physical units: the inverse of a standardisation of the target.

    .. math:: y = \mu + \sigma x

    The network before it learns numbers of order one; what leaves the model has the target's units. Shapes:
    ``(events, targets)`` to the same. Invertible everywhere.

    Example
    -------
    >>> import numpy as np
    >>> layer = TargetScale().adapt(np.array([[100.0], [300.0]]))
    >>> float(layer(np.array([[-1.0]]))[0, 0])
    100.0
    """

    def learn(self, x: NDArray, weight: NDArray[np.float64]) -> None:
        weighted.finite(x, "the target")
        mean, covariance = weighted.moments(x, weight)
        self.centre.assign(mean)
        self.factor.assign(weighted.spread(np.diag(covariance), mean))

    def call(self, x: Any) -> Any:
        return x * self.factor + self.centre

    def inverse(self, y: Any) -> Any:
        """Return (y - mean) / standard deviation; exact to rounding for every ``y``."""
        return (ops.convert_to_tensor(y, "float32") - self.centre) / self.factor
