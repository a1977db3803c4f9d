"""All kinds of representations read from files are those of the same arrays, number by number."""

from __future__ import annotations

import awkward as ak
import numpy as np
import uproot

from hepml_root.data.dataset import Dataset
from hepml_root.representations.constituents import constituents
from hepml_root.representations.graph import graph
from hepml_root.representations.image import image
from hepml_root.representations.sequence import lund, sequence

COLUMNS = {name: f"constituent_{name}" for name in ("pt", "eta", "phi", "mass")}


def test_files_and_arrays_give_the_same(jets_file):
    weights = ("pt", "multiplicity", "charged := constituent_pt * (constituent_charge != 0)")
    made = (
        constituents(
            "particles", **COLUMNS, extra=("charge := constituent_charge",), axis=("jet_eta", "jet_phi")
        ),
        image("picture", **COLUMNS, channels=weights, pixels=20),
        lund("plane", **COLUMNS),
        graph("nodes", **COLUMNS, neighbours=4, max_length=20),
        sequence("ordered", **COLUMNS, order="clustering"),
    )
    data = Dataset.from_root(
        {"top": f"{jets_file}:top", "qcd": f"{jets_file}:qcd"}, inputs=["jet_mass", *made], max_events=50
    )
    names = (*COLUMNS.values(), "constituent_charge", "jet_eta", "jet_phi")
    with uproot.open(jets_file) as file:
        trees = [file[tree].arrays(list(names), entry_stop=50) for tree in ("top", "qcd")]
    together = ak.concatenate(trees)
    arrays = {name: together[name] for name in names}
    arrays["charged"] = arrays["constituent_pt"] * (arrays["constituent_charge"] != 0)
    lost = data.provenance["representations"]
    assert set(data.X) == {"features", *(block.name for one in made for block in one.blocks())}
    for representation in made:
        blocks, losses = representation.with_losses(arrays)
        for name, values in blocks.items():
            np.testing.assert_array_equal(data.X[name], values, err_msg=name)
        counted = lost[representation.name]
        assert sum(counted[which]["truncated"] for which in ("top", "qcd")) == losses.truncated.sum()
        assert sum(counted[which]["dropped"] for which in ("top", "qcd")) == losses.dropped.sum()
