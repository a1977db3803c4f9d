"""Which rows are made, in which order, and the processes that make them."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any

from benchmarks.fastsim.entries import GENERATORS, REFERENCES
from benchmarks.fastsim.training import Study, perform


def wanted(generators: Sequence[str]) -> list[str]:
    """Return the rows: the generators, each after its teacher, and the references at the end."""
    rows: dict[str, None] = {}
    for name in generators:
        teacher = GENERATORS[name].teacher
        if teacher is not None:
            rows[teacher] = None
        rows[name] = None
    return [*rows, *REFERENCES]


def make(rows: Sequence[str], study: Study, jobs: int) -> Iterator[tuple[str, float]]:
    """Make the rows that are not there yet; give each that ends, and its seconds.

    With several jobs in a process with one thread for each row; with one job in this process. A row that
    fails is reported, and the others go on.

    Raises
    ------
    SystemExit
        A row failed; all others are there.
    """
    left = [name for name in rows if not study.has(name)]
    failed: list[str] = []
    if jobs < 2:
        for name in left:
            began = time.perf_counter()
            perform(name, study)
            yield name, time.perf_counter() - began
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _one_thread, max_tasks_per_child=1) as pool:
        running: dict[Future[float], str] = {}
        try:
            while left or running:
                for name in [name for name in left if _may_begin(name, study)]:
                    left.remove(name)
                    running[pool.submit(_timed, name, study)] = name
                if not running:
                    failed += left
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    name = running.pop(future)
                    error = future.exception()
                    if error is None:
                        yield name, future.result()
                        continue
                    print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
                    failed.append(name)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    if failed:
        raise SystemExit(f"not made: {', '.join(failed)}. What is finished is kept in '{study.folder}'.")


def _may_begin(name: str, study: Study) -> bool:
    teacher = None if name in REFERENCES else GENERATORS[name].teacher
    return teacher is None or study.file(teacher, ".json").exists()


def refuse_others(rows: Sequence[str], study: Study, sample: dict[str, Any]) -> None:
    """Note what the rows in a folder are made of; refuse to add others to them.

    Raises
    ------
    SystemExit
        The folder has rows of other showers, another budget, or a generator with other settings.
    """
    from hepml_root.output import writing

    state = {"sample": sample, "minutes": study.minutes, "showers": study.showers, "fast": study.fast}
    state = json.loads(json.dumps(state, default=str))
    path = study.folder / "study.json"
    if not path.exists():
        with writing(path) as temporary:
            temporary.write_text(json.dumps(state, indent=1))
    kept = json.loads(path.read_text())
    different = [key for key in state if kept.get(key) != state[key]]
    for name in rows:
        record = study.file(name, ".json")
        if name in GENERATORS and record.exists():
            entry = json.loads(json.dumps(GENERATORS[name].to_dict()))
            if json.loads(record.read_text())["entry"] != entry:
                different.append(f"settings of '{name}'")
    if different:
        raise SystemExit(
            f"'{study.folder}' has results of other {' and '.join(different)}. Name another --folder, or "
            "remove them."
        )


def _one_thread() -> None:
    """Prepare a process: one thread, said before TensorFlow is imported."""
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = "1"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"


def _timed(name: str, study: Study) -> float:
    began = time.perf_counter()
    perform(name, study)
    return time.perf_counter() - began
