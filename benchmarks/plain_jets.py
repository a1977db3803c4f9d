"""Representations of jets as one writes them with awkward and numpy: what the C++ is compared with.

Vectorised over all events, in double precision, and independent of the package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

Padded = dict[str, NDArray[np.float64]]


def wrapped(angle: Any) -> Any:
    """An angle between -pi and pi."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def padded(values: ak.Array, length: int) -> NDArray[np.float64]:
    """Jagged values as (events, length), with zeros after the last."""
    filled = ak.fill_none(ak.pad_none(values, length, axis=1, clip=True), 0.0)
    return np.asarray(ak.to_numpy(filled), np.float64)


def axis(jets: Mapping[str, ak.Array]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pseudorapidity and azimuth of the sum of the momenta."""
    pt, eta, phi = (ak.values_astype(jets[name], np.float64) for name in ("pt", "eta", "phi"))
    x, y, z = (np.asarray(ak.sum(p, axis=1)) for p in (pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)))
    return np.arcsinh(z / np.maximum(np.hypot(x, y), 1e-300)), np.arctan2(y, x)


def constituents(jets: Mapping[str, ak.Array], length: int) -> Padded:
    """All features of the constituents, sorted by pT, padded, (events, length) each."""
    jets = {name: ak.values_astype(values, np.float64) for name, values in jets.items()}
    eta_axis, phi_axis = axis(jets)
    order = ak.argsort(jets["pt"], axis=1, ascending=False, stable=True)
    pt, eta, phi, mass = (padded(jets[name][order], length) for name in ("pt", "eta", "phi", "mass"))
    mask = np.arange(length) < np.asarray(ak.num(jets["pt"]))[:, None]
    total_pt = np.asarray(ak.sum(jets["pt"], axis=1))[:, None]
    energies = np.sqrt((jets["pt"] * np.cosh(jets["eta"])) ** 2 + jets["mass"] ** 2)
    total_energy = np.asarray(ak.sum(energies, axis=1))[:, None]
    energy = np.sqrt((pt * np.cosh(eta)) ** 2 + mass**2)
    delta_eta, delta_phi = eta - eta_axis[:, None], wrapped(phi - phi_axis[:, None])
    with np.errstate(divide="ignore", invalid="ignore"):
        features = {
            "pt": pt,
            "eta": eta,
            "phi": phi,
            "mass": mass,
            "energy": energy,
            "px": pt * np.cos(phi),
            "py": pt * np.sin(phi),
            "pz": pt * np.sinh(eta),
            "rapidity": np.arcsinh(pt * np.sinh(eta) / np.sqrt(pt**2 + mass**2)),
            "delta_eta": delta_eta,
            "delta_phi": delta_phi,
            "delta_r": np.hypot(delta_eta, delta_phi),
            "log_pt": np.log(pt),
            "log_energy": np.log(energy),
            "pt_fraction": pt / total_pt,
            "energy_fraction": energy / total_energy,
            "log_pt_fraction": np.log(pt / total_pt),
            "log_energy_fraction": np.log(energy / total_energy),
        }
    return {name: np.where(mask, values, 0.0) for name, values in features.items()} | {"mask": mask * 1.0}


def tensor(jets: Mapping[str, ak.Array], length: int, features: Sequence[str]) -> NDArray[np.float32]:
    """Features (events, length, features), as a network takes them."""
    rows = constituents(jets, length)
    return np.stack([rows[name] for name in features], axis=-1).astype(np.float32)


def images(jets: Mapping[str, ak.Array], pixels: int, half_width: float) -> NDArray[np.float32]:
    """Jet images (events, pixels, pixels): about the centroid, rotated, flipped, normalised to their sum."""
    counts = np.asarray(ak.num(jets["pt"]))
    events = len(counts)
    pt, eta, phi = (np.asarray(ak.flatten(jets[name]), np.float64) for name in ("pt", "eta", "phi"))
    event = np.repeat(np.arange(events), counts)

    def sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(event, values, events)

    hardest = np.asarray(ak.to_numpy(ak.fill_none(ak.argmax(jets["pt"], axis=1), 0)))
    first = np.minimum(np.cumsum(counts) - counts + hardest, max(len(pt) - 1, 0))
    x, y = eta - eta[first][event], wrapped(phi - phi[first][event])
    total = np.maximum(sums(pt), 1e-300)
    x, y = x - (sums(pt * x) / total)[event], wrapped(y - (sums(pt * y) / total)[event])
    angle = 0.5 * np.arctan2(2 * sums(pt * x * y), sums(pt * x * x) - sums(pt * y * y))
    sine, cosine = np.cos(angle)[event], np.sin(angle)[event]  # the axis goes to pi / 2
    x, y = x * cosine - y * sine, x * sine + y * cosine
    upside = np.where(sums(pt * np.sign(y)) < 0, -1.0, 1.0)[event]
    x, y = x * upside, y * upside
    inside = (np.abs(x) < half_width) & (np.abs(y) < half_width)
    quarters = np.stack([sums(pt * inside * (a * x >= 0) * (b * y >= 0)) for b in (1, -1) for a in (1, -1)])
    largest = np.argmax(quarters, axis=0)
    x = x * np.where(largest % 2 == 1, -1.0, 1.0)[event]
    y = y * np.where(largest >= 2, -1.0, 1.0)[event]
    column, row = (np.floor((d + half_width) * (pixels / (2 * half_width))).astype(int) for d in (x, y))
    inside = (column >= 0) & (column < pixels) & (row >= 0) & (row < pixels)
    place = ((event * pixels + row) * pixels + column)[inside]
    picture = np.bincount(place, pt[inside], events * pixels * pixels).reshape(events, pixels, pixels)
    total = picture.sum(axis=(1, 2), keepdims=True)
    return np.divide(picture, total, out=picture, where=total > 0).astype(np.float32)
