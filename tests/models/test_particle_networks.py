"""What is particular to the networks of particles: safety, published sizes, columns, graphs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import hepml_root as hr
from hepml_root.errors import SettingError
from hepml_root.models.cost import parameters
from hepml_root.models.presets import zoo

DIRECTIONS = ["pt", "delta_eta", "delta_phi"]
SEVEN = zoo()["particle_net"].presets["lite"].shapes["particles"][1]


def scores(model, blocks) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(blocks, training=False))[:, 0]


def jets(events: int = 50, constituents: int = 12, spare: int = 6, seed: int = 1):
    """Jets of p_T, Δη, Δφ with room for more constituents: (values, mask, count)."""
    random = np.random.default_rng(seed)
    values = np.zeros((events, constituents + spare, 3), "float32")
    count = random.integers(2, constituents + 1, events)
    mask = (np.arange(constituents + spare) < count[:, None]).astype("float32")
    values[..., 0] = random.exponential(20.0, values.shape[:2]) + 1.0
    values[..., 1:] = random.normal(0.0, 0.3, (*values.shape[:2], 2))
    return values * mask[..., None], mask, count


def blocks_of(values, mask):
    return {"particles": values, "particles_mask": mask}


# ------------------------------------------------------------------------------------------------ safety


@pytest.fixture(scope="module")
def energy_flow():
    """Return an EFN whose directions were standardised by data, and its jets."""
    values, mask, count = jets()
    data = hr.Dataset.from_arrays(
        blocks_of(values, mask), np.arange(50) % 2, columns={"particles": DIRECTIONS}
    )
    return hr.models.efn(data, phi=(16, 8), hidden=(8, 8)), values, mask, count


def test_collinear_splitting_changes_nothing(energy_flow):
    """z and (1 - z) of a constituent at its own angle: the sums are the same up to their rounding."""
    model, values, mask, count = energy_flow
    split, split_mask = values.copy(), mask.copy()
    for event, number in enumerate(count):
        share = 0.1 + 0.8 * event / 50
        split[event, number] = split[event, 0]
        split[event, 0, 0] *= share
        split[event, number, 0] *= 1.0 - share
        split_mask[event, number] = 1.0
    change = np.abs(scores(model, blocks_of(split, split_mask)) - scores(model, blocks_of(values, mask)))
    # Sums of 18 terms and the momenta themselves, each rounded to 6e-8 of numbers of order 1 to 10.
    assert change.max() < 1e-5
    # The same for a network that is not safe.
    unsafe = hr.models.pfn({"particles": (18, 3)}, phi=(16, 8), hidden=(8, 8), activation="tanh")
    change = scores(unsafe, blocks_of(split, split_mask)) - scores(unsafe, blocks_of(values, mask))
    assert np.abs(change).max() > 1e-2


@pytest.mark.parametrize("fraction", [1e-1, 1e-2, 1e-3, 1e-5])
def test_soft_particles_change_less_than_their_bound(energy_flow, fraction):
    r"""A particle of the fraction z moves each sum by at most 2 z max|Φ|, and the score by at most that times
    the Lipschitz constant of F: the product of its matrices' norms, and 1/4 for the sigmoid."""
    model, values, mask, count = energy_flow
    soft, soft_mask = values.copy(), mask.copy()
    random = np.random.default_rng(3)
    events = np.arange(50)
    total = values[..., 0].sum(axis=1)
    soft[events, count, 0] = fraction / (1.0 - fraction) * total
    soft[events, count, 1:] = random.uniform(-0.8, 0.8, (50, 2))
    soft_mask[events, count] = 1.0
    change = np.abs(scores(model, blocks_of(soft, soft_mask)) - scores(model, blocks_of(values, mask)))
    phi = np.asarray(model.get_layer("filters")(soft[..., 1:]))
    longest = np.linalg.norm(phi, axis=-1).max()
    stretch = np.prod(
        [
            np.linalg.norm(np.asarray(model.get_layer(name).kernel), 2)
            for name in ("head_1", "head_2", "output")
        ]
    )
    assert change.max() < 2.0 * fraction * longest * stretch / 4.0 + 1e-5
    if fraction > 1e-3:
        assert change.max() > 1e-2 * fraction * longest  # the particle is seen at all


def test_energy_flow_does_not_see_other_columns():
    """Neither the scale of the momenta nor any further column."""
    values, mask, _ = jets()
    columns = [*DIRECTIONS, "charge"]
    model = hr.models.efn({"particles": (18, columns)}, phi=(6, 5), hidden=(4,))
    charge = np.random.default_rng(2).integers(-1, 2, (50, 18, 1)).astype("float32")
    first = scores(model, blocks_of(np.concatenate([values, charge], -1), mask))
    changed = np.concatenate([values * np.array([1000.0, 1, 1], "float32"), -charge], -1)
    np.testing.assert_allclose(scores(model, blocks_of(changed, mask)), first, rtol=1e-5, atol=1e-6)


