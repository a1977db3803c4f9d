"""How the weights of a small network are found: back-propagation, quasi-Newton steps, a genetic algorithm."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from hepml_root.tmva.methods.feed_forward import Array, Events, FeedForward

# The rate of a step is that of an event times its events: beyond this the steps overshoot.
_STEADY, _MOST_EVENTS = 0.64, 32
# TMVA lets the learning rate fall faster in the last twentieth of the cycles.
_LATE = 0.95
_POPULATION, _PARENTS, _CHILDREN_LIKE_PARENTS = 48, 12, 0.2
_GENETIC_EVENTS = 4000
_UPDATE_AFTER = 25  # iterations between two settings of the regulators
_CHUNK = 2_000_000  # numbers of a block of sensitivities
REGULATED_WEIGHTS = 3000


@dataclass
class Watch:
    """The estimator in training and test, taken every few cycles; says when training is to end.

    Arguments
    ---------
    training, test
        The events.
    every
        Cycles between two looks.
    patience, improvement
        Looks in a row without the training estimator falling by more than ``improvement`` after which it
        ends; below 0 never.
    part
        Part of the weights whose events count, those nearest to what is wanted first.
    """

    training: Events
    test: Events
    every: int
    patience: int = -1
    improvement: float = 1e-30
    part: float = 1.0
    epochs: list[int] = field(default_factory=list)
    estimators: list[tuple[float, float]] = field(default_factory=list)
    _best: float = np.inf
    _without: int = 0

    def look(self, network: FeedForward, cycle: int, last: bool = False) -> bool:
        """Take the estimators where it is time; return whether training has converged."""
        if (cycle % self.every and not last) or (self.epochs and self.epochs[-1] == cycle):
            return False
        here = estimator_of(network, self.training, self.part)
        there = estimator_of(network, self.test, self.part) if len(self.test) else np.nan
        self.epochs.append(cycle)
        self.estimators.append((here, there))
        if self.patience < 0 or self.improvement < 0:
            return False
        better = here < self._best - self.improvement
        self._best = here if better else self._best
        self._without = 0 if better else self._without + 1
        return self._without >= max(self.patience, 1)

    def table(self) -> dict[str, NDArray[np.generic]]:
        values = np.array(self.estimators, float).reshape(-1, 2)
        return {"epoch": np.array(self.epochs, np.int32), "train": values[:, 0], "test": values[:, 1]}


def estimator_of(network: FeedForward, events: Events, part: float = 1.0) -> float:
    """Return the weighted mean of what the events add, NaN where weights have no sum.

    >>> network = FeedForward([1, 1], "tanh", "sum", "MSE")  # all weights zero
    >>> events = Events(np.zeros((2, 1)), np.array([[1.0], [3.0]]), np.array([1.0, 3.0]))
    >>> estimator_of(network, events), estimator_of(network, events, part=0.25)
    (7.0, 1.0)
    """
    deviations, weights = network.deviations(events), events.weights
    if part < 1.0:
        order = np.argsort(deviations)
        deviations, weights = deviations[order], weights[order]
        kept = np.cumsum(weights) <= part * weights.sum() + 1e-12
        deviations, weights = deviations[kept], weights[kept]
    total = weights.sum()
    return float(weights @ deviations / total) if total else float("nan")


@dataclass(frozen=True)
class BackPropagation:
    """Steps down the gradient of a few events each: w ← w − ½ η Σ weight × ∂deviation/∂w.

    Arguments
    ---------
    cycles, rate, decay
        η falls by the part ``decay`` in every cycle, by its square root in the last twentieth of them.
    batch
        Events of a step; None: as many up to 32 as the rate allows.
    sampling, sampled_cycles
        Part of the events that a cycle takes, and part of the cycles that do so.
    """

    cycles: int
    rate: float = 0.02
    decay: float = 0.01
    batch: int | None = None
    sampling: float = 1.0
    sampled_cycles: float = 1.0

    def train(self, network: FeedForward, events: Events, watch: Watch, rng: np.random.Generator) -> None:
        """Change the weights of ``network``."""
        few = int(np.clip(round(_STEADY / max(self.rate, 1e-12)), 1, _MOST_EVENTS))
        batch = few if self.batch is None else self.batch
        # A step of many events goes as far as one of few: the mean of them counts.
        scale = 0.5 * self.rate * min(1.0, few / batch)
        gradient = np.empty_like(network.vector)
        for cycle in range(1, self.cycles + 1):
            order = rng.permutation(len(events))
            if self.sampling < 1.0 and cycle <= self.sampled_cycles * self.cycles:
                order = order[: max(1, round(self.sampling * len(events)))]
            for begin in range(0, len(order), batch):
                network.gradient(events.take(order[begin : begin + batch]), gradient)
                gradient *= scale
                network.vector -= gradient
            scale *= 1.0 - (np.sqrt(self.decay) if cycle > _LATE * self.cycles else self.decay)
            if watch.look(network, cycle, cycle == self.cycles):
                return


@dataclass(frozen=True)
class QuasiNewton:
    """L-BFGS on all events at once, with regulators where they are asked for.

    Regulators are those of D. MacKay: ½ Σ_c α_c Σ w² is added to −ln L, with an own α_c for the weights of
    each variable and of each layer behind, and set to γ_c / Σ w², where γ_c = n_c − α_c Tr_c H⁻¹ is how many
    weights of the group the events determine (H: outer products of the sensitivities).

    Arguments
    ---------
    cycles
        Iterations.
    regulated, updates
        Whether weights are regulated, and how often the regulators are set at most.

    Reference: D. J. C. MacKay, Neural Computation 4 (1992) 448.
    """

    cycles: int
    regulated: bool = False
    updates: int = 10000

    def train(self, network: FeedForward, events: Events, watch: Watch, rng: np.random.Generator) -> None:  # noqa: ARG002
        """Change the weights of ``network``."""
        weights = events.weights
        effective = weights.sum() ** 2 / (weights @ weights)
        scaled = Events(events.inputs, events.wanted, weights * (effective / weights.sum()))
        groups = _groups(network) if self.regulated else np.zeros(len(network.vector), int)
        alphas = np.full(groups.max() + 1, 0.1 if self.regulated else 0.0)
        precision, done, updates = 1.0, 0, 0
        while done < self.cycles:
            steps = min(_UPDATE_AFTER, self.cycles - done) if self.regulated else self.cycles
            taken, ended = _lbfgs(network, scaled, alphas[groups], precision, steps, watch, done, self.cycles)
            done += taken
            if ended or not self.regulated or not taken:
                break
            if updates < self.updates and done < self.cycles:
                alphas, precision = _regulators(network, scaled, groups, alphas, precision)
                updates += 1
        watch.look(network, done, last=True)


class _Converged(Exception):
    """Ends scipy's minimisation from within its callback."""


