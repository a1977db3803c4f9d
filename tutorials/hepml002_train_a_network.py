"""hepml002: train a network.

Shows      variable transforms inside the model, a multilayer perceptron, fit with early stopping on its own
           validation events, resuming from a checkpoint, a loss that maximises the discovery significance
Prints     the model, the course of the training, and how far each variant gets on test events
Writes     runs/tutorials/history.png and higgs.keras under the working directory
Run it     python tutorials/hepml002_train_a_network.py          (half a minute; --fast: a few epochs)
Next       hepml003_evaluate_and_report.py
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import keras

import hepml_root as hr

FAST = "--fast" in sys.argv or os.environ.get("HEPML_FAST") == "1"
LOW_LEVEL = [
    "lepton_pT",
    "lepton_eta",
    "missing_energy_magnitude",
    "jet1_pt",
    "jet1_b-tag",
    "jet2_pt",
    "jet2_b-tag",
]
HIGH_LEVEL = ["m_jj", "m_jjj", "m_lv", "m_jlv", "m_bb", "m_wbb", "m_wwbb"]


def main() -> None:
    out = Path("runs/tutorials")
    epochs = 3 if FAST else 40
    higgs = hr.data.shipped_file("Higgs_data.root")
    data = hr.Dataset.from_root(
        {
            "signal": hr.Source(f"{higgs}:sig_tree", cross_section=0.0028),
            "background": hr.Source(f"{higgs}:bkg_tree", cross_section=0.028),
        },
        inputs=LOW_LEVEL + HIGH_LEVEL,
        luminosity=36.0,
    )
    train, test = data.split(test=0.3, seed=1)

    print("--- A network with its variable transforms inside ---")
    # "G" gives every input a Gauss distribution, "D" decorrelates, "N" scales, as in TMVA. They are Keras
    # layers, set from the weighted training events, saved and exported with the model.
    model = hr.models.dense(train, hidden=(64, 64), transforms="G", dropout=0.1)
    print(f"{model.count_params():,} parameters, layers:", ", ".join(layer.name for layer in model.layers))
    history = hr.fit(model, train, epochs=epochs, patience=8, schedule="cosine", verbose=False)
    print(
        f"{history.epochs} epochs in {history.seconds:.1f} s, best was epoch {history.best_epoch + 1}, "
        f"{history.events_per_second:,.0f} events/s"
    )
    history.plot(out / "history.png", overwrite=True)
    report(model, test, "cross entropy")
    out.mkdir(parents=True, exist_ok=True)
    model.save(out / "higgs.keras")

    print("\n--- Stopped and resumed: the same result as in one go ---")
    settings = {"epochs": 4, "seed": 3, "verbose": False}
    straight = hr.fit(hr.models.dense(train, hidden=(32,)), train, **settings)
    with tempfile.TemporaryDirectory() as folder:
        settings["checkpoint"] = Path(folder) / "checkpoint"
        # What Ctrl-C does too: the epochs behind are kept.
        hr.fit(hr.models.dense(train, hidden=(32,)), train, callbacks=[StopAfter(2)], **settings)
        resumed = hr.fit(hr.models.dense(train, hidden=(32,)), train, resume=True, **settings)
    for name, history in (("in one go", straight), ("resumed", resumed)):
        print(f"validation loss {name}:", [round(value, 5) for value in history.metrics["val_loss"]])

    print("\n--- A loss that is the expected discovery significance, background known to 10 % ---")
    # Signal and background events expected in the data. The loss is a function of sums over a batch, so
    # batches are large; as in arXiv:1806.00322 it takes over a network that cross entropy has brought near.
    table = train.yields()
    loss = hr.losses.AsimovSignificance(table["signal"].sum, table["background"].sum, systematic=0.1)
    hr.fit(model, train, loss=loss, epochs=epochs, patience=8, batch_size=2048, verbose=False)
    report(model, test, "Asimov significance")


class StopAfter(keras.callbacks.Callback):
    """Ends a training after some epochs."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:  # noqa: ARG002
        self.model.stop_training = epoch + 1 >= self.epochs


def report(model: object, test: hr.Dataset, name: str) -> None:
    """Print the area under the ROC curve, and the best significance of a cut on the score."""
    result = hr.evaluate(model, test, systematic=0.1, bootstrap=50, ranking=False)
    print(f"trained with {name}: AUC on test events {result.auc}")
    best = result.significance.best_asimov
    if best is not None:
        print(f"  best cut: score > {best.threshold.value:.3f}, Z_A = {best.significance}")


if __name__ == "__main__":
    main()
