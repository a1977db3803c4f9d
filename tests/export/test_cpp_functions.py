"""The largest errors of the engine's functions against double precision: those that functions.hxx states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from scipy import special

from hepml_root.inference.session import Session

TINY = np.finfo(np.float32).tiny

# operator: exact function, range of arguments, largest relative error, error that is allowed near zero
FUNCTIONS = {
    "Exp": (np.exp, (-87, 88.7), 2e-7, 0),
    "Elu": (np.expm1, (-20, 0), 3e-7, 0),
    "Log": (np.log, (1e-37, 1e38), 2e-7, 1e-8),
    "Tanh": (np.tanh, (-12, 12), 8e-7, 0),
    "Sigmoid": (special.expit, (-86, 30), 3e-7, 0),
    "Erf": (special.erf, (-6, 6), 2e-7, 0),
    "Softplus": (lambda x: np.logaddexp(0, x), (-86, 100), 4e-7, 0),
    "Mish": (lambda x: x * np.tanh(np.logaddexp(0, x)), (-60, 60), 6e-7, 0),
    "Gelu": (lambda x: x * special.ndtr(x), (-5, 6), 2e-6, 3e-8),
    "Sin": (np.sin, (-2e6, 2e6), 2e-7, 0),  # beyond 1.6e6 by the standard library
    "Cos": (np.cos, (-2e6, 2e6), 2e-7, 0),
    "Tan": (np.tan, (-1e4, 1e4), 3e-7, 0),
    "Asin": (np.arcsin, (-1, 1), 3e-7, 0),
    "Acos": (np.arccos, (-1, 1), 3e-7, 0),
    "Atan": (np.arctan, (-1e30, 1e30), 3e-7, 0),
    "Sinh": (np.sinh, (-89.4, 89.4), 3e-7, 0),
    "Cosh": (np.cosh, (-89.4, 89.4), 3e-7, 0),
    "Asinh": (np.arcsinh, (-100, 3e38), 5e-7, 0),
    "Acosh": (np.arccosh, (1, 3e38), 5e-7, 0),
    "Atanh": (np.arctanh, (-0.9999999, 0.9999999), 5e-7, 0),
    "Sqrt": (np.sqrt, (0, 3e38), 1e-7, 0),
}
# Pow with a fixed exponent, or (where it is None) with the exponents as arguments of a fixed base.
POWERS = {"Pow 1.7": (1.7, (0, 1e22)), "Pow -0.3": (-0.3, (1e-38, 3e38)), "Pow 2.5": (None, (-95, 96))}
BASE = np.float32(2.5)
LIMITED = ("Log", "Asin", "Acos", "Acosh", "Atanh", "Sqrt")  # not defined everywhere


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("functions")
    nodes = [helper.make_node(operator, [operator + "_x"], [operator]) for operator in FUNCTIONS]
    weights = [helper.make_tensor("base", TensorProto.FLOAT, [1, 1], [BASE])]
    for name, (exponent, _) in POWERS.items():
        inputs = ["base", name + "_x"] if exponent is None else [name + "_x", name + "_y"]
        nodes.append(helper.make_node("Pow", inputs, [name]))
        if exponent is not None:
            weights.append(helper.make_tensor(name + "_y", TensorProto.FLOAT, [1, 1], [exponent]))
    nodes.append(helper.make_node("Pow", ["x", "y"], ["Pow"]))
    names = [*FUNCTIONS, *POWERS]
    graph = helper.make_graph(
        nodes,
        "functions",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1])
            for name in [*(f"{name}_x" for name in names), "x", "y"]
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1]) for name in [*names, "Pow"]],
        weights,
    )
    path = Path(folder / "functions.onnx")
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEPML_ROOT_CACHE", str(folder / "cache"))
        return Session(path, "cpp")


def arguments(low: float, high: float) -> np.ndarray:
    """Return a million numbers: evenly spread, and evenly spread in their logarithm, of each sign."""
    even = np.linspace(low, high, 500_000)
    small = np.geomspace(max(TINY, low if low > 0 else TINY), high if high > 0 else -low, 250_000)
    x = np.concatenate([even, small, -small])
    return np.unique(x[(x >= low) & (x <= high)].astype(np.float32))


def infer(session: Session, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the results of all functions for the arguments in ``given``, and for 1 where there are none."""
    names = [entry["name"] for entry in session.manifest["inputs"]]
    length = max(map(len, given.values()))
    one = np.ones(1, np.float32)
    found = session.infer({name: np.resize(given.get(name, one), (length, 1)) for name in names})
    assert isinstance(found, dict)
    return {name: values[:, 0] for name, values in found.items()}


