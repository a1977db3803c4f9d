"""Generated code under the sanitizers of addresses and of undefined behaviour.

Small models that between them have most kernels here; all architectures with ``make sanitize``. The rows of
inputs and outputs are as long as they have to be and not longer, so that a byte beyond is an error.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import pytest

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.cpp import CppSource, generate
from tests.export.fuzz_seeds import SEEDS

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g1")
TARGETS = {"native": "-march=native", "plain": "-msse2"}

MAIN = """
#include <cstdio>
#include <limits>
#include <memory>
#include <random>

// Ordinary numbers, and then ones that no training has seen: they may be anything also where a model takes
// positions or masks.
template <class Session> void run(const char* name) {
   using Sizes = typename Session::Sizes;
   const Session session;
   std::mt19937 random(1);
   std::normal_distribution<float> normal;
   const float any[] = {0, 1, -1, 1e9f, -1e9f, 3e38f, 1e-42f, std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()};
   for (int round = 0; round < 3; ++round)
      for (std::size_t events : {1, 5, 19, 48 + 16 + 3}) {
         std::unique_ptr<float[]> x[Sizes::inputs], y[Sizes::outputs];
         const float* inputs[Sizes::inputs];
         float* outputs[Sizes::outputs];
         for (std::size_t i = 0; i < Sizes::inputs; ++i) {
            const std::size_t count = events * Sizes::input_sizes[i];
            x[i].reset(new float[count]);
            for (std::size_t k = 0; k < count; ++k)
               x[i][k] = round == 0 ? normal(random) : round == 1 ? float(random() % 2) : any[random() % 10];
            inputs[i] = x[i].get();
         }
         for (std::size_t i = 0; i < Sizes::outputs; ++i) {
            y[i].reset(new float[events * Sizes::output_sizes[i]]);
            outputs[i] = y[i].get();
         }
         session.infer(inputs, events, outputs);
         if (round == 0)
            for (std::size_t i = 0; i < Sizes::outputs; ++i)
               for (std::size_t k = 0; k < events * Sizes::output_sizes[i]; ++k)
                  if (!(y[i][k] < 1e30f && y[i][k] > -1e30f)) {
                     std::printf("%s gives %g\\n", name, y[i][k]);
                     std::exit(1);
                  }
      }
   std::printf("%s\\n", name);
}
"""


def assert_clean(folder: Path, sources: Mapping[str, CppSource], target: str, *more: str) -> None:
    """Compile models into one program with the sanitizers, and run it."""
    text = [f'#include "{source.name}.hxx"' for source in sources.values()] + [MAIN, "int main() {"]
    text += [f'   run<{source.namespace}::Session>("{name}");' for name, source in sources.items()] + ["}"]
    (folder / "main.cxx").write_text("\n".join(text) + "\n")
    for source in sources.values():
        source.save(folder, overwrite=True)
    flags = ["-std=c++17", "-O1", "-Wno-psabi", *SANITIZERS, TARGETS[target], *more]
    subprocess.run(["g++", *flags, "main.cxx", "-o", "main"], cwd=folder, check=True)
    done = subprocess.run([str(folder / "main")], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-300:]}\n{done.stderr[:4000]}"
    assert len(done.stdout.split()) == len(sources)


def small_models(names: Sequence[str]) -> dict[str, CppSource]:
    return {make.__name__: generate(make(), make.__name__) for make in SEEDS if make.__name__ in names}


def test_some_small_models(tmp_path: Path) -> None:
    assert_clean(tmp_path, small_models(("shapes", "trees", "described")), "native", "-O0")


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_all_small_models(target: str, tmp_path: Path) -> None:
    assert_clean(tmp_path, small_models([make.__name__ for make in SEEDS]), target)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, CppSource]:
    from benchmarks.inference import networks

    folder = tmp_path_factory.mktemp("zoo")
    sources = {}
    for number, name in enumerate(networks.NETWORKS):
        path = networks.file(name, folder, small=True)
        try:
            sources[name] = generate(path, f"zoo_{number}")
        except UnsupportedOperationError as error:
            print(f"{name}: {error}")
    return sources


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_every_architecture(zoo: dict[str, CppSource], target: str, tmp_path: Path) -> None:
    """One program for each, so that one that is not clean hides no other."""
    wrong = []
    for name, source in zoo.items():
        try:
            assert_clean(tmp_path, {name.replace(" ", "_"): source}, target)
        except (AssertionError, subprocess.CalledProcessError) as error:
            wrong.append(f"{name}: {str(error)[:2000]}")
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_large_forests(target: str, tmp_path: Path) -> None:
    """Trees that are walked through, of several pieces, and with more features than registers hold."""
    from tests.export.test_cpp_trees import Family, trees

    sources = {}
    for features in (20, 40, 90):
        family = Family()
        some = trees([31] * 20 + [70] * 5 + [300] * 3, 1, features=features).attributes("target", 2)
        family.add("forest", "TreeEnsembleRegressor", **some, n_targets=2)
        model: onnx.ModelProto = family.model({"x": features})
        sources[f"forest_{features}"] = generate(model, f"forest_{features}")
    assert_clean(tmp_path, sources, target)
