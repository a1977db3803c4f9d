"""The page with TMVAGui's plots: of files that ROOT wrote with TMVA's names, and of our own."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import tmva_file
from method_results import data_set, gaussian_classes, result, sample, variable

from hepml_root import tmva as TMVA
from hepml_root.cli.commands import main
from hepml_root.errors import CorruptFileError, OutputExistsError, SettingError, SourceNotFoundError
from hepml_root.tmva.gui.output_content import Plane, read_output
from hepml_root.tmva.gui.page import pictures_of, write_gui
from hepml_root.tmva.gui.panels import named
from hepml_root.tmva.gui.pictures import Pictures
from hepml_root.tmva.gui.plot_responses import Efficiencies
from hepml_root.tmva.gui.plot_training import tree_depth
from hepml_root.tmva.gui.plot_variables import coarser, correlation_of
from hepml_root.tmva.gui.tlatex import shown
from hepml_root.tmva.output.file import write_output
from hepml_root.tmva.weights.weights_xml import read_weights

ROOT = pytest.importorskip("ROOT")


def pictures(path, **settings):
    """Return the titles of pictures by section, what is missing, and the pictures by name."""
    path, datasets = read_output(path)
    collection, _ = pictures_of(datasets[0], path, **settings)
    sections: dict[str, list[str]] = {}
    for picture in collection.pictures:
        sections.setdefault(picture.section, []).append(picture.title)
    missing = {entry.name: entry.why for entry in collection.missing}
    return sections, missing, {picture.name: picture for picture in collection.pictures}


@pytest.fixture(scope="module")
def classification(tmp_path_factory):
    return tmva_file.classification(tmp_path_factory.mktemp("gui") / "TMVA.root")


def test_every_plot_of_a_file_of_tmva(classification):
    sections, missing, found = pictures(classification)
    assert sections == {
        "variables": ["Input variables", "Input variables, Gaussian, then decorrelated"],
        "correlations": [
            *("Correlations, Signal", "Correlations, Background"),
            *(f"Correlations, Gaussian, then decorrelated, {one}" for one in ("Signal", "Background")),
        ],
        "matrices": [f"Linear correlation coefficients, {one}" for one in ("signal", "background")],
        "output": [
            *("Classifier output", "Output of test and training events", "Signal probability", "Rarity"),
        ],
        "cuts": ["Cut efficiencies and optimal cut"],
        "roc": [
            "Background rejection against signal efficiency",
            "1/(background efficiency) against signal efficiency",
        ],
        "parallel": ["Parallel coordinates, BDTG", "Parallel coordinates, MLP"],
        "densities": ["Densities of the response", "Reference distributions of the likelihood"],
        "networks": ["Network architecture, MLP", "Convergence"],
        "trees": ["Boosting of BDTG"],
    }
    assert missing == {
        "Classifier output": "CutsGA has no response in the file",
        "Decision trees, BDTG": "the weight file 'dataset/weights/TMVAClassification_BDTG.weights.xml' is "
        "not there",
    }
    # Ranked by the area: 1 − ∫x⁴ = 0.8 and 1 − ∫x² = ⅔.
    labels = [line.get_label() for line in found["roc"].figure.axes[0].lines]
    assert labels == ["BDTG: 0.800", "MLP: 0.800", "Likelihood: 0.800", "CutsGA: 0.667", "no separation"]
    check = found["overtraining_1"]
    assert "from the histograms where the trees lack" in check.caption  # there is no TrainTree
    texts = [text.get_text() for text in check.figure.axes[0].get_legend().get_texts()]
    assert texts[:2] == ["Signal (test)", "Background (test)"]
    assert re.fullmatch(r"Signal \(training\), KS p = [\d.e-]+", texts[2])
    network = found["network_mlp"].figure.axes[0]
    words = [text.get_text() for text in network.texts]
    # The next layer's bias has no weights: 4 rows in the file are 3 neurons.
    assert words == ["myvar1", "var3", "bias", "response", "2 inputs", "3 neurons", "1 output"]
    assert len(network.collections[0].get_segments()) == 3 * 3


def test_older_and_newer_layouts(tmp_path):
    """Without a dataset's directory, and with methods in directories named after their titles."""
    old = tmva_file.classification(tmp_path / "old.root", dataset="")
    _, datasets = read_output(old)
    assert [(one.name, one.analysis, one.signal) for one in datasets] == [("", "Classification", "Signal")]
    assert datasets[0].variables == ("myvar1", "var3")
    new = tmp_path / "new.root"
    file = ROOT.TFile(str(new), "RECREATE")
    top = file.mkdir("dataset")
    tmva_file.classifier(top, "MLP_BFGS", "MLP_BFGS")
    file.Close()
    sections, missing, _ = pictures(new)
    assert set(sections) == {"output", "cuts", "roc"}
    assert missing["Input variables"] == "the file has no directory InputVariables_…"
    assert missing["Parallel coordinates"] == "the file has no TestTree"
    weights = "dataset/weights/TMVAClassification_MLP_BFGS.weights.xml"
    assert missing["Network architecture, MLP_BFGS"] == f"the weight file '{weights}' is not there"
    assert missing["Decision trees"] == "no BDT was booked"
    assert missing["PDFs of classifiers"] == "book the method with CreateMVAPdfs"


