"""Models on representations: define, apply, Session and C++ give the tensors of the training."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import onnx
import pytest
import ROOT
import uproot
from model_files import write_passing

import hepml_root as hr
from hepml_root.errors import (
    ColumnNotFoundError,
    ColumnTypeError,
    ModelFileError,
    NonFiniteInputError,
    SettingError,
    ShapeError,
)
from hepml_root.export import manifest as manifests

JETS = Path(__file__).parents[1] / "reference" / "jets.root"
SOURCES = {"top": f"{JETS}:top", "qcd": f"{JETS}:qcd"}
AT = {"pt": "constituent_pt", "eta": "constituent_eta", "phi": "constituent_phi"}
EVENTS = 300


@pytest.fixture(scope="module")
def data():
    """Everything at once: scalars, padded columns, an expression, an axis, an image, a graph."""
    particles = hr.representations.constituents(
        "particles", **AT, mass="constituent_mass", max_length=12, axis=("jet_eta", "jet_phi"),
        features=("delta_eta", "delta_phi", "log_pt"),
        extra=("charge := constituent_charge", "pion := abs(constituent_pdg) == 211"),
    )  # fmt: skip
    charged = {**AT, "pt": "constituent_pt * (constituent_charge != 0)"}
    picture = hr.representations.image("picture", **charged, pixels=5, half_width=0.8)
    graph = hr.representations.graph("cloud", **AT, max_length=6, neighbours=3)
    return hr.Dataset.from_root(
        SOURCES, ["jet_mass", particles, picture, graph, "constituent_pdg"], max_length=4
    )


@pytest.fixture(scope="module")
def passing(data, tmp_path_factory):
    """A model that gives back its inputs."""
    return write_passing(tmp_path_factory.mktemp("models") / "passing.onnx", data.describe()["inputs"])


def tensors(data, events: slice = slice(EVENTS)) -> np.ndarray:
    arrays = [np.asarray(array[events], np.float32) for array in data.X.values()]
    return np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1)


def columns_of(frame) -> np.ndarray:
    found = frame.AsNumpy(["score", "event_number"])
    order = np.argsort(found["event_number"])
    return np.stack([np.asarray(row) for row in found["score"]])[order]


def top_order() -> np.ndarray:
    return np.argsort(uproot.open(SOURCES["top"])["event_number"].array(library="np"))


@pytest.mark.parametrize("threads", [0, 2])
def test_define_gives_the_tensors_of_the_training(data, passing, threads):
    if threads:
        ROOT.EnableImplicitMT(threads)
    try:
        frame = hr.define(ROOT.RDataFrame("top", str(JETS)), passing, column="score[]")
        assert np.array_equal(columns_of(frame), tensors(data)[top_order()])
    finally:
        ROOT.DisableImplicitMT()


def test_apply_gives_the_tensors_of_the_training(data, passing, tmp_path):
    hr.apply(passing, SOURCES["top"], tmp_path / "all.root", column="score[]")
    scores = uproot.open(tmp_path / "all.root")["scores"]["score"].array(library="np")
    assert np.array_equal(scores, tensors(data))
    # Plain branches only: these are read in bulk.
    inputs = {"pt": "constituent_pt"}
    for rest in ({}, {"cut": "jet_mass > 80"}):
        hr.apply(passing, SOURCES["top"], tmp_path / "bound.root", column="score[]", inputs=inputs,
                 overwrite=True, **rest)  # fmt: skip
        bound = uproot.open(tmp_path / "bound.root")["scores"]
        entries = bound["entry"].array(library="np") if rest else np.arange(EVENTS)
        scores = bound["score"].array(library="np")
        neutral = tensors(data)[entries] != scores  # only the image of the charged ones has changed
        start = sum(np.prod(b.shape) for b in data.blocks[: [b.name for b in data.blocks].index("picture")])
        assert not neutral[:, : int(start)].any()
        assert neutral[:, int(start) : int(start) + 25].any()


def test_session_takes_tensors_and_columns(data, passing):
    session = hr.Session(passing)
    wanted = tensors(data)
    assert np.array_equal(session.infer({name: array[:EVENTS] for name, array in data.X.items()}), wanted)
    tree = uproot.open(SOURCES["top"])
    arrays = dict(zip(tree.keys(), (tree[name].array() for name in tree.keys()), strict=True))  # noqa: SIM118
    with pytest.raises(ColumnNotFoundError, match="no array 'pion'"):
        session.infer_columns(arrays)  # an expression is not evaluated here: it is given
    arrays["pion"] = abs(arrays["constituent_pdg"]) == 211
    lists = {
        name: [np.asarray(event) for event in array] if array.ndim == 2 else array
        for name, array in arrays.items()
    }
    charged = np.array(["picture" in block.name for block in data.blocks for _ in range(block_size(block))])
    for given in (arrays, lists):
        given = {**given, "pt": given["constituent_pt"]}
        assert np.array_equal(session.infer_columns(given)[:, ~charged], wanted[:, ~charged])
    vectors = [ROOT.RVecF(np.asarray(event)) for event in lists["constituent_pt"]]
    again = session.infer_columns({**arrays, "pt": vectors})
    assert np.array_equal(again[:, ~charged], wanted[:, ~charged])
    with pytest.raises(ShapeError):
        session.infer_columns({**arrays, "pt": lists["constituent_pt"][:10]})
    with pytest.raises(ColumnTypeError):
        session.infer_columns({**arrays, "pt": arrays["jet_pt"]})
    bad = [event * np.nan for event in lists["constituent_pt"]]
    with pytest.raises(NonFiniteInputError, match="event 0"):
        session.infer_columns({**arrays, "pt": bad})


def test_a_model_may_take_some_of_the_tensors(data, tmp_path):
    """Of the graph, the points and their mask only."""
    inputs = [
        entry for entry in data.describe()["inputs"]
        if entry["name"] in ("features", "cloud", "cloud_mask", "constituents", "constituents_mask")
    ]  # fmt: skip
    part = write_passing(tmp_path / "part.onnx", inputs)
    kept = np.concatenate([[block.name] * block_size(block) for block in data.blocks])
    wanted = tensors(data)[:, np.isin(kept, [entry["name"] for entry in inputs])]
    hr.apply(part, SOURCES["top"], tmp_path / "scores.root", column="score[]")
    scores = uproot.open(tmp_path / "scores.root")["scores"]["score"].array(library="np")
    assert np.array_equal(scores, wanted)
    frame = hr.define(ROOT.RDataFrame("top", str(JETS)), part, column="score[]")
    assert np.array_equal(columns_of(frame), wanted[top_order()])
    tree = uproot.open(SOURCES["top"])
    arrays = {name: tree[name].array() for name in tree.keys()}  # noqa: SIM118
    assert np.array_equal(hr.Session(part).infer_columns(arrays), wanted)


def block_size(block) -> int:
    return int(np.prod(block.shape))


MACRO = """
#include "{package}/include/hepml_root/rdf/define.hxx"
void jets() {{
   const auto model = hepml_root::rdf::Load("{library}");
   ROOT::RDataFrame frame("top", "{jets}");
   auto scored = hepml_root::rdf::Define(frame, model, "p");
   auto sums = scored.Define("sum", "float s = 0; for (int i = 0; i < 60; ++i) s += p_v0; return s;");
   scored.Snapshot("scores", "scores.root", {columns});
}}
"""


@pytest.mark.slow
def test_a_cpp_program_gives_the_tensors_of_the_training(data, passing, tmp_path):
    from hepml_root.data.feed_library import HEADERS

    library = hr.compile(passing, tmp_path / "passing.so").library
    size = tensors(data).shape[1]
    names = [f"p_v{i}" for i in range(size)]
    listed = "{" + ", ".join(f'"{name}"' for name in names) + "}"
    macro = MACRO.format(package=HEADERS.parent, library=library, jets=JETS, columns=listed)
    (tmp_path / "jets.C").write_text(macro)
    program = Path(str(ROOT.TROOT.GetBinDir())) / "root.exe"
    done = subprocess.run([str(program), "-l", "-b", "-q", "jets.C"], cwd=tmp_path, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert (tmp_path / "scores.root").exists(), done.stderr
    scores = uproot.open(tmp_path / "scores.root")["scores"].arrays(names, library="np")
    found = np.stack([scores[name] for name in names], axis=1)
    # ROOT's interpreter compiles the representation for another processor: to rounding, not to the bit.
    wanted = tensors(data)
    assert np.isclose(found, wanted, rtol=2e-5, atol=2e-5).mean() > 0.999


def test_inputs_are_bound_by_the_labels_of_what_is_read(data, passing):
    frame = ROOT.RDataFrame("top", str(JETS)).Define("momenta", "2 * constituent_pt")
    doubled = columns_of(hr.define(frame, passing, column="score[]", inputs={"pt": "momenta"}))
    same = columns_of(hr.define(frame, passing, column="score[]", inputs={"pt": "momenta * 0.5f"}))
    wanted = tensors(data)[top_order()]
    names = np.concatenate([[block.name] * block_size(block) for block in data.blocks])
    assert np.array_equal(same[:, names == "particles"], wanted[:, names == "particles"])
    log_pt = np.flatnonzero(names == "particles")[2::5]
    there = wanted[:, np.flatnonzero(names == "particles_mask")] > 0
    np.testing.assert_allclose((doubled - wanted)[:, log_pt][there], np.log(2), atol=1e-5)
    with pytest.raises(SettingError, match=r"no input 'pts'. Nearest: 'pt'"):
        hr.define(frame, passing, inputs={"pts": "momenta"})
    with pytest.raises(
        ColumnNotFoundError, match=r"input 'pt' of .*passing.onnx.*'momentum'. Nearest: 'mome"
    ):
        hr.define(frame, passing, inputs={"pt": "momentum"})
    with pytest.raises(ColumnTypeError, match="one value per event"):
        hr.define(frame, passing, inputs={"pt": "jet_pt"})
    with pytest.raises(ColumnTypeError, match="many values per event"):
        hr.define(frame, passing, inputs={"axis_eta": "constituent_eta"})


def test_bad_events_end_the_loop(passing):
    frame = ROOT.RDataFrame("top", str(JETS))
    nan = hr.define(frame, passing, column="score[]", inputs={"eta": "constituent_eta / 0.f * 0.f"})
    with pytest.raises(Exception, match=r"representation 'particles'.*eta"):
        nan.Define("first", "score[0]").Sum("first").GetValue()
    short = hr.define(frame, passing, column="score[]", inputs={"eta": "Take(constituent_eta, 1)"})
    with pytest.raises(Exception, match="constituents in the same event"):
        short.Define("first", "score[0]").Sum("first").GetValue()


def test_trained_exported_and_applied(data, tmp_path):
    """The scores of Keras within 1e-5, on every road."""
    from hepml_root.evaluation import predict

    particles = next(block.representation for block in data.blocks if block.name == "particles")
    picture = next(block.representation for block in data.blocks if block.name == "picture")
    part = hr.Dataset.from_root(SOURCES, ["jet_mass", particles, picture])
    model = hr.models.dense(part, hidden=(8,))
    hr.fit(model, part, epochs=2, validation=0.2, verbose=0)
    path = hr.export(model, tmp_path / "jets.onnx", data=part)
    keras_scores = predict(model, part)[:EVENTS].ravel()
    session = hr.Session(path)
    np.testing.assert_allclose(session.infer(part.X)[:EVENTS].ravel(), keras_scores, atol=1e-5)
    hr.apply(path, SOURCES["top"], tmp_path / "scores.root")
    applied = uproot.open(tmp_path / "scores.root")["scores"]["score"].array(library="np")
    np.testing.assert_allclose(applied, keras_scores, atol=1e-5)
    defined = hr.define(ROOT.RDataFrame("top", str(JETS)), path).AsNumpy(["score"])["score"]
    np.testing.assert_allclose(defined, keras_scores, atol=1e-5)
    assert np.ptp(keras_scores) > 0.01


DISTRIBUTED = """
import sys, warnings
warnings.simplefilter("ignore")
import ROOT
import hepml_root as hr
from dask.distributed import Client, LocalCluster
def main():
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            connection = ROOT.RDataFrame("top", sys.argv[2], executor=client)
            if sys.argv[3] == "without library":
                from hepml_root.data.feed_library import library
                library("represent").path.rename(library("represent").path.with_suffix(".gone"))
            frame = hr.define(connection, sys.argv[1], column="score[]").Define("total", "Sum(abs(score))")
            print("mean", frame.Mean("total").GetValue())
