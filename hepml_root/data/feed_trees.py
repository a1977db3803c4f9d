"""Finding trees in ROOT files, and the plain columns in trees."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hepml_root.data.feed_library import import_root, quiet
from hepml_root.errors import CorruptFileError, SettingError, SourceNotFoundError, nearest, unknown

_NTUPLE_CLASSES = ("ROOT::RNTuple", "ROOT::Experimental::RNTuple")
_GLOB = re.compile(r"[*?\[]")
_LIST = re.compile(r"(?:std::)?(?:vector|ROOT::VecOps::RVec|ROOT::RVec)<\s*([\w: ]*\w)\s*>")

# C++ type names, as ROOT spells them, of the number types that the feed knows.
NUMBER_TYPES: dict[str, str] = {
    **dict.fromkeys(("bool", "Bool_t"), "bool"),
    **dict.fromkeys(("char", "Char_t", "signed char", "int8_t", "std::int8_t"), "int8"),
    **dict.fromkeys(("unsigned char", "UChar_t", "uint8_t", "std::uint8_t", "Byte_t", "std::byte"), "uint8"),
    **dict.fromkeys(("short", "Short_t", "int16_t", "std::int16_t"), "int16"),
    **dict.fromkeys(("unsigned short", "UShort_t", "uint16_t", "std::uint16_t"), "uint16"),
    **dict.fromkeys(("int", "Int_t", "int32_t", "std::int32_t"), "int32"),
    **dict.fromkeys(("unsigned int", "unsigned", "UInt_t", "uint32_t", "std::uint32_t"), "uint32"),
    **dict.fromkeys(("long", "Long_t", "long long", "Long64_t", "int64_t", "std::int64_t"), "int64"),
    **dict.fromkeys(("unsigned long", "ULong_t", "unsigned long long", "ULong64_t"), "uint64"),
    **dict.fromkeys(("uint64_t", "std::uint64_t", "size_t", "std::size_t"), "uint64"),
    **dict.fromkeys(("float", "Float_t", "Float16_t"), "float32"),
    **dict.fromkeys(("double", "Double_t", "Double32_t"), "float64"),
}
_LEAVES = {
    "TLeafF": "float32", "TLeafD": "float64", "TLeafO": "bool", "TLeafB": "int8", "TLeafS": "int16",
    "TLeafI": "int32", "TLeafL": "int64", "TLeafG": "int64",
}  # fmt: skip


@dataclass(frozen=True)
class StoredTree:
    """A tree in a file: "ttree" or "rntuple"."""

    path: str
    tree: str
    format: str


@dataclass(frozen=True)
class PlainColumn:
    """A column that is read in bulk: `length` numbers per entry, 1 for a scalar, 0 for a jagged one."""

    branch: str
    leaf: str
    type: str
    length: int = 1


def split_name(text: str) -> tuple[str, str | None]:
    """Split "file.root:tree" into file and tree.

    >>> split_name("a/b.root:dir/events"), split_name("root://host//b.root"), split_name("b.root")
    (('a/b.root', 'dir/events'), ('root://host//b.root', None), ('b.root', None))
    """
    head, colon, tail = text.rpartition(":")
    if not colon or not head or os.path.exists(text) or "//" in tail or re.fullmatch(r"\w+://[^/]*", head):
        return text, None
    return head, tail or None


def expand(files: Any, tree: str | None) -> list[tuple[str, str | None]]:
    """Resolve one name, a glob or a list of them to (path, tree or None)."""
    if isinstance(files, (str, os.PathLike)):
        path, own = split_name(os.fspath(files))
        if own and tree and own != tree:
            raise SettingError(
                f"'{files}' names the tree '{own}', and tree='{tree}' another. Give one of them."
            )
        if _GLOB.search(path) and "://" not in path and not os.path.exists(path):
            found = sorted(glob.glob(path, recursive=True))
            if not found:
                raise SourceNotFoundError(f"no file matches '{path}'.{_neighbours(path)}")
            return [(item, own or tree) for item in found]
        return [(path, own or tree)]
    if isinstance(files, Iterable):
        result = [entry for item in files for entry in expand(item, tree)]
        if not result:
            raise SettingError("the list of files is empty.")
        return result
    raise SettingError(
        f"a source cannot be a {type(files).__name__}. Give a file, a list of files, a tree or a data frame."
    )


def _neighbours(path: str) -> str:
    folder = Path(path).parent
    if not folder.is_dir():
        return f" The folder '{folder}' does not exist either."
    names = sorted(item.name for item in folder.iterdir())
    close = nearest(Path(path).name, names) or [name for name in names if name.endswith(".root")][:5]
    return f" In that folder: {', '.join(close)}." if close else ""


def open_file(path: str) -> Any:
    """Open a ROOT file for reading.

    Raises
    ------
    SourceNotFoundError
        There is no such file.
    CorruptFileError
        It is no ROOT file, or it was not written to its end.
    """
    ROOT = import_root()
    local = "://" not in path
    if local and not os.path.exists(path):
        raise SourceNotFoundError(f"no file '{path}'.{_neighbours(path)}")
    if local and os.path.isdir(path):
        raise SourceNotFoundError(f"'{path}' is a folder. Give a file, or a glob such as '{path}/*.root'.")
    with quiet():
        try:
            file = ROOT.TFile.Open(path, "READ_WITHOUT_GLOBALREGISTRATION")
        except OSError:
            file = None
        if not file or file.IsZombie():
            if not local:
                raise SourceNotFoundError(
                    f"cannot open '{path}'. Check the address, the server and your permissions."
                )
            if not os.access(path, os.R_OK):
                raise SourceNotFoundError(f"no permission to read '{path}'.")
            with open(path, "rb") as raw:
                magic = raw.read(4)
            if magic != b"root":
                raise CorruptFileError(f"'{path}' is no ROOT file (it does not begin with 'root').")
            raise CorruptFileError(
                f"'{path}' cannot be opened: the file is damaged or was not written to its end."
            )
        missing = local and file.GetEND() > os.path.getsize(path)
        damaged = missing or file.TestBit(ROOT.TFile.kRecovered)
    if damaged:
        sizes = f": it should have {file.GetEND()} bytes and has {os.path.getsize(path)}" if missing else ""
        raise CorruptFileError(
            f"'{path}' was not closed properly or is truncated{sizes}. Copy or write it again."
        )
    return file


def trees_in(folder: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Give (name, format) of each tree in a file, folders included."""
    ROOT = import_root()
    seen = set()
    for key in folder.GetListOfKeys():
        name, kind = str(key.GetName()), str(key.GetClassName())
        if name in seen:
            continue
        seen.add(name)
        if kind in _NTUPLE_CLASSES:
            yield prefix + name, "rntuple"
            continue
        described = ROOT.TClass.GetClass(kind)
        if described and described.InheritsFrom("TTree"):
            yield prefix + name, "ttree"
        elif described and described.InheritsFrom("TDirectory"):
            yield from trees_in(folder.GetDirectory(name), f"{prefix}{name}/")


