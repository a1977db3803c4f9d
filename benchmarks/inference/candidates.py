"""What is timed, in short slices and in turns: the core's peak, a compiled network, ONNX Runtime."""

from __future__ import annotations

import ctypes
import itertools
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from hepml_root.inference.compiler import FLAGS, INSTRUCTIONS, find_compiler

SLICE = 1.5e-3  # seconds
BLOCK = 48  # events that our kernels take at once

size = ctypes.c_size_t


@dataclass
class Candidate:
    """Something that is timed: ``work`` events or operations per slice."""

    slice: Callable[[], float]
    work: float
    best: float = math.inf

    def take(self) -> None:
        """Run twice: the first time brings the weights back into the cache from which others drove them."""
        for _ in range(2):
            seconds = self.slice()
            if seconds <= 0:
                raise RuntimeError("ONNX Runtime failed in a benchmark; its message is above.")
            self.best = min(self.best, seconds)

    @property
    def rate(self) -> float:
        return self.work / self.best


def turns(candidates: Iterable[Candidate], seconds: float, rounds: int) -> None:
    """Take all candidates in turns, for so many rounds and at most about so many seconds."""
    candidates = list(candidates)
    end = time.perf_counter() + seconds
    for _ in range(rounds):
        for candidate in candidates:
            candidate.take()
        if time.perf_counter() > end:
            return


class Value(ctypes.Structure):
    """An input or an output, as driver.cxx takes it."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("item", ctypes.c_size_t),
        ("type", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
    )


@dataclass
class Data:
    """Events for one network: what ONNX Runtime takes and gives, and the same as rows of floats."""

    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]

    @property
    def events(self) -> int:
        return len(next(iter(self.inputs.values())))

    @cached_property
    def floats(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Inputs and outputs as our library takes them."""
        given = [np.ascontiguousarray(array, np.float32) for array in self.inputs.values()]
        return given, [np.zeros(array.shape, np.float32) for array in self.outputs.values()]

    @cached_property
    def pointers(self) -> tuple[Any, Any]:
        return tuple(
            (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))
            for arrays in self.floats
        )

    @cached_property
    def sizes(self) -> Any:
        sizes = [array[0].size for array in itertools.chain(*self.floats)]
        return (ctypes.c_size_t * len(sizes))(*sizes)

    @cached_property
    def values(self) -> tuple[Any, Any]:
        return tuple(
            (Value * len(arrays))(
                *(
                    Value(
                        name.encode(),
                        array.ctypes.data,
                        array.itemsize,
                        onnx.helper.np_dtype_to_tensor_dtype(array.dtype),
                        array.ndim,
                        (ctypes.c_int64 * array.ndim)(*array.shape),
                    )
                    for name, array in arrays.items()
                )
            )
            for arrays in (self.inputs, self.outputs)
        )


class Driver:
    """The compiled loops of driver.cxx."""

    def __init__(self, folder: Path) -> None:
        library = folder / "driver.so"
        source = Path(__file__).with_name("driver.cxx")
        flags = [*FLAGS, *INSTRUCTIONS["native"], "-shared", "-pthread", "-fvisibility=default"]
        find_compiler().run([*flags, str(source), "-o", str(library)], folder)
        self.library = ctypes.CDLL(str(library))
        for name in ("operations", "peak", "in_block", "one_by_one", "in_threads", "runtime_run"):
            getattr(self.library, name).restype = ctypes.c_double
        for name in ("runtime_open", "runtime_batches"):
            getattr(self.library, name).restype = ctypes.c_void_p
        base = ctypes.CDLL(str(_onnxruntime_library())).OrtGetApiBase
        base.restype = ctypes.c_void_p
        self._base = ctypes.c_void_p(base())

    def peak(self) -> Candidate:
        """Multiply-adds in registers; its work is in operations."""
        steps, sink = size(8000), np.zeros(1, np.float32)
        return Candidate(
            lambda: self.library.peak(steps, ctypes.c_float(0.999), ctypes.c_void_p(sink.ctypes.data)),
            self.library.operations(steps),
        )

    def in_block(self, function: Any, data: Data, events: int) -> Candidate:
        """A compiled network, so many events in one call."""
        x, y = data.pointers
        return Candidate(lambda: self.library.in_block(function, x, size(events), y), events)

    def one_by_one(self, function: Any, data: Data, events: int) -> Candidate:
        """A compiled network, one event in each of so many calls."""
        x, y = data.pointers
        inputs, outputs = size(len(data.inputs)), size(len(data.outputs))
        return Candidate(
            lambda: self.library.one_by_one(function, x, inputs, data.sizes, size(events), y, outputs), events
        )

    def in_threads(self, function: Any, data: Data, events: int, threads: int, repeats: int) -> Candidate:
        """A compiled network in threads, each over the same events and with room of its own."""
        x, _ = data.pointers
        room = [np.zeros(array.shape, np.float32) for _ in range(threads) for array in data.outputs.values()]
        y = (ctypes.c_void_p * len(room))(*(array.ctypes.data for array in room))
        outputs = size(len(data.outputs))
        return Candidate(
            lambda: (
                self.library.in_threads(function, x, size(events), y, outputs, size(threads), size(repeats))
                if room
                else -1.0
            ),
            events * threads * repeats,
        )

    def runtime(self, path: Path, data: Data, batches: Sequence[int]) -> dict[int, Candidate]:
        """ONNX Runtime on one thread, for each size of batch a candidate whose slice is at least one batch.

        Raises
        ------
        RuntimeError
            It does not open the model, or does not run it.
        """
        opened = self.library.runtime_open(self._base, str(path).encode())
        if not opened:
            raise RuntimeError("ONNX Runtime does not open the model; its message is above.")
        return {batch: self._batches(opened, data, batch) for batch in batches if batch <= data.events}

    def _batches(self, opened: int, data: Data, batch: int) -> Candidate:
        def candidate(events: int) -> Candidate:
            inputs, outputs = data.values
            run = self.library.runtime_batches(
                ctypes.c_void_p(opened), inputs, size(len(inputs)), outputs, size(len(outputs)), size(events),
                size(batch),
            )  # fmt: skip
            if not run:
                raise RuntimeError("ONNX Runtime does not take the events; its message is above.")
            return Candidate(lambda: self.library.runtime_run(ctypes.c_void_p(run)), events)

        first = candidate(batch)
        first.take()
        events = min(int(first.rate * SLICE), data.events) // batch * batch
        return candidate(events) if events > batch else first


def _onnxruntime_library() -> Path:
    import onnxruntime

    folder = Path(onnxruntime.__file__).parent / "capi"
    found = [*folder.glob("libonnxruntime.so*"), *folder.glob("onnxruntime_pybind11_state*.so")]
    return found[0]
