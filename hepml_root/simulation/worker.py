"""A process that makes chunks: ``python -m hepml_root.simulation.worker``, started by workers.py."""

from __future__ import annotations

import json
import os
import pickle
import sys
import traceback
from typing import Any

from hepml_root.errors import HepmlError
from hepml_root.simulation.chunks import make_chunk
from hepml_root.simulation.workers import Task


def main() -> None:
    """Read a task and then chunks from stdin; save the parts; answer in lines of JSON on stdout."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries that print do not disturb the answers

    def say(**message: Any) -> None:
        print(json.dumps(message), file=answers, flush=True)

    commands = sys.stdin.buffer
    task: Task = pickle.loads(commands.read(int.from_bytes(commands.read(8), "little")))
    for line in commands:
        number, rows = map(int, line.split())
        try:
            chunk = make_chunk(task.sample, task.seed, number, rows, lambda found: say(rows=found))
            chunk.save(task.part(number))
        except HepmlError as error:
            say(error=type(error).__name__, text=str(error))
        except Exception:
            say(error="", text=traceback.format_exc())
        else:
            say(done=True)


if __name__ == "__main__":
    main()
