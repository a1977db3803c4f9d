"""`hepml-root models`, and the networks of the zoo in job files."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

import hepml_root as hr
from hepml_root.cli import models as command
from hepml_root.cli.commands import main
from hepml_root.cli.job import Dense, Network
from hepml_root.cli.job_file import dump, parse
from hepml_root.cli.job_schema import schema_example, schema_markdown
from hepml_root.cli.model_settings import networks, settings_of
from hepml_root.errors import JobFileError
from hepml_root.models.cost import flops, parameters
from hepml_root.models.presets import zoo

JETS = Path(__file__).parents[1] / "reference" / "jets.root"
DATA = "name: a\ndata: {classes: {s: s.root:t, b: b.root:t}, inputs: [x]}\n"


def test_settings_are_those_of_the_function():
    for name in networks():
        signature = inspect.signature(getattr(hr.models, name)).parameters
        settings = settings_of(name)
        assert [s.name for s in settings] == [key for key in signature if key not in ("data", "seed", "name")]
        for setting in settings:
            assert setting.meaning, f"{name}: {setting.name}"
            assert eval(setting.default) == signature[setting.name].default


def test_presets_have_settings_that_exist_and_fit():
    for name, entry in zoo().items():
        known = {setting.name: setting for setting in settings_of(name)}
        for preset in (*entry.presets.values(), entry.tiny):
            for key, value in preset.settings.items():
                assert known[key].accepts(value), f"{name} {preset.name}: {key}"


def test_the_table(monkeypatch, capsys):
    few = {name: zoo()[name] for name in ("dense", "boosted", "gru")}
    monkeypatch.setattr("hepml_root.models.presets.zoo", lambda: few)
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + sum(len(entry.presets) for entry in few.values())
    model = hr.models.dense({"features": (28,)})
    assert f"{parameters(model):,}" in lines[2]
    assert command.with_prefix(flops(model)) in lines[2]


def test_one_model_and_its_nearest_name(capsys):
    assert main(["models", "gru"]) == 0
    text = capsys.readouterr().out
    assert "bidirectional = False  (true or false)" in text
    assert "preset small:" in text
    assert main(["models", "gruu"]) == 2
    assert "'gru'" in capsys.readouterr().err


def test_job_files_take_every_network():
    for name in networks():
        job = parse(f"{DATA}model: {{kind: {name}, preset: default, settings: {{}}}}")
        assert job.model == Network(kind=name)
        assert parse(dump(job)) == job
    assert parse(f"{DATA}model: {{kind: dense, hidden: [8]}}").model == Dense(hidden=[8])
    job = parse(f"{DATA}model: {{kind: dense, preset: higgs, settings: {{l1: 1e-4}}}}")
    assert job.model.settings == {"l1": 1e-4}
    assert "kind: particle_net" in schema_example()
    assert "any other `kind`" in schema_markdown()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("{kind: particle_nett}", "model.kind: unknown value 'particle_nett', did you mean 'particle_net'"),
        ("{kind: gru, preset: smal}", "did you mean 'small'"),
        ("{kind: gru, settings: {unit: [8]}}", "did you mean 'units'"),
        ("{kind: gru, settings: {units: 8.5}}", "expected list of integer, got 8.5"),
        ("{kind: gru, settings: {units: [eight]}}", "expected list of integer"),
        ("{kind: gru, settings: {bidirectional: 1}}", "expected true or false"),
        ("{kind: gru, units: [8]}", "model.units: unknown key"),
        ("{kind: gru, settings: {seed: 4}}", "model.settings.seed: unknown setting"),
    ],
)
def test_what_is_wrong_with_a_model_is_named(model, message):
    with pytest.raises(JobFileError, match="job") as caught:
        parse(f"{DATA}model: {model}")
    assert message in str(caught.value)


def test_a_network_of_the_zoo_from_the_job_to_the_model_file(tmp_path):
    (tmp_path / "job.yaml").write_text(
        f"""\
name: tops
data:
  classes: {{top: "{JETS}:top", qcd: "{JETS}:qcd"}}
  representations:
    particles: {{kind: constituents, pt: constituent_pt, eta: constituent_eta, phi: constituent_phi,
                 max_length: 12}}
model: {{kind: pfn, settings: {{phi: [16, 16], hidden: [16]}}}}
training: {{epochs: 2, seed: 3}}
evaluation: {{bootstrap: 10, baseline: false}}
export: {{compile: false}}
"""
    )
    assert main(["train", str(tmp_path / "job.yaml")]) == 0
    folder = tmp_path / "runs" / "tops"
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["auc_test"] > 0.75
    assert summary["parity_onnxruntime"] < 1e-5
    assert (folder / "tops.onnx").exists()
