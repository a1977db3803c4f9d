"""Damaged and hostile model files: each is refused by a named error, or gives C++ that is what it should be.

The generator runs in a process of its own, with limits of memory and time. ``make fuzz`` runs many more.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import onnx
import pytest

from tests.export.fuzz_mutations import HOSTILE, MARKER, damaged, texts
from tests.export.fuzz_seeds import SEEDS

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("fuzz_worker.py")
LITERAL = re.compile(r'"(?:[^"\\\n]|\\.)*"')
# Files, and how many of those that give C++ are compiled.
DEFAULT, COMPILED = 140, 6
MANY, MANY_COMPILED = 2400, 40


def write(folder: Path, files: int, seed: int) -> dict[str, str]:
    """Write damaged files; return what was done to each."""
    rng = random.Random(seed)
    seeds = [make() for make in SEEDS]
    for model in seeds:
        onnx.checker.check_model(model)
    done = {}
    for i in range(files):
        name = f"{i:05}.onnx"
        which, data = damaged(seeds[i % len(seeds)], rng)
        (folder / name).write_bytes(data)
        done[name] = f"{seeds[i % len(seeds)].graph.name}: {which}"
    return done


def results(folder: Path) -> dict[str, dict[str, str]]:
    """Run the generator on all files of a folder; a file at which it dies has the result "wrong"."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    found: dict[str, dict[str, str]] = {}
    while left := [path for path in sorted(folder.glob("*.onnx")) if path.name not in found]:
        process = subprocess.run(
            [sys.executable, str(WORKER), str(folder)],
            env={**environment, "HEPML_ROOT_FUZZ_FIRST": left[0].name},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=900,
        )
        lines = [json.loads(line) for line in process.stdout.splitlines() if line.startswith("{")]
        names = [line["file"] for line in lines if "file" in line]
        assert names, process.stderr[-2000:]  # it did not even begin
        found |= dict(zip(names, [line for line in lines if "file" not in line], strict=False))
        if process.returncode or len(names) < len(left):
            found[names[-1]] = {
                "wrong": f"the process ended with {process.returncode}: {process.stderr[-300:]}"
            }
    return found


def code_of(header: str) -> str:
    """Return a header without its string literals."""
    return LITERAL.sub('""', header)


def assert_compiles(folder: Path, found: dict[str, dict[str, str]], most: int) -> None:
    """Compile headers together; those made with hostile texts first."""
    names = [name for name, result in found.items() if "namespace" in result]
    headers = {name: (folder / name).with_suffix(".hxx") for name in names}
    hostile = [name for name in names if MARKER in headers[name].read_text()]
    others = [name for name in names if name not in hostile]
    chosen, namespaces = [], set()
    for name in hostile[: max(most // 2, most - len(others))] + others:
        if len(chosen) < most and found[name]["namespace"] not in namespaces:
            namespaces.add(found[name]["namespace"])
            chosen.append(name)
    lines = [f'#include "{headers[name].name}"' for name in chosen]
    lines += ["int main() {", *(f"   {found[name]['namespace']}::Session s{i}; (void)s{i}.manifest();"
                                for i, name in enumerate(chosen)), "}"]  # fmt: skip
    (folder / "all.cxx").write_text("\n".join(lines) + "\n")
    flags = ["-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Wno-psabi", "-Werror"]
    done = subprocess.run(["g++", *flags, "all.cxx"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]


def fuzz(folder: Path, files: int, seed: int, compiled: int) -> Counter[str]:
    """Damage files, generate, and check all that comes out; return how often each result came."""
    done = write(folder, files, seed)
    found = results(folder)
    wrong = [f"{name} ({done[name]}): {found[name]}" for name in done if "wrong" in found[name]]
    assert not wrong, f"{len(wrong)} files:\n" + "\n".join(wrong[:40])
    for name, result in found.items():
        if "namespace" in result:
            header = (folder / name).with_suffix(".hxx").read_text(encoding="ascii")
            assert MARKER not in code_of(header), f"{name} ({done[name]}) has text of the model in its code"
            assert re.fullmatch(r"TMVA_SOFIE_[A-Za-z0-9_]+", result["namespace"])
    assert not [path for path in folder.rglob("*") if MARKER in path.name]
    assert_compiles(folder, found, compiled)
    return Counter(result.get("refused", "generated") for result in found.values())


def test_damaged_files(tmp_path: Path) -> None:
    tally = fuzz(tmp_path, DEFAULT, 1, COMPILED)
    assert tally["generated"] > DEFAULT // 20
    assert tally["UnsupportedOperationError"] > DEFAULT // 20
    assert tally["ModelFileError"] > DEFAULT // 10


@pytest.mark.slow
def test_many_damaged_files(tmp_path: Path) -> None:
    seed = int(os.environ.get("HEPML_ROOT_FUZZ_SEED", "2"))
    tally = fuzz(tmp_path, int(os.environ.get("HEPML_ROOT_FUZZ_FILES", MANY)), seed, MANY_COMPILED)
    print(f"\nseed {seed}:", ", ".join(f"{count} {name}" for name, count in tally.most_common()))


def test_all_texts_are_hostile(tmp_path: Path) -> None:
    """Every name and text of the seeds at once: generated, and quoted everywhere."""
    rng = random.Random(5)
    for i, make in enumerate(SEEDS):
        (tmp_path / f"{i}.onnx").write_bytes(texts(make(), rng).SerializeToString())
    found = results(tmp_path)
    assert not [result for result in found.values() if "wrong" in result]
    made = [name for name, result in found.items() if "namespace" in result]
    for name in made:
        assert MARKER not in code_of((tmp_path / name).with_suffix(".hxx").read_text(encoding="ascii"))
    assert len(HOSTILE) > 20
