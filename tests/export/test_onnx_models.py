"""Layers and model structures: what is exported gives what Keras gives, from one clean graph."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

from hepml_root.errors import ShapeError, UnsupportedOperationError
from hepml_root.export.onnx import emit, input_names, rules

ACTIVATIONS = [
    "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "swish", "mish", "softplus", "softsign", "sigmoid",
    "tanh", "softmax", "log_softmax", "exponential", "linear", "hard_sigmoid", "hard_silu", "hard_tanh",
    "hard_shrink", "celu", "glu", "log_sigmoid", "relu6", "soft_shrink", "sparse_plus", "sparse_sigmoid",
    "squareplus", "tanh_shrink", "threshold", "sparsemax",
]  # fmt: skip
NEEDS_SETTINGS = {"threshold": {"threshold": 0.2, "default_value": -1.0}}


def op_types(proto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


def dense(units: int, **settings) -> layers.Dense:
    return layers.Dense(units, bias_initializer="normal", **settings)


def test_every_activation_of_keras_is_listed() -> None:
    names = {name for name in dir(keras.activations) if name[0].islower()}
    other_names = {"get", "serialize", "deserialize", "hard_swish"}
    assert names - other_names == set(ACTIVATIONS)


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_in_dense(name: str, rank: int, same_as_keras, events) -> None:
    function = keras.activations.get(name)
    activation = (lambda x: function(x, **NEEDS_SETTINGS[name])) if name in NEEDS_SETTINGS else function
    shape = (4, 6)[-rank:]
    x = keras.Input(shape, name="features")
    model = keras.Model(x, dense(8, activation=activation)(x))
    proto = same_as_keras(model, {"features": events(shape)}, tolerance=5e-6)
    assert op_types(proto)[0] == ("Gemm" if rank == 1 else "MatMul")


def batch_norm(**settings) -> layers.BatchNormalization:
    initial = {
        name: keras.initializers.RandomUniform(0.5, 2.0, seed=seed)
        for seed, name in enumerate(
            (
                "beta_initializer",
                "gamma_initializer",
                "moving_mean_initializer",
                "moving_variance_initializer",
            )
        )
    }
    return layers.BatchNormalization(**initial, **settings)


def normalization(**settings) -> layers.Normalization:
    return layers.Normalization(mean=[1.0, -2.0, 3.0], variance=[4.0, 0.25, 0.0], **settings)


# Layer and the shape of one event.
LAYERS = {
    "Dense of rank 2 is a Gemm": (lambda: dense(5), (3,)),
    "Dense without bias": (lambda: layers.Dense(5, use_bias=False), (3,)),
    "Dense of rank 4": (lambda: dense(5), (2, 4, 3)),
    "EinsumDense": (
        lambda: layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 5), bias_axes="de"),
        (4, 3),
    ),
    "BatchNormalization": (batch_norm, (3,)),
    "BatchNormalization of rank 3": (batch_norm, (4, 3)),
    "BatchNormalization of another axis": (lambda: batch_norm(axis=1), (4, 3)),
    "LayerNormalization": (lambda: layers.LayerNormalization(beta_initializer="normal"), (4, 3)),
    "LayerNormalization bare": (lambda: layers.LayerNormalization(center=False, scale=False), (3,)),
    "LayerNormalization of two axes": (lambda: layers.LayerNormalization(axis=(1, 2)), (4, 3)),
    "LayerNormalization of the first axis": (lambda: layers.LayerNormalization(axis=1), (4, 3)),
    "RMSNormalization": (lambda: layers.RMSNormalization(), (4, 3)),
    "UnitNormalization": (lambda: layers.UnitNormalization(), (4, 3)),
    "GroupNormalization": (lambda: layers.GroupNormalization(groups=3), (4, 6)),
    "Normalization": (normalization, (3,)),
    "Normalization inverted": (lambda: normalization(invert=True), (3,)),
    "Rescaling": (lambda: layers.Rescaling(0.1, 0.5), (3,)),
    "Rescaling without offset": (lambda: layers.Rescaling(0.1), (3,)),
    "Dropout": (lambda: layers.Dropout(0.5), (3,)),
    "AlphaDropout": (lambda: layers.AlphaDropout(0.5), (3,)),
    "GaussianDropout": (lambda: layers.GaussianDropout(0.5), (3,)),
    "GaussianNoise": (lambda: layers.GaussianNoise(0.5), (3,)),
    "SpatialDropout1D": (lambda: layers.SpatialDropout1D(0.5), (4, 3)),
    "ActivityRegularization": (lambda: layers.ActivityRegularization(0.1), (3,)),
    "Identity": (lambda: layers.Identity(), (3,)),
    "PReLU": (lambda: layers.PReLU(alpha_initializer="normal"), (4, 3)),
    "PReLU with a shared axis": (lambda: layers.PReLU(alpha_initializer="normal", shared_axes=[1]), (4, 3)),
    "LeakyReLU": (lambda: layers.LeakyReLU(0.3), (3,)),
    "ELU": (lambda: layers.ELU(0.7), (3,)),
    "ReLU": (lambda: layers.ReLU(max_value=2.0, negative_slope=0.1, threshold=0.5), (3,)),
    "Softmax": (lambda: layers.Softmax(axis=1), (4, 3)),
    "Activation": (lambda: layers.Activation("gelu"), (3,)),
    "Flatten": (lambda: layers.Flatten(), (2, 4, 3)),
    "Reshape": (lambda: layers.Reshape((3, -1)), (2, 3, 4)),
    "Permute": (lambda: layers.Permute((3, 1, 2)), (2, 3, 4)),
    "RepeatVector": (lambda: layers.RepeatVector(4), (3,)),
    "Cropping1D": (lambda: layers.Cropping1D((1, 1)), (4, 3)),
    "ZeroPadding1D": (lambda: layers.ZeroPadding1D((1, 2)), (4, 3)),
    "GlobalAveragePooling1D": (lambda: layers.GlobalAveragePooling1D(), (4, 3)),
    "GlobalMaxPooling1D": (lambda: layers.GlobalMaxPooling1D(), (4, 3)),
    "TimeDistributed": (lambda: layers.TimeDistributed(dense(5, activation="tanh")), (4, 3)),
    "Discretization": (lambda: layers.Discretization([-1.0, 0.0, 1.0]), (3,)),
    "Lambda": (lambda: layers.Lambda(lambda x: ops.sin(x) + 1.0), (3,)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str, same_as_keras, events) -> None:
    make, shape = LAYERS[name]
    x = keras.Input(shape, name="features")
    # Events of one repeated number have no variance: only rounding errors are left to be normalised.
    tolerance = 1e-4 if name.startswith("LayerNormalization") else 2e-6
    same_as_keras(keras.Model(x, make()(x)), {"features": events(shape)}, tolerance)


# Merging layers of two inputs.
MERGES = {
    "Add": layers.Add, "Subtract": layers.Subtract, "Multiply": layers.Multiply, "Average": layers.Average,
    "Maximum": layers.Maximum, "Minimum": layers.Minimum, "Concatenate": layers.Concatenate,
    "Concatenate of axis 1": lambda: layers.Concatenate(axis=1), "Dot": lambda: layers.Dot(axes=(1, 1)),
    "Dot normalised": lambda: layers.Dot(axes=-1, normalize=True),
}  # fmt: skip


@pytest.mark.parametrize("name", MERGES)
def test_merging_layers(name: str, same_as_keras, events) -> None:
    a, b = keras.Input((4, 3), name="a"), keras.Input((4, 3), name="b")
    model = keras.Model({"a": a, "b": b}, MERGES[name]()([a, b]))
    same_as_keras(model, {"a": events((4, 3)), "b": events((4, 3), seed=2)})


def test_batch_normalisation_vanishes_into_the_products(same_as_keras, events) -> None:
    x = keras.Input((3,), name="features")
    y = keras.layers.Activation("relu")(batch_norm()(dense(8, use_bias=False)(x)))
    y = keras.layers.Activation("tanh")(batch_norm()(dense(8)(y)))
    y = keras.layers.Reshape((2, 4))(y)
    y = keras.layers.Activation("tanh")(batch_norm()(dense(5)(y)))
    proto = same_as_keras(keras.Model(x, y), {"features": events((3,))}, tolerance=1e-5)
    assert op_types(proto) == ["Gemm", "Relu", "Gemm", "Tanh", "Reshape", "MatMul", "Add", "Tanh"]


def test_a_product_used_twice_is_not_fused(same_as_keras, events) -> None:
    x = keras.Input((3,), name="features")
    product = dense(4)(x)
    model = keras.Model(x, layers.Add()([product, batch_norm()(product)]))
    proto = same_as_keras(model, {"features": events((3,))})
    assert op_types(proto) == ["Gemm", "Mul", "Add", "Add"]


def test_inputs_and_outputs_have_their_names_and_order(same_as_keras, events) -> None:
    a, b = keras.Input((3,), name="first"), keras.Input((4, 2), name="second")
    y = layers.Concatenate()([dense(4, activation="relu")(a), layers.Flatten()(b)])
    model = keras.Model({"features": a, "constituents": b}, {"score": dense(1)(y), "mass": dense(2)(y)})
    blocks = {"features": events((3,)), "constituents": events((4, 2), seed=2)}
    proto = same_as_keras(model, blocks)
    assert {value.name for value in proto.graph.input} == {"features", "constituents"}
    assert [value.name for value in proto.graph.output] == ["mass", "score"]
    for order in (["constituents", "features"], ["features", "constituents"]):
        turned = emit(model, inputs=order)
        assert [value.name for value in turned.graph.input] == order
    with pytest.raises(ShapeError, match="features"):
        emit(model, inputs=["features", "particles"])
    with pytest.raises(ShapeError, match="2 outputs"):
        emit(model, outputs=["score"])


def test_a_list_of_inputs_goes_by_the_names_of_the_inputs(same_as_keras, events) -> None:
    a, b = keras.Input((3,), name="first"), keras.Input((3,), name="second")
    model = keras.Model([a, b], [layers.Subtract()([a, b]), a])
    assert input_names(model) == ["first", "second"]
    same_as_keras(model, {"first": events((3,)), "second": events((3,), seed=2)})


def test_integer_and_boolean_inputs_are_taken_as_float32(same_as_keras) -> None:
    kind, mask = keras.Input((1,), dtype="int32", name="kind"), keras.Input((3,), dtype="bool", name="mask")
    y = layers.Concatenate()(
        [layers.CategoryEncoding(4, output_mode="one_hot")(kind), ops.cast(ops.logical_not(mask), "float32")]
    )
    model = keras.Model({"kind": kind, "mask": mask}, dense(2)(y))
    rng = np.random.default_rng(1)
    blocks = {"kind": rng.integers(0, 4, (50, 1)), "mask": rng.integers(0, 2, (50, 3))}
    proto = same_as_keras(model, {name: values.astype(np.float32) for name, values in blocks.items()})
    assert all(value.type.tensor_type.elem_type == 1 for value in proto.graph.input)


def test_shared_nested_and_sequential_models(same_as_keras, events) -> None:
    inner_in = keras.Input((3,))
    inner = keras.Model(inner_in, dense(3, activation="tanh")(inner_in), name="inner")
    tower = keras.Sequential([dense(6, activation="relu"), inner_layer := dense(3)], name="tower")
    x = keras.Input((3,), name="features")
    model = keras.Model(x, layers.Add()([inner(inner(x)), tower(x), inner_layer(tower.layers[0](x))]))
    proto = same_as_keras(model, {"features": events((3,))})
    assert (
        len([w for w in proto.graph.initializer if list(w.dims) == [3, 3]]) == 1
    )  # shared weights, stored once
    assert any(node.name.startswith("inner/") for node in proto.graph.node)
    same_as_keras(
        keras.Sequential([keras.Input((3,), name="features"), dense(2)]), {"features": events((3,))}
    )


def test_a_model_class_is_expanded_like_a_layer(same_as_keras, events) -> None:
    class Tower(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="own_tower")
            self.first, self.drop, self.last = dense(8, activation="silu"), layers.Dropout(0.5), dense(2)

        def call(self, x, training=False):
            return self.last(self.drop(self.first(x), training=training)) + ops.sum(x, axis=-1, keepdims=True)

    x = keras.Input((3,), name="features")
    same_as_keras(keras.Model(x, Tower()(x)), {"features": events((3,))})
    with pytest.raises(UnsupportedOperationError, match=r"keras\.Input"):
        emit(Tower())


def test_own_layers_that_read_the_batch_size_and_merge_axes(same_as_keras, events) -> None:
    class Pairs(keras.layers.Layer):
        """Differences of all pairs of constituents, computed with the batch size at hand."""

        def build(self, shape) -> None:
            self.kernel = self.add_weight(shape=(shape[-1], 5), initializer="normal", name="kernel")

        def call(self, x):
            batch, count, size = ops.shape(x)
            pairs = ops.expand_dims(x, 1) - ops.expand_dims(x, 2)
            rows = ops.reshape(pairs, (batch * count * count, size))
            values = ops.reshape(ops.matmul(rows, self.kernel), (batch, count * count, 5))
            start = ops.zeros((batch, 1, 5))
            return ops.max(ops.concatenate([start, values], axis=1), axis=1)

        def compute_output_shape(self, shape):
            return (shape[0], 5)

    x = keras.Input((4, 3), name="particles")
    same_as_keras(keras.Model(x, Pairs()(x)), {"particles": events((4, 3))})


def test_a_keras_mask_travels(same_as_keras) -> None:
    rng = np.random.default_rng(1)
    particles = rng.normal(size=(50, 6, 3)).astype(np.float32)
    for event, row in enumerate(particles):
        row[1 + event % 6 :] = 0.0
    x = keras.Input((6, 3), name="particles")
    y = dense(4, activation="tanh")(layers.Masking()(x))
    model = keras.Model(x, layers.GlobalAveragePooling1D()(y))
    same_as_keras(model, {"particles": particles})
    inner = keras.Sequential([dense(4, activation="tanh"), layers.GlobalAveragePooling1D()], name="inner")
    same_as_keras(keras.Model(x, inner(layers.Masking()(x))), {"particles": particles})


def test_softmax_over_several_axes_and_under_a_mask(same_as_keras, events) -> None:
    x, mask = keras.Input((4, 3), name="x"), keras.Input((4, 3), name="mask")
    rng = np.random.default_rng(1)
    blocks = {"x": events((4, 3)), "mask": (rng.random((200, 4, 3)) > 0.4).astype(np.float32)}
    blocks["mask"][::10] = 0.0
    for axis in (-1, 1, (1, 2)):
        y = layers.Softmax(axis=axis)(x, mask=mask)
        same_as_keras(keras.Model({"x": x, "mask": mask}, y), blocks)
        same_as_keras(keras.Model(x, layers.Softmax(axis=axis)(x)), {"x": blocks["x"]})


def test_embeddings_are_looked_up(same_as_keras) -> None:
    kind = keras.Input((3,), dtype="int32", name="kind")
    embedded = layers.Embedding(5, 4, mask_zero=True)(kind)
    model = keras.Model(kind, layers.GlobalAveragePooling1D()(embedded))
    same_as_keras(model, {"kind": np.random.default_rng(1).integers(0, 5, (50, 3)).astype(np.float32)})


def test_the_model_is_left_as_it_was() -> None:
    x = keras.Input((3,), name="features")
    inner = keras.Sequential([dense(4), layers.Dropout(0.5)], name="inner")
    model = keras.Model(x, ops.sum(inner(x) * 2.0, axis=-1, keepdims=True))
    before = model.to_json()
    first = emit(model).SerializeToString(deterministic=True)
    assert emit(model).SerializeToString(deterministic=True) == first
    assert model.to_json() == before
    assert all(len(layer._inbound_nodes) <= 2 for layer in model._flatten_layers())


def test_names_and_sizes_that_collide_with_the_trace(same_as_keras, events) -> None:
    x = keras.Input((3,), name="Gemm")  # a name the emitter itself would choose for a node
    y = dense(7919, activation="relu")(x)  # the size that stands for the events, unless it is taken
    proto = same_as_keras(keras.Model(x, dense(1)(y)), {"Gemm": events((3,), 20)})
    names = [name for node in proto.graph.node for name in node.output] + ["Gemm"]
    assert len(set(names)) == len(names)


def test_low_rank_adaptation_is_merged(same_as_keras, events) -> None:
    x = keras.Input((6,), name="features")
    layer = dense(5)
    model = keras.Model(x, layer(x))
    layer.enable_lora(2, b_initializer="normal")
    proto = same_as_keras(model, {"features": events((6,))})
    assert op_types(proto) == ["Gemm"]


REFUSED = {
    "half precision": (lambda: layers.Dense(2, dtype="mixed_float16"), "float16"),
    "double precision": (lambda: layers.Dense(2, dtype="float64"), "float64"),
    "an encoding of text": (lambda: layers.Discretization([0.0], output_mode="multi_hot"), "multi_hot"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_layers_refused_by_name(name: str) -> None:
    make, message = REFUSED[name]
    layer = make()
    x = keras.Input((3,), name="features")
    with pytest.raises(UnsupportedOperationError, match=message) as caught:
        emit(keras.Model(x, layer(x)))
    assert layer.name in str(caught.value)


def test_a_dropout_that_stays_on_is_refused() -> None:
    class Noisy(keras.layers.Layer):
        def __init__(self, **settings) -> None:
            super().__init__(**settings)
            self.drop = layers.Dropout(0.5, name="drop")

        def call(self, x):
            return self.drop(x, training=True)

        def compute_output_shape(self, shape):
            return shape

    x = keras.Input((3,), name="features")
    with pytest.raises(UnsupportedOperationError, match=r"noisy/drop.*training=True"):
        emit(keras.Model(x, Noisy(name="noisy")(x)))


def test_a_second_free_axis_is_refused() -> None:
    x = keras.Input((None, 3), name="particles")
    with pytest.raises(UnsupportedOperationError, match=r"particles.*fixed length"):
        emit(keras.Model(x, dense(2)(x)))


def test_an_output_without_events_is_refused() -> None:
    x = keras.Input((3,), name="features")
    scale = layers.Lambda(lambda _: ops.ones((2, 2)), output_shape=(2,))(x)
    with pytest.raises(UnsupportedOperationError, match=r"\(2, 2\): it must have one row for each event"):
        emit(keras.Model(x, scale))
    rows = layers.Lambda(lambda t: ops.reshape(t, (-1, 1)), output_shape=(1,))(x)
    with pytest.raises(UnsupportedOperationError, match="one row for each event"):
        emit(keras.Model(x, rows))


class Shift(keras.layers.Layer):
    """Computes with NumPy, which no trace can follow."""

    def call(self, x):
        return ops.convert_to_tensor(np.asarray(ops.convert_to_numpy(x)) + 1.0)

    def compute_output_shape(self, shape):
        return shape


class DoubleShift(Shift):
    """A child that computes something else: the rule of its parent must not be used for it."""

    def call(self, x):
        return x + 2.0


class Thrice(keras.Operation):
    def call(self, x):
        return 3.0 * x

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


def test_own_rules(same_as_keras, events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "_LAYERS", dict(rules._LAYERS))
    monkeypatch.setattr(rules, "_OPERATIONS", dict(rules._OPERATIONS))
    x = keras.Input((3,), name="features")
    model = keras.Model(x, DoubleShift()(Thrice()(Shift(name="shift")(x))))
    with pytest.raises(UnsupportedOperationError, match=r"'shift' \(Shift\) has no export rule"):
        emit(model)

    @rules.layer_rule(Shift)
    def shift(graph, _call, value):
        return graph.node("Add", value, graph.constant(1.0))

    with pytest.raises(UnsupportedOperationError, match="Thrice"):
        emit(model)

    @rules.op_rule(Thrice)
    def thrice(graph, _call, value):
        return graph.node("Mul", value, graph.constant(3.0))

    proto = same_as_keras(model, {"features": events((3,))})
    assert op_types(proto) == ["Add", "Mul", "Add"]
