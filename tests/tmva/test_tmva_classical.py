"""Fisher, LD, Likelihood and Cuts, trained on the events that TMVA trained on: the weights are TMVA's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from booked import Trained, method
from reference_events import area, higgs, toy, toy_regression, with_training

from hepml_root import tmva as TMVA
from hepml_root.errors import SettingError, WeightError
from hepml_root.tmva import training
from hepml_root.tmva.options.declaration import parse
from hepml_root.tmva.options.shared import SHARED
from hepml_root.tmva.weights.cuts import box_at
from hepml_root.tmva.weights.mva_pdfs import fit_mva_pdfs, probability, rarity

HIGH_LEVEL = ("m_jj", "m_jjj", "m_lv", "m_jlv", "m_bb", "m_wbb", "m_wwbb")
LIKELIHOOD = "TransformOutput:NSmoothSig[0]=20:NSmoothBkg[0]=20:NSmoothBkg[1]=10:NSmooth=1:NAvEvtPerBin=50"

# ---- linear ones -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "rounding"), [("Fisher", 1e-12), ("LD", 1e-7)])
def test_coefficients_are_those_of_tmva(reference, name, rounding):
    """To rounding of doubles; TMVA's LD adds products of two float32, which leaves 1e-8."""
    found = Trained(name, "H:!V", toy()).weights.coefficients
    wanted = TMVA.read_weights(reference / f"{name}.weights.xml").weights.coefficients
    assert found == pytest.approx(wanted, abs=rounding)


def test_fisher_by_hand():
    """Two variables, four events each: means (1, 0) and (-1, 0), covariances diag(1, 4) both; the direction
    is C⁻¹ Δμ = diag(1/2, 1/8) (2, 0) = (1, 0), times √(4·4)/8 = 1/2; the constant is 0."""
    corners = np.float32([[1, 2], [1, -2], [-1, 2], [-1, -2]])
    data = with_training(
        toy(),
        variables=np.concatenate([corners + [1, 0], corners - [1, 0]]).astype(np.float32),
        classes=np.repeat(np.int32([0, 1]), 4),
        weights=np.ones(8),
        spectators=np.zeros((8, 0), np.float32),
        targets=np.zeros((8, 0), np.float32),
    )
    data = data.__class__(**{**data.__dict__, "variables": data.variables[:2]})
    assert Trained("Fisher", "", data).weights.coefficients[0] == pytest.approx([0, 0.5, 0], abs=1e-12)
    # Mahalanobis: the covariance between classes, diag(1, 0), is added: diag(3, 8) in place of diag(2, 8).
    found = Trained("Fisher", "Mahalanobis", data).weights.coefficients[0]
    assert found == pytest.approx([0, 1 / 3, 0], abs=1e-12)
    # Weights count: doubling all events of a class changes the factor to √(8·4)/12 only.
    weights = np.repeat([2.0, 1.0], 4)
    found = Trained("Fisher", "", with_training(data, weights=weights)).weights.coefficients[0]
    assert found == pytest.approx([0, np.sqrt(32) / 12, 0], abs=1e-12)


def test_a_regression_by_hand():
    """t = 3 - 2 x₁ + x₂/2 exactly."""
    data = toy_regression()
    x = data.training.variables.astype(np.float64)
    target = (3 - 2 * x[:, 0] + x[:, 1] / 2).astype(np.float32)[:, None]
    for spec in ("None", "N"):
        found = Trained("LD", f"VarTransform={spec}", with_training(data, targets=target))
        wanted = 3 - 2 * data.test.variables[:, 0] + data.test.variables[:, 1] / 2
        assert found.answers(data.test.variables) == pytest.approx(wanted, abs=1e-4)
    assert found.method.ranking()[0][0] == "var1"


