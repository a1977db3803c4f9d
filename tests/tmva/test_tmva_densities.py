"""Densities, the smoothing and splines behind them against ROOT's own, likelihoods, and transformations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import ROOT
from scipy.special import erf, erfinv
from weight_files import linear, normalize, pdf, selection, weight_file

import hepml_root as hr
from hepml_root import tmva as TMVA
from hepml_root.errors import UnsupportedOperationError
from hepml_root.tmva.weights.pdf import Pdf, pdf_values, read_pdf, step_edges
from hepml_root.tmva.weights.smoothing import smoothed, smoothed_by_errors
from hepml_root.tmva.weights.splines import SPLINES
from hepml_root.tmva.weights.xml_nodes import read_xml


def scores(path, events, engine="onnxruntime", **settings):
    file = TMVA.convert(path, path.with_suffix(f".{engine}.onnx"), **settings)
    return hr.Session(file, engine=engine).infer(np.float32(events))


def histogram(contents) -> ROOT.TH1F:
    made = ROOT.TH1F("", "", len(contents), -3.0, 5.0)
    made.SetDirectory(ROOT.nullptr)
    for i, value in enumerate(contents):
        made.SetBinContent(i + 1, float(value))
    return made


def test_smoothing_is_that_of_root():
    """Bit by bit, as both add float64 in the same order; small counts have the ties that the medians meet."""
    rng = np.random.default_rng(1)
    for _ in range(60):
        bins, times = int(rng.integers(3, 40)), int(rng.integers(1, 21))
        contents = rng.poisson(rng.uniform(0.3, 8.0), bins).astype(np.float32)
        wanted = histogram(contents)
        wanted.Smooth(times)
        assert smoothed(contents, times).tolist() == [wanted.GetBinContent(i + 1) for i in range(bins)]


def test_smoothing_by_errors_is_a_number_of_passes():
    """100, 100, 4, 1, 1: relative errors 0.1, 0.1, 0.5, and no use of the others (content <= error). Mean
    0.233, spread 0.189: the first two have 0.147 of the range, so 1 + int(0.147 * 3) = 1 pass, the third
    min(4, 1 + int(1.207 * 3)) = 4, as have the others. Least 1: two passes, and one for each of the
    numbers 4, 3, 2 whose part ends before the last bin, which none does."""
    contents = np.float32([100, 100, 4, 1, 1])
    assert smoothed_by_errors(contents, 1, 4).tolist() == smoothed(contents, 2).tolist()
    # With the large contents last, the part of three bins ends before them: three passes more.
    turned = contents[::-1].copy()
    assert smoothed_by_errors(turned, 1, 4).tolist() == smoothed(turned, 5).tolist()


def test_splines_are_those_of_root():
    contents = np.random.default_rng(2).poisson(20, 20).astype(np.float64)
    graph = ROOT.TGraph(histogram(contents))
    x = np.array([graph.GetX()[i] for i in range(20)])
    at = np.linspace(-3, 5, 301)
    for (name, _, spline), wanted in zip(
        (SPLINES[0], SPLINES[2], SPLINES[3]),
        (graph, ROOT.TSpline3("", graph), ROOT.TSpline5("", graph)),
        strict=True,
    ):
        found = spline(x, contents, at)
        assert found == pytest.approx([wanted.Eval(value) for value in at], abs=1e-9), name


def test_parabolas():
    """Through three points of a parabola there is that parabola, everywhere."""
    x = np.arange(6.0)
    at = np.linspace(-0.5, 5.5, 25)
    assert SPLINES[1][2](x, 2 * x * x - x + 3, at) == pytest.approx(2 * at * at - at + 3, rel=1e-5)


# ---- likelihood ------------------------------------------------------------------------------------------


def likelihood(*densities: tuple[str, str]) -> str:
    inner = "".join(
        f'<PDFDescriptor VarIndex="{i}" ClassIndex="{c}">{both[c]}</PDFDescriptor>'
        for i, both in enumerate(densities)
        for c in (0, 1)
    )
    return f'<Weights NVariables="{len(densities)}" NClasses="2">{inner}</Weights>'


STEPS = (pdf([1, 3, 0, 4], 0.0, 2.0, method=0), pdf([2, 2, 2, 2], 0.0, 2.0, method=0))
LINES = (pdf([1, 3], -1.0, 1.0, method=1), pdf([3, 1], -1.0, 1.0, method=1))


def test_steps_and_lines(tmp_path):
    """x has histograms as they are, y straight lines, of which the integral is 1 after 10 000 fine bins."""
    path = weight_file(tmp_path, "Likelihood", likelihood(STEPS, LINES))
    x = np.array([0.1, 0.5, 0.7, 1.9, 2.0, 7.0, -3.0])
    y = np.array([0.0, 0.5, -0.5, 0.25, 0.9, 5.0, -9.0])
    first = np.array([1, 3, 3, 4, 4, 4, 1]) / 4.0 / (np.full(7, 2) / 4.0)
    clipped = np.clip(y, -1, 1)
    second = (2 + 2 * clipped) / np.maximum(2 - 2 * clipped, 1e-300)
    ratio = first * second
    wanted = ratio / (1 + ratio)
    # Where a density is 0 at the edge, TMVA has the histogram's content in the outermost fine bins: left out.
    inside = np.abs(clipped) < 1
    found = scores(path, np.stack([x, y], axis=1))[:, 0]
    assert found[inside] == pytest.approx(wanted[inside], abs=2e-6)
    path = weight_file(tmp_path, "Likelihood", likelihood(STEPS, LINES), options={"TransformOutput": "True"})
    found = scores(path, np.stack([x, y], axis=1), overwrite=True)[:, 0]
    assert found[inside] == pytest.approx(np.log(ratio[inside]) / 15, abs=2e-6)


def test_an_empty_bin(tmp_path):
    """The density of the signal is 0 between 1 and 1.5: TMVA takes 2.2e-305 for it."""
    options = {"TransformOutput": "True"}
    path = weight_file(tmp_path, "Likelihood", likelihood(STEPS), options=options, variables=["x"])
    least = math.log(1e3 * np.finfo(np.float64).tiny)
    found = scores(path, [[1.2]])[0, 0]
    assert found == pytest.approx((least - math.log(0.5)) / 15, abs=1e-5)


def test_steps_begin_where_root_finds_the_next_bin():
    contents = np.arange(1, 38, dtype=np.float32)
    made = ROOT.TH1F("", "", 37, -1.3, 2.9)
    made.SetDirectory(ROOT.nullptr)
    edges = step_edges(Pdf(np.linspace(-1.3, 2.9, 38), contents, False, True))
    below = np.nextafter(edges, np.float32(-np.inf))
    assert [made.FindBin(float(x)) for x in edges] == list(range(2, 38))
    assert [made.FindBin(float(x)) for x in below] == list(range(1, 37))


def test_each_class_has_its_transformation(tmp_path):
    """Normalize with ranges 0 to 4 for the signal, 0 to 2 for the background, which all others do not use."""
    change = normalize([[(0.0, 4.0)], [(0.0, 2.0)], [(-100.0, 100.0)]], "x")
    path = weight_file(tmp_path, "Likelihood", likelihood(LINES), variables=["x"], transformations=[change])
    x = np.array([0.5, 1.0, 1.5])
    signal, background = 2 + 2 * (x / 2 - 1), 2 - 2 * (x - 1)
    found = scores(path, x[:, None], engine="cpp")[:, 0]
    assert found == pytest.approx(signal / (signal + background), abs=2e-6)


def test_kernels_against_their_sum(tmp_path):
    """Each bin i of 40 is a Gaussian of width σ = (4/3)^(1/5) RMS N^(-1/5) around its centre; TMVA leaves out
    the last bin, and the last of its fine bins. The sum by hand, in double precision."""
    rng = np.random.default_rng(4)
    contents = np.histogram(rng.normal(0, 1, 400), 40, (-4.0, 4.0))[0]
    other = np.histogram(rng.normal(1, 1, 400), 40, (-4.0, 4.0))[0]

    def both(iteration: int, factor: float, border: int = 1):
        return [
            pdf(counts, -4.0, 4.0, method=5)
            .replace('KDE_type="0"', 'KDE_type="1"')
            .replace('KDE_iter="1"', f'KDE_iter="{iteration}"')
            .replace('KDE_border="1"', f'KDE_border="{border}"')
            .replace('KDE_finefactor="1"', f'KDE_finefactor="{factor}"')
            for counts in (contents, other)
        ]

    centres = np.linspace(-4, 4, 41)[:-1] + 0.1
    x = np.linspace(-2.5, 2.5, 21)

    def summed(counts, at, width):
        z = (at[:, None] - centres[None, :-1]) / width
        ends = (np.array([[-4.0], [4.0]]) - centres[None, :-1]) / width / math.sqrt(2)
        inside = (counts[:-1] * np.diff(erf(ends), axis=0)[0] / 2).sum()  # the density has the integral 1
        return (counts[:-1] * np.exp(-z * z / 2) / width).sum(axis=1) / inside

    def width(counts):
        mean = np.average(centres, weights=counts)
        spread = np.sqrt(np.average((centres - mean) ** 2, weights=counts))
        return (4 / 3) ** 0.2 * spread * counts.sum() ** -0.2

    signal, background = (summed(counts, x, width(counts)) for counts in (contents, other))
    path = weight_file(tmp_path, "Likelihood", likelihood(both(1, 1.0)), variables=["x"])
    # Fine bins of 8e-4 hold the mean of a density whose width is 0.3: 1e-6 of it.
    assert scores(path, x[:, None])[:, 0] == pytest.approx(signal / (signal + background), abs=2e-5)

    # Adaptive: σ f / sqrt(f₀) with the density f₀ of the first pass in the bin.
    adapted = []
    for counts in (contents, other):
        edges = np.linspace(-4, 4, 41)
        base = width(counts)
        z = (edges[:, None] - centres[None, :-1]) / base
        first = (counts[:-1] * np.diff(erf(z / math.sqrt(2)), axis=0) / 2).sum(axis=1)
        density = first / (first[:-1].sum() * 0.2)
        adapted.append(summed(counts, x, 0.7 * base / np.sqrt(density[:-1])))
    path = weight_file(tmp_path, "Likelihood", likelihood(both(2, 0.7)), variables=["x"])
    found = scores(path, x[:, None], overwrite=True)[:, 0]
    assert found == pytest.approx(adapted[0] / (adapted[0] + adapted[1]), abs=2e-4)

    # At the end of a flat sample kernels lose half of it. Mirrored events bring it back, but for those that
    # are farther than 7 bins, 1.9 widths (3 %); of renormalised kernels comes ∫ K(u)/Φ(u) du from 0, ln 2.
    edge = [np.float32(-3.99)]
    flat = np.full(40, 10)
    values = {}
    for border in (1, 2, 3):
        text = both(1, 1.0, border)[0].replace(" ".join(map(str, contents)), " ".join(map(str, flat)))
        node = read_xml(written(tmp_path, text), {})
        values[border] = pdf_values(read_pdf(node, normalised=False), np.array(edge))[0]
    assert values[2] == pytest.approx(2 * math.log(2) * values[1], rel=0.03)
    assert values[3] == pytest.approx(2 * values[1], rel=0.05)


def written(folder, text):
    path = folder / "pdf.xml"
    path.write_text(text)
    return path


def test_densities_that_are_not_read(tmp_path):
    path = weight_file(
        tmp_path, "Likelihood", likelihood((LINES[0], pdf([1, 3], -1, 1, method=0))), variables=["x"]
    )
    with pytest.raises(UnsupportedOperationError, match="different ways"):
        TMVA.read_weights(path)


# ---- transformations -------------------------------------------------------------------------------------

IDENTITY = linear([0, 1, 0], [0, 0, 1])
TWO = {"analysis": "Regression", "targets": ["t", "u"], "classes": ["Regression"]}


def transformed(folder, events, *transformations, engine="onnxruntime"):
    path = weight_file(folder, "LD", IDENTITY, transformations=transformations, **TWO)
    return scores(path, events, engine, overwrite=True)


def test_principal_components(tmp_path):
    """x' = Vᵀ (x - mean), V written row by row."""
    change = (
        f'<Transform Name="PCA">{selection("x", "y")}'
        '<Statistics Class="Combined" ClassIndex="0" NRows="2">1.0 2.0</Statistics>'
        '<Eigenvectors Class="Combined" ClassIndex="0" NRows="2" NCols="2">0.6 -0.8 0.8 '
        "0.6</Eigenvectors></Transform>"
    )
    # x - mean = (2, 1): 0.6 * 2 + 0.8 * 1 and -0.8 * 2 + 0.6 * 1
    assert transformed(tmp_path, [[3.0, 3.0]], change)[0] == pytest.approx([2.0, -1.0], abs=1e-6)


