"""Scores ahead of the loop of inputs that are made of branches: formulas, jagged columns, representations.

And networks that draw random numbers, which are not scored ahead.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import ROOT
from model_files import (
    Network,
    _block,
    _write,
    runtime_scores,
    write_deep_sets,
    write_mlp,
    write_passing,
)

import hepml_root as hr
from hepml_root.data.shipped import shipped_file
from hepml_root.errors import SettingError
from hepml_root.inference.bindings import bind
from hepml_root.inference.compile import CompiledModel, compile
from hepml_root.inference.frame_columns import FrameColumns
from hepml_root.inference.interface import INFER
from hepml_root.inference.lookahead import look_ahead

HERE = Path(__file__).parent
# A score of order one, float32, added up in another order.
CLOSE = 2e-6
EVENTS = 5000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ahead")


@pytest.fixture(scope="module")
def file(folder):
    """Events with numbers and lists of several types; some have a jet that is not finite."""
    frame = ROOT.RDataFrame(EVENTS).Define("n", "(int)(rdfentry_ * 7 % 6)").Define("half", "n / 2")
    frame = frame.Define("m", "float(sin(.1 * rdfentry_))").Define("w", "1.5 + cos(.2 * rdfentry_)")
    frame = frame.Define("good", "rdfentry_ % 50 != 7")
    for name, vector, value in (
        ("jet_pt", "ROOT::RVecD", ".5 + .07 * i + n + m"),
        ("jet_eta", "std::vector<float>", ".3 * i - w"),
        ("jet_phi", "ROOT::RVecF", "good ? w - i : 0.f / (n - n)"),
        ("jet_flavour", "ROOT::RVecI", "(i * n) % 5"),
    ):
        frame = frame.Define(name, f"{vector} v; for (int i = 0; i < n; ++i) v.push_back({value}); return v;")
    options = ROOT.RDF.RSnapshotOptions()
    options.fOutputFormat = ROOT.RDF.ESnapshotOutputFormat.kTTree
    options.fAutoFlush = 700
    columns = ["n", "half", "m", "w", "good", "jet_pt", "jet_eta", "jet_phi", "jet_flavour"]
    frame.Snapshot("events", str(folder / "events.root"), columns, options)
    return str(folder / "events.root")


@pytest.fixture
def frame(file):
    return ROOT.RDataFrame("events", file)


@pytest.fixture(scope="module")
def models(folder):
    return {
        "formulas": write_mlp(
            folder / "formulas.onnx", ["a := abs(m - w)", "m", "b := m * m + 2 * n", "r := m / w"],
            labels=("x", "y"), parameters=["mass"],
        ),
        "jets": write_deep_sets(folder / "jets.onnx", ["jet_pt", "jet_eta", "jet_flavour"], length=3),
    }  # fmt: skip


@pytest.fixture(scope="module")
def passing(folder, file):
    """A model that gives back a number, a padded column and the tensors of a representation."""
    particles = hr.representations.constituents(
        "particles", pt="jet_pt", eta="jet_eta", phi="jet_phi", max_length=4,
        features=("log_pt", "delta_eta", "delta_phi"), extra=("jet_flavour",), axis=("m", "w"),
    )  # fmt: skip
    good = hr.Source(f"{file}:events", cut="good")
    data = hr.Dataset.from_root({"a": good, "b": good}, ["w", particles, "jet_pt"], max_length=2)
    return write_passing(folder / "passing.onnx", data.describe()["inputs"])


def is_ahead(frame, model, **settings) -> bool:
    compiled = compile(model)
    return look_ahead(bind(compiled.manifest, **settings), compiled, FrameColumns(frame)) is not None


def both_ways(frame, model, **settings):
    """Scores computed ahead and event by event, (events, values)."""
    found = []
    for ahead in (True, False):
        column = hr.define(frame, model, "p[]", ahead=ahead, **settings).AsNumpy(["p"])["p"]
        found.append(np.stack([np.atleast_1d(np.asarray(value)) for value in column]))
    return found


def test_scores_ahead_are_computed_in_blocks(frame, models, monkeypatch):
    """What calls the network, and for how many events at once: by the scores the two ways cannot be told."""
    calls = []

    def counted(compiled):
        infer = INFER((f"{compiled.symbol}_infer", ctypes.CDLL(str(compiled.library))))

        def count(inputs, events, outputs):
            calls.append(events)
            infer(inputs, events, outputs)

        functions.append(INFER(count))
        return functions[-1]

    functions = []  # C++ calls them in the loop
    monkeypatch.setattr(CompiledModel, "function", counted)
    for name, settings in (("formulas", {"parameters": {"mass": 1.5}}), ("jets", {})):
        scored = hr.define(frame, models[name], "p[]", ahead=True, **settings)
        calls.clear()  # of checking the library
        scored.AsNumpy(["p"])
        assert sum(calls) == EVENTS
        assert max(calls) > 100


CUTS = ["true", "n > 2", "rdfentry_ > 450 && rdfentry_ < 520 || rdfentry_ % 31 == 0"]


@pytest.mark.parametrize("cut", CUTS)
def test_formulas_of_columns(frame, models, cut):
    assert is_ahead(frame, models["formulas"], parameters={"mass": "2 * w"})
    selected = frame.Filter(cut)
    ahead, by_event = both_ways(selected, models["formulas"], parameters={"mass": "2 * w"})
    np.testing.assert_allclose(ahead, by_event, atol=CLOSE)
    columns = selected.AsNumpy(["m", "w", "n"])
    m, w = columns["m"], columns["w"]
    features = np.stack([np.abs(m - w), m, m * m + 2 * columns["n"], m / w], axis=1)
    expected = runtime_scores(models["formulas"], features=features, parameters=2 * w[:, None])
    np.testing.assert_allclose(ahead, expected, atol=CLOSE)


@pytest.mark.parametrize("cut", CUTS)
def test_jagged_columns(frame, models, cut):
    assert is_ahead(frame, models["jets"])
    selected = frame.Filter(cut)
    ahead, by_event = both_ways(selected, models["jets"])
    np.testing.assert_allclose(ahead, by_event, atol=CLOSE)
    columns = selected.AsNumpy(["jet_pt", "jet_eta", "jet_flavour"])
    jets, mask = np.zeros((len(ahead), 3, 3), np.float32), np.zeros((len(ahead), 3), np.float32)
    for feature, lists in enumerate(columns.values()):
        for event, values in enumerate(lists):
            kept = min(len(values), 3)
            jets[event, :kept, feature], mask[event, :kept] = np.asarray(values)[:kept], 1
    np.testing.assert_allclose(ahead, runtime_scores(models["jets"], jets=jets, jets_mask=mask), atol=CLOSE)


@pytest.mark.parametrize("cut", ["good", "good && n > 2", "good && rdfentry_ % 97 == 3"])
def test_representations_and_events_that_are_never_asked_for(frame, passing, cut):
    """Events that the selection leaves out may hold anything."""
    assert is_ahead(frame, passing)
    ahead, by_event = both_ways(frame.Filter(cut), passing)
    assert len(ahead) > 40
    assert np.array_equal(ahead, by_event)
    assert np.isfinite(ahead).all()
    with pytest.raises(Exception, match="representation 'particles'"):
        hr.define(frame, passing, "p[]").Define("first", "p[0]").Sum("first").GetValue()


def test_variations_of_what_inputs_are_made_of(frame, models):
    varied = frame.Vary("m", "ROOT::RVecF{m - 1.f, m + 1.f}", ["down", "up"]).Vary(
        "jet_pt", "ROOT::RVec<ROOT::RVecD>{jet_pt * 0.5, jet_pt * 2.}", ["softer", "harder"]
    )
    means = []
    for ahead in (True, False):
        scored = hr.define(varied, models["formulas"], "p", parameters={"mass": 1.5}, ahead=ahead)
        scored = hr.define(scored, models["jets"], "q", ahead=ahead)
        means.append([ROOT.RDF.Experimental.VariationsFor(scored.Mean(name)) for name in ("p_x", "q")])
    for (p, q), (p_alone, q_alone) in [means]:
        for name in ("nominal", "m:down", "m:up"):
            assert p[name] == pytest.approx(p_alone[name], abs=1e-6)
        for name in ("nominal", "jet_pt:softer", "jet_pt:harder"):
            assert q[name] == pytest.approx(q_alone[name], abs=1e-6)
        assert abs(p["m:up"] - p["nominal"]) > 1e-4
        assert abs(q["jet_pt:harder"] - q["nominal"]) > 1e-4


def test_what_the_loop_has_to_give_is_left_to_it(frame, models):
    """Formulas that may do harm in events which are left out, jagged formulas, and defined columns."""
    mass = {"parameters": {"mass": 1}}
    for expression in ("n / half", "1 / (m > 0)", "gRandom->Rndm() * m", "n % half"):
        assert not is_ahead(frame, models["formulas"], inputs={"a": expression}, **mass)
    selected = frame.Filter("half != 0")
    scored = hr.define(selected, models["formulas"], "p", inputs={"a": "n / half"}, **mass)
    assert np.isfinite(scored.AsNumpy(["p_x"])["p_x"]).all()
    assert not is_ahead(frame, models["jets"], inputs={"jet_pt": "jet_pt * 2"})
    # A column that was defined anew is no branch, which only the loop finds out.
    redefined = frame.Redefine("jet_pt", "jet_pt * 2").Redefine("m", "2 * m")
    for name, settings in (("jets", {}), ("formulas", mass)):
        ahead, by_event = both_ways(redefined, models[name], **settings)
        assert np.array_equal(ahead, by_event)


def test_slots_do_not_disturb_each_other(file, models):
    code = """
        import sys, numpy as np, ROOT, hepml_root as hr
        ROOT.EnableImplicitMT(4)
        chain = ROOT.TChain("events")
        for _ in range(6):
            chain.Add(sys.argv[1])
        frame = ROOT.RDataFrame(chain)
        for ahead in (True, False):
            frame = hr.define(frame, sys.argv[2], f"p{ahead}", parameters={"mass": 1}, ahead=ahead)
            frame = hr.define(frame, sys.argv[3], f"q{ahead}", ahead=ahead)
        found = frame.AsNumpy(["pTrue_x", "pFalse_x", "qTrue", "qFalse"])
        print(len(found["qTrue"]), *(abs(found[a] - found[b]).max() for a, b in
              (("pTrue_x", "pFalse_x"), ("qTrue", "qFalse"))))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), file, str(models["formulas"]), str(models["jets"])],
        cwd=HERE, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    events, *differences = done.stdout.split()
    assert int(events) == 6 * EVENTS
    assert max(map(float, differences)) < CLOSE


