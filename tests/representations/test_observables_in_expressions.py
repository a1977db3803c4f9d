"""Observables in expressions of columns: datasets, cuts, weights, models in the event loop, frames, C++."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

import hepml_root as hr
from hepml_root.errors import ExpressionError, SettingError
from hepml_root.representations import JET_OBSERVABLES, jet_observables, observables

JETS = Path(__file__).parents[1] / "reference" / "jets.root"
SOURCES = {"top": f"{JETS}:top", "qcd": f"{JETS}:qcd"}
LISTS = ("pt", "eta", "phi", "mass", "charge")
INCLUDE = Path(hr.__file__).parent / "include"


@pytest.fixture(scope="module")
def jets() -> ak.Array:
    with uproot.open(JETS) as file:
        return ak.concatenate([file[tree].arrays() for tree in ("top", "qcd")])


def expected(jets: ak.Array) -> dict[str, np.ndarray]:
    """The ready list, from arrays."""
    pt, eta, phi, mass, charge = (jets[f"constituent_{name}"] for name in LISTS)
    directions = pt, eta, phi
    return {
        "mass": observables.invariant_mass(*directions, mass),
        "softdrop_mass": observables.soft_drop_mass(*directions, mass),
        "softdrop_fraction": observables.soft_drop_fraction(*directions, mass),
        "softdrop_radius": observables.soft_drop_radius(*directions, mass),
        "tau1": observables.nsubjettiness(1, *directions),
        "tau21": observables.nsubjettiness_ratio(2, *directions),
        "tau32": observables.nsubjettiness_ratio(3, *directions),
        "tau43": observables.nsubjettiness_ratio(4, *directions),
        "e2": observables.energy_correlator2(*directions),
        "c2": observables.c2(*directions),
        "d2": observables.d2(*directions),
        "width": observables.jet_width(*directions),
        "ptd": observables.pt_dispersion(pt),
        "multiplicity": observables.multiplicity(pt),
        "charge": observables.jet_charge(pt, charge),
    }


def test_the_ready_list_in_a_dataset_is_that_of_arrays(jets):
    data = hr.Dataset.from_root(SOURCES, inputs=jet_observables(observables=JET_OBSERVABLES))
    block = data.schema.block("features")
    assert block.labels == tuple(f"jet_{name}" for name in JET_OBSERVABLES)
    values = expected(jets)
    for index, name in enumerate(JET_OBSERVABLES):
        np.testing.assert_allclose(data.X["features"][:, index], values[name], rtol=2e-6, atol=1e-6)
    assert {column.label: column.units for column in block.columns}["jet_softdrop_mass"] == "GeV"


def test_it_agrees_with_what_the_simulation_wrote(jets):
    """FastJet's groomed mass and the axes of the file, to the precision of its float32 branches."""
    values = expected(jets)
    np.testing.assert_allclose(values["mass"], jets["jet_mass"], rtol=1e-3, atol=0.05)
    np.testing.assert_array_equal(values["multiplicity"], jets["jet_multiplicity"])
    close = np.isclose(values["softdrop_mass"], ak.to_numpy(jets["jet_softdrop_mass"]), rtol=1e-2, atol=0.1)
    assert close.mean() > 0.99


def test_top_jets_look_like_top_jets(jets):
    """The top mass, and three prongs."""
    values, top = expected(jets), len(jets) // 2
    assert 160 < np.median(values["softdrop_mass"][:top]) < 190
    assert np.median(values["softdrop_mass"][top:]) < 60
    assert np.median(values["tau32"][:top]) < np.median(values["tau32"][top:]) - 0.1


def test_cuts_and_weights_may_use_them(jets):
    data = hr.Dataset.from_root(
        SOURCES,
        inputs=["jet_pt"],
        cut="hepml::multiplicity(constituent_pt) > 40",
        weight="hepml::pt_dispersion(constituent_pt)",
    )
    values = expected(jets)
    keep = values["multiplicity"] > 40
    assert 0 < len(data) == keep.sum() < len(jets)
    np.testing.assert_allclose(data.weight, values["ptd"][keep], rtol=1e-6)


