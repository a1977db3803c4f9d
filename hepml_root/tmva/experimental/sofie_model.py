"""SOFIE's RModel: a network that becomes a C++ header, written by this project's generator."""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from hepml_root.errors import SettingError, UnsupportedOperationError
from hepml_root.export.cpp.generator import CppSource, generate, identifier
from hepml_root.export.manifest import graph_inputs
from hepml_root.output import writing
from hepml_root.tmva.experimental.sofie_tensors import (
    ConvertShapeToString,
    ConvertTypeToString,
    ETensorType,
    Shape,
    Tensors,
    clean_name,
    fix_lengths,
)


class Options(enum.IntFlag):
    """What ``RModel.Generate`` is to make.

    Weights are inside the header with all of them, so that no file has to be found when a Session is made.
    Only networks of more than two million weights have a file beside it, ``<name>.weights``.

    kDefault
        The header, and a file ``.dat`` for programs that look for one: it says where the weights are.
    kNoSession
        Also a function ``infer`` in the namespace, with a Session of its own.
    kNoWeightFile, kRootBinaryWeightFile
        The header alone. The name of a file that a Session is given is not used.
    """

    kDefault = 0
    kNoSession = 1
    kNoWeightFile = 2
    kRootBinaryWeightFile = 4
    kGNN = 8
    kGNNComponent = 16


