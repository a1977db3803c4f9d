"""Do deep networks find high-level variables? The comparison of Baldi, Sadowski and Whiteson, with bands.

Low-level, high-level and all inputs of the HIGGS benchmark, for a shallow network, a deep one and boosted
trees, each with several seeds, on the 20 000 events that ROOT ships and on generated ones (made once, kept).
Every network has the same budget of processor seconds for its gradient steps, in proportion to the events:
from the seconds that an epoch takes follows the number of epochs, over which the learning rate falls to zero
along a cosine; the epoch with the best validation AUC is kept. A learning curve shows what more events bring.

Two errors are given: that of the finite test sample (Poisson bootstrap), and the spread over seeds of the
initial weights and of the order of events. What is done is kept in `--folder`; a second call does what is
missing. Reference: arXiv:1402.4735.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.result_page import put_table

# One thread, before TensorFlow is imported: processor seconds are then those of the work.
for _variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

INPUTS = {"low": "21 low-level", "high": "7 high-level", "all": "all 28"}
SAMPLES = {"shipped": "shipped with ROOT", "generated": "generated here"}
FRACTIONS = (0.125, 0.25, 0.5)
TITLE = "Deep networks and high-level variables"
_PROBE_EVENTS = 4096


@dataclass(frozen=True)
class Network:
    """One column of the table. ``hidden`` is None for boosted trees.

    ``prior`` is the l1 penalty times the number of training events (see :func:`hepml_root.models.dense`).
    """

    title: str
    hidden: tuple[int, ...] | None = None
    learning_rate: float = 0.0
    prior: float = 0.0
    dropout: float = 0.0


# Widths, learning rates and penalties are the best in validation AUC, of 18 combinations, on the shipped
# events. The published deep network is five times 300, for a thousand times the events.
NETWORKS = {
    "shallow": Network("one hidden layer of 300", (300,), learning_rate=4e-3, prior=8.0),
    "deep": Network("five hidden layers of 100", (100,) * 5, learning_rate=1e-3, prior=2.4, dropout=0.1),
    "boosted": Network("LightGBM"),
}
FAST_NETWORKS = {
    "shallow": Network("one hidden layer of 16", (16,), learning_rate=4e-3),
    "deep": Network("three hidden layers of 16", (16,) * 3, learning_rate=1e-3),
    "boosted": Network("LightGBM"),
}


@dataclass(frozen=True)
class Training:
    """One training: on which sample, with which inputs and network, part of the training events, seed."""

    sample: str
    inputs: str
    network: str
    fraction: float
    seed: int

    @property
    def name(self) -> str:
        return f"{self.sample}_{self.inputs}_{self.network}_{self.fraction:g}_{self.seed}"


def run(arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Give the areas under the ROC curve one by one; the options are in `--help`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks higgs", description=__doc__)
    parser.add_argument("--samples", nargs="+", choices=[*SAMPLES], default=[*SAMPLES], help="which (both)")
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each kind (5)")
    parser.add_argument(
        "--budget", type=float, default=20.0, help="processor seconds for 10 000 training events (20)"
    )
    parser.add_argument("--epochs", type=int, default=150, help="at most so many epochs (150)")
    parser.add_argument("--events", type=int, default=50_000, help="generated events of each class (50 000)")
    parser.add_argument("--signal", type=Path, help="a file of `higgs`, in place of generating one")
    parser.add_argument("--background", type=Path, help="a file of `higgs-ttbar`, likewise")
    parser.add_argument(
        "--curve", choices=[*SAMPLES, "none"], default=None, help="sample of the learning curve"
    )
    parser.add_argument("--folder", type=Path, default=Path("runs/higgs"), help="where trainings are kept")
    parser.add_argument("--output", type=Path, help="Markdown file whose table is written anew")
    parser.add_argument("--fast", action="store_true", help="600 shipped events and small networks: seconds")
    chosen = parser.parse_args(arguments)
    if chosen.fast:
        chosen.samples, chosen.epochs, chosen.curve = ["shipped"], 8, "none"
        chosen.seeds = min(chosen.seeds, 2)
    chosen.curve = chosen.samples[-1] if chosen.curve is None else chosen.curve
    chosen.folder.mkdir(parents=True, exist_ok=True)
    networks = FAST_NETWORKS if chosen.fast else NETWORKS
    for sample in chosen.samples:
        data = _Sample(sample, chosen)
        for training in _trainings(sample, chosen):
            path = chosen.folder / f"{training.name}.json"
            if not path.exists():
                _train(training, networks[training.network], data, chosen, path)
    rows = [row for sample in chosen.samples for row in _rows(sample, chosen)]
    if chosen.output is not None:
        put_table(chosen.output, _tables(rows, networks), TITLE)
    yield from (_line(row, rows) for row in rows)


def _trainings(sample: str, chosen: argparse.Namespace) -> list[Training]:
    """Seed after seed, so that whatever is finished when it is stopped is a complete comparison."""
    found = []
    for seed in range(1, chosen.seeds + 1):
        found += [
            Training(sample, inputs, network, 1.0, seed)
            for inputs in INPUTS
            for network in ("boosted", "shallow", "deep")
        ]
        if chosen.curve == sample:
            found += [
                Training(sample, inputs, network, fraction, seed)
                for fraction in FRACTIONS
                for inputs, network in (("low", "deep"), ("low", "boosted"), ("high", "shallow"))
            ]
    return found


class _Sample:
    """Training (60 %), validation (20 %) and test events (20 %) of one sample, the same for all networks."""

    def __init__(self, name: str, chosen: argparse.Namespace) -> None:
        self.name, self.chosen = name, chosen
        self.parts: dict[str, tuple[Any, Any, Any]] = {}

    def sources(self) -> dict[str, str]:
        import hepml_root as hr

        if self.name == "shipped":
            signal = background = Path(hr.data.shipped_file("Higgs_data.root"))
        else:
            signal, background = (
                given or hr.simulation.sample(name, self.chosen.events, seed=1)
                for given, name in (
                    (self.chosen.signal, "higgs"),
                    (self.chosen.background, "higgs-ttbar"),
                )
            )
        return {"signal": f"{signal}:sig_tree", "background": f"{background}:bkg_tree"}

    def split(self, inputs: str) -> tuple[Any, Any, Any]:
        import hepml_root as hr
        from hepml_root.simulation.higgs import HIGH_LEVEL, LOW_LEVEL

        if inputs not in self.parts:
            names = {"low": LOW_LEVEL, "high": HIGH_LEVEL, "all": (*LOW_LEVEL, *HIGH_LEVEL)}[inputs]
            most = 300 if self.chosen.fast else None
            data = hr.Dataset.from_root(self.sources(), inputs=list(names), max_events=most)
            self.parts[inputs] = data.split(test=0.2, validation=0.2, seed=1)
        return self.parts[inputs]


def _train(
    training: Training, network: Network, data: _Sample, chosen: argparse.Namespace, path: Path
) -> None:
    import numpy as np

    import hepml_root as hr
    from hepml_root.evaluation.prediction import predict
    from hepml_root.evaluation.roc import roc_curve
    from hepml_root.output import writing

    learn, validation, test = data.split(training.inputs)
    if training.fraction < 1:
        few = np.random.default_rng(training.seed).permutation(len(learn))
        learn = learn[np.sort(few[: int(training.fraction * len(learn))])]
    began = time.process_time()
    if network.hidden is None:
        model = hr.models.boosted(learn, validation, trees=1000, seed=training.seed, threads=1)
        result = {"trees": model.booster.num_trees()}
    else:
        model, result = _fitted(network, learn, validation, training.seed, chosen)
    seconds = time.process_time() - began
    area = roc_curve(predict(model, test)[:, 0], test.target[:, 0] > 0.5).auc
    result |= {
        "events": len(learn),
        "test": len(test),
        "auc": area.value,
        "bootstrap": area.error,
        "seconds": seconds,
    }
    with writing(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(result, indent=1))


def _fitted(
    network: Network, learn: Any, validation: Any, seed: int, chosen: argparse.Namespace
) -> tuple[Any, dict[str, Any]]:
    import keras

    import hepml_root as hr

    class Clock(keras.callbacks.Callback):
        """Processor seconds of each epoch's gradient steps."""

        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's hook
            self.began = time.process_time()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras's hook
            self.seconds.append(time.process_time() - self.began)

    def made(data: Any) -> Any:
        # Momenta and masses have long tails upwards; angles and tags have none.
        tails = [
            column.label
            for column in data.schema.blocks[0].columns
            if not column.label.endswith(("_eta", "_phi", "_b-tag"))
        ]
        transforms = dict.fromkeys(tails, "log,N") | {"*": "N"}
        return hr.models.dense(
            data,
            network.hidden,
            transforms=transforms,
            dropout=network.dropout,
            l1=min(network.prior / len(learn), 1e-3),
            seed=seed,
        )

    assert network.hidden is not None
    keras.utils.clear_session()
    settings: dict[str, Any] = {"learning_rate": network.learning_rate, "verbose": False}
    settings["batch_size"] = 32 if chosen.fast else 128
    epochs = chosen.epochs
    if not chosen.fast:
        few = learn[: min(_PROBE_EVENTS, len(learn))]
        clock = Clock()
        hr.fit(made(few), few, validation=None, epochs=3, callbacks=[clock], seed=seed, **settings)
        # The first epoch compiles.
        of_ten_thousand = min(clock.seconds[1:]) / len(few) * 10_000
        epochs = max(1, min(epochs, round(chosen.budget / of_ten_thousand)))
    model = made(learn)
    history = hr.fit(
        model, learn, validation=validation, epochs=epochs, patience=None, schedule="cosine",
        monitor="val_auc", seed=seed, **settings,
    )  # fmt: skip
    return model, {
        "epochs": history.epochs,
        "best_epoch": history.best_epoch,
        "parameters": model.count_params(),
    }


