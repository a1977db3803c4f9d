"""The training section of a job file: losses, pretraining, monitor and accumulation, up to `fit`."""

from __future__ import annotations

import pytest

from hepml_root.cli.commands import main
from hepml_root.cli.job import Loss, Monitor, Pretrain
from hepml_root.cli.job_file import dump, parse
from hepml_root.cli.job_run import dataset_of, model_of
from hepml_root.cli.job_schema import schema_example
from hepml_root.cli.job_training import fit_settings
from hepml_root.errors import JobFileError
from hepml_root.training import Pretraining, ValidationSignificance

HEAD = """\
name: search
data:
  classes:
    signal: {files: "shipped:Higgs_data.root:sig_tree", weight: "0.02"}
    background: {files: "shipped:Higgs_data.root:bkg_tree", weight: "3.0"}
  inputs: [m_bb, m_wbb, m_wwbb]
  max_events: 1000
model: {hidden: [8]}
"""
SEARCH = (
    HEAD
    + """\
training:
  loss: {name: asimov, systematic: 0.3, settings: {form: inverse}}
  pretrain:
    {loss: significance, epochs: 2, learning_rate: 1e-2, optimizer_state: keep, warmup: 0.5, sharpen: true}
  monitor: {systematic: 0.1, minimum_background: 10}
  batch_size: 200
  accumulate: 2
  epochs: 3
"""
)


def test_it_says_all_that_fit_takes():
    job = parse(SEARCH)
    assert job.training.loss == Loss(name="asimov", systematic=0.3, settings={"form": "inverse"})
    assert job.training.monitor == Monitor(systematic=0.1, minimum_background=10.0)
    assert parse(dump(job)) == job
    settings = fit_settings(job.training)
    assert (settings["loss"].systematic, settings["loss"].form) == (0.3, "inverse")
    pretraining = settings["pretrain"]
    assert isinstance(pretraining, Pretraining)
    assert (pretraining.epochs, pretraining.optimizer_state, pretraining.warmup) == (2, "keep", 0.5)
    assert pretraining.sharpen is True
    assert settings["monitor"] == ValidationSignificance(0.1, minimum_background=10.0)
    assert settings["accumulate"] == 2


def test_short_forms_and_set():
    job = parse(
        HEAD + "training: {loss: asimov, pretrain: binary_crossentropy, monitor: val_significance}",
        changes=["training.accumulate=3"],
    )
    settings = fit_settings(job.training)
    assert settings["pretrain"].epochs == 5
    assert settings["pretrain"].loss.name == "binary_crossentropy"
    assert (settings["monitor"], settings["accumulate"]) == ("val_significance", 3)
    changed = parse(SEARCH, changes=["training.pretrain.epochs=7", "training.loss.systematic=0.5"])
    assert (changed.training.pretrain.epochs, changed.training.loss.systematic) == (7, 0.5)
    assert changed.training.pretrain == Pretrain(
        loss="significance", epochs=7, learning_rate=0.01, optimizer_state="keep", warmup=0.5, sharpen=True
    )


def test_a_job_trains_so():
    from hepml_root import fit

    job = parse(SEARCH)
    data = dataset_of(job)
    history = fit(model_of(job, data), data, **fit_settings(job.training), jit=False, verbose=False)
    assert (history.epochs, history.pretraining_epochs) == (5, 2)
    assert history.settings["loss"]["signal"] == pytest.approx(20.0, rel=1e-5)
    assert history.settings["loss"]["background"] == pytest.approx(3000.0, rel=1e-5)
    assert history.best_epoch == 2 + max(
        range(3), key=lambda epoch: history.metrics["val_significance"][2 + epoch]
    )


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ("monitor: val_significanc", ["training.monitor", "did you mean 'val_significance'"]),
        ("monitor: {name: val_auc}", ["training.monitor.name", "val_significance"]),
        ("monitor: {sytematic: 0.1}", ["training.monitor.sytematic", "did you mean 'systematic'"]),
        ("accumulate: 0", ["training.accumulate", "at least 1"]),
        ("pretrain: {epochs: 3}", ["training.pretrain.loss", "missing"]),
        ("pretrain: {loss: significance, epoch: 3}", ["training.pretrain.epoch", "did you mean 'epochs'"]),
        ("pretrain: {loss: significance, optimizer_state: kep}", ["did you mean 'keep'"]),
        ("loss: {name: asimov, systematic: -0.1}", ["training.loss.systematic", "at least 0"]),
    ],
)
def test_what_is_wrong_is_said_with_its_place(training, words):
    with pytest.raises(JobFileError) as caught:
        parse(HEAD + "training:\n  " + training, "job.yaml")
    message = str(caught.value)
    assert message.startswith("job.yaml, line 10: ")
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ("loss: asimof", ["training.loss: no loss 'asimof'", "asimov"]),
        ("loss: {name: asimov, settings: {fom: inverse}}", ["training.loss", "fom"]),
        ("loss: {name: asimov, settings: {form: invers}}", ["training.loss", "Nearest: 'inverse'"]),
        ("loss: {name: asimov, systematic: 0.1, settings: {systematic: 0.2}}", ["systematic: given twice"]),
        ("pretrain: signifcance", ["training.pretrain.loss: no loss 'signifcance'"]),
    ],
)
def test_what_only_the_losses_know_is_said_before_events_are_read(training, words, tmp_path, capsys):
    file = tmp_path / "job.yaml"
    file.write_text(HEAD.replace("shipped:Higgs_data", "missing") + "training:\n  " + training)
    assert main(["train", str(file)]) == 2
    message = capsys.readouterr().err
    assert [word for word in words if word not in message] == []
    assert sorted(path.name for path in tmp_path.iterdir()) in (["job.yaml"], ["job.yaml", "runs"])


def test_the_example_shows_the_sections():
    text = schema_example()
    for words in ("#   pretrain:", "#   monitor:", "optimizer_state: reset", "minimum_background: 25.0"):
        assert words in text, words
