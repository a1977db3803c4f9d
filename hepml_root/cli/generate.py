"""``hepml-root generate``: simulated collisions, and calorimeter showers, as a ROOT file."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hepml_root.errors import SettingError

EXAMPLES = """\
Collisions come from Pythia 8 (leading order), a parametrised detector and FastJet: pip install
'hepml_root[physics]'. Showers come from a parametrisation and need nothing else, or from a generator that was
trained and exported (--model). The same sample, seed and
settings give the same events with any number of processes, and a shorter sample is the beginning of a longer
one. Ctrl-C keeps what is finished for --resume. How the events were made is written into the file:
root> provenance->GetString()

examples:
  hepml-root generate --list                            the samples
  hepml-root generate --list top-jets                   its branches, options, detector
  hepml-root generate top-jets --events 10000 --seed 1 -o top.root
  hepml-root generate qcd-jets --events 10000 --seed 1 -o qcd.root --set PartonLevel:MPI=on
  hepml-root generate qcd-jets --events 10000 -o qcd.root --set detector.magnetic_field=2 --resume
  hepml-root generate photon-showers --geometry lar-3 --events 10000 -o showers.root --set energy=10:100
  hepml-root generate --model gen.onnx --energy 50 -n 10000 -o showers.root
  hepml-root generate --model gen.onnx --energy 10:100 --set eta=0.2 -n 10000 -o showers.root --seed 2
  hepml-root generate --model gen.onnx --conditions truth.root:events -o showers.root"""

FEW = 20_000


def add_generate(
    command: Callable[..., argparse.ArgumentParser], overwriting: Callable[[Any], None]
) -> argparse.ArgumentParser:
    """Add the command to the command line."""
    added = command("generate", run, "generate simulated collisions or showers as a ROOT file", EXAMPLES)
    added.add_argument(
        "sample", nargs="?", metavar="SAMPLE", help="what to generate; --list says what there is"
    )
    added.add_argument("--list", action="store_true", help="list the samples, or describe SAMPLE, and stop")
    added.add_argument("-n", "--events", type=int, metavar="N", help="how many selected events")
    added.add_argument("--seed", type=int, default=1, metavar="S", help="default: 1")
    added.add_argument("-o", "--output", metavar="FILE.root", help="the file to write")
    added.add_argument(
        "--processes", type=int, metavar="P", help="default: one for each core, if there is much to do"
    )
    added.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE",
        help="a setting of Pythia (Group:name), of the detector (detector.name) or of the sample; of a model "
        "another condition (eta=0.2 or eta=-1:1), or spectrum=log; may be repeated",
    )  # fmt: skip
    added.add_argument(
        "--energy", metavar="E", help="of showers: of the particle, a number or a range 10:100 [GeV]"
    )
    added.add_argument(
        "--geometry", metavar="NAME", help="of showers: the calorimeter; a model of another one is refused"
    )
    added.add_argument("--model", metavar="GEN.onnx", help="an exported generator of showers, not a SAMPLE")
    added.add_argument(
        "--conditions", metavar="FILE.root:TREE", help="of a model: a tree with the conditions of each shower"
    )
    added.add_argument(
        "--input", action="append", default=[], metavar="LABEL=EXPRESSION",
        help="of --conditions: how the tree calls a condition; may be repeated",
    )  # fmt: skip
    added.add_argument(
        "--allow-extrapolation",
        action="store_true",
        help="of a model: conditions it was not trained for",
    )
    added.add_argument("--resume", action="store_true", help="continue a generation that was stopped")
    overwriting(added)
    return added


def run(options: argparse.Namespace) -> int:
    """Run the command with its parsed options."""
    from hepml_root.simulation import generate, provenance

    if options.list:
        print(describe(options.sample) if options.sample else listing())
        return 0
    sample, events, chosen = asked(options)
    processes = options.processes
    if processes is None and options.model and events <= FEW:
        processes = 0  # a network has made them before another process has begun
    start = time.monotonic()
    path = generate(
        sample,
        options.output,
        events,
        options.seed,
        settings=chosen,
        processes=processes,
        resume=options.resume,
        overwrite=options.overwrite,
    )
    print(summary(path, provenance(path), time.monotonic() - start))
    return 0


def asked(options: argparse.Namespace) -> tuple[Any, int, dict[str, str]]:
    """Return the sample, the number of events and the settings that the options ask for.

    Raises
    ------
    SettingError
        Something is missing, or does not go together.
    """
    needed = {"SAMPLE or --model": options.sample or options.model, "-o FILE.root": options.output}
    if not options.conditions:
        needed["--events N"] = options.events
    missing = [word for word, value in needed.items() if value is None]
    if missing:
        raise SettingError(
            f"generate: {', '.join(missing)} missing. `hepml-root generate --list` lists the samples."
        )
    chosen = settings(options.set)
    for name in ("energy", "geometry"):
        value = getattr(options, name)
        if value is not None and name in chosen:
            raise SettingError(f"generate: --{name} and --set {name}=… say the same; give one of them.")
        if value is not None:
            chosen[name] = value
    if options.model:
        sample = of_model(options, chosen)
        found = options.events
        if found is None:
            found = len(sample.table)
        return sample, found, {}
    for name in ("conditions", "input", "allow_extrapolation"):
        if getattr(options, name):
            raise SettingError(f"generate: --{name.replace('_', '-')} belongs to --model GEN.onnx.")
    return options.sample, options.events, chosen


def of_model(options: argparse.Namespace, chosen: dict[str, str]) -> Any:
    """Return the sample of showers that an exported generator makes."""
    from hepml_root.inference.shower_sample import shower_sample

    if options.sample:
        raise SettingError(f"generate: give the sample '{options.sample}' or a --model, not both.")
    wanted = {"geometry": chosen.pop("geometry", None), "allow_extrapolation": options.allow_extrapolation}
    if not options.conditions:
        if options.input:
            raise SettingError("generate: --input belongs to --conditions FILE.root:TREE.")
        spectrum = chosen.pop("spectrum", "uniform")
        ranges = {label: _ends(label, text) for label, text in chosen.items()}
        return shower_sample(options.model, ranges, spectrum=spectrum, **wanted)
    if chosen:
        raise SettingError(f"generate: --conditions has all conditions; leave out {', '.join(chosen)}.")
    inputs = dict(text.split("=", 1) for text in options.input if "=" in text)
    if len(inputs) != len(options.input):
        raise SettingError(f"--input: write LABEL=EXPRESSION, each once; got {', '.join(options.input)}.")
    return shower_sample(options.model, options.conditions, inputs=inputs, **wanted)


def _ends(label: str, text: str) -> tuple[float, float]:
    try:
        ends = [float(one) for one in text.split(":")]
        low, high = ends if len(ends) == 2 else (*ends, *ends)
    except ValueError:
        raise SettingError(f"{label}={text}: write a number, or a range as 10:100.") from None
    return low, high


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
    if sample.pythia:
        lines += ["Pythia (--set GROUP:NAME=VALUE):", *(f"  {line}" for line in sample.pythia)]
    if sample.detector is not None:
        lines += ["detector (--set detector.NAME=VALUE):", sample.detector.table().replace("\\|", "|")]
    return "\n".join(lines)


def summary(path: Path, made: dict[str, Any], seconds: float) -> str:
    """Return what was made, for people."""
    written = (
        f"{path}: {made['events']:,} events of {made['sample']} in tree '{made['tree']}', {seconds:,.0f} s"
    )
    if "cross_section_pb" not in made:
        return f"{written}\n{made['title']}"
    return (
        f"{written}\n"
        f"from {made['generated']:,} collisions of {made['cross_section_pb']:.4g} ± "
        f"{made['cross_section_error_pb']:.2g} pb (leading order), efficiency {made['filter_efficiency']:.3g}"
    )
