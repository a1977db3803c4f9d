"""Images: single pixels, plain numpy, symmetries, and that no pT is lost but what is said to be."""

from __future__ import annotations

import math

import awkward as ak
import numpy as np
import pytest

from benchmarks import plain_jets
from hepml_root.errors import SettingError
from hepml_root.representations.image import Image, image


def make(**settings) -> Image:
    return image(**{"pt": "pt", "eta": "eta", "phi": "phi", **settings})


PLAIN = {"centre": "none", "rotation": None, "flip": False, "normalise": None, "half_width": 1.0}


def event(*particles: tuple[float, float, float]) -> dict[str, list[list[float]]]:
    return {
        name: [list(values)]
        for name, values in zip(("pt", "eta", "phi"), zip(*particles, strict=True), strict=True)
    }


def test_rows_are_phi_and_columns_eta():
    picture = make(**PLAIN, pixels=(2, 4))
    found = picture(event((1, -0.9, -0.9), (2, 0.1, -0.1), (4, 0.1, -0.2), (8, 0.6, 0.99)))["image"]
    assert found[0, ..., 0].tolist() == [[1, 0, 6, 0], [0, 0, 0, 8]]
    assert picture.blocks()[0].shape == (2, 4, 1)


def test_edges_belong_to_the_upper_pixel():
    picture = make(**PLAIN, pixels=4)
    found, losses = picture.with_losses(event((1, -1, 0.5), (2, 0, 0), (4, 1, 0), (8, 0, -1.01)))
    assert {
        (int(y), int(x)): float(found["image"][0, y, x, 0]) for y, x in np.argwhere(found["image"][0, ..., 0])
    } == {
        (3, 0): 1,
        (2, 2): 2,
    }
    assert losses.dropped.tolist() == [2]


def test_channels():
    channels = ("multiplicity", "pt", "charged := pt * (charge != 0)", "energy")
    picture = make(**PLAIN, pixels=1, channels=channels, mass="mass")
    found = picture({
        "pt": [[3.0, 4.0]], "eta": [[0.0, 0.0]], "phi": [[0.0, 0.5]], "mass": [[4.0, 3.0]],
        "pt * (charge != 0)": [[0.0, 4.0]],
    })  # fmt: skip
    np.testing.assert_allclose(found["image"][0, 0, 0], [2, 7, 4, 10], rtol=1e-6)
    assert picture.blocks()[0].labels == ("multiplicity", "pt", "charged", "energy")
    assert picture.blocks()[0].columns[3].units == "GeV"


@pytest.mark.parametrize(
    ("scaling", "normalise", "expected"),
    [
        (None, "sum", (9 / 25, 16 / 25)),
        (None, "max", (9 / 16, 1)),
        (None, "l2", (9 / math.hypot(9, 16), 16 / math.hypot(9, 16))),
        ("sqrt", None, (3, 4)),
        ("sqrt", "sum", (3 / 7, 4 / 7)),
        ("log", None, (math.log(10), math.log(17))),
    ],
)
def test_scaling_and_normalisation(scaling, normalise, expected):
    picture = make(**{**PLAIN, "scaling": scaling, "normalise": normalise}, pixels=2)
    found = picture(event((4, -0.5, 0.5), (16, 0.5, 0.5), (5, -0.4, 0.6)))["image"][0, ..., 0]
    np.testing.assert_allclose(found, [[0, 0], expected], rtol=1e-6)
    weighted = make(
        **{**PLAIN, "scaling": scaling, "normalise": normalise}, pixels=1, channels=("pt", "w := w")
    )
    both = weighted({**event((4, 0, 0)), "w": [[-4.0]]})["image"][0, 0, 0]
    assert math.copysign(1, both[1]) == (-1 if normalise != "sum" else 1)  # a sum of -2 divided by itself
    assert abs(both[1]) == pytest.approx(abs(both[0]))


def test_as_plain_numpy(simulated, random_events):
    for jets, half_width in ((simulated, 1.0), (simulated, 0.2)):
        found = make(pixels=40, half_width=half_width)(jets)["image"][..., 0]
        expected = plain_jets.images(jets, 40, half_width)
        # Rounding may carry a constituent over the edge of a pixel.
        wrong = np.abs(found - expected).max(axis=(1, 2)) > 1e-6
        assert wrong.mean() <= 0.01
        assert np.abs(found.sum(axis=(1, 2)) - 1).max() < 1e-5
    assert make()(random_events)["image"][0].max() == 0


