"""Scores from Python, without Keras: the compiled network, or ONNX Runtime, behind one interface."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hepml_root.errors import (
    ColumnNotFoundError,
    ColumnTypeError,
    CompilerError,
    ModelFileError,
    SettingError,
    ShapeError,
    SlowerWarning,
    UnsupportedOperationError,
    unknown,
)
from hepml_root.inference.working_points import working_points_of

ENGINES = ("cpp", "onnxruntime", "auto")

# Inputs, outputs, and the seed of random operators with the number of the first event.
Network = Callable[[list[np.ndarray], list[np.ndarray], tuple[int, int]], None]


class Session:
    """A model file ready to score events.

    Arguments
    ---------
    path
        The ``.onnx`` file.
    engine
        ``"cpp"``: our compiled C++ (needs a C++ compiler the first time), ``"onnxruntime"``: ONNX Runtime,
        ``"auto"``: the first of these that works here.

    Attributes
    ----------
    manifest : dict
        What the model is: inputs, outputs, classes, origin.
    engine : str
        The engine in use.
    working_points : dict
        ``{name: WorkingPoint}``, the cuts that the file holds, as in
        ``session.working_points["tight"].passes(scores)``
        (:class:`hepml_root.inference.working_points.WorkingPoint`).

    Raises
    ------
    ModelFileError, UnsupportedOperationError, CompilerError, ParityError
        As :func:`hepml_root.compile`.
    SettingError
        There is no engine of that name.

    Example
    -------
    >>> import tempfile, onnx
    >>> from onnx import TensorProto, helper
    >>> x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])
    >>> y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])
    >>> graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
    >>> path = tempfile.mkdtemp() + "/relu.onnx"
    >>> onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    >>> Session(path).infer([[1.0, -2.0, 3.0]]).tolist()
    [[1.0, 0.0, 3.0]]
    """

    def __init__(self, path: str | os.PathLike[str], engine: str = "auto") -> None:
        if engine not in ENGINES:
            raise SettingError(unknown("engine", engine, ENGINES))
        self.path = Path(path)
        self.engine, self.manifest, self._network = _open(self.path, engine)
        self.working_points = working_points_of(self.manifest)

    def infer(
        self, inputs: Mapping[str, Any] | Any, *, seed: int = 0, first_event: int = 0
    ) -> np.ndarray | dict[str, np.ndarray]:
        """Score events.

        Arguments
        ---------
        inputs
            ``{input name: array (events, ...)}``, or for a model with one input the array itself. Numbers of
            any type become float32; masks are taken as true where not zero. Inputs of a representation are
            its tensors; :meth:`infer_columns` makes them.
        seed, first_event
            Of networks that draw random numbers: the draws of an event are a function of the seed and of its
            number, counted from ``first_event``, so that a second call continues where the first one ended,
            and that neither threads nor the sizes of calls change anything. Both from 0 to 2^64 - 1. Only of
            the engine "cpp": ONNX Runtime draws from a state of its own.

        Returns
        -------
        float32 ``(events, outputs)``; for a model with several outputs ``{output name: array}``.

        Raises
        ------
        ColumnNotFoundError
            An input is missing or unknown.
        ColumnTypeError
            An array does not hold numbers.
        ShapeError
            An array has another shape than the model's input, or the numbers of events differ.
        SettingError
            ``seed`` or ``first_event`` is out of its range.
        """
        for name, value in (("seed", seed), ("first_event", first_event)):
            if not 0 <= value < 1 << 64:
                raise SettingError(f"{name}={value}: a whole number from 0 to 2^64 - 1 is needed.")
        arrays = self._arrays(inputs)
        events = len(arrays[0])
        outputs = [np.empty((events, *entry["shape"]), np.float32) for entry in self.manifest["outputs"]]
        if events:
            self._network(arrays, outputs, (seed, first_event))
        if len(outputs) == 1:
            return outputs[0]
        return {
            entry["name"]: output for entry, output in zip(self.manifest["outputs"], outputs, strict=True)
        }

    def infer_columns(self, columns: Mapping[str, Any]) -> np.ndarray | dict[str, np.ndarray]:
        """Score events given as columns, as a file would have them.

        Jagged columns are padded, and representations are filled by the C++ that filled the training data.

        Arguments
        ---------
        columns
            ``{label or expression of an input's column: values}``: arrays ``(events,)``; for jagged columns
            awkward arrays, or lists of one array (list, RVec) per event. Of a representation these are the
            columns that it reads, such as "pt" or "constituent_pt".

        Returns
        -------
        As :meth:`infer`.

        Raises
        ------
        ColumnNotFoundError
            A column is missing.
        ColumnTypeError
            A column does not hold one number per event, or per constituent.
        ShapeError
            Columns differ in their numbers of events or of constituents.
        NonFiniteInputError
            A value that a representation needs is NaN or infinite.
        ModelFileError
            The file does not say which columns the model takes.
        """
        from hepml_root.inference.columns import arrays_of

        return self.infer(arrays_of(self.manifest, columns))

    def _arrays(self, inputs: Mapping[str, Any] | Any) -> list[np.ndarray]:
        """Return the inputs in the manifest's order, as the engines take them."""
        entries = self.manifest["inputs"]
        names = [entry["name"] for entry in entries]
        if not isinstance(inputs, Mapping):
            if len(entries) != 1:
                raise ShapeError(
                    f"the model has {len(entries)} inputs: give a dictionary with {', '.join(names)}."
                )
            inputs = {names[0]: inputs}
        for name in inputs:
            if name not in names:
                raise ColumnNotFoundError(unknown("input", str(name), names))
        arrays = []
        for entry in entries:
            if entry["name"] not in inputs:
                raise ColumnNotFoundError(
                    f"input '{entry['name']}' is missing; given: {', '.join(map(str, inputs))}."
                )
            arrays.append(_array(inputs[entry["name"]], entry["name"], tuple(entry["shape"])))
        lengths = {name: len(array) for name, array in zip(names, arrays, strict=True)}
        if len(set(lengths.values())) > 1:
            raise ShapeError(f"the inputs have different numbers of events: {lengths}.")
        return arrays


def _array(given: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.asarray(given)
    except ValueError as error:  # rows of different lengths
        raise ShapeError(f"input '{name}' is no rectangular array: {error}.") from error
    if array.dtype.kind not in "fiub":
        raise ColumnTypeError(f"input '{name}' is of type {array.dtype}; numbers are needed.")
    if array.ndim != len(shape) + 1 or array.shape[1:] != shape:
        wanted = ", ".join(["events", *map(str, shape)])
        raise ShapeError(f"input '{name}' has shape {array.shape}; ({wanted}) is needed.")
    return np.ascontiguousarray(array, dtype=np.float32)


def _open(path: Path, engine: str) -> tuple[str, dict[str, Any], Network]:
    if engine in ("cpp", "auto"):
        try:
            return ("cpp", *_open_cpp(path))
        except (CompilerError, UnsupportedOperationError) as error:
            if engine == "cpp":
                raise
            warnings.warn(
                f"ONNX Runtime takes the place of compiled C++, which is faster: {error}",
                SlowerWarning,
                stacklevel=3,
            )
    return ("onnxruntime", *_open_onnxruntime(path))


def _open_cpp(path: Path) -> tuple[dict[str, Any], Network]:
    from hepml_root.inference.compile import compile
    from hepml_root.inference.interface import call

    compiled = compile(path)
    function = compiled.seeded_function()
    return compiled.manifest, lambda inputs, outputs, seeds: call(function, inputs, outputs, seeds)


def _open_onnxruntime(path: Path) -> tuple[dict[str, Any], Network]:
    import onnxruntime

    from hepml_root.export import manifest as manifests
    from hepml_root.export.parity import numpy_type

    model = manifests.load_onnx(path)
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no public base
        raise ModelFileError(f"ONNX Runtime does not take '{path}': {error}") from error
    if any(entry.key == manifests.KEY for entry in model.metadata_props):
        manifest = manifests.manifest_in(model)
    else:
        manifest = {
            part: [{"name": entry.name, "shape": _shape(path, entry)} for entry in entries]
            for part, entries in (("inputs", session.get_inputs()), ("outputs", session.get_outputs()))
        }
    types = {entry.name: numpy_type(entry.type) for entry in session.get_inputs()}
    names, wanted = ([entry["name"] for entry in manifest[part]] for part in ("inputs", "outputs"))

    def run(inputs: list[np.ndarray], outputs: list[np.ndarray], seeds: tuple[int, int]) -> None:  # noqa: ARG001
        fed = {name: array.astype(types[name], copy=False) for name, array in zip(names, inputs, strict=True)}
        try:
            results = session.run(wanted, fed)
        except Exception as error:
            raise ModelFileError(
                f"ONNX Runtime cannot run '{path}' on {len(inputs[0])} events: {error}"
            ) from error
        for output, result in zip(outputs, results, strict=True):
            output[...] = np.reshape(result, output.shape)

    return manifest, run


def _shape(path: Path, entry: Any) -> list[int]:
    """Return the shape of one event of ONNX Runtime's input or output."""
    free = [axis for axis, length in enumerate(entry.shape) if axis and not isinstance(length, int)]
    if not entry.type.startswith("tensor(") or entry.type == "tensor(string)":
        raise ModelFileError(f"'{entry.name}' of '{path}' is {entry.type}, no array of numbers.")
    if free or not entry.shape:
        raise ModelFileError(
            f"'{entry.name}' of '{path}' has the shape {entry.shape}: the batch must be its first axis, and "
            "the others must have fixed lengths. onnx.shape_inference finds those that follow from others."
        )
    return list(entry.shape[1:])
