"""Runs one tutorial in a folder of its own, and says what came of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.root_tutorials.entries import Entry

SECONDS = 1800
PACKAGE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Outcome:
    """What came of a tutorial: ``ok``, ``failed``, or ``needs …``; the remark says why."""

    name: str
    status: str
    remark: str
    seconds: float
    output: str = ""


def tutorials() -> Path:
    """Return ROOT's folder of tutorials of machine learning."""
    import ROOT

    return Path(str(ROOT.gROOT.GetTutorialDir())) / "machine_learning"


def folder_of(work: Path, name: str) -> Path:
    return work / re.sub(r"\W+", "_", name)


def command(entry: Entry, script: Path) -> list[str]:
    """Return what runs a tutorial."""
    if entry.kind == "py":
        return [sys.executable, "-W", "ignore", "-m", "hepml_root.tmva", "--batch", str(script)]
    root = shutil.which("root") or str(Path(sys.executable).parent / "root")
    before = ["-e", '#include "tmva.h"'] if entry.preload else []
    return [root, "-l", "-b", "-q", *before, f"{script}{entry.call}"]


def environment(entry: Entry) -> dict[str, str]:
    """Return the environment: macros find the shim headers by the include path."""
    found = dict(os.environ)
    found["PYTHONPATH"] = os.pathsep.join(filter(None, [str(PACKAGE), found.get("PYTHONPATH")]))
    if entry.kind == "C":
        include = PACKAGE / "hepml_root" / "include"
        paths = [str(include / "tmva_shim"), str(include), found.get("ROOT_INCLUDE_PATH", "")]
        found["ROOT_INCLUDE_PATH"] = os.pathsep.join(filter(None, paths))
        found["HEPML_ROOT_PYTHON"] = sys.executable
    return found


def run(entry: Entry, work: Path, before: dict[str, Outcome]) -> Outcome:
    """Run one tutorial below ``work``; ``before`` are the outcomes of those that ran already."""
    folder = folder_of(work, entry.name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for other, files in entry.takes:
        if before.get(other) is None or before[other].status != "ok":
            return Outcome(entry.name, "failed", f"{other} has to run before it", 0.0)
        for name in files:
            source = folder_of(work, other) / name
            if source.is_dir():
                shutil.copytree(source, folder / name)
            elif source.is_file():
                shutil.copy(source, folder / name)
    if entry.prepare is not None:
        entry.prepare(folder)
    started = time.monotonic()
    variables = environment(entry) | {"PWD": str(folder)}  # a shell sets it, and macros look at it
    try:
        done = subprocess.run(
            command(entry, tutorials() / entry.name), cwd=folder, env=variables, capture_output=True,
            text=True, errors="replace", timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Outcome(entry.name, "failed", f"not done after {SECONDS} s", float(SECONDS))
    seconds = time.monotonic() - started
    output = done.stdout + done.stderr
    (folder / "output.txt").write_text(output)
    status, remark = judged(entry, done.returncode, output)
    return Outcome(entry.name, status, remark, seconds, output)


def judged(entry: Entry, code: int, output: str) -> tuple[str, str]:
    """Return status and remark of a run."""
    if code:
        missing = re.findall(r"No module named '([\w.]+)'", output)
        if missing:
            return f"needs {missing[-1]}", entry.remark
        if entry.network:
            return "needs the network", entry.remark
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception|error)\b", line)] or lines
        return "failed", errors[-1][:150] if errors else f"exit code {code}"
    wrong = [found for found in (check(output) for check in entry.checks) if found]
    return ("failed", "; ".join(wrong)) if wrong else ("ok", entry.remark)
