"""Weight files that are damaged, hostile, or too large: each is refused, and the message says where."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from weight_files import cut, fisher, forest, leaf, network, normalize, pdf, weight_file

import hepml_root as hr
from hepml_root import tmva as TMVA
from hepml_root.errors import ModelFileError, OutputExistsError, SettingError, ShapeError, SourceNotFoundError
from hepml_root.tmva.weights import xml_nodes

STUMP = cut("s", 0, 1.0, leaf("l"), leaf("r"))
NETWORK = network([[1.0], [2.0], [3.0]], [[1.0], [0.5]])
CHANGE = normalize([[(0.0, 4.0)], [(0.0, 2.0)], [(0.0, 5.0)]], "x")
DENSITY = (
    '<Weights NVariables="2" NClasses="2">'
    + "".join(
        f'<PDFDescriptor VarIndex="{v}" '
        f'ClassIndex="{c}">{pdf([1, 2, 3], 0, 1, smooth=(1, 1))}</PDFDescriptor>'
        for v in (0, 1)
        for c in (0, 1)
    )
    + "</Weights>"
)
CUTS = (
    '<Weights OptimisationMethod="0" FitMethod="0" nbins="1"><Bin ibin="1" effS="0" effB="0">'
    '<Cuts cutMin_0="0" cutMax_0="1" cutMin_1="0" cutMax_1="1"/></Bin></Weights>'
)

# Method, weights, what is replaced by what, and what the message must say.
DAMAGES = [
    ("Fisher", fisher(1, 2, 3), "</MethodSetup>", "", "no well-formed XML"),
    ("Fisher", fisher(1, 2, 3), "<Weights", "<Weights <", "no well-formed XML"),
    ("Fisher", fisher(1, 2, 3), "MethodSetup", "Setup", "begins with <MethodSetup>"),
    ("Fisher", fisher(1, 2, 3), 'Method="Fisher::Mine"', "", "no attribute 'Method'"),
    ("Fisher", fisher(1, 2, 3), "Fisher::Mine", "Fisher", "Type::Title"),
    ("Fisher", fisher(1, 2, 3), "4.2.1 [262657]", "unknown", "TMVA release"),
    ("Fisher", fisher(1, 2, 3), 'value="Classification"', 'value="Ranking"', "no analysis type 'Ranking'"),
    ("Fisher", fisher(1, 2, 3), 'NVar="2"', 'NVar="3"', "NVar=3, but there are 2"),
    ("Fisher", fisher(1, 2, 3), 'NVar="2"', 'NVar="-2"', "not between"),
    ("Fisher", fisher(1, 2, 3), 'NVar="2"', 'NVar="two"', "no whole number"),
    ("Fisher", fisher(1, 2, 3), 'VarIndex="1"', 'VarIndex="7"', "where 1 is expected"),
    ("Fisher", fisher(1, 2, 3), 'Expression="y" ', "", "no attribute 'Expression'"),
    ("Fisher", fisher(1, 2, 3), 'Expression="y"', 'Expression="x"', "same expression"),
    ("Fisher", fisher(1, 2, 3), 'Min="-2.0e+00"', 'Min="nan"', "Min='nan' is no finite number"),
    ("Fisher", fisher(1, 2, 3), "<Transformations", "<Transformation", "well-formed"),
    ("Fisher", fisher(1, 2, 3), '<Class Name="Background" Index="1"/>', "", "NClass=2"),
    (
        "Fisher",
        fisher(1, 2, 3),
        "<MVAPdfs/>\n<Weights",
        "<MVAPdfs/>\n<Weights/>\n<Weights",
        "2 nodes <Weights>",
    ),
    ("Fisher", fisher(1, 2, 3), 'Value="3"', 'Value="inf"', "no finite number"),
    ("Fisher", fisher(1, 2, 3), 'Value="3"', 'Value="1_000"', "no finite number"),
    ("Fisher", fisher(1, 2, 3), 'Value="3"', 'Value="0x10"', "no finite number"),
    ("Fisher", fisher(1, 2), "none", "none", "NCoeff=2 for 2 variables"),
    ("BDT", forest([(1, STUMP)], 0), 'NTrees="1"', 'NTrees="2"', "NTrees=2, but there are 1"),
    ("BDT", forest([(1, STUMP)], 0), 'boostWeight="1"', "", "no attribute 'boostWeight'"),
    ("BDT", forest([(1, STUMP)], 0), 'Cut="1.0"', 'Cut="nan"', "Cut='nan' is no finite number"),
    ("BDT", forest([(1, STUMP)], 0), 'Cut="1.0"', 'Cut="1e39"', "beyond float32"),
    ("BDT", forest([(1, STUMP)], 0), 'Cut="1.0"', "", "<Node>: no attribute 'Cut'"),
    ("BDT", forest([(1, STUMP)], 0), 'IVar="0"', 'IVar="2"', "there are 2 variables"),
    ("BDT", forest([(1, STUMP)], 0), leaf("r"), "", "not both daughters"),
    ("BDT", forest([(1, STUMP)], 0), 'pos="r"', 'pos="l"', "two daughters"),
    ("BDT", forest([(1, STUMP)], 0), 'pos="r"', 'pos="x"', "neither l nor r"),
    ("BDT", forest([(1, STUMP)], 0), 'nType="0"', 'nType="1"', "hangs on a leaf"),
    ("BDT", forest([(1, STUMP)], 0), STUMP, STUMP + leaf("s"), "one root"),
    ("BDT", forest([(1, STUMP)], 0), STUMP, "", "the tree has no node"),
    ("BDT", forest([(1, STUMP)], 0), leaf("r"), "<Leaf/>", "nodes <Node>"),
    ("BDT", forest([], 0), "none", "none", "there is no tree"),
    ("MLP", NETWORK, 'NLayers="3"', 'NLayers="4"', "NLayers=4"),
    ("MLP", NETWORK, 'NNeurons="3"', 'NNeurons="4"', "variables or outputs"),
    ("MLP", NETWORK, 'NSynapses="1">2.0<', 'NSynapses="2">2.0<', "the next layer has 1"),
    ("MLP", NETWORK, 'NSynapses="1">2.0<', 'NSynapses="1">2.0 1.0<', "1 numbers are announced, 2 are there"),
    ("MLP", NETWORK, 'NSynapses="1">2.0<', 'NSynapses="1">NaN<', "no finite number"),
    ("MLP", NETWORK, 'NSynapses="1">2.0<', 'NSynapses="1">1e300<', "beyond float32"),
    ("MLP", NETWORK, "<Layout", "<Outlay", "well-formed"),
    ("Likelihood", DENSITY, 'NBins="3"', 'NBins="4"', "4 numbers are announced, 3 are there"),
    ("Likelihood", DENSITY, 'NBins="3"', 'NBins="999999999"', "not between"),
    ("Likelihood", DENSITY, 'XMax="1"', 'XMax="-1"', "do not ascend"),
    ("Likelihood", DENSITY, 'MaxNSmooth="1"', 'MaxNSmooth="99999999"', "not between"),
    ("Likelihood", DENSITY, 'InterpolMethod="1"', 'InterpolMethod="9"', "no interpolation"),
    ("Likelihood", DENSITY, 'VarIndex="1" ClassIndex="1"', 'VarIndex="1" ClassIndex="0"', "there already"),
    ("Likelihood", DENSITY, "1 2 3", "1 inf 3", "no finite number"),
    ("Cuts", CUTS, 'nbins="1"', 'nbins="100"', "nbins=100"),
    ("Cuts", CUTS, 'cutMax_1="1"', "", "no attribute 'cutMax_1'"),
]


@pytest.mark.parametrize(
    ("method", "weights", "old", "new", "says"), DAMAGES, ids=[f"{d[0]}-{d[4][:24]}" for d in DAMAGES]
)
def test_damages(tmp_path, method, weights, old, new, says):
    path = weight_file(tmp_path, method, weights)
    text = path.read_text()
    if old == "<Transformations":  # the opening tag only
        path.write_text(text.replace(old, new, 1))
    else:
        assert old in text or old == "none"
        path.write_text(text.replace(old, new, -1 if old == "MethodSetup" else 1))
    with pytest.raises(ModelFileError) as raised:
        TMVA.read_weights(path)
    message = str(raised.value)
    assert says in message
    assert str(path) in message
    if "well-formed" not in says:
        assert "line " in message


def test_messages_name_method_and_node(tmp_path):
    path = weight_file(tmp_path, "BDT", forest([(1, STUMP)], 0).replace('Cut="1.0"', 'Cut="x"'))
    with pytest.raises(ModelFileError, match=r"\(BDT::Mine\), line \d+, <Node>: Cut='x' is no finite number"):
        TMVA.read_weights(path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('<Class ClassIndex="2">', '<Class ClassIndex="3">', "one for each class"),
        ('Max="2.0"', 'Max="-2.0"', "is empty"),
        ('Label="x" Expression="x"/></Input>', 'Label="z" Expression="z"/></Input>', "no variable 'z'"),
        ('NTransformations="1"', 'NTransformations="0"', "NTransformations=0"),
        ("<Selection>", "<Selected>", "well-formed"),
        ('NInputs="1"', 'NInputs="2"', "NInputs=2"),
    ],
)
def test_damaged_transformations(tmp_path, old, new, says):
    path = weight_file(tmp_path, "Fisher", fisher(1, 2, 3), transformations=[CHANGE])
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ModelFileError, match=says):
        TMVA.read_weights(path)


def test_without_transformations(tmp_path):
    """TMVA would go on without them, and answer something else."""
    path = weight_file(tmp_path, "Fisher", fisher(1, 2, 3))
    text = path.read_text()
    begin = text.index("<Transformations")
    path.write_text(text[:begin] + text[text.index("</Transformations>") + len("</Transformations>") :])
    with pytest.raises(ModelFileError, match="no node 'Transformations'"):
        TMVA.read_weights(path)


@pytest.mark.parametrize(
    "before",
    [
        '<!DOCTYPE MethodSetup SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;&x;&x;&x;&x;&x;&x;">]>',
    ],
)
def test_entities(tmp_path, before):
    path = weight_file(tmp_path, "Fisher", fisher(1, 2, 3), before=before)
    with pytest.raises(ModelFileError, match="a DOCTYPE or an entity"):
        TMVA.read_weights(path)


def test_other_files(tmp_path):
    with pytest.raises(SourceNotFoundError, match="there is no weight file"):
        TMVA.read_weights(tmp_path / "none.weights.xml")
    for content in (b"", b"\x00\xff\x00", b"PK\x03\x04", b"root" + bytes(100), b"<a>\xff\xfe</a>"):
        path = tmp_path / "other.weights.xml"
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match="no well-formed XML"):
            TMVA.read_weights(path)


def test_a_weight_file_is_no_onnx_file(tmp_path):
    path = weight_file(tmp_path, "Fisher", fisher(1, 2, 3))
    with pytest.raises(ModelFileError, match=r"weight file of TMVA: take the \.onnx file beside it"):
        hr.Session(path)


def test_a_file_of_200_megabytes(tmp_path):
    """Refused by its size: nothing of it is read."""
    path = tmp_path / "large.weights.xml"
    with path.open("wb") as file:
        file.truncate(200 * 1024 * 1024)
    with pytest.raises(ModelFileError, match=r"209,715,200 bytes; weight files up to"):
        TMVA.read_weights(path)


def test_depth_and_number_of_nodes(tmp_path, monkeypatch):
    path = weight_file(tmp_path, "Fisher", "<Weights>" * 100 + "</Weights>" * 100)
    with pytest.raises(ModelFileError, match="deeper"):
        TMVA.read_weights(path)
    deep = leaf("l")
    for _ in range(300):
        deep = cut("l", 0, 1.0, deep, leaf("r"))
    path = weight_file(tmp_path, "BDT", forest([(1, deep.replace('pos="l"', 'pos="s"', 1))], 0))
    with pytest.raises(ModelFileError, match="deeper than"):
        TMVA.read_weights(path)
    monkeypatch.setattr(xml_nodes, "MOST_NODES", 10)
    path = weight_file(tmp_path, "Fisher", fisher(1, 2, 3))
    with pytest.raises(ModelFileError, match="far more nodes"):
        TMVA.read_weights(path)


def test_long_texts_and_long_work(tmp_path, monkeypatch):
    path = weight_file(tmp_path, "Likelihood", DENSITY.replace("1 2 3", "1 2 3 " * 2000))
    monkeypatch.setattr(xml_nodes, "LONGEST_TEXT", 5000)
    with pytest.raises(ModelFileError, match=r"<Histogram>: its text is far longer"):
        TMVA.read_weights(path)
    many = pdf([1] * 1000, 0, 1, smooth=(10_000, 10_000))
    path = weight_file(tmp_path, "Likelihood", DENSITY.replace(pdf([1, 2, 3], 0, 1, smooth=(1, 1)), many))
    with pytest.raises(ModelFileError, match="smoothed 10000 times"):
        TMVA.read_weights(path)


def test_memory_of_a_forest(tmp_path):
    """Nodes of trees become rows of numbers: less memory than the file has bytes."""
    path = weight_file(tmp_path, "BDT", forest([(1, STUMP)] * 2000, 0))
    size = path.stat().st_size
    tracemalloc.start()
    weights = TMVA.read_weights(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(weights.weights.trees) == 2000
    # Trees of three nodes are the worst case: each is an object with ten small arrays.
    assert peak < 6 * size


def test_conversion_is_asked_for_things_it_lacks(tmp_path):
    path = weight_file(tmp_path, "Fisher", fisher(1, 2, 3))
    output = tmp_path / "fisher.onnx"
    with pytest.raises(SettingError, match="belongs to the method Cuts"):
        TMVA.convert(path, output, signal_efficiency=0.5)
    with pytest.raises(ShapeError, match="with the columns x, y"):
        TMVA.convert(path, output, events=[[1.0, 2.0, 3.0]])
    cuts = weight_file(tmp_path, "Cuts", CUTS)
    with pytest.raises(SettingError, match="needs signal_efficiency"):
        TMVA.convert(cuts, output)
    with pytest.raises(SettingError, match="from 0 to 1"):
        TMVA.convert(cuts, output, signal_efficiency=1.5)
    assert not output.exists()
    assert TMVA.convert(path, output, events=[[1.0, 2.0], [3.0, 4.0]]) == Path(output)
    with pytest.raises(OutputExistsError):
        TMVA.convert(path, output)


def test_weights_that_overflow(tmp_path):
    path = weight_file(tmp_path, "Fisher", fisher(1, "1e300", 3))
    with pytest.raises(ModelFileError, match="overflow float32"):
        TMVA.convert(path, tmp_path / "fisher.onnx")
