"""``TMVA.Experimental.SOFIE``: parsers of ONNX and Keras files, and the model they give.

    model = SOFIE.PyKeras.Parse("higgs.keras")      # or SOFIE.RModelParser_ONNX().Parse("higgs.onnx")
    model.Generate()
    model.OutputGenerated("higgs.hxx")

The code is this project's own (:mod:`hepml_root.export.cpp`), under SOFIE's names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hepml_root.errors import MissingDependencyError, SettingError
from hepml_root.tmva.experimental.sofie_model import Options, RModel, keras_as_onnx, read_onnx
from hepml_root.tmva.experimental.sofie_reader import RSofieReader
from hepml_root.tmva.experimental.sofie_tensors import (
    ConvertShapeToLength,
    ConvertShapeToString,
    ConvertStringToType,
    ConvertTypeToString,
    ETensorType,
)

__all__ = [
    "ConvertShapeToLength",
    "ConvertShapeToString",
    "ConvertStringToType",
    "ConvertTypeToString",
    "ETensorType",
    "Options",
    "PyKeras",
    "PyTorch",
    "RModel",
    "RModelParser_ONNX",
    "RSofieReader",
]


class RModelParser_ONNX:
    """Reads ONNX files.

    Example
    -------
    >>> RModelParser_ONNX().Parse("missing.onnx")
    Traceback (most recent call last):
    hepml_root.errors.SourceNotFoundError: there is no model file 'missing.onnx'.
    """

    def Parse(self, filename: str, verbose: bool = False) -> RModel:
        """Return the model of a file.

        Arguments
        ---------
        filename
            The ``.onnx`` file.
        verbose
            Print its tensors.

        Raises
        ------
        SourceNotFoundError
            There is no such file.
        ModelFileError
            It is no valid ONNX model.
        """
        model = RModel(Path(str(filename)).name, read_onnx(str(filename)))
        if verbose:
            model.PrintRequiredInputTensors()
            model.PrintInitializedTensors()
            model.PrintOutputTensors()
        return model


class PyKeras:
    """Reads Keras files, ``.keras`` and ``.h5``.

    Example
    -------
    >>> PyKeras.Parse("missing.keras")
    Traceback (most recent call last):
    hepml_root.errors.SourceNotFoundError: there is no Keras model file 'missing.keras'.
    """

    @staticmethod
    def Parse(filename: str, batch_size: int = -1) -> RModel:
        """Return the model of a file.

        Arguments
        ---------
        filename
            The file that ``model.save`` wrote.
        batch_size
            Number of events of ``infer``; −1: as the model's input says, and 1 where it leaves it free.

        Raises
        ------
        SourceNotFoundError, ModelFileError
            There is no such file, or it is no Keras model.
        UnsupportedOperationError
            A layer cannot be written as ONNX; it is named.
        """
        proto, batch = keras_as_onnx(str(filename))
        return RModel(Path(str(filename)).name, proto, int(batch_size) if int(batch_size) > 0 else batch)


class PyTorch:
    """Stands for SOFIE's reader of PyTorch files, which needs PyTorch.

    Example
    -------
    >>> PyTorch.Parse("model.pt")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    hepml_root.errors.MissingDependencyError: 'model.pt': TorchScript files are read by PyTorch only. ...
    """

    @staticmethod
    def Parse(filename: str, *_: Any) -> RModel:
        """Refuse the file, and say what to do.

        Raises
        ------
        MissingDependencyError
            Always.
        """
        raise MissingDependencyError(
            f"'{filename}': TorchScript files are read by PyTorch only. Export the network with "
            "torch.onnx.export and parse the ONNX file: SOFIE.RModelParser_ONNX().Parse(...)."
        )


def __getattr__(name: str) -> Any:
    if name.startswith(("ROperator", "RModel_", "RFunction")):
        raise SettingError(
            f"SOFIE.{name}: models are not built operator by operator here; parse an ONNX or Keras file."
        )
    raise AttributeError(f"SOFIE has no '{name}'; it has {', '.join(__all__)}.")
