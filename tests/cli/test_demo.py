"""The main job, from ROOT files to a score in the event loop, with all its figures."""

from __future__ import annotations

import json

import pytest
import uproot

from hepml_root.cli.commands import main
from hepml_root.cli.demo import demo_job, repeated_events
from hepml_root.cli.job_file import dump, parse

SPEEDS = {"training", "feed", "onnxruntime", "cpp", "cpp_rdataframe", "apply"}


def test_the_demo_runs_end_to_end(tmp_path, capsys):
    output = tmp_path / "higgs"
    assert main(["demo", "-o", str(output), "--epochs", "3"]) == 0
    said = capsys.readouterr().out
    summary = json.loads((output / "summary.json").read_text())

    low, high = summary["auc_test_interval"]
    assert 0.65 < low < summary["auc_test"] < high < 0.8  # three epochs; forty give 0.78
    assert 0.65 < summary["auc_train"] < 0.8
    assert summary["auc_bdt"] == pytest.approx(0.785, abs=0.02)
    for runtime in ("parity_onnxruntime", "parity_cpp", "parity_cpp_rdataframe"):
        assert 0 <= summary[runtime] < 1e-5, runtime
    assert set(summary["events_per_second"]) == SPEEDS
    assert all(speed > 0 for speed in summary["events_per_second"].values())
    assert {"read", "train", "evaluate", "export", "compile", "rdataframe", "total"} <= set(
        summary["seconds"]
    )

    for name in ("report/report.html", "higgs.onnx", "higgs.hxx", "summary.json"):
        assert (output / name).exists()
        assert str(output / name) in said
    scores = uproot.open(output / "scores_sig_tree.root")["scores"]["score"].array(library="np")
    assert len(scores) == 10_000
    assert 0.5 < scores.mean() < 1  # signal

    assert main(["demo", "-o", str(output)]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_the_demo_is_a_job_like_any_other():
    job = demo_job("/tmp/higgs")
    assert parse(dump(job)) == job


def test_events_are_repeated_in_order(tmp_path):
    file, _, tree = repeated_events(tmp_path / "three.root", 3).rpartition(":")
    m_bb = uproot.open(file)[tree]["m_bb"].array(library="np").reshape(3, 20_000)
    assert (m_bb[0] == m_bb[1]).all()
    assert (m_bb[0] == m_bb[2]).all()
    assert (m_bb[0, :10_000] != m_bb[0, 10_000:]).any()
