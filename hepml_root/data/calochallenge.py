"""Public calorimeter data in HDF5: showers of the CaloChallenge and of CaloGAN; geometries of the former."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.geometry import Geometry, Layer, Polar
from hepml_root.errors import (
    ColumnNotFoundError,
    CorruptFileError,
    EmptySelectionError,
    SettingError,
    ShapeError,
    SourceNotFoundError,
)

_GEV_PER_MEV = 1e-3


def read_calochallenge(
    path: str | os.PathLike[str], geometry: Geometry, first: int = 0, last: int | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return energies of cells (showers, cells) and of particles (showers,) [GeV] of a public HDF5 file.

    See :meth:`hepml_root.data.showers.Showers.from_hdf5` for the layouts and the errors.
    """
    import h5py

    path = Path(path)
    if not path.is_file():
        raise SourceNotFoundError(f"there is no file '{path}'.")
    try:
        with h5py.File(path, "r") as file:
            if "incident_energies" in file and "showers" in file:
                incident, arrays = file["incident_energies"], [file["showers"]]
                scale = _GEV_PER_MEV
            elif "energy" in file and "layer_0" in file:
                incident, scale = file["energy"], 1.0
                arrays = [file[f"layer_{layer}"] for layer in range(_layers(file))]
            else:
                raise ColumnNotFoundError(
                    f"'{path}' has neither 'incident_energies' and 'showers', as files of the CaloChallenge, "
                    f"nor 'energy' and 'layer_0', …, as those of CaloGAN. "
                    f"It has: {', '.join(file) or 'nothing'}."
                )
            _check_cells(path, incident, arrays, geometry)
            start, stop, _ = slice(first, last).indices(len(incident))
            if start >= stop:
                raise EmptySelectionError(
                    f"'{path}' has {len(incident)} showers; none of them was asked for."
                )
            energies = np.empty((stop - start, geometry.cells), dtype=np.float32)
            end = 0
            for array in arrays:
                begin, end = end, end + int(np.prod(array.shape[1:]))
                block = array[start:stop].reshape(stop - start, -1)
                np.multiply(block, _GEV_PER_MEV, out=energies[:, begin:end], casting="unsafe")
            return energies, (incident[start:stop].reshape(-1) * scale).astype(np.float32)
    except OSError as error:
        if isinstance(error, SourceNotFoundError):
            raise
        raise CorruptFileError(f"'{path}' cannot be read as HDF5: {error}.") from error


def _layers(file: Any) -> int:
    number = 0
    while f"layer_{number}" in file:
        number += 1
    return number


def _check_cells(path: Path, incident: Any, arrays: list[Any], geometry: Geometry) -> None:
    for array in (incident, *arrays):
        if not hasattr(array, "shape"):
            raise CorruptFileError(f"'{path}': '{array.name}' is a group of HDF5, not an array.")
    lengths = [len(array) for array in (incident, *arrays)]
    if len(set(lengths)) > 1:
        raise CorruptFileError(
            f"'{path}' is incomplete: it has {lengths[0]} energies of particles and "
            f"{', '.join(map(str, lengths[1:]))} showers."
        )
    found = [tuple(array.shape[1:]) for array in arrays]
    cells = sum(int(np.prod(shape)) for shape in found)
    if cells != geometry.cells or (len(found) > 1 and found != list(geometry.shapes)):
        shapes = ", ".join(" × ".join(map(str, shape)) for shape in found)
        raise ShapeError(
            f"'{path}' has {cells} cells in a shower ({shapes}), the geometry '{geometry.name}' "
            f"{geometry.cells}. Dataset 2 of the CaloChallenge is 'cylinder', CaloGAN 'lar-3'; for others, "
            "hepml_root.data.calochallenge_geometry reads the file with the binning."
        )


def calochallenge_geometry(path: str | os.PathLike[str], name: str | None = None) -> Geometry:
    """Return the geometry that a file with the binning of the CaloChallenge describes.

    Such a file, as ``binning_dataset_1_photons.xml``, has the edges of the radii [mm] and the number of
    angles of each layer. Layers without cells are left out. Nothing is known of the material: the geometry
    is good for reading, training and judging, not for simulating.

    Arguments
    ---------
    path:
        The XML file.
    name:
        Name of the geometry; that of the file by default.

    Raises
    ------
    SourceNotFoundError
        There is no such file.
    CorruptFileError
        It is no XML, or no binning.
    SettingError
        The edges do not ascend.

    Example
    -------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "binning.xml"
    >>> _ = path.write_text('<Bins><Bin><Layer id="0" r_edges="0,5,10" n_bin_alpha="4"/></Bin></Bins>')
    >>> calochallenge_geometry(path).shapes
    ((4, 2),)
    """
    path = Path(path)
    if not path.is_file():
        raise SourceNotFoundError(f"there is no file '{path}'.")
    try:
        root = ElementTree.parse(path).getroot()
        layers = []
        for entry in root.iter("Layer"):
            edges = tuple(float(text) for text in entry.attrib["r_edges"].split(","))
            if len(edges) > 1:
                layers.append(Layer(Polar(int(entry.attrib["n_bin_alpha"]), edges)))
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        if isinstance(error, SettingError):
            raise
        raise CorruptFileError(f"'{path}' is no binning of the CaloChallenge: {error}.") from error
    if not layers:
        raise CorruptFileError(f"'{path}' is no binning of the CaloChallenge: it has no layer with cells.")
    return Geometry(
        name or path.stem,
        tuple(layers),
        title="geometry of a public binning",
        scale="electromagnetic",
        reference="arXiv:2410.21611",
    )
