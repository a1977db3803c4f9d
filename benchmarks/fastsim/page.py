"""The page with the results: state, tables, what was aimed at, and pictures, between marks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.fastsim.judging import HIGH, LOW, TREES
from benchmarks.fastsim.rates import GEANT4_RATE
from benchmarks.fastsim.results import Results, Row
from benchmarks.fastsim.sample import HELD_OUT
from benchmarks.result_page import between
from hepml_root.evaluation.response import AIMS
from hepml_root.output import writing

MARKS = ("state", "quality", "aims", "speed", "training", "pictures")
PICTURES = {
    "fastsim_response": ("response", "Response and resolution against the energy"),
    "fastsim_distributions": ("distributions", "Distributions of the source and of the generators"),
    "fastsim_quantities": ("quantities", "Wasserstein distance of each quantity"),
    "fastsim_speed": ("speed", "High-level AUC against showers per second in C++"),
}
_NONE = "Not measured yet."
_AUC, _RATE = 0.65, 1e4  # the aims beside those of response and resolution


def write(page: Path, found: Results) -> None:
    """Write the parts of a page between its marks, and its pictures to `../images` beside it."""
    from benchmarks.fastsim import pictures
    from hepml_root.evaluation.plot_style import rendered

    drawn = {}
    rates = any(row.rates is not None for row in found.generators)
    if found.generators:
        images = page.parent.parent / "images"
        images.mkdir(parents=True, exist_ok=True)
        for name, (function, title) in PICTURES.items():
            if function == "speed" and not rates:
                continue
            draw: Callable[[Results], object] = getattr(pictures, function)
            drawn[name] = title
            with writing(images / f"{name}.png", overwrite=True) as path:
                path.write_bytes(rendered(draw(found), "png"))  # type: ignore[arg-type]
    parts = {
        "state": _state(found),
        "quality": _lines(_quality(found)),
        "aims": _lines(_aims(found)),
        "speed": _lines(_speed(found)),
        "training": _lines(_training(found)),
        "pictures": "\n\n".join(f"![{title}](../images/{name}.png)" for name, title in drawn.items()),
    }
    text = page.read_text(encoding="utf-8")
    for mark, part in parts.items():
        text = between(text, mark, part)
    with writing(page, overwrite=True) as path:
        path.write_text(text, encoding="utf-8")


def _lines(lines: Iterator[str]) -> str:
    return "\n".join(lines) or _NONE


def _state(found: Results) -> str:
    if not found.rows:
        return "**State: there is no result yet.** `make benchmark-fastsim` writes them here."
    sample, most = found.kept["sample"], found.kept["showers"]
    events = sample.get("events")
    showers = f"the first {most} of " if most else ""
    test = found.rows[0].judged["showers"]
    missing = found.wanted - len(found.generators)
    return (
        f"**State**: {len(found.generators)} generators"
        + (f", {missing} more are not trained yet" if missing else "")
        + f"; {showers}{events} showers in {sample['geometry']}, {test} of them for the comparison; "
        f"{found.study.minutes:g} minutes of one core for the training of each generator, one training each."
        + (" **Of `--fast`: these figures say nothing.**" if found.study.fast else "")
    )


def _quality(found: Results) -> Iterator[str]:
    if not found.rows:
        return
    held = f"{HELD_OUT[0]:g} to {HELD_OUT[1]:g} GeV"
    yield (
        "| | AUC, cells | AUC, quantities: network | trees | response | resolution "
        f"| response, {held} | resolution, {held} | Wasserstein distance [σ] |"
    )
    yield "|---|---|---|---|---:|---:|---:|---:|---:|"
    for row in found.rows:
        cells = [row.title, *(_with_error(row.auc(name), 3) for name in (LOW, HIGH, TREES))]
        for which in ("trained", "held_out"):
            cells += [_percent(row.worst(what, which)) for what in ("response", "resolution")]
        yield "| " + " | ".join([*cells, f"{row.judged['wasserstein']:.3f}"]) + " |"
    yield ""
    floor = found.rows[0].judged["wasserstein_floor"]
    yield f"*Two samples of the source as large as these have a mean Wasserstein distance of {floor:.3f} σ.*"


def _with_error(found: tuple[float, float] | None, digits: int) -> str:
    return "" if found is None else f"{found[0]:.{digits}f} ± {found[1]:.{digits}f}"


def _percent(found: tuple[float, float] | None) -> str:
    if found is None:
        return ""
    value = f"{100 * found[0]:+.1f}".replace("-", "−")
    return f"{value} ± {100 * found[1]:.1f} %"


def _speed(found: Results) -> Iterator[str]:
    rows = [row for row in found.generators if row.rates is not None]
    if not rows:
        return
    yield (
        "| | Keras [1/s] | ONNX Runtime [1/s] | C++ [1/s] | the source, in turns [1/s] "
        "| C++ over the source | C++ over Geant4's 4/s |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for row in rows:
        assert row.rates is not None
        rates = [row.rates[name] for name in ("keras", "onnxruntime", "cpp", "source")]
        ratios = [row.rates["cpp"] / row.rates["source"], row.rates["cpp"] / GEANT4_RATE]
        yield "| " + " | ".join([row.title, *map(_short, [*rates, *ratios])]) + " |"


def _short(value: float) -> str:
    """Return a number with two digits, and with spaces between thousands.

    >>> _short(123456.0), _short(12.3), _short(1.234)
    ('120 000', '12', '1.2')
    """
    rounded = float(f"{value:.2g}")
    return f"{rounded:.1f}" if rounded < 10 else f"{rounded:,.0f}".replace(",", " ")


def _training(found: Results) -> Iterator[str]:
    if not found.generators:
        return
    yield "| | gradient steps [core min] | all of the training | epochs | best epoch | showers | parameters |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for row in found.generators:
        made = row.trained
        assert made is not None
        minutes = [f"{made[key] / 60:.1f}" for key in ("seconds", "seconds_of_all")]
        cells = [*minutes, made["epochs"], made["best_epoch"] + 1, made["showers"]]
        yield "| " + " | ".join(map(str, [row.title, *cells, f"{made['parameters']:,}"])) + " |"


def _aims(found: Results) -> Iterator[str]:
    """Give one line for each aim: which generator is best in it, and whether it is reached."""
    rows = found.generators
    if not rows:
        return
    best = min(rows, key=lambda row: row.high_level)
    yield _aim(f"high-level AUC of at most {_AUC}", best.high_level <= _AUC, best, f"{best.high_level:.3f}")
    for what, aim in zip(("response", "resolution"), AIMS, strict=True):
        best = min(rows, key=lambda row, what=what: row.farthest[what])  # type: ignore[misc]
        value = best.farthest[what]
        yield _aim(
            f"{what} within {100 * aim:g} % of the source from 10 to 100 GeV", value <= aim, best,
            f"{100 * value:.1f} %",
        )  # fmt: skip
    timed = [row for row in rows if row.rates is not None]
    if timed:
        best = max(timed, key=lambda row: row.rates["cpp"] if row.rates else 0.0)
        rate = best.rates["cpp"] if best.rates else 0.0
        yield _aim(
            f"{_short(_RATE)} showers/s and core in C++", rate >= _RATE, best, f"{_short(rate)} showers/s"
        )
    together = [row.title for row in timed if _reaches_all(row)]
    yield f"- all of them at once: {', '.join(together) if together else 'no generator'}."


def _aim(text: str, reached: bool, best: Row, value: str) -> str:
    return f"- {text}: **{'reached' if reached else 'not reached'}**; best {best.title} with {value}."


def _reaches_all(row: Row) -> bool:
    far = row.farthest
    return (
        row.high_level <= _AUC
        and far["response"] <= AIMS[0]
        and far["resolution"] <= AIMS[1]
        and (row.rates or {}).get("cpp", 0.0) >= _RATE
    )
