"""The feed gives what uproot gives: all column types, formats, expressions, cuts, orders and threads."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from hepml_root.data.feed import Jagged, Request, blocks, plan, read
from hepml_root.data.feed_bulk import BulkPlan
from hepml_root.data.feed_loop import LoopPlan
from hepml_root.data.feed_mixed import MixedPlan
from hepml_root.data.rdataframe import Frame, Source
from hepml_root.errors import SettingError

SCALARS = ("o", "b", "ub", "s", "us", "i", "ui", "l", "ul", "f", "d")
FORMATS = ("zlib", "uncompressed", "lz4", "zstd", "rntuple")


def arrays(path: str, names=SCALARS, tree: str = "events") -> dict[str, np.ndarray]:
    with uproot.open(path) as file:
        return {name: np.asarray(file[tree][name].array(library="np")) for name in names}


def rows_of(source, threads=None, **request):
    rows, counts = read([(Frame.open(source), Request(**request))], threads=threads)
    assert counts == [len(rows)]
    return rows


def float32(expected: dict[str, np.ndarray], names) -> np.ndarray:
    return np.stack([expected[name].astype(np.float32) for name in names], axis=1)


@pytest.mark.parametrize("form", FORMATS)
def test_all_types_and_formats(mixed, form):
    expected = arrays(mixed[form])
    frame = Frame.open(f"{mixed[form]}:events")
    request = Request(matrix=SCALARS, exact=SCALARS)
    assert isinstance(plan(frame, request), BulkPlan)
    rows, _ = read([(frame, request)])
    assert rows.matrix.flags.c_contiguous
    assert rows.matrix.dtype == np.float32
    assert np.array_equal(rows.matrix, float32(expected, SCALARS))
    for name in SCALARS:
        kind = expected[name].dtype.kind
        wanted = {"f": np.float64, "u": np.uint64}.get(kind, np.int64)
        assert rows.exact[name].dtype == wanted, name
        assert np.array_equal(rows.exact[name], expected[name].astype(wanted)), name


@pytest.mark.parametrize("compression", [0, 101])
def test_baskets_longer_than_what_is_read_at_once(writer, tmp_path, compression):
    path = str(tmp_path / "long.root")
    writer.long_tree(path, 50_000, compression)
    expected = arrays(path, ("f", "d", "array"))
    names = ("f", "d", "array[6]", "array[0]")
    rows = rows_of(path, matrix=names)
    columns = [expected["f"], expected["d"], expected["array"][:, 6], expected["array"][:, 0]]
    assert np.array_equal(rows.matrix, np.stack(columns, 1).astype(np.float32))
    selected = rows_of(path, matrix=names, cut="d > 49000 || d == 7")
    assert np.array_equal(selected.matrix, rows.matrix[(expected["d"] > 49000) | (expected["d"] == 7)])


@pytest.mark.parametrize("form", FORMATS)
def test_threads_give_the_same(mixed, form):
    request = {"matrix": SCALARS, "exact": ("l",)}
    one, four = rows_of(mixed[form], 1, **request), rows_of(mixed[form], 4, **request)
    assert np.array_equal(one.matrix, four.matrix)
    selected = {**request, "cut": "f > 0.3"}
    one, four = rows_of(mixed[form], 1, **selected), rows_of(mixed[form], 4, **selected)
    assert 0 < len(one) < 5000
    assert np.array_equal(one.matrix, four.matrix)
    assert np.array_equal(one.exact["l"], four.exact["l"])


@pytest.mark.parametrize("form", ["zlib", "rntuple"])
def test_expressions_and_cuts(mixed, form):
    e = arrays(mixed[form])
    frame = Frame.open(mixed[form])
    request = Request(
        matrix=("f", "abs(f - s) * 2", "o ? f : -f", "TMath::Max(f, 0.5f)"),
        exact=("i % 7", "f > 0", "l - 1"),
        cut="s > 0 && o",
    )
    assert isinstance(plan(frame, request), BulkPlan)
    rows, _ = read([(frame, request)])
    keep = (e["s"] > 0) & e["o"]
    f, s = e["f"][keep], e["s"][keep].astype(np.float32)
    assert np.array_equal(rows.matrix[:, 0], f)
    np.testing.assert_allclose(rows.matrix[:, 1], np.abs(f - s) * 2, rtol=1e-6)
    assert np.array_equal(rows.matrix[:, 2], f)
    assert np.array_equal(rows.matrix[:, 3], np.maximum(f, np.float32(0.5)))
    assert np.array_equal(rows.exact["i % 7"], np.fmod(e["i"][keep], 7))
    assert np.array_equal(rows.exact["f > 0"], (f > 0).astype(np.int64))
    assert np.array_equal(rows.exact["l - 1"], e["l"][keep] - 1)


def test_expression_is_evaluated_for_selected_events_only(mixed):
    """A division by zero of integers would end the process."""
    e = arrays(mixed["zlib"])
    rows = rows_of(mixed["zlib"], exact=("100 / s",), cut="s != 0")
    assert len(rows) == np.count_nonzero(e["s"])


def test_names_that_are_no_identifiers(mixed):
    f = arrays(mixed["zlib"])["f"]
    source = f"{mixed['zlib']}:events"
    rows = rows_of(source, matrix=("odd-name", "odd-name * 2", "pair.x", "-pair.x"), cut="odd-name > 0")
    assert np.array_equal(rows.matrix, np.stack([f, f * 2, f, -f], 1)[f > 0])
    import ROOT

    node = ROOT.RDataFrame("events", mixed["zlib"])
    again = rows_of(node, matrix=("odd-name", "odd-name * 2", "pair.x", "-pair.x"), cut="odd-name > 0")
    assert np.array_equal(again.matrix, rows.matrix)


@pytest.mark.parametrize("form", ["zlib", "uncompressed", "rntuple"])
def test_elements_of_arrays(mixed, form):
    expected = arrays(mixed[form], ("array",))["array"]
    frame = Frame.open(mixed[form])
    names = tuple(f"array[{i}]" for i in range(5))
    assert isinstance(plan(frame, Request(matrix=names)), BulkPlan)
    assert np.array_equal(read([(frame, Request(matrix=names))])[0].matrix, expected)
    assert np.array_equal(
        rows_of(mixed[form], matrix=("array[1] + array[4]",)).matrix[:, 0], expected[:, 1] + expected[:, 4]
    )


def test_several_files_globs_and_chains(parts):
    import ROOT

    expected = np.concatenate([arrays(path)["f"] for path in parts])
    pattern = parts[0].replace("part0", "part*")
    chain = ROOT.TChain("events")
    for path in parts:
        chain.Add(path)
    with ROOT.TFile.Open(parts[2]) as file:
        tree = file.Get("events")
        assert np.array_equal(rows_of(tree, matrix=("f",)).matrix[:, 0], expected[401:])
    for source in (
        pattern,
        f"{pattern}:events",
        parts,
        [f"{p}:events" for p in parts],
        chain,
        Source(parts, tree="events"),
    ):
        assert np.array_equal(rows_of(source, matrix=("f",)).matrix[:, 0], expected)
        assert np.array_equal(
            rows_of(source, 3, matrix=("f",), cut="f > 1").matrix[:, 0], expected[expected > 1]
        )


def test_friends(parts):
    friends = [str(Path(path).with_name(Path(path).name.replace("part", "friend"))) for path in parts]
    f = np.concatenate([arrays(path)["f"] for path in parts])
    g = np.concatenate([arrays(path, tree="extra")["f"] for path in friends])
    source = Source(parts, friends=[[f"{path}:extra" for path in friends]], cut="extra.f > f")
    i = np.concatenate([arrays(path)["i"] for path in parts])
    for names in (("f", "extra.f", "extra.f - f"), ("f", "extra.f", "extra.f - f", "i", "d")):
        rows = rows_of(source, matrix=names, exact=("i",))
        assert np.array_equal(rows.matrix[:, :2], np.stack([f, g], 1)[g > f])
        np.testing.assert_allclose(rows.matrix[:, 2], (g - f)[g > f])
        assert np.array_equal(rows.exact["i"], i[g > f])


def test_jagged_columns_are_padded_and_cut(mixed):
    with uproot.open(mixed["zlib"]) as file:
        pt, eta, v = file["events"].arrays(["jet_pt", "jet_eta", "v"], library="ak", how=tuple)
    groups = (Jagged("jets", ("jet_pt", "jet_eta", "log(jet_pt)"), 6), Jagged("values", ("v",), 3))
    rows = rows_of(mixed["zlib"], matrix=("f",), jagged=groups, exact=("ul",))
    values, mask = rows.jagged["jets"]
    assert values.shape == (5000, 6, 3)
    padded = ak.fill_none(ak.pad_none(pt, 6, clip=True), 0).to_numpy()
    assert np.array_equal(values[:, :, 0], padded)
    assert np.array_equal(values[:, :, 1], ak.fill_none(ak.pad_none(eta, 6, clip=True), 0).to_numpy())
    assert np.array_equal(mask, np.arange(6) < np.asarray(ak.num(pt))[:, None])
    np.testing.assert_allclose(values[:, :, 2][mask], np.log(padded[mask]), rtol=1e-5)
    assert np.all(values[~mask] == 0)
    assert np.array_equal(
        rows.jagged["values"][0][:, :, 0], ak.fill_none(ak.pad_none(v, 3, clip=True), 0).to_numpy()
    )
    assert np.array_equal(rows.exact["ul"], arrays(mixed["zlib"])["ul"])


def test_jagged_columns_of_an_rntuple(mixed):
    with uproot.open(mixed["rntuple"]) as file:
        pt = file["events"]["jet_pt"].array(library="ak")
    rows = rows_of(mixed["rntuple"], jagged=(Jagged("jets", ("jet_pt",), 30),), matrix=("Sum(jet_pt)",))
    values, mask = rows.jagged["jets"]
    assert np.array_equal(values[:, :, 0], ak.fill_none(ak.pad_none(pt, 30, clip=True), 0).to_numpy())
    assert np.array_equal(mask.sum(1), ak.num(pt))
    np.testing.assert_allclose(rows.matrix[:, 0], ak.sum(pt, axis=1), rtol=1e-5)


def test_data_frame_with_define_and_filter(mixed):
    import ROOT

    e = arrays(mixed["zlib"])
    node = (
        ROOT.RDataFrame("events", mixed["zlib"])
        .Define("twice", "2 * d")
        .Filter("i >= 0")
        .Define("long", "l + i")
    )
    frame = Frame.open(node)
    request = Request(matrix=(*SCALARS, "twice", "twice / d"), exact=("long", "ul", "d"), cut="twice > 1e10")
    assert isinstance(plan(frame, request), MixedPlan)
    rows, _ = read([(frame, request)])
    keep = (e["i"] >= 0) & (2 * e["d"] > 1e10)
    assert np.array_equal(rows.matrix[:, : len(SCALARS)], float32(e, SCALARS)[keep])
    assert np.array_equal(rows.matrix[:, -2], (2 * e["d"][keep]).astype(np.float32))
    assert np.all(rows.matrix[:, -1] == 2)
    assert np.array_equal(rows.exact["long"], (e["l"] + e["i"])[keep])
    assert np.array_equal(rows.exact["ul"], e["ul"][keep])
    assert np.array_equal(rows.exact["d"], e["d"][keep])
    again, _ = read([(frame, request)])
    assert np.array_equal(again.matrix, rows.matrix)


def test_columns_that_a_frame_redefines(mixed):
    import ROOT

    e = arrays(mixed["lz4"])
    node = ROOT.RDataFrame("events", mixed["lz4"]).Redefine("f", "f + 1000.0f").Alias("k", "i")
    rows = rows_of(node, matrix=("f", "i", "k", "d", "b"), exact=("ul", "f"), cut="s > 0")
    keep = e["s"] > 0
    expected = [e["f"] + np.float32(1000), e["i"], e["i"], e["d"], e["b"]]
    assert np.array_equal(rows.matrix, np.stack([v.astype(np.float32) for v in expected], 1)[keep])
    assert np.array_equal(rows.exact["f"], expected[0][keep].astype(float))
    assert np.array_equal(rows.exact["ul"], e["ul"][keep])


def test_roads(mixed, parts):
    """Few scalars and RNTuples are left to the event loop alone; friends' columns always are."""
    import ROOT

    many, few = Request(matrix=("f", "i", "d")), Request(matrix=("f", "i"))
    node = Frame.open(ROOT.RDataFrame("events", parts).Filter("f > 0"))
    assert isinstance(plan(node, many), MixedPlan)
    assert isinstance(plan(node, few), LoopPlan)
    friend = Frame.open(Source(parts[1], friends=(parts[1].replace("part1", "friend1"),)))
    assert isinstance(plan(friend, many), MixedPlan)
    assert isinstance(plan(friend, Request(matrix=("f", "extra.i", "extra.d"))), LoopPlan)
    ntuple = Frame.open(ROOT.RDataFrame("events", mixed["rntuple"]).Filter("f > 0"))
    assert isinstance(plan(ntuple, many), LoopPlan)
    jagged = Request(matrix=("f",), jagged=(Jagged("jets", ("jet_pt",), 2),))
    assert isinstance(plan(Frame.open(mixed["zlib"]), jagged), BulkPlan)
    assert isinstance(plan(Frame.open(mixed["rntuple"]), jagged), BulkPlan)
    assert isinstance(plan(Frame.open(ROOT.RDataFrame("events", parts).Filter("f > 0")), jagged), MixedPlan)
    scaled = Request(matrix=("f", "i", "d"), jagged=(Jagged("jets", ("jet_pt * 2",), 2),))
    assert isinstance(plan(Frame.open(mixed["zlib"]), scaled), MixedPlan)
    assert isinstance(plan(friend, jagged), MixedPlan)


