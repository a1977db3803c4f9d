"""A small run of the command line that many tests look at, and ROOT files with something wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import uproot

from hepml_root.cli.commands import main

JOB = """\
name: small
data:
  classes:
    signal: shipped:Higgs_data.root:sig_tree
    background: shipped:Higgs_data.root:bkg_tree
  inputs: [m_bb, jet1_b-tag, "dphi := abs(lepton_phi - jet1_phi)"]
  max_events: 500
model: {hidden: [8]}
training: {epochs: 2}
evaluation: {bootstrap: 10, baseline: false, formats: []}
"""


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output folder of `hepml-root train` on 1000 events; tests must not change it."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "job.yaml").write_text(JOB)
    assert main(["train", str(folder / "job.yaml")]) == 0
    return folder / "runs" / "small"


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    return path


def write_tree(path: Path, **columns: np.ndarray) -> str:
    """Write float columns as a TTree called "events", and return its "file:tree"."""
    arrays = {name: np.asarray(values, dtype=np.float32) for name, values in columns.items()}
    with uproot.recreate(path) as file:
        file.mktree("events", {name: array.dtype for name, array in arrays.items()})
        file["events"].extend(arrays)
    return f"{path}:events"
