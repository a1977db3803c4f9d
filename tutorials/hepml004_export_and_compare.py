"""hepml004: export a network and compare its runtimes.

Shows      the model file: one .onnx with the network, its variable transforms and a manifest of its inputs;
           the same scores from Keras, ONNX Runtime and compiled C++; the C++ header; a cut kept with it
Prints     what is in the file, the largest differences between the runtimes, their speeds
Writes     runs/tutorials/higgs.onnx and higgs.hxx under the working directory
Run it     python tutorials/hepml004_export_and_compare.py          (half a minute; --fast: a few epochs)
Next       hepml005_score_in_rdataframe.py
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import hepml_root as hr

FAST = "--fast" in sys.argv or os.environ.get("HEPML_FAST") == "1"


def main() -> None:
    out = Path("runs/tutorials")
    higgs = hr.data.shipped_file("Higgs_data.root")
    data = hr.Dataset.from_root(
        {"signal": f"{higgs}:sig_tree", "background": f"{higgs}:bkg_tree"},
        inputs=["m_jj", "m_jjj", "m_jlv", "m_bb", "m_wbb", "m_wwbb", "dphi := abs(lepton_phi - jet1_phi)"],
        units={"dphi": "rad"},
    )
    train, test = data.split(test=0.3, seed=1)
    model = hr.models.dense(train, hidden=(64, 64), transforms="G", name="higgs")
    hr.fit(model, train, epochs=3 if FAST else 40, verbose=False)

    print("--- One file holds all that is needed to apply the network ---")
    # A cut that keeps 70 % of the signal, found on test events, travels with the model.
    scores = hr.evaluation.predict(model, test)
    cut = float(np.quantile(scores[test.labels == 0, 0], 0.3))
    path = hr.export(model, out / "higgs.onnx", data=test, working_points={"signal70": cut}, overwrite=True)
    manifest = hr.export.read_manifest(path)
    print(f"{path}: {path.stat().st_size / 1024:.0f} kB")
    for column in manifest["inputs"][0]["columns"]:
        unit = f" in {column['units']}" if column["units"] else ""
        print(f"  input {column['label']} = {column['expression']}{unit}")
    print(
        "  working points:",
        [(point["name"], round(point["threshold"], 3)) for point in manifest["working_points"]],
    )
    print("  made with keras", manifest["provenance"]["versions"]["keras"])

    print("\n--- Three runtimes, the same events ---")
    # ONNX Runtime and C++ need no Keras: whoever applies the network installs neither it nor TensorFlow.
    many = np.tile(test.X["features"], (2 if FAST else 50, 1))
    reference = hr.evaluation.predict(model, {"features": many})
    keras_speed = speed(lambda: hr.evaluation.predict(model, {"features": many}), many)
    print(f"{'runtime':<14} {'largest difference':>18} {'events/s':>14}")
    print(f"{'Keras':<14} {'':>18} {keras_speed:>14,.0f}")
    for engine in ("onnxruntime", "cpp"):
        session = hr.Session(path, engine=engine)
        difference = np.abs(session.infer(many) - reference).max()
        print(f"{engine:<14} {difference:>18.1e} {speed(lambda s=session: s.infer(many), many):>14,.0f}")

    print("\n--- The network as C++ that needs the standard library only ---")
    from hepml_root.export.cpp import generate

    header = generate(path).save(out, overwrite=True)
    print(f"{header}: {len(header.read_text().splitlines()):,} lines")
    print(
        '  #include "higgs.hxx"\n  TMVA_SOFIE_higgs::Session session;\n  float score = session.infer(x)[0];'
    )


def speed(score: Callable[[], object], events: np.ndarray) -> float:
    """Return events per second of the fastest of three runs, after one to warm up."""
    score()
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        score()
        seconds.append(time.perf_counter() - start)
    return len(events) / min(seconds)


if __name__ == "__main__":
    main()
