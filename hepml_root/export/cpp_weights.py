"""The constants of a network: one array, each piece once, aligned; as C++ numbers or as a side file."""

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

    def place(self, array: np.ndarray) -> int:
        """Return the offset of ``array`` (flattened), adding it if it is new."""
        flat = np.ascontiguousarray(array, dtype=np.float32).ravel()
        key = hashlib.blake2b(flat.tobytes(), digest_size=16).digest()
        if key not in self._places:
            self._places[key] = self._length
            self._pieces.append(flat)
            self._length += -(-flat.size // ALIGNMENT) * ALIGNMENT
        return self._places[key]

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
    """Yield the lines of a C++ initialiser of ``array``."""
    if np.isfinite(array).all():
        texts = [f"{value:.9g}" for value in array.tolist()]
        texts = [text + ("f" if "." in text or "e" in text else ".0f") for text in texts]
    else:
        texts = [number(value) for value in array.tolist()]
    for start in range(0, len(texts), per_line):
        yield ", ".join(texts[start : start + per_line]) + ","
