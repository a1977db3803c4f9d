"""Every architecture of the field in generated C++: the same scores as ONNX Runtime, to 1e-5 of their scale.

Small variants of all networks are compiled at once, without much optimisation; full sizes, with 10 000 events
and as users compile them, are slow (`make test-zoo`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks.inference import networks
from hepml_root.data.feed_library import SHARED
from hepml_root.export.cpp import generate
from hepml_root.export.parity import onnxruntime_predict
from hepml_root.inference.compile import compile
from hepml_root.inference.compiler import FLAGS, INSTRUCTIONS, find_compiler
from hepml_root.inference.interface import INFER, call, library_source

TOLERANCE = 1e-5  # of the largest value of an output: about a hundred roundings of one float32 number
EVENTS = 1009  # blocks of 48, one of 16, and one event
BATCHES = (1, 5, 16, 48 + 16 + 3, EVENTS)
MASKED = [name for name, network in networks.NETWORKS.items() if network.masked]
# Of the plain networks and of transformers one variant is enough here; all are tested in full size.
VARIANTS = ("mlp-tanh", "mlp-300", "mlp-300-tanh", "vae", "lstm", "transformer")
SMALL = [name for name in networks.NETWORKS if name not in VARIANTS]
Function = Callable[..., None]
Small = tuple[dict[str, Path], dict[str, Function]]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """The small networks as files, and as functions from one library."""
    folder = tmp_path_factory.mktemp("zoo")
    files = {name: networks.file(name, folder, small=True) for name in SMALL}
    text = []
    for number, path in enumerate(files.values()):
        source = generate(path, f"zoo_{number}")
        source.save(folder)
        text.append(library_source(source.name, f"zoo_symbol_{number}"))
    (folder / "zoo.cxx").write_text("\n".join(text))
    flags = ["-O1" if flag == "-O3" else flag for flag in (*FLAGS, *INSTRUCTIONS["native"], *SHARED)]
    find_compiler().run([*flags, "zoo.cxx", "-o", "zoo.so"], folder)
    library = ctypes.CDLL(str(folder / "zoo.so"))
    functions = [INFER((f"zoo_symbol_{number}_infer", library)) for number in range(len(files))]
    return files, dict(zip(files, functions, strict=True))


def assert_parity(path: Path, function: Function, blocks: networks.Blocks, batches: tuple[int, ...]) -> None:
    model = onnx.load(str(path))
    wanted = onnxruntime_predict(model, list(blocks))(blocks)
    rows = [np.ascontiguousarray(array, np.float32) for array in blocks.values()]
    for batch in batches:
        events = min(len(rows[0]), 40 * batch)
        results = [np.full(array[:events].shape, np.nan, np.float32) for array in wanted]
        for first in range(0, events, batch):
            part = slice(first, min(first + batch, events))
            call(function, [array[part] for array in rows], [result[part] for result in results])
        for value, right, found in zip(model.graph.output, wanted, results, strict=True):
            assert np.isfinite(right).all()
            difference = np.abs(found - right[:events]).max() / np.abs(right).max()
            assert difference < TOLERANCE, f"{value.name} in batches of {batch}: {difference:.2e}"


def garbage_where_masked(blocks: networks.Blocks, size: float) -> networks.Blocks:
    """Return the same events with large numbers where nothing is."""
    rng = np.random.default_rng(5)
    changed = dict(blocks)
    for name, array in blocks.items():
        if f"{name}_mask" in blocks:
            there = blocks[f"{name}_mask"][..., None] > 0
            changed[name] = np.where(there, array, rng.normal(size=array.shape) * size).astype(np.float32)
    return changed


@pytest.mark.parametrize("name", SMALL)
def test_same_as_onnx_runtime(name: str, small: Small) -> None:
    files, functions = small
    blocks = networks.events(onnx.load(str(files[name])), EVENTS)
    for size in (0.0, 1e3) if name in MASKED else (1.0,):
        assert_parity(files[name], functions[name], garbage_where_masked(blocks, size), BATCHES)


@pytest.mark.parametrize("name", MASKED)
def test_what_stands_behind_a_mask_does_not_matter(name: str, small: Small) -> None:
    files, functions = small
    blocks = networks.events(onnx.load(str(files[name])), 200)
    scores = []
    for size in (0.0, 1e3):
        rows = list(garbage_where_masked(blocks, size).values())
        scores.append(np.empty((200, 1), np.float32))
        call(functions[name], rows, [scores[-1]])
    np.testing.assert_array_equal(*scores)


@pytest.mark.slow
@pytest.mark.parametrize("name", networks.NETWORKS)
def test_full_size(name: str, tmp_path: Path) -> None:
    """10 000 events: in blocks; some of them one by one and in batches that leave a rest."""
    path = networks.file(name, tmp_path)
    blocks = networks.events(onnx.load(str(path)), 10_000)
    if name in MASKED:
        blocks = garbage_where_masked(blocks, 1e3)
    function = compile(path).function()
    assert_parity(path, function, blocks, (1, 48 + 16 + 3, 10_000))