@dataclass(frozen=True)
class Row:
    """The trainings of one kind: mean over seeds, the two errors."""

    sample: str
    inputs: str
    network: str
    fraction: float
    events: int
    test: int
    seeds: int
    auc: float
    bootstrap: float
    spread: float
    epochs: str

    @property
    def text(self) -> str:
        text = f"{self.auc:.4f} ± {self.bootstrap:.4f}"
        return text if self.seeds == 1 else f"{text} ± {self.spread:.4f}"


def _rows(sample: str, chosen: argparse.Namespace) -> Iterator[Row]:
    import numpy as np

    kinds: dict[tuple[str, str, float], list[dict[str, Any]]] = {}
    for training in _trainings(sample, chosen):
        path = chosen.folder / f"{training.name}.json"
        key = (training.inputs, training.network, training.fraction)
        kinds.setdefault(key, []).append(json.loads(path.read_text()))
    for (inputs, network, fraction), results in kinds.items():
        areas = [result["auc"] for result in results]
        steps = [result.get("epochs", result.get("trees")) for result in results]
        yield Row(
            sample=sample,
            inputs=inputs,
            network=network,
            fraction=fraction,
            events=results[0]["events"],
            test=results[0]["test"],
            seeds=len(results),
            auc=float(np.mean(areas)),
            bootstrap=float(np.mean([result["bootstrap"] for result in results])),
            spread=float(np.std(areas, ddof=1)) if len(areas) > 1 else float("nan"),
            epochs=f"{np.mean(steps):.0f} {'trees' if network == 'boosted' else 'epochs'}",
        )


