"""The comparison of runtimes: it finds what differs, allows what rounding does, and says where."""

from __future__ import annotations

import numpy as np
import pytest

from hepml_root.errors import ModelFileError, ParityError, ShapeError
from hepml_root.export import parity

KINDS = {"features": "flat", "jets": "jagged", "jets_mask": "mask"}


def events(count: int = 100) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    mask = np.arange(4) < rng.integers(0, 5, count)[:, None]
    return {
        "features": rng.normal(size=(count, 3)).astype(np.float32),
        "jets": rng.normal(size=(count, 4, 2)).astype(np.float32),
        "jets_mask": mask.astype(np.float32),
    }


def network(blocks, factor: float = 1.0, precision=np.float64):
    """A sum of features and of the jets that are there."""
    x = blocks["features"].astype(precision)
    jets = blocks["jets"].astype(precision) * blocks["jets_mask"][..., None]
    total = np.tanh(x.sum(axis=-1, keepdims=True) + factor * jets.sum(axis=(1, 2))[:, None])
    return [total.astype(np.float32)]


def test_compare() -> None:
    a = np.array([[1.0], [np.inf], [np.nan], [-4.0]])
    assert parity.compare(a, a) == parity.Difference(0.0, 0.0, 0)
    b = a.copy()
    b[3] = -5.0
    assert parity.compare(a, b) == parity.Difference(1.0, 0.2, 3)
    b[1] = -np.inf
    assert parity.compare(a, b).max_abs == np.inf
    b[1], b[2] = np.inf, 0.0
    assert parity.compare(a, b) == parity.Difference(np.inf, np.inf, 2)
    assert parity.compare(np.zeros((0, 1)), np.zeros((0, 1))).max_abs == 0.0
    with pytest.raises(ShapeError):
        parity.compare(a, b[:2])


def test_edge_events_hold_what_breaks_networks() -> None:
    real = events()
    edges, names = parity.edge_events(real, KINDS, missing=True)
    assert {len(array) for array in edges.values()} == {len(names)} == {len(parity.EDGES)}
    assert {name: array.shape[1:] for name, array in edges.items()} == {
        n: a.shape[1:] for n, a in real.items()
    }
    features = edges["features"]
    assert (features[0] == 0).all()
    assert np.nanmax(features) == pytest.approx(1000.0 * np.abs(real["features"]).max())
    assert np.nanmin(features) == -np.nanmax(features)
    assert ((features > 0) & (features < np.finfo(np.float32).tiny)).any()
    assert np.isnan(features[-1]).all()
    assert set(edges["jets_mask"].sum(axis=1)) == {0.0, 1.0, 4.0}
    garbage = names.index("garbage behind the mask")
    assert edges["jets_mask"][garbage].tolist() == [1, 0, 0, 0]
    np.testing.assert_array_equal(edges["jets"][garbage][0], real["jets"][0][0])
    assert (edges["jets"][garbage][1:] > 900.0).all()


def test_edge_events_of_images_and_graphs() -> None:
    rng = np.random.default_rng(1)
    real = {
        "image": rng.normal(size=(20, 3, 3, 1)),
        "index": rng.integers(0, 4, (20, 4, 2)),
        "edges": rng.normal(size=(20, 4, 2, 3)),
        "edges_mask": rng.random((20, 4, 2)) < 0.5,
    }
    kinds = {"image": "image", "index": "index", "edges": "edges", "edges_mask": "mask"}
    edges, _ = parity.edge_events({name: array.astype(np.float32) for name, array in real.items()}, kinds)
    assert np.abs(edges["image"]).max() > 900.0
    assert np.abs(edges["edges"]).max() > 900.0
    assert (edges["index"][0] == 0).all()
    assert (edges["index"][1:] == real["index"][0]).all()
    assert set(edges["edges_mask"].sum(axis=(1, 2))) == {0.0, 2.0, 8.0}


def test_the_same_function_passes() -> None:
    held = parity.reference(network, events(), KINDS, probabilities=True)
    single = lambda blocks: network(blocks, precision=np.float32)  # noqa: E731
    entry = parity.check(held, single, ["score"], ("double", "single"))
    assert entry["events"] == 100
    assert entry["edge_events"] == 10
    assert set(parity.EDGES) - set(entry["edges"]) == {"missing"}
    assert 0.0 < entry["max_abs_difference"] < 1e-6


def test_a_small_difference_is_found_and_named() -> None:
    held = parity.reference(network, events(), KINDS, probabilities=True)
    with pytest.raises(ParityError, match=r"one and two do not agree: output 'score' of (edge )?event \d+"):
        parity.check(held, lambda blocks: network(blocks, factor=1.001), ["score"], ("one", "two"))


def test_a_runtime_that_fails_in_small_batches_only_is_found() -> None:
    held = parity.reference(network, events(), KINDS)

    def odd(blocks):
        (output,) = network(blocks)
        return [output + (1.0 if len(output) == 7 else 0.0)]

    with pytest.raises(ParityError, match="batches of 7"):
        parity.check(held, odd, ["score"], ("one", "two"))


def test_nan_on_one_side_is_a_difference() -> None:
    held = parity.reference(network, events(), KINDS)

    def broken(blocks):
        (output,) = network(blocks)
        return [np.where(np.abs(blocks["features"]).max(axis=-1, keepdims=True) > 100.0, np.nan, output)]

    with pytest.raises(ParityError, match=r"edge event 3 \(1000 times the largest\) is .* and nan"):
        parity.check(held, broken, ["score"], ("one", "two"))