class _TensorData:
    """``model.GetTensorData['float']('name')``, as cppyy writes template arguments."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors

    def __getitem__(self, kind: Any) -> Any:
        def values(name: str) -> np.ndarray:
            name = clean_name(str(name))
            found, _ = self._tensors.find(name)
            if name not in self._tensors.initialized:
                raise SettingError(f"tensor '{name}' is computed, it holds no weights.")
            if str(kind) != ConvertTypeToString(found):
                raise SettingError(f"tensor '{name}' is of type {ConvertTypeToString(found)}, not {kind}.")
            return self._tensors.initialized[name].reshape(-1)

        return values


class RModel:
    """A network to generate code from: what SOFIE's parsers give.

    The code is that of :mod:`hepml_root.export.cpp`: ``namespace TMVA_SOFIE_<name>`` with ``struct Session``
    and ``infer``, as SOFIE's users call it. It needs the standard library only.

    Arguments
    ---------
    name
        Name of the model's file, without its folder; the C++ name is what is before the suffix.
    proto
        The network, as an ONNX model.
    batch
        How many events ``infer`` takes; None: as many as the file says, and 1 where it does not.

    Raises
    ------
    UnsupportedOperationError
        An operator cannot be generated; said by :meth:`Generate`.

    Example
    -------
    >>> import os, tempfile
    >>> from onnx import TensorProto, helper
    >>> x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 3]) for n in ("x", "y"))
    >>> graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    >>> proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    >>> model = RModel("small.onnx", proto)
    >>> model.Generate()
    >>> header = tempfile.mkdtemp() + "/small.hxx"
    >>> model.OutputGenerated(header)
    >>> "TMVA_SOFIE_small" in open(header).read(), os.path.exists(header.replace(".hxx", ".dat"))
    (True, True)
    >>> list(model.GetInputTensorNames()), model.GetDynamicTensorShape("x")
    (['x'], ['N', 3])
    """

    def __init__(self, name: str, proto: onnx.ModelProto, batch: int | None = None) -> None:
        self._name = identifier(Path(str(name)).stem)
        self._proto = proto
        self._batch = batch
        self._options = Options.kDefault
        self._source: CppSource | None = None
        self._tensors = Tensors(proto)

    # -- what it is ----------------------------------------------------------------------------------------

    def GetName(self) -> str:
        """Return the C++ name of the model."""
        return self._name

    GetFilename = GetName

    def SetFilename(self, name: str) -> None:
        """Give the model another C++ name."""
        self._name, self._source = identifier(str(name)), None

    def GetInputTensorNames(self) -> list[str]:
        """Return the names of the inputs, in the order of ``infer``."""
        return list(self._tensors.inputs)

    def GetOutputTensorNames(self) -> list[str]:
        """Return the names of the outputs, in the order of what ``infer`` gives."""
        return list(self._tensors.outputs)

    def CheckIfTensorAlreadyExist(self, name: str) -> bool:
        """Whether there is a tensor of that name."""
        try:
            self._tensors.find(name)
        except SettingError:
            return False
        return True

    def IsInitializedTensor(self, name: str) -> bool:
        """Whether a tensor holds weights."""
        return clean_name(str(name)) in self._tensors.initialized

    def GetTensorShape(self, name: str) -> list[int]:
        """Return the shape of a tensor, whose lengths must all be fixed."""
        return self._tensors.fixed_shape(name)

    def GetDynamicTensorShape(self, name: str) -> list[int | str]:
        """Return the shape of a tensor, with the names of free lengths."""
        return list(self._tensors.find(name)[1])

    def GetTensorType(self, name: str) -> ETensorType:
        """Return the type of a tensor's numbers."""
        return self._tensors.find(name)[0]

    @property
    def GetTensorData(self) -> _TensorData:
        """Return the weights of a tensor as a flat array: ``GetTensorData["float"](name)``."""
        return _TensorData(self._tensors)

    # -- code ----------------------------------------------------------------------------------------------

    def Initialize(self, batchSize: int | Mapping[str, int] = -1, verbose: bool = False) -> None:
        """Fix free lengths.

        Arguments
        ---------
        batchSize
            Number of events of ``infer``, or ``{name of a free length: length}``; −1 leaves what there is.
        verbose
            Print the tensors.
        """
        if isinstance(batchSize, Mapping):
            given = {str(name): int(length) for name, length in batchSize.items()}
            events = _events_length(self._proto)
            if isinstance(events, str) and events in given:
                self._batch = given.pop(events)
            fix_lengths(self._proto, given)
            self._tensors = Tensors(self._proto)
        elif int(batchSize) > 0:
            self._batch = int(batchSize)
        self._source = None
        if verbose:
            self.PrintRequiredInputTensors()
            self.PrintIntermediateTensors()
            self.PrintOutputTensors()

    def Generate(
        self, options: int = Options.kDefault, batchSize: Any = -1, pos: int = 0, verbose: bool = False
    ) -> None:
        """Write the code, into memory.

        Arguments
        ---------
        options
            Members of :class:`Options`, joined by ``|``.
        batchSize
            As in :meth:`Initialize`.
        pos
            SOFIE's place in a file of weights; there is none here.
        verbose
            Print the tensors.

        Raises
        ------
        SettingError
            There is no such option.
        UnsupportedOperationError
            An operator, type or shape cannot be generated; the message names the node.
        """
        del pos
        self._options = _checked(options)
        self.Initialize(batchSize, verbose)
        self._source = self._generated()

    def _generated(self) -> CppSource:
        first = _events_length(self._proto)
        batch = self._batch or (first if isinstance(first, int) else 1)
        if isinstance(first, str) or first == 1:
            return generate(self._proto, self._name, events=batch)
        if first is not None and batch != first:
            raise SettingError(
                f"the model '{self._name}' has a fixed batch of {first}: a batch of {batch} needs a file "
                "that was exported with a free first axis."
            )
        return generate(self._proto, self._name, batched=False)

    def ReturnGenerated(self) -> str:
        """Return the code.

        Raises
        ------
        SettingError
            :meth:`Generate` was not called.
        """
        if self._source is None:
            raise SettingError("there is no code yet: call Generate() first.")
        if not self._options & Options.kNoSession:
            return self._source.header
        inputs = [f"const float* input_{i}" for i in range(len(self._tensors.inputs))]
        names = ", ".join(f"input_{i}" for i in range(len(inputs)))
        function = (
            f"\nnamespace {self._source.namespace} {{\n"
            f"inline auto infer({', '.join(inputs)})\n{{\n   static const Session session;\n"
            f"   return session.infer({names});\n}}\n}} // namespace {self._source.namespace}\n"
        )
        guard, end = "#ifndef HEPML_ROOT_INFER_" + self._source.hash[:12], "#endif\n"
        return f"{self._source.header}\n{guard}\n#define{guard.removeprefix('#ifndef')}{function}{end}"

    def PrintGenerated(self) -> None:
        """Print the code."""
        print(self.ReturnGenerated())

    def OutputGenerated(self, filename: str = "", append: bool = False) -> None:
        """Write the code to a header.

        Arguments
        ---------
        filename
            By default ``<name>.hxx`` in this folder; a file that exists is replaced.
        append
            Put the code behind what the file holds, so that one header has several models.

        Raises
        ------
        SettingError
            :meth:`Generate` was not called.
        OutputWriteError
            The file cannot be written.
        """
        code = self.ReturnGenerated()
        source = self._source
        assert source is not None
        path = Path(str(filename) or f"{self._name}.hxx")
        if append and path.is_file():
            code = f"{path.read_text(encoding='utf-8').rstrip()}\n\n{code}"
        if source.side_file:
            with writing(path.with_name(f"{source.name}.weights"), overwrite=True) as temporary:
                temporary.write_bytes(source.weights)
        elif not self._options & (Options.kNoWeightFile | Options.kRootBinaryWeightFile | Options.kNoSession):
            with writing(path.with_suffix(".dat"), overwrite=True) as temporary:
                temporary.write_text(f"# The weights are in {path.name}; this file is not read.\n")
        with writing(path, overwrite=True) as temporary:
            temporary.write_text(code, encoding="utf-8")

    # -- what it prints ------------------------------------------------------------------------------------

    def PrintRequiredInputTensors(self) -> None:
        """Print names, types and shapes of the inputs."""
        _print_tensors("Inputs", self._tensors.inputs)

    def PrintOutputTensors(self) -> None:
        """Print names, types and shapes of the outputs."""
        _print_tensors("Outputs", self._tensors.outputs)

    def PrintIntermediateTensors(self) -> None:
        """Print names, types and shapes of what is computed on the way."""
        _print_tensors("Intermediate tensors", self._tensors.intermediate)

    def PrintDynamicTensors(self) -> None:
        """Print what has a free length."""
        everything = {**self._tensors.inputs, **self._tensors.intermediate, **self._tensors.outputs}
        free = {
            name: entry for name, entry in everything.items() if any(isinstance(n, str) for n in entry[1])
        }
        _print_tensors("Tensors with free lengths", free)

    def PrintInitializedTensors(self) -> None:
        """Print names, types and shapes of the weights."""
        _print_tensors("Weights", {name: self._tensors.find(name) for name in self._tensors.initialized})

    def HeadInitializedTensors(self, name: str, n_print: int = 50) -> None:
        """Print the first values of a tensor of weights."""
        kind, shape = self._tensors.find(name)
        values = self._tensors.initialized.get(clean_name(str(name)))
        if values is None:
            raise SettingError(f"tensor '{name}' is computed, it holds no weights.")
        print(f"{name}: {ConvertTypeToString(kind)} {ConvertShapeToString(shape)}")
        print(", ".join(f"{value:g}" for value in values.reshape(-1)[: int(n_print)]))

    def UseSession(self) -> bool:
        """Whether the code has a Session, as it always has."""
        return True

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("Add", "Update", "SetNotWritable", "InitializeSubGraph")):
            raise UnsupportedOperationError(
                f"RModel.{name}: models are not built operator by operator here; parse an ONNX or Keras file."
            )
        raise AttributeError(f"RModel has no method '{name}'.")


