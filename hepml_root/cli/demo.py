"""``hepml-root demo``: the whole road on the HIGGS benchmark events inside ROOT, with figures to check it by.

The speeds are measured on one thread, on the shipped events repeated to a million (their compressed baskets
are copied as they are into one file), since 20 000 events are read before a clock has ticked.
"""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.cli.job import Data, Dense, Job, Training
from hepml_root.cli.job_run import Stages, Trained, number_of_stages, run_job
from hepml_root.data.shipped import shipped_file
from hepml_root.errors import CompilerError

SIGNAL, BACKGROUND = "shipped:Higgs_data.root:sig_tree", "shipped:Higgs_data.root:bkg_tree"
# The benchmark's columns in their own order: 21 measured quantities, 7 invariant masses (arXiv:1402.4735).
OBJECTS = ("lepton_pT lepton_eta lepton_phi missing_energy_magnitude missing_energy_phi " + " ".join(
    f"jet{number}_{what}" for number in (1, 2, 3, 4) for what in ("pt", "eta", "phi", "b-tag")
)).split()  # fmt: skip
MASSES = ["m_jj", "m_jjj", "m_lv", "m_jlv", "m_bb", "m_wbb", "m_wwbb"]
_COPIES = 50


def demo_job(output: str, epochs: int | None = None) -> Job:
    """Return the job of the demo.

    >>> len(demo_job("runs/higgs").data.inputs)
    28
    """
    return Job(
        name="higgs",
        output=str(Path(output).absolute()),
        data=Data(classes={"signal": SIGNAL, "background": BACKGROUND}, inputs=[*OBJECTS, *MASSES]),
        model=Dense(hidden=[64, 64, 64], transforms="G", dropout=0.1),
        training=Training(learning_rate=3e-3, epochs=epochs or 40, schedule="cosine", patience=12),
    )


def run_demo(
    output: str = "runs/higgs", *, overwrite: bool = False, epochs: int | None = None
) -> dict[str, Any]:
    """Run the demo and return its summary, which is also written to ``summary.json`` in ``output``."""
    job = demo_job(output, epochs)
    stages = Stages(number_of_stages(job) + 2)
    notes: list[str] = []

    def further(trained: Trained) -> dict[str, Any]:
        assert trained.file is not None  # the demo's model is a network, so it was exported
        with stages.stage("rdataframe", "applying the network to every event in RDataFrame, in C++") as note:
            figures = in_rdataframe(trained)
            note(f"largest difference from Keras {figures['parity_cpp_rdataframe']:.1e}")
        with stages.stage("speeds", "measuring the speeds, one thread") as note:
            speeds, missing = measure(trained.file)
            notes.extend(missing)
            note(f"on {2 * 10_000 * _COPIES:,} events")
        return {**figures, "events_per_second": speeds}

    summary = run_job(job, overwrite=overwrite, stages=stages, further=further)
    print("\n" + table(summary, Path(output), notes))
    return summary


def in_rdataframe(trained: Trained) -> dict[str, Any]:
    """Score all shipped events in RDataFrame and by ``apply``, and compare with Keras."""
    import ROOT

    from hepml_root import apply, define
    from hepml_root.data.feed import Request, read
    from hepml_root.data.rdataframe import Frame
    from hepml_root.evaluation import predict

    assert trained.file is not None
    file = shipped_file("Higgs_data.root")
    columns = tuple(column.expression for column in trained.test.blocks[0].columns)
    differences = []
    for tree in ("sig_tree", "bkg_tree"):
        rows, _ = read([(Frame.open(f"{file}:{tree}"), Request(matrix=columns))])
        reference = predict(trained.model, {"features": rows.matrix})[:, 0]
        scores = define(ROOT.RDataFrame(tree, file), trained.file, column="score").AsNumpy(["score"])["score"]
        differences.append(float(np.abs(scores - reference).max()))
        apply(
            trained.file,
            f"{file}:{tree}",
            trained.folder / f"scores_{tree}.root",
            overwrite=True,
            verbose=False,
        )
    return {"parity_cpp_rdataframe": max(differences)}


