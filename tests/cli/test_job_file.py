"""The job file: what is accepted, what is refused and how, and that the schema's own texts agree with it."""

from __future__ import annotations

import dataclasses
import re

import pytest

from hepml_root.cli.job import Boosted, Dense, Events, Job, Loss
from hepml_root.cli.job_file import dump, parse, read_job
from hepml_root.cli.job_representations import representations_of
from hepml_root.cli.job_schema import schema_example, schema_markdown
from hepml_root.errors import JobFileError

SHORT = """\
name: higgs
data:
  classes:
    signal: s.root:t
    background: [b.root:t, c*.root:t]
  inputs: [m_bb, "dphi := abs(a - b)"]
"""


def refusal(text: str, *changes: str) -> str:
    with pytest.raises(JobFileError) as caught:
        parse(text, "job.yaml", changes)
    return str(caught.value)


def test_short_job_takes_the_defaults():
    job = parse(SHORT)
    assert job.data.classes == {"signal": "s.root:t", "background": ["b.root:t", "c*.root:t"]}
    assert job.model == Dense()
    assert job.training.epochs == 100
    assert job.data.split.test == 0.3


@pytest.mark.parametrize(
    ("addition", "words"),
    [
        ("model:\n  hiden: [3]", ["line 8", "model.hiden", "did you mean 'hidden'"]),
        ("modle: {}", ["line 7", "modle", "did you mean 'model'"]),
        ("training:\n  epochs: many", ["line 8", "training.epochs", "a whole number", "'many'"]),
        ("training:\n  epochs: 2.5", ["line 8", "training.epochs", "a whole number", "'2.5'"]),
        ("training:\n  epochs: 0", ["line 8", "training.epochs", "at least 1"]),
        ("training:\n  epochs: true", ["line 8", "training.epochs", "a whole number"]),
        ("model:\n  dropout: 1.5", ["line 8", "model.dropout", "between 0 and 1"]),
        ("model:\n  hidden: 64", ["line 8", "model.hidden", "a list of whole numbers", "[64, 64]"]),
        ("model:\n  hidden: [64, 0]", ["line 8", "model.hidden[1]", "at least 1"]),
        ("model:\n  kind: dence", ["line 8", "model.kind", "did you mean 'dense'"]),
        ("model:\n  kind: boosted\n  hidden: [3]", ["line 9", "model.hidden", "trees"]),
        ("model: [1]", ["line 7", "model", "a section of keys", "a list"]),
        ("training:\n  batch_size: large", ["line 8", "training.batch_size", "auto"]),
        ("training:\n  loss: {signal: 3}", ["line 8", "training.loss.name", "missing"]),
        ("evaluation:\n  baseline: 3", ["line 8", "evaluation.baseline", "true or false"]),
        ("model: {}\nmodel: {}", ["line 8", "model", "twice"]),
        ("name: [", ["line 7", "no YAML"]),
    ],
)
def test_what_is_wrong_is_said_with_its_place(addition, words):
    message = refusal(SHORT + addition)
    assert message.startswith("job.yaml, line")
    assert [word for word in words if word not in message] == []
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["empty", "--schema"]),
        ("name: higgs", ["data", "missing"]),
        ("- a\n- b", ["a section of keys", "a list"]),
        ("name: 2nd\n" + SHORT.split("\n", 1)[1], ["2nd", "letters"]),
        ("name: h\ndata: {inputs: [a]}", ["either classes", "neither"]),
        ("name: h\ndata: {inputs: [a], classes: {s: f}}", ["two classes"]),
        ("name: h\ndata: {inputs: [], classes: {s: f, b: g}}", ["data.inputs", "empty"]),
        ("name: h\ndata: {inputs: [a], source: f}", ["data.targets", "missing"]),
        ("name: h\ndata: {inputs: [a], source: f, classes: {s: f, b: g}, targets: [y]}", ["both"]),
        ("name: h\ndata: {inputs: [a], classes: {sig: f, bkg: g}, signal: sgi}", ["did you mean 'sig'"]),
        ("name: h\ndata: {inputs: [a], classes: {s: f, b: g}, split: {by: event_number}}", ["event_number"]),
    ],
)
def test_jobs_that_make_no_sense_are_refused(text, words):
    message = refusal(text)
    assert [word for word in words if word not in message] == []


def test_numbers_are_read_as_physicists_write_them():
    job = parse(SHORT + "training: {learning_rate: 1e-3}\nmodel: {l2: 0}")
    assert job.training.learning_rate == 1e-3
    assert job.model.l2 == 0.0
    assert isinstance(job.model.l2, float)


def test_names_that_yaml_takes_for_booleans_stay_names():
    job = parse("name: h\ndata: {inputs: [x], classes: {on: a.root:t, off: b.root:t}}")
    assert list(job.data.classes) == ["on", "off"]


