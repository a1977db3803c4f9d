"""Bad input: each time exit code 2, one clear message, no traceback, nothing half-written."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper

from hepml_root.cli.commands import main
from hepml_root.data import shipped_file

from .conftest import write_tree

GENERATOR = np.random.default_rng(1)


def refused(capfd: pytest.CaptureFixture[str], words: list[str], arguments: list[str]) -> str:
    """Run the command, and check that it ends with exit code 2 and one message that contains ``words``."""
    capfd.readouterr()
    code = main(arguments)
    said = capfd.readouterr()
    assert code == 2, said.err
    lines = [line for line in said.err.splitlines() if line.startswith("hepml-root: ")]
    assert len(lines) == 1, said.err
    assert "Traceback" not in said.err
    assert said.err.startswith("hepml-root: "), f"something else was written before the message: {said.err}"
    assert [word for word in words if word not in said.err] == [], said.err
    return said.err


def train_refused(capfd, job_file: Path, words: list[str], *changes: str) -> None:
    """As :func:`refused`, for a training."""
    arguments = ["train", str(job_file)]
    for change in changes:
        arguments += ["--set", change]
    refused(capfd, words, arguments)
    runs = job_file.parent / "runs"
    assert not runs.exists() or list(runs.iterdir()) == []


def classes(signal: object, background: object = "shipped:Higgs_data.root:bkg_tree") -> str:
    given = {"signal": signal, "background": background}
    return "data.classes=" + yaml.safe_dump(given, default_flow_style=True, width=1000).strip()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([classes("no_such_file.root:events")], ["no_such_file.root"]),
        ([classes("no_such_*.root:events")], ["no_such_*.root"]),
        ([classes("shipped:Higgs_data.root:sig_tre")], ["sig_tre", "sig_tree", "bkg_tree"]),
        ([classes("shipped:Higs_data.root:sig_tree")], ["Higs_data.root", "Higgs_data.root"]),
        (["data.inputs=[m_bbb]"], ["m_bbb", "m_bb"]),
        (['data.inputs=["x := sqrt(m_bbb)"]'], ["m_bbb", "m_bb"]),
        (['data.inputs=["x := m_bb +* 2"]'], ["m_bb +* 2"]),
        (["data.cut=m_bb > 1e9"], ["signal", "m_bb > 1e9"]),
        (
            [classes({"files": "shipped:Higgs_data.root:sig_tree", "cut": "m_bb > 1e9"})],
            ["signal", "m_bb > 1e9"],
        ),
        (["data.weight=m_bb - m_bb"], ["weight", "zero"]),
        (["data.weight=-m_bb"], ["weight", "negative"]),
        (["data.luminosity=10"], ["cross section"]),
        (["data.spectators=[m_bb]"], ["m_bb"]),
        (["data.split.test=0.9999"], ["train"]),
        (["model.activation=rellu"], ["rellu", "relu"]),
        (["model.transforms=Q"], ["Q"]),
        (["training.loss=binary_crossentrop"], ["binary_crossentrop", "binarycrossentropy"]),
        (["training.optimizer=adm"], ["adm", "adam"]),
    ],
)
def test_training_on_something_wrong(changes, words, job_file, capfd):
    train_refused(capfd, job_file, words, *changes)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_inputs_that_are_not_finite(value, job_file, tmp_path, capfd):
    x = GENERATOR.normal(size=200)
    good = write_tree(tmp_path / "good.root", x=x, y=x)
    x[[17, 30]] = value
    bad = write_tree(tmp_path / "bad.root", x=x, y=GENERATOR.normal(size=200))
    train_refused(capfd, job_file, ["'x'", "2", "17"], classes(bad, good), "data.inputs=[x, y]")


def test_a_tree_without_events(job_file, tmp_path, capfd):
    nothing = write_tree(tmp_path / "empty.root", m_bb=np.zeros(0))
    train_refused(capfd, job_file, ["signal", "empty.root"], classes(nothing), "data.inputs=[m_bb]")


def test_files_that_are_damaged(job_file, tmp_path, capfd):
    whole = Path(shipped_file("Higgs_data.root")).read_bytes()
    (tmp_path / "short.root").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.root").write_text("no ROOT file at all")
    train_refused(capfd, job_file, ["short.root"], classes(f"{tmp_path}/short.root:sig_tree"))
    train_refused(capfd, job_file, ["text.root"], classes(f"{tmp_path}/text.root:sig_tree"))


def test_job_files_that_are_wrong(job_file, capfd):
    train_refused(capfd, job_file, ["model.hiden", "did you mean 'hidden'"], "model.hiden=[3]")
    train_refused(capfd, job_file, ["training.epochs", "whole number"], "training.epochs=ten")
    refused(capfd, ["no job file", "job.yaml"], ["train", str(job_file.with_name("jbo.yaml"))])
    refused(capfd, ["--schema"], ["train"])


def test_outputs_that_exist_are_refused_before_any_work(job_file, tmp_path, capfd):
    (tmp_path / "runs" / "small").mkdir(parents=True)
    refused(capfd, ["small", "--overwrite"], ["train", str(job_file)])
    assert not (tmp_path / "runs" / "small.unfinished").exists()
    there = tmp_path / "there.root"
    there.write_text("dear")
    # None of these models exists: the output is looked at first.
    for arguments in (
        ["apply", "none.onnx", "none.root:t"],
        ["export", "none.keras"],
        ["evaluate", "none.onnx"],
    ):
        refused(capfd, ["there.root", "--overwrite"], [*arguments, "-o", str(there)])
    assert there.read_text() == "dear"
    # An exported model does not take the place of the Keras model that it comes from.
    refused(capfd, ["there.root", ".onnx"], ["export", str(there), "-o", str(there), "--overwrite"])
    assert there.read_text() == "dear"


def test_model_files_that_are_none(run_folder, tmp_path, capfd):
    source, output = shipped_file("Higgs_data.root") + ":sig_tree", tmp_path / "scores.root"
    text = tmp_path / "text.onnx"
    text.write_text("no ONNX at all")
    short = tmp_path / "short.onnx"
    short.write_bytes((run_folder / "small.onnx").read_bytes()[:2000])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
    bare = tmp_path / "bare.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), bare)
    for model in (text, short, tmp_path / "none.onnx"):
        refused(capfd, [model.name], ["apply", str(model), source, "-o", str(output)])
    refused(capfd, ["manifest", "adopt"], ["apply", str(bare), source, "-o", str(output)])
    for model in (text, short, tmp_path / "none.onnx"):
        refused(capfd, [model.name], ["compile", str(model)])
    for model in (text, tmp_path / "none.keras"):
        refused(capfd, [model.name], ["export", str(model), "-o", str(tmp_path / "new.onnx")])
    job = str(run_folder / "job.yaml")
    refused(capfd, [text.name], ["evaluate", str(text), "--job", job, "-o", str(tmp_path / "report")])
    refused(capfd, ["--job"], ["evaluate", str(text), "-o", str(tmp_path / "report")])
    refused(capfd, ["job.yaml"], ["evaluate", str(tmp_path), "-o", str(tmp_path / "report")])
    assert {path.suffix for path in tmp_path.iterdir()} == {".onnx"}


def test_frames_that_lack_a_column(run_folder, tmp_path, capfd):
    model, output = str(run_folder / "small.onnx"), tmp_path / "scores.root"
    other = write_tree(
        tmp_path / "other.root", m_bbb=np.ones(10), lepton_phi=np.ones(10), jet1_phi=np.ones(10)
    )
    refused(capfd, ["m_bb", "m_bbb"], ["apply", model, other, "-o", str(output)])
    refused(capfd, ["m_b", "m_bb"], ["apply", model, other, "-o", str(output), "--input", "m_b=m_bbb"])
    refused(capfd, ["LABEL=VALUE"], ["apply", model, other, "-o", str(output), "--input", "m_bbb"])
    assert {path.name for path in tmp_path.iterdir()} == {"other.root"}


def test_compilers_that_are_missing_or_fail(run_folder, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("HEPML_ROOT_CACHE", str(tmp_path / "cache"))
    model = str(run_folder / "small.onnx")
    refused(capfd, ["no-such-compiler"], ["compile", model, "--compiler", "no-such-compiler"])
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho the compiler is out of order >&2\nexit 1\n")
    broken.chmod(0o755)
    refused(capfd, ["broken"], ["compile", model, "--compiler", str(broken), "-o", str(tmp_path / "a.so")])
    assert not (tmp_path / "a.so").exists()


@pytest.mark.parametrize(
    "command",
    ["apply", pytest.param("export", marks=pytest.mark.slow), pytest.param("train", marks=pytest.mark.slow)],
)
def test_a_disk_that_is_full(command, run_folder, job_file, tmp_path):
    """A limit on the size of files stands for the full disk: writing stops in the middle of a file."""
    arguments = {
        "apply": ["apply", str(run_folder / "small.onnx"), shipped_file("Higgs_data.root") + ":sig_tree"]
        + ["-o", str(tmp_path / "out" / "scores.root")],
        "export": ["export", str(run_folder / "small.keras"), "-o", str(tmp_path / "out" / "small.onnx")],
        "train": ["train", str(job_file), "--set", f"output={tmp_path / 'out' / 'small'}"],
    }[command]
    (tmp_path / "out").mkdir()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    # A warm cache of compiled feeds and models, so that the limit meets the output first.
    done = subprocess.run(
        [sys.executable, "-m", "hepml_root", *arguments],
        preexec_fn=limit, capture_output=True, text=True, check=False, env=os.environ,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("hepml-root: ")] != []
    final = {path.name for path in (tmp_path / "out").iterdir() if not path.name.endswith(".unfinished")}
    assert final == set()


def test_root_missing_says_what_to_install(job_file):
    code = (
        "import sys; sys.modules['ROOT'] = None\n"
        f"from hepml_root.cli.commands import main; sys.exit(main(['train', {str(job_file)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "pip install" in done.stderr
