"""The commands, on real events: what they write, print and refuse."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import uproot

import hepml_root
from hepml_root.cli.commands import main

PROGRAM = [sys.executable, "-m", "hepml_root"]


def test_train_writes_everything_and_nothing_else(run_folder):
    names = {path.name for path in run_folder.iterdir()}
    files = {"small.keras", "small.onnx", "small.hxx", "job.yaml", "summary.json", "history.json", "report"}
    assert files <= names
    assert not (run_folder.parent / "small.unfinished").exists()
    assert not (run_folder / "report" / "plots").exists()  # as the job says
    assert "image/svg+xml" in (run_folder / "report" / "report.html").read_text()
    summary = json.loads((run_folder / "summary.json").read_text())
    assert summary["events"] == {"train": 700, "test": 300}
    low, high = summary["auc_test_interval"]
    assert low < summary["auc_test"] < high
    assert 0 <= summary["parity_onnxruntime"] < 1e-5
    assert 0 <= summary["parity_cpp"] < 1e-5
    assert summary["seconds"]["total"] == pytest.approx(
        sum(value for name, value in summary["seconds"].items() if name != "total"), abs=0.01
    )


@pytest.mark.slow
def test_the_written_job_runs_again_from_anywhere(run_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = json.loads((run_folder / "summary.json").read_text())["auc_test"]
    again = tmp_path / "again"
    assert main(["train", str(run_folder / "job.yaml"), "--set", f"output={again}"]) == 0
    assert json.loads((again / "summary.json").read_text())["auc_test"] == pytest.approx(before, abs=1e-6)
    capsys.readouterr()


def test_evaluate_from_a_run_and_from_a_file(run_folder, tmp_path, capsys):
    assert main(["evaluate", str(run_folder), "-o", str(tmp_path / "a")]) == 0
    model, job = run_folder / "small.keras", run_folder / "job.yaml"
    assert main(["evaluate", str(model), "--job", str(job), "--all", "-o", str(tmp_path / "b")]) == 0
    assert "1,000 events" in capsys.readouterr().out
    stored = json.loads((run_folder / "summary.json").read_text())["auc_test"]
    report = json.loads((tmp_path / "a" / "report.json").read_text())
    assert report["auc"]["value"] == pytest.approx(stored, abs=1e-6)
    assert report["auc_train"]["value"] > 0.5
    everything = json.loads((tmp_path / "b" / "report.json").read_text())
    assert everything["auc_train"] is None
    assert everything["yields"]["test"]["signal"]["events"] == 500


def test_export_and_compile(run_folder, tmp_path, capsys):
    onnx, header, library = tmp_path / "cuts.onnx", tmp_path / "fast.hxx", tmp_path / "out" / "libsmall.so"
    assert (
        main(["export", str(run_folder / "small.keras"), "-o", str(onnx), "--working-point", "tight=0.9"])
        == 0
    )
    points = hepml_root.export.read_manifest(onnx)["working_points"]
    assert points == [{"name": "tight", "threshold": 0.9}]
    best = tmp_path / "best.onnx"
    words = ["export", str(run_folder / "small.keras"), "-o", str(best), "--no-certify"]
    assert main([*words, "--best-cut", str(run_folder / "report"), "--working-point", "tight=0.9"]) == 0
    names = [point["name"] for point in hepml_root.export.read_manifest(best)["working_points"]]
    assert names == ["tight", "asimov_0.1"]
    assert main([*words, "--overwrite", "--best-cut", str(tmp_path / "none")]) == 2
    assert "there is no report" in capsys.readouterr().err
    of_the_run = hepml_root.export.read_manifest(run_folder / "small.onnx")["working_points"]
    assert of_the_run[-1]["name"] == "asimov_0.1"
    assert of_the_run[-1]["chosen_on"] == "validation"
    assert main(["compile", str(onnx), "-o", str(header)]) == 0
    assert "namespace TMVA_SOFIE_fast" in header.read_text()
    assert main(["compile", str(onnx), "-o", str(library)]) == 0
    assert library.read_bytes()[:4] == b"\x7fELF"
    assert library.with_suffix(".hxx").exists()
    said = capsys.readouterr().out.split()
    assert [str(header), str(library)] == [word for word in said if word in (str(header), str(library))]


@pytest.mark.slow
def test_apply_without_a_compiler_says_that_it_is_slower(run_folder, tmp_path):
    """The interpreter takes over, and one note says why and what to install."""
    scores = tmp_path / "scores.root"
    source = f"{hepml_root.data.shipped_file('Higgs_data.root')}:sig_tree"
    command = [*PROGRAM, "apply", str(run_folder / "small.onnx"), source, "-o", str(scores)]
    environment = os.environ | {"CXX": "no-such-compiler", "HEPML_ROOT_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert scores.exists()
    assert "hepml-root: note: " in done.stderr
    assert "compiler" in done.stderr
    assert "Traceback" not in done.stderr


def test_apply_writes_a_friend_tree(run_folder, tmp_path, capsys):
    file, scores = hepml_root.data.shipped_file("Higgs_data.root"), tmp_path / "scores.root"
    command = ["apply", str(run_folder / "small.onnx"), f"{file}:sig_tree", "-o", str(scores)]
    assert main([*command, "--column", "dnn", "--keep", "m_bb"]) == 0
    assert "10,000 events" in capsys.readouterr().out
    tree = uproot.open(scores)["scores"].arrays(library="np")
    session = hepml_root.Session(run_folder / "small.onnx")
    source = uproot.open(file)["sig_tree"].arrays(
        ["m_bb", "jet1_b-tag", "lepton_phi", "jet1_phi"], library="np", entry_stop=100
    )
    dphi = np.abs(source["lepton_phi"] - source["jet1_phi"])
    expected = session.infer(np.stack([source["m_bb"], source["jet1_b-tag"], dphi], axis=1))[:, 0]
    np.testing.assert_allclose(tree["dnn"][:100], expected, atol=2e-6)
    np.testing.assert_array_equal(tree["m_bb"][:100], source["m_bb"])
    before = scores.read_bytes()
    assert main(command) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert scores.read_bytes() == before


def test_help_version_and_mistyped_words(capsys):
    for words in (["--help"], ["train", "--help"], ["apply", "--help"]):
        assert main(words) == 0
        assert "examples:" in capsys.readouterr().out or words == ["--help"]
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.split() == ["hepml-root", hepml_root.__version__]
    for words, meant in (
        (["trian"], "train"),
        (["train", "--ovrwrite", "j"], "--overwrite"),
        ([], "COMMAND"),
    ):
        assert main(words) == 2
        said = capsys.readouterr()
        assert meant in said.err
        assert "--help" in said.err
        assert said.out == ""


def test_config_names_folders_that_exist(capsys):
    assert main(["config", "--include-dir"]) == 0
    assert Path(capsys.readouterr().out.strip(), "hepml_root").is_dir()
    assert main(["config", "--cmake-dir"]) == 0
    assert list(Path(capsys.readouterr().out.strip()).glob("hepml_rootConfig.cmake"))
    assert main(["config"]) == 0
    table = capsys.readouterr().out
    assert {"ROOT", "keras", "onnxruntime", "C++"} <= {line.split()[0] for line in table.splitlines()}
    assert re.search(r"^ROOT +6\.", table, re.M)  # its own version, not that of the pip package


def test_config_says_what_to_install(monkeypatch):
    from hepml_root.cli import config as cli_config

    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(
        cli_config, "_PACKAGES", (("lightgbm", "no_such_module", "trees", "pip install lightgbm"),)
    )
    rows = {name: (version, note) for name, version, note in cli_config.installation()}
    assert rows["lightgbm"] == ("missing", "trees: pip install lightgbm")
    assert rows["C++ compiler"][0] == "missing"
    assert "apt install g++" in rows["C++ compiler"][1]


def test_the_command_starts_fast_and_loads_nothing_heavy():
    code = (
        "import sys; from hepml_root.cli.commands import main; main(['train', '--schema']);"
        "heavy = {'ROOT', 'keras', 'tensorflow', 'onnx', 'onnxruntime', 'matplotlib'} & set(sys.modules);"
        "sys.exit(str(sorted(heavy)) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# A job file of hepml-root")


def test_a_reader_that_has_seen_enough_is_no_error():
    done = subprocess.run(
        f"{' '.join(PROGRAM)} train --schema | head -1",
        shell=True, capture_output=True, text=True, check=False, executable="/bin/bash",
    )  # fmt: skip
    assert done.stdout.startswith("# A job file")
    assert done.stderr == ""


def test_ctrl_c_keeps_what_was_reached_and_resume_continues(job_file, tmp_path):
    """A training is stopped in the middle, refused to begin again by accident, and resumed to its end."""
    command = [*PROGRAM, "train", str(job_file), "--set", "training.patience=500"]
    command += ["--set", "training.epochs=200", "--set", "training.validation=0.3"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    work = tmp_path / "runs" / "small.unfinished"
    for _ in range(1200):
        if running.poll() is not None or list(work.glob("checkpoint/*")):
            break
        time.sleep(0.05)
    assert running.poll() is None, running.communicate()
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert errors.strip().count("\n") == 0
    assert "--resume" in errors
    assert not (tmp_path / "runs" / "small").exists()

    assert main(command[3:]) == 2  # neither --resume nor --overwrite
    assert main([*command[3:], "--resume", "--set", "model.hidden=[9]"]) == 2
    assert main([*command[3:], "--resume"]) == 0
    resumed = json.loads((tmp_path / "runs" / "small" / "history.json").read_text())
    assert len(resumed["metrics"]["loss"]) == 200


def test_nothing_to_resume(job_file, capsys):
    assert main(["train", str(job_file), "--resume"]) == 2
    assert "nothing to resume" in capsys.readouterr().err


def test_only_folders_of_our_own_are_replaced(job_file, tmp_path, capsys):
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "chapter1.tex").write_text("dear")
    assert main(["train", str(job_file), "--set", f"output={mine}", "--overwrite"]) == 2
    assert "not made by hepml-root" in capsys.readouterr().err
    assert (mine / "chapter1.tex").read_text() == "dear"


def test_boosted_trees_as_a_job(job_file, tmp_path, capsys):
    pytest.importorskip("lightgbm")
    changes = ["--set", "model={kind: boosted, trees: 20}", "--set", "evaluation.formats=[png]"]
    assert main(["train", str(job_file), *changes]) == 0
    folder = tmp_path / "runs" / "small"
    assert {"small.trees", "report", "summary.json"} <= {path.name for path in folder.iterdir()}
    assert {path.suffix for path in (folder / "report" / "plots").iterdir()} == {".png"}
    assert main(["evaluate", str(folder), "-o", str(tmp_path / "again")]) == 0
    again = json.loads((tmp_path / "again" / "report.json").read_text())["auc"]["value"]
    assert again == pytest.approx(json.loads((folder / "summary.json").read_text())["auc_test"], abs=1e-6)
    capsys.readouterr()


def test_without_lightgbm_the_baseline_is_left_out_and_said_so(job_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    assert main(["train", str(job_file), "--set", "evaluation.baseline=true"]) == 0
    said = capsys.readouterr().out
    assert "left out" in said
    assert "pip install 'hepml_root[boosted]'" in said
    summary = json.loads((tmp_path / "runs" / "small" / "summary.json").read_text())
    assert summary["auc_bdt"] is None
    steps = [line.split("]")[0].lstrip("[").split("/") for line in said.splitlines() if line.startswith("[")]
    assert steps == [[str(number), "6"] for number in range(1, 7)]


def test_a_regression_as_a_job(tmp_path, capsys):
    job = tmp_path / "job.yaml"
    job.write_text(
        "name: target\ndata:\n  source: shipped:tmva_reg_example.root:TreeR\n  inputs: [var1, var2]\n"
        "  targets: [fvalue]\n  max_events: 2000\nmodel: {hidden: [16]}\ntraining: {epochs: 5}\n"
        "evaluation: {bootstrap: 10, formats: []}"
    )
    assert main(["train", str(job)]) == 0
    summary = json.loads((tmp_path / "runs" / "target" / "summary.json").read_text())
    assert summary["residuals"]["fvalue"]["resolution"] > 0
    assert summary["parity_onnxruntime"] < 1e-2  # in units of the target, which goes up to several hundred
    assert "resolution" in capsys.readouterr().out
