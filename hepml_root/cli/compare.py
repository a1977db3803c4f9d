"""``hepml-root compare``: generated showers against showers of the source, as a report."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hepml_root.errors import SettingError

if TYPE_CHECKING:
    from hepml_root.data.showers import Showers
    from hepml_root.evaluation.shower_report import TwoSampleReport

EXAMPLES = """\
SOURCE holds showers that the generator was not trained on, GENERATED those of the generator for the same
energies (and positions, angles): ROOT files of `hepml-root generate`, or HDF5 files in the layout of the
CaloChallenge. The report has every quantity with its distance and what two samples of the source give,
classifier tests, Fréchet and kernel distance, response and resolution, and tests against memorising.

examples:
  hepml-root compare geant4.root flow.root -o report
  hepml-root compare test.root flow.root --train train.root -o report       tests against memorising
  hepml-root compare test.root flow.root --held-out 40:60 -o report         energies not in the training
  hepml-root compare test.hdf5 flow.hdf5 --geometry cylinder --classifier challenge -o report"""


def add_compare(
    command: Callable[..., argparse.ArgumentParser], overwriting: Callable[[Any], None]
) -> argparse.ArgumentParser:
    """Add the command to the command line."""
    added = command(
        "compare", run, "compare generated showers with those of the source, as a report", EXAMPLES
    )
    added.add_argument("source", metavar="SOURCE", help="showers of the source, not used in the training")
    added.add_argument("generated", metavar="GENERATED", help="showers of the generator")
    added.add_argument("-o", "--output", required=True, metavar="FOLDER", help="where the report goes")
    added.add_argument("--train", metavar="FILE", help="the generator's training showers, all of them")
    added.add_argument(
        "--again", metavar="FILE", help="a further sample of the source, for the floor of the distances"
    )
    added.add_argument("--geometry", metavar="NAME", help="the calorimeter, where the files do not say it")
    added.add_argument("--held-out", action="append", default=[], metavar="LOW:HIGH",
                       help="energies in GeV that the training did not see (may be repeated)")  # fmt: skip
    added.add_argument("--threshold", type=float, metavar="GEV", help="cells below count as empty")
    added.add_argument("--classifier", choices=("fast", "challenge", "none"), default="fast",
                       help="small ones (default), those of the CaloChallenge, or none")  # fmt: skip
    added.add_argument("--events", type=int, metavar="N", help="take at most N showers of each file")
    added.add_argument("--seed", type=int, default=1, metavar="S", help="default: 1")
    overwriting(added)
    return added


def run(options: argparse.Namespace) -> int:
    """Run the command with its parsed options."""
    from hepml_root.evaluation.classifier_test import CHALLENGE
    from hepml_root.evaluation.shower_report import refuse_other_folder
    from hepml_root.evaluation.two_sample import compare_showers

    held_out = ranges(options.held_out)
    refuse_other_folder(options.output, options.overwrite)
    source, generated = (
        read(path, options.geometry, options.events) for path in (options.source, options.generated)
    )
    # All training showers are needed: of those left out, copies would not be seen.
    train = None if options.train is None else read(options.train, options.geometry, None)
    again = None if options.again is None else read(options.again, options.geometry, options.events)
    report = compare_showers(
        source, generated, train=train, again=again, held_out=held_out, threshold=options.threshold,
        classifiers=() if options.classifier == "none" else None,
        classifier_settings=CHALLENGE if options.classifier == "challenge" else None,
        seed=options.seed, names=("source", "generated"),
    )  # fmt: skip
    page = report.save(options.output, overwrite=options.overwrite)
    print(summary(report))
    print(f"report: {page}")
    return 0


def read(path: str, geometry: str | None, last: int | None) -> Showers:
    """Return the showers of a ROOT or HDF5 file."""
    from hepml_root.data.showers import Showers

    if last is not None and last < 1:
        raise SettingError(f"--events {last}: at least one shower is needed.")
    if path.endswith((".h5", ".hdf5")):
        if geometry is None:
            raise SettingError(
                f"'{path}' does not say its calorimeter: give --geometry, such as cylinder or lar-3."
            )
        return Showers.from_hdf5(path, geometry, last=last)
    return Showers.from_root(path, geometry, last=last)


def ranges(texts: Sequence[str]) -> list[tuple[float, float]]:
    """Return ``["40:60"]`` as ``[(40.0, 60.0)]``.

    >>> ranges(["40:60", "5:5"])
    [(40.0, 60.0), (5.0, 5.0)]
    """
    found = []
    for text in texts:
        try:
            low, high = (float(part) for part in text.split(":"))
        except ValueError:
            raise SettingError(f"--held-out {text}: write LOW:HIGH in GeV, as 40:60.") from None
        found.append((low, high))
    return found


def summary(report: TwoSampleReport) -> str:
    """Return the figures of the report, for people."""
    figures = report.summary()
    lines = [f"AUC, {name:24} {value}" for name, value in figures["auc"].items()]
    if report.frechet is not None:
        lines.append(f"{'Fréchet physics distance':29} {report.frechet.estimate}")
    if report.kernel is not None:
        lines.append(f"{'kernel physics distance':29} {report.kernel}")
    lines.append(
        f"{'mean Wasserstein distance':29} {figures['mean_wasserstein']:.3g} σ "
        f"(same source: {figures['mean_wasserstein_floor']:.2g} σ)"
    )
    if report.response is not None:
        for name, (value, error) in zip(("response", "resolution"), report.response.worst(), strict=True):
            lines.append(f"{name + ', largest deviation':29} {100 * value:+.2f} ± {100 * error:.2f} %")
    lines.append(
        f"{'coverage':29} {report.coverage.coverage} (same source: {report.coverage.expected_coverage:.3g})"
    )
    for space, test in report.copying.items():
        verdict = "memorised" if test.memorised else "no sign of memorising"
        lines.append(f"{'training showers, ' + space:29} {verdict}")
    return "\n".join([*lines, *(f"note: {note}" for note in report.notes)])
