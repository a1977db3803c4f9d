"""A training that reads its events from files as it goes."""

from __future__ import annotations

import numpy as np

import hepml_root as hr
from hepml_root.training.validation import weighted_auc

INPUTS = ["m_jj", "m_jjj", "m_lv", "m_jlv", "m_bb", "m_wbb", "m_wwbb"]


def test_a_lazy_dataset_trains_as_one_in_memory():
    file = hr.data.shipped_file("Higgs_data.root")
    sources = {"signal": f"{file}:sig_tree", "background": f"{file}:bkg_tree"}
    settings = {"inputs": INPUTS, "max_events": 4000}
    lazy = hr.Dataset.from_root(sources, lazy=True, **settings)
    train, test = lazy.split(test=0.3, seed=1)
    model = hr.models.dense(train, hidden=(32,), transforms="G")
    history = hr.fit(model, train, epochs=10, learning_rate=5e-3, batch_size=128, jit=False)
    assert history.settings["events"] == len(train) - history.settings["validation_events"]
    held = test.load()
    score = model.predict(held.X, verbose=0)[:, 0]
    auc = weighted_auc(held.target[:, 0] > 0.5, score, held.weight)

    whole = hr.Dataset.from_root(sources, **settings)
    part, _ = whole.split(test=0.3, seed=1)
    reference = hr.models.dense(part, hidden=(32,), transforms="G")
    hr.fit(reference, part, epochs=10, learning_rate=5e-3, batch_size=128, jit=False)
    expected = weighted_auc(held.target[:, 0] > 0.5, reference.predict(held.X, verbose=0)[:, 0], held.weight)
    # The order of events differs, so the networks do; 0.02 is twice the error from 2400 test events.
    assert expected > 0.65
    assert abs(auc - expected) < 0.02
    assert np.isfinite(history.metrics["val_loss"]).all()


def test_boosted_trees_of_a_lazy_dataset_load_it():
    file = hr.data.shipped_file("Higgs_data.root")
    sources = {"signal": f"{file}:sig_tree", "background": f"{file}:bkg_tree"}
    lazy = hr.Dataset.from_root(sources, inputs=INPUTS, max_events=1000, lazy=True)
    assert hr.models.boosted(lazy, trees=10).predict(lazy.load()).shape == (2000, 1)