def test_decorrelation_and_order(tmp_path):
    """x' = M x, then the normalisation of y alone: y' = 2 (y - 1) / 4 - 1."""
    first = (
        f'<Transform Name="Decorrelation">{selection("x", "y")}'
        '<Matrix Rows="2" Columns="2">1.0 2.0 0.5 3.0</Matrix></Transform>'
    )
    second = normalize([[(1.0, 5.0)]], "y")
    found = transformed(tmp_path, [[1.0, 2.0]], first, second)[0]
    assert found == pytest.approx([5.0, 2 * (6.5 - 1) / 4 - 1], abs=1e-6)
    found = transformed(tmp_path, [[1.0, 2.0]], second, first)[0]
    assert found == pytest.approx([1 + 2 * -0.5, 0.5 + 3 * -0.5], abs=1e-6)


def test_what_is_put_elsewhere(tmp_path):
    """Input y, output x: x becomes the normalised y."""
    change = normalize([[(0.0, 2.0)]], "y").replace(selection("y"), selection("y", outputs=["x"]))
    assert transformed(tmp_path, [[7.0, 1.5]], change)[0].tolist() == [0.5, 1.5]


@pytest.mark.parametrize("kind", ["Flat", "Gauss"])
def test_uniform_and_gauss(tmp_path, kind):
    """F of two bins, 0.25 in the centre of the first and 0.75 in that of the second: F(x) = x/2 on 0 to 2,
    and TMVA goes on with the straight line outside. Gauss: 2F - 1 stays between -+0.99999999."""
    wrapped = "".join(
        "<Variable "
        f'VarIndex="{i}"><CumulativePDF_cls0>{pdf([0.25, 0.75], 0.0, 2.0)}</CumulativePDF_cls0></Variable>'
        for i in range(2)
    )
    change = f'<Transform Name="Gauss" FlatOrGauss="{kind}">{selection("x", "y")}{wrapped}</Transform>'
    x = np.array([1.0, 1.5, 0.5, 0.02, 1.98, 2.0 - 2e-4, 2e-4, 3.0, -1.0])
    exact = np.float32(x).astype(np.float64)
    # TMVA keeps F in float32 in the centres of 10 000 bins, which leaves 1 - F few digits in the upper tail.
    centres = (np.arange(10_000) + 0.5) * 2e-4
    table = np.interp(exact, centres, np.float32(centres / 2).astype(np.float64))
    cumulative = np.where((exact > 0) & (exact < 2), table, exact / 2).clip(1e-9, 1 - 1e-9)
    wanted = cumulative
    if kind == "Gauss":
        wanted = 1.414213562 * erfinv(np.clip(2 * cumulative - 1, -0.99999999, 0.99999999))
    found = transformed(tmp_path, np.stack([x, x[::-1]], axis=1), change)
    # Float32 from here on: 1e-7 of F, or in the tails of F or 1 - F, which the quantile turns into 1e-6.
    assert found[:, 0] == pytest.approx(wanted, abs=3e-6)
    assert found[::-1, 1] == pytest.approx(wanted, abs=3e-6)


def test_transformations_that_are_not_read(tmp_path):
    for change, why in (
        (f'<Transform Name="Rearrange">{selection("x")}</Transform>', "Rearrange"),
        (normalize([[(0.0, 1.0)]], "target t") * 2, "TMVA takes only one"),
        (
            f'<Transform Name="Decorrelation">{selection("target t", "target u")}'
            '<Matrix Rows="2" Columns="2">1 0 0 1</Matrix></Transform>',
            "cannot be taken back",
        ),
    ):
        path = weight_file(tmp_path, "LD", IDENTITY, transformations=[change], **TWO)
        if change.count("<Transform ") == 2:
            path.write_text(path.read_text().replace('NTransformations="1"', 'NTransformations="2"'))
        with pytest.raises(UnsupportedOperationError, match=why):
            TMVA.read_weights(path)
