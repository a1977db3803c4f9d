"""Weight files of TMVA, ``*.weights.xml``, read into plain dataclasses.

Nothing of the file is executed or looked up elsewhere, and what is not understood is refused: a wrong
number in a weight file is a wrong number in a paper.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hepml_root.tmva.weights.cuts import Cuts, read_cuts
from hepml_root.tmva.weights.header import MOST_VARIABLES, Header, read_header
from hepml_root.tmva.weights.likelihood import Likelihood, read_likelihood
from hepml_root.tmva.weights.linear import Linear, read_fisher, read_linear
from hepml_root.tmva.weights.mva_pdfs import read_mva_pdfs
from hepml_root.tmva.weights.neighbours import Neighbours, read_neighbours
from hepml_root.tmva.weights.network import Network, read_network
from hepml_root.tmva.weights.own_model import OwnGraph, OwnModel, read_own_model
from hepml_root.tmva.weights.pdf import Pdf
from hepml_root.tmva.weights.support_vectors import SupportVectors, read_support_vectors
from hepml_root.tmva.weights.transformations import Transformation, read_transformations
from hepml_root.tmva.weights.trees import BoostedTrees, Tree, read_trees
from hepml_root.tmva.weights.xml_nodes import XmlNode, read_xml

Weights = (
    BoostedTrees | Network | Linear | Likelihood | Cuts | Neighbours | SupportVectors | OwnGraph | OwnModel
)

_READERS: dict[str, Callable[[XmlNode, Header], Weights]] = {
    "BDT": read_trees,
    "MLP": read_network,
    "Fisher": read_fisher,
    "LD": read_linear,
    "Likelihood": read_likelihood,
    "Cuts": read_cuts,
    "KNN": read_neighbours,
    "SVM": read_support_vectors,
}


@dataclass(frozen=True)
class WeightFile:
    """All that a weight file says.

    Arguments
    ---------
    path
        The file.
    header
        Method, options, variables, spectators, classes, targets (``Header``).
    transformations
        What happens to the variables before the method sees them, in this order.
    weights
        Those of the method: :class:`~hepml_root.tmva.weights.trees.BoostedTrees`,
        :class:`~hepml_root.tmva.weights.network.Network`, :class:`~hepml_root.tmva.weights.linear.Linear`,
        :class:`~hepml_root.tmva.weights.likelihood.Likelihood`, :class:`~hepml_root.tmva.weights.cuts.Cuts`,
        :class:`~hepml_root.tmva.weights.neighbours.Neighbours`,
        :class:`~hepml_root.tmva.weights.support_vectors.SupportVectors`, or, of methods
        that TMVA's files have no form for, :class:`~hepml_root.tmva.weights.own_model.OwnModel`.
    mva_pdfs
        Densities of the response of signal and background, where it was trained with CreateMVAPdfs.
    """

    path: Path
    header: Header
    transformations: tuple[Transformation, ...]
    weights: Weights
    mva_pdfs: tuple[Pdf, Pdf] | None = None


def read_weights(path: str | os.PathLike[str]) -> WeightFile:
    """Read a weight file of TMVA 4.1.0 or later: BDT, MLP, Fisher, LD, Likelihood, Cuts, KNN, SVM.

    Arguments
    ---------
    path
        The file ``*.weights.xml``.

    Raises
    ------
    SourceNotFoundError
        There is no such file.
    ModelFileError
        It is no weight file, or a damaged one; the message names the file, the method, the line and the node.
    UnsupportedOperationError
        The method, an option or a transformation is not read.

    Reference: A. Hoecker et al., TMVA users guide, arXiv:physics/0703039.

    Example
    -------
    >>> read_weights("missing.weights.xml")
    Traceback (most recent call last):
    hepml_root.errors.SourceNotFoundError: there is no weight file 'missing.weights.xml'.
    """
    path = Path(path)
    root = read_xml(path, {"BinaryTree": lambda node: Tree(node, MOST_VARIABLES)})
    own = [node for node in root.all("Weights") if "Model" in node.attributes]
    header = read_header(root, own_model=bool(own))
    root.source.method = f"{header.method}::{header.title}"
    if own:  # the transformations are in its graph, whatever the file says of them
        model = read_own_model(own[0], path.parent, len(header.spectators))
        return WeightFile(path, header, (), model, read_mva_pdfs(root, header))
    transformations = read_transformations(root, header)
    weights = _READERS[header.method](root.child("Weights"), header)
    return WeightFile(path, header, transformations, weights, read_mva_pdfs(root, header))
