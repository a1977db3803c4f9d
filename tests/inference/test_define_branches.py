"""Scores ahead of the loop of inputs that are branches: of which entries, of which files, and when not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import ROOT
from model_files import runtime_scores, write_mlp

import hepml_root as hr

# A score of order one, float32, added up in another order.
CLOSE = 2e-6


@pytest.fixture(scope="module")
def many_types(tmp_path_factory):
    """Three files with trees of different lengths in a folder, columns of several types, and a friend."""
    folder = tmp_path_factory.mktemp("types")
    code = """
    void write_many_types(const char *path, int first, int count, int compression) {
       TFile file(path, "RECREATE", "", compression);
       file.mkdir("deep")->cd();
       TTree tree("events", "events"), other("other", "other");
       float f; double d; int i; unsigned int u; short s; bool b; float o;
       tree.Branch("f", &f); tree.Branch("d", &d); tree.Branch("i", &i); tree.Branch("u", &u);
       tree.Branch("s", &s); tree.Branch("b", &b); other.Branch("o", &o);
       for (int e = first; e < first + count; ++e) {
          f = std::sin(.1 * e); d = std::cos(.2 * e); o = .01f * e;
          i = e % 7 - 3; u = e % 5; s = -(e % 3); b = e % 2;
          tree.Fill(); other.Fill();
       }
       tree.SetAutoFlush(100);
       file.Write();
    }"""
    ROOT.gInterpreter.Declare(code)
    paths = [str(folder / f"{part}.root") for part in "abc"]
    for path, first, count, compression in zip(
        paths, (0, 1, 5000), (1, 4999, 2311), (0, 101, 505), strict=True
    ):
        ROOT.write_many_types(path, first, count, compression)
    model = write_mlp(
        folder / "types.onnx", ["f", "d", "i", "u", "s", "b"], labels=("x", "y"), parameters=["mass"]
    )
    return paths, model


def chain_of(paths, name="deep/events"):
    chain = ROOT.TChain(name)
    for path in paths:
        chain.Add(path)
    return chain


def ways_agree(frame, model, expect_ahead=True, **settings):
    """Compare scores computed ahead with those computed event by event; return the former."""
    blocks = [np.asarray(frame.AsNumpy(["rdfentry_"])["rdfentry_"])]
    both = [
        hr.define(frame, model, "p", ahead=ahead, **settings).AsNumpy(["p_x", "p_y"])
        for ahead in (True, False)
    ]
    assert len(both[0]["p_x"]) == len(blocks[0]) > 0
    for name in ("p_x", "p_y"):
        np.testing.assert_allclose(both[0][name], both[1][name], atol=CLOSE)
    if not expect_ahead:  # the same code for the same event
        np.testing.assert_array_equal(both[0]["p_x"], both[1]["p_x"])
    return both[0]["p_x"]


@pytest.mark.parametrize(
    "cut", ["true", "f > 0.5", "rdfentry_ % 97 == 3", "rdfentry_ > 4500 && rdfentry_ < 5200"]
)
def test_scores_ahead_of_the_loop_are_those_of_the_event(many_types, cut):
    paths, model = many_types
    chain = chain_of(paths)
    frame = ROOT.RDataFrame(chain)
    scores = ways_agree(frame.Filter(cut), model, parameters={"mass": 0.3})
    arrays = frame.Filter(cut).AsNumpy()
    features = np.stack(
        [np.asarray(arrays[name], np.float32) for name in ("f", "d", "i", "u", "s", "b")], axis=1
    )
    expected = runtime_scores(model, features=features, parameters=np.full((len(features), 1), 0.3))
    np.testing.assert_allclose(scores, expected[:, 0], atol=CLOSE)


def test_scores_ahead_follow_ranges_entry_lists_and_second_loops(many_types):
    paths, model = many_types
    chain = chain_of(paths)
    ways_agree(ROOT.RDataFrame(chain).Range(17, 6000, 3), model, parameters={"mass": "f"})
    entries = ROOT.TEntryList("some", "", "deep/events", paths[1])
    for entry in (5, 6, 7, 900, 4000):
        entries.Enter(entry)
    ROOT.SetOwnership(entries, False)  # the chain deletes it
    chain.SetEntryList(entries)
    selected = ROOT.RDataFrame(chain)
    scored = hr.define(selected, model, "p", parameters={"mass": 1})
    first, second = (scored.AsNumpy(["p_x", "f"]) for _ in range(2))
    np.testing.assert_array_equal(first["p_x"], second["p_x"])
    expected = hr.define(selected, model, "p", parameters={"mass": 1}, ahead=False).AsNumpy(["p_x"])["p_x"]
    assert len(expected) >= 4
    np.testing.assert_allclose(first["p_x"], expected, atol=CLOSE)


def test_columns_that_are_no_branches_are_not_read_ahead(many_types):
    paths, model = many_types
    chain, friend = chain_of(paths), chain_of(paths, "deep/other")
    chain.AddFriend(friend, "side")
    frame = ROOT.RDataFrame(chain)
    ways_agree(frame.Redefine("f", "2 * f"), model, expect_ahead=False, parameters={"mass": 1})
    ways_agree(frame, model, expect_ahead=False, parameters={"mass": "side.o"})  # of the friend
    ways_agree(frame, model, expect_ahead=False, parameters={"mass": "2 * o"})  # by its short name
    ways_agree(frame.Define("g", "3.5"), model, expect_ahead=False, inputs={"f": "g"}, parameters={"mass": 1})
    ways_agree(frame.Alias("h", "d"), model, inputs={"f": "h"}, parameters={"mass": "f"})


def test_varied_scores_are_not_those_of_the_branch(many_types):
    paths, model = many_types
    chain = chain_of(paths)
    frame = ROOT.RDataFrame(chain).Vary("f", "ROOT::RVecF{f - 1, f + 1}", ["down", "up"])
    means = [
        ROOT.RDF.Experimental.VariationsFor(
            hr.define(frame, model, "p", parameters={"mass": 1}, ahead=ahead).Mean("p_x")
        )
        for ahead in (True, False)
    ]
    for name in ("nominal", "f:down", "f:up"):
        assert means[0][name] == pytest.approx(means[1][name], abs=1e-6)
    assert abs(means[0]["f:up"] - means[0]["nominal"]) > 1e-4


def test_an_alias_is_read_and_varies_like_its_column(many_types):
    paths, model = many_types
    chain = chain_of(paths)
    frame = ROOT.RDataFrame(chain)
    settings = {"inputs": {"f": "h"}, "parameters": {"mass": 1}}
    ways_agree(frame.Define("g", "2 * f").Alias("h", "g"), model, expect_ahead=False, **settings)
    ways_agree(frame.Redefine("f", "2 * f").Alias("h", "f"), model, expect_ahead=False, **settings)
    varied = frame.Alias("h", "f").Vary("f", "ROOT::RVecF{f - 1, f + 1}", ["down", "up"])
    aliased, plain = (
        ROOT.RDF.Experimental.VariationsFor(hr.define(varied, model, "p", **bound).Mean("p_x"))
        for bound in (settings, {"parameters": {"mass": 1}})
    )
    for name in ("nominal", "f:down", "f:up"):
        assert aliased[name] == pytest.approx(plain[name], abs=1e-6)
    assert abs(aliased["f:up"] - aliased["nominal"]) > 1e-4


def write_line(path, slope, mode="RECREATE", events=300):
    """Write the tree `line` with the column x, x = slope * entry / events."""
    with ROOT.TFile.Open(str(path), mode) as file:
        frame = ROOT.RDataFrame(events).Define("x", f"float({slope}.0 * rdfentry_ / {events})")
        options = ROOT.RDF.RSnapshotOptions()
        options.fMode = "RECREATE"
        part = path.with_suffix(".part.root")
        frame.Snapshot("line", str(part), ["x"], options)
        with ROOT.TFile.Open(str(part)) as written:
            file.cd()
            written["line"].CloneTree(-1, "fast").Write()


def assert_scores_belong_to_events(scored, model):
    found = scored.AsNumpy(["x", "p"])
    features = np.asarray(found["x"], np.float32)[:, None]
    np.testing.assert_allclose(found["p"], runtime_scores(model, features=features)[:, 0], atol=CLOSE)


def test_scores_are_of_the_file_that_the_loop_has_open(tmp_path):
    """Not of another one that took its name meanwhile."""
    model = write_mlp(tmp_path / "line.onnx", ["x"])
    path, other = tmp_path / "line.root", tmp_path / "other.root"
    write_line(path, 1)
    write_line(other, -3)
    scored = hr.define(ROOT.RDataFrame("line", str(path)), model, "p")
    other.rename(path)
    assert_scores_belong_to_events(scored, model)


def test_scores_are_of_the_cycle_that_the_loop_reads(tmp_path):
    """A file may hold two trees of one name, as long as each other."""
    model = write_mlp(tmp_path / "line.onnx", ["x"])
    path = tmp_path / "line.root"
    write_line(path, 1)
    write_line(path, -3, "UPDATE")
    for cycle in ("line;1", "line;2", "line"):
        frame = ROOT.RDataFrame(cycle, str(path))
        assert (frame.Max("x").GetValue() > 0) == (cycle == "line;1")
        assert_scores_belong_to_events(hr.define(frame, model, "p"), model)


def test_files_that_were_read_are_closed(tmp_path):
    """A chain may have more files than a process may open."""
    model = write_mlp(tmp_path / "line.onnx", ["x"])
    paths = [tmp_path / f"{number}.root" for number in range(60)]
    write_line(paths[0], 1, events=10)
    for path in paths[1:]:
        shutil.copy(paths[0], path)
    chain = chain_of([str(path) for path in paths], "line")
    scored = hr.define(ROOT.RDataFrame(chain), model, "p").Sum("p")
    total = scored.GetValue()
    still_open = [os.path.realpath(place) for place in Path("/proc/self/fd").iterdir()]
    assert sum(Path(place) in paths for place in still_open) <= 3
    features = np.arange(10, dtype=np.float32)[:, None] / np.float32(10)
    assert total == pytest.approx(60 * runtime_scores(model, features=features).sum(), rel=1e-5)
