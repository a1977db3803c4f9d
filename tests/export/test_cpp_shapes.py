"""Operators that move, choose and order features, against ONNX Runtime, batched and static.

Compiling takes seconds, so that all cases of a reading are outputs of one model, compiled at -O1.
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hepml_root.data.feed_library import SHARED
from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.cpp import generate
from hepml_root.inference.compiler import find_compiler
from hepml_root.inference.interface import INFER, call, library_source

EVENTS = 48 + 16 + 3  # a wide block, a narrow one, and one that is not full
BATCHES = (1, 5, 16, EVENTS)
FLAGS = (
    "-fvisibility=hidden",  # or equal names of several libraries in one process would be one
    "-std=gnu++17",
    "-O1",
    "-march=native",
    "-fno-math-errno",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-psabi",
)
TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64}


@dataclass
class Model:
    """A model that is built output by output, for given inputs; if batched, their axis 0 are the events."""

    feed: Mapping[str, np.ndarray]
    batched: bool = True
    opset: int = 20
    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)

    def weight(self, values: Any, dtype: Any = np.float32) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def whole(self, *numbers: int) -> str:
        return self.weight(numbers, np.int64)

    def add(self, operator: str, *inputs: str, count: int = 1, **attributes: Any) -> Any:
        names = [f"v{len(self.nodes)}_{i}" for i in range(count)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names[0] if count == 1 else names

    def out(self, case: str, value: str) -> None:
        self.nodes.append(helper.make_node("Cast", [value], [case], to=TensorProto.FLOAT))
        self.outputs.append(case)

    def case(self, case: str, operator: str, *inputs: str, **attributes: Any) -> None:
        self.out(case, self.add(operator, *inputs, **attributes))

    def proto(self) -> onnx.ModelProto:
        inputs = [
            helper.make_tensor_value_info(
                name, TYPES[array.dtype], ["N", *array.shape[1:]] if self.batched else array.shape
            )
            for name, array in self.feed.items()
        ]
        outputs = [helper.make_empty_tensor_value_info(name) for name in self.outputs]
        graph = helper.make_graph(self.nodes, "cases", inputs, outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def runtime(model: onnx.ModelProto, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, dict(feed))


def compiled(model: onnx.ModelProto, folder: Path, batched: bool) -> tuple[Any, list[int]]:
    """Return the C++ function of a model, and how many numbers its outputs have."""
    source = generate(model, name="cases", batched=batched)
    source.save(folder)
    (folder / "library.cxx").write_text(library_source("cases", "cases"))
    find_compiler().run([*FLAGS, "-fPIC", *SHARED, "library.cxx", "-o", "cases.so"], folder)
    function = ctypes.cast(ctypes.CDLL(str(folder / "cases.so")).cases_infer, INFER)
    return function, [int(np.prod(entry["shape"])) for entry in source.manifest["outputs"]]


def infer(function: Any, feed: Sequence[np.ndarray], sizes: Sequence[int]) -> list[np.ndarray]:
    rows = [np.ascontiguousarray(array.reshape(len(array), -1), dtype=np.float32) for array in feed]
    outputs = [np.full((len(rows[0]), size), 7e7, np.float32) for size in sizes]
    call(function, rows, outputs)
    return outputs


def assert_agrees(model: Model, folder: Path, rtol: float = 3e-6) -> None:
    """Compare all cases with ONNX Runtime; all that differ are named."""
    proto = model.proto()
    wanted = runtime(proto, model.feed)
    function, sizes = compiled(proto, folder, model.batched)
    wrong = []
    for batch in BATCHES if model.batched else (1,):
        feed = [a[:batch] if model.batched else a.reshape(1, -1) for a in model.feed.values()]
        found = infer(function, feed, sizes)
        for name, ours, right in zip(model.outputs, found, wanted, strict=True):
            right = right[:batch] if model.batched else right[None]
            try:
                np.testing.assert_allclose(ours, right.reshape(batch, -1), rtol=rtol, atol=rtol)
            except AssertionError as error:
                wrong.append(f"{name}, batch of {batch}: {error}")
    assert not wrong, "\n".join(wrong[:5]) + f"\nwrong: {sorted({line.split(',')[0] for line in wrong})}"


def numbers(*shape: int, seed: int = 1) -> np.ndarray:
    """Numbers of which many are equal, zeros of both signs among them."""
    values = np.random.default_rng(seed).integers(-4, 5, shape).astype(np.float32) * np.float32(0.37)
    return np.where(np.random.default_rng(seed + 1).uniform(size=shape) < 0.1, np.float32(-0.0), values)


def positions(low: int, high: int, *shape: int, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, shape, dtype=np.int64)


def joins_and_borders(model: Model, x: str, lead: tuple[int, ...]) -> None:
    """Cases on a value of shape (lead, 3, 4), alike in both readings."""
    whole, case = model.whole, model.case
    first, second = len(lead), len(lead) + 1
    ones = (1,) * first
    for mode in ("constant", "edge", "reflect", "wrap"):
        case(f"Pad {mode}", "Pad", x, whole(*[0] * first, 1, 2, *[0] * first, 2, 1), mode=mode)
        case(f"Pad {mode}, one axis", "Pad", x, whole(2, 3), "", whole(second), mode=mode)
    case("Pad cuts", "Pad", x, whole(*[0] * first, -1, 2, *[0] * first, 1, -1), model.weight(0.5))
    case("Pad only cuts", "Pad", x, whole(*[0] * first, -1, 0, *[0] * first, -1, -2), mode="edge")
    case("Pad nothing", "Pad", x, whole(*[0] * (2 * first + 4)))
    case("Tile", "Tile", x, whole(*ones, 2, 3))
    case("Tile once", "Tile", x, whole(*ones, 1, 1))
    for upper in (0, 1):
        case(f"Trilu {upper}", "Trilu", x, upper=upper)
        case(f"Trilu {upper} shifted", "Trilu", x, model.weight(-1, np.int64), upper=upper)
    case("Compress", "Compress", x, model.weight([True, False, True, True], bool), axis=second)
    case("Compress short", "Compress", x, model.weight([False, True], bool), axis=-1)
    constant = model.weight(np.arange(8).reshape(*ones, 2, 4))
    if not model.batched:  # ONNX Runtime wants the constant once for every event
        case("Concat constant", "Concat", x, constant, x, axis=first)
        case("Concat of moved", "Concat", model.add("Transpose", x), model.weight(np.ones((4, 1))), axis=1)
    for starts, ends, steps in (([3], [0], [-1]), ([-1], [-9], [-2]), ([1], [9], [2]), ([9], [-9], [-3])):
        case(
            f"Slice {starts}{ends}{steps}",
            "Slice",
            x,
            whole(*starts),
            whole(*ends),
            whole(second),
            whole(*steps),
        )
    turned = model.add("Transpose", x, perm=[*range(first), second, first])
    back = model.add("Transpose", turned, perm=[*range(first), second, first])
    case("Transpose twice", "Identity", back)
    joined = model.add("Concat", turned, turned, turned, axis=second)
    case("Transpose, Concat, Slice, Transpose", "Transpose",
         model.add("Slice", joined, whole(1), whole(8), whole(second), whole(2)),
         perm=[*range(first), second, first])  # fmt: skip
    case("Expand more", "Expand", model.add("Unsqueeze", x, whole(first)), whole(*ones, 2, 3, 4))
    case("Reshape of moved", "Reshape", turned, whole(0 if first else 2, 6, 2) if first else whole(6, 2))


def orders(model: Model, x: str, first: int) -> None:
    """Cases on a value with axes ``first`` (5 long) and ``first + 1`` (40 long)."""
    whole, case = model.whole, model.case
    for axis, count, largest in ((first, 3, 1), (first + 1, 7, 0), (first, 5, 0), (first + 1, 40, 1)):
        values, places = model.add("TopK", x, whole(count), axis=axis, largest=largest, count=2)
        model.out(f"TopK {axis} {count} {largest} values", values)
        model.out(f"TopK {axis} {count} {largest} places", places)
    turned = model.add("Transpose", x, perm=[*range(first), first + 1, first])
    case("TopK transposed", "Identity", model.add("TopK", turned, whole(2), axis=first + 1, count=2)[1])
    case("TopK of both", "Identity", model.add("TopK", turned, whole(4), axis=first, count=2)[1])
    for operator in ("ArgMax", "ArgMin"):
        for axis in (first, first + 1, -1):
            for last in (0, 1):
                keep = axis % 2
                case(
                    f"{operator} {axis} {last}", operator, x, axis=axis, select_last_index=last, keepdims=keep
                )
    for axis in (first, first + 1):
        for exclusive in (0, 1):
            for reverse in (0, 1):
                case(f"CumSum {axis} {exclusive} {reverse}", "CumSum", x, model.weight(axis, np.int64),
                     exclusive=exclusive, reverse=reverse)  # fmt: skip


def test_batched(tmp_path: Path) -> None:
    feed = {
        "x": numbers(EVENTS, 3, 4),
        "long": numbers(EVENTS, 5, 40),
        "wide": numbers(EVENTS, 6, 21),
        "of4": positions(-4, 4, EVENTS, 3, 2),
        "of6": positions(-6, 6, EVENTS, 4),
        "pairs": positions(0, 3, EVENTS, 2, 2),
        "steps": positions(0, 4, EVENTS, seed=5),
    }
    model = Model(feed)
    whole, case = model.whole, model.case
    joins_and_borders(model, "x", (EVENTS,))
    orders(model, "long", 1)
    case("GatherElements", "GatherElements", "x", "of4", axis=2)
    case("GatherElements up", "GatherElements", "wide", model.add("Unsqueeze", "of6", whole(2)), axis=1)
    rows = model.add("Unsqueeze", "of6", whole(2))
    case("GatherND rows", "GatherND", "wide", rows, batch_dims=1)
    case("GatherND few rows", "GatherND", "long", model.add("Unsqueeze", "pairs", whole(3)), batch_dims=1)
    case("GatherND numbers", "GatherND", "x", "pairs", batch_dims=1)
    case("GatherND of two", "GatherND", "x", model.add("Unsqueeze", "of4", whole(3)), batch_dims=2)
    table = model.weight(numbers(6, 19, seed=9))
    case("Gather from a table", "Gather", table, "of6", axis=0)
    case("Gather numbers from a table", "Gather", model.weight(numbers(6, seed=9)), "of6")
    case("GatherND from a table", "GatherND", model.weight(numbers(3, 3, 2)), "pairs")
    case("Gather integers", "Gather", model.weight([5, 4, 3, 2, 1, 0], np.int64), "of6")
    updates = model.add("Mul", model.add("Cast", "of4", to=TensorProto.FLOAT), model.weight(0.3))
    for reduction in ("none", "add", "mul", "max", "min"):
        if reduction != "none":  # which of several updates stays is not defined
            case(f"ScatterElements {reduction}", "ScatterElements", "x", "of4", updates,
                 axis=2, reduction=reduction)  # fmt: skip
    once = model.add("TopK", "long", whole(5), axis=2, count=2)[1]
    case("ScatterElements", "ScatterElements", "long", once, model.add("Cast", once, to=1), axis=2)
    for axis in (1, 2, -1):
        case(f"OneHot {axis}", "OneHot", "of6", whole(6), model.weight([-1, 2]), axis=axis)
    case("ReverseSequence", "ReverseSequence", "x", "steps", batch_axis=0, time_axis=1)
    for mode in ("DCR", "CRD"):
        image = model.add("Reshape", "long", whole(0, 8, 5, 5))
        case(f"DepthToSpace {mode}", "DepthToSpace", image, blocksize=2, mode=mode)
    case("SpaceToDepth", "SpaceToDepth", model.add("Reshape", "long", whole(0, 2, 10, 10)), blocksize=2)
    image = model.add("Reshape", "long", whole(0, 2, 10, 10))
    none = model.weight([], np.float32)
    case("Resize nearest", "Resize", image, none, model.weight([1, 1, 2, 0.6]), mode="nearest")
    case("Resize linear", "Resize", image, none, none, whole(7, 13), mode="linear", axes=[2, 3])
    for policy in ("not_larger", "not_smaller"):
        case(f"Resize {policy}", "Resize", image, none, none, whole(5, 11), mode="linear", axes=[2, 3],
             keep_aspect_ratio_policy=policy)  # fmt: skip
    case("Resize cubic", "Resize", image, none, model.weight([1, 1, 0.7, 1.9]), mode="cubic")
    formulas_of_moved_values(model)
    assert_agrees(model, tmp_path)


def formulas_of_moved_values(model: Model) -> None:
    """Element-wise operators behind movements, which they may do themselves."""
    whole, case = model.whole, model.case
    left, right = model.add("Split", "long", axis=2, num_outputs=2, count=2)
    case("halves", "Mul", left, model.add("Sigmoid", right))
    case("half and whole", "Add", left, model.add("Tanh", left))
    rows = model.add("Transpose", model.add("Reshape", "long", whole(0, 5, 2, 20)), perm=[0, 2, 1, 3])
    case("turned rows", "Add", model.add("Abs", rows), model.weight(np.arange(5)[:, None] * np.ones(20)))
    case("columns", "Neg", model.add("Transpose", "long", perm=[0, 2, 1]))
    first = model.add("Slice", "long", whole(0), whole(1), whole(1))
    case("repeated", "Sub", model.add("Expand", first, whole(1, 3, 40)), model.weight(np.ones((3, 1))))
    every = model.add("Slice", "long", whole(0), whole(40), whole(2), whole(2))
    case("every second", "Exp", every)
    backwards = model.add("Slice", "long", whole(-1), whole(-99), whole(1), whole(-1))
    case("backwards", "Mul", backwards, backwards)


def test_static(tmp_path: Path) -> None:
    feed = {
        "x": numbers(3, 4),
        "long": numbers(5, 40),
        "cube": numbers(3, 4, 18),
        "of3": positions(-3, 3, 2, 5),
        "of4": positions(-4, 4, 3, 2, seed=4),
        "pairs": np.array([[0, -1], [2, 1]], np.int64),
        "steps": positions(1, 4, 4, seed=5),
    }
    model = Model(feed, batched=False)
    whole, case = model.whole, model.case
    joins_and_borders(model, "x", ())
    orders(model, "long", 0)
    for axis, index in ((0, "of3"), (1, "of4"), (2, "of4"), (-2, "of4")):
        case(f"Gather {axis}", "Gather", "cube", index, axis=axis)
    case("GatherElements", "GatherElements", "x", "of4", axis=1)
    case("GatherElements 0", "GatherElements", "x", model.add("Expand", whole(2), whole(2, 4)), axis=0)
    pair = model.weight([[0, 1], [2, -1]], np.int64)
    case("GatherND constant", "GatherND", "cube", pair)
    updates = model.add("Slice", "cube", whole(0), whole(2), whole(0))
    updates = model.add("Slice", updates, whole(1), whole(2), whole(1))
    case("ScatterND constant", "ScatterND", "cube", pair, model.add("Squeeze", updates, whole(1)))
    pieces = model.add("Squeeze", updates, whole(1))
    case("ScatterND", "ScatterND", "cube", "pairs", pieces)
    for reduction in ("add", "mul", "max", "min"):
        for name, index in (("constant", pair), ("dynamic", "pairs")):
            case(f"ScatterND {name} {reduction}", "ScatterND", "cube", index, pieces, reduction=reduction)
        case(f"ScatterElements {reduction}", "ScatterElements", "x", model.weight([[0, 1, 1, 2]], np.int64),
             model.add("Slice", "x", whole(1), whole(2), whole(0)), axis=0, reduction=reduction)  # fmt: skip
    case("ReverseSequence", "ReverseSequence", "cube", "steps")
    case("ReverseSequence constant", "ReverseSequence", "cube", whole(3, 1, 2), batch_axis=0, time_axis=1)
    case("Compress all", "Compress", "x", model.weight([0, 1, 1, 0, 0, 1], bool))
    case("EyeLike", "EyeLike", "x", k=1)
    case("Flatten", "Flatten", "cube", axis=2)
    case("Flatten 0", "Flatten", "cube", axis=0)
    case("Squeeze", "Squeeze", model.add("Unsqueeze", "x", whole(0, 2)))
    case("Unsqueeze", "Unsqueeze", "x", whole(-1, 0))
    assert_agrees(model, tmp_path)


def test_products_and_long_tables(tmp_path: Path) -> None:
    """CumProd, which ONNX Runtime does not have yet, and places without order, against numpy."""
    x, many = numbers(4, 5), numbers(20_000)
    model = Model({"x": x, "many": many}, batched=False, opset=26)
    right = []
    for axis in (0, 1):
        model.case(f"CumProd {axis}", "CumProd", "x", model.weight(axis, np.int64))
        right.append(np.cumprod(x, axis))
    model.case("CumProd backwards", "CumProd", "x", model.weight(1, np.int64), reverse=1)
    right.append(np.cumprod(x[:, ::-1], 1)[:, ::-1])
    order = np.random.default_rng(7).permutation(20_000)
    model.case("shuffled", "Gather", "many", model.weight(order, np.int64))
    right.append(many[order])
    places = model.weight(order // 2, np.int64)
    model.case("sums", "ScatterElements", "many", places, "many", axis=0, reduction="add")
    sums = many.copy()
    np.add.at(sums, order // 2, many)
    right.append(sums)
    function, sizes = compiled(model.proto(), tmp_path, batched=False)
    feed = [array.reshape(1, -1) for array in model.feed.values()]
    for ours, wanted in zip(infer(function, feed, sizes), right, strict=True):
        np.testing.assert_allclose(ours.reshape(wanted.shape), wanted, rtol=1e-6, atol=1e-6)


def test_constants_join_every_event(tmp_path: Path) -> None:
    """A constant of one row is the same for all events, as a class token is."""
    x = numbers(EVENTS, 2, 3)
    model = Model({"x": x})
    token = np.array([[[5.0, 6, 7]]], np.float32)
    model.case("token", "Concat", model.weight(token), "x", axis=1)
    model.case("between", "Concat", "x", model.weight(np.ones((1, 2, 2))), "x", axis=2)
    every = model.add("Slice", model.add("Shape", "x"), model.whole(0), model.whole(1))
    shape = model.add("Concat", every, model.whole(1, 3), axis=0)
    model.case("expanded", "Concat", model.add("Expand", model.weight(token), shape), "x", axis=1)
    model.case("zeros", "Concat", model.add("ConstantOfShape", shape), "x", axis=1)
    proto = helper.make_model(
        helper.make_graph(
            model.nodes,
            "cases",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, 3])],
            [helper.make_empty_tensor_value_info(name) for name in model.outputs],
            model.weights,
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    function, sizes = compiled(proto, tmp_path, batched=True)
    first, between, expanded, zeros = infer(function, [x], sizes)
    tokens = np.broadcast_to(token, (EVENTS, 1, 3))
    np.testing.assert_array_equal(first.reshape(-1, 3, 3), np.concatenate([tokens, x], 1))
    np.testing.assert_array_equal(expanded, first)
    np.testing.assert_array_equal(zeros.reshape(-1, 3, 3), np.concatenate([0 * tokens, x], 1))
    ones = np.ones((EVENTS, 2, 2), np.float32)
    np.testing.assert_array_equal(between.reshape(-1, 2, 8), np.concatenate([x, ones, x], 2))


def test_ties_zeros_infinities_and_nan(tmp_path: Path) -> None:
    """Of equal elements the first comes first; -0 equals 0; NaN counts as the largest of all."""
    x = np.array(
        [[0.0, -0.0, 0.0, -np.inf, np.inf, 1e-45], [np.nan, 1, np.inf, np.nan, -np.inf, 0],
         [np.inf] * 6, [np.nan] * 6, [-np.inf] * 6, [3, 1, 2, 2, 1, 3]] * 12,
        np.float32,
    )  # fmt: skip
    model = Model({"x": x})
    for largest in (1, 0):
        model.out(f"{largest}", model.add("TopK", "x", model.whole(6), largest=largest, count=2)[1])
    function, sizes = compiled(model.proto(), tmp_path, batched=True)
    for batch in (1, 3, len(x)):
        down, up = infer(function, [x[:batch]], sizes)
        key = np.nan_to_num(x[:batch].astype(np.float64), nan=1e50, posinf=1e40, neginf=-1e40)
        np.testing.assert_array_equal(down, np.argsort(-key, axis=1, kind="stable"))
        np.testing.assert_array_equal(up, np.argsort(key, axis=1, kind="stable"))


WRONG = (7.0, -8.0, 1e30, -1e30, float("nan"), float("inf"), 3.0)


def indices_out_of_range() -> Model:
    """Gathers and scatters whose indices go from -3 to 2; of each of seven events one index is wrong."""
    feed = {"x": numbers(EVENTS, 3, 20), "at": np.zeros((EVENTS, 2), np.float32)}
    model = Model(feed)
    index = model.add("Cast", "at", to=TensorProto.INT64)
    rows = model.add("Unsqueeze", index, model.whole(2))
    model.case("rows", "GatherND", "x", rows, batch_dims=1)
    model.case("pair", "GatherND", "x", model.add("Unsqueeze", index, model.whole(1)), batch_dims=1)
    model.case("table", "Gather", model.weight(numbers(3, 5)), index)
    column = model.add("Slice", "x", model.whole(0), model.whole(1), model.whole(2))
    column = model.add("Squeeze", column, model.whole(2))
    model.case("elements", "GatherElements", column, index, axis=1)
    model.case("scatter", "ScatterElements", column, index, "at", axis=1, reduction="add")
    return model


def test_an_index_out_of_range_gives_nan(tmp_path: Path) -> None:
    """The row that it should gather, or all of the event that is scattered into; other events are right."""
    model = indices_out_of_range()
    function, sizes = compiled(model.proto(), tmp_path, batched=True)
    x, at = model.feed["x"], model.feed["at"].copy()
    at[:, 0], at[:, 1] = 2, -3
    right = infer(function, [x, at], sizes)
    assert all(np.isfinite(array).all() for array in right)
    for batch in (1, EVENTS):
        wrong = at[:batch].copy()
        wrong[::2, 1] = np.resize(WRONG, len(wrong[::2]))
        rows, pair, table, elements, scatter = infer(function, [x[:batch], wrong], sizes)
        assert np.isnan(rows.reshape(batch, 2, 20)[::2, 1]).all()
        assert np.isnan(table.reshape(batch, 2, 5)[::2, 1]).all()
        assert np.isnan(elements[::2, 1]).all()
        assert np.isnan(scatter[::2]).all()
        np.testing.assert_array_equal(rows[:, :20], right[0][:batch, :20])
        np.testing.assert_array_equal(elements[:, 0], right[3][:batch, 0])
        for ours, wanted in zip((rows, pair, table, elements, scatter), right, strict=True):
            np.testing.assert_array_equal(ours[1::2], wanted[1:batch:2])


def test_an_index_out_of_range_reads_nothing_outside(tmp_path: Path) -> None:
    """Under the address and undefined-behaviour sanitizers, in every mode."""
    model = indices_out_of_range()
    source = generate(model.proto(), name="cases")
    source.save(tmp_path)
    sizes = [int(np.prod(entry["shape"])) for entry in source.manifest["outputs"]]
    (tmp_path / "main.cxx").write_text(f"""