def write_noise(path):
    """Write a network of (m_bb, m_jj) that adds a normal number to each."""
    network = Network(1)
    noise = network.add("RandomNormalLike", "features")
    network.add("Add", "features", noise, output="score")
    block = _block("features", "flat", [2], ["m_bb", "m_jj"])
    return _write(path, network, [block], [{"name": "score", "shape": [2], "labels": ["a", "b"]}])


def test_networks_that_draw_random_numbers_give_every_event_its_own(tmp_path):
    """The same for a seed, in any of the ways; the draws of an event follow its number."""
    path = write_noise(tmp_path / "noise.onnx")
    file = shipped_file("Higgs_data.root")
    frame = ROOT.RDataFrame("sig_tree", file)
    columns = frame.AsNumpy(["m_bb", "m_jj"])
    features = np.stack(list(columns.values()), axis=1)
    right = hr.Session(path, "cpp").infer(features, seed=7)
    assert len(np.unique(right - features)) > 15_000
    selected = hr.define(frame.Filter("rdfentry_ >= 5000"), path, "p", seed=7).AsNumpy(["p_a", "p_b"])
    np.testing.assert_allclose(np.stack(list(selected.values()), axis=1), right[5000:], atol=1e-6)
    other = hr.define(frame, path, "p", seed=8).AsNumpy(["p_a"])["p_a"]
    assert np.mean(np.abs(other - right[:, 0]) < 1e-3) < 0.01
    hr.apply(path, f"{file}:sig_tree", tmp_path / "scores.root", seed=7, threads=2, verbose=False)
    written = ROOT.RDataFrame("scores", str(tmp_path / "scores.root")).AsNumpy(["score_a", "score_b"])
    np.testing.assert_allclose(np.stack(list(written.values()), axis=1), right, atol=1e-6)
    with pytest.raises(SettingError, match="seed is -1"):
        hr.define(frame, path, seed=-1)


