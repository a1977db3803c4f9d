"""Rules for the other operators of ai.onnx.ml: what scikit-learn's transforms and linear models become."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hepml_root.export.cpp.dense import product
from hepml_root.export.cpp.elementwise import EXACT_INTEGERS
from hepml_root.export.cpp.expression import Call, Expression, Load, Number, Weight, broadcast
from hepml_root.export.cpp.graph import Lowering, Node, Tensor, Value, check_size, rule
from hepml_root.export.cpp.ml_attributes import ML, TRANSFORMS, numbers, source_of, text
from hepml_root.export.cpp.ml_scores import labelled, mapped, written
from hepml_root.export.cpp.moves import join, numbered, pick
from hepml_root.export.cpp.steps import AlongAxis, Map

MOST_KEYS = 512  # of a LabelEncoder: each is a comparison


def last_axis(node: Node, tensor: Tensor) -> int:
    """Return the length of the last axis."""
    if not tensor.shape:
        raise node.refuse("its input has no axis of features.")
    return tensor.shape[-1]


def per_feature(node: Node, tensor: Tensor, values: np.ndarray) -> Expression:
    """Return one number, or one per feature, as part of a formula."""
    if values.size == 1:
        return Number(float(values[0]))
    if values.shape != (last_axis(node, tensor),):
        raise node.refuse(f"{values.size} numbers for {last_axis(node, tensor)} features.")
    return Weight(values.astype(np.float32), broadcast(values.shape, tensor.shape))


def exact(node: Node, values: np.ndarray) -> np.ndarray:
    """Return integers, or refuse those that floats do not hold."""
    if values.size and np.abs(values.astype(np.float64)).max() > EXACT_INTEGERS:
        raise node.refuse("an integer above 2^24, which floats do not hold exactly.")
    return values


@rule("Scaler", domain=ML)
def scaler(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    offset, scale = numbers(node, "offset", np.float32), numbers(node, "scale", np.float32)
    parts = (per_feature(node, source, values) for values in (offset, scale))
    return [mapped(lowering, "({0} - {1}) * {2}", source, *parts)]


@rule("Binarizer", domain=ML)
def binarizer(node: Node, lowering: Lowering) -> list[Tensor]:
    threshold = Number(float(node.attributes.get("threshold", 0.0)))
    return [mapped(lowering, "engine::less({1}, {0})", node.tensor(), threshold)]


@rule("Imputer", domain=ML)
def imputer(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    whole = "imputed_value_int64s" in node.attributes
    kind = "int64" if whole else "float"
    values = numbers(node, f"imputed_value_{kind}s", np.int64 if whole else np.float32)
    replaced = float(node.attributes.get(f"replaced_value_{kind}", 0))
    missing = "engine::is_nan({0})" if np.isnan(replaced) else "engine::equal({0}, {2})"
    formula = f"engine::where({missing}, {{1}}, {{0}})"
    value = per_feature(node, source, exact(node, values) if whole else values)
    return [mapped(lowering, formula, source, value, Number(replaced), kind=source.kind)]


@rule("Normalizer", domain=ML)
def normalizer(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    length = last_axis(node, source)
    kernels = {"MAX": "reduce:Max", "L1": "reduce:L1", "L2": "reduce:L2"}
    kernel = kernels[text(node, "norm", "MAX", tuple(kernels))]
    rows = source.size // length
    size = lowering.add(AlongAxis(kernel, source, (rows, length, 1), rows), (*source.shape[:-1], 1))
    # What has no size stays as it is.
    formula = "{0} / engine::where(engine::equal({1}, at.scalar(0.0f)), at.scalar(1.0f), {1})"
    return [mapped(lowering, formula, source, Load(size, broadcast(size.shape, source.shape)))]


@rule("FeatureVectorizer", domain=ML)
def feature_vectorizer(node: Node, lowering: Lowering) -> list[Tensor]:
    sources = [node.tensor(i) for i in range(len(node.inputs))]
    lengths = numbers(node, "inputdimensions", np.int64, len(sources)).tolist()
    if [last_axis(node, source) for source in sources] != lengths or any(
        len(source.shape) != 2 - node.leading for source in sources
    ):
        raise node.refuse(f"inputdimensions {lengths} for inputs of shapes {[s.shape for s in sources]}.")
    shape = (*sources[0].shape[:-1], sum(lengths))
    return [replace(join(lowering, sources), shape=shape)]


@rule("ArrayFeatureExtractor", domain=ML)
def array_feature_extractor(node: Node, lowering: Lowering) -> list[Tensor]:
    source, indices = node.tensor(), node.constant(1, "the indices").ravel()
    length = last_axis(node, source)
    if not indices.size or indices.min() < 0 or indices.max() >= length:
        raise node.refuse(f"indices out of range of {length} features.")
    return [pick(lowering, source, numbered(source)[..., indices.astype(np.int64)])]


@rule("ZipMap", domain=ML)
def zip_map(node: Node, lowering: Lowering) -> list[Tensor]:  # noqa: ARG001
    """A list of dictionaries {class: score}: in C++ the scores, in the order of the classes."""
    return [node.tensor()]


@rule("OneHotEncoder", domain=ML)
def one_hot_encoder(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    if node.attributes.get("cats_strings"):
        raise node.refuse("categories that are text.")
    if not node.attributes.get("zeros", 1):
        raise node.refuse("zeros=0: an unknown category would be an error in the middle of a loop.")
    categories = exact(node, numbers(node, "cats_int64s", np.int64)).astype(np.float32)
    shape = (*source.shape, categories.size)
    check_size(source.size * categories.size)
    column = Load(source, broadcast((*source.shape, 1), shape))
    value = Call("engine::truncate({0})", (column,)) if source.kind == "float" else column
    formula = Call("engine::equal({0}, {1})", (value, Weight(categories, broadcast(categories.shape, shape))))
    return [lowering.add(Map(source.size * categories.size, formula), shape)]


@rule("LabelEncoder", domain=ML)
def label_encoder(node: Node, lowering: Lowering) -> list[Tensor]:
    """Numbers for numbers, with a default for all that are not listed; NaN may be, from version 4 on."""
    source = node.tensor()
    found = {}
    for part in ("keys", "values"):
        for suffix, dtype in (("int64s", np.int64), ("floats", np.float32), ("tensor", None)):
            if f"{part}_{suffix}" in node.attributes:
                found[part] = _listed(node, f"{part}_{suffix}", dtype)
    if len(found) != 2 or len(found["keys"]) != len(found["values"]) or not len(found["keys"]):
        raise node.refuse("its keys or values are text, or differ in number; numbers are taken.")
    keys, values = (exact(node, v) if v.dtype.kind == "i" else v for v in found.values())
    if len(keys) > MOST_KEYS:
        raise node.refuse(f"{len(keys)} keys; up to {MOST_KEYS} are taken.")
    whole = values.dtype.kind == "i"
    default = (
        node.attributes.get("default_int64", -1) if whole else node.attributes.get("default_float", -0.0)
    )
    if "default_tensor" in node.attributes:
        default = _listed(node, "default_tensor", None)[0]
    x = Load(source)
    result: Expression = Number(float(exact(node, np.array([default]))[0]))
    # The first of equal keys counts.
    for key, value in zip(keys[::-1].tolist(), values[::-1].tolist(), strict=True):
        same = Call("engine::equal({0}, {1})", (x, Number(key)))
        if key != key and node.opset >= 4:
            same = Call("engine::is_nan({0})", (x,))
        result = Call("engine::where({0}, {1}, {2})", (same, Number(float(value)), result))
    return [lowering.add(Map(source.size, result), source.shape, "int" if whole else "float")]


def _listed(node: Node, name: str, dtype: type | None) -> np.ndarray:
    import onnx

    value = node.attributes[name]
    array = (
        onnx.numpy_helper.to_array(value).ravel()
        if isinstance(value, onnx.TensorProto)
        else np.array(value, dtype)
    )
    if array.dtype not in (np.int64, np.float32, np.int32, np.int16):
        raise node.refuse(f"{name} is {array.dtype}; numbers of float32 and integers are taken.")
    return array


@rule("LinearRegressor", domain=ML)
def linear_regressor(node: Node, lowering: Lowering) -> list[Tensor]:
    source, targets = source_of(node), int(node.attributes.get("targets", 1))
    raw = linear(node, lowering, source, targets)
    if text(node, "post_transform", "NONE", TRANSFORMS) != "NONE":
        raise node.refuse("post_transform of a regression.")
    return [Tensor(raw.step, (*source.shape[:-1], targets), "float", raw.offset)]


@rule("LinearClassifier", domain=ML)
def linear_classifier(node: Node, lowering: Lowering) -> list[Value | None]:
    source = source_of(node)
    labels = numbers(node, "classlabels_ints", np.int64)
    names = node.attributes.get("classlabels_strings", [])
    classes = len(labels) or len(names)
    intercepts = len(node.attributes.get("intercepts", []))
    if classes < 2 or (intercepts and intercepts != classes):
        raise node.refuse(f"{intercepts} rows of coefficients for {classes} classes; one for each is taken.")
    raw = linear(node, lowering, source, classes)
    scores = written(lowering, raw, text(node, "post_transform", "NONE", TRANSFORMS))
    return [labelled(lowering, raw, labels) if len(labels) else None, scores]


def linear(node: Node, lowering: Lowering, source: Tensor, outputs: int) -> Tensor:
    """Add the products with the node's coefficients (outputs, features), plus its intercepts."""
    if source.kind != "float":
        source = Tensor(source.step, source.shape, "float", source.offset)
    check_size(outputs)
    matrix = numbers(node, "coefficients", np.float32)
    if outputs < 1 or matrix.size != outputs * source.size:
        raise node.refuse(f"{matrix.size} coefficients for {source.size} features and {outputs} outputs.")
    bias = numbers(node, "intercepts", np.float32, outputs)
    flat = Tensor(source.step, (source.size,), "float", source.offset)
    return product(node, lowering, flat, matrix.reshape(outputs, -1).T, bias)[0]


