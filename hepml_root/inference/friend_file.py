"""A ROOT file with one tree or RNTuple that is written block by block."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

FORMATS = ("ttree", "rntuple")


class FriendFile:
    """One tree or RNTuple of numeric columns, written in whole baskets by uproot.

    Writing is far from limiting: 60 million values per second with Zstandard level 1, which is faster than
    writing uncompressed to most disks and takes a tenth off scores.

    Arguments
    ---------
    path:
        The file to make.
    format:
        "ttree" or "rntuple".
    tree:
        Name of the tree or RNTuple.
    description:
        JSON-able facts about the content, kept as the text ``hepml_root`` in the file.

    Example
    -------
    >>> import tempfile, uproot
    >>> path = Path(tempfile.mkdtemp()) / "scores.root"
    >>> with FriendFile(path, "ttree", "scores", {"model": "higgs.onnx"}) as file:
    ...     file.extend({"score": np.float32([0.25, 0.5])})
    ...     file.extend({"score": np.float32([0.75])})
    >>> uproot.open(path)["scores"]["score"].array().tolist()
    [0.25, 0.5, 0.75]
    """

    def __init__(self, path: Path, format: str, tree: str, description: Mapping[str, Any]) -> None:
        self._path = path
        self._format = format
        self._tree = tree
        self._description = dict(description)
        self._file: Any = None
        self._table: Any = None

    def __enter__(self) -> FriendFile:
        import uproot

        self._file = uproot.recreate(self._path, compression=uproot.ZSTD(1))
        self._file["hepml_root"] = json.dumps(self._description)
        return self

    def extend(self, columns: Mapping[str, np.ndarray]) -> None:
        """Append a block: {column: values}, (events,) or (events, values)."""
        if self._table is None:
            types = {name: np.dtype((values.dtype, values.shape[1:])) for name, values in columns.items()}
            make = self._file.mktree if self._format == "ttree" else self._file.mkrntuple
            self._table = make(self._tree, types)
        self._table.extend(dict(columns))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
