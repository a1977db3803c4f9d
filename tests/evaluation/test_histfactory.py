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


# RooFit in a process of its own: it prints a lot, and works in the folder of the files. A ROOT without XML
# has no ConfigParser; then what it would read is read by Python and given to the same HistFactory.
_ROOT = """
import xml.etree.ElementTree as ET
import ROOT
ROOT.RooMsgService.instance().setGlobalKillBelow(ROOT.RooFit.ERROR)
HF = ROOT.RooStats.HistFactory

def measurement_of(driver):
    if hasattr(HF, "ConfigParser"):
        measurement = HF.ConfigParser().GetMeasurementsFromXML(driver)[0]
        measurement.CollectHistograms()
        return measurement
    top = ET.parse(driver).getroot()
    entry = top.find("Measurement")
    measurement = HF.Measurement(entry.get("Name"), entry.get("Name"))
    measurement.SetLumi(float(entry.get("Lumi")))
    measurement.SetLumiRelErr(float(entry.get("LumiRelErr")))
    measurement.SetPOI(entry.find("POI").text)
    for setting in entry.findall("ParamSetting"):
        measurement.AddConstantParam(setting.text)
    described = ET.parse(top.find("Input").text).getroot()
    file = described.get("InputFile")
    channel = HF.Channel(described.get("Name"))
    channel.SetData(described.find("Data").get("HistoName"), file)
    for part in described.findall("Sample"):
        sample = HF.Sample(part.get("Name"), part.get("HistoName"), file)
        sample.SetNormalizeByTheory(part.get("NormalizeByTheory") == "True")
        for item in part:
            numbers = {key: float(item.get(key)) for key in ("Val", "Low", "High") if item.get(key)}
            if item.tag == "NormFactor":
                sample.AddNormFactor(item.get("Name"), numbers["Val"], numbers["Low"], numbers["High"])
            elif item.tag == "OverallSys":
                sample.AddOverallSys(item.get("Name"), numbers["Low"], numbers["High"])
            else:
                kind = getattr(HF.Constraint, item.get("ConstraintType"))
                sample.AddShapeSys(item.get("Name"), kind, item.get("HistoName"), file)
        channel.AddSample(sample)
    measurement.AddChannel(channel)
    measurement.CollectHistograms()
    return measurement

def report(name, workspace, data):
    config = workspace.obj("ModelConfig")
    mu = config.GetParametersOfInterest().first()
    likelihood = config.GetPdf().createNLL(
        data, ROOT.RooFit.GlobalObservables(config.GetGlobalObservables()),
        ROOT.RooFit.Constrain(config.GetNuisanceParameters()), ROOT.RooFit.Offset(True))
    for strength in (0.0, 1.0, 2.0):
        mu.setVal(strength)
        mu.setConstant(True)
        minimizer = ROOT.RooMinimizer(likelihood)
        minimizer.setPrintLevel(-1)
        minimizer.setEps(1e-6)
        minimizer.setStrategy(2)
        minimizer.minimize("Minuit2")
        print("VALUE", name, strength, repr(likelihood.getVal()))
    print("PARAMETERS", name, *sorted(str(p.GetName()) for p in config.GetNuisanceParameters()))

from_json = ROOT.RooWorkspace("json")
ROOT.RooJSONFactoryWSTool(from_json).importJSON("hs3.json")
report("json", from_json, from_json.data("observed"))
measurement = measurement_of("combination.xml")
from_xml = HF.MakeModelAndMeasurementFast(measurement)
report("xml", from_xml, from_xml.data("obsData"))
"""


def test_roofit_reads_both_forms(tmp_path):
    """RooFit's profiled likelihood, from its JSON and from XML and ROOT file, is ours up to a constant."""
    ROOT = pytest.importorskip("ROOT")
    if not (hasattr(ROOT, "RooStats") and hasattr(ROOT, "RooJSONFactoryWSTool")):
        pytest.skip("this ROOT is built without RooStats or RooFit's JSON")
    folder = write_histfactory(MODEL, tmp_path / "model", edges=[0.0, 0.5, 0.9, 1.0], observed=COUNTS)
    done = subprocess.run(
        [sys.executable, "-c", _ROOT], cwd=folder, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line.split() for line in done.stdout.splitlines()]
    for name in ("json", "xml"):
        values = {float(words[2]): float(words[3]) for words in lines if words[:2] == ["VALUE", name]}
        assert len(values) == 3
        differences = [value - MODEL.value(strength, COUNTS) for strength, value in values.items()]
        assert np.ptp(differences) < 1e-4, name  # what Minuit leaves at its tolerance, squared
        (parameters,) = (words[2:] for words in lines if words[:2] == ["PARAMETERS", name])
        assert {"alpha_background_scale", "gamma_background_bins_bin_2"} <= set(parameters)


def test_the_histograms(tmp_path):
    write_histfactory(MODEL, tmp_path / "model", edges=[0.0, 0.5, 0.9, 1.0], observed=COUNTS, channel="net")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"combination.xml", "net.xml", "net.root", "hs3.json"}
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
