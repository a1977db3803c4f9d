"""Which trainings the study has, in which order they are made, and the processes that make them."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.susy.samples import SIGNALS, Samples
from benchmarks.susy.training import (
    NETWORKS,
    SYSTEMATICS,
    Settings,
    Training,
    perform,
    read,
    recipe,
    reference,
)
from hepml_root.errors import SettingError

COMPRESSED, UNCOMPRESSED = "stop-600-400", "stop-900-100"
# Of the study of the background's size: the case in which the fewest background events are left.
SHARES, TIGHTEST = (0.25, 0.5, 1.0), 0.5
BATCH_SIZES = (64, 128, 256, 512, 1024, 2048, 4096, 8192)
BATCH_SYSTEMATIC = 0.3
# Of the study of small gradients: (pretrained, form of the loss).
STARTS = ((True, "negative"), (False, "negative"), (False, "inverse"))
STUDIES = ("background", "holes", "batch", "gradients")
# A process is replaced by a new one after so many trainings: TensorFlow does not give back all memory.
_TRAININGS_OF_A_PROCESS = 25


@dataclass(frozen=True)
class Case:
    """One cell of the table: on which events, with which network, the losses are compared."""

    signal: str
    network: str
    yields: str
    systematic: float
    share: float = 1.0

    def training(self, loss: str, seed: int) -> Training:
        """Return the training with a loss: it may belong to several cases."""
        made = Training(self.signal, self.network, loss, seed, share=self.share)
        if loss == "cross_entropy":
            return made
        systematic = self.systematic if loss == "asimov" else 0.0
        return replace(made, yields=self.yields, systematic=systematic)


def cases(
    signals: Sequence[str] = (*SIGNALS,),
    networks: Sequence[str] = (*NETWORKS,),
    yields: Sequence[str] = ("sample",),
) -> list[Case]:
    """Return the cells of the table."""
    return [
        Case(signal, network, normalisation, systematic)
        for normalisation in yields
        for network in networks
        for signal in signals
        for systematic in SYSTEMATICS
    ]


def background_cases(signals: Sequence[str], shares: Sequence[float] = SHARES) -> list[Case]:
    """Return the cases that differ in the number of background events only."""
    return [Case(signal, "shallow", "sample", TIGHTEST, share) for signal in signals for share in shares]


def batch_trainings(seed: int, sizes: Sequence[int] = BATCH_SIZES) -> list[Training]:
    """Return the trainings that differ in the batch size only."""
    usual = Case(COMPRESSED, "shallow", "sample", BATCH_SYSTEMATIC).training("asimov", seed)
    return [replace(usual, batch_size=size) for size in sizes]


def start_trainings(seed: int) -> list[Training]:
    """Return the trainings that differ in how they begin; where s/b is smallest, so is the gradient."""
    usual = Case(UNCOMPRESSED, "shallow", "sample", TIGHTEST).training("asimov", seed)
    return [replace(usual, pretrained=pretrained, form=form) for pretrained, form in STARTS]


def hole_trainings(seed: int) -> list[Training]:
    """Return a training with, and one without a least background, where the fewest events are left."""
    usual = Case(COMPRESSED, "shallow", "sample", TIGHTEST).training("asimov", seed)
    return [usual, replace(usual, least=False)]


def trainings(
    table: Sequence[Case], seeds: int, studies: Sequence[str] = (), sizes: Sequence[int] = BATCH_SIZES,
    losses: Sequence[str] = ("cross_entropy", "significance", "asimov"),
) -> list[Training]:  # fmt: skip
    """Return all trainings, seed after seed: whatever is finished when it is stopped is a comparison. Those
    come first that others refer to.
    """
    found: dict[Training, None] = {}
    signals = list(dict.fromkeys(case.signal for case in table))
    for seed in range(1, seeds + 1):
        found |= dict.fromkeys(case.training(loss, seed) for case in table for loss in losses)
        if "background" in studies:
            found |= dict.fromkeys(
                case.training(loss, seed)
                for case in background_cases(signals)
                for loss in ("cross_entropy", "asimov")
            )
        if "holes" in studies:
            found |= dict.fromkeys(hole_trainings(seed))
        if "batch" in studies:
            found |= dict.fromkeys(batch_trainings(seed, sizes))
        if "gradients" in studies:
            found |= dict.fromkeys(start_trainings(seed))
    return list(dict.fromkeys([*(reference(one) for one in found), *found]))


def is_kept(training: Training) -> bool:
    """Whether the network itself is kept, not only its scores: those that are exported."""
    return (
        training.seed == 1
        and training.share == 1
        and training.batch_size is None
        and training.pretrained
        and training.form == "negative"
        and training.least
    )


def make(
    wanted: Sequence[Training], samples: Samples, settings: Mapping[str, Settings], folder: Path, jobs: int
) -> Iterator[tuple[Training, float]]:
    """Make the trainings that are not there yet; give each that ends, and its seconds.

    With several jobs in processes with one thread each; with one, in this process.

    Raises
    ------
    SettingError
        The folder has trainings with other settings.
    """
    _refuse_others([one for one in wanted if _is_made(one, folder)], settings, folder)
    references = {reference(one) for one in wanted}
    for wave in (references, set(wanted) - references):
        yield from _make([one for one in wanted if one in wave], samples, settings, folder, jobs)


def _is_made(training: Training, folder: Path) -> bool:
    return (folder / f"{training.name}.json").exists()


def _refuse_others(made: Sequence[Training], settings: Mapping[str, Settings], folder: Path) -> None:
    """A process of a study that was stopped may have gone on writing: its trainings are of no use here."""
    expected = recipe(settings)
    others = [one.name for one in made if read(one, folder).get("recipe") != expected]
    if others:
        raise SettingError(
            f"'{folder}' has {len(others)} trainings with other settings ({', '.join(others[:3])}, ...). "
            "Name another --folder, or remove this one."
        )


def _make(
    wanted: Sequence[Training], samples: Samples, settings: Mapping[str, Settings], folder: Path, jobs: int
) -> Iterator[tuple[Training, float]]:
    left = [training for training in wanted if not _is_made(training, folder)]
    if jobs < 2 or len(left) < 2:
        for training in left:
            began = time.perf_counter()
            perform(training, samples, settings, folder, is_kept(training))
            yield training, time.perf_counter() - began
        return
    # Kept together by their events, which a process reads once.
    left.sort(key=lambda training: (training.seed, training.signal, training.share))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        min(jobs, max(len(left), 1)), context, _one_thread, max_tasks_per_child=_TRAININGS_OF_A_PROCESS
    ) as pool:
        running: dict[Future[float], Training] = {}
        queue = iter(left)
        try:
            while True:
                # Few are handed out ahead, so that Ctrl-C does not leave a long queue.
                for training in queue:
                    future = pool.submit(_timed, training, samples, settings, folder)
                    running[future] = training
                    if len(running) > jobs:
                        break
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    training = running.pop(future)
                    yield training, future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _one_thread() -> None:
    """Prepare a process: one thread, said before TensorFlow is imported."""
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = "1"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"


def _timed(
    training: Training, samples: Samples, settings: Mapping[str, Settings], folder: Path
) -> float:  # fmt: skip
    began = time.perf_counter()
    perform(training, samples, settings, folder, is_kept(training))
    return time.perf_counter() - began
