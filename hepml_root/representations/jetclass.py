"""The public JetClass files: which columns they have, as particles of a jet and as classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hepml_root.data.rdataframe import Source
from hepml_root.errors import SettingError, unknown
from hepml_root.representations.constituents import STANDARD_FEATURES, Constituents, constituents

JETCLASS_CLASSES = ("QCD", "Hbb", "Hcc", "Hgg", "H4q", "Hqql", "Zqq", "Wqq", "Tbqq", "Tbl")
_IDENTITY = (
    "charge := part_charge",
    "isChargedHadron := part_isChargedHadron",
    "isNeutralHadron := part_isNeutralHadron",
    "isPhoton := part_isPhoton",
    "isElectron := part_isElectron",
    "isMuon := part_isMuon",
)
_TRACKS = (
    "d0 := tanh(part_d0val)",
    "d0_error := ROOT::VecOps::Where(part_d0err > 1, 0 * part_d0err + 1, part_d0err)",
    "dz := tanh(part_dzval)",
    "dz_error := ROOT::VecOps::Where(part_dzerr > 1, 0 * part_dzerr + 1, part_dzerr)",
)
_INPUTS: dict[str, tuple[str, ...]] = {
    "kinematics": (),
    "identity": _IDENTITY,
    "full": _IDENTITY + _TRACKS,
}


def jetclass_particles(
    name: str = "particles",
    *,
    inputs: str = "full",
    features: Sequence[str] = STANDARD_FEATURES,
    max_length: int = 128,
    **settings: Any,
) -> Constituents:
    """Return the particles of a JetClass file as one tensor, with the inputs of arXiv:2202.03772.

    Momenta are computed from the branches part_px, part_py, part_pz and part_energy; Δη and Δφ are relative
    to jet_eta and jet_phi, without the change of sign for jets at negative η that part_deta has.

    Arguments
    ---------
    name
        Of the block.
    inputs
        "kinematics": the features alone; "identity": and charge and particle type; "full": and the impact
        parameters of tracks, tanh(d0/mm) and tanh(dz/mm), with their errors, at most 1 mm.
    features
        As of :func:`constituents`.
    max_length
        Particles that are kept of each jet, those of largest pT.
    settings
        Any other of :func:`constituents`.

    Raises
    ------
    SettingError
        A setting is unknown or out of its range.

    Reference
    ---------
    Qu, Li, Qian, JetClass, doi:10.5281/zenodo.6619768; arXiv:2202.03772.

    Example
    -------
    >>> particles = jetclass_particles(inputs="identity")
    >>> particles.blocks()[0].shape
    (128, 13)
    """
    if inputs not in _INPUTS:
        raise SettingError(unknown("kind of inputs", inputs, _INPUTS))
    settings.setdefault("axis", ("jet_eta", "jet_phi"))
    return constituents(
        name,
        pt="hepml::pt_of(part_px, part_py)",
        eta="hepml::eta_of(part_px, part_py, part_pz)",
        phi="hepml::phi_of(part_px, part_py)",
        mass="hepml::mass_of(part_px, part_py, part_pz, part_energy)",
        features=features,
        extra=_INPUTS[inputs],
        max_length=max_length,
        **settings,
    )


def jetclass_sources(
    files: Any, classes: Sequence[str] = JETCLASS_CLASSES, tree: str = "tree"
) -> dict[str, Source]:
    """Return the classes of JetClass as sources for :meth:`Dataset.from_root`, told apart by their labels.

    Arguments
    ---------
    files
        The files, a glob or a list of those, in which jets of all these classes are.
    classes
        Some of QCD, Hbb, Hcc, Hgg, H4q, Hqql, Zqq, Wqq, Tbqq, Tbl; the branches are called label_QCD, ….
    tree
        Name of the tree.

    Raises
    ------
    SettingError
        There is no such class.

    Example
    -------
    >>> sources = jetclass_sources(["TTBar_000.root", "ZJetsToNuNu_000.root"], ("Tbqq", "QCD"))
    >>> sources["Tbqq"].cut
    'label_Tbqq > 0.5'
    """
    for name in classes:
        if name not in JETCLASS_CLASSES:
            raise SettingError(unknown("class of JetClass", name, JETCLASS_CLASSES))
    return {name: Source(files, tree=tree, cut=f"label_{name} > 0.5") for name in classes}