def powers(exponent: float | None, x: np.ndarray) -> np.ndarray:
    """Return powers in double precision of what float32 makes of the numbers."""
    return (
        np.power(np.float64(BASE), x) if exponent is None else np.power(x, np.float64(np.float32(exponent)))
    )


def test_errors_are_those_that_are_stated(session: Session) -> None:
    functions = dict(FUNCTIONS)
    for name, (exponent, limits) in POWERS.items():
        functions[name] = (lambda x, e=exponent: powers(e, x)), limits, 1e-7, 0
    given = {name: arguments(*limits) for name, (_, limits, _, _) in functions.items()}
    found = infer(session, {f"{name}_x": x for name, x in given.items()})
    worst = {}
    for name, (exact, _, relative, absolute) in functions.items():
        x = given[name].astype(np.float64)
        right = exact(x)
        error = np.abs(found[name][: len(x)] - right)
        worst[name] = float(np.max(np.maximum(error - absolute, 0) / np.maximum(np.abs(right), TINY)))
        assert worst[name] <= relative, f"{name}: {worst}, at {x[np.argmax(error / np.abs(right))]}"


def test_ends_of_the_range(session: Session) -> None:
    """No finite argument gives NaN; bounded functions stay in their bounds; NaN stays NaN."""
    x = np.float32([[0], [-0.0], [1e-45], [-1e-45], [1e-30], [50], [-50], [1e4], [-1e4], [3.4e38], [-3.4e38]])
    found = infer(session, {f"{name}_x": np.abs(x) if name in ("Log", "Sqrt") else x for name in FUNCTIONS})
    for name in FUNCTIONS:
        assert name in LIMITED or not np.isnan(found[name]).any(), name
    assert not np.isnan(found["Log"]).any()
    for name in ("Tanh", "Erf", "Sin", "Cos"):
        assert np.abs(found[name]).max() <= 1
    assert found["Sigmoid"].min() >= 0
    assert found["Sigmoid"].max() <= 1
    assert found["Exp"][9] == np.inf
    assert found["Exp"][10] == 0
    assert found["Log"][0] == -np.inf
    np.testing.assert_array_equal(found["Sqrt"], np.sqrt(np.abs(x[:, 0])))
    missing = infer(session, {f"{name}_x": np.full(3, np.nan) for name in FUNCTIONS})
    assert all(np.isnan(missing[name]).all() for name in FUNCTIONS)


def test_tanh_at_its_limits(session: Session) -> None:
    """Odd, 1 at the end, the argument itself near zero, and rising but for rounding."""
    x = np.concatenate([np.geomspace(1e-45, 8, 300_000), [8.3125, 9, 3.4e38, np.inf]]).astype(np.float32)
    found, mirrored = (infer(session, {"Tanh_x": sign * x})["Tanh"] for sign in (1, -1))
    np.testing.assert_array_equal(mirrored, -found)
    np.testing.assert_array_equal(found[-4:], 1)
    np.testing.assert_array_max_ulp(found[x < 1e-5], x[x < 1e-5], 1)
    assert np.diff(found.view(np.int32)).min() >= -8
    assert np.signbit(infer(session, {"Tanh_x": np.float32([-0.0])})["Tanh"][0])


OUTSIDE = {"Asin": 1.0000001, "Acos": -1.5, "Acosh": 0.9, "Atanh": 1.1, "Log": -1, "Sqrt": -1}
ENDS = {"Atan": (np.inf, np.pi / 2), "Atanh": (1, np.inf), "Acosh": (1, 0), "Asin": (1, np.pi / 2)}


def test_outside_of_the_domain_and_at_its_ends(session: Session) -> None:
    found = infer(session, {f"{name}_x": np.float32([x]) for name, x in OUTSIDE.items()})
    assert all(np.isnan(found[name]).all() for name in OUTSIDE)
    found = infer(session, {f"{name}_x": np.float32([x]) for name, (x, _) in ENDS.items()})
    for name, (_, right) in ENDS.items():
        assert found[name][0] == np.float32(right), name


def test_powers_at_the_special_cases(session: Session) -> None:
    """C's pow, which the engine says it follows: zeros, ones, infinities, NaN, negative and odd numbers."""
    numbers = [0, -0.0, 1, -1, 2, -2, 0.5, -0.5, 3, -3, 2.5, np.inf, -np.inf, np.nan, 1e-40, 1e30, -1e30]
    numbers += [16777215, -16777215, 16777216]
    x, y = (grid.ravel() for grid in np.meshgrid(np.float32(numbers), np.float32(numbers)))
    found = infer(session, {"x": x, "y": y})["Pow"]
    with np.errstate(all="ignore"):
        right = np.power(x.astype(np.float64), y.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(found, right, rtol=2e-7)
    known = ~np.isnan(right)
    np.testing.assert_array_equal(np.signbit(found[known]), np.signbit(right[known]))
