"""Makes ``top_tagging.h5`` and ``top_tagging_blosc.h5``: jets of ``jets.root`` as the public set has them.

    python tests/reference/make_top_tagging.py

The layout is that of train.h5, val.h5 and test.h5 of doi:10.5281/zenodo.2603256: a pandas table of 806
columns, E_0, PX_0, PY_0, PZ_0, E_1, … E_199 …, truthE … truthPZ, ttv, is_signal_new, rows padded with zeros,
in the HDF5 format "table". pandas needs PyTables to write it, which hepml_root does not use: run this where
`pip install tables pandas uproot awkward` was run. The momenta are those of 20 top and 20 QCD jets, each
constituent without mass, as in the public set.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import uproot

JETS = 20
SIZE = 200
COLUMNS = [f"{name}_{i}" for i in range(SIZE) for name in ("E", "PX", "PY", "PZ")]
TRUTH = ["truthE", "truthPX", "truthPY", "truthPZ"]


def main() -> None:
    folder = Path(__file__).parent
    rows = np.zeros((2 * JETS, 4 * SIZE + 4), np.float32)
    with uproot.open(folder / "jets.root") as file:
        for tree, name in enumerate(("top", "qcd")):
            jets = file[name].arrays(entry_stop=JETS)
            for number, jet in enumerate(jets):
                row = rows[2 * number + tree]
                lists = [np.asarray(jet[f"constituent_{q}"])[:SIZE] for q in ("pt", "eta", "phi")]
                pt, eta, phi = (values.astype(np.float64) for values in lists)
                four = [pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)]
                row[: 4 * len(pt)] = np.stack(four, axis=1).ravel()
                if name == "top":
                    pt, eta, phi = (float(jet[f"truth_{q}"]) for q in ("pt", "eta", "phi"))
                    p = pt * np.cosh(eta)
                    row[-4:] = np.hypot(p, 173.0), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    table = pd.DataFrame(rows, columns=[*COLUMNS, *TRUTH])
    table["ttv"] = np.int64(1)
    table["is_signal_new"] = np.arange(2 * JETS) % 2 == 0
    table["is_signal_new"] = table["is_signal_new"].astype(np.int64)
    options = {"key": "table", "format": "table", "mode": "w", "complevel": 9, "index": False}
    table.to_hdf(folder / "top_tagging.h5", complib="zlib", **options)
    table.iloc[:2].to_hdf(folder / "top_tagging_blosc.h5", complib="blosc", **options)


if __name__ == "__main__":
    main()
