"""Damaged files end in a named exception that says which file, never in wrong numbers."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import uproot

from hepml_root.data.feed import Jagged, Request, read
from hepml_root.data.rdataframe import Frame
from hepml_root.errors import CorruptFileError, HepmlError


def read_all(path, **request):
    return read([(Frame.open(str(path)), Request(**request))])[0]


@pytest.fixture
def copy(mixed, tmp_path):
    def make(form: str, name: str = "copy.root") -> Path:
        path = tmp_path / name
        path.write_bytes(Path(mixed[form]).read_bytes())
        return path

    return make


@pytest.mark.parametrize("form", ["zlib", "uncompressed", "rntuple"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.99])
def test_truncated_file(copy, form, part, capfd):
    path = copy(form)
    os.truncate(path, int(path.stat().st_size * part))
    with pytest.raises(CorruptFileError, match=r"copy\.root") as caught:
        read_all(path, matrix=("f",))
    size = path.stat().st_size
    assert f"should have {size} bytes and has {size}" not in str(caught.value)
    assert "Error" not in capfd.readouterr().err


@pytest.mark.parametrize("form", ["zlib", "rntuple"])
def test_truncated_file_among_others(copy, mixed, form):
    path = copy(form)
    os.truncate(path, path.stat().st_size // 2)
    frame = Frame.open([mixed[form], str(path)])
    for request in (Request(matrix=("f",)), Request(jagged=(Jagged("j", ("jet_pt",), 2),))):
        with pytest.raises(CorruptFileError, match=r"copy\.root"):
            read([(frame, request)])


def test_no_root_file(tmp_path):
    text, empty = tmp_path / "text.root", tmp_path / "empty.root"
    text.write_text("this is a text file, and long enough to have a header of one" * 10)
    empty.write_bytes(b"")
    for path in (text, empty):
        with pytest.raises(CorruptFileError, match="is no ROOT file"):
            Frame.open(str(path))


def test_destroyed_header(copy):
    path = copy("zlib")
    with path.open("r+b") as file:
        file.seek(8)
        file.write(b"\xff" * 40)
    with pytest.raises(CorruptFileError, match=r"copy\.root"):
        Frame.open(str(path))


@pytest.mark.parametrize("where", ["key", "data"])
def test_damaged_basket(copy, where):
    """The other columns can still be read."""
    path = copy("zlib")
    with uproot.open(path) as file:
        d = file["events"]["d"]
        seek = int(d.member("fBasketSeek")[1])
        f = file["events"]["f"].array(library="np")
        first = int(d.member("fBasketEntry")[1])
    with path.open("r+b") as file:
        file.seek(seek + (0 if where == "key" else 200))
        file.write(b"\x00" * 60)
    if where == "key":
        with pytest.raises(CorruptFileError, match=rf"branch 'd', entries {first} to .*damaged"):
            read_all(path, matrix=("d",))
    else:
        with pytest.raises(CorruptFileError, match=r"branch 'd'.*compressed data are damaged"):
            read_all(path, matrix=("d",), cut="d > 0")
    assert np.array_equal(read_all(path, matrix=("f",)).matrix[:, 0], f)


def test_damaged_basket_in_the_event_loop(copy):
    path = copy("zlib")
    with uproot.open(path) as file:
        seek = int(file["events"]["jet_pt"].member("fBasketSeek")[1])
    with path.open("r+b") as file:
        file.seek(seek + 150)
        file.write(b"\x00" * 500)
    with pytest.raises(HepmlError, match=r"copy\.root"):
        read_all(path, jagged=(Jagged("j", ("jet_pt",), 4),))


def test_damaged_page_of_an_rntuple(copy):
    path = copy("rntuple")
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 4, len(content) // 2, 997):
        content[place] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(HepmlError, match=r"copy\.root"):
        read_all(path, matrix=("f", "d", "l", "ul", "array[1]"))


def test_file_without_trees(tmp_path):
    path = tmp_path / "histogram.root"
    with uproot.recreate(path) as file:
        file["h"] = np.histogram([1, 2, 3])
    with pytest.raises(HepmlError, match="holds no TTree and no RNTuple"):
        Frame.open(str(path))


def test_tree_without_events(tmp_path):
    path = str(tmp_path / "empty.root")
    with uproot.recreate(path) as file:
        file.mktree("t", {"x": np.float32})
    assert read_all(path, matrix=("x",)).matrix.shape == (0, 1)
    assert read_all(path, matrix=("x", "x * 2"), cut="x > 0").matrix.shape == (0, 2)
