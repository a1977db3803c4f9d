"""The machine's C++ compiler: finding it, knowing its version and target, running it."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from hepml_root.errors import CompilerError

FLAGS = (
    "-std=gnu++17",
    "-O3",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fPIC",
    "-fvisibility=hidden",
)
# What code is compiled for: the processor of this machine, or any that has these features.
INSTRUCTIONS: dict[str, tuple[str, ...]] = {
    "native": ("-march=native",),
    "avx512": ("-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mavx2", "-mfma"),
    "avx2": ("-mavx2", "-mfma"),
    "plain": (),
}
CANDIDATES = ("g++", "c++", "clang++")
INSTALL = (
    "Install one: `apt install g++` (Debian, Ubuntu), `dnf install gcc-c++` (Fedora, Alma) or "
    "`conda install cxx-compiler`; or set CXX to the compiler's path."
)
SHOWN_LINES = 12


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler: the command (with the options that $CXX may hold) and what it says of its version."""

    command: tuple[str, ...]
    version: str

    def run(self, arguments: list[str], folder: Path) -> None:
        """Run the compiler in ``folder``.

        Raises
        ------
        CompilerError
            It cannot be started, or fails; the message has the first lines of its errors.
        """
        command = [*self.command, *arguments]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, errors="replace", check=False
            )
        except OSError as error:
            raise CompilerError(
                f"the C++ compiler '{self.command[0]}' cannot be started: {error}. {INSTALL}"
            ) from error
        if done.returncode:
            output = (done.stderr or done.stdout).splitlines()
            errors = [line for line in output if "error" in line.lower()] or output
            shown = "\n  ".join(errors[:SHOWN_LINES])
            raise CompilerError(
                f"the C++ compiler '{self.command[0]}' failed with exit code {done.returncode}:\n  {shown}\n"
                f"The command was: {shlex.join(command)}"
            )


def find_compiler(name: str | None = None) -> Compiler:
    """Return the compiler called ``name``, else that of $CXX, else the first of g++, c++ and clang++.

    Raises
    ------
    CompilerError
        There is none, or the one asked for does not run. The message says what to install.

    Example
    -------
    >>> find_compiler().run(["--version"], Path("."))
    """
    asked = name or os.environ.get("CXX") or ""
    if asked:
        return _compiler(tuple(shlex.split(asked)), os.environ.get("PATH", ""))
    for candidate in CANDIDATES:
        if shutil.which(candidate):
            return _compiler((candidate,), os.environ.get("PATH", ""))
    raise CompilerError(f"no C++ compiler found: looked for {', '.join(CANDIDATES)} in PATH. {INSTALL}")


@functools.cache
def _compiler(command: tuple[str, ...], path: str) -> Compiler:
    if not command or shutil.which(command[0], path=path) is None:
        raise CompilerError(f"the C++ compiler '{shlex.join(command)}' is not there. {INSTALL}")
    try:
        done = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise CompilerError(
            f"the C++ compiler '{command[0]}' cannot be started: {error}. {INSTALL}"
        ) from error
    if done.returncode:
        raise CompilerError(f"'{shlex.join(command)} --version' fails: it is no C++ compiler. {INSTALL}")
    return Compiler(command, done.stdout.strip())


@functools.cache
def cpu() -> str:
    """Return a text that tells apart processors for which ``-march=native`` may give different code."""
    marks = {f"{key}={value}" for key, value in _cpuinfo() if key in ("model name", "cpu family", "model")}
    features = cpu_features() or {platform.processor()}  # not Linux: the name is all there is
    return hashlib.sha256(
        "\n".join([platform.machine(), *sorted(marks), *sorted(features)]).encode()
    ).hexdigest()


@functools.cache
def cpu_features() -> frozenset[str]:
    """Return the processor's features by their Linux names, such as ``avx2``; empty where not known."""
    return frozenset(
        name for key, value in _cpuinfo() if key in ("flags", "Features") for name in value.split()
    )


def runs(instructions: str) -> bool:
    """Return whether this processor runs code for "avx512", "avx2" or "plain" (or "native").

    >>> runs("plain"), runs("native")
    (True, True)
    """
    if instructions == "native":
        return True
    return cpu_features().issuperset(flag[2:] for flag in INSTRUCTIONS[instructions])


@functools.cache
def _cpuinfo() -> tuple[tuple[str, str], ...]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    pairs = (line.partition(":") for line in text.splitlines())
    return tuple((key.strip(), value.strip()) for key, _, value in pairs)
