"""``hepml-root generate``: simulated collisions as a ROOT file."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hepml_root.errors import SettingError

EXAMPLES = """\
The events come from Pythia 8 (leading order), a parametrised detector and FastJet: pip install
'hepml_root[physics]'. The same sample, seed and settings give the same events with any number of processes,
and a shorter sample is the beginning of a longer one. Ctrl-C keeps what is finished for --resume. How the
events were made is written into the file: root> provenance->GetString()

examples:
  hepml-root generate --list                            the samples
  hepml-root generate --list top-jets                   its branches, options, detector
  hepml-root generate top-jets --events 10000 --seed 1 -o top.root
  hepml-root generate qcd-jets --events 10000 --seed 1 -o qcd.root --set PartonLevel:MPI=on
  hepml-root generate qcd-jets --events 10000 -o qcd.root --set detector.magnetic_field=2 --resume"""


def add_generate(
    command: Callable[..., argparse.ArgumentParser], overwriting: Callable[[Any], None]
) -> argparse.ArgumentParser:
    """Add the command to the command line."""
    added = command("generate", run, "generate simulated collisions as a ROOT file", EXAMPLES)
    added.add_argument(
        "sample", nargs="?", metavar="SAMPLE", help="what to generate; --list says what there is"
    )
    added.add_argument("--list", action="store_true", help="list the samples, or describe SAMPLE, and stop")
    added.add_argument("--events", type=int, metavar="N", help="how many selected events")
    added.add_argument("--seed", type=int, default=1, metavar="S", help="default: 1")
    added.add_argument("-o", "--output", metavar="FILE.root", help="the file to write")
    added.add_argument("--processes", type=int, metavar="P", help="default: one for each core")
    added.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE",
        help="a setting of Pythia (Group:name), of the detector (detector.name) or of the sample; "
        "may be repeated",
    )  # fmt: skip
    added.add_argument("--resume", action="store_true", help="continue a generation that was stopped")
    overwriting(added)
    return added


def run(options: argparse.Namespace) -> int:
    """Run the command with its parsed options."""
    from hepml_root.simulation import generate, provenance

    if options.list:
        print(describe(options.sample) if options.sample else listing())
        return 0
    missing = [
        word
        for word, value in (
            ("SAMPLE", options.sample),
            ("--events N", options.events),
            ("-o FILE.root", options.output),
        )
        if value is None
    ]
    if missing:
        raise SettingError(
            f"generate: {', '.join(missing)} missing. `hepml-root generate --list` lists the samples."
        )
    start = time.monotonic()
    path = generate(
        options.sample,
        options.output,
        options.events,
        options.seed,
        settings=settings(options.set),
        processes=options.processes,
        resume=options.resume,
        overwrite=options.overwrite,
    )
    print(summary(path, provenance(path), time.monotonic() - start))
    return 0


def settings(texts: Sequence[str]) -> dict[str, str]:
    """Return ``["PartonLevel:MPI=on"]`` as ``{"PartonLevel:MPI": "on"}``.

    >>> settings(["PartonLevel:MPI=on", "24:onIfAny = 1 2"])
    {'PartonLevel:MPI': 'on', '24:onIfAny': '1 2'}
    """
    pairs = dict([part.strip() for part in text.split("=", 1)] for text in texts if "=" in text)
    if len(pairs) != len(texts):
        raise SettingError(f"--set: write KEY=VALUE, each key once; got {', '.join(texts)}.")
    return pairs


def listing() -> str:
    """Return the samples' names and titles."""
    from hepml_root.simulation import find, names

    width = max(len(name) for name in names())
    return "\n".join(f"{name:{width}}  {find(name).title}" for name in names())


def describe(name: str) -> str:
    """Return what a sample is: tree, branches, options, settings of Pythia, detector."""
    from hepml_root.simulation import find

    sample = find(name)
    width = max(len(branch.name) for branch in sample.branches)
    lines = [f"{sample.name}: {sample.title}", f"reference: {sample.reference}", f"tree '{sample.tree}':"]
    for branch in sample.branches:
        shape = "[]" if branch.group else "".join(f"[{size}]" for size in branch.shape)
        unit = f" [{branch.unit}]" if branch.unit else ""
        lines.append(f"  {branch.name:{width}}  {branch.dtype + shape:9}  {branch.meaning}{unit}")
    lines += ["options (--set NAME=VALUE):", *(f"  {key} = {value}" for key, value in sample.options.items())]
    lines += ["Pythia (--set GROUP:NAME=VALUE):", *(f"  {line}" for line in sample.pythia)]
    if sample.detector is not None:
        lines += ["detector (--set detector.NAME=VALUE):", sample.detector.table().replace("\\|", "|")]
    return "\n".join(lines)


def summary(path: Path, made: dict[str, Any], seconds: float) -> str:
    """Return what was made, for people."""
    return (
        f"{path}: {made['events']:,} events of {made['sample']} in tree '{made['tree']}', {seconds:,.0f} s\n"
        f"from {made['generated']:,} collisions of {made['cross_section_pb']:.4g} ± "
        f"{made['cross_section_error_pb']:.2g} pb (leading order), efficiency {made['filter_efficiency']:.3g}"
    )
