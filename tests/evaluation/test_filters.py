"""The filters of an energy-flow network: their values, and their picture."""

from __future__ import annotations

import numpy as np
import pytest

import hepml_root as hr
from hepml_root.errors import ModelFileError, SettingError
from hepml_root.evaluation.plot_filters import Filters, filters_of, plot_filters
from hepml_root.evaluation.plot_style import rendered


def network():
    return hr.models.efn({"particles": (5, ["pt", "delta_eta", "delta_phi"])}, phi=(6, 5), hidden=(4,))


def test_filters_are_the_network_of_one_direction():
    """A jet of one particle has the sums Φ(η, φ): its filters at that point of the grid."""
    model = network()
    found = filters_of(model, extent=0.5, points=5)
    assert found.eta.tolist() == found.phi.tolist() == [-0.5, -0.25, 0.0, 0.25, 0.5]
    first, second = (model.get_layer("filters").layers[i] for i in (-2, -1))
    x = np.array([0.25, -0.5])  # η is the second axis, φ the third
    for layer in (first, second):
        x = np.maximum(x @ np.asarray(layer.kernel) + np.asarray(layer.bias), 0.0)
    np.testing.assert_allclose(found.values[:, 3, 0], x, rtol=1e-5, atol=1e-6)


def test_constant_filters_are_not_drawn():
    axis = np.linspace(-1, 1, 7)
    eta, phi = np.meshgrid(axis, axis, indexing="ij")
    values = np.stack([0.0 * eta, eta, 3.0 * phi**2, 0.0 * eta + 5.0]).astype("float32")
    filters = Filters(values, axis, axis)
    assert filters.used.tolist() == [2, 1]
    figure = plot_filters(filters, title="Filters", sample="toy")
    assert len(figure.axes) == 3  # all at once, and two one by one
    drawn = [image.get_array() for axes in figure.axes[1:] for image in axes.images]
    np.testing.assert_allclose(drawn[0], (phi**2).T, atol=1e-6)
    np.testing.assert_allclose(drawn[1], (0.5 * eta + 0.5).T, atol=1e-6)
    assert figure.axes[0].texts[-1].get_text() == "2 of 4 filters"


def test_picture_of_a_network():
    picture = rendered(plot_filters(network(), most=4), "png")
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 10_000
    assert rendered(plot_filters(network(), most=0), "png").startswith(b"\x89PNG")


def test_refusals():
    with pytest.raises(ModelFileError, match="no filters"):
        plot_filters(hr.models.pfn({"particles": (5, 3)}, phi=(4,), hidden=()))
    with pytest.raises(SettingError, match="extent=0"):
        filters_of(network(), extent=0.0)
    with pytest.raises(SettingError, match="1 coordinates"):
        filters_of(hr.models.efn({"p": (5, ["pt", "delta_r"])}, phi=(4,), coordinates=["delta_r"]))
