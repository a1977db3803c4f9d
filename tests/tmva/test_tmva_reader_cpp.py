"""hepml_root/Reader.hxx on files of the real TMVA: in a program, in ROOT's interpreter, in RDataFrame."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import ROOT
from test_tmva_reference import METHODS, ROUNDING, bound

from hepml_root import tmva as TMVA
from hepml_root.cli.commands import main
from hepml_root.inference.compiler import find_compiler
from hepml_root.tmva.library import library
from hepml_root.tmva.weights.mva_pdfs import probability, rarity

HERE = Path(__file__).parent
INCLUDE = Path(__file__).resolve().parents[2] / "hepml_root" / "include"
PYTHON = {"HEPML_ROOT_PYTHON": sys.executable}


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Compile a program; return a function that runs it."""
    folder = tmp_path_factory.mktemp("reader_cpp")

    def built(source: str | Path):
        if isinstance(source, str):
            path = folder / "program.cxx"
            path.write_text(source)
            source = path
        program = folder / source.stem
        flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Wno-sign-conversion", "-Werror"]
        find_compiler().run([*flags, f"-I{INCLUDE}", str(source), "-o", str(program), "-ldl"], folder)

        def run(*arguments: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [str(program), *map(str, arguments)], capture_output=True, text=True, check=False,
                env=os.environ | PYTHON | (env or {}),
            )  # fmt: skip

        return run

    return built


