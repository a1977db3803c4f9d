"""The tutorials run as a user runs them: one after the other, from any folder, in their fast mode."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "tutorials"
SCRIPTS = sorted(FOLDER.glob("hepml[0-9]*.py"))
# Trainings of a kind that others, or the tests of the benchmarks, do as well.
SLOW = ("hepml006", "hepml110", "hepml111", "hepml120", "hepml310", "hepml320")


@pytest.fixture(scope="module")
def somewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("somewhere")


@pytest.fixture(scope="module")
def said_by(somewhere: Path) -> Callable[[Path], str]:
    """Return what a script prints; each is run once."""
    return functools.cache(lambda script: run([sys.executable, str(script)], somewhere))


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"HEPML_FAST": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * path.stem.startswith(SLOW))
        for path in SCRIPTS
    ],
)
def test_a_tutorial_runs_and_its_physics_is_sensible(script, somewhere, said_by):
    said = said_by(script)
    header = script.read_text(encoding="utf-8").split('"""')[1]
    for word in ("Shows", "Prints", "Run it"):
        assert re.search(rf"^{word} ", header, re.M), word
    areas = [float(area) for area in re.findall(r"AUC[^\d\n]*(0\.\d+)", said)]
    assert all(0.6 < area < 1 for area in areas)
    CHECKS[script.stem.split("_")[0]](said, areas, somewhere / "runs" / "tutorials")


def _dataset(said: str, areas: list[float], out: Path) -> None:  # noqa: ARG001
    assert "532.8" in said  # 0.0148 pb × 36 /fb
    assert "43200" in said.replace(",", "").replace(" ", "")  # 1.2 pb × 36 /fb
    assert "ColumnNotFoundError" in said


def _training(said: str, areas: list[float], out: Path) -> None:
    one, other = re.findall(r"validation loss [\w ]+: (\[.*\])", said)
    assert one == other
    assert len(areas) == 2
    assert (out / "history.png").exists()


def _evaluation(said: str, areas: list[float], out: Path) -> None:
    assert len(areas) >= 2
    assert (out / "report" / "report.html").exists()
    assert "resolution" in said


def _export(said: str, areas: list[float], out: Path) -> None:  # noqa: ARG001
    differences = [float(value) for value in re.findall(r"^(?:onnxruntime|cpp) +(\S+)", said, re.M)]
    assert len(differences) == 2
    assert max(differences) < 1e-5
    assert (out / "higgs.hxx").exists()


def _rdataframe(said: str, areas: list[float], out: Path) -> None:  # noqa: ARG001
    shares = dict(re.findall(r"^(signal|background) +score > 0.5: (\S+)%", said, re.M))
    assert float(shares["signal"]) > float(shares["background"]) + 10
    assert "10,000 events" in said
    assert (out / "scores.root").exists()


def _folds(said: str, areas: list[float], out: Path) -> None:  # noqa: ARG001
    assert len(areas) == 8  # three folds, all together, streamed, three masses


def _top_tagging(said: str, areas: list[float], out: Path) -> None:
    assert len(areas) == 3  # observables, image, particles
    assert areas[0] > 0.85  # masses and N-subjettiness need few jets to learn from
    assert re.search(r"representation particles.*constituents truncated", said)
    passed = {name: int(count) for name, count in re.findall(r"^(top|qcd) jets .*: (\d+) of", said, re.M)}
    assert passed["top"] > 2 * passed["qcd"]
    assert (out / "top_particles.onnx").exists()


def _high_level(said: str, areas: list[float], out: Path) -> None:
    assert len(areas) == 5
    # Trees get 0.126 more from the masses than from the momenta alone; the error of an area is 0.007.
    (gain,) = re.findall(r"the masses add (\S+)", said)
    assert 0.08 < float(gain) < 0.17
    (near,) = re.findall(r"(\d+) of 100 generated signal events", said)
    assert int(near) > 40
    assert (out / "m_bb.png").exists()


def _discovery(said: str, areas: list[float], out: Path) -> None:  # noqa: ARG001
    # What passes the cut is the same in Python, RDataFrame and C++.
    counted = re.findall(r"^(Python|RDataFrame|C\+\+) +s = (\S+) +b = (\S+)", said, re.M)
    assert [engine for engine, *_ in counted][:2] == ["Python", "RDataFrame"]
    assert len({tuple(yields) for _, *yields in counted}) == 1
    # Errors are one number or, where they differ, two.
    rows = re.findall(r"^(cross entropy|Asimov) +\d\S* +\d\S* +\d\S* (?:±|\+)", said, re.M)
    assert rows == ["cross entropy", "Asimov"]
    assert (out / "search.onnx").exists()
    assert (out / "significance.png").exists()


