"""Flows of bayesflow 2 beside ours: whether their sampler exports, and what a training step and a draw cost.

Both have as many features, conditions, steps and neurons, and their default everything else; each trains on
the same normal numbers, in turns, with one thread. `pip install "bayesflow>=2.0.12,<2.1"` first: nothing of
hepml_root needs it.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

for _variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

_EVENTS = 512
_KINDS = ("affine coupling", "spline coupling", "flow matching")


def run(arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Give the costs of each kind of network; the options are in `--help`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks bayesflow", description=__doc__)
    parser.add_argument("--features", type=int, default=16, help="numbers that are drawn (16)")
    parser.add_argument("--steps", type=int, default=8, help="couplings (8)")
    parser.add_argument("--hidden", type=int, nargs="+", default=[64, 64], help="neurons of networks (64 64)")
    parser.add_argument("--solver-steps", type=int, default=8, help="of flow matching, Euler's (8)")
    parser.add_argument("--turns", type=int, default=30, help="of each; the fastest counts (30)")
    parser.add_argument("--kinds", nargs="+", choices=_KINDS, default=_KINDS, help="only these")
    chosen = parser.parse_args(arguments)
    try:
        import bayesflow  # noqa: F401
    except ImportError as error:
        raise SystemExit(f'{error}. pip install "bayesflow>=2.0.12,<2.1" for this comparison.') from error
    random = np.random.default_rng(1)
    x = random.normal(size=(_EVENTS, chosen.features)).astype(np.float32)
    condition = random.normal(size=(_EVENTS, 1)).astype(np.float32)
    for kind in chosen.kinds:
        networks = {"ours": _ours(kind, chosen), "bayesflow": _theirs(kind, chosen)}
        for name, (_, _, draw) in networks.items():
            yield {
                "name": f"{kind}, {name}: sampler exports",
                "value": _exports(draw, chosen.features),
                "unit": "",
                "reference": None,
                "ratio": None,
            }
        works = {
            f"{what} {name}": work
            for name, parts in networks.items()
            for what, work in _works(*parts, x, condition).items()
        }
        best = _turns(works, chosen.turns)
        for what in ("training step", "draw"):
            ours, theirs = best[f"{what} ours"], best[f"{what} bayesflow"]
            yield {
                "name": f"{kind}: {what} of {_EVENTS} events, bayesflow over ours",
                "value": round(1e3 * theirs, 3),
                "unit": "processor ms",
                "reference": f"ours: {1e3 * ours:.3f}",
                "ratio": round(theirs / ours, 2),
            }


Parts = tuple[Callable[[], Any], Callable[[Any, Any], Any], Callable[[Any], Any]]


def _ours(kind: str, chosen: argparse.Namespace) -> Parts:
    """Return functions for the weights, the loss of events, and draws for conditions."""
    from keras import ops

    from hepml_root.layers.flow_matching import Velocity
    from hepml_root.layers.normalizing_flow import NormalizingFlow

    if kind == "flow matching":
        velocity = Velocity(chosen.features, 1, hidden=chosen.hidden)

        def loss(x: Any, condition: Any) -> Any:
            return ops.mean(velocity.loss(x, condition))

        def draw(condition: Any) -> Any:
            return velocity.sample(condition, chosen.solver_steps, "euler")

        return lambda: velocity.trainable_weights, loss, draw
    flow = NormalizingFlow(
        chosen.features, 1, transform=kind.split()[0], steps=chosen.steps, hidden=chosen.hidden
    )
    return (
        lambda: flow.trainable_weights,
        lambda x, condition: -ops.mean(flow.log_prob(x, condition)),
        lambda condition: flow.sample(condition, condition),
    )


def _theirs(kind: str, chosen: argparse.Namespace) -> Parts:
    import bayesflow
    import keras
    from keras import ops

    if kind == "flow matching":
        made = bayesflow.networks.FlowMatching(
            subnet_kwargs={"widths": tuple(chosen.hidden)},
            integrate_kwargs={"method": "euler", "steps": chosen.solver_steps},
        )
    else:
        # One layer of theirs maps both halves of the features, which takes two of our steps.
        made = bayesflow.networks.CouplingFlow(
            depth=max(chosen.steps // 2, 1), transform=kind.split()[0],
            subnet_kwargs={"widths": tuple(chosen.hidden), "dropout": 0.0},
        )  # fmt: skip
    made.build((None, chosen.features), (None, 1))

    def loss(x: Any, condition: Any) -> Any:
        return ops.mean(made.compute_metrics(x, condition, stage="training")["loss"])

    def draw(condition: Any) -> Any:
        z = keras.random.normal((ops.shape(condition)[0], chosen.features))
        return made(z, conditions=condition, inverse=True)

    return lambda: made.trainable_weights, loss, draw


def _works(
    weights: Callable[[], Any], loss: Callable[[Any, Any], Any], draw: Callable[[Any], Any], x: Any, c: Any
) -> dict[str, Callable[[], object]]:
    """Return a training step and a draw, compiled to graphs."""
    import keras
    import tensorflow as tf

    optimizer = keras.optimizers.Adam(1e-3)

    @tf.function
    def step(events: Any, condition: Any) -> Any:
        with tf.GradientTape() as tape:
            value = loss(events, condition)
        optimizer.apply_gradients(zip(tape.gradient(value, weights()), weights(), strict=True))
        return value

    drawn = tf.function(draw)
    events, condition = tf.constant(x), tf.constant(c)
    return {
        "training step": lambda: step(events, condition).numpy(),
        "draw": lambda: drawn(condition).numpy(),
    }


def _turns(works: dict[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """Return the processor seconds of the fastest call of each, after two that do not count."""
    for work in works.values():
        work()
        work()
    best = dict.fromkeys(works, float("inf"))
    for _ in range(turns):
        for name, work in works.items():
            began = time.process_time()
            work()
            best[name] = min(best[name], time.process_time() - began)
    return best


def _exports(draw: Callable[[Any], Any], features: int) -> str:
    """Return "yes", or what our export says to a graph that draws."""
    import keras

    from hepml_root.errors import HepmlError
    from hepml_root.export.onnx import emit

    class Drawn(keras.layers.Layer):
        def call(self, condition: Any) -> Any:
            return draw(condition)

        def compute_output_spec(self, condition: Any) -> Any:
            return keras.KerasTensor((condition.shape[0], features))

    inputs = keras.Input((1,), name="condition")
    try:
        emit(keras.Model(inputs, Drawn()(inputs)))
    except (HepmlError, ValueError, TypeError) as error:
        return f"no: {type(error).__name__}: {' '.join(str(error).split())[:160]}"
    return "yes"
