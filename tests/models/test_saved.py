"""Trained models are read from files in a fresh process, with this package's layers."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest

import hepml_root as hr
from hepml_root.errors import ModelFileError, SourceNotFoundError

CODE = """
import sys, numpy as np, hepml_root as hr
model = hr.load_model(sys.argv[1])
np.save(sys.argv[2], model(np.float32([[1, 2], [3, 4]])))
"""


def test_a_fresh_process_reads_layers_of_this_package(tmp_path):
    layer = hr.layers.Standardise(name="standardise")
    layer.adapt(np.random.default_rng(1).normal(3.0, 2.0, (100, 2)))
    model = keras.Sequential([keras.Input((2,)), layer])
    model.save(tmp_path / "model.keras")
    arguments = [sys.executable, "-c", CODE, str(tmp_path / "model.keras"), str(tmp_path / "found.npy")]
    subprocess.run(arguments, check=True)
    expected = model(np.float32([[1, 2], [3, 4]]))
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), expected)


def test_what_is_none(tmp_path):
    with pytest.raises(SourceNotFoundError, match=r"none\.keras"):
        hr.load_model(tmp_path / "none.keras")
    (tmp_path / "text.keras").write_text("text")
    with pytest.raises(ModelFileError, match=r"text\.keras"):
        hr.load_model(tmp_path / "text.keras")
