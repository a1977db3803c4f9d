"""Who may import whom: downward only, and neither Keras nor ROOT at import time."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hepml_root

PACKAGE = Path(__file__).resolve().parents[1] / "hepml_root"

LEVELS = {
    "errors": 0,
    "interrupts": 0,
    "output": 0,
    "data": 1,
    "layers": 1,
    "models": 2,
    "losses": 2,
    "representations": 2,
    "simulation": 2,
    "training": 3,
    "evaluation": 3,
    "export": 3,
    "inference": 3,
    "solvers": 3,
    "tmva": 4,
    "cli": 5,
    "__main__": 5,
    "__init__": 6,  # it names everything and imports nothing until asked
}
# Within a level these may look at one another; every other pair of siblings may not.
ALLOWED_SIBLINGS = {
    ("output", "errors"),
    ("output", "interrupts"),
    ("solvers", "training"),
    ("models", "losses"),  # what a variational autoencoder makes small has a divergence in it
    ("inference", "export"),  # a library is generated from the exported file
    ("export", "inference"),  # the certificate of an exported file runs its library
    ("evaluation", "inference"),  # an exported file is evaluated as a Keras model is
    ("evaluation", "training"),  # a classifier two-sample test trains its classifier
}
ROOT_ALLOWED = ("data/", "inference/", "export/sofie.py", "evaluation/root_file.py", "tmva/")
KERAS_ALLOWED = (
    "layers/",
    "models/",
    "losses/",
    "training/",
    "export/",
    "solvers/",
    "evaluation/prediction.py",
    "tmva/methods/",
)


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def unit_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def level_of(unit: str) -> int:
    return next((level for name, level in LEVELS.items() if unit == name or unit.startswith(name + "_")), -1)


def imports(tree: ast.AST, only_module_level: bool = False) -> list[str]:
    """Return the dotted names imported in ``tree`` (type-checking blocks excluded)."""
    found: list[str] = []

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if only_module_level and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            if isinstance(child, ast.Import):
                found.extend(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module and child.level == 0:
                found.extend(f"{child.module}.{alias.name}" for alias in child.names)
            visit(child)

    visit(tree)
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward(path: Path) -> None:
    unit = unit_of(path)
    level = level_of(unit)
    assert level >= 0, f"{path}: '{unit}' has no level in the layering; add it to LEVELS"
    for name in imports(ast.parse(path.read_text())):
        if not name.startswith("hepml_root."):
            continue
        other = name.split(".")[1]
        if other in hepml_root._PUBLIC:  # `from hepml_root import Dataset` is an import of data
            other = hepml_root._PUBLIC[other][0].split(".")[1]
        if other == "__version__" or other == unit:
            continue
        other_level = level_of(other)
        assert other_level >= 0, f"{path} imports {name}: unknown unit"
        allowed = other_level < level or level >= 5 or (unit, other) in ALLOWED_SIBLINGS
        assert allowed, f"{path.relative_to(PACKAGE)} (level {level}) imports {name} (level {other_level})"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_root_and_keras_only_where_they_belong(path: Path) -> None:
    relative = str(path.relative_to(PACKAGE))
    tree = ast.parse(path.read_text())
    everywhere = {name.split(".")[0] for name in imports(tree)}
    at_import = {name.split(".")[0] for name in imports(tree, only_module_level=True)}
    assert "ROOT" not in at_import, "ROOT is imported only inside functions"
    if level_of(unit_of(path)) >= 5:
        return  # the command line may use what it hands over, inside functions
    if "ROOT" in everywhere:
        assert relative.startswith(ROOT_ALLOWED), f"{relative} imports ROOT"
    if everywhere & {"keras", "tensorflow"}:
        assert relative.startswith(KERAS_ALLOWED), f"{relative} imports Keras"
    if "tensorflow" in everywhere:
        assert relative.startswith("training/"), "the backend is used in one small module of training only"


def test_import_loads_neither_keras_nor_root() -> None:
    code = (
        "import sys, hepml_root as hr; hr.data; "
        "loaded = {'keras', 'tensorflow', 'ROOT', 'matplotlib', 'onnxruntime'} & set(sys.modules); "
        "sys.exit(f'loaded: {loaded}' if loaded else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_every_public_name_exists() -> None:
    assert set(hepml_root.__all__) == {"__version__", *hepml_root._PUBLIC}
    code = "import hepml_root as hr; [getattr(hr, name) for name in hr.__all__]; assert callable(hr.export)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
