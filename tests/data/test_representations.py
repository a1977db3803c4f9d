"""Datasets with representations: in memory, lazy, streamed, from arrays; losses counted; bad input named."""

from __future__ import annotations

import json
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

import hepml_root as hr
from hepml_root.errors import (
    ColumnNotFoundError,
    ColumnTypeError,
    NonFiniteInputError,
    SettingError,
    ShapeError,
)

JETS = Path(__file__).parents[1] / "reference" / "jets.root"
SOURCES = {"top": f"{JETS}:top", "qcd": f"{JETS}:qcd"}
AT = {"pt": "constituent_pt", "eta": "constituent_eta", "phi": "constituent_phi"}


def particles(**settings):
    settings = {"max_length": 20, "extra": ("charge := constituent_charge",), **settings}
    return hr.representations.constituents("particles", **AT, mass="constituent_mass", **settings)


def picture(**settings):
    return hr.representations.image("picture", **AT, pixels=8, half_width=0.8, **settings)


@pytest.fixture(scope="module")
def data():
    inputs = ["jet_pt", "jet_mass", particles(), picture(), "constituent_pdg"]
    return hr.Dataset.from_root(
        SOURCES, inputs, max_length={"constituent_pdg": 10}, event_number="event_number"
    )


def test_several_representations_beside_columns(data):
    assert [(block.name, block.kind, block.shape) for block in data.blocks] == [
        ("features", "flat", (2,)),
        ("constituents", "jagged", (10, 1)),
        ("constituents_mask", "mask", (10,)),
        ("particles", "jagged", (20, 8)),
        ("particles_mask", "mask", (20,)),
        ("picture", "image", (8, 8, 1)),
    ]
    assert {name: (array.shape, str(array.dtype)) for name, array in data.X.items()} == {
        block.name: ((600, *block.shape), "bool" if block.kind == "mask" else "float32")
        for block in data.blocks
    }
    trees = uproot.concatenate(list(SOURCES.values()))
    made = particles()({name: trees[name] for name in trees.fields})
    assert np.array_equal(made["particles"], data.X["particles"])
    assert np.array_equal(made["particles_mask"] > 0, data.X["particles_mask"])
    (image,) = picture()({name: trees[name] for name in trees.fields}).values()
    assert np.array_equal(image, data.X["picture"])
    pdg = ak.to_numpy(ak.fill_none(ak.pad_none(trees["constituent_pdg"], 10, clip=True), 0))
    assert np.array_equal(data.X["constituents"][..., 0], pdg)


def test_what_is_lost_is_counted_for_each_class(data):
    counts = data.provenance["representations"]
    trees = {name: uproot.open(path) for name, path in SOURCES.items()}
    for name, tree in trees.items():
        lengths = tree["nconstituent"].array(library="np")
        assert counts["particles"][name] == {
            "events": 300, "truncated": int(np.maximum(lengths - 20, 0).sum()), "dropped": 0, "empty": 0,
        }  # fmt: skip
    assert counts["picture"]["qcd"]["truncated"] == 0
    assert f"top 300 events, {counts['particles']['top']['truncated']} constituents truncated" in str(data)
    assert json.loads(json.dumps(data.describe()))["provenance"]["representations"] == counts


def test_the_description_makes_the_tensors_again(data):
    inputs = {block["name"]: block for block in json.loads(json.dumps(data.describe()))["inputs"]}
    assert inputs["particles"]["representation"]["kind"] == "constituents"
    assert inputs["particles"]["mask"] == "particles_mask"
    assert inputs["particles_mask"]["of"] == "particles"
    assert "representation" not in inputs["constituents"]
    from hepml_root.data.described_representation import DescribedRepresentation

    again = DescribedRepresentation(inputs["particles"]["representation"])
    assert again.to_dict() == particles().to_dict() == inputs["particles"]["representation"]
    part = hr.Dataset.from_root(SOURCES, [again], max_events=50)
    assert np.array_equal(part.X["particles"][:50], data.X["particles"][:50])


