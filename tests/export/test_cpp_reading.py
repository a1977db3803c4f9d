"""How a graph is read: shapes and constants known beforehand, branches, loops and functions written out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.cpp import generate
from tests.nodes.cases import Case
from tests.nodes.tally import results

OPSET = 20
node = helper.make_node


def constant(name: str, values: object, dtype: object = np.int64) -> onnx.NodeProto:
    return node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(values, dtype), name))


Nodes = Sequence[onnx.NodeProto]


def subgraph(nodes: Nodes, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.GraphProto:
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inputs]
    made = [helper.make_empty_tensor_value_info(name) for name in outputs]
    return helper.make_graph(list(nodes), "inner", given, made)


def loop_body(nodes: Nodes, carried: Sequence[str], outputs: Sequence[str]) -> onnx.GraphProto:
    graph = subgraph(nodes, ["turn", "going", *carried], outputs)
    graph.input[0].CopyFrom(helper.make_tensor_value_info("turn", TensorProto.INT64, []))
    graph.input[1].CopyFrom(helper.make_tensor_value_info("going", TensorProto.BOOL, []))
    return graph


def model(
    nodes: Nodes,
    shape: Sequence[int | str] = ("N", 3, 4),
    output: str = "y",
    functions: Sequence[onnx.FunctionProto] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_empty_tensor_value_info(output)],
    )
    imports = [helper.make_opsetid("", OPSET), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9, functions=list(functions))


def shape_of_batch(*rest: int) -> list[onnx.NodeProto]:
    """The nodes that exporters write for "as many events as there are, and these axes": the value "shape"."""
    return [
        node("Shape", ["x"], ["whole"]),
        constant("first", 0),
        node("Gather", ["whole", "first"], ["events"]),
        constant("axis", [0]),
        node("Unsqueeze", ["events", "axis"], ["batch"]),
        constant("rest", rest),
        node("Concat", ["batch", "rest"], ["shape"], axis=0),
    ]


HALVES = [constant("half", 0.5, np.float32), node("Mul", ["v", "half"], ["w"])]
ADDS = [*HALVES, node("Add", ["w", "x"], ["next"])]
TWICE = helper.make_function(
    "own",
    "Twice",
    ["a"],
    ["b"],
    [node("LeakyRelu", ["a"], ["c"]), node("Add", ["c", "c"], ["b"])],
    [helper.make_opsetid("", OPSET)],
    ["alpha"],
)
reference = TWICE.node[0].attribute.add()
reference.name, reference.ref_attr_name, reference.type = "alpha", "alpha", onnx.AttributeProto.FLOAT

AGREEING = {
    "reshape to a batch": model([*shape_of_batch(12), node("Reshape", ["x", "shape"], ["y"])]),
    "expand to a batch": model(
        [
            *shape_of_batch(3, 4),
            constant("row", [[[1, 2, 3, 4]]], np.float32),
            node("Expand", ["row", "shape"], ["rows"]),
            node("Add", ["rows", "x"], ["y"]),
        ]
    ),
    "expand with -1 where the length stays": model(
        [
            constant("wanted", [-1, 2, -1, -1]),
            constant("ones", [1, 1, 1, 1]),
            constant("minus", -1),
            node("Equal", ["wanted", "minus"], ["stays"]),
            node("Where", ["stays", "ones", "wanted"], ["target"]),
            constant("second", [1]),
            node("Unsqueeze", ["x", "second"], ["z"]),
            node("Expand", ["z", "target"], ["y"]),
        ]
    ),
    "first states of all events, and a table": model(
        [
            node("Transpose", ["x"], ["sequence"], perm=[1, 0, 2]),
            *shape_of_batch(5),
            constant("one", [1]),
            node("Concat", ["one", "shape"], ["of state"], axis=0),
            constant("state", np.linspace(-1, 1, 5).reshape(1, 1, 5), np.float32),
            node("Expand", ["state", "of state"], ["h"]),
            node(
                "ConstantOfShape",
                ["of state"],
                ["c"],
                value=numpy_helper.from_array(np.full(1, 0.25, np.float32)),
            ),
            constant("w", np.sin(np.arange(80)).reshape(1, 20, 4), np.float32),
            constant("r", np.cos(np.arange(100)).reshape(1, 20, 5), np.float32),
            node("LSTM", ["sequence", "w", "r", "", "", "h", "c"], ["", "last"], hidden_size=5),
            node("Transpose", ["last"], ["y"], perm=[1, 0, 2]),
        ]
    ),
    "the shape of a constant of all events": model(
        [
            *shape_of_batch(12),
            constant("ones", np.ones((1, 1)), np.float32),
            node("Expand", ["ones", "shape"], ["rows"]),
            node("Shape", ["rows"], ["again"]),
            node("Reshape", ["x", "again"], ["y"]),
        ]
    ),
    "zeros for every event": model(
        [
            *shape_of_batch(3, 2),
            node("ConstantOfShape", ["shape"], ["zeros"]),
            node("Concat", ["x", "zeros"], ["y"], axis=2),
        ]
    ),
    "a shape forth and back": model(
        [
            *shape_of_batch(3, 4),
            constant("two", 2),
            node("Mul", ["shape", "two"], ["twice"]),
            node("Div", ["twice", "two"], ["again"]),
            node("Reshape", ["x", "again"], ["y"]),
        ]
    ),
    "a branch by a length": model(
        [
            node("Shape", ["x"], ["whole"]),
            constant("last", 2),
            node("Gather", ["whole", "last"], ["length"]),
            constant("three", 3),
            node("Greater", ["length", "three"], ["long"]),
            node(
                "If",
                ["long"],
                ["y"],
                then_branch=subgraph([node("Tanh", ["x"], ["a"])], [], ["a"]),
                else_branch=subgraph([node("Exp", ["x"], ["b"])], [], ["b"]),
            ),
        ]
    ),
    "a loop of 5 turns": model(
        [
            constant("turns", 5),
            node(
                "Loop",
                ["turns", "", "x"],
                ["y"],
                body=loop_body([*ADDS, node("Identity", ["going"], ["goes"])], ["v"], ["goes", "next"]),
            ),
        ]
    ),
    "a loop until a count": model(
        [
            constant("true", True, np.bool_),
            node(
                "Loop",
                ["", "true", "x"],
                ["y"],
                body=loop_body(
                    [*ADDS, constant("last", 2), node("Less", ["turn", "last"], ["goes"])],
                    ["v"],
                    ["goes", "next"],
                ),
            ),
        ]
    ),
    "a scan along an axis": model(
        [
            constant("axes", [1]),
            node("ReduceMean", ["x", "axes"], ["start"], keepdims=0),
            node(
                "Scan",
                ["start", "x"],
                ["last", "all"],
                num_scan_inputs=1,
                scan_input_axes=[1],
                scan_output_axes=[1],
                scan_input_directions=[1],
                body=subgraph(
                    [*HALVES, node("Add", ["w", "piece"], ["next"]), node("Tanh", ["next"], ["out"])],
                    ["v", "piece"],
                    ["next", "out"],
                ),
            ),
            node("Unsqueeze", ["last", "axes"], ["end"]),
            node("Concat", ["all", "end"], ["y"], axis=1),
        ]
    ),
    "a function with an attribute": model(
        [node("Twice", ["x"], ["y"], domain="own", alpha=0.3)], functions=[TWICE]
    ),
    "a normalisation by its definition": model([node("MeanVarianceNormalization", ["x"], ["y"], axes=[2])]),
}


def test_what_is_known_beforehand() -> None:
    cases = []
    for label, graph in AGREEING.items():
        x = np.random.default_rng(1).normal(size=(5, 3, 4)).astype(np.float32)
        expected = onnxruntime.InferenceSession(graph.SerializeToString()).run(None, {"x": x})
        cases.append(Case(label, label, graph, [x], list(expected)))
    for result in results(cases):
        assert not result.failed, (result.case.name, result.failed)
        assert "all, batched" in result.passed, (result.case.name, result.refusals)


def test_a_list_of_dictionaries_becomes_scores() -> None:
    graph = model(
        [node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[3, 5, 7, 9])], shape=("N", 4)
    )
    graph.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    assert generate(graph).manifest["outputs"][0]["shape"] == [4]


def refused(graph: onnx.ModelProto) -> str:
    with pytest.raises(UnsupportedOperationError) as error:
        generate(graph)
    return str(error.value)


def test_what_depends_on_the_number_of_events() -> None:
    twice = [*shape_of_batch(2, 4), constant("two", 2), node("Mul", ["events", "two"], ["count"])]
    assert "number of events" in refused(
        model([*twice, node("Greater", ["count", "two"], ["many"]), node("Where", ["many", "x", "x"], ["y"])])
    )
    assert refused(
        model(
            [
                *shape_of_batch(3, 4),
                node("Cast", ["shape"], ["floats"], to=TensorProto.FLOAT),
                node("Reshape", ["x", "floats"], ["y"]),
            ]
        )
    )
    assert refused(
        model(
            [
                *shape_of_batch(3, 4),
                node("ReduceSum", ["shape"], ["all"]),
                node("Expand", ["x", "all"], ["y"]),
            ]
        )
    )
    going = [*ADDS, node("ReduceMax", ["next"], ["largest"], keepdims=0), constant("one", 1, np.float32)]
    body = loop_body([*going, node("Less", ["largest", "one"], ["goes"])], ["v"], ["goes", "next"])
    graph = model([constant("turns", 5), node("Loop", ["turns", "", "x"], ["y"], body=body)])
    assert "Loop" in refused(graph) or "ReduceMax" in refused(graph)


def test_sums_over_the_events_of_a_constant_are_refused() -> None:
    """A constant of length 1 along the batch stands for one of as many as there are events."""
    ones = [*shape_of_batch(3, 4), node("ConstantOfShape", ["shape"], ["ones"])]
    for nodes in (
        [constant("zero", [0]), node("ReduceSum", ["ones", "zero"], ["s"])],
        [constant("zero", 0), node("CumSum", ["ones", "zero"], ["s"])],
    ):
        assert "works along the batch" in refused(model([*ones, *nodes, node("Add", ["x", "s"], ["y"])]))


def test_branches_and_loops_without_a_condition_are_refused() -> None:
    branches = {
        f"{name}_branch": subgraph([node(operator, ["x"], [name])], [], [name])
        for name, operator in (("then", "Relu"), ("else", "Neg"))
    }
    choice = [constant("empty", [], bool), node("If", ["empty"], ["y"], name="choice", **branches)]
    body = loop_body([*ADDS, node("Identity", ["going"], ["goes"])], ["v"], ["goes", "next"])
    loop = [constant("empty", []), node("Loop", ["empty", "", "x"], ["y"], name="loop", body=body)]
    for name, nodes in (("choice", choice), ("loop", loop)):
        assert f"'{name}'" in refused(model(nodes))


def test_functions_of_old_opsets_are_refused() -> None:
    """In opset 11 a Softmax goes over all axes from the one that it names."""
    old = helper.make_function(
        "own", "Twice", ["a"], ["b"], [node("Softmax", ["a"], ["b"], axis=1)], [helper.make_opsetid("", 11)]
    )
    assert "opset 11" in refused(model([node("Twice", ["x"], ["y"], domain="own")], functions=[old]))


def test_infinite_factors_are_numbers_in_cpp() -> None:
    """Of Gemm, beside a summand of the events."""
    graph = model([constant("w", np.eye(4), np.float32), node("Gemm", ["x", "w", "x"], ["y"])], ("N", 4))
    graph.graph.node[1].attribute.append(helper.make_attribute("beta", float("inf")))
    assert "at.scalar(engine::infinity)" in generate(graph).header


def test_hostile_sizes_are_refused_before_they_are_computed() -> None:
    huge = 1 << 40
    for nodes in (
        [constant("n", [huge]), node("ConstantOfShape", ["n"], ["c"])],
        [constant("n", [1 << 20, 1 << 20]), node("ConstantOfShape", ["n"], ["c"])],
        [constant("a", 0), constant("b", huge), constant("s", 1), node("Range", ["a", "b", "s"], ["c"])],
        [constant("a", 0.0, np.float32), constant("b", 1e9, np.float32), constant("s", 1e-9, np.float32),
         node("Range", ["a", "b", "s"], ["c"])],
        [constant("o", [1.0], np.float32), constant("n", [huge]), node("Tile", ["o", "n"], ["c"])],
        [constant("o", [1.0], np.float32), constant("n", [huge]), node("Expand", ["o", "n"], ["c"])],
        [constant("o", [1.0], np.float32), constant("n", [huge, -huge]), node("Pad", ["o", "n"], ["c"])],
        [constant("i", [1]), constant("n", huge), constant("v", [0, 1]),
         node("OneHot", ["i", "n", "v"], ["c"])],
        [constant("i", np.zeros((1 << 11, 1))), constant("j", np.zeros((1, 1 << 11))),
         constant("k", np.zeros((4, 1, 1))), node("Add", ["i", "j"], ["s"]), node("Add", ["s", "k"], ["c"])],
        [constant("i", np.zeros((1 << 12, 1))), constant("j", np.zeros((1, 1 << 12))),
         node("MatMul", ["i", "j"], ["c"])],
    ):  # fmt: skip
        cast = node("Cast", ["c"], ["f"], to=TensorProto.FLOAT)
        text = refused(model([*nodes, cast, node("ReduceMax", ["f"], ["m"]), node("Add", ["x", "m"], ["y"])]))
        assert "too large" in text, text


def test_loops_and_functions_without_end_are_refused() -> None:
    body = loop_body([*ADDS, node("Identity", ["going"], ["goes"])], ["v"], ["goes", "next"])
    for turns in (5_000, 1 << 62):
        graph = model([constant("turns", turns), node("Loop", ["turns", "", "x"], ["y"], body=body)])
        assert "turns" in refused(graph)
    inner = node("Loop", ["turns", "", "v"], ["next"], body=body)
    outer = loop_body([inner, node("Identity", ["going"], ["goes"])], ["v"], ["goes", "next"])
    graph = model([constant("turns", 900), node("Loop", ["turns", "", "x"], ["y"], body=outer)])
    assert "nodes" in refused(graph)
    itself = helper.make_function(
        "own",
        "Twice",
        ["a"],
        ["b"],
        [node("Twice", ["a"], ["b"], domain="own")],
        [helper.make_opsetid("own", 1)],
    )
    assert "deep" in refused(model([node("Twice", ["x"], ["y"], domain="own")], functions=[itself]))
