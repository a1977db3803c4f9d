"""Images of jets, of the surroundings of a lepton, and of whole events."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.columns import Column
from hepml_root.data.representation import Representation
from hepml_root.data.schema import Block
from hepml_root.errors import SettingError
from hepml_root.representations.momenta import (
    FEATURES,
    Axis,
    Preparation,
    axis_columns,
    momentum_columns,
    one_of,
    own_columns,
    positive,
)

QUANTITIES = ("multiplicity", *FEATURES)
SCALINGS = ("sqrt", "log")
NORMS = ("sum", "max", "l2")


def image(
    name: str = "image",
    *,
    pt: str,
    eta: str,
    phi: str,
    mass: str | None = None,
    channels: Sequence[str | Column] = ("pt",),
    pixels: int | tuple[int, int] = 40,
    half_width: float | tuple[float, float] = 1.0,
    centre: Axis = "centroid",
    rotation: str | None = "principal",
    flip: bool = True,
    trim: float = 0.0,
    trim_radius: float | None = None,
    scaling: str | None = None,
    normalise: str | None = "sum",
    frame: str = "lab",
    frame_mass: float | None = None,
    frame_energy: float | None = None,
) -> Image:
    r"""Return the image of a jet: sums over its constituents in pixels of η and φ.

    .. math:: I_{hwc} = \sum_{i \,\in\, (h, w)} w_c(i)

    Block: ``name`` (events, height, width, channels). Row h covers Δφ from -half_width + h δ to
    -half_width + (h + 1) δ with δ = 2 half_width / height, column w covers Δη alike: (0, 0) lies where both
    are least, so that a picture is drawn with ``origin="lower"``. In order: constituents without positive pT
    are dropped, what is soft is trimmed, the jet is centred, rotated, flipped, pixelated; the pixels are
    scaled, then normalised, each channel on its own.

    What is lost: places within a pixel and constituents outside the image (counted as dropped), where the jet
    was, how it was turned and flipped, and, if it is normalised, its size: there is no inverse. Without
    scaling and normalisation, the sum of a channel is that of the constituents less the dropped ones, to
    1e-6.

    Calorimeter images around a lepton: ``centre=("lepton_eta", "lepton_phi")``, no rotation, no flip. Event
    images: ``centre="hardest_phi"``, which rolls φ to the hardest object, with
    ``half_width=(5, math.pi)``: a half width of π in φ makes the image cyclic.

    Arguments
    ---------
    name
        Of the block.
    pt, eta, phi, mass
        Jagged columns, or expressions of them: transverse momentum [GeV], pseudorapidity, azimuth [rad], and
        mass [GeV], which matters for frames, the centre "sum" and subjets only.
    channels
        What is summed: "pt" [GeV], another quantity of constituents ("energy"), "multiplicity" (1 each), or
        a jagged column of weights, as "charged_pt := constituent_pt * (constituent_charge != 0)".
    pixels
        Height and width (along φ and η), or one number for both.
    half_width
        Of the image in (η, φ), or one number for both.
    centre
        "centroid" of pT, "hardest" constituent, "sum" of the four-momenta, "none" for (0, 0), "hardest_phi"
        for η = 0 and the φ of the hardest; or a pair of columns (η, φ) with one value per event, either of
        them None for 0.
    rotation
        None; "principal": the principal axis of pT lies along Δφ, with more pT at Δφ > 0 (arXiv:1511.05190);
        "subjets": the line from the softer to the harder of the two last kT subjets points along Δφ.
    flip
        Change the signs of Δη and Δφ so that of the four quarters of the image the one at positive Δη and Δφ
        has most pT.
    trim, trim_radius
        Leave out constituents with less than this fraction of ΣpT; with a radius, kT subjets of that size
        with less than this fraction of the pT of the jet (arXiv:0912.1342).
    scaling
        Of each pixel: None, "sqrt" (√x) or "log" (ln(1 + x), x in units of the channel); signs are kept.
    normalise
        None, or divide a channel by its "sum", its "max", or "l2", the root of its sum of squares. Empty
        channels stay zero.
    frame, frame_mass, frame_energy
        As in :func:`~hepml_root.representations.constituents.constituents`.

    Raises
    ------
    SettingError
        A setting is unknown or out of its range.

    Example
    -------
    >>> from hepml_root.representations.image import image
    >>> picture = image(pt="pt", eta="eta", phi="phi", pixels=3, half_width=0.3, centre="hardest",
    ...                 rotation=None, flip=False, normalise=None)
    >>> picture({"pt": [[9.0, 1.0]], "eta": [[1.0, 1.2]], "phi": [[3.1, -3.0]]})["image"][0, ..., 0]
    array([[0., 0., 0.],
           [0., 9., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    parsed = [Column.parse(text) for text in ((channels,) if isinstance(channels, str) else channels)]
    own = [channel for channel in parsed if not (channel.label == channel.expression in QUANTITIES)]
    chosen, scalars = axis_columns(centre)
    height, width = (pixels, pixels) if isinstance(pixels, int) else pixels
    half_eta, half_phi = (half_width, half_width) if isinstance(half_width, int | float) else half_width
    return Image(
        name=name,
        columns=momentum_columns(pt, eta, phi, mass, own),
        scalars=scalars,
        channels=tuple(channel.label for channel in parsed),
        height=height,
        width=width,
        half_width=(float(half_eta), float(half_phi)),
        flip=flip,
        scaling=scaling,
        normalise=normalise,
        preparation=Preparation(trim, trim_radius, frame, frame_mass, frame_energy, chosen, rotation),
    )


@dataclass(frozen=True)
class Image(Representation):
    """What :func:`image` returns: sums over constituents in pixels, (events, height, width, channels).

    Attributes
    ----------
    columns:
        Jagged columns labelled "pt", "eta", "phi", perhaps "mass", and those of channels.
    scalars:
        None, or "axis_eta" and "axis_phi".
    channels:
        "multiplicity", quantities of constituents, and labels of columns.
    height, width:
        Pixels along φ and along η.
    half_width:
        In η and in φ.
    flip, scaling, normalise:
        As in :func:`image`.
    preparation:
        The other settings of :func:`image`.

    Raises
    ------
    SettingError
        As :func:`image`.
    """

    name: str
    columns: tuple[Column, ...]
    scalars: tuple[Column, ...]
    channels: tuple[str, ...]
    height: int
    width: int
    half_width: tuple[float, float]
    flip: bool = False
    scaling: str | None = None
    normalise: str | None = None
    preparation: Preparation = field(default_factory=Preparation)

    kind: ClassVar[str] = "image"

    def __post_init__(self) -> None:
        object.__setattr__(self, "height", positive("pixels", self.height))
        object.__setattr__(self, "width", positive("pixels", self.width))
        if not self.channels or len(set(self.channels)) != len(self.channels):
            raise SettingError(f"channels={self.channels}: give at least one, and each once.")
        known = (*QUANTITIES, *(column.label for column in own_columns(self.columns)))
        for channel in self.channels:
            one_of("channel", channel, known)
        if not (0 < self.half_width[0] < np.inf and 0 < self.half_width[1] <= math.pi + 1e-6):
            raise SettingError(
                f"half_width={self.half_width}: give widths above 0 in (eta, phi), that of phi at most pi."
            )
        one_of("scaling", self.scaling, (None, *SCALINGS))
        one_of("normalise", self.normalise, (None, *NORMS))

    def blocks(self) -> tuple[Block, ...]:
        own = {column.label: column for column in self.columns}
        columns = tuple(
            Column(channel, channel, units=FEATURES.get(channel, ""))
            if channel in QUANTITIES
            else own[channel]
            for channel in self.channels
        )
        return (Block(self.name, "image", (self.height, self.width, len(self.channels)), columns),)

    def settings(self) -> dict[str, Any]:
        settings = {
            "channels": list(self.channels),
            "half_width_eta": self.half_width[0],
            "half_width_phi": self.half_width[1],
            "flip": self.flip,
            "scaling": self.scaling,
            "normalise": self.normalise,
        }
        return settings | self.preparation.settings()

    def centres(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return Δη of the columns (width,) and Δφ [rad] of the rows (height,), at the centres of pixels.

        >>> picture = image(pt="pt", eta="eta", phi="phi", pixels=(2, 4), half_width=1.0)
        >>> picture.centres()[0].tolist(), picture.centres()[1].tolist()
        ([-0.75, -0.25, 0.25, 0.75], [-0.5, 0.5])
        """
        half_eta, half_phi = self.half_width
        eta = (np.arange(self.width, dtype=np.float64) + 0.5) * (2 * half_eta / self.width) - half_eta
        phi = (np.arange(self.height, dtype=np.float64) + 0.5) * (2 * half_phi / self.height) - half_phi
        return eta, phi
