"""The C++ macros, run by ROOT's own program as a user would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import ROOT
import uproot
from model_files import HIGGS, runtime_scores, write_deep_sets, write_mlp

import hepml_root as hr
from hepml_root.data.shipped import shipped_file

MACROS = Path(__file__).parents[2] / "macros"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("macros")


@pytest.fixture(scope="module")
def features():
    arrays = uproot.open(shipped_file("Higgs_data.root"))["sig_tree"].arrays(list(HIGGS), library="np")
    return np.stack([arrays[name] for name in HIGGS], axis=1)


def run_root(
    macro: str, *arguments: str, cwd: Path, path: str | None = None
) -> subprocess.CompletedProcess[str]:
    program = Path(str(ROOT.TROOT.GetBinDir())) / "root.exe"
    call = f"{macro}({', '.join(chr(34) + argument + chr(34) for argument in arguments)})"
    here = str(Path(sys.executable).parent)
    return subprocess.run(
        [str(program), "-l", "-b", "-q", call], cwd=cwd, capture_output=True, text=True, check=False,
        env=os.environ | {"PATH": path or f"{here}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip


def test_apply_model_from_an_onnx_file(folder, features, tmp_path):
    model = write_mlp(folder / "higgs.onnx")
    file = shipped_file("Higgs_data.root")
    done = run_root(f"{MACROS}/applyModel.C", str(model), file, "sig_tree", "scores.root", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "scores.root:scores has score of 10000 events" in done.stdout
    scores = uproot.open(tmp_path / "scores.root")["scores"]
    assert scores.keys() == ["score"]
    expected = runtime_scores(model, features=features)
    np.testing.assert_allclose(scores["score"].array(library="np"), expected[:, 0], atol=2e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["scores.root"]


def test_apply_model_from_a_library_with_jagged_columns_and_classes(folder, tmp_path):
    # A file whose columns need an alias, an expression and padding.
    frame = (
        ROOT.RDataFrame(300)
        .Define("n", "(int)rdfentry_ % 6")
        .Define("jet_pt", "ROOT::RVecF v(n, 70. + n); return v;")
    )
    frame = frame.Define("jet_eta", "ROOT::RVecF v(n, 1.f - n); return v;")
    options = ROOT.RDF.RSnapshotOptions()
    options.fOutputFormat = ROOT.RDF.ESnapshotOutputFormat.kTTree
    frame.Snapshot("events", str(tmp_path / "jets.root"), ["n", "jet_pt", "jet_eta"], options)
    model = write_deep_sets(folder / "jets.onnx", ["pt := jet_pt / 100", "jet_eta"], length=3)
    hr.compile(model, tmp_path / "jets.so")
    # With the library, neither Python nor a compiler is asked for.
    done = run_root(
        f"{MACROS}/applyModel.C",
        "jets.so",
        "jets.root",
        "events",
        "out.root",
        "net",
        cwd=tmp_path,
        path="/nowhere:/bin:/usr/bin",
    )
    assert done.returncode == 0, done.stderr
    expected = hr.define(frame, model).AsNumpy(["score"])["score"]
    np.testing.assert_allclose(
        uproot.open(tmp_path / "out.root")["scores"]["net"].array(library="np"), expected, atol=2e-6
    )


@pytest.mark.slow
def test_apply_model_with_several_values(folder, features, tmp_path):
    model = write_mlp(folder / "classes.onnx", labels=("top", "qcd jet"))
    hr.compile(model, tmp_path / "classes.so")
    file = shipped_file("Higgs_data.root")
    done = run_root(f"{MACROS}/applyModel.C", "classes.so", file, "sig_tree", "out.root", "p", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    table = uproot.open(tmp_path / "out.root")["scores"]
    expected = runtime_scores(model, features=features)
    for index, name in enumerate(("p_top", "p_qcd_jet")):
        np.testing.assert_allclose(table[name].array(library="np"), expected[:, index], atol=2e-6)


# Each starts ROOT and compiles the macro.
MISSING = (
    (("{model}", "{file}", "no_tree", "out.root"), "has no tree 'no_tree'"),
    (("missing.onnx", "{file}", "sig_tree", "out.root"), "there is no model file 'missing.onnx'"),
    (("text.onnx", "{file}", "sig_tree", "out.root"), "'text.onnx' was not compiled"),
    (("text.so", "{file}", "sig_tree", "out.root"), "'text.so' is no compiled model"),
    (("{model}", "missing.root", "sig_tree", "out.root"), "'missing.root' cannot be opened"),
    (("{model}", "{other}", "TreeR", "out.root"), "needs the column"),
    (("{model}", "{file}", "sig_tree", "text.so"), "'text.so' exists already"),
)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [MISSING[0], *(pytest.param(*case, marks=pytest.mark.slow) for case in MISSING[1:])],
)
def test_what_is_missing_is_named(folder, tmp_path, arguments, said):
    model = folder / "higgs.onnx"
    if not model.exists():
        write_mlp(model)
    for name in ("text.onnx", "text.so"):
        (tmp_path / name).write_text("no model")
    names = {
        "model": model,
        "file": shipped_file("Higgs_data.root"),
        "other": shipped_file("tmva_reg_example.root"),
    }
    before = set(tmp_path.iterdir())
    done = run_root(f"{MACROS}/applyModel.C", *(a.format(**names) for a in arguments), cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("compiled", ["", pytest.param("+", marks=pytest.mark.slow)])
def test_header_in_a_macro(folder, features, tmp_path, compiled):
    from hepml_root.export.cpp import generate

    model = folder / "header.onnx"
    if not model.exists():
        write_mlp(model, seed=8)
    generate(model, "higgs").save(tmp_path)
    shutil.copy(MACROS / "inferHeader.C", tmp_path)
    done = run_root(f"inferHeader.C{compiled}", shipped_file("Higgs_data.root"), "sig_tree", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    expected = runtime_scores(model, features=features)[:, 0]
    words = done.stdout.split("mean score ")[1].replace(",", "").split()
    assert float(words[0]) == pytest.approx(expected.mean(), rel=1e-4)
    assert abs(int(words[1]) - np.count_nonzero(expected > 0.5)) <= 1  # one may lie on the border


@pytest.mark.parametrize("compiled", ["", pytest.param("+", marks=pytest.mark.slow)])
def test_functors_in_a_macro(folder, features, tmp_path, compiled):
    """Numbers and jagged columns, two networks, two threads, and a variation of an input."""
    from hepml_root.export.cpp import generate

    higgs, jets = folder / "of_numbers.onnx", folder / "of_jets.onnx"
    if not jets.exists():
        write_mlp(higgs, seed=8)
        write_deep_sets(jets, ["jet_pt", "jet_eta"], length=3)
    generate(higgs, "higgs").save(tmp_path)
    generate(jets, "jets").save(tmp_path)
    shutil.copy(MACROS / "functors.C", tmp_path)
    (tmp_path / "hepml_root").symlink_to(Path(hr.__file__).parent / "include" / "hepml_root")
    done = run_root(f"functors.C{compiled}", shipped_file("Higgs_data.root"), "sig_tree", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    means = dict(line.split(": ") for line in done.stdout.splitlines() if line.startswith("mean"))
    for name, scale in (("nominal", 1.0), ("m_bb:down", 0.9), ("m_bb:up", 1.1)):
        varied = features.copy()
        varied[:, HIGGS.index("m_bb")] *= np.float32(scale)
        expected = runtime_scores(higgs, features=varied).mean(dtype=np.float64)
        assert float(means[f"mean score, {name}"]) == pytest.approx(expected, abs=1e-6)
    padded, mask = np.zeros((len(features), 3, 2), np.float32), np.zeros((len(features), 3), np.float32)
    pt, eta = ([HIGGS.index(f"jet{jet}_{what}") for jet in (1, 2, 3, 4)] for what in ("pt", "eta"))
    for event, row in enumerate(features):
        kept = np.flatnonzero(row[pt] > 0.7)[:3]
        padded[event, : len(kept), 0], padded[event, : len(kept), 1] = row[pt][kept], row[eta][kept]
        mask[event, : len(kept)] = 1
    expected = runtime_scores(jets, jets=padded, jets_mask=mask).mean(dtype=np.float64)
    assert float(means["mean top score"]) == pytest.approx(expected, abs=1e-6)


def test_columns_that_rdataframe_confuses_in_a_macro(folder, tmp_path):
    """The same as `test_define.py` has in Python: var1 is not taken for var3."""
    columns = ("var1", "var2", "var3", "var4")
    path = write_mlp(folder / "tmva.onnx", columns)
    hr.compile(path, tmp_path / "tmva.so", isa="native")
    header = Path(hr.__file__).parent / "include" / "hepml_root" / "rdf" / "define.hxx"
    (tmp_path / "confused.C").write_text(
        f"""
        #include "{header}"
        void confused(const char* library) {{
           const auto model = hepml_root::rdf::Load(library);
           ROOT::RDF::RNode frame = ROOT::RDataFrame(8);
           for (int i = 0; i < 4; ++i)
              frame = frame.Define("var" + std::to_string(i + 1),
                                   "float(rdfentry_ % " + std::to_string(i + 2) + ")");
           std::cout << *hepml_root::rdf::Define(frame, model).Mean("score") << std::endl;
        }}
        """
    )
    done = run_root("confused.C", "tmva.so", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line and not line.startswith("Processing")]
    features = np.stack([np.arange(8) % (i + 2) for i in range(4)], axis=1).astype(np.float32)
    expected = runtime_scores(path, features=features).mean(dtype=np.float64)
    assert float(said[0]) == pytest.approx(expected, abs=2e-6)


def test_columns_that_do_not_fit_are_named_in_a_macro(folder, tmp_path):
    """The C++ Define says which input and which column, before anything is interpreted."""
    hr.compile(
        write_deep_sets(folder / "sets.onnx", ["jet_pt", "jet_eta"], length=3),
        tmp_path / "sets.so",
        isa="native",
    )
    header = Path(hr.__file__).parent / "include" / "hepml_root" / "rdf" / "define.hxx"
    (tmp_path / "wrong.C").write_text(
        f"""
        #include "{header}"
        void wrong(const char* library) {{
           const auto model = hepml_root::rdf::Load(library);
           auto frame = ROOT::RDataFrame(4).Define("jet_pt", "ROOT::RVecF(2, 1.f)")
                           .Define("jet_eta", "ROOT::RVecD(2, 1.)").Define("met", "1.f");
           using Expressions = std::map<std::string, std::string>;
           for (const Expressions& expressions : {{Expressions{{{{"jet_pt", "met"}}}}, {{{{"jet_pt", "pt"}}}},
                                                  {{{{"jet_pT", "met"}}}}}})
              try {{
                 hepml_root::rdf::Define(frame, model, "score", expressions);
              }} catch (const std::exception& error) {{
                 std::cout << error.what() << std::endl;
              }}
           std::cout << *hepml_root::rdf::Define(frame, model).Mean("score") << std::endl;
        }}
        """
    )
    done = run_root("wrong.C", "sets.so", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith("Processing")]
    kind, missing, unknown, score = lines
    assert "input 'jet_pt' of model 'sets' needs many values per event, and the column 'met' is float" in kind
    assert "needs the column 'pt', which the data frame lacks" in missing
    assert "has no input 'jet_pT'; it has jet_pt, jet_eta" in unknown
    assert np.isfinite(float(score))