def test_data_frame_without_a_file():
    import ROOT

    node = (
        ROOT.RDataFrame(1000).Define("x", "rdfentry_ * 0.5").Define("list", "ROOT::RVecI(rdfentry_ % 3, 7)")
    )
    rows = rows_of(node, matrix=("x", "rdfentry_"), jagged=(Jagged("a", ("list",), 2),))
    assert np.array_equal(rows.matrix, np.stack([np.arange(1000) * 0.5, np.arange(1000)], 1))
    assert np.array_equal(rows.jagged["a"][1].sum(1), np.arange(1000) % 3)


def test_both_roads_agree(mixed):
    import ROOT

    request = {"matrix": (*SCALARS, "sqrt(abs(f))", "array[2]"), "exact": ("ul", "s * 2"), "cut": "f < 0.7"}
    bulk = rows_of(mixed["lz4"], **request)
    loop = rows_of(ROOT.RDataFrame("events", mixed["lz4"]), **request)
    assert np.array_equal(bulk.matrix, loop.matrix)
    for name in request["exact"]:
        assert bulk.exact[name].dtype == loop.exact[name].dtype
        assert np.array_equal(bulk.exact[name], loop.exact[name])


@pytest.mark.parametrize("road", ["bulk", "loop"])
@pytest.mark.parametrize("cut", [None, "f > 0"])
def test_blocks_keep_order_and_ranges(parts, road, cut):
    import ROOT

    f = np.concatenate([arrays(path)["f"] for path in parts])
    frame = Frame.open(parts if road == "bulk" else ROOT.RDataFrame("events", parts))
    for first, last in ((0, None), (390, 1700), (3400, None), (100, 100)):
        expected = f[first:last]
        expected = expected if cut is None else expected[expected > 0]
        pieces = list(blocks(frame, Request(matrix=("f",), cut=cut), 250, first, last))
        assert all(0 < len(piece) <= 250 for piece in pieces if road == "loop" or cut is None)
        got = np.concatenate([piece.matrix[:, 0] for piece in pieces] or [np.empty(0)])
        assert np.array_equal(got, expected), (first, last)