def test_columns_slices_and_splits(data):
    assert np.array_equal(data.column("delta_eta"), data.X["particles"][..., 0])
    assert np.array_equal(data.column("particles.charge"), data.X["particles"][..., 7])
    assert np.array_equal(data.column("picture.pt"), data.X["picture"][..., 0])
    train, test = data.split(test=0.5, by="event_number")
    assert len(train) + len(test) == 600
    assert len(train.X["picture"]) == len(train)
    assert np.array_equal(data[[5, 7]].X["particles_mask"], data.X["particles_mask"][[5, 7]])


def test_lazy_and_streamed_are_the_same(data):
    inputs = ["jet_pt", "jet_mass", particles(), picture(), "constituent_pdg"]
    lazy = hr.Dataset.from_root(
        SOURCES, inputs, max_length={"constituent_pdg": 10}, event_number="event_number", lazy=True
    )
    loaded = lazy.load()
    for name, array in data.X.items():
        assert np.array_equal(loaded.X[name], array), name
    assert loaded.provenance["representations"] == data.provenance["representations"]
    parts = lazy.split(test=0.5, by="event_number")
    part = parts[1].load()
    in_memory = data.split(test=0.5, by="event_number")[1]
    assert np.array_equal(part.X["picture"], in_memory.X["picture"])
    assert sum(part.provenance["representations"]["particles"][n]["events"] for n in SOURCES) == len(part)
    masses: dict[float, int] = {float(mass): i for i, mass in enumerate(data.column("jet_mass"))}
    assert len(masses) == 600
    seen = []
    for X, _, _ in lazy.stream(batch_size=100, buffer_events=250):
        rows = [masses[float(mass)] for mass in X["features"][:, 1]]
        seen += rows
        for name, array in X.items():
            assert np.array_equal(array, data.X[name][rows]), name
    assert sorted(seen) == list(range(600))


def test_only_a_representation(data):
    one = hr.Dataset.from_root(SOURCES, particles(), cut="jet_mass > 60", max_events=30)
    keep = np.flatnonzero((data.column("jet_mass") > 60) & (data.labels == 0))[:30]
    assert np.array_equal(one.X["particles"][:30], data.X["particles"][keep])


def test_from_arrays(data):
    both = (particles(), picture())
    arrays = {name: data.X[name] for name in ("particles", "particles_mask", "picture", "features")}
    labels = data.labels
    again = hr.Dataset.from_arrays(
        arrays, labels, classes=data.classes, columns={"features": ["jet_pt", "jet_mass"]},
        representations=both,
    )  # fmt: skip
    wanted = [block.to_dict() for block in data.blocks if not block.name.startswith("constituents")]
    assert [block.to_dict() for block in again.blocks] == wanted
    assert np.array_equal(again.X["picture"], data.X["picture"])
    with pytest.raises(ShapeError, match=r"'particles' has shape .* makes \(events, 10, 8\)"):
        hr.Dataset.from_arrays(arrays, labels, representations=[particles(max_length=10)])
    with pytest.raises(SettingError, match="no block 'picture'"):
        hr.Dataset.from_arrays({"x": data.X["features"]}, labels, representations=[picture()])


