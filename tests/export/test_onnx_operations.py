"""Every operation with a rule: the exported graph gives what Keras gives, on random and extreme events."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from hepml_root.export.onnx import rules

TABLE = np.random.default_rng(5).normal(size=(4, 3)).astype(np.float32)
MATRIX = np.random.default_rng(6).normal(size=(3, 5)).astype(np.float32)
CUBE = np.random.default_rng(7).normal(size=(4, 3, 2)).astype(np.float32)
EDGES = np.array([-1.0, 0.0, 0.5, 2.0], np.float32)


def positive(x):
    return ops.abs(x) + 0.01


def integers(x):
    return ops.cast(ops.clip(x * 2.0, -9.0, 9.0), "int32")


def inside(x):
    return ops.tanh(x) * 0.99


def with_nan(x):
    return ops.where(x > 1.0, float("nan"), x)


# Each takes x (events, 4, 3) and gives anything that depends on the events.
OPERATIONS = {
    "Add": lambda x: x + 2.5 + TABLE,
    "Subtract": lambda x: 1.0 - x - TABLE[:1],
    "Multiply": lambda x: 3.0 * x * TABLE,
    "Divide": lambda x: x / (TABLE + 10.0),
    "TrueDivide": lambda x: ops.true_divide(integers(x), 4),
    "Maximum": lambda x: ops.maximum(x, TABLE),
    "Minimum": lambda x: ops.minimum(0.3, x),
    "Power": lambda x: ops.power(positive(x), 1.7),
    "Negative": lambda x: -x,
    "Abs": lambda x: abs(x),
    "Absolute": ops.absolute,
    "Fabs": ops.fabs,
    "Sign": ops.sign,
    "Floor": lambda x: ops.floor(x * 1.37 + 0.1),
    "Ceil": lambda x: ops.ceil(x * 1.37 + 0.1),
    "Round": lambda x: ops.round(x * 1.37 + 0.01, 1),
    "Trunc": lambda x: ops.trunc(x * 1.37 + 0.1),
    "Exp": ops.exp,
    "Exp2": ops.exp2,
    "Expm1": ops.expm1,
    "Log": lambda x: ops.log(positive(x)),
    "Log1p": lambda x: ops.log1p(positive(x)),
    "Log2": lambda x: ops.log2(positive(x)),
    "Log10": lambda x: ops.log10(positive(x)),
    "Sqrt": lambda x: ops.sqrt(positive(x)),
    "Rsqrt": lambda x: ops.rsqrt(positive(x)),
    "Cbrt": lambda x: ops.cbrt(x),
    "Square": ops.square,
    "Reciprocal": lambda x: ops.reciprocal(positive(x)),
    "Sin": ops.sin,
    "Cos": ops.cos,
    "Tan": lambda x: ops.tan(inside(x)),
    "Arcsin": lambda x: ops.arcsin(inside(x)),
    "Arccos": lambda x: ops.arccos(inside(x)),
    "Arctan": ops.arctan,
    "Arctan2": lambda x: ops.arctan2(x, x[:, ::-1]),
    "Sinh": lambda x: ops.sinh(inside(x)),
    "Cosh": lambda x: ops.cosh(inside(x)),
    "Tanh": ops.tanh,
    "Arcsinh": ops.arcsinh,
    "Arccosh": lambda x: ops.arccosh(1.0 + positive(x)),
    "Arctanh": lambda x: ops.arctanh(inside(x)),
    "Erf": ops.erf,
    "Erfc": ops.erfc,
    "Erfinv": lambda x: ops.erfinv(inside(x)),
    "Hypot": lambda x: ops.hypot(x, TABLE),
    "Logaddexp": lambda x: ops.logaddexp(x, TABLE),
    "FloorDivide": lambda x: ops.floor_divide(x + 0.1, 0.7),
    "Mod": lambda x: ops.mod(x + 0.13, 0.5) + ops.cast(ops.mod(integers(x), 3), "float32"),
    "Fmod": lambda x: ops.fmod(x + 0.13, 0.5),
    "DivideNoNan": lambda x: ops.divide_no_nan(TABLE, ops.relu(x)),
    "Deg2rad": ops.deg2rad,
    "Rad2deg": ops.rad2deg,
    "Heaviside": lambda x: ops.heaviside(x, TABLE),
    "Copy": ops.copy,
    "Real": ops.real,
    "Conjugate": ops.conjugate,
    "StopGradient": ops.stop_gradient,
    "Cast": lambda x: ops.cast(ops.cast(x * 3.0, "int32"), "float32"),
    "SaturateCast": lambda x: ops.saturate_cast(x * 3.0, "int32"),
    "Clip": lambda x: ops.clip(x, -0.5, 0.7) + ops.clip(x, TABLE - 1.0, TABLE),
    "Where": lambda x: ops.where(x > 0.2, x, TABLE),
    "Greater": lambda x: x > 0.2,
    "GreaterEqual": lambda x: x >= TABLE,
    "Less": lambda x: x < 0.2,
    "LessEqual": lambda x: integers(x) <= 1,
    "Equal": lambda x: ops.equal(integers(x), 1),
    "NotEqual": lambda x: ops.not_equal(integers(x), 1),
    "LogicalAnd": lambda x: ops.logical_and(x > 0.2, x < 1.0),
    "LogicalOr": lambda x: ops.logical_or(x > 0.2, x < -1.0),
    "LogicalXor": lambda x: ops.logical_xor(x > 0.2, x > 1.0),
    "LogicalNot": lambda x: ops.logical_not(x > 0.2),
    "Isnan": lambda x: ops.isnan(ops.log(x)),
    "Isinf": lambda x: ops.isinf(1.0 / ops.relu(x)),
    "Isposinf": lambda x: ops.isposinf(1.0 / ops.relu(x)),
    "Isneginf": lambda x: ops.isneginf(-1.0 / ops.relu(x)),
    "Isfinite": lambda x: ops.isfinite(ops.log(x)),
    "Isclose": lambda x: ops.isclose(x, 1.0, rtol=0.1, atol=0.2),
    "NanToNum": lambda x: ops.nan_to_num(ops.log(x), nan=-7.0, neginf=-8.0),
    "Sum": lambda x: ops.sum(x, axis=1),
    "Mean": lambda x: ops.mean(x, axis=(1, 2), keepdims=True),
    "Prod": lambda x: ops.prod(inside(x), axis=-1),
    "Max": lambda x: ops.max(x, axis=1, initial=0.3),
    "Min": lambda x: ops.min(x, axis=-1, keepdims=True),
    "Amax": lambda x: ops.amax(x, axis=1),
    "Amin": lambda x: ops.amin(x, axis=1),
    "Any": lambda x: ops.any(x > 1.0, axis=1),
    "All": lambda x: ops.all(x > -0.5, axis=-1),
    "CountNonzero": lambda x: ops.count_nonzero(integers(x), axis=1),
    "Var": lambda x: ops.var(x, axis=1),
    "Std": lambda x: ops.std(x, axis=(1, 2), keepdims=True),
    "Moments": lambda x: ops.concatenate(ops.moments(x, axes=[1]), axis=-1),
    "Average": lambda x: ops.average(x, axis=1, weights=np.array([0.1, 0.2, 0.3, 0.4], np.float32)),
    "Ptp": lambda x: ops.ptp(x, axis=1),
    "Logsumexp": lambda x: ops.logsumexp(x, axis=1),
    "Norm": lambda x: ops.norm(x, axis=-1) + ops.norm(x, ord=1, axis=-1) + ops.norm(x, ord=np.inf, axis=-1),
    "Argmax": lambda x: ops.argmax(x, axis=1),
    "Argmin": lambda x: ops.argmin(x, axis=-1),
    "Cumsum": lambda x: ops.cumsum(x, axis=1),
    "TopK": lambda x: ops.top_k(x, 2)[0] + ops.cast(ops.top_k(x, 2)[1], "float32"),
    "Sort": lambda x: ops.sort(x, axis=1),
    "Argsort": lambda x: ops.argsort(ops.round(x * 100.0) + np.arange(3, dtype=np.float32) * 0.1, axis=-1),
    "Digitize": lambda x: ops.digitize(x, EDGES),
    "SearchSorted": lambda x: ops.reshape(ops.searchsorted(EDGES, ops.reshape(x, (-1,))), (-1, 12)),
    "Reshape": lambda x: ops.reshape(x, (-1, 3, 2, 2)),
    "ExpandDims": lambda x: ops.expand_dims(x, 2),
    "Squeeze": lambda x: ops.squeeze(x[:, :1], 1),
    "Transpose": lambda x: ops.transpose(x, (0, 2, 1)),
    "Swapaxes": lambda x: ops.swapaxes(x, 1, -1),
    "Moveaxis": lambda x: ops.moveaxis(ops.expand_dims(x, 1), 1, -1),
    "Concatenate": lambda x: ops.concatenate(
        [ops.zeros_like(x) + TABLE, x, 2.0 * x, ops.ones_like(x), x, ops.zeros_like(x) - TABLE], axis=-1
    ),
    "Append": lambda x: ops.append(x, x, axis=1),
    "Hstack": lambda x: ops.hstack([x, x]),
    "Stack": lambda x: ops.stack([x, x + 1.0], axis=1),
    "Unstack": lambda x: ops.unstack(x, axis=1)[2],
    "Split": lambda x: ops.split(x, [1, 2], axis=1)[2],
    "ArraySplit": lambda x: ops.array_split(x, 3, axis=1)[0],
    "GetItem": lambda x: x[:, 3:0:-2, None, -1],
    "Slice": lambda x: ops.slice(x, (0, 1, 1), (x.shape[0], 2, 2)) if x.shape[0] else x[:, 1:3, 1:],
    "Pad": lambda x: (
        ops.pad(x, ((0, 0), (1, 2), (0, 1)), constant_values=3.0)
        + ops.pad(x, ((0, 0), (1, 2), (0, 1)), mode="symmetric")
        + ops.pad(x, ((0, 0), (1, 2), (0, 1)), mode="reflect")
    ),
    "Take": lambda x: ops.take(x, np.array([[2, 0], [1, 1]]), axis=1),
    "TakeAlongAxis": lambda x: (
        ops.take_along_axis(x, ops.argsort(x, axis=1), axis=1)
        + ops.take_along_axis(x, ops.argsort(x[:, :, :1], axis=1), axis=1)
    ),
    "OneHot": lambda x: ops.one_hot(ops.abs(integers(x)), 5),
    "Tile": lambda x: ops.tile(x, (1, 2, 3)),
    "Repeat": lambda x: ops.repeat(x, 2, axis=1),
    "BroadcastTo": lambda x: ops.broadcast_to(x[:, :, None, :], (*x.shape[:2], 5, 3)) if x.shape[0] else x,
    "Flip": lambda x: ops.flip(x, axis=(1, 2)),
    "Fliplr": lambda x: ops.fliplr(x),
    "Roll": lambda x: ops.roll(x, 1, axis=1),
    "Diff": lambda x: ops.diff(x, n=2, axis=1),
    "ZerosLike": lambda x: ops.where(x > 0, x, ops.zeros_like(x)),
    "OnesLike": lambda x: ops.concatenate([ops.ones_like(x[:, :1]), x], axis=1),
    "EmptyLike": lambda x: ops.concatenate([0.0 * ops.empty_like(x[:, :1]), x], axis=1),
    "FullLike": lambda x: x * ops.full_like(x, 2.5),
    "Tril": lambda x: ops.tril(x),
    "Triu": lambda x: ops.triu(x, k=1),
    "Matmul": lambda x: ops.matmul(x, MATRIX) @ ops.transpose(ops.matmul(x, MATRIX), (0, 2, 1)),
    "Einsum": lambda x: (
        ops.einsum("bij,bkj->bik", x, x)
        + ops.einsum("bij,ijk->bk", x, CUBE)[:, None, :1]
        + ops.einsum("bij,bi->bj", x, x[:, :, 0])[:, None, :1]
        + ops.einsum("bijc,bkc->bijk", x[:, :, None], x)[:, :, 0]
        + ops.einsum("bij,bij->b", x, x)[:, None, None]
        + ops.einsum("bi,bj,bk->bijk", x[:, 0], x[:, 1], x[:, 2])[:, :1, :1, 0]
    ),
    "Tensordot": lambda x: ops.tensordot(x, MATRIX, axes=1),
    "Inner": lambda x: ops.inner(x, MATRIX.T),
    "Dot": lambda x: ops.dot(x, MATRIX),
    "Normalize": lambda x: ops.normalize(x + 0.1, axis=-1),
    "RMSNorm": lambda x: ops.rms_normalization(x, np.array([1.0, 2.0, 3.0], np.float32), axis=-1),
    "LayerNorm": lambda x: ops.layer_normalization(x * 1.0, axis=-1, epsilon=1e-3),
    "Relu": ops.relu,
    "ReLU": lambda x: keras.activations.relu(x, negative_slope=0.1, max_value=1.5, threshold=0.2),
    "Relu6": ops.relu6,
    "LeakyRelu": ops.leaky_relu,
    "Elu": lambda x: ops.elu(x, alpha=1.3),
    "Selu": ops.selu,
    "Celu": lambda x: ops.celu(x, alpha=1.3),
    "Gelu": lambda x: ops.gelu(x, approximate=True) + ops.gelu(x, approximate=False),
    "Silu": ops.silu,
    "Sigmoid": ops.sigmoid,
    "SparseSigmoid": ops.sparse_sigmoid,
    "Softplus": ops.softplus,
    "Softsign": ops.softsign,
    "SoftShrink": ops.soft_shrink,
    "SparsePlus": ops.sparse_plus,
    "Squareplus": ops.squareplus,
    "LogSigmoid": ops.log_sigmoid,
    "HardSigmoid": ops.hard_sigmoid,
    "HardSilu": ops.hard_silu,
    "HardTanh": ops.hard_tanh,
    "HardShrink": ops.hard_shrink,
    "TanhShrink": ops.tanh_shrink,
    "Threshold": lambda x: ops.threshold(x, 0.3, -2.0),
    "Glu": lambda x: ops.glu(x, axis=1),
    "Softmax": lambda x: ops.softmax(x, axis=1),
    "LogSoftmax": ops.log_softmax,
    "Sparsemax": ops.sparsemax,
    "Logaddexp2": lambda x: ops.logaddexp2(x, 2.0 * x),
    "Ldexp": lambda x: ops.ldexp(x, integers(ops.tanh(x))),
    "Sinc": ops.sinc,
    "Fmax": lambda x: ops.fmax(with_nan(x), 0.3),
    "Fmin": lambda x: ops.fmin(with_nan(x), x[:, ::-1]),
    "Conj": ops.conj,
    "Select": lambda x: ops.select([x > 1.0, x > 0.0], [x, 2.0 * x], -1.0),
    "Cross": lambda x: ops.cross(x, x[:, ::-1]),
    "CDist": lambda x: ops.cdist(x, x),
    "Trapezoid": lambda x: ops.trapezoid(x, dx=0.5, axis=1),
    "Nansum": lambda x: ops.nansum(with_nan(x), axis=1),
    "Nanprod": lambda x: ops.nanprod(with_nan(inside(x)), axis=1),
    "Nanmean": lambda x: ops.nanmean(with_nan(x), axis=1),
    "Nanmax": lambda x: ops.nanmax(with_nan(x), axis=1),
    "Nanmin": lambda x: ops.nanmin(with_nan(x), axis=-1, keepdims=True),
    "Rearrange": lambda x: keras.layers.Lambda(
        lambda t: ops.rearrange(t, "b (h w) c -> b h (w c)", h=2), output_shape=(2, 6)
    )(x),
    "Rot90": lambda x: ops.rot90(x, k=1, axes=(1, 2)) + ops.rot90(x, k=3, axes=(1, 2)),
    "Diagonal": lambda x: ops.diagonal(x, offset=-1, axis1=1, axis2=2),
    "Trace": lambda x: ops.trace(x, axis1=1, axis2=2),
    "Dstack": lambda x: ops.dstack([x, x]),
    "Hsplit": lambda x: ops.hsplit(x, 2)[1],
    "Dsplit": lambda x: ops.dsplit(x, 3)[1],
    "ExtractSequences": lambda x: ops.extract_sequences(x, 2, 1),
    "Median": lambda x: ops.median(x, axis=1),
    "MultiHot": lambda x: ops.multi_hot(ops.abs(integers(x[:, :, 0])), 10),
    "IsIn": lambda x: ops.isin(integers(x), np.array([1, 2, 5], np.int32)),
    "BitwiseAnd": lambda x: ops.bitwise_and(integers(x), np.int32(5)),
    "BitwiseOr": lambda x: ops.bitwise_or(integers(x), np.int32(5)),
    "BitwiseXor": lambda x: ops.bitwise_xor(integers(x), np.int32(5)),
    "BitwiseNot": lambda x: ops.bitwise_not(integers(x)),
    "BitwiseInvert": lambda x: ops.bitwise_invert(integers(x)),
    "Det": lambda x: ops.det(x[:, :3]),
    "SliceUpdate": lambda x: ops.slice_update(x, (0, 1, 0), x[:, :2, :2] * 3.0),
}
# Tested through layers, or no more than another name.
ELSEWHERE = {
    "BatchNorm", "ConvertToTensor", "Outer", "Ravel", "View", "Flipud", "Mish", "Conv", "DepthwiseConv",
    "SeparableConv", "ConvTranspose", "MaxPool", "AveragePool", "AdaptiveMaxPool", "AdaptiveAveragePool",
    "Resize", "DepthToSpace", "SpaceToDepth", "DotProductAttention", "GatherConstituents", "Draw",
}  # fmt: skip


def test_every_rule_has_a_case() -> None:
    operations, _ = rules.covered()
    assert set(operations) - ELSEWHERE == set(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_same_as_keras(name: str, same_as_keras, events) -> None:
    inputs = keras.Input((4, 3), name="x")
    model = keras.Model(inputs, OPERATIONS[name](inputs))
    same_as_keras(model, {"x": events((4, 3))}, tolerance=5e-6)


REFUSED = {
    "FFT": (lambda x: ops.fft((x, x))[0], "FFT"),
    "Gcd": (lambda x: ops.cast(ops.gcd(ops.cast(x, "int32"), 2), "float32"), "Gcd"),
    "events summed": (lambda x: x - ops.mean(x, axis=0), "mix them"),
    "events shifted": (lambda x: ops.roll(x, 1, axis=0), "mix them"),
    "one event picked": (lambda x: x + x[0], "mix them"),
    "events softmaxed": (lambda x: ops.softmax(x, axis=0), "mix them"),
    "events multiplied": (lambda x: ops.matmul(ops.transpose(x, (1, 2, 0)), x[:, 0, :])[0], "mix them"),
    "events contracted": (lambda x: x + ops.einsum("bij,bjk->ik", x, x[:, :3])[:, :3], "mix them"),
    "events contracted under an ellipsis": (lambda x: x + ops.einsum("b...->...", x), "mix them"),
    "events ranked": (lambda x: x + ops.top_k(x[:, 0, 0], 1)[0], "mix them"),
    "double precision": (lambda x: ops.cast(x, "float64") * 2.0, "float64"),
    "half precision": (lambda x: ops.cast(ops.cast(x, "float16"), "float32"), "float16"),
    "a Python decision": (lambda x: x if ops.sum(x) > 0 else -x, "cannot be traced"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name: str) -> None:
    from hepml_root.errors import UnsupportedOperationError
    from hepml_root.export.onnx import emit

    function, message = REFUSED[name]

    @keras.saving.register_keras_serializable("test")
    class Odd(keras.layers.Layer):
        def call(self, x):
            return function(x)

        def compute_output_shape(self, shape):
            return shape

    inputs = keras.Input((4, 3), name="x")
    model = keras.Model(inputs, Odd(name="strange_layer")(inputs))
    with pytest.raises(UnsupportedOperationError, match=message) as caught:
        emit(model)
    assert "strange_layer" in str(caught.value)
