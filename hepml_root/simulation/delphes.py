"""Delphes output files in place of generated samples: the same columns, as expressions of a Delphes tree.

Delphes (arXiv:1307.6346) writes a tree with a list of each kind of object, ``Jet.PT``, ``Muon.Eta``,
``EFlowTrack.Phi`` and so on. Each function here gives the names that the branches of our samples have,
with the expressions that make them from such a tree, and the cut without which they have no meaning::

    import hepml_root as hr
    from hepml_root.simulation import delphes

    jets = delphes.jet_columns(pt_min=550, pt_max=650)
    data = hr.Dataset.from_root(
        {"top": jets.source("tops.root"), "qcd": jets.source("qcd.root")},
        inputs=[*jets.inputs("jet_mass"), hr.representations.constituents(**jets.momenta())],
    )

Neither Delphes nor its classes are needed: ROOT reads the lists as arrays of numbers. Tested with files that
were written in the layout of Delphes 3 (split TClonesArrays), not with those of a real Delphes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hepml_root.data.rdataframe import Source
from hepml_root.errors import ColumnNotFoundError, SettingError, unknown
from hepml_root.simulation.detector import ELECTRON, MUON, PION

TREE = "Delphes"
# Tracks of Delphes know what left them. Here as in our detector, all hadrons count as pions.
_IS = "abs(EFlowTrack.PID) == {}"
_TRACK_PDG = f"Where({_IS.format(11)} || {_IS.format(13)}, EFlowTrack.PID, 211 * EFlowTrack.Charge)"
_NOTHING = "EFlowTrack.PT * 0"
_TRACK_MASS = (
    f"Where({_IS.format(11)}, {_NOTHING} + {ELECTRON}, "
    f"Where({_IS.format(13)}, {_NOTHING} + {MUON}, {_NOTHING} + {PION}))"
)


@dataclass(frozen=True)
class DelphesColumns:
    """What the columns of one kind of sample are, in a Delphes tree.

    Attributes
    ----------
    expressions
        ``{name of our branch: C++ expression}``.
    cut
        Events for which the expressions have a meaning, and which the sample would have selected.

    Example
    -------
    >>> jet_columns().inputs("jet_pt", "jet_mass")
    ['jet_pt := FatJet.PT[0]', 'jet_mass := FatJet.Mass[0]']
    """

    expressions: Mapping[str, str]
    cut: str

    def __getitem__(self, name: str) -> str:
        if name not in self.expressions:
            raise ColumnNotFoundError(unknown("column of a Delphes file", name, self.expressions))
        return self.expressions[name]

    def inputs(self, *names: str) -> list[str]:
        """Return ``"name := expression"`` for each name, for ``inputs``, ``spectators`` and so on.

        Raises
        ------
        ColumnNotFoundError
            There is no such column; the message has the nearest ones.
        """
        return [f"{name} := {self[name]}" for name in names]

    def momenta(self, group: str = "constituent") -> dict[str, str]:
        """Return pt, eta, phi and mass of a jagged group by these words, for ``hr.representations``."""
        return {word: self[f"{group}_{word}"] for word in ("pt", "eta", "phi", "mass")}

    def source(self, files: Any, *, cut: str | None = None, **settings: Any) -> Source:
        """Return the source of these files, their tree and the cut; ``cut`` is one more of your own.

        Other settings, such as ``cross_section`` and ``generated``, are those of :class:`hepml_root.Source`.
        """
        both = self.cut if cut is None else f"({self.cut}) && ({cut})"
        return Source(files, tree=TREE, cut=both, **settings)


def jet_columns(
    collection: str = "FatJet",
    *,
    radius: float = 0.8,
    pt_min: float = 0.0,
    pt_max: float | None = None,
    eta_max: float = 2.0,
) -> DelphesColumns:
    """Return the columns of ``top-jets`` and ``qcd-jets``: the hardest jet of each event.

    ``jet_pt``, ``jet_eta``, ``jet_phi``, ``jet_mass``, ``jet_multiplicity`` and ``constituent_pt``,
    ``…_eta``, ``…_phi``, ``…_mass``, ``…_charge``, ``…_pdg``. The constituents are the energy-flow objects
    within ``radius`` of the jet's axis: Delphes keeps those of the jet as references that need its classes.
    For anti-kT jets far from others the two hardly differ.

    Arguments
    ---------
    collection
        Name of the list of jets, such as "FatJet" or "Jet".
    radius
        ΔR of the constituents.
    pt_min, pt_max, eta_max
        Selection of jets: pt in GeV, |η|.
    """
    _positive(radius=radius, eta_max=eta_max)
    jet = {word: f"{collection}.{word}[0]" for word in ("PT", "Eta", "Phi", "Mass")}
    eta, phi = _joined("Eta", "Eta", "Eta"), _joined("Phi", "Phi", "Phi")
    near = _near(eta, phi, jet["Eta"], jet["Phi"], radius)
    values = {
        "pt": _joined("PT", "ET", "ET"),
        "eta": eta,
        "phi": phi,
        "mass": _joined(f"PT * 0 + {_TRACK_MASS}", "ET * 0", "ET * 0"),
        "charge": _joined("PT * 0 + EFlowTrack.Charge", "ET * 0", "ET * 0"),
        "pdg": _joined(f"PT * 0 + {_TRACK_PDG}", "ET * 0 + 22", "ET * 0 + 130"),
    }
    expressions = {f"jet_{word.lower()}": text for word, text in jet.items()}
    expressions["jet_multiplicity"] = f"Sum({near})"
    expressions |= {f"constituent_{name}": f"{text}[{near}]" for name, text in values.items()}
    cut = f"{collection}.PT.size() > 0 && {jet['PT']} > {pt_min} && abs({jet['Eta']}) < {eta_max}"
    return DelphesColumns(expressions, cut if pt_max is None else f"{cut} && {jet['PT']} < {pt_max}")


def higgs_columns(
    *, min_pt: float = 20.0, max_eta: float = 2.5, b_tag_bit: int = 0, extra_b_tags: bool = False
) -> DelphesColumns:
    """Return the low-level columns of ``higgs`` and ``higgs-ttbar``, their selection, and ``m_bb``.

    The other masses need a choice among jets that is no expression: compute them with
    :func:`hepml_root.simulation.wwbb.masses`.

    Arguments
    ---------
    min_pt, max_eta
        Of the lepton and the jets: pt in GeV, |η|. Delphes' lists of leptons have isolated ones only.
    b_tag_bit
        Bit of ``Jet.BTag`` that says that a jet is tagged: 0 for the first tag of the card.
    extra_b_tags
        Whether events with more than two tagged jets are kept.
    """
    _positive(min_pt=min_pt, max_eta=max_eta)
    lepton = {word: f"Concatenate(Electron.{word}, Muon.{word})" for word in ("PT", "Eta", "Phi")}
    good_lepton = f"({lepton['PT']} > {min_pt} && abs({lepton['Eta']}) < {max_eta})"
    good = f"(Jet.PT > {min_pt} && abs(Jet.Eta) < {max_eta})"
    tag = f"((Jet.BTag & {1 << b_tag_bit}) != 0)"
    expressions = {
        "lepton_pT": f"{lepton['PT']}[{good_lepton}][0]",
        "lepton_eta": f"{lepton['Eta']}[{good_lepton}][0]",
        "lepton_phi": f"{lepton['Phi']}[{good_lepton}][0]",
        "missing_energy_magnitude": "MissingET.MET[0]",
        "missing_energy_phi": "MissingET.Phi[0]",
    }
    for number in range(4):
        for name, word in (("pt", "PT"), ("eta", "Eta"), ("phi", "Phi")):
            expressions[f"jet{number + 1}_{name}"] = f"Jet.{word}[{good}][{number}]"
        expressions[f"jet{number + 1}_b-tag"] = f"{tag}[{good}][{number}]"
    two = ", ".join(f"Take(Jet.{word}[{good} && {tag}], 2)" for word in ("PT", "Eta", "Phi", "Mass"))
    expressions["m_bb"] = f"hepml::invariant_mass({two})"
    tagged = f"Sum({good} && {tag}) {'>=' if extra_b_tags else '=='} 2"
    return DelphesColumns(expressions, f"Sum({good_lepton}) == 1 && Sum({good}) >= 4 && {tagged}")


def muon_columns(
    collection: str = "Muon",
    *,
    radius: float = 0.5,
    pt_min: float = 10.0,
    pt_max: float = 15.0,
    eta_max: float = 2.5,
) -> DelphesColumns:
    """Return the columns of ``muons-prompt`` and ``muons-from-jets``: the hardest muon of each event.

    ``muon_pt``, ``muon_eta``, ``muon_phi``, ``muon_charge`` and ``deposit_et``, ``deposit_eta``,
    ``deposit_phi``, ``deposit_layer`` of the calorimeter towers (the list ``Tower``) within ``radius``, each
    tower as an electromagnetic and a hadronic deposit.

    Arguments
    ---------
    collection
        Name of the list of muons. Delphes' usual ``Muon`` has isolated muons only: take one from before the
        isolation.
    radius
        ΔR of the deposits.
    pt_min, pt_max, eta_max
        Selection of muons: pt in GeV, |η|.
    """
    _positive(radius=radius, eta_max=eta_max)
    muon = {word: f"{collection}.{word}[0]" for word in ("PT", "Eta", "Phi", "Charge")}
    eta, phi = "Concatenate(Tower.Eta, Tower.Eta)", "Concatenate(Tower.Phi, Tower.Phi)"
    energy = "Concatenate(Tower.Eem, Tower.Ehad)"
    kept = f"({_near(eta, phi, muon['Eta'], muon['Phi'], radius)} && {energy} > 0)"
    expressions = {f"muon_{word.lower()}": text for word, text in muon.items()}
    expressions |= {
        "deposit_et": f"({energy} / cosh({eta}))[{kept}]",
        "deposit_eta": f"{eta}[{kept}]",
        "deposit_phi": f"{phi}[{kept}]",
        "deposit_layer": f"Concatenate(Tower.Eem * 0, Tower.Ehad * 0 + 1)[{kept}]",
    }
    cut = (
        f"{collection}.PT.size() > 0 && {muon['PT']} > {pt_min} && {muon['PT']} < {pt_max} "
        f"&& abs({muon['Eta']}) < {eta_max}"
    )
    return DelphesColumns(expressions, cut)


def _joined(track: str, photon: str, hadron: str) -> str:
    """Return one list of the energy-flow objects, from an expression of each list's members."""
    first = f"Concatenate(EFlowTrack.{track}, EFlowPhoton.{photon})"
    return f"Concatenate({first}, EFlowNeutralHadron.{hadron})"


def _near(eta: str, phi: str, axis_eta: str, axis_phi: str, radius: float) -> str:
    square = f"pow({eta} - {axis_eta}, 2) + pow(DeltaPhi({phi}, {axis_phi}), 2)"
    return f"({square} < {radius * radius})"


def _positive(**settings: float) -> None:
    for name, value in settings.items():
        if not value > 0:
            raise SettingError(f"'{name}' is {value}; it must be larger than 0.")
