"""Weights that TMVA's files have no form for: an ONNX file beside the weight file, which names it.

    <Weights Model="TMVAClassification_DNN.onnx"/>
    <Weights Model="TMVAClassificationCategory_FisherCat.onnx" Spectators="0"/>

The ONNX file computes the whole response, transformations of the variables included. It takes the variables,
and behind them the spectators with these numbers, which categories and folds of events are made of.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from hepml_root.errors import SourceNotFoundError
from hepml_root.export.manifest import load_onnx
from hepml_root.tmva.weights.xml_nodes import XmlNode


@dataclass(frozen=True)
class OwnGraph:
    """What a method has learned, as a graph, before it is written.

    Arguments
    ---------
    model
        One input ``(events, variables + spectators)`` float32 (the variables after VarTransform), one output
        ``(events, outputs)``.
    keras_file
        A trained ``.keras`` file to keep beside it, or None.
    spectators
        The numbers of the spectators that it takes, as they are, behind the variables.
    """

    model: onnx.ModelProto
    keras_file: Path | None = None
    spectators: tuple[int, ...] = ()


@dataclass(frozen=True)
class OwnModel:
    """The ONNX file that a weight file names, and the numbers of the spectators that it takes."""

    path: Path
    spectators: tuple[int, ...] = ()

    def load(self) -> onnx.ModelProto:
        """Return the graph without its manifest."""
        model = load_onnx(self.path)
        del model.metadata_props[:]
        return model


def read_own_model(node: XmlNode, folder: Path, spectators: int = 0) -> OwnModel:
    """Read the node ``Weights`` of a method whose weights are an ONNX file.

    Raises
    ------
    ModelFileError
        The name is not that of a file beside the weight file, or it takes other spectators than the
        ``spectators`` that there are.
    SourceNotFoundError
        The file is not there.
    """
    name = node.attribute("Model")
    if name != Path(name).name or not name.endswith(".onnx"):
        raise node.error(f"Model='{name[:80]}' is not the name of an ONNX file beside this one.")
    path = folder / name
    if not path.is_file():
        raise SourceNotFoundError(
            f"{node.source}: its model '{name}' is not beside it. Both files belong together: copy it there."
        )
    texts = node.attribute("Spectators", "").split()
    taken = [int(text) if text.isdecimal() else -1 for text in texts]
    if len(set(taken)) < len(taken) or not all(0 <= number < spectators for number in taken):
        raise node.error(
            f"Spectators='{' '.join(texts)[:80]}' are no numbers of spectators; the file has {spectators}."
        )
    return OwnModel(path, tuple(taken))
