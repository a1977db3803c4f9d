"""Weights that TMVA's files have no form for: an ONNX file beside the weight file, which names it.

    <Weights Model="TMVAClassification_DNN.onnx"/>

The ONNX file computes the whole response, transformations of the variables included.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from hepml_root.errors import SourceNotFoundError
from hepml_root.export.manifest import load_onnx
from hepml_root.tmva.xml_nodes import XmlNode


@dataclass(frozen=True)
class OwnGraph:
    """What a method has learned, as a graph, before it is written.

    Arguments
    ---------
    model
        One input ``(events, variables)`` float32 (the variables after VarTransform), one output
        ``(events, outputs)``.
    keras_file
        A trained ``.keras`` file to keep beside it, or None.
    """

    model: onnx.ModelProto
    keras_file: Path | None = None


@dataclass(frozen=True)
class OwnModel:
    """The ONNX file that a weight file names."""

    path: Path

    def load(self) -> onnx.ModelProto:
        """Return the graph without its manifest."""
        model = load_onnx(self.path)
        del model.metadata_props[:]
        return model


def read_own_model(node: XmlNode, folder: Path) -> OwnModel:
    """Read the node ``Weights`` of a method whose weights are an ONNX file.

    Raises
    ------
    ModelFileError
        The name is not that of a file beside the weight file.
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
    return OwnModel(path)
