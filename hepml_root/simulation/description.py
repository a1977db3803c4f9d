"""The samples and the detector as tables in Markdown, for the documentation."""

from __future__ import annotations

from hepml_root.simulation.detector import Detector
from hepml_root.simulation.samples import Sample, find, names


def samples_markdown() -> str:
    """Return the samples, their branches and settings, and the detector's parameters.

    >>> samples_markdown().splitlines()[0]
    '| sample | what it is | tree | options | reference |'
    """
    samples = [find(name) for name in names()]
    lines = ["| sample | what it is | tree | options | reference |", "|---|---|---|---|---|"]
    for one in samples:
        options = ", ".join(f"`{key}={value}`" for key, value in one.options.items())
        lines.append(f"| `{one.name}` | {one.title} | `{one.tree}` | {options} | {one.reference} |")
    parts = ["\n".join(lines)]
    described: dict[tuple[object, ...], list[Sample]] = {}
    for one in samples:
        described.setdefault(one.branches, []).append(one)
    for group in described.values():
        titles = ", ".join(f"`{one.name}`" for one in group)
        parts.append(f"### Branches of {titles}\n\n" + branches_table(group[0]))
    parts.append("### Settings of Pythia\n\n" + "\n".join(_pythia(one) for one in samples if one.pythia))
    parts.append("## The detector and its parameters\n\n" + Detector().table())
    return "\n\n".join(parts) + "\n"


def branches_table(sample: Sample) -> str:
    """Return the branches of a sample's tree as a table in Markdown."""
    lines = ["| branch | type | unit | meaning |", "|---|---|---|---|"]
    lines.append("| `event_number` | uint64 |  | position in the whole sample |")
    for branch in sample.branches:
        shape = f"[n{branch.group}]" if branch.group else "".join(f"[{size}]" for size in branch.shape)
        meaning = branch.meaning.replace("|", "\\|")
        lines.append(f"| `{branch.name}` | {branch.dtype}{shape} | {branch.unit} | {meaning} |")
    return "\n".join(lines)


def _pythia(sample: Sample) -> str:
    return f"- `{sample.name}`: " + "; ".join(f"`{line}`" for line in sample.pythia)
