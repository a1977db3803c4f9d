"""Products, reductions and normalisation against ONNX Runtime: batched and static, alone and in blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hepml_root.errors import SettingError, UnsupportedOperationError
from hepml_root.export.cpp import generate
from hepml_root.export.cpp.matmul import MatrixProduct
from hepml_root.export.cpp.moves import Move
from hepml_root.export.cpp.passes import optimise
from hepml_root.export.cpp.reading import lower
from hepml_root.export.cpp.steps import Dense
from tests.export.libraries import BATCHES, Cases, Infer, assert_near, compiled, runtime, values_of

INPUTS = {
    "x": (7, 18),
    "y": (7, 18),
    "z": (3, 18, 5),
    "u": (3, 7, 18),
    "m": (18, 19),
    "f": (18,),
    "i": (6, 2, 4),
}


def products() -> onnx.ModelProto:
    cases = Cases(INPUTS)
    out, add, weight = cases.out, cases.add, cases.weight
    for neurons in (1, 3, 16, 20, 21, 70):
        out("MatMul", "x", weight(18, neurons))
    out("MatMul", "f", weight(18, 70))
    out("MatMul", "f", weight(18))
    out("MatMul", "x", weight(18))
    out("MatMul", "x", weight(1, 18, 4))
    out("MatMul", "u", weight(3, 18, 6))  # a matrix per batch
    out("MatMul", "u", weight(1, 1, 18, 6))
    out("MatMul", weight(4, 7), "x")
    out("MatMul", weight(7), "x")
    out("MatMul", weight(3, 2, 7), "u")
    out("MatMul", "u", "z")
    out("MatMul", "x", "m")
    turned = add("Transpose", "y", perm=[0, 2, 1])
    out("MatMul", "x", turned)
    out("MatMul", turned, "x")
    out("MatMul", "m", add("Transpose", "m", perm=[0, 2, 1]))  # more columns than a register has lanes
    out("MatMul", add("Unsqueeze", "x", cases.axes(1)), "z")  # broadcast over a batch axis
    scores = add("Mul", add("MatMul", "x", turned), cases.constant(0.3))
    out("MatMul", add("Softmax", add("Add", scores, weight(7, 1))), "y")
    bias = weight(21)
    for follow in ("Relu", "Tanh"):
        out(follow, add("Add", add("MatMul", "x", weight(18, 21)), bias))
    out("Gemm", "f", weight(20, 18), weight(20), transB=1, alpha=0.5, beta=2.0)
    out("Gemm", "f", weight(18, 20), cases.constant([[0.7]]), beta=2.0)
    out("Gemm", "f", weight(18, 18), "f", beta=0.25)  # C of the events
    parameters = [weight(7), weight(7), weight(7), cases.positive(7)]
    out("BatchNormalization", add("MatMul", "x", weight(18, 5)), *parameters)
    hidden = add("Gemm", "f", weight(18, 9))
    out("Relu", add("BatchNormalization", hidden, weight(9), weight(9), weight(9), cases.positive(9)))
    heads = attention(cases)
    out("MatMul", heads, weight(18, 18))
    return cases.model()


def attention(cases: Cases) -> str:
    """Add attention of three heads between the rows of x and y; return its result, (7, 18)."""
    parts = []
    for source, perm in (("x", [0, 2, 1, 3]), ("y", [0, 2, 3, 1]), ("y", [0, 2, 1, 3])):
        projected = cases.add("Add", cases.add("MatMul", source, cases.weight(18, 18)), cases.weight(18))
        split = cases.add("Reshape", projected, cases.constant([-1, 7, 3, 6], np.int64))
        parts.append(cases.add("Transpose", split, perm=perm))
    weights = cases.add("Softmax", cases.add("MatMul", parts[0], parts[1]))
    mixed = cases.add("Transpose", cases.add("MatMul", weights, parts[2]), perm=[0, 2, 1, 3])
    return cases.add("Reshape", mixed, cases.constant([-1, 7, 18], np.int64))


EQUATIONS = (
    ("nij,njk->nik", "x", "m"),
    ("nij,nkj->nik", "x", "y"),
    ("nij,nkj->nki", "x", "y"),
    ("nij,nij->ni", "x", "y"),
    ("nij,nij->n", "x", "y"),
    ("nij,nij->nji", "x", "y"),
    ("nij,nkl->nikjl", "x", "y"),
    ("...ij,...jk->...ik", "u", "z"),
    ("n...j,nj->n...", "u", "f"),
    ("nhij,nhjk,nij->nhk", "u", "z", "x"),
    ("nij->nj", "x"),
    ("nij->n", "x"),
    ("nij->nji", "x"),
)


def einsums() -> onnx.ModelProto:
    cases = Cases(INPUTS)
    for equation, *inputs in EQUATIONS:
        cases.out("Einsum", *inputs, equation=equation)
    cases.out("Einsum", "x", cases.weight(18, 3, 2), equation="nij,jab->niab")
    cases.out("Einsum", cases.weight(7, 4), "x", equation="ic,nij->njc")
    square = cases.add("MatMul", "x", cases.add("Transpose", "y", perm=[0, 2, 1]))
    cases.out("Einsum", square, equation="nii->ni")
    cases.out("Einsum", square, equation="nii->n")
    return cases.model()


REDUCTIONS = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
              "ReduceSumSquare", "ReduceLogSumExp")  # fmt: skip


def reductions() -> onnx.ModelProto:
    cases = Cases(INPUTS)
    for operator in REDUCTIONS:
        for axes in ((1,), (2,), (3,), (1, 3), (1, 2, 3)) if operator == "ReduceSum" else ((2,), (-1,)):
            cases.out(operator, "i", cases.axes(*axes), keepdims=len(axes) % 2)
        cases.out(operator, "x", cases.axes(1), keepdims=0)
        cases.out(operator, "x", cases.axes(-1), keepdims=0)
    logs = cases.add("Add", cases.add("Abs", "x"), cases.constant(0.1))
    cases.out("ReduceLogSum", logs, cases.axes(2))
    cases.out("ReduceSum", "x", noop_with_empty_axes=1)
    for operator in ("Softmax", "LogSoftmax", "Hardmax"):
        for value, axis in (("x", 2), ("x", 1), ("i", 2), ("i", 3), ("z", -1)):
            cases.out(operator, value, axis=axis)
    # Numbers of particles: exact.
    passed = cases.add("Cast", cases.add("Greater", "x", cases.constant(0.0)), to=TensorProto.INT64)
    counted = cases.add("ReduceSum", passed, cases.axes(1, 2))
    cases.out("Cast", counted, to=TensorProto.FLOAT)
    cases.out("Cast", cases.add("ReduceMax", passed, cases.axes(1)), to=TensorProto.FLOAT)
    return cases.model()


def normalisations() -> onnx.ModelProto:
    cases = Cases(INPUTS, opset=22)
    out, weight = cases.out, cases.weight
    out("LayerNormalization", "x", weight(18), weight(18))
    out("LayerNormalization", "i", weight(4), epsilon=0.1)
    out("LayerNormalization", "u", weight(7, 18), weight(18), axis=2)
    out("LayerNormalization", "x", weight(18), weight(18), count=3)
    out("Relu", cases.add("Add", cases.add("LayerNormalization", "x", weight(18), weight(18)), "y"))
    out("InstanceNormalization", "i", weight(6), weight(6))
    out("GroupNormalization", "i", weight(6), weight(6), num_groups=3)
    out("LpNormalization", "x", p=1, axis=1)
    out("LpNormalization", "x", p=2)
    out("MeanVarianceNormalization", "i", axes=[2, 3])
    out("MeanVarianceNormalization", "i", axes=[1, 3])
    out("BatchNormalization", "i", weight(6), weight(6), weight(6), cases.positive(6))
    out("LRN", "i", size=3, alpha=0.3, beta=0.6, bias=1.5)
    out("LRN", "i", size=5)
    return cases.model()


def older() -> onnx.ModelProto:
    """The forms of opset 18 and before: axes as an attribute, a scale per group."""
    cases = Cases(INPUTS, opset=18)
    cases.out("GroupNormalization", "i", cases.weight(3), cases.weight(3), num_groups=3)
    cases.out("ReduceSum", "i", cases.axes(-2))
    return cases.model()


def attributes() -> onnx.ModelProto:
    cases = Cases(INPUTS, opset=13)
    cases.out("ReduceMean", "i", axes=[1, 3])
    cases.out("ReduceMax", "i", axes=[-1], keepdims=0)
    return cases.model()


def static() -> onnx.ModelProto:
    """A model without a batch axis: all axes are those of the values."""
    cases = Cases(INPUTS, batch=None)
    out, weight = cases.out, cases.weight
    out("MatMul", "f", "m")
    out("MatMul", "x", "f")
    out("MatMul", "f", "f")
    out("MatMul", "f", weight(18))
    out("MatMul", "x", "z")
    out("MatMul", weight(7), "x")
    out("Gemm", "x", "y", weight(7), transB=1, alpha=0.5)
    out("Gemm", "x", "y", transA=1, alpha=2.0)
    out("Gemm", weight(7, 4), "x", weight(4, 1), transA=1)
    out("Gemm", "x", weight(18, 5), weight(7, 5), beta=0.5)
    out("Gemm", "x", "m", weight(19), beta=0.5)
    out("Einsum", "f", "f", equation="i,j->ij")
    out("Einsum", "f", "f", equation="i,i")
    out("ReduceSum", "x")
    out("ReduceL2", "x", keepdims=0)
    out("MeanVarianceNormalization", "i", axes=[0, 2])
    out("LayerNormalization", "x", "f", axis=1)
    out("InstanceNormalization", "u", weight(7), weight(7))
    out("Softmax", "x", axis=0)
    return cases.model()


STATIC = ("static",)
Functions = tuple[dict[str, onnx.ModelProto], dict[str, Infer]]


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Functions:
    makers = (products, einsums, reductions, normalisations, older, attributes, static)
    models = {maker.__name__: maker() for maker in makers}
    return models, compiled(models, tmp_path_factory.mktemp("products"), static=STATIC)


def events(batch: int, scale: float = 1.0) -> dict[str, np.ndarray]:
    return values_of(INPUTS, batch, scale)


@pytest.mark.parametrize(
    "name", ["products", "einsums", "reductions", "normalisations", "older", "attributes"]
)
def test_same_as_onnx_runtime(name: str, functions: Functions) -> None:
    models, infer = functions
    given = events(max(BATCHES))
    right = runtime(models[name], given)
    for batch in BATCHES:
        found = infer[name]({key: array[:batch] for key, array in given.items()})
        assert_near(found, {key: array[:batch] for key, array in right.items()}, (name, batch))


def test_static_models(functions: Functions) -> None:
    models, infer = functions
    given = {name: array[0] for name, array in events(1).items()}
    assert_near(infer["static"](given), runtime(models["static"], given), "static")


@pytest.mark.parametrize("name", ["products", "einsums", "reductions", "normalisations"])
def test_results_do_not_depend_on_the_block(name: str, functions: Functions) -> None:
    """Bit by bit: alone, in a block that is not full, and in blocks of any size."""
    infer = functions[1][name]
    given = events(100)
    all_at_once = infer(given)
    for first, count in ((0, 1), (1, 1), (2, 5), (7, 16), (23, 17), (40, 48), (88, 12)):
        part = infer({key: array[first : first + count] for key, array in given.items()})
        for output, values in part.items():
            np.testing.assert_array_equal(values, all_at_once[output][first : first + count], err_msg=output)


def test_events_do_not_touch_each_other(functions: Functions) -> None:
    """NaN and infinity stay in their event; zeros and denormals are no trouble."""
    for name in ("products", "reductions", "normalisations"):
        infer = functions[1][name]
        given = events(20)
        calm = infer(given)
        for array in given.values():
            array[3], array[7] = np.nan, np.inf
            array[11], array[12] = 0.0, 1e-40
        found = infer(given)
        others = [i for i in range(20) if i not in (3, 7, 11, 12)]
        for output, values in found.items():
            np.testing.assert_array_equal(values[others], calm[output][others])
        if name == "products":
            assert all(np.isnan(values[3]).all() for values in found.values())
            assert all(np.isfinite(values[[11, 12]]).all() for values in found.values())


def test_softmax_leaves_no_denormals(functions: Functions) -> None:
    """What a mask takes out is zero: with numbers next to it products would be a hundred times slower."""
    models, infer = functions
    given = events(20, scale=60.0)
    right, found = runtime(models["reductions"], given), infer["reductions"](given)
    assert_near(found, right, "large scores")
    names = [node.output[0] for node in models["reductions"].graph.node if node.op_type == "Softmax"]
    for name in names:
        values = found[name]
        assert ((values == 0) | (values >= np.finfo(np.float32).tiny)).all()
        assert (values == 0).any()


def test_attention_needs_no_transposes() -> None:
    graph = lower(products())
    optimise(graph)
    assert not [step for step in graph.steps if isinstance(step, Move)]
    assert len([step for step in graph.steps if isinstance(step, MatrixProduct)]) > 2


def test_scales_and_shifts_become_weights() -> None:
    """A bias that is added later and a batch normalisation leave nothing but the product."""
    cases = Cases({"x": (7, 18)})
    value = cases.add("Add", cases.add("MatMul", "x", cases.weight(18, 7)), cases.weight(7))
    turned = cases.add("Reshape", value, cases.constant([-1, 7, 7], np.int64))
    cases.out("Relu", cases.add("Mul", turned, cases.weight(7)))
    graph = lower(cases.model())
    optimise(graph)
    (product,) = [step for step in graph.steps if isinstance(step, Dense)]
    assert len(graph.steps) == 2
    assert product.epilogue.formula == "engine::relu({0})"  # type: ignore[attr-defined]
    assert np.abs(product.bias).min() > 0


def test_sums_in_double(tmp_path: Path) -> None:
    """Of sums that cancel only the rounding of the results is left."""
    cases = Cases({"x": (2, 3000)}, batch=None)
    matrix = cases.random.normal(size=(3000, 17)).astype(np.float32)
    cases.out("MatMul", "x", cases.constant(matrix))
    cases.out("MatMul", "x", cases.add("Transpose", "x", perm=[1, 0]))
    cases.out("ReduceSum", "x", cases.axes(1))
    model = cases.model()
    x = cases.random.normal(size=(2, 3000)).astype(np.float32)
    exact = x.astype(np.float64)
    right = [exact @ matrix, exact @ exact.T, exact.sum(axis=1, keepdims=True)]
    infer = compiled({"sums": model}, tmp_path, static=("sums",), accumulate="float64")["sums"]
    for found, wanted in zip(infer({"x": x}).values(), right, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-7)
    with pytest.raises(SettingError, match="float32, float64"):
        generate(model, batched=False, accumulate="float16")


@pytest.mark.parametrize(
    ("operator", "inputs", "settings"),
    [
        ("MatMul", ("f", "f"), {}),
        ("MatMul", ("f", "m"), {}),
        ("MatMul", ("x", "u"), {}),
        ("MatMul", ("weight", "f"), {}),
        ("Gemm", ("f", "f"), {}),
        ("Einsum", ("f", "f"), {"equation": "ni,mi->nm"}),
        ("Einsum", ("f",), {"equation": "ni->i"}),
        ("Einsum", ("x", "y"), {"equation": "nij,njk->nik"}),
        ("Einsum", ("x",), {"equation": "nij;->n"}),
        ("Softmax", ("x",), {"axis": 0}),
        ("ReduceSum", ("x",), {}),
        ("GroupNormalization", ("i", "six", "six"), {"num_groups": 4}),
        ("BatchNormalization", ("i", "six", "six", "six", "six"), {"training_mode": 1}),
        ("LpNormalization", ("x",), {"p": 3}),
        ("LRN", ("i",), {"size": 0}),
        ("MeanVarianceNormalization", ("i",), {}),
    ],
)  # fmt: skip
def test_what_would_mix_events_is_refused(
    operator: str, inputs: tuple[str, ...], settings: dict[str, Any]
) -> None:
    node = helper.make_node(operator, list(inputs), ["out"], name="wrong", **settings)
    weights = [
        numpy_helper.from_array(np.ones(shape, np.float32), name)
        for name, shape in (("weight", (4, 18)), ("six", (6,)))
    ]
    declared = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
        for name, shape in INPUTS.items()
    ]
    graph = helper.make_graph([node], "g", declared, [helper.make_empty_tensor_value_info("out")], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    with pytest.raises(UnsupportedOperationError, match="wrong"):
        generate(model)
