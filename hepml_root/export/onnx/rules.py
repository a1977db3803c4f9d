"""The registry of export rules: one rule per Keras layer class or `keras.ops` operation.

A rule is a function ``rule(graph, call, *args, **kwargs)``. It gets the arguments of the Keras call with
every symbolic tensor replaced by a :class:`~hepml_root.export.onnx.graph.Tensor`, adds nodes to ``graph``
and returns the result (a tensor, or a list of them). ``call`` holds the layer or operation with its settings
and the shapes and types Keras gives its outputs. A layer without a rule is expanded into the operations of
its ``call``; so a rule for a layer is only needed where Keras steps outside of `keras.ops` or where ONNX has
one operator for the whole layer.

Adding an operation means adding one decorated function in the module of its family:
``elementwise``, ``activations``, ``reductions``, ``shapes``, ``products``, ``normalization``,
``convolutions``, ``pooling``, ``recurrent``, ``attention``, ``composed``, ``layers``, ``random``.

Example
-------
A rule for one's own layer that computes something `keras.ops` cannot express::

    @layer_rule(MyShift)
    def my_shift(graph, call, x):
        return graph.node("Add", x, graph.constant(call.operation.shift))
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hepml_root.errors import UnsupportedOperationError

Rule = Callable[..., Any]

_FAMILIES = (
    "elementwise", "activations", "reductions", "shapes", "products", "normalization", "convolutions",
    "pooling", "recurrent", "attention", "composed", "layers", "random",
)  # fmt: skip
_OPERATIONS: dict[str | type, Rule] = {}
_LAYERS: dict[type, Rule] = {}
_PACKAGES = ("keras.src.ops.", "keras.src.activations.")


@dataclass
class Call:
    """One call in the Keras graph: who was called, and the shapes and types of what came out.

    ``shapes`` are at the batch size of the trace; ``expand`` traces a function of tensors into the graph.
    """

    operation: Any
    shapes: list[tuple[int, ...]]
    dtypes: list[str]
    expand: Callable[..., Any] = field(repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.shapes[0]

    @property
    def dtype(self) -> str:
        return self.dtypes[0]


def op_rule(*operations: str | type) -> Callable[[Rule], Rule]:
    """Register the rule of operations of `keras.ops` by the names of their classes (`Sum`), which Keras
    keeps private, or of one's own children of keras.Operation by class.
    """

    def register(rule: Rule) -> Rule:
        for operation in operations:
            _OPERATIONS[operation] = rule
        return rule

    return register


def layer_rule(*classes: type) -> Callable[[Rule], Rule]:
    """Register the rule of layer classes. It holds for children too, unless they override ``call``."""

    def register(rule: Rule) -> Rule:
        for cls in classes:
            _LAYERS[cls] = rule
        return rule

    return register


def load_families() -> None:
    """Import the modules with the rules, so that the registry is full."""
    for family in _FAMILIES:
        importlib.import_module(f"hepml_root.export.onnx.{family}")


def rule_of_layer(layer: Any) -> Rule | None:
    for cls in type(layer).__mro__:
        if cls in _LAYERS:
            same_call = type(layer).call is getattr(cls, "call", None)
            return _LAYERS[cls] if same_call else None
    return None


def rule_of_operation(operation: Any, where: str) -> Rule:
    """Return the rule of a `keras.ops` operation.

    Raises
    ------
    UnsupportedOperationError
        There is none; the message names the operation and the layer in which it is used.
    """
    kind = type(operation)
    if kind in _OPERATIONS:
        return _OPERATIONS[kind]
    if kind.__module__.startswith(_PACKAGES) and kind.__name__ in _OPERATIONS:
        return _OPERATIONS[kind.__name__]
    raise UnsupportedOperationError(
        f"{where}: the operation keras.ops '{kind.__name__}' cannot be exported to ONNX. Express it by other "
        "operations, leave it out of the exported part of the model, or register a rule for it with "
        "hepml_root.export.onnx.rules.op_rule."
    )


def covered() -> tuple[list[str], list[str]]:
    """Return the names of the operations and of the layer classes that have a rule."""
    load_families()
    operations = (key if isinstance(key, str) else key.__name__ for key in _OPERATIONS)
    return sorted(operations), sorted(cls.__name__ for cls in _LAYERS)
