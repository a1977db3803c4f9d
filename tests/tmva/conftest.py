"""The reference: weight files of the real TMVA, unpacked, and the answers of its Reader."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
PACKED = Path(__file__).resolve().parents[1] / "reference" / "tmva"
VARIABLES = ("myvar1", "myvar2", "var3", "var4")


@pytest.fixture(scope="session")
def reference(tmp_path_factory) -> Path:
    """A folder with the weight files, named after their methods."""
    folder = tmp_path_factory.mktemp("tmva")
    for packed in sorted(PACKED.glob("*.xml.gz")):
        name = packed.name.removeprefix("TMVAClassification_").removesuffix(".gz")
        (folder / name).write_bytes(gzip.decompress(packed.read_bytes()))
    return folder


@pytest.fixture(scope="session")
def expected() -> dict[str, np.ndarray]:
    """Columns of the reference: variables, and the response of every method."""
    lines = gzip.decompress((PACKED / "expected_outputs.csv.gz").read_bytes()).decode().splitlines()
    rows = np.array([line.split(",") for line in lines[1:]], np.float64)
    # ROOT.RDF.FromNumpy reads memory as it lies: the columns have to be contiguous.
    columns = np.ascontiguousarray(rows.T)
    return dict(zip(lines[0].split(","), columns, strict=True))


@pytest.fixture(scope="session")
def events(expected) -> np.ndarray:
    return np.stack([expected[name] for name in VARIABLES], axis=1).astype(np.float32)
