"""Draws the pictures of docs/representations.md, from the jets of tests/reference/jets.root.

python docs/make_representation_pictures.py
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import awkward as ak
import matplotlib
import numpy as np
import uproot

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.colors import LogNorm
from PIL import Image

from hepml_root import representations as hrr
from hepml_root.evaluation.plot_style import BACKGROUND, COLOURS, SIGNAL, styled

IMAGES = Path(__file__).with_name("images")
JETS = Path(__file__).resolve().parents[1] / "tests" / "reference" / "jets.root"
BRANCHES = {name: f"constituent_{name}" for name in ("pt", "eta", "phi", "mass")}
NAMES = {"top": "top jet", "qcd": "QCD jet"}
SHOWN = {"top": 3, "qcd": 3}  # the jets that stand for their kind


def read() -> dict[str, dict[str, Any]]:
    """Arrays of the two samples, by branch."""
    with uproot.open(JETS) as file:
        return {
            tree: dict(zip(ak.fields(jets := file[tree].arrays()), ak.unzip(jets), strict=True))
            for tree in NAMES
        }


def one(jets: dict[str, Any], index: int) -> dict[str, Any]:
    return {name: values[index : index + 1] for name, values in jets.items()}


def plane(axes: Any, half: float = 0.8) -> None:
    axes.set(xlim=(-half, half), ylim=(-half, half), aspect="equal", xlabel=r"$\Delta\eta$")
    axes.set_ylabel(r"$\Delta\phi$ [rad]")


def save(figure: Any, name: str) -> None:
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=72)
    plt.close(figure)
    # 128 colours are enough, and halve the files.
    Image.open(drawn).convert("RGB").quantize(128).save(IMAGES / f"representation_{name}.png", optimize=True)


@styled
def draw_constituents(jets: dict[str, dict[str, Any]]) -> None:
    """Two jets, each constituent a disc whose area is its pT."""
    particles = hrr.constituents(
        **BRANCHES, features=("delta_eta", "delta_phi", "pt"), extra=("charge := constituent_charge",)
    )
    figure, panels = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
    for axes, (tree, title) in zip(panels, NAMES.items(), strict=True):
        blocks = particles(one(jets[tree], SHOWN[tree]))
        rows = blocks["particles"][0][blocks["particles_mask"][0] > 0]
        for charged, colour, label in ((True, SIGNAL, "charged"), (False, BACKGROUND, "neutral")):
            eta, phi, pt, _ = rows[(rows[:, 3] != 0) == charged].T
            axes.scatter(eta, phi, s=6 * pt, color=colour, alpha=0.6, linewidths=0, label=label)
        axes.add_patch(plt.Circle((0, 0), 0.8, fill=False, color=COLOURS[4], lw=1))
        plane(axes, 0.85)
        axes.set_title(title)
    for handle in panels[0].legend(loc="upper left").legend_handles:
        handle.set_sizes([60])
    save(figure, "constituents")


@styled
def draw_images(jets: dict[str, dict[str, Any]]) -> None:
    """Mean images, centred only, and turned and flipped."""
    settings: dict[str, Any] = {"half_width": 0.8, "pixels": 40}
    ways = {
        "centred": hrr.image(**BRANCHES, rotation=None, flip=False, **settings),
        "centred, rotated, flipped": hrr.image(**BRANCHES, **settings),
    }
    figure, panels = plt.subplots(2, 2, figsize=(9.6, 8.4), layout="constrained", sharex=True, sharey=True)
    for column, (how, picture) in enumerate(ways.items()):
        for row, tree in enumerate(NAMES):
            mean = picture(jets[tree])["image"][..., 0].mean(axis=0)
            axes = panels[row, column]
            mesh = axes.imshow(
                np.where(mean > 0, mean, np.nan), origin="lower", extent=(-0.8, 0.8, -0.8, 0.8),
                norm=LogNorm(1e-5, 0.1), cmap="viridis", interpolation="nearest",
            )  # fmt: skip
            axes.set_title(f"{len(jets[tree]['jet_pt'])} {NAMES[tree]}s, {how}")
            plane(axes)
            axes.label_outer()
    figure.colorbar(mesh, ax=panels, label=r"mean share of $p_T$ in a pixel", shrink=0.7)
    save(figure, "image")


@styled
def draw_sequence(jets: dict[str, dict[str, Any]]) -> None:
    """The order in which a recurrent network meets the constituents of one jet."""
    figure, panels = plt.subplots(1, 3, figsize=(13.5, 4.7), layout="constrained", sharey=True)
    for axes, order in zip(panels, ("pt", "distance", "clustering"), strict=True):
        ordered = hrr.sequence(
            **BRANCHES, order=order, features=("delta_eta", "delta_phi", "pt"), max_length=64
        )
        blocks = ordered(one(jets["top"], SHOWN["top"]))
        eta, phi, pt = blocks["particles"][0][blocks["particles_mask"][0] > 0].T
        axes.plot(eta, phi, color=COLOURS[4], lw=1)
        marks = axes.scatter(eta, phi, s=6 * pt, c=np.arange(len(pt)), cmap="viridis", zorder=2)
        axes.set_title(f'order="{order}"')
        plane(axes, 0.7)
        axes.label_outer()
    figure.colorbar(marks, ax=panels, label="place in the sequence")
    save(figure, "sequence")


@styled
def draw_lund(jets: dict[str, dict[str, Any]]) -> None:
    """Mean density of primary splittings."""
    plane_of = hrr.lund(**BRANCHES, features=("log_inverse_delta", "log_kt"), max_length=64)
    figure, panels = plt.subplots(1, 2, figsize=(10.8, 4.8), layout="constrained", sharey=True)
    edges = np.linspace(0, 5, 26), np.linspace(-4, 6, 26)
    for axes, tree in zip(panels, NAMES, strict=True):
        blocks = plane_of(jets[tree])
        points = blocks["splittings"][blocks["splittings_mask"] > 0]
        counts, _, _ = np.histogram2d(points[:, 0], points[:, 1], bins=edges)
        area = (edges[0][1] - edges[0][0]) * (edges[1][1] - edges[1][0])
        density = counts / len(jets[tree]["jet_pt"]) / area
        mesh = axes.pcolormesh(
            *edges, np.where(density > 0, density, np.nan).T, cmap="viridis", vmin=0, vmax=1.2
        )
        axes.set(xlabel=r"$\ln(1/\Delta)$", ylabel=r"$\ln(k_t/\mathrm{GeV})$", title=f"300 {NAMES[tree]}s")
        axes.label_outer()
    figure.colorbar(mesh, ax=panels, label="splittings per jet and unit area")
    save(figure, "lund")


@styled
def draw_graph(jets: dict[str, dict[str, Any]]) -> None:
    """The edges to the nearest neighbours of each constituent."""
    pairs = hrr.graph(
        **BRANCHES, features=("delta_eta", "delta_phi", "pt"), neighbours=4, edge_features=("log_kt",)
    )
    figure, panels = plt.subplots(1, 2, figsize=(11.4, 4.8), layout="constrained")
    for axes, tree in zip(panels, NAMES, strict=True):
        blocks = pairs(one(jets[tree], SHOWN[tree]))
        nodes = blocks["particles"][0]
        ends = blocks["particles_neighbours"][0].astype(int)
        there = blocks["particles_edges_mask"][0] > 0
        starts = np.broadcast_to(np.arange(len(nodes))[:, None], ends.shape)[there]
        segments = np.stack([nodes[starts, :2], nodes[ends[there], :2]], axis=1)
        lines = matplotlib.collections.LineCollection(
            list(segments), array=blocks["particles_edges"][0, ..., 0][there], cmap="viridis", lw=1.2
        )
        lines.set_clim(-5, 3)
        axes.add_collection(lines)
        eta, phi, pt = nodes[blocks["particles_mask"][0] > 0].T
        axes.scatter(eta, phi, s=2.5 * pt, color=SIGNAL if tree == "top" else BACKGROUND, zorder=2)
        plane(axes, 0.8)
        axes.set_title(f"{NAMES[tree]}, 4 nearest neighbours")
    figure.colorbar(lines, ax=panels, label=r"$\ln(k_T/\mathrm{GeV})$ of the edge")
    save(figure, "graph")


@styled
def draw_observables(jets: dict[str, dict[str, Any]]) -> None:
    """What tells top from QCD jets."""
    chosen = {
        "softdrop_mass": (r"$m_\mathrm{SD}$ [GeV]", (0, 250)),
        "tau32": (r"$\tau_{32}$", (0, 1)),
        "c2": (r"$C_2$", (0, 0.5)),
        "multiplicity": ("constituents", (0, 100)),
    }
    figure, panels = plt.subplots(1, 4, figsize=(15.5, 4), layout="constrained")
    for axes, (name, (label, limits)) in zip(panels, chosen.items(), strict=True):
        for tree, colour in (("top", SIGNAL), ("qcd", BACKGROUND)):
            pt, eta, phi, mass = (jets[tree][branch] for branch in BRANCHES.values())
            values = {
                "softdrop_mass": lambda p: hrr.observables.soft_drop_mass(*p),
                "tau32": lambda p: hrr.observables.nsubjettiness_ratio(3, *p[:3]),
                "c2": lambda p: hrr.observables.c2(*p[:3]),
                "multiplicity": lambda p: hrr.observables.multiplicity(p[0]),
            }[name]((pt, eta, phi, mass))
            axes.hist(
                values,
                bins=25,
                range=limits,
                density=True,
                histtype="step",
                color=colour,
                lw=1.8,
                label=f"{NAMES[tree]}s",
            )
        axes.set(xlabel=label, xlim=limits, yticks=[])
    panels[0].set_ylabel("share of jets")
    panels[1].legend(loc="upper left")
    save(figure, "observables")


def main() -> None:
    jets = read()
    for draw in (draw_constituents, draw_images, draw_sequence, draw_lund, draw_graph, draw_observables):
        draw(jets)


if __name__ == "__main__":
    main()