def _lbfgs(
    network: FeedForward,
    events: Events,
    alphas: Array,
    precision: float,
    steps: int,
    watch: Watch,
    before: int,
    last: int,
) -> tuple[int, bool]:
    """Return how many iterations were made, and whether the estimator has converged."""
    norm = events.weights.sum()

    def objective(vector: Array) -> tuple[float, Array]:
        network.vector[:] = vector
        value = 0.5 * precision * (events.weights @ network.deviations(events))
        gradient = 0.5 * precision * network.gradient(events)
        return (
            (value + 0.5 * alphas @ vector**2) / norm,
            (gradient + alphas * vector) / norm,
        )

    reached = [network.vector.copy()]

    def after(vector: Array) -> None:
        reached.append(vector.copy())
        kept, network.vector[:] = network.vector.copy(), vector
        ended = watch.look(network, before + len(reached) - 1, before + len(reached) - 1 == last)
        network.vector[:] = kept
        if ended:
            raise _Converged

    settings = {"maxiter": steps, "maxfun": 20 * steps + 20, "ftol": 0.0, "gtol": 1e-10}
    ended = False
    try:
        minimize(objective, reached[0].copy(), jac=True, method="L-BFGS-B", callback=after, options=settings)
    except _Converged:
        ended = True
    network.vector[:] = reached[-1]
    return len(reached) - 1, ended


