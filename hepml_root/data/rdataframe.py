"""Where events come from: ROOT files, trees, RNTuples and data frames, behind one interface."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hepml_root.data.feed_library import import_root, quiet
from hepml_root.data.feed_trees import (
    NUMBER_TYPES,
    PlainColumn,
    StoredTree,
    expand,
    find_tree,
    open_file,
    plain_columns,
)
from hepml_root.data.shipped import shipped_file
from hepml_root.errors import ColumnNotFoundError, SettingError, SourceNotFoundError, unknown

__all__ = ["Frame", "Source", "shipped_file"]

_HASHED_WHOLE = 64 << 20
_HASHED_END = 1 << 20
_ELEMENT = re.compile(r"(?P<name>.+)\[\s*(?P<element>\d+)\s*\]")


@dataclass(frozen=True)
class Source:
    """Events of one kind, and what distinguishes them.

    Arguments
    ---------
    files:
        A file ("f.root", "f.root:tree"), a glob, a list of those, a TTree, a TChain, or an RDataFrame node
        (with Defines and Filters, multi-threaded or distributed). An RNTuple is named as a tree is.
    tree:
        Name of the tree or RNTuple; not needed where it is in ``files`` or where each file has only one.
    friends:
        Friend trees, event by event beside the main tree: named as ``files`` are. Their columns are used by
        their own names.
    cut:
        Only events for which this C++ expression is true are used.
    weight:
        Expression of the events' weight, where it differs from the one given for all classes.
    cross_section:
        Cross section in pb.
    generated:
        Number (or sum of weights) of generated events that the cross section belongs to.

    Raises
    ------
    SettingError
        Friends were given for a data frame, which brings its own.

    Example
    -------
    >>> signal = Source("ttH_*.root:events", cut="n_jets >= 4", cross_section=0.5)
    >>> signal.cut
    'n_jets >= 4'
    """

    files: Any
    tree: str | None = None
    friends: Sequence[Any] = ()
    cut: str | None = None
    weight: str | None = None
    cross_section: float | None = None
    generated: float | None = None

    def __post_init__(self) -> None:
        friends = self.friends
        object.__setattr__(
            self, "friends", (friends,) if isinstance(friends, (str, os.PathLike)) else tuple(friends)
        )
        if self.friends and is_frame(self.files):
            raise SettingError("friends go with files; a data frame is made with its friends already.")


class Frame:
    """An opened source: what columns it has, and how they are read.

    Made by :meth:`open`. Nothing is read before rows are asked for (see hepml_root.data.feed).

    Attributes
    ----------
    name:
        Short name for messages: the first file, or "data frame".
    source:
        The source it was opened from.
    trees:
        The files with their trees, in order; empty for data frames and trees in memory.
    """

    def __init__(self, source: Source, name: str, trees: Sequence[StoredTree], node: Any = None) -> None:
        self.source = source
        self.name = name
        self.trees = tuple(trees)
        self._node = node
        self._kept: list[Any] = []
        self._types: dict[str, str] = {}
        self._names: list[str] | None = None
        self._plain: dict[str, PlainColumn] = {}
        self._complete = False
        if self.trees and not source.friends:
            self._plain, self._complete = plain_columns(self.trees[0])

    @classmethod
    def open(cls, source: Any) -> Frame:
        """Open a source, or anything that `Source.files` can be.

        Raises
        ------
        SourceNotFoundError
            A file or tree does not exist, or the tree must be named; the message lists what there is.
        CorruptFileError
            A file is no ROOT file or is truncated.

        Example
        -------
        >>> frame = Frame.open(shipped_file("Higgs_data.root") + ":sig_tree")
        >>> frame.columns()["jet1_b-tag"]
        'float32'
        """
        if isinstance(source, Frame):
            return source
        if not isinstance(source, Source):
            source = Source(source)
        files = source.files
        if is_frame(files):
            return cls(source, "data frame", (), files)
        if hasattr(files, "GetListOfBranches"):
            return cls._of_tree(source)
        pairs = expand(files, source.tree)
        first = find_tree(*pairs[0])
        trees = [first]
        for path, name in pairs[1:]:
            name = name or (first.tree if pairs[0][1] is None else None)
            # Later files are opened when their turn comes; here only what the first cannot tell.
            if "://" not in path and not os.path.exists(path):
                find_tree(path, name)
            trees.append(StoredTree(path, name, first.format) if name else find_tree(path, None))
        return cls(source, _short(first, len(trees)), trees)

    @classmethod
    def _of_tree(cls, source: Source) -> Frame:
        """A TTree or TChain; with friends, an entry list or without a file it stays what it is."""
        ROOT = import_root()
        tree = source.files
        name = f"tree '{tree.GetName()}'"
        special = bool(tree.GetListOfFriends()) or bool(tree.GetEntryList()) or bool(source.friends)
        if isinstance(tree, ROOT.TChain):
            found = [
                StoredTree(str(item.GetTitle()), str(item.GetName()), "ttree")
                for item in tree.GetListOfFiles()
            ]
            if not found:
                raise SourceNotFoundError(f"the chain '{tree.GetName()}' has no files.")
            for stored in found:
                if "://" not in stored.path and not os.path.exists(stored.path):
                    open_file(stored.path)
        else:
            directory = tree.GetDirectory()
            file = tree.GetCurrentFile()
            if not file or file.IsWritable():
                special, found = True, []
            else:
                path = str(directory.GetPath()).split(":", 1)[1].strip("/")
                inside = f"{path}/{tree.GetName()}" if path else str(tree.GetName())
                found = [StoredTree(str(file.GetName()), inside, "ttree")]
        if not special:
            return cls(source, name, found)
        if source.friends:
            return cls(Source(tree, cut=source.cut), name, (), _with_friends(tree, source.friends))
        frame = cls(source, name, (), ROOT.RDataFrame(tree))
        frame._kept.append(tree)
        return frame

    @property
    def distributed(self) -> bool:
        """True for a data frame of ROOT.RDF.Distributed."""
        return self._node is not None and is_distributed(self._node)

    @property
    def filtered(self) -> bool:
        """True for a data frame whose Filters leave out events; that of a distributed one is not known."""
        if not is_frame(self.source.files) or self.distributed:
            return False
        return len(self.node().GetFilterNames()) > 0

    def columns(self) -> dict[str, str]:
        """Return the columns and their types ("float32", "int64", … or the C++ type of what is no number)."""
        if self._complete:
            return {name: column.type for name, column in self._plain.items()}
        return {name: self.type_of(name) for name in self.names()}

    def names(self) -> list[str]:
        """Return the names of all columns."""
        if self._complete:
            return list(self._plain)
        if self._names is None:
            self._names = column_names(self.node())
        return self._names

    def type_of(self, name: str) -> str:
        """Return the type of one column, as :meth:`columns` does."""
        plain = self._plain.get(name)
        if plain is not None and plain.length == 1:
            return plain.type
        cpp_type = self.cpp_type(name)
        return NUMBER_TYPES.get(cpp_type, cpp_type)

    def cpp_type(self, name: str) -> str:
        """Return the C++ type that RDataFrame gives a column."""
        if name not in self._types:
            self._types[name] = str(self.node().GetColumnType(name))
        return self._types[name]

    def has(self, name: str) -> bool:
        """Return whether there is a column of this name."""
        return name in self._plain or (not self._complete and name in self.names())

    def plain(self, expression: str) -> tuple[PlainColumn, int] | None:
        """Return the column and element to read in bulk for "name" or "name[3]"; None if it needs more."""
        column = self._plain.get(expression)
        if column is not None:
            return (column, 0) if column.length == 1 else None
        match = _ELEMENT.fullmatch(expression)
        column = self._plain.get(match["name"].strip()) if match else None
        if match is None or column is None or column.length == 0:
            return None
        element = int(match["element"])
        if element >= column.length:
            raise ColumnNotFoundError(
                f"'{expression}' in {self.name}: '{match['name']}' has {column.length} values per event, "
                f"0 to {column.length - 1}."
            )
        return column, element

    def plain_list(self, expression: str) -> PlainColumn | None:
        """Return the jagged column to read in bulk; None for all that is no such column by its name."""
        column = self._plain.get(expression)
        return column if column is not None and column.length == 0 else None

    def require(self, name: str) -> None:
        """Raise ColumnNotFoundError, with the nearest names, if there is no such column."""
        if not self.has(name):
            raise ColumnNotFoundError(unknown("column", name, self.names(), f"Looked in {self.name}."))

    def node(self) -> Any:
        """Return an RDataFrame of the source, without its cut."""
        if self._node is None:
            ROOT = import_root()
            for stored in self.trees[1:]:  # the loop would skip what it cannot open
                find_tree(stored.path, stored.tree)
            with quiet():
                if self.trees[0].format == "rntuple":
                    self._node = self._ntuple_node(ROOT)
                else:
                    chain = ROOT.TChain(self.trees[0].tree)
                    for stored in self.trees:
                        chain.AddFile(stored.path, ROOT.TTree.kMaxEntries, stored.tree)
                    self._node = _with_friends(chain, self.source.friends)
        return self._node

    def _ntuple_node(self, ROOT: Any) -> Any:
        if self.source.friends:
            raise SettingError(
                "ROOT's data frame reads no friends of an RNTuple. Write them into one RNTuple."
            )
        names = {stored.tree for stored in self.trees}
        if len(names) > 1:
            raise SettingError(
                f"the RNTuples of one source need the same name in all files; got {', '.join(sorted(names))}."
            )
        return ROOT.RDataFrame(self.trees[0].tree, [stored.path for stored in self.trees])

    def provenance(self) -> list[dict[str, Any]]:
        """Return path, tree, size in bytes and hash of each file.

        The hash is the SHA-256 of the file; above 64 MiB, of its size, first and last MiB, marked "ends:".
        """
        entries = []
        for stored in self.trees:
            entry: dict[str, Any] = {"path": stored.path, "tree": stored.tree, "size": None, "hash": None}
            if "://" not in stored.path:
                entry["size"] = os.path.getsize(stored.path)
                entry["hash"] = _hash(stored.path, entry["size"])
            entries.append(entry)
        return entries


def is_distributed(node: Any) -> bool:
    """Return whether this is a data frame of ROOT.RDF.Distributed."""
    return type(node).__module__.split(".")[0] == "DistRDF" or "_distrdf" in type(node).__module__


def column_names(node: Any) -> list[str]:
    """Return the names of all columns of a data frame, those of friends by their short names too.

    RDataFrame lists a friend's column as ``friend.x`` only, but takes ``x`` where the main tree has none.
    """
    names = [str(name) for name in node.GetColumnNames()]
    if is_distributed(node):
        return names
    short = dict.fromkeys(name.split(".", 1)[1] for name in names if "." in name)
    return names + [name for name in short if name not in names and node.HasColumn(name)]


def is_frame(value: Any) -> bool:
    """Return whether this is a node of RDataFrame, distributed or not."""
    return is_distributed(value) or (hasattr(value, "GetColumnNames") and hasattr(value, "Filter"))


def _with_friends(tree: Any, friends: Sequence[Any]) -> Any:
    ROOT = import_root()
    kept = [tree]
    for friend in friends:
        pairs = expand(friend, None)
        found = [find_tree(*pair) for pair in pairs]
        if any(stored.format == "rntuple" for stored in found):
            raise SettingError(
                f"the friend '{friend}' is an RNTuple; ROOT's data frame takes only TTrees as friends. "
                "Write it as a TTree (uproot: mktree)."
            )
        chain = ROOT.TChain(found[0].tree)
        for stored in found:
            chain.AddFile(stored.path, ROOT.TTree.kMaxEntries, stored.tree)
        entries, own = chain.GetEntries(), tree.GetEntries()
        if entries != own:
            raise SettingError(
                f"the friend '{friend}' has {entries} entries, the main tree {own}; they go side by side."
            )
        tree.AddFriend(chain)
        kept.append(chain)
    node = ROOT.RDataFrame(tree)
    node._hepml_root_kept = kept  # Python owns the trees; the node uses them
    return node


def _short(first: StoredTree, count: int) -> str:
    more = f" and {count - 1} more" if count > 1 else ""
    return f"'{first.path}:{first.tree}'{more}"


def _hash(path: str, size: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        if size <= _HASHED_WHOLE:
            digest.update(file.read())
            return f"sha256:{digest.hexdigest()}"
        digest.update(str(size).encode() + file.read(_HASHED_END))
        file.seek(-_HASHED_END, os.SEEK_END)
        digest.update(file.read())
    return f"sha256-ends:{digest.hexdigest()}"