def test_energy_flow_in_one_coordinate():
    model = hr.models.efn({"particles": (18, ["pt", "delta_r"])}, coordinates="delta_r", phi=(6,), hidden=())
    assert model.get_layer("filters").input_shape == (None, None, 1)


@pytest.mark.parametrize("label", ["log_pt", "pt_fraction", "log_pt_fraction"])
def test_energy_fractions_from_what_there_is(label):
    values, mask, _ = jets()
    wanted = hr.models.efn({"particles": (18, DIRECTIONS)}, phi=(6,), hidden=(4,))
    found = hr.models.efn({"particles": (18, [label, *DIRECTIONS[1:]])}, phi=(6,), hidden=(4,))
    other = values.copy()
    if "fraction" in label:
        other[..., 0] /= values[..., 0].sum(axis=1, keepdims=True)
    if "log" in label:
        other[..., 0] = np.log(np.maximum(other[..., 0], 1e-6)) * mask
    a, b = scores(wanted, blocks_of(values, mask)), scores(found, blocks_of(other, mask))
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------------------------------------ sizes


@pytest.mark.parametrize(
    ("name", "preset", "published", "digits"),
    [
        ("pfn", "published", 82_000, 1_000),
        ("efn", "published", 82_000, 1_000),
        ("particle_net", "full", 366_000, 1_000),
        ("particle_net", "lite", 26_000, 1_000),
        ("particle_transformer", "published", 2_140_000, 10_000),
    ],
)
def test_parameters_are_as_published(name, preset, published, digits):
    """To the digits that the papers give."""
    entry = zoo()[name]
    chosen = entry.presets[preset]
    shapes = {"particles": (8, chosen.shapes["particles"][1])}  # constituents share their weights
    assert chosen.parameters == published
    found = parameters(entry.build(shapes, preset))
    # One output in place of two classes (257) or ten (1161), which the published numbers have.
    assert abs(found - published) < digits
    if name == "particle_net":
        width, layers = {"full": (256, 3), "lite": (128, 2)}[preset]
        assert found + width + 1 == {"full": 366_146, "lite": 26_402}[preset]
        assert (
            len([layer for layer in entry.build(shapes, preset).layers if "edge_conv" in layer.name])
            == layers
        )


# ------------------------------------------------------------------------------------------------ columns


@pytest.mark.parametrize(
    ("name", "columns", "settings", "message"),
    [
        ("particle_net", ["pt", "eta", "phi"], {}, "no column 'delta_eta'.*Nearest: 'eta'.*coordinates="),
        ("particle_net", 3, {}, "'delta_eta'.*columns have no names"),
        (
            "particle_net",
            SEVEN,
            {"features": ["log_ptt"]},
            "no column 'log_ptt'. Nearest: 'log_pt'.*features=",
        ),
        ("particle_net", SEVEN, {"channels": (32, 32)}, "for each edge convolution"),
        ("particle_net", SEVEN, {"k": 0}, "k=0"),
        ("efn", ["delta_eta", "delta_phi"], {}, "no column 'pt'.*'log_pt'"),
        ("efn", ["pt", "delta_eta"], {}, "no column 'delta_phi'"),
        ("particle_transformer", ["pt", "mass"], {}, "no column 'delta_eta'"),
        (
            "particle_transformer",
            DIRECTIONS,
            {"units": 10, "heads": 3},
            "units=10 must be a multiple of heads=3",
        ),
        ("particle_transformer", DIRECTIONS, {"coordinates": ["delta_eta"]}, "two columns are needed"),
        ("set_transformer", 3, {"points": -1}, "points=-1"),
        ("pfn", 3, {"pooling": "median"}, "no pooling 'median'"),
        ("pfn", 3, {"block": "jets"}, "no jagged block 'jets'"),
        ("interaction_network", 3, {"graph": "given"}, "no graph of 'particles'"),
        ("interaction_network", 3, {"rounds": 0}, "rounds=0"),
    ],
)
def test_refusals(name, columns, settings, message):
    with pytest.raises(SettingError, match=message):
        getattr(hr.models, name)({"particles": (6, columns)}, **settings)