def find_tree(path: str, name: str | None) -> StoredTree:
    """Find a tree in a file; the name may be left out where there is only one.

    Raises
    ------
    SourceNotFoundError
        There is no such tree, or no tree, or there are several and none was named.
    """
    file = open_file(path)
    with quiet():
        found = dict(trees_in(file))
        file.Close()
    if not found:
        raise SourceNotFoundError(f"'{path}' holds no TTree and no RNTuple.")
    if name is None:
        if len(found) > 1:
            raise SourceNotFoundError(
                f"'{path}' holds {len(found)} trees: {', '.join(found)}. "
                f"Say which: '{path}:{next(iter(found))}'."
            )
        name = next(iter(found))
    name = name.strip("/")
    if name not in found:
        raise SourceNotFoundError(unknown("tree", name, found, f"The file is '{path}'."))
    return StoredTree(path, name, found[name])


def plain_columns(stored: StoredTree) -> tuple[dict[str, PlainColumn], bool]:
    """Return the columns of a tree that are read in bulk, and whether those are all that it has."""
    return _plain_fields(stored) if stored.format == "rntuple" else _plain_leaves(stored)


def _plain_leaves(stored: StoredTree) -> tuple[dict[str, PlainColumn], bool]:
    ROOT = import_root()
    file = open_file(stored.path)
    columns: dict[str, PlainColumn] = {}
    complete = True
    with quiet():
        tree = file.Get(stored.tree)
        if not tree:
            raise CorruptFileError(
                f"the tree '{stored.tree}' of '{stored.path}' cannot be read. Copy the file again."
            )
        complete = not tree.GetListOfFriends() and not tree.GetListOfAliases()
        for branch in tree.GetListOfBranches():
            leaves = list(branch.GetListOfLeaves())
            name = str(branch.GetName())
            jagged = _jagged_type(branch, leaves)
            if jagged is not None:
                columns[name] = PlainColumn(name, name, jagged, 0)
                complete = False
                continue
            kinds = [_leaf_type(leaf) for leaf in leaves]
            simple = branch.IsA() == ROOT.TBranch.Class() and not branch.GetListOfBranches().GetEntries()
            if not simple or None in kinds or any(leaf.GetLeafCount() for leaf in leaves):
                complete = False
                continue
            for leaf in leaves:
                leaf_name = str(leaf.GetName())
                column = PlainColumn(name, leaf_name, _leaf_type(leaf) or "", int(leaf.GetLenStatic()))
                complete = complete and column.length == 1
                if len(leaves) == 1:
                    columns[name] = column
                if len(leaves) > 1 or leaf_name != name:
                    columns[f"{name}.{leaf_name}"] = column
        file.Close()
    return columns, complete


