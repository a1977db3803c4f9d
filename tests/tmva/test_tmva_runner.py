"""``python -m hepml_root.tmva SCRIPT.py``: scripts that know nothing of this package."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("ROOT")


def run(folder, script, *arguments, before=()):
    """Write and run a script."""
    folder.mkdir(exist_ok=True)
    (folder / "script.py").write_text(textwrap.dedent(script))
    command = [sys.executable, "-m", "hepml_root.tmva", *before, str(folder / "script.py"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_script_finds_tmva_and_its_own_world(tmp_path):
    """TMVA in both ways of importing it, what ROOT says of itself, arguments, the module's name."""
    (tmp_path / "neighbour.py").write_text("answer = 42\n")
    done = run(
        tmp_path,
        """
        import sys
        from ROOT import TMVA, TFile, gROOT
        import ROOT
        from neighbour import answer
        assert __name__ == "__main__" and sys.argv[1:] == ["--replace", "x y"], sys.argv
        assert sys.argv[0].endswith("script.py") and __file__ == sys.argv[0]
        assert ROOT.TMVA is TMVA and TMVA.Types.kBDT == 9
        TMVA.Tools.Instance()
        TMVA.Config.Instance()
        TMVA.PyMethodBase.PyInitialize()
        assert "tmva-cpu" in gROOT.GetConfigFeatures() and "imt" in gROOT.GetConfigFeatures()
        assert "tmva-gpu" not in gROOT.GetConfigFeatures()
        assert ROOT.gSystem.GetFromPipe("root-config --has-tmva-pymva") == "yes"
        assert ROOT.gSystem.GetFromPipe("root-config --has-tmva-gpu") == "no"
        assert ROOT.gSystem.GetFromPipe("echo hello") == "hello"
        assert gROOT.IsBatch()
        # Names of the interpreter, beside those of Python.
        assert ROOT.gInterpreter.Declare("namespace TMVA { namespace Experimental { int mine = 7; } }")
        assert TMVA.Experimental.mine == 7
        for namespace, name in ((TMVA, "Factry"), (TMVA.Experimental, "RRider")):
            try:
                getattr(namespace, name)
            except AttributeError as error:
                print(error)
        from ROOT.TMVA.Experimental import SOFIE
        assert SOFIE.Options.kDefault == 0
        reader = TMVA.Reader(ROOT.TString("!Color:!Silent"))
        print("answer", answer)
        sys.exit(3)
        """,
        "--replace",
        "x y",
        before=["--batch"],
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "answer 42"
    assert "no name in TMVA 'Factry'. Nearest: 'Factory'" in done.stdout
    assert "no name in TMVA::Experimental 'RRider'. Nearest: 'RReader'" in done.stdout


def test_the_interpreter_knows_the_functor_before_python_asks_for_tmva(tmp_path):
    """And ROOT is started no earlier than by the script: what it says before, holds."""
    done = run(
        tmp_path,
        """
        import ROOT
        ROOT.PyConfig.StartGUIThread = False
        ROOT.gROOT.SetBatch(True)
        code = '''
        struct Twice { // as SOFIE's own sessions: no Sizes, pointers that are not const, one for each slot
           std::string file;
           Twice(std::string name = "default") : file(name) {}
           std::vector<float> infer(float* x) { return {x[0] + 10 * x[1]}; }
        };
        auto functor = TMVA::Experimental::SofieFunctor<2, Twice>(2);
        '''
        assert ROOT.gInterpreter.Declare(code)
        assert ROOT.functor(1, 2.0, 3.0) == 32.0
        # Other names need a header, which is included when they are first used.
        assert ROOT.gInterpreter.Declare("auto kind = TMVA::Types::kBDT;")
        assert int(ROOT.kind) == int(ROOT.TMVA.Types.kBDT)
        print("DONE")
        """,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "DONE"


def test_errors_are_those_of_the_script(tmp_path):
    done = run(
        tmp_path,
        """
        def inner():
            raise ValueError("too small")
        inner()
        """,
    )
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    start = lines.index("Traceback (most recent call last):")
    assert "script.py" in lines[start + 1]  # none of this package's frames before it
    assert "hepml_root" not in "".join(lines[start:])
    assert lines[-1] == "ValueError: too small"


def test_a_script_that_is_not_there(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "hepml_root.tmva", "none.py"], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.strip().endswith("there is no script 'none.py'.")


def test_install_in_a_program(tmp_path):
    """After ROOT has started, and twice; the module that it gives is the package's."""
    (tmp_path / "program.py").write_text(
        textwrap.dedent(
            """
            import ROOT
            ROOT.gInterpreter.Declare("int started;")
            from hepml_root import tmva
            assert tmva.install() and tmva.install()
            assert ROOT.TMVA.Factory is tmva.Factory
            assert "tmva" in ROOT.gROOT.GetConfigFeatures().split()
            assert ROOT.gROOT.GetConfigFeatures().count("tmva-cpu") == 1
            assert ROOT.TMVA.Experimental.SofieFunctor is not None
            print("DONE")
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "DONE"
