"""Keras → ONNX: walks the model's operation graph and emits one clean ONNX graph.

The model is called once on symbolic tensors. What comes out knows every layer and every `keras.ops`
operation that made it; the walk emits them in order, each by its rule (:mod:`hepml_root.export.onnx.rules`).
A layer without a rule is called on symbolic tensors in turn, in inference mode, and so expanded into
operations; models inside models, Sequential models and models written as classes are just that case.
Nothing here depends on the Keras backend.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import onnx
from keras import tree

from hepml_root.errors import HepmlError, ShapeError, UnsupportedOperationError
from hepml_root.export.onnx.graph import Graph, Tensor
from hepml_root.export.onnx.random import recorded
from hepml_root.export.onnx.rules import Call, Rule, load_families, rule_of_layer, rule_of_operation
from hepml_root.export.onnx.simplify import simplify
from hepml_root.export.onnx.tracing import arguments_of, followed, traceable_activations, undisturbed

# The batch size of the trace: a prime that is no divisor of any other dimension of the model.
_PRIMES = (7919, 7927, 7933, 7937, 7949, 7951)
_TYPES = ("float32", "int32", "int64", "bool", "int8", "uint8")


def input_names(model: keras.Model) -> list[str]:
    """Return a model's input names: the keys of its input dict, or the names of its keras.Input tensors."""
    structure = getattr(model, "_inputs_struct", None)
    # Keras flattens dictionaries in an order of its own, so names are found by the tensors themselves.
    keys = {id(tensor): key for key, tensor in structure.items()} if isinstance(structure, Mapping) else {}
    return [str(keys.get(id(tensor), tensor.name)) for tensor in _symbolic_inputs(model)]


def emit(
    model: keras.Model,
    *,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    name: str = "",
    prefix_masks: Collection[str] = (),
) -> onnx.ModelProto:
    """Return ``model`` as an ONNX graph without metadata.

    Inputs and outputs are float32 whatever the Keras inputs are (a mask is 0 or 1, an integer input is
    rounded towards zero), with a free first axis called ``events``.

    Parameters
    ----------
    model : keras.Model
        Functional, Sequential, or a model class that is built.
    inputs : list of str, optional
        The order of the inputs; by default the model's own.
    outputs : list of str, optional
        Names of the outputs; by default ``score`` for one output, else the model's own names.
    name : str, optional
        Name of the graph; by default the model's.
    prefix_masks : collection of str, optional
        Inputs ``(events, constituents)`` that hold ones and then zeros in every event, as masks of padded
        constituents do. Recurrent layers then run over that many constituents, without looking for holes;
        on an event with a hole the graph would compute something else.

    Raises
    ------
    UnsupportedOperationError
        A layer or an operation has no counterpart; the message names it and says what to do.
    ShapeError
        Input or output names do not fit the model.

    Example
    -------
    >>> import keras
    >>> x = keras.Input((3,), name="features")
    >>> graph = emit(keras.Model(x, keras.layers.Dense(2, activation="relu")(x))).graph
    >>> [node.op_type for node in graph.node]
    ['Gemm', 'Relu']
    """
    load_families()
    symbolic = _symbolic_inputs(model)
    own_names = input_names(model)
    order = list(own_names if inputs is None else inputs)
    if sorted(order) != sorted(own_names):
        raise ShapeError(f"the model has the inputs {sorted(own_names)}, but {sorted(order)} were asked for.")
    by_name = dict(zip(own_names, symbolic, strict=True))
    graph = Graph(_tracing_batch(model, symbolic))
    graph.prefix_masks = frozenset(prefix_masks)
    arguments: dict[str, Tensor] = {}
    for key in order:
        shape, dtype = by_name[key].shape, keras.backend.standardize_dtype(by_name[key].dtype)
        if None in shape[1:]:
            raise UnsupportedOperationError(
                f"input '{key}' has the shape {tuple(shape)}: only the first axis, the events, may be free. "
                "Give the others a fixed length (for particles: a maximum length, padded, and a mask)."
            )
        _require_known_type(f"input '{key}'", dtype)
        arguments[key] = graph.cast(graph.add_input(key, (graph.batch, *shape[1:])), dtype)
    emitter = _Emitter(graph)
    with undisturbed(model), followed(), recorded():
        results = emitter.expand(
            lambda *values: model.call(_packed(model, dict(zip(order, values, strict=True))), training=False),
            *arguments.values(),
            label=f"model '{model.name}'",
        )
    _set_outputs(graph, model, results, outputs)
    simplify(graph)
    proto = graph.to_model(name or model.name)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _symbolic_inputs(model: keras.Model) -> list[Any]:
    inputs = getattr(model, "inputs", None)
    if not inputs:
        raise UnsupportedOperationError(
            f"the model '{model.name}' does not say what its inputs are. Build it from keras.Input tensors "
            "(keras.Model(inputs, outputs)); a model class can be wrapped: keras.Model(x, my_model(x))."
        )
    return list(inputs)


