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
    "Tanh": (np.tanh, (-12, 12), 5e-7, 0),
    "Sigmoid": (special.expit, (-86, 30), 3e-7, 0),
    "Erf": (special.erf, (-6, 6), 2e-7, 0),
    "Softplus": (lambda x: np.logaddexp(0, x), (-86, 100), 4e-7, 0),
    "Mish": (lambda x: x * np.tanh(np.logaddexp(0, x)), (-60, 60), 6e-7, 0),
    "Gelu": (lambda x: x * special.ndtr(x), (-5, 6), 2e-6, 3e-8),
}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("functions")
    graph = helper.make_graph(
        [helper.make_node(operator, [operator + "_x"], [operator]) for operator in FUNCTIONS],
        "functions",
        [helper.make_tensor_value_info(name + "_x", TensorProto.FLOAT, ["N", 1]) for name in FUNCTIONS],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1]) for name in FUNCTIONS],
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


def test_errors_are_those_that_are_stated(session: Session) -> None:
    given = {name: arguments(*limits) for name, (_, limits, _, _) in FUNCTIONS.items()}
    length = max(map(len, given.values()))
    found = session.infer({f"{name}_x": np.resize(x, (length, 1)) for name, x in given.items()})
    assert isinstance(found, dict)
    worst = {}
    for name, (exact, _, relative, absolute) in FUNCTIONS.items():
        x = given[name].astype(np.float64)
        right = exact(x)
        error = np.abs(found[name][: len(x), 0] - right)
        worst[name] = float(np.max(np.maximum(error - absolute, 0) / np.maximum(np.abs(right), TINY)))
        assert worst[name] <= relative, f"{name}: {worst}, at {x[np.argmax(error / np.abs(right))]}"


def test_ends_of_the_range(session: Session) -> None:
    """No finite argument gives NaN; bounded functions stay in their bounds; NaN stays NaN."""
    x = np.float32([[0], [-0.0], [1e-45], [-1e-45], [1e-30], [50], [-50], [1e4], [-1e4], [3.4e38], [-3.4e38]])
    found = session.infer({f"{name}_x": np.abs(x) if name == "Log" else x for name in FUNCTIONS})
    for name, values in found.items():
        assert not np.isnan(values).any(), name
    assert np.abs(found["Tanh"]).max() <= 1
    assert np.abs(found["Erf"]).max() <= 1
    assert found["Sigmoid"].min() >= 0
    assert found["Sigmoid"].max() <= 1
    assert found["Exp"][9, 0] == np.inf
    assert found["Exp"][10, 0] == 0
    assert found["Log"][0, 0] == -np.inf
    missing = session.infer({f"{name}_x": np.full((3, 1), np.nan) for name in FUNCTIONS})
    assert all(np.isnan(values).all() for values in missing.values())
