"""What an RDataFrame node has to offer: its columns, their types, and how an expression names them."""

from __future__ import annotations

import hashlib
import itertools
import re
from typing import Any

from hepml_root.errors import ColumnNotFoundError, SettingError, unknown

# Words of an expression that are no columns: C++ itself, and what ROOT puts into the global namespace.
_CXX_WORDS = frozenset(
    """
    true false nullptr auto bool char short int long float double unsigned signed const constexpr void size_t
    static_cast const_cast reinterpret_cast return if else for while do switch case break continue new delete
    sizeof using namespace struct class template typename std ROOT TMath VecOps RVec RVecF RVecD RVecI RVecB
    Float_t Double_t Int_t UInt_t Long64_t ULong64_t Bool_t Char_t Short_t UShort_t M_PI M_E M_SQRT2
    rdfentry_ rdfslot_ and or not xor
    int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t NAN INFINITY HUGE_VAL
    """.split()
)
_COLLECTION = re.compile(r"\b(?:RVec|RVec[BCFDILU]\w*|vector|array|deque|list|set)\s*(?:<|$)|\[")
_NAME = re.compile(r"[A-Za-z_]\w*", flags=re.ASCII)
_LITERAL = re.compile(
    r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|\b\d[\w.]*(?:[eE][+-]?\d+)?[fFlLuU]*', flags=re.ASCII
)


class FrameColumns:
    """The columns of an RDataFrame node, local or distributed, with the aliases an expression needs.

    Branch names that are no C++ names (``jet1_b-tag``) are given a hidden alias on the node.

    Arguments
    ---------
    node:
        Any node of an RDataFrame graph.

    Raises
    ------
    SettingError
        ``node`` is no RDataFrame node.
    """

    def __init__(self, node: Any) -> None:
        if not (hasattr(node, "Define") and hasattr(node, "GetColumnNames")):
            raise SettingError(
                f"an RDataFrame or a node of one is needed, not {type(node).__name__}: "
                "make one with ROOT.RDataFrame(tree, file)."
            )
        self.node = node
        self.names = [str(name) for name in node.GetColumnNames()]
        self._odd = sorted((name for name in self.names if not _plain(name)), key=len, reverse=True)

    @property
    def distributed(self) -> bool:
        """Whether the node belongs to a frame of ROOT.RDF.Distributed."""
        return is_distributed(self.node)

    def local(self) -> Any:
        """Return the C++ node itself; of a distributed frame, the one that mirrors it on this machine."""
        return self.node.proxied_node.rdf_node if is_distributed(self.node) else self.node

    def has(self, name: str) -> bool:
        """Whether there is a column of this name, hidden ones included."""
        return name in self.names or bool(self.local().HasColumn(name))

    def type(self, name: str) -> str:
        """C++ type of a column."""
        return str(self.local().GetColumnType(name))

    def is_collection(self, expression: str) -> bool | None:
        """Whether a column holds many values per event; None for an expression, whose type is not known yet."""
        if expression not in self.names:
            return None
        return _COLLECTION.search(self.type(expression)) is not None

    def free_name(self, pattern: str) -> str:
        """Return ``pattern`` with the first number in place of ``{}`` that makes it a new column name."""
        return next(name for name in map(pattern.format, itertools.count()) if not self.has(name))

    def code(self, expression: str, wanted_for: str, remedy: str = "") -> str:
        """Return ``expression`` as C++ that RDataFrame takes on :attr:`node`, adding aliases where needed.

        Arguments
        ---------
        expression:
            A branch name or a ROOT expression.
        wanted_for:
            What it is read for, to be named in the message of an error.
        remedy:
            What to do when a column is missing, for the same message.

        Raises
        ------
        ColumnNotFoundError
            The frame lacks a column that the expression names.
        """
        expression = expression.strip()
        if expression in self._odd:
            return self._alias(expression)
        for name in self._odd:
            pattern = rf"(?<![\w.]){re.escape(name)}(?!\w)"
            expression = re.sub(pattern, lambda _match, name=name: self._alias(name), expression)
        self._refuse_missing(expression, wanted_for, remedy)
        return expression

    def _alias(self, name: str) -> str:
        # RDataFrame keeps names of the form rdf..._ to itself: neither listed nor written by Snapshot.
        alias = f"rdfalias_{hashlib.sha1(name.encode()).hexdigest()[:12]}_"
        if not self.local().HasColumn(alias):
            self.node = self.node.Alias(alias, name)
        return alias

    def _refuse_missing(self, expression: str, wanted_for: str, remedy: str) -> None:
        if expression in self.names:
            return
        bare = _LITERAL.sub(lambda match: " " * len(match.group()), expression)
        local_names = set(re.findall(r"\b(?:auto|float|double|int)\s*[&*]?\s*([A-Za-z_]\w*)\s*=", bare))
        dotted = {part for name in self.names for part in name.split(".")}
        for match in _NAME.finditer(bare):
            name = match.group()
            before, after = bare[: match.start()].rstrip(), bare[match.end() :].lstrip()
            member = before.endswith((".", "->", "::"))
            if member or after.startswith(("(", "::", "<")) and not self.has(name) and _callable(after):
                continue
            if name in _CXX_WORDS or name in local_names or name in dotted or self.has(name):
                continue
            raise ColumnNotFoundError(
                f"{wanted_for} needs '{expression}': " + unknown("column", name, self.names, remedy)
            )


def is_distributed(node: Any) -> bool:
    """Whether ``node`` belongs to a frame of ROOT.RDF.Distributed."""
    return "_distrdf" in type(node).__module__


def _callable(after: str) -> bool:
    return after.startswith(("(", "::")) or re.match(r"<[\w:\s,]*>", after) is not None


def _plain(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z_][\w.]*", name, flags=re.ASCII) is not None