def test_a_runtime_may_take_denormal_numbers_as_zero() -> None:
    def logarithm(blocks):
        with np.errstate(divide="ignore"):
            return [np.log(np.abs(blocks["features"]).sum(axis=-1, keepdims=True))]

    def flushing(blocks):
        tiny = np.finfo(np.float32).tiny
        return logarithm({name: np.where(np.abs(array) < tiny, 0.0, array) for name, array in blocks.items()})

    real = {"features": events()["features"]}
    held = parity.reference(logarithm, real, KINDS)
    assert parity.check(held, flushing, ["score"], ("one", "two"))["edge_max_abs_difference"] < 1e-6


def test_ill_conditioned_events_are_held_to_what_their_inputs_determine() -> None:
    def cancelling(blocks, precision):
        x = blocks["features"].astype(precision)
        return [((x + precision(1e4)) - precision(1e4)).sum(axis=-1, keepdims=True).astype(np.float32)]

    far = {"features": (1e6 + events()["features"]).astype(np.float32)}

    def difference(blocks, precision=np.float64):
        x = blocks["features"].astype(precision)
        return [(x[:, :1] - x[:, 1:2] + precision(1e-3) * x[:, 2:]).astype(np.float32)]

    held = parity.reference(difference, far, {"features": "flat"})
    parity.check(held, lambda blocks: difference(blocks, np.float32), ["score"], ("double", "single"))
    # Where nothing cancels, the same absolute error is a fault.
    near = parity.reference(
        lambda blocks: cancelling(blocks, np.float64), {"features": events()["features"]}, {}
    )
    with pytest.raises(ParityError):
        parity.check(near, lambda blocks: cancelling(blocks, np.float32), ["score"], ("double", "single"))


def test_the_scale_of_a_regression_goes_by_column() -> None:
    def two(blocks, error=0.0):
        x = blocks["features"][:, :1]
        return [np.concatenate([1000.0 + x, 0.001 * np.tanh(x) + error], axis=1).astype(np.float32)]

    held = parity.reference(two, {"features": events()["features"]}, {"features": "flat"})
    parity.check(held, two, ["score"], ("one", "two"))
    with pytest.raises(ParityError):  # small against 1000, large against 0.001
        parity.check(held, lambda blocks: two(blocks, 1e-6), ["score"], ("one", "two"))


def test_a_larger_shower_has_larger_roundings() -> None:
    """Of a generator, `least` is what roundings may do to a cell: with ten times the energy, ten times it."""
    share = np.array([0.9, 0.1, 0.0], np.float32)
    energies = {"features": np.full((20, 1), 10.0, np.float32)}

    def showers(blocks):
        energy = np.abs(blocks["features"][:, :1])
        full = np.minimum(0.4 * energy, 4.0).astype(np.float32)  # a cell that holds no more than 4 GeV
        return [np.concatenate([energy * share, full], axis=1)]

    held = parity.reference(showers, energies, {"features": "flat"}, least=2.0)
    bounds = dict(zip(held.edges, held.bounds[0][20:], strict=True))
    # The empty cell has no scale of its own, and the last bit of the energy does nothing to it.
    assert held.bounds[0][:20, 2] == pytest.approx(2e-5)
    assert bounds["10 times the largest"][2] == pytest.approx(2e-4)
    assert held.bounds[0][:20, 3].max() < 1e-4
    assert bounds["10 times the largest"][3] == pytest.approx(4e-4)
    assert bounds["zeros"][2] == pytest.approx(2e-5)
    usual = parity.reference(showers, energies, {"features": "flat"})
    assert usual.bounds[0][:, 2] == pytest.approx(1e-5)


def test_an_output_that_is_always_zero_has_the_scale_one() -> None:
    def untrained(blocks, error=0.0):
        return [np.full((len(blocks["features"]), 1), error, np.float32)]

    held = parity.reference(untrained, {"features": events()["features"]}, {"features": "flat"})
    parity.check(held, lambda blocks: untrained(blocks, 1e-13), ["score"], ("one", "two"))
    with pytest.raises(ParityError):
        parity.check(held, lambda blocks: untrained(blocks, 1e-3), ["score"], ("one", "two"))


def test_the_probe_is_small_and_verifies() -> None:
    held = parity.reference(network, events(), KINDS)
    manifest = {"probe": parity.probe(held, ["score"]), "outputs": [{"name": "score"}]}
    assert manifest["probe"]["inputs"]["jets"]["shape"] == [64, 4, 2]
    assert parity.verify(manifest, network) == parity.Difference(0.0, 0.0, 0)
    assert parity.verify(manifest, lambda blocks: [network(blocks)[0] + 1.0]).max_abs == pytest.approx(1.0)
    large = {"image": np.zeros((50, 200, 200), np.float32)}
    held = parity.reference(
        lambda blocks: [blocks["image"].sum(axis=(1, 2))[:, None]], large, {"image": "flat"}
    )
    assert parity.probe(held, ["score"])["inputs"]["image"]["shape"][0] == 4
    with pytest.raises(ModelFileError, match="no probe"):
        parity.verify({"probe": {"inputs": {}, "outputs": {}}, "outputs": []}, network)