def _packed(model: keras.Model, values: dict[str, Any]) -> Any:
    """Give the inputs the structure that the model's ``call`` takes."""
    structure = getattr(model, "_inputs_struct", None)
    if isinstance(structure, Mapping):
        return values
    ordered = [values[name] for name in input_names(model)]
    return ordered[0] if len(ordered) == 1 and not isinstance(structure, (list, tuple)) else ordered


def _tracing_batch(model: keras.Model, inputs: Sequence[Any]) -> int:
    sizes = {size for tensor in inputs for size in tensor.shape if size}
    sizes.update(size for weight in model.weights for size in weight.shape)
    for prime in _PRIMES:
        if not any(size % prime == 0 for size in sizes if size):
            return prime
    raise UnsupportedOperationError(
        f"the model '{model.name}' has dimensions that are multiples of all of {_PRIMES}."
    )


def _require_known_type(what: str, dtype: str) -> None:
    if dtype not in _TYPES:
        raise UnsupportedOperationError(
            f"{what} computes in {dtype}. Exported networks compute in float32: build the model with "
            "keras.config.set_dtype_policy('float32'), and make NumPy arrays in own layers float32."
        )


def named_outputs(model: keras.Model, results: Any) -> dict[str, Any]:
    """Return what a model's call gave as ``{name: value}``.

    The names are the keys of its output dict; "score" for a single output; else those of its last layers.
    """
    if isinstance(results, Mapping):
        return {str(name): results[name] for name in sorted(results)}
    values = tree.flatten(results)
    if len(values) == 1:
        return {"score": values[0]}
    taken = set(input_names(model))
    named: dict[str, Any] = {}
    for name, value in zip(model.output_names, values, strict=True):
        while name in taken:
            name += "_output"
        taken.add(name)
        named[name] = value
    return named


def _set_outputs(graph: Graph, model: keras.Model, results: Any, names: Sequence[str] | None) -> None:
    values = named_outputs(model, results)
    names = list(names or values)
    if len(names) != len(values):
        raise ShapeError(f"the model has {len(values)} outputs, but the names {names} were asked for.")
    for name, value in zip(names, values.values(), strict=True):
        tensor = graph.cast(graph.tensor(value), "float32")
        if [axis for axis in range(tensor.rank) if graph.has_events(tensor, axis)] != [0] or (
            tensor.shape[0] != graph.batch
        ):
            shape = tuple("events" if size == graph.batch else size for size in tensor.shape)
            raise UnsupportedOperationError(
                f"output '{name}' has the shape {shape}: it must have one row for each event."
            )
        producer = next((node for node in graph.nodes if tensor in node.outputs), None)
        if producer is None or tensor in graph.outputs:
            tensor = graph.node("Identity", tensor)
        if any(name == other.name for other in (*graph.inputs, *graph.outputs)):
            raise ShapeError(f"the name '{name}' is used twice among the inputs and outputs.")
        tensor.name = name
        graph.outputs.append(tensor)