def _groups(network: FeedForward) -> NDArray[np.int64]:
    """Return the regulator that each weight belongs to: one for each input and the bias, one a layer."""
    first = network.sizes[1]
    parts = [np.repeat(np.arange(network.sizes[0] + 1), first)]
    for number, table in enumerate(network.tables[1:]):
        parts.append(np.full(table.size, network.sizes[0] + 1 + number))
    return np.concatenate(parts)


def _regulators(
    network: FeedForward, events: Events, groups: NDArray[np.int64], alphas: Array, precision: float
) -> tuple[Array, float]:
    """Return regulators, and the precision of the targets of a regression, that the events ask for."""
    size = len(network.vector)
    hessian = np.zeros((size, size))
    step = max(1, _CHUNK // (size * network.sizes[-1]))
    for begin in range(0, len(events), step):
        part = events.take(slice(begin, begin + step))
        slopes = network.sensitivities(part.inputs)
        if network.estimator == "MSE":
            for slope in slopes:
                hessian += precision * (slope.T * part.weights) @ slope
            continue
        response = network.response(part.inputs)
        if network.estimator == "CE":
            hessian += (slopes[0].T * (part.weights * (response * (1.0 - response))[:, 0])) @ slopes[0]
            continue
        mean = np.einsum("oew,eo->ew", slopes, response)
        for number, slope in enumerate(slopes):
            hessian += (slope.T * (part.weights * response[:, number])) @ slope
        hessian -= (mean.T * part.weights) @ mean
    inverse = np.diag(np.linalg.pinv(hessian + np.diag(alphas[groups]), hermitian=True))
    members = np.bincount(groups)
    squares = np.bincount(groups, network.vector**2)
    determined = np.clip(members - alphas * np.bincount(groups, inverse), 1e-3, members)
    found = np.clip(determined / np.maximum(squares, 1e-12), 1e-6, 1e6)
    if network.estimator == "MSE":
        spread = events.weights @ network.deviations(events)
        count = events.weights.sum() * network.sizes[-1] - determined.sum()
        precision = float(np.clip(max(count, 1.0) / max(spread, 1e-12), 1e-6, 1e9))
    return found, precision


@dataclass(frozen=True)
class Genetic:
    """A population of networks: children of the best mix their weights and change a little.

    Arguments
    ---------
    cycles
        Generations.
    """

    cycles: int

    def train(self, network: FeedForward, events: Events, watch: Watch, rng: np.random.Generator) -> None:
        """Change the weights of ``network``."""
        if len(events) > _GENETIC_EVENTS:  # estimators are compared on the same events
            events = events.take(rng.permutation(len(events))[:_GENETIC_EVENTS])
        best = network.vector.copy()
        people = best + rng.normal(size=(_POPULATION, best.size)) * 0.5
        people[0] = best
        worth = np.array([self._worth(network, events, one) for one in people])
        width = 0.3
        for cycle in range(1, self.cycles + 1):
            order = np.argsort(worth)
            people, worth = people[order], worth[order]
            pairs = rng.integers(0, _PARENTS, (_POPULATION, 2))
            mixed = rng.random(people.shape)
            children = mixed * people[pairs[:, 0]] + (1.0 - mixed) * people[pairs[:, 1]]
            changed = rng.random(people.shape) < max(0.1, 2.0 / best.size)
            children += changed * width * rng.normal(size=people.shape)
            found = np.array([self._worth(network, events, one) for one in children])
            success = np.mean(found < worth[:_PARENTS].mean())
            width = float(np.clip(width * (1.05 if success > _CHILDREN_LIKE_PARENTS else 0.97), 1e-3, 2.0))
            everyone, all_worth = np.concatenate([people, children]), np.concatenate([worth, found])
            chosen = np.argsort(all_worth)[:_POPULATION]
            people, worth = everyone[chosen], all_worth[chosen]
            network.vector[:] = people[0]
            if watch.look(network, cycle, cycle == self.cycles):
                return

    @staticmethod
    def _worth(network: FeedForward, events: Events, vector: Array) -> float:
        network.vector[:] = vector
        return estimator_of(network, events)
