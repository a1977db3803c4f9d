"""Constituents in an order that means something, for recurrent networks; and the Lund plane of a jet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hepml_root.data.columns import Column
from hepml_root.data.representation import Representation
from hepml_root.data.schema import Block, mask_of
from hepml_root.errors import SettingError
from hepml_root.representations.constituents import STANDARD_FEATURES, Constituents, constituents
from hepml_root.representations.momenta import Preparation, momentum_columns, one_of, positive

ORDERS = ("pt", "distance", "clustering")
LUND_FEATURES = {
    "delta": "",
    "kt": "GeV",
    "z": "",
    "kappa": "",
    "psi": "rad",
    "mass": "GeV",
    "log_inverse_delta": "",
    "log_kt": "",
    "log_inverse_z": "",
    "log_kappa": "",
    "log_mass": "",
}


def sequence(
    name: str = "particles",
    *,
    pt: str,
    eta: str,
    phi: str,
    mass: str | None = None,
    order: str = "pt",
    features: Sequence[str] = STANDARD_FEATURES,
    extra: Sequence[str | Column] = (),
    max_length: int = 64,
    algorithm: str = "cambridge",
    **settings: Any,
) -> Constituents:
    """Return the constituents of a jet as an ordered list: (events, constituents, features) and its mask.

    The same as :func:`~hepml_root.representations.constituents.constituents`, where arguments, units, losses
    and the inverse are described; here the order is what matters.

    Arguments
    ---------
    name, pt, eta, phi, mass, features, extra, max_length
        As for constituents.
    order
        "pt": the hardest first; "distance": the nearest to the axis first; "clustering": along the tree of a
        jet algorithm, going to the harder side of each splitting first (arXiv:1711.09059).
    algorithm
        Of the tree: "cambridge" (Cambridge/Aachen), "kt" or "antikt", with an infinite radius.
    settings
        More settings of constituents: axis, trim, frame, rotation, ….

    Raises
    ------
    SettingError
        The order or another setting is unknown.

    Example
    -------
    >>> from hepml_root.representations.sequence import sequence
    >>> order = sequence(pt="pt", eta="eta", phi="phi", order="clustering", features=("pt",), max_length=3)
    >>> jet = {"pt": [[5.0, 4.0, 3.0]], "eta": [[0.0, 0.5, 0.1]], "phi": [[0.0, 0.0, 0.0]]}
    >>> order(jet)["particles"][0, :, 0]
    array([5., 3., 4.], dtype=float32)
    """
    one_of("order", order, ORDERS)
    return constituents(
        name,
        pt=pt,
        eta=eta,
        phi=phi,
        mass=mass,
        features=features,
        extra=extra,
        max_length=max_length,
        sort={"distance": "delta_r"}.get(order, order),
        algorithm=algorithm,
        **settings,
    )


def lund(
    name: str = "splittings",
    *,
    pt: str,
    eta: str,
    phi: str,
    mass: str | None = None,
    features: Sequence[str] = ("log_inverse_delta", "log_kt", "log_inverse_z", "psi", "log_mass"),
    max_length: int = 32,
    trim: float = 0.0,
    trim_radius: float | None = None,
    frame: str = "lab",
    frame_mass: float | None = None,
    frame_energy: float | None = None,
) -> LundPlane:
    r"""Return the primary Lund plane of a jet: its Cambridge/Aachen splittings along the harder branch.

    .. math:: \Delta = \sqrt{(y_a - y_b)^2 + (\phi_a - \phi_b)^2}, \quad k_t = p_{T,b}\, \Delta, \quad
              z = \frac{p_{T,b}}{p_{T,a} + p_{T,b}}, \quad \kappa = z \Delta, \quad
              \psi = \arctan\frac{\phi_b - \phi_a}{y_b - y_a}

    for a splitting into a and b with p_{T,a} >= p_{T,b} (arXiv:1807.04758). The jet is clustered anew with
    an infinite radius in the E-scheme. Blocks: ``name`` (events, splittings, features) and ``name_mask``
    (events, splittings), the widest angle first; splittings = ``max_length``.

    What is lost: splittings of the softer branches, those beyond ``max_length`` (counted as truncated), and
    where the jet was: there is no inverse. A jet of one constituent has no splitting and gives zeros.

    Arguments
    ---------
    name
        Of the block.
    pt, eta, phi, mass
        As for constituents.
    features
        delta, z, kappa; kt and mass [GeV]; psi [rad]; log_inverse_delta = ln(1/Δ), log_kt = ln(kt/GeV),
        log_inverse_z, log_kappa, log_mass. Δ and mass count as 1e-6 where they are less.
    max_length
        Splittings that are kept of each jet.
    trim, trim_radius, frame, frame_mass, frame_energy
        As for constituents.

    Raises
    ------
    SettingError
        A feature or another setting is unknown.

    Example
    -------
    >>> from hepml_root.representations.sequence import lund
    >>> plane = lund(pt="pt", eta="eta", phi="phi", features=("delta", "kt", "z"), max_length=1)
    >>> plane({"pt": [[3.0, 1.0]], "eta": [[0.0, 0.3]], "phi": [[0.4, 0.0]]})["splittings"].round(4)
    array([[[0.5 , 0.5 , 0.25]]], dtype=float32)
    """
    return LundPlane(
        name=name,
        columns=momentum_columns(pt, eta, phi, mass),
        scalars=(),
        features=tuple(features),
        max_length=max_length,
        preparation=Preparation(trim, trim_radius, frame, frame_mass, frame_energy),
    )


@dataclass(frozen=True)
class LundPlane(Representation):
    """What :func:`lund` returns: the primary splittings of a jet as a padded tensor and its mask.

    Attributes
    ----------
    columns:
        Jagged columns labelled "pt", "eta", "phi" and perhaps "mass".
    scalars:
        None.
    features, max_length:
        As in :func:`lund`.
    preparation:
        The other settings of :func:`lund`.

    Raises
    ------
    SettingError
        As :func:`lund`.
    """

    name: str
    columns: tuple[Column, ...]
    scalars: tuple[Column, ...]
    features: tuple[str, ...]
    max_length: int
    preparation: Preparation = field(default_factory=Preparation)

    kind: ClassVar[str] = "lund"

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_length", positive("max_length", self.max_length))
        if not self.features or len(set(self.features)) != len(self.features):
            raise SettingError(f"features={self.features}: give at least one, and each once.")
        for feature in self.features:
            one_of("feature", feature, tuple(LUND_FEATURES))

    def blocks(self) -> tuple[Block, ...]:
        columns = tuple(
            Column(
                feature, feature, units=LUND_FEATURES[feature], max_length=self.max_length, group=self.name
            )
            for feature in self.features
        )
        return (
            Block(self.name, "jagged", (self.max_length, len(self.features)), columns),
            Block(mask_of(self.name), "mask", (self.max_length,)),
        )

    def settings(self) -> dict[str, Any]:
        return {"features": list(self.features)} | self.preparation.settings()
