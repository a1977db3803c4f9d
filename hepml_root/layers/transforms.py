"""Names and chains of variable transforms.

A chain is written as in TMVA, ``"D,N"`` (first D, then N), with TMVA's letters meaning what they mean there,
or with names: ``"log,standardise"``.

==================  =====  ==========================================================
name                TMVA   layer
==================  =====  ==========================================================
``standardise``            :class:`Standardise`: mean 0, standard deviation 1
``minmax``          N      :class:`MinMax`: the training range to [-1, 1]
``decorrelate``     D      :class:`Decorrelate`: square root of the covariance matrix
``pca``             P      :class:`PCA`: principal components
``uniform``         U      :class:`Uniform`: uniform in [0, 1]
``gauss``           G      :class:`Gauss`: standard normal
``log``                    :class:`Log`
``clip``                   :class:`Clip`: between the quantiles 0.001 and 0.999
``impute``                 :class:`Impute`: NaN to the weighted median
``identity``        I      nothing
==================  =====  ==========================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hepml_root.errors import ColumnNotFoundError, SettingError, unknown
from hepml_root.layers.elementwise import Clip, Impute, Log
from hepml_root.layers.linear import PCA, Decorrelate, MinMax, Standardise
from hepml_root.layers.quantiles import Gauss, Uniform
from hepml_root.layers.transform import Transform

NAMES: dict[str, Callable[[], Transform]] = {
    "standardise": Standardise,
    "minmax": MinMax,
    "decorrelate": Decorrelate,
    "pca": PCA,
    "uniform": Uniform,
    "gauss": Gauss,
    "log": Log,
    "clip": Clip,
    "impute": Impute,
}
LETTERS: dict[str, Callable[[], Transform]] = {
    "N": MinMax,
    "D": lambda: Decorrelate(centre=False),
    "P": PCA,
    "U": Uniform,
    "G": Gauss,
}
_COLUMNWISE = (Standardise, MinMax, Uniform, Gauss, Log, Clip, Impute)

Chain = str | Transform | Sequence["str | Transform"] | None


def chain(transforms: Chain) -> list[Transform]:
    """Return new transform layers for a chain such as ``"D,N"``, ``"log+standardise"`` or a list of layers.

    Raises
    ------
    SettingError
        A name is unknown; the nearest are listed.

    Example
    -------
    >>> [type(layer).__name__ for layer in chain("impute,G,D")]
    ['Impute', 'Gauss', 'Decorrelate']
    """
    if transforms is None:
        return []
    if isinstance(transforms, Transform):
        return [transforms]
    if isinstance(transforms, str):
        transforms = [name.strip() for name in transforms.replace("+", ",").split(",") if name.strip()]
    layers: list[Transform] = []
    for item in transforms:
        if isinstance(item, Transform):
            layers.append(item)
        elif item in LETTERS:
            layers.append(LETTERS[item]())
        elif item.lower() in NAMES:
            layers.append(NAMES[item.lower()]())
        elif item not in ("I", "identity", "none", "None"):
            raise SettingError(
                unknown("transform", item, [*NAMES, *LETTERS, "I"], "Chains are written 'D,N' or 'log,pca'.")
            )
    return layers


@keras.saving.register_keras_serializable(package="hepml_root")
class PerColumn(Transform):
    """Different chains for different columns, joined again in the columns' order.

    Shapes: ``(..., features)`` to the same. Only column-by-column transforms are taken (not D or P, which mix
    columns; put those after it). The inverse exists where every chain has one.

    Arguments
    ---------
    chains
        One entry ``(columns, chain)`` for each group: positions of the columns, and names or layers.

    Example
    -------
    >>> import numpy as np
    >>> x = np.array([[1.0, 5.0], [np.e, 7.0]])
    >>> layer = PerColumn([([0], "log"), ([1], "N")]).adapt(x)
    >>> np.round(layer(x), 3).tolist()
    [[0.0, -1.0], [1.0, 1.0]]
    """

    def __init__(self, chains: Sequence[tuple[Sequence[int], Chain]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.groups = [(tuple(int(i) for i in columns), chain(transforms)) for columns, transforms in chains]
        # Keras saves the state of layers it finds in attributes of its own list type.
        self.layers = [layer for _, layers in self.groups for layer in layers]
        for layer in self.layers:
            if not isinstance(layer, _COLUMNWISE):
                raise SettingError(
                    f"{type(layer).__name__} mixes columns; it cannot be chosen for some columns only. "
                    "Put it after the transforms of single columns."
                )
        order = np.concatenate([columns for columns, _ in self.groups])
        if sorted(order) != list(range(len(order))):
            named = [columns for columns, _ in self.groups]
            raise SettingError(f"the groups {named} do not name each column once.")
        self.order = np.argsort(order).tolist()

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        for columns, layers in self.groups:
            for layer in layers:
                if not layer.built:  # a loaded layer comes built
                    layer.build((*input_shape[:-1], len(columns)))

    def learn(self, x: NDArray, weight: NDArray[np.float64]) -> None:
        for columns, layers in self.groups:
            part = x[:, columns]
            for layer in layers:
                layer.adapt(part, weight)
                part = layer.transformed(part)

    def _apply(self, x: Any, steps: Callable[[Any, list[Transform]], Any]) -> Any:
        parts = [steps(ops.take(x, columns, axis=-1), layers) for columns, layers in self.groups]
        return ops.take(ops.concatenate(parts, axis=-1), self.order, axis=-1)

    def call(self, x: Any) -> Any:
        def forward(part: Any, layers: list[Transform]) -> Any:
            for layer in layers:
                part = layer(part)
            return part

        return self._apply(x, forward)

    def inverse(self, y: Any) -> Any:
        """Return the values that give ``y``, in the domains of the chains' own inverses."""

        def backward(part: Any, layers: list[Transform]) -> Any:
            for layer in reversed(layers):
                part = layer.inverse(part)
            return part

        return self._apply(ops.convert_to_tensor(y, "float32"), backward)

    def get_config(self) -> dict[str, Any]:
        chains = [
            (list(columns), [keras.saving.serialize_keras_object(layer) for layer in layers])
            for columns, layers in self.groups
        ]
        return {**super().get_config(), "chains": chains}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PerColumn:
        config = dict(config)
        config["chains"] = [
            (columns, [keras.saving.deserialize_keras_object(layer) for layer in layers])
            for columns, layers in config["chains"]
        ]
        return cls(**config)


def by_column(transforms: Mapping[str, Chain], labels: Sequence[str]) -> PerColumn:
    """Return the transform for a choice by column label, ``{"lepton_pT": "log,N", "*": "N"}``.

    "*" stands for all columns that are not named; without it they pass unchanged.

    Raises
    ------
    ColumnNotFoundError
        A label is no column; the nearest are listed.
    """
    labels = list(labels)
    for label in transforms:
        if label != "*" and label not in labels:
            raise ColumnNotFoundError(unknown("column", label, labels, "Needed by 'transforms'."))
    chosen = {label: names for label, names in transforms.items() if label != "*"}
    groups: list[tuple[list[int], Chain]] = [
        ([labels.index(label)], names) for label, names in chosen.items()
    ]
    rest = [i for i, label in enumerate(labels) if label not in transforms]
    if rest:
        groups.append((rest, transforms.get("*")))
    return PerColumn(groups)