def test_blocks_can_be_left(mixed):
    import ROOT

    for source in (mixed["zlib"], ROOT.RDataFrame("events", mixed["zlib"])):
        iterator = blocks(Frame.open(source), Request(matrix=("f",)), 100)
        assert len(next(iterator)) == 100
        iterator.close()


def test_max_events_and_parts(mixed, parts):
    import ROOT

    f = arrays(mixed["zlib"])["f"]
    frame = Frame.open(mixed["zlib"])
    node = Frame.open(ROOT.RDataFrame("events", mixed["zlib"]))
    requests = [
        (frame, Request(matrix=("f",))),
        (frame, Request(matrix=("f",), cut="f > 0")),
        (node, Request(matrix=("-f",))),
    ]
    rows, counts = read(requests, max_events=700)
    assert counts == [700, 700, 700]
    assert np.array_equal(rows.matrix[:, 0], np.concatenate([f[:700], f[f > 0][:700], -f[:700]]))
    rows, counts = read([(Frame.open(parts), Request(matrix=("f",)))], max_events=402)
    assert counts == [402]


def test_exact_types_of_parts_are_reconciled(mixed):
    e = arrays(mixed["zlib"])
    frame = Frame.open(mixed["zlib"])
    rows, _ = read([(frame, Request(exact=("i",))), (frame, Request(exact=("d",)))])
    assert rows.exact["i"].dtype == np.float64
    assert np.array_equal(rows.exact["i"], np.concatenate([e["i"].astype(float), e["d"]]))
    with pytest.raises(SettingError, match="same numbers of columns"):
        read([(frame, Request(exact=("i",))), (frame, Request(matrix=("d",)))])