def _checked(options: int) -> Options:
    found = Options(int(options))
    if int(options) < 0 or int(options) >= 2 * Options.kGNNComponent:
        raise SettingError(f"options={int(options)}: there is no such combination of SOFIE.Options.")
    if found & (Options.kGNN | Options.kGNNComponent):
        raise SettingError(
            "SOFIE.Options.kGNN: graph networks of graph_nets are not parsed; export the network to ONNX."
        )
    return found


def _events_length(proto: onnx.ModelProto) -> int | str | None:
    """Return the length of the first axis where all inputs have the same, else None."""
    lengths: set[int | str] = set()
    for value in graph_inputs(proto):
        dims = value.type.tensor_type.shape.dim
        if not dims:
            return None
        lengths.add(dims[0].dim_value if dims[0].HasField("dim_value") else dims[0].dim_param)
    return lengths.pop() if len(lengths) == 1 else None


def _print_tensors(title: str, tensors: Mapping[str, tuple[ETensorType, Shape]]) -> None:
    print(f"{title}: {len(tensors)}")
    for name, (kind, shape) in tensors.items():
        print(f"   {name}   type: {ConvertTypeToString(kind)}   shape: {ConvertShapeToString(shape)}")


def read_onnx(path: str | os.PathLike[str]) -> onnx.ModelProto:
    """Read and check an ONNX file; see :func:`hepml_root.export.cpp.reading.load` for the errors."""
    from hepml_root.export.cpp.reading import load

    return load(Path(path))


def keras_as_onnx(path: str | os.PathLike[str]) -> tuple[onnx.ModelProto, int | None]:
    """Return the network of a Keras file as ONNX, and the batch that its input has, if any.

    Raises
    ------
    SourceNotFoundError, ModelFileError
        There is no such file, or it is no Keras model.
    UnsupportedOperationError
        A layer has no counterpart in ONNX.
    """
    from hepml_root.export.onnx import emit
    from hepml_root.models.saved import load_model

    model = load_model(path)
    proto = emit(model, name=identifier(Path(path).stem))
    shapes: Sequence[Any] = [tensor.shape for tensor in model.inputs]
    batches = {shape[0] for shape in shapes}
    return proto, batches.pop() if len(batches) == 1 else None