@rule("SVMRegressor", domain=ML)
def svm_regressor(node: Node, lowering: Lowering) -> list[Tensor]:
    """sum over support vectors of coefficient times kernel(x, vector), plus rho."""
    source = source_of(node)
    supports = int(node.attributes.get("n_supports", 0))
    if text(node, "post_transform", "NONE", TRANSFORMS) != "NONE":
        raise node.refuse("post_transform of a regression.")
    rho = numbers(node, "rho", np.float32)
    if rho.size != 1:
        raise node.refuse(f"{rho.size} numbers rho; one is needed.")
    flat = Tensor(source.step, (source.size,), "float", source.offset)
    if supports < 1:
        weights = numbers(node, "coefficients", np.float32, flat.size)
        result = product(node, lowering, flat, weights[:, None], rho)[0]
    else:
        check_size(supports)
        vectors = numbers(node, "support_vectors", np.float32, supports * flat.size).reshape(supports, -1)
        weights = numbers(node, "coefficients", np.float32, supports)
        values = kernel_values(node, lowering, flat, vectors)
        result = product(node, lowering, values, weights[:, None], rho)[0]
    if node.attributes.get("one_class", 0):
        sign = "engine::where(engine::less(at.scalar(0.0f), {0}), at.scalar(1.0f), at.scalar(-1.0f))"
        result = mapped(lowering, sign, result)
    return [Tensor(result.step, (*source.shape[:-1], 1), "float", result.offset)]


