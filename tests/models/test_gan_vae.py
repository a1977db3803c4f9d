"""Generators with a critic, variational autoencoders and banks: what is theirs, beyond every generator's."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

import hepml_root as hr
from hepml_root.data.geometry import Geometry, geometry
from hepml_root.data.showers import Showers
from hepml_root.errors import SettingError, ShapeError, UnsupportedOperationError
from hepml_root.layers import LocallyConnected
from hepml_root.layers.shower_images import ShowerImages, resampling
from hepml_root.losses import mean_discrepancy, normal_divergence

TINY = Geometry.from_dict(
    {
        "name": "tiny", "threshold": 0.01, "scale": "electromagnetic",
        "layers": [{"grid": [2, 3, 10.0, 10.0]}, {"grid": [2, 2, 15.0, 10.0]}, {"polar": [4, [0.0, 5.0]]}],
    }
)  # fmt: skip


def toy_showers(number: int = 400, seed: int = 1, eta=(-1.0, 1.0)) -> Showers:
    """Showers of three layers with fluctuating shares; cells below the threshold are empty."""
    random = np.random.default_rng(seed)
    energy = 10 ** random.uniform(1, 2, number)
    total = energy * (1 + 0.3 * random.normal(size=number) / np.sqrt(energy))
    share = random.dirichlet([4, 6, 0.5], number)
    parts = []
    for layer, where in enumerate(TINY.slices):
        cells = random.dirichlet(np.linspace(0.3, 4, where.stop - where.start), number)
        parts.append(cells * (total * share[:, layer])[:, None])
    x = np.concatenate(parts, axis=1)
    x[x < TINY.threshold] = 0.0
    return Showers(x, np.stack([energy, random.uniform(*eta, number)], axis=1), TINY, ("energy", "eta"))


SHOWERS = toy_showers()


def gan(showers=SHOWERS, **settings):
    return hr.models.shower_gan(showers, hidden=(16,), channels=2, latent=4, critic_hidden=(16,), **settings)


def vae(showers=SHOWERS, **settings):
    return hr.models.shower_vae(showers, hidden=(16, 8), channels=2, latent=3, **settings)


def bib_ae(showers=SHOWERS, **settings):
    small = {"hidden": (16,), "channels": 2, "latent": 4, "critic_hidden": (16,)}
    return hr.models.shower_bib_ae(showers, **small, **settings)


def bank():
    return hr.models.generator_bank(
        [gan(toy_showers(eta=(-1, 0))), vae(toy_showers(eta=(0, 1)))], [-1.0, 0.0, 1.0]
    )


# ------------------------------------------------------------------------------------------------ layers


@pytest.mark.parametrize("wrap", [False, True])
def test_locally_connected_is_the_sum_written_out(wrap):
    layer = LocallyConnected(2, (3, 3), wrap=wrap)
    random = np.random.default_rng(1)
    x = random.normal(size=(2, 4, 3, 2)).astype(np.float32)
    layer(x)
    layer.bias.assign(random.normal(size=layer.bias.shape))
    kernel = layer.kernel.numpy().reshape(4, 3, 3, 3, 2, 2)  # row, column, up, across, channel, filter
    wanted = np.zeros((2, 4, 3, 2)) + layer.bias.numpy().reshape(4, 3, 2)
    for row, column, i, j in np.ndindex(4, 3, 3, 3):
        r, c = row + i - 1, column + j - 1
        if wrap:
            r %= 4
        if 0 <= r < 4 and 0 <= c < 3:
            wanted[:, row, column] += x[:, r, c] @ kernel[row, column, i, j]
    np.testing.assert_allclose(layer(x), wanted, atol=1e-5)
    assert layer.count_params() == 12 * (9 * 2 * 2 + 2)
    with pytest.raises(SettingError, match="odd"):
        LocallyConnected(2, (2, 3))


def test_images_are_brought_to_other_cells():
    """Strips of 5 mm in front of cells of 40 mm: eight of them each, and of the rows of 160 mm a fourth."""
    first, second, _ = (layer.segmentation for layer in geometry("lar-3").layers)
    matrix = resampling(first, second)
    np.testing.assert_allclose(matrix.sum(axis=0), 1.0, rtol=1e-5)
    assert (np.count_nonzero(matrix, axis=0) >= 8).all()
    assert np.flatnonzero(matrix[:, 0]).tolist() == list(range(8))
    assert resampling(first, first) is None


def test_images_begin_at_the_mean_shower():
    """Without code and noise, shares are those of the mean shower, and the energy its response."""
    layer = ShowerImages(TINY, 8, 2)
    layer(np.zeros((1, 3), np.float32), np.zeros((1, TINY.cells), np.float32))
    layer.adapt(SHOWERS.energies, SHOWERS.condition("energy"))
    for end in layer.ends:  # what looks at the layer before
        end.kernel.assign(ops.zeros_like(end.kernel))
    found = np.exp(layer(np.zeros((1, 3), np.float32), np.zeros((1, TINY.cells), np.float32)))[0]
    mean = SHOWERS.energies.mean(axis=0)
    response = np.mean(SHOWERS.total_energies() / SHOWERS.condition("energy"))
    np.testing.assert_allclose(found, response * mean / mean.sum(), rtol=1e-3, atol=1e-5)


# ------------------------------------------------------------------------------------------------ losses


def test_divergences_have_their_known_values():
    """Of two normals a distance d apart, the kernel of width w in one dimension has the expectation
    sqrt(w²/(w²+2)) exp(-d²/2(w²+2)); three terms of it make the discrepancy. 3000 points: 0.02."""
    mean, log_variance = np.array([[0.5, 0.0]], np.float32), np.log(np.array([[1.0, 4.0]], np.float32))
    assert float(normal_divergence(mean, log_variance)[0, 0]) == pytest.approx(
        0.5 * (0.25 + 4.0 - 1.0 - np.log(4.0)), rel=1e-5
    )
    random = np.random.default_rng(1)
    x, y = random.normal(size=(2, 3000, 1)).astype(np.float32)
    y += 1.0
    wide = 1.0**2 + 2.0
    wanted = 2.0 * np.sqrt(1.0 / wide) * (1.0 - np.exp(-0.5 / wide))
    assert float(mean_discrepancy(x, y, widths=(1.0,))) == pytest.approx(wanted, abs=0.02)
    assert float(mean_discrepancy(x, y - 1.0, widths=(1.0,))) == pytest.approx(0.0, abs=0.005)


# ------------------------------------------------------------------------------------------------ models


@pytest.mark.parametrize(
    "make", [gan, *[pytest.param(make, marks=pytest.mark.slow) for make in (vae, bib_ae, bank)]]
)
def test_files_seeds_and_compiled_code(make, tmp_path, monkeypatch):
    """The certificate compares Keras, ONNX Runtime and C++; in C++ blocks and their order change nothing."""
    generator = make()
    random = np.random.default_rng(3)
    for weight in generator.trainable_weights:
        weight.assign(weight + random.normal(0.0, 0.03, weight.shape))
    for one in getattr(generator, "members", [generator]):  # a cell that is nearly always empty
        bias = one.images.ends[0].bias.numpy()
        bias[0] = -14.0
        one.images.ends[0].bias.assign(bias)
    conditions = SHOWERS.conditions[:150]
    made = generator.sample(conditions, seed=1, allow_extrapolation=True).energies
    assert made.shape == (150, TINY.cells)
    assert (made >= 0).all()
    assert 0 < (made == 0).mean() < 1
    again = generator.sample(conditions, seed=1, allow_extrapolation=True).energies
    np.testing.assert_array_equal(made, again)
    assert (made != generator.sample(conditions, seed=2, allow_extrapolation=True).energies).any(axis=1).all()
    generator.save(tmp_path / "generator.keras")
    loaded = keras.models.load_model(tmp_path / "generator.keras")
    np.testing.assert_array_equal(loaded.sample(conditions, seed=1, allow_extrapolation=True).energies, made)
    with pytest.raises(SettingError, match="energy=500"):
        generator.sample({"energy": 500.0, "eta": 0.0})

    monkeypatch.setenv("HEPML_ROOT_CERTIFY", "cpp")
    path = hr.export(generator, tmp_path / "generator.onnx")
    manifest = hr.export.read_manifest(path)
    assert "max_abs_difference" in manifest["parity"]["cpp"]
    assert manifest["generator"]["kind"] == generator.kind
    session = hr.Session(path, engine="cpp")
    cells = session.infer(conditions, seed=3)
    parts = [session.infer(conditions[k : k + 40], seed=3, first_event=k) for k in range(0, 150, 40)]
    np.testing.assert_array_equal(cells, np.concatenate(parts))
    assert 0 < (cells == 0).mean() < 1


def test_a_bank_is_the_generator_of_the_slice():
    """Members that make one energy each show which of them was asked."""
    low, high = gan(toy_showers(eta=(0, 1)), name="low"), gan(toy_showers(eta=(1, 2)), name="high")
    for factor, one in ((1.0, low), (3.0, high)):
        for weight in one.images.energies.weights:
            weight.assign(ops.zeros_like(weight))
        bias = np.zeros(4, np.float32)
        bias[0] = np.log(factor)
        one.images.energies.bias.assign(bias)
    made = hr.models.generator_bank([low, high])
    assert made.edges == pytest.approx((0.0, 1.0, 2.0), abs=0.01)
    eta = np.array([0.1, 0.9, 1.1, 1.9])
    total = made.sample({"energy": 50.0, "eta": eta}).total_energies()
    np.testing.assert_allclose(total / 50.0, [1.0, 1.0, 3.0, 3.0], rtol=0.01)
    with pytest.raises(UnsupportedOperationError, match="each on its slice"):
        hr.fit(made, toy_showers(eta=(0.1, 1.9)), verbose=False)


def test_banks_refuse_what_does_not_fit():
    low, high = gan(toy_showers(eta=(0, 1))), gan(toy_showers(eta=(1, 2)))
    with pytest.raises(SettingError, match="at least one"):
        hr.models.generator_bank([])
    with pytest.raises(SettingError, match="ascending"):
        hr.models.generator_bank([low, high], [0.0, 2.0])
    with pytest.raises(SettingError, match="does not cover"):
        hr.models.generator_bank([low, high], [0.0, 1.5, 2.0])
    with pytest.raises(SettingError, match="Nearest: 'eta'"):
        hr.models.generator_bank([low, high], label="etas")
    other = hr.models.shower_gan(
        Showers(np.ones((9, 504)), np.full((9, 2), 20.0), "lar-3", ("energy", "eta")),
        hidden=(4,), channels=1, critic_hidden=(4,),
    )  # fmt: skip
    with pytest.raises(ShapeError, match="lar-3"):
        hr.models.generator_bank([low, other])
    shifted = toy_showers(eta=(1, 2))
    scale = {"visible": "electromagnetic", "electromagnetic": "visible"}[shifted.geometry.scale]
    geometry = dataclasses.replace(shifted.geometry, scale=scale)
    with pytest.raises(SettingError, match="put side by side"):
        hr.models.generator_bank(
            [low, gan(Showers(shifted.energies, shifted.conditions, geometry, shifted.labels))]
        )


def test_what_a_gan_does_not_take():
    generator = gan()
    for settings in ({"accumulate": 2}, {"pretrain": "mean_score"}):
        with pytest.raises(SettingError, match="critic"):
            hr.fit(generator, SHOWERS, **settings)
    with pytest.raises(SettingError, match="val_distance"):
        hr.fit(generator, SHOWERS, monitor="val_auc")
    with pytest.raises(SettingError, match="adversarial loss"):
        gan(loss="crossentropy")
    with pytest.raises(SettingError, match="hidden"):
        hr.models.shower_gan(SHOWERS, hidden=())
    names = {variable.path for variable in generator.critic_variables}
    assert names
    assert not names & {variable.path for variable in generator.generator_variables}
    assert len(generator.critic_variables) + len(generator.generator_variables) == len(
        generator.trainable_variables
    )


@pytest.mark.slow
def test_a_vae_learns_the_energy_of_showers():
    """Response to 3 %, resolution within 30 %, shares to 0.03: what 2000 showers and a few epochs allow."""
    showers = toy_showers(2000, seed=5)
    generator = vae(showers)
    history = hr.fit(
        generator, showers, epochs=15, batch_size=50, learning_rate=5e-3, verbose=False, jit=False
    )
    assert history.metrics["val_loss"][-1] < history.metrics["val_loss"][0]
    new = generator.sample(showers, seed=1)
    response, wanted = (one.total_energies() / one.condition("energy") for one in (new, showers))
    assert response.mean() == pytest.approx(wanted.mean(), abs=0.03)
    assert response.std() == pytest.approx(wanted.std(), rel=0.3)
    shares, real = (one.layer_energies().sum(axis=0) / one.energies.sum() for one in (new, showers))
    np.testing.assert_allclose(shares, real, atol=0.03)
    for beta in (0.0, -1.0, float("nan")):
        with pytest.raises(SettingError, match="beta"):
            vae(beta=beta)
