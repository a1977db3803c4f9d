"""Makes ``jets.root``: 300 top and 300 QCD jets in the trees ``top`` and ``qcd``, for tests without Pythia.

    python tests/reference/make_jets.py

The branches are those of the samples ``top-jets`` and ``qcd-jets`` (see docs/simulation.md); the object
``provenance`` says with which settings and versions they were made.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import awkward as ak
import uproot

from hepml_root.simulation import generate, provenance

JETS = 300


def main() -> None:
    target = Path(__file__).with_name("jets.root")
    with tempfile.TemporaryDirectory() as name, uproot.recreate(target, compression=uproot.ZLIB(9)) as file:
        notes = {}
        for tree in ("top", "qcd"):
            path = generate(f"{tree}-jets", Path(name) / f"{tree}.root", events=JETS, seed=2026)
            with uproot.open(path) as made:
                arrays = made["jets"].arrays()
            scalars = [one for one in arrays.fields if not one.startswith(("constituent_", "nconstituent"))]
            jagged = [one for one in arrays.fields if one.startswith("constituent_")]
            types = {one: arrays[one].to_numpy().dtype for one in scalars}
            fields = [one.removeprefix("constituent_") for one in jagged]
            inner = ", ".join(f'"{field}": {"int32" if field == "pdg" else "float32"}' for field in fields)
            out = file.mktree(tree, {**types, "constituent": f"var * {{{inner}}}"})
            block = {one: arrays[one] for one in scalars}
            block["constituent"] = ak.zip({field: arrays[f"constituent_{field}"] for field in fields})
            out.extend(block)
            notes[tree] = provenance(path)
        file["provenance"] = json.dumps(notes, indent=1)


if __name__ == "__main__":
    main()
