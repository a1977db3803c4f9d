"""Cost of training with a significance loss, relative to binary cross entropy at the same batch size.

The same network is trained by `hepml_root.fit` on the same events for the same epochs, with one loss after
the other, in turns. The figure is processor time an event, of the fastest epoch; the first, which compiles,
does not count. Random numbers are trained on: the cost does not depend on what they mean.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Threads that wait for work count as processor time.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

_YIELDS = {"signal": 31.2, "background": 20762.0}
_REFERENCE = "binary_crossentropy"


def run(arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Give the cost of each loss at each batch size; the options are in `--help`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks losses", description=__doc__)
    parser.add_argument("--events", type=int, default=65_536, help="in an epoch (65536)")
    parser.add_argument("--epochs", type=int, default=10, help="of each training (10)")
    parser.add_argument("--repeats", type=int, default=3, help="trainings with each loss, in turns (3)")
    parser.add_argument(
        "--batch-size", type=int, nargs="+", default=[1024, 4096, 16384], help="(1024 4096 16384)"
    )
    parser.add_argument(
        "--hidden", type=int, nargs="+", default=[64, 64], help="neurons of the layers (64 64)"
    )
    parser.add_argument("--features", type=int, default=28, help="inputs of the network (28)")
    parser.add_argument("--jit", choices=("auto", "true", "false"), default="auto", help="compile with XLA")
    parser.add_argument("--losses", nargs="+", metavar="NAME", help="only these")
    chosen = parser.parse_args(arguments)
    wanted = {name: loss for name, loss in _losses().items() if not chosen.losses or name in chosen.losses}
    random = np.random.default_rng(1)
    X = random.normal(size=(chosen.events, chosen.features)).astype(np.float32)
    label = (X[:, 0] + random.normal(size=chosen.events) > 0).astype(int)
    size = "-".join(map(str, [chosen.features, *chosen.hidden, 1]))
    for batch in chosen.batch_size:
        costs: dict[str, list[float]] = {}
        for _ in range(chosen.repeats):
            for name, loss in {_REFERENCE: _REFERENCE, **wanted}.items():
                costs.setdefault(name, []).append(_cost(X, label, loss, batch, chosen))
        reference = min(costs.pop(_REFERENCE))
        for name, values in costs.items():
            yield {
                "name": f"{name}, {size}, batch {batch}",
                "value": round(1e6 * min(values), 3),
                "unit": "processor µs an event",
                "reference": f"{_REFERENCE}: {1e6 * reference:.3f}",
                "ratio": round(min(values) / reference, 2),
            }


def _losses() -> dict[str, Any]:
    from hepml_root import losses

    return {
        "significance": losses.Significance(**_YIELDS),
        "significance, (s+b)/s²": losses.Significance(**_YIELDS, form="inverse_square"),
        "systematicsignificance": losses.SystematicSignificance(**_YIELDS, systematic=0.3),
        "asimov": losses.AsimovSignificance(**_YIELDS, systematic=0.3),
        "asimov, 1/Z": losses.AsimovSignificance(**_YIELDS, systematic=0.3, form="inverse"),
        "discovery": losses.DiscoverySignificance(**_YIELDS, systematic=0.1, control=1.0),
        "exclusion": losses.ExclusionSignificance(**_YIELDS, systematic=0.3),
        "asimov, 10 bins": losses.AsimovSignificance(**_YIELDS, systematic=0.3, bins=10),
        "binnedasimov": losses.BinnedAsimovSignificance(**_YIELDS, systematic=0.3),
        "inferno, 10 bins": losses.Inferno(**_YIELDS, bins=10, systematic=0.3),
    }


def _cost(X: Any, label: Any, loss: Any, batch: int, chosen: argparse.Namespace) -> float:
    """Return the processor time for an event in the fastest epoch, in seconds."""
    import keras

    import hepml_root as hr

    class Clock(keras.callbacks.Callback):
        """Times the epochs, in processor time."""

        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
            self.began = time.process_time()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
            self.seconds.append(time.process_time() - self.began)

    clock = Clock()
    data = hr.Dataset.from_arrays(X, label)
    jit = {"auto": "auto", "true": True, "false": False}[chosen.jit]
    hr.fit(
        hr.models.dense(data, hidden=chosen.hidden), data, loss=loss, validation=None, epochs=chosen.epochs,
        batch_size=batch, jit=jit, callbacks=[clock], verbose=False,
    )  # fmt: skip
    return min(clock.seconds[1:]) / len(data)
