"""Chunks made by several processes at once.

The workers are processes of their own, ``python -m hepml_root.simulation.worker``, which neither share nor
import anything of the caller's (no ROOT, no TensorFlow, no ``__main__``). They end with the caller, also if
it is killed. They get a pickled task on stdin, then one line with a chunk's number and rows at a time; they
answer in lines of JSON.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from hepml_root import errors
from hepml_root.errors import HepmlError, SettingError
from hepml_root.simulation.samples import Sample

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Task:
    """What all chunks have in common: the sample, the seed, and the folder for the part files."""

    sample: Sample
    seed: int
    folder: Path

    def part(self, number: int) -> Path:
        """Return the path of a chunk's part file."""
        return self.folder / f"chunk-{number:06d}.npz"


def run_workers(task: Task, chunks: Iterable[tuple[int, int]], processes: int, progress: Progress) -> None:
    """Make the chunks ``(number, rows)`` in ``processes`` processes; ``progress(number, rows so far)``.

    Raises
    ------
    SettingError
        The sample cannot be sent to another process.
    HepmlError
        What a worker raised.
    """
    try:
        job = pickle.dumps(task)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise SettingError(
            f"sample '{task.sample.name}' cannot be sent to other processes ({error}). Define its functions "
            "at the top of a module, or give processes=0 to stay in this process."
        ) from error
    waiting: SimpleQueue[tuple[int, int]] = SimpleQueue()
    for chunk in chunks:
        waiting.put(chunk)
    messages: SimpleQueue[dict[str, Any]] = SimpleQueue()
    workers = [_Worker(job, waiting, messages) for _ in range(min(processes, waiting.qsize()))]
    running = len(workers)
    try:
        while running:
            message = messages.get()
            if "rows" in message:
                progress(message["chunk"], message["rows"])
            elif "error" in message:
                raise _error(message)
            else:
                running -= 1
    finally:
        for worker in workers:
            worker.stop()


def _error(message: dict[str, Any]) -> Exception:
    kind = getattr(errors, message["error"], None)
    if isinstance(kind, type) and issubclass(kind, HepmlError):
        return kind(message["text"])
    return RuntimeError(f"a process that makes events failed: {message['text']}")


class _Worker:
    """One process, and the thread that talks to it."""

    def __init__(
        self, job: bytes, waiting: SimpleQueue[tuple[int, int]], messages: SimpleQueue[dict[str, Any]]
    ) -> None:
        self.waiting, self.messages = waiting, messages
        # A session of its own: Ctrl-C in the terminal reaches the caller alone, which then ends the workers.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hepml_root.simulation.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            # What the caller can import, so can the worker: a sample may be defined in a user's module.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self.notes: list[bytes] = []
        self.stopped = False
        threading.Thread(target=self._collect_notes, daemon=True).start()
        self.thread = threading.Thread(target=self._talk, args=(job,), daemon=True)
        self.thread.start()

    def _collect_notes(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.notes = [*self.notes[-20:], line]

    def _talk(self, job: bytes) -> None:
        send, receive = self.process.stdin, self.process.stdout
        assert send is not None
        assert receive is not None
        try:
            send.write(len(job).to_bytes(8, "little") + job)
            while True:
                try:
                    number, rows = self.waiting.get_nowait()
                except Empty:
                    break
                send.write(f"{number} {rows}\n".encode())
                send.flush()
                while True:
                    line = receive.readline()
                    if not line:
                        raise EOFError
                    message = json.loads(line)
                    if "done" in message:
                        break
                    self.messages.put({"chunk": number, **message})
                    if "error" in message:
                        return
            send.close()
            self.messages.put({})
        except (OSError, EOFError, ValueError):
            if not self.stopped:
                code = self.process.wait()
                text = b"".join(self.notes).decode(errors="replace").strip()
                self.messages.put({"error": "", "text": f"exit code {code}. {text}"})

    def stop(self) -> None:
        self.stopped = True
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.thread.join()
