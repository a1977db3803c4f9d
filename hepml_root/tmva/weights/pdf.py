"""Probability densities and cumulative distributions as TMVA keeps them: a histogram, smoothed, then
interpolated.

TMVA reads the histogram, smooths it, draws a spline through the centres of its bins, and keeps the values of
the spline in the centres of 10 000 fine bins, between which it interpolates linearly (outside: with the line
through the last two). ``Spline0`` is the smoothed histogram itself; with ``KDE`` the fine bins hold a sum of
Gaussian kernels (:mod:`hepml_root.tmva.weights.kernels`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import HepmlError, SettingError, UnsupportedOperationError
from hepml_root.tmva.weights.graph import Graph
from hepml_root.tmva.weights.kernels import Kernels, kernel_density
from hepml_root.tmva.weights.smoothing import smoothed, smoothed_by_errors
from hepml_root.tmva.weights.splines import SPLINES
from hepml_root.tmva.weights.xml_nodes import XmlNode

FINE_BINS = 10_000
SMALLEST = 1e-12
MOST_BINS = 1_000_000
MOST_SMOOTHINGS = 10_000
_MOST_WORK = 5_000_000  # bins times smoothings
_MOST_KERNELS = 100_000  # each is summed in all fine bins
_EXACT_INTEGERS = 1 << 24  # entries of a table that float32 can count

# TMVA's numbers of the interpolations.
INTERPOLATIONS = ("Spline0", *(name for name, _, _ in SPLINES), "KDE")
_KERNELS = len(SPLINES) + 1


@dataclass(frozen=True)
class Histogram:
    """What a density is made of, as a weight file keeps it.

    Arguments
    ---------
    name, title
        Of the density, and of the histogram.
    edges
        Edges of the bins ``(bins + 1,)``.
    contents
        Of the bins ``(bins,)``.
    uniform
        The bins have the same width.
    method
        TMVA's number of the interpolation: a place in ``INTERPOLATIONS``.
    smoothings
        How often bins with most and with least data are smoothed; −1 where it says nothing.
    kernels
        Of KDE.
    """

    name: str
    title: str
    edges: NDArray[np.float64]
    contents: NDArray[np.float32]
    uniform: bool = True
    method: int = 0
    smoothings: tuple[int, int] = (0, 0)
    kernels: Kernels = field(default_factory=Kernels)


@dataclass(frozen=True)
class Pdf:
    """One density, ready for use.

    Arguments
    ---------
    edges
        Edges of the bins ``(bins + 1,)``.
    values
        Their contents ``(bins,)``, float32 as in TMVA.
    interpolated
        Linear between the centres (equal bins), or constant in each bin.
    uniform
        The bins have the same width.
    source
        What it was made of, for files.
    """

    edges: NDArray[np.float64]
    values: NDArray[np.float32]
    interpolated: bool
    uniform: bool
    source: Histogram | None = None

    @property
    def low(self) -> float:
        return float(self.edges[0])

    @property
    def high(self) -> float:
        return float(self.edges[-1])

    @property
    def width(self) -> float:
        return (self.high - self.low) / len(self.values)


def read_pdf(node: XmlNode, normalised: bool) -> Pdf:
    """Read a node ``PDF``.

    Arguments
    ---------
    normalised
        The density gets the integral 1; cumulative distributions stay as they are.

    Raises
    ------
    ModelFileError
        A node, attribute or number is missing, or the histogram is empty.
    """
    method = node.integer("InterpolMethod")
    if method >= len(INTERPOLATIONS):
        raise node.error(f"InterpolMethod={method} is no interpolation of TMVA.")
    edges, contents, uniform, title = _histogram(node)
    least, most = (
        node.integer(name, least=-1, most=MOST_SMOOTHINGS) for name in ("MinNSmooth", "MaxNSmooth")
    )
    kernels = Kernels()
    if method == _KERNELS or "KDE_type" in node.attributes:
        kernels = Kernels(
            node.integer("KDE_type", most=1), node.integer("KDE_iter", most=2),
            node.integer("KDE_border", most=3), node.number("KDE_finefactor"),
        )  # fmt: skip
    name = node.attributes.get("Name", "")
    histogram = Histogram(name, title, edges, contents, uniform, method, (least, most), kernels)
    return make_pdf(histogram, normalised, node.error)


def make_pdf(
    histogram: Histogram, normalised: bool, error: Callable[[str], HepmlError] = SettingError
) -> Pdf:
    """Make a density of a histogram: smooth and interpolate it.

    Arguments
    ---------
    histogram
        With the interpolation and how often it is smoothed.
    normalised
        The density gets the integral 1; cumulative distributions stay as they are.
    error
        Makes the error of a message.

    Raises
    ------
    SettingError
        There are too few bins for the interpolation, or far too many, or they are smoothed an impossible
        number of times; or what ``error`` makes.

    Example
    -------
    >>> histogram = Histogram("f", "h", np.array([0.0, 1.0, 2.0]), np.float32([1.0, 3.0]))
    >>> make_pdf(histogram, normalised=True).values.tolist()
    [0.25, 0.75]
    """
    edges, contents, method = histogram.edges, histogram.contents, histogram.method
    uniform = histogram.uniform
    if method == _KERNELS:
        if len(contents) > _MOST_KERNELS:
            raise error(f"{len(contents)} kernels; {_MOST_KERNELS} are read. Take fewer bins.")
        edges, contents = kernel_density(edges, contents, histogram.kernels, FINE_BINS, error)
        uniform = True
    else:
        contents = _smooth(contents, *histogram.smoothings, error)
        if method:
            edges, contents = _fine(edges, contents, method, error)
            uniform = True
    if normalised:
        integral = float(contents.astype(np.float64).sum()) * (edges[-1] - edges[0]) / len(contents)
        if integral < 0:
            raise error(f"the integral of the density is {integral:g}.")
        if integral > 0:
            contents = (contents.astype(np.float64) * (1.0 / integral)).astype(np.float32)
    return Pdf(edges, contents, bool(method), uniform, histogram)


def _smooth(
    contents: NDArray[np.float32], least: int, most: int, error: Callable[[str], HepmlError]
) -> NDArray[np.float32]:
    if most <= 0:
        most = least
    if least < 0 or most < least:
        raise error(f"it is smoothed {least} to {most} times, which is no range.")
    if most == 0 or len(contents) == 1:
        return contents
    if len(contents) < 3:
        raise error("a histogram of two bins cannot be smoothed.")
    if len(contents) * most > _MOST_WORK:
        raise error(f"{len(contents)} bins are smoothed {most} times; TMVA writes far fewer.")
    return smoothed(contents, least) if least == most else smoothed_by_errors(contents, least, most)


def _histogram(node: XmlNode) -> tuple[NDArray[np.float64], NDArray[np.float32], bool, str]:
    histogram = node.child("Histogram")
    bins = histogram.integer("NBins", least=1, most=MOST_BINS)
    contents = np.array(histogram.numbers(bins)).astype(np.float32)
    uniform = histogram.integer("HasEquidistantBins", most=1) == 1
    if uniform:
        edges = np.linspace(histogram.number("XMin"), histogram.number("XMax"), bins + 1)
    else:
        binning = node.child("HistogramBinning")
        if binning.integer("NBins") != bins:
            raise binning.error(f"NBins={binning.integer('NBins')}, but the histogram has {bins}.")
        edges = np.array(binning.numbers(bins + 1))
    if not (np.diff(edges) > 0).all():
        raise histogram.error("the edges of its bins do not ascend.")
    return edges, contents, uniform, histogram.attributes.get("Name", "")


def _fine(
    edges: NDArray[np.float64],
    contents: NDArray[np.float32],
    method: int,
    error: Callable[[str], HepmlError],
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    centres = (edges[:-1] + edges[1:]) / 2
    name, least, spline = SPLINES[method - 1]
    if len(centres) < least:
        raise error(f"{name} needs {least} bins at least; the histogram has {len(centres)}.")
    low, high = edges[0], edges[-1]
    fine_edges = np.linspace(low, high, FINE_BINS + 1)
    x = low + (np.arange(FINE_BINS) + 0.5) * ((high - low) / FINE_BINS)
    y = spline(centres, contents.astype(np.float64), x)
    inside = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(contents) - 1)
    # Where a spline swings below zero TMVA takes the histogram.
    y = np.where(y <= SMALLEST, contents[inside], y)
    return fine_edges, np.maximum(y, SMALLEST).astype(np.float32)


def pdf_values(pdf: Pdf, x: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return a density at some places as TMVA looks it up; never less than 1e-12.

    >>> pdf = make_pdf(Histogram("f", "h", np.array([0.0, 1.0, 2.0]), np.float32([1.0, 3.0]), method=1), True)
    >>> pdf_values(pdf, np.array([1.0])).round(3).tolist()
    [0.5]
    """
    at = np.asarray(x, np.float64)
    count = len(pdf.values)
    values = pdf.values.astype(np.float64)
    if not pdf.interpolated:
        places = np.clip(np.searchsorted(pdf.edges, at, side="right") - 1, 0, count - 1)
        return np.maximum(values[places], SMALLEST)
    left = np.clip(np.floor((at - pdf.low) / pdf.width - 0.5), 0, count - 2).astype(np.intp)
    behind = at - (pdf.low + (left + 0.5) * pdf.width)
    slope = np.diff(values) / pdf.width
    return np.maximum(values[left] + behind * slope[left], SMALLEST)


