"""The constants of a network: one array, each piece once, aligned; as C++ numbers or as a side file.

Besides the weights there may be tables of 32-bit words (decision trees), an array of its own, and there are
the formulas of the network, each once: steps with the same formula then share their code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

ALIGNMENT = 16  # floats: one AVX-512 register, one cache line


class Weights:
    """Collects float32 arrays and gives each its place in one array."""

    def __init__(self) -> None:
        self._pieces: list[np.ndarray] = []
        self._places: dict[bytes, int] = {}
        self._length = 0
        self._tables: list[np.ndarray] = []
        self._words = 0
        self._formulas: dict[str, str] = {}

    def formula(self, code: str) -> str:
        """Return the name of the C++ struct with the body ``code``, adding it if it is new."""
        return self._formulas.setdefault(code, f"Formula{len(self._formulas)}")

    def formulas(self) -> Iterator[str]:
        """Yield the lines of all structs."""
        for code, name in self._formulas.items():
            yield from (f"struct {name} {{", *(f"   {line}" for line in code.splitlines()), "};")

    def code(self, array: np.ndarray) -> str:
        """Return the C++ address of ``array``, adding it if it is new."""
        return f"w + {self.place(array)}"

    def place(self, array: np.ndarray) -> int:
        """Return the offset of ``array`` (flattened), adding it if it is new."""
        flat = np.ascontiguousarray(array, dtype=np.float32).ravel()
        key = hashlib.blake2b(flat.tobytes(), digest_size=16).digest()
        if key not in self._places:
            self._places[key] = self._length
            self._pieces.append(flat)
            self._length += -(-flat.size // ALIGNMENT) * ALIGNMENT
        return self._places[key]

    def table(self, words: np.ndarray) -> str:
        """Return, as C++, the address of a table of 32-bit words, adding it."""
        flat = np.ascontiguousarray(words).ravel().view(np.int32)
        flat = np.concatenate([flat, np.zeros(-flat.size % ALIGNMENT, np.int32)])
        self._tables.append(flat)
        self._words += flat.size
        return f"tables + {4 * (self._words - flat.size)}"

    def tables(self) -> np.ndarray:
        """Return all tables as one array of int32."""
        return np.concatenate(self._tables) if self._tables else np.zeros(0, np.int32)

    def array(self) -> np.ndarray:
        """Return everything as one array, with a register's length of zeros at the end that may be read."""
        whole = np.zeros(self._length + ALIGNMENT, dtype=np.float32)
        start = 0
        for piece in self._pieces:
            whole[start : start + piece.size] = piece
            start += -(-piece.size // ALIGNMENT) * ALIGNMENT
        return whole


def number(value: float) -> str:
    """Return a float32 as a C++ literal that gives exactly the same float.

    >>> number(0.1), number(2.0), number(float("-inf"))
    ('0.1f', '2.0f', '-engine::infinity')
    """
    value = float(np.float32(value))
    if np.isnan(value):
        return "std::numeric_limits<float>::quiet_NaN()"
    if np.isinf(value):
        return "engine::infinity" if value > 0 else "-engine::infinity"
    text = f"{value:.9g}"
    short = f"{value:.7g}"
    text = short if np.float32(short) == np.float32(value) else text
    return text + ("f" if any(c in text for c in ".e") else ".0f")


def lines(array: np.ndarray, per_line: int = 12) -> Iterator[str]:
    """Yield the lines of a C++ initialiser of ``array``, floats or 32-bit integers."""
    if array.dtype.kind == "i":
        # As unsigned numbers: the smallest int has no literal.
        texts = [f"{value}u" for value in array.view(np.uint32).tolist()]
    elif np.isfinite(array).all():
        texts = [f"{value:.9g}" for value in array.tolist()]
        texts = [text + ("f" if "." in text or "e" in text else ".0f") for text in texts]
    else:
        texts = [number(value) for value in array.tolist()]
    for start in range(0, len(texts), per_line):
        yield ", ".join(texts[start : start + per_line]) + ","
