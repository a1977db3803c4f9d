"""The public top-tagging reference set: jets as arrays, or as a ROOT file with the branches of our own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.pandas_table import PandasTable
from hepml_root.errors import ColumnNotFoundError, EmptySelectionError
from hepml_root.output import refuse_existing, writing

_BLOCK = 20_000
_SCALARS = (
    "jet_pt",
    "jet_eta",
    "jet_phi",
    "jet_mass",
    "jet_multiplicity",
    "truth_pt",
    "truth_eta",
    "truth_phi",
)
_LISTS = ("pt", "eta", "phi", "mass")
# (E² − p²) / E² below which a particle counts as massless: float32 momenta leave that much to chance.
_MASSLESS = 1e-5


def read_top_tagging(path: str | os.PathLike[str], first: int = 0, last: int | None = None) -> dict[str, Any]:
    """Return jets of the public top-tagging reference set, under the branch names of our own jets.

    The set has anti-kT R = 0.8 jets of 14 TeV collisions, 550 < pT < 650 GeV, |η| < 2, with the four-momenta
    of up to 200 constituents, sorted by pT: train.h5, val.h5 and test.h5, of
    https://zenodo.org/records/2603256.

    Arguments
    ---------
    path
        One of its HDF5 files. They are tables of pandas, which is not needed to read them.
    first, last
        Rows from ``first`` to before ``last``; all by default.

    Returns
    -------
    A dictionary of arrays. For each jet: "constituent_pt", "constituent_eta", "constituent_phi",
    "constituent_mass" (awkward arrays; GeV and rad; the mass is 0 where E = p to rounding), "jet_pt",
    "jet_eta", "jet_phi", "jet_mass" of the sum of the constituents, "jet_multiplicity"; "truth_pt",
    "truth_eta", "truth_phi" of the top quark (0 for QCD jets); "is_signal" (1 for top jets); "ttv", the
    set's own flag of train, test and validation; and "event_number", the row in the file. The set has
    neither charges nor particle types.

    Raises
    ------
    SourceNotFoundError
        There is no such file.
    CorruptFileError
        It is no HDF5 file, is truncated, or holds no table of pandas.
    ColumnNotFoundError
        It is a table of something else.
    EmptySelectionError
        There is no such row.
    MissingDependencyError
        It is compressed with Blosc and the package hdf5plugin is not installed.

    Reference
    ---------
    Kasieczka, Plehn, Thompson, Russel, doi:10.5281/zenodo.2603256; comparison in arXiv:1902.09914.

    Example
    -------
    >>> jets = read_top_tagging("test.h5", last=1000)  # doctest: +SKIP
    >>> particles = hr.representations.constituents(
    ...     pt="constituent_pt", eta="constituent_eta", phi="constituent_phi", mass="constituent_mass"
    ... )  # doctest: +SKIP
    >>> data = hr.Dataset.from_arrays(
    ...     particles(jets), jets["is_signal"], classes=("qcd", "top"), signal="top",
    ...     representations=[particles],
    ... )  # doctest: +SKIP
    """
    import awkward as ak

    blocks = list(_blocks(path, first, last))
    jets: dict[str, Any] = {}
    for name in blocks[0]:
        parts = [block[name] for block in blocks]
        jets[name] = ak.concatenate(parts) if isinstance(parts[0], ak.Array) else np.concatenate(parts)
    return jets


def top_tagging_to_root(
    path: str | os.PathLike[str], target: str | os.PathLike[str], overwrite: bool = False
) -> Path:
    """Write a file of the public top-tagging reference set as a ROOT file, and return its path.

    Its trees "top" and "qcd" have the branches that :func:`read_top_tagging` names, which are those of the
    samples top-jets and qcd-jets as far as the set has them: everything that works with these, works with
    the public jets. Block by block, in little memory.

    Arguments
    ---------
    path
        The HDF5 file.
    target
        The ROOT file.
    overwrite
        Replace ``target`` where it exists.

    Raises
    ------
    OutputExistsError
        ``target`` exists.
    OutputWriteError
        It cannot be written.
    SourceNotFoundError, CorruptFileError, ColumnNotFoundError, EmptySelectionError, MissingDependencyError
        As for :func:`read_top_tagging`.

    Example
    -------
    >>> file = top_tagging_to_root("train.h5", "train.root")  # doctest: +SKIP
    >>> data = hr.Dataset.from_root(
    ...     {"top": f"{file}:top", "qcd": f"{file}:qcd"}, inputs=[particles]
    ... )  # doctest: +SKIP
    """
    import awkward as ak
    import uproot

    refuse_existing(target, overwrite)
    blocks = _blocks(path, 0, None)
    first = next(blocks)  # whose errors come before anything is written
    with writing(target, overwrite) as temporary, uproot.recreate(temporary) as file:
        types: dict[str, str] = {
            "event_number": "uint64",
            **dict.fromkeys(_SCALARS, "float32"),
            "is_signal": "int32",
            "ttv": "int32",
            "constituent": "var * {" + ", ".join(f'"{name}": float32' for name in _LISTS) + "}",
        }
        trees = {name: file.mktree(name, types) for name in ("top", "qcd")}
        for block in itertools.chain([first], blocks):
            particles = ak.zip({name: block[f"constituent_{name}"] for name in _LISTS})
            for name, wanted in (("top", 1), ("qcd", 0)):
                chosen = block["is_signal"] == wanted
                if chosen.any():
                    scalars = {key: block[key][chosen] for key in types if key != "constituent"}
                    trees[name].extend({**scalars, "constituent": particles[chosen]})
    return Path(target)


def _blocks(path: str | os.PathLike[str], first: int, last: int | None) -> Iterator[dict[str, Any]]:
    with PandasTable(path) as table:
        first, last, _ = slice(first, last).indices(len(table))
        if first >= last:
            raise EmptySelectionError(f"'{path}' has {len(table)} rows; none of them was asked for.")
        size = 0
        while f"E_{size}" in table.columns:
            size += 1
        if size == 0 or "is_signal_new" not in table.columns:
            raise ColumnNotFoundError(
                f"'{path}' is no file of the top-tagging reference set: it lacks the columns E_0, PX_0, "
                f"PY_0, PZ_0, … and is_signal_new. It has {', '.join(table.columns[:8])}, …"
            )
        four = [f"{name}_{i}" for name in ("E", "PX", "PY", "PZ") for i in range(size)]
        truth = [name for name in ("truthE", "truthPX", "truthPY", "truthPZ") if name in table.columns]
        flags = [name for name in ("is_signal_new", "ttv") if name in table.columns]
        for start in range(first, last, _BLOCK):
            stop = min(start + _BLOCK, last)
            momenta = table.read(four, start, stop).astype(np.float64).reshape(stop - start, 4, size)
            top = np.zeros((stop - start, 4))
            if len(truth) == 4:
                top = table.read(truth, start, stop).astype(np.float64)
            values = dict(zip(flags, table.read(flags, start, stop).T, strict=True))
            yield {
                "event_number": np.arange(start, stop, dtype=np.uint64),
                **_jets(momenta),
                **_direction("truth", *top[:, 1:].T),
                "is_signal": values["is_signal_new"].astype(np.int32),
                "ttv": values.get("ttv", np.full(stop - start, -1)).astype(np.int32),
            }


def _jets(momenta: NDArray[np.float64]) -> dict[str, Any]:
    """Jets from (jets, 4, constituents) with E, px, py, pz, where E = 0 is padding."""
    import awkward as ak

    energy, px, py, pz = np.moveaxis(momenta, 1, 0)
    there = energy > 0
    counts = there.sum(axis=1)
    energies, x, y, z = (values[there] for values in (energy, px, py, pz))
    squared = energies**2 - x**2 - y**2 - z**2
    lists = {
        **_direction("constituent", x, y, z),
        "constituent_mass": np.sqrt(np.where(squared > _MASSLESS * energies**2, squared, 0.0)),
    }
    e, jx, jy, jz = momenta.sum(axis=2).T
    mass = np.sqrt(np.maximum(e**2 - jx**2 - jy**2 - jz**2, 0.0))
    return {
        **_direction("jet", jx, jy, jz),
        "jet_mass": mass.astype(np.float32),
        "jet_multiplicity": counts.astype(np.float32),
        **{name: ak.unflatten(values.astype(np.float32), counts) for name, values in lists.items()},
    }


def _direction(
    prefix: str, px: NDArray[np.float64], py: NDArray[np.float64], pz: NDArray[np.float64]
) -> dict[str, NDArray[np.float32]]:
    """pT, pseudorapidity and azimuth; all 0 without transverse momentum."""
    pt = np.hypot(px, py)
    eta = np.arcsinh(np.divide(pz, pt, out=np.zeros_like(pz), where=pt > 0))
    names = (f"{prefix}_pt", f"{prefix}_eta", f"{prefix}_phi")
    return {
        name: values.astype(np.float32)
        for name, values in zip(names, (pt, eta, np.arctan2(py, px)), strict=True)
    }
