"""Training speed of every preset of the model zoo: `hepml_root.fit` against plain `keras.Model.fit`.

Both train the same network from memory, on the same random jets, with the same batches, in turns; speeds are
those of the fastest epoch after the first, in which everything is compiled.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

# An epoch should take about so many operations: seconds on one core, also for the largest networks.
_OPERATIONS = 6e10
_LEAST_BATCHES = 2


def presets(names: Sequence[str], events: int, batch_size: int, repeats: int) -> Iterator[dict[str, Any]]:
    """Give the speed of each preset, the largest networks on fewer events."""
    import hepml_root as hr
    from hepml_root.models.cost import flops, parameters

    for entry in hr.models.zoo().values():
        if not entry.network or (names and entry.name not in names):
            continue
        for preset in entry.presets.values():
            model = entry.build(dict(preset.shapes), preset.name)
            cost = flops(model)
            # A step forward and back is about three times a score.
            few = int(_OPERATIONS / (3 * cost))
            batch = max(8, min(batch_size, few // _LEAST_BATCHES))
            size = max(_LEAST_BATCHES * batch, min(events, few) // batch * batch)
            data = random_events(preset.shapes, size)
            speeds: dict[str, list[float]] = {"fit": [], "keras": []}
            for _ in range(repeats):
                for kind, found in speeds.items():
                    found.append(_speed(entry.build(data, preset.name), data, batch, kind == "keras"))
            best = {kind: max(found) for kind, found in speeds.items()}
            yield {
                "name": f"{entry.name} {preset.name}, {parameters(model)} parameters, {cost} FLOPs, "
                f"batch {batch}",
                "value": round(best["fit"]),
                "unit": "events/s",
                "reference": f"keras.Model.fit: {best['keras']:.0f}",
                "ratio": round(best["fit"] / best["keras"], 2),
            }


def random_events(shapes: Any, events: int) -> Any:
    """Return random events with blocks of some shapes, all lengths of sequences equally often."""
    import numpy as np

    import hepml_root as hr

    random = np.random.default_rng(1)
    blocks: dict[str, Any] = {}
    labels: dict[str, Any] = {}
    for name, shape in shapes.items():
        *lead, last = shape
        size = (events, *lead, last if isinstance(last, int) else len(last))
        blocks[name] = random.exponential(1.0, size).astype(np.float32)
        if not isinstance(last, int):
            labels[name] = last
        if len(lead) == 1:
            count = random.integers(1, lead[0] + 1, events)
            blocks[f"{name}_mask"] = np.arange(lead[0]) < count[:, None]
        if len(lead) == 2:
            blocks[name] *= random.random(size) < 0.1
    return hr.Dataset.from_arrays(blocks, np.arange(events) % 2, columns=labels or None)


def _speed(model: Any, data: Any, batch: int, plain: bool) -> float:
    """Return the events per second of the fastest of two epochs, after a first one."""
    import keras

    import hepml_root as hr
    from hepml_root.training.automatic import compiles_well

    class Clock(keras.callbacks.Callback):
        """Times the epochs."""

        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
            self.began = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's signature
            self.seconds.append(time.perf_counter() - self.began)

    clock = Clock()
    if plain:
        loss = "binary_crossentropy" if "autoencoder" not in model.name else hr.losses.MeanScore()
        model.compile("adam", loss)
        X = {name: data.X[name].astype("float32") for name in model.input}
        model.fit(
            X, data.target, sample_weight=data.training_weight, batch_size=batch, epochs=3, verbose=0,
            callbacks=[clock],
        )  # fmt: skip
    else:
        # As "auto" chooses for a training that is long enough.
        hr.fit(
            model, data, validation=None, epochs=3, batch_size=batch, jit=compiles_well(model),
            callbacks=[clock], verbose=False,
        )  # fmt: skip
    return len(data) / min(clock.seconds[1:])
