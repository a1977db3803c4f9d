"""hepml320: a normalising flow learns calorimeter showers, and makes them in C++.

Shows      showers of photons in three layers of liquid argon; a flow of the energies of the layers and of
           the cells in them; the same generator as one compiled file in Python, on the command line, in
           a ROOT data frame and in a C++ program without ROOT, with the same showers for the same seed
Prints     response and resolution of the source and of the flow, the mean energies of the layers, and how
           many cells the ways of C++ have in common (all)
Writes     runs/tutorials/flow.onnx, flow_showers.root, flow_physics.png and flow_images.png;
           tutorials/hepml330_generate.C draws showers of flow.onnx in a macro
Run it     python tutorials/hepml320_flow.py     (--fast: a flow that has hardly begun to learn)
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import ROOT

import hepml_root as hr
from hepml_root.inference.compiler import find_compiler

matplotlib.use("Agg")
import matplotlib.pyplot as plt

FAST = "--fast" in sys.argv or os.environ.get("HEPML_FAST") == "1"
SHOWERS = 1000 if FAST else 20_000
OUT = Path("runs/tutorials")
SEED = 3

PROGRAM = r"""
#include "hepml_root/generator.hxx"
#include <cstdio>
int main(int, char **names) {
   const hepml_root::Generator generator(names[1]);
   std::vector<float> cells;
   for (std::uint64_t event = 0; event < 100; ++event) {
      generator.sample(50.f, hepml_root::Draws{3, event}, cells); // energy [GeV], then seed and event
      std::fwrite(cells.data(), sizeof(float), cells.size(), stdout);
   }
}
"""


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    print("--- The source, and a flow that learns from it ---")
    showers = hr.simulation.showers("lar-3", SHOWERS, energy=(10, 100), seed=1)
    print(showers)
    train, validation, test = showers.split(test=0.3, validation=0.1, seed=1)
    size: dict[str, object] = {"hidden": (16,), "steps": 2, "energy_hidden": (16,), "energy_steps": 2}
    # Its ranges are those of all showers; it learns from those of the training.
    flow = hr.models.shower_flow(showers, name="flow", **(size if FAST else {"hidden": (128, 128)}))
    hr.fit(flow, train, validation=validation, epochs=2 if FAST else 30, verbose=not FAST)
    path = hr.export(flow, OUT / "flow.onnx", overwrite=True)

    print("\n--- The same particles once more, by compiled C++ ---")
    generator = hr.ShowerGenerator(path)
    print(generator)
    made = generator.sample(test, seed=SEED)
    for name, part in (("source", test), ("flow", made)):
        response = part.total_energies() / part.condition("energy")
        layers = part.layer_energies().mean(axis=0)
        print(
            f"{name:<7} response {response.mean():.4f}, resolution {response.std():.4f}, "
            f"layers {', '.join(f'{energy:.3g}' for energy in layers)} GeV"
        )
    draw_physics(test, made)
    draw_images(test, made)

    print("\n--- The same generator everywhere ---")
    at_50 = generator.sample({"energy": np.full(100, 50.0)}, seed=SEED).energies
    # On the command line: hepml-root generate --model flow.onnx --energy 50 -n 100 --seed 3 -o …
    command = [sys.executable, "-m", "hepml_root", "generate", "--model", str(path), "--energy", "50"]
    file = OUT / "flow_showers.root"
    command += ["-n", "100", "--seed", str(SEED), "-o", str(file), "--overwrite"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found = {"file": hr.Showers.from_root(file).energies}
    # In an event loop, on particles of a tree; threads change nothing, as each event has a number.
    frame = ROOT.RDataFrame("showers", str(file)).Define("truth_energy", "energy")
    frame = hr.define(
        frame, path, "cells[]", inputs={"energy": "truth_energy"}, seed=SEED, event="event_number"
    )
    found["RDataFrame"] = np.stack([np.asarray(cells) for cells in frame.AsNumpy(["cells"])["cells"]])
    found["C++"] = by_program(path)
    for name, cells in found.items():
        print(f"{name:<11} {np.count_nonzero(cells == at_50)} of {at_50.size} cells are the same")

    try:
        generator.sample({"energy": 500.0}, seed=SEED)
    except hr.errors.SettingError as error:
        print(f"\nSettingError: {error}")


def by_program(path: Path) -> np.ndarray:
    """Return 100 showers of a C++ program that knows nothing of Python, ROOT or ONNX."""
    library = hr.compile(path, OUT / "flow.so", isa="native", overwrite=True).library
    (OUT / "flow_generate.cxx").write_text(PROGRAM)
    include = Path(hr.__file__).parent / "include"
    options = ["-std=c++17", "-O1", f"-I{include}", "flow_generate.cxx", "-o", "flow_generate", "-ldl"]
    find_compiler().run(options, OUT)
    program = (OUT / "flow_generate").resolve()
    done = subprocess.run([program, str(library)], capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.float32).reshape(100, -1)


def draw_physics(source: hr.Showers, made: hr.Showers) -> None:
    """Response, shares of the layers and energies of cells, of both."""
    figure, axes = plt.subplots(1, 3, figsize=(14, 4), layout="constrained")
    for name, showers in (("source", source), ("flow", made)):
        style = {"histtype": "step", "density": True, "label": name}
        total = np.maximum(showers.total_energies(), 1e-6)
        axes[0].hist(total / showers.condition("energy"), bins=np.linspace(0.5, 1.5, 51), **style)
        share = showers.layer_energies()[:, 0] / total
        axes[1].hist(share, bins=np.linspace(0, 1, 51), **style)
        hit = showers.energies[showers.energies > 0]
        axes[2].hist(np.log10(hit * 1000), bins=np.linspace(-3, 5, 61), **style)
    axes[0].set_xlabel("energy of all cells / energy of the photon")
    axes[1].set_xlabel("share of the first layer")
    axes[2].set_xlabel("log10 of the energy of a cell [MeV]")
    axes[0].legend()
    figure.savefig(OUT / "flow_physics.png", dpi=120)
    plt.close(figure)


def draw_images(source: hr.Showers, made: hr.Showers) -> None:
    """Mean energies of the cells of each layer, above those of the source, below those of the flow."""
    layers = len(source.geometry.layers)
    figure, axes = plt.subplots(2, layers, figsize=(4 * layers, 6), layout="constrained")
    for row, (name, showers) in zip(axes, (("source", source), ("flow", made)), strict=True):
        for number, (axis, image) in enumerate(zip(row, showers.images(), strict=True)):
            shown = axis.imshow(np.log10(image.mean(axis=0) * 1000 + 1e-3), aspect="auto", vmin=-2, vmax=4)
            axis.set_title(f"{name}, layer {number}")
    figure.colorbar(shown, ax=axes, label="log10 of the mean energy [MeV]")
    figure.savefig(OUT / "flow_images.png", dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
