"""The ONNX graph under construction: tensors, nodes, constants, names.

The emitter traces a model at one concrete batch size, a prime number that no other dimension is a
multiple of. Every shape is then a plain tuple of integers while the graph is built, and a dimension that
is a multiple of that prime is the free dimension of the events (or a merged one, such as events ×
constituents). Nothing has to compute shapes at run time, so the graph holds no shape arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from hepml_root.errors import UnsupportedOperationError

OPSET = 20  # the first with Gelu as one operator; known to ONNX Runtime from 1.17 on
IR_VERSION = 9  # the file format version that belongs to this opset: older readers accept it
BATCH_DIMENSION = "events"

_ELEMENT_TYPES = {
    "float32": onnx.TensorProto.FLOAT,
    "int32": onnx.TensorProto.INT32,
    "int64": onnx.TensorProto.INT64,
    "bool": onnx.TensorProto.BOOL,
    "int8": onnx.TensorProto.INT8,
    "uint8": onnx.TensorProto.UINT8,
}


@dataclass(eq=False)
class Tensor:
    """A value in the graph: its name, its shape at the tracing batch size, its type, and its value if
    constant.

    ``mask`` is the Keras mask that travels with the value, if there is one; ``traced`` the shape that Keras
    gives a constant which is stored with one row for all events.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    value: np.ndarray | None = None
    mask: Tensor | None = None
    traced: tuple[int, ...] | None = None

    @property
    def rank(self) -> int:
        return len(self.shape)


@dataclass(eq=False)
class Node:
    """One ONNX operator with the tensors it reads and writes."""

    op: str
    inputs: list[Tensor | None]
    outputs: list[Tensor]
    attributes: dict[str, Any] = field(default_factory=dict)
    label: str = ""


