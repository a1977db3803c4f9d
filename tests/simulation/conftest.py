"""Jets that are generated once for all tests of the simulation."""

from __future__ import annotations

import dataclasses

import awkward as ak
import pytest
import uproot

from hepml_root.simulation import find, generate

pytest.importorskip("pythia8mc", reason="needs the extra 'physics'")
pytest.importorskip("fastjet", reason="needs the extra 'physics'")

JETS = 120


@pytest.fixture(scope="session")
def jet_files(tmp_path_factory):
    """Files with jets of both kinds, ``{"top": path, "qcd": path}``."""
    folder = tmp_path_factory.mktemp("jets")
    return {
        kind: generate(
            dataclasses.replace(find(f"{kind}-jets"), batch=160),
            folder / f"{kind}.root",
            events=JETS,
            seed=1,
            processes=0,
        )
        for kind in ("top", "qcd")
    }


@pytest.fixture(scope="session")
def jets(jet_files) -> dict[str, ak.Array]:
    """The content of these files."""
    return {kind: uproot.open(path)["jets"].arrays() for kind, path in jet_files.items()}


@pytest.fixture(scope="session")
def quick():
    """QCD jets in chunks of a few: what is the same as of the sample, in a second."""
    return dataclasses.replace(find("qcd-jets"), chunk=12, batch=30)
