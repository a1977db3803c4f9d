"""From the raw scores of ai.onnx.ml classifiers and regressors to what they give: transforms and labels."""

from __future__ import annotations

import numpy as np

from hepml_root.export.cpp.elementwise import EXACT_INTEGERS
from hepml_root.export.cpp.expression import Broadcast, Call, Expression, Load, Number, broadcast
from hepml_root.export.cpp.graph import Lowering, Node, Tensor, Value
from hepml_root.export.cpp.moves import join
from hepml_root.export.cpp.steps import AlongAxis, Map

# sqrt(2) times the inverse error function of 2 p - 1, in Winitzki's approximation, as ONNX Runtime has it; in
# double precision, as numbers cancel near p = 1/2.
PROBIT = (
    "engine::lane_by_lane({0}, [](float p) {{ const double x = 2.0 * p - 1.0, a = 0.147; "
    "const double l = std::log((1.0 - x) * (1.0 + x)), v = 2.0 / (3.14159 * a) + 0.5 * l; "
    "const double y = std::sqrt(2.0 * (std::sqrt(v * v - l / a) - v)); "
    "return static_cast<float>(x < 0.0 ? -y : y); }})"
)


def mapped(lowering: Lowering, formula: str, *arguments: Tensor | Expression, kind: str = "float") -> Tensor:
    """Add one element-wise step; all values have the shape of the first."""
    first = arguments[0]
    assert isinstance(first, Tensor)
    parts = tuple(Load(a) if isinstance(a, Tensor) else a for a in arguments)
    return lowering.add(Map(first.size, Call(formula, parts)), first.shape, kind)


def probit(lowering: Lowering, raw: Tensor) -> Tensor:
    """Return the probit of every number."""
    return mapped(lowering, PROBIT, raw)


def written(lowering: Lowering, raw: Tensor, transform: str) -> Tensor:
    """Return two or more scores after the post transform."""
    if transform == "PROBIT":
        return probit(lowering, raw)
    if transform == "LOGISTIC":
        return mapped(lowering, "engine::sigmoid({0})", raw)
    extents = (1, raw.size, 1)
    if transform == "SOFTMAX":
        return lowering.add(AlongAxis("softmax", raw, extents, raw.size), raw.shape)
    if transform == "SOFTMAX_ZERO":
        # Scores of zero stay, up to a factor; the others share the softmax among themselves.
        largest = Load(lowering.add(AlongAxis("reduce:Max", raw, extents, 1), (1,)), spread(raw.size))
        far = "engine::less(at.scalar(1e-7f), engine::absolute({0}))"
        power = "engine::exponential({0} - {1})"
        powers = mapped(lowering, f"engine::where({far}, {power}, at.scalar(0.0f))", raw, largest)
        near = f"engine::where({far}, {power}, {{0}} * engine::exponential(-{{1}}))"
        total = lowering.add(AlongAxis("reduce:Sum", powers, extents, 1), (1,))
        return mapped(lowering, f"{near} / {{2}}", raw, largest, Load(total, spread(raw.size)))
    return raw


def spread(size: int) -> Broadcast | None:
    """Return how a single number is read once per score."""
    return broadcast((1,), (size,))


def element(value: Tensor, index: int) -> Tensor:
    """Return one of the numbers of a value."""
    return Tensor(value.step, (1,), value.kind, value.offset + index)


def labelled(lowering: Lowering, raw: Tensor, labels: np.ndarray) -> Tensor | None:
    """Return the label of the largest score (of the first of equal ones); None if floats do not hold it."""
    if np.abs(labels).max(initial=0) > EXACT_INTEGERS:
        return None
    best: Expression = Load(element(raw, 0))
    label: Expression = Number(float(labels[0]))
    for i in range(1, raw.size):
        score = Load(element(raw, i))
        larger = Call("engine::less({0}, {1})", (best, score))
        best = Call("engine::where({0}, {1}, {2})", (larger, score, best))
        label = Call("engine::where({0}, {1}, {2})", (larger, Number(float(labels[i])), label))
    return lowering.add(Map(1, label), (), "int")


def two_scores(
    node: Node,
    lowering: Lowering,
    raw: Tensor,
    labels: np.ndarray,
    base: np.ndarray,
    transform: str,
    second: bool,
    alone: bool,
    positive: bool,
) -> tuple[Value | None, Tensor]:
    """Return label and scores of two classes.

    ONNX leaves open what they are if only one class has values; this is what ONNX Runtime does.

    Arguments
    ---------
    raw
        The two sums.
    second
        Whether the second class has values.
    alone
        Whether only one of the classes has values.
    positive
        Whether no value is negative.
    """
    if base.size > 2 or (base.size == 2 and second):
        raise node.refuse(f"{base.size} base_values for two classes; runtimes do not agree what they mean.")
    score = element(raw, 1 if second else 0)
    if base.size and not second:
        score = mapped(lowering, "{0} + {1}", score, Number(float(base[0])))
    first = element(raw, 0)
    if second:
        if base.size and not alone:
            first = mapped(lowering, "{0} + {1}", first, Number(float(base[0])))
        scores = written(lowering, join(lowering, [first, score]), transform)
    elif base.size == 2:
        scores = written(lowering, join(lowering, [score, element(raw, 1)]), transform)
    elif transform == "PROBIT":
        raise node.refuse("post_transform PROBIT of a single score for two classes.")
    else:
        other = "1.0f - {0}" if positive else "-{0}"
        pair = [mapped(lowering, "-{0}" if transform == "LOGISTIC" else other, score), score]
        scores = join(lowering, pair)
        if transform == "LOGISTIC":
            scores = written(lowering, scores, transform)
    if len(labels) != 2 or np.abs(labels).max() > EXACT_INTEGERS:
        return None, scores
    limit = 0.5 if alone and positive else 0.0
    numbers = labels if alone else np.array([0, 1])  # ONNX Runtime takes these names for two full classes
    label = mapped(
        lowering,
        "engine::where(engine::less({1}, {0}), {2}, {3})",
        score,
        Number(limit),
        Number(float(numbers[1])),
        Number(float(numbers[0])),
    )
    return Tensor(label.step, (), "int"), scores
