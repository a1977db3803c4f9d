"""What is wrong with events is named, or counted; what C++ is given is checked there as well."""

from __future__ import annotations

import json

import awkward as ak
import numpy as np
import pytest

from hepml_root.data.represented_arrays import made
from hepml_root.errors import (
    ColumnNotFoundError,
    ColumnTypeError,
    NonFiniteInputError,
    SettingError,
    ShapeError,
)
from hepml_root.representations.constituents import constituents
from hepml_root.representations.graph import graph
from hepml_root.representations.image import image
from hepml_root.representations.momenta import FEATURES
from hepml_root.representations.sequence import lund, sequence

COLUMNS = {"pt": "pt", "eta": "eta", "phi": "phi", "mass": "mass"}
ALL = {
    "constituents": constituents(**COLUMNS, features=tuple(FEATURES), max_length=4, rotation="principal"),
    "frame": constituents(**COLUMNS, max_length=4, frame="jet", frame_mass=1, frame_energy=3),
    "image": image(**COLUMNS, pixels=4, scaling="log", normalise="l2", rotation="subjets", trim=0.01),
    "sequence": sequence(**COLUMNS, order="clustering", max_length=4, trim=0.01, trim_radius=0.2),
    "lund": lund(**COLUMNS, max_length=4),
    "graph": graph(**COLUMNS, max_length=4, neighbours=3),
}


def events(*, pt=(3.0, 1.0, 2.0), eta=(0.0, 0.2, 0.1), phi=(0.1, 0.0, 0.3), mass=(0.1, 0.0, 0.1)):
    return {"pt": [list(pt)], "eta": [list(eta)], "phi": [list(phi)], "mass": [list(mass)]}


@pytest.fixture(params=list(ALL))
def representation(request):
    return ALL[request.param]


def test_jets_without_constituents(representation):
    for arrays in (
        {name: [[]] for name in COLUMNS},
        {name: ak.Array([[1.0], []])[1:] for name in COLUMNS},
        events(pt=(0.0, -1.0, 0.0)),
    ):
        blocks, losses = representation.with_losses(arrays)
        assert losses.empty.tolist() == [1]
        for values in blocks.values():
            assert not values.any()
    blocks, losses = representation.with_losses({name: [] for name in COLUMNS})
    assert {values.shape[0] for values in blocks.values()} == {0}


def test_constituents_without_pt_are_dropped_and_counted(representation):
    """Also where they lie along the beam, or have no mass that is a number."""
    some = events(
        pt=(3.0, 0.0, 1.0, -2.0, 2.0),
        eta=(0.0, np.inf, 0.2, 0.0, 0.1),
        phi=(0.1, 0.0, 0.0, 0.0, 0.3),
        mass=(0.1, np.nan, 0.0, 0.0, 0.1),
    )
    found, losses = representation.with_losses(some)
    expected, without = representation.with_losses(events())
    assert losses.dropped - without.dropped == [2]
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", list(COLUMNS))
def test_numbers_that_are_not_finite(representation, column, value):
    if column == "pt" and value == -np.inf:
        message = "'pt' is NaN or infinite for constituent 1"
    else:
        message = f"'{column}' is NaN or infinite for constituent 1"
    bad = events()
    bad[column][0][1] = value
    two = {name: [events()[name][0], values[0]] for name, values in bad.items()}
    with pytest.raises(NonFiniteInputError, match=f"event 1: .*{message}"):
        representation(two)


def test_axis_that_is_not_finite():
    particles = constituents(**COLUMNS, axis=("jet_eta", "jet_phi"))
    with pytest.raises(NonFiniteInputError, match="'axis_phi' is NaN"):
        particles({**events(), "jet_eta": [0.0], "jet_phi": [np.nan]})


def test_momenta_beyond_floats():
    for name in ("constituents", "frame"):
        with pytest.raises(NonFiniteInputError, match="'eta' is too large"):
            ALL[name](events(eta=(0.0, 1000.0, 0.0)))


def test_tiny_momenta_have_logarithms():
    """The square of 1e-30 is no float; a constituent that is 1e-30 GeV soft is one nevertheless."""
    particles = constituents(
        **COLUMNS, max_length=3, features=("log_pt", "log_energy", "log_energy_fraction")
    )
    for mass in ((0.0, 0.0, 0.0), (0.0, 0.5, 0.0)):
        found = particles(events(pt=(3.0, 1e-25, 1e-30), eta=(0.0, 2.0, 0.0), mass=mass))["particles"][0]
        energy = np.hypot((3.0, 1e-25 * np.cosh(2.0), 1e-30), mass)
        expected = np.log([(3.0, 1e-25, 1e-30), energy, energy / energy.sum()]).T
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)


def test_pairs_far_apart_have_finite_masses():
    massless = {name: column for name, column in COLUMNS.items() if name != "mass"}
    pairs = graph(**massless, max_length=2, neighbours=1)
    found = pairs(events(pt=(1.0, 1.0), eta=(80.0, -80.0), phi=(0.0, 0.0)))
    assert np.isfinite(found["particles_edges"]).all()
    assert found["particles_edges"][0, 0, 0, 3] == pytest.approx(np.log(np.finfo(np.float32).max))