def test_blocks_of_graphs_from_arrays():
    random = np.random.default_rng(1)
    arrays = {
        "p": random.normal(size=(6, 5, 2)),
        "p_mask": np.ones((6, 5)),
        "p_neighbours": random.integers(0, 5, (6, 5, 3)),
        "p_edges": random.normal(size=(6, 5, 3, 4)),
        "p_edges_mask": np.ones((6, 5, 3)),
        "calorimeter": random.normal(size=(6, 4, 4, 2)),
    }
    data = hr.Dataset.from_arrays(arrays, [0, 1] * 3, columns={"calorimeter": ["ecal", "hcal"]})
    assert {block.name: block.kind for block in data.blocks} == {
        "p": "jagged", "p_mask": "mask", "p_neighbours": "index", "p_edges": "edges",
        "p_edges_mask": "mask", "calorimeter": "image",
    }  # fmt: skip
    assert data.X["p_neighbours"].dtype == np.float32
    assert data.column("hcal").shape == (6, 4, 4)
    arrays["calorimeter"][3, 1, 1, 0] = np.nan
    with pytest.raises(NonFiniteInputError, match="ecal"):
        hr.Dataset.from_arrays(arrays, [0, 1] * 3, columns={"calorimeter": ["ecal", "hcal"]})


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"pt": "jet_pt"}, ColumnTypeError, "needs 'pt := jet_pt' with one value per constituent"),
        ({"pt": "constituent_p"}, ColumnNotFoundError, "Nearest: 'constituent_pt'"),
        ({"axis": ("jet_eta", "constituent_phi")}, ColumnTypeError, "with one value per event"),
        ({"pt": "Sum(constituent_pt)"}, ColumnTypeError, "one per event"),
        ({"pt": "constituent_pt +"}, hr.errors.ExpressionError, "no valid C"),
    ],
)
def test_wrong_columns_are_named(change, error, words):
    settings = {**AT, **change}
    with pytest.raises(error) as caught:
        hr.Dataset.from_root(SOURCES, [hr.representations.constituents("particles", **settings)])
    assert words in str(caught.value)


def test_texts_are_refused(tmp_path):
    import ROOT

    path = str(tmp_path / "text.root")
    frame = ROOT.RDataFrame(20).Define("name", 'std::string("top")')
    frame = frame.Define("names", 'std::vector<std::string>{"a", "b"}')
    frame.Define("x", "ROOT::RVecF{1, 2}").Snapshot("jets", path, ["name", "names", "x"])
    for column in ("name", "names"):
        made = hr.representations.constituents(pt=column, eta="x", phi="x")
        with pytest.raises(ColumnTypeError, match=f"needs numbers, and 'pt := {column}' .*string"):
            hr.Dataset.from_root({"a": f"{path}:jets", "b": f"{path}:jets"}, [made])


@pytest.mark.parametrize("missing", ["error", "keep"])
def test_not_finite_is_refused_whatever_missing_says(tmp_path, missing):
    """A sum over constituents has no value then that could be imputed."""
    path = tmp_path / "nan.root"
    lists = ak.Array([[1.0, 2.0], [3.0], [4.0, 5.0, 6.0]])
    bad = ak.Array([[1.0, 2.0], [np.nan], [4.0, np.inf, 6.0]])
    with uproot.recreate(path) as file:
        file.mktree("jets", dict.fromkeys(("x", "bad"), "var * float32"))
        file["jets"].extend(
            {"x": ak.values_astype(lists, "float32"), "bad": ak.values_astype(bad, "float32")}
        )
    sources = {"a": f"{path}:jets", "b": f"{path}:jets"}
    for columns in ({"pt": "bad"}, {"eta": "bad"}, {"extra": ("bad",)}):
        settings = {"pt": "x", "eta": "x", "phi": "x", "max_length": 2, **columns}
        made = hr.representations.constituents(**settings)
        with pytest.raises(NonFiniteInputError, match=r"nan\.root:jets.*entry 1.*'(pt|eta|bad)'"):
            hr.Dataset.from_root(sources, [made], missing=missing)


def test_names_that_meet_are_refused():
    with pytest.raises(SettingError, match="two representations are called 'particles'"):
        hr.Dataset.from_root(SOURCES, [particles(), particles()])
    graph = hr.representations.graph("particles_mask", **AT, max_length=8, neighbours=3)
    with pytest.raises(SettingError, match="two inputs are called 'particles_mask'"):
        hr.Dataset.from_root(SOURCES, [particles(), graph])
