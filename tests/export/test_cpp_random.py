"""Random operators: the generator's published numbers, the distributions, and what a draw depends on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from scipy import stats

from hepml_root.errors import SettingError, UnsupportedOperationError
from hepml_root.export.cpp import INCLUDE, generate
from hepml_root.inference.compiler import find_compiler
from hepml_root.inference.session import Session

EVENTS, ELEMENTS = 40_000, 5
NUMBERS = EVENTS * ELEMENTS
# Of standard deviations: one test in 10^6 of right numbers would fail, and the seeds are fixed.
SURE = 5.0

# Known answers of Philox 4x32 with ten rounds, from the authors' own tests (Random123): counter, key, result.
KNOWN = """
00000000 00000000 00000000 00000000  00000000 00000000  6627e8d5 e169c58d bc57ac4c 9b00dbd8
ffffffff ffffffff ffffffff ffffffff  ffffffff ffffffff  408f276d 41c83b0e a20bc7c6 6d5451fd
243f6a88 85a308d3 13198a2e 03707344  a4093822 299f31d0  d16cfe09 94fdcceb 5001e420 24126ea1
"""


def model(
    nodes: list[onnx.NodeProto], outputs: dict[str, int], **initialisers: list[float]
) -> onnx.ModelProto:
    """Return a model with an input ``x`` of five numbers per event."""
    graph = helper.make_graph(
        nodes,
        "random",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", ELEMENTS])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", size])
            for name, size in outputs.items()
        ],
        [helper.make_tensor(n, TensorProto.FLOAT, [1, len(v)], v) for n, v in initialisers.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


NODES = [
    helper.make_node("RandomNormalLike", ["x"], ["normal"], mean=-1.5, scale=0.5),
    helper.make_node("RandomNormalLike", ["x"], ["other"]),
    helper.make_node("RandomUniformLike", ["x"], ["uniform"], low=-2.0, high=6.0, seed=3.0),
    helper.make_node("RandomNormal", [], ["shaped"], shape=[1, 70]),
    helper.make_node("RandomUniform", [], ["evenly"], shape=[1, 3]),
    helper.make_node("Sigmoid", ["x"], ["probability"]),
    helper.make_node("Bernoulli", ["probability"], ["coin"]),
]
OUTPUTS = {"normal": 5, "other": 5, "uniform": 5, "shaped": 70, "evenly": 3, "coin": 5}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("random")
    path = folder / "random.onnx"
    onnx.save(model(NODES, OUTPUTS), path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEPML_ROOT_CACHE", str(folder / "cache"))
        return Session(path, "cpp")


def draws(session: Session, events: int, seed: int = 1, first: int = 0) -> dict[str, np.ndarray]:
    x = np.linspace(-3, 3, ELEMENTS, dtype=np.float32) * np.ones((events, 1), np.float32)
    found = session.infer(x, seed=seed, first_event=first)
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def sample(session: Session) -> dict[str, np.ndarray]:
    return draws(session, EVENTS)


def test_published_numbers_of_the_generator(tmp_path: Path) -> None:
    """In every lane of the registers of all targets, so for all builds of a library."""
    cases = [[f"0x{word}u" for word in line.split()] for line in KNOWN.strip().splitlines()]
    rows = ",\n".join("{" + ", ".join(words) + "}" for words in cases)
    (tmp_path / "philox.cxx").write_text(f"""
        #include "hepml_root/engine/random.hxx"
        using namespace hepml_root::engine;
        using V = Vector<HEPML_ROOT_LANES>::Float;
        const std::uint32_t cases[][10] = {{{rows}}};
        int main() {{
           int wrong = 0;
           for (const auto& known : cases) {{
              Counter<V> counter;
              for (int i = 0; i < 4; ++i)
                 counter.word[i] = Words<V>{{}} + known[i];
              counter = philox<V>(counter, known[4] | std::uint64_t(known[5]) << 32);
              for (int i = 0; i < 4; ++i)
                 for (std::size_t lane = 0; lane < width<V>; ++lane)
                    wrong += counter.word[i][lane] != known[6 + i];
           }}
           return wrong;
        }}""")
    for target in ("-march=native", "-march=x86-64"):
        find_compiler().run(
            ["-std=gnu++17", "-O1", target, "-Wno-psabi", f"-I{INCLUDE}", "philox.cxx", "-o", "philox"],
            tmp_path,
        )
        assert subprocess.run([tmp_path / "philox"], check=False).returncode == 0


def test_normal_distribution(sample: dict[str, np.ndarray]) -> None:
    x = (sample["normal"].astype(np.float64).ravel() + 1.5) / 0.5
    # Standard deviations of the mean of x^k: sqrt(E x^2k - (E x^k)^2) / sqrt(n).
    for power, expected, spread in ((1, 0, 1), (2, 1, 2**0.5), (3, 0, 15**0.5), (4, 3, 96**0.5)):
        assert abs((x**power).mean() - expected) < SURE * spread / NUMBERS**0.5, power
    assert stats.kstest(x, "norm").statistic < 2.6 / NUMBERS**0.5  # 2.6: probability 3e-6 (Kolmogorov)
    far = int((np.abs(x) > 3.5).sum())
    expected = NUMBERS * 2 * stats.norm.sf(3.5)
    assert abs(far - expected) < SURE * expected**0.5
    assert np.isfinite(x).all()


def test_uniform_distribution(sample: dict[str, np.ndarray]) -> None:
    for name, low, high in (("uniform", -2.0, 6.0), ("evenly", 0.0, 1.0)):
        x = sample[name].astype(np.float64).ravel()
        assert low <= x.min()
        assert x.max() < high
        u = (x - low) / (high - low)
        assert abs(u.mean() - 0.5) < SURE / (12 * len(u)) ** 0.5
        assert stats.kstest(u, "uniform").statistic < 2.6 / len(u) ** 0.5


def test_bernoulli_distribution(sample: dict[str, np.ndarray]) -> None:
    p = 1 / (1 + np.exp(-np.linspace(-3, 3, ELEMENTS)))
    assert set(np.unique(sample["coin"])) == {0.0, 1.0}
    np.testing.assert_array_less(
        np.abs(sample["coin"].mean(axis=0) - p), SURE * np.sqrt(p * (1 - p) / EVENTS)
    )


def test_all_draws_are_independent(sample: dict[str, np.ndarray], session: Session) -> None:
    """Between elements, nodes, neighbouring events, and seeds."""
    ranks = [stats.rankdata(column) for name in ("normal", "other", "uniform") for column in sample[name].T]
    correlation = np.corrcoef(ranks) - np.eye(len(ranks))
    assert np.abs(correlation).max() < SURE / EVENTS**0.5
    squares = np.corrcoef([(column - column.mean()) ** 2 for column in sample["shaped"].T])
    assert np.abs(squares - np.eye(70)).max() < (SURE + 1) / EVENTS**0.5  # of 2415 pairs
    x = sample["other"].ravel()
    for other in (np.roll(sample["other"], 1, axis=0), draws(session, EVENTS, seed=2)["other"]):
        assert abs(np.corrcoef(x, other.ravel())[0, 1]) < SURE / NUMBERS**0.5
    assert len(np.unique(x)) > 0.98 * NUMBERS


@pytest.mark.parametrize("size", [1, 5, 16, 48 + 16 + 3])
def test_a_draw_depends_on_seed_and_event_alone(
    size: int, sample: dict[str, np.ndarray], session: Session
) -> None:
    """In calls of one event, in blocks that are not full, and in full ones: to the last bit."""
    for first in (0, 1000):
        found = draws(session, size, first=first)
        for name, right in sample.items():
            np.testing.assert_array_equal(found[name], right[first : first + size], err_msg=name)


def test_numbers_of_events_and_seeds_have_64_bits(session: Session) -> None:
    low, high, last = draws(session, 3), draws(session, 3, first=1 << 32), draws(session, 3, first=2**64 - 3)
    seeded = draws(session, 3, seed=1 + (1 << 32))
    for other in (high, last, seeded):
        assert not (low["other"] == other["other"]).any()
    across = draws(session, 20, first=(1 << 32) - 10)  # the carry into the upper word
    np.testing.assert_array_equal(across["other"][10:13], high["other"])
    for name in ("seed", "first_event"):
        for value in (-1, 1 << 64):
            with pytest.raises(SettingError, match=name):
                session.infer(np.zeros((1, ELEMENTS)), **{name: value})


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (helper.make_node("Multinomial", ["x"], ["y"]), "Multinomial"),
        (helper.make_node("RandomNormal", [], ["y"], shape=[7, 5]), "whatever the number of events"),
        (helper.make_node("RandomNormalLike", ["x"], ["y"], dtype=TensorProto.DOUBLE), "float64"),
        (helper.make_node("RandomNormalLike", ["x"], ["y"], scale=-1.0), "parameters"),
        (helper.make_node("RandomUniformLike", ["x"], ["y"], low=float("nan")), "parameters"),
        (helper.make_node("RandomUniformLike", ["x"], ["y"], low=2.0, high=1.0), "parameters"),
    ],
)
def test_what_cannot_be_drawn_is_refused(node: onnx.NodeProto, why: str) -> None:
    with pytest.raises(UnsupportedOperationError, match=why):
        generate(model([node], {"y": ELEMENTS}))
