"""Weight files as TMVA writes them, for the benchmark, and the same numbers for its plain loops."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.trees import toy_events
from hepml_root.tmva.weights.trees import BoostedTrees
from hepml_root.tmva.weights.weights_xml import read_weights

VARIABLES = 28
DEPTH = 3
HIDDEN = 33


def write_files(folder: Path, trees: int, bdt: str | None) -> dict[str, tuple[Path, str]]:
    """Write the weight files and the numbers in them; return for each method its file and what it is."""
    random = np.random.default_rng(3)
    forest = Path(bdt) if bdt else _file(folder, "BDT", _forest(trees), {"BoostType": "Grad"})
    count = _write_trees(forest, folder / "BDT.numbers")
    first = random.normal(0, 0.3, (VARIABLES + 1, HIDDEN)).astype(np.float32)
    second = random.normal(0, 0.3, (HIDDEN + 1, 1)).astype(np.float32)
    np.concatenate([[HIDDEN], first.ravel(), second.ravel()]).astype(np.float64).tofile(
        folder / "MLP.numbers"
    )
    options = {"NeuronType": "tanh", "EstimatorType": "CE", "NeuronInputType": "sum"}
    coefficients = random.normal(0, 0.3, VARIABLES + 1)
    coefficients.tofile(folder / "Fisher.numbers")
    return {
        "BDT": (forest, f"BDT, {count} trees"),
        "MLP": (_file(folder, "MLP", _network(first, second), options), f"MLP {VARIABLES}-{HIDDEN}-1"),
        "Fisher": (_file(folder, "Fisher", _fisher(coefficients), {}), f"Fisher, {VARIABLES} variables"),
    }


def _file(folder: Path, method: str, weights: str, options: Mapping[str, str]) -> Path:
    chosen = "".join(f'<Option name="{k}" modified="Yes">{v}</Option>' for k, v in options.items())
    variables = "".join(
        f'<Variable VarIndex="{i}" Expression="x{i}" Label="x{i}" Title="" Unit="" Internal="x{i}" Type="F" '
        'Min="-4" Max="4"/>'
        for i in range(VARIABLES)
    )
    path = folder / f"{method}.weights.xml"
    path.write_text(
        f'<?xml version="1.0"?><MethodSetup Method="{method}::{method}">'
        '<GeneralInfo><Info name="TMVA Release" value="4.2.1 [262657]"/>'
        '<Info name="AnalysisType" value="Classification"/></GeneralInfo>'
        f'<Options>{chosen}</Options><Variables NVar="{VARIABLES}">{variables}</Variables>'
        '<Classes NClass="2"><Class Name="Signal" Index="0"/><Class Name="Background" Index="1"/></Classes>'
        f'<Transformations NTransformations="0"/><MVAPdfs/>{weights}</MethodSetup>'
    )
    return path


def _network(*layers: np.ndarray) -> str:
    text = ""
    for index, rows in enumerate(layers):
        inner = "".join(
            f'<Neuron NSynapses="{len(row)}">{" ".join(f"{w:.9g}" for w in row)}</Neuron>' for row in rows
        )
        text += f'<Layer Index="{index}" NNeurons="{len(rows)}">{inner}</Layer>'
    text += f'<Layer Index="{len(layers)}" NNeurons="1"><Neuron NSynapses="0"/></Layer>'
    return f'<Weights><Layout NLayers="{len(layers) + 1}">{text}</Layout></Weights>'


def _fisher(coefficients: Iterable[float]) -> str:
    values = [f'<Coefficient Index="{i}" Value="{c:.17g}"/>' for i, c in enumerate(coefficients)]
    return f'<Weights NCoeff="{len(values)}">{"".join(values)}</Weights>'


def _forest(trees: int) -> str:
    """Trees of depth 3 that LightGBM has trained on toy events, in TMVA's words."""
    import lightgbm

    x, y = toy_events(20_000, seed=1)
    settings = {"objective": "binary", "max_depth": DEPTH, "num_leaves": 2**DEPTH, "learning_rate": 0.1}
    settings |= {"verbosity": -1, "num_threads": 1, "seed": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(x, y), trees)
    roots = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    inner = "".join(
        f'<BinaryTree type="DecisionTree" boostWeight="1" itree="{i}">{_node(root, "s", 0)}</BinaryTree>'
        for i, root in enumerate(roots)
    )
    return f'<Weights NTrees="{len(roots)}" AnalysisType="1">{inner}</Weights>'


def _node(node: Mapping[str, Any], side: str, depth: int) -> str:
    common = f'pos="{side}" depth="{depth}" NCoef="0" cType="1" rms="0" purity="0.5"'
    if "leaf_value" in node:
        return f'<Node {common} IVar="-1" Cut="0" res="{node["leaf_value"] / 2:.9g}" nType="-99"/>'
    daughters = _node(node["left_child"], "l", depth + 1) + _node(node["right_child"], "r", depth + 1)
    cut = float(np.float32(node["threshold"]))
    return (
        f'<Node {common} IVar="{node["split_feature"]}" Cut="{cut:.9g}" res="0" nType="0">{daughters}</Node>'
    )


def _write_trees(file: Path, numbers: Path) -> int:
    """Write the trees of a weight file as rows (variable or −1, cut or value, left, right) of doubles."""
    weights = read_weights(file).weights
    if not isinstance(weights, BoostedTrees) or weights.boost != "Grad":
        raise ValueError(f"'{file}' is no BDT with BoostType=Grad")
    rows: list[tuple[float, float, float, float]] = []
    roots = []
    for tree in weights.trees:
        start = len(rows)
        roots.append(float(start))
        for i, kind in enumerate(tree.kind):
            if kind:
                rows.append((-1.0, tree.response[i], -1.0, -1.0))
                continue
            left, right = start + tree.left[i], start + tree.right[i]
            if not tree.right_if_above[i]:
                left, right = right, left
            rows.append((float(tree.variable[i]), tree.cut[i], float(left), float(right)))
    flat = np.array(rows, np.float64)
    np.concatenate([[len(roots), len(rows)], roots, flat.ravel()]).tofile(numbers)
    return len(roots)
