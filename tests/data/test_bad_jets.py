"""Jets that are not as they should be, from files: named errors, or what the documentation says."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

import hepml_root as hr
from hepml_root.errors import ExpressionError, NonFiniteInputError, ShapeError
from hepml_root.representations import (
    constituents,
    graph,
    image,
    jet_observables,
    lund,
    observables,
    sequence,
)

LISTS = ("pt", "eta", "phi", "mass")
AT = {name: f"constituent_{name}" for name in LISTS}
# Ordinary; without constituents; one of zero and one of negative pT; only of zero pT; twelve constituents.
PT = [[30.0, 20.0, 10.0], [], [30.0, 0.0, -5.0, 20.0], [0.0, 0.0], [12.0 - i for i in range(12)]]
KINDS = {
    "constituents": constituents(**AT, max_length=8),
    "sequence": sequence(**AT, order="clustering", max_length=8),
    "image": image(**AT, pixels=4, half_width=1.0),
    "lund": lund(**AT, max_length=2),
    "graph": graph(**AT, max_length=8, neighbours=3),
}


def write(path: Path, pt: list[list[float]], **changed: list[list[float]]) -> dict[str, str]:
    """Write two classes of the same jets: near one another in direction, with the mass of pions."""
    lists = {"pt": pt}
    for name, first in (("eta", 0.1), ("phi", 3.1)):
        lists[name] = [[first + 0.003 * i * (i + len(name)) for i in range(len(jet))] for jet in pt]
    lists["mass"] = [[0.1396] * len(jet) for jet in pt]
    lists |= changed
    with uproot.recreate(path) as file:
        file.mktree(
            "jets", {f"constituent_{name}": "var * float32" for name in lists} | {"jet_pt": "float32"}
        )
        arrays = {
            f"constituent_{name}": ak.values_astype(ak.Array(values), "float32")
            for name, values in lists.items()
        }
        file["jets"].extend({**arrays, "jet_pt": np.arange(len(pt), dtype=np.float32)})
    return {"top": f"{path}:jets", "qcd": f"{path}:jets"}


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> dict[str, str]:
    return write(tmp_path_factory.mktemp("odd") / "odd.root", PT)


@pytest.mark.parametrize("kind", KINDS)
def test_every_representation_stands_odd_jets(odd, kind):
    representation = KINDS[kind]
    data = hr.Dataset.from_root(odd, [representation, "jet_pt"])
    assert len(data) == 10  # no jet is lost
    for block in representation.blocks():
        values = data.X[block.name]
        assert values.shape == (10, *block.shape)
        assert np.isfinite(values).all()
        # Nothing is in the jets without constituents.
        for jet in (1, 3, 6, 8):
            assert not values[jet].any(), block.name
    assert data.X[representation.name][0].any()
    lost = data.provenance["representations"][representation.name]["top"]
    assert lost["events"] == 5
    assert lost["empty"] == 2
    assert lost["dropped"] == 4
    # Of the eleven splittings of twelve constituents, those of the harder branches are primary.
    assert 0 < lost["truncated"] <= 9 if kind == "lund" else lost["truncated"] == {"image": 0}.get(kind, 4)
    assert f"representation {representation.name}, of all events read: top 5 events" in str(data)
    assert "4 dropped, 2 events empty" in str(data)


def test_constituents_without_pt_leave_no_trace(odd, tmp_path):
    """Dropping them in the file gives the same tensors."""
    clean = write(tmp_path / "clean.root", [[value for value in jet if value > 0] for jet in PT])
    with uproot.open(odd["top"]) as tree:
        arrays = tree.arrays()
    keep = arrays["constituent_pt"] > 0
    changed = {name: arrays[f"constituent_{name}"][keep].to_list() for name in LISTS}
    clean = write(tmp_path / "clean.root", changed.pop("pt"), **changed)
    for representation in KINDS.values():
        one, other = (hr.Dataset.from_root(files, [representation]) for files in (odd, clean))
        for block in representation.blocks():
            np.testing.assert_array_equal(one.X[block.name], other.X[block.name])


def test_a_lazy_dataset_counts_too(odd):
    lazy = hr.Dataset.from_root(odd, [KINDS["constituents"], "jet_pt"], lazy=True)
    loaded = lazy.load()
    lost = loaded.provenance["representations"]["particles"]["qcd"]
    assert lost == {"events": 5, "truncated": 4, "dropped": 4, "empty": 2}


def test_observables_of_odd_jets(odd):
    data = hr.Dataset.from_root(odd, jet_observables())
    labels = [column.label for column in jet_observables()]
    values = dict(zip(labels, data.X["features"][:5].T, strict=True))
    assert np.isfinite(data.X["features"]).all()
    for label in labels:
        assert not values[label][[1, 3]].any(), label
    assert values["jet_multiplicity"].tolist() == [3, 0, 2, 0, 12]
    assert values["jet_ptd"][2] == pytest.approx(np.hypot(30, 20) / 50)
    assert values["jet_tau32"][2] == 0  # two particles have neither a third axis nor a second distance


@pytest.mark.parametrize("where", ["pt", "eta", "phi", "mass"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_named(tmp_path, where, value):
    lists = {name: [[1.0, 0.5], [2.0, 1.0], [3.0]] for name in LISTS}
    lists[where] = [[1.0, 0.5], [2.0, value], [3.0]]
    files = write(tmp_path / "bad.root", **lists)
    for representation in KINDS.values():
        with pytest.raises(NonFiniteInputError, match=rf"bad\.root.*entry 1.*'{where}'"):
            hr.Dataset.from_root(files, [representation])
    with pytest.raises(NonFiniteInputError, match="jet_mass"):
        hr.Dataset.from_root(files, jet_observables(observables=["mass"]))


def test_nan_in_observables_can_be_kept(tmp_path):
    """For the transform that imputes: NaN says that the jet has no value."""
    files = write(tmp_path / "bad.root", [[1.0, 0.5], [2.0, float("nan")]])
    data = hr.Dataset.from_root(files, jet_observables(observables=["c2", "ptd"]), missing="keep")
    assert np.isnan(data.X["features"]).tolist() == [[False] * 2, [True] * 2] * 2


def test_lists_of_different_lengths(tmp_path):
    files = write(tmp_path / "uneven.root", [[1.0, 0.5], [2.0]], eta=[[0.1, 0.2], [0.3, 0.4]])
    for representation in KINDS.values():
        with pytest.raises(ShapeError, match=r"uneven\.root.*entry 1"):
            hr.Dataset.from_root(files, [representation])
    with pytest.raises(hr.errors.HepmlError, match="1 values of pt, but 2 of eta"):
        hr.Dataset.from_root(files, jet_observables(observables=["mass"]))
    with pytest.raises(ShapeError, match="in event 1, one list has 1 values and another 2"):
        observables.c2([[1.0, 0.5], [2.0]], [[0.1, 0.2], [0.3, 0.4]], [[0.1, 0.2], [0.3, 0.4]])


def test_an_observable_of_the_wrong_kind_of_branch(odd):
    """One value per event where a list is needed."""
    with pytest.raises(
        ExpressionError, match=r"hepml::pt_dispersion\(jet_pt\).*a list is needed, with one value"
    ):
        hr.Dataset.from_root(odd, ["x := hepml::pt_dispersion(jet_pt)"])
    with pytest.raises(ExpressionError, match=r"hepml::delta_phi\(constituent_phi.*jet_pt"):
        hr.Dataset.from_root(odd, ["x := hepml::delta_phi(constituent_phi, constituent_phi, jet_pt)"])