class Graph:
    """Collects nodes in the order in which they can be computed.

    Parameters
    ----------
    batch : int
        The batch size of the trace; dimensions that are multiples of it are free in the file.

    Attributes
    ----------
    prefix_masks : frozenset of str
        Inputs that are known to be masks of ones and then zeros along their second axis.
    """

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.nodes: list[Node] = []
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.scope: list[str] = []
        self.prefix_masks: frozenset[str] = frozenset()
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Tensor] = {}
        self._names: set[str] = set()

    # -- names and sizes --------------------------------------------------------------------------------

    def unique(self, stem: str) -> str:
        name, number = stem, 1
        while name in self._names:
            number += 1
            name = f"{stem}_{number}"
        self._names.add(name)
        return name

    def is_free(self, size: int) -> bool:
        """Whether a dimension of this size is the batch dimension or a multiple of it."""
        return size > 0 and size % self.batch == 0

    def has_events(self, tensor: Tensor, axis: int) -> bool:
        return bool(tensor.shape) and self.is_free(tensor.shape[axis])

    def refuse_events(self, tensor: Tensor, axis: int, what: str) -> None:
        """Raise UnsupportedOperationError if ``axis`` is that of the events."""
        if self.has_events(tensor, axis):
            raise UnsupportedOperationError(
                f"{self.where()}: {what} along the axis of the events would mix them: the result of one "
                "event would depend on the others in its batch. Name the axes to work on (axis=1, axis=-1)."
            )

    def static_shape(self, shape: Sequence[int]) -> list[int]:
        """The target of a Reshape: the free dimension becomes -1."""
        target = [-1 if self.is_free(size) else int(size) for size in shape]
        if target.count(-1) > 1:
            raise UnsupportedOperationError(
                f"{self.where()}: a reshape to {len(target)} axes of which {target.count(-1)} depend on the "
                "number "
                "of events cannot be exported. Keep the events on one axis."
            )
        return target

    def where(self) -> str:
        """Say for messages which layer is being exported."""
        return f"layer '{'/'.join(self.scope)}'" if self.scope else "the model's own operations"

    # -- building -----------------------------------------------------------------------------------------

    def add_input(self, name: str, shape: Sequence[int]) -> Tensor:
        self._names.add(name)
        tensor = Tensor(name, tuple(shape), "float32")
        self.inputs.append(tensor)
        return tensor

    def constant(self, value: Any, dtype: str | None = None) -> Tensor:
        """Return a constant, stored once; along the events it must repeat, and has one row."""
        array = np.asarray(value)
        if dtype is None:
            dtype = {"float64": "float32", "int64": "int32"}.get(str(array.dtype), str(array.dtype))
        if dtype not in _ELEMENT_TYPES:
            raise UnsupportedOperationError(
                f"{self.where()}: a constant of type {dtype} cannot be exported. Exported networks compute "
                "in float32."
            )
        array = np.asarray(
            array, dtype=dtype
        )  # not ascontiguousarray, which would turn a scalar into an array
        for axis, size in enumerate(array.shape):
            if self.is_free(size):
                first = array.take([0], axis=axis)
                if not np.array_equal(
                    np.broadcast_to(first, array.shape), array, equal_nan=array.dtype.kind == "f"
                ):
                    raise UnsupportedOperationError(
                        f"{self.where()}: a constant with a different value for every event of the batch "
                        "cannot be "
                        "exported. Values must depend on the inputs, not on the position in the batch."
                    )
                array = first
        key = (dtype, array.shape, array.tobytes())
        if key not in self._constants:
            name = self.unique("/".join([*self.scope, "constant"]))
            self._constants[key] = Tensor(name, array.shape, dtype, array)
        return self._constants[key]

    def tensor(self, value: Any, dtype: str | None = None) -> Tensor:
        """Return a tensor of the graph, Keras variable, array or number as a tensor of type ``dtype``."""
        if not isinstance(value, Tensor):
            if not isinstance(value, (np.ndarray, np.generic, int, float, bool, list, tuple)):
                value = _to_numpy(value)
            return self.constant(value, dtype)
        return value if dtype is None else self.cast(value, dtype)

    def node(
        self,
        op: str,
        *inputs: Tensor | None,
        shape: Sequence[int] | None = None,
        dtype: str | None = None,
        **attributes: Any,
    ) -> Tensor:
        """Add a node with one output. Shape and type default to those of element-wise operators."""
        return self.nodes_with(op, *inputs, shapes=[shape], dtypes=[dtype], **attributes)[0]

    def nodes_with(
        self,
        op: str,
        *inputs: Tensor | None,
        shapes: Sequence[Sequence[int] | None],
        dtypes: Sequence[str | None],
        **attributes: Any,
    ) -> list[Tensor]:
        """Add a node with several outputs; what depends on constants only is computed at once."""
        present = [tensor for tensor in inputs if tensor is not None]
        if present and all(tensor.value is not None for tensor in present):
            values = _computed(op, inputs, attributes, len(shapes))
            return [self.constant(value, str(value.dtype)) for value in values]
        broadcast = np.broadcast_shapes(*(tensor.shape for tensor in present)) if None in shapes else ()
        label = self.unique("/".join([*self.scope, op]))
        outputs = [
            Tensor(
                self.unique(f"{label}:{index}" if len(shapes) > 1 else f"{label}:out"),
                tuple(int(size) for size in (broadcast if shape is None else shape)),
                present[0].dtype if kind is None else kind,
            )
            for index, (shape, kind) in enumerate(zip(shapes, dtypes, strict=True))
        ]
        self.nodes.append(Node(op, list(inputs), outputs, attributes, label))
        return outputs

    def cast(self, tensor: Tensor, dtype: str) -> Tensor:
        """Return ``tensor`` as ``dtype``; nothing is added if it has that type already."""
        if tensor.dtype == dtype:
            return tensor
        if dtype not in _ELEMENT_TYPES:
            raise UnsupportedOperationError(
                f"{self.where()}: values of type {dtype} cannot be exported; exported networks compute in "
                "float32. "
                "Build the model with the dtype policy 'float32'."
            )
        if tensor.value is not None:
            return self.constant(tensor.value.astype(dtype), dtype)
        return self.node("Cast", tensor, dtype=dtype, to=_ELEMENT_TYPES[dtype])

    def reshape(self, tensor: Tensor, shape: Sequence[int]) -> Tensor:
        if tuple(shape) == tensor.shape:
            return tensor
        if tensor.value is not None:  # a constant has one row for all events
            return self.constant(
                tensor.value.reshape([1 if self.is_free(s) else s for s in shape]), tensor.dtype
            )
        return self.node("Reshape", tensor, self.constant(self.static_shape(shape), "int64"), shape=shape)

    def transpose(self, tensor: Tensor, axes: Sequence[int]) -> Tensor:
        axes = [int(axis) % tensor.rank for axis in axes]
        if axes == list(range(tensor.rank)):
            return tensor
        if tensor.value is not None:
            return self.constant(tensor.value.transpose(axes), tensor.dtype)
        return self.node("Transpose", tensor, shape=[tensor.shape[axis] for axis in axes], perm=axes)

    def slice(self, tensor: Tensor, axis: int, start: int, stop: int, step: int = 1) -> Tensor:
        """Take ``start:stop:step`` of one axis (already normalised, as :meth:`slice.indices` gives them)."""
        size = len(range(start, stop, step))
        if size == tensor.shape[axis] and step == 1:
            return tensor
        if stop < 0:  # "up to and with the first element, backwards" has no other spelling
            stop = -(2**31)
        ends = [self.constant([number], "int64") for number in (start, stop, axis, step)]
        shape = [*tensor.shape[:axis], size, *tensor.shape[axis + 1 :]]
        return self.node("Slice", tensor, *ends, shape=shape)

    # -- the file -------------------------------------------------------------------------------------------

    def to_model(self, name: str) -> onnx.ModelProto:
        """Write the graph down as an ONNX model."""
        used: dict[str, Tensor] = {}
        protos = []
        read = {id(tensor) for node in self.nodes for tensor in node.inputs}
        read.update(id(tensor) for tensor in self.outputs)
        for node in self.nodes:
            for tensor in node.inputs:
                if tensor is not None and tensor.value is not None:
                    used.setdefault(tensor.name, tensor)
            proto = onnx.helper.make_node(
                node.op,
                ["" if tensor is None else tensor.name for tensor in node.inputs],
                _output_names(node, read),
                name=node.label,
                **node.attributes,
            )
            protos.append(proto)
        weights = [onnx.numpy_helper.from_array(np.asarray(t.value), t.name) for t in used.values()]
        graph = onnx.helper.make_graph(
            protos,
            name,
            [self._describe(tensor) for tensor in self.inputs],
            [self._describe(tensor) for tensor in self.outputs],
            weights,
        )
        from hepml_root import __version__

        return onnx.helper.make_model(
            graph,
            opset_imports=[onnx.helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="hepml_root",
            producer_version=__version__,
        )

    def _describe(self, tensor: Tensor) -> onnx.ValueInfoProto:
        shape = [BATCH_DIMENSION if self.is_free(size) else size for size in tensor.shape]
        return onnx.helper.make_tensor_value_info(tensor.name, _ELEMENT_TYPES[tensor.dtype], shape)


def _output_names(node: Node, read: set[int]) -> list[str]:
    """Names of a node's outputs; recurrent operators need not compute those that nothing reads."""
    names = [
        "" if node.op in ("LSTM", "GRU", "RNN") and id(tensor) not in read else tensor.name
        for tensor in node.outputs
    ]
    while not names[-1]:
        names.pop()
    return names


def _computed(
    op: str, inputs: Sequence[Tensor | None], attributes: dict[str, Any], outputs: int
) -> list[np.ndarray]:
    """The results of one operator on constants, by ONNX's reference implementation."""
    from onnx.reference import ReferenceEvaluator

    feed = {f"x{n}": np.asarray(t.value) for n, t in enumerate(inputs) if t is not None}
    names = ["" if tensor is None else f"x{n}" for n, tensor in enumerate(inputs)]
    results = [f"y{number}" for number in range(outputs)]
    body = onnx.helper.make_graph(
        [onnx.helper.make_node(op, names, results, **attributes)],
        "constants",
        [
            onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for name, v in feed.items()
        ],
        [onnx.helper.make_empty_tensor_value_info(name) for name in results],
    )
    model = onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", OPSET)])
    return [np.asarray(value) for value in ReferenceEvaluator(model).run(None, feed)]


def _to_numpy(value: Any) -> np.ndarray:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(value))
