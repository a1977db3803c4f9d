"""SOFIE's RSofieReader: a model file that is generated, compiled and evaluated by one object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from hepml_root.errors import MissingDependencyError, SourceNotFoundError
from hepml_root.tmva.experimental.scorer import Scorer


class RSofieReader:
    """Evaluates an ONNX or Keras file with one input.

    Arguments
    ---------
    path
        A ``.onnx``, ``.keras`` or ``.h5`` file.
    shapes
        SOFIE's shapes for PyTorch files; not needed by the others.
    verbose
        Changes nothing.
    engine
        As in :class:`hepml_root.Session`.

    Raises
    ------
    SourceNotFoundError, ModelFileError
        There is no such file, or it holds no model.
    MissingDependencyError
        It is a PyTorch file.
    UnsupportedOperationError
        The model has several inputs: use :class:`hepml_root.Session`.

    Example
    -------
    >>> import tempfile, onnx
    >>> from onnx import TensorProto, helper
    >>> x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 2]) for n in ("x", "y"))
    >>> graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    >>> path = tempfile.mkdtemp() + "/relu.onnx"
    >>> proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    >>> onnx.save(proto, path)
    >>> RSofieReader(path, engine="onnxruntime").Compute([-1.0, 2.0]).tolist()
    [0.0, 2.0]
    """

    def __init__(self, path: str, shapes: Any = (), verbose: bool = False, *, engine: str = "auto") -> None:
        del shapes, verbose
        file = Path(str(path))
        if file.suffix in (".pt", ".pth"):
            raise MissingDependencyError(
                f"'{file}': TorchScript files are read by PyTorch only. Export the network with "
                "torch.onnx.export."
            )
        model: onnx.ModelProto | Path = file
        if file.suffix != ".onnx":
            from hepml_root.tmva.experimental.sofie_model import keras_as_onnx

            model = keras_as_onnx(file)[0]
        elif not file.is_file():
            raise SourceNotFoundError(f"there is no model file '{file}'.")
        self._scorer = Scorer(model, str(file), engine)

    def Compute(self, *x: Any) -> NDArray[np.float32]:
        """Return the outputs of one event ``(outputs,)``, or of many ``(events, outputs)``.

        Arguments
        ---------
        x
            The values of one event, in one row or one by one, or an array ``(events, …)``.

        Raises
        ------
        ShapeError
            An event has another number of values than the model takes.
        """
        return self._scorer.compute(x)

    def functor(self, count: int, kind: str) -> Any:
        """Return what ``Compute[count, kind](reader)`` gives to RDataFrame's Define."""
        return self._scorer.functor(count, kind)
