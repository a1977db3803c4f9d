"""A network with one input that is evaluated on arrays, and as a functor inside RDataFrame's event loop."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from hepml_root.errors import CompilerError, SettingError, ShapeError, UnsupportedOperationError
from hepml_root.inference.session import Session


class Scorer:
    """Evaluates an ONNX model with one input.

    Arguments
    ---------
    model
        The model, or the path of its file.
    name
        What it is, for messages.
    engine
        As in :class:`hepml_root.Session`.

    Raises
    ------
    UnsupportedOperationError
        The model has several inputs.
    """

    def __init__(self, model: onnx.ModelProto | Path, name: str, engine: str) -> None:
        if isinstance(model, Path):
            self._path = model
        else:
            self._folder = tempfile.TemporaryDirectory(prefix="hepml_root-")
            self._path = Path(self._folder.name) / "model.onnx"
            onnx.save(model, str(self._path))
        self._session, self._name = Session(self._path, engine=engine), name
        inputs = self._session.manifest["inputs"]
        if len(inputs) > 1:
            raise UnsupportedOperationError(
                f"'{name}' has the inputs {', '.join(entry['name'] for entry in inputs)}: use hr.Session."
            )
        self.shape = tuple(inputs[0]["shape"])
        self.outputs = sum(math.prod(entry["shape"]) for entry in self._session.manifest["outputs"])

    def compute(self, arguments: tuple[Any, ...]) -> NDArray[np.float32]:
        """Return the outputs of one event ``(outputs,)``, or of many ``(events, outputs)``.

        Arguments
        ---------
        arguments
            One row or array of events, or the values of one event one by one.

        Raises
        ------
        ShapeError
            An event has another number of values than the model takes.
        """
        try:
            values = np.asarray(arguments[0] if len(arguments) == 1 else arguments, np.float32)
        except (TypeError, ValueError, IndexError):
            raise ShapeError(f"'{self._name}': numbers are needed, or an array (events, values).") from None
        size = math.prod(self.shape)
        single = values.ndim <= 1
        if values.size % size or (values.size != size if single else math.prod(values.shape[1:]) != size):
            raise ShapeError(f"'{self._name}' takes {size} values per event; given: shape {values.shape}.")
        found = self._session.infer(values.reshape(-1, *self.shape))
        parts = list(found.values()) if isinstance(found, dict) else [found]
        rows = np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
        return rows[0] if single else rows

    def functor(self, count: int, kind: str, spare: bool = False) -> Any:
        """Return the model as a C++ functor of ``count`` numbers of type ``kind``, for RDataFrame's Define.

        With ``spare`` there may be more numbers than the model takes; the last ones are not looked at.

        Raises
        ------
        SettingError
            The model takes another number of values.
        """
        import cppyy
        import ROOT

        from hepml_root.inference.compile import compile_or_interpret
        from hepml_root.inference.declaration import declare

        size = math.prod(self.shape)
        if count < size or (count > size and not spare):
            raise SettingError(f"Compute[{count}, '{kind}']: '{self._name}' takes {size} values.")
        compiled = compile_or_interpret(self._path)
        declare(compiled)
        name = f"Compute_{compiled.symbol}_{kind}_{count}"
        sizes = [math.prod(entry["shape"]) for entry in compiled.manifest["outputs"]]
        starts = np.cumsum([0, *sizes[:-1]]).tolist()
        code = f"""#ifndef HEPML_ROOT_{name}
#define HEPML_ROOT_{name}
#include <vector>
namespace hepml_root_tmva {{
struct {name} {{
   std::vector<float> operator()({", ".join(f"{kind} x{i}" for i in range(count))}) const {{
      const float x[] = {{{", ".join(f"static_cast<float>(x{i})" for i in range(size))}}};
      std::vector<float> y({sum(sizes)});
      const float* const from[] = {{x}};
      float* const to[] = {{{", ".join(f"y.data() + {start}" for start in starts)}}};
      {compiled.symbol}_infer(from, 1, to);
      return y;
   }}
}};
}}
#endif
"""
        if not ROOT.gInterpreter.Declare(code):
            raise CompilerError(f"ROOT's interpreter does not take the functor of '{self._name}'.")
        return getattr(cppyy.gbl.hepml_root_tmva, name)()
