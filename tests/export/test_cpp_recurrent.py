"""RNN, LSTM and GRU in generated C++ against ONNX Runtime: all their options, masks, and a batch that moves.

Operators by themselves are read statically: the batch of the file is an axis like others, and one event is a
whole set of inputs. Networks of Keras and of PyTorch's kind are read with their batch taken away. All are
compiled at once.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from hepml_root.data.feed_library import SHARED
from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.cpp import generate
from hepml_root.export.onnx import emit
from hepml_root.inference.compiler import FLAGS, find_compiler
from hepml_root.inference.interface import INFER, call, library_source
from hepml_root.models import gru, lstm
from tests.export import libraries

EVENTS = (1, 5, 16, 48 + 16 + 3)
STEPS, ROWS, FEATURES = 6, 3, 4
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
Feed = dict[str, np.ndarray]


@dataclass
class Case:
    """A model and its inputs, with the events (or sets of inputs) as the first axis."""

    model: onnx.ModelProto
    feed: Feed
    batched: bool = False
    right: list[np.ndarray] = field(default_factory=list)


def seeded(*shape: int, seed: int = 1, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=scale, size=shape).astype(np.float32)


def one_node(
    operator: str,
    *,
    units: int = 5,
    lengths: str | None = None,
    states: bool = False,
    peepholes: bool = False,
    bias: bool = True,
    outputs: str = "Y H C",
    **attributes: Any,
) -> Case:
    """A recurrent operator; ``lengths``: "given" as an input, or "known" as a constant."""
    both = 2 if attributes.get("direction") == "bidirectional" else 1
    gates, first = GATES[operator], bool(attributes.get("layout"))
    sets = max(EVENTS)
    constants = {
        "W": seeded(both, gates * units, FEATURES, seed=2, scale=0.5),
        "R": seeded(both, gates * units, units, seed=3, scale=0.5),
    }
    feed = {"X": seeded(sets, *((ROWS, STEPS) if first else (STEPS, ROWS)), FEATURES)}
    if bias:
        constants["B"] = seeded(both, 2 * gates * units, seed=4)
    if lengths == "known":
        constants["lengths"] = np.array([2, STEPS, 0], np.int32)
    elif lengths == "given":
        feed["lengths"] = np.random.default_rng(5).integers(0, STEPS + 1, (sets, ROWS)).astype(np.int32)
    if states:
        for seed, name in enumerate(("h0", "c0")[: 2 if operator == "LSTM" else 1]):
            feed[name] = seeded(sets, *((ROWS, both) if first else (both, ROWS)), units, seed=6 + seed)
    if peepholes:
        constants["P"] = seeded(both, 3 * units, seed=8)
    names = [
        n if n in feed or n in constants else "" for n in ("X", "W", "R", "B", "lengths", "h0", "c0", "P")
    ]
    while not names[-1]:
        names.pop()
    results = ("Y", "H", "C")[: 3 if operator == "LSTM" else 2]
    wanted = [name if name in outputs.split() else "" for name in results]
    node = helper.make_node(operator, names, wanted, hidden_size=units, **attributes)
    kinds = {"lengths": TensorProto.INT32}
    graph = helper.make_graph(
        [node],
        "recurrent",
        [
            helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), array.shape[1:])
            for name, array in feed.items()
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in wanted if name],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return Case(model, feed)


def stacked_as_pytorch_writes_it() -> Case:
    """Two layers, time first in between: Squeeze, Reshape with zeros, Gather of the last state, Unsqueeze."""

    def weights(name: str, inputs: int, both: int) -> list[onnx.TensorProto]:
        arrays = (seeded(both, 32, inputs, seed=1), seeded(both, 32, 8, seed=2), seeded(both, 64, seed=3))
        return [numpy_helper.from_array(0.3 * a, name + part) for part, a in zip("WRB", arrays, strict=True)]

    def numbers(name: str, *values: int) -> onnx.TensorProto:
        return numpy_helper.from_array(np.array(values, np.int64), name)

    nodes = [
        helper.make_node("Unsqueeze", ["h", "zero"], ["h1"]),
        helper.make_node("Concat", ["h1", "h1"], ["h2"], axis=0),
        helper.make_node("Transpose", ["x"], ["time"], perm=[1, 0, 2]),
        helper.make_node("Mul", ["time", "scale"], ["scaled"]),
        helper.make_node(
            "LSTM", ["scaled", "aW", "aR", "aB", "", "h2", "h2"], ["a", "ah"], hidden_size=8,
            direction="bidirectional",
        ),
        helper.make_node("Transpose", ["a"], ["swapped"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["swapped", "joined"], ["sequence"]),
        helper.make_node("LSTM", ["sequence", "bW", "bR", "bB"], ["b", "bh"], hidden_size=8),
        helper.make_node("Squeeze", ["b", "one"], ["rows"]),
        helper.make_node("Softmax", ["rows"], ["soft"], axis=-1),
        helper.make_node("Transpose", ["soft"], ["all"], perm=[1, 0, 2]),
        helper.make_node("Gather", ["ah", "last"], ["final"], axis=0),
        helper.make_node("ReduceMean", ["rows"], ["mean"], axes=[0], keepdims=0),
        helper.make_node("Slice", ["rows", "minus", "end", "zero"], ["tail"]),
        helper.make_node("Reshape", ["tail", "flat"], ["end_state"]),
        helper.make_node("Add", ["final", "mean"], ["sum"]),
    ]  # fmt: skip
    constants = [
        *weights("a", FEATURES, 2), *weights("b", 16, 1), numbers("zero", 0), numbers("one", 1),
        numbers("joined", 0, 0, -1), numbers("minus", -1), numbers("end", 1 << 40), numbers("flat", -1, 8),
        numpy_helper.from_array(np.array(-1), "last"),
        numpy_helper.from_array(seeded(STEPS, 1, FEATURES), "scale"),
    ]  # fmt: skip
    given = {"x": (STEPS, FEATURES), "h": (8,)}
    graph = helper.make_graph(
        nodes,
        "stacked",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", *shape]) for n, shape in given.items()],
        [helper.make_empty_tensor_value_info(name) for name in ("all", "sum", "end_state")],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return Case(model, {name: seeded(67, *shape) for name, shape in given.items()}, batched=True)


def exported(model: keras.Model, prefix: bool = True) -> Case:
    """A Keras model with random weights, and events whose masks are prefixes, or any; also empty and full."""
    random = np.random.default_rng(1)
    for weight in model.weights:
        if "variance" not in weight.path:
            weight.assign(random.normal(scale=0.4, size=weight.shape))
    masks = [value.name for value in model.inputs if "mask" in value.name]
    proto = emit(model, prefix_masks=masks if prefix else [])
    feed = {}
    for value in proto.graph.input:
        shape = [d.dim_value for d in value.type.tensor_type.shape.dim][1:]
        feed[value.name] = seeded(67, *shape)
        if value.name in masks:
            lengths = random.integers(0, shape[0] + 1, 67)
            lengths[:2] = 0, shape[0]
            mask = np.arange(shape[0]) < lengths[:, None]
            if not prefix:
                mask = random.permuted(mask, axis=1)
            feed[value.name] = mask.astype(np.float32)
    return Case(proto, feed, batched=True)


def with_states() -> keras.Model:
    x, h = keras.Input((STEPS, FEATURES), name="x"), keras.Input((8,), name="h")
    sequence = layers.LSTM(8, return_sequences=True)(x, initial_state=[h, keras.ops.tanh(h)])
    both = layers.Bidirectional(layers.GRU(7, return_sequences=True, reset_after=False), merge_mode="sum")(
        sequence
    )
    backwards = layers.GRU(7, return_state=True, go_backwards=True)(both)
    return keras.Model([x, h], [keras.ops.softmax(sequence), *backwards, layers.SimpleRNN(5)(both)])


CASES: dict[str, Callable[[], Case]] = {
    "LSTM": lambda: one_node("LSTM", direction="bidirectional", lengths="given", states=True),
    "LSTM, 19 units": lambda: one_node(
        "LSTM", direction="reverse", units=19, bias=False, outputs="Y", input_forget=1
    ),
    "LSTM, known lengths": lambda: one_node("LSTM", lengths="known", states=True, outputs="H C"),
    "LSTM, layout": lambda: one_node("LSTM", layout=1, direction="bidirectional", states=True),
    "LSTM, peepholes": lambda: one_node("LSTM", peepholes=True, states=True, clip=0.4),
    "LSTM, activations": lambda: one_node(
        "LSTM", activations=["HardSigmoid", "LeakyRelu", "Softsign"], activation_alpha=[0.3, 0.1],
        activation_beta=[0.4],
    ),
    "GRU": lambda: one_node("GRU", direction="bidirectional", lengths="given", states=True),
    "GRU, clip": lambda: one_node("GRU", units=17, clip=0.3, outputs="H", activations=["Sigmoid", "Relu"]),
    "GRU, reset after": lambda: one_node(
        "GRU", linear_before_reset=1, direction="bidirectional", lengths="given", states=True
    ),
    "GRU, activations": lambda: one_node(
        "GRU", linear_before_reset=1, clip=0.5, activations=["sigmoid", "ThresholdedRelu"],
        activation_alpha=[0.2],
    ),
    "RNN": lambda: one_node("RNN", direction="bidirectional", lengths="given", states=True, units=17),
    "RNN, first activations": lambda: one_node(
        "RNN", direction="bidirectional", activations=["Affine", "ScaledTanh"],
        activation_alpha=[0.5, 0.7], activation_beta=[0.1, 0.6],
    ),
    "RNN, more activations": lambda: one_node(
        "RNN", direction="bidirectional", activations=["Elu", "Softplus"], activation_alpha=[0.3], outputs="Y"
    ),
    "stacked": stacked_as_pytorch_writes_it,
    "Keras LSTM": lambda: exported(lstm({"jet": (9, 4)}, units=(8, 5), bidirectional=True, hidden=(4,))),
    "Keras GRU": lambda: exported(gru({"jet": (9, 4)}, units=(20,), hidden=())),
    "Keras GRU, any mask": lambda: exported(gru({"jet": (9, 4)}, units=(6, 5), hidden=()), prefix=False),
    "Keras states": lambda: exported(with_states()),
}  # fmt: skip
Compiled = dict[str, tuple[Case, Callable[..., None]]]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    folder: Path = tmp_path_factory.mktemp("recurrent")
    cases, text = {name: make() for name, make in CASES.items()}, []
    for number, case in enumerate(cases.values()):
        source = generate(case.model, f"case_{number}", batched=case.batched)
        source.save(folder)
        text.append(library_source(source.name, f"symbol_{number}"))
    (folder / "all.cxx").write_text("\n".join(text))
    flags = ["-O1" if flag == "-O3" else flag for flag in FLAGS]
    find_compiler().run([*flags, "-march=native", *SHARED, "all.cxx", "-o", "all.so"], folder)
    library = ctypes.CDLL(str(folder / "all.so"))
    return {
        name: (case, INFER((f"symbol_{number}_infer", library)))
        for number, (name, case) in enumerate(cases.items())
    }


def reference(case: Case) -> list[np.ndarray]:
    """What ONNX Runtime gives, with the events first; of a static model one set of inputs after the other.

    It does not take layout=1: there ONNX's own reference implementation takes its place.
    """
    if not case.right:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session: Any
        if any(attribute.name == "layout" for attribute in case.model.graph.node[0].attribute):
            session = ReferenceEvaluator(case.model)
        else:
            session = onnxruntime.InferenceSession(
                case.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        if case.batched:
            case.right = session.run(None, case.feed)
        else:
            sets = zip(*case.feed.values(), strict=True)
            results = [session.run(None, dict(zip(case.feed, one, strict=True))) for one in sets]
            case.right = [np.stack(arrays) for arrays in zip(*results, strict=True)]
    return case.right


def infer(case: Case, function: Callable[..., None], feed: Feed, events: int) -> list[np.ndarray]:
    results = [np.full((events, *right.shape[1:]), np.nan, np.float32) for right in reference(case)]
    call(function, [np.ascontiguousarray(a[:events], np.float32) for a in feed.values()], results)
    return results


@pytest.mark.parametrize("name", CASES)
def test_same_as_onnx_runtime(name: str, compiled: Compiled) -> None:
    case, function = compiled[name]
    for events in EVENTS:
        for right, found in zip(reference(case), infer(case, function, case.feed, events), strict=True):
            # Softplus and Elu without saturation let roundings grow over the steps.
            np.testing.assert_allclose(
                found, right[:events], rtol=1e-5, atol=3e-6 * max(1, np.abs(right).max())
            )


@pytest.mark.parametrize("name", CASES)
def test_the_same_alone_and_in_blocks(name: str, compiled: Compiled) -> None:
    case, function = compiled[name]
    together = infer(case, function, case.feed, max(EVENTS))
    for event in (0, 1, 50, 66):
        alone = {key: array[event : event + 1] for key, array in case.feed.items()}
        for one, all_of_them in zip(infer(case, function, alone, 1), together, strict=True):
            np.testing.assert_array_equal(one[0], all_of_them[event])


@pytest.mark.parametrize("name", ["LSTM", "GRU", "GRU, reset after", "RNN"])
@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e30])
def test_what_lies_behind_the_length_changes_nothing(name: str, garbage: float, compiled: Compiled) -> None:
    case, function = compiled[name]
    behind = np.arange(STEPS)[:, None] >= case.feed["lengths"][:, None]  # (sets, steps, rows)
    changed = case.feed | {"X": np.where(behind[..., None], np.float32(garbage), case.feed["X"])}
    for events in EVENTS:
        for right, found in zip(
            infer(case, function, case.feed, events), infer(case, function, changed, events), strict=True
        ):
            np.testing.assert_array_equal(found, right)


def test_large_inputs_saturate(compiled: Compiled) -> None:
    """Gates have bounds: no input makes a state larger than 1, or NaN."""
    for name in ("GRU", "GRU, reset after"):
        case, function = compiled[name]
        large = case.feed | {"X": 1e30 * case.feed["X"], "h0": np.tanh(case.feed["h0"])}
        for found in infer(case, function, large, 67):
            assert np.abs(found).max() <= 1


def changed(case: Case, **attributes: Any) -> onnx.ModelProto:
    node = case.model.graph.node[0]
    for name, value in attributes.items():
        for old in [entry for entry in node.attribute if entry.name == name]:
            node.attribute.remove(old)
        node.attribute.append(helper.make_attribute(name, value))
    return case.model


@pytest.mark.parametrize(
    "names", [("linear",), pytest.param(("linear", "lstm", "before", "after"), marks=pytest.mark.slow)]
)
def test_sums_in_double(names: tuple[str, ...], tmp_path: Path) -> None:
    """Of a linear layer the first step is then the exact one, rounded once; the others stay what they are."""
    cases = {
        "linear": one_node(
            "RNN", units=200, states=True, bias=False, outputs="Y",
            activations=["Affine"], activation_alpha=[1.0], activation_beta=[0.0],
        ),
        "lstm": one_node(
            "LSTM", units=19, lengths="given", states=True, peepholes=True, direction="bidirectional"
        ),
        "before": one_node("GRU", units=19, lengths="given", states=True),
        "after": one_node("GRU", units=19, direction="reverse", linear_before_reset=1),
    }  # fmt: skip
    cases = {name: cases[name] for name in names}
    models = {name: onnx.shape_inference.infer_shapes(case.model) for name, case in cases.items()}
    infer = libraries.compiled(models, tmp_path, static=list(models), accumulate="float64")
    for name, case in cases.items():
        given = {key: array[0] for key, array in case.feed.items()}
        found = infer[name](given)
        if name == "linear":
            w, r = (numpy_helper.to_array(t).astype(np.float64)[0] for t in case.model.graph.initializer)
            exact = given["X"][0] @ w.T + given["h0"][0] @ r.T
            np.testing.assert_allclose(found["Y"][0, 0], exact, rtol=2**-24 * 1.01, atol=1e-14)
            continue
        for key, right in libraries.runtime(models[name], given).items():
            np.testing.assert_allclose(found[key], right, atol=2e-6, err_msg=f"{name} {key}")


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"direction": "sideways"}, "direction"),
        ({"hidden_size": 7}, "hidden_size"),
        ({"activations": ["Tanh"]}, "1 activations where 3"),
        ({"activations": ["Tanh", "Tanh", "Sine"]}, "Sine"),
        ({"clip": -1.0}, "clip"),
        ({"direction": "bidirectional"}, "W has shape"),
    ],
)
def test_what_does_not_fit_is_refused(attributes: dict[str, Any], why: str) -> None:
    with pytest.raises(UnsupportedOperationError, match=why):
        generate(changed(one_node("LSTM"), **attributes), batched=False)


@pytest.mark.parametrize("lengths", [[1, 2, STEPS + 1], [-1, 2, 3], [1, 2]])
def test_lengths_that_cannot_be_are_refused(lengths: list[int]) -> None:
    case = one_node("GRU", lengths="known")
    known = next(entry for entry in case.model.graph.initializer if entry.name == "lengths")
    known.CopyFrom(numpy_helper.from_array(np.array(lengths, np.int32), "lengths"))
    with pytest.raises(UnsupportedOperationError, match="sequence_lens"):
        generate(case.model, batched=False)


def moved(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    """A network whose batch is at the second axis of ``t`` (steps, events, features)."""
    graph = helper.make_graph(
        [helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]), *nodes],
        "moved",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", STEPS, FEATURES])],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.array([STEPS * FEATURES, -1], np.int64), "shape")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ([helper.make_node("Relu", ["t"], ["y"])], "batch at axis 1"),
        ([helper.make_node("Softmax", ["t"], ["y"], axis=1)], "along the batch"),
        ([helper.make_node("Reshape", ["t", "shape"], ["y"])], "mixes the batch"),
        ([helper.make_node("Add", ["t", "x"], ["y"])], "batch at different axes"),
        ([helper.make_node("GlobalMaxPool", ["t"], ["y"])], "put a Transpose before it"),
    ],
)
def test_a_batch_that_meets_features_is_refused(nodes: list[onnx.NodeProto], why: str) -> None:
    with pytest.raises(UnsupportedOperationError, match=why):
        generate(moved(*nodes))
