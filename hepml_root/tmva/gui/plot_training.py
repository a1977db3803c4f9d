"""Pictures of what was trained: networks, their convergence, decision trees, boosting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.evaluation.plot_style import BACKGROUND, COLOURS, INK, SIGNAL, axis_labels, new_figure, styled
from hepml_root.tmva.gui.output_content import Histogram1D
from hepml_root.tmva.gui.panels import panels, small
from hepml_root.tmva.gui.tlatex import shown
from hepml_root.tmva.weights.trees import Tree

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NEURONS = 60  # in a layer; more cannot be told apart
_DEEPEST = 5


@styled
def plot_network(
    layers: Sequence[NDArray[np.float64]], inputs: Sequence[str], outputs: Sequence[str]
) -> Figure:
    """Draw neurons as circles and weights as lines, wider for larger ones, red positive and blue negative.

    Arguments
    ---------
    layers
        For each pair of layers the weights ``(neurons with bias, neurons of the next layer)``; the bias last.
    """
    from matplotlib.collections import LineCollection

    sizes = [len(layers[0]), *(table.shape[1] + 1 for table in layers[:-1]), layers[-1].shape[1]]
    tallest = max(sizes)
    figure = new_figure(2.3 * len(sizes) + 2.6, float(np.clip(0.34 * tallest + 1.6, 3.6, 11.0)))
    axes = figure.add_subplot()
    heights = [np.linspace(1, -1, size) * (size / tallest) if size > 1 else np.zeros(1) for size in sizes]
    for number, table in enumerate(layers):
        largest = float(np.abs(table).max(initial=0.0)) or 1.0
        lines = [
            [(number, heights[number][row]), (number + 1, heights[number + 1][column])]
            for row in range(table.shape[0])
            for column in range(table.shape[1])
        ]
        strength = np.abs(table).ravel() / largest
        colours = np.where(table.ravel()[:, None] >= 0, _rgb(SIGNAL), _rgb(BACKGROUND))
        shade = np.concatenate([colours, (0.15 + 0.85 * strength)[:, None]], axis=1)
        axes.add_collection(LineCollection(lines, colors=shade, linewidths=0.2 + 2.8 * strength, zorder=1))
    dot = float(np.clip(3200 / tallest, 12, 190))
    for number, own in enumerate(heights):
        bias = number < len(layers)
        for place, height in enumerate(own):
            is_bias = bias and place == len(own) - 1
            axes.scatter(
                number, height, s=dot, color="white" if is_bias else "0.85", edgecolor=INK, zorder=2,
                linewidth=1.0, linestyle=":" if is_bias else "-",
            )  # fmt: skip
    size = float(np.clip(240 / tallest, 5.0, 11.0))
    for place, label in enumerate([*inputs, "bias"]):
        axes.text(-0.13, heights[0][place], shown(label), ha="right", va="center", fontsize=size)
    for place, label in enumerate(outputs):
        axes.text(len(layers) + 0.13, heights[-1][place], shown(label), ha="left", va="center", fontsize=11)
    for number, count in enumerate(sizes):
        neurons = count - (1 if number < len(layers) else 0)
        text = f"{neurons} {('inputs' if number == 0 else 'outputs' if number == len(layers) else 'neurons')}"
        axes.text(number, 1.09, text if neurons != 1 else text[:-1], ha="center", va="bottom", fontsize=10.5)
    axes.set(xlim=(-1.1, len(layers) + 0.8), ylim=(-1.08, 1.22))
    axes.set_axis_off()
    return figure


def _rgb(colour: str) -> NDArray[np.float64]:
    from matplotlib.colors import to_rgb

    return np.array(to_rgb(colour))


def can_be_drawn(layers: Sequence[NDArray[np.float64]]) -> bool:
    """Tell whether the neurons of a network can be told apart in a picture."""
    return max(max(table.shape) for table in layers) <= _MOST_NEURONS


@styled
def plot_convergence(items: Sequence[tuple[str, Sequence[tuple[str, Histogram1D]]]]) -> Figure:
    """Draw losses against the epoch, for each method those of training and test."""
    figure, all_axes = panels(len(items), 4.6, 3.5, 3)
    for axes, (title, lines) in zip(all_axes, items, strict=True):
        for place, (label, histogram) in enumerate(lines):
            filled = histogram.values != 0
            axes.plot(
                histogram.centres[filled], histogram.values[filled], ("-", "--", ":")[place % 3],
                color=COLOURS[place % len(COLOURS)], label=label, linewidth=1.5,
            )  # fmt: skip
        axes.legend(loc="best", fontsize=10)
        small(axes, title)
        axis_labels(axes, shown(lines[0][1].x_title) or "Epoch", shown(lines[0][1].y_title) or "Loss")
    return figure


@styled
def plot_monitors(items: Sequence[tuple[str, Sequence[Any]]]) -> Figure:
    """Draw histograms of boosting as lines, and graphs; each item (title, [(label, what to draw)])."""
    figure, all_axes = panels(len(items), 4.0, 3.0, 3)
    for axes, (title, lines) in zip(all_axes, items, strict=True):
        for place, (label, what) in enumerate(lines):
            colour = COLOURS[place % len(COLOURS)]
            if isinstance(what, Histogram1D):
                # Many trees side by side hide what is drawn below them.
                width = 1.2 if len(what.values) < 200 else (0.9, 0.5)[place % 2]
                axes.stairs(what.values, what.edges, color=colour, label=label, linewidth=width)
                axis_labels(axes, shown(what.x_title), shown(what.y_title))
                axes.set_xlim(what.edges[0], what.edges[-1])
            else:
                axes.plot(*what, color=colour, label=label, linewidth=1.2)
        axes.set_ylim(0, 1.3 * axes.get_ylim()[1])
        if len(lines) > 1:
            axes.legend(loc="upper right", fontsize=9.5, ncols=2)
        small(axes, title)
    return figure


@styled
def plot_tree(tree: Tree, variables: Sequence[str], leaf: str, regression: bool) -> Figure:
    """Draw one decision tree: cuts in boxes, leaves coloured by their answer.

    The right daughter is where the condition in the box holds. Trees deeper than five levels are cut off
    there.
    """
    places: dict[int, tuple[float, float]] = {}
    cursor = 0.0

    def put(row: int, depth: int) -> float:
        nonlocal cursor
        if tree.kind[row] == 0 and depth < _DEEPEST:
            x = 0.5 * (put(tree.left[row], depth + 1) + put(tree.right[row], depth + 1))
        else:
            x, cursor = cursor, cursor + 1.0
        places[row] = (x, -float(depth))
        return x

    put(0, 0)
    deepest = int(-min(y for _, y in places.values()))
    figure = new_figure(float(np.clip(1.15 * cursor + 0.6, 4.5, 22.0)), 1.1 * deepest + 1.4)
    axes = figure.add_subplot()
    responses = np.array([tree.response[row] for row in places])
    largest = float(np.abs(responses).max(initial=0.0)) or 1.0
    size = 9.0 if cursor <= 16 else 6.5
    colour: str | tuple[float, float, float]
    for row, (x, y) in places.items():
        inner = tree.kind[row] == 0 and tree.left[row] in places
        if inner:
            for daughter in (tree.left[row], tree.right[row]):
                end = places[daughter]
                axes.plot([x, end[0]], [y, end[1]], color="0.45", linewidth=1.1, zorder=1)
            name = shown(variables[tree.variable[row]])
            text = f"{name}\n{'≥' if tree.right_if_above[row] else '<'} {tree.cut[row]:.4g}"
            colour = "white"
        elif tree.kind[row] == 0:
            text, colour = "…", "white"
        elif regression or leaf == "response":
            share = 0.5 + 0.5 * tree.response[row] / largest
            text, colour = f"{tree.response[row]:.3g}", _between(share)
        else:
            share = tree.purity[row] if leaf == "purity" else float(tree.kind[row] > 0)
            text = f"S/(S+B)\n{tree.purity[row]:.2f}" if leaf == "purity" else ("S" if share else "B")
            colour = _between(share)
        axes.text(
            x, y, text, ha="center", va="center", fontsize=size, zorder=2,
            bbox={"boxstyle": "round,pad=0.35", "facecolor": colour, "edgecolor": INK, "linewidth": 0.9},
        )  # fmt: skip
    axes.set(xlim=(-0.7, cursor - 0.3), ylim=(-deepest - 0.5, 0.5))
    axes.set_axis_off()
    return figure


def _between(share: float) -> tuple[float, float, float]:
    """A light colour from that of the background (0) to that of the signal (1)."""
    mixed = share * _rgb(SIGNAL) + (1 - share) * _rgb(BACKGROUND)
    red, green, blue = 0.45 * mixed + 0.55
    return float(red), float(green), float(blue)


def tree_depth(tree: Tree) -> int:
    """Return how many cuts the longest path of a tree has."""
    depth = {0: 0}
    for row in range(len(tree.kind)):
        if tree.kind[row] == 0:
            depth[tree.left[row]] = depth[tree.right[row]] = depth[row] + 1
    return max(depth.values())