def test_a_regression(tmp_path):
    sections, missing, found = pictures(tmva_file.regression(tmp_path / "TMVAReg.root"))
    assert sections["variables"] == ["Input variables and targets"]
    assert sections["matrices"] == ["Linear correlation coefficients, all events"]
    of = [f"{what}, {part} sample" for part in ("test", "training") for what in ("target", "input variables")]
    assert sections["deviations"] == [
        *(f"Deviation against {one}" for one in of),
        "Mean deviations, target 0",
    ]
    assert "roc" not in sections
    # All squares lie in the first of 500 bins: the root of half a bin, of 100 and of 50.
    lines = {line.get_label(): line.get_ydata()[0] for line in found["mean_deviation_0"].figure.axes[0].lines}
    assert lines["test, all"] == pytest.approx(np.sqrt(0.1))
    assert lines["training, 90 % best"] == pytest.approx(np.sqrt(0.05))
    assert "Summary of average deviations" not in missing


def test_several_classes(tmp_path):
    sections, _, found = pictures(tmva_file.multiclass(tmp_path / "TMVAMulticlass.root"))
    assert len(sections["matrices"]) == 3
    assert sections["output"] == [
        "Response of BDTG for each class",
        "Response of BDTG on test and training events",
    ]
    assert sections["roc"] == [f"ROC curves, {one} against all others" for one in ("Signal", "bg0", "bg1")]
    # Points (0, 1), (0.6, 0.8), (1, 0): the area is 0.54 + 0.16.
    assert found["roc_bg0"].figure.axes[0].lines[0].get_label() == "BDTG: 0.700"
    assert len(found["output_bdtg_1"].figure.axes) == 3


