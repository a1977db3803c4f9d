"""What an RDataFrame node has to offer: its columns, their types, and how an expression names them."""

from __future__ import annotations

import hashlib
import itertools
import re
from typing import Any

from hepml_root.data.feed_expressions import compile_expression, find_columns, is_dummy
from hepml_root.data.feed_library import import_root
from hepml_root.data.observables_library import declare_observables, mentions_observables
from hepml_root.data.rdataframe import column_names
from hepml_root.errors import ColumnNotFoundError, ColumnTypeError, ExpressionError, SettingError, unknown

_COLLECTION = re.compile(r"\b(?:RVec|RVec[BCFDILU]\w*|vector|array|deque|list|set)\s*(?:<|$)|\[")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", flags=re.ASCII)
# Words before and after `::`.
_QUALIFIED = re.compile(r"[A-Za-z_]\w*(?=\s*::)|(?<=::)[A-Za-z_]\w*", flags=re.ASCII)
# Columns that every frame has without listing them.
_BUILT_IN = ("rdfentry_", "rdfslot_")


class FrameColumns:
    """The columns of an RDataFrame node, local or distributed, with the aliases an expression needs.

    Branch names that are no C++ names (``jet1_b-tag``) are given a hidden alias on the node, and those that
    RDataFrame confuses (``var1``) a hidden Define.

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
        self.names = column_names(node)
        self._odd = sorted((name for name in self.names if not _plain(name)), key=len, reverse=True)

    @property
    def distributed(self) -> bool:
        """Whether the node belongs to a frame of ROOT.RDF.Distributed."""
        return "_distrdf" in type(self.node).__module__

    @property
    def shared_out(self) -> bool:
        """Whether ``rdfentry_`` depends on how threads or processes share out the entries.

        Those of an empty source are numbered as such; of a tree, in the order in which its parts are taken.
        """
        if self.distributed:
            return True
        if not import_root().IsImplicitMTEnabled():
            return False
        return not str(self.node.Describe().AsString(True)).startswith("Empty")

    def local(self) -> Any:
        """Return the C++ node itself; of a distributed frame, the one that mirrors it on this machine."""
        return self.node.proxied_node.rdf_node if self.distributed else self.node

    def has(self, name: str) -> bool:
        """Whether there is a column of this name, hidden ones included."""
        return name in self.names or bool(self.local().HasColumn(name))

    def type(self, name: str) -> str:
        """C++ type of a column."""
        return str(self.local().GetColumnType(name))

    def free_name(self, pattern: str) -> str:
        """Return ``pattern`` with the first number in place of ``{}`` that makes it a new column name."""
        return next(name for name in map(pattern.format, itertools.count()) if not self.has(name))

    def code(self, expression: str, many: bool) -> str:
        """Return ``expression`` as C++ that RDataFrame takes on :attr:`node`, adding aliases where needed.

        Arguments
        ---------
        expression:
            A branch name or a ROOT expression.
        many:
            Whether it has to give many values per event (RVec, vector, array) or one number.

        Raises
        ------
        ColumnNotFoundError
            The frame lacks a column that the expression names.
        ColumnTypeError
            It gives one value where many are needed, or the other way round.
        ExpressionError
            It is no valid C++.
        """
        expression = expression.strip()
        if expression in self.names:
            type_name = self.type(expression)
            self._refuse_shape(expression, type_name, _COLLECTION.search(type_name) is not None, many)
            return self._alias(expression) if expression in self._odd else expression
        if _IDENTIFIER.fullmatch(expression) and not self.has(expression):
            raise ColumnNotFoundError(unknown("column", expression, self.names))
        # Compiled once by itself first: RDataFrame gives up its whole graph when an expression fails.
        found = find_columns(expression, dict.fromkeys([*self.names, *_BUILT_IN]))
        types = {name: self.type(name) for name in found.columns}
        function = compile_expression(found, types, dict.fromkeys(self.names))
        self._refuse_shape(expression, function.type, function.jagged, many)
        if self.distributed and mentions_observables(expression):
            declare_observables(distributed=True)
        if not self.distributed and any(part in self.names for part in _QUALIFIED.findall(expression)):
            # RDataFrame takes `mt2` in `hepml::mt2(…)` for the column mt2 where there is one.
            arguments = [self._alias(name) if name in self._odd else name for name in found.columns]
            return f"{function.name}({', '.join(arguments)})"
        for name in self._odd:
            expression = re.sub(rf"(?<![\w.]){re.escape(name)}(?!\w)", self._alias_of_match, expression)
        if re.search(r"\breturn\b", expression):
            raise ExpressionError(f"the expression '{expression}' has a return: Define it as a column first.")
        return f"({expression})"

    def _alias_of_match(self, match: re.Match[str]) -> str:
        return self._alias(match.group())

    def _alias(self, name: str) -> str:
        # RDataFrame keeps names of the form rdf..._ to itself: neither listed nor written by Snapshot.
        alias = f"rdfalias_{hashlib.sha1(name.encode()).hexdigest()[:12]}_"
        if not self.local().HasColumn(alias):
            define = self.node.Define if is_dummy(name) else self.node.Alias
            self.node = define(alias, name)
        return alias

    def _refuse_shape(self, expression: str, type_name: str, is_many: bool, many: bool) -> None:
        if many and not is_many:
            raise ColumnTypeError(
                f"'{expression}' has one value per event ({type_name}), and many are needed: an RVec, vector "
                "or array column."
            )
        if is_many and not many:
            raise ColumnTypeError(
                f"'{expression}' has many values per event ({type_name}), and one is needed: choose one, for "
                f"instance '{expression}[0]'."
            )


def _plain(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z_][\w.]*", name, flags=re.ASCII) is not None and not is_dummy(name)