@pytest.fixture(scope="module")
def events_file(events, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("events") / "events.txt"
    path.write_text("\n".join(" ".join(f"{value:.9g}" for value in event) for event in events))
    return path


def check(text: str, events: np.ndarray, expected: dict[str, np.ndarray], reference: Path) -> None:
    lines = [line.split() for line in text.splitlines()]
    assert len(lines) == (len(METHODS) + 1) * len(events)
    found = np.array([line[1:] for line in lines if line[0] == "densities"], np.float64)
    pdfs = TMVA.read_weights(reference / "Fisher.weights.xml").mva_pdfs
    # Densities are looked up at the response in C++, which is a rounding of float32 away from TMVA's.
    for column, right in enumerate(
        (
            probability(pdfs, expected["Fisher"]),
            probability(pdfs, expected["Fisher"], 0.2),
            rarity(pdfs, expected["Fisher"]),
        )
    ):
        assert np.ptp(right) > 0.9
        np.testing.assert_allclose(found[:, column], right, atol=2e-5)
    for method in METHODS:
        found = np.array([line[1:] for line in lines if line[0] == method], np.float64)
        assert np.array_equal(found[:, 0], found[:, 1])  # addresses and a vector
        if method == "Cuts":
            box = TMVA.read_weights(reference / "Cuts.weights.xml").weights
            inside = ((events > box.least[71]) & (events <= box.most[71])).all(axis=1)
            assert 0 < inside.sum() < len(events)
            assert np.array_equal(found[:, 0], inside)
            continue
        allowed = bound(method, expected[method])
        assert (np.abs(found[:, 0] - expected[method]) <= allowed).all(), method
        assert (np.abs(found[:, 2] - expected[method]) <= allowed).all(), method


def test_a_program(build, reference, events, events_file, expected, tmp_path):
    done = build(HERE / "reader_reference.cxx")(reference, events_file, tmp_path / "out.txt")
    assert done.returncode == 0, done.stderr
    check((tmp_path / "out.txt").read_text(), events, expected, reference)


@pytest.mark.parametrize("compiled", ["", pytest.param("+", marks=pytest.mark.slow)])
def test_a_macro(compiled, reference, events, events_file, expected, tmp_path):
    macro = tmp_path / "reader_reference.C"
    text = (HERE / "reader_reference.cxx").read_text()
    # ACLiC defines __CLING__ only while it makes the dictionary.
    macro.write_text(text[: text.index("#ifndef __CLING__")])
    program = Path(str(ROOT.TROOT.GetBinDir())) / "root.exe"
    call = f'{macro}{compiled}("{reference}", "{events_file}", "{tmp_path}/out.txt")'
    done = subprocess.run(
        [str(program), "-l", "-b", "-q", call], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | PYTHON | {"ROOT_INCLUDE_PATH": str(INCLUDE)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    check((tmp_path / "out.txt").read_text(), events, expected, reference)


def declared() -> None:
    """The headers in this process's interpreter."""
    ROOT.gInterpreter.AddIncludePath(str(INCLUDE))
    assert ROOT.gInterpreter.Declare(
        '#include "hepml_root/rdf/response.hxx"\n#include "hepml_root/rdf/define.hxx"\n'
        '#include "hepml_root/Reader.hxx"'
    )


def test_data_frame(reference, expected, monkeypatch):
    """As a functor on columns of the variables, by the file's own expressions, and in threads."""
    monkeypatch.setenv("HEPML_ROOT_PYTHON", sys.executable)
    declared()
    var1 = (expected["myvar1"] + expected["myvar2"]) / 2
    var2 = (expected["myvar1"] - expected["myvar2"]) / 2
    columns = {name: expected[name].astype(np.float32) for name in ("myvar1", "myvar2", "var3", "var4")}
    columns = {name: np.ascontiguousarray(column) for name, column in columns.items()}
    names = ["myvar1", "myvar2", "var3", "var4"]
    ROOT.EnableImplicitMT(2)
    try:
        frame = ROOT.RDF.FromNumpy({"var1": var1, "var2": var2, **columns})
        for method in ("MLP_GDP", "BDT"):
            path = str(reference / f"{method}.weights.xml")
            functor = getattr(ROOT.hepml_root.rdf, "Response<4>")(path)
            scored = frame.Define("by_functor", functor, names)
            node = ROOT.RDF.AsRNode(scored)
            scored = ROOT.hepml_root.rdf.Define(node, ROOT.hepml_root.rdf.Load(path), "by_file")
            found = scored.AsNumpy(["by_functor", "by_file", "var4"])
            # With threads the order of the rows is not that of the events.
            order = np.argsort(found["var4"])
            wanted = expected[method][np.argsort(columns["var4"])]
            allowed = bound(method, wanted)
            assert (np.abs(found["by_functor"][order] - wanted) <= allowed).all()
            apart = np.abs(found["by_file"][order] - wanted) > np.maximum(allowed, ROUNDING.get(method, 0))
            # var1 + var2 is not myvar1 to the last bit: an event on a cut may fall on its other side.
            assert apart.mean() < (0.01 if method == "BDT" else 1e-9)
    finally:
        ROOT.DisableImplicitMT()


ERRORS = """
#include "hepml_root/Reader.hxx"
#include "hepml_root/rdf/response.hxx"
#include <iostream>
#include <limits>

template <class Work> void say(Work&& work) {
   try {
      work();
      std::cout << "nothing\\n";
   } catch (const std::runtime_error& error) {
      std::string text = error.what();
      for (char& c : text)
         c = c == '\\n' ? ' ' : c;
      std::cout << text << "\\n";
   }
}

int main(int, char** words) {
   const std::string folder = words[1], other = words[2];
   const std::string fisher = folder + "/Fisher.weights.xml";
   float a = 0, b = 0, c = 0, d = 0;
   hepml_root::Reader good;
   say([&] { hepml_root::Reader reader("!Colour"); });
   say([&] { good.AddVariable("x", static_cast<float*>(nullptr)); });
   good.AddVariable("var1+var2", &a);
   say([&] { good.AddVariable("again := var1 + var2", &b); });
   good.AddVariable("myvar2", &b);
   good.AddVariable("var3", &c);
   say([&] { good.BookMVA("Fisher", fisher); });
   good.AddVariable("var4", &d);
   say([&] { good.BookMVA("Fisher", fisher); });
   good.AddSpectator("var1*2", &a);
   good.AddSpectator("var1*3", &a);
   good.BookMVA("Fisher", fisher);
   say([&] { good.BookMVA("Fisher", fisher); });
   say([&] { good.AddVariable("late", &a); });
   say([&] { good.EvaluateMVA("Fischer"); });
   say([&] { good.EvaluateMVA(std::vector<float>{1, 2, 3}, "Fisher"); });
   say([&] { good.EvaluateMulticlass("Fisher"); });
   good.BookMVA("MLP", folder + "/MLP.weights.xml");
   say([&] { good.GetProba("MLP"); });
   say([&] { good.GetProba("Fisher", 1.5); });
   say([&] { good.GetMVAError(); });
   good.BookMVA("Cuts", folder + "/Cuts.weights.xml");
   say([&] { good.EvaluateMVA("Cuts"); });
   say([&] { good.EvaluateMVA("Cuts", 1.5); });
   hepml_root::Reader swapped;
   swapped.AddVariable("var1-var2", &a);
   say([&] { swapped.BookMVA("Fisher", fisher); });
   hepml_root::Reader unknown;
   unknown.AddVariable("var5", &a);
   say([&] { unknown.BookMVA("Fisher", fisher); });
   say([&] { good.BookMVA("missing", folder + "/missing.weights.xml"); });
   say([&] { good.BookMVA("damaged", other); });
   say([&] { hepml_root::rdf::Response<3> response(fisher); });
   const std::vector<std::string> names = {"myvar1 := var1+var2", "var1-var2", "var3", "var4"};
   hepml_root::Reader named(names, "!Color");
   say([&] { named.EvaluateMVA("none"); });
   a = std::numeric_limits<float>::quiet_NaN();
   std::cout << good.EvaluateMVA("Fisher") << " " << good.EvaluateMVA("Cuts", 0.7) << "\\n";
   setenv("HEPML_ROOT_PYTHON", "/nowhere/python", 1);
   say([&] { good.BookMVA("later", fisher); });
   setenv("HEPML_ROOT_PYTHON", "/bin/false", 1);
   say([&] { good.BookMVA("later", fisher); });
   unsetenv("HEPML_ROOT_PYTHON");
   setenv("PATH", "/nowhere", 1);
   say([&] { good.BookMVA("later", fisher); });
}
"""
SAID = (
    "no option of the Reader 'Colour'. Available: Silent, Color",
    "the variable 'x' has no address",
    "the variable 'again := var1 + var2' is declared twice",
    "(Fisher::Fisher) has 4 variables, and 3 are declared. Call AddVariable for each, in the order var1+var2",
    "(Fisher::Fisher) has 2 spectators, and 0 are declared. Call AddSpectator",
    "a method 'Fisher' is booked already",
    "the variable 'late' comes after BookMVA",
    "no method 'Fischer'. Available: Fisher. Book it",
    "4 numbers are needed, one for each variable; given: 3",
    "'Fisher' is a method for Classification: call EvaluateMVA",
    "has no densities of the response; book the method with CreateMVAPdfs",
    "signal fraction 1.5",
    "no method here gives an error",
    "the method Cuts needs the signal efficiency",
    "the signal efficiency 1.5",
    "variable 0 is 'var1+var2', and 'var1-var2' is variable 1: call AddVariable in the order var1+var2, var1",
    "variable 0 is 'var1+var2'; no variable 'var5'. Available: var1+var2, var1-var2, var3, var4",
    "there is no weight file",
    "is no well-formed XML",
    "takes 4 columns, and Response has 3",
    "no method 'none'. Available: none. Book it",
    "-999 -999",
    "HEPML_ROOT_PYTHON is '/nowhere/python', which is no program",
    "'/bin/false -m hepml_root library",
    "its Python side is not found: activate the environment",
)


def test_what_is_wrong_is_said(build, reference, tmp_path):
    damaged = tmp_path / "damaged.weights.xml"
    damaged.write_text("<MethodSetup")
    done = build(ERRORS)(reference, damaged)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(SAID), done.stdout
    for line, said in zip(lines, SAID, strict=True):
        assert said in line


def test_the_command(reference, capsys, tmp_path):
    fisher = str(reference / "Fisher.weights.xml")
    assert main(["library", fisher]) == 0
    assert capsys.readouterr().out.strip() == library(fisher)["library"]
    assert main(["library", str(reference / "Cuts.weights.xml")]) == 2
    assert "--signal-efficiency" in capsys.readouterr().err
    assert main(["library", str(reference / "Cuts.weights.xml"), "--json"]) == 0
    assert '"library": null' in capsys.readouterr().out
    assert main(["library", str(tmp_path / "none.weights.xml")]) == 2
    assert "there is no weight file" in capsys.readouterr().err


def test_the_cache_knows_the_content(reference, tmp_path, monkeypatch):
    monkeypatch.setenv("HEPML_ROOT_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "Fisher.weights.xml"
    text = (reference / "Fisher.weights.xml").read_text()
    file.write_text(text)
    first = library(file)["library"]
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}
    assert library(file)["library"] == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")} == made
    file.write_text(text.replace('Index="0" Value="-', 'Index="0" Value="'))
    assert library(file)["library"] != first
    # A description that a cleaner has damaged is made again.
    for path in (tmp_path / "cache").glob("weights-*/description.json"):
        path.write_text("{")
    assert library(file)["variables"][0]["expression"] == "var1+var2"
