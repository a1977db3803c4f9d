"""Settings and small data shared by all tests."""

from __future__ import annotations

import contextlib
import faulthandler
import os

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key

# Tests run side by side on few cores: leave the thread pools small. With more threads TensorFlow also sums in
# an order that depends on the load, and two trainings are the same but for rounding.
for _pool in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(_pool, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("MPLBACKEND", "Agg")
# OpenMP threads that spin while they wait make LightGBM crawl when the workers are more than the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Exports compile nothing, but where the certificate is what is tested.
os.environ.setdefault("HEPML_ROOT_CERTIFY", "0")


@pytest.fixture(scope="session", autouse=True)
def _a_crash_is_told(pytestconfig: pytest.Config) -> None:
    """ROOT takes over the fatal signals, and what it prints is lost with the process: take them back."""
    with contextlib.suppress(ImportError):
        import ROOT

        ROOT.gInterpreter.Declare("")
    faulthandler.disable()
    faulthandler.enable(file=pytestconfig.stash[fault_handler_stderr_fd_key])


# Parts of the paths of files that take a worker long: they are begun first, so that none is waited for.
_LONG = (
    "tutorials/test_tutorials.py", "tests/test_documentation.py", "simulation/test_stop.py",
    "cli/test_demo.py", "cli/test_commands.py", "inference/test_cmake.py", "inference/test_macros.py",
    "inference/test_define", "export/test_zoo_parity.py", "export/test_cpp_", "tests/nodes/", "tests/feed/",
    "tests/benchmarks/", "tmva/test_tmva_reader_cpp.py", "tmva/test_tmva_factory_cpp.py",
    "tmva/test_tmva_gui.py", "tmva/test_tmva_deep.py", "tmva/test_tmva_keras_file.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of long files first; within a file the order stays."""
    items.sort(key=lambda item: not any(part in item.path.as_posix() for part in _LONG))
