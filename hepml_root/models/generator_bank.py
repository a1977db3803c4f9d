"""Several generators as one, each for a slice of a condition."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from hepml_root.data.geometry import require_same_scale, same_cells
from hepml_root.errors import SettingError, ShapeError, UnsupportedOperationError, unknown
from hepml_root.models.generator import Generator


@keras.saving.register_keras_serializable(package="hepml_root")
class GeneratorBank(Generator):
    """Generators that share the range of a condition; made by :func:`generator_bank`."""

    kind = "bank"

    def __init__(
        self, source: Mapping[str, Any], *, label: str, edges: Sequence[float], members: Any, **kwargs: Any
    ) -> None:
        super().__init__(source, **kwargs)
        self.label, self.edges = label, tuple(float(edge) for edge in edges)
        self.members = [
            one if isinstance(one, Generator) else keras.saving.deserialize_keras_object(one)
            for one in members
        ]
        self.complete()

    def generate(self, conditions: Any) -> Any:
        place = self.labels.index(self.label)
        value = conditions[:, place : place + 1]
        total: Any = None
        for number, member in enumerate(self.members):
            cells = member.generate(conditions)
            # Each slice has its lower edge; the outermost ones have all that is beyond.
            inside = ops.ones_like(value)
            if number:
                inside = inside * ops.cast(value >= self.edges[number], "float32")
            if number + 1 < len(self.members):
                inside = inside * ops.cast(value < self.edges[number + 1], "float32")
            cells = ops.where(inside > 0.5, cells, ops.zeros_like(cells))
            total = cells if total is None else total + cells
        return total

    @property
    def rounding(self) -> float:
        """The largest of its members."""
        return max(member.rounding for member in self.members)

    def learner(self) -> keras.Model:
        """Refuse: its generators are trained one by one.

        Raises
        ------
        UnsupportedOperationError
            Always.
        """
        raise UnsupportedOperationError(
            "a bank is made of generators that are trained already: train each on its slice, then make the "
            "bank of them."
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "label": self.label, "edges": self.edges,
            "members": [keras.saving.serialize_keras_object(member) for member in self.members],
        }  # fmt: skip


def generator_bank(
    generators: Sequence[Generator],
    edges: Sequence[float] | None = None,
    *,
    label: str = "eta",
    name: str = "generator_bank",
) -> GeneratorBank:
    r"""Return generators, each trained on a slice of a condition, as one generator and one exported graph.

    .. math:: G(z; c) = G_k(z; c), \qquad e_k \le c_{label} < e_{k+1}

    A calorimeter changes with the pseudorapidity, so a network for each slice of it is small and quickly
    trained, and can be trained anew alone. Every graph computes all slices and chooses, as many events are
    computed side by side: a bank of n costs n times as much as one of its generators.

    Arguments
    ---------
    generators
        In ascending order of the condition; with the same cells and the same conditions, trained.
    edges
        Of the slices, one more than generators; None: in the middle between the ranges that they were
        trained in.
    label
        The condition.
    name
        Of the bank.

    Raises
    ------
    SettingError
        There is none, the conditions differ, ``label`` is none of them, the edges do not ascend, or a
        generator has not seen its slice.
    ShapeError
        The generators have different calorimeters.

    Reference: arXiv:2109.02551.

    Example
    -------
    >>> import numpy as np, hepml_root as hr
    >>> def trained(low, high):
    ...     random = np.random.default_rng(1)
    ...     conditions = np.stack([random.uniform(10, 100, 50), random.uniform(low, high, 50)], axis=1)
    ...     cells = random.exponential(0.1, (50, 504))
    ...     showers = hr.data.Showers(cells, conditions, "lar-3", ("energy", "eta"))
    ...     return hr.models.shower_gan(showers, hidden=(8,), channels=2, critic_hidden=(8,))
    >>> bank = generator_bank([trained(0.0, 0.1), trained(0.1, 0.2)], [0.0, 0.1, 0.2])
    >>> bank.sample({"energy": 50.0, "eta": [0.05, 0.15]}).energies.shape
    (2, 504)
    """
    generators = list(generators)
    if not generators:
        raise SettingError("a bank needs at least one generator.")
    first = generators[0]
    for one in generators:
        if not same_cells(one.geometry, first.geometry):
            raise ShapeError(f"'{one.name}' makes showers of {one.geometry}, and others of {first.geometry}.")
        require_same_scale(one.geometry, first.geometry)
        if one.labels != first.labels:
            raise SettingError(f"'{one.name}' has the conditions {one.labels}, and others {first.labels}.")
    if label not in first.labels:
        raise SettingError(unknown("condition", label, first.labels))
    own = [one.ranges[label] for one in generators]
    if edges is None:
        between = [0.5 * (low[1] + high[0]) for low, high in itertools.pairwise(own)]
        edges = [own[0][0], *between, own[-1][1]]
    edges = [float(edge) for edge in edges]
    if len(edges) != len(generators) + 1 or sorted(set(edges)) != edges:
        raise SettingError(
            f"edges={edges}: {len(generators) + 1} numbers in ascending order are needed for "
            f"{len(generators)} generators."
        )
    for one, (low, high), begin, end in zip(generators, own, edges[:-1], edges[1:], strict=True):
        # A finite sample does not reach the edges.
        margin = 0.1 * (end - begin)
        if low > begin + margin or high < end - margin:
            raise SettingError(
                f"'{one.name}' was trained with {label} from {low:g} to {high:g}, which does not cover its "
                f"slice from {begin:g} to {end:g}."
            )
    ranges = {}
    for place in first.labels:
        bounds = [one.ranges[place] for one in generators]
        ranges[place] = [max(low for low, _ in bounds), min(high for _, high in bounds)]
    ranges[label] = [edges[0], edges[-1]]
    for place, (low, high) in ranges.items():
        if low > high:
            raise SettingError(f"no value of {place} is in the ranges of all generators.")
    source = {**first.source, "ranges": ranges, "provenance": {"members": [one.name for one in generators]}}
    return GeneratorBank(source, label=label, edges=edges, members=generators, name=name)