def test_a_jet_along_the_beam_has_no_frame_across_it():
    beam = constituents(**COLUMNS, frame="beam")
    with pytest.raises(NonFiniteInputError, match="'eta' is too large"):
        beam(events(eta=(40.0, 40.0, 40.0)))


def test_too_many_constituents_are_counted():
    arrays = events(pt=[1.0, 5.0, 4.0, 3.0, 2.0, 6.0], eta=[0.0] * 6, phi=[0.0] * 6, mass=[0.0] * 6)
    blocks, losses = constituents(**COLUMNS, features=("pt",), max_length=4).with_losses(arrays)
    assert blocks["particles"][0, :, 0].tolist() == [6, 5, 4, 3]
    assert losses.truncated.tolist() == [2]


def test_values_of_the_memory_before_do_not_matter(simulated, representation):
    """Events of other lengths in between leave nothing behind."""
    few = {name: simulated[name][:40] for name in COLUMNS}
    expected = representation(few)
    both = {name: ak.concatenate([values[::-1], values]) for name, values in few.items()}
    again = representation(both)
    for name, values in expected.items():
        np.testing.assert_array_equal(again[name][40:], values)
        np.testing.assert_array_equal(again[name][:40], values[::-1])


def test_outputs_are_finite_and_masked(random_events, representation):
    blocks = representation({name: random_events[name] for name in COLUMNS})
    for name, values in blocks.items():
        assert np.isfinite(values).all(), name
        if f"{name}_mask" in blocks:
            assert not values[blocks[f"{name}_mask"] == 0].any()


def test_columns_that_do_not_fit():
    particles = ALL["lund"]
    good = events()
    with pytest.raises(ColumnNotFoundError, match="Nearest: 'etta'"):
        particles({**{name: good[name] for name in ("pt", "phi", "mass")}, "etta": good["eta"]})
    with pytest.raises(ShapeError, match="event 0: column 'pt' has 3 values and 'eta' has 2"):
        particles({**good, "eta": [[0.0, 0.2]]})
    with pytest.raises(ShapeError, match="1 events and 'eta' has 2"):
        particles({**good, "eta": [[0.0, 0.2, 0.1], []]})
    with pytest.raises(ColumnTypeError, match="'mass' does not hold numbers"):
        particles({**good, "mass": [["a", "b", "c"]]})
    with pytest.raises(ColumnTypeError, match="'mass' does not hold numbers"):
        particles({**good, "mass": ak.Array([["a", "b", "c"]])})
    with pytest.raises(ColumnTypeError, match="'mass'"):
        particles({**good, "mass": np.array([1.0])})
    with pytest.raises(ColumnTypeError, match="'mass'"):
        particles({**good, "mass": ak.Array([[[1.0], [2.0], [3.0]]])})
    given = constituents(**COLUMNS, axis=("jet_eta", "jet_phi"))
    with pytest.raises(ShapeError, match="'axis_eta' has 2 values for 1 events"):
        given({**good, "jet_eta": [0.0, 1.0], "jet_phi": [0.0]})
    with pytest.raises(ColumnTypeError, match="'axis_eta' needs an array of one number per event"):
        given({**good, "jet_eta": [[0.0]], "jet_phi": [0.0]})


def changed(name, **changes):
    description = ALL[name].to_dict()
    for key, value in changes.items():
        place = description
        *path, last = key.split("__")
        for step in path:
            place = place[int(step) if step.isdigit() else step]
        place[int(last) if last.isdigit() else last] = value
    return json.dumps(description)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no valid JSON"),
        ("{}", "something else where a text is needed"),
        (changed("lund", kind="lunds"), r"\(lunds\) is of a kind that does not exist"),
        (changed("lund", outputs=[]), "has no outputs"),
        (changed("lund", settings__speed=3), "no setting 'speed'"),
        (changed("lund", settings__features=["z", "zz"]), "no feature 'zz'"),
        (changed("lund", settings__features=["z"]), "other shapes"),
        (changed("lund", outputs__0__kind="image"), "cannot fill the output 'splittings' of kind 'image'"),
        (changed("lund", outputs__0__shape=[0, 5]), "cannot fill the output"),
        (changed("lund", columns__0__label="p"), "needs a column 'pt'"),
        (changed("constituents", settings__features=["pt"]), "another number of features"),
        (changed("constituents", settings__sort="ptt"), "no feature 'ptt'"),
        (changed("constituents", settings__rotation="half"), "no rotation 'half'"),
        (changed("constituents", settings__reflection=1), "true or false"),
        (changed("constituents", outputs__1__shape=[5]), "a mask of another length"),
        (changed("frame", settings__frame_mass=9), "frame_mass <= frame_energy"),
        (changed("frame", scalars=[{"label": "axis_eta"}]), "cannot have another axis"),
        (changed("image", settings__half_width_phi=9), "at most pi"),
        (changed("image", settings__channels=[]), "another shape"),
        (changed("image", settings__trim=1.5), "trim < 1"),
        (changed("graph", settings__space=[]), "needs a space"),
        (changed("graph", settings__edge_features=["log_z"]), "edges of another shape"),
        (changed("graph", outputs__2__shape=[5, 3]), "neighbours"),
    ],
)
def test_descriptions_that_are_refused(text, message):
    with pytest.raises(SettingError, match=message):
        made(text)
