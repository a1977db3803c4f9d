"""Scores as columns of an RDataFrame: against ONNX Runtime, on real events, in every kind of frame."""

from __future__ import annotations

import numpy as np
import pytest
import ROOT
from model_files import HIGGS, _block, runtime_scores, write_deep_sets, write_mlp, write_passing

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


@pytest.mark.parametrize(
    ("kind", "said"),
    [("mask", "is a mask, and the file does not say of what"), ("image", "array of kind 'image'")],
)
def test_what_no_column_fills_is_refused(higgs_frame, tmp_path, kind, said):
    """The network would see what is in memory by chance: a lone mask, an image that was given as an array."""
    shape, columns = ([3], []) if kind == "mask" else ([4, 4, 1], ["picture_0"])
    path = write_passing(tmp_path / "picture.onnx", [_block("picture", kind, shape, columns)])
    with pytest.raises(ModelFileError, match=said):
        hr.define(higgs_frame, path)


def test_columns_that_rdataframe_confuses(tmp_path):
    """RDataFrame calls the columns of an expression var0, var1, …, one after the other: those of that name
    come out as others. In this order it takes var1 for var3."""
    columns = ("var1", "var2", "var3", "var4")
    frame = ROOT.RDataFrame(50)
    for number, name in enumerate(columns):
        frame = frame.Define(name, f"float(sin(rdfentry_ + {number}))")
    frame = frame.Define("jet_var2", "ROOT::RVecF{var2, var1}")
    arrays = frame.AsNumpy()
    features = matrix(arrays, columns)
    plain = frame.Define("all", "ROOT::RVecF{var1, var2, var3, var4}").AsNumpy(["all"])["all"]
    if not np.array_equal(np.stack([np.asarray(row) for row in plain]), features):
        # That is what this test is for: this ROOT does it.
        assert np.array_equal(np.stack([np.asarray(row) for row in plain])[:, 2], features[:, 0])
    path = write_mlp(tmp_path / "tmva.onnx", columns)
    node = hr.define(frame, path, ahead=False)
    expected = runtime_scores(path, features=features)
    assert np.std(expected) > 0.01
    np.testing.assert_allclose(node.AsNumpy(["score"])["score"], expected[:, 0], atol=CLOSE)
    assert {str(name) for name in node.GetColumnNames()} == {*columns, "jet_var2", "score"}
    formulas = write_mlp(
        tmp_path / "formulas.onnx", ["a := var1 + var2", "b := var4 - var1 * var2", "var3", "var1"]
    )
    scores = hr.define(frame, formulas, inputs={"var3": "var3 / 2"}).AsNumpy(["score"])["score"]
    one, two, three, four = features.T
    changed = np.stack([one + two, four - one * two, three / 2, one], axis=1)
    np.testing.assert_allclose(scores, runtime_scores(formulas, features=changed)[:, 0], atol=CLOSE)
    # From the file the branches are read in bulk, where there are no such names; event by event there are.
    frame.Snapshot("tree", str(tmp_path / "tree.root"), columns)
    for ahead in (True, False):
        node = hr.define(ROOT.RDataFrame("tree", str(tmp_path / "tree.root")), path, ahead=ahead)
        np.testing.assert_allclose(node.AsNumpy(["score"])["score"], expected[:, 0], atol=CLOSE)
    varied = frame.Vary("var3", "ROOT::RVecF{var3 + 1}", ["up"], "shift")
    mean = ROOT.RDF.Experimental.VariationsFor(hr.define(varied, path).Mean("score"))
    features[:, 2] += 1
    shifted = runtime_scores(path, features=features)[:, 0].mean(dtype=np.float64)
    assert mean["shift:up"] == pytest.approx(shifted, abs=CLOSE)