def _leaf_type(leaf: Any) -> str | None:
    """Type of a leaf's numbers; None if they are not stored as they are."""
    kind = _LEAVES.get(str(leaf.IsA().GetName()))
    return f"u{kind}" if kind and leaf.IsUnsigned() and kind.startswith("int") else kind


def _jagged_type(branch: Any, leaves: list[Any]) -> str | None:
    """Type of the numbers of an array of variable length, std::vector or RVec; None for anything else."""
    if len(leaves) != 1 or branch.GetListOfBranches().GetEntries():
        return None
    kind = str(branch.IsA().GetName())
    if kind == "TBranch":
        leaf = leaves[0]
        return _leaf_type(leaf) if leaf.GetLeafCount() and leaf.GetLenStatic() == 1 else None
    return _list_type(str(branch.GetClassName())) if kind == "TBranchElement" else None


def _list_type(cpp_type: str) -> str | None:
    """Type of the numbers of a std::vector or RVec; None for anything else.

    >>> _list_type("vector<float>"), _list_type("ROOT::VecOps::RVec<int>"), _list_type("vector<string>")
    ('float32', 'int32', None)
    """
    match = _LIST.fullmatch(cpp_type)
    if match is None or match[1] in ("Double32_t", "Float16_t"):
        return None
    return NUMBER_TYPES.get(match[1])


def _plain_fields(stored: StoredTree) -> tuple[dict[str, PlainColumn], bool]:
    ROOT = import_root()
    columns: dict[str, PlainColumn] = {}
    complete = True
    with quiet():
        try:
            reader = ROOT.RNTupleReader.Open(stored.tree, stored.path)
        except Exception as error:
            raise CorruptFileError(
                f"the RNTuple '{stored.tree}' of '{stored.path}' cannot be read. Copy the file again."
            ) from error
        for field in reader.GetDescriptor().GetTopLevelFields():
            name, kind = str(field.GetFieldName()), str(field.GetTypeName())
            jagged = _list_type(kind)
            if jagged is not None:
                columns[name] = PlainColumn(name, name, jagged, 0)
                complete = False
                continue
            array = re.fullmatch(r"std::array<(.+),(\d+)>", kind)
            number = NUMBER_TYPES.get(array.group(1) if array else kind)
            if number is None:
                complete = False
                continue
            columns[name] = PlainColumn(name, name, number, int(array.group(2)) if array else 1)
            complete = complete and array is None
    return columns, complete
