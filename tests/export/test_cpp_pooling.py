"""Pooling against ONNX Runtime, in all shapes and in all ways of running."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.cpp import generate
from tests.export.libraries import Infer, compiled, runtime

BATCHES = (1, 5, 16, 67)
INPUTS = {"a": (6, 7, 9), "c": (3, 11), "d": (2, 4, 5, 6)}
Case = tuple[str, str, dict[str, Any]]
OPERATORS = ("MaxPool", "AveragePool", "LpPool")
SHAPES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("a", {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("a", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("a", {"kernel_shape": [2, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ("a", {"kernel_shape": [2, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    ("a", {"kernel_shape": [3, 2], "strides": [2, 3], "ceil_mode": 1}),
    ("a", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 1, 2], "ceil_mode": 1}),
    ("a", {"kernel_shape": [2, 2], "dilations": [2, 3]}),
    ("a", {"kernel_shape": [5, 5], "pads": [2, 2, 2, 2]}),
    ("c", {"kernel_shape": [3]}),
    ("c", {"kernel_shape": [3], "strides": [3], "pads": [1, 2]}),
    ("d", {"kernel_shape": [2, 3, 2], "strides": [1, 2, 2], "pads": [1, 0, 0, 0, 1, 1]}),
)
# Means that count the padding; norms of other powers.
OTHERS: tuple[Case, ...] = (
    ("AveragePool", "a", {**SHAPES[1][1], "count_include_pad": 1}),
    ("AveragePool", "a", {**SHAPES[1][1], "count_include_pad": 1, "ceil_mode": 1}),
    ("AveragePool", "a", {"kernel_shape": [2, 2], "strides": [3, 3], "dilations": [2, 2], "ceil_mode": 1}),
    ("LpPool", "a", {"kernel_shape": [2, 2], "p": 1}),
    ("LpPool", "a", {"kernel_shape": [2, 2], "p": 3}),
    ("MaxPool", "a", {"kernel_shape": [2, 2], "storage_order": 1}),  # orders the indices only
)


def windows(batch: Any = "N") -> onnx.ModelProto:
    return model(batch, [(operator, *shape) for shape in SHAPES for operator in OPERATORS] + [*OTHERS])


def whole_images(batch: Any = "N") -> onnx.ModelProto:
    """ONNX Runtime does not know the last opset of GlobalLpPool."""
    operators = ("GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool")
    cases: list[Case] = [(operator, source, {}) for operator in operators for source in INPUTS]
    return model(batch, [*cases, ("GlobalLpPool", "a", {"p": 3})], opset=20)


def model(batch: Any, cases: list[Case], opset: int = 22) -> onnx.ModelProto:
    nodes, outputs = [], []
    for number, (operator, source, attributes) in enumerate(cases):
        nodes.append(helper.make_node(operator, [source], [f"{operator}_{number}"], **attributes))
        outputs.append(helper.make_empty_tensor_value_info(f"{operator}_{number}"))
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *shape])
        for name, shape in INPUTS.items()
    ]
    graph = helper.make_graph(nodes, "pooling", inputs, outputs)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return onnx.shape_inference.infer_shapes(made, strict_mode=True)


Functions = tuple[dict[str, onnx.ModelProto], dict[str, Infer]]


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Functions:
    static = model(3, [("AveragePool", *SHAPES[1]), ("GlobalMaxPool", "d", {})])
    models = {"windows": windows(), "whole_images": whole_images(), "static": static}
    return models, compiled(models, tmp_path_factory.mktemp("pooling"), static=["static"])


def images(batch: int, scale: float = 1.0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(5)
    return {
        name: random.normal(scale=scale, size=(batch, *shape)).astype(np.float32)
        for name, shape in INPUTS.items()
    }


@pytest.mark.parametrize("model", ["windows", "whole_images"])
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_same_as_onnx_runtime(model: str, scale: float, functions: Functions) -> None:
    models, infer = functions
    given = images(max(BATCHES), scale)
    right = runtime(models[model], given)
    for batch in BATCHES:
        found = infer[model]({key: array[:batch] for key, array in given.items()})
        for name, wanted in right.items():
            if name.startswith(("MaxPool", "GlobalMaxPool")):
                np.testing.assert_array_equal(found[name], wanted[:batch], err_msg=f"{name} of {batch}")
            else:
                atol = 1e-6 * float(np.abs(wanted).max())
                np.testing.assert_allclose(found[name], wanted[:batch], rtol=1e-5, atol=atol, err_msg=name)


def test_the_same_alone_and_in_blocks(functions: Functions) -> None:
    given = images(67)
    for name in ("windows", "whole_images"):
        together = functions[1][name](given)
        alone = functions[1][name]({key: array[40:41] for key, array in given.items()})
        assert all(np.array_equal(alone[key][0], array[40]) for key, array in together.items())


def test_several_images_of_a_static_model(functions: Functions) -> None:
    models, infer = functions
    found, right = infer["static"](images(3)), runtime(models["static"], images(3))
    for name, wanted in right.items():
        np.testing.assert_allclose(found[name], wanted, rtol=1e-5, atol=1e-6, err_msg=name)


def test_infinite_and_not_a_number(functions: Functions) -> None:
    """The largest of values far below zero is one of them; NaN is never hidden, and stays in its event."""
    infer = functions[1]["windows"]
    given = images(20)
    calm = infer(given)
    for array in given.values():
        array[3], array[7], array[11] = np.nan, -np.inf, -1e30
    found = infer(given)
    others = [i for i in range(20) if i not in (3, 7, 11)]
    for name, array in found.items():
        assert np.array_equal(array[others], calm[name][others])
        assert np.isnan(array[3]).all()
        if "Max" in name:
            assert (array[7] == -np.inf).all()
            assert (array[11] == np.float32(-1e30)).all()
    alone = infer({name: array[3:4] for name, array in given.items()})
    assert all(np.isnan(array).all() for array in alone.values())


@pytest.mark.parametrize(
    ("attributes", "outputs", "message"),
    [
        ({"kernel_shape": [9, 9]}, 1, "shorter than the window"),
        ({"kernel_shape": [2, 2], "pads": [2, 0, 0, 0]}, 1, "lies in the padding"),
        ({"kernel_shape": [2, 2], "pads": [-1, 0, 0, 0]}, 1, "negative pads"),
        ({"kernel_shape": [2]}, 1, "spatial axes"),
        ({"kernel_shape": [0, 2]}, 1, "kernel_shape"),
        ({"kernel_shape": [2, 2], "pads": [0, 0, 1 << 40, 0]}, 1, "numbers per event"),
    ],
)
def test_refused(attributes: dict[str, Any], outputs: int, message: str) -> None:
    names = [f"y{i}" for i in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node("MaxPool", ["x"], names, name="layer", **attributes)],
        "refused",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, 8, 8])],
        [helper.make_empty_tensor_value_info(name) for name in names],
    )
    with pytest.raises(UnsupportedOperationError, match=message):
        generate(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]))


def test_indices_are_refused_where_they_are_read() -> None:
    nodes = [
        helper.make_node("MaxPool", ["x"], ["y", "i"], kernel_shape=[2, 2]),
        helper.make_node("Cast", ["i"], ["z"], to=TensorProto.FLOAT, name="reader"),
    ]
    graph = helper.make_graph(
        nodes,
        "refused",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, 8, 8])],
        [helper.make_empty_tensor_value_info(name) for name in ("y", "z")],
    )
    with pytest.raises(UnsupportedOperationError, match=r"'reader'.*'i'"):
        generate(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]))
