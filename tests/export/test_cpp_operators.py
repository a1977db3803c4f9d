"""Every operator that the C++ generator knows, against ONNX Runtime, with ordinary and with extreme inputs.

Compiling takes seconds, so that all operators of a family share one model, with one output for each case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hepml_root.inference.session import Session

BATCHES = (1, 2, 15, 16, 17, 48, 1000)
OPSET = 20


@dataclass
class Family:
    """A model that is built output by output."""

    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    outputs: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)

    def weight(self, values: Any, dtype: Any = np.float32) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def add(self, operator: str, *inputs: str, count: int = 1, **attributes: Any) -> Any:
        names = [f"v{len(self.nodes)}_{i}" for i in range(count)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names[0] if count == 1 else names

    def out(self, case: str, value: str, boolean: bool = False) -> None:
        if boolean:
            value = self.add("Cast", value, to=TensorProto.FLOAT)
        self.nodes.append(helper.make_node("Identity", [value], [case]))
        self.outputs.append((case, ()))

    def save(self, path: Path, inputs: Mapping[str, Sequence[int]]) -> Path:
        declared = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", *s]) for n, s in inputs.items()]
        outputs = [helper.make_empty_tensor_value_info(name) for name, _ in self.outputs]
        graph = helper.make_graph(self.nodes, "family", declared, outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
        onnx.save(onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True), path)
        return path


def runtime(path: Path, feed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # Fused operators of ONNX Runtime treat NaN in their own ways; here the operators themselves are meant.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, dict(feed)), strict=True))


def assert_agrees(path: Path, feed: Mapping[str, np.ndarray], rtol: float = 2e-6, atol: float = 6e-7) -> None:
    """Compare our C++ with ONNX Runtime on all batch sizes; every wrong case is named."""
    wanted = runtime(path, feed)
    session = Session(path, engine="cpp")
    wrong = []
    for batch in BATCHES:
        part = {name: array[:batch] for name, array in feed.items()}
        found = session.infer(part)
        found = found if isinstance(found, dict) else {next(iter(wanted)): found}
        for name, right in wanted.items():
            try:
                np.testing.assert_allclose(found[name], right[:batch], rtol=rtol, atol=atol)
            except AssertionError as error:
                wrong.append(f"{name}, batch of {batch}: {error}")
    assert not wrong, "\n".join(wrong[:6]) + f"\nwrong: {sorted({line.split(',')[0] for line in wrong})}"


def events(*shape: int, seed: int = 1, scale: float = 2.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=scale, size=(1000, *shape)).astype(np.float32)


EXTREME = np.array(
    [0, -0.0, 1, -1, 1e-40, -1e-40, 1e30, -1e30, 88, -88, 200, -200]
    + [np.inf, -np.inf, np.nan, 0.5, -2.5, 1.5, 8388609, 3e9],
    np.float32,
)


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEPML_ROOT_CACHE", str(tmp_path_factory.getbasetemp() / "hepml_root_cache"))


FINITE_UNARY = (
    *("Abs", "Asinh", "Atan", "Ceil", "Celu", "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu"),
    *("HardSigmoid", "HardSwish", "Identity", "IsNaN", "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal"),
    *("Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Tanh"),
    "ThresholdedRelu",
)


def unary_family(path: Path, names: Sequence[str]) -> Path:
    family = Family()
    for name in names:
        family.out(name, family.add(name, "x"), boolean=name in ("IsNaN",))
    if "Gelu" in names:
        family.out("Gelu tanh", family.add("Gelu", "x", approximate="tanh"))
        family.out("IsInf", family.add("IsInf", "x"), boolean=True)
        family.out("IsInf+", family.add("IsInf", "x", detect_negative=0), boolean=True)
        family.out("Elu 0.3", family.add("Elu", "x", alpha=0.3))
        family.out("Clip", family.add("Clip", "x", family.weight(-0.7), family.weight(1.3)))
        family.out("Clip low", family.add("Clip", "x", family.weight(-0.7)))
        family.out("Clip high", family.add("Clip", "x", "", family.weight(0.2)))
        family.out("PRelu", family.add("PRelu", "x", family.weight(np.linspace(-1, 1, 5))))
        for exponent in (2.0, 3.0, 0.5, 1.0, 1.7, -2.0):
            family.out(f"Pow {exponent}", family.add("Pow", family.add("Abs", "x"), family.weight(exponent)))
        family.out("Pow 2 of negative", family.add("Pow", "x", family.weight(2.0)))
        family.out(
            "cast", family.add("Cast", family.add("Cast", "x", to=TensorProto.BOOL), to=TensorProto.FLOAT)
        )
    return family.save(path, {"x": [5]})


def test_functions_of_one_argument(tmp_path: Path) -> None:
    assert_agrees(unary_family(tmp_path / "unary.onnx", FINITE_UNARY), {"x": events(5)})


def test_functions_of_one_argument_at_extremes(tmp_path: Path) -> None:
    """Zeros, denormals, large numbers, infinities and NaN.

    Left out are Sin and Cos of huge numbers, and Mish and Softsign, which ONNX Runtime makes NaN at infinity.
    """
    names = [name for name in FINITE_UNARY if name not in ("Sin", "Cos", "Mish", "Softsign")]
    x = np.resize(EXTREME, (1000, 5))
    assert_agrees(unary_family(tmp_path / "extreme.onnx", names), {"x": x}, rtol=3e-6)


def test_functions_of_a_limited_domain(tmp_path: Path) -> None:
    family = Family()
    for name in ("Asin", "Acos", "Atanh", "Tan"):
        family.out(name, family.add(name, "x"))
    inside = np.random.default_rng(2).uniform(-0.99, 0.99, (1000, 5)).astype(np.float32)
    assert_agrees(family.save(tmp_path / "domain.onnx", {"x": [5]}), {"x": inside})
    family = Family()
    family.out("Acosh", family.add("Acosh", "x"))
    assert_agrees(family.save(tmp_path / "acosh.onnx", {"x": [5]}), {"x": 1 + np.abs(inside)})


def test_arithmetic_comparison_and_logic_with_broadcasting(tmp_path: Path) -> None:
    family = Family()
    r = np.random.default_rng(3)
    row, column, one = (family.weight(r.normal(size=s)) for s in ((4,), (1, 3, 1), (1,)))
    for operator in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean"):
        others = {"value": "y", "row": row, "column": column, "one": one, "narrow": "z"}
        for label, other in others.items() if operator == "Sub" else (("value", "y"), ("row", row)):
            family.out(f"{operator} {label}", family.add(operator, "x", other))
            family.out(f"{label} {operator}", family.add(operator, other, "x"))
    family.out("Sum of three", family.add("Sum", "x", "y", row))
    family.out("Max of one", family.add("Max", "x"))
    for operator in ("Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"):
        for label, other in {"value": "y", "row": row}.items():
            family.out(f"{operator} {label}", family.add(operator, "x", other), boolean=True)
    a, b = family.add("Less", "x", row), family.add("Greater", "y", one)
    for operator in ("And", "Or", "Xor"):
        family.out(operator, family.add(operator, a, b), boolean=True)
    family.out("Not", family.add("Not", a), boolean=True)
    family.out("Where", family.add("Where", a, "x", "y"))
    family.out("Where constant", family.add("Where", a, row, "y"))
    family.out("Where broadcast", family.add("Where", b, "z", family.weight(0.0)))
    whole = family.add("Cast", "x", to=TensorProto.INT64)
    family.out("Cast to integer", family.add("Cast", whole, to=TensorProto.FLOAT))
    family.out("Equal integer", family.add("Equal", whole, family.weight(1, np.int64)), boolean=True)
    feed = {"x": events(3, 4), "y": events(3, 4, seed=2), "z": events(3, 1, seed=3)}
    feed["y"][::3] = feed["x"][::3]  # so that some are equal
    path = family.save(tmp_path / "binary.onnx", {"x": [3, 4], "y": [3, 4], "z": [3, 1]})
    assert_agrees(path, feed)
    for name in ("x", "y", "z"):
        feed[name][::7] = np.nan
        feed[name][1::5] *= np.float32(1e30)
    feed["x"] = np.clip(feed["x"], -2e18, 2e18)  # integers above 2^63 have no cast
    feed["x"][::7] = 0
    assert_agrees(path, feed)


def test_products(tmp_path: Path) -> None:
    family = Family()
    r = np.random.default_rng(4)
    matrix, bias = family.weight(r.normal(size=(7, 21))), family.weight(r.normal(size=21))
    turned, one = family.weight(r.normal(size=(3, 7))), family.weight([[0.7]])
    family.out("Gemm", family.add("Gemm", "x", matrix, bias))
    family.out("Gemm turned", family.add("Gemm", "x", turned, transB=1, alpha=0.3))
    family.out("Gemm beta", family.add("Gemm", "x", turned, one, transB=1, alpha=0.3, beta=2.0))
    family.out("MatMul", family.add("MatMul", "x", matrix))
    family.out("MatMul rows", family.add("MatMul", "y", matrix))
    row_bias = family.add("Add", family.add("MatMul", "y", matrix), bias)
    family.out("fused rows", family.add("Relu", row_bias))
    family.out("fused tanh", family.add("Tanh", row_bias))
    hidden = family.add("Gemm", "x", matrix, bias)
    residual = family.add("Add", family.add("Relu", hidden), family.add("Gemm", "x", matrix))
    family.out("residual", residual)
    parameters = [family.weight(r.uniform(0.5, 2, size=21)) for _ in range(4)]
    family.out("BatchNormalization", family.add("BatchNormalization", residual, *parameters, epsilon=1e-3))
    channels = [family.weight(r.uniform(0.5, 2, size=5)) for _ in range(4)]
    family.out("BatchNormalization of channels", family.add("BatchNormalization", "y", *channels))
    shared = family.add("Tanh", family.add("Gemm", "x", turned, transB=1))
    family.out("swish", family.add("Mul", shared, family.add("Sigmoid", shared)))
    path = family.save(tmp_path / "products.onnx", {"x": [7], "y": [5, 7]})
    feed = {"x": events(7), "y": events(5, 7, seed=2)}
    assert_agrees(path, feed, rtol=5e-6, atol=5e-6)
    feed["x"][3, 2], feed["y"][5, 1, 1] = np.nan, np.inf
    assert_agrees(path, feed, rtol=5e-6, atol=5e-6)


def test_moving_features(tmp_path: Path) -> None:
    family = Family()

    def whole(*numbers: int) -> str:
        return family.weight(numbers, np.int64)

    family.out("Reshape", family.add("Reshape", "x", whole(-1, 4, 3)))
    family.out("Reshape 0", family.add("Reshape", "x", whole(0, 12)))
    family.out("Reshape 0 -1", family.add("Reshape", "x", whole(0, -1, 2)))
    family.out("Flatten", family.add("Flatten", "x"))
    family.out("Squeeze", family.add("Squeeze", "z", whole(2)))
    family.out("Unsqueeze", family.add("Unsqueeze", "x", whole(1, -1)))
    family.out("Transpose", family.add("Transpose", "x", perm=[0, 2, 1]))
    family.out("Expand", family.add("Expand", "z", whole(1, 3, 5)))
    family.out("Expand more", family.add("Expand", "z", whole(5)))
    for case, (starts, ends, axes, steps) in {
        "run": ([1], [3], [2], [1]),
        "step": ([0], [4], [2], [2]),
        "backwards": ([-1], [-100], [2], [-1]),
        "two axes": ([1, -3], [100, -1], [1, 2], [1, 1]),
        "batch": ([0, 1], [2**62, 2], [0, 1], [1, 1]),
    }.items():
        family.out(
            f"Slice {case}",
            family.add("Slice", "x", whole(*starts), whole(*ends), whole(*axes), whole(*steps)),
        )
    for i, piece in enumerate(family.add("Split", "x", whole(1, 3), axis=2, count=2)):
        family.out(f"Split {i}", piece)
    for i, piece in enumerate(family.add("Split", "x", axis=-1, num_outputs=2, count=2)):
        family.out(f"Split evenly {i}", piece)
    family.out("Gather", family.add("Gather", "x", whole(2, 0, 0, -1), axis=2))
    family.out("Gather one", family.add("Gather", "x", family.weight(1, np.int64), axis=1))
    family.out("Gather square", family.add("Gather", "x", family.weight([[0, 1], [2, 2]], np.int64), axis=1))
    family.out("Concat last", family.add("Concat", "x", "z", "x", axis=2))
    family.out("Concat first", family.add("Concat", "x", family.add("Tanh", "x"), axis=1))
    family.out("Dropout", family.add("Dropout", "x"))
    piece = family.add("Slice", "x", whole(1), whole(3), whole(2))
    family.out("arithmetic on a piece", family.add("Add", family.add("Relu", piece), piece))
    family.out("constant folded", family.add("Mul", "x", family.add("Exp", family.weight(np.arange(4)))))
    path = family.save(tmp_path / "moves.onnx", {"x": [3, 4], "z": [3, 1]})
    assert_agrees(path, {"x": events(3, 4), "z": events(3, 1, seed=5)})


REDUCTIONS = (
    *("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2"),
    *("ReduceSumSquare", "ReduceLogSumExp"),
)


def test_along_axes(tmp_path: Path) -> None:
    family = Family()
    for operator in REDUCTIONS:
        every = operator == "ReduceSum"  # the axes are handled alike for all
        for axes in ((1,), (2,), (3,), (1, 2), (2, 3), (1, 3), (1, 2, 3)) if every else ((2,), (1, 2, 3)):
            for keep in (0, 1) if every else (len(axes) % 2,):
                value = family.add(operator, "x", family.weight(axes, np.int64), keepdims=keep)
                family.out(f"{operator} {axes} {keep}", value)
    positive = family.add("Add", family.add("Abs", "x"), family.weight(0.1))
    family.out("ReduceLogSum", family.add("ReduceLogSum", positive, family.weight([2], np.int64)))
    for axis in (1, 2, 3, -1):
        for operator in ("Softmax", "LogSoftmax"):
            family.out(f"{operator} {axis}", family.add(operator, "x", axis=axis))
    r = np.random.default_rng(6)
    scale, shift = family.weight(r.normal(size=4)), family.weight(r.normal(size=4))
    family.out("LayerNormalization", family.add("LayerNormalization", "x", scale, shift))
    family.out("LayerNormalization scale", family.add("LayerNormalization", "x", scale, epsilon=1e-2))
    wide = [family.weight(r.normal(size=(2, 4))) for _ in range(2)]
    family.out("LayerNormalization wide", family.add("LayerNormalization", "x", *wide, axis=2))
    path = family.save(tmp_path / "axes.onnx", {"x": [3, 2, 4]})
    x = events(3, 2, 4)
    assert_agrees(path, {"x": x}, rtol=1e-5, atol=2e-6)


def test_softmax_of_large_numbers_and_nan(tmp_path: Path) -> None:
    family = Family()
    family.out("Softmax", family.add("Softmax", "x"))
    family.out("LogSoftmax", family.add("LogSoftmax", "x"))
    family.out("ReduceLogSumExp", family.add("ReduceLogSumExp", "x", family.weight([1], np.int64)))
    x = events(4)
    x[::2] *= 1e4
    x[::10, 1] = np.nan
    assert_agrees(family.save(tmp_path / "large.onnx", {"x": [4]}), {"x": x}, rtol=1e-5)
