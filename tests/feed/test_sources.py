"""Sources: how events are named, what a frame knows of them, and the messages when something is not there."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import uproot

from hepml_root.data.feed import Jagged, Request, plan, read
from hepml_root.data.feed_trees import split_name
from hepml_root.data.rdataframe import Frame, Source
from hepml_root.data.shipped import shipped_file
from hepml_root.errors import (
    ColumnNotFoundError,
    ColumnTypeError,
    ExpressionError,
    HepmlError,
    SettingError,
    SourceNotFoundError,
    UnsupportedOperationError,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.root", ("a.root", None)),
        ("a.root:events", ("a.root", "events")),
        ("/x/y.root:folder/events", ("/x/y.root", "folder/events")),
        ("root://host.org//x/y.root", ("root://host.org//x/y.root", None)),
        ("root://host.org:1094//x/y.root", ("root://host.org:1094//x/y.root", None)),
        ("root://host.org:1094//x/y.root:t", ("root://host.org:1094//x/y.root", "t")),
        ("https://host.org:8080/y.root", ("https://host.org:8080/y.root", None)),
        ("https://host.org/y.root:t", ("https://host.org/y.root", "t")),
    ],
)
def test_names_of_files_and_trees(text, expected):
    assert split_name(text) == expected


def test_colon_in_a_file_name(mixed, tmp_path):
    path = tmp_path / "a:b.root"
    path.write_bytes(Path(mixed["zlib"]).read_bytes())
    assert "f" in Frame.open(str(path)).columns()
    assert "f" in Frame.open(f"{path}:events").columns()


def test_shipped_file_and_columns():
    frame = Frame.open(f"{shipped_file('Higgs_data.root')}:sig_tree")
    columns = frame.columns()
    assert len(columns) == 29
    assert set(columns.values()) == {"float32"}
    with uproot.open(shipped_file("Higgs_data.root")) as file:
        assert list(columns) == file["sig_tree"].keys()
    with pytest.raises(SourceNotFoundError, match=r"Nearest: 'Higgs_data.root'"):
        shipped_file("higgs_dat.root")


@pytest.mark.parametrize("form", ["zlib", "rntuple"])
def test_types_of_columns(mixed, form):
    columns = Frame.open(mixed[form]).columns()
    expected = {
        "o": "bool", "b": "int8", "ub": "uint8", "s": "int16", "us": "uint16", "i": "int32", "ui": "uint32",
        "l": "int64", "ul": "uint64", "f": "float32", "d": "float64",
    }  # fmt: skip
    assert {name: columns[name] for name in expected} == expected
    assert "RVec<" in columns["jet_pt"] or "vector<" in columns["jet_pt"]


def test_tree_in_a_folder(tmp_path):
    import ROOT

    path = str(tmp_path / "folder.root")
    with ROOT.TFile.Open(path, "RECREATE") as file:
        file.mkdir("a/b").cd()
        tree = ROOT.TTree("t", "")
        value = np.array([0.0], np.float32)
        tree.Branch("x", value, "x/F")
        for i in range(3):
            value[0] = i
            tree.Fill()
        file.Write()
    for name in (path, f"{path}:a/b/t", f"{path}:/a/b/t"):
        assert read([(Frame.open(name), Request(matrix=("x",)))])[0].matrix[:, 0].tolist() == [0, 1, 2]
    with ROOT.TFile.Open(path) as file:
        rows, _ = read([(Frame.open(file.Get("a/b/t")), Request(matrix=("x",), cut="x > 0"))])
        assert rows.matrix[:, 0].tolist() == [1, 2]


def test_tree_in_memory():
    import ROOT

    tree = ROOT.TTree("t", "")
    tree.SetDirectory(ROOT.nullptr)
    value = np.array([0.0])
    tree.Branch("x", value, "x/D")
    for i in range(5):
        value[0] = i / 2
        tree.Fill()
    rows, _ = read([(Frame.open(tree), Request(matrix=("x",), exact=("x * 2",)))])
    assert rows.exact["x * 2"].tolist() == [0, 1, 2, 3, 4]


def test_cut_of_source_and_request(mixed):
    with uproot.open(mixed["zlib"]) as file:
        f = file["events"]["f"].array(library="np")
    frame = Frame.open(Source(mixed["zlib"], cut="f > 0 || f < -1"))
    rows, _ = read([(frame, Request(matrix=("f",), cut="f < 1 || f > 2"))])
    assert np.array_equal(rows.matrix[:, 0], f[((f > 0) | (f < -1)) & ((f < 1) | (f > 2))])


def test_provenance(parts):
    entries = Frame.open(parts).provenance()
    assert [entry["path"] for entry in entries] == parts
    content = Path(parts[1]).read_bytes()
    assert entries[1]["size"] == len(content)
    assert entries[1]["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_missing_files_and_trees(parts, tmp_path):
    folder = Path(parts[0]).parent
    with pytest.raises(SourceNotFoundError, match=r"In that folder: .*part1\.root"):
        Frame.open(str(folder / "part9.root"))
    with pytest.raises(SourceNotFoundError, match="does not exist either"):
        Frame.open(str(tmp_path / "nowhere" / "a.root"))
    with pytest.raises(SourceNotFoundError, match="no file matches"):
        Frame.open(str(folder / "none*.root"))
    with pytest.raises(SourceNotFoundError, match="is a folder"):
        Frame.open(str(folder))
    with pytest.raises(SourceNotFoundError, match="part9"):
        Frame.open([*parts, str(folder / "part9.root")])
    with pytest.raises(SourceNotFoundError, match=r"no tree 'event'. Nearest: 'events'"):
        Frame.open(f"{parts[0]}:event")
    with pytest.raises(SourceNotFoundError, match=r"holds 2 trees: sig_tree, bkg_tree"):
        Frame.open(shipped_file("Higgs_data.root"))
    with pytest.raises(SettingError, match="names the tree"):
        Frame.open(Source(f"{parts[0]}:events", tree="other"))
    with pytest.raises(SettingError, match="list of files is empty"):
        Frame.open([])
    with pytest.raises(SettingError, match="cannot be a"):
        Frame.open(3)


def test_tree_missing_in_a_later_file(parts):
    friend = str(Path(parts[0]).with_name("friend0.root"))
    for request in (Request(matrix=("f",)), Request(jagged=(Jagged("j", ("jet_pt",), 3),))):
        with pytest.raises(HepmlError, match=r"friend0\.root"):
            read([(Frame.open(Source([parts[0], friend], tree="events")), request)])


def test_friends_need_the_same_length(parts):
    friend = str(Path(parts[0]).with_name("friend2.root"))
    with pytest.raises(SettingError, match="3000 entries, the main tree 400"):
        read([(Frame.open(Source(parts[0], friends=(friend,))), Request(matrix=("f",)))])


def test_columns_of_friends_have_their_short_names_too(tmp_path):
    with uproot.recreate(tmp_path / "events.root") as file:
        file.mktree("events", {"x": "f4"})
        file.mktree("extra", {"x": "f4", "y": "f4"})
        file["events"].extend({"x": np.arange(3, dtype="f4")})
        file["extra"].extend({"x": np.arange(3, dtype="f4") + 10, "y": np.arange(3, dtype="f4") + 20})
    frame = Frame.open(Source(f"{tmp_path}/events.root:events", friends=[f"{tmp_path}/events.root:extra"]))
    rows, _ = read([(frame, Request(matrix=("x", "y", "extra.x", "x + 2 * y")))])
    assert np.array_equal(rows.matrix, [[0, 20, 10, 40], [1, 21, 11, 43], [2, 22, 12, 46]])


def test_a_friend_cannot_be_an_rntuple(parts, mixed):
    with pytest.raises(SettingError, match=r"the friend '.*' is an RNTuple"):
        read([(Frame.open(Source(parts[0], friends=(mixed["rntuple"],))), Request(matrix=("f",)))])


def frames(mixed):
    import ROOT

    yield Frame.open(mixed["zlib"])
    yield Frame.open(mixed["rntuple"])
    yield Frame.open(ROOT.RDataFrame("events", mixed["zlib"]))


def test_unknown_columns_name_the_nearest(mixed, capfd):
    for frame in frames(mixed):
        for request in (
            Request(matrix=("jet_ptt",)),
            Request(exact=("jet_ptt + 1",)),
            Request(cut="jet_ptt > 1"),
            Request(jagged=(Jagged("j", ("jet_ptt",), 3),)),
        ):
            with pytest.raises(ColumnNotFoundError, match=r"no column 'jet_ptt'. Nearest: 'jet_pt'"):
                plan(frame, request)
    assert capfd.readouterr().err == ""  # the interpreter's own words are in the exception


def test_expressions_that_do_not_compile(mixed, capfd):
    for frame in frames(mixed):
        with pytest.raises(ExpressionError, match=r"'f \+ \) \* d' is no valid C\+\+: expected") as caught:
            plan(frame, Request(matrix=("f + ) * d",)))
        assert len(str(caught.value)) < 300
        with pytest.raises(ExpressionError, match="no matching"):
            plan(frame, Request(matrix=("std::vector<int>(f, d, 3)[0]",)))
    assert capfd.readouterr().err == ""


def test_columns_of_the_wrong_kind(mixed):
    import ROOT

    for frame in frames(mixed):
        with pytest.raises(ColumnTypeError, match="max_length"):
            plan(frame, Request(matrix=("jet_pt",)))
        with pytest.raises(ColumnTypeError, match="one value per event"):
            plan(frame, Request(jagged=(Jagged("j", ("f",), 3),)))
        with pytest.raises(ColumnTypeError, match="neither a number"):
            plan(frame, Request(matrix=("std::complex<float>(f, 1)",)))
    node = ROOT.RDataFrame(5).Define("text", 'std::string("a")')
    with pytest.raises(ColumnTypeError, match="'text'"):
        plan(Frame.open(node), Request(matrix=("text",)))
    with pytest.raises(ColumnNotFoundError, match="5 values per event"):
        plan(Frame.open(mixed["zlib"]), Request(matrix=("array[5]",)))


def test_jagged_columns_of_one_group_have_one_length(mixed):
    with pytest.raises(HepmlError, match="need the same number"):
        read([(Frame.open(mixed["zlib"]), Request(jagged=(Jagged("j", ("jet_pt", "v"), 3),)))])


def test_files_of_different_types(mixed, tmp_path):
    other = str(tmp_path / "other.root")
    with uproot.recreate(other) as file:
        file.mktree("events", {"f": np.float64, "d": np.float64})
        file["events"].extend({"f": np.zeros(3), "d": np.zeros(3)})
    with pytest.raises(ColumnTypeError, match=r"'f' is float64 in .*other\.root.* and float32"):
        read([(Frame.open([mixed["zlib"], other]), Request(matrix=("f",)))])
    rows, _ = read([(Frame.open([mixed["zlib"], other]), Request(matrix=("d",)))])
    assert rows.matrix.shape == (5003, 1)


def test_files_written_by_uproot(tmp_path):
    path = str(tmp_path / "uproot.root")
    random = np.random.default_rng(2)
    data = {
        name: random.normal(size=1000).astype(kind) for name, kind in (("a", np.float32), ("b", np.float64))
    }
    data["c"] = random.integers(-5, 5, 1000).astype(np.int16)
    with uproot.recreate(path) as file:
        tree = file.mktree("t", {name: values.dtype for name, values in data.items()})
        for first in range(0, 1000, 300):
            tree.extend({name: values[first : first + 300] for name, values in data.items()})
    rows, _ = read([(Frame.open(path), Request(matrix=("a", "c"), exact=("b",)))])
    assert np.array_equal(rows.matrix, np.stack([data["a"], data["c"].astype(np.float32)], 1))
    assert np.array_equal(rows.exact["b"], data["b"])


def test_columns_that_rdataframe_confuses():
    """RDataFrame calls the columns of an expression var0, var1, … and replaces columns of that name again."""
    import ROOT

    node = ROOT.RDataFrame(40)
    for number in range(1, 5):
        node = node.Define(f"var{number}", f"float(rdfentry_ % {number + 1} + 10 * {number})")
    node = node.Define("var5", "ROOT::RVecF{float(rdfentry_), 1.f}")
    data = node.AsNumpy(["var1", "var2", "var3", "var4"])
    expression = "1000 * var1 + 100 * var2 + 10 * var3 + var4"
    cut = "var4 + 10 * var1 + 100 * var2 + 1000 * var3 > 32250"
    jagged = Jagged("jets", ("var5 * var3 + 0 * var1 * var2",), 2)
    rows, _ = read(
        [(Frame.open(Source(node, cut=cut)), Request(matrix=(expression, "var3"), jagged=(jagged,)))]
    )
    one, two, three, four = (data[f"var{number}"] for number in range(1, 5))
    keep = four + 10 * one + 100 * two + 1000 * three > 32250
    assert 0 < keep.sum() < 40
    wanted = np.stack([1000 * one + 100 * two + 10 * three + four, three], axis=1)[keep]
    assert np.array_equal(rows.matrix, wanted)
    values, _ = rows.jagged["jets"]
    assert np.array_equal(values[:, 0, 0], (np.arange(40) * three)[keep])


def test_distributed_frame(mixed):
    import ROOT
    from dask.distributed import Client, LocalCluster

    with uproot.open(mixed["zlib"]) as file:
        e = file["events"].arrays(["f", "i", "d"], library="np")
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        node = ROOT.RDataFrame("events", mixed["zlib"], executor=client).Define("g", "f * 2").Filter("i >= 0")
        frame = Frame.open(Source(node, cut="f > 0"))
        assert frame.distributed
        rows, counts = read([(frame, Request(matrix=("g", "f + 1"), exact=("i",), cut="f < 1"))])
        keep = (e["i"] >= 0) & (e["f"] > 0) & (e["f"] < 1)
        assert counts == [keep.sum()]
        order, wanted = np.argsort(rows.exact["i"]), e["f"][keep]
        assert np.array_equal(rows.exact["i"][order], e["i"][keep])
        assert np.array_equal(rows.matrix[order], np.stack([wanted * 2, wanted + 1], 1))
        confused = ROOT.RDataFrame("events", mixed["zlib"], executor=client)
        for name, column in (("var1", "f"), ("var2", "i"), ("var3", "d"), ("var4", "f * 2")):
            confused = confused.Define(name, f"double({column})")
        text = "var1 + 10 * var2 + 100 * var3 + 1000 * var4"
        rows, _ = read([(Frame.open(confused), Request(matrix=(text,), exact=("i",)))])
        wanted = e["f"] + 10.0 * e["i"] + 100 * e["d"] + 2000.0 * e["f"]
        assert np.allclose(np.sort(rows.matrix[:, 0]), np.sort(wanted), rtol=1e-6)
        with pytest.raises(ColumnNotFoundError, match="Nearest"):
            plan(frame, Request(matrix=("jet_ptt",)))
        with pytest.raises(UnsupportedOperationError, match="Snapshot"):
            plan(frame, Request(jagged=(Jagged("j", ("jet_pt",), 3),)))
