"""Scores of whole files: read back with uproot and as a friend, against ONNX Runtime."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import ROOT
import uproot
from model_files import HIGGS, runtime_scores, write_deep_sets, write_mlp

import hepml_root as hr
from hepml_root.data.shipped import shipped_file
from hepml_root.errors import (
    ColumnNotFoundError,
    EmptySelectionError,
    OutputExistsError,
    OutputWriteError,
    SettingError,
    SourceNotFoundError,
)

CLOSE = 2e-6
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("apply")


@pytest.fixture(scope="module")
def higgs(folder):
    return write_mlp(folder / "higgs.onnx")


@pytest.fixture(scope="module")
def classes(folder):
    return write_mlp(folder / "classes.onnx", labels=("top", "qcd jet", "w"), parameters=["mass"])


@pytest.fixture(scope="module")
def signal_file():
    return shipped_file("Higgs_data.root") + ":sig_tree"


@pytest.fixture(scope="module")
def features(signal_file):
    arrays = uproot.open(signal_file).arrays(list(HIGGS), library="np")
    return np.stack([arrays[name] for name in HIGGS], axis=1)


@pytest.mark.parametrize("format", ["ttree", "rntuple"])
@pytest.mark.parametrize("threads", [1, 3])
def test_scores_are_those_of_onnx_runtime(higgs, signal_file, features, tmp_path, format, threads):
    done = hr.apply(higgs, signal_file, tmp_path / "scores.root", format=format, threads=threads)
    table = uproot.open(tmp_path / "scores.root")["scores"]
    scores = table["score"].array(library="np")
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, runtime_scores(higgs, features=features)[:, 0], atol=CLOSE)
    assert (done.events, done.columns, done.tree) == (10000, ("score",), "scores")
    assert "10,000 events" in str(done)


def test_file_is_a_friend_as_it_is(higgs, features, tmp_path):
    file = shipped_file("Higgs_data.root")
    chain, friend = ROOT.TChain("sig_tree"), ROOT.TChain("scores")
    for _ in range(2):
        chain.Add(file)
    hr.apply(higgs, [file + ":sig_tree"] * 2, tmp_path / "scores.root", column="net")
    friend.Add(str(tmp_path / "scores.root"))
    chain.AddFriend(friend)
    arrays = ROOT.RDataFrame(chain).Filter("net > 0.5 && m_bb > 1").AsNumpy(["net", "m_bb"])
    expected = np.tile(runtime_scores(higgs, features=features)[:, 0], 2)
    masses = np.tile(features[:, HIGGS.index("m_bb")], 2)
    chosen = (expected > 0.5) & (masses > 1)
    np.testing.assert_allclose(arrays["net"], expected[chosen], atol=CLOSE)
    np.testing.assert_array_equal(arrays["m_bb"], masses[chosen])


@pytest.mark.parametrize("overwrite", [False, True])
def test_neither_the_events_nor_a_folder_are_replaced(higgs, signal_file, tmp_path, overwrite):
    events, friend = tmp_path / "events.root", tmp_path / "friend.root"
    for path in (events, friend):
        shutil.copy(shipped_file("Higgs_data.root"), path)
    size = events.stat().st_size
    source = hr.Source(f"{events}:sig_tree", friends=[f"{friend}:sig_tree"])
    for path in (events, friend):
        with pytest.raises(OutputExistsError):
            hr.apply(higgs, source, path, overwrite=overwrite)
        assert path.stat().st_size == size
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "text.tex").write_text("years of work")
    with pytest.raises(OutputExistsError, match="is a folder"):
        hr.apply(higgs, signal_file, tmp_path / "thesis", overwrite=overwrite)
    assert (tmp_path / "thesis" / "text.tex").exists()


def test_with_a_cut_the_entries_are_numbered(classes, signal_file, features, tmp_path):
    hr.apply(
        classes,
        signal_file,
        tmp_path / "scores.root",
        parameters={"mass": 2},
        cut="jet1_b-tag > 1 && m_bb > 1",
        keep=["m_bb", "jet1_b-tag"],
    )
    file = uproot.open(tmp_path / "scores.root")
    arrays = file["scores"].arrays(library="np")
    chosen = (features[:, HIGGS.index("jet1_b-tag")] > 1) & (features[:, HIGGS.index("m_bb")] > 1)
    np.testing.assert_array_equal(arrays["entry"], np.flatnonzero(chosen))
    np.testing.assert_array_equal(arrays["m_bb"], features[chosen, HIGGS.index("m_bb")])
    np.testing.assert_array_equal(arrays["jet1_b_tag"], features[chosen, HIGGS.index("jet1_b-tag")])
    parameters = np.full((chosen.sum(), 1), 2.0)
    expected = runtime_scores(classes, features=features[chosen], parameters=parameters)
    for index, name in enumerate(("score_top", "score_qcd_jet", "score_w")):
        np.testing.assert_allclose(arrays[name], expected[:, index], atol=CLOSE)
    told = json.loads(file["hepml_root"])
    assert told["friend"] is False
    assert told["parameters"] == {"mass": 2}
    assert told["sources"][0]["tree"] == "sig_tree"


def test_cut_of_the_source_numbers_the_entries_too(higgs, signal_file, features, tmp_path):
    hr.apply(higgs, hr.Source(signal_file, cut="m_bb > 1"), tmp_path / "scores.root", cut="m_jj < 2")
    arrays = uproot.open(tmp_path / "scores.root")["scores"].arrays(library="np")
    chosen = (features[:, HIGGS.index("m_bb")] > 1) & (features[:, HIGGS.index("m_jj")] < 2)
    np.testing.assert_array_equal(arrays["entry"], np.flatnonzero(chosen))
    expected = runtime_scores(higgs, features=features[chosen])
    np.testing.assert_allclose(arrays["score"], expected[:, 0], atol=CLOSE)


def test_vector_column(classes, signal_file, features, tmp_path):
    hr.apply(classes, signal_file, tmp_path / "v.root", column="p[]", parameters={"mass": "m_bb"}, tree="t")
    values = uproot.open(tmp_path / "v.root")["t"]["p"].array(library="np")
    parameters = features[:, [HIGGS.index("m_bb")]]
    expected = runtime_scores(classes, features=features, parameters=parameters)
    np.testing.assert_allclose(values, expected, atol=CLOSE)


def test_frames_and_jagged_columns(folder, tmp_path):
    model = write_deep_sets(folder / "jets.onnx", ["pt := jet_pt / 100", "jet_eta"], length=3)
    frame = ROOT.RDataFrame(200).Define("n", "(int)rdfentry_ % 6")
    frame = frame.Define("jet_pt", "ROOT::RVecD v(n, 70. + n); return v;")
    frame = frame.Define("jet_eta", "ROOT::RVecF v(n, 1.f - n); return v;").Filter("n != 2")
    hr.apply(model, frame, tmp_path / "scores.root")
    scores = uproot.open(tmp_path / "scores.root")["scores"]["score"].array(library="np")
    expected = hr.define(frame, model).AsNumpy(["score"])["score"]
    assert len(scores) == frame.Count().GetValue()
    np.testing.assert_allclose(scores, expected, atol=CLOSE)


def test_output_is_not_replaced_unasked(higgs, signal_file, tmp_path):
    (tmp_path / "scores.root").write_text("precious")
    with pytest.raises(OutputExistsError, match="exists already"):
        hr.apply(higgs, signal_file, tmp_path / "scores.root")
    assert (tmp_path / "scores.root").read_text() == "precious"
    hr.apply(higgs, signal_file, tmp_path / "scores.root", overwrite=True)
    assert uproot.open(tmp_path / "scores.root")["scores"].num_entries == 10000


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"format": "ntuple"}, SettingError, "no format 'ntuple'. Nearest: 'rntuple'"),
        ({"inputs": {"m_bb": "m_bbb"}}, ColumnNotFoundError, "'m_bbb'.*'m_bb'"),
        ({"inputs": {"mbb": "m_bb"}}, SettingError, "no input 'mbb'. Nearest: 'm_bb'"),
        ({"cut": "m_bbb > 1"}, ColumnNotFoundError, "'m_bbb'.*'m_bb'"),
        ({"cut": "m_bb > 1e9"}, EmptySelectionError, "passes the cut 'm_bb > 1e9'"),
        ({"column": "m_bb"}, SettingError, "has a column 'm_bb' already"),
        ({"column": "entry", "cut": "m_bb > 1"}, SettingError, "not all different"),
        ({"keep": ["nothing"]}, ColumnNotFoundError, "nothing"),
        ({"source": "missing.root:sig_tree"}, SourceNotFoundError, "missing.root"),
    ],
)
def test_what_cannot_be_is_named_and_leaves_nothing(higgs, signal_file, tmp_path, settings, error, said):
    source = settings.pop("source", signal_file)
    with pytest.raises(error, match=said):
        hr.apply(higgs, source, tmp_path / "scores.root", **settings)
    assert list(tmp_path.iterdir()) == []


def test_full_disk_leaves_nothing(higgs, signal_file, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(OutputWriteError, match="cannot write"):
            hr.apply(higgs, signal_file, tmp_path / "scores.root")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_folder(higgs, signal_file, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputWriteError):
        hr.apply(higgs, signal_file, tmp_path / "file" / "scores.root")


def test_interrupt_leaves_nothing(higgs, signal_file, tmp_path):
    code = """
        import sys, hepml_root as hr
        hr.apply(sys.argv[1], [sys.argv[2]] * 3000, sys.argv[3])
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(higgs), signal_file, str(tmp_path / "scores.root")],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 240
        while not list(tmp_path.glob(".writing-*/scores.root")):
            assert child.poll() is None, child.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=120) != 0
        assert "KeyboardInterrupt" in child.stderr.read()
    finally:
        child.kill()
    assert os.listdir(tmp_path) == []
