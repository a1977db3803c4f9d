"""Trees that say wrongly where their baskets are: never an entry from beyond the bytes of a basket."""

from __future__ import annotations

import numpy as np
import pytest
import ROOT

from hepml_root.data.feed import Request, read
from hepml_root.data.rdataframe import Frame
from hepml_root.errors import CorruptFileError

ENTRIES = 300
# Entries at which the two baskets of 200 and 100 entries begin and end, and how many the tree then claims.
WRONG = {
    "a length that overflows": ([0, 200, 200 + 2**62], 10_000),
    "longer than its bytes": ([0, 200, 10_000], 10_000),
    "out of order": ([0, 2**40, 300], ENTRIES),
    "negative": ([0, -(2**62), 300], ENTRIES),
}


def write(path, places, entries, compression):
    """Write a tree with a column x, x = entry, whose branch then says that its baskets begin at `places`."""
    with ROOT.TFile.Open(str(path), "RECREATE", "", compression) as file:
        tree = ROOT.TTree("events", "events")
        x = np.zeros(1, np.float32)
        tree.Branch("x", x, "x/F")
        for entry in range(ENTRIES):
            x[0] = entry
            tree.Fill()
            if entry in (199, ENTRIES - 1):
                tree.FlushBaskets()
        branch = tree.GetBranch("x")
        assert branch.GetWriteBasket() == 2
        for index, place in enumerate(places):
            branch.GetBasketEntry()[index] = place
        tree.SetEntries(entries)
        file.WriteTObject(tree)


@pytest.mark.parametrize("compression", [0, 101])
def test_right_places(tmp_path, compression):
    write(tmp_path / "right.root", [0, 200, 300], ENTRIES, compression)
    rows = read([(Frame.open(f"{tmp_path}/right.root"), Request(matrix=("x",)))])[0]
    np.testing.assert_array_equal(rows.matrix[:, 0], np.arange(ENTRIES))


@pytest.mark.parametrize("compression", [0, 101])
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_places_are_seen(tmp_path, wrong, compression):
    write(tmp_path / "wrong.root", *WRONG[wrong], compression)
    with pytest.raises(CorruptFileError, match=r"wrong\.root"):
        read([(Frame.open(f"{tmp_path}/wrong.root"), Request(matrix=("x",)))])