# ---- in the graph ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lookup:
    """Where values lie in the tables of :func:`add_lookup`: the entry, and how far behind its centre."""

    entry: str
    behind: str


def add_lookup(graph: Graph, values: str, pdfs: Sequence[Pdf]) -> Lookup:
    """Add the search for the pair of fine bins that every value ``(events, columns)`` lies between.

    ``pdfs`` are the interpolated densities of the columns. A centre is kept as the sum of two float32
    numbers, so that the distance from it has all digits.
    """
    for pdf in pdfs:
        if not pdf.interpolated or len(pdf.values) < 2:
            raise UnsupportedOperationError("a density of constant bins has no value between its centres.")
    if sum(len(pdf.values) for pdf in pdfs) > _EXACT_INTEGERS:
        raise UnsupportedOperationError(
            f"{len(pdfs)} densities of {FINE_BINS:,} bins are more than are read."
        )
    first = np.array([pdf.low + pdf.width / 2 for pdf in pdfs])
    width = np.array([pdf.width for pdf in pdfs])
    last = np.array([len(pdf.values) - 2 for pdf in pdfs])
    start = np.cumsum([0, *(last + 1)])[:-1]
    place = graph.add("Mul", graph.add("Sub", values, graph.constant(first)), graph.constant(1.0 / width))
    # NaN stays NaN in what is behind the centre; as an index it would be out of range.
    number = graph.add("Where", graph.add("IsNaN", place), graph.constant(0.0), place)
    least = graph.add("Max", number, graph.constant(np.zeros(len(pdfs))))
    index = graph.add("Floor", graph.add("Min", least, graph.constant(last)))
    entry = graph.add("Cast", graph.add("Add", index, graph.constant(start)), to=7)  # int64
    centres = np.concatenate([f + w * np.arange(n + 1) for f, w, n in zip(first, width, last, strict=True)])
    near = centres.astype(np.float32)
    rest = (centres - near).astype(np.float32)
    behind = graph.add("Sub", values, graph.add("Gather", graph.constant(near), entry))
    return Lookup(entry, graph.add("Sub", behind, graph.add("Gather", graph.constant(rest), entry)))