def test_draws_do_not_depend_on_how_threads_share_a_tree(tmp_path):
    """Threads number the entries of a tree as they come: the file's own number is asked for."""
    path = write_noise(tmp_path / "noise.onnx")
    options = ROOT.RDF.RSnapshotOptions()
    options.fAutoFlush = 200  # entries of a cluster, the least that a thread takes
    frame = ROOT.RDataFrame(10_000).Define("m_bb", "0.f").Define("m_jj", "1.f").Define("number", "rdfentry_")
    file = str(tmp_path / "events.root")
    frame = frame.Snapshot("events", file, ["m_bb", "m_jj", "number"], options)
    right = hr.Session(path, "cpp").infer(np.tile(np.float32([0, 1]), (10_000, 1)), seed=7)
    code = """
        import sys, numpy as np, ROOT, hepml_root as hr
        model, file, out = sys.argv[1:]
        ROOT.EnableImplicitMT(3)
        try:
            hr.define(ROOT.RDataFrame("events", file), model, seed=7)
        except hr.errors.SettingError as error:
            print(error)
        empty = ROOT.RDataFrame(10_000).Define("m_bb", "0.f").Define("m_jj", "1.f")
        tree = ROOT.RDataFrame("events", file)
        for kind, frame, event in (("tree", tree, "number"), ("empty", empty, None)):
            frame = hr.define(frame, model, "p", seed=7, event=event).Define("entry", event or "rdfentry_")
            found = frame.AsNumpy(["entry", "p_a", "p_b"])
            order = np.argsort(found["entry"])
            np.save(out + kind, np.stack([found["p_a"], found["p_b"]], axis=1)[order])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(path), file, f"{tmp_path}/"],
        cwd=HERE, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "event='event_number'" in done.stdout
    for kind in ("tree", "empty"):
        np.testing.assert_allclose(np.load(tmp_path / f"{kind}.npy"), right, atol=1e-6)
