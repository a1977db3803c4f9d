"""Libraries that run on any processor: one file with a build for each instruction set, chosen when loaded."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from model_files import HIGGS, runtime_scores, write_deep_sets, write_mlp

from hepml_root.errors import SettingError
from hepml_root.inference import compiler
from hepml_root.inference.compile import CompiledModel, compile
from hepml_root.inference.interface import call
from hepml_root.inference.session import Session

LEVELS = ("avx512", "avx2", "plain")
HERE = tuple(name for name in LEVELS if compiler.runs(name))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("instructions")


@pytest.fixture(autouse=True)
def _environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEPML_ROOT_CACHE", str(folder / "cache"))
    monkeypatch.delenv("HEPML_ROOT_ISA", raising=False)


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    # Weights of about half a megabyte.
    return write_mlp(folder / "mlp.onnx", hidden=(300, 300, 21), labels=("a", "b", "c"))


@pytest.fixture(scope="module")
def portable(folder: Path, model: Path) -> CompiledModel:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("HEPML_ROOT_CACHE", str(folder / "cache"))
        return compile(model, folder / "portable.so")


def events(count: int, columns: int = 28) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, columns)).astype(np.float32)


def loaded_anew(library: CompiledModel, folder: Path, name: str) -> CompiledModel:
    """A copy under another name, which the loader takes for another library."""
    path = folder / name
    shutil.copy(library.library, path)
    return CompiledModel(library.name, path, library.header, library.symbol, library.manifest)


def test_every_build_gives_the_same_scores(portable: CompiledModel, model: Path) -> None:
    builds = portable.builds()
    assert tuple(builds) == HERE
    for count in (1, 5, 16, 67):
        x = events(count)
        right = runtime_scores(model, features=x)
        for name, function in builds.items():
            y = np.empty((count, 3), np.float32)
            call(function, [x], [y], (0, 0))
            np.testing.assert_allclose(y, right, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("asked", [None, *LEVELS, "native", "portable", "nonsense"])
def test_the_choice_is_made_when_the_library_is_loaded(
    portable: CompiledModel,
    asked: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if asked:
        monkeypatch.setenv("HEPML_ROOT_ISA", asked)
    library = loaded_anew(portable, tmp_path, f"{asked}.so")
    # A name that is none of these gets what runs everywhere, and is told so: nobody sees it by the scores.
    best = LEVELS.index(asked) if asked in LEVELS else 2 if asked == "nonsense" else 0
    allowed = LEVELS[best:]
    chosen = next(name for name in allowed if name in HERE)
    assert library.isa == chosen
    told = "HEPML_ROOT_ISA is 'nonsense', which is no instruction set" in capfd.readouterr().err
    assert told == (asked == "nonsense")
    x = events(67)
    y, of_build = np.empty((67, 3), np.float32), np.empty((67, 3), np.float32)
    library.infer([x], [y])
    call(portable.builds()[chosen], [x], [of_build], (0, 0))
    assert np.array_equal(y, of_build)


def test_weights_are_in_the_library_once(portable: CompiledModel, model: Path) -> None:
    weights = model.stat().st_size
    assert weights > 400_000
    assert weights < portable.library.stat().st_size < 1.5 * weights + 100_000


@pytest.mark.skipif(len(HERE) < 2 or not shutil.which("objdump"), reason="needs x86 and objdump")
def test_only_the_builds_use_wide_registers(portable: CompiledModel) -> None:
    """What the builds share, such as functions of the standard library, runs on any processor."""
    listing = subprocess.run(
        ["objdump", "-d", "-C", "--no-show-raw-insn", str(portable.library)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    registers = {"lanes_16": "zmm", "lanes_8": "ymm", "lanes_4": "xmm"}
    seen = set()
    for function in re.split(r"\n(?=[0-9a-f]+ <)", listing):
        name = function.split(">:")[0]
        for part, register in registers.items():
            if part in name and f"%{register}" in function:
                seen.add(register)
        if not re.search(r"lanes_16|lanes_8|_infer_avx", name):
            assert not re.search(r"%[yz]mm|%k[1-7]|\tv[a-z0-9]+ ", function), name
    assert seen == {"zmm", "ymm", "xmm"}


def test_the_cached_library_is_for_this_processor_or_what_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_deep_sets(folder / "sets.onnx", ("pt", "eta"), 4)
    inputs = [events(19, 8).reshape(19, 4, 2), np.ones((19, 4), np.float32)]
    found = {}
    for asked in (None, "plain"):
        if asked:
            monkeypatch.setenv("HEPML_ROOT_ISA", asked)
        compiled = compile(path)
        y = np.empty((19, 1), np.float32)
        compiled.infer(inputs, [y])
        found[compiled.isa] = y
        assert Session(path, "cpp").engine == "cpp"
    assert "plain" in found
    assert len(found) == (2 if len(HERE) > 1 else 1)
    right = runtime_scores(path, jets=inputs[0], jets_mask=inputs[1])
    for y in found.values():
        np.testing.assert_allclose(y, right, atol=2e-6)


def test_what_cannot_be_compiled_for_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError, match=r"'avx3'.*Nearest: 'avx"):
        compile(model, isa="avx3")
    monkeypatch.setenv("HEPML_ROOT_ISA", "sse")
    with pytest.raises(SettingError, match=r"HEPML_ROOT_ISA.*'sse'"):
        compile(model)
    monkeypatch.setattr(compiler, "cpu_features", lambda: frozenset({"sse2"}))
    with pytest.raises(SettingError, match="does not run code for avx2"):
        compile(model, isa="avx2")


@pytest.mark.slow
def test_twenty_million_weights(folder: Path) -> None:
    """Session, define, a library with them in it once, and a header that reads them from a checked file."""
    import ROOT

    import hepml_root as hr
    from hepml_root.data.shipped import shipped_file
    from hepml_root.export.cpp import generate

    path = write_mlp(folder / "huge.onnx", hidden=(3200, 3200, 3200))
    x = events(100)
    right = runtime_scores(path, features=x)
    np.testing.assert_allclose(Session(path, "cpp").infer(x), right, atol=2e-6)

    library = compile(path, folder / "huge.so")
    assert 80e6 < library.library.stat().st_size < 90e6
    for name, function in library.builds().items():
        y = np.empty((100, 1), np.float32)
        call(function, [x], [y], (0, 0))
        np.testing.assert_allclose(y, right, atol=2e-6, err_msg=name)

    frame = ROOT.RDataFrame("sig_tree", shipped_file("Higgs_data.root")).Range(100)
    arrays = hr.define(frame, path).AsNumpy([*HIGGS, "score"])
    features = np.stack([arrays[name] for name in HIGGS], axis=1)
    np.testing.assert_allclose(arrays["score"], runtime_scores(path, features=features)[:, 0], atol=2e-6)

    source = generate(path)
    assert source.side_file
    assert len(source.header) < 200_000
    header = source.save(folder / "header")
    assert header.with_suffix(".weights").stat().st_size > 80e6