def test_pt_is_kept(simulated):
    jets = {**simulated, "w": simulated["pt"] * 1}
    picture = make(pixels=16, half_width=0.3, normalise=None, channels=("pt", "multiplicity"))
    found, losses = picture.with_losses(jets)
    numbers = ak.num(jets["pt"]).to_numpy()
    np.testing.assert_array_equal(found["image"][..., 1].sum(axis=(1, 2)), numbers - losses.dropped)
    assert losses.dropped.sum() > 100
    whole = make(pixels=16, half_width=(2.0, 3.0), normalise=None)
    found, losses = whole.with_losses(jets)
    assert losses.dropped.sum() == 0
    np.testing.assert_allclose(found["image"].sum(axis=(1, 2, 3)), ak.sum(jets["pt"], axis=1), rtol=1e-6)


def test_flip_puts_the_largest_quarter_up_and_right():
    for x, y in ((0.5, 0.5), (-0.5, 0.5), (0.5, -0.5), (-0.5, -0.5)):
        picture = make(**{**PLAIN, "flip": True}, pixels=2)
        found = picture(event((5, x, y), (1, -x, y), (2, x, -y), (3, -x, -y)))["image"][0, ..., 0]
        assert found.tolist() == [[3, 2], [1, 5]]


def test_jets_that_are_moved_and_mirrored_give_the_same_image(simulated):
    moved = {
        "pt": simulated["pt"],
        "eta": 0.4 - simulated["eta"],
        "phi": plain_jets.wrapped(2.5 + simulated["phi"]),
    }
    picture = make(pixels=20, half_width=0.8)
    before, after = picture(simulated)["image"], picture(moved)["image"]
    # Rounding carries some constituents over an edge, and flips what is nearly balanced.
    distance = np.abs(before - after).sum(axis=(1, 2, 3)) / 2
    assert np.median(distance) < 1e-5
    assert np.mean(distance < 0.02) > 0.9


def test_turned_jets_give_the_same_image(simulated):
    x = simulated["eta"] - simulated["eta"][:, 0]
    y = plain_jets.wrapped(simulated["phi"] - simulated["phi"][:, 0])
    sine, cosine = math.sin(0.8), math.cos(0.8)
    turned = {"pt": simulated["pt"], "eta": x * cosine - y * sine, "phi": x * sine + y * cosine}
    picture = make(pixels=20, half_width=0.8)
    distance = np.abs(picture(simulated)["image"] - picture(turned)["image"]).sum(axis=(1, 2, 3)) / 2
    assert np.median(distance) < 1e-5
    assert np.mean(distance < 0.02) > 0.9


def test_image_of_an_event_is_cyclic():
    """φ is rolled to the hardest object, and what lies opposite comes in at the edge."""
    picture = make(
        pixels=(4, 2),
        half_width=(5.0, math.pi),
        centre="hardest_phi",
        rotation=None,
        flip=False,
        normalise=None,
    )
    for phi in np.linspace(-3.0, 9.0, 13):
        particles = event((9, -1, phi), (1, 1, phi + 0.5), (2, 1, phi + math.pi), (4, 1, phi - math.pi))
        found, losses = picture.with_losses(particles)
        assert losses.dropped.tolist() == [0]
        rows = found["image"][0, ..., 0]
        assert rows[2].tolist() == [9, 1]
        assert rows[0, 1] + rows[3, 1] == 6  # exactly opposite is both ends


def test_surroundings_of_a_lepton():
    picture = make(
        pixels=3,
        half_width=0.3,
        centre=("lepton_eta", "lepton_phi"),
        rotation=None,
        flip=False,
        normalise=None,
    )
    arrays = {**event((1, 1.2, -3.0), (2, 1.0, 3.1)), "lepton_eta": [1.0], "lepton_phi": [3.1]}
    assert picture(arrays)["image"][0, ..., 0].tolist() == [[0, 0, 0], [0, 2, 0], [0, 0, 1]]
    assert [column.label for column in picture.scalars] == ["axis_eta", "axis_phi"]
    only_phi = make(**{**PLAIN, "centre": (None, "lepton_phi")}, pixels=3)
    assert [column.label for column in only_phi.scalars] == ["axis_phi"]
    found = only_phi({**event((2, 0, 3.1)), "lepton_phi": [3.1]})["image"][0, ..., 0]
    assert found[1, 1] == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pixels": 0}, "pixels=0"),
        ({"half_width": -1.0}, "half_width"),
        ({"half_width": (1.0, 4.0)}, "at most pi"),
        ({"channels": ()}, "at least one"),
        ({"channels": ("pt", "pt")}, "each once"),
        ({"channels": ("pt := q",)}, "name of a feature"),
        ({"centre": "centre"}, "centroid"),
        ({"scaling": "logs"}, "log"),
        ({"normalise": "L2"}, "l2"),
        ({"rotation": "subjet"}, "subjets"),
    ],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(SettingError, match=message):
        make(**settings)
