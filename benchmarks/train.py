"""Speed of `hepml_root.fit` against plain `keras.Model.fit`, side by side on the HIGGS events inside ROOT's
wheel.

Both train the same network, 28-64-64-1, from the same weights on the same events for the same epochs, in
turns. Speeds are those of the fastest epoch, without the compilation in the first; the AUC on test events is
the mean over the repeats. With `--all` it is every preset of the model zoo (benchmarks/train_zoo.py).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def run(arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Give speeds and AUCs one by one; the options are in `--help`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks train", description=__doc__)
    parser.add_argument("--epochs", type=int, default=20, help="of each training (20)")
    parser.add_argument("--repeats", type=int, help="trainings of each kind, in turns (3; with --all 1)")
    parser.add_argument("--batch-size", type=int, default=128, help="events of a step (128)")
    parser.add_argument(
        "--hidden", type=int, nargs="+", default=[64, 64], help="neurons of the layers (64 64)"
    )
    parser.add_argument("--scan", action="store_true", help="also other batch sizes, with and without XLA")
    parser.add_argument(
        "--all", action="store_true", help="every preset of the model zoo instead, on random jets"
    )
    parser.add_argument("--models", nargs="+", default=[], metavar="NAME", help="with --all: only these")
    parser.add_argument("--events", type=int, default=4000, help="with --all: events at most (4000)")
    chosen = parser.parse_args(arguments)
    if chosen.all or chosen.models:
        from benchmarks.train_zoo import presets

        yield from presets(chosen.models, chosen.events, chosen.batch_size, chosen.repeats or 1)
        return
    chosen.repeats = chosen.repeats or 3

    train, test = _events().split(test=0.3, seed=1)
    kinds = {"keras": {}, "fit": {"jit": True}, "fit without XLA": {"jit": False}}
    speeds: dict[str, list[float]] = {kind: [] for kind in kinds}
    areas: dict[str, list[float]] = {kind: [] for kind in kinds}
    walls: dict[str, list[float]] = {kind: [] for kind in kinds}
    for repeat in range(chosen.repeats):
        for kind, settings in kinds.items():
            began = time.perf_counter()
            speed, area = _train(kind == "keras", train, test, chosen, repeat, chosen.batch_size, settings)
            walls[kind].append(time.perf_counter() - began)
            speeds[kind].append(speed)
            areas[kind].append(area)
    size = "-".join(map(str, [28, *chosen.hidden, 1]))
    best = {kind: max(values) for kind, values in speeds.items()}
    area = {kind: sum(values) / len(values) for kind, values in areas.items()}
    for kind in ("fit", "fit without XLA"):
        yield {
            "name": f"{kind}, {size}, batch {chosen.batch_size}",
            "value": round(best[kind]),
            "unit": "events/s",
            "reference": f"keras.Model.fit: {best['keras']:.0f}",
            "ratio": round(best[kind] / best["keras"], 2),
        }
    yield {
        "name": f"AUC after {chosen.epochs} epochs",
        "value": round(area["fit"], 4),
        "unit": "",
        "reference": f"keras.Model.fit: {area['keras']:.4f}",
        "ratio": round(area["fit"] / area["keras"], 4),
    }
    yield {
        "name": f"{chosen.epochs} epochs of {len(train)} events with compilation",
        "value": round(min(walls["fit"]), 2),
        "unit": "s",
        "reference": f"keras.Model.fit: {min(walls['keras']):.2f}",
        "ratio": round(min(walls["keras"]) / min(walls["fit"]), 2),
    }
    if chosen.scan:
        for batch in (32, 128, 512, 1024, 4096):
            for jit in (True, False):
                speed, area_here = _train(False, train, test, chosen, 0, batch, {"jit": jit})
                yield {
                    "name": f"fit, {size}, batch {batch}, {'with' if jit else 'without'} XLA",
                    "value": round(speed),
                    "unit": "events/s",
                    "reference": f"AUC {area_here:.4f}",
                    "ratio": round(speed / best["keras"], 2),
                }


def _events() -> Any:
    import hepml_root as hr

    file = hr.data.shipped_file("Higgs_data.root")
    columns = [name for name in _branches(file) if name != "Type"]
    return hr.Dataset.from_root(
        {"signal": f"{file}:sig_tree", "background": f"{file}:bkg_tree"}, inputs=columns
    )


def _branches(file: Any) -> list[str]:
    import uproot

    with uproot.open(file) as opened:
        return opened["sig_tree"].keys()


def _train(
    plain: bool,
    train: Any,
    test: Any,
    chosen: argparse.Namespace,
    repeat: int,
    batch: int,
    settings: dict[str, Any],
) -> tuple[float, float]:
    """Return events per second in the fastest epoch, and the AUC on the test events."""
    import keras

    import hepml_root as hr
    from hepml_root.training.validation import weighted_auc

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
    model = hr.models.dense(train, hidden=chosen.hidden, seed=repeat + 1)
    if plain:
        keras.utils.set_random_seed(repeat + 1)
        model.compile("adam", "binary_crossentropy")
        model.fit(
            train.X, train.target, sample_weight=train.training_weight, batch_size=batch,
            epochs=chosen.epochs, verbose=0, callbacks=[clock],
        )  # fmt: skip
    else:
        hr.fit(
            model, train, validation=None, epochs=chosen.epochs, batch_size=batch, seed=repeat + 1,
            callbacks=[clock], verbose=False, **settings,
        )  # fmt: skip
    score = model.predict(test.X, batch_size=4096, verbose=0)[:, 0]
    return len(train) / min(clock.seconds[1:]), weighted_auc(test.target[:, 0] > 0.5, score, test.weight)