def add_values(graph: Graph, found: Lookup, pdfs: Sequence[Pdf], complement: bool = False) -> str:
    """Add the interpolated values of the densities, or 1 minus these."""
    here, slope = [], []
    for pdf in pdfs:
        values = pdf.values.astype(np.float64)
        values = 1.0 - values if complement else values
        here.append(values[:-1])
        slope.append(np.diff(values) / pdf.width)
    change = graph.add(
        "Mul", found.behind, graph.add("Gather", graph.constant(np.concatenate(slope)), found.entry)
    )
    return graph.add("Add", graph.add("Gather", graph.constant(np.concatenate(here)), found.entry), change)


def step_edges(pdf: Pdf) -> NDArray[np.float32]:
    """Return the smallest float32 that are in the second, third, … bin, as ROOT finds bins."""
    bins = len(pdf.values)
    if not pdf.uniform:
        inner = pdf.edges[1:-1]
        near = inner.astype(np.float32)
        return np.where(near < inner, np.nextafter(near, np.float32(np.inf)), near)
    number = np.arange(1, bins)
    near = (pdf.low + number * (pdf.high - pdf.low) / bins).astype(np.float32)

    def bin_of(x: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.floor(bins * (x.astype(np.float64) - pdf.low) / (pdf.high - pdf.low))

    for _ in range(4):
        near = np.where(bin_of(near) < number, np.nextafter(near, np.float32(np.inf)), near)
    for _ in range(4):
        below = np.nextafter(near, np.float32(-np.inf))
        near = np.where(bin_of(below) >= number, below, near)
    return near
