"""ONNX's own node tests, and the forms in which each is given to the generator.

A test is a model of one node (or of the body of a function, "expanded"), inputs and the outputs expected. The
generated code takes rows of floats, so that the inputs of a static model are one row each. An operator may
need that some of its inputs are known when the code is generated, such as the shape of a Reshape: a test
that is refused with all inputs variable is tried with some of them constant.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import onnx
from onnx import numpy_helper

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.cpp import CppSource, generate
from hepml_root.export.cpp.reading import OLDEST_OPSET

RANDOM = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}
# Operators whose result is known when the code is generated, as they are used: of shapes and numbers only.
MAKERS = {
    *("BlackmanWindow", "Constant", "ConstantOfShape", "EyeLike", "HammingWindow", "HannWindow"),
    *("MelWeightMatrix", "Range"),
}


@dataclass
class Case:
    """One of ONNX's tests."""

    name: str
    operator: str
    model: onnx.ModelProto
    inputs: list[object]
    outputs: list[object]


@dataclass
class Form:
    """A test as it is computed: generated code, a row of floats per input and event, and what must come out.

    ``label`` says which inputs vary ("all", "first", "floats", "none") and whether axis 0 is the batch.
    """

    case: Case
    label: str
    source: CppSource
    rows: list[np.ndarray]
    expected: list[np.ndarray]
    kinds: list[str] = field(default_factory=list)


@dataclass
class Generated:
    """The forms of a test that the generator takes, and why it refused the others."""

    case: Case
    forms: list[Form]
    refusals: dict[str, str] = field(default_factory=dict)


@cache
def all_cases() -> tuple[Case, ...]:
    """Return every node test, with the same inputs in every process."""
    from onnx.backend.test.loader import load_node_model_tests

    np.random.seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        loaded = load_node_model_tests()
    operators: dict[str, str] = {}
    cases = []
    for test in loaded:
        # The body of a function follows the test that it belongs to, and counts for that operator.
        name = test.name.split("_expanded")[0]
        operator = operators.setdefault(name, test.model.graph.node[0].op_type)
        inputs, outputs = ([_array(value) for value in values] for values in test.data_sets[0])
        model = _raised(test.model)
        if operator not in ("BitCast", "Cast", "CastLike"):
            inputs, outputs = ([_single(value) for value in values] for values in (inputs, outputs))
            _declare_single(model)
        cases.append(Case(test.name, operator, model, inputs, outputs))
    return tuple(cases)


def _array(value: object) -> object:
    """Return a tensor as a numpy array; sequences and optional values stay what they are."""
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.generic) else value


def _single(value: object) -> object:
    """Return numbers of double precision in single: some operators are tested in double only."""
    is_double = isinstance(value, np.ndarray) and value.dtype == np.float64
    return value.astype(np.float32) if is_double else value  # type: ignore[attr-defined]


def _declare_single(model: onnx.ModelProto) -> None:
    for value in [*model.graph.input, *model.graph.output]:
        if value.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE:
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    for attribute in (attribute for node in model.graph.node for attribute in node.attribute):
        if attribute.HasField("t") and attribute.t.data_type == onnx.TensorProto.DOUBLE:
            array = numpy_helper.to_array(attribute.t).astype(np.float32)
            attribute.t.CopyFrom(numpy_helper.from_array(array, attribute.t.name))


# Operators that meant something else before a version.
CHANGED = {"Loop": 13, "Scan": 9}


def _raised(model: onnx.ModelProto) -> onnx.ModelProto:
    """Raise the opset to the oldest that is taken, where the operator still means the same."""
    for entry in model.opset_import:
        if entry.domain not in ("", "ai.onnx") or entry.version >= OLDEST_OPSET:
            continue
        operators = [node.op_type for node in model.graph.node]
        if not any(
            onnx.defs.get_schema(operator, OLDEST_OPSET).deprecated
            or entry.version < CHANGED.get(operator, 0)
            for operator in operators
        ):
            entry.version = OLDEST_OPSET
    return model