def _flow(said: str, areas: list[float], out: Path) -> None:  # noqa: ARG001
    response, resolution = map(
        float, re.findall(r"^source +response (\S+), resolution (\S+),", said, re.M)[0]
    )
    assert abs(response - 1) < 0.02
    assert 0.005 < resolution < 0.1
    ways = re.findall(r"^(file|RDataFrame|C\+\+) +(\d+) of (\d+) cells are the same", said, re.M)
    assert [way for way, *_ in ways] == ["file", "RDataFrame", "C++"]
    assert {same for _, same, _ in ways} == {str(100 * 504)}
    assert "SettingError: energy=500 of shower 0 is outside of" in said
    assert {path.name for path in out.glob("flow*.png")} == {"flow_images.png", "flow_physics.png"}


def _gan(said: str, areas: list[float], out: Path) -> None:  # noqa: ARG001
    response = float(re.findall(r"^source +response (\S+), resolution", said, re.M)[0])
    assert abs(response - 1) < 0.02
    assert "C++ and Python: 50400 of 50400 cells are the same" in said
    # The mean shower has no spread at all; its distance is that of a sample without one.
    (spread, diversity) = re.findall(
        r"^the mean shower .* spread (\S+), diversity (\S+): collapsed", said, re.M
    )[0]
    assert float(spread) < 0.2
    assert float(diversity) < 0.2
    epochs = re.findall(r"^ +(\d+)( +-?\d+\.\d+){4}$", said, re.M)
    assert [int(epoch) for epoch, _ in epochs][:3] == [1, 2, 3]
    names = {f"gan_{name}.png" for name in ("training", "epochs", "physics", "images")}
    assert {path.name for path in out.glob("gan*.png")} == names


CHECKS = {
    "hepml001": _dataset,
    "hepml002": _training,
    "hepml003": _evaluation,
    "hepml004": _export,
    "hepml005": _rdataframe,
    "hepml006": _folds,
    "hepml110": _top_tagging,
    "hepml111": _high_level,
    "hepml120": _discovery,
    "hepml310": _gan,
    "hepml320": _flow,
}


def test_the_macro_says_the_same_as_the_script(somewhere, said_by):
    """hepml005 in C++ and in Python select the same events, nominal and varied."""
    root = shutil.which("root", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if root is None or shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("needs the program root and a C++ compiler")
    python = said_by(FOLDER / "hepml005_score_in_rdataframe.py")
    library = somewhere / "higgs.so"
    run(
        [sys.executable, "-m", "hepml_root", "compile", "runs/tutorials/higgs.onnx", "-o", str(library)]
        + ["--overwrite"],
        somewhere,
    )
    macro = f'{FOLDER / "hepml005_score_in_rdataframe.C"}("{library}")'
    said = run([root, "-l", "-b", "-q", macro], somewhere)
    for variation in ("scale:down", "scale:up"):
        (events,) = re.findall(rf"{variation}: (\d+) events", said)
        assert f"{variation:<11}" in python
        assert re.search(rf"{variation} +{events} events", python)


@pytest.mark.slow
def test_the_macro_draws_showers_of_a_trained_generator(somewhere, said_by):
    """hepml330 on the flow of hepml320: its first shower is that of Python."""
    import numpy as np

    import hepml_root as hr

    root = shutil.which("root", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if root is None or shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("needs the program root and a C++ compiler")
    said_by(FOLDER / "hepml320_flow.py")
    library = somewhere / "runs" / "tutorials" / "flow.so"
    macro = FOLDER / "hepml330_generate.C"
    said = run([root, "-l", "-b", "-q", f'{macro}("{library}", 50, 300, "drawn")'], somewhere)
    assert "3 layers with 504 cells of lar-3" in said
    right = hr.generate_showers(library.with_suffix(".onnx"), {"energy": np.full(300, 50.0)}, seed=1)
    total = right.total_energies().astype(float)
    (mean, spread) = map(float, re.findall(r"mean (\S+) GeV, standard deviation (\S+) GeV", said)[0])
    assert mean == pytest.approx(total.mean(), rel=1e-4)
    assert spread == pytest.approx(total.std(), rel=1e-3)
    assert float(re.findall(r"the first shower: (\S+) GeV", said)[0]) == pytest.approx(total[0], rel=1e-4)
    assert (somewhere / "drawn.png").stat().st_size > 10_000
    assert (somewhere / "drawn.root").exists()
    done = subprocess.run(
        [root, "-l", "-b", "-q", f'{macro}("{library}", 500)'], cwd=somewhere, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "energy = 500 is outside of" in done.stderr