def test_empty_selection_has_no_rows(mixed):
    rows = rows_of(mixed["zlib"], matrix=("f", "d"), exact=("l",), cut="f > 1e9")
    assert rows.matrix.shape == (0, 2)
    assert rows.exact["l"].shape == (0,)


def test_result_owns_its_memory(mixed):
    rows = rows_of(mixed["zlib"], matrix=("f",))
    copy = rows.matrix.copy()
    rows.matrix[0] = 7
    assert rows_of(mixed["zlib"], matrix=("f",)).matrix[0] == copy[0]


def test_order_under_implicit_multithreading(mixed, parts):
    """In a process of its own, since ROOT's threads stay switched on."""
    code = f"""
    import numpy as np, ROOT
    ROOT.EnableImplicitMT(4)
    from hepml_root.data.feed import Jagged, Request, blocks, read
    from hepml_root.data.rdataframe import Frame, Source
    parts = {parts!r}
    selected = Request(matrix=("f", "i"), exact=("l",), cut="f > -1")
    plain = lambda path: read([(Frame.open(path), selected)], threads=1)[0]
    for source in (parts, parts[::-1], {mixed["rntuple"]!r}, {mixed["zlib"]!r}):
        node = ROOT.RDataFrame("events", source).Define("g", "f * 2").Filter("f > -1")
        frame = Frame.open(node)
        assert node.GetNSlots() > 1
        expected = plain(source)
        request = Request(matrix=("f", "i", "g"), exact=("l",), jagged=(Jagged("jets", ("jet_pt",), 3),))
        for _ in range(3):
            rows, counts = read([(frame, request)])
            assert np.array_equal(rows.matrix[:, :2], expected.matrix)
            assert np.array_equal(rows.exact["l"], expected.exact["l"])
            assert np.array_equal(rows.matrix[:, 2], 2 * rows.matrix[:, 0])
        pieces = list(blocks(frame, request, 300, 100, 350))
        first = sum(len(b) for b in blocks(Frame.open(source), selected, 300, 0, 100, threads=1))
        got = np.concatenate([piece.matrix[:, 0] for piece in pieces])
        assert np.array_equal(got, expected.matrix[first : first + len(got), 0])
        limited, counts = read([(frame, request)], max_events=123)
        assert counts == [123] and np.array_equal(limited.matrix[:, :2], expected.matrix[:123])
    friends = [[path.replace("/part", "/friend").replace("/friends", "/parts") + ":extra" for path in parts]]
    wide = Request(matrix=("f", "i", "extra.f"), exact=("l",), cut="f > -1")
    beside, _ = read([(Frame.open(Source(parts, friends=friends)), wide)])
    assert np.array_equal(beside.matrix[:, :2], plain(parts).matrix)
    assert np.array_equal(beside.exact["l"], plain(parts).exact["l"])
    chosen, _ = read([(Frame.open(parts), selected)])  # in bulk, with as many threads
    assert np.array_equal(chosen.matrix, plain(parts).matrix)
    numbers = Frame.open(ROOT.RDataFrame(5000).Define("x", "rdfentry_"))
    empty = read([(numbers, Request(matrix=("x",)))])[0]
    assert np.array_equal(empty.matrix[:, 0], np.arange(5000))
    print("same")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "same", done.stderr[-2000:]


def test_wrong_settings(mixed):
    frame, request = Frame.open(mixed["zlib"]), Request(matrix=("f",))
    for settings in ({"max_events": 0}, {"threads": 0}):
        with pytest.raises(SettingError, match="at least 1"):
            read([(frame, request)], **settings)
    with pytest.raises(SettingError, match="at least 1"):
        next(blocks(frame, request, 0))
    with pytest.raises(SettingError, match="no part"):
        read([])
