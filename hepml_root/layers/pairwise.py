"""Pairs of particles: their kinematics, and a network that makes a bias of attention from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hepml_root.errors import SettingError
from hepml_root.layers.masked_normalization import MaskedBatchNormalization

# Below these, logarithms are cut off: an angle of 1e-4 rad is the resolution of a tracker, and 1e-8 of the
# momentum and mass scales (GeV or GeV²) is below any threshold.
_ANGLE, _FLOOR = 1e-4, 1e-8


def upper_triangle(constituents: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Return the unordered pairs i < j of constituents, and where each ordered pair is found among them.

    The first two are positions of the constituents ``(pairs,)``; the third, ``(constituents²,)``, is the
    position of the pair (i, j) at i · constituents + j, which is ``pairs`` on the diagonal.

    Example
    -------
    >>> first, second, place = upper_triangle(3)
    >>> first.tolist(), second.tolist(), place.tolist()
    ([0, 0, 1], [1, 2, 2], [3, 0, 1, 0, 3, 2, 1, 2, 3])
    """
    first, second = np.triu_indices(constituents, 1)
    place = np.full((constituents, constituents), len(first))
    place[first, second] = place[second, first] = np.arange(len(first))
    return first.astype(np.int32), second.astype(np.int32), place.ravel().astype(np.int32)


