"""hepml_root/Factory.hxx in a macro: what reaches the Python side, what comes back, what is refused."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import ROOT
import uproot

from hepml_root import tmva as TMVA
from hepml_root.cli.commands import main
from hepml_root.errors import IgnoredOptionWarning
from hepml_root.inference.compiler import find_compiler
from hepml_root.tmva import types
from hepml_root.tmva.conversation import Conversation, converse
from hepml_root.tmva.factory import Factory
from hepml_root.tmva.options.declaration import Option, parse

INCLUDE = Path(__file__).resolve().parents[2] / "hepml_root" / "include"


def run_macro(call: str, folder: Path, include: Path) -> str:
    """Run a macro in ROOT's own program; return what it prints."""
    program = Path(str(ROOT.TROOT.GetBinDir())) / "root.exe"
    done = subprocess.run(
        [str(program), "-l", "-b", "-q", call],
        cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"HEPML_ROOT_PYTHON": sys.executable, "ROOT_INCLUDE_PATH": str(include)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def answers_of(call: str, folder: Path, include: Path) -> dict[str, str]:
    """Run a macro of this folder; return what it says after "> "."""
    said = run_macro(f"{Path(__file__).parent}/{call}", folder, include)
    return dict(line[2:].split(" ", 1) for line in said.splitlines() if line.startswith("> "))


@pytest.fixture(scope="module")
def calls(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """The folder that the macro has worked in, and its answers."""
    folder = tmp_path_factory.mktemp("factory_cpp")
    return folder, answers_of(f'factory_calls.C("{folder}")', folder, INCLUDE)


def test_the_same_events_give_the_same_weights(calls, monkeypatch):
    """From a file, from memory, and with a friend and aliases the events are the same; so they are in
    Python."""
    folder, answers = calls
    # Two Gaussians of widths 1, 2 x 0.5 apart in x and in y: AUC = Phi(1) = 0.841, ± 0.018.
    assert abs(float(answers["from_file"]) - 0.841) < 0.07
    assert answers["in_memory"] == answers["from_file"] == answers["with_friend"]
    found = [
        TMVA.read_weights(folder / name / "weights/Calls_Fisher.weights.xml").weights
        for name in ("from_file", "in_memory", "with_friend")
    ]
    monkeypatch.chdir(folder)
    loader = TMVA.DataLoader("python")
    with ROOT.TFile.Open("stored.root") as file:
        loader.AddSignalTree(file.Get("deep/signal"))
        loader.AddBackgroundTree(file.Get("deep/background"))
        loader.AddVariable("x", "F")
        loader.AddVariable("sum := x + 2*y", "Sum", "GeV", "F")
        loader.PrepareTrainingAndTestTree("", "SplitMode=Alternate:NormMode=NumEvents:!V")
        factory = Factory("Calls", "Silent:AnalysisType=Classification")
        factory.BookMethod(loader, "Fisher", "Fisher")
        factory.TrainAllMethods()
    found.append(TMVA.read_weights("python/weights/Calls_Fisher.weights.xml").weights)
    for other in found[1:]:
        np.testing.assert_array_equal(other.coefficients, found[0].coefficients)


def test_the_output_file(calls):
    folder, _ = calls
    with uproot.open(folder / "output.root") as file:
        assert set(file.keys(recursive=False, cycle=False)) >= {"from_file", "in_memory"}
        tree = file["from_file/TestTree"]
        assert tree.num_entries == 500
        assert {"classID", "x", "sum", "number", "weight", "Fisher", "Linear"} <= set(tree.keys())
        histogram = file["from_file/Method_Fisher/Fisher/MVA_Fisher_S"]
        assert histogram.values().sum() > 0
        # In memory or in a file, it is the same.
        np.testing.assert_array_equal(
            histogram.values(), file["in_memory/Method_Fisher/Fisher/MVA_Fisher_S"].values()
        )


REFUSED = {
    "option": "no option 'Metod'. Nearest: 'Method'",
    "method": "no method 'Fischer'. Nearest: 'Fisher'",
    "title": "'Linear' is booked already",
    "loader": "got a null pointer",
    "tree": "the tree does not exist (a null pointer)",
    "early": "is not tested: call TestAllMethods before",
    "list": "has an entry list, which is not taken",
    "branch": "no branch 'nothing'",
    "closed": "output.root' is not open for writing",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(calls, name):
    _, answers = calls
    assert answers[name].startswith("hepml_root: ")
    assert REFUSED[name] in answers[name]


def test_curves_and_methods(calls):
    _, answers = calls
    assert answers["curves"] == "1 2 Signal efficiency (Sensitivity)"
    assert answers["booked"] == "10"


@pytest.mark.slow
def test_cross_validation_with_the_names_of_tmva(tmp_path):
    answers = answers_of("cross_validation_calls.C", tmp_path, INCLUDE / "tmva_shim")
    first, second, mean, spread, folds = map(float, answers["areas"].split())
    # Two Gaussians of width 1 at ±1: AUC = Phi(sqrt 2) = 0.921, ± 0.014 of 200 + 200 events a fold.
    assert abs(first - 0.921) < 0.06
    assert abs(second - 0.921) < 0.06
    assert mean == pytest.approx((first + second) / 2, abs=1e-5)
    assert spread == pytest.approx(abs(first - second) / 2**0.5, abs=1e-5)
    assert folds == 2
    assert answers["method"] == "Fisher 2 100"
    assert "FoldFileOutput is not done from C++" in answers["files"]
    values = answers["reader"].split()
    assert values[0] == values[2] != values[1] == values[3]
    assert answers["parts"] == "4 bc d"
    with uproot.open(tmp_path / "cv.root") as file:
        assert "folds" in file.keys(recursive=False, cycle=False)


def test_the_constants_are_those_of_python():
    text = (INCLUDE / "hepml_root" / "Types.hxx").read_text()
    found = dict(re.findall(r"enum (\w+) \{([^}]*)\}", text))
    assert set(found) == {"EMVA", "EVariableTransform", "EAnalysisType", "ESBType", "ETreeType"}
    for name, names in found.items():
        known = {entry.name: int(entry) for entry in getattr(types, name)}
        assert {word.strip(): i for i, word in enumerate(names.split(","))} == known


def test_calls_that_cannot_be():
    conversation = Conversation()
    for request, said in (
        ({"call": "Facory", "arguments": []}, "Nearest: 'Factory'"),
        ({"call": "GetName", "on": "7"}, "the object of this call is gone"),
        ({"call": "__class__", "on": "1"}, "no call '__class__'"),
        ({"call": "AddTree", "on": "1", "arguments": [{"tree": {"files": [["none.root", "t"]]}}, "S"]},
         "'none.root' cannot be opened"),
    ):  # fmt: skip
        conversation.answer({"call": "DataLoader", "arguments": ["d"], "keep": "1"})
        assert said in conversation.answer(request)["error"]
    assert conversation.answer({"call": "forget", "on": "1"}) == {"value": None}
    assert "gone" in conversation.answer({"call": "GetName", "on": "1"})["error"]


def test_the_socket(capsys):
    ours, theirs = socket.socketpair()
    worker = threading.Thread(target=converse, args=(theirs.detach(),))
    worker.start()
    with ours, ours.makefile("rwb", buffering=0) as stream:
        # Two calls in three parts, and a text that is no UTF-8.
        stream.write(b'{"call":"DataLoader","argum')
        stream.write(b'ents":["d\xff"],"keep":"1"}\n{"call":"Ge')
        stream.write(b'tName","on":"1"}\n')
        lines = ours.makefile("rb")
        assert json.loads(lines.readline()) == {"value": None}
        assert json.loads(lines.readline()) == {"value": "d\udcff"}
        ours.shutdown(socket.SHUT_RDWR)
    worker.join(10)
    assert not worker.is_alive()
    assert main(["factory", "--socket", "99"]) == 2
    assert "Factory.hxx" in capsys.readouterr().err


CHILD = """
#include "hepml_root/child_process.hxx"
#include <iostream>
#include <memory>

using hepml_root::ChildProcess;

int main() {
   std::string out, err;
   const auto take = [&](const std::string& line, bool of_errors) {
      (of_errors ? err : out) += line + "|";
   };
   int code = ChildProcess::Run({"sh", "-c", "echo a; echo 'b  c'; echo d >&2; printf e; exit 3"}, take);
   std::cout << code << " " << out << " " << err << "\\n";
   std::size_t bytes = 0;
   code = ChildProcess::Run({"sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo 0123456789"
                                       "012345678901234567890123456789; echo 01234567890123456789 >&2;"
                                       " i=$((i+1)); done"},
                            [&](const std::string& line, bool) { bytes += line.size(); });
   std::cout << code << " " << bytes << "\\n";
   std::cout << ChildProcess::Run({"sh", "-c", "kill -9 $$"}, take) << "\\n";
   try {
      ChildProcess::Run({"/nowhere/program"}, take);
   } catch (const std::runtime_error& error) {
      std::cout << error.what() << "\\n";
   }
   // One that answers, and one that does not.
   out.clear();
   {
      const char* const script = "read word <&3; echo heard $word; echo answer $word >&3; read word <&3";
      ChildProcess speaks({"sh", "-c", script}, true);
      std::cout << speaks.Ask("hello", take) << " " << out << "\\n";
   }
   ChildProcess silent({"sh", "-c", "read word <&3; echo over >&2; exit 4"}, true);
   try {
      silent.Ask("hello", take);
   } catch (const std::runtime_error& error) {
      std::cout << error.what() << " " << silent.Finish(take) << "\\n";
   }
}
"""


def test_child_processes(tmp_path):
    source = tmp_path / "child.cxx"
    source.write_text(CHILD)
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror"]
    find_compiler().run([*flags, f"-I{INCLUDE}", str(source), "-o", "child"], tmp_path)
    done = subprocess.run([str(tmp_path / "child")], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == [
        "3 a|b  c|e| d|",
        f"0 {3000 * 60}",
        "137",
        "hepml_root: the program '/nowhere/program' cannot be started: No such file or directory",
        "answer hello heard hello|",
        "hepml_root: the program has ended 4",
    ]


def test_of_two_values_the_last_one_counts():
    """ROOT's TMVARegression.C has MaxDepth twice; TMVA warns, and takes the last."""
    with pytest.warns(IgnoredOptionWarning, match="given twice: 3 and 4. The last one counts"):
        assert parse((Option("MaxDepth", 2, "depth"),), "MaxDepth=3:MaxDepth=4", "BDT")["MaxDepth"] == 4


@pytest.mark.slow
def test_the_macros(tmp_path):
    """HepMLClassification.C trains, HepMLApplication.C applies: the same three times."""
    macros = Path(__file__).resolve().parents[2] / "macros"
    said = run_macro(f'{macros}/HepMLClassification.C("Fisher,HepML")', tmp_path, INCLUDE)
    areas = dict(re.findall(r"^(\w+): area under the ROC curve (\S+)$", said, re.M))
    assert set(areas) == {"Fisher", "HepML"}
    # The real TMVA: Fisher .919, on 1000 + 1000 events for training; the error of an area is 0.004.
    assert all(float(area) > 0.90 for area in areas.values())
    with uproot.open(tmp_path / "HepMLClassification.root") as file:
        assert file["dataset/TestTree"].num_entries == 8000
    for method in areas:
        said = run_macro(f'{macros}/HepMLApplication.C("{method}")', tmp_path, INCLUDE)
        (means,) = re.findall(r"signal (\S+) by the Reader, (\S+) in blocks, (\S+) in RDataFrame", said)
        assert float(means[1]) == pytest.approx(float(means[0]), abs=1e-5)
        assert float(means[2]) == pytest.approx(float(means[0]), abs=1e-5)
