"""Weight files written as TMVA writes them, so that its Reader, and the one here, read them.

Numbers have all their digits: what is read again is the same to the last bit.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO
from xml.sax.saxutils import escape

from hepml_root.errors import SettingError
from hepml_root.output import writing
from hepml_root.tmva.options.classical import CUTS
from hepml_root.tmva.weights import preselection
from hepml_root.tmva.weights.cuts import Cuts
from hepml_root.tmva.weights.header import Header, Variable
from hepml_root.tmva.weights.likelihood import Likelihood
from hepml_root.tmva.weights.linear import Linear
from hepml_root.tmva.weights.neighbours import Neighbours
from hepml_root.tmva.weights.network import Network
from hepml_root.tmva.weights.own_model import OwnGraph, OwnModel
from hepml_root.tmva.weights.pdf import Pdf
from hepml_root.tmva.weights.support_vectors import SupportVectors
from hepml_root.tmva.weights.transformations import Transformation
from hepml_root.tmva.weights.trees import BoostedTrees, Tree
from hepml_root.tmva.weights.weights_xml import WeightFile

# TMVA 4.2.1 is what the real TMVA has called itself since 2015; it looks at the number in the brackets.
RELEASE = "4.2.1 [262657]"
_FIT_METHODS = ("MC", "GA", "SA", "MINUIT", "EventScan", "MCEvents")  # in the order of TMVA's numbers


def write_weights(weights: WeightFile, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Write a weight file.

    Arguments
    ---------
    weights
        All that it says. Of an :class:`~hepml_root.tmva.weights.own_model.OwnGraph` the file names the ONNX
        file beside it, which has the same name with ``.onnx`` in place of ``.weights.xml``.
    path
        The file, ``*.weights.xml``.
    overwrite
        Replace a file that is there.

    Returns
    -------
    Path
        The path of the file.

    Raises
    ------
    OutputExistsError, OutputWriteError
        The file exists or cannot be written.
    SettingError
        A density or a transformation lacks what it was made of.

    Reference: A. Hoecker et al., TMVA users guide, arXiv:physics/0703039.

    Example
    -------
    >>> import tempfile
    >>> import numpy as np
    >>> from hepml_root import tmva as TMVA
    >>> x = Variable("pt", "pt", "", "GeV", "pt", "F", 0.0, 50.0)
    >>> header = Header("Fisher", "mine", "Classification", {"TMVA Release": RELEASE}, {}, (x,), (),
    ...                 ("Signal", "Background"), (), (4, 2, 1))
    >>> file = Path(tempfile.mkdtemp()) / "mine.weights.xml"
    >>> weights = WeightFile(file, header, (), Linear(np.array([[0.5, 2.0]])))
    >>> TMVA.read_weights(write_weights(weights, file)).weights.coefficients.tolist()
    [[0.5, 2.0]]
    """
    path = Path(path)
    with writing(path, overwrite) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0"?>\n')
        _Writer(file).file(weights, path)
    return path


def model_name(path: Path) -> str:
    """Return the name of the ONNX file beside a weight file.

    >>> model_name(Path("dataset/weights/Job_DNN.weights.xml"))
    'Job_DNN.onnx'
    """
    return path.name.removesuffix(".xml").removesuffix(".weights") + ".onnx"


