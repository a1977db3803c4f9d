"""From ROOT files to datasets: the numbers are those that were written."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import awkward as ak
import numpy as np
import pytest
import uproot

import hepml_root as hr
from hepml_root.errors import (
    ColumnNotFoundError,
    ColumnTypeError,
    EmptySelectionError,
    NonFiniteInputError,
    SettingError,
    SourceNotFoundError,
    WeightError,
)


class TestNumbers:
    def test_what_was_written_comes_back(self, toy: SimpleNamespace) -> None:
        data = hr.Dataset.from_root(
            toy.sources,
            inputs=["x", "b-tag", "sum := x + 2 * y"],
            weight="w",
            spectators=["mass", "y"],
            event_number="event",
            units={"x": "GeV", "mass": "GeV"},
        )
        both = toy.both
        np.testing.assert_array_equal(data.X["features"][:, 0], both["x"])
        np.testing.assert_array_equal(data.X["features"][:, 1], both["b-tag"])
        np.testing.assert_allclose(data.X["features"][:, 2], both["x"] + 2 * both["y"], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(data.weight, both["w"])
        np.testing.assert_array_equal(data.spectators["y"], both["y"])
        np.testing.assert_array_equal(data.labels, np.repeat([0, 1], [2000, 3000]))
        np.testing.assert_array_equal(data.target[:, 0], np.repeat([1, 0], [2000, 3000]))
        assert data.classes == ("signal", "background")
        assert data.blocks[0].columns[0].units == "GeV"
        assert data.X["features"].flags.c_contiguous

    def test_event_numbers_are_exact(self, toy: SimpleNamespace) -> None:
        data = hr.Dataset.from_root(toy.sources, inputs=["x"], event_number="event")
        assert data.event_number.dtype.kind in "iu"
        assert data.event_number[:3].tolist() == [toy.first_event + i for i in range(3)]
        np.testing.assert_array_equal(data.event_number, toy.both["event"])

    def test_event_numbers_of_both_signs_of_type(self, toy: SimpleNamespace, tmp_path: Path) -> None:
        """Signed in one file and unsigned in the other: no integer type holds both, and float64 rounds."""
        path = tmp_path / "signed.root"
        with uproot.recreate(path) as file:
            file["bkg"] = {"x": toy.bkg["x"], "event": toy.bkg["event"].astype(np.int64)}
        sources = {"signal": toy.sources["signal"], "background": f"{path}:bkg"}
        with pytest.raises(ColumnTypeError, match="cast it to one type"):
            hr.Dataset.from_root(sources, inputs=["x"], event_number="event")
        data = hr.Dataset.from_root(sources, inputs=["x"], event_number="number := ULong64_t(event)")
        np.testing.assert_array_equal(data.event_number, toy.both["event"])

    def test_one_column_needs_no_list(self, toy: SimpleNamespace) -> None:
        data = hr.Dataset.from_root(toy.sources["signal"], inputs="mass", targets="y", spectators="event")
        np.testing.assert_array_equal(data.X["features"][:, 0], toy.sig["mass"])
        assert data.targets[0].label == "y"
        assert list(data.spectators) == ["event"]

    def test_cut_for_all_and_by_class(self, toy: SimpleNamespace) -> None:
        data = hr.Dataset.from_root(toy.sources, inputs=["x"], cut="b-tag > 0.5")
        assert len(data) == (toy.both["b-tag"] > 0.5).sum()
        data = hr.Dataset.from_root(toy.sources, inputs=["x"], cut={"signal": "x > 1 && mass < 300"})
        expected = ((toy.sig["x"] > 1) & (toy.sig["mass"] < 300)).sum()
        assert np.bincount(data.labels).tolist() == [expected, 3000]
        assert data.describe()["cut"] == {"signal": "x > 1 && mass < 300", "background": None}

    def test_weight_by_class(self, toy: SimpleNamespace) -> None:
        data = hr.Dataset.from_root(
            toy.sources, inputs=["x"], weight={"signal": "w"}, training_weight={"background": "abs(w)"}
        )
        np.testing.assert_array_equal(data.weight[:2000], toy.sig["w"])
        assert (data.weight[2000:] == 1).all()
        expected = np.abs(toy.bkg["w"]) * 2500 / np.abs(toy.bkg["w"]).sum(dtype=np.float64)
        np.testing.assert_allclose(data.training_weight[2000:], expected, rtol=1e-5)
        expected = toy.sig["w"] * 2500 / toy.sig["w"].sum(dtype=np.float64)
        np.testing.assert_allclose(data.training_weight[:2000], expected, rtol=1e-5)

    def test_one_column_in_several_roles(self, toy: SimpleNamespace) -> None:
        data = hr.Dataset.from_root(
            toy.sources,
            inputs=["x"],
            weight={"signal": "w", "background": "mass"},
            spectators=["w", "m := mass"],
        )
        np.testing.assert_array_equal(data.spectators["w"], toy.both["w"])
        np.testing.assert_array_equal(data.spectators["m"], toy.both["mass"])
        np.testing.assert_array_equal(data.weight, np.r_[toy.sig["w"], toy.bkg["mass"]])

    def test_max_events_of_each_source(self, toy: SimpleNamespace) -> None:
        data = hr.Dataset.from_root(toy.sources, inputs=["x"], max_events=150)
        np.testing.assert_array_equal(data.X["features"][:, 0], np.r_[toy.sig["x"][:150], toy.bkg["x"][:150]])

    def test_data_frames_as_well_as_files(self, toy: SimpleNamespace) -> None:
        import ROOT

        frame = ROOT.RDataFrame("sig", toy.path).Define("z", "x * x").Filter("x > 0")
        data = hr.Dataset.from_root({"signal": frame, "background": f"{toy.path}:bkg"}, inputs=["x"])
        assert np.bincount(data.labels).tolist() == [(toy.sig["x"] > 0).sum(), 3000]
        own = hr.Dataset.from_root({"a": frame, "b": frame}, inputs=["z"])
        np.testing.assert_allclose(
            own.X["features"][: len(own) // 2, 0], toy.sig["x"][toy.sig["x"] > 0] ** 2, rtol=1e-6
        )

    def test_root_written_file(self, toy: SimpleNamespace, tmp_path: Path) -> None:
        import ROOT

        path = str(tmp_path / "snapshot.root")
        ROOT.RDataFrame("bkg", toy.path).Snapshot("events", path, ["x", "w", "event"])
        data = hr.Dataset.from_root(
            {"signal": f"{toy.path}:sig", "background": f"{path}:events"}, inputs=["x"], weight="w"
        )
        np.testing.assert_array_equal(data.X["features"][2000:, 0], toy.bkg["x"])
        np.testing.assert_array_equal(data.weight[2000:], toy.bkg["w"])

    def test_shipped_higgs_events(self, higgs: str) -> None:
        with uproot.open(higgs) as file:
            expected = np.concatenate(
                [file[tree]["jet1_b-tag"].array(library="np") for tree in ("sig_tree", "bkg_tree")]
            )
        data = hr.Dataset.from_root(
            {"signal": f"{higgs}:sig_tree", "background": f"{higgs}:bkg_tree"}, inputs=["m_bb", "jet1_b-tag"]
        )
        np.testing.assert_array_equal(data.X["features"][:, 1], expected)
        assert data.yields()["background"].events == 10_000

    def test_multiclass(self, toy: SimpleNamespace) -> None:
        data = hr.Dataset.from_root(
            {
                "a": toy.sources["signal"],
                "b": toy.sources["background"],
                "c": hr.Source(toy.sources["signal"], cut="x > 2"),
            },
            inputs=["x", "y"],
        )
        assert data.task == "multiclass"
        assert data.target.shape == (len(data), 3)
        assert data.labels[-1] == 2


class TestNormalisation:
    def test_by_hand(self, toy: SimpleNamespace) -> None:
        data = hr.Dataset.from_root(
            toy.sources,
            inputs=["x"],
            weight={"signal": "w"},
            cut="x > 0",
            cross_section={"signal": 0.5, "background": 80.0},
            luminosity=140,
            generated={"background": 1e6},
        )
        passed = toy.sig["x"] > 0
        # All generated weights, before the cut, share the σ·L = 70 000 expected events.
        expected = 70_000 * toy.sig["w"][passed].sum(dtype=np.float64) / toy.sig["w"].sum(dtype=np.float64)
        assert data.yields()["signal"].sum == pytest.approx(expected, rel=1e-6)
        expected = 80 * 140_000 / 1e6 * (toy.bkg["x"] > 0).sum()
        assert data.yields()["background"].sum == pytest.approx(expected, rel=1e-12)
        weights = data.describe()["weights"]
        assert weights["background"][0]["generated"] == 1e6
        assert weights["signal"][0]["generated"] == pytest.approx(
            toy.sig["w"].sum(dtype=np.float64), rel=1e-6
        )
        np.testing.assert_allclose(
            np.bincount(data.labels, weights=data.training_weight), len(data) / 2, rtol=1e-4
        )

    def test_without_weights_every_entry_counts(self, toy: SimpleNamespace) -> None:
        data = hr.Dataset.from_root(toy.sources, inputs=["x"], cut="x > 0", cross_section=1.0, luminosity=3)
        passed = (toy.bkg["x"] > 0).mean()
        assert data.yields()["background"].sum == pytest.approx(3000 * passed, rel=1e-12)

    def test_a_class_of_several_processes(self, toy: SimpleNamespace) -> None:
        data = hr.Dataset.from_root(
            {
                "signal": toy.sources["signal"],
                "background": [
                    hr.Source(toy.sources["background"], cut="x > 1", weight="w", cross_section=2.0),
                    hr.Source(toy.sources["background"], cut="x < -1", cross_section=5.0, generated=6000),
                ],
            },
            inputs=["x"],
            cross_section={"signal": 1.0},
            luminosity=10,
        )
        high, low = toy.bkg["x"] > 1, toy.bkg["x"] < -1
        weight = toy.bkg["w"].astype(np.float64)
        expected = 20_000 * weight[high].sum() / weight.sum() + 50_000 / 6000 * low.sum()
        assert data.yields()["background"].sum == pytest.approx(expected, rel=1e-6)
        assert data.yields()["background"].events == high.sum() + low.sum()
        assert len(data.describe()["weights"]["background"]) == 2

    @pytest.mark.parametrize("setting", ["cross_section", "generated"])
    def test_one_number_is_not_given_to_several_processes(self, toy: SimpleNamespace, setting: str) -> None:
        """The yield would be that of the class once for each of its sources."""
        processes = [hr.Source(source) for source in toy.sources.values()]
        sources = {"signal": toy.sources["signal"], "background": processes}
        given = {
            "cross_section": {"signal": 1.0, "background": None},
            setting: {"signal": 1, "background": 2},
        }
        with pytest.raises(SettingError, match=f"{setting} of class 'background' would count 2 times"):
            hr.Dataset.from_root(sources, inputs=["x"], luminosity=10, **given)

    def test_a_sum_that_gives_no_yield_is_told_with_its_class(self, toy: SimpleNamespace) -> None:
        with pytest.raises(WeightError, match="class 'background': the generated sum of weights"):
            hr.Dataset.from_root(
                toy.sources,
                inputs=["x"],
                weight={"signal": "1", "background": "-1"},
                cross_section=1,
                luminosity=3,
            )

    def test_a_frame_with_filters_needs_what_was_generated(self, toy: SimpleNamespace) -> None:
        """Its own sum of weights is that after the cut, and the cut would not lower the yield."""
        import ROOT

        passed = ROOT.RDataFrame("bkg", toy.path).Define("z", "2 * x").Filter("x > 0")
        settings = {"inputs": ["x"], "cross_section": 1.0, "luminosity": 3}
        sources = {"signal": toy.sources["signal"], "background": passed}
        with pytest.raises(SettingError, match=r"class 'background' has Filters.*generated="):
            hr.Dataset.from_root(sources, **settings)
        data = hr.Dataset.from_root(sources, **settings, generated={"background": len(toy.bkg["x"])})
        assert data.yields()["background"].sum == pytest.approx(3000 * (toy.bkg["x"] > 0).mean(), rel=1e-12)
        unfiltered = {**sources, "background": ROOT.RDataFrame("bkg", toy.path).Define("z", "2 * x")}
        data = hr.Dataset.from_root(unfiltered, **settings, cut="x > 0")
        assert data.yields()["background"].sum == pytest.approx(3000 * (toy.bkg["x"] > 0).mean(), rel=1e-12)

    def test_contradictions(self, toy: SimpleNamespace) -> None:
        def read(**settings: object) -> None:
            hr.Dataset.from_root(toy.sources, inputs=["x"], **settings)

        with pytest.raises(SettingError, match="luminosity"):
            read(cross_section=1.0)
        with pytest.raises(SettingError, match="'background'"):
            read(cross_section={"signal": 1.0}, luminosity=10)
        with pytest.raises(WeightError, match="cross section must be a positive"):
            read(cross_section=-1.0, luminosity=10)
        twice = {
            "signal": hr.Source(toy.sources["signal"], weight="w"),
            "background": toy.sources["background"],
        }
        with pytest.raises(SettingError, match="given twice"):
            hr.Dataset.from_root(twice, inputs=["x"], weight={"signal": "y"})
        read(cross_section={"signal": 1.0, "background": None}, luminosity=10)


class TestJaggedAndRegression:
    def test_jagged_columns(self, jagged_file: tuple[str, ak.Array]) -> None:
        path, jets = jagged_file
        data = hr.Dataset.from_root(
            f"{path}:events",
            inputs=[
                "met",
                hr.Column("pt", "jet", max_length=4, group="jets"),
                hr.Column("eta", "jeteta", max_length=4, group="jets"),
            ],
            targets=["half"],
        )
        assert [(b.name, b.kind, b.shape) for b in data.blocks] == [
            ("features", "flat", (1,)),
            ("jets", "jagged", (4, 2)),
            ("jets_mask", "mask", (4,)),
        ]
        padded = ak.to_numpy(ak.fill_none(ak.pad_none(jets.pt, 4, clip=True), 0))
        np.testing.assert_array_equal(data.X["jets"][..., 0], padded)
        counts = ak.to_numpy(ak.num(jets.pt))
        np.testing.assert_array_equal(data.X["jets_mask"].sum(axis=1), np.minimum(counts, 4))
        np.testing.assert_array_equal(data.target[:, 0], counts / 2)
        assert data.task == "regression"

    def test_one_length_for_all_jagged_columns(self, jagged_file: tuple[str, ak.Array]) -> None:
        path, jets = jagged_file
        data = hr.Dataset.from_root(
            f"{path}:events", inputs=["met", "jet", "logpt := log(jet)"], targets=["half"], max_length=3
        )
        assert data.schema.block("constituents").shape == (3, 2)
        first = ak.to_numpy(ak.fill_none(ak.firsts(np.log(jets.pt)), 0))
        np.testing.assert_allclose(data.X["constituents"][:, 0, 1], first, rtol=1e-5)

    def test_lengths_by_label(self, jagged_file: tuple[str, ak.Array]) -> None:
        path = jagged_file[0] + ":events"
        data = hr.Dataset.from_root(path, inputs=["jet"], targets=["half"], max_length={"jet": 2})
        assert data.X["constituents"].shape == (100, 2, 1)
        with pytest.raises(SettingError, match=r"'jett'.*'jet'"):
            hr.Dataset.from_root(path, inputs=["jet"], targets=["half"], max_length={"jet": 2, "jett": 3})

    def test_without_a_length(self, jagged_file: tuple[str, ak.Array]) -> None:
        with pytest.raises(ColumnTypeError, match="max_length"):
            hr.Dataset.from_root(f"{jagged_file[0]}:events", inputs=["jet"], targets=["half"])

    def test_element_of_a_jagged_column_is_plain(self, jagged_file: tuple[str, ak.Array]) -> None:
        path, jets = jagged_file
        data = hr.Dataset.from_root(
            f"{path}:events", inputs=["lead := jet[0]"], targets=["half"], cut="jet.size() > 0", max_length=3
        )
        expected = ak.to_numpy(jets.pt[ak.num(jets.pt) > 0][:, 0])
        np.testing.assert_array_equal(data.X["features"][:, 0], expected)

    def test_regression_from_several_files(self, toy: SimpleNamespace) -> None:
        data = hr.Dataset.from_root(
            [hr.Source(toy.sources["signal"], cut="x > 0"), toy.sources["background"]],
            inputs=["x"],
            targets=["y", "mass"],
        )
        expected = np.r_[toy.sig["y"][toy.sig["x"] > 0], toy.bkg["y"]]
        np.testing.assert_allclose(data.target[:, 0], expected, rtol=1e-6)
        assert data.labels is None


class TestParameters:
    def test_drawn_for_the_class_that_has_none(self, toy: SimpleNamespace) -> None:
        data = hr.Dataset.from_root(
            toy.sources, inputs=["x"], parameters={"mX": {"signal": "mass", "background": None}}, seed=3
        )
        mass = data.X["parameters"][:, 0]
        np.testing.assert_array_equal(mass[:2000], toy.sig["mass"])
        heavy = (toy.sig["mass"] == 400).mean()
        assert abs((mass[2000:] == 400).mean() - heavy) < 5 * np.sqrt(0.25 / 3000)
        assert data.blocks[1].kind == "parameter"
        assert data.blocks[1].columns[0].expression == "mass"
        again = hr.Dataset.from_root(
            toy.sources, inputs=["x"], parameters={"mX": {"signal": "mass", "background": None}}, seed=3
        )
        np.testing.assert_array_equal(again.X["parameters"], data.X["parameters"])

    def test_read_where_every_class_has_them(self, toy: SimpleNamespace) -> None:
        data = hr.Dataset.from_root(toy.sources, inputs=["x"], parameters=["mass"])
        np.testing.assert_array_equal(data.X["parameters"][:, 0], toy.both["mass"])

    def test_in_no_class(self, toy: SimpleNamespace) -> None:
        with pytest.raises(SettingError, match="'mX' has an expression in no class"):
            hr.Dataset.from_root(
                toy.sources, inputs=["x"], parameters={"mX": {"signal": None, "background": None}}
            )


class TestBadInput:
    def test_missing(self, toy: SimpleNamespace) -> None:
        with pytest.raises(SourceNotFoundError):
            hr.Dataset.from_root({"a": "nowhere.root:t", "b": toy.sources["signal"]}, inputs=["x"])
        with pytest.raises(ColumnNotFoundError, match=r"'mas'.*'mass'"):
            hr.Dataset.from_root(toy.sources, inputs=["x", "mas"])
        with pytest.raises(ColumnNotFoundError, match="'wt'"):
            hr.Dataset.from_root(toy.sources, inputs=["x"], weight="wt")

    def test_class_without_events(self, toy: SimpleNamespace) -> None:
        with pytest.raises(EmptySelectionError, match=r"class 'background' is empty.*'x > 100'"):
            hr.Dataset.from_root(toy.sources, inputs=["x"], cut={"background": "x > 100"})
        with pytest.raises(EmptySelectionError, match="selection is empty"):
            hr.Dataset.from_root(toy.sources["signal"], inputs=["x"], targets=["y"], cut="x > 100")

    def test_not_finite(self, toy: SimpleNamespace) -> None:
        with pytest.raises(NonFiniteInputError, match=r"'root := sqrt.*NaN") as caught:
            hr.Dataset.from_root(toy.sources, inputs=["x", "root := sqrt(y)"])
        first = int(np.flatnonzero(toy.sig["y"] < 0)[0])
        count = (toy.both["y"] < 0).sum()
        assert f"{count} of 5000 events" in str(caught.value)
        assert f"entry {first} of class 'signal'" in str(caught.value)
        kept = hr.Dataset.from_root(toy.sources, inputs=["root := sqrt(y)"], missing="keep")
        assert np.isnan(kept.X["features"]).sum() == count
        with pytest.raises(NonFiniteInputError, match="infinite"):
            hr.Dataset.from_root(toy.sources, inputs=["i := x / (mass - mass)"], missing="keep")

    def test_weights(self, toy: SimpleNamespace) -> None:
        with pytest.raises(WeightError, match=r"'signal'.*negative"):
            hr.Dataset.from_root(toy.sources, inputs=["x"], weight="-abs(w)")
        with pytest.raises(WeightError, match="not finite"):
            hr.Dataset.from_root(toy.sources, inputs=["x"], weight="sqrt(w)")

    def test_settings(self, toy: SimpleNamespace) -> None:
        def refused(match: str, sources: object = None, **settings: object) -> None:
            with pytest.raises(SettingError, match=match):
                hr.Dataset.from_root(sources or toy.sources, **({"inputs": ["x"]} | settings))

        refused("'x' is given twice", inputs=["x", "x := y"])
        refused("'x' is given twice", spectators=["x"])
        refused("no class 'signl'.*'signal'", cut={"signl": "x > 0"})
        refused("no column 'z'", units={"z": "GeV"})
        refused("at least one input", inputs=[])
        refused("at least two classes", sources={"signal": toy.sources["signal"]})
        refused("by class", sources=toy.sources["signal"])
        refused("regression takes one source", targets=["y"])
        refused("max_events", max_events=0)
        refused("no class 'top'", signal="top")


def test_describe(toy: SimpleNamespace) -> None:
    data = hr.Dataset.from_root(
        toy.sources, inputs=["x", "s := x + y"], weight="w", cut="x > 0", spectators=["mass"]
    )
    train, _ = data.split(0.3, seed=2)
    described = json.loads(json.dumps(train.describe()))
    files = described["provenance"]["files"]
    assert [(entry["path"], entry["tree"]) for entry in files] == [(toy.path, "sig"), (toy.path, "bkg")]
    assert files[0]["size"] == Path(toy.path).stat().st_size
    assert files[0]["hash"].startswith("sha256:")
    assert described["inputs"][0]["columns"][1] == {"label": "s", "expression": "x + y", "units": ""}
    assert described["cut"] == {"signal": "x > 0", "background": "x > 0"}
    assert described["provenance"]["split"]["seed"] == 2
    assert described["yields"]["signal"]["sum"] == pytest.approx(data.yields()["signal"].sum)
    assert described["weights"]["signal"][0]["expression"] == "w"
