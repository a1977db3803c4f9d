"""Weight files that are written are read again to the last bit, and are what TMVA's own are."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from reference_events import toy, toy_regression
from weight_files import cut, forest, leaf, linear, network, normalize, weight_file

import hepml_root as hr
from hepml_root import tmva as TMVA
from hepml_root.errors import OutputExistsError, SettingError
from hepml_root.tmva.data_sets.fitting import fit_transformations
from hepml_root.tmva.options.classical import CUTS
from hepml_root.tmva.options.declaration import parse
from hepml_root.tmva.options.in_files import file_options
from hepml_root.tmva.options.shared import SHARED
from hepml_root.tmva.options.trees import BDT
from hepml_root.tmva.weights.weights_writer import write_weights

METHODS = ("Fisher", "LD", "Likelihood", "MLP", "MLP_GDP", "Cuts", "BDT", "BDTG")


def same(one, other) -> bool:
    """Whether two things say the same, to the last bit; where they were read does not count."""
    if isinstance(one, Path):
        return True
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.tobytes() == other.tobytes() and one.shape == other.shape
    if is_dataclass(one):
        skipped = ("node", "_path")
        names = [field.name for field in fields(one) if field.name not in skipped]
        return type(one) is type(other) and all(same(getattr(one, n), getattr(other, n)) for n in names)
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return one == other


@pytest.mark.parametrize("method", METHODS)
def test_files_of_tmva(reference, tmp_path, method):
    first = TMVA.read_weights(reference / f"{method}.weights.xml")
    path = write_weights(first, tmp_path / "copy.weights.xml")
    assert same(first, TMVA.read_weights(path))


@pytest.mark.parametrize("method", ["MLP_GDP", "Likelihood", "BDT"])
def test_they_answer_the_same(reference, events, tmp_path, method):
    first = TMVA.read_weights(reference / f"{method}.weights.xml")
    path = write_weights(first, tmp_path / "copy.weights.xml")
    scores = [
        hr.Session(TMVA.convert(file, tmp_path / f"{i}.onnx", certify=False), engine="onnxruntime").infer(
            events
        )
        for i, file in enumerate((reference / f"{method}.weights.xml", path))
    ]
    assert scores[0].tobytes() == scores[1].tobytes()


def test_likelihood_is_written_letter_by_letter(reference, tmp_path):
    """The file that TMVA wrote, every character of it."""
    source = reference / "Likelihood.weights.xml"
    path = write_weights(TMVA.read_weights(source), tmp_path / "copy.weights.xml")
    assert path.read_text() == source.read_text()


@pytest.mark.parametrize("method", ["Fisher", "LD", "MLP", "BDT", "BDTG", "Cuts"])
def test_nodes_and_attributes_are_those_of_tmva(reference, tmp_path, method):
    """Names of nodes and of attributes in the same order; only comments are left out."""
    source = reference / f"{method}.weights.xml"
    path = write_weights(TMVA.read_weights(source), tmp_path / "copy.weights.xml")

    def names(file: Path) -> list[str]:
        text = re.sub(r"<!--.*?-->", "", file.read_text())
        return re.findall(r'</?\w+|\w+(?==")', text)

    assert names(path) == names(source)


REGRESSION = {"analysis": "Regression", "targets": ["t"], "classes": ["Regression"]}
STUMP = cut("s", 0, 1.0, leaf("l", response=-0.25), leaf("r", response=0.5))
DEEP = cut("s", 0, 1.0, cut("l", 1, -2.5, leaf("l"), leaf("r"), direction=0), leaf("r", kind=1))


@pytest.mark.parametrize(
    ("method", "weights", "settings"),
    [
        ("LD", linear([1, 2, 3], [0, -1, 4]), {**REGRESSION, "targets": ["t", "u"]}),
        ("BDT", forest([(1.0, DEEP), (0.5, leaf("s", kind=-1))], 0), {"options": {"BoostType": "AdaBoost"}}),
        (
            "BDT",
            forest([(2.5, STUMP)], 1),
            {
                **REGRESSION,
                "options": {"BoostType": "Grad"},
                "transformations": [normalize([[(0.0, 2.0), (4.0, 14.0)]], "x", "target t")],
            },
        ),
        (
            "MLP",
            network([[1.0, 2.0], [2.0, 1.0], [3.0, 0.0]], [[1.0], [0.5], [0.25]]),
            {"options": {"NeuronType": "tanh"}, "spectators": ["odd"]},
        ),
    ],
)
def test_others(tmp_path, method, weights, settings):
    settings = dict(settings)
    spectators = settings.pop("spectators", [])
    first = TMVA.read_weights(weight_file(tmp_path, method, weights, **settings))
    if spectators:
        odd = replace(first.header.variables[0], expression='a < b && c == "d"', unit="<GeV>\n")
        first = replace(first, header=replace(first.header, spectators=(odd,)))
    assert same(first, TMVA.read_weights(write_weights(first, tmp_path / "copy.weights.xml")))


@pytest.mark.parametrize("spec", ["D,G,N", "P_Signal,U", "N(_V0_,_V2_)", "G_Background"])
def test_fitted_transformations(reference, tmp_path, spec):
    base = TMVA.read_weights(reference / "Fisher.weights.xml")
    first = replace(base, transformations=fit_transformations(spec, toy()))
    again = TMVA.read_weights(write_weights(first, tmp_path / "copy.weights.xml"))
    # In a file ranges are float32, edges that are not equally far have nine digits.
    assert same(first.transformations, again.transformations)


def test_a_normalised_target(tmp_path):
    data = toy_regression()
    base = TMVA.read_weights(weight_file(tmp_path, "LD", linear([1, 2, 3]), **REGRESSION))
    header = replace(base.header, variables=data.variables, targets=data.targets)
    first = replace(base, header=header, transformations=fit_transformations("N", data))
    again = TMVA.read_weights(write_weights(first, tmp_path / "copy.weights.xml"))
    assert same(first.transformations, again.transformations)


def test_options_as_tmva_writes_them(reference):
    """The options of the reference, in its order, with the values it has in other letters at most."""
    booked = "!H:!V:NTrees=850:MinNodeSize=2.5%:MaxDepth=3:BoostType=AdaBoost:AdaBoostBeta=0.5:UseBaggedBoost"
    booked += ":BaggedSampleFraction=0.5:SeparationType=GiniIndex:nCuts=20"
    found = file_options("BDT", parse((*SHARED, *BDT), booked), 4)
    wanted = TMVA.read_weights(reference / "BDT.weights.xml").header.options
    late = ("SkipNormalization",)
    assert list(found) == [name for name in wanted if name not in late]
    for name, option in wanted.items():
        if name == "GradBaggingFraction":  # TMVA has one variable for this and BaggedSampleFraction
            continue
        assert found[name].value.lower() == option.value.lower(), name
        assert found[name].modified == option.modified, name
    cuts = file_options(
        "Cuts", parse((*SHARED, *CUTS), "FitMethod=MC:EffSel:SampleSize=200:VarProp=FSmart"), 4
    )
    wanted = TMVA.read_weights(reference / "Cuts.weights.xml").header.options
    assert list(cuts) == list(wanted)
    assert {name: (o.value, o.size) for name, o in cuts.items() if o.size} == {
        name: (o.value, o.size) for name, o in wanted.items() if o.size
    }


def test_what_cannot_be_written(reference, tmp_path):
    base = TMVA.read_weights(reference / "Likelihood.weights.xml")
    path = tmp_path / "copy.weights.xml"
    pdf = replace(base.weights.densities[0][0], source=None)
    broken = replace(base, weights=replace(base.weights, densities=((pdf, pdf),)))
    with pytest.raises(SettingError, match="histogram it was made of"):
        write_weights(broken, path)
    assert not path.exists()
    write_weights(base, path)
    with pytest.raises(OutputExistsError):
        write_weights(base, path)
    assert write_weights(base, path, overwrite=True) == path
