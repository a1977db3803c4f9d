"""What makes a model file the same model: all of it but the record of how well runtimes agreed on it.

A library is compiled while the certificate is being made, and used when the certificate is in the file. Both
are one model, so caches go by :func:`identity`. Nothing here needs onnx: a library that is in the cache is
opened in milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

# Of ONNX's ModelProto and StringStringEntryProto.
_METADATA, _KEY, _VALUE = 14, 1, 2
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_MANIFEST = b"hepml_root"


def identity(content: bytes) -> bytes:
    """Return the bytes of a model file with its manifest's "parity" taken out; others as they are.

    Bytes that are no protobuf message come back unchanged: they are a file of their own, and whoever reads it
    says what is wrong with it.

    Example
    -------
    >>> import onnx
    >>> from onnx import helper
    >>> model = helper.make_model(helper.make_graph([], "g", [], []))
    >>> helper.set_model_props(model, {"hepml_root": '{"parity": {"cpp": 1}}'})
    >>> certified = model.SerializeToString()
    >>> helper.set_model_props(model, {"hepml_root": '{"parity": {}}'})
    >>> identity(certified) == identity(model.SerializeToString()) != certified
    True
    """
    try:
        pieces = [_without_parity(content[at:end], payload) for at, end, payload in _metadata(content)]
        cuts = [(at, end) for at, end, _ in _metadata(content)]
    except (ValueError, IndexError):
        return content
    result, last = [], 0
    for (at, end), piece in zip(cuts, pieces, strict=True):
        result += [content[last:at], piece]
        last = end
    return b"".join([*result, content[last:]])


def _without_parity(whole: bytes, payload: bytes) -> bytes:
    """Return an entry of the metadata: as it is, or, if it is the manifest, its JSON without "parity"."""
    fields = {number: value for number, _, _, value in _fields(payload)}
    if fields.get(_KEY) != _MANIFEST:
        return whole
    manifest = json.loads(fields.get(_VALUE, b""))
    if not isinstance(manifest, dict):
        return whole
    manifest.pop("parity", None)
    return json.dumps(manifest, sort_keys=True).encode()


def _metadata(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield beginning, end and payload of each entry of the metadata."""
    for number, at, end, value in _fields(content):
        if number == _METADATA:
            yield at, end, value


def _fields(content: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield number, beginning, end and value of each field of a protobuf message.

    Raises
    ------
    ValueError, IndexError
        It is none.
    """
    at, size = 0, len(content)
    while at < size:
        begin = at
        tag, at = _varint(content, at)
        number, kind = tag >> 3, tag & 7
        length = 0
        if kind == _VARINT:
            _, at = _varint(content, at)
        elif kind == _LENGTH:
            length, at = _varint(content, at)
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at + length > size:
            raise ValueError("a field that is longer than the message")
        value = content[at : at + length] if number in (_METADATA, _KEY, _VALUE) else b""
        at += length
        yield number, begin, at, value


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at a place, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than ten bytes")
