"""The filters of an energy-flow network: what it looks at in the plane of directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import ModelFileError, SettingError
from hepml_root.evaluation.plot_style import INK, axis_labels, header, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LAYER = "filters"


@dataclass(frozen=True)
class Filters:
    r"""The filters :math:`\Phi_l(\eta, \phi)` of an energy-flow network on a grid of directions.

    Attributes
    ----------
    values:
        ``(filters, η, φ)``, in the units of the network.
    eta, phi:
        The grid, ``(points,)`` [rad] each.
    """

    values: NDArray[np.float32]
    eta: NDArray[np.float64]
    phi: NDArray[np.float64]

    @property
    def used(self) -> NDArray[np.int64]:
        """Positions of the filters that are not constant, those that vary most first."""
        spread = np.ptp(self.values, axis=(1, 2))
        order = np.argsort(-spread, kind="stable")
        return order[spread[order] > 1e-6 * max(float(spread.max(initial=0.0)), 1e-30)]

    def to_dict(self) -> dict[str, Any]:
        """Return the filters as JSON-able lists."""
        return {"values": self.values.tolist(), "eta": self.eta.tolist(), "phi": self.phi.tolist()}


def filters_of(model: Any, extent: float = 0.8, points: int = 101) -> Filters:
    r"""Return the filters of an energy-flow network.

    .. math:: \mathcal{O} = F\Big( \sum_i z_i \, \Phi(\eta_i, \phi_i) \Big)

    Arguments
    ---------
    model
        A network made by :func:`hepml_root.models.efn`, trained or loaded.
    extent
        The grid goes from -extent to +extent around the axis in both coordinates [rad].
    points
        Of the grid, in each coordinate.

    Raises
    ------
    ModelFileError
        The model has no filters.
    SettingError
        The grid has no extent or fewer than two points, or the directions have not two coordinates.

    Reference: arXiv:1810.05165.

    Example
    -------
    >>> import hepml_root as hr
    >>> model = hr.models.efn({"particles": (5, ["pt", "delta_eta", "delta_phi"])}, phi=(8, 4))
    >>> filters_of(model, points=11).values.shape
    (4, 11, 11)
    """
    if not extent > 0 or points < 2:
        raise SettingError(f"extent={extent}, points={points}: more than 0, and at least 2, are needed.")
    layers = {layer.name: layer for layer in getattr(model, "layers", ())}
    if _LAYER not in layers:
        raise ModelFileError(
            f"the model '{getattr(model, 'name', model)}' has no filters: only energy-flow networks "
            "(models.efn) have, in which each constituent's direction stands alone."
        )
    coordinates = layers[_LAYER].input_shape[-1]
    if coordinates != 2:
        raise SettingError(f"the directions of this network have {coordinates} coordinates; 2 can be drawn.")
    axis = np.linspace(-extent, extent, points)
    eta, phi = np.meshgrid(axis, axis, indexing="ij")
    grid = np.stack([eta.ravel(), phi.ravel()], axis=-1)[None].astype(np.float32)
    values = np.asarray(layers[_LAYER](grid, training=False))[0]
    return Filters(np.ascontiguousarray(values.T.reshape(-1, points, points)), axis, axis.copy())


@styled
def plot_filters(
    filters: Filters | Any, *, most: int = 8, extent: float = 0.8, title: str = "", sample: str = ""
) -> Figure:
    """Draw the filters of an energy-flow network in the plane of pseudorapidity and azimuth.

    Left, all of them at once: for each the line of half its largest value, coloured by the area inside, so
    that fine filters near the axis and wide ones around it stand apart. Right, those that vary most, each on
    its own scale.

    Arguments
    ---------
    filters
        :func:`filters_of` a model, or the model itself.
    most
        Filters to draw one by one; 0: none.
    extent
        Of the grid [rad], where a model is given.
    title, sample
        Written above.

    Raises
    ------
    ModelFileError, SettingError
        See :func:`filters_of`.

    Reference: arXiv:1810.05165, figure 8.
    """
    import matplotlib
    from matplotlib.colors import Normalize

    if not isinstance(filters, Filters):
        filters = filters_of(filters, extent)
    used = filters.used
    shown = used[:most]
    columns = min(4, max(1, -(-len(shown) // 2)))
    rows = max(2, -(-len(shown) // columns))
    figure = new_figure(5.4 + (2.1 * columns if len(shown) else 0.0), 4.9, wspace=0.02, hspace=0.02)
    grid = figure.add_gridspec(rows, columns + 1, width_ratios=[2.2 * rows / 2, *[1.0] * columns])
    axes = figure.add_subplot(grid[:, 0]) if len(shown) else figure.add_subplot()
    colours = matplotlib.colormaps["viridis"]
    # The share of the square in which a filter is above half its height.
    scaled = [_between_zero_and_one(filters.values[number]) for number in used]
    share = np.array([(filter_ > 0.5).mean() for filter_ in scaled])
    norm = Normalize(0.0, max(float(share.max(initial=0.0)), 1e-6))
    for position in np.argsort(-share):  # small ones on top
        colour = colours(1.0 - float(norm(share[position])))
        axes.contour(
            filters.eta, filters.phi, scaled[position].T, levels=[0.5], colors=[colour], linewidths=0.9
        )
    axes.set_aspect("equal")
    axis_labels(axes, r"$\Delta\eta$", r"$\Delta\phi$ [rad]")
    header(axes, title, sample)
    axes.text(
        0.03, 0.97, f"{len(used)} of {len(filters.values)} filters", transform=axes.transAxes, va="top",
        fontsize=10.5, color=INK,
    )  # fmt: skip
    edges = (filters.eta[0], filters.eta[-1], filters.phi[0], filters.phi[-1])
    for place, number in enumerate(shown):
        panel = figure.add_subplot(grid[place // columns, 1 + place % columns])
        panel.imshow(scaled[place].T, origin="lower", extent=edges, cmap="magma", vmin=0.0, vmax=1.0)
        panel.set_xticks([])
        panel.set_yticks([])
        panel.minorticks_off()
        panel.set_title(f"filter {number}", fontsize=9.5, pad=2)
    return figure


def _between_zero_and_one(values: NDArray[np.float32]) -> NDArray[np.float64]:
    low, high = float(values.min()), float(values.max())
    return (values.astype(np.float64) - low) / max(high - low, 1e-30)
