"""Makes stop-900-100.root, stop-600-400.root and ttbar-1l.root: small samples of the search for stops.

python tests/reference/make_stops.py          (some minutes; needs the extra 'physics')

They have the format and the provenance of `hepml-root generate`, and the selection of the benchmark; chunks
are as small as the samples. Pythia 8.317, without multiple interactions.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hepml_root.simulation import find, generate

EVENTS = {"stop-900-100": 400, "stop-600-400": 400, "ttbar-1l": 250}
FOLDER = Path(__file__).parent / "stops"

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, events in EVENTS.items():
        sample = replace(find(name).with_settings({"PartonLevel:MPI": "off"}), chunk=250)
        generate(sample, FOLDER / f"{name}.root", events, seed=2, processes=0, overwrite=True)