@pytest.mark.parametrize("name", ["Fisher", "LD"])
def test_linear_ones_that_cannot_be(name):
    data = toy()
    twice = data.training.variables.copy()
    twice[:, 3] = twice[:, 0] - twice[:, 1]
    with pytest.raises(SettingError, match="linear function of others"):
        Trained(name, "", with_training(data, variables=twice))
    constant = data.training.variables.copy()
    constant[:, 2] = 1
    with pytest.raises(SettingError, match="var3 is constant"):
        Trained(name, "", with_training(data, variables=constant))
    with pytest.raises(WeightError, match="add up to 0"):
        Trained(name, "", with_training(data, weights=np.zeros(len(data.training))))
    with pytest.raises(SettingError, match="Fisher 'Fisher': it does Classification"):
        method("Fisher", "", "Multiclass")


# ---- likelihood ------------------------------------------------------------------------------------------


def test_densities_are_those_of_tmva(reference, tmp_path):
    """Contents to the last bits of float32, in which TMVA adds them; the file is TMVA's, letter by letter,
    but for these bits and what files say of themselves."""
    found = Trained("Likelihood", f"H:!V:{LIKELIHOOD}", toy(), tmp_path)
    wanted = TMVA.read_weights(reference / "Likelihood.weights.xml")
    for ours, theirs in zip(found.file.weights.densities, wanted.weights.densities, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert one.source.title == other.source.title
            assert (one.source.smoothings, one.source.method) == (
                other.source.smoothings,
                other.source.method,
            )
            assert one.source.kernels == other.source.kernels
            assert one.edges.tolist() == other.edges.tolist()
            assert one.source.contents == pytest.approx(other.source.contents, rel=5e-7)
            assert one.values == pytest.approx(other.values, rel=1e-5, abs=1e-6)
    assert found.file.weights.transformed
    assert {n: o.value for n, o in found.file.header.options.items()} == {
        n: o.value for n, o in wanted.header.options.items()
    }


def test_likelihood_separates_as_in_tmva():
    """TMVA reaches 0.7608 on the test events of this split, and 0.7612 on those of training."""
    data = toy()
    found = Trained("Likelihood", LIKELIHOOD, data)
    assert area(found.answers(data.test.variables), data.test) == pytest.approx(0.7608, abs=1e-4)
    assert area(found.answers(data.training.variables), data.training) == pytest.approx(0.7612, abs=1e-4)
    assert found.method.ranking()[0][0] == "var4"


def test_likelihood_sees_each_class_with_its_own_transformation():
    """Decorrelated, the likelihood comes close to Fisher (0.919) on Gaussian events."""
    data = toy()
    found = Trained("Likelihood", "VarTransform=D:NSmooth=5", data)
    assert area(found.answers(data.test.variables), data.test) > 0.90
    assert found.method.ranking() is None


def test_likelihood_of_integers_that_are_transformed():
    """Decorrelated, they are no integers any more and begin anywhere: every event has a bin."""
    data = toy()
    kinds = tuple(replace(variable, kind="I") for variable in data.variables)
    data = replace(data, variables=kinds)
    found = Trained("Likelihood", "VarTransform=D:PDFInterpol=Spline0", data)
    for both in found.weights.densities:
        for which, one in enumerate(both):
            weights = data.training.weights[data.training.classes == which]
            assert one.source.contents.sum() == pytest.approx(weights.sum(), rel=1e-5)
    assert area(found.answers(data.test.variables), data.test) > 0.85


@pytest.mark.parametrize(
    "options", ["KDEiter=Adaptive:KDEFineFactor=0.3", "KDEborder=Renorm", "KDEborder=Mirror"]
)
def test_kernels(options, tmp_path):
    """Between the histogram's 0.7608 and the statistical error of the test, 0.005."""
    data = toy()
    found = Trained("Likelihood", f"PDFInterpol=KDE:{options}", data, tmp_path)
    assert area(found.answers(data.test.variables), data.test) > 0.745
    assert found.file.weights.densities[0][0].source.method == 5


def test_kernels_of_a_discrete_variable_are_warned_of(capsys):
    """A third of the events have the largest value, which TMVA's kernels never see."""
    data = toy()
    x = data.training.variables.copy()
    x[:, 2] = np.arange(len(x)) % 3
    Trained("Likelihood", "PDFInterpol=KDE", with_training(data, variables=x))
    said = capsys.readouterr().out
    assert "leave out the last bin, which has 33% of the signal in 'var3'" in said


def test_options_of_single_densities():
    data = toy()
    options = "NAvEvtPerBin=50:NbinsSig[1]=30:PDFInterpolSig[2]=KDE:PDFInterpolBkg[2]=KDE:NSmoothBkg[3]=7"
    densities = Trained("Likelihood", options, data).weights.densities
    counts = [[len(pdf.source.contents) for pdf in pair] for pair in densities]
    assert counts == [[20, 20], [30, 20], [100, 100], [20, 20]]
    assert [pdf.source.smoothings for pdf in densities[3]] == [(0, 0), (7, 7)]
    with pytest.raises(SettingError, match="interpolated for one class and not for the other"):
        Trained("Likelihood", "PDFInterpolSig[1]=Spline0", data)
    with pytest.raises(SettingError, match="do not fill one bin of 5000"):
        Trained("Likelihood", "NAvEvtPerBin=5000", data)
    with pytest.raises(SettingError, match=r"'var3' for the background: Spline5 needs 6 bins"):
        Trained("Likelihood", "NbinsBkg[2]=4:PDFInterpolBkg[2]=Spline5", data)
    with pytest.raises(SettingError, match="MaxNSmooth=1 is less than MinNSmooth=5"):
        method("Likelihood", "MinNSmooth=5:MaxNSmooth=1")


def test_whole_numbers_have_a_bin_each():
    data = toy()
    x = data.training.variables.copy()
    x[:, 0] = np.random.default_rng(1).integers(0, 7, len(x))
    variables = (
        data.variables[0].__class__(**{**data.variables[0].__dict__, "kind": "I"}),
        *data.variables[1:],
    )
    data = data.__class__(**{**with_training(data, variables=x).__dict__, "variables": variables})
    (signal, _), *_ = Trained("Likelihood", "PDFInterpol=Spline0", data).weights.densities
    assert signal.edges.tolist() == list(range(8))
    counts = np.bincount(x[data.training.classes == 0, 0].astype(int), minlength=7)
    assert signal.source.contents.tolist() == counts.tolist()


# ---- cuts ------------------------------------------------------------------------------------------------


def efficiencies(low, high, sample) -> np.ndarray:
    inside = ((sample.variables > low) & (sample.variables <= high)).all(axis=1)
    return np.array(
        [
            sample.weights[inside & (sample.classes == c)].sum() / sample.weights[sample.classes == c].sum()
            for c in (0, 1)
        ]
    )


@pytest.mark.parametrize(
    "options", ["FitMethod=MC:SampleSize=20000", "VarProp=FSmart", "FitMethod=SA:MaxCalls=20000"]
)
def test_no_random_box_is_better(options):
    """20 000 boxes of random sides: for the signal that each of them passes, the box that was found lets no
    more background pass but for five events, 0.5 %, that more tries might win."""
    data = toy()
    events = data.training
    cuts = Trained("Cuts", options, data).weights
    one_sided = "FSmart" in options
    rng = np.random.default_rng(7)
    signal = events.variables[events.classes == 0]
    means = signal.mean(axis=0) > events.variables[events.classes == 1].mean(axis=0)
    for _ in range(20_000):
        ends = np.sort(signal[rng.integers(0, len(signal), 2)], axis=0)
        low, high = ends[0], ends[1]
        if one_sided:
            low, high = np.where(means, low, -np.inf), np.where(means, np.inf, high)
        inside = ((events.variables > low) & (events.variables <= high)).all(axis=1)
        kept = inside & (events.classes == 0)
        passed = kept.sum() / 1000
        failed = events.weights[inside & (events.classes == 1)].sum() / 1000
        assert cuts.background_efficiency[int(passed * 100)] <= failed + 0.005


def test_efficiencies_of_boxes():
    """Each box passes what it says on the training events; those of TMVA's own search are no better."""
    data = toy()
    found = Trained("Cuts", "VarProp=FSmart", data)
    cuts = found.weights
    assert cuts.least.shape == (100, 4)
    for box in range(0, 100, 7):
        passed, failed = efficiencies(cuts.least[box], cuts.most[box], data.training)
        assert passed == pytest.approx(cuts.signal_efficiency[box], abs=1e-9)
        assert failed == pytest.approx(cuts.background_efficiency[box], abs=1e-9)
        assert passed >= box / 100 - 1e-9
    assert (np.diff(cuts.background_efficiency) >= 0).all()
    # The forced sides are open, as in TMVA's files: var2 is smaller for the signal, the others are larger.
    assert (cuts.most[:, [0, 2, 3]] == 1e30).all()
    assert (cuts.least[:, 1] == -1e30).all()


def test_boxes_against_those_of_tmva(reference):
    """TMVA's box of a step, from 200 000 random ones, lets no less background pass than ours at the signal
    efficiency that it has on the same events."""
    data = toy()
    theirs = TMVA.read_weights(reference / "Cuts.weights.xml").weights
    ours = Trained("Cuts", "FitMethod=MC:SampleSize=20000:VarProp=FSmart", data).weights
    for box in range(5, 100):
        passed, failed = efficiencies(theirs.least[box], theirs.most[box], data.training)
        assert ours.background_efficiency[int(passed * 100)] <= failed + 0.001, box


def test_cut_ranges_and_what_is_not_there():
    data = toy()
    cuts = Trained("Cuts", "CutRangeMin[2]=-1:CutRangeMax[2]=1:VarTransform=None", data).weights
    assert cuts.least[:, 2].min() >= -1
    assert cuts.most[:, 2].max() <= 1
    again = Trained("Cuts", "CutRangeMin[2]=-1:CutRangeMax[2]=1:VarTransform=None", data).weights
    assert again.least.tolist() == cuts.least.tolist()
    for options, what in (
        ("FitMethod=MINUIT", "FitMethod=MINUIT is not done here"),
        ("EffMethod=EffPDF", "Take EffSel"),
        ("VarProp[1]=FBest", "no value for VarProp 'FBest'"),
    ):
        with pytest.raises(SettingError, match=what):
            method("Cuts", options)
    with pytest.raises(SettingError, match=r"CutRangeMin\[1\] has to be the smaller one"):
        Trained("Cuts", "CutRangeMin[1]=2:CutRangeMax[1]=1", data)


def test_cuts_in_a_file(tmp_path):
    data = toy()
    booked = Trained("Cuts", "VarProp=FSmart:VarTransform=D", data)
    booking = booked.method.booking.__class__(**{**booked.method.booking.__dict__, "folder": tmp_path})
    files = training.write(booking, data, booked.fitted)
    file = TMVA.read_weights(files.weights)
    assert file.weights.least.tobytes() == booked.weights.least.tobytes()
    assert box_at(file.weights, 0.705) == 71
    assert file.header.options["VarProp"].value == "FSmart FSmart FSmart FSmart"


# ---- areas -----------------------------------------------------------------------------------------------

# TMVA's areas under the ROC curve of the test events, for its own choice of events. What is fixed by formulas
# is the same to the digits that are known; the smoothing of the Higgs sample's likelihood was another one.
AREAS = [
    ("toy", "Fisher", "", 0.9190),
    ("toy", "LD", "", 0.9190),
    ("toy", "Likelihood", LIKELIHOOD, 0.7608),
    ("higgs", "Fisher", "", 0.6584),
    ("higgs", "Likelihood", "TransformOutput:NSmoothSig[0]=20:NSmoothBkg[0]=20:NSmooth=1", 0.6996),
]


@pytest.mark.parametrize(("sample", "name", "options", "wanted"), AREAS)
def test_areas_on_the_events_of_tmva(sample, name, options, wanted):
    data = toy() if sample == "toy" else higgs(HIGH_LEVEL)
    found = area(Trained(name, options, data).answers(data.test.variables), data.test)
    if sample == "higgs" and name == "Likelihood":
        assert wanted - 0.003 < found < wanted + 0.006
    else:
        assert found == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("name", ["Fisher", "LD", "Likelihood"])
def test_areas_of_other_splits(name):
    """The mean of five other choices of the events: their spread is 0.002, that of the mean 0.001."""
    wanted = {"Likelihood": 0.7608}.get(name, 0.9190)
    options = LIKELIHOOD if name == "Likelihood" else ""
    found = []
    for seed in range(1, 6):
        data = toy(seed=seed)
        found.append(area(Trained(name, options, data).answers(data.test.variables), data.test))
    assert np.std(found) < 0.01
    assert np.mean(found) > wanted - 0.01


# ---- densities of the response ---------------------------------------------------------------------------


def test_mva_pdfs_are_those_of_tmva(reference):
    """Histograms to float32, and the file holds them."""
    options = "H:!V:Fisher:CreateMVAPdfs:PDFInterpolMVAPdf=Spline2:NbinsMVAPdf=50:NsmoothMVAPdf=10"
    data = toy()
    found = Trained("Fisher", options, data)
    answers = found.answers(data.training.variables)
    pdfs = fit_mva_pdfs(
        answers, data.training.classes == 0, data.training.weights, found.method.options, "Fisher"
    )
    wanted = TMVA.read_weights(reference / "Fisher.weights.xml").mva_pdfs
    for ours, theirs in zip(pdfs, wanted, strict=True):
        assert (ours.source.name, ours.source.title) == (theirs.source.name, theirs.source.title)
        assert ours.edges == pytest.approx(theirs.edges, abs=1e-6)
        # Responses are float32 here: an event on an edge may be in the next bin.
        assert (
            np.abs(ours.source.contents - theirs.source.contents).sum() < 0.02 * theirs.source.contents.sum()
        )
        assert (ours.source.smoothings, ours.source.method) == (
            theirs.source.smoothings,
            theirs.source.method,
        )


def test_probability_and_rarity():
    """Gaussians at ±1: P(y) = f / (f + (1 - f) e^(-2y)); the rarity of background events is flat."""
    rng = np.random.default_rng(3)
    signal = np.arange(40_000) < 20_000
    y = rng.normal(np.where(signal, 1.0, -1.0), 1.0)
    weights = np.where(signal, 0.3, 2.0)
    pdfs = fit_mva_pdfs(y, signal, weights, parse(SHARED, "CreateMVAPdfs:NbinsMVAPdf=60"), "mine")
    at = np.linspace(-1.5, 1.5, 13)
    for fraction in (0.5, 0.1):
        wanted = fraction / (fraction + (1 - fraction) * np.exp(-2 * at))
        # A bin of 0.15 at the sides has about 500 events: 4 %.
        assert probability(pdfs, at, fraction) == pytest.approx(wanted, abs=0.04)
    flat = np.histogram(rarity(pdfs, y[~signal]), 10, (0, 1))[0]
    assert flat == pytest.approx(np.full(10, 2000), abs=4 * np.sqrt(2000))
    assert rarity(pdfs, np.array([-99.0, 99.0])).tolist() == pytest.approx([0, 1], abs=1e-4)
    assert rarity(pdfs, np.array([1.0]), of_signal=True)[0] == pytest.approx(0.5, abs=0.02)
    with pytest.raises(SettingError, match="from 0 to 1"):
        probability(pdfs, at, 1.5)
    with pytest.raises(SettingError, match="all training events have 1"):
        fit_mva_pdfs(np.ones(10), np.arange(10) < 5, np.ones(10), parse(SHARED, ""), "mine")