@keras.saving.register_keras_serializable(package="hepml_root")
class PairKinematics(keras.layers.Layer):
    r"""Logarithms of the kinematics of all unordered pairs of constituents.

    .. math:: \ln \Delta, \quad \ln k_T, \quad \ln z, \quad \ln m^2 \qquad \text{with} \qquad
        \Delta = \sqrt{(\eta_a - \eta_b)^2 + (\phi_a - \phi_b)^2}, \\
        k_T = \min(p_{T,a}, p_{T,b}) \Delta, \quad z = \frac{\min(p_{T,a}, p_{T,b})}{p_{T,a} + p_{T,b}}, \quad
        m^2 = (E_a + E_b)^2 - |\vec p_a + \vec p_b|^2

    The published Δ has rapidities; here it has pseudorapidities, which constituents have as columns.
    The mass is that of massless particles, unless η and masses are given. It is computed from differences, so
    that close and energetic pairs keep their digits in float32:
    m² = m_a² + m_b² + 2 (m_Ta m_Tb cosh Δy - p_Ta p_Tb cos Δφ) with each difference written as a sum of
    positive terms.

    Takes a list: angles ``(events, constituents, 2)`` (η and φ, or Δη and Δφ) [rad], transverse momenta
    ``(events, constituents, 1)`` [GeV], and optionally masses [GeV] and absolute pseudorapidities
    ``(events, constituents, 2)``. Gives ``(events, pairs, 4)``, pairs in the order of
    :func:`upper_triangle`. Values of padded constituents must be finite, and give something finite.

    Arguments
    ---------
    wrap
        Take φ differences modulo 2π: for absolute φ.

    Reference: arXiv:2202.03772; arXiv:1807.04758.

    Example
    -------
    >>> import numpy as np
    >>> angles, pt = np.array([[[0.0, 0.0], [0.3, 0.4]]]), np.array([[[1.0], [3.0]]])
    >>> delta, kt, z, m2 = np.exp(PairKinematics()([angles, pt])[0, 0])
    >>> round(float(delta), 4), round(float(kt), 4), round(float(z), 4)
    (0.5, 0.5, 0.25)
    """

    def __init__(self, wrap: bool = False, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.wrap = wrap

    def call(self, inputs: Sequence[Any]) -> Any:
        angles, pt = inputs[0], ops.maximum(inputs[1], _FLOOR)
        first, second, _ = upper_triangle(angles.shape[1])

        def pair(x: Any) -> tuple[Any, Any]:
            """Return x, ``(events, constituents)``, of both particles of each pair, ``(events, pairs)``."""
            return ops.take(x, first, axis=1), ops.take(x, second, axis=1)

        eta_a, eta_b = pair(angles[..., 0])
        phi_a, phi_b = pair(angles[..., 1])
        pt_a, pt_b = pair(pt[..., 0])
        d_eta, d_phi = eta_a - eta_b, phi_a - phi_b
        if self.wrap:
            d_phi = d_phi - 2.0 * np.pi * ops.floor(d_phi / (2.0 * np.pi) + 0.5)
        distance = ops.square(d_eta) + ops.square(d_phi)
        log_distance = 0.5 * ops.log(ops.maximum(distance, _ANGLE**2))
        log_softer = ops.log(ops.minimum(pt_a, pt_b))
        # 2 (cosh Δη - cos Δφ) = 4 (sinh² Δη/2 + sin² Δφ/2)
        opening = ops.square(ops.sin(0.5 * d_phi))
        if len(inputs) == 2:
            half = ops.exp(0.5 * d_eta)
            mass = 4.0 * pt_a * pt_b * (opening + 0.25 * ops.square(half - 1.0 / half))
        else:
            m, eta = inputs[2][..., 0], inputs[2][..., 1]
            transverse = ops.sqrt(ops.square(pt[..., 0]) + ops.square(m))
            stretch = ops.exp(eta)
            rapidity = ops.arcsinh(0.5 * pt[..., 0] * (stretch - 1.0 / stretch) / transverse)
            (m_a, m_b), (mt_a, mt_b), (y_a, y_b) = pair(m), pair(transverse), pair(rapidity)
            half = ops.exp(0.5 * (y_a - y_b))
            squares = ops.square(m_a) + ops.square(m_b)
            # m_Ta m_Tb - p_Ta p_Tb
            excess = ops.square(m_a * pt_b) + ops.square(m_b * pt_a) + ops.square(m_a * m_b)
            excess = excess / (mt_a * mt_b + pt_a * pt_b)
            cosh = 0.5 * ops.square(half - 1.0 / half) * mt_a * mt_b
            mass = squares + 2.0 * (cosh + excess + 2.0 * opening * pt_a * pt_b)
        features = (
            log_distance,
            log_softer + log_distance,
            log_softer - ops.log(pt_a + pt_b),
            ops.log(ops.maximum(mass, _FLOOR)),
        )
        return ops.stack(features, axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        events, constituents, _ = input_shape[0]
        return (events, constituents * (constituents - 1) // 2, 4)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "wrap": self.wrap}


@keras.saving.register_keras_serializable(package="hepml_root")
class PairBias(keras.layers.Layer):
    r"""The bias that attention gets from the features of each pair, by a small network.

    .. math:: b_{h i j} = f_h(u_{ij}) = b_{h j i}, \qquad b_{h i i} = 0

    f normalises its inputs (:class:`MaskedBatchNormalization` over the pairs that are there), and each of its
    dense layers likewise, with the activation between them.

    Only pairs i < j are computed, and laid out to both halves afterwards: half the work, as f is symmetric. A
    constituent's pair with itself has no kinematics of its own; it gets no bias, where the authors' code lets
    f see the cut-off logarithms.

    Takes pair features ``(events, pairs, features)`` (:class:`PairKinematics`) and the mask
    ``(events, constituents)``; gives ``(events, heads, constituents, constituents)``, zero for pairs that are
    not there.

    Arguments
    ---------
    widths
        Neurons of the hidden layers of f.
    heads
        Heads of the attention.
    activation
        Any name of Keras.

    Raises
    ------
    SettingError
        ``heads`` is below 1.

    Reference: arXiv:2202.03772.

    Example
    -------
    >>> import numpy as np
    >>> bias = PairBias((8,), heads=2)([np.ones((1, 3, 4), "float32"), np.ones((1, 3), "float32")])
    >>> bias.shape, float(bias[0, 0, 1, 1])
    (TensorShape([1, 2, 3, 3]), 0.0)
    """

    def __init__(
        self, widths: Sequence[int] = (64, 64, 64), heads: int = 8, activation: str = "gelu", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if heads < 1:
            raise SettingError(f"heads={heads}: a whole number from 1 is needed.")
        self.widths, self.heads = tuple(int(width) for width in widths), int(heads)
        self.activation = keras.activations.get(activation)
        self.normalizations = [
            MaskedBatchNormalization(name=f"norm_{i}") for i in range(len(self.widths) + 2)
        ]

    def build(self, input_shape: Any) -> None:
        before = int(input_shape[0][-1])
        self.normalizations[0].build_features(before)
        self.kernels, self.biases = [], []
        for number, after in enumerate((*self.widths, self.heads)):
            self.kernels.append(
                self.add_weight(shape=(before, after), initializer="he_normal", name=f"kernel_{number}")
            )
            self.biases.append(self.add_weight(shape=(after,), initializer="zeros", name=f"bias_{number}"))
            self.normalizations[number + 1].build_features(after)
            before = after

    def call(self, inputs: Sequence[Any], training: bool | None = None) -> Any:
        features, mask = inputs
        constituents = mask.shape[1]
        first, second, place = upper_triangle(constituents)
        there = ops.take(mask, first, axis=1) * ops.take(mask, second, axis=1)
        pair = ops.expand_dims(there, -1)
        x = ops.where(pair > 0.5, features, ops.zeros_like(features))
        x = self.normalizations[0].normalised(x, there, training)
        for number, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True), start=1):
            kernel, bias = self.normalizations[number].folded(kernel, bias, x, there, training)
            x = ops.matmul(x, kernel) + bias
            if number < len(self.kernels):
                x = self.activation(x)
        # One more row of zeros, for the diagonal.
        x = ops.concatenate([x * pair, ops.zeros_like(x[:, :1])], axis=1)
        x = ops.reshape(ops.take(x, place, axis=1), (-1, constituents, constituents, self.heads))
        return ops.transpose(x, (0, 3, 1, 2))

    def compute_output_shape(self, input_shape: Any) -> Any:
        events, constituents = input_shape[1]
        return (events, self.heads, constituents, constituents)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "widths": list(self.widths),
            "heads": self.heads,
            "activation": keras.activations.serialize(self.activation),
        }