def forms(case: Case, name: str) -> Generated:
    """Generate the code of a test in every form that the generator takes."""
    found = Generated(case, [])
    if not all(isinstance(value, np.ndarray) for value in case.inputs + case.outputs):
        found.refusals["all"] = "an input or output is no plain tensor"
        return found
    given = [value for value in case.inputs if isinstance(value, np.ndarray)]
    if case.operator in RANDOM:
        found.refusals["all"] = "random numbers, which no other generator gives"
        return found
    if not all(_exact(value) for value in case.inputs + case.outputs):
        found.refusals["all"] = "integers that float32 does not hold"
        return found
    integers = frozenset(i for i, value in enumerate(given) if value.dtype.kind in "iub")
    others = frozenset(range(1, len(given)))
    choices = {"all": frozenset[int](), "first": others, "floats": integers}
    tried: set[tuple[frozenset[int], bool]] = set()
    for batched in (False, True):
        for varying, constants in choices.items():
            # With constants what is refused with all inputs variable, and the parameters of a batch.
            done = any(form.label.startswith("all") for form in found.forms)
            if (constants, batched) in tried or (done and (varying == "floats" or not batched)):
                continue
            tried.add((constants, batched))
            label = f"{varying}{', batched' if batched else ''}"
            _add(found, label, _model(case, given, constants, batched), f"{name}_{len(tried)}", batched)
    if not found.forms and (case.operator in MAKERS or not all(array.size for array in given)):
        every = frozenset(range(len(given)))
        _add(found, "none", _model(case, given, every, False, dummy=True), f"{name}_none", False)
    return found


def _exact(value: object) -> bool:
    """Whether an array, if it is of integers, is the same as an array of floats."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu":
        return True
    return bool((value.astype(np.float32).astype(np.float64) == value.astype(np.longdouble)).all())


def _add(found: Generated, label: str, model: onnx.ModelProto | None, name: str, batched: bool) -> None:
    if model is None:
        return
    try:
        source = generate(model, name, batched=batched)
    except UnsupportedOperationError as error:
        found.refusals[label] = str(error)
        return
    given = {
        value.name: array
        for value, array in zip(found.case.model.graph.input, found.case.inputs, strict=True)
    }
    rows = []
    for entry in source.manifest["inputs"]:
        array = np.asarray(given.get(entry["name"], np.zeros(1)), dtype=np.float32)
        rows.append(array.reshape(len(array) if batched else 1, -1))
    events = len(rows[0])
    expected = [np.asarray(value) for value in found.case.outputs]
    names = [value.name for value in found.case.model.graph.output]
    order = [names.index(entry["name"]) for entry in source.manifest["outputs"]]
    outputs = []
    for index in order:
        array = expected[index]
        if batched and (array.ndim == 0 or len(array) != events):
            array = np.full((events, 1), np.nan)  # it should have been refused
        outputs.append(array.reshape(events, -1))
    found.forms.append(
        Form(found.case, label, source, rows, outputs, [array.dtype.kind for array in outputs])
    )


def _model(
    case: Case, given: list[np.ndarray], constants: frozenset[int], batched: bool, dummy: bool = False
) -> onnx.ModelProto | None:
    """Return the test's model with some inputs made constant and axis 0 of the others made the batch."""
    varying = [i for i in range(len(given)) if i not in constants]
    if not varying and not dummy:
        return None
    if batched and len({given[i].shape[:1] for i in varying}) != 1:
        return None
    if batched and (given[varying[0]].ndim == 0 or given[varying[0]].size == 0):
        return None
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    graph = model.graph
    inputs = list(graph.input)
    del graph.input[:]
    for i, (value, array) in enumerate(zip(inputs, given, strict=True)):
        if i in constants:
            graph.initializer.append(numpy_helper.from_array(array, value.name))
            continue
        # Some tests leave lengths open that their data give.
        shape: list[int | str] = ["N", *array.shape[1:]] if batched else list(array.shape)
        kind = value.type.tensor_type.elem_type
        graph.input.append(onnx.helper.make_tensor_value_info(value.name, kind, shape))
    if dummy:
        graph.input.append(onnx.helper.make_tensor_value_info("unused", onnx.TensorProto.FLOAT, [1]))
    return model


def selected(operators: list[str]) -> Iterator[Case]:
    """Yield the tests of some operators, or whose names hold one of the words; all of them without any."""
    for case in all_cases():
        if not operators or any(word in (case.operator, case.name) for word in operators):
            yield case
