"""hepml310: a generative adversarial network learns calorimeter showers, and makes them in C++.

Shows      showers of photons in three layers of liquid argon; a generator and its critic that are trained
           in turns; the numbers by which such a training is followed, and what they are of a generator that
           makes always the same; samples of every epoch; the same showers from Python and from a C++
           program; the comparison with the source
Prints     the training epoch by epoch, response and resolution, how far from the source the showers of the
           mean shower, of the first epoch and of the best epoch are, and how fast C++ makes them
Writes     runs/tutorials/gan.onnx and gan_training.png, gan_epochs.png, gan_physics.png, gan_images.png
Run it     python tutorials/hepml310_gan.py     (minutes; --fast: a network that has hardly begun to learn)

What to expect: a network that is trained for minutes is a beginning. With --fast its showers are farther from
the source than the mean shower is, and trees tell every one of them. How far the full run comes is printed
at its end. docs/generators_adversarial.md says what is known of ours; for another kind of generator see
hepml320_flow.py, for all of them side by side `make benchmark-fastsim`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np

import hepml_root as hr
from hepml_root.inference.compiler import find_compiler
from hepml_root.training.collapse import DiversityTest

matplotlib.use("Agg")
import matplotlib.pyplot as plt

FAST = "--fast" in sys.argv or os.environ.get("HEPML_FAST") == "1"
SHOWERS = 1000 if FAST else 20_000
EPOCHS = 3 if FAST else 40
OUT = Path("runs/tutorials")
SEED = 3

PROGRAM = r"""
#include "hepml_root/generator.hxx"
#include <cstdio>
#include <ctime>
int main(int, char **names) {
   const hepml_root::Generator generator(names[1]);
   const std::size_t block = 256, blocks = 20; // showers at once: faster than one by one
   std::vector<float> energies(block, 50.f), cells(block * generator.cells());
   const std::clock_t begin = std::clock();
   for (std::size_t i = 0; i < blocks; ++i) {
      generator.sample(energies.data(), block, 3, i * block, cells.data()); // seed, first shower's number
      if (i == 0)
         std::fwrite(cells.data(), sizeof(float), 100 * generator.cells(), stdout);
   }
   const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
   std::fprintf(stderr, "C++ makes %.0f showers/s on one core\n", block * blocks / seconds);
}
"""


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    print("--- The source, a generator, and its critic ---")
    showers = hr.simulation.showers("lar-3", SHOWERS, energy=(10, 100), seed=1)
    print(showers)
    train, validation, test = showers.split(test=0.3, validation=0.1, seed=1)
    size: dict[str, object] = {"hidden": (8,), "channels": 2, "critic_hidden": (16,)}
    # Its ranges are those of all showers; it learns from those of the training.
    gan = hr.models.shower_gan(showers, name="gan", **(size if FAST else {}))
    learns = {"generator": gan.generator_variables, "critic": gan.critic_variables}
    for name, variables in learns.items():
        print(f"the {name} learns {sum(int(np.prod(one.shape)) for one in variables)} numbers")
    begin = gan.sample(test, seed=SEED)  # the training begins at the mean shower

    print("\n--- Trained in turns: five steps of the critic, one of the generator ---")
    folder = OUT / "gan"
    for old in (*folder.glob("samples_*.npz"), *folder.glob("training.npz")):
        old.unlink()  # of an earlier run of this script
    history = hr.fit(
        gan, train, validation=validation, epochs=EPOCHS, learning_rate=1e-3, schedule="cosine",
        checkpoint=folder, verbose=not FAST,
    )  # fmt: skip
    print("epoch  critic_distance  val_distance  val_spread  val_diversity")
    for epoch in range(0, history.epochs, max(1, history.epochs // 10)):
        say(epoch, history)
    assert history.best_epoch is not None
    print("the best, which is kept:")
    say(history.best_epoch, history)
    path = hr.export(gan, OUT / "gan.onnx", overwrite=True)
    draw_training(history)
    draw_epochs(folder, test.geometry)

    print("\n--- What the numbers are when a generator makes always the same ---")
    report_collapse(gan, train, test)

    print("\n--- In C++ ---")
    generator = hr.ShowerGenerator(path)
    made = generator.sample(test, seed=SEED)
    at_50 = generator.sample({"energy": np.full(100, 50.0)}, seed=SEED).energies
    print(f"C++ and Python: {np.count_nonzero(by_program(path) == at_50)} of {at_50.size} cells are the same")

    print("\n--- Against the source ---")
    for name, part in (("source", test), ("begin", begin), ("gan", made)):
        response = part.total_energies() / part.condition("energy")
        layers = part.layer_energies().mean(axis=0)
        print(
            f"{name:<7} response {response.mean():.4f}, resolution {response.std():.4f}, "
            f"layers {', '.join(f'{energy:.3g}' for energy in layers)} GeV"
        )
    for name, part in (("begin", begin), ("gan", made)):
        # What says how good a generator is: `report.save(…)` writes the page with all of it.
        report = hr.evaluation.compare_showers(
            test, part, classifiers=["high level, boosted"], bootstrap=5 if FAST else 20,
            classifier_settings={"trees": 20 if FAST else 200, "threads": 1},
        )  # fmt: skip
        found = report.summary()
        print(
            f"{name:<7} mean distance {found['mean_wasserstein']:.3f} of a standard deviation (two samples "
            f"of the source: {found['mean_wasserstein_floor']:.3f}), told apart with "
            f"{found['auc']['high level, boosted']} (0.5: not at all, 1: every shower)"
        )
    draw_physics(test, made)
    draw_images(test, made)


def say(epoch: int, history: hr.training.History) -> None:
    """Print the numbers of one epoch."""
    names = ("critic_distance", "val_distance", "val_spread", "val_diversity")
    print(f"{epoch + 1:>5}  " + "  ".join(f"{history.metrics[name][epoch]:>13.3f}" for name in names))


def report_collapse(gan: hr.models.ShowerGAN, train: hr.Showers, test: hr.Showers) -> None:
    """Measure a generator that has collapsed: the mean shower, scaled with the energy of the particle.

    ``hr.fit`` measures each epoch so, and warns of a collapse that lasts.
    """
    share = (train.energies / train.condition("energy")[:, None]).mean(axis=0)
    same = share * test.condition("energy")[:, None]
    measured = DiversityTest(test.energies, test.conditions, gan.observables(test.energies, test.conditions))
    for name, cells in (("the mean shower", same), ("the network", gan.sample(test, seed=SEED).energies)):
        found = measured.measure(cells, gan.observables(cells, test.conditions))
        print(
            f"{name:<16} distance {found.distance:.3f}, spread {found.spread:.3f}, "
            f"diversity {found.diversity:.3f}: {'collapsed' if found.collapsed else 'not collapsed'}"
        )


def by_program(path: Path) -> np.ndarray:
    """Return 100 showers of a C++ program that knows nothing of Python, ROOT or ONNX."""
    library = hr.compile(path, OUT / "gan.so", isa="native", overwrite=True).library
    (OUT / "gan_generate.cxx").write_text(PROGRAM)
    include = Path(hr.__file__).parent / "include"
    options = ["-std=c++17", "-O1", f"-I{include}", "gan_generate.cxx", "-o", "gan_generate", "-ldl"]
    find_compiler().run(options, OUT)
    program = (OUT / "gan_generate").resolve()
    done = subprocess.run([program, str(library)], capture_output=True, check=True)
    print(done.stderr.decode().strip())
    return np.frombuffer(done.stdout, np.float32).reshape(100, -1)


def draw_training(history: hr.training.History) -> None:
    """The critic's distance, and the numbers that say what the generator makes, against the epoch."""
    names = ("critic_distance", "val_distance", "val_spread", "val_diversity")
    figure, axes = plt.subplots(1, len(names), figsize=(16, 3.6), layout="constrained")
    for axis, name in zip(axes, names, strict=True):
        axis.plot(range(1, history.epochs + 1), history.metrics[name])
        axis.axvline(history.best_epoch + 1, color="0.5", linestyle=":")
        axis.set_xlabel("epoch")
        axis.set_title(name)
        axis.set_ylim(0, None)
    for axis in axes[2:]:
        axis.axhline(1.0, color="0.7", linestyle="--")  # of the source
        axis.axhspan(0, 0.2, color="0.9")  # what counts as a collapse
    figure.savefig(OUT / "gan_training.png", dpi=120)
    plt.close(figure)


