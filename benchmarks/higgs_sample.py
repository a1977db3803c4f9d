"""The generated HIGGS sample beside the one that ROOT ships: means, Kolmogorov-Smirnov distances, a picture.

The shipped file has values in units of their mean or width. Its own masses tell what these units are: where
the neutrino has a solution, its m_lv is at 80.4 GeV, and above that it is the transverse mass of lepton and
missing momentum, which fixes the product of their units; the masses of jets, computed from the momenta it
has, fix the units of jets up to a common one; the mass of all fixes what is left. Then its two light jets are
at the W mass, its three jets at that of the top quark, the signal's b jets at 118 GeV and all of it at
423 GeV; and its leptons and jets begin at 15.75 GeV, not at the 20 GeV of the paper. So events are generated
with `min_pt=15.75` for this comparison.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

# GeV in a unit of the shipped file.
UNITS = {
    "lepton_pT": 57.3,
    "missing_energy_magnitude": 55.6,
    "jet1_pt": 114.1,
    "jet2_pt": 83.0,
    "jet3_pt": 59.6,
    "jet4_pt": 43.05,
    "m_jj": 91.9,
    "m_jjj": 187.2,
    "m_lv": 81.4,
    "m_jlv": 202.4,
    "m_bb": 132.6,
    "m_wbb": 350.7,
    "m_wwbb": 528.5,
}
TREES = {"signal": "sig_tree", "background": "bkg_tree"}
SHOWN = {
    "lepton_pT": 200,
    "missing_energy_magnitude": 200,
    "jet1_pt": 350,
    "m_jj": 200,
    "m_bb": 350,
    "m_wwbb": 1000,
}


def run(arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Give the mean of each variable; the options are in `--help`."""
    from scipy.stats import ks_2samp

    parser = argparse.ArgumentParser(prog="python -m benchmarks higgs_sample", description=__doc__)
    parser.add_argument("--events", type=int, default=2000, help="generated events of each class (2000)")
    parser.add_argument("--signal", type=Path, help="a file of `higgs`, in place of generating one")
    parser.add_argument("--background", type=Path, help="a file of `higgs-ttbar`, likewise")
    parser.add_argument("--picture", type=Path, help="write the picture here (PNG)")
    parser.add_argument("--output", type=Path, help="Markdown file whose table is written anew")
    chosen = parser.parse_args(arguments)
    columns = {}
    lines = [
        "| variable | class | mean, shipped | mean, generated | KS distance |",
        "|---|---|---:|---:|---:|",
    ]
    for kind, sample in (("signal", "higgs"), ("background", "higgs-ttbar")):
        path = getattr(chosen, kind) or _generated(sample, chosen.events)
        columns[kind] = shipped(TREES[kind]), _read(path, TREES[kind])
        for name in UNITS:
            theirs, ours = (data[name] for data in columns[kind])
            distance = float(ks_2samp(theirs, ours).statistic)
            lines.append(f"| {name} | {kind} | {theirs.mean():.1f} | {ours.mean():.1f} | {distance:.3f} |")
            yield {
                "name": f"{name}, {kind}: mean of the generated events",
                "value": round(float(ours.mean()), 2),
                "unit": "GeV",
                "reference": f"shipped: {theirs.mean():.2f}; KS distance {distance:.3f}",
                "ratio": round(float(ours.mean() / theirs.mean()), 3),
            }
    if chosen.picture is not None:
        _draw(columns, chosen.picture)
    if chosen.output is not None:
        from benchmarks.higgs import TITLE
        from benchmarks.result_page import put_table

        put_table(chosen.output, "\n".join(lines), TITLE)


def shipped(tree: str) -> dict[str, Any]:
    """Return the columns of the shipped file in GeV and rad."""
    import hepml_root as hr

    columns = _read(hr.data.shipped_file("Higgs_data.root"), tree)
    for name, values in columns.items():
        if name.endswith("_eta"):
            values *= 2.5 / np.abs(values).max()
        elif name.endswith("_phi"):
            values *= np.pi / np.abs(values).max()
        else:
            values *= UNITS.get(name, 1.0)
    return columns


def _read(path: Any, tree: str) -> dict[str, Any]:
    import uproot

    with uproot.open(path) as file:
        return {name: values.astype(float) for name, values in file[tree].arrays(library="np").items()}


def _generated(sample: str, events: int) -> Any:
    import hepml_root as hr

    return hr.simulation.sample(sample, events, seed=1, settings={"min_pt": 15.75})


def _draw(columns: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from hepml_root.output import writing

    figure, axes = pyplot.subplots(2, 3, figsize=(12, 7), layout="constrained")
    for axis, (name, most) in zip(axes.flat, SHOWN.items(), strict=True):
        edges = np.linspace(0, most, 41)
        for kind, colour in (("signal", "C0"), ("background", "C3")):
            theirs, ours = (data[name] for data in columns[kind])
            axis.hist(theirs, edges, density=True, color=colour, alpha=0.3, label=f"{kind}, shipped")
            counts, _ = np.histogram(ours, edges)
            scale = 1 / (len(ours) * (edges[1] - edges[0]))
            axis.errorbar(
                (edges[1:] + edges[:-1]) / 2, counts * scale, np.sqrt(counts) * scale, fmt=".", color=colour,
                markersize=4, linewidth=1, label=f"{kind}, generated",
            )  # fmt: skip
        axis.set_xlabel(f"{name} [GeV]")
        axis.set_yticks([])
    axes.flat[0].legend(frameon=False)
    with writing(path, overwrite=True) as temporary:
        figure.savefig(temporary, dpi=80, format="png")
    pyplot.close(figure)