def measure(model: Path) -> tuple[dict[str, float | None], list[str]]:
    """Return events per second of reading and of three ways to the score, and notes on what is missing."""
    import ROOT

    from hepml_root import Session, apply, define
    from hepml_root.data.feed import Request, read
    from hepml_root.data.rdataframe import Frame

    notes = []
    with tempfile.TemporaryDirectory(prefix="hepml_root-") as folder:
        few, many = (repeated_events(Path(folder) / f"{copies}.root", copies) for copies in (2, _COPIES))
        request = Request(matrix=(*OBJECTS, *MASSES))
        rows, _ = read([(Frame.open(few), request)])  # compiles what reading needs
        rows, feed = timed(lambda: read([(Frame.open(many), request)])[0])
        events: NDArray[np.float32] = rows.matrix
        speeds: dict[str, float | None] = {
            "feed": len(events) / feed,
            "onnxruntime": _onnxruntime(model, events),
        }
        try:
            session = Session(model, engine="cpp")
            session.infer(events[:1000])
            speeds["cpp"] = len(events) / min(timed(lambda: session.infer(events))[1] for _ in range(3))
        except CompilerError as error:
            speeds["cpp"] = None
            notes.append(f"C++ alone is missing: {error}")

        def loop(file: str) -> tuple[int, float]:
            path, _, tree = file.rpartition(":")
            node = define(ROOT.RDataFrame(tree, path), model, column="score").Sum("score")
            return timed(node.GetValue)

        # Both runs compile the same code, so the difference of their times is that of the event loops.
        short, long = loop(few)[1], loop(many)[1]
        speeds["cpp_rdataframe"] = (len(events) - 40_000) / max(long - short, 1e-9)
        applied = apply(model, many, Path(folder) / "scores.root", verbose=False)
        speeds["apply"] = applied.events_per_second
    return {name: None if speed is None else round(speed) for name, speed in speeds.items()}, notes


def repeated_events(path: Path, copies: int) -> str:
    """Write the shipped events ``copies`` times into one tree, and return its "file:tree".

    The compressed baskets are copied, not unpacked: the file is read as one of that length that was written
    by ROOT's own settings.
    """
    import ROOT

    chain = ROOT.TChain("events")
    for _ in range(copies):
        for tree in ("sig_tree", "bkg_tree"):
            chain.AddFile(shipped_file("Higgs_data.root"), ROOT.TTree.kMaxEntries, tree)
    chain.Merge(str(path), "fast")
    return f"{path}:events"


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what ``work`` returns, and the seconds it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def _onnxruntime(model: Path, events: NDArray[np.float32]) -> float:
    """Return events per second of ONNX Runtime on one thread, at its best batch size."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    events = events[:200_000]

    def run(batch: int) -> None:
        for first in range(0, len(events), batch):
            session.run(None, {name: events[first : first + batch]})

    run(1024)
    return len(events) / min(timed(functools.partial(run, size))[1] for size in (256, 1024, 4096))


def table(summary: dict[str, Any], output: Path, notes: list[str]) -> str:
    """Return the figures of the demo as a short table, and where to look."""
    speed = summary["events_per_second"]
    low, high = summary["auc_test_interval"]
    rows = [
        ("area under the ROC curve, test events", f"{summary['auc_test']:.4f}", f"[{low:.4f}, {high:.4f}]"),
        ("                          training events", f"{summary['auc_train']:.4f}", ""),
        ("boosted trees (LightGBM), test events", _number(summary.get("auc_bdt"), ".4f"), ""),
        ("largest difference Keras - ONNX Runtime", f"{summary['parity_onnxruntime']:.1e}", ""),
        ("                   Keras - C++", _number(summary["parity_cpp"], ".1e"), ""),
        ("                   Keras - C++ in RDataFrame", f"{summary['parity_cpp_rdataframe']:.1e}", ""),
        ("training", f"{speed['training']:,.0f}", "events/s"),
        ("reading 28 columns from ROOT files", f"{speed['feed']:,.0f}", "events/s, one thread"),
        ("ONNX Runtime", f"{speed['onnxruntime']:,.0f}", "events/s, one thread, best batch"),
        ("C++", _number(speed["cpp"], ",.0f"), "events/s, one thread"),
        ("C++ in RDataFrame, reading included", f"{speed['cpp_rdataframe']:,.0f}", "events/s, one thread"),
        ("apply, reading and writing included", f"{speed['apply']:,.0f}", "events/s, one thread"),
        ("all stages", f"{summary['seconds']['total']:.0f}", "seconds"),
    ]
    lines = [f"{what:<45} {value:>12}  {unit}".rstrip() for what, value, unit in rows]
    lines += [f"note: {note}" for note in notes]
    lines += ["", "Look at"]
    for name, what in (
        ("report/report.html", "the report, in any browser"),
        ("higgs.onnx", "the model: one file for Keras-free use"),
        ("higgs.hxx", "the same as a C++ header"),
        (
            "job.yaml",
            f"what was run; change it and: hepml-root train {output / 'job.yaml'} --set output=elsewhere",
        ),
        ("summary.json", "these figures"),
    ):
        lines.append(f"  {output / name!s:<36} {what}")
    return "\n".join(lines)


def _number(value: float | None, form: str) -> str:
    return "missing" if value is None else format(value, form)
