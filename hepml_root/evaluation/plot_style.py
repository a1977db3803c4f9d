"""The look of all pictures: mplhep's ROOT style, smaller and neutral, with colours for all eyes."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: M. Petroff's accessible colour cycle, arXiv:2107.02270, with ten colours.
COLOURS = (
    "#3f90da",
    "#bd1f01",
    "#ffa90e",
    "#832db6",
    "#94a4a2",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
SIGNAL, BACKGROUND = COLOURS[1], COLOURS[0]
INK = "#1a1a1a"

_SMALLER = {
    "figure.figsize": (6.4, 5.4),
    "figure.dpi": 100.0,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "font.size": 13.0,
    "axes.labelsize": 13.5,
    "axes.titlesize": 12.0,
    "axes.linewidth": 1.1,
    "legend.fontsize": 11.5,
    "legend.handlelength": 1.6,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.0,
    "xtick.labelsize": 12.0,
    "ytick.labelsize": 12.0,
    "xtick.major.size": 7.0,
    "xtick.minor.size": 3.5,
    "ytick.major.size": 7.0,
    "ytick.minor.size": 3.5,
    "xtick.major.pad": 5.0,
    "ytick.major.pad": 4.0,
    "axes.formatter.limits": (-4, 5),
    "axes.unicode_minus": True,
    "mathtext.fontset": "dejavusans",
    "svg.fonttype": "path",
    "svg.hashsalt": "hepml_root",
    "savefig.bbox": None,
    "pdf.fonttype": 42,
    "pdf.compression": 6,
}


@functools.cache
def _style() -> Any:
    import mplhep

    return {**mplhep.style.ROOT, **_SMALLER}


_Function = TypeVar("_Function", bound=Callable[..., Any])


def styled(function: _Function) -> _Function:
    """Draw with this module's style, and leave matplotlib's settings as they were."""

    @functools.wraps(function)
    def inside(*arguments: Any, **settings: Any) -> Any:
        import matplotlib

        with matplotlib.rc_context(_style()):
            return function(*arguments, **settings)

    return inside  # type: ignore[return-value]


def new_figure(width: float = 6.4, height: float = 5.4, **spaces: Any) -> Figure:
    """Return an empty figure (in inches) outside pyplot, so that no window system and no list holds it.

    ``spaces`` are those of matplotlib's constrained layout: ``wspace``, ``hspace``, ``w_pad``, ``h_pad``.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(**spaces))


def single(width: float = 6.4, height: float = 5.4) -> tuple[Figure, Axes]:
    """Return a figure with one pair of axes."""
    figure = new_figure(width, height)
    return figure, figure.add_subplot()


def with_panel(width: float = 6.4, height: float = 6.2, share: float = 0.3) -> tuple[Figure, Axes, Axes]:
    """Return a figure with main axes above a smaller panel that shares the x axis."""
    figure = new_figure(width, height, hspace=0.02, h_pad=0.03)
    grid = figure.add_gridspec(2, 1, height_ratios=(1.0 - share, share))
    top = figure.add_subplot(grid[0])
    bottom = figure.add_subplot(grid[1], sharex=top)
    top.tick_params(labelbottom=False)
    return figure, top, bottom


def header(axes: Axes, left: str = "", right: str = "") -> None:
    """Write above the axes what is shown (bold, left) and the sample (right)."""
    if left:
        axes.text(
            0.0,
            1.015,
            left,
            transform=axes.transAxes,
            ha="left",
            va="bottom",
            fontweight="bold",
            fontsize=12.5,
        )
    if right:
        axes.text(1.0, 1.015, right, transform=axes.transAxes, ha="right", va="bottom", fontsize=11.5)


def axis_labels(axes: Axes, x: str = "", y: str = "") -> None:
    """Put axis titles at the ends of the axes, as the field does."""
    if x:
        axes.set_xlabel(x, loc="right")
    if y:
        axes.set_ylabel(y, loc="top")


def with_unit(label: str, unit: str) -> str:
    """Return an axis title such as ``m_bb [GeV]``."""
    return f"{label} [{unit}]" if unit else label


def colour_of(position: int, classes: Sequence[str] = (), signal: str | None = None) -> str:
    """Return the colour of a class: red for the signal, blue for the first other class, then the cycle."""
    if signal is None or signal not in classes:
        return COLOURS[position % len(COLOURS)]
    if classes[position] == signal:
        return SIGNAL
    others = [name for name in classes if name != signal]
    cycle = [colour for colour in COLOURS if colour != SIGNAL]
    return cycle[others.index(classes[position]) % len(cycle)]


@styled
def rendered(figure: Figure, form: str) -> bytes:
    """Return the figure as "svg", "png" or "pdf", without dates, so that equal reports give equal files."""
    layout = figure.get_layout_engine()
    if layout is not None:  # it takes as long as drawing: find it once, not for each format again
        layout.execute(figure)
        figure.set_layout_engine(None)
    buffer = io.BytesIO()
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}[form]
    figure.savefig(buffer, format=form, dpi=140, metadata=metadata)
    return buffer.getvalue()


def pages(items: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    """Give the items in pages of ``most``, the last one shorter."""
    for begin in range(0, len(items), most):
        yield items[begin : begin + most]