#include "cases.hxx"
#include <limits>
int main() {{
   const float wrong[] = {{7.0f, -8.0f, 1e30f, -1e30f, 2.5e9f, std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity()}};
   {source.namespace}::Session session;
   for (std::size_t n : {{1, 5, {EVENTS}}}) {{
      std::vector<float> x(n * 60, 1.0f), at(n * 2, 0.0f);
      for (std::size_t i = 0; i < n; ++i)
         at[2 * i + i % 2] = wrong[i % 7];
      std::vector<float> y[] = {{{", ".join(f"std::vector<float>(n * {size})" for size in sizes)}}};
      const float* in[] = {{x.data(), at.data()}};
      float* out[] = {{{", ".join(f"y[{i}].data()" for i in range(len(sizes)))}}};
      session.infer(in, n, out);
   }}
}}
""")
    flags = [*FLAGS, "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    find_compiler().run([*flags, "main.cxx", "-o", "main"], tmp_path)
    done = subprocess.run([str(tmp_path / "main")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]


def refusal(shape: Sequence[Any], operator: str, *constants: Any, **attributes: Any) -> str:
    """Return why a model with one node on x, and constants, is refused."""
    model = Model({"x": np.zeros((1, *shape), np.float32)})
    given = [constant if isinstance(constant, str) else model.weight(constant, np.asarray(constant).dtype)
             for constant in constants]  # fmt: skip
    model.out("y", model.add(operator, "x", *given, **attributes))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape])]
    outputs = [helper.make_empty_tensor_value_info("y")]
    graph = helper.make_graph(model.nodes, "cases", inputs, outputs, model.weights)
    with pytest.raises(UnsupportedOperationError, match=f"{operator}|numbers per event|empty") as caught:
        generate(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))
    return str(caught.value)


def whole(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_what_mixes_events_is_empty_or_too_large_is_refused() -> None:
    assert "empty" in refusal((4,), "Slice", whole(2), whole(2), whole(1))
    assert "batch" in refusal((4,), "Slice", whole(0), whole(2), whole(0))
    assert "batch" in refusal((4,), "Transpose", perm=[1, 0])
    assert "events" in refusal((4,), "Flatten", axis=0)
    assert "indices" in refusal((4,), "Gather", whole(4), axis=1)
    assert "axis" in refusal((4,), "TopK", whole(5))
    assert "events" in refusal((4,), "Tile", whole(2, 1))
    assert "nothing" in refusal((4,), "Pad", whole(0, -2, 0, -2))
    assert "mode" in refusal((4,), "Pad", whole(0, 1, 0, 1), mode="mirror")
    assert "Compress" in refusal((4,), "Compress", np.array([True]))
    assert "batch" in refusal((4,), "GatherND", np.zeros((1, 1, 1), np.int64))
    for operator, constants in (
        ("Expand", [whole(1 << 21, 4)]),
        ("Tile", [whole(1, 1 << 40)]),
        ("Pad", [whole(0, 0, 0, 1 << 40)]),
        ("Resize", ["", np.array([1, 1e9], np.float32)]),
    ):
        assert refusal((1, 4) if operator == "Expand" else (4,), operator, *constants)
    assert "no rule" in refusal((4,), "NonZero")
