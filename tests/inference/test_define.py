"""Scores as columns of an RDataFrame: against ONNX Runtime, on real events, in every kind of frame."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import ROOT
from model_files import HIGGS, runtime_scores, write_deep_sets, write_mlp

import hepml_root as hr
from hepml_root.data.shipped import shipped_file
from hepml_root.errors import (
    ColumnNotFoundError,
    ColumnTypeError,
    ExpressionError,
    ModelFileError,
    SettingError,
    SourceNotFoundError,
)

HERE = Path(__file__).parent
# A score of order one, float32, added up in another order.
CLOSE = 2e-6


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "higgs": write_mlp(folder / "higgs.onnx"),
        "classes": write_mlp(folder / "classes.onnx", labels=("top", "qcd jet", "w"), seed=3),
        "expression": write_mlp(folder / "expression.onnx", ["dphi := abs(lepton_phi - jet1_phi)", "m_bb"]),
        "parameter": write_mlp(folder / "parameter.onnx", ["m_bb", "m_jj"], parameters=["mass"]),
        "jets": write_deep_sets(folder / "jets.onnx", ["pt := jet_pt / 100", "jet_eta"], length=3),
    }


@pytest.fixture
def higgs_frame():
    return ROOT.RDataFrame("sig_tree", shipped_file("Higgs_data.root"))


@pytest.fixture
def jets_frame():
    frame = ROOT.RDataFrame(50).Define("n", "(int)rdfentry_ % 6")
    frame = frame.Define(
        "jet_pt", "ROOT::RVecD v; for (int i = 0; i < n; ++i) v.push_back(50. + 7 * i + n); return v;"
    )
    return frame.Define(
        "jet_eta", "std::vector<float> v; for (int i = 0; i < n; ++i) v.push_back(.3 * i); return v;"
    )


def matrix(arrays, columns=HIGGS):
    return np.stack([np.asarray(arrays[name], np.float32) for name in columns], axis=1)


def test_scores_are_those_of_onnx_runtime(models, higgs_frame):
    arrays = hr.define(higgs_frame, models["higgs"]).AsNumpy()
    expected = runtime_scores(models["higgs"], features=matrix(arrays))
    assert arrays["score"].dtype == np.float32
    assert np.std(expected) > 0.01
    np.testing.assert_allclose(arrays["score"], expected[:, 0], atol=CLOSE)


def test_frame_gains_only_the_score(models, higgs_frame):
    before = {str(name) for name in higgs_frame.GetColumnNames()}
    after = {str(name) for name in hr.define(higgs_frame, models["higgs"], column="bdt").GetColumnNames()}
    assert after - before == {"bdt"}


def test_several_values_become_columns_or_a_vector(models, higgs_frame):
    frame = hr.define(higgs_frame, models["classes"])
    frame = hr.define(frame, models["classes"], column="p_{label}")
    frame = hr.define(frame, models["classes"], column=["a", "b", "c"])
    frame = hr.define(frame, models["classes"], column="all[]")
    arrays = frame.AsNumpy()
    expected = runtime_scores(models["classes"], features=matrix(arrays))
    for names in (("score_top", "score_qcd_jet", "score_w"), ("p_top", "p_qcd_jet", "p_w"), ("a", "b", "c")):
        np.testing.assert_allclose(matrix(arrays, names), expected, atol=CLOSE)
    np.testing.assert_allclose(np.stack([np.asarray(v) for v in arrays["all"]]), expected, atol=CLOSE)


def test_models_live_side_by_side_on_filtered_frames(models, higgs_frame):
    frame = hr.define(higgs_frame.Filter("jet1_pt > 1"), models["higgs"], column="first").Filter(
        "first > 0.5"
    )
    arrays = hr.define(frame, models["expression"], column="second").AsNumpy()
    assert 0 < len(arrays["first"]) < 10000
    assert arrays["first"].min() > 0.5
    dphi = np.abs(arrays["lepton_phi"] - arrays["jet1_phi"])
    expected = runtime_scores(models["expression"], features=np.stack([dphi, arrays["m_bb"]], axis=1))
    np.testing.assert_allclose(arrays["second"], expected[:, 0], atol=CLOSE)


def test_inputs_can_be_bound_to_other_expressions(models, higgs_frame):
    frame = higgs_frame.Define("mass", "m_bb * 1000.")  # a double, in other units
    frame = hr.define(
        frame,
        models["higgs"],
        inputs={"m_bb": "mass / 1000", "jet1_b-tag": "jet2_b-tag * 0.5 + jet1_b-tag * 0.5"},
    )
    arrays = frame.AsNumpy()
    features = matrix(arrays)
    features[:, HIGGS.index("jet1_b-tag")] = (arrays["jet1_b-tag"] + arrays["jet2_b-tag"]) / 2
    expected = runtime_scores(models["higgs"], features=features)
    np.testing.assert_allclose(arrays["score"], expected[:, 0], atol=CLOSE)


def test_columns_may_have_any_name(models, higgs_frame):
    # RDataFrame replaces column names anywhere in an expression, also where they are names of our own.
    frame = higgs_frame
    for name in ("inputs", "outputs", "scores", "features", "f"):
        frame = frame.Define(name, "1.5")
    arrays = hr.define(frame, models["higgs"], ahead=False).AsNumpy([*HIGGS, "score"])
    expected = runtime_scores(models["higgs"], features=matrix(arrays))
    np.testing.assert_allclose(arrays["score"], expected[:, 0], atol=CLOSE)


@pytest.mark.parametrize("given", [125, "125.f", "mH"])
def test_parameters_are_numbers_or_expressions(models, higgs_frame, given):
    frame = higgs_frame.Define("mH", "125")
    arrays = hr.define(frame, models["parameter"], parameters={"mass": given}).AsNumpy(
        ["m_bb", "m_jj", "score"]
    )
    features = matrix(arrays, ["m_bb", "m_jj"])
    mass = np.full((len(features), 1), 125.0)
    expected = runtime_scores(models["parameter"], features=features, parameters=mass)
    np.testing.assert_allclose(arrays["score"], expected[:, 0], atol=CLOSE)


def test_jagged_columns_are_padded_cut_and_masked(models, jets_frame):
    arrays = hr.define(jets_frame, models["jets"]).AsNumpy()
    jets, mask = np.zeros((50, 3, 2), np.float32), np.zeros((50, 3), np.float32)
    for event, (pt, eta) in enumerate(zip(arrays["jet_pt"], arrays["jet_eta"], strict=True)):
        for jet in range(min(len(pt), 3)):
            jets[event, jet], mask[event, jet] = (pt[jet] / 100, eta[jet]), 1
    assert mask.sum(axis=1).min() == 0
    expected = runtime_scores(models["jets"], jets=jets, jets_mask=mask)
    np.testing.assert_allclose(arrays["score"], expected[:, 0], atol=CLOSE)


def test_jagged_columns_of_different_lengths_are_refused_in_the_loop(models, jets_frame):
    frame = hr.define(jets_frame.Redefine("jet_eta", "ROOT::RVecF{1.f}"), models["jets"])
    with pytest.raises(Exception, match="0 and 1 constituents in the same event"):
        frame.Sum("score").GetValue()


def test_score_varies_with_its_inputs(models, higgs_frame):
    frame = higgs_frame.Vary("m_bb", "ROOT::RVecF{0.9f * m_bb, 1.1f * m_bb}", ["down", "up"])
    means = ROOT.RDF.Experimental.VariationsFor(hr.define(frame, models["higgs"]).Mean("score"))
    arrays = higgs_frame.AsNumpy()
    for name, scale in (("nominal", 1.0), ("m_bb:down", 0.9), ("m_bb:up", 1.1)):
        features = matrix(arrays)
        features[:, HIGGS.index("m_bb")] *= np.float32(scale)
        assert means[name] == pytest.approx(
            runtime_scores(models["higgs"], features=features).mean(), abs=1e-6
        )
    assert abs(means["m_bb:up"] - means["m_bb:down"]) > 1e-4


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


def in_child(code: str, *arguments: object) -> str:
    """Run code in a process of its own: threads and clusters are settings of a whole process."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=HERE, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_slots_do_not_disturb_each_other_under_implicit_multi_threading(models):
    output = in_child(
        """
        import sys, numpy as np, ROOT, hepml_root as hr
        from hepml_root.data.shipped import shipped_file
        from model_files import HIGGS, runtime_scores
        ROOT.EnableImplicitMT(4)
        file = shipped_file("Higgs_data.root")
        chain = ROOT.TChain("sig_tree")
        for _ in range(8):  # more than one task a thread
            chain.Add(file)
        frame = hr.define(ROOT.RDataFrame(chain), sys.argv[1])
        arrays = hr.define(frame, sys.argv[2], column="p").AsNumpy([*HIGGS, "score", "p_w"])
        features = np.stack([arrays[name] for name in HIGGS], axis=1)
        first, second = (runtime_scores(path, features=features) for path in sys.argv[1:])
        print(len(features), abs(arrays["score"] - first[:, 0]).max())
        print(abs(arrays["p_w"] - second[:, 2]).max())
        """,
        models["higgs"],
        models["classes"],
    )
    events, *differences = output.split()
    assert events == "80000"
    assert max(map(float, differences)) < CLOSE


