"""Generators of showers, booked as HepML in a Factory, and what is written of them."""

from __future__ import annotations

import numpy as np
import pytest
from trained_methods import book, data_set, quiet, sample

import hepml_root as hr
from hepml_root import tmva as TMVA
from hepml_root.data.geometry import Geometry, Grid, Layer, geometry
from hepml_root.errors import SettingError, ShapeError, UnsupportedOperationError
from hepml_root.models.generators import generators
from hepml_root.tmva.methods.shower_generator import conditions_of, showers_of

# Two layers of 3 × 4 cells: reading hundreds of columns would be most of what is tested.
SMALL = Geometry("small", (Layer(Grid(3, 4, 10.0, 10.0)),) * 2, threshold=1e-4)
LAR = geometry("lar-3")
TINY = "Model=shape_flow:Hidden=16:ShapeHidden=8:ShapeSteps=2:Geometry=lar-3:Epochs=2:LearningRate=1e-3"


def showers(count: int, seed: int, cells: int = 504) -> tuple[np.ndarray, np.ndarray]:
    """Energies of cells [GeV] and of particles: a twentieth of the energy, in a part of the cells."""
    rng = np.random.default_rng(seed)
    energy = rng.uniform(10, 100, count)
    table = rng.exponential(1, (count, cells)) * (rng.random((count, cells)) < 0.5)
    return table / table.sum(axis=1, keepdims=True) * 0.05 * energy[:, None], energy


@pytest.mark.slow
def test_a_factory_writes_a_generator(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    loader = TMVA.DataLoader("dataset")
    trees = []
    for seed in (1, 2):
        cells, energy = showers(400, seed, 24)
        columns = {f"cell_{place}": np.ascontiguousarray(cells[:, place]) for place in range(24)}
        trees.append(columns | {"E_true": energy})
    for place in range(24):
        loader.AddVariable(f"cell_{place}")
    loader.AddSpectator("E_true")
    loader.AddSignalTree(trees[0])
    loader.AddBackgroundTree(trees[1])
    loader.PrepareTrainingAndTestTree("", "nTrain_Signal=300:nTrain_Background=300:!V")
    factory = TMVA.Factory("Showers", "Silent:AnalysisType=Classification")
    words = TINY.replace(":Geometry=lar-3", "")
    factory.BookMethod(loader, "HepML", "Flow", words, Conditions="energy=E_true", Geometry=SMALL)
    factory.BookMethod(loader, TMVA.Types.kMLP, "MLP", "NCycles=1:HiddenLayers=2")
    factory.TrainAllMethods()
    factory.TestAllMethods()
    factory.EvaluateAllMethods()
    assert factory.GetROCIntegral(loader, "MLP") > 0
    folder = tmp_path / "dataset" / "weights"
    assert sorted(path.name for path in folder.glob("*Flow*")) == [
        "Showers_Flow.hxx",
        "Showers_Flow.keras",
        "Showers_Flow.onnx",
    ]
    made = hr.Session(folder / "Showers_Flow.onnx", engine="onnxruntime").infer(np.full((200, 1), 50.0))
    assert made.shape == (200, 24)
    assert (made >= 0).all()
    # Hardly learnt; but the scale of the energy comes from the showers, 2.5 GeV of 50 GeV.
    assert 0.2 < np.median(made.sum(axis=1)) / 2.5 < 5
    kept = hr.load_model(folder / "Showers_Flow.keras")
    assert kept.training["epochs_done"] == 2
    assert len(kept.sample({"energy": np.full(3, 20.0)}, seed=1)) == 3


def test_conditions_may_be_targets_of_a_regression() -> None:
    cells, energy = showers(20, 3)
    rows = sample(cells, np.zeros(20), targets=energy)
    data = data_set(rows, rows, analysis="Regression")
    method = book("HepML", f"{TINY}:Conditions=energy=t0", analysis="Regression")
    found = showers_of(rows, data, method.options, LAR, "HepML")
    np.testing.assert_array_equal(found.condition("energy"), energy.astype(np.float32))


def test_one_class_is_learnt() -> None:
    cells, energy = showers(20, 4)
    classes = np.arange(20) % 2
    rows = sample(cells, classes, spectators=energy[:, None])
    data = data_set(rows, rows, spectators=("energy",))
    for words, index in (("", 0), (":Class=Background", 1)):
        found = showers_of(rows, data, book("HepML", TINY + words).options, LAR, "HepML")
        np.testing.assert_array_equal(found.energies, rows.variables[classes == index])
    with pytest.raises(SettingError, match="no class 'Bkg'"):
        showers_of(rows, data, book("HepML", f"{TINY}:Class=Bkg").options, LAR, "HepML")


def test_events_that_are_no_showers() -> None:
    cells, energy = showers(20, 5)
    rows = sample(cells, np.zeros(20), np.arange(1, 21), spectators=energy[:, None])
    data = data_set(rows, rows, spectators=("energy",))
    options = book("HepML", TINY).options
    with pytest.raises(SettingError, match="showers have no weights"):
        showers_of(rows, data, options, LAR, "HepML")
    few = sample(cells[:, :7], np.zeros(20), spectators=energy[:, None])
    with pytest.raises(ShapeError, match=r"7 variables; .* has 504 cells"):
        showers_of(few, data, options, LAR, "HepML")
    other = data_set(few, few, spectators=("E",))
    plain = sample(cells, np.zeros(20), spectators=energy[:, None])
    with pytest.raises(SettingError, match="no spectator 'energy'"):
        showers_of(plain, other, options, LAR, "HepML")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Model=shower_flow", "name it with Geometry="),
        ("Model=shower_flow:Geometry=lar-4", "lar-3"),
        (f"{TINY}:VarTransform=N", "takes energies of cells as they are"),
        (f"{TINY}:Preset=default", "Preset belongs to networks"),
        (f"{TINY}:CreateMVAPdfs", "gives no response"),
        (f"{TINY}:Conditions=momentum", "no condition 'momentum'"),
        (f"{TINY}:Conditions=eta", "the energy of the particle is missing"),
        (f"{TINY}:Dropout=0.1", "no setting of the model shape_flow 'Dropout'"),
    ],
)
def test_mistakes_are_said_when_booked(text: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        book("HepML", text)


def test_who_needs_a_response_is_told_that_there_is_none() -> None:
    cells, energy = showers(20, 6)
    rows = sample(cells, np.zeros(20), spectators=energy[:, None])
    data = data_set(rows, rows, spectators=("energy",))
    with pytest.raises(UnsupportedOperationError, match="it gives no response to events"):
        book("HepML", TINY).train(data, quiet())
    with pytest.raises(UnsupportedOperationError, match="makes no events"):
        book("HepML", "Model=dense").train_generator(data, quiet())


def test_every_generator_can_be_booked() -> None:
    for name in generators():
        assert book("HepML", f"Model={name}:Geometry=lar-3").makes_events
    assert conditions_of("", "HepML") == {"energy": "energy"}