if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["with library", "without library"])
def test_distributed_frames(data, passing, tmp_path, monkeypatch, how):
    pytest.importorskip("distributed")
    if how == "without library":
        monkeypatch.setenv("HEPML_ROOT_CACHE", str(tmp_path / "cache"))
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(DISTRIBUTED))
    done = subprocess.run([sys.executable, str(script), str(passing), str(JETS), how], capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert "mean" in done.stdout, done.stderr[-3000:]
    mean = float(done.stdout.split("mean")[1].split()[0])
    assert mean == pytest.approx(np.abs(tensors(data).astype(np.float64)).sum(axis=1).mean(), rel=1e-4)


def damaged(passing, path, change):
    proto, manifest = manifests.read_model(passing)
    change({entry["name"]: entry for entry in manifest["inputs"]})
    for entry in proto.metadata_props:
        if entry.key == manifests.KEY:
            import json

            entry.value = json.dumps(manifest)
    onnx.save(proto, str(path))
    return path


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (
            lambda e: e["particles"]["representation"].pop("columns"),
            ModelFileError,
            "lacks the key 'columns'",
        ),
        (
            lambda e: e["particles_mask"].pop("of"),
            ModelFileError,
            "fills 'particles_mask', which does not say",
        ),
        (
            lambda e: e["particles"].pop("representation"),
            ModelFileError,
            "representation 'particles' that is",
        ),
        (lambda e: e["picture"].update(kind="pictures"), ModelFileError, "known are flat, .*image"),
        (
            lambda e: e["picture"]["representation"]["outputs"][0].update(shape=[4, 4, 1]),
            ModelFileError,
            "fills 'picture'",
        ),
        (lambda e: e["picture"]["representation"].update(kind="img"), SettingError, "img"),
        (
            lambda e: e["picture"]["representation"]["settings"].update(pixel=3),
            SettingError,
            "no setting 'pixel'",
        ),
    ],
)
def test_damaged_descriptions_are_refused(passing, tmp_path, change, error, said):
    path = damaged(passing, tmp_path / "damaged.onnx", change)
    with pytest.raises(error, match=said):
        hr.apply(path, SOURCES["top"], tmp_path / "scores.root", engine="onnxruntime")
    assert not (tmp_path / "scores.root").exists()