def test_without_a_compiler_the_interpreter_computes(models, monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", str(tmp_path / "no-compiler"))
    monkeypatch.setenv("HEPML_ROOT_CACHE", str(tmp_path))
    output = in_child(
        """
        import sys, ROOT, hepml_root as hr
        from hepml_root.data.shipped import shipped_file
        from model_files import HIGGS, runtime_scores
        import numpy as np
        frame = ROOT.RDataFrame("sig_tree", shipped_file("Higgs_data.root"))
        frame = hr.define(frame, sys.argv[1])
        arrays = frame.AsNumpy([*HIGGS, "score"])
        expected = runtime_scores(sys.argv[1], features=np.stack([arrays[name] for name in HIGGS], axis=1))
        print(abs(arrays["score"] - expected[:, 0]).max())
        """,
        models["higgs"],
    )
    assert float(output) < CLOSE


DISTRIBUTED = """
    import os, shutil, sys, ROOT, hepml_root as hr
    from pathlib import Path
    from dask.distributed import Client, LocalCluster
    from hepml_root.data.shipped import shipped_file
    if __name__ == "__main__":
        file = shipped_file("Higgs_data.root")
        local = hr.define(ROOT.RDataFrame("sig_tree", file), sys.argv[1]).Mean("score").GetValue()
        cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None)
        with cluster, Client(cluster) as client:
            frame = ROOT.RDataFrame("sig_tree", file, executor=client, npartitions=2)
            frame = hr.define(frame.Filter("m_bb > 0"), sys.argv[1])
            frame = hr.define(frame, sys.argv[2], column="p")
            if sys.argv[3] == "without library":  # as on a machine that does not see this one's files
                for folder in Path(os.environ["HEPML_ROOT_CACHE"]).glob("*/*.so"):
                    folder.unlink()
            means = [frame.Mean("score"), frame.Mean("p_top")]
            print("means", local, *(mean.GetValue() for mean in means))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["with library", "without library"])
def test_distributed_frames(models, tmp_path, monkeypatch, how):
    pytest.importorskip("distributed")
    if how == "without library":
        monkeypatch.setenv("HEPML_ROOT_CACHE", str(tmp_path))
    output = in_child(DISTRIBUTED, models["higgs"], models["classes"], how)
    local, distributed, classes = map(float, output.split("means")[1].split())
    assert distributed == pytest.approx(local, abs=1e-6)
    assert 0 < classes < 1


def test_no_keras_is_loaded(models):
    output = in_child(
        """
        import sys, ROOT, hepml_root as hr
        from hepml_root.data.shipped import shipped_file
        frame = ROOT.RDataFrame("sig_tree", shipped_file("Higgs_data.root"))
        hr.define(frame, sys.argv[1]).Mean("score").GetValue()
        print(sorted({"keras", "tensorflow", "jax", "torch"} & set(sys.modules)))
        """,
        models["higgs"],
    )
    assert output.strip() == "[]"


@pytest.mark.parametrize(
    ("model", "settings", "error", "said"),
    [
        (
            "higgs",
            {"inputs": {"m_bb": "m_bbb"}},
            ColumnNotFoundError,
            r"input 'm_bb'.*'m_bbb'. Nearest: 'm_bb'",
        ),
        ("higgs", {"inputs": {"m_bb": "m_bbb + 1"}}, ColumnNotFoundError, r"'m_bbb'. Nearest: 'm_bb'"),
        ("higgs", {"inputs": {"m_bb": "m_bb +* 1"}}, ExpressionError, r"input 'm_bb'.*no valid C\+\+"),
        ("higgs", {"inputs": {"m_b": "m_bb"}}, SettingError, r"no input 'm_b'. Nearest: 'm_bb'"),
        ("higgs", {"inputs": {"m_bb": 3.0}}, SettingError, r"'m_bb' needs an expression"),
        ("higgs", {"inputs": {"m_bb": "some_jets"}}, ColumnTypeError, r"'some_jets\[0\]'"),
        ("higgs", {"parameters": {"mass": 1}}, SettingError, r"no parameter 'mass'"),
        ("parameter", {}, ColumnNotFoundError, r"'mass'.*parameters=\{'mass': number or expression\}"),
        (
            "parameter",
            {"parameters": {"mass": float("nan")}},
            SettingError,
            r"a finite number or an expression",
        ),
        ("higgs", {"column": "m_jj"}, SettingError, r"has a column 'm_jj' already"),
        ("higgs", {"column": "my score"}, SettingError, r"'my score' cannot be used"),
        ("classes", {"column": ["a", "b"]}, SettingError, r"2 column names for 3 output values"),
        ("classes", {"column": ["a", "b", "a"]}, SettingError, r"not all different"),
        ("jets", {"inputs": {"pt": "some_jets", "jet_eta": "m_bb"}}, ColumnTypeError, r"many are needed"),
    ],
)
def test_what_cannot_be_is_named(models, higgs_frame, model, settings, error, said):
    frame = higgs_frame.Define("some_jets", "ROOT::RVecF{1.f}")
    with pytest.raises(error, match=said):
        hr.define(frame, models[model], **settings)
    assert frame.Count().GetValue() == 10000  # the frame is as good as before


def test_no_frame_and_no_model(models, higgs_frame, tmp_path):
    with pytest.raises(SettingError, match="an RDataFrame"):
        hr.define("Higgs_data.root", models["higgs"])
    with pytest.raises(SourceNotFoundError, match="missing"):
        hr.define(higgs_frame, tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ModelFileError):
        hr.define(higgs_frame, tmp_path / "text.onnx")
