"""Convolutions and transposed convolutions against ONNX Runtime, in all shapes and in all ways of running."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.cpp import generate
from hepml_root.export.cpp.passes import optimise
from hepml_root.export.cpp.reading import lower
from tests.export.libraries import BATCHES, Cases, Infer, assert_near, compiled, runtime, values_of

INPUTS = {"a": (6, 7, 9), "b": (1, 10, 17), "c": (3, 11), "d": (2, 4, 5, 6)}
OPSET = 22


class Layers(Cases):
    """A model of convolutions, with an output for each."""

    def __init__(self, batch: int | str = "N") -> None:
        super().__init__(INPUTS, batch, OPSET)

    def conv(self, source: str, out: int, *kernel: int, bias: bool = True, **attributes: Any) -> Any:
        inputs = INPUTS[source][0] // attributes.get("group", 1)
        extra = [self.weight(out)] if bias else []
        return self.add("Conv", source, self.weight(out, inputs, *kernel), *extra, **attributes)

    def transposed(self, source: str, out: int, *kernel: int, bias: bool = True, **attributes: Any) -> Any:
        groups = attributes.get("group", 1)
        extra = [self.weight(out)] if bias else []
        weight = self.weight(INPUTS[source][0], out // groups, *kernel)
        return self.add("ConvTranspose", source, weight, *extra, **attributes)


def convolutions(batch: Any = "N") -> onnx.ModelProto:
    cases = Layers(batch)
    for layer in (
        cases.conv("a", 16, 3, 3, pads=[1, 1, 1, 1]),
        cases.conv("a", 3, 3, 3, pads=[0, 2, 1, 0], strides=[2, 1]),
        cases.conv("a", 19, 1, 1),
        cases.conv("a", 19, 1, 1, strides=[2, 3], bias=False),
        cases.conv("a", 9, 3, 2, group=3, dilations=[2, 3], pads=[1, 0, 2, 4], strides=[1, 2]),
        cases.conv("a", 3, 3, 2, auto_pad="SAME_UPPER", strides=[1, 2]),
        cases.conv("a", 6, 3, 3, group=6, auto_pad="SAME_LOWER", strides=[2, 2]),  # depthwise
        cases.conv("a", 3, 4, 4, auto_pad="VALID"),
        cases.conv("a", 3, 7, 9),  # a kernel as large as the image
        cases.conv("a", 3, 2, 2, pads=[3, 3, 3, 3], strides=[3, 3]),  # windows of padding alone
        cases.conv("b", 16, 3, 3),
        cases.conv("b", 1, 5, 5, pads=[2, 2, 2, 2]),
        cases.conv("b", 3, 1, 3, dilations=[1, 2]),
        cases.conv("c", 19, 3, pads=[2, 0], dilations=[2]),  # causal
        cases.conv("c", 16, 4, strides=[3], auto_pad="SAME_UPPER"),
        cases.conv("d", 3, 2, 3, 2, pads=[1, 1, 0, 0, 1, 2], strides=[1, 2, 1]),
        cases.conv("d", 2, 2, 2, 2, group=2, dilations=[2, 1, 1]),
    ):
        cases.outputs.append(layer)
    return cases.model()


def transposed_convolutions(batch: Any = "N") -> onnx.ModelProto:
    cases = Layers(batch)
    for layer in (
        cases.transposed("a", 16, 3, 3),
        cases.transposed("a", 3, 3, 3, strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
        cases.transposed("a", 16, 4, 4, strides=[2, 2], pads=[1, 1, 1, 1]),
        cases.transposed("a", 3, 2, 3, group=3, strides=[3, 2], dilations=[2, 2], output_padding=[1, 0]),
        cases.transposed("a", 1, 3, 3, strides=[2, 3], output_shape=[16, 24]),
        cases.transposed("a", 1, 3, 3, strides=[3, 2], output_shape=[22, 20]),  # longer than all sums
        cases.transposed("a", 1, 3, 3, strides=[2, 2], auto_pad="SAME_UPPER"),
        cases.transposed("a", 1, 5, 3, strides=[2, 1], auto_pad="SAME_LOWER"),
        cases.transposed("a", 3, 1, 1, strides=[2, 2]),  # outputs without any input
        cases.transposed("b", 1, 3, 3, strides=[2, 2], output_padding=[1, 0], bias=False),
        cases.transposed("c", 3, 4, strides=[4], pads=[1, 2]),
        cases.transposed("c", 1, 3, strides=[2], dilations=[3]),
        cases.transposed("d", 3, 2, 3, 2, strides=[1, 2, 2], pads=[1, 0, 0, 0, 1, 0]),
    ):
        cases.outputs.append(layer)
    return cases.model()


def fused() -> onnx.ModelProto:
    """Return convolutions with what follows them: bias, normalisation, activations, shortcuts."""
    cases = Layers()

    def normalised(value: str, channels: int) -> str:
        parameters = [cases.weight(channels) for _ in range(3)]
        variance = cases.constant(np.linspace(0.5, 2, channels))
        return str(cases.add("BatchNormalization", value, *parameters, variance))

    layer = normalised(cases.conv("a", 16, 3, 3, pads=[1, 1, 1, 1]), 16)
    cases.outputs.append(cases.add("Relu", layer))
    layer = cases.add("Add", cases.conv("a", 16, 1, 1, bias=False), cases.weight(16, 1, 1))
    cases.outputs.append(cases.add("Tanh", layer))
    layer = cases.add("Mul", cases.weight(1, 16, 1, 1), cases.conv("a", 16, 3, 3, pads=[1, 1, 1, 1]))
    cases.outputs.append(cases.add("Relu", cases.add("Add", layer, cases.conv("a", 16, 1, 1))))
    cases.outputs.append(cases.add("Add", cases.conv("a", 6, 3, 3, pads=[1, 1, 1, 1]), "a"))
    cases.outputs.append(cases.add("Mul", cases.conv("a", 6, 3, 3, pads=[1, 1, 1, 1]), cases.weight(7, 9)))
    layer = normalised(cases.transposed("a", 16, 2, 2, strides=[2, 2]), 16)
    cases.outputs.append(cases.add("LeakyRelu", layer, alpha=0.3))
    layer = cases.conv("a", 16, 3, 3)
    cases.outputs.append(layer)  # read twice: not fused
    cases.outputs.append(cases.add("Relu", layer))
    return cases.model()


def static(layer: str) -> onnx.ModelProto:
    """Return a model of three images, without a batch axis."""
    cases = Layers(3)
    cases.outputs.append(getattr(cases, layer)("a", 3, 3, 3, pads=[1, 1, 0, 0], strides=[2, 2]))
    cases.outputs.append(cases.add("Add", getattr(cases, layer)("a", 6, 3, 3, pads=[1, 1, 1, 1]), "a"))
    return cases.model()


STATIC = ("static_conv", "static_transposed")
Functions = tuple[dict[str, onnx.ModelProto], dict[str, Infer]]


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Functions:
    models = {"conv": convolutions(), "transposed": transposed_convolutions(), "fused": fused()}
    models |= {name: static(name.removeprefix("static_")) for name in STATIC}
    return models, compiled(models, tmp_path_factory.mktemp("convolution"), static=STATIC)


def images(batch: int, scale: float = 1.0) -> dict[str, np.ndarray]:
    return values_of(INPUTS, batch, scale)


@pytest.mark.parametrize("name", ["conv", "transposed", "fused"])
def test_same_as_onnx_runtime(name: str, functions: Functions) -> None:
    models, infer = functions
    # Of sums of 1e4 the rounding errors alone are not small for what follows a layer.
    for scale in (1.0,) if name == "fused" else (1.0, 1e-3, 1e4):
        given = images(max(BATCHES), scale)
        right = runtime(models[name], given)
        for batch in BATCHES:
            part = {key: array[:batch] for key, array in given.items()}
            found = infer[name](part)
            assert_near(found, {key: array[:batch] for key, array in right.items()}, (name, scale, batch))


def test_events_do_not_touch_each_other(functions: Functions) -> None:
    """NaN and infinity stay in their event, zeros give the bias, and denormals are no trouble."""
    infer = functions[1]["conv"]
    given = images(20)
    calm = infer(given)
    for array in given.values():
        array[3], array[7] = np.nan, np.inf
        array[11], array[12] = 0.0, 1e-40
    found = infer(given)
    others = [i for i in range(20) if i not in (3, 7, 11, 12)]
    for name, array in found.items():
        assert np.array_equal(array[others], calm[name][others])
        assert np.isnan(array[3]).any()
        assert not np.isfinite(array[7]).all()
        assert np.abs(array[11] - array[12]).max() < 1e-30
    alone = infer({name: array[11:12] for name, array in given.items()})
    assert all(np.array_equal(alone[name][0], array[11]) for name, array in found.items())


def test_what_can_be_is_folded_into_the_weights() -> None:
    graph = lower(fused())
    optimise(graph)
    steps = [type(step).__name__ for step in graph.steps]
    assert steps.count("Map") == 1  # the one behind the layer that is read twice
    source = generate(fused(), "fused").header
    assert source.count(", true>(layer") == 1


def attempt(node: str, weight: Sequence[int], shape: Sequence[int], **attributes: Any) -> None:
    graph = helper.make_graph(
        [helper.make_node(node, ["x", "w"], ["y"], name="layer", **attributes)],
        "refused",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.ones(weight, np.float32), "w")],
    )
    generate(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)]))


@pytest.mark.parametrize(
    ("node", "weight", "shape", "attributes", "message"),
    [
        ("Conv", (4, 3, 3, 3), (2, 8, 8), {}, "kernel of shape"),
        ("Conv", (4, 2, 3, 3), (2, 8), {}, "spatial axes"),
        ("Conv", (4, 2, 3, 3), (2, 2, 8), {}, "shorter than the kernel"),
        ("Conv", (4, 1, 3, 3), (2, 8, 8), {"group": 3}, "groups"),
        ("Conv", (4, 2, 3, 3), (2, 8, 8), {"strides": [0, 1]}, "strides"),
        ("Conv", (4, 2, 3, 3), (2, 8, 8), {"pads": [1 << 40] * 4}, "numbers per event"),
        ("Conv", (4, 2, 3, 3), (2, 8, 8), {"dilations": [1 << 40] * 2, "pads": [1 << 41] * 4}, "per event"),
        ("Conv", (4, 2, 3, 3), (2, 8, 8), {"auto_pad": "LEFT"}, "auto_pad"),
        ("Conv", (4, 2, 3, 3, 1, 1), (2, 8, 8, 1, 1), {}, "one to 3"),
        ("Conv", (4, 2, 65, 65), (2, 80, 80), {}, "elements"),
        ("ConvTranspose", (3, 4, 3, 3), (2, 8, 8), {}, "kernel of shape"),
        ("ConvTranspose", (2, 4, 3, 3), (2, 8, 8), {"strides": [1 << 40, 1]}, "strides"),
        ("ConvTranspose", (2, 4, 3, 3), (2, 8, 8), {"output_shape": [40, 40]}, "cannot become"),
        ("ConvTranspose", (2, 4, 3, 3), (2, 8, 8), {"output_padding": [-1, 0]}, "output_padding"),
    ],
)
def test_refused(node: str, weight: Any, shape: Any, attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedOperationError, match=message) as error:
        attempt(node, weight, shape, **attributes)
    if "per event" not in message:
        assert "'layer'" in str(error.value)


def test_weights_of_the_event_are_refused() -> None:
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], name="layer")],
        "refused",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, 8]),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, ["N", 2, 3]),
        ],
        [helper.make_empty_tensor_value_info("y")],
    )
    with pytest.raises(UnsupportedOperationError, match=r"'layer'.*the kernel must be constant"):
        generate(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)]))


def test_the_same_alone_and_in_blocks(functions: Functions) -> None:
    given = images(67)
    for name in ("conv", "transposed", "fused"):
        together = functions[1][name](given)
        alone = functions[1][name]({key: array[40:41] for key, array in given.items()})
        assert all(np.array_equal(alone[key][0], array[40]) for key, array in together.items())


def test_sums_in_double(tmp_path: Path) -> None:
    """Then the result is the exact one, rounded once, with channels in lanes and with pixels in lanes."""
    cases = Layers()
    layers = [cases.conv("a", channels, 3, 3, bias=False) for channels in (16, 2)]
    for layer in layers:
        cases.outputs.append(layer)
    infer = compiled({"double": cases.model()}, tmp_path, accumulate="float64")["double"]
    given = images(17)
    windows = np.lib.stride_tricks.sliding_window_view(given["a"].astype(np.float64), (3, 3), axis=(2, 3))
    for events in (17, 1):
        found = infer({name: array[:events] for name, array in given.items()})
        for layer, weight in zip(layers, cases.weights, strict=True):
            kernel = numpy_helper.to_array(weight).astype(np.float64)
            exact = np.einsum("ncijhw,ochw->noij", windows[:events], kernel)
            np.testing.assert_allclose(found[layer], exact, rtol=2**-24 * 1.01, atol=1e-14)


def test_several_images_of_a_static_model(functions: Functions) -> None:
    models, infer = functions
    given = images(3)
    for name in STATIC:
        assert_near(infer[name](given), runtime(models[name], given), name)
