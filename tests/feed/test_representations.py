"""Representations in the feed: all roads and ways of storage give the same bits; bad input is named."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from hepml_root.data.feed import Jagged, Represented, Request, blocks, plan, read
from hepml_root.data.feed_bulk import BulkPlan
from hepml_root.data.feed_library import import_root
from hepml_root.data.feed_loop import LoopPlan
from hepml_root.data.feed_mixed import MixedPlan
from hepml_root.data.rdataframe import Frame
from hepml_root.errors import NonFiniteInputError, ShapeError
from hepml_root.representations import constituents, image

EVENTS = 700
COLUMNS = ("c_pt", "c_eta", "c_phi", "c_charge")


def jets(events: int = EVENTS, seed: int = 1) -> dict[str, ak.Array]:
    random = np.random.default_rng(seed)
    counts = random.poisson(9, events)
    counts[[3, 50]] = 0
    total = int(counts.sum())
    flat = {
        "pt": random.exponential(10, total).astype(np.float32),
        "eta": random.normal(0, 0.3, total),  # double
        "phi": random.uniform(-3.14, 3.14, total).astype(np.float32),
        "charge": random.integers(-1, 2, total).astype(np.int32),
        "used": random.random(total) < 0.5,
    }
    flat["pt"][::97] = 0
    return {
        "c": ak.zip({name: ak.unflatten(values, counts) for name, values in flat.items()}),
        "jet_eta": random.normal(0, 0.1, events),
        "jet_phi": random.normal(0, 0.1, events).astype(np.float32),
        "number": np.arange(events),
    }


def write(path: Path, arrays: dict[str, ak.Array], compression: uproot.compression.Compression | None) -> str:
    """Write a TTree with arrays of variable length, in baskets of different sizes, without ROOT."""
    with uproot.recreate(path, compression=compression) as file:
        for first, last in ((0, 5), (5, 300), (300, 301), (301, len(arrays["number"]))):
            part = {name: values[first:last] for name, values in arrays.items()}
            if first == 0:
                file.mktree("jets", {name: ak.type(values).content for name, values in part.items()})
            file["jets"].extend(part)
    return f"{path}:jets"


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> dict[str, str]:
    """The same jets: arrays of variable length in two compressions, vectors, RVecs, an RNTuple."""
    ROOT = import_root()
    folder = tmp_path_factory.mktemp("jets")
    arrays = jets()
    found = {
        "uncompressed": write(folder / "uncompressed.root", arrays, None),
        "zlib": write(folder / "zlib.root", arrays, uproot.ZLIB(1)),
    }
    names = ["jet_eta", "jet_phi", "number"]
    frame = ROOT.RDataFrame("jets", str(folder / "zlib.root"))
    vectors = frame
    types = {"c_pt": "float", "c_eta": "double", "c_phi": "float", "c_charge": "int", "c_used": "bool"}
    for name, kind in types.items():
        vectors = vectors.Define(f"v{name}", f"std::vector<{kind}>({name}.begin(), {name}.end())")
        vectors = vectors.Define(f"r{name}", f"ROOT::RVec<{kind}>({name})")
    options = ROOT.RDF.RSnapshotOptions()
    options.fAutoFlush = 150
    options.fBasketSize = 4000
    for form, prefix in (("vectors", "v"), ("rvecs", "r")):
        columns = [f"{prefix}{name}" for name in types]
        vectors.Snapshot("jets", str(folder / f"{form}.root"), [*columns, *names], options)
        found[form] = f"{folder}/{form}.root:jets"
    ntuple = ROOT.RDF.RSnapshotOptions()
    ntuple.fOutputFormat = ROOT.RDF.ESnapshotOutputFormat.kRNTuple
    vectors.Snapshot("jets", str(folder / "ntuple.root"), [*(f"v{name}" for name in types), *names], ntuple)
    found["rntuple"] = f"{folder}/ntuple.root:jets"
    return found


def requested(prefix: str = "", cut: str | None = None) -> Request:
    """Two representations, one with an axis of its own, beside padded columns and scalars."""
    at = {name: f"{prefix}c_{name}" for name in ("pt", "eta", "phi")}
    particles = constituents(
        **at, extra=(f"charge := {prefix}c_charge", f"used := {prefix}c_used"), max_length=6,
        axis=("jet_eta", "jet_phi"),
    )  # fmt: skip
    picture = image("picture", **at, pixels=5, half_width=0.8)
    groups = [Represented.of(one.to_dict()) for one in (particles, picture)]
    padded = Jagged("padded", (f"{prefix}c_eta", f"{prefix}c_charge"), 4)
    return Request(("jet_phi", "number"), (padded, *groups), ("number", "jet_eta"), cut)


def same(a, b) -> bool:
    arrays = [
        [rows.matrix, *(t for group in rows.jagged.values() for t in group), *rows.exact.values()]
        + list(rows.losses.values())
        for rows in (a, b)
    ]
    return len(arrays[0]) == len(arrays[1]) and all(
        x.dtype == y.dtype and np.array_equal(x, y) for x, y in zip(*arrays, strict=True)
    )


def looped(frame: Frame, request: Request):
    from hepml_root.data.feed_rows import GrowingRows

    road = LoopPlan(frame, request, request.cut)
    rows = GrowingRows(request, road.exact_types)
    road.fill(rows, None, 1)
    return rows.finish()


def by_road(road: str, frame: Frame, request: Request):
    return looped(frame, request) if road == "loop" else read([(frame, request)])[0]


PREFIXES = {"vectors": "v", "rvecs": "r", "rntuple": "v"}


@pytest.mark.parametrize("form", ["uncompressed", "zlib", "vectors", "rvecs", "rntuple"])
@pytest.mark.parametrize("cut", [None, "number % 3 != 0 && jet_phi < 0.1"])
def test_the_roads_agree(stored, form, cut):
    request = requested(PREFIXES.get(form, ""), cut)
    frame = Frame.open(stored[form])
    assert isinstance(plan(frame, request), BulkPlan)
    bulk, counts = read([(frame, request)])
    assert len(bulk) == counts[0]
    assert (len(bulk) == EVENTS) == (cut is None)
    assert same(bulk, looped(frame, request))
    pieces = list(blocks(frame, request, block_events=77, first=200, last=600))
    whole = [bulk.exact["number"] >= 200, bulk.exact["number"] < 600]
    kept = np.flatnonzero(whole[0] & whole[1])
    assert sum(map(len, pieces)) == len(kept)
    together = np.concatenate([rows.jagged["particles"][0] for rows in pieces])
    assert np.array_equal(together, bulk.jagged["particles"][0][kept])
    assert same(read([(frame, request)], threads=3)[0], bulk)
    assert same(read([(frame, request)], max_events=90)[0], bulk[:90])


def test_the_array_call_agrees(stored):
    arrays = jets()
    rows, _ = read([(Frame.open(stored["zlib"]), requested())])
    at = {"pt": "c_pt", "eta": "c_eta", "phi": "c_phi"}
    particles = constituents(
        **at, extra=("charge := c_charge", "used := c_used"), max_length=6, axis=("jet_eta", "jet_phi")
    )
    flat = {f"c_{name}": arrays["c"][name] for name in arrays["c"].fields}
    made, lost = particles.with_losses({**flat, "jet_eta": arrays["jet_eta"], "jet_phi": arrays["jet_phi"]})
    assert np.array_equal(made["particles"], rows.jagged["particles"][0])
    assert np.array_equal(made["particles_mask"] > 0, rows.jagged["particles"][1])
    counted = rows.losses["particles"]
    assert np.array_equal(np.stack([lost.truncated, lost.dropped, lost.empty], axis=1), counted)
    assert counted[:, 0].sum() > 0
    assert counted[:, 1].sum() > 0
    assert counted[3, 2] == counted[50, 2] == 1
    (picture,) = image("picture", **at, pixels=5, half_width=0.8)(flat).values()
    assert np.array_equal(picture, rows.jagged["picture"][0])
    assert picture.sum() > 0
    # Padded columns, against awkward.
    wanted = ak.to_numpy(ak.fill_none(ak.pad_none(flat["c_eta"], 4, clip=True), 0)).astype(np.float32)
    assert np.array_equal(rows.jagged["padded"][0][..., 0], wanted)


@pytest.mark.parametrize("threads", [0, 2])
def test_data_frames_and_expressions(stored, threads):
    """Filters leave the columns to the bulk reader; expressions of jagged columns go through the loop."""
    ROOT = import_root()
    bulk, _ = read([(Frame.open(stored["zlib"]), requested(cut="jet_phi > 0"))])
    if threads:
        ROOT.EnableImplicitMT(threads)
    try:
        path, tree = stored["zlib"].rsplit(":", 1)
        node = ROOT.RDataFrame(tree, path).Filter("jet_phi > 0")
        assert isinstance(plan(Frame.open(node), requested()), MixedPlan)
        assert same(read([(Frame.open(node), requested())])[0], bulk)
        at = {"pt": "c_pt * (c_charge != 0)", "eta": "c_eta + 0", "phi": "c_phi"}
        one = Represented.of(constituents(**at, max_length=20).to_dict())
        other = constituents(pt="charged", eta="c_eta", phi="c_phi", max_length=20)
        defined = node.Define("charged", "c_pt * (c_charge != 0)")
        rows, _ = read([(Frame.open(node), Request(jagged=(one,)))])
        again, _ = read([(Frame.open(defined), Request(jagged=(Represented.of(other.to_dict()),)))])
        assert same(rows, again)
        assert len(rows) == len(bulk)
    finally:
        ROOT.DisableImplicitMT()
    neutral = ak.to_numpy(ak.sum(jets()["c"]["charge"] == 0, axis=1))[bulk.exact["number"]]
    zero = ak.to_numpy(ak.sum((jets()["c"].charge != 0) & (jets()["c"].pt == 0), axis=1))
    assert np.array_equal(rows.losses["particles"][:, 1], neutral + zero[bulk.exact["number"]])


def test_several_files(stored):
    path = stored["zlib"].rsplit(":", 1)[0]
    other = stored["uncompressed"].rsplit(":", 1)[0]
    one, _ = read([(Frame.open(stored["zlib"]), requested())])
    both, counts = read([(Frame.open([f"{path}:jets", f"{other}:jets"]), requested())])
    assert counts == [2 * EVENTS]
    assert same(both[:EVENTS], one)
    assert same(both[EVENTS:], one)
    parts, counts = read([(Frame.open(path), requested()), (Frame.open(other), requested(cut="jet_phi > 0"))])
    assert counts[0] == EVENTS
    assert same(parts[:EVENTS], one)


@pytest.mark.parametrize("road", ["bulk", "loop"])
def test_what_is_not_finite_is_named(tmp_path, road):
    arrays = jets(60)
    values = ak.to_numpy(ak.flatten(arrays["c"]["pt"])).copy()
    counts = ak.num(arrays["c"]["pt"])
    values[int(ak.sum(counts[:40])) + 2] = np.nan
    arrays["c"]["pt"] = ak.unflatten(values, counts)
    frame = Frame.open(write_once(tmp_path / "nan.root", arrays))
    with pytest.raises(NonFiniteInputError, match=r"(?s)nan\.root.*entry 40.*pt"):
        by_road(road, frame, requested())


@pytest.mark.parametrize("road", ["bulk", "loop"])
def test_lists_of_different_lengths_are_named(tmp_path, road):
    arrays = jets(60)
    columns = {f"c_{name}": arrays["c"][name] for name in arrays["c"].fields}
    columns["c_eta"] = ak.concatenate([columns["c_eta"][:17], columns["c_eta"][17:, 1:]])
    columns |= {name: arrays[name] for name in ("jet_eta", "jet_phi", "number")}
    frame = Frame.open(write_once(tmp_path / "uneven.root", columns))
    with pytest.raises(ShapeError, match=r"(?s)uneven\.root.*entry 17.*'c_(eta|pt)'.*same number"):
        by_road(road, frame, requested())


def test_the_expression_of_uneven_lists_is_named(stored):
    at = {"pt": "c_pt", "eta": "Take(c_eta, 2)", "phi": "c_phi"}
    request = Request(jagged=(Represented.of(constituents(**at).to_dict()),))
    with pytest.raises(ShapeError, match=r"entry 0: column 'c_pt' has .* 'Take\(c_eta, 2\)' has 2"):
        read([(Frame.open(stored["zlib"]), request)])


def write_once(path: Path, arrays: dict[str, ak.Array]) -> str:
    with uproot.recreate(path) as file:
        file.mktree("jets", {name: ak.type(values).content for name, values in arrays.items()})
        file["jets"].extend(arrays)
    return f"{path}:jets"


def test_a_damaged_basket_is_said(stored, tmp_path):
    """A basket whose entries are out of order, and one that is cut off, raise; nothing is misread."""
    from hepml_root.errors import CorruptFileError

    path = stored["uncompressed"].rsplit(":", 1)[0]
    with uproot.open(path) as file:
        branch = file["jets"]["c_pt"]
        seek, size = int(branch.member("fBasketSeek")[1]), int(branch.member("fBasketBytes")[1])
    content = bytearray(Path(path).read_bytes())
    content[seek + size - 40 : seek + size - 36] = b"\x7f\xff\xff\xff"  # where an entry begins
    bad = tmp_path / "bad.root"
    bad.write_bytes(content)
    with pytest.raises(CorruptFileError, match="branch 'c_pt', entries 5 to 300"):
        read([(Frame.open(f"{bad}:jets"), requested())])


def test_blocks_of_long_rows_are_short(stored):
    """Images are many bytes: a block of them is kept small, whatever is asked for."""
    made = image("picture", pt="c_pt", eta="c_eta", phi="c_phi", pixels=180)
    request = Request(jagged=(Represented.of(made.to_dict()),))
    assert request.row_bytes() == 180 * 180 * 4
    assert request.block_events(65536) == 258
    assert Request(("jet_phi",)).block_events(65536) == 65536
    sizes = [len(rows) for rows in blocks(Frame.open(stored["zlib"]), request, block_events=65536)]
    assert sizes == [258, 258, 184]
