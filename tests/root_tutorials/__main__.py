"""The tally of ROOT's tutorials: ``python -m tests.root_tutorials [parts of their names]``.

Each runs unmodified in a folder of its own; those that need files of others run after them. ``needs …`` is a
package, or the network, that is not there. The exit code is 1 if one failed.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.root_tutorials.entries import ENTRIES, Entry
from tests.root_tutorials.running import Outcome, run


def chosen(parts: list[str], kinds: list[str]) -> list[Entry]:
    """Return the entries whose names have one of the parts, and those that they need, in order."""
    wanted = {
        entry.name
        for entry in ENTRIES
        if entry.kind in kinds and (not parts or any(part in entry.name for part in parts))
    }
    for entry in reversed(ENTRIES):  # what an entry takes stands before it
        if entry.name in wanted:
            wanted |= {name for name, _ in entry.takes}
    return [entry for entry in ENTRIES if entry.name in wanted]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.root_tutorials", description=__doc__)
    parser.add_argument("parts", nargs="*", help="parts of names; all of them by default")
    parser.add_argument("--kind", choices=("py", "C"), help="only scripts, or only macros")
    parser.add_argument("--folder", help="keep the folders there")
    given = parser.parse_args()
    entries = chosen(given.parts, [given.kind] if given.kind else ["py", "C"])
    with tempfile.TemporaryDirectory(prefix="root-tutorials-") as temporary:
        work = Path(given.folder or temporary)
        outcomes: dict[str, Outcome] = {}
        width = max((len(entry.name) for entry in entries), default=0)
        for entry in entries:
            outcome = outcomes[entry.name] = run(entry, work, outcomes)
            print(
                f"{outcome.name:<{width}}  {outcome.status:<18} {outcome.seconds:6.0f} s  {outcome.remark}",
                flush=True,
            )
    counts: dict[str, int] = {}
    for outcome in outcomes.values():
        counts[outcome.status] = counts.get(outcome.status, 0) + 1
    print(f"{len(outcomes)} tutorials: " + ", ".join(f"{count} {status}" for status, count in counts.items()))
    return int("failed" in counts)


if __name__ == "__main__":
    raise SystemExit(main())
