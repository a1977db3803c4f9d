"""The compiled part of the feed: cached, rebuilt when something changes, replaced by the interpreter."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap

import pytest

from hepml_root.data.feed_library import _LIBRARIES, build
from hepml_root.data.shipped import shipped_file


def child(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


# Bulk reading of a TTree, with a cut and an expression, against NumPy.
BULK = f"""
import numpy as np, uproot, warnings
from hepml_root.data.feed import Request, blocks, read
from hepml_root.data.feed_library import library
from hepml_root.data.rdataframe import Frame
path = {shipped_file("Higgs_data.root")!r}
with uproot.open(path) as file:
    m, b = (file["sig_tree"][name].array(library="np") for name in ("m_bb", "jet1_b-tag"))
request = Request(matrix=("m_bb", "m_bb * 2"), exact=("jet1_b-tag",), cut="jet1_b-tag > 1")
expected = np.stack([m, m * 2], 1)[b > 1]
def check(source):
    rows, _ = read([(Frame.open(source), request)])
    assert np.array_equal(rows.matrix, expected)
    assert np.array_equal(rows.exact["jet1_b-tag"], b[b > 1].astype(float))
warnings.simplefilter("error", RuntimeWarning)
"""


def test_compiled_once(tmp_path):
    code = BULK + 'check(path + ":sig_tree")\nprint(library("tree").compiled)'
    built = None
    for _ in range(2):
        done = child(code, HEPML_ROOT_CACHE=str(tmp_path))
        assert done.stdout.strip() == "True", done.stderr[-2000:]
        times = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        assert len(times) == 1
        assert built in (None, times)
        built = times


@pytest.mark.skipif(shutil.which("readelf") is None, reason="readelf is not installed: it is in binutils")
def test_a_library_calls_its_own_functions():
    """ROOT makes the symbols of all libraries visible; another version of the feed may be in the process."""
    path, reason = build("tree", _LIBRARIES["tree"][1])
    assert path is not None, reason
    told = subprocess.run(["readelf", "--dynamic", path], capture_output=True, text=True, check=True).stdout
    assert "SYMBOLIC" in told


def test_without_a_compiler_the_interpreter_reads_the_same(tmp_path):
    code = """
    import ROOT
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            check(path + ":sig_tree")
            check(ROOT.RDataFrame("sig_tree", path))
    told = [str(warning.message) for warning in caught if "interpreter" in str(warning.message)]
    print(library("tree").compiled, library("loop").compiled, len(told), told[0])
    """
    code = BULK + textwrap.dedent(code)
    done = child(code, HEPML_ROOT_CACHE=str(tmp_path), PATH="/nonexistent", CXX="no-such-compiler")
    assert done.stdout.startswith("False False 1 the feed runs in ROOT's interpreter"), done.stderr[-2000:]
    assert "no C++ compiler is there" in done.stdout


def test_failing_compiler_is_named(tmp_path, monkeypatch):
    compiler = tmp_path / "broken"
    compiler.write_text("#!/bin/sh\necho 'fatal error: out of order' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", f"{compiler} -DOPTION")  # it may have options, as in Makefiles
    monkeypatch.setenv("HEPML_ROOT_CACHE", str(tmp_path / "cache"))
    path, problem = build("tree", ("Core",))
    assert path is None
    assert problem.endswith("broken -DOPTION failed: fatal error: out of order")
    assert list((tmp_path / "cache").iterdir()) == []


def test_cache_that_cannot_be_used_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HEPML_ROOT_CACHE", str(tmp_path / "file" / "cache"))
    path, problem = build("tree", ("Core",))
    assert path is None
    assert "cannot be used" in problem