def kernel_values(node: Node, lowering: Lowering, source: Tensor, vectors: np.ndarray) -> Tensor:
    """Add the values of the kernel for every support vector (vectors, features)."""
    kernel = text(node, "kernel_type", "LINEAR", ("LINEAR", "POLY", "RBF", "SIGMOID"))
    gamma, start, degree = numbers(node, "kernel_params", np.float32, 3).astype(np.float64)
    zeros = np.zeros(len(vectors))
    if kernel == "RBF":
        # |x - s|^2 = |x|^2 - 2 x s + |s|^2, around the middle of the vectors, where least cancels.
        middle = vectors.mean(axis=0, dtype=np.float64)
        moved = mapped(lowering, "{0} - {1}", source, Weight(middle.astype(np.float32)))
        around = vectors - middle.astype(np.float32).astype(np.float64)
        size = lowering.add(AlongAxis("reduce:SumSquare", moved, (1, source.size, 1), 1), (1,))
        dots = product(node, lowering, moved, -2.0 * around.T, (around**2).sum(axis=1))[0]
        whole = Load(size, broadcast((1,), dots.shape))
        formula = "engine::exponential({2} * engine::maximum({0} + {1}, at.scalar(0.0f)))"
        return mapped(lowering, formula, dots, whole, Number(-gamma))
    if kernel == "LINEAR":
        return product(node, lowering, source, vectors.T, zeros)[0]
    dots = product(node, lowering, source, gamma * vectors.T.astype(np.float64), zeros + start)[0]
    if kernel == "SIGMOID":
        return mapped(lowering, "engine::hyperbolic_tangent({0})", dots)
    return mapped(lowering, "engine::power({0}, {1})", dots, Number(degree))
