"""Files that the real TMVA wrote give what its Reader gave: in Python, in compiled C++, in RDataFrame."""

from __future__ import annotations

import numpy as np
import pytest
import ROOT

import hepml_root as hr
from hepml_root import tmva as TMVA
from hepml_root.cli.commands import main
from hepml_root.inference.compiler import find_compiler

METHODS = ("Fisher", "LD", "MLP", "MLP_GDP", "Likelihood", "BDT", "BDTG", "Cuts")
# Sums of 850 and 1000 float32 numbers of the size of their share, against TMVA's in double precision: each
# addition rounds by 6e-8 of the sum at hand, which is below 1 (BDT), or below 5 before the tanh (BDTG).
ROUNDING = {"BDT": 2e-6, "BDTG": 5e-6, "Cuts": 0.0}


def bound(method: str, expected: np.ndarray) -> np.ndarray:
    """The largest difference allowed to TMVA's answers."""
    allowed = np.full(expected.shape, ROUNDING.get(method, 1e-5))
    if method == "Likelihood":
        # TMVA computes log(1/r - 1)/15 of r = S/(S+B) in double precision. Near r = 1 this is exp(-15 y),
        # with the roundings of a sum, two quotients and a difference, 2^-53 each: its own answer is known no
        # better than that.
        allowed += 2 * 2.0**-52 * np.exp(15 * expected) / 15
    return allowed


@pytest.fixture(scope="module")
def files(reference, tmp_path_factory):
    """The ONNX files of the methods, made when asked for."""
    folder = tmp_path_factory.mktemp("onnx")
    made = {}

    def file(method: str):
        if method not in made:
            efficiency = 0.0 if method == "Cuts" else None
            made[method] = TMVA.convert(
                reference / f"{method}.weights.xml", folder / f"{method}.onnx", signal_efficiency=efficiency
            )
        return made[method]

    return file


def check(method: str, found: np.ndarray, expected: dict[str, np.ndarray]) -> None:
    difference = np.abs(found.astype(np.float64) - expected[method])
    allowed = bound(method, expected[method])
    worst = int(np.argmax(difference - allowed))
    assert (difference <= allowed).all(), (worst, difference[worst], allowed[worst])


@pytest.mark.parametrize("method", METHODS)
def test_python(method, files, events, expected):
    scores = hr.Session(files(method), engine="onnxruntime").infer(events)
    assert scores.shape == (len(events), 1)
    check(method, scores[:, 0], expected)


@pytest.mark.parametrize("method", METHODS)
def test_compiled(method, files, events, expected):
    find_compiler()
    session = hr.Session(files(method), engine="cpp")
    scores = session.infer(events)
    check(method, scores[:, 0], expected)
    alone = session.infer(events[:1])[0, 0]
    # A single event has 16 trees in lanes, whose values are added in another order than in a block.
    assert abs(float(alone) - float(scores[0, 0])) <= (ROUNDING[method] if method.startswith("BDT") else 0.0)


def test_data_frame(files, expected, tmp_path):
    """The expressions of the file, "var1+var2", are what RDataFrame computes for the inputs."""
    var1 = (expected["myvar1"] + expected["myvar2"]) / 2
    var2 = (expected["myvar1"] - expected["myvar2"]) / 2
    frame = ROOT.RDF.FromNumpy(
        {"var1": var1, "var2": var2, "var3": expected["var3"], "var4": expected["var4"]}
    )
    frame.Snapshot("tree", str(tmp_path / "events.root"))
    # Event by event in memory; in blocks from a file.
    for events in (frame, ROOT.RDataFrame("tree", str(tmp_path / "events.root"))):
        scored = events
        for method in ("MLP_GDP", "Likelihood", "BDT"):
            scored = hr.define(scored, files(method), column=method)
        scores = scored.AsNumpy(["MLP_GDP", "Likelihood", "BDT"])
        check_scored(scores, expected)


def check_scored(scores, expected):
    for method in ("MLP_GDP", "Likelihood"):
        check(method, scores[method], expected)
    # var1 + var2 is not myvar1 to the last bit: an event on a cut may fall on the other side of it.
    apart = np.abs(scores["BDT"] - expected["BDT"]) > ROUNDING["BDT"]
    assert apart.mean() < 0.01


def test_the_manifest(files):
    manifest = hr.export.read_manifest(files("MLP_GDP"))
    (block,) = manifest["inputs"]
    assert block["columns"][0] == {"label": "myvar1", "expression": "var1+var2", "units": ""}
    assert block["columns"][2] == {"label": "var3", "expression": "var3", "units": "units"}
    assert manifest["classes"] == ["Signal", "Background"]
    assert manifest["signal"] == "Signal"
    assert manifest["outputs"] == [{"name": "score", "shape": [1], "labels": ["Signal"]}]
    assert [column["expression"] for column in manifest["spectators"]] == ["var1*2", "var1*3"]
    origin = manifest["provenance"]["tmva"]
    assert (origin["method"], origin["title"], origin["release"]) == ("MLP", "MLP_GDP", "4.2.1 [262657]")
    assert origin["options"]["VarTransform"] == "D,G,N"
    assert "VarTransform" in origin["modified"]
    assert "EstimatorType" not in origin["modified"]
    assert origin["transformations"] == ["Decorrelation", "Gauss", "Normalize"]
    assert manifest["provenance"]["sources"][0]["path"] == "MLP_GDP.weights.xml"


def test_the_command_line(reference, tmp_path, capsys):
    output = str(tmp_path / "fisher.onnx")
    assert main(["adopt", str(reference / "Fisher.weights.xml"), "-o", output, "--no-certify"]) == 0
    assert "fisher.onnx" in capsys.readouterr().out
    assert main(["inspect", output]) == 0
    shown = capsys.readouterr().out
    assert "myvar1 = var1+var2" in shown
    assert "Fisher: binary, of Signal, Background" in shown
    assert main(["adopt", str(reference / "Cuts.weights.xml"), "-o", str(tmp_path / "cuts.onnx")]) == 2
    assert "signal_efficiency" in capsys.readouterr().err
    assert main(["adopt", "some.onnx", "-o", str(tmp_path / "other.onnx")]) == 2
    assert "--job" in capsys.readouterr().err


def test_cuts_take_the_box_after_the_bin(reference, events, tmp_path):
    """TMVA counts the bins of its efficiencies from 1 and the boxes from 0: at 0.705 (bin 71) it takes the
    box that the file calls 72."""
    weights = TMVA.read_weights(reference / "Cuts.weights.xml").weights
    assert weights.signal_efficiency[71] == pytest.approx(0.71, abs=1e-3)
    inside = ((events > weights.least[71]) & (events <= weights.most[71])).all(axis=1)
    assert 0 < inside.sum() < len(events)
    file = TMVA.convert(reference / "Cuts.weights.xml", tmp_path / "cuts.onnx", signal_efficiency=0.705)
    found = hr.Session(file, engine="onnxruntime").infer(events)[:, 0]
    assert np.array_equal(found, inside.astype(np.float32))
    assert hr.export.read_manifest(file)["provenance"]["tmva"]["signal_efficiency"] == 0.705
