"""Exported generators in C++: a program without ROOT, ROOT macros, RDataFrame; the same as in Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import ROOT
from model_files import write_generator, write_mlp

import hepml_root as hr
from hepml_root.data.geometry import geometry
from hepml_root.inference.compiler import find_compiler

HERE = Path(__file__).parents[1]
INCLUDE = Path(hr.__file__).parent / "include"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("generator_cpp")


@pytest.fixture(scope="module")
def library(folder):
    hr.compile(write_generator(folder / "gen.onnx"), folder / "gen.so", isa="native")
    return folder / "gen.so"


def run_root(macro: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    program = Path(str(ROOT.TROOT.GetBinDir())) / "root.exe"
    texts = ", ".join(f'"{one}"' if isinstance(one, str | Path) else str(one) for one in arguments)
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [str(program), "-l", "-b", "-q", f"{macro}({texts})"], cwd=macro.parent, capture_output=True,
        text=True, check=False, env=os.environ | {"PATH": here},
    )  # fmt: skip


def test_a_program_without_root(library, folder):
    options = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{INCLUDE}", f"-I{HERE / 'cpp'}"]
    source = HERE / "cpp" / "generator.cxx"
    find_compiler().run([*options, str(source), "-o", "program", "-ldl", "-pthread"], folder)
    done = subprocess.run(
        [folder / "program", library, folder / "cells.bin"], cwd=folder, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    cells = np.fromfile(folder / "cells.bin", np.float32).reshape(80, -1)
    conditions = {"energy": 10 + np.arange(80.0), "eta": 0.25}
    right = hr.generate_showers(folder / "gen.onnx", conditions, seed=7)
    np.testing.assert_array_equal(cells, right.energies)


def test_the_calorimeter_is_that_of_python(folder):
    """Centres and layers of the shipped geometries, as C++ reads them from the JSON."""
    code = """
        #include "hepml_root/calorimeter.hxx"
        #include <cstdio>
        #include <fstream>
        #include <iterator>
        int main(int, char **names) {
           std::ifstream file(names[1]);
           const std::string text{std::istreambuf_iterator<char>(file), {}};
           const auto made = hepml_root::Calorimeter::Parse(hepml_root::Json::Parse(text));
           for (std::size_t cell = 0; cell < made.Cells(); ++cell) {
              const auto at = made.Centre(cell);
              std::printf("%zu %.9g %.9g %.9g\\n", made.LayerOf(cell), at[0], at[1], at[2]);
           }
        }
    """
    import json

    (folder / "centres.cxx").write_text(code)
    find_compiler().run(["-std=c++17", f"-I{INCLUDE}", "centres.cxx", "-o", "centres"], folder)
    for name in ("lar-3", "si-w-10", "cylinder"):
        calorimeter = geometry(name)
        (folder / f"{name}.json").write_text(json.dumps(calorimeter.to_dict()))
        done = subprocess.run(
            [folder / "centres", folder / f"{name}.json"], capture_output=True, text=True, check=True
        )
        table = np.array([line.split() for line in done.stdout.splitlines()], dtype=float)
        np.testing.assert_array_equal(table[:, 0], calorimeter.layer_of_cell)
        np.testing.assert_allclose(table[:, 1:], calorimeter.centres, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_in_a_macro_and_in_rdataframe(library, folder):
    """TRandom3 and gRandom as engines; Define with an RVec, nominal and refused; the .onnx file itself."""
    macro = folder / "inMacro.C"
    macro.write_text(
        f"""
        #include "{INCLUDE}/hepml_root/generator.hxx"
        #include "{INCLUDE}/hepml_root/rdf/define.hxx"
        void inMacro(const char* onnx, const char* library, const char* other) {{
           std::cout.precision(9);
           hepml_root::Generator generator(onnx);
           ROOT::RVecF cells;
           TRandom3 random(5);
           gRandom->SetSeed(5);
           generator.sample(50.f, 0.25f, random, cells);
           std::cout << "one " << Sum(cells) << std::endl;
           generator.sample(50.f, 0.25f, gRandom, cells);
           std::cout << "one " << Sum(cells) << std::endl;
           generator.sample(50.f, 0.25f, hepml_root::Draws{{7, 2}}, cells);
           std::cout << "draws " << Sum(cells) << std::endl;
           try {{
              hepml_root::Generator mlp(other);
           }} catch (const std::exception& error) {{
              std::cout << error.what() << std::endl;
           }}
           const auto model = hepml_root::rdf::Load(library);
           auto frame = ROOT::RDataFrame(200).Define("energy", "10.f + rdfentry_").Define("eta", "0.25f");
           using Expressions = std::map<std::string, std::string>;
           const Expressions inside{{{{"energy", "10 + int(rdfentry_) % 80"}}}};
           auto made = hepml_root::rdf::Define(frame, model, "cells[]", inside, 7);
           std::cout << "type " << made.GetColumnType("cells") << std::endl;
           std::cout << "sum " << *made.Range(80).Sum("cells") << std::endl;
           auto allowed = hepml_root::rdf::Define(frame, model, "cells[]", {{}}, 7, "rdfentry_", true);
           std::cout << "allowed " << *allowed.Range(80).Sum("cells") << std::endl;
           try {{
              std::cout << *hepml_root::rdf::Define(frame, model, "cells[]").Sum("cells") << std::endl;
           }} catch (const std::exception& error) {{
              std::cout << error.what() << std::endl;
           }}
        }}
        """
    )
    write_mlp(folder / "mlp.onnx", ["energy"], hidden=(3,))
    done = run_root(macro, folder / "gen.onnx", library, folder / "mlp.onnx")
    assert done.returncode == 0, done.stderr
    said = done.stdout
    conditions = {"energy": 10 + np.arange(80.0), "eta": 0.25}
    right = hr.generate_showers(folder / "gen.onnx", conditions, seed=7).energies
    words = [line.split(maxsplit=1) for line in said.splitlines() if " " in line]
    found = {word: value for word, value in words if word in ("type", "sum", "allowed", "draws")}
    ones = [value for word, value in words if word == "one"]
    assert len(ones) == 2
    assert ones[0] == ones[1]
    assert found["type"] == "ROOT::VecOps::RVec<float>"
    for name in ("sum", "allowed"):
        assert float(found[name]) == pytest.approx(right.sum(dtype=np.float64), rel=1e-6)
    one = hr.generate_showers(folder / "gen.onnx", {"energy": 50, "eta": 0.25}, seed=7, first_event=2)
    assert float(found["draws"]) == pytest.approx(one.energies.sum(), rel=1e-6)
    assert "'mlp' is no generator of showers" in said
    assert "energy = 101 is outside of 10 to 100" in said
