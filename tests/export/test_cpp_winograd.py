"""Convolutions by minimal filtering: the sums of the direct one, and the same alone and in blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hepml_root.export.cpp import generate
from hepml_root.export.cpp.convolution import Convolution
from hepml_root.export.cpp.passes import optimise
from hepml_root.export.cpp.reading import lower
from hepml_root.export.cpp.winograd import SUMS_OF_TAPS, Winograd, filter_minimally
from tests.export.libraries import Infer, compiled, runtime

# One event, part of a register of events, a register and more.
BATCHES = (1, 5, 35)
# Of the largest output: as for sums of a few hundred products, and two times four sums and differences.
TOLERANCE = 2e-6
OPSET = 22
INPUTS = {"a": (16, 10, 12), "b": (9, 7, 11), "c": (34, 4, 6)}


class Layers:
    """A model that is built layer by layer, with an output for each."""

    def __init__(self, batch: Any = "N") -> None:
        self.batch, self.nodes, self.weights, self.outputs = batch, [], [], []  # type: ignore[var-annotated]
        self.random = np.random.default_rng(4)

    def weight(self, *shape: int) -> str:
        values = self.random.normal(scale=0.1, size=shape).astype(np.float32)
        self.weights.append(numpy_helper.from_array(values, f"w{len(self.weights)}"))
        return self.weights[-1].name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, list(inputs), [f"v{len(self.nodes)}"], **attributes))
        return self.nodes[-1].output[0]

    def conv(
        self, source: str, inputs: int, out: int, pads: tuple[int, ...] = (1, 1, 1, 1), **more: Any
    ) -> str:
        weight = self.weight(out, inputs // more.get("group", 1), 3, 3)
        return self.add("Conv", source, weight, self.weight(out), pads=pads, **more)

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "layers",
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, [self.batch, *shape])
                for name, shape in INPUTS.items()
            ],
            [helper.make_empty_tensor_value_info(name) for name in self.outputs],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
        return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def single_layers() -> onnx.ModelProto:
    layers = Layers()
    a, b, c = INPUTS
    layers.outputs = [
        layers.conv(a, 16, 16),
        layers.add("Relu", layers.conv(a, 16, 19)),
        layers.conv(a, 16, 8, pads=(0, 0, 0, 0)),
        layers.conv(a, 16, 24, pads=(2, 1, 0, 3)),
        layers.conv(a, 16, 16, group=2),
        layers.conv(b, 9, 17),  # an odd number of rows, columns and channels
        layers.add("Tanh", layers.conv(b, 9, 33, pads=(1, 0, 1, 0))),
        layers.conv(c, 34, 50),
        layers.add("MaxPool", layers.add("Relu", layers.conv(a, 16, 9)), kernel_shape=[2, 2], strides=[2, 2]),
        # What lies behind the last whole window is left out.
        layers.add("MaxPool", layers.conv(b, 9, 18), kernel_shape=[2, 2], strides=[2, 2]),
        layers.add("MaxPool", layers.add("Tanh", layers.conv(a, 16, 9)), kernel_shape=[2, 2], strides=[2, 2]),
        layers.add("MaxPool", layers.conv(a, 16, 9), kernel_shape=[3, 3], strides=[2, 2]),
        # A formula that needs to know where it is.
        layers.add("Relu", layers.add("Add", layers.conv(a, 16, 16), a)),
        layers.add("Mul", layers.conv(a, 16, 16), layers.weight(10, 12)),
    ]
    return layers.model()


def networks() -> onnx.ModelProto:
    """Return layers that keep the order of pixels among themselves, and some whose images others read too."""
    layers = Layers()
    a, b, _ = INPUTS
    first = layers.add("Relu", layers.add("Conv", a, layers.weight(32, 16, 1, 1), layers.weight(32)))
    second = layers.add("Relu", layers.conv(first, 32, 24))
    pooled = layers.add(
        "MaxPool", layers.add("Relu", layers.conv(second, 24, 20)), kernel_shape=[2, 2], strides=[2, 2]
    )
    dense = layers.add("Gemm", layers.add("Flatten", pooled), layers.weight(20 * 5 * 6, 3), layers.weight(3))
    twice = layers.add("LeakyRelu", layers.conv(b, 9, 16), alpha=0.2)
    shortcut = layers.add("Add", layers.conv(twice, 16, 16), twice)
    layers.outputs = [dense, shortcut, layers.conv(shortcut, 16, 8)]
    return layers.model()


def static() -> onnx.ModelProto:
    layers = Layers(3)
    first = layers.add("Relu", layers.conv("a", 16, 16))
    layers.outputs = [layers.add("Add", layers.conv(first, 16, 16), "a"), layers.conv("b", 9, 16)]
    return layers.model()


MODELS = {"single_layers": single_layers, "networks": networks, "static": static}
Functions = tuple[dict[str, onnx.ModelProto], dict[str, Infer]]


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Functions:
    models = {name: make() for name, make in MODELS.items()}
    return models, compiled(models, tmp_path_factory.mktemp("winograd"), static=("static",))


def images(batch: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(5)
    return {name: random.normal(size=(batch, *shape)).astype(np.float32) for name, shape in INPUTS.items()}


def assert_near(found: dict[str, np.ndarray], right: dict[str, np.ndarray], tolerance: float) -> None:
    errors = {name: np.abs(found[name] - right[name]).max() / np.abs(right[name]).max() for name in right}
    assert all(error < tolerance for error in errors.values()), errors


def test_it_is_taken_where_it_is_faster() -> None:
    counts = {}
    for name, make in MODELS.items():
        graph = lower(make(), batched=name != "static")
        optimise(graph)
        filter_minimally(graph)
        steps = [step for step in graph.steps if isinstance(step, Convolution)]
        counts[name] = sum(isinstance(step, Winograd) for step in steps), len(steps)
    # Two groups of 8 channels are enough; one tap is not for it.
    assert counts == {"single_layers": (14, 14), "networks": (5, 6), "static": (3, 3)}


def test_layers_keep_the_order_of_pixels_among_themselves() -> None:
    header = generate(networks(), "networks").header
    # Before and after: one image that is read twice, the shortcut, and the last output.
    assert (header.count("engine::channels_last<M>"), header.count("engine::channels_first<M>")) == (3, 3)
    assert "engine::pooling" not in header


def test_same_as_onnx_runtime(functions: Functions) -> None:
    models, infer = functions
    for name in ("single_layers", "networks"):
        given = images(max(BATCHES))
        right = runtime(models[name], given)
        for batch in BATCHES:
            found = infer[name]({key: array[:batch] for key, array in given.items()})
            # Of several layers the errors of the first pass through the others.
            tolerance = TOLERANCE if name == "single_layers" else 3 * TOLERANCE
            assert_near(found, {key: array[:batch] for key, array in right.items()}, tolerance)


def test_several_images_of_a_static_model(functions: Functions) -> None:
    given = images(3)
    assert_near(functions[1]["static"](given), runtime(functions[0]["static"], given), TOLERANCE)


def test_the_same_alone_and_in_blocks(functions: Functions) -> None:
    given = images(67)
    for name in ("single_layers", "networks"):
        together = functions[1][name](given)
        for event in (0, 40, 66):
            alone = functions[1][name]({key: array[event : event + 1] for key, array in given.items()})
            assert all(np.array_equal(alone[key][0], array[event]) for key, array in together.items())


def test_an_output_depends_on_its_window_alone(functions: Functions) -> None:
    """A huge number beside small ones disturbs the nine outputs that see it, and no other by a single bit."""
    infer, given = functions[1]["single_layers"], images(17)
    calm = infer(given)["v0"]
    for value in (1e30, np.inf, np.nan):
        given["a"][3, 5, 4, 6] = value
        for events in (slice(None), slice(3, 4)):
            found = infer({key: array[events] for key, array in given.items()})["v0"]
            same = np.equal(found, calm[events])
            which = 3 if events == slice(None) else 0
            assert not same[which, :, 3:6, 5:8].any()
            same[which, :, 3:6, 5:8] = True
            assert same.all()


@pytest.mark.slow
@pytest.mark.parametrize("flags", [("-mno-avx512f",), ("-march=x86-64",)], ids=["avx2", "plain"])
def test_narrow_registers(flags: tuple[str, ...], tmp_path: Path) -> None:
    model = networks()
    infer = compiled({"networks": model}, tmp_path, flags=flags)["networks"]
    given = images(19)
    found = infer(given)
    assert_near(found, runtime(model, given), 3 * TOLERANCE)
    alone = infer({key: array[18:] for key, array in given.items()})
    assert all(np.array_equal(alone[key][0], array[18]) for key, array in found.items())


def test_the_sums_of_taps() -> None:
    """By exact numbers: the three transforms together are the sum over the taps."""
    random = np.random.default_rng(1)
    d, g = random.integers(-8, 8, 4), random.integers(-8, 8, 3)
    spread = np.array([d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]])
    m = spread * (SUMS_OF_TAPS @ g)
    assert [m[0] + m[1] + m[2], m[1] - m[2] - m[3]] == [g @ d[:3], g @ d[1:]]
