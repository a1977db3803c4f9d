"""Jagged columns that become tensors, as the feed's C++ takes them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from hepml_root.data.feed_library import GroupPlace, int_array
from hepml_root.data.feed_rows import Jagged, Represented
from hepml_root.data.represented_arrays import made


def group_places(
    groups: Sequence[Jagged | Represented],
    columns: Sequence[Sequence[int]],
    scalars: Sequence[Sequence[int]],
) -> Any:
    """C array of the groups; ``columns`` and ``scalars`` are the numbers of their columns on the road taken.

    Raises
    ------
    SettingError
        C++ does not know a representation, or one of its settings.
    """
    places = [
        GroupPlace(
            made(group.description) if isinstance(group, Represented) else None,
            int_array(list(own)), len(own), int_array(list(values)), len(values),
            (ctypes.c_ubyte * len(group.tensors))(*[tensor.mask for tensor in group.tensors]),
            group.max_length,
        )
        for group, own, values in zip(groups, columns, scalars, strict=True)
    ]  # fmt: skip
    return (GroupPlace * max(len(places), 1))(*places)
