"""Tables that pandas wrote to HDF5, read without pandas and PyTables."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import (
    ColumnNotFoundError,
    CorruptFileError,
    MissingDependencyError,
    SourceNotFoundError,
    unknown,
)


class PandasTable:
    """A table of numbers in an HDF5 file of ``DataFrame.to_hdf``, in the format "table" or "fixed".

    Arguments
    ---------
    path:
        The file.
    key:
        Name of the table; not needed where there is only one.

    Attributes
    ----------
    columns:
        Their names.

    Raises
    ------
    SourceNotFoundError
        There is no such file, or no such table in it.
    CorruptFileError
        It is no HDF5 file, is truncated, or holds no table of pandas.
    MissingDependencyError
        It is compressed in a way (Blosc) that needs the package hdf5plugin, which is not installed.

    Example
    -------
    >>> with PandasTable("train.h5") as table:  # doctest: +SKIP
    ...     energies = table.read(["E_0", "E_1"], 0, 1000)  # (1000, 2)
    """

    def __init__(self, path: str | os.PathLike[str], key: str | None = None) -> None:
        import h5py

        self.path = Path(path)
        if not self.path.is_file():
            raise SourceNotFoundError(f"there is no file '{self.path}'.")
        try:
            self._file = h5py.File(self.path, "r")
        except OSError as error:
            raise CorruptFileError(f"'{self.path}' cannot be read as HDF5: {error}.") from error
        try:
            group = self._group(key)
            # Column name -> dataset, field of it or None, and place among the values.
            self._places: dict[str, tuple[Any, str | None, int]] = {}
            (self._find_fields if "table" in group else self._find_blocks)(group)
            if not self._places:
                raise CorruptFileError(f"'{self.path}' holds no columns that pandas wrote.")
            for dataset in {id(place[0]): place[0] for place in self._places.values()}.values():
                self._check_filters(dataset)
        except BaseException:
            self._file.close()
            raise
        self.columns = tuple(self._places)

    def __enter__(self) -> PandasTable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(next(iter(self._places.values()))[0])

    def read(self, columns: Sequence[str], first: int = 0, last: int | None = None) -> NDArray[Any]:
        """Return columns of the rows from ``first`` to before ``last``: shape (rows, columns).

        Raises
        ------
        ColumnNotFoundError
            There is no such column.
        CorruptFileError
            The rows cannot be read.
        """
        rows: dict[int, NDArray[Any]] = {}
        parts = []
        for name in columns:
            if name not in self._places:
                raise ColumnNotFoundError(unknown("column", name, self.columns, f"In '{self.path}'."))
            dataset, field, index = self._places[name]
            if id(dataset) not in rows:
                try:
                    rows[id(dataset)] = dataset[first:last]
                except OSError as error:
                    raise CorruptFileError(f"'{self.path}' is damaged: {error}.") from error
            values = rows[id(dataset)] if field is None else rows[id(dataset)][field]
            parts.append(values[:, index] if values.ndim == 2 else values)
        return np.stack(parts, axis=1)

    def _group(self, key: str | None) -> Any:
        tables = [name for name, item in self._file.items() if "pandas_type" in getattr(item, "attrs", {})]
        if key is None:
            if len(tables) != 1:
                found = f"tables {', '.join(tables)}: say which with key='...'" if tables else "no table"
                raise CorruptFileError(f"'{self.path}' holds {found} of pandas.")
            key = tables[0]
        if key not in tables:
            raise SourceNotFoundError(unknown("table", key, tables, f"In '{self.path}'."))
        return self._file[key]

    def _find_fields(self, group: Any) -> None:
        """Of the format "table": one dataset of records; a field holds several columns of one type."""
        dataset = group["table"]
        for field in dataset.dtype.names or ():
            names = _texts(dataset.attrs.get(f"{field}_kind"))
            if field == "index" or not isinstance(names, list):
                continue
            for index, name in enumerate(names):
                self._places[name] = (dataset, field, index)

    def _find_blocks(self, group: Any) -> None:
        """Of the format "fixed": for each type the names of its columns, and their values."""
        for number in range(int(group.attrs.get("nblocks", 0))):
            for index, name in enumerate(group[f"block{number}_items"][:]):
                self._places[name.decode()] = (group[f"block{number}_values"], None, index)

    def _check_filters(self, dataset: Any) -> None:
        import h5py

        properties = dataset.id.get_create_plist()
        for number in range(properties.get_nfilters()):
            code, _, _, name = properties.get_filter(number)
            if h5py.h5z.filter_avail(code):
                continue
            try:
                import hdf5plugin  # noqa: F401 - its import adds the filters
            except ImportError:
                raise MissingDependencyError(
                    f"'{self.path}' is compressed with the HDF5 filter {code} ({name.decode()}), which h5py "
                    "does not have. Install it with pip install hdf5plugin."
                ) from None
            if not h5py.h5z.filter_avail(code):
                raise CorruptFileError(f"'{self.path}' is compressed with the unknown HDF5 filter {code}.")


class _Texts(pickle.Unpickler):
    """Unpickles lists of texts, and nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"'{module}.{name}' is no text")


def _texts(stored: Any) -> Any:
    """The list that PyTables keeps as an attribute; None if there is none."""
    if not isinstance(stored, bytes):
        return None
    try:
        return _Texts(io.BytesIO(bytes(stored)), encoding="ascii").load()
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, UnicodeDecodeError):
        return None