def draw_epochs(folder: Path, geometry: hr.data.Geometry) -> None:
    """The same noise and the same particles in the first, a middle and the last epoch: the middle layer."""
    files = sorted(folder.glob("samples_*.npz"))
    files = [files[place] for place in sorted({0, len(files) // 3, len(files) - 1})]
    figure, axes = plt.subplots(len(files), 4, figsize=(11, 2.9 * len(files)), layout="constrained")
    layer = len(geometry.layers) // 2
    where, shape = geometry.slices[layer], geometry.shapes[layer]
    for row, file in zip(axes, files, strict=True):
        with np.load(file) as kept:
            cells, conditions = kept["cells"], kept["conditions"]
        for number, axis in enumerate(row):
            image = cells[number, where].reshape(shape) * 1000
            shown = axis.imshow(np.log10(np.maximum(image, 0.1)), vmin=-1, vmax=5)
            axis.set_title(f"epoch {int(file.stem[-4:])}, {conditions[number, 0]:.0f} GeV", fontsize=10)
    figure.colorbar(shown, ax=axes, label="log10 of the energy [MeV]")
    figure.savefig(OUT / "gan_epochs.png", dpi=120)
    plt.close(figure)


def draw_physics(source: hr.Showers, made: hr.Showers) -> None:
    """Response, shares of the layers, hits and energies of cells, of both."""
    figure, axes = plt.subplots(1, 4, figsize=(18, 4), layout="constrained")
    for name, showers in (("source", source), ("gan", made)):
        style = {"histtype": "step", "density": True, "label": name}
        total = np.maximum(showers.total_energies(), 1e-6)
        axes[0].hist(total / showers.condition("energy"), bins=np.linspace(0.5, 1.5, 51), **style)
        axes[1].hist(showers.layer_energies()[:, 0] / total, bins=np.linspace(0, 1, 51), **style)
        axes[2].hist((showers.energies > 0).sum(axis=1), bins=np.linspace(0, 504, 64), **style)
        hit = showers.energies[showers.energies > 0]
        axes[3].hist(np.log10(hit * 1000), bins=np.linspace(-1, 5, 61), **style)
    axes[0].set_xlabel("energy of all cells / energy of the photon")
    axes[1].set_xlabel("share of the first layer")
    axes[2].set_xlabel("cells with energy")
    axes[3].set_xlabel("log10 of the energy of a cell [MeV]")
    axes[0].legend()
    figure.savefig(OUT / "gan_physics.png", dpi=120)
    plt.close(figure)


def draw_images(source: hr.Showers, made: hr.Showers) -> None:
    """Mean energies of the cells of each layer, above those of the source, below those of the network."""
    layers = len(source.geometry.layers)
    figure, axes = plt.subplots(2, layers, figsize=(4 * layers, 6), layout="constrained")
    for row, (name, showers) in zip(axes, (("source", source), ("gan", made)), strict=True):
        for number, (axis, image) in enumerate(zip(row, showers.images(), strict=True)):
            shown = axis.imshow(np.log10(image.mean(axis=0) * 1000 + 1e-3), aspect="auto", vmin=-2, vmax=4)
            axis.set_title(f"{name}, layer {number}")
    figure.colorbar(shown, ax=axes, label="log10 of the mean energy [MeV]")
    figure.savefig(OUT / "gan_images.png", dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
