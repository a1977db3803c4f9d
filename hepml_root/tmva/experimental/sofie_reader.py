"""SOFIE's RSofieReader: a model file that is generated, compiled and evaluated by one object."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import MissingDependencyError, ShapeError, UnsupportedOperationError
from hepml_root.inference.session import Session


class RSofieReader:
    """Evaluates an ONNX or Keras file.

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
        path = str(path)
        if Path(path).suffix in (".pt", ".pth"):
            raise MissingDependencyError(
                f"'{path}': TorchScript files are read by PyTorch only. Export the network with "
                "torch.onnx.export."
            )
        if Path(path).suffix == ".onnx":
            self._session = Session(path, engine=engine)
        else:
            import onnx

            from hepml_root.tmva.experimental.sofie_model import keras_as_onnx

            with tempfile.TemporaryDirectory(prefix="hepml_root-") as folder:
                file = Path(folder) / f"{Path(path).stem}.onnx"
                onnx.save(keras_as_onnx(path)[0], str(file))
                self._session = Session(file, engine=engine)
        inputs = self._session.manifest["inputs"]
        if len(inputs) > 1:
            raise UnsupportedOperationError(
                f"'{path}' has the inputs {', '.join(entry['name'] for entry in inputs)}: use hr.Session."
            )
        self._shape = tuple(inputs[0]["shape"])

    def Compute(self, x: Any) -> NDArray[np.float32]:
        """Return the outputs of one event, one after the other, or of several.

        Arguments
        ---------
        x
            The values of one event in one row, or an array ``(events, …)``.

        Raises
        ------
        ShapeError
            An event has another number of values than the model takes.
        """
        values = np.asarray(x, np.float32)
        size = int(np.prod(self._shape))
        single = values.ndim == 1
        if values.size % size or (single and values.size != size):
            raise ShapeError(f"an event has {size} values; given: shape {values.shape}.")
        found = self._session.infer(values.reshape(-1, *self._shape))
        if isinstance(found, dict):
            found = np.concatenate([part.reshape(len(part), -1) for part in found.values()], axis=1)
        return found[0].reshape(-1) if single else found
