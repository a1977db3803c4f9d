"""What the results say to the questions of the study, in sentences made of the numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.susy.plan import COMPRESSED, SHARES, TIGHTEST, UNCOMPRESSED
from benchmarks.susy.samples import SIGNALS
from benchmarks.susy.table import Row
from benchmarks.susy.training import LOSSES, NETWORKS

# A difference of less than so many of its errors is none.
_ERRORS = 2.0
# What the talk found, of Asimov, s/√(s+b) and cross entropy, compressed, at a systematic of 0.5.
_TALK = "6.2, 4.8 and 1.55"


def signed(row: Row) -> str:
    """Return the difference of a row to the cross entropy with its error."""
    assert row.difference is not None
    assert row.difference_error is not None
    return f"{row.difference:+.2f} ± {row.difference_error:.2f}".replace("-", "−")


def pull(row: Row) -> float:
    """Return the difference to the cross entropy in units of its error."""
    if row.difference is None or not row.difference_error:
        return 0.0
    return row.difference / row.difference_error


def agreement(table: Sequence[list[Row]]) -> list[str]:
    """Do the losses agree in the uncompressed case at a systematic of 0.1?"""
    found = []
    for rows in table:
        case = rows[0].case
        if (case.signal, case.systematic) != (UNCOMPRESSED, 0.1):
            continue
        others = rows[1:]
        agree = all(abs(pull(row)) < _ERRORS for row in others)
        text = ", ".join(f"{LOSSES[row.loss]} {signed(row)}" for row in others)
        found.append(
            f"{_where(rows)}: **{'yes' if agree else 'no'}**, cross entropy {rows[0].asimov:.2f}, the "
            f"difference to it is {text}."
        )
    return found


def victory(table: Sequence[list[Row]]) -> list[str]:
    """Does the Asimov loss win in the compressed case at a systematic of 0.3 and 0.5?"""
    found = []
    for rows in table:
        case = rows[0].case
        if case.signal != COMPRESSED or case.systematic < 0.3:
            continue
        named = {row.loss: row for row in rows}
        asimov, simple = named["asimov"], named["significance"]
        best = max(rows, key=lambda row: row.asimov)
        if pull(asimov) > _ERRORS and best is asimov:
            verdict = "yes"
        elif pull(asimov) < -_ERRORS:
            verdict = "no, it loses"
        else:
            verdict = "no clear winner" if abs(pull(asimov)) <= _ERRORS else "ahead of the cross entropy only"
        found.append(
            f"{_where(rows)}, systematic {case.systematic:g}: **{verdict}**. Asimov {_value(asimov)}, "
            f"s/√(s+b) {_value(simple)}, cross entropy {_value(rows[0])}; Asimov less cross entropy "
            f"{signed(asimov)}."
        )
    return found


def _where(rows: Sequence[Row]) -> str:
    case = rows[0].case
    return f"{NETWORKS[case.network].title}, yields of the {case.yields}"


def _value(row: Row) -> str:
    return f"{row.asimov:.2f} ± {row.error:.2f}"


def enough_background(rows: Sequence[list[Row]]) -> list[str]:
    """Is Z_A limited by the number of simulated background events?"""
    found = []
    for signal in dict.fromkeys(group[0].case.signal for group in rows):
        groups = sorted((g for g in rows if g[0].case.signal == signal), key=lambda g: g[0].case.share)
        for loss in dict.fromkeys(row.loss for group in groups for row in group):
            series = [row for group in groups for row in group if row.loss == loss]
            if len(series) < 2:
                continue
            full, half = series[-1], series[-2]
            step = full.asimov - half.asimov
            # Half of the events are the same.
            error = math.sqrt(max(full.error**2, half.error**2))
            still = abs(step) < _ERRORS * error
            numbers = ", ".join(f"{_value(row)} ({row.case.share:g})" for row in series)
            change = f"{step:+.2f}".replace("-", "−")
            found.append(
                f"{SIGNALS[signal]}, {LOSSES[loss]}, systematic {TIGHTEST:g}: Z_A is {numbers} with so many "
                f"of the background events. The last doubling changes it by {change}, "
                f"{'no more' if still else 'more'} than {_ERRORS:g} errors ({error:.2f} each)."
            )
    return found


def reasons(table: Sequence[list[Row]]) -> list[str]:
    """How many events are behind the cuts: what limits the comparison."""
    found = []
    for rows in table:
        for row in rows:
            if row.case.systematic == TIGHTEST and row.case.yields == "sample":
                found.append(
                    f"{SIGNALS[row.case.signal]}, {row.case.network}, {LOSSES[row.loss]}: the cut leaves "
                    f"{row.mean('effective_background'):.0f} effective background events of the test sample; "
                    f"Z_A on the validation events that chose it is {_more(row.mean('optimism'))}."
                )
    return found


def not_chosen(table: Sequence[list[Row]]) -> list[str]:
    """Does a loss win where nobody chooses the cut: at a score of 0.5, in the compressed case?"""
    found = []
    for rows in table:
        case = rows[0].case
        if case.signal == COMPRESSED and case.systematic == TIGHTEST:
            text = ", ".join(f"{LOSSES[row.loss]} {_at_half(row)}" for row in rows)
            found.append(f"{_where(rows)}, systematic {case.systematic:g}: {text}.")
    return found


def _at_half(row: Row) -> str:
    values = np.array([cut.at_half for cut in row.cuts])
    known = values[np.isfinite(values)]
    if not len(known):
        return "unknown (no background)"
    spread = f" ± {known.std(ddof=1):.2f}" if len(known) > 1 else ""
    missing = f" ({len(values) - len(known)} without background)" if len(known) < len(values) else ""
    return f"{known.mean():.2f}{spread}{missing}"


def divided(table: Sequence[list[Row]]) -> list[str]:
    """Are there scores that many events share, which no cut divides?"""
    found = []
    for loss, title in LOSSES.items():
        shares = [cut.tied for rows in table for row in rows if row.loss == loss for cut in row.cuts]
        if shares:
            found.append(
                f"{title}: at most {100 * max(shares):.2g} % of the test events of a training share the "
                "largest score."
            )
    return found


def _more(difference: float) -> str:
    return f"{abs(difference):.2f} {'larger' if difference > 0 else 'smaller'}"


def bullet(lines: Sequence[Any]) -> str:
    """Return a list in Markdown."""
    return "\n".join(f"- {line}" for line in lines) if lines else "Not studied yet."


def questions(table: Sequence[list[Row]], background: Sequence[list[Row]]) -> str:
    """Return the section of the page."""
    return "\n\n".join(
        (
            "**Do the losses agree in the uncompressed case at a systematic of 0.1?** (within two errors)",
            bullet(agreement(table)),
            "**Does the Asimov loss win in the compressed case at high systematic?** (in the talk, at 0.5: "
            f"{_TALK} with Asimov, s/√(s+b) and cross entropy)",
            bullet(victory(table)),
            "**And where nobody chooses the cut?** (Z_A at a score of 0.5, and its spread over the seeds)",
            bullet(not_chosen(table)),
            f"**Is Z_A limited by simulation statistics?** (parts of the background events: {_shares()})",
            bullet(enough_background(background)),
            "**What is behind the cuts** (systematic 0.5)",
            bullet(reasons(table)),
            "**Can a cut divide the most signal-like events?** (in float32 a steep sigmoid gives many of "
            "them exactly 1)",
            bullet(divided(table)),
        )
    )


def _shares() -> str:
    return ", ".join(f"{share:g}" for share in SHARES)
