"""Layers on sets of constituents against numbers worked out by hand or by numpy."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from hepml_root.errors import SettingError
from hepml_root.layers.attention import SetAttention, mask_bias
from hepml_root.layers.edge_conv import EdgeConv
from hepml_root.layers.masked_normalization import MaskedBatchNormalization
from hepml_root.layers.message_passing import Messages
from hepml_root.layers.neighbours import NearestNeighbours, gather, nearest_neighbours, squared_distances
from hepml_root.layers.pairwise import PairBias, PairKinematics, upper_triangle
from hepml_root.layers.particle_attention import ClassAttentionBlock, ParticleAttentionBlock
from hepml_root.layers.pooling import AttentionPooling, MaskedPooling, WeightedPooling
from hepml_root.layers.set_attention import InducedSetBlock, SetBlock

NAN = float("nan")


def sets(events: int = 6, constituents: int = 7, features: int = 3, seed: int = 1):
    """Random sets of 0, 1, … constituents, and their mask."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(events, constituents, features)).astype(np.float32)
    count = np.minimum(np.arange(events), constituents)
    mask = (np.arange(constituents) < count[:, None]).astype(np.float32)
    return x, mask


def garbage(x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.where(mask[..., None] > 0.5, x, np.float32(NAN)).astype(np.float32)


# ------------------------------------------------------------------------------------------------ pooling


def test_pooling_by_hand():
    x = np.array([[[1.0, -4.0], [3.0, -2.0], [NAN, NAN]], [[NAN, 1.0], [2.0, 1.0], [2.0, NAN]]], "float32")
    mask = np.array([[1, 1, 0], [0, 0, 0]], "float32")
    expected = {"sum": [4.0, -6.0], "mean": [2.0, -3.0], "max": [3.0, -2.0]}
    for how, values in expected.items():
        found = np.asarray(MaskedPooling(how)([x, mask]))
        np.testing.assert_array_equal(found, [values, [0.0, 0.0]])
    weight = np.array([[1.0, 3.0, NAN], [5.0, 5.0, 5.0]], "float32")
    np.testing.assert_allclose(WeightedPooling()([x, weight, mask]), [[2.5, -2.5], [0.0, 0.0]], rtol=1e-6)
    with pytest.raises(SettingError, match="Nearest: 'mean'"):
        MaskedPooling("meen")


def test_attention_pooling_by_hand():
    """Weights e^0 and e^ln3: a quarter and three quarters, for each head its own."""
    layer = AttentionPooling(heads=2)
    x = np.array([[[0.0, 4.0], [np.log(3.0), 8.0], [NAN, NAN]]], "float32")
    mask = np.array([[1, 1, 0]], "float32")
    layer.build([x.shape, mask.shape])
    layer.query.assign([[1.0, 1.0], [0.0, 0.0]])
    np.testing.assert_allclose(layer([x, mask]), [[0.75 * np.log(3.0), 7.0]], rtol=1e-6)
    np.testing.assert_array_equal(layer([x, 0.0 * mask]), [[0.0, 0.0]])
    with pytest.raises(SettingError, match="heads=2"):
        AttentionPooling(heads=2)([x[..., :1], mask])


# ------------------------------------------------------------------------------------------------ neighbours


@pytest.mark.parametrize("coordinates", [2, 9])
def test_neighbours_are_those_of_numpy(coordinates):
    x, mask = sets(8, 9, coordinates, seed=3)
    index, there = (np.asarray(y) for y in nearest_neighbours(x, mask, 4))
    for event in range(8):
        real = np.flatnonzero(mask[event])
        for i in range(9):
            if i not in real:
                assert not there[event, i].any()
                continue
            distance = ((x[event, real] - x[event, i]) ** 2).sum(axis=1)
            order = [j for j in real[np.argsort(distance)] if j != i][:4]
            assert there[event, i].sum() == len(order)
            assert index[event, i][: len(order)].tolist() == order


def test_neighbours_by_the_operator_for_export_are_the_same():
    """Symbolic tensors take top_k, with the same choice among equal distances."""
    x = np.random.default_rng(5).integers(0, 3, (5, 8, 2)).astype("float32")  # many are equal
    mask = np.ones((5, 8), "float32")
    symbolic = keras.Input((8, 2)), keras.Input((8,))
    traced = keras.Model(symbolic, nearest_neighbours(*symbolic, 5))
    for found, wanted in zip(traced([x, mask]), nearest_neighbours(x, mask, 5), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_more_neighbours_than_constituents():
    x, mask = sets(3, 3, 2)
    assert np.asarray(nearest_neighbours(x, mask, 16)[0]).shape == (3, 3, 2)
    index, there = nearest_neighbours(x[:, :1], mask[:, :1], 4)
    assert np.asarray(there).max() == 0
    assert np.asarray(index).shape == (3, 1, 1)
    with pytest.raises(SettingError, match="k=0"):
        NearestNeighbours(0)


def test_distances_of_close_points_keep_their_digits():
    """Collinear particles 1e-4 rad apart at 0.8 rad: |a|² + |b|² - 2ab would keep no digit of 1e-8."""
    points = np.array([[[0.8, 0.8], [0.8001, 0.8]]], "float32")
    wanted = float((points[0, 1, 0].astype("f8") - points[0, 0, 0].astype("f8")) ** 2)
    assert float(squared_distances(tf.constant(points))[0, 0, 1]) == pytest.approx(wanted, rel=1e-6)


def test_gather_and_its_gradient():
    x, _ = sets(4, 5, 3)
    index = np.random.default_rng(2).integers(0, 5, (4, 5, 2))
    wanted = np.stack([x[event][index[event]] for event in range(4)])
    np.testing.assert_array_equal(gather(x, index), wanted)
    values = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = tf.reduce_sum(gather(values, index))
    times = np.stack([np.bincount(index[event].ravel(), minlength=5) for event in range(4)])
    np.testing.assert_allclose(tape.gradient(total, values), np.repeat(times[..., None], 3, -1))


# ------------------------------------------------------------------------------------------------ convolution


def plain_edge_conv(layer: EdgeConv, x, index, there, mask):
    """Edge convolution constituent by constituent, as in the paper."""
    kernels = [np.asarray(kernel) for kernel in layer.kernels]
    out = np.zeros((*x.shape[:2], layer.channels[-1]))
    for event, i in zip(*np.nonzero(mask), strict=True):
        total, number = np.zeros(layer.channels[-1]), 0
        for j, real in zip(index[event, i], there[event, i], strict=True):
            if not real:
                continue
            y = np.concatenate([x[event, i], x[event, j] - x[event, i]])
            for kernel in kernels:
                y = np.maximum(y @ kernel / np.sqrt(1.001), 0.0)  # mean 0, variance 1 + epsilon
            total, number = total + y, number + 1
        shortcut = x[event, i] @ np.asarray(layer.shortcut) / np.sqrt(1.001)
        out[event, i] = np.maximum(total / max(number, 1) + shortcut, 0.0)
    return out


def test_edge_conv_of_three_points_by_hand():
    """h(x_i, x_j - x_i) = relu(x_i + 2 (x_j - x_i)) with the two neighbours of each; shortcut 10 x_i."""
    layer = EdgeConv((1,))
    x = np.array([[[0.0], [1.0], [3.0]]], "float32")
    index, there = nearest_neighbours(x, np.ones((1, 3), "float32"), 2)
    inputs = [x, index, there, np.ones((1, 3), "float32")]
    layer.build([np.shape(each) for each in inputs])
    layer.kernels[0].assign([[1.0], [2.0]])
    layer.shortcut.assign([[10.0]])
    for norm in (*layer.normalizations, layer.shortcut_normalization):
        norm.epsilon = 0.0
    # Of 0: (2 + 6)/2; of 1: (relu(-1) + 5)/2 + 10; of 3: (relu(-3) + relu(-1))/2 + 30.
    np.testing.assert_allclose(np.asarray(layer(inputs))[0, :, 0], [4.0, 12.5, 30.0], rtol=1e-6)


def test_edge_conv_is_that_of_the_paper():
    x, mask = sets(6, 7, 3)
    index, there = nearest_neighbours(x, mask, 3)
    layer = EdgeConv((5, 4))
    found = layer([garbage(x, mask), index, there, mask])
    wanted = plain_edge_conv(layer, x, np.asarray(index), np.asarray(there), mask)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    with pytest.raises(SettingError, match="channels"):
        EdgeConv(())


def test_training_statistics_do_not_see_padding():
    """The same constituents with more padding: the same output and averages, in training."""
    x, mask = sets(6, 7, 3)
    results = []
    for more in (0, 4):
        keras.utils.set_random_seed(1)
        longer = np.concatenate([garbage(x, mask), np.full((6, more, 3), NAN, "float32")], axis=1)
        longer_mask = np.concatenate([mask, np.zeros((6, more), "float32")], axis=1)
        index, there = NearestNeighbours(3)([longer, longer_mask])
        layer = EdgeConv((5, 4))
        y = np.asarray(layer([longer, index, there, longer_mask], training=True))
        assert not y[:, 7:].any()
        results.append([y[:, :7], *(np.asarray(weight) for weight in layer.non_trainable_weights)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_masked_normalization_is_that_of_the_real_constituents():
    x, mask = sets(6, 7, 3)
    x = 5.0 + 2.0 * x
    layer = MaskedBatchNormalization(momentum=0.9)
    found = np.asarray(layer([garbage(x, mask), mask], training=True))
    real = x[mask > 0.5].astype("f8")
    wanted = (real - real.mean(axis=0)) / np.sqrt(real.var(axis=0) + 1e-3)
    np.testing.assert_allclose(found[mask > 0.5], wanted, rtol=1e-4, atol=1e-4)
    assert not found[mask < 0.5].any()
    np.testing.assert_allclose(layer.moving_mean, 0.1 * real.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * real.var(axis=0), rtol=1e-4)
    # A batch of empty events teaches nothing.
    before = layer.get_weights()
    assert not np.asarray(layer([x, 0.0 * mask], training=True)).any()
    for a, b in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_normalization_folded_into_a_dense_layer_is_the_same():
    x, mask = sets(6, 7, 3)
    kernel = np.random.default_rng(4).normal(size=(3, 5)).astype("float32")
    bias = np.linspace(-1, 1, 5, dtype="float32")
    plain, folded = MaskedBatchNormalization(), MaskedBatchNormalization()
    for norm in (plain, folded):
        norm.build_features(5)
        norm.gamma.assign(np.linspace(0.5, 2, 5))
        norm.beta.assign(np.linspace(-0.3, 0.3, 5))
    for training in (True, False):
        wanted = plain.normalised(x @ kernel + bias, mask, training)
        new_kernel, new_bias = folded.folded(kernel, bias, x, mask, training)
        np.testing.assert_allclose(x @ np.asarray(new_kernel) + new_bias, wanted, rtol=1e-4, atol=1e-4)
    for a, b in zip(plain.get_weights(), folded.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------------------------------------ messages


def test_messages_are_sums_over_ordered_pairs():
    x, mask = sets(6, 5, 2)
    layer = Messages((4, 3))
    found = np.asarray(layer([garbage(x, mask), mask]))
    k0, k1 = (np.asarray(kernel) for kernel in layer.kernels)
    wanted = np.zeros_like(found)
    for event in range(6):
        real = np.flatnonzero(mask[event])
        for i in real:
            for j in real:
                if i != j:
                    h = np.maximum(np.concatenate([x[event, i], x[event, j]]) @ k0, 0.0)
                    wanted[event, i] += np.maximum(h @ k1, 0.0)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    # Along a graph of all others, the same; the order of the neighbours does not matter.
    index, there = nearest_neighbours(x, mask, 4)
    np.testing.assert_allclose(layer([garbage(x, mask), mask, index, there]), wanted, rtol=1e-5, atol=1e-5)


def test_pair_features_enter_messages():
    layer = Messages((1,), activation="linear", mean=True)
    x, mask = np.zeros((1, 3, 1), "float32"), np.array([[1, 1, 0]], "float32")
    index = np.array([[[1, 2], [0, 2], [0, 1]]], "float32")
    there = np.array([[[1, 0], [1, 0], [0, 0]]], "float32")
    edges = np.array([[[[7.0], [NAN]], [[9.0], [NAN]], [[NAN], [NAN]]]], "float32")
    inputs = [x, mask, index, there, edges]
    layer.build([each.shape for each in inputs])
    layer.kernels[0].assign([[1.0], [1.0], [2.0]])
    np.testing.assert_allclose(layer(inputs), [[[14.0], [18.0], [0.0]]])


# ------------------------------------------------------------------------------------------------ pairs


def four_momenta(pt, eta, phi, mass):
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    return np.stack([np.sqrt(px**2 + py**2 + pz**2 + mass**2), px, py, pz], axis=-1)


@pytest.mark.parametrize("massive", [False, True])
def test_pair_kinematics_against_four_momenta(massive):
    random = np.random.default_rng(6)
    pt, eta = random.exponential(20.0, (5, 6)) + 1.0, random.normal(0.0, 1.0, (5, 6))
    phi = random.uniform(-np.pi, np.pi, (5, 6))
    mass = random.exponential(2.0, (5, 6)) if massive else np.zeros((5, 6))
    inputs = [np.stack([eta, phi], axis=-1), pt[..., None]]
    if massive:
        inputs.append(np.stack([mass, eta], axis=-1))
    found = np.asarray(PairKinematics(wrap=True)([each.astype("float32") for each in inputs]))
    a, b, _ = upper_triangle(6)
    p = four_momenta(pt, eta, phi, mass)
    total = p[:, a] + p[:, b]
    m2 = total[..., 0] ** 2 - (total[..., 1:] ** 2).sum(axis=-1)
    d_phi = (phi[:, a] - phi[:, b] + np.pi) % (2 * np.pi) - np.pi
    delta = np.hypot(eta[:, a] - eta[:, b], d_phi)
    softer = np.minimum(pt[:, a], pt[:, b])
    wanted = np.stack([delta, softer * delta, softer / (pt[:, a] + pt[:, b]), m2], axis=-1)
    np.testing.assert_allclose(found, np.log(wanted), rtol=1e-4, atol=1e-4)


def test_masses_of_close_energetic_pairs():
    """Two pions of 500 GeV, 1 mrad apart: E² - p² in float32 would be noise."""
    pt, eta, phi = np.array([500.0, 400.0]), np.array([1.0, 1.001]), np.array([0.3, 0.3])
    mass = np.array([0.13957, 0.13957])
    inputs = [np.stack([eta, phi], -1)[None], pt[None, :, None], np.stack([mass, eta], -1)[None]]
    inputs = [each.astype("float32") for each in inputs]
    eta = inputs[0][0, :, 0].astype("f8")  # as float32 holds it
    p = four_momenta(pt.astype("f8"), eta, phi, mass).astype(np.longdouble)
    total = p.sum(axis=0)
    wanted = float(np.log(total[0] ** 2 - (total[1:] ** 2).sum()))
    assert float(PairKinematics()(inputs)[0, 0, 3]) == pytest.approx(wanted, abs=2e-3)


def test_pair_bias_is_symmetric_and_masked():
    u = np.random.default_rng(7).normal(size=(6, 10, 4)).astype("float32")
    _, mask = sets(6, 5)
    layer = PairBias((8,), heads=2, activation="relu")
    a, b, _ = upper_triangle(5)
    pairs = mask[:, a] * mask[:, b]
    for training in (False, True):
        bias = np.asarray(layer([garbage(u, pairs), mask], training=training))
        assert bias.shape == (6, 2, 5, 5)
        np.testing.assert_array_equal(bias, bias.transpose(0, 1, 3, 2))
        assert not bias[:, :, range(5), range(5)].any()
        outside = np.broadcast_to((mask[:, None, :, None] * mask[:, None, None, :]) < 0.5, bias.shape)
        assert not bias[outside].any()
        assert bias[5].any()


# ------------------------------------------------------------------------------------------------ attention


def test_attention_with_one_key_gives_its_value():
    layer = SetAttention(heads=2, units=4)
    x = np.random.default_rng(8).normal(size=(1, 3, 4)).astype("float32")
    mask = np.array([[0, 1, 0]], "float32")
    found = np.asarray(layer([x, x, mask_bias(mask)]))
    value = x[0, 1] @ np.asarray(layer.value_kernel) + np.asarray(layer.value_bias)
    wanted = value @ np.asarray(layer.output_kernel) + np.asarray(layer.output_bias)
    np.testing.assert_allclose(found[0], np.stack([wanted] * 3), rtol=1e-5, atol=1e-6)
    with pytest.raises(SettingError, match="multiple of heads=3"):
        SetAttention(heads=3, units=4)


def test_attention_is_that_of_keras():
    x, mask = sets(6, 7, 8)
    x, mask = x[1:], mask[1:]  # Keras gives no answer without any key
    theirs = keras.layers.MultiHeadAttention(2, 4)
    wanted = theirs(x, x, attention_mask=mask[:, None, :] > 0.5)
    layer = SetAttention(heads=2, units=8)
    layer.build([x.shape, x.shape, (5, 1, 1, 7)])
    weights = [np.asarray(weight) for weight in theirs.weights]
    layer.set_weights([each.reshape((8, 8) if each.ndim == 3 else (8,)) for each in weights])
    np.testing.assert_allclose(layer([x, x, mask_bias(mask)]), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: (SetBlock(6, 2), lambda x, m: [x, x, m]),
        lambda: (InducedSetBlock(6, 2, points=3), lambda x, m: [x, m]),
        lambda: (InducedSetBlock(6, 2, points=0), lambda x, m: [x, m]),
        lambda: (ParticleAttentionBlock(6, 2, 8), lambda x, m: [x, mask_bias(m), m]),
        lambda: (ClassAttentionBlock(6, 2, 8), lambda x, m: [x[:, :1], x, m]),
    ],
    ids=["SAB", "ISAB", "SAB as ISAB", "particle", "class"],
)
def test_attention_blocks_do_not_see_padding(make):
    keras.utils.set_random_seed(3)
    layer, inputs = make()
    x, mask = sets(6, 7, 6)
    mask[:, 0] = np.arange(6) > 0  # the class token below is the first
    changed = np.where(mask[..., None] > 0.5, x, 100.0).astype("float32")
    changed[:, 0] = x[:, 0]
    a, b = (np.asarray(layer(inputs(each, mask))) for each in (x, changed))
    seen = mask[:, : a.shape[1]] > 0.5
    np.testing.assert_allclose(a[seen], b[seen], rtol=1e-4, atol=1e-5)
    assert np.isfinite(a).all()
    again = type(layer).from_config(layer.get_config())
    again.build([np.shape(each) for each in inputs(x, mask)])
    again.set_weights(layer.get_weights())
    np.testing.assert_allclose(again(inputs(x, mask)), a, rtol=1e-6, atol=1e-6)
