"""Several kinds of data in one network: images, constituents and numbers, each with a branch of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from hepml_root.errors import SettingError, unknown
from hepml_root.models.inputs import InputBlocks, Transforms
from hepml_root.models.presets import entry, zoo

_BY_KIND: dict[str, Mapping[str, Any]] = {
    "image": {"kind": "cnn", "preset": "small"},
    "jagged": {"kind": "pfn", "settings": {"phi": (64, 64), "hidden": (64,)}},
}

Branch = str | Mapping[str, Any]


def fusion(
    data: Any,
    branches: Mapping[str, Branch] | None = None,
    *,
    hidden: Sequence[int] = (64, 64),
    activation: str = "relu",
    dropout: float = 0.0,
    transforms: Transforms = "auto",
    inputs: Sequence[str] | None = None,
    seed: int | None = 1,
    name: str = "fusion",
) -> keras.Model:
    r"""Return a network with a branch for each block of data, joined before the last layers.

    .. math:: y = F\big( B_1(x_1), B_2(x_2), \dots, x_{numbers} \big)

    Each image and each group of constituents goes through a network of its own, which may be any of the zoo;
    what those have before their output is joined, with "features" and "parameters" as they are after their
    transforms. Inputs: the blocks by name, ``(events, height, width, channels)``,
    ``(events, constituents, features)`` with their masks, ``(events, numbers)``. Output:
    ``(events, outputs)``, called "score".

    Arguments
    ---------
    data
        A :class:`Dataset`, its ``describe()``, or ``{block: shape}``.
    branches
        ``{block: model}``, the model being a name ("gru"), or ``{"kind": "cnn", "preset": "small",
        "settings": {...}}``. Blocks that are not named get a small convolutional network if they are images,
        a deep set if they are constituents; "features" and "parameters" get no branch unless named.
    hidden
        Neurons of each layer behind the joint.
    activation, dropout
        Of these layers.
    transforms
        Of all blocks, as in :func:`dense`.
    inputs
        Names of the dataset's blocks to take; None: all.
    seed
        Of the initial weights and of dropout.
    name
        Of the model.

    Raises
    ------
    SettingError
        A block or model is unknown, or a setting of one is.

    Reference: arXiv:2102.02278 joins images, constituents and numbers.

    Example
    -------
    >>> model = fusion({"jet_image": (16, 16, 1), "particles": (30, 4), "features": (5,)},
    ...                branches={"particles": {"kind": "gru", "settings": {"units": (8,)}}})
    >>> [layer.name for layer in model.layers if layer.name.endswith("branch")]
    ['jet_image_branch', 'particles_branch']
    """
    blocks = InputBlocks(data, transforms, inputs)
    given = dict(branches or {})
    able = blocks.of_kind("flat", "parameter", "jagged", "image")
    for block in given:
        if block not in able:
            raise SettingError(unknown("block", block, able, "It is named in 'branches'."))
    joined = []
    for number, block in enumerate(able):
        branch = given.get(block, _BY_KIND.get(blocks.kind(block)))
        if branch is None:
            continue
        # A branch takes the graph of its constituents along, if it has a use for it.
        graphs = (f"{block}_neighbours", f"{block}_edges")
        own = [block, *(graph for graph in blocks.of_kind("index", "edges") if graph in graphs)]
        others = {"transforms": _about(transforms, blocks, own)}
        if blocks.kind(block) == "image" and not set(blocks.labels(block)) & set(
            transforms if isinstance(transforms, Mapping) else ()
        ):
            others = {}  # its pixels have a scaling of their own
        network = _network(data, block, branch, own, None if seed is None else seed + number, others)
        joined.append(network({part: blocks.given(part) for part in network.input}))
    numbers = [block for block in blocks.of_kind("flat", "parameter") if block in given]
    with blocks.seeded(seed):
        if not joined:
            joined, numbers = [blocks.numbers()], blocks.of_kind("flat", "parameter")
        pooled = joined[0] if len(joined) == 1 else keras.layers.Concatenate(name="branches")(joined)
        x = blocks.head(pooled, hidden, activation=activation, dropout=dropout, without=numbers)
        return blocks.model(x, name)


def _network(
    data: Any, block: str, branch: Branch, inputs: Sequence[str], seed: int | None, others: Mapping[str, Any]
) -> keras.Model:
    """Return a model of the zoo on some blocks, up to what its output layer sees."""
    words: dict[str, Any] = {"kind": branch} if isinstance(branch, str) else dict(branch)
    for key in words:
        if key not in ("kind", "preset", "settings"):
            raise SettingError(unknown(f"key of the branch '{block}'", key, ("kind", "preset", "settings")))
    networks = [name for name, known in zoo().items() if known.network and name != "fusion"]
    kind = str(words.get("kind"))
    if kind not in networks:
        raise SettingError(unknown("model", kind, networks, f"It is the branch of '{block}'."))
    settings = {**others, "inputs": list(inputs), "seed": seed, "name": f"{block}_branch"}
    settings |= words.get("settings") or {}
    whole = entry(kind).build(data, words.get("preset", "default"), **settings)
    try:
        end = whole.get_layer("output").input
    except ValueError:
        raise SettingError(
            f"the model '{kind}' has no output layer to join: it cannot be a branch."
        ) from None
    return keras.Model(whole.input, end, name=f"{block}_branch")


def _about(transforms: Transforms, blocks: InputBlocks, names: Sequence[str]) -> Transforms:
    """Return the transforms of some blocks: of a dictionary by label, the labels that are theirs."""
    if not isinstance(transforms, Mapping):
        return transforms
    labels = {label for name in names for label in blocks.labels(name)}
    return {label: chain for label, chain in transforms.items() if label == "*" or label in labels}