def test_columns_can_be_chosen():
    """A network that is given two of the columns has that many inputs, and does not look at the others."""
    shapes = {"particles": (18, [*DIRECTIONS, "charge"])}
    model = hr.models.pfn(shapes, phi=(4,), hidden=(), features=["charge", "pt"])
    assert model.get_layer("phi_1").kernel.shape == (2, 4)
    values, mask, _ = jets()
    values = np.concatenate([values, mask[..., None]], axis=-1)
    moved = values + np.array([0.0, 1.0, 1.0, 0.0], "float32")
    np.testing.assert_array_equal(
        scores(model, blocks_of(values, mask)), scores(model, blocks_of(moved, mask))
    )


def test_pairs_with_absolute_angles_and_masses():
    """φ beyond π is the same direction, and a heavier particle another one."""
    columns = ["pt", "eta", "phi", "mass"]
    model = hr.models.particle_transformer(
        {"particles": (18, columns)},
        8,
        heads=2,
        blocks=1,
        activation="tanh",
        features=["pt", "eta"],
        embedding=(4,),
    )
    values, mask, _ = jets()
    values = np.concatenate([values, 0.14 * mask[..., None]], axis=-1)
    values[..., 0] /= 20.0  # of order 1, as there are no data to standardise by
    first = scores(model, blocks_of(values, mask))
    turned = values.copy()
    turned[:, ::2, 2] += np.float32(2.0 * np.pi)
    np.testing.assert_allclose(scores(model, blocks_of(turned, mask)), first, rtol=1e-5, atol=1e-5)
    heavier = values * np.array([1, 1, 1, 100], "float32")
    assert np.abs(scores(model, blocks_of(heavier, mask)) - first).max() > 1e-4


def test_a_given_graph_carries_the_messages():
    """Along the graph of all pairs: as without a graph. Cut edges and pair features count."""
    values, mask, _ = jets(events=20, constituents=5, spare=0)
    others = np.array([[j for j in range(5) if j != i] for i in range(5)], "float32")
    graph = {
        **blocks_of(values, mask),
        "particles_neighbours": np.broadcast_to(others, (20, 5, 4)).astype("float32"),
        "particles_edges": np.zeros((20, 5, 4, 1), "float32"),
        "particles_edges_mask": (mask[:, None] * mask[..., None])[
            :, np.arange(5)[:, None], others.astype(int)
        ],
    }
    shapes = {"particles": (5, 3), "particles_neighbours": (5, 4), "particles_edges": (5, 4, 1)}
    settings = {"relation": (6, 5), "objects": (4,), "hidden": (3,), "rounds": 2, "activation": "tanh"}
    model = hr.models.interaction_network(shapes, **settings)
    plain = hr.models.interaction_network(shapes, graph="all", **settings)
    for weight, own in zip(model.trainable_weights, plain.trainable_weights, strict=True):
        own.assign(np.asarray(weight)[: own.shape[0]])  # without the pair feature's row
    first = scores(model, graph)
    np.testing.assert_allclose(first, scores(plain, blocks_of(values, mask)), rtol=1e-5, atol=1e-6)
    cut = {**graph, "particles_edges_mask": 0.0 * graph["particles_edges_mask"]}
    told = {**graph, "particles_edges": np.ones((20, 5, 4, 1), "float32")}
    for changed in (cut, told):
        assert np.abs(scores(model, changed) - first).max() > 1e-4


def test_all_poolings():
    values, mask, _ = jets()
    values[:, -1] = np.nan
    for pooling in ("sum", "mean", "max", "attention"):
        model = hr.models.pfn(
            {"particles": (18, 3)}, phi=(4,), hidden=(3,), activation="tanh", pooling=pooling
        )
        found = scores(model, blocks_of(values, mask))
        assert np.isfinite(found).all()
        assert found.std() > 0


def test_training_sees_no_padding():
    """One epoch with garbage in the padding, and with zeros: the same network.

    Two steps each, of the same operations as when they are compiled, which takes many times longer.
    """
    tf.config.run_functions_eagerly(True)
    try:
        _trained_with_and_without_padding()
    finally:
        tf.config.run_functions_eagerly(False)


def _trained_with_and_without_padding():
    values, mask, _ = jets(events=64, constituents=5, spare=2)
    labels = np.arange(64) % 2
    weights = []
    for padding in (0.0, 1e6):
        filled = np.where(mask[..., None] > 0.5, values, np.float32(padding))
        data = hr.Dataset.from_arrays(blocks_of(filled, mask), labels, columns={"particles": DIRECTIONS})
        model = hr.models.particle_net(data, ((4, 4), (5,)), k=3, hidden=(4,), dropout=0.0)
        hr.fit(model, data, validation=None, epochs=1, batch_size=32, jit=False, verbose=False)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