def test_our_own_files(tmp_path, reference, events, expected):
    """Trees and networks come from the weight files that the ROOT file names; p-values from its trees."""
    events = sample(events, expected["classID"], expected["weight"])
    titles = ("myvar1", "myvar2", "var3", "var4")
    data = data_set(events, events, [variable(name) for name in titles])
    results = [
        result(data, expected[name], expected[name], title=name, type_name=kind,
               weight_file=reference / f"{name}.weights.xml")
        for name, kind in (("BDT", "BDT"), ("BDTG", "BDT"), ("MLP", "MLP"))
    ]  # fmt: skip
    path = tmp_path / "TMVA.root"
    file = ROOT.TFile.Open(str(path), "RECREATE")
    write_output(file, data, results)
    file.Close()
    sections, missing, found = pictures(path, trees=[0, 3])
    assert [title for title in sections["trees"] if title.startswith("Tree")] == [
        *("Tree 0 of BDT", "Tree 3 of BDT", "Tree 0 of BDTG", "Tree 3 of BDTG"),
    ]
    assert not any(name.startswith("Decision trees") for name in missing)
    tree = read_weights(reference / "BDT.weights.xml").weights.trees[3]
    words = [text.get_text() for text in found["tree_bdt_3"].figure.axes[0].texts]
    assert len(words) == len(tree.kind)
    root = words[-1] if tree.kind[0] == 0 else words[0]
    assert {"S", "B"} >= {word for word in words if len(word) == 1}
    assert any(f"{tree.cut[0]:.4g}" in word for word in words), root
    assert "boost weight" in found["tree_bdt_3"].caption
    assert "from the histograms" not in found["overtraining_1"].caption
    texts = [text.get_text() for text in found["overtraining_1"].figure.axes[0].get_legend().get_texts()]
    assert "Signal (training), KS p = 1" in texts  # the same events
    with pytest.raises(SettingError, match="tree 850 of 'BDT': there are 850 trees, from 0"):
        pictures(path, trees=[850])
    assert tree_depth(tree) <= 3


def test_the_page(classification, tmp_path):
    page = write_gui(classification, tmp_path / "plots.html")
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)  # nothing from elsewhere
    assert text.count("<figure") == len(re.findall(r'src="data:image/(?:png|svg\+xml);base64,', text)) == 22
    assert "CutsGA has no response in the file" in text
    content = json.loads(re.search(r'id="efficiencies">(.*?)</script>', text, re.S)[1])
    assert [item["title"] for item in content["cuts"]] == ["BDTG", "MLP", "Likelihood"]
    first = content["cuts"][0]
    assert (first["low"], first["high"]) == pytest.approx((0, 1))
    signal = np.frombuffer(base64.b64decode(first["signal"]), np.float32)
    assert len(signal) == 10_000
    assert signal[[0, 7000, 9999]] == pytest.approx([1, 0.5, 0], abs=2e-4)
    with pytest.raises(OutputExistsError, match=r"plots\.html"):
        write_gui(classification, page)
    _check_script(text, first)