def _line(row: Row, rows: Sequence[Row]) -> dict[str, Any]:
    reference = next(
        one
        for one in rows
        if (one.sample, one.inputs, one.network, one.fraction) == (row.sample, "high", "shallow", 1.0)
    )
    part = "" if row.fraction == 1 else f", {row.fraction:g} of the events"
    return {
        "name": f"HIGGS {row.sample}, {INPUTS[row.inputs]} inputs, {row.network}{part}",
        "value": round(row.auc, 5),
        "unit": "AUC",
        "reference": f"high-level, shallow: {reference.auc:.4f}; bootstrap {row.bootstrap:.4f}"
        + (f", spread over {row.seeds} seeds {row.spread:.4f}" if row.seeds > 1 else ", one seed"),
        "ratio": round(row.auc / reference.auc, 4),
    }


def _tables(rows: Sequence[Row], networks: dict[str, Network]) -> str:
    """The table of each sample, and the learning curve."""
    lines = []
    for sample in dict.fromkeys(row.sample for row in rows):
        found = {(row.inputs, row.network): row for row in rows if row.sample == sample and row.fraction == 1}
        one = next(iter(found.values()))
        lines += [
            f"Events **{SAMPLES[sample]}**: {one.events} for training, {one.test} for the test. "
            "AUC ± bootstrap of the test events"
            + ("; one seed" if one.seeds == 1 else f" ± spread over {one.seeds} seeds"),
            "",
            "| inputs | " + " | ".join(f"{name}: {net.title}" for name, net in networks.items()) + " |",
            "|---|" + "---|" * len(networks),
        ]
        for inputs, title in INPUTS.items():
            cells = [f"{found[inputs, name].text} ({found[inputs, name].epochs})" for name in networks]
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
        lines.append("")
        parts = [row for row in rows if row.sample == sample and row.fraction < 1]
        if parts:
            kinds = dict.fromkeys((row.inputs, row.network) for row in parts)
            lines += [
                f"Learning curve, **{SAMPLES[sample]}**:",
                "",
                "| training events | " + " | ".join(f"{INPUTS[i]}, {n}" for i, n in kinds) + " |",
                "|---:|" + "---|" * len(kinds),
            ]
            for fraction in (*FRACTIONS, 1.0):
                of_size = {
                    (row.inputs, row.network): row
                    for row in rows
                    if row.sample == sample and row.fraction == fraction
                }
                cells = [of_size[kind].text for kind in kinds]
                lines.append(f"| {of_size[next(iter(kinds))].events} | " + " | ".join(cells) + " |")
            lines.append("")
    return "\n".join(lines)
