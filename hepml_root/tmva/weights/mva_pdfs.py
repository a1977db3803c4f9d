"""Densities of a classifier's response (option CreateMVAPdfs): the probability of signal, and the rarity.

    P(y) = f p_S(y) / (f p_S(y) + (1 − f) p_B(y))     f the fraction of signal that is expected
    R(y) = ∫ p(y') dy' up to y                        flat between 0 and 1 for events of that density

They are histograms of the responses of the training events, smoothed and interpolated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import SettingError
from hepml_root.tmva.options.declaration import Options
from hepml_root.tmva.weights.header import Header
from hepml_root.tmva.weights.kernels import Kernels
from hepml_root.tmva.weights.pdf import INTERPOLATIONS, Histogram, Pdf, make_pdf, pdf_values, read_pdf
from hepml_root.tmva.weights.xml_nodes import XmlNode

_LABELS = ("Sig", "Bkg")


def fit_mva_pdfs(
    response: NDArray[np.generic],
    signal: NDArray[np.bool_],
    weights: NDArray[np.float64],
    options: Options,
    title: str = "MVA",
) -> tuple[Pdf, Pdf]:
    """Return the densities of signal and background.

    Arguments
    ---------
    response, signal, weights
        Of the training events, ``(events,)``.
    options
        PDFInterpolMVAPdf, NbinsMVAPdf and NsmoothMVAPdf of the method.
    title
        Of the method.

    Raises
    ------
    SettingError
        All responses are the same or not finite, or a class has no positive sum of weights.

    Example
    -------
    >>> from hepml_root.tmva.options.declaration import parse
    >>> from hepml_root.tmva.options.shared import SHARED
    >>> y = np.linspace(0, 1, 2000)
    >>> pdfs = fit_mva_pdfs(y, y > 0.5, np.ones(2000), parse(SHARED, "CreateMVAPdfs"))
    >>> probability(pdfs, np.array([0.1, 0.9])).round(2).tolist()
    [0.0, 1.0]
    """
    values = np.asarray(response, np.float64)
    if not len(values) or not np.isfinite(values).all():
        raise SettingError(f"'{title}': CreateMVAPdfs needs finite responses of training events.")
    low, high = float(values.min()), float(values.max())
    if not low < high:
        raise SettingError(
            f"'{title}': CreateMVAPdfs needs different responses; all training events have {low:g}."
        )
    interpolation = str(options["PDFInterpolMVAPdf"])
    bins = int(options["NbinsMVAPdf"])
    if bins < 1:
        raise SettingError(f"'{title}': NbinsMVAPdf={bins}: at least one bin is needed.")
    if interpolation == "KDE":
        bins *= 5
    edges = np.linspace(low, high, bins + 1)
    # As in a histogram of ROOT, the upper end is outside.
    places = np.floor(bins * (values - low) / (high - low)).astype(np.int64)
    smoothings = max(int(options["NsmoothMVAPdf"]), 0)
    made = []
    for label, chosen in zip(_LABELS, (signal, ~signal), strict=True):
        inside = chosen & (places < bins)
        contents = np.bincount(places[inside], weights[inside], bins)
        total = contents.sum() * (high - low) / bins
        if not total > 0:
            raise SettingError(f"'{title}': CreateMVAPdfs: the weights of a class add up to {total:g}.")
        histogram = Histogram(
            f"{title}_PDF{label}", f"{title}_tr_{label[0]}_original", edges,
            (contents / total).astype(np.float32), True, INTERPOLATIONS.index(interpolation),
            (smoothings, smoothings), Kernels(1, 1, 1, 1.0),
        )  # fmt: skip
        made.append(make_pdf(histogram, normalised=True))
    return made[0], made[1]


def probability(
    pdfs: tuple[Pdf, Pdf], response: NDArray[np.generic], signal_fraction: float = 0.5
) -> NDArray[np.float32]:
    """Return TMVA's GetProba: how probably events are signal, of which a fraction is expected.

    Raises
    ------
    SettingError
        The fraction is not between 0 and 1.
    """
    if not 0.0 <= signal_fraction <= 1.0:
        raise SettingError(f"signal fraction {signal_fraction}: a number from 0 to 1 is needed.")
    signal, background = (pdf_values(pdf, response) for pdf in pdfs)
    above = signal * signal_fraction
    below = above + background * (1.0 - signal_fraction)
    return (above / below).astype(np.float32)  # no density is below 1e-12


def rarity(
    pdfs: tuple[Pdf, Pdf], response: NDArray[np.generic], of_signal: bool = False
) -> NDArray[np.float32]:
    """Return TMVA's GetRarity: the integral of the background's density (or the signal's) up to a response.

    Reference: A. Hoecker et al., TMVA users guide, arXiv:physics/0703039, section 3.1.
    """
    pdf = pdfs[0 if of_signal else 1]
    values = pdf.values.astype(np.float64)
    widths = np.diff(pdf.edges)
    summed = np.concatenate([[0.0], np.cumsum(values * widths)])
    return np.interp(np.asarray(response, np.float64), pdf.edges, summed).astype(np.float32)


def read_mva_pdfs(root: XmlNode, header: Header) -> tuple[Pdf, Pdf] | None:
    """Read the node ``MVAPdfs``; None where it is empty or missing.

    Raises
    ------
    ModelFileError
        There are not two densities, or one of them is damaged.
    """
    if not root.all("MVAPdfs"):
        return None
    node = root.child("MVAPdfs")
    nodes = node.all("PDF")
    if not nodes or header.analysis != "Classification":
        return None
    if len(nodes) != 2:
        raise node.error(f"{len(nodes)} densities of the response; two are needed.")
    signal, background = (read_pdf(entry, normalised=True) for entry in nodes)
    return signal, background
