"""The rule for Einsum: any equation, as diagonals, sums, element-wise products and matrix products."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from hepml_root.export.cpp.elementwise import constant, floats
from hepml_root.export.cpp.expression import Call, Expression, Load, Weight, broadcast
from hepml_root.export.cpp.graph import Lowering, Node, Tensor, check_size, rule
from hepml_root.export.cpp.matmul import Side, multiply
from hepml_root.export.cpp.moves import numbered, pick
from hepml_root.export.cpp.reduction import reduced
from hepml_root.export.cpp.steps import Map


@dataclass(frozen=True)
class Term:
    """An operand: a value, where its elements are, and the letter of every axis of ``places``."""

    value: Tensor | np.ndarray
    places: np.ndarray
    letters: tuple[str, ...]

    def arranged(self, letters: Iterable[str]) -> Term:
        """Return the operand with its axes in another order; those that it lacks get an axis of length 1."""
        wanted = tuple(letters)
        places = self.places.transpose([self.letters.index(x) for x in wanted if x in self.letters])
        index = tuple(slice(None) if x in self.letters else None for x in wanted)
        return Term(self.value, places[index], wanted)

    def contiguous(self, lowering: Lowering) -> Term:
        """Return the operand with its elements in the order of its places."""
        if isinstance(self.value, Tensor):
            value: Tensor | np.ndarray = pick(lowering, self.value, self.places)
        else:
            value = self.value.ravel()[self.places]
        return Term(value, np.arange(self.places.size).reshape(self.places.shape), self.letters)


@rule("Einsum")
def einsum(node: Node, lowering: Lowering) -> list[Tensor]:
    equation = node.attributes["equation"]
    text = equation.decode() if isinstance(equation, bytes) else str(equation)
    terms, output = _parsed(node, text.replace(" ", ""))
    lengths: dict[str, int] = {}
    for term in terms:
        for letter, length in zip(term.letters, term.places.shape, strict=True):
            if length != 1 and lengths.setdefault(letter, length) != length:
                raise node.refuse(f"{text!r}: the lengths of {letter!r} differ.")
    if len(set(output)) != len(output) or not set(output) <= {x for term in terms for x in term.letters}:
        raise node.refuse(f"{text!r}: the output's letters are not each once in the inputs.")
    check_size(math.prod(lengths.get(letter, 1) for letter in output))
    result, *others = terms
    while others:
        later = {letter for term in others[1:] for letter in term.letters} | set(output)
        result = _contracted(node, lowering, result, others.pop(0), later, lengths)
    result = _summed(lowering, result, set(output)).arranged(output)
    assert isinstance(result.value, Tensor)
    shape = tuple(lengths.get(letter, 1) for letter in output)
    return [pick(lowering, result.value, np.broadcast_to(result.places, shape))]


def _parsed(node: Node, text: str) -> tuple[list[Term], tuple[str, ...]]:
    """Return the operands and the letters of the output, both without the axis of the events."""
    left, arrow, right = text.partition("->")
    inputs = left.split(",")
    if not re.fullmatch(r"[A-Za-z.,]*", left) or not re.fullmatch(r"[A-Za-z.]*", right):
        raise node.refuse(f"the equation {text!r} is malformed.")
    if len(inputs) != len(node.inputs):
        raise node.refuse(f"the equation {text!r} is not for {len(node.inputs)} inputs.")
    terms, most = [], 0
    for index, (letters, value) in enumerate(zip(inputs, node.inputs, strict=True)):
        if isinstance(value, Tensor):
            floats(node, [value])
            places = numbered(value).reshape((1,) * node.leading + value.shape)
        else:
            value = constant(node, node.constant(index, "an operand"))
            places = np.arange(value.size).reshape(value.shape)
        free = places.ndim - len(letters.replace("...", ""))
        if free < 0 or (free and "..." not in letters) or letters.replace("...", "", 1).count("."):
            raise node.refuse(f"{letters!r} does not name the {places.ndim} axes of input {index}.")
        most = max(most, free)
        terms.append(Term(value, places, tuple(_expanded(letters, free))))
    if not arrow:
        named = "".join(sorted(x for x in set(left) - set(".,") if left.count(x) == 1))
        right = ("..." if "..." in left else "") + named
    terms, output = [_diagonal(term) for term in terms], tuple(_expanded(right, most))
    return (_without_events(node, terms, output)) if node.batched else (terms, output)


def _expanded(letters: str, free: int) -> list[str]:
    """Return the letter of every axis; the axes of an ellipsis are called by their number from the right."""
    before, dots, after = letters.partition("...")
    return [*before, *([str(i) for i in range(free, 0, -1)] if dots else []), *after]


def _diagonal(term: Term) -> Term:
    """Return an operand with every letter once: that of ``ii`` is the diagonal."""
    places, letters = term.places, list(term.letters)
    for letter in [x for x in dict.fromkeys(letters) if letters.count(x) > 1]:
        while letters.count(letter) > 1:
            first = letters.index(letter)
            second = letters.index(letter, first + 1)
            places = np.diagonal(places, axis1=first, axis2=second)
            letters = [x for i, x in enumerate(letters) if i not in (first, second)] + [letter]
    return Term(term.value, places, tuple(letters))


def _without_events(
    node: Node, terms: list[Term], output: tuple[str, ...]
) -> tuple[list[Term], tuple[str, ...]]:
    events = {term.letters[0] for term in terms if isinstance(term.value, Tensor)}
    batch = events.pop() if len(events) == 1 else ""
    if not batch or not output or output[0] != batch:
        raise node.refuse("the first axis of all values of the events must be that of the output, too.")
    kept = []
    for term in terms:
        axis = term.letters.index(batch) if batch in term.letters else None
        if axis is not None:
            if term.places.shape[axis] != 1:
                raise node.refuse("a constant has a value per event of the batch, or events are mixed.")
            letters = tuple(x for x in term.letters if x != batch)
            term = Term(term.value, np.take(term.places, 0, axis=axis), letters)
        kept.append(term)
    return kept, output[1:]


def _summed(lowering: Lowering, term: Term, needed: Collection[str]) -> Term:
    """Return an operand summed over the letters that nothing else needs."""
    kept = [x for x in term.letters if x in needed]
    gone = [x for x in term.letters if x not in needed]
    if not gone:
        return term
    term = term.arranged([*kept, *gone]).contiguous(lowering)
    axes = range(len(kept), len(term.letters))
    value: Tensor | np.ndarray
    if isinstance(term.value, Tensor):
        source = Tensor(term.value.step, term.places.shape, term.value.kind, term.value.offset)
        value = reduced(lowering, source, axes, "reduce:Sum", False)
    else:
        value = term.value.sum(axis=tuple(axes), dtype=np.float64).astype(np.float32)
    places = np.arange(math.prod(term.places.shape[: len(kept)])).reshape(term.places.shape[: len(kept)])
    return Term(value, places, tuple(kept))


def _contracted(
    node: Node, lowering: Lowering, a: Term, b: Term, later: Collection[str], lengths: dict[str, int]
) -> Term:
    """Return the product of two operands, summed over the letters that only they have."""
    a = _summed(lowering, a, {*b.letters, *later})
    b = _summed(lowering, b, {*a.letters, *later})
    both = [x for x in a.letters if x in b.letters]
    batch = [x for x in both if x in later]
    inner = [x for x in both if x not in later]
    rows = [x for x in a.letters if x not in both]
    columns = [x for x in b.letters if x not in both]
    letters = (*batch, *rows, *columns)
    shape = tuple(lengths.get(x, 1) for x in letters)
    check_size(math.prod(shape))
    if isinstance(a.value, np.ndarray) and isinstance(b.value, np.ndarray):
        check_size(math.prod(shape) * math.prod(lengths.get(x, 1) for x in inner))
    if isinstance(a.value, np.ndarray) and isinstance(b.value, np.ndarray):
        arrays = [term.contiguous(lowering).arranged([*letters, *inner]) for term in (a, b)]
        values = [np.asarray(term.value, np.float64).ravel()[term.places] for term in arrays]
        product = values[0] * values[1]
        full = np.broadcast_to(product, (*shape, *(lengths.get(x, 1) for x in inner)))
        result: Tensor | np.ndarray = full.sum(axis=tuple(range(len(shape), full.ndim))).astype(np.float32)
    elif not inner:
        operands: list[Expression] = []
        for term in (a, b):
            term = term.arranged(letters).contiguous(lowering)
            how = broadcast(term.places.shape, shape)
            value = term.value
            operands.append(Load(value, how) if isinstance(value, Tensor) else Weight(value, how))
        result = lowering.add(Map(math.prod(shape), Call("{0} * {1}", tuple(operands))), shape)
    else:
        sizes = [math.prod(lengths.get(x, 1) for x in group) for group in (rows, inner, columns)]
        count = [lengths.get(x, 1) for x in batch]
        left = _side(a, [*batch, *rows, *inner], lengths, (*count, sizes[0], sizes[1]))
        right = _side(b, [*batch, *inner, *columns], lengths, (*count, sizes[1], sizes[2]))
        result = multiply(node, lowering, left, right)
    return Term(result, np.arange(math.prod(shape)).reshape(shape), letters)


def _side(term: Term, letters: list[str], lengths: dict[str, int], shape: tuple[int, ...]) -> Side:
    check_size(math.prod(shape))
    full = np.broadcast_to(term.arranged(letters).places, [lengths.get(x, 1) for x in letters])
    return Side(term.value, full.reshape(shape))