def test_numbers_and_lists(jets):
    data = hr.Dataset.from_root(
        SOURCES,
        inputs=[
            "m := hepml::invariant_mass(jet_pt, jet_eta, jet_phi, jet_mass,"
            " truth_pt, truth_eta, truth_phi, 0)",
            "dphi := hepml::delta_phi(jet_phi, truth_phi)",
            "mt := hepml::transverse_mass(jet_pt, jet_phi, 100, 0)",
            "mt2 := hepml::mt2(jet_mass, jet_pt, 0, 5, -50, 60, 100, 20, 0, 0)",
            "dr := hepml::delta_r(constituent_eta, constituent_phi, jet_eta, jet_phi)",
        ],
        max_length={"dr": 20},
    )
    x = data.X["features"]
    angle = observables.delta_phi(jets["jet_phi"], jets["truth_phi"])
    np.testing.assert_allclose(x[:, 1], angle, atol=1e-6)
    np.testing.assert_allclose(
        x[:, 2], observables.transverse_mass(jets["jet_pt"], jets["jet_phi"], 100, 0), rtol=1e-6
    )
    np.testing.assert_allclose(
        x[:, 3], observables.mt2(jets["jet_mass"], jets["jet_pt"], 0, 5, -50, 60, 100, 20), rtol=1e-5
    )
    two = [
        ak.to_numpy(jets[name])
        for name in ("jet_pt", "jet_eta", "jet_phi", "jet_mass", "truth_pt", "truth_eta", "truth_phi")
    ]
    lists = [np.stack(pair, axis=1) for pair in zip(two[:3], two[4:], strict=True)]
    masses = np.stack([two[3], np.zeros(len(jets))], axis=1)
    np.testing.assert_allclose(x[:, 0], observables.invariant_mass(*lists, masses), rtol=1e-5)
    first = observables.delta_r(
        jets["constituent_eta"][:, 0], jets["constituent_phi"][:, 0], jets["jet_eta"], jets["jet_phi"]
    )
    np.testing.assert_allclose(data.X["constituents"][:, 0, 0], first, atol=1e-6)