class _Emitter:
    """Emits what hangs on symbolic outputs into one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def expand(self, function: Any, *args: Any, label: str = "") -> Any:
        """Call ``function`` on symbolic stand-ins of the tensors in ``args`` and emit what it does."""
        known: dict[int, Tensor] = {}
        alive = []  # the dictionary goes by identity, so the stand-ins have to live as long as it

        def stand_in(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            symbol = keras.KerasTensor(value.traced or value.shape, dtype=value.dtype)
            if value.mask is not None:
                symbol._keras_mask = stand_in(value.mask)
            known[id(symbol)] = value
            alive.append(symbol)
            return symbol

        symbols = tree.map_structure(stand_in, args)
        try:
            results = function(*symbols)
        except HepmlError:
            raise
        except Exception as error:
            what = label or self.graph.where()
            message = (str(error).strip().splitlines() or [""])[0][:160]
            raise UnsupportedOperationError(
                f"{what} has no export rule, and its call cannot be traced on symbolic tensors "
                f"({type(error).__name__}: {message}). Write it with keras.ops only "
                "and without Python decisions on tensor values, or register a rule with "
                "hepml_root.export.onnx.rules.layer_rule."
            ) from error
        return tree.map_structure(lambda result: self._resolve(result, known, alive), results)

    def _resolve(self, result: Any, known: dict[int, Tensor], alive: list[Any]) -> Any:
        if result is None:
            return None
        if not isinstance(result, keras.KerasTensor):
            return self.graph.tensor(result)
        stack = [result]
        while stack:
            symbol = stack[-1]
            if id(symbol) in known:
                stack.pop()
                continue
            operation, index, _ = getattr(symbol, "_keras_history", (None, 0, 0))
            if operation is None:
                raise UnsupportedOperationError(
                    f"{self.graph.where()}: a symbolic tensor of shape {symbol.shape} comes from outside of "
                    "the call."
                )
            node = operation._inbound_nodes[index]
            args, kwargs = arguments_of(node)
            parents = [x for x in tree.flatten((args, kwargs)) if isinstance(x, keras.KerasTensor)]
            masks = [
                mask
                for x in parents
                if isinstance(mask := getattr(x, "_keras_mask", None), keras.KerasTensor)
            ]
            waiting = [x for x in (*parents, *masks) if id(x) not in known]
            if waiting:
                stack += waiting
                continue
            for parent in parents:
                mask = getattr(parent, "_keras_mask", None)
                if isinstance(mask, keras.KerasTensor):
                    known[id(parent)].mask = known[id(mask)]
                else:
                    known[id(parent)].mask = None if mask is None else self.graph.tensor(mask)

            def fill(x: Any) -> Any:
                return known[id(x)] if isinstance(x, keras.KerasTensor) else x

            args, kwargs = tree.map_structure(fill, (args, kwargs))
            outputs = self._emit(operation, args, kwargs, node.outputs)
            for output, tensor in zip(node.outputs, outputs, strict=True):
                known[id(output)] = tensor
                alive.append(output)
        return known[id(result)]

    def _emit(self, operation: Any, args: Any, kwargs: dict[str, Any], specs: Sequence[Any]) -> list[Tensor]:
        call = Call(
            operation,
            [tuple(spec.shape) for spec in specs],
            [keras.backend.standardize_dtype(spec.dtype) for spec in specs],
            self.expand,
        )
        if isinstance(operation, keras.layers.Layer):
            with self._inside(operation.name):
                results = self._emit_layer(operation, call, args, kwargs)
        else:
            what = f"{self.graph.where()}: the operation keras.ops '{type(operation).__name__}'"
            for dtype in call.dtypes:
                _require_known_type(what, dtype)
            rule = rule_of_operation(operation, self.graph.where())
            results = self._apply(rule, call, what, args, kwargs)
        tensors = [self.graph.tensor(result) for result in tree.flatten(results)]
        if len(tensors) != len(specs):
            raise UnsupportedOperationError(
                f"{self.graph.where()}: '{type(operation).__name__}' gave {len(tensors)} tensors instead of "
                f"{len(specs)}."
            )
        tensors = [self.graph.cast(t, d) for t, d in zip(tensors, call.dtypes, strict=True)]
        return [
            replace(t, traced=shape) if t.value is not None and None not in shape else t
            for t, shape in zip(tensors, call.shapes, strict=True)
        ]

    def _emit_layer(self, layer: Any, call: Call, args: Any, kwargs: dict[str, Any]) -> Any:
        what = f"layer '{'/'.join(self.graph.scope)}' ({type(layer).__name__})"
        for dtype in (layer.compute_dtype, *call.dtypes):
            _require_known_type(what, keras.backend.standardize_dtype(dtype))
        if getattr(layer, "quantization_mode", None) is not None:
            raise UnsupportedOperationError(f"{what} is quantized; export the model before quantizing it.")
        if kwargs.pop("training", None) is True:
            raise UnsupportedOperationError(
                f"{what} is called with training=True, so its result is random or changes its state. "
                "An exported network is deterministic: leave training out."
            )
        rule = rule_of_layer(layer)
        if rule is not None:
            kwargs = {key: value for key, value in kwargs.items() if value is not None}
            return self._apply(rule, call, what, args, kwargs)
        if "training" in inspect.signature(layer.call).parameters:
            kwargs["training"] = False
        with traceable_activations(layer):
            return self.expand(lambda a, k: layer.call(*a, **k), args, kwargs, label=what)

    def _apply(self, rule: Rule, call: Call, what: str, args: Any, kwargs: Any) -> Any:
        try:
            return rule(self.graph, call, *args, **kwargs)
        except (TypeError, ValueError, IndexError, KeyError) as error:
            if isinstance(error, HepmlError):
                raise
            raise UnsupportedOperationError(
                f"{what} cannot be exported with these arguments ({type(error).__name__}: {error})."
            ) from error

    @contextlib.contextmanager
    def _inside(self, name: str) -> Iterator[None]:
        self.graph.scope.append(name)
        try:
            yield
        finally:
            self.graph.scope.pop()


def predict(model: keras.Model, blocks: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Evaluate a Keras model in inference mode on ``{input: array}``; one float32 array per output."""
    values = {}
    for name, tensor in zip(input_names(model), _symbolic_inputs(model), strict=True):
        values[name] = keras.ops.cast(keras.ops.convert_to_tensor(blocks[name]), tensor.dtype)
    results = model(_packed(model, values), training=False)
    outputs = named_outputs(model, results).values()
    return [np.asarray(keras.ops.convert_to_numpy(value), dtype=np.float32) for value in outputs]
