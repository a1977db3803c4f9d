"""The method HepML inside the real TMVA: built and run where ROOT has TMVA."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import ROOT

from hepml_root.tmva.conversation import Conversation
from hepml_root.tmva.options.networks import HEPML
from hepml_root.tmva.root_module import root_has_tmva

PROJECT = Path(__file__).resolve().parents[2]


def configured(build: Path) -> str:
    """Configure the C++ part of the project with this process's ROOT; return what CMake says."""
    if shutil.which("cmake") is None:
        pytest.skip("needs cmake")
    command = ["cmake", "-S", PROJECT, "-B", build, f"-DROOT_DIR={ROOT.TROOT.GetRootSys()}/cmake"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_said_that_it_is_not_built(tmp_path):
    if root_has_tmva():
        pytest.skip("this ROOT has TMVA: the plugin is built")
    assert "libHepMLTMVA is not built: the ROOT of" in configured(tmp_path)


def test_it_trains_and_its_weight_file_is_read(tmp_path):
    if not root_has_tmva():
        pytest.skip("this ROOT has no TMVA")
    configured(tmp_path)
    subprocess.run(["cmake", "--build", str(tmp_path), "--target", "HepMLTMVA"], check=True)
    done = subprocess.run(
        ["ctest", "--test-dir", str(tmp_path), "-R", "tmva_plugin", "--output-on-failure"],
        capture_output=True, text=True, check=False,
        env=os.environ | {"HEPML_ROOT_PYTHON": sys.executable},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "1 tests passed" in done.stdout or "100% tests passed" in done.stdout


@pytest.mark.slow  # imports TensorFlow
def test_its_options_are_those_of_the_method():
    answer = Conversation().answer({"call": "options", "arguments": ["HepML"]})["value"]
    defaults = {one["name"]: one["default"] for one in answer}
    assert {o.name: str(o.default) for o in HEPML}.items() <= defaults.items()
    assert defaults["Hidden"] == ""  # a setting of a model: its own default
    assert all(one["help"] for one in answer)
    # TMVA takes colons and exclamation marks for its own.
    assert not any(":" in one["default"] for one in answer)
