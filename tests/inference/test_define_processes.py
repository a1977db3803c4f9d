"""Scores of RDataFrame in processes of their own: threads, clusters, the interpreter, what is loaded."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from model_files import write_mlp

HERE = Path(__file__).parent
# A score of order one, float32, added up in another order.
CLOSE = 2e-6


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "higgs": write_mlp(folder / "higgs.onnx"),
        "classes": write_mlp(folder / "classes.onnx", labels=("top", "qcd jet", "w"), seed=3),
    }


def in_child(code: str, *arguments: object) -> str:
    """Run code in a process of its own: threads and clusters are settings of a whole process."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=HERE, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_slots_do_not_disturb_each_other_under_implicit_multi_threading(models):
    output = in_child(
        """
        import sys, numpy as np, ROOT, hepml_root as hr
        from hepml_root.data.shipped import shipped_file
        from model_files import HIGGS, runtime_scores
        ROOT.EnableImplicitMT(4)
        file = shipped_file("Higgs_data.root")
        chain = ROOT.TChain("sig_tree")
        for _ in range(8):  # more than one task a thread
            chain.Add(file)
        frame = hr.define(ROOT.RDataFrame(chain), sys.argv[1])
        arrays = hr.define(frame, sys.argv[2], column="p").AsNumpy([*HIGGS, "score", "p_w"])
        features = np.stack([arrays[name] for name in HIGGS], axis=1)
        first, second = (runtime_scores(path, features=features) for path in sys.argv[1:])
        print(len(features), abs(arrays["score"] - first[:, 0]).max())
        print(abs(arrays["p_w"] - second[:, 2]).max())
        """,
        models["higgs"],
        models["classes"],
    )
    events, *differences = output.split()
    assert events == "80000"
    assert max(map(float, differences)) < CLOSE


def test_without_a_compiler_the_interpreter_computes(models, monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", str(tmp_path / "no-compiler"))
    monkeypatch.setenv("HEPML_ROOT_CACHE", str(tmp_path))
    output = in_child(
        """
        import sys, ROOT, hepml_root as hr
        from hepml_root.data.shipped import shipped_file
        from model_files import HIGGS, runtime_scores
        import numpy as np
        frame = ROOT.RDataFrame("sig_tree", shipped_file("Higgs_data.root"))
        frame = hr.define(frame, sys.argv[1])
        arrays = frame.AsNumpy([*HIGGS, "score"])
        expected = runtime_scores(sys.argv[1], features=np.stack([arrays[name] for name in HIGGS], axis=1))
        print(abs(arrays["score"] - expected[:, 0]).max())
        """,
        models["higgs"],
    )
    assert float(output) < CLOSE


DISTRIBUTED = """
    import os, shutil, sys, ROOT, hepml_root as hr
    from pathlib import Path
    from dask.distributed import Client, LocalCluster
    from hepml_root.data.shipped import shipped_file
    if __name__ == "__main__":
        file = shipped_file("Higgs_data.root")
        local = hr.define(ROOT.RDataFrame("sig_tree", file), sys.argv[1]).Mean("score").GetValue()
        cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None)
        with cluster, Client(cluster) as client:
            frame = ROOT.RDataFrame("sig_tree", file, executor=client, npartitions=2)
            frame = hr.define(frame.Filter("m_bb > 0"), sys.argv[1])
            frame = hr.define(frame, sys.argv[2], column="p")
            if sys.argv[3] == "without library":  # as on a machine that does not see this one's files
                for folder in Path(os.environ["HEPML_ROOT_CACHE"]).glob("*/*.so"):
                    folder.unlink()
            means = [frame.Mean("score"), frame.Mean("p_top")]
            print("means", local, *(mean.GetValue() for mean in means))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["with library", "without library"])
def test_distributed_frames(models, tmp_path, monkeypatch, how):
    pytest.importorskip("distributed")
    if how == "without library":
        monkeypatch.setenv("HEPML_ROOT_CACHE", str(tmp_path))
    output = in_child(DISTRIBUTED, models["higgs"], models["classes"], how)
    local, distributed, classes = map(float, output.split("means")[1].split())
    assert distributed == pytest.approx(local, abs=1e-6)
    assert 0 < classes < 1


def test_no_keras_is_loaded(models):
    output = in_child(
        """
        import sys, ROOT, hepml_root as hr
        from hepml_root.data.shipped import shipped_file
        frame = ROOT.RDataFrame("sig_tree", shipped_file("Higgs_data.root"))
        hr.define(frame, sys.argv[1]).Mean("score").GetValue()
        print(sorted({"keras", "tensorflow", "jax", "torch"} & set(sys.modules)))
        """,
        models["higgs"],
    )
    assert output.strip() == "[]"
