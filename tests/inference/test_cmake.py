"""CMake: the C++ unit tests, and a consumer's project against the package and against an installation."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from model_files import HIGGS, runtime_scores, write_mlp

import hepml_root

ROOT_FOLDER = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")


def run(*command: object, cwd: Path | None = None, fails: bool = False, **variables: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment() | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


def environment() -> dict[str, str]:
    # The command hepml-root of this very environment.
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_mlp(tmp_path_factory.mktemp("cmake") / "network.onnx", hidden=(19, 16))


def consume(build: Path, package: Path, model: Path, kind: str = "") -> None:
    run("cmake", "-S", ROOT_FOLDER / "tests" / "cpp" / "consumer", "-B", build, f"-Dhepml_root_DIR={package}",
        f"-DMODEL={model}", f"-DKIND={kind}", "-DCMAKE_BUILD_TYPE=Release")  # fmt: skip
    run("cmake", "--build", build)
    (expected,) = runtime_scores(model, features=np.full((1, len(HIGGS)), 0.5))[0]
    for isa in ("", "avx2", "plain") if kind else ("",):
        *labels, library, header = run(build / "consumer", HEPML_ROOT_ISA=isa).split()
        assert labels == list(HIGGS)
        assert float(library) == pytest.approx(expected, abs=1e-5)
        assert float(header) == pytest.approx(expected, abs=1e-5)


def test_consumer_finds_the_python_package(model, tmp_path):
    """Its library is for this processor, or, if asked for, for all of them."""
    package = Path(hepml_root.__file__).parent / "cmake"
    consume(tmp_path / "build", package, model, "PORTABLE")
    made = [path.parent.name for path in (tmp_path / "build" / "CMakeFiles").rglob("higgs_library.cxx.o")]
    if platform.machine() == "x86_64":
        assert len(made) == 3


def test_unit_tests_and_installation(model, tmp_path):
    build, prefix = tmp_path / "build", tmp_path / "installed"
    run("cmake", "-S", ROOT_FOLDER, "-B", build, f"-DHEPML_ROOT_TEST_MODEL={model}",
        f"-DCMAKE_INSTALL_PREFIX={prefix}", "-DCMAKE_INSTALL_LIBDIR=lib")  # fmt: skip
    run("cmake", "--build", build)
    said = run("ctest", "--test-dir", build, "--output-on-failure")
    assert "100% tests passed, 0 tests failed out of 4" in said
    run("cmake", "--install", build)
    consume(tmp_path / "consumer", prefix / "lib" / "cmake" / "hepml_root", model)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["-Dhepml_root_DIR={package}", "-DMODEL=missing.onnx"], "there is no model file"),
        (["-Dhepml_root_DIR={package}", "-DMODEL={text}"], "text.onnx"),
        (["-DMODEL={model}"], "hepml_rootConfig.cmake"),
        (["-Dhepml_root_DIR={package}", "-DMODEL={model}", "-DKIND=portable"], "unknown argument 'portable'"),
    ],
)
def test_what_is_missing_is_named(model, tmp_path, settings, said):
    text = tmp_path / "text.onnx"
    text.write_text("no model")
    package = Path(hepml_root.__file__).parent / "cmake"
    settings = [setting.format(package=package, model=model, text=text) for setting in settings]
    build = tmp_path / "build"
    script = f'cmake -S "$0" -B "{build}" "$@" && cmake --build "{build}"'
    output = run("sh", "-c", script, ROOT_FOLDER / "tests" / "cpp" / "consumer", *settings, fails=True)
    assert said in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("asked", "fits"), [("0.1", True), ("0.1.0", True), ("", True), ("0.2", False), ("1", False)]
)
def test_version(tmp_path, asked, fits):
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.18)\nproject(version NONE)\n"
        f"find_package(hepml_root {asked} QUIET)\nmessage(STATUS found=${{hepml_root_FOUND}})\n"
    )
    package = Path(hepml_root.__file__).parent / "cmake"
    output = run("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-Dhepml_root_DIR={package}")
    assert ("found=1" in output) == fits
