"""A normalising flow as one layer: a chain of bijections from data to independent normal numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from hepml_root.errors import SettingError, unknown
from hepml_root.layers.autoregressive import Autoregressive
from hepml_root.layers.bijection import Bijection, LinearMap, Mapped, Permutation, Standardisation
from hepml_root.layers.conditional_standardisation import ConditionalStandardisation
from hepml_root.layers.coupling import Coupling, MarginalSplines, log_normal

KINDS = ("coupling", "maf", "iaf")
MIXINGS = ("shuffle", "reverse", "linear")


@keras.saving.register_keras_serializable(package="hepml_root")
class NormalizingFlow(Bijection):
    r"""A chain of invertible maps that makes data normal: density and sampler in one.

    .. math:: \log p(x|c) = \log N(f(x; c); 0, 1) + \log |\det \partial f / \partial x|

    Standardisation, then ``steps`` times a mixing of the features and a map. Takes ``(events, features)``
    and a condition ``(events, conditions)`` or None.

    Arguments
    ---------
    features
        Their number.
    conditions
        Numbers of the condition.
    kind
        Of the maps: "coupling" (fast in both directions), "maf" (samples are sequential) or "iaf" (densities
        are).
    transform
        "affine" or "spline".
    steps
        Maps, one after the other.
    hidden, activation
        Of each map's network.
    bins, bound
        Of splines, which act on [-bound, bound] in standard deviations; beyond they are the identity.
    mixing
        Between the maps: "shuffle" (fixed permutations drawn from ``shuffle_seed``), "reverse", or "linear"
        (a learnt invertible matrix after such a permutation).
    shuffle_seed
        Of the permutations.
    marginals
        Begin with a spline of its own for each feature, whatever the others are.
    conditional_scale
        Standardise by mean and spread at the condition
        (:class:`hepml_root.layers.conditional_standardisation.ConditionalStandardisation`).

    Raises
    ------
    SettingError
        A setting is unknown or out of its range.

    Reference: arXiv:1505.05770, arXiv:1912.02762.

    Example
    -------
    >>> flow = NormalizingFlow(2, steps=2, hidden=(8,))
    >>> flow.log_prob(np.zeros((1, 2), np.float32)).numpy().astype(float).round(4).tolist()
    [-1.8379]
    """

    def __init__(
        self,
        features: int,
        conditions: int = 0,
        *,
        kind: str = "coupling",
        transform: str = "spline",
        steps: int = 6,
        hidden: Sequence[int] = (64, 64),
        activation: str = "relu",
        bins: int = 8,
        bound: float = 5.0,
        mixing: str = "shuffle",
        shuffle_seed: int = 1,
        marginals: bool = False,
        conditional_scale: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for what, value, known in (("flow", kind, KINDS), ("mixing", mixing, MIXINGS)):
            if value not in known:
                raise SettingError(unknown(what, str(value), known))
        if features < 1 or steps < 1:
            raise SettingError(f"features={features}, steps={steps}: each at least 1.")
        if conditional_scale and not conditions:
            raise SettingError("conditional_scale=True: there is no condition that the scale could follow.")
        self.features, self.conditions = int(features), int(conditions)
        self._settings = {
            "kind": kind, "transform": transform, "steps": int(steps), "hidden": [int(n) for n in hidden],
            "activation": activation, "bins": bins, "bound": bound, "mixing": mixing,
            "shuffle_seed": shuffle_seed, "marginals": bool(marginals),
            "conditional_scale": bool(conditional_scale),
        }  # fmt: skip
        self.standardise: Standardisation | ConditionalStandardisation
        if conditional_scale:
            self.standardise = ConditionalStandardisation(
                self.features, self.conditions, name="conditional_standardise"
            )
        else:
            self.standardise = Standardisation(self.features, name="standardise")
        self.noise = keras.random.SeedGenerator(0)
        self.steps: list[Bijection] = []
        if marginals:
            self.steps.append(MarginalSplines(self.features, bins, bound, name="marginals"))
        random = np.random.default_rng(shuffle_seed)
        shared: dict[str, Any] = {
            "transform": transform, "hidden": hidden, "activation": activation, "bins": bins, "bound": bound,
            "conditions": self.conditions,
        }  # fmt: skip
        for step in range(int(steps)):
            if step and self.features > 1:
                self.steps.append(self._mixing(mixing, step, random))
            if kind == "coupling":
                self.steps.append(Coupling(self.features, **shared, name=f"coupling_{step + 1}"))
            else:
                layer = Autoregressive(
                    self.features, **shared, inverted=kind == "iaf", name=f"autoregressive_{step + 1}"
                )
                self.steps.append(layer)

    def _mixing(self, mixing: str, step: int, random: np.random.Generator) -> Bijection:
        """Return the mixing before a step. Shuffles of couplings put every feature to its other side."""
        count = self.features
        if mixing == "reverse":
            return Permutation(range(count - 1, -1, -1), name=f"mixing_{step + 1}")
        half = count // 2
        first, second = random.permutation(half), half + random.permutation(count - half)
        # What was mapped last stays next, and the other way round, as far as the halves allow.
        order = np.concatenate([second, first])
        if step % 2 == 0:  # and every other time all are dealt out anew
            order = random.permutation(count)
        kind = LinearMap if mixing == "linear" else Permutation
        return kind(order.tolist(), name=f"mixing_{step + 1}")

    def adapt(
        self, x: ArrayLike, weight: ArrayLike | None = None, condition: ArrayLike | None = None
    ) -> NormalizingFlow:
        """Learn the standardisation from ``(events, features)`` and weights ``(events,)``; of a scale that
        is conditional, from the conditions ``(events, conditions)``.

        Raises
        ------
        SettingError
            A conditional scale has no conditions to learn from, or has weights.
        """
        if isinstance(self.standardise, Standardisation):
            self.standardise.adapt(x, weight)
            return self
        if condition is None or weight is not None:
            raise SettingError("a conditional scale is learnt from events with condition=, without weights.")
        self.standardise.adapt(x, condition)
        return self

    def forward(self, x: Any, condition: Any = None) -> Mapped:
        x, total = self.standardise.forward(x, condition)
        for step in self.steps:
            x, change = step.forward(x, condition)
            total = total + change
        return x, total

    def inverse(self, z: Any, condition: Any = None) -> Mapped:
        total: Any = 0.0
        for step in reversed(self.steps):
            z, change = step.inverse(z, condition)
            total = total + change
        x, change = self.standardise.inverse(z, condition)
        return x, total + change

    def log_prob(self, x: Any, condition: Any = None) -> Any:
        """Return the log-density ``(events,)`` of ``(events, features)``, of their product of units."""
        z, change = self.forward(x, condition)
        return log_normal(z) + change

    def sample(self, like: Any, condition: Any = None) -> Any:
        """Draw ``(events, features)``, as many events as ``like`` ``(events, …)`` has."""
        z = keras.random.normal((ops.shape(like)[0], self.features), seed=self.noise)
        return self.inverse(z, condition)[0]

    def call(self, x: Any, condition: Any = None) -> Any:
        return ops.expand_dims(-self.log_prob(x, condition), -1)

    def compute_output_shape(self, x_shape: Any, condition_shape: Any = None) -> Any:  # noqa: ARG002
        return (x_shape[0], 1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "features": self.features, "conditions": self.conditions,
            **self._settings,
        }  # fmt: skip
