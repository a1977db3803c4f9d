"""How much is around a particle."""

from __future__ import annotations

import awkward as ak
import numpy as np


def relative_isolation(candidates: ak.Array, objects: ak.Array, radius: float, pt_min: float) -> ak.Array:
    """Return the sum of pt of the objects within ``radius`` of a candidate, without itself, over its pt.

    ``candidates`` ``(events, candidates)`` are some of the ``objects`` ``(events, objects)``: an object is
    taken for the candidate itself if both its pt and its direction are the same. Objects below ``pt_min``
    [GeV] do not count.
    """
    around = objects[objects.pt > pt_min]
    first, second = ak.unzip(ak.cartesian([candidates, around], axis=1, nested=True))
    delta_phi = (first.phi - second.phi + np.pi) % (2 * np.pi) - np.pi
    delta_eta = first.eta - second.eta
    itself = (delta_eta == 0) & (delta_phi == 0) & (first.pt == second.pt)
    near = (delta_eta**2 + delta_phi**2 < radius**2) & ~itself
    return ak.sum(ak.where(near, second.pt, 0.0), axis=2) / candidates.pt
