"""Weight files written by hand, node by node as TMVA writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

RELEASE = "4.2.1 [262657]"


def weight_file(
    folder: Path,
    method: str,
    weights: str,
    *,
    options: Mapping[str, str] | None = None,
    variables: Sequence[str] = ("x", "y"),
    spectators: Sequence[str] = (),
    classes: Sequence[str] = ("Signal", "Background"),
    targets: Sequence[str] = (),
    analysis: str = "Classification",
    transformations: Sequence[str] = (),
    release: str = RELEASE,
    units: Sequence[str] = (),
    before: str = "",
) -> Path:
    """Write a weight file; return its path."""

    def named(name: str, index: str, entries: Sequence[str]) -> str:
        lines = []
        for i, entry in enumerate(entries):
            label, _, expression = entry.partition(":=")
            unit = units[i] if name == "Variable" and units else ""
            lines.append(
                f'<{name} {index}="{i}" Expression="{(expression or label).strip()}" Label="{label.strip()}" '
                f'Title="" Unit="{unit}" Internal="v{i}" Type="F" Min="-2.0e+00" Max="3.0e+00"/>'
            )
        return "\n".join(lines)

    chosen = "".join(f'<Option name="{k}" modified="Yes">{v}</Option>\n' for k, v in (options or {}).items())
    parts = [
        f'<?xml version="1.0"?>\n{before}<MethodSetup Method="{method}::Mine">',
        f'<GeneralInfo><Info name="TMVA Release" value="{release}"/>',
        f'<Info name="AnalysisType" value="{analysis}"/></GeneralInfo>',
        f"<Options>\n{chosen}</Options>",
        f'<Variables NVar="{len(variables)}">',
        named("Variable", "VarIndex", variables),
        f'</Variables>\n<Spectators NSpec="{len(spectators)}">',
        named("Spectator", "SpecIndex", spectators),
        f'</Spectators>\n<Classes NClass="{len(classes)}">',
        *(f'<Class Name="{c}" Index="{i}"/>' for i, c in enumerate(classes)),
        "</Classes>",
    ]
    if targets:
        parts += [f'<Targets NTrgt="{len(targets)}">', named("Target", "TargetIndex", targets), "</Targets>"]
    parts += [
        f'<Transformations NTransformations="{len(transformations)}">',
        f"{''.join(transformations)}</Transformations>\n<MVAPdfs/>\n{weights}\n</MethodSetup>\n",
    ]
    path = folder / f"{method}.weights.xml"
    path.write_text("\n".join(parts), encoding="utf-8")
    return path


def selection(*inputs: str, outputs: Sequence[str] | None = None) -> str:
    """The inputs of a transformation: names of variables; of targets with "target " before."""

    def entries(name: str, those: Sequence[str]) -> str:
        lines = []
        for entry in those:
            kind = "Target" if entry.startswith("target ") else "Variable"
            label = entry.removeprefix("target ")
            lines.append(f'<{name} Type="{kind}" Label="{label}" Expression="{label}"/>')
        return f'<{name} N{name}s="{len(those)}">{"".join(lines)}</{name}>'

    return f"<Selection>{entries('Input', inputs)}{entries('Output', outputs or inputs)}</Selection>"


def normalize(ranges: Sequence[Sequence[tuple[float, float]]], *inputs: str) -> str:
    """A transformation "Normalize" with the ranges of each class."""
    classes = []
    for index, rows in enumerate(ranges):
        inner = "".join(f'<Range Index="{i}" Min="{a}" Max="{b}"/>' for i, (a, b) in enumerate(rows))
        classes.append(f'<Class ClassIndex="{index}"><Ranges>{inner}</Ranges></Class>')
    return f'<Transform Name="Normalize">{selection(*inputs)}{"".join(classes)}</Transform>\n'


def pdf(
    contents: Sequence[float], low: float, high: float, *, method: int = 1, smooth: tuple[int, int] = (0, 0)
) -> str:
    """A density: a histogram of equal bins, its interpolation, and how often it is smoothed."""
    return (
        f'<PDF Name="f" MinNSmooth="{smooth[0]}" MaxNSmooth="{smooth[1]}" InterpolMethod="{method}" '
        'KDE_type="0" '
        'KDE_iter="1" KDE_border="1" KDE_finefactor="1"><Histogram Name="f_original" '
        f'NBins="{len(contents)}" '
        f'XMin="{low}" XMax="{high}" HasEquidistantBins="1">{" ".join(map(str, contents))}</Histogram></PDF>'
    )


def leaf(side: str, *, kind: int = -99, purity: float = 0.5, response: float = 0.0) -> str:
    return (
        f'<Node pos="{side}" depth="1" NCoef="0" IVar="-1" Cut="0" cType="1" res="{response}" rms="0" '
        f'purity="{purity}" nType="{kind}"/>'
    )


def cut(side: str, variable: int, value: float, left: str, right: str, *, direction: int = 1) -> str:
    return (
        f'<Node pos="{side}" depth="0" NCoef="0" IVar="{variable}" Cut="{value}" cType="{direction}" '
        'res="0" rms="0" '
        f'purity="0.5" nType="0">{left}{right}</Node>'
    )


def forest(trees: Sequence[tuple[float, str]], analysis: int) -> str:
    """The weights of a BDT from (boost weight, root node); ``analysis`` 1: its leaves have responses."""
    inner = "".join(
        f'<BinaryTree type="DecisionTree" boostWeight="{weight}" itree="{i}">{root}</BinaryTree>\n'
        for i, (weight, root) in enumerate(trees)
    )
    return f'<Weights NTrees="{len(trees)}" AnalysisType="{analysis}">\n{inner}</Weights>'


def network(*layers: Sequence[Sequence[float]]) -> str:
    """The weights of an MLP: for each pair of layers the rows of its neurons, that of the bias last."""
    text = ""
    for index, rows in enumerate(layers):
        inner = "".join(f'<Neuron NSynapses="{len(r)}">{" ".join(map(str, r))}</Neuron>' for r in rows)
        text += f'<Layer Index="{index}" NNeurons="{len(rows)}">{inner}</Layer>\n'
    outputs = len(layers[-1][0])
    last = '<Neuron NSynapses="0"/>' * outputs
    text += f'<Layer Index="{len(layers)}" NNeurons="{outputs}">{last}</Layer>'
    return f'<Weights><Layout NLayers="{len(layers) + 1}">{text}</Layout></Weights>'


def fisher(*coefficients: float) -> str:
    inner = "".join(f'<Coefficient Index="{i}" Value="{c}"/>' for i, c in enumerate(coefficients))
    return f'<Weights NCoeff="{len(coefficients)}">{inner}</Weights>'


def linear(*outputs: Sequence[float]) -> str:
    inner = "".join(
        f'<Coefficient IndexOut="{o}" IndexCoeff="{i}" Value="{c}"/>'
        for o, row in enumerate(outputs)
        for i, c in enumerate(row)
    )
    return f'<Weights NOut="{len(outputs)}" NCoeff="{len(outputs[0])}">{inner}</Weights>'
