"""The headers alone: without warnings for several processors, under sanitizers, in ROOT's interpreter."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

import hepml_root
from hepml_root.representations.constituents import constituents
from hepml_root.representations.graph import graph
from hepml_root.representations.image import image
from hepml_root.representations.momenta import FEATURES
from hepml_root.representations.sequence import lund, sequence

INCLUDE = Path(hepml_root.__file__).parent / "include"
COMPILER = shutil.which("g++")
WARNINGS = ("-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-pthread")
COLUMNS = {"pt": "pt", "eta": "eta", "phi": "phi", "mass": "mass"}
ALL = (
    constituents(**COLUMNS, features=tuple(FEATURES), max_length=40),
    constituents(**COLUMNS, max_length=40, rotation="principal", reflection=True, axis="centroid"),
    constituents(**COLUMNS, max_length=40, frame="jet", frame_mass=1, frame_energy=3),
    constituents(**COLUMNS, max_length=40, frame="beam", trim=0.01),
    sequence(**COLUMNS, max_length=40, order="clustering", algorithm="antikt", rotation="subjets"),
    image(**COLUMNS, pixels=20, scaling="log", normalise="l2", channels=("pt", "multiplicity"), trim=0.01,
          trim_radius=0.2),
    lund(**COLUMNS, max_length=20),
    graph(**COLUMNS, max_length=40, neighbours=9),
)  # fmt: skip
# Rounding differs: with and without fused products. It may carry a constituent into another pixel, choose
# another of two neighbours, or another of two ways to turn.
CHAOTIC = 2e-3

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="g++ is not installed")


def compiled(folder: Path, *flags: str) -> Path:
    program = folder / "driver"
    source = Path(__file__).with_name("driver.cxx")
    command = [str(COMPILER), *WARNINGS, *flags, f"-I{INCLUDE}", str(source), "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    return program


def run(program: Path, *arguments: object) -> str:
    done = subprocess.run(
        [str(program), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr == ""
    return done.stdout


def check_fill(program: Path, folder: Path, jets: dict[str, ak.Array]) -> None:
    """The same as through Python, from several threads, without memory that is taken for an event."""
    counts = ak.num(jets["pt"]).to_numpy()
    flat = [counts, *(ak.flatten(jets[name]).to_numpy() for name in COLUMNS)]
    np.concatenate(flat).astype(np.float32).tofile(folder / "events")
    (folder / "descriptions").write_text("\n".join(json.dumps(one.to_dict()) for one in ALL))
    said = run(program, folder / "events", folder / "descriptions", len(counts), folder / "values")
    # One allocation: of the copy that the driver returns.
    assert said.splitlines() == ["allocations 1"] * len(ALL)
    values = np.fromfile(folder / "values", np.float32)
    for representation in ALL:
        blocks = representation(jets)
        row = np.concatenate([block.reshape(len(counts), -1) for block in blocks.values()], axis=1)
        found, values = values[: row.size].reshape(row.shape), values[row.size :]
        wrong = ~np.isclose(found, row, atol=1e-4, rtol=1e-4)
        assert wrong.mean() <= CHAOTIC, representation
    assert values.size == 0


@pytest.fixture(scope="module")
def few(simulated, random_events):
    return {name: ak.concatenate([simulated[name][::10], random_events[name]]) for name in COLUMNS}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The driver for the narrowest registers, SSE."""
    return compiled(tmp_path_factory.mktemp("driver"), "-O1")


@needs_compiler
def test_sse_without_warnings(plain, tmp_path, few):
    check_fill(plain, tmp_path, few)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("flags", [("-O2", "-mavx2", "-mfma"), ("-O3", "-march=native"), ("-O0",)])
def test_other_targets_without_warnings(tmp_path, few, flags):
    if "-mavx2" in flags and "avx2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("no AVX2")
    program = compiled(tmp_path, *flags)
    check_fill(program, tmp_path, few)
    check_functions(program, tmp_path)


@needs_compiler
@pytest.mark.slow
def test_sanitizers(tmp_path, few):
    flags = ("-O1", "-g", "-march=native", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    check_fill(compiled(tmp_path, *flags), tmp_path, few)


@needs_compiler
def test_functions_of_angles(plain, tmp_path):
    check_functions(plain, tmp_path)


def check_functions(program: Path, folder: Path) -> None:
    """The errors that angles.hxx states."""

    def values(x):
        x.tofile(folder / "x")
        run(program, folder / "x", folder / "y")
        return np.fromfile(folder / "y", np.float32).reshape(6, -1)[:, : len(x)].astype(np.float64)

    x = np.linspace(-8192, 8192, 1_000_003).astype(np.float32)
    sine, cosine, _, _, _, root = values(x)
    exact = x.astype(np.float64)
    assert np.abs(sine - np.sin(exact)).max() < 1.5e-7
    assert np.abs(cosine - np.cos(exact)).max() < 1.5e-7
    np.testing.assert_allclose(root, np.sqrt(np.abs(exact)), rtol=4e-7)
    small = np.geomspace(1e-30, 80, 300_001)
    x = np.concatenate([small, -small]).astype(np.float32)
    _, _, sinh, cosh, wrapped, _ = values(x)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(sinh, np.sinh(exact), rtol=5e-7)
    np.testing.assert_allclose(cosh, np.cosh(exact), rtol=5e-7)
    near = np.abs(exact) < 10
    difference = (wrapped - exact)[near] / (2 * np.pi)
    assert np.abs(difference - np.round(difference)).max() < 5e-7 / (2 * np.pi)
    assert np.abs(wrapped[near]).max() < np.pi + 1e-6


CHILD = """
import sys, warnings
import numpy as np, awkward as ak
sys.path.insert(0, sys.argv[1])
warnings.simplefilter("ignore")
from test_cpp import ALL, COLUMNS
from hepml_root.data.feed_library import library
arrays = np.load(sys.argv[2])
jets = {name: ak.unflatten(arrays[name], arrays["counts"]) for name in COLUMNS}
for i, representation in enumerate(ALL):
    for name, values in representation(jets).items():
        expected = arrays[f"{i}_{name}"]
        wrong = ~np.isclose(values, expected, atol=1e-4, rtol=1e-4)
        assert wrong.mean() <= 2e-3, (representation, name)
print("compiled" if library("represent").compiled else "interpreted")
"""


def test_interpreter_fills_the_same(tmp_path, few):
    """Where there is no compiler, ROOT's interpreter takes the same headers."""
    arrays = {name: ak.flatten(values).to_numpy() for name, values in few.items()}
    arrays["counts"] = ak.num(few["pt"]).to_numpy()
    for i, representation in enumerate(ALL):
        arrays |= {f"{i}_{name}": values for name, values in representation(few).items()}
    np.savez(tmp_path / "expected.npz", **arrays)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(tmp_path / "expected.npz")],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PATH": "/nonexistent",
            "CXX": "no-such-compiler",
            "HEPML_ROOT_CACHE": str(tmp_path),
        },
    )
    assert done.stdout.strip() == "interpreted", done.stderr[-3000:]
