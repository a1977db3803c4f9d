"""Trees that keep their last basket in their own record: older files, and trees not closed properly."""

from __future__ import annotations

import itertools

import numpy as np
import uproot

from hepml_root.data import shipped_file
from hepml_root.data.feed import Request, blocks, read
from hepml_root.data.rdataframe import Frame, Source


def test_a_basket_inside_the_tree_is_read_too():
    file = shipped_file("tmva_class_example.root")
    signal, background = Frame.open(f"{file}:TreeS"), Frame.open(f"{file}:TreeB")
    request = Request(matrix=("var1", "var1 + var2"), exact=("var3",), cut="var4 > 0")
    rows, counts = read([(signal, request), (background, request)])
    trees = [uproot.open(f"{file}:{tree}").arrays(library="np") for tree in ("TreeS", "TreeB")]
    kept = [tree["var4"] > 0 for tree in trees]
    assert counts == [int(mask.sum()) for mask in kept]
    var1, var2, var3 = (
        np.concatenate([tree[name][mask] for tree, mask in zip(trees, kept, strict=True)])
        for name in ("var1", "var2", "var3")
    )
    np.testing.assert_array_equal(rows.matrix[:, 0], var1)
    np.testing.assert_allclose(rows.matrix[:, 1], var1 + var2, rtol=1e-6)
    np.testing.assert_array_equal(rows.exact["var3"], var3)


def test_blocks_go_on_in_the_event_loop_where_the_bulk_road_ends():
    good, old = shipped_file("Higgs_data.root"), shipped_file("tmva_class_example.root")
    whole = Frame.open(Source([f"{old}:TreeS", f"{old}:TreeB"]))
    parts = list(blocks(whole, Request(matrix=("var1",)), block_events=1000, first=500, last=8000))
    got = np.concatenate([rows.matrix[:, 0] for rows in parts])
    trees = (uproot.open(f"{old}:{tree}") for tree in ("TreeS", "TreeB"))
    every = itertools.chain(*(tree["var1"].array(library="np") for tree in trees))
    np.testing.assert_array_equal(got, np.fromiter(every, np.float32)[500:8000])
    assert max(len(rows) for rows in parts) <= 1000
    first = next(iter(blocks(Frame.open(f"{good}:sig_tree"), Request(matrix=("m_bb",)), block_events=100)))
    assert len(first) == 100