def _check_script(text: str, method: dict) -> None:
    """Run the page's own script, where there is Node.js, on a page of as many elements as it uses."""
    node = shutil.which("node")
    if node is None:
        return
    script = text.rsplit("<script>", 1)[1].split("</script>")[0]
    data = re.search(r'id="efficiencies">(.*?)</script>', text, re.S)[1]
    elements = """
class Element {
  constructor() { this.kids = []; this.dataset = {}; this.listeners = {}; this.words = null; }
  appendChild(item) { this.kids.push(item); }
  replaceChildren(...items) { this.kids = items; }
  setAttribute() {}
  addEventListener(kind, action) { this.listeners[kind] = action; }
  get textContent() { return this.words ?? this.kids.map((one) => one.textContent).join("|"); }
}
const box = new Element(), rows = new Element(), drawing = new Element(), fields = {};
box.dataset.cuts = "cuts";
const chosen = { signal: "200", background: "5000", measure: "sb", method: "MLP" };
for (const [name, value] of Object.entries(chosen)) {
  fields[name] = new Element();
  fields[name].value = value;
}
box.querySelector = (what) => ({ tbody: rows, svg: drawing })[what] ?? fields[what.slice(6, -1)];
const made = (words) => { const item = new Element(); item.words = words; return item; };
globalThis.document = {
  getElementById: () => made(CONTENT), querySelectorAll: () => [box], createElement: () => new Element(),
  createElementNS: () => new Element(), createTextNode: made,
};
"""
    end = """
const first = rows.kids[0].textContent;
fields.measure.value = "purity";
fields.measure.listeners.input();
console.log(JSON.stringify([first, rows.kids[0].textContent, drawing.kids.length]));
"""
    done = subprocess.run(
        [node, "-"], input=elements.replace("CONTENT", json.dumps(data)) + script + end, text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    by_significance, by_purity, drawn = json.loads(done.stdout)
    assert drawn > 10
    sides = [np.frombuffer(base64.b64decode(method[side]), np.float32) for side in ("signal", "background")]
    item = Efficiencies(method["title"], (np.arange(10_000) + 0.5) / 10_000, *map(np.float64, sides))
    significance = item.significance(200, 5000)
    best = int(np.argmax(significance))
    title, cut, value, s, b, _, _ = by_significance.split("|")
    assert title == "BDTG"
    assert float(cut) == pytest.approx(item.cuts[best], abs=2e-4)
    assert float(value) == pytest.approx(significance[best], rel=1e-3)
    assert float(s) == pytest.approx(200 * item.signal[best], rel=1e-3)
    assert float(b) == pytest.approx(5000 * item.background[best], abs=1)
    s, b = 200 * item.signal, 5000 * item.background
    quality = np.divide(s, s + b, out=np.zeros_like(s), where=s + b > 0) * item.signal
    assert float(by_purity.split("|")[2]) == pytest.approx(quality.max(), rel=1e-3)


def test_the_command(tmp_path, capsys):
    """A file with two datasets that hold one small method each."""
    path = tmp_path / "two.root"
    file = ROOT.TFile(str(path), "RECREATE")
    for name in ("first", "second"):
        top = file.mkdir(name)
        top.mkdir("Method_LD").mkdir("LD").cd()
        tmva_file._step("MVA_LD_rejBvsS", 100, 0, 1, np.linspace(1, 0, 100)).Write()
    file.Close()
    assert main(["gui", str(path)]) == 0
    page = tmp_path / "two.html"
    assert capsys.readouterr().out == f"wrote {page}\n"
    text = page.read_text(encoding="utf-8")
    assert "second: ROC curves" in text
    assert "first: Input variables" in text  # it is missing
    assert main(["gui", str(path)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["gui", str(path), "-o", str(page), "--overwrite", "--dataset", "second"]) == 0
    text = page.read_text(encoding="utf-8")
    assert ">second</td>" in text
    assert ">first</td>" not in text
    capsys.readouterr()
    assert main(["gui", str(path), "--dataset", "frist", "--overwrite"]) == 2
    assert "Nearest: 'first'" in capsys.readouterr().err
    # TMVA's own names replace an earlier page, and say where it is.
    for gui in (TMVA.TMVAGui, TMVA.TMVARegGui, TMVA.TMVAMultiClassGui):
        assert gui(str(path), "first") == page
    assert capsys.readouterr().out.count(f"TMVAGui                  : Plots of {path}: open file://") == 3


def test_files_that_are_no_output(tmp_path):
    with pytest.raises(SourceNotFoundError, match=r"absent\.root"):
        write_gui(tmp_path / "absent.root")
    (tmp_path / "text.root").write_text("no file of ROOT")
    with pytest.raises(CorruptFileError, match=r"text\.root"):
        write_gui(tmp_path / "text.root")
    file = ROOT.TFile(str(tmp_path / "other.root"), "RECREATE")
    ROOT.TH1F("h", "", 1, 0, 1).Write()
    file.Close()
    with pytest.raises(SettingError, match=r"InputVariables_… or Method_… in it. It holds h"):
        write_gui(tmp_path / "other.root")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.root", "text.root"]


def test_a_cut_off_file(classification, tmp_path):
    whole = classification.read_bytes()
    for share in (0.3, 0.7, 0.95):
        path = tmp_path / "cut.root"
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(CorruptFileError, match=r"cut\.root"):
            pictures(path)


def test_many_variables_show_the_strongest_pairs(tmp_path):
    training = gaussian_classes(60, 9, variables=8)
    data = data_set(training, training, [variable(f"x{i}") for i in range(8)])
    file = ROOT.TFile.Open(str(tmp_path / "TMVA.root"), "RECREATE")
    write_output(file, data, [])
    file.Close()
    sections, missing, found = pictures(tmp_path / "TMVA.root")
    assert sections["correlations"][:2] == ["Correlations, Signal (1 of 2)", "Correlations, Signal (2 of 2)"]
    assert "Of 28 pairs the 24 with the strongest" in found["scatter_id_signal_1"].caption
    assert missing["Plots of methods"] == "the file has no directory Method_…"


def test_very_many_variables(tmp_path):
    """Of 125 variables, of which the last alone tells classes apart, 120 are shown, that one with them."""
    generator = np.random.default_rng(1)
    table = generator.normal(size=(300, 125)).astype(np.float32)
    table[::2, -1] += 5
    events = sample(table, np.arange(300) % 2)
    data = data_set(events, events, [variable(f"x{i}") for i in range(125)])
    file = ROOT.TFile.Open(str(tmp_path / "TMVA.root"), "RECREATE")
    write_output(file, data, [])
    file.Close()
    _, datasets = read_output(tmp_path / "TMVA.root")
    collection = Pictures(datasets[0], tmp_path / "TMVA.root")
    collection.variables()
    shown_variables = [one for one in collection.pictures if one.section == "variables"]
    assert len(shown_variables) == 10
    assert "Of 125 variables the 120 whose classes differ most" in shown_variables[0].caption
    assert shown_variables[-1].figure.axes[-1].get_xlabel() == "x124"
    assert "the file's order" in collection.pictures[-1].caption


def test_coarser_bins():
    """300 bins become 60, and the sums of groups of 5; 7 bins stay."""
    values = np.arange(300 * 7, dtype=np.float64).reshape(300, 7)
    plane = Plane("p", np.linspace(0, 1, 301), np.linspace(0, 1, 8), values, "", "")
    x, y, found = coarser(plane)
    assert (len(x), len(y), found.shape) == (61, 8, (60, 7))
    assert found[0].tolist() == values[:5].sum(axis=0).tolist()
    assert correlation_of(Plane("p", x, x, np.eye(60), "", "")) == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("p_{T}  [GeV]", r"$\mathrm{p_{T}\ [GeV]}$"),
        ("#Delta#phi (Gauss_Deco)", r"$\mathrm{\Delta\phi\ (Gauss\_Deco)}$"),
        ("jet1_b-tag", "jet1_b-tag"),
        ("#splitline{a}{b}", "#splitline{a}{b}"),  # matplotlib has no such thing
        ("5 $", r"5 \$"),
        ("dN_{ }/^{ }0.2 GeV", r"$\mathrm{dN/0.2\ GeV}$"),
    ],
)
def test_titles(text, wanted):
    assert shown(text) == wanted


