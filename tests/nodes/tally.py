"""What every node test gives, compared with the list of those that do not apply."""

from __future__ import annotations

import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.nodes.cases import Case, Form, forms, selected
from tests.nodes.running import run

LIST = Path(__file__).parent / "not_applicable.toml"
FORMS_PER_LIBRARY = 40


@dataclass
class Result:
    """What a test gives: ``passed`` forms, those that ``fail`` with what is wrong, or why it is refused."""

    case: Case
    passed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)

    @property
    def refusal(self) -> str:
        """Why the first form that was refused was."""
        return next(iter(self.refusals.values()), "it has no form")

    @property
    def passes(self) -> bool:
        return bool(self.passed) and not self.failed


@cache
def not_applicable() -> dict[str, str]:
    """Return the names of the tests that do not apply, with the reason of each."""
    groups = tomllib.loads(LIST.read_text(encoding="utf-8"))["group"]
    names = Counter(name for group in groups for name in group["tests"])
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise ValueError(f"listed twice: {twice}")
    return {name: group["reason"] for group in groups for name in group["tests"]}


def results(cases: Iterable[Case], compile: bool = True, every_form: bool = True) -> Iterator[Result]:
    """Yield what each test gives, in order; many are compiled together.

    Without ``every_form`` one form of each is compiled: in turn one with and one without a batch axis, where
    there are both.
    """
    waiting: list[Result] = []
    to_run: list[Form] = []

    def finish() -> Iterator[Result]:
        by_name = {result.case.name: result for result in waiting}
        for outcome in run(to_run) if compile and to_run else []:
            result = by_name[outcome.form.case.name]
            if outcome.problem:
                result.failed[outcome.form.label] = outcome.problem
            else:
                result.passed.append(outcome.form.label)
        yield from waiting
        waiting.clear()
        to_run.clear()

    for number, case in enumerate(cases):
        generated = forms(case, f"n{number}")
        result = Result(case, refusals=generated.refusals)
        if not compile:
            result.passed = [form.label for form in generated.forms]
        waiting.append(result)
        chosen = generated.forms
        if not every_form:
            of_kind = [form for form in chosen if form.label.endswith("batched") == bool(number % 2)]
            chosen = (of_kind or chosen)[:1]
        to_run += chosen
        if len(to_run) >= FORMS_PER_LIBRARY:
            yield from finish()
    yield from finish()


def complaint(result: Result) -> str:
    """Return what is wrong with a result, by the list: a failure, or an entry that is not true any more."""
    listed = not_applicable().get(result.case.name)
    if result.failed:
        label, problem = next(iter(result.failed.items()))
        return f"{result.case.name} ({label}): {problem}"
    if result.passed and listed:
        return f"{result.case.name} passes, and is listed as not applicable: {listed}"
    if not result.passed and not listed:
        return f"{result.case.name} is refused, and not listed: {result.refusal}"
    return ""


def tally(operators: list[str], verbose: bool = False, only_generate: bool = False) -> int:
    """Print the tally by operator and return the number of complaints, at most 1."""
    passed: Counter[str] = Counter()
    variable: Counter[str] = Counter()
    batched: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    total: Counter[str] = Counter()
    complaints = []
    for result in results(selected(operators), not only_generate):
        operator = result.case.operator
        total[operator] += 1
        passed[operator] += result.passes
        variable[operator] += "all" in result.passed
        batched[operator] += any("batched" in label for label in result.passed)
        if not result.passed and not result.failed:
            reasons[operator][not_applicable().get(result.case.name, f"NOT LISTED: {result.refusal}")] += 1
        if complaint(result):
            complaints.append(complaint(result))
        if verbose:
            print(f"{result.case.name}: passes {result.passed}")
            for what, texts in (("fails", result.failed), ("refused", result.refusals)):
                for label, text in texts.items():
                    print(f"   {label} {what}: {text}")
    print(f"{'operator':28} {'pass':>5} {'of':>5} {'all inputs vary':>16} {'in batches':>11}  not applicable")
    for operator in sorted(total):
        why = "; ".join(f"{count} x {reason}" for reason, count in reasons[operator].most_common())
        print(
            f"{operator:28} {passed[operator]:5} {total[operator]:5} {variable[operator]:16} "
            f"{batched[operator]:11}  {why}"
        )
    not_taken = sum(sum(counter.values()) for counter in reasons.values())
    print(f"{sum(passed.values())} of {sum(total.values())} pass, {not_taken} are refused.")
    for text in complaints:
        print(f"! {text}")
    return 1 if complaints else 0
