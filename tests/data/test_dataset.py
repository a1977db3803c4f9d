"""Datasets from arrays: what they hold, how parts of them are taken, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import hepml_root as hr
from hepml_root.errors import (
    ColumnNotFoundError,
    EmptySelectionError,
    NonFiniteInputError,
    SettingError,
    ShapeError,
    WeightError,
)

LABELS = np.array([0, 0, 1, 1, 1, 1])


def features(events: int = 6, width: int = 2) -> np.ndarray:
    return np.arange(events * width, dtype=np.float32).reshape(events, width)


class TestFromArrays:
    def test_binary(self) -> None:
        data = hr.Dataset.from_arrays(features(), LABELS)
        assert (data.task, data.classes, data.signal) == ("binary", ("background", "signal"), "signal")
        assert data.target.tolist() == [[0], [0], [1], [1], [1], [1]]
        assert data.target.dtype == np.float32
        assert data.weight.dtype == np.float64
        np.testing.assert_allclose(data.training_weight, [1.5, 1.5, 0.75, 0.75, 0.75, 0.75])
        assert data.blocks[0].labels == ("x0", "x1")
        assert len(data) == 6

    def test_signal_is_found_by_name_or_first_or_as_asked(self) -> None:
        def signal(classes: tuple[str, str], **settings: str) -> str | None:
            return hr.Dataset.from_arrays(features(), LABELS, classes=classes, **settings).signal

        assert signal(("bkg", "Sig_H")) == "Sig_H"
        assert signal(("ttbar", "wjets")) == "ttbar"
        assert signal(("Background", "ttH")) == signal(("bkg_qcd", "ttH")) == "ttH"
        assert signal(("bkg_qcd", "bkg_top")) == "bkg_qcd"
        assert signal(("ttbar", "wjets"), signal="wjets") == "wjets"
        first = hr.Dataset.from_arrays(features(), LABELS, classes=("signal", "background"))
        assert first.target[:, 0].tolist() == [1, 1, 0, 0, 0, 0]

    def test_names_as_labels(self) -> None:
        names = np.array(["top", "qcd", "top", "w", "w", "qcd"])
        data = hr.Dataset.from_arrays(features(), names)
        assert data.classes == ("top", "qcd", "w")
        assert data.task == "multiclass"
        assert data.labels.tolist() == [0, 1, 0, 2, 2, 1]
        assert data.target.tolist() == np.eye(3)[[0, 1, 0, 2, 2, 1]].tolist()
        ordered = hr.Dataset.from_arrays(features(), names, classes=("qcd", "w", "top"))
        assert ordered.labels.tolist() == [2, 0, 2, 1, 1, 0]

    def test_multiclass_by_index(self) -> None:
        data = hr.Dataset.from_arrays(features(), [0, 1, 2, 0, 1, 2])
        assert data.classes == ("class_0", "class_1", "class_2")

    def test_regression(self) -> None:
        data = hr.Dataset.from_arrays(
            features(), target=np.arange(6), targets=["energy"], units={"energy": "GeV"}
        )
        assert data.task == "regression"
        assert data.labels is None
        assert data.target.shape == (6, 1)
        assert data.targets[0].units == "GeV"
        np.testing.assert_allclose(data.training_weight, 1)
        assert data.describe()["outputs"] == [{"name": "score", "shape": [1], "labels": ["energy"]}]

    def test_pandas(self) -> None:
        table = pd.DataFrame({"pt": [1.0, 2, 3, 4, 5, 6], "eta": [0.0] * 6})
        data = hr.Dataset.from_arrays(table, pd.Series(LABELS))
        assert data.blocks[0].labels == ("pt", "eta")
        assert data.X["features"].dtype == np.float32

    def test_float32_input_is_not_copied(self) -> None:
        x = features()
        assert hr.Dataset.from_arrays(x, LABELS).X["features"] is x

    def test_jagged_and_parameters(self) -> None:
        mask = np.array([[True, False, False]] * 6)
        data = hr.Dataset.from_arrays(
            {
                "features": features(),
                "parameters": np.full((6, 1), 400.0),
                "jets": np.zeros((6, 3, 4)),
                "jets_mask": mask,
            },
            LABELS,
            columns={"features": ["met", "ht"], "parameters": ["mass"], "jets": ["pt", "eta", "phi", "m"]},
        )
        assert [(b.name, b.kind, b.shape) for b in data.blocks] == [
            ("features", "flat", (2,)),
            ("parameters", "parameter", (1,)),
            ("jets", "jagged", (3, 4)),
            ("jets_mask", "mask", (3,)),
        ]
        assert list(data.X) == [block.name for block in data.blocks]
        assert data.X["jets_mask"].dtype == bool
        assert data.column("eta").shape == (6, 3)
        inputs = data.describe()["inputs"]
        assert inputs[2]["mask"] == "jets_mask"
        assert inputs[3]["columns"] == []

    def test_jagged_without_mask_is_all_there(self) -> None:
        data = hr.Dataset.from_arrays({"cells": np.zeros((6, 3, 1))}, LABELS)
        assert data.X["cells_mask"].all()

    def test_training_weight_is_kept_apart(self) -> None:
        data = hr.Dataset.from_arrays(
            features(), LABELS, weight=np.arange(1.0, 7), training_weight=np.ones(6)
        )
        np.testing.assert_allclose(data.training_weight, [1.5, 1.5, 0.75, 0.75, 0.75, 0.75])
        assert data.weight.tolist() == [1, 2, 3, 4, 5, 6]

    def test_negative_weights_stay_signed(self) -> None:
        data = hr.Dataset.from_arrays(features(), LABELS, weight=[1, 1, 2, 2, -1, 1])
        assert data.training_weight[4] < 0
        assert data.yields()["signal"].negative_fraction == 0.25
        # (2 + 2 - 1 + 1)² / (4 + 4 + 1 + 1)
        assert data.yields()["signal"].effective == pytest.approx(1.6)

    def test_print(self) -> None:
        text = str(hr.Dataset.from_arrays(features(), LABELS, weight=[1, 1, 2, 2, -1, 1]))
        assert "6 events for binary" in text
        assert "25.0 %" in text
        assert "signal" in text


class TestParameters:
    def test_classes_without_parameters_get_the_distribution_of_the_others(self) -> None:
        random = np.random.default_rng(1)
        mass = np.r_[random.choice([200.0, 400.0, 900.0], 5000, p=[0.5, 0.3, 0.2]), np.full(20_000, np.nan)]
        labels = np.repeat([0, 1], [5000, 20_000])
        data = hr.Dataset.from_arrays(
            {"features": np.zeros((25_000, 1)), "parameters": mass[:, None]},
            labels,
            classes=("signal", "background"),
        )
        drawn = data.X["parameters"][labels == 1, 0]
        for value in (200, 400, 900):
            expected = (mass[:5000] == value).mean()
            assert abs((drawn == value).mean() - expected) < 5 * np.sqrt(expected / 20_000)
        np.testing.assert_array_equal(data.X["parameters"][:5000, 0], mass[:5000])

    def test_drawn_by_weight_and_together(self) -> None:
        values = np.r_[[[1.0, 10.0]] * 10, [[2.0, 20.0]] * 10, [[np.nan, np.nan]] * 2000]
        weight = np.r_[np.full(10, 3.0), np.full(10, 1.0), np.ones(2000)]
        data = hr.Dataset.from_arrays(
            {"features": np.zeros((2020, 1)), "parameters": values},
            np.repeat([0, 1], [20, 2000]),
            classes=("signal", "background"),
            weight=weight,
        )
        drawn = data.X["parameters"][20:]
        np.testing.assert_array_equal(drawn[:, 1], 10 * drawn[:, 0])
        assert abs((drawn[:, 0] == 1).mean() - 0.75) < 5 * np.sqrt(0.75 * 0.25 / 2000)

    def test_the_seed_decides(self) -> None:
        def drawn(seed: int) -> np.ndarray:
            values = np.r_[np.arange(100.0), np.full(100, np.nan)][:, None]
            X = {"features": np.zeros((200, 1)), "parameters": values}
            return hr.Dataset.from_arrays(X, np.repeat([1, 0], 100), seed=seed).X["parameters"][100:]

        np.testing.assert_array_equal(drawn(1), drawn(1))
        assert (drawn(1) != drawn(2)).mean() > 0.9

    def test_some_missing_is_an_error(self) -> None:
        X = {"features": features(), "parameters": [[1.0], [np.nan], [1], [1], [1], [1]]}
        with pytest.raises(NonFiniteInputError, match="'background' is NaN in 1 of 2"):
            hr.Dataset.from_arrays(X, LABELS)
        with pytest.raises(NonFiniteInputError, match="nothing to draw from"):
            hr.Dataset.from_arrays({"features": features(), "parameters": np.full((6, 1), np.nan)}, LABELS)


class TestIndexing:
    def data(self) -> hr.Dataset:
        return hr.Dataset.from_arrays(
            features(),
            LABELS,
            weight=np.arange(1.0, 7),
            spectators={"mass": np.arange(6) * 10.0},
            event_number=np.arange(6) + 100,
        )

    def test_a_slice_gives_views(self) -> None:
        data = self.data()
        part = data[2:5]
        for mine, its in (
            (part.X["features"], data.X["features"]),
            (part.weight, data.weight),
            (part.labels, data.labels),
            (part.spectators["mass"], data.spectators["mass"]),
        ):
            assert np.shares_memory(mine, its)

    @pytest.mark.parametrize(
        "index",
        [slice(1, 5, 2), np.array([4, 0, 2]), np.array([True, False, True, False, False, True]), [5, 1]],
    )
    def test_all_arrays_go_together(self, index: object) -> None:
        data = self.data()
        part = data[index]
        np.testing.assert_array_equal(part.X["features"], data.X["features"][index])
        np.testing.assert_array_equal(part.target, data.target[index])
        np.testing.assert_array_equal(part.labels, data.labels[index])
        np.testing.assert_array_equal(part.weight, data.weight[index])
        np.testing.assert_array_equal(part.training_weight, data.training_weight[index])
        np.testing.assert_array_equal(part.spectators["mass"], data.spectators["mass"][index])
        np.testing.assert_array_equal(part.event_number, data.event_number[index])

    def test_one_event(self) -> None:
        assert len(self.data()[3]) == 1
        assert self.data()[-1].labels.tolist() == [1]
        with pytest.raises(IndexError):
            self.data()[6]

    def test_nothing(self) -> None:
        assert len(self.data()[np.zeros(6, dtype=bool)]) == 0

    def test_bad_index(self) -> None:
        with pytest.raises(ShapeError, match="mask"):
            self.data()[np.ones(5, dtype=bool)]
        with pytest.raises(ShapeError, match="positions"):
            self.data()[np.array([0.5])]

    def test_columns_by_label(self) -> None:
        data = self.data()
        assert np.shares_memory(data.column("x1"), data.X["features"])
        assert data.column("mass")[2] == 20
        with pytest.raises(ColumnNotFoundError, match="'mass'"):
            data.column("mas")


class TestBadInput:
    def refused(self, error: type[Exception], match: str, *arguments: object, **settings: object) -> None:
        with pytest.raises(error, match=match):
            hr.Dataset.from_arrays(*arguments, **settings)

    def test_class_without_events(self) -> None:
        self.refused(EmptySelectionError, "'signal' has no event", features(), np.zeros(6))
        self.refused(EmptySelectionError, "no event", np.zeros((0, 2)), np.zeros(0))

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_not_finite(self, value: float) -> None:
        x = features()
        x[4, 1] = x[5, 1] = value
        with pytest.raises(NonFiniteInputError, match="'eta' is not finite in 2 of 6 events") as caught:
            hr.Dataset.from_arrays(x, LABELS, columns=["pt", "eta"])
        assert "entry 2 of class 'signal'" in str(caught.value)

    def test_nan_may_be_kept_but_not_infinity(self) -> None:
        x = features()
        x[4, 1] = np.nan
        assert np.isnan(hr.Dataset.from_arrays(x, LABELS, missing="keep").X["features"][4, 1])
        x[2, 0] = np.inf
        self.refused(NonFiniteInputError, "'x0'.*1 infinite", x, LABELS, missing="keep")
        self.refused(SettingError, "missing", x, LABELS, missing="ignore")

    def test_not_finite_in_a_large_array(self) -> None:
        x = np.ones((300_000, 3), dtype=np.float32)
        x[299_999, 2] = np.nan
        labels = np.arange(300_000) % 2
        self.refused(NonFiniteInputError, "entry 149999 of class 'signal'", x, labels)

    def test_large_finite_values_pass(self) -> None:
        x = np.full((6, 2), np.finfo(np.float32).max, dtype=np.float32)
        assert len(hr.Dataset.from_arrays(x, LABELS)) == 6

    def test_not_finite_in_a_jagged_block_or_target(self) -> None:
        jets = np.zeros((6, 3, 2))
        jets[3, 1, 0] = np.nan
        self.refused(NonFiniteInputError, "'jets_0'.*entry 1 of class 'signal'", {"jets": jets}, LABELS)
        self.refused(NonFiniteInputError, "'target'.*entry 1", features(), target=[0, np.nan, 0, 0, 0, 0])

    def test_weights(self) -> None:
        self.refused(WeightError, "6 events", features(), LABELS, weight=np.ones(5))
        self.refused(WeightError, "entry 2", features(), LABELS, weight=[1, 1, np.nan, 1, 1, 1])
        self.refused(WeightError, "'signal'.*negative", features(), LABELS, weight=[1, 1, 1, -1, -1, -1])
        self.refused(WeightError, "'background'.*zero", features(), LABELS, weight=[1, -1, 1, 1, 1, 1])
        self.refused(WeightError, "zero", features(), target=np.ones(6), weight=np.zeros(6))
        self.refused(WeightError, "training weights", features(), LABELS, training_weight=np.ones(2))

    def test_duplicate_labels(self) -> None:
        self.refused(SettingError, "'pt' is given twice", features(), LABELS, columns=["pt", "pt"])
        self.refused(SettingError, "'x0' is given twice", features(), LABELS, spectators={"x0": np.zeros(6)})
        self.refused(SettingError, "class 'a' is given twice", features(), LABELS, classes=("a", "a"))

    def test_shapes(self) -> None:
        self.refused(ShapeError, r"\(events, features\)", np.zeros(6), LABELS)
        self.refused(ShapeError, "5 labels", features(), LABELS[:5])
        self.refused(ShapeError, "labels have shape", features(), np.zeros((6, 2)))
        self.refused(ShapeError, "3 labels.*2 columns", features(), LABELS, columns=["a", "b", "c"])
        self.refused(ShapeError, "'mass' has shape", features(), LABELS, spectators={"mass": np.zeros(4)})
        self.refused(ShapeError, "target has shape", features(), target=np.zeros(4))
        self.refused(
            ShapeError, "mask of 'jets'", {"jets": np.zeros((6, 3, 1)), "jets_mask": np.ones((6, 2))}, LABELS
        )
        two = {"features": features(), "parameters": np.zeros((5, 1))}
        self.refused(ShapeError, "'parameters' has 5 events", two, LABELS)

    def test_classes(self) -> None:
        self.refused(SettingError, "from 0", features(), LABELS + 1, classes=("a", "b"))
        self.refused(SettingError, "no class 'c'", features(), np.array(list("aabbbc")), classes=("a", "b"))
        self.refused(SettingError, "no class 'sgnal'.*'signal'", features(), LABELS, signal="sgnal")
        self.refused(SettingError, "either labels", features())
        self.refused(SettingError, "units", features(), LABELS, units={"x7": "GeV"})


def test_describe_is_json_and_complete() -> None:
    data = hr.Dataset.from_arrays(
        features(),
        LABELS,
        weight=np.full(6, 0.5),
        columns=["pt", "eta"],
        units={"pt": "GeV"},
        spectators={"m": LABELS},
    )
    described = json.loads(json.dumps(data.describe()))
    assert described["task"] == "binary"
    assert described["inputs"] == [
        {
            "name": "features",
            "kind": "flat",
            "shape": [2],
            "columns": [
                {"label": "pt", "expression": "pt", "units": "GeV"},
                {"label": "eta", "expression": "eta", "units": ""},
            ],
        }
    ]
    assert described["outputs"] == [{"name": "score", "shape": [1], "labels": ["signal"]}]
    assert described["classes"] == ["background", "signal"]
    assert described["yields"]["signal"]["sum"] == 2.0
    assert described["spectators"][0]["label"] == "m"
