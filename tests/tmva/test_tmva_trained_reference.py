"""Weight files that the real TMVA trained, of every kind that is read: its responses are known."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

import hepml_root as hr
from hepml_root import tmva as TMVA
from hepml_root.export.parity import onnxruntime_predict
from hepml_root.tmva.weights.conversion import emit
from hepml_root.tmva.weights.weights_writer import write_weights

PACKED = Path(__file__).resolve().parents[1] / "reference" / "tmva_trained"
FILES = sorted(path.name.removesuffix(".weights.xml.gz") for path in PACKED.glob("*.weights.xml.gz"))


@pytest.fixture(scope="module")
def events() -> dict[str, dict[str, np.ndarray]]:
    """The columns of each job: variables, and the responses of its methods."""
    found = {}
    for path in PACKED.glob("*.csv.gz"):
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        columns = np.array([line.split(",") for line in lines[1:]], np.float64).T
        found[path.name.removesuffix(".csv.gz")] = dict(zip(lines[0].split(","), columns, strict=True))
    return found


def test_all_files_are_there(events):
    assert len(FILES) == 25
    assert set(events) == {"classification", "regression", "multiclass", "preselection"}


@pytest.mark.parametrize("name", FILES)
def test_responses_are_those_of_tmva(name, events, tmp_path):
    """To 1e-5 of the range of a response, and trees to float rounding; TMVA writes float32."""
    job, _, title = name.partition("_")
    weights = tmp_path / f"{name}.weights.xml"
    weights.write_bytes(gzip.decompress((PACKED / f"{name}.weights.xml.gz").read_bytes()))
    table = events[job]
    variables = [variable.label for variable in TMVA.read_weights(weights).header.variables]
    x = np.stack([table[variable] for variable in variables], axis=1).astype(np.float32)
    responses = [column for key, column in table.items() if key.partition(":")[0] == title]
    expected = np.stack(responses, axis=1)
    model = TMVA.convert(weights, tmp_path / "method.onnx", certify=False)
    found = np.asarray(hr.Session(model, engine="onnxruntime").infer(x))
    assert found.shape == expected.shape
    trees = title.startswith("BDT") and job != "regression"
    # Sums of 20 float32 of order 1; a regression's are of order 100.
    bound = 3e-7 if trees else 1e-5 * max(1.0, np.ptp(expected))
    if name == "classification_LikelihoodG":
        # The Gauss transformation stretches float32 roundings where a variable has few events, fourfold here,
        # and the densities of such places are steep.
        bound *= 2.0
    assert np.abs(found - expected).max() < bound
    assert np.ptp(expected) > 0.1


@pytest.mark.parametrize("name", FILES)
def test_written_again_they_answer_the_same(name, events, tmp_path):
    """To the bit: what the writer keeps is all that the answer depends on."""
    weights = tmp_path / f"{name}.weights.xml"
    weights.write_bytes(gzip.decompress((PACKED / f"{name}.weights.xml.gz").read_bytes()))
    first = TMVA.read_weights(weights)
    again = TMVA.read_weights(write_weights(first, tmp_path / "again.weights.xml"))
    table = events[name.partition("_")[0]]
    x = np.stack([table[variable.label] for variable in first.header.variables], axis=1).astype(np.float32)
    answers = [onnxruntime_predict(emit(one), ["features"])({"features": x})[0] for one in (first, again)]
    assert np.array_equal(*answers)
    assert again.header.options == first.header.options
