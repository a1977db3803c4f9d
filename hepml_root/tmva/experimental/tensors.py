"""TMVA's tensors as numpy arrays: RTensor, AsTensor of a data frame, Compute in a data frame."""

from __future__ import annotations

import enum
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import ColumnTypeError, SettingError, ShapeError, unknown

_TYPES = {
    "float": np.float32,
    "double": np.float64,
    "int": np.int32,
    "Float_t": np.float32,
    "Double_t": np.float64,
}


def _dtype(kind: Any) -> Any:
    """Return numpy's type of what stands in ``RTensor["float"]``."""
    name = getattr(kind, "__name__", str(kind))
    if name not in _TYPES:
        raise SettingError(unknown("type of tensors", name, _TYPES))
    return _TYPES[name]


class MemoryLayout(enum.IntEnum):
    """Which index runs fastest in memory: the last, or the first."""

    RowMajor = 1
    ColumnMajor = 2


class RTensor(np.ndarray):
    """A numpy array with TMVA's calls: ``RTensor["float"](array)`` or ``RTensor["float"]([2, 3])``.

    Arguments
    ---------
    given
        An array of numbers, or a list of lengths, which makes zeros.
    shape, layout
        Another shape of the same numbers, and which index runs fastest in memory.

    Raises
    ------
    ShapeError
        The shape has another number of elements.

    Example
    -------
    >>> x = RTensor["float"]([2, 2])
    >>> x[0, 1] = 3
    >>> x.GetShape(), x.Reshape([1, 4]).Squeeze().tolist()
    ([2, 2], [0.0, 3.0, 0.0, 0.0])
    """

    def __class_getitem__(cls, kind: Any) -> Any:
        dtype = _dtype(kind[0] if isinstance(kind, tuple) else kind)
        return functools.partial(cls, dtype=dtype)

    def __new__(
        cls,
        given: Any,
        shape: Sequence[int] = (),
        layout: int = MemoryLayout.RowMajor,
        dtype: Any = np.float32,
    ) -> RTensor:
        if isinstance(given, (list, tuple)) and all(isinstance(length, int) for length in given):
            values = np.zeros(given, dtype)
        else:
            values = np.asarray(given, dtype)
        order: Any = "F" if int(layout) == MemoryLayout.ColumnMajor else "C"
        if len(shape):
            try:
                values = values.reshape([int(length) for length in shape], order=order)
            except ValueError:
                raise ShapeError(f"{values.size} numbers cannot have the shape {list(shape)}.") from None
        return np.asarray(values, order=order).view(cls)

    def GetShape(self) -> list[int]:
        """Return the lengths of the axes."""
        return list(self.shape)

    def GetSize(self) -> int:
        """Return the number of elements."""
        return self.size

    def GetStrides(self) -> list[int]:
        """Return the distances of neighbours along each axis, in elements."""
        return [stride // self.itemsize for stride in self.strides]

    def GetMemoryLayout(self) -> MemoryLayout:
        """Return which index runs fastest in memory."""
        return MemoryLayout.RowMajor if self.flags.c_contiguous else MemoryLayout.ColumnMajor

    def Reshape(self, shape: Sequence[int]) -> Any:
        """Return the same numbers in another shape."""
        return self.reshape([int(length) for length in shape])

    def Squeeze(self) -> Any:
        """Return it without axes of length 1."""
        return self.squeeze()

    def ExpandDims(self, axis: int) -> Any:
        """Return it with one more axis of length 1."""
        return np.expand_dims(self, int(axis))

    def Transpose(self) -> Any:
        """Return it with the axes in reverse."""
        return self.T

    def Slice(self, slices: Sequence[Sequence[int]]) -> Any:
        """Return the elements from begin to end along each axis: ``[[begin, end], ...]``."""
        return self[tuple(slice(int(begin), int(end)) for begin, end in slices)]

    def Copy(self) -> Any:
        """Return a copy."""
        return self.copy()


def AsRTensor(array: Any) -> RTensor:
    """Return an array with TMVA's calls, sharing its memory.

    >>> AsRTensor(np.ones((2, 3))).GetShape()
    [2, 3]
    """
    return np.asarray(array).view(RTensor)


class _AsTensor:
    """``AsTensor(frame, columns)`` and ``AsTensor["float"](frame, columns)``: columns of a data frame.

    Shapes: ``(events, columns)``.

    Arguments
    ---------
    frame
        An RDataFrame.
    columns
        Names; by default all, in RDataFrame's order.
    layout
        As of :class:`RTensor`.

    Raises
    ------
    ColumnTypeError
        A column does not hold one number per event.
    """

    def __init__(self, dtype: Any = np.float32) -> None:
        self._dtype = dtype

    def __getitem__(self, kind: Any) -> _AsTensor:
        return _AsTensor(_dtype(kind))

    def __call__(
        self, frame: Any, columns: Sequence[str] = (), layout: int = MemoryLayout.RowMajor
    ) -> RTensor:
        import ROOT

        names = [str(name) for name in (columns or frame.GetColumnNames())]
        arrays = ROOT.RDF.AsNumpy(frame, names) if hasattr(ROOT.RDF, "AsNumpy") else frame.AsNumpy(names)
        for name in names:
            if arrays[name].dtype.kind not in "fiub":
                raise ColumnTypeError(
                    f"column '{name}' is of type {frame.GetColumnType(name)}: one number per event is needed."
                )
        stacked: NDArray[Any] = np.stack([arrays[name] for name in names], axis=1).astype(self._dtype)
        order: Any = "F" if int(layout) == MemoryLayout.ColumnMajor else "C"
        return np.asarray(stacked, order=order).view(RTensor)


AsTensor = _AsTensor()


class _Compute:
    """``Compute[4, "float"](model)``: a model as what RDataFrame's Define takes, a column for each input.

        frame.Define("y", Compute[4, "float"](RReader("weights.xml")), ["var1", "var2", "var3", "var4"])

    The column holds a ``std::vector<float>`` of the model's outputs. It is the compiled network; any number
    of threads may use it.

    Arguments
    ---------
    N, type
        Number of inputs and their type, "float".
    model
        An :class:`RReader`, :class:`RBDT` or :class:`RSofieReader`.

    Raises
    ------
    SettingError
        The model is none of these, or takes another number of inputs.
    """

    def __init__(self, count: int = 0, kind: str = "float") -> None:
        self._count, self._kind = count, kind

    def __getitem__(self, arguments: Any) -> _Compute:
        count, kind = arguments if isinstance(arguments, tuple) else (arguments, "float")
        name = str(getattr(kind, "__name__", kind))
        if name not in ("float", "double", "Float_t", "Double_t"):
            raise SettingError(unknown("type of Compute's inputs", name, ("float", "double")))
        return _Compute(int(count), name)

    def __call__(self, model: Any) -> Any:
        if not hasattr(model, "functor"):
            raise SettingError(f"Compute of a {type(model).__name__}: an RReader, RBDT or RSofieReader.")
        return model.functor(self._count, self._kind)


Compute = _Compute()
