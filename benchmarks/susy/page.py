"""The results of the study, and the page that has them: tables, answers, pictures between marks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.result_page import between
from benchmarks.susy import answers, plan, studies
from benchmarks.susy.samples import BACKGROUND, NAMES, SIGNALS, Samples
from benchmarks.susy.table import Row, rows
from benchmarks.susy.training import LEAST_BACKGROUND, LOSSES, NETWORKS, Settings
from hepml_root.output import writing

if TYPE_CHECKING:
    from benchmarks.susy.counts import Counted

RESULTS = "results.json"
# Of the talk, compressed and uncompressed, are in the text of the page; these are its marks.
MARKS = ("state", "yields", "table", "answers", "background", "holes", "batch", "gradients", "export")


@dataclass
class Results:
    """What is there: rows by case, and the studies; an empty list or None where nothing is finished."""

    table: list[list[Row]]
    background: list[list[Row]]
    holes: list[studies.Holes]
    batch: list[studies.BatchSize]
    gradients: studies.Gradients | None
    samples: Samples
    seeds: int
    counted: list[Counted] = field(default_factory=list)

    @classmethod
    def read(
        cls, table: Sequence[plan.Case], signals: Sequence[str], samples: Samples, folder: Path, seeds: int,
        sizes: Sequence[int], settings: Mapping[str, Settings],
    ) -> Results:  # fmt: skip
        """Return the results of the trainings in a folder, of at most so many seeds."""
        pair = ("cross_entropy", "asimov")
        one = [rows(case, samples, folder, seeds=seeds) for case in table]
        other = [rows(case, samples, folder, pair, seeds) for case in plan.background_cases(signals)]
        return cls(
            [group for group in one if group],
            [group for group in other if group],
            studies.holes(samples, folder, seeds),
            studies.batch_sizes(samples, folder, seeds, sizes),
            studies.gradients(samples, settings, folder, seeds),
            samples,
            seeds,
        )

    def write(self, folder: Path) -> None:
        """Write all numbers to `results.json`."""
        from dataclasses import asdict

        from hepml_root.evaluation.estimate import to_json

        found = {
            "table": [row.to_dict() for group in self.table for row in group],
            "background": [row.to_dict() for group in self.background for row in group],
            "holes": [asdict(one) for one in self.holes],
            "batch": [asdict(one) for one in self.batch],
            "gradients": None if self.gradients is None else asdict(self.gradients),
        }
        with writing(folder / RESULTS, overwrite=True) as path:
            path.write_text(json.dumps(to_json(found), indent=1))


def write(page: Path, found: Results) -> None:
    """Write the parts of a page between its marks, and its pictures to `../images` beside it."""
    from benchmarks.susy import pictures
    from hepml_root.evaluation.plot_style import rendered

    drawn: dict[str, Any] = {}
    for yields in dict.fromkeys(group[0].case.yields for group in found.table):
        for network in dict.fromkeys(group[0].case.network for group in found.table):
            drawn[f"susy_losses_{network}_{yields}"] = pictures.losses(found.table, network, yields)
    if found.background:
        events = found.samples.made(BACKGROUND)["events"]
        drawn["susy_background"] = pictures.background(found.background, events)
    if found.batch:
        drawn["susy_batch_size"] = pictures.batch_sizes(found.batch)
    if found.gradients is not None:
        drawn["susy_gradients"] = pictures.gradients(found.gradients)
    images = page.parent.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    for name, figure in drawn.items():
        with writing(images / f"{name}.png", overwrite=True) as path:
            path.write_bytes(rendered(figure, "png"))
    text = page.read_text(encoding="utf-8")
    for mark, part in _parts(found, list(drawn)).items():
        text = between(text, mark, part)
    with writing(page, overwrite=True) as path:
        path.write_text(text, encoding="utf-8")


def _parts(found: Results, drawn: Sequence[str]) -> dict[str, str]:
    def picture(name: str, title: str) -> str:
        return f"![{title}](../images/{name}.png)" if name in drawn else ""

    return {
        "state": _state(found),
        "yields": "\n".join(_yields(found.samples)),
        "table": "\n".join(_tables(found, drawn)),
        "answers": answers.questions(found.table, found.background),
        "background": f"{picture('susy_background', 'Z_A against the number of background events')}",
        "holes": "\n".join(_holes(found.holes)),
        "batch": "\n".join([*_batch(found.batch), "", picture("susy_batch_size", "Z_A against batch size")]),
        "gradients": "\n".join([*_gradients(found.gradients), "", picture("susy_gradients", "Gradients")]),
        "export": "\n".join(one.sentence() for one in found.counted) or "Not counted yet: `--export`.",
    }


def _state(found: Results) -> str:
    seeds = {row.seeds for group in found.table for row in group}
    if not seeds:
        return "**State: there is no result yet.** `make benchmark-susy` writes them here."
    made = {name: found.samples.made(name) for name in NAMES}
    events = ", ".join(f"{name} {one['events']}" for name, one in made.items())
    least, most = min(seeds), max(seeds)
    return (
        f"**State**: {least if least == most else f'{least} to {most}'} seed{'s' if most > 1 else ''} of "
        f"each training; selected events: {events}."
    )


def _yields(samples: Samples) -> Iterator[str]:
    yield "| sample | simulated events | effective | efficiency | expected events: sample | talk |"
    yield "|---|---:|---:|---|---:|---:|"
    for name in NAMES:
        made = samples.made(name)
        yield (
            f"| `{name}` | {made['events']} | {made['effective_events']:.0f} "
            f"| {made['filter_efficiency']:.3g} ± {made['filter_efficiency_error']:.1g} "
            f"| {samples.expected(name, 'sample'):.1f} | {samples.expected(name, 'talk'):.1f} |"
        )


def _tables(found: Results, drawn: Sequence[str]) -> Iterator[str]:
    kinds = dict.fromkeys((group[0].case.yields, group[0].case.network) for group in found.table)
    for yields, network in kinds:
        yield f"### Yields of the {yields}, {network}: {NETWORKS[network].title}"
        yield ""
        yield "| signal | systematic | loss | s | b | Z_A ± test sample ± seeds | less cross entropy |"
        yield "|---|---:|---|---:|---:|---|---|"
        for group in found.table:
            if (group[0].case.yields, group[0].case.network) == (yields, network):
                yield from (_line(row) for row in group)
        yield ""
        name = f"susy_losses_{network}_{yields}"
        if name in drawn:
            yield f"![Z_A of the losses](../images/{name}.png)"
            yield ""


def _line(row: Row) -> str:
    spread = f" ± {row.spread:.2f}" if row.seeds > 1 else ""
    cells = [
        SIGNALS[row.case.signal],
        f"{row.case.systematic:g}",
        LOSSES[row.loss],
        f"{row.mean('signal'):.3g} ± {row.mean('signal_error'):.1g}",
        f"{row.mean('background'):.3g} ± {row.mean('background_error'):.1g}",
        f"{row.asimov:.2f} ± {row.statistical:.2f}{spread}",
        "" if row.difference is None else answers.signed(row),
    ]
    return "| " + " | ".join(cells) + " |"


def _holes(found: Sequence[studies.Holes]) -> Iterator[str]:
    if not found:
        yield "Not studied yet."
        return
    yield "| least background of the loss | Z_A, training batches | Z_A, test events ± sample ± seeds |"
    yield "|---|---:|---|"
    for one in found:
        spread = f" ± {one.spread:.2f}" if one.seeds > 1 else ""
        name = f"{LEAST_BACKGROUND:g} effective events" if one.least else "none"
        yield f"| {name} | {one.training:.2f} | {one.test:.2f} ± {one.statistical:.2f}{spread} |"


def _batch(found: Sequence[studies.BatchSize]) -> Iterator[str]:
    if not found:
        yield "Not studied yet."
        return
    yield (
        "| events in a batch | Z_A ± test sample ± seeds | background events behind the cut "
        "| bias of the loss | scatter | processor s |"
    )
    yield "|---:|---|---:|---:|---:|---:|"
    for one in found:
        spread = f" ± {one.spread:.2f}" if one.seeds > 1 else ""
        yield (
            f"| {one.size} | {one.asimov:.2f} ± {one.statistical:.2f}{spread} "
            f"| {one.background_selected:.2f} | {one.bias:+.1f} % | {one.scatter:.0f} % | {one.seconds:.1f} |"
        )


def _gradients(found: studies.Gradients | None) -> Iterator[str]:
    if found is None:
        yield "Not studied yet."
        return
    heads = " | ".join(f"σ/b = {one:g}" for one in found.systematics)
    yield f"| norm of the gradient of Z_A | {heads} |"
    yield "|---|" + "---:|" * len(found.systematics)
    for epochs, norms in zip(found.pretraining, found.norms, strict=True):
        name = (
            "random weights" if epochs == 0 else f"{epochs} epoch{'s' if epochs > 1 else ''} of cross entropy"
        )
        yield f"| {name} | " + " | ".join(f"{norm:.2g}" for norm in norms) + " |"