def test_the_way_from_a_file_to_the_event_loop(tmp_path):
    """Trained on observables, the model computes them in any frame that has the constituents."""
    import ROOT

    data = hr.Dataset.from_root(SOURCES, inputs=jet_observables(observables=["softdrop_mass", "tau32", "c2"]))
    model = hr.models.dense(data, hidden=(4,))
    path = hr.export(model, tmp_path / "top.onnx", data=data)
    # A column with the name of an observable would be put in its place by RDataFrame.
    frame = ROOT.RDataFrame("top", str(JETS)).Define("c2", "1.f")
    scores = hr.define(frame, path).AsNumpy(["score"])["score"]
    wanted = hr.evaluation.predict(model, {"features": data.X["features"][: len(scores)]})[:, 0]
    np.testing.assert_allclose(scores, wanted, atol=1e-5)
    assert np.std(scores) > 1e-3
    # The same in ROOT itself, without Python.
    library = hr.compile(path).library
    if library is None:
        return
    program = Path(str(ROOT.TROOT.GetBinDir())) / "root.exe"
    macro = Path(__file__).parents[2] / "macros" / "applyModel.C"
    names = ", ".join(f'"{text}"' for text in (library, JETS, "top", tmp_path / "scores.root"))
    command = [str(program), "-l", "-b", "-q", f"{macro}({names})"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with uproot.open(tmp_path / "scores.root") as file:
        np.testing.assert_allclose(file["scores"]["score"].array(library="np"), wanted, atol=1e-5)


def test_errors_say_what_there_is():
    with pytest.raises(ExpressionError, match=r"no member named 'nsubjetiness'"):
        hr.Dataset.from_root(SOURCES, inputs=["t := hepml::nsubjetiness(1, constituent_pt)"])
    with pytest.raises(SettingError, match="Nearest: 'tau43', 'tau32'"):
        jet_observables(observables=["tau33"])
    with pytest.raises(SettingError, match="radius"):
        jet_observables(radius=0)


def in_child(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_without_a_compiler_the_interpreter_computes(tmp_path):
    """The same numbers, in two threads of a data frame, and from arrays with a warning that says why."""
    found = in_child(
        f"""
        import warnings, numpy as np, ROOT
        from hepml_root.data import declare_observables
        from hepml_root.errors import SlowerWarning
        from hepml_root.representations import observables
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            value = observables.nsubjettiness(1, [3.0, 1.0], [0.0, 0.4], [0.0, 0.0])
        assert any(issubclass(one.category, SlowerWarning) and "g++" in str(one.message) for one in told)
        declare_observables()
        ROOT.EnableImplicitMT(2)
        frame = ROOT.RDataFrame("top", "{JETS}")
        call = "hepml::nsubjettiness_ratio(3, constituent_pt, constituent_eta, constituent_phi)"
        print(value, frame.Define("t", call).Mean("t").GetValue())
        """,
        PATH="/nonexistent",
        CXX="no-such-compiler",
        HEPML_ROOT_CACHE=str(tmp_path),
    )
    one, mean = map(float, found.split())
    assert one == pytest.approx(0.125)
    with uproot.open(JETS) as file:
        top = file["top"].arrays([f"constituent_{name}" for name in LISTS[:3]])
    tau32 = observables.nsubjettiness_ratio(3, *(top[name] for name in top.fields))
    assert mean == pytest.approx(tau32.mean(), rel=1e-6)


def test_a_cplusplus_program_needs_only_the_header(tmp_path):
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        pytest.skip("no C++ compiler")
    source = tmp_path / "program.cxx"
    source.write_text(
        """
        #include "hepml_root/observables.hxx"
        #include <array>
        #include <cstdio>
        int main() {
           const std::vector<float> pt{3, 1}, eta{0, 0.4f};
           const std::array<double, 2> phi{0, 0};
           std::printf("%.6f %.6f\\n", hepml::energy_correlator2(pt, eta, phi),
                       hepml::invariant_mass(50, 0, 0, 0, 50, 0, hepml::pi, 0));
        }
        """
    )
    command = [compiler, "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{INCLUDE}", str(source)]
    subprocess.run([*command, "-o", str(tmp_path / "program")], check=True)
    done = subprocess.run([tmp_path / "program"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0.075000", "100.000000"]


DISTRIBUTED = """
import sys, ROOT, hepml_root as hr
from dask.distributed import Client, LocalCluster
from hepml_root.inference.frame_columns import FrameColumns
if __name__ == "__main__":
    file = sys.argv[1]
    expression = "hepml::soft_drop_mass(constituent_pt, constituent_eta, constituent_phi, constituent_mass)"
    local = ROOT.RDataFrame("top", file)
    local = local.Define("m", FrameColumns(local).code(expression, many=False)).Mean("m").GetValue()
    cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        top = ROOT.RDataFrame("top", file, executor=client, npartitions=2)
        qcd = ROOT.RDataFrame("qcd", file, executor=client, npartitions=2)
        data = hr.Dataset.from_root({"top": top, "qcd": qcd}, inputs=[f"m := {expression}"])
        dataset = data.X["features"][:len(data) // 2].mean()
        frame = top.Define("m", FrameColumns(top).code(expression, many=False))
        print("means", local, dataset, frame.Mean("m").GetValue())
"""


@pytest.mark.slow
def test_distributed_frames(tmp_path):
    pytest.importorskip("distributed")
    script = tmp_path / "distributed_frames.py"
    script.write_text(DISTRIBUTED)
    done = subprocess.run([sys.executable, str(script), str(JETS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    local, dataset, frame = map(float, done.stdout.split("means")[1].split())
    assert dataset == pytest.approx(local, rel=1e-5)
    assert frame == pytest.approx(local, rel=1e-6)
