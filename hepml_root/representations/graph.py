"""Jets and events as graphs: constituents, their nearest neighbours, and features of the pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from hepml_root.data.columns import Column
from hepml_root.data.representation import Representation
from hepml_root.data.schema import Block, mask_of
from hepml_root.errors import SettingError
from hepml_root.representations.constituents import STANDARD_FEATURES, Constituents, constituents
from hepml_root.representations.momenta import FEATURES, one_of, own_columns, positive

EDGE_FEATURES = {
    "log_delta": "",
    "log_kt": "",
    "log_z": "",
    "log_mass_squared": "",
    "delta_eta": "",
    "delta_phi": "rad",
}


def graph(
    name: str = "particles",
    *,
    pt: str,
    eta: str,
    phi: str,
    mass: str | None = None,
    features: Sequence[str] = STANDARD_FEATURES,
    extra: Sequence[str | Column] = (),
    max_length: int = 64,
    neighbours: int = 16,
    radius: float | None = None,
    space: Sequence[str] = ("delta_eta", "delta_phi"),
    edge_features: Sequence[str] = ("log_delta", "log_kt", "log_z", "log_mass_squared"),
    **settings: Any,
) -> Graph:
    r"""Return the constituents of a jet as a graph: each with edges to its nearest neighbours.

    .. math:: \Delta = \sqrt{(y_i - y_j)^2 + (\phi_i - \phi_j)^2}, \quad k_T = \min(p_{T,i}, p_{T,j}) \Delta,
              \quad z = \frac{\min(p_{T,i}, p_{T,j})}{p_{T,i} + p_{T,j}}, \quad m^2 = (p_i + p_j)^2

    Blocks: ``name`` (events, constituents, features) and ``name_mask`` as of
    :func:`~hepml_root.representations.constituents.constituents`; ``name_neighbours`` (events, constituents,
    k): places of the neighbours among the constituents, the nearest first, whole numbers as float32;
    ``name_edges`` (events, constituents, k, edge features) and ``name_edges_mask`` (events, constituents, k),
    1 for an edge. Where there are fewer neighbours than k, places, features and mask are 0. A constituent is
    no neighbour of itself; equally near ones come in their order.

    What is lost: as for constituents, whose inverse holds (``nodes.inverse``); and all edges but the k
    shortest (within ``radius``). Constituents beyond ``max_length`` are nobody's neighbours.

    Arguments
    ---------
    name, pt, eta, phi, mass, features, extra, max_length
        As for constituents.
    neighbours
        k, the most edges of a constituent.
    radius
        No edge is longer, in ``space``; with the standard space this is ΔR < radius.
    space
        Features (or extra columns) whose Euclidean distance tells who is near; differences of phi and
        delta_phi are taken along the shorter way around.
    edge_features
        log_delta, log_kt (kT in GeV), log_z, log_mass_squared (m in GeV; arXiv:2202.03772), with rapidities
        y; arguments of logarithms below 1e-8 count as 1e-8, those above 3.4e38 as that. delta_eta and
        delta_phi: of the neighbour, relative to the constituent.
    settings
        More settings of constituents: sort, axis, trim, frame, rotation, ….

    Raises
    ------
    SettingError
        A setting is unknown or out of its range.

    Example
    -------
    >>> from hepml_root.representations.graph import graph
    >>> pairs = graph(pt="pt", eta="eta", phi="phi", max_length=3, neighbours=1, edge_features=("delta_eta",))
    >>> blocks = pairs({"pt": [[3.0, 2.0, 1.0]], "eta": [[0.0, 1.0, 0.75]], "phi": [[0.0, 0.0, 0.0]]})
    >>> blocks["particles_neighbours"][0, :, 0].tolist(), blocks["particles_edges"][0, :, 0, 0].tolist()
    ([2.0, 2.0, 1.0], [0.75, -0.25, 0.25])
    """
    nodes = constituents(
        name, pt=pt, eta=eta, phi=phi, mass=mass, features=features, extra=extra, max_length=max_length,
        **settings,
    )  # fmt: skip
    return Graph(nodes, neighbours, radius, tuple(space), tuple(edge_features))


@dataclass(frozen=True)
class Graph(Representation):
    """What :func:`graph` returns: nodes, their mask, neighbours, edges and the mask of these.

    Attributes
    ----------
    nodes:
        The constituents.
    neighbours, radius, space, edge_features:
        As in :func:`graph`.

    Raises
    ------
    SettingError
        As :func:`graph`.
    """

    nodes: Constituents
    neighbours: int
    radius: float | None = None
    space: tuple[str, ...] = ("delta_eta", "delta_phi")
    edge_features: tuple[str, ...] = ("log_delta", "log_kt", "log_z", "log_mass_squared")
    name: str = field(init=False)
    columns: tuple[Column, ...] = field(init=False)
    scalars: tuple[Column, ...] = field(init=False)

    kind: ClassVar[str] = "graph"

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.nodes.name)
        object.__setattr__(self, "columns", self.nodes.columns)
        object.__setattr__(self, "scalars", self.nodes.scalars)
        object.__setattr__(self, "neighbours", positive("neighbours", self.neighbours))
        if self.radius is not None and not 0 < self.radius < np.inf:
            raise SettingError(f"radius={self.radius}: give a length above 0, or None for no bound.")
        own = [column.label for column in own_columns(self.columns)]
        for feature in self.space:
            one_of("feature", feature, (*FEATURES, *own))
        for feature in self.edge_features:
            one_of("edge feature", feature, tuple(EDGE_FEATURES))
        for key, values in (("space", self.space), ("edge_features", self.edge_features)):
            if not values or len(set(values)) != len(values):
                raise SettingError(f"{key}={values}: give at least one, and each once.")

    def blocks(self) -> tuple[Block, ...]:
        length, edges = self.nodes.max_length, f"{self.name}_edges"
        columns = tuple(
            Column(feature, feature, units=EDGE_FEATURES[feature]) for feature in self.edge_features
        )
        return (
            *self.nodes.blocks(),
            Block(f"{self.name}_neighbours", "index", (length, self.neighbours)),
            Block(edges, "edges", (length, self.neighbours, len(columns)), columns),
            Block(mask_of(edges), "mask", (length, self.neighbours)),
        )

    def settings(self) -> dict[str, Any]:
        edges: dict[str, Any] = {"space": list(self.space), "edge_features": list(self.edge_features)}
        if self.radius is not None:
            edges["radius"] = self.radius
        return self.nodes.settings() | edges
