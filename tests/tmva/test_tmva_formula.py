"""Formulas of cuts and folds: values worked out by hand, as TTree::Draw and TFormula give them."""

from __future__ import annotations

import numpy as np
import pytest

from hepml_root.errors import ExpressionError
from hepml_root.tmva.weights.formula import read_formula

COLUMNS = {"eta": [-2.0, -1.3, 0.5, 1.4], "pt": [10.0, 20.0, 30.0, 40.0], "n": [7.0, -7.0, 0.0, 16777213.0]}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("abs(eta)<=1.3", [0, 1, 1, 0]),
        ("abs(eta)>1.3", [1, 0, 0, 1]),
        ("eta > 0 && pt < 35 || n == 7", [1, 0, 1, 0]),
        ("!(eta > 0)", [1, 1, 0, 0]),
        ("!eta", [0, 0, 0, 0]),
        ("n != 0", [1, 1, 0, 1]),
        ("int(fabs([n]))%int(2)", [1, 1, 0, 1]),
        ("n % 4", [3, -3, 0, 1]),
        ("1/2 * pt", [5, 10, 15, 20]),
        ("pt - 10 - 5", [-5, 5, 15, 25]),
        ("2^3^2", [512] * 4),
        ("-eta^2 + 0*pt", [-4, -1.69, -0.25, -1.96]),
        ("pt > 25 ? pt : -pt", [-10, -20, 30, 40]),
        ("TMath::Max(eta, TMath::Min(0, eta)) + TMath::Abs(-1)", [-1, -0.3, 1.5, 2.4]),
        ("sqrt(pt*10) + log10(100) + pow(eta, 2)", [16, 1.69 + 2 + 200**0.5, 0.25 + 2 + 300**0.5, 23.96]),
        ("1e1 + .5", [10.5] * 4),
        ("1 < 2 == 1", [1] * 4),
        ("int(-1.5) + sq(3)", [8] * 4),
    ],
)
def test_values(text, wanted):
    found = read_formula(text).values(COLUMNS)
    assert found == pytest.approx(np.float32(wanted), rel=1e-6)


def test_names():
    assert read_formula("[a.b] + x::y * sin(z) - x::y").names == ("a.b", "x::y", "z")
    assert read_formula("[var1+var2] > 0").names == ("var1+var2",)


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("", "a number or a name is missing at its end"),
        ("eta >", "missing at its end"),
        ("(eta", r"'\)' is missing"),
        ("eta pt", "'pt' was not expected"),
        ("eta $ 2", "is not understood"),
        ("abs(eta, pt)", "takes 1 argument"),
        ("absolute(eta)", "no function 'absolute'"),
        ("__import__('os')", "is not understood"),
        ("(" * 200 + "1" + ")" * 200, "nested too deeply"),
        ("2^" * 500 + "2", "nested too deeply"),
        ("1 ? 2 : " * 500 + "2", "nested too deeply"),
        ("sin(" * 300 + "1" + ")" * 300, "nested too deeply"),
        ("eta ? 1", "':' is missing"),
    ],
)
def test_what_is_no_formula(text, needed):
    with pytest.raises(ExpressionError, match=needed):
        read_formula(text)


def test_names_that_are_not_there():
    with pytest.raises(ExpressionError, match="Nearest: 'eta'"):
        read_formula("etta > 1").values(COLUMNS)