def test_sections_in_their_long_forms():
    job = parse(
        "name: h\ndata:\n  classes:\n    s: {files: [a.root, b.root], tree: t, cross_section: 0.5}\n"
        "    b: b.root:t\n  inputs: [x]\ntraining: {loss: {name: AsimovSignificance, systematic: 0.3}}\n"
        "model: {kind: boosted, trees: 5}"
    )
    assert job.data.classes["s"] == Events(files=["a.root", "b.root"], tree="t", cross_section=0.5)
    assert job.training.loss == Loss(name="AsimovSignificance", systematic=0.3)
    assert job.model == Boosted(trees=5)


def test_changes_replace_and_add_settings():
    job = parse(
        SHORT, changes=["training.epochs=7", "model.hidden=[8, 4]", "data.split.seed=3", "name=other"]
    )
    assert (job.training.epochs, job.model.hidden, job.data.split.seed, job.name) == (7, [8, 4], 3, "other")
    assert "training.epochs=20" in refusal(SHORT, "training.epochs")
    assert "did you mean 'epochs'" in refusal(SHORT, "training.epoch=3")
    assert "no keys of its own" in refusal(SHORT, "name.first=x")


def test_dumped_jobs_read_back_the_same():
    for text in (SHORT, schema_example()):
        job = parse(text, changes=["training.loss={name: AsimovSignificance, systematic: 0.3}"])
        assert parse(dump(job)) == job


def test_paths_are_relative_to_the_job_file(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMPLES", "/samples")
    file = tmp_path / "job.yaml"
    file.write_text(
        "name: h\ndata:\n  classes:\n    a: s.root:t\n"
        "    b: [$SAMPLES/x.root:t, 'root://host//y.root:t', ../z*.root]\n"
        "    c: {files: shipped:Higgs_data.root:sig_tree, friends: [f.root:t]}\n  inputs: [x]"
    )
    job = read_job(file)
    assert job.data.classes["a"] == f"{tmp_path}/s.root:t"
    assert job.data.classes["b"] == [
        "/samples/x.root:t",
        "root://host//y.root:t",
        f"{tmp_path.parent}/z*.root",
    ]
    assert job.data.classes["c"].files == "shipped:Higgs_data.root:sig_tree"
    assert job.data.classes["c"].friends == [f"{tmp_path}/f.root:t"]
    assert job.output == f"{tmp_path}/runs/h"


def test_missing_and_unreadable_files(tmp_path):
    (tmp_path / "higgs.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(JobFileError, match=r"no job file.*higgs\.yaml"):
        read_job(tmp_path / "higs.yaml")
    with pytest.raises(JobFileError, match="cannot read"):
        read_job(tmp_path / "higgs.yaml")
    with pytest.raises(JobFileError, match="cannot read"):
        read_job(tmp_path)


def test_the_example_shows_every_setting_and_its_defaults():
    text = schema_example()
    job = parse(text)
    assert job.training == parse(SHORT).training
    assert job.model == Dense()

    def check(kind) -> None:
        for field in dataclasses.fields(kind):
            assert re.search(rf"^[ #]*{field.name}:", text, re.M), field.name
            assert f"`{field.name}`" in schema_markdown()
            assert field.metadata["help"], field.name

    for kind in (
        Job,
        Events,
        Dense,
        Boosted,
        *(type(getattr(job, s)) for s in ("data", "training", "evaluation")),
    ):
        check(kind)
    assert max(len(line) for line in text.splitlines()) <= 112


JETS = (
    "name: jets\ndata:\n  classes: {top: top.root, qcd: qcd.root}\n"
    "  representations:\n    particles: {kind: %s, pt: c_pt, eta: c_eta, phi: c_phi, max_length: 8%s}\n"
)


def test_representations_are_made_as_the_job_says() -> None:
    job = parse(JETS % ("constituents", ", features: [pt, delta_r], extra: ['q := c_charge']"))
    assert parse(dump(job)) == job
    (made,) = representations_of(job.data.representations)
    assert [block.shape for block in made.blocks()] == [(8, 3), (8,)]
    assert made.name == "particles"
    assert made.columns[0].expression == "c_pt"


@pytest.mark.parametrize(
    ("kind", "more", "words"),
    [
        ("constituent", "", "unknown kind 'constituent', did you mean 'constituents'?"),
        ("constituents", ", featurs: [pt]", "featurs: unknown setting, did you mean 'features'?"),
        ("graph", ", sort: pt", "sort: unknown setting"),
    ],
)
def test_representations_that_do_not_exist(kind: str, more: str, words: str) -> None:
    with pytest.raises(JobFileError) as caught:
        parse(JETS % (kind, more), "job.yaml")
    assert words in str(caught.value)
    assert "data.representations.particles" in str(caught.value)


def test_representations_with_wrong_values() -> None:
    with pytest.raises(JobFileError, match=r"data\.representations\.particles: a setting has a value"):
        representations_of(parse(JETS % ("constituents", ", mass: 3")).data.representations)
    with pytest.raises(JobFileError, match=r"particles: .*'pt_fractio'"):
        representations_of(parse(JETS % ("constituents", ", features: [pt_fractio]")).data.representations)
    with pytest.raises(JobFileError, match="phi: missing; constituents needs it"):
        parse(JETS.replace(", phi: c_phi", "") % ("constituents", ""))
