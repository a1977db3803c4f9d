"""Reports: what is in them, and that page, JSON, pictures and ROOT file hold the same numbers."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import uproot

import hepml_root as hr
from hepml_root import errors
from hepml_root.evaluation.pictures import pictures_of
from hepml_root.evaluation.plot_inputs import plot_history
from hepml_root.evaluation.root_file import object_name


@pytest.fixture(scope="module")
def report(trained, binary):
    model, history = trained
    train, test = binary
    other = 1 / (1 + np.exp(-test.X["features"][:, 0]))
    return hr.evaluate(
        model, test, train, compare={"one input": other}, history=history, bootstrap=40, ranking_repeats=2
    )


@pytest.fixture(scope="module")
def saved(report, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "report"
    report.save(folder)
    return folder


@pytest.fixture(scope="module")
def light(report, binary):
    """Return a report with few pictures, quick to save."""
    _, test = binary
    return hr.evaluate(report.outputs, test, bootstrap=0)


class Page(HTMLParser):
    """Collects what a page refers to."""

    def __init__(self):
        super().__init__()
        self.references, self.ids, self.captions, self.images = [], set(), 0, 0

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.references += [attributes[key] for key in ("src", "href") if key in attributes]
        if "id" in attributes:
            self.ids.add(attributes["id"])
        self.captions += tag == "figcaption"
        self.images += tag == "img"


def test_the_studies_of_a_binary_classifier(report, binary):
    _, test = binary
    assert report.task == "binary"
    assert 0.65 < report.auc.value < 0.9
    assert report.auc.low < report.auc.value < report.auc.high
    assert report.auc.level == pytest.approx(0.683, abs=1e-3)
    assert report.auc_train is not None
    assert set(report.roc) == {"signal"}
    assert report.auc_differences["one input"].value == pytest.approx(
        report.auc.value - report.compared["one input"].auc.value
    )
    assert report.significance.signal[0] == pytest.approx(test.yields()["signal"].sum)
    assert {item.column for item in report.ranking.inputs[:2]} == {"angle", "m_bb"}
    assert set(report.correlations) == {"background", "signal"}
    assert report.history["loss"]
    assert report.model["parameters"] == 3 * 16 + 16 + 16 + 1
    assert set(report.yields) == {"test", "train"}


def test_the_page_holds_everything(saved, report):
    text = (saved / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    pictures = pictures_of(report)
    assert page.images == page.captions == len(pictures) >= 10
    for reference in page.references:
        assert reference.startswith(("data:image/", "#")), reference[:60]
        if reference.startswith("#"):
            assert reference[1:] in page.ids
    assert not re.search(r"https?://|url\(|@import|<script", text)
    assert str(report.auc) in text
    for picture in pictures:
        # What it shows, and how its errors were found or that there are none.
        assert re.search(r"error|interval|bootstrap|statistic", picture.caption), picture.name


def test_pictures_are_beside_the_page(saved, report):
    names = {path.name for path in (saved / "plots").iterdir()}
    assert names == {f"{picture.name}.{form}" for picture in pictures_of(report) for form in ("pdf", "png")}
    for path in (saved / "plots").iterdir():
        start = {".pdf": b"%PDF", ".png": b"\x89PNG"}[path.suffix]
        assert path.read_bytes().startswith(start)


def test_json_holds_the_numbers(saved, report):
    def refuse(constant):
        raise AssertionError(f"{constant} is no strict JSON")

    content = json.loads((saved / "report.json").read_text(), parse_constant=refuse)
    assert content["format"] == "hepml_root report"
    assert content["auc"]["value"] == report.auc.value
    assert content["auc"]["level"] == report.auc.level
    np.testing.assert_allclose(content["roc"]["signal"]["low"], report.roc["signal"].low)
    assert content["yields"]["test"]["signal"]["events"] == 600


def test_the_root_file_read_by_uproot(saved, report, binary):
    _, test = binary
    with uproot.open(saved / "report.root") as file:
        scores = report.scores[0]
        for part, histograms in (("test", scores.test), ("train", scores.train)):
            for name, expected in histograms.items():
                values, edges = file[f"scores/Score_{part}_{name}"].to_numpy()
                np.testing.assert_array_equal(values, expected.values)
                np.testing.assert_array_equal(edges, expected.edges)
                np.testing.assert_allclose(
                    file[f"scores/Score_{part}_{name}"].variances(), expected.variances, rtol=1e-12
                )
        direct = np.histogram(
            report.outputs[test.labels == 1, 0],
            scores.test["signal"].edges,
            weights=test.weight[test.labels == 1],
        )[0]
        np.testing.assert_allclose(file["scores/Score_test_signal"].values(), direct, rtol=1e-9, atol=1e-12)
        x, y = file["roc/test_signal"].values()
        np.testing.assert_array_equal(x, report.roc["signal"].signal_efficiency)
        np.testing.assert_array_equal(y, report.roc["signal"].background_efficiency)
        matrix = file["correlation/signal"]
        np.testing.assert_allclose(matrix.values(), report.correlations["signal"].matrix)
        assert [str(label) for label in matrix.axis(0).labels()] == ["angle", "m_bb", "jet1_b-tag"]
        assert "inputs/jet1_b_tag_signal" in file
        assert "significance/asimov" in file
        ranked = file["ranking/importance"]
        assert ranked.values()[0] == report.ranking.inputs[0].importance.value


def test_the_tree_of_the_root_file(saved, report, binary):
    _, test = binary
    tree = uproot.open(saved / "report.root")["test"].arrays(library="np")
    np.testing.assert_array_equal(tree["score"], report.outputs[:, 0])
    np.testing.assert_array_equal(tree["class_index"], test.labels)
    np.testing.assert_array_equal(tree["weight"], test.weight)
    np.testing.assert_array_equal(tree["event_number"], test.event_number)
    np.testing.assert_array_equal(tree["run"], test.spectators["run"])
    np.testing.assert_array_equal(tree["m_true"], test.spectators["m_true"])
    np.testing.assert_array_equal(tree["jet1_b_tag"], test.X["features"][:, 2])
    assert tree["score"].dtype == np.float32
    assert tree["event_number"].dtype == test.event_number.dtype


def test_the_best_cut_and_the_bins_are_chosen_on_other_events(report, binary):
    """Without validation events half of the test events chooses, and both halves stand for the whole."""
    _, test = binary
    cut, binned = report.best_cut, report.binned
    assert (cut.chosen_on, cut.applied_on) == ("half of the test events", "the other half")
    total = test.yields()["signal"].sum
    for found in (cut.chosen, cut.applied):
        assert found.signal.value == pytest.approx(total * found.signal_efficiency)
    # The halves are disjoint: at a cut of nothing their effective events add up to all.
    assert binned.signal.sum() == pytest.approx(total)
    assert binned.background.sum() == pytest.approx(test.yields()["background"].sum)
    assert report.limit.expected > 0
    assert report.working_points()[0]["threshold"] == cut.threshold


def test_validation_events_choose(binary, tmp_path):
    train, test = binary
    _, validation = train.split(test=0.5)
    scores = {name: part.X["features"][:, 0] for name, part in (("test", test), ("validation", validation))}
    found = hr.evaluate(
        (scores["test"], scores["validation"]), test, validation=validation, bootstrap=20, systematic=0.3
    )
    assert (found.best_cut.chosen_on, found.best_cut.applied_on) == ("validation", "test")
    chosen = found.best_cut
    is_signal = test.labels == 1
    kept = scores["test"] >= np.float32(chosen.threshold)
    assert chosen.applied.signal.value == pytest.approx(test.weight[kept & is_signal].sum())
    assert chosen.applied.background.value == pytest.approx(test.weight[kept & ~is_signal].sum())
    assert found.binned.chosen_on == "validation"
    found.save(tmp_path / "report", formats=())
    text = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    for words in ("Best cut, chosen on other events", "Bins of the score", "Signal strength", "histfactory/"):
        assert words in text
    content = json.loads((tmp_path / "report" / "report.json").read_text())
    assert content["working_points"] == [chosen.working_point()]
    assert content["binned"]["correlated"]["value"] == found.binned.correlated.value
    names = {path.name for path in (tmp_path / "report" / "histfactory").iterdir()}
    assert names == {"workspace.json", "hs3.json", "score.root", "score.xml", "combination.xml"}
    workspace = json.loads((tmp_path / "report" / "histfactory" / "workspace.json").read_text())
    assert workspace["channels"][0]["samples"][0]["data"] == pytest.approx(list(found.binned.signal))
    with pytest.raises(errors.SettingError, match="validation events their scores at the end"):
        hr.evaluate(scores["test"], test, validation=validation)


def test_too_little_background_leaves_the_rest(binary):
    _, test = binary
    found = hr.evaluate(test.X["features"][:, 0], test, bootstrap=0, minimum_background=1e6)
    assert found.best_cut is found.binned is found.limit is None
    assert found.working_points() == []
    assert found.significance.best_asimov is None
    assert "significance" in {picture.name for picture in pictures_of(found)}


def test_multiclass(multiclass, tmp_path):
    train, test = multiclass
    centres = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]])

    def posterior(data):
        squares = ((data.X["features"][:, None, :] - centres) ** 2).sum(axis=2)
        density = np.exp(-0.5 * squares)
        return density / density.sum(axis=1, keepdims=True)

    report = hr.evaluate((posterior(test), posterior(train)), test, train, bootstrap=30)
    assert set(report.roc) == {"QCD", "W→qq", "top quark"}
    assert report.significance is None
    assert report.ranking is None  # an array of scores cannot be asked again
    assert 0.7 < report.auc.value < 0.9
    mean = np.mean([roc.auc.value for roc in report.roc.values()])
    assert report.auc.value == pytest.approx(mean)
    assert 0.5 < report.confusion.accuracy.value < 0.8
    # The true posterior is calibrated, and cannot be overtrained: p-values are no smaller than chance allows.
    assert min(curve.p_value for curve in report.calibration.values()) > 0.0
    assert min(ks.p_value for scores in report.scores for ks in scores.ks.values()) > 1e-4
    report.save(tmp_path / "report", formats=())
    with uproot.open(tmp_path / "report" / "report.root") as file:
        tree = file["test"].arrays(library="np")
        np.testing.assert_array_equal(tree[object_name("score_W→qq")], report.outputs[:, 1])
        np.testing.assert_allclose(file["confusion/fraction"].values(), report.confusion.fraction.T)
    assert "W→qq" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


def test_regression(regression, tmp_path):
    train, test = regression

    def value(data):
        return 50 * data.X["features"][:, 0] + 20

    report = hr.evaluate((value(test), value(train)), test, train, bootstrap=30)
    assert report.auc is None
    study = report.residuals[0]
    # 1000 events with a width of 2: five errors of 2/√1000 = 0.063; the half-width's is a little larger.
    assert study.bias.value == pytest.approx(0.0, abs=0.32)
    assert study.resolution.value == pytest.approx(2.0, abs=0.4)
    report.save(tmp_path / "report", formats=())
    with uproot.open(tmp_path / "report" / "report.root") as file:
        tree = file["test"].arrays(library="np")
        np.testing.assert_array_equal(tree["target_E"], test.target[:, 0])
        np.testing.assert_array_equal(file["residuals/residual_E"].values(), study.histogram.values)
    assert "GeV" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


def test_jagged_inputs_in_page_and_tree(tmp_path):
    generator = np.random.default_rng(7)
    labels = np.arange(400) % 2
    # Constituents need not be packed to the front.
    mask = generator.random((400, 5)) < 0.6
    jets = np.where(mask[..., None], generator.exponential(size=(400, 5, 2)), 0).astype(np.float32)
    data = hr.Dataset.from_arrays(
        {"jets": jets, "jets_mask": mask}, labels, columns={"jets": ["jet_pt", "jet_eta"]}
    )
    report = hr.evaluate(generator.random(400), data, bootstrap=5)
    assert report.inputs[0]["signal"].entries == mask[labels == 1].sum()
    report.save(tmp_path / "report", formats=())
    lists = uproot.open(tmp_path / "report" / "report.root")["test"]["jet_eta"].array()
    for event in (0, 1, 399):
        np.testing.assert_array_equal(np.asarray(lists[event]), jets[event, mask[event], 1])


def test_an_earlier_report_is_replaced_only_when_asked(saved, light):
    before = (saved / "report.html").stat().st_mtime_ns
    with pytest.raises(errors.OutputExistsError, match="overwrite=True"):
        light.save(saved)
    assert (saved / "report.html").stat().st_mtime_ns == before
    light.save(saved, overwrite=True, root_file=False, formats=["png"])
    assert not (saved / "report.root").exists()
    assert {path.suffix for path in (saved / "plots").iterdir()} == {".png"}
    assert "report.root" not in (saved / "report.html").read_text(encoding="utf-8")


def test_other_folders_are_never_replaced(light, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(errors.OutputExistsError, match="no earlier report"):
        light.save(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    assert light.save(tmp_path / "empty", root_file=False, formats=()).exists()


def test_nothing_is_left_when_saving_fails(report, tmp_path, binary):
    """A spectator that no tree can hold."""
    _, test = binary
    words = hr.Dataset.from_arrays(
        test.X["features"], test.labels, spectators={"generator": np.full(len(test), "Pythia")}
    )
    broken = hr.evaluate(report.outputs[:, 0], words, bootstrap=0)
    with pytest.raises(errors.ColumnTypeError, match="generator"):
        broken.save(tmp_path / "report")
    assert list(tmp_path.iterdir()) == []


def test_bad_input(binary):
    train, test = binary
    scores = np.random.default_rng(1).random(len(test))
    with pytest.raises(errors.SettingError, match="a pair"):
        hr.evaluate(scores, test, train)
    with pytest.raises(errors.ShapeError, match="2 outputs"):
        hr.evaluate(np.stack([scores, scores], axis=1), test)
    with pytest.raises(errors.ShapeError, match="5"):
        hr.evaluate(scores[:5], test)
    with pytest.raises(errors.NonFiniteInputError):
        hr.evaluate(np.full(len(test), np.nan), test)
    with pytest.raises(errors.EmptySelectionError):
        hr.evaluate(scores[: np.sum(test.labels == 1)], test[test.labels == 1])
    with pytest.raises(errors.SettingError, match="jpeg"):
        hr.evaluate(scores, test, bootstrap=0).save("never", formats=["jpeg"])


def test_another_order_of_classes_or_inputs_is_refused(trained, binary):
    """Nothing else would tell: the figures would be those of another class, or of nonsense."""
    model, _ = trained
    _, test = binary
    features = test.X["features"]

    def data(**settings):
        return hr.Dataset.from_arrays(features, test.labels, **settings)

    named = ["angle", "m_bb", "jet1_b-tag"]
    other_signal = data(columns=named, classes=["background", "signal"], signal="background")
    with pytest.raises(errors.ShapeError, match="gives signal; these data have background"):
        hr.evaluate(model, other_signal, bootstrap=0)
    swapped = data(columns=["m_bb", "angle", "jet1_b-tag"])
    with pytest.raises(errors.ShapeError, match="in the order angle, m_bb"):
        hr.evaluate(model, swapped, bootstrap=0)
    with pytest.raises(errors.ShapeError, match="'net' takes 'features' in the order"):
        hr.evaluate(features[:, 0], swapped, compare={"net": model}, bootstrap=0)
    renamed = data(columns=["a", "b", "c"], classes=["bkg", "H"])
    assert hr.evaluate(model, renamed, bootstrap=0, ranking=False).auc.value > 0.6


def test_another_order_of_classes_is_refused_for_multiclass(multiclass):
    train, test = multiclass
    model = hr.models.dense(train, hidden=(4,))
    renumbered = (test.labels + 1) % 3
    classes = ["top quark", "QCD", "W→qq"]
    other = hr.Dataset.from_arrays(test.X["features"], renumbered, classes=classes, columns=["a", "b"])
    with pytest.raises(errors.ShapeError, match="gives QCD, W→qq, top quark"):
        hr.evaluate(model, other, bootstrap=0)


def test_scores_that_are_no_probabilities_are_not_calibrated(binary):
    _, test = binary
    report = hr.evaluate(test.X["features"][:, 0] * 100, test, bootstrap=10)
    assert report.calibration == {}
    assert report.auc.value > 0.6
    assert "reliability" not in {picture.name for picture in pictures_of(report)}


def test_no_bootstrap_means_no_intervals(binary):
    _, test = binary
    report = hr.evaluate(test.X["features"][:, 0], test, bootstrap=0)
    assert report.auc.value > 0.6
    assert np.isnan(report.auc.low)
    captions = " ".join(picture.caption for picture in pictures_of(report))
    assert "no bootstrap was asked for" in captions


def test_the_same_seed_gives_the_same_numbers(binary):
    _, test = binary
    scores = test.X["features"][:, 0]
    first, second = (hr.evaluate(scores, test, bootstrap=20).to_dict() for _ in range(2))
    for content in (first, second):
        del content["created"], content["seconds"]
    assert first == second


def test_losses_of_two_scales_have_a_panel_each():
    """Three epochs of cross entropy, two of minus a significance."""
    metrics = {
        "loss": [0.7, 0.6, 0.5, -3.0, -4.0],
        "val_loss": [0.7, 0.6, 0.6, -2.0, -3.0],
        "val_auc": [0.5, 0.6, 0.7, 0.8, 0.9],
    }
    first, second, third = plot_history(metrics, best_epoch=4, pretraining_epochs=3).axes
    assert [axes.get_ylabel() for axes in (first, second, third)] == [
        "loss of the pretraining",
        "loss",
        "auc",
    ]
    drawn = [
        {line.get_label(): line.get_xydata().tolist() for line in axes.lines} for axes in (first, second)
    ]
    assert drawn[0]["training"] == [[1, 0.7], [2, 0.6], [3, 0.5]]
    assert drawn[1]["training"] == [[4, -3.0], [5, -4.0]]
    assert drawn[1]["validation"] == [[4, -2.0], [5, -3.0]]
    assert first.get_ylim()[0] > 0  # the other loss is not in this panel
    assert len(plot_history(metrics).axes) == 2
    # Interrupted before the switch.
    assert len(plot_history({"loss": [0.7, 0.6]}, pretraining_epochs=3).axes) == 1