def test_strange_names(tmp_path):
    """Markup, dollars, underscores and braces in names of methods and classes are shown as they are."""
    path = tmp_path / "strange.root"
    title = "<b>$x_{1}$ _{"
    file = ROOT.TFile(str(path), "RECREATE")
    top = file.mkdir("<script>")
    tmva_file.input_variables(top, "Id", ("<b>", "100 % #pi^{0}"))
    tmva_file.classifier(top, "MLP", title, text="../../<i>.xml")
    file.Close()
    _, _, found = pictures(path)
    labels = [text.get_text() for text in found["variables_id_1"].figure.legends[0].get_texts()]
    assert named("_hidden") == " _hidden"  # which matplotlib would leave out
    assert labels == ["<b>", r"$\mathrm{100\ \%\ \pi^{0}}$"]
    page = write_gui(path, tmp_path / "page.html")
    text = page.read_text(encoding="utf-8")
    body = re.sub(r"data:image[^\"]*", "", text)
    assert "<b>" not in body.replace("<b>Contents</b>", "").replace("<figcaption><b>Figure", "")
    assert "<i>" not in body
    assert body.count("<script") == 2  # those of the page itself
    assert "&lt;b&gt;$x_{1}$ _{" in body
    content = json.loads(re.search(r'id="efficiencies">(.*?)</script>', text, re.S)[1])
    assert content["cuts"][0]["title"] == title