class _Writer:
    """Writes nodes with their depth."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._depth = file, 0

    def _line(self, text: str) -> None:
        self._file.write("  " * self._depth + text + "\n")

    def leaf(self, name: str, attributes: Mapping[str, Any], text: str | None = None) -> None:
        """Write a node without children, with its text on the same line."""
        start = f"<{name}{_attributes(attributes)}"
        self._line(f"{start}/>" if text is None else f"{start}>{escape(text)}</{name}>")

    def numbers(self, name: str, attributes: Mapping[str, Any], values: Iterable[str]) -> None:
        """Write a node of numbers."""
        self._line(f"<{name}{_attributes(attributes)}>")
        self._file.write("  " * (self._depth + 1) + " ".join(values) + " \n")
        self._line(f"</{name}>")

    def node(self, name: str, attributes: Mapping[str, Any], children: Iterator[None] | None) -> None:
        """Write a node, and inside it what the children write."""
        if children is None:
            self.leaf(name, attributes)
            return
        self._line(f"<{name}{_attributes(attributes)}>")
        self._depth += 1
        for _ in children:
            pass
        self._depth -= 1
        self._line(f"</{name}>")

    # -- the parts of a file -------------------------------------------------------------------------------

    def file(self, weights: WeightFile, path: Path) -> None:
        header = weights.header
        self.node(
            "MethodSetup", {"Method": f"{header.method}::{header.title}"}, self._inside(weights, header, path)
        )

    def _inside(self, weights: WeightFile, header: Header, path: Path) -> Iterator[None]:
        info = {"TMVA Release": RELEASE, **header.info, "AnalysisType": header.analysis}
        self.node("GeneralInfo", {}, self._each("Info", ({"name": k, "value": v} for k, v in info.items())))
        self.node("Options", {}, self._options(header))
        for group, name, count, index, variables in (
            ("Variables", "Variable", "NVar", "VarIndex", header.variables),
            ("Spectators", "Spectator", "NSpec", "SpecIndex", header.spectators),
        ):
            rows = (_variable(index, i, variable) for i, variable in enumerate(variables))
            self.node(group, {count: len(variables)}, self._each(name, rows) if variables else None)
        classes = ({"Name": name, "Index": i} for i, name in enumerate(header.classes))
        self.node("Classes", {"NClass": len(header.classes)}, self._each("Class", classes))
        if header.targets:
            rows = (_variable("TargetIndex", i, target) for i, target in enumerate(header.targets))
            self.node("Targets", {"NTrgt": len(header.targets)}, self._each("Target", rows))
        found = weights.transformations
        self.node(
            "Transformations", {"NTransformations": len(found)},
            self._transformations(found, header) if found else None,
        )  # fmt: skip
        self.node("MVAPdfs", {}, self._pdfs(weights.mva_pdfs) if weights.mva_pdfs else None)
        self._weights(weights.weights, header, path)
        yield

    def _each(self, name: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[None]:
        for row in rows:
            self.leaf(name, row)
        yield

    def _options(self, header: Header) -> Iterator[None]:
        for name, option in header.options.items():
            size = {} if option.size is None else {"size": option.size}
            attributes = {"name": name, **size, "modified": "Yes" if option.modified else "No"}
            self.leaf("Option", attributes, option.value)
        yield

    def _pdfs(self, pdfs: Iterable[Pdf]) -> Iterator[None]:
        for pdf in pdfs:
            self._pdf(pdf)
        yield

    # -- transformations -----------------------------------------------------------------------------------

    def _transformations(self, found: Iterable[Transformation], header: Header) -> Iterator[None]:
        for transformation in found:
            kind = transformation.kind
            attributes: dict[str, Any] = {"Name": kind}
            if kind in ("Gauss", "Uniform"):
                attributes = {"Name": "Gauss", "FlatOrGauss": "Gauss" if kind == "Gauss" else "Flat"}
            self.node("Transform", attributes, self._transformation(transformation, header))
        yield

    def _transformation(self, found: Transformation, header: Header) -> Iterator[None]:
        self.node("Selection", {}, self._selection(found, header))
        for index, table in enumerate(found.ranges):
            self.node("Class", {"ClassIndex": index}, self._ranges(table))
        if found.kind == "Decorrelation":
            for matrix in found.matrices:
                rows, columns = matrix.shape
                self.numbers("Matrix", {"Rows": rows, "Columns": columns}, map(_double, matrix.T.ravel()))
        if found.kind == "PCA":
            for index, mean in enumerate(found.means):
                attributes = {"Class": _class_label(index), "ClassIndex": index, "NRows": len(mean)}
                self.numbers("Statistics", attributes, map(_double, mean))
            for index, matrix in enumerate(found.matrices):
                rows, columns = matrix.shape
                attributes = {
                    "Class": _class_label(index), "ClassIndex": index, "NRows": rows, "NCols": columns
                }  # fmt: skip
                self.numbers("Eigenvectors", attributes, map(_double, matrix.ravel()))
        if found.cumulative:
            for place in range(len(found.takes)):
                pdfs = [row[place] for row in found.cumulative]
                self.node("Variable", {"VarIndex": place}, self._cumulative(pdfs))
        yield

    def _selection(self, found: Transformation, header: Header) -> Iterator[None]:
        targets = {place: position for position, place in found.targets}
        count = len(found.takes) + len(targets)
        for name, positions in (("Input", found.takes), ("Output", found.puts)):
            left = iter(positions)
            rows = []
            for place in range(count):
                kind = "Target" if place in targets else "Variable"
                group = header.targets if place in targets else header.variables
                entry = group[targets[place] if place in targets else next(left)]
                rows.append({"Type": kind, "Label": entry.label, "Expression": entry.expression})
            self.node(name, {f"N{name}s": count}, self._each(name, rows))
        yield

    def _ranges(self, table: Any) -> Iterator[None]:
        rows = (
            {"Index": i, "Min": _double(low), "Max": _double(high)} for i, (low, high) in enumerate(table)
        )
        self.node("Ranges", {}, self._each("Range", rows))
        yield

    def _cumulative(self, pdfs: Iterable[Pdf]) -> Iterator[None]:
        for index, pdf in enumerate(pdfs):
            self.node(f"CumulativePDF_cls{index}", {}, self._pdfs([pdf]))
        yield

    def _pdf(self, pdf: Pdf) -> None:
        if pdf.source is None:
            raise SettingError("a density without the histogram it was made of cannot be written.")
        kernels = pdf.source.kernels
        least, most = pdf.source.smoothings
        attributes = {
            "Name": pdf.source.name, "MinNSmooth": least, "MaxNSmooth": most,
            "InterpolMethod": pdf.source.method, "KDE_type": kernels.type, "KDE_iter": kernels.iteration,
            "KDE_border": kernels.border, "KDE_finefactor": _double(kernels.fine_factor),
        }  # fmt: skip
        self.node("PDF", attributes, self._histogram(pdf))

    def _histogram(self, pdf: Pdf) -> Iterator[None]:
        source = pdf.source
        assert source is not None  # _pdf has looked
        attributes = {
            "Name": source.title, "NBins": len(source.contents), "XMin": _double(source.edges[0]),
            "XMax": _double(source.edges[-1]), "HasEquidistantBins": int(source.uniform),
        }  # fmt: skip
        self.numbers("Histogram", attributes, map(_single, source.contents))
        if not source.uniform:
            self.numbers("HistogramBinning", {"NBins": len(source.contents)}, map(_double, source.edges))
        yield

    # -- weights -------------------------------------------------------------------------------------------

    def _weights(self, found: Any, header: Header, path: Path) -> None:
        attributes: dict[str, Any]
        if isinstance(found, OwnGraph | OwnModel):
            attributes = {"Model": model_name(path)}
            if found.spectators:
                attributes["Spectators"] = " ".join(map(str, found.spectators))
            self.leaf("Weights", attributes)
            return
        if isinstance(found, Linear):
            outputs, count = found.coefficients.shape
            attributes = (
                {"NCoeff": count} if header.method == "Fisher" else {"NOut": outputs, "NCoeff": count}
            )
            inside = self._coefficients(found, header)
        elif isinstance(found, Likelihood):
            attributes = {"NVariables": len(found.densities), "NClasses": 2}
            inside = self._densities(found)
        elif isinstance(found, Cuts):
            fit = header.option("FitMethod", "GA")
            known = {option.name: option.allowed for option in CUTS}["FitMethod"]
            fit = next((name for name in known if name.lower() == fit.lower()), "GA")
            attributes = {
                "OptimisationMethod": 0, "FitMethod": _FIT_METHODS.index(fit), "nbins": len(found.least)
            }  # fmt: skip
            inside = self._boxes(found)
        elif isinstance(found, Neighbours):
            events, variables = found.events.shape
            attributes = {"NEvents": events, "NVar": variables, "NTgt": found.targets.shape[1]}
            inside = self._neighbours(found)
        elif isinstance(found, SupportVectors):
            kernel = found.kernel
            attributes = {
                "fBparm": _double(found.offset), "fGamma": _double(kernel.gamma),
                "fGammaList": ",".join(map(_double, kernel.gammas)), "fTheta": _double(kernel.theta),
                "fOrder": kernel.order, "NSupVec": len(found.alphas),
            }  # fmt: skip
            inside = self._support_vectors(found, header)
        elif isinstance(found, Network):
            attributes, inside = {}, self._network(found)
        elif isinstance(found, BoostedTrees):
            attributes = {"NTrees": len(found.trees), "AnalysisType": int(found.leaf == "response")}
            if header.switched_on("DoPreselection") and header.analysis == "Classification":
                attributes |= preselection.attributes(found.preselection, len(header.variables))
            inside = self._trees(found)
        else:
            raise SettingError(f"weights of the type {type(found).__name__} cannot be written.")
        self.node("Weights", attributes, inside)

    def _coefficients(self, found: Linear, header: Header) -> Iterator[None]:
        for output, row in enumerate(found.coefficients):
            for index, value in enumerate(row):
                places = {"Index": index}
                if header.method != "Fisher":
                    places = {"IndexOut": output, "IndexCoeff": index}
                self.leaf("Coefficient", {**places, "Value": _double(value)})
        yield

    def _neighbours(self, found: Neighbours) -> Iterator[None]:
        kinds = [1 if signal else 2 for signal in found.signal]
        for row, targets, kind, weight in zip(found.events, found.targets, kinds, found.weights, strict=True):
            text = " ".join(map(_single, (*row, *targets)))
            self.leaf("Event", {"Type": kind, "Weight": _double(weight)}, text)
        yield

    def _support_vectors(self, found: SupportVectors, header: Header) -> Iterator[None]:
        for row in found.rows(header.analysis == "Regression"):
            self.numbers("SupportVector", {"Rows": 1, "Columns": len(row)}, map(_double, row))
        for name, ends in (
            ("Maxima", [variable.maximum for variable in header.variables]),
            ("Minima", [variable.minimum for variable in header.variables]),
        ):
            self.leaf(name, {f"Var{i}": _double(end or 0.0) for i, end in enumerate(ends)})
        yield

    def _densities(self, found: Likelihood) -> Iterator[None]:
        for variable, both in enumerate(found.densities):
            for index, pdf in enumerate(both):
                self.node("PDFDescriptor", {"VarIndex": variable, "ClassIndex": index}, self._pdfs([pdf]))
        yield

    def _boxes(self, found: Cuts) -> Iterator[None]:
        for box in range(len(found.least)):
            efficiencies = {
                "effS": _double(found.signal_efficiency[box]),
                "effB": _double(found.background_efficiency[box]),
            }
            cuts: dict[str, str] = {}
            for i, (low, high) in enumerate(zip(found.least[box], found.most[box], strict=True)):
                cuts |= {f"cutMin_{i}": _double(low), f"cutMax_{i}": _double(high)}
            self.node("Bin", {"ibin": box + 1, **efficiencies}, self._each("Cuts", [cuts]))
        yield

    def _network(self, found: Network) -> Iterator[None]:
        self.node("Layout", {"NLayers": len(found.layers) + 1}, self._layers(found))
        yield

    def _layers(self, found: Network) -> Iterator[None]:
        for index, table in enumerate(found.layers):
            self.node("Layer", {"Index": index, "NNeurons": len(table)}, self._neurons(table))
        outputs = found.layers[-1].shape[1]
        rows = [{"NSynapses": 0}] * outputs
        self.node("Layer", {"Index": len(found.layers), "NNeurons": outputs}, self._each("Neuron", rows))
        yield

    def _neurons(self, table: Any) -> Iterator[None]:
        for row in table:
            self.numbers("Neuron", {"NSynapses": len(row)}, map(_double, row))
        yield

    def _trees(self, found: BoostedTrees) -> Iterator[None]:
        for number, tree in enumerate(found.trees):
            attributes = {"type": "DecisionTree", "boostWeight": _double(tree.weight), "itree": number}
            self._line(f"<BinaryTree{_attributes(attributes)}>")
            self._tree(tree)
            self._line("</BinaryTree>")
        yield

    def _tree(self, tree: Tree) -> None:
        """Write the nodes: (row, side, depth); a row of -1 closes a node."""
        start = self._depth
        waiting = [(0, "s", 0)]
        while waiting:
            row, side, depth = waiting.pop()
            self._depth = start + depth + 1
            if row < 0:
                self._line("</Node>")
                continue
            inner = tree.kind[row] == 0
            # Its numbers are float32, of which TMVA writes all digits of a double.
            self._line(
                f'<Node pos="{side}" depth="{depth}" NCoef="0" IVar="{tree.variable[row] if inner else -1}" '
                f'Cut="{tree.cut[row]:.16e}" cType="{tree.right_if_above[row]}" '
                f'res="{tree.response[row]:.16e}" rms="{0.0:.16e}" purity="{tree.purity[row]:.16e}" '
                f'nType="{tree.kind[row]}"{">" if inner else "/>"}'
            )
            if inner:
                waiting += [
                    (-1, "", depth),
                    (tree.right[row], "r", depth + 1),
                    (tree.left[row], "l", depth + 1),
                ]
        self._depth = start


def _attributes(attributes: Mapping[str, Any]) -> str:
    return "".join(f' {name}="{_escaped(str(value))}"' for name, value in attributes.items())


def _escaped(text: str) -> str:
    return escape(text, {'"': "&quot;", "\n": "&#10;", "\t": "&#9;", "\r": "&#13;"})


def _variable(index: str, number: int, variable: Variable) -> dict[str, Any]:
    """Return the attributes of a variable; TMVA needs each of them."""
    low, high = (0.0 if end is None else end for end in (variable.minimum, variable.maximum))
    return {
        index: number, "Expression": variable.expression, "Label": variable.label, "Title": variable.title,
        "Unit": variable.unit, "Internal": variable.internal, "Type": variable.kind,
        "Min": _end(low), "Max": _end(high),
    }  # fmt: skip


def _end(value: float) -> str:
    """TMVA writes ranges as float32; what has more digits keeps them."""
    return _single(value) if float(f"{value:.8e}") == value else _double(value)


def _class_label(index: int) -> str:
    return {0: "Signal", 1: "Background"}.get(index, "Combined")


def _double(value: Any) -> str:
    return f"{float(value):.16e}"


def _single(value: Any) -> str:
    return f"{float(value):.8e}"
