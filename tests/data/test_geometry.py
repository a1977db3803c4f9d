"""Calorimeters as data: cells and their order, depths and materials, what is refused."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import hepml_root as hr
from hepml_root.data.geometry import Geometry, Grid, Layer, Polar, geometry, same_cells
from hepml_root.data.materials import MATERIALS, Medium, material
from hepml_root.errors import CorruptFileError, SettingError, SourceNotFoundError

SHIPPED = {"si-w-30": 27_000, "si-w-10": 1000, "lar-3": 504, "cylinder": 6480}


def test_what_is_shipped():
    assert dict.fromkeys(hr.data.geometry_names()) == dict.fromkeys(SHIPPED)
    for name, cells in SHIPPED.items():
        one = geometry(name)
        assert one.cells == cells == sum(rows * columns for rows, columns in one.shapes)
        assert geometry(one) is one
        # Electromagnetic showers of 100 GeV want 20 radiation lengths at least.
        assert one.edges[-1] > 20
        assert one.title
        assert one.reference


@pytest.mark.parametrize("name", SHIPPED)
def test_cells_lie_in_order_layer_by_layer_and_row_by_row(name):
    one = geometry(name)
    assert one.centres.shape == (one.cells, 3)
    assert [where.start for where in one.slices[1:]] == [where.stop for where in one.slices[:-1]]
    assert one.slices[-1].stop == one.cells
    for number, (layer, where) in enumerate(zip(one.layers, one.slices, strict=True)):
        assert set(one.layer_of_cell[where]) == {number}
        x, y, z = one.centres[where].T
        # A cell's centre lies in that cell: the order of `locate` is that of the cells.
        assert layer.segmentation.locate(x, y).tolist() == list(range(len(x)))
        assert layer.segmentation.locate(x.astype(np.float32), y.astype(np.float32)).tolist() == list(
            range(len(x))
        )
        assert len(set(z)) == 1
    assert (np.diff(one.depths) > 0).all()
    with pytest.raises(ValueError, match="read-only"):
        one.centres[0] = 0


def test_a_grid_by_hand():
    grid = Grid(rows=2, columns=3, height=10.0, width=4.0)
    x, y = grid.centres()
    assert x.tolist() == [[-4, 0, 4]] * 2
    assert y.tolist() == [[-5] * 3, [5] * 3]
    points = np.array([(-5.9, -9), (5.9, 9), (0, 0), (6.1, 0), (0, 10.1), (-6.1, 0), (1e30, -1e30)]).T
    assert grid.locate(*points).tolist() == [0, 5, 4, -1, -1, -1, -1]
    assert grid.areas().sum() == 2 * 3 * 40


def test_polar_cells_by_hand():
    polar = Polar(rows=4, edges=(0.0, 10.0, 30.0))
    x, y = polar.centres()
    # The first angle is from -π to -π/2, with its middle at -3π/4; the middle of the second radius is 20.
    assert (x[0, 1], y[0, 1]) == pytest.approx((-20 / 2**0.5, -20 / 2**0.5))
    points = np.array([(-1, -1), (-15, -15), (1, 1), (0, 29.9), (0, 30.1), (-5, 1e-9)]).T
    assert polar.locate(*points).tolist() == [0, 1, 4, 7, -1, 6]
    assert polar.areas().sum() == pytest.approx(np.pi * 900)


def test_depths_of_a_geometry_by_hand():
    """18 mm of lead in the first layer, at 5.61 mm for one radiation length, and 36 mm in the second."""
    lead = {"active": "lead", "grid": [1, 1, 10.0, 10.0]}
    one = Geometry.from_dict(
        {"name": "block", "layers": [lead | {"active_mm": 18.0}, lead | {"active_mm": 36.0}]}
    )
    x0 = 10 * 6.37 / 11.35
    assert one.edges == pytest.approx([0, 18 / x0, 54 / x0])
    assert one.depths == pytest.approx([9 / x0, 36 / x0])
    assert one.centres[:, 2].tolist() == [9, 36]


def test_materials_are_those_of_the_particle_data_group():
    """Critical energy and Molière radius by the formulas of hep-ex/0001020, within 13 % of the tables."""
    # name: X0 [mm], E_c [MeV], R_M [mm] of the Particle Data Group (E_c of electrons, Rossi's definition)
    tables = {
        "silicon": (93.7, 40.2, 49.4),
        "liquid argon": (140.0, 32.8, 90.4),
        "iron": (17.57, 21.7, 17.2),
        "copper": (14.36, 19.4, 15.7),
        "tungsten": (3.504, 7.97, 9.33),
        "lead": (5.612, 7.43, 16.0),
        "lead tungstate": (8.904, 9.64, 19.6),
    }
    for name, (x0, critical, moliere) in tables.items():
        one = material(name)
        mm = 10 / one.density
        assert one.radiation_length * mm == pytest.approx(x0, rel=0.003)
        assert one.critical_energy == pytest.approx(critical, rel=0.13)
        assert one.moliere_radius * mm == pytest.approx(moliere, rel=0.13)
    assert set(tables) < set(MATERIALS)


def test_a_medium_of_one_material_is_that_material():
    for two in (Medium.of("lead", 3.0, "lead", 1.0), Medium.of(None, 0.0, "lead", 4.0)):
        assert two.radiation_length == pytest.approx(10 * 6.37 / 11.35)
        assert two.critical_energy == pytest.approx(material("lead").critical_energy)
        assert two.moliere_radius == pytest.approx(10 * material("lead").moliere_radius / 11.35)
        assert two.electron_to_mip == 1
    assert Medium.of("lead", 3.0, "lead", 1.0).sampling_fraction == pytest.approx(0.25)
    assert Medium.of(None, 0.0, "lead", 4.0).sampling_fraction == 1
    # Depths add up: 2.1 mm of tungsten and 0.5 mm of silicon are 0.599 + 0.0053 radiation lengths.
    pair = Medium.of("tungsten", 2.1, "silicon", 0.5)
    assert 2.6 / pair.radiation_length == pytest.approx(2.1 / 3.503 + 0.5 / 93.69, rel=1e-3)
    assert pair.sampling_frequency == pytest.approx(pair.radiation_length / 2.6)
    # A minimum ionising particle leaves 0.194 MeV in the silicon and 4.64 MeV in the tungsten.
    assert pair.mip_fraction == pytest.approx(0.194 / (0.194 + 4.64), rel=5e-3)
    assert pair.electron_to_mip == pytest.approx(1 / 1.42)


@pytest.mark.parametrize("name", SHIPPED)
def test_json_round_trip(name):
    one = geometry(name)
    text = json.dumps(one.to_dict())
    assert len(text) < 1000  # it travels in files and manifests
    back = Geometry.from_dict(json.loads(text))
    assert back == one
    assert hash(back) == hash(one)
    assert same_cells(back, one)
    thicker = dataclasses.replace(
        one, layers=(dataclasses.replace(one.layers[0], active_mm=9.0), *one.layers[1:])
    )
    assert thicker != one
    assert same_cells(thicker, one)
    assert one != geometry("lar-3" if name != "lar-3" else "si-w-10")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layers": []}, "needs 'layers'"),
        ({"layer": []}, "no setting of a geometry 'layer'. Nearest: 'layers'"),
        ({"name": ""}, "needs 'name'"),
        ({"scale": "visibel"}, "no scale 'visibel'. Nearest: 'visible'"),
        ({"threshold": -1.0}, "threshold=-1.0 must be 0 or more"),
        ({"layers": [{"grid": [0, 3, 1.0, 1.0]}]}, "rows=0 must be a number above 0"),
        ({"layers": [{"grid": [2.5, 3, 1.0, 1.0]}]}, "rows=2.5 must be a whole number"),
        ({"layers": [{"grid": [2, 3, 1.0]}]}, "grid: [rows, columns, height, width]"),
        ({"layers": [{"grid": [2, 3, float("nan"), 1.0]}]}, "height=nan must be"),
        ({"layers": [{"polar": [2, [0.0, 3.0, 2.0]]}]}, "must ascend"),
        ({"layers": [{"rows": 3}]}, "no setting of a layer 'rows'"),
        ({"layers": [{"count": 0, "grid": [1, 1, 1.0, 1.0]}]}, "count=0"),
        (
            {"layers": [{"grid": [1, 1, 1.0, 1.0], "active": "silicium", "active_mm": 1.0}]},
            "'silicon'",
        ),
        ({"layers": [{"grid": [1, 1, 1.0, 1.0], "active": "silicon"}]}, "0.0 mm thick"),
        ({"layers": [{"grid": [1, 1, 1.0, 1.0], "resolution": -0.1}]}, "resolution=-0.1"),
    ],
)
def test_bad_geometries(changes, words):
    with pytest.raises(SettingError) as caught:
        Geometry.from_dict({"name": "own", "layers": [{"grid": [1, 1, 1.0, 1.0]}], **changes})
    assert words in str(caught.value)


def test_names_and_unknown_materials():
    with pytest.raises(SettingError, match=r"no geometry 'lar3'. Nearest: 'lar-3'"):
        geometry("lar3")
    bare = Layer(Grid(1, 1, 1.0, 1.0))
    with pytest.raises(SettingError, match="says nothing of the layers' material"):
        bare.medium  # noqa: B018
    assert Geometry("bare", (bare, bare)).depths.tolist() == [0.5, 1.5]


def test_geometry_of_a_public_binning(tmp_path):
    """A binning as that of photons in dataset 1: 8, 16 × 10, 19 × 10, 5 and 5 cells."""
    edges = {
        0: ("0,5,10,30,50,100,200,400,600", 1),
        1: ("0,2,4,6,8,10,12,15,20,30,40,50,70,90,120,150,200", 10),
        2: ("0,2,5,10,15,20,25,30,40,50,60,80,100,130,160,200,250,300,350,400", 10),
        3: ("0,50,100,200,400,600", 1),
        4: ("0", 1),
        12: ("0,100,200,400,1000,2000", 1),
    }
    lines = [f'<Layer id="{id}" r_edges="{text}" n_bin_alpha="{n}" />' for id, (text, n) in edges.items()]
    path = tmp_path / "binning.xml"
    path.write_text(f'<Bins><Bin pid="22" name="photon">{"".join(lines)}</Bin></Bins>')
    one = hr.data.calochallenge_geometry(path, "photons-1")
    assert one.name == "photons-1"
    assert one.cells == 368
    assert one.shapes == ((1, 8), (10, 16), (10, 19), (1, 5), (1, 5))
    assert Geometry.from_dict(one.to_dict()) == one
    for text, words in (("<Bins/>", "no layer"), ("<Bins", "no binning"), ("<a><Layer/></a>", "r_edges")):
        path.write_text(text)
        with pytest.raises(CorruptFileError, match=words):
            hr.data.calochallenge_geometry(path)
    with pytest.raises(SourceNotFoundError):
        hr.data.calochallenge_geometry(tmp_path / "none.xml")
