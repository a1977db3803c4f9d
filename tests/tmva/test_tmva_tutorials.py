"""ROOT's own tutorials, unmodified, as ``make tutorials-root`` runs them; and what makes its tally."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.root_tutorials.checks import (
    areas,
    areas_above,
    correlates,
    equal,
    falls,
    numbers_sum_to_one,
    spread_above,
)
from tests.root_tutorials.entries import ENTRIES, Entry
from tests.root_tutorials.running import Outcome, judged, run, tutorials

pytest.importorskip("ROOT")
_FALLING = [f"value: {3 - i}/-{i}" for i in range(3)]
_TABLE = """
Factory                  : DataSet       MVA
Factory                  : Name:         Method:          ROC-integ
Factory                  : dataset       BDT            : 0.754
                         : dataset       PyKeras_LSTM   : 0.93
Factory                  : dataset              BDT            : 0.355(10)  0.761(09)  0.955(04)    0.931
"""


def test_areas_are_read_from_the_table():
    assert areas(_TABLE) == {"BDT": 0.754, "PyKeras_LSTM": 0.93}
    assert areas_above(None, {"BDT": 0.7})(_TABLE) == ""
    assert "BDT 0.754" in areas_above(None, {"BDT": 0.8})(_TABLE)
    assert "Fisher None" in areas_above(None, {"Fisher": 0.5})(_TABLE)
    assert areas_above(None, 0.8, 1)(_TABLE) == ""
    assert "1 of 2" in areas_above(None, 0.8, 2)(_TABLE)


def test_numbers_are_checked():
    rows = numbers_sum_to_one(r"\{(.*)\}", 2, 2)
    assert rows("{ 0.25f, 0.75f, 1f, 0f }") == ""
    assert "sum to" in rows("{ 0.25, 0.5, 1, 0 }")
    assert "0 numbers" in rows("nothing")
    assert equal(r"^(\S+)$", 2)("0.5\n0.25") == ""
    assert "3 numbers" in equal(r"^(\S+)$", 2)("0.5\n0.25\n1")
    pairs = "value: 1/2\nvalue: 2/4.1\nvalue: 3/6"
    assert correlates(r"value: (\S+)/(\S+)", 0.99)(pairs) == ""
    assert "correlation is -1.00" in correlates(r"value: (\S+)/-(\S+)", 0.99)("\n".join(_FALLING))
    assert falls(r"^(\S+)$", 0.5)("1\n0.9\n0.3\n0.2") == ""
    assert "by -0.70 only" in falls(r"^(\S+)$", 0.5)("0.3\n0.2\n1\n0.9")
    assert "differ by 0 only" in spread_above(r"^(\S+)$", 0.1)("0.5\n0.5")


def test_outcomes():
    entry = Entry("one.py", (areas_above(None, {"BDT": 0.9}),), remark="made up")
    assert judged(entry, 0, "Factory : dataset BDT : 0.95") == ("ok", "made up")
    assert judged(entry, 0, "")[0] == "failed"
    assert judged(entry, 1, "ModuleNotFoundError: No module named 'torch'") == ("needs torch", "made up")
    assert judged(entry, 1, "a\nValueError: bad\nb") == ("failed", "ValueError: bad")
    assert judged(Entry("far.py", network=True), 1, "cannot open")[0] == "needs the network"
    assert judged(entry, -11, "")[1] == "exit code -11"


def test_the_tutorials_are_there():
    """What is taken of others stands before; of the scripts, the list leaves out those of PyTorch."""
    names = [entry.name for entry in ENTRIES]
    for place, entry in enumerate(ENTRIES):
        assert (tutorials() / entry.name).is_file(), entry.name
        assert all(other in names[:place] for other, _ in entry.takes)
    scripts = {str(path.relative_to(tutorials())) for path in tutorials().glob("**/*.py")}
    left = {name for name in scripts - set(names) if not name.startswith(("pytorch/", "ml_dataloader"))}
    # PyTorch and graph_nets, which have no part here.
    assert left <= {"PyTorch_Generate_CNN_Model.py", "TMVA_SOFIE_GNN.py", "TMVA_SOFIE_GNN_Parser.py"}


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> tuple[Path, dict[str, Outcome]]:
    return tmp_path_factory.mktemp("tutorials"), {}


@pytest.mark.slow
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_tutorial_runs(entry, work):
    folder, outcomes = work
    needed = {name for name, _ in entry.takes}
    for other in ENTRIES:
        if other.name in needed and other.name not in outcomes:
            outcomes[other.name] = run(other, folder, outcomes)
    if entry.name not in outcomes:
        outcomes[entry.name] = run(entry, folder, outcomes)
    outcome = outcomes[entry.name]
    if outcome.status.startswith("needs"):
        pytest.skip(outcome.status)
    assert outcome.status == "ok", f"{outcome.remark}\n{outcome.output[-3000:]}"
