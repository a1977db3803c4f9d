"""``hepml-root config``: what is installed, what to install for what is missing, and where C++ finds it."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from hepml_root import __version__

EXAMPLES = """\
examples:
  hepml-root config                                     versions, and what to install for what is missing
  g++ -O3 -march=native -I$(hepml-root config --include-dir) analysis.cpp
  cmake -Dhepml_root_DIR=$(hepml-root config --cmake-dir) ..
  ROOT_INCLUDE_PATH=$(hepml-root config --tmva-include-dir) root -l TMVAClassification.C"""

# Distribution, module, what it is for, how to get it.
_PACKAGES = (
    (
        "ROOT",
        "ROOT",
        "reading ROOT files, RDataFrame",
        "pip install 'hepml_root[pyroot]', or https://root.cern/install",
    ),
    ("tensorflow", "tensorflow", "training", "pip install tensorflow"),
    ("keras", "keras", "models", "pip install keras"),
    ("onnx", "onnx", "export", "pip install onnx"),
    ("onnxruntime", "onnxruntime", "the check of every export", "pip install onnxruntime"),
    ("uproot", "uproot", "the report's ROOT file", "pip install uproot"),
    ("lightgbm", "lightgbm", "the boosted baseline", "pip install 'hepml_root[boosted]'"),
    ("pythia8mc", "pythia8mc", "simulated collisions", "pip install 'hepml_root[physics]'"),
    ("fastjet", "fastjet", "simulated jets", "pip install 'hepml_root[physics]'"),
    ("distributed", "distributed", "distributed RDataFrame", "pip install 'hepml_root[distributed]'"),
)


def add_config(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    added = command(
        "config", run, "say what is installed, and where the C++ headers and CMake files are", EXAMPLES
    )
    added.add_argument("--include-dir", action="store_true", help="print the folder of the C++ headers")
    added.add_argument("--cmake-dir", action="store_true", help="print the folder of hepml_rootConfig.cmake")
    added.add_argument("--tmva-include-dir", action="store_true",
                       help="print the folder of the headers that take the place of TMVA's")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Run the command with its parsed options."""
    folder = Path(__file__).resolve().parents[1]
    asked = [
        (options.include_dir, folder / "include"),
        (options.cmake_dir, folder / "cmake"),
        (options.tmva_include_dir, folder / "include" / "tmva_shim"),
    ]
    for wanted, path in asked:
        if wanted:
            print(path)
    if not any(wanted for wanted, _ in asked):
        print_installation()
    return 0


def installation() -> list[tuple[str, str, str]]:
    """Return (what, version or "missing", purpose or how to get it) for everything this package uses."""
    rows = [("hepml_root", __version__, str(Path(__file__).resolve().parents[1]))]
    rows.append(("Python", platform.python_version(), platform.python_implementation()))
    for distribution, module, purpose, remedy in _PACKAGES:
        spec = importlib.util.find_spec(module)
        if spec is None:
            rows.append((distribution, "missing", f"{purpose}: {remedy}"))
            continue
        try:
            version = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:  # ROOT from conda, LCG or the system
            version = "installed"
        if module == "ROOT":  # pip numbers its builds by itself
            version, packaged = _root_version(spec.origin) or version, version
            purpose += f" (pip: ROOT {packaged})" if packaged not in ("installed", version) else ""
        rows.append((distribution, version, purpose))
    rows.append(_compiler())
    return rows


def _root_version(package: str | None) -> str:
    """Version of ROOT itself: of the Python package in this file, else of the PATH."""
    beside = Path(package or ".").parent / "bin" / "root-config"
    config = str(beside) if beside.is_file() else shutil.which("root-config")
    if config is None:
        return ""
    return subprocess.run([config, "--version"], capture_output=True, text=True, check=False).stdout.strip()


def _compiler() -> tuple[str, str, str]:
    name = os.environ.get("CXX") or next((c for c in ("g++", "clang++", "c++") if shutil.which(c)), "")
    if not name or shutil.which(name) is None:
        remedy = "apt install g++, or conda install -c conda-forge cxx-compiler; else ROOT interprets"
        return ("C++ compiler", "missing", f"fast inference: {remedy}")
    said = subprocess.run(
        [name, "-dumpfullversion", "-dumpversion"], capture_output=True, text=True, check=False
    )
    return ("C++ compiler", f"{name} {said.stdout.strip()}", "fast inference")


def print_installation() -> None:
    """Print the table of :func:`installation`."""
    rows = installation()
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    for what, version, note in rows:
        print(f"{what:<{widths[0]}}  {version:<{widths[1]}}  {note}")
