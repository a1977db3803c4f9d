"""The score histogram as a statistical model: pyhf and ROOT's HistFactory read what is written, and agree."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import uproot

from hepml_root import errors
from hepml_root.evaluation.binned_likelihood import BinnedLikelihood
from hepml_root.evaluation.histfactory import (
    check_workspace,
    workspace,
    write_histfactory,
    write_workspace,
)

MODEL = BinnedLikelihood([2.0, 6.0, 14.0], [400.0, 60.0, 8.0], [0.05, 0.1, 0.3], 0.2, "lognormal")
COUNTS = [405.0, 70.0, 20.0]


def test_the_workspace_says_what_the_model_is(tmp_path):
    path = write_workspace(MODEL, tmp_path / "workspace.json", observed=COUNTS)
    content = json.loads(path.read_text())
    check_workspace(content)
    (channel,) = content["channels"]
    signal, background = channel["samples"]
    assert signal["data"] == [2.0, 6.0, 14.0]
    assert signal["modifiers"] == [{"name": "mu", "type": "normfactor", "data": None}]
    scale, bins = background["modifiers"]
    assert scale["data"] == {"hi": 1.2, "lo": 1 / 1.2}
    assert bins["data"] == pytest.approx([20.0, 6.0, 2.4])  # events, not parts
    assert content["observations"] == [{"name": "score", "data": COUNTS}]
    assert content["measurements"][0]["config"]["poi"] == "mu"
    with pytest.raises(errors.OutputExistsError):
        write_workspace(MODEL, path)
    # Without uncertainties nothing is left to name.
    plain = workspace(BinnedLikelihood([1.0], [2.0]))
    assert plain["channels"][0]["samples"][1]["modifiers"] == []
    assert plain["observations"][0]["data"] == [2.0]


def test_pyhf_reads_it():
    """The schema holds, and twice the log likelihood differs from ours by a constant."""
    pyhf = pytest.importorskip("pyhf", reason="pyhf is not installed: pip install 'hepml_root[limits]'")
    content = workspace(MODEL, observed=COUNTS)
    pyhf.schema.validate(content, "workspace.json")
    loaded = pyhf.Workspace(content)
    model = loaded.model()
    data = loaded.data(model)
    differences = []
    for strength in (0.0, 0.5, 1.0, 2.0):
        _, value = pyhf.infer.mle.fixed_poi_fit(strength, data, model, return_fitted_val=True)
        differences.append(float(value) / 2 - MODEL.value(strength, COUNTS))
    # pyhf's normalisation is no exact lognormal near 0: a few in 10³ of a log likelihood of order one.
    assert np.ptp(differences) < 0.02


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("version"), "has the keys"),
        (
            lambda w: w["channels"][0]["samples"][0]["data"].append(1.0),
            "sample 'background' of channel 'score'",
        ),
        (
            lambda w: w["channels"][0]["samples"][1]["modifiers"][1]["data"].pop(),
            "modifier 'background_bins'",
        ),
        (lambda w: w["channels"][0]["samples"][1]["modifiers"][0]["data"].update(hi=math.nan), "not finite"),
        (lambda w: w["observations"][0].update(name="other"), "observations of"),
        (lambda w: w["observations"][0]["data"].__setitem__(0, -1.0), "negative"),
        (lambda w: w["measurements"][0]["config"].update(poi="strength"), "names 'strength'"),
    ],
)
def test_a_damaged_workspace_is_refused(change, said):
    content = copy.deepcopy(workspace(MODEL))
    change(content)
    with pytest.raises(errors.SettingError, match=said):
        check_workspace(content)


# ROOT's HistFactory in a process of its own: it prints a lot, and works in the folder of the files.
_ROOT = """
import ROOT
ROOT.RooMsgService.instance().setGlobalKillBelow(ROOT.RooFit.ERROR)
parser = ROOT.RooStats.HistFactory.ConfigParser()
measurement = parser.GetMeasurementsFromXML("combination.xml")[0]
measurement.CollectHistograms()
factory = ROOT.RooStats.HistFactory.HistoToWorkspaceFactoryFast(measurement)
workspace = factory.MakeCombinedModel(measurement)
config = workspace.obj("ModelConfig")
data, model, mu = workspace.data("obsData"), config.GetPdf(), config.GetParametersOfInterest().first()
likelihood = model.createNLL(
    data, ROOT.RooFit.GlobalObservables(config.GetGlobalObservables()),
    ROOT.RooFit.Constrain(config.GetNuisanceParameters()), ROOT.RooFit.Offset(True))
for strength in (0.0, 0.5, 1.0, 2.0):
    mu.setVal(strength)
    mu.setConstant(True)
    minimizer = ROOT.RooMinimizer(likelihood)
    minimizer.setPrintLevel(-1)
    minimizer.setEps(1e-6)
    minimizer.setStrategy(2)
    minimizer.minimize("Minuit2")
    print("VALUE", strength, repr(likelihood.getVal()))
print("PARAMETERS", sorted(str(p.GetName()) for p in config.GetNuisanceParameters()))
"""


def test_root_reads_it(tmp_path):
    """RooFit's profiled likelihood, from the XML and ROOT file, is ours up to a constant."""
    ROOT = pytest.importorskip("ROOT")
    if not hasattr(ROOT, "RooStats"):
        pytest.skip("this ROOT is built without RooStats")
    driver = write_histfactory(MODEL, tmp_path / "model", edges=[0.0, 0.5, 0.9, 1.0], observed=COUNTS)
    assert driver.name == "combination.xml"
    done = subprocess.run(
        [sys.executable, "-c", _ROOT], cwd=driver.parent, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    values = {
        float(line.split()[1]): float(line.split()[2])
        for line in done.stdout.splitlines()
        if line.startswith("VALUE")
    }
    assert len(values) == 4
    differences = [value - MODEL.value(strength, COUNTS) for strength, value in values.items()]
    assert np.ptp(differences) < 0.02  # as for pyhf: the interpolation near 0 is no exact lognormal
    (parameters,) = (line for line in done.stdout.splitlines() if line.startswith("PARAMETERS"))
    assert "alpha_background_scale" in parameters
    assert "gamma_background_bins_bin_2" in parameters


def test_the_histograms(tmp_path):
    write_histfactory(MODEL, tmp_path / "model", edges=[0.0, 0.5, 0.9, 1.0], observed=COUNTS, channel="net")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"combination.xml", "net.xml", "net.root"}
    with uproot.open(tmp_path / "model" / "net.root") as file:
        for name, expected in (
            ("data", COUNTS),
            ("signal", MODEL.signal),
            ("background", MODEL.background),
            ("background_bins", MODEL.uncorrelated),  # parts, as HistFactory wants them
        ):
            values, edges = file[name].to_numpy()
            np.testing.assert_array_equal(values, expected)
            np.testing.assert_array_equal(edges, [0.0, 0.5, 0.9, 1.0])
    with pytest.raises(errors.OutputExistsError):
        write_histfactory(MODEL, tmp_path / "model")
    with pytest.raises(errors.ShapeError, match="4 rising numbers"):
        write_histfactory(MODEL, tmp_path / "other", edges=[0.0, 1.0])
    assert not (tmp_path / "other").exists()


def test_bad_input():
    with pytest.raises(errors.ShapeError, match="the observed counts"):
        workspace(MODEL, observed=[1.0])
    with pytest.raises(errors.SettingError, match="negative"):
        workspace(MODEL, observed=[1.0, -1.0, 2.0])
    with pytest.raises(errors.SettingError, match="largest_strength"):
        workspace(MODEL, largest_strength=0.0)
