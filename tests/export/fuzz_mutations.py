"""Ways to damage a model file: each takes a model and a source of randomness and gives bytes.

Texts that could end up in C++ carry ``MARKER``, which no C++ name of ours can have: where it stands outside
of a string literal, text of the model has become code.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, TensorProto, helper

MARKER = "hepml$marker"
HOSTILE = (
    f'"); system("touch {MARKER}"); ("',
    f'x"; int {MARKER}; //',
    f"*/ int {MARKER}; /*",
    f"x\nint {MARKER};\n#define x",
    f"x\\\nint {MARKER};",
    f"??/ ??= ??' int {MARKER};",
    f'R"({MARKER})"',
    f"{{0}} {{1}} {MARKER} %s %n",
    f"\u202e\u2028int {MARKER};\u2029häßlich 🙂",
    f"x\r\nint {MARKER};",
    f"x\x00int {MARKER};",
    f"../../{MARKER}",
    f"'; {MARKER}; $(touch {MARKER}) `{MARKER}`",
    "class", "int", "namespace", "weights", "Session", "M", "engine", "std", "__FILE__", "true", "main",
    "", " ", "0", "a" * 100_000,
)  # fmt: skip
NUMBERS = (
    0,
    1,
    -1,
    2,
    7,
    -2,
    100,
    65536,
    2**22,
    2**31 - 1,
    2**31,
    2**40,
    2**62,
    -(2**62),
    2**63 - 1,
    -(2**63),
)
FLOATS = (0.0, -1.0, 1e38, -1e38, float("nan"), float("inf"), 1e-45)

Mutation = Callable[[onnx.ModelProto, random.Random], "onnx.ModelProto | bytes"]


def graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and all graphs inside it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from graphs(attribute.g)


def nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for graph in graphs(model.graph) for node in graph.node]


def names(model: onnx.ModelProto) -> list[str]:
    return sorted({name for node in nodes(model) for name in (*node.input, *node.output)} | {"", "absent"})


# ---- bytes ----------------------------------------------------------------------------------------------


def truncate(model: onnx.ModelProto, rng: random.Random) -> bytes:
    data = model.SerializeToString()
    return data[: rng.randrange(len(data))]


def flip_bits(model: onnx.ModelProto, rng: random.Random) -> bytes:
    data = bytearray(model.SerializeToString())
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def splice(model: onnx.ModelProto, rng: random.Random) -> bytes:
    """A piece of the file is removed, doubled, or replaced by noise."""
    data = model.SerializeToString()
    a, b = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    b = min(b, a + rng.choice((1, 4, 50, 500)))
    middle = rng.choice((b"", data[a:b] * 2, rng.randbytes(b - a), b"\xff" * (b - a)))
    return data[:a] + middle + data[b:]


def noise(model: onnx.ModelProto, rng: random.Random) -> bytes:  # noqa: ARG001
    return rng.randbytes(rng.choice((0, 1, 10, 1000)))


# ---- the structure of the graph -------------------------------------------------------------------------


def rewire(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto:
    """An input becomes another value: one that comes later, its own output, or one that is not there."""
    node = rng.choice(nodes(model))
    if node.input:
        own = list(node.output) or [""]
        node.input[rng.randrange(len(node.input))] = rng.choice([*names(model), *own, *own, "absent"])
    return model


def circle(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto:
    """The order of the nodes is turned around, or the last one feeds the first."""
    graph = model.graph
    if rng.random() < 0.5:
        turned = list(graph.node)[::-1]
        del graph.node[:]
        graph.node.extend(turned)
    else:
        graph.node[0].input[0] = graph.node[-1].output[0]
    return model


def double(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto:
    """Something is there twice: a node, a weight, an input, an output, an opset, a name."""
    graph = rng.choice(list(graphs(model.graph)))
    part = rng.choice([p for p in (graph.node, graph.initializer, graph.input, graph.output) if len(p)])
    if rng.random() < 0.3:
        model.opset_import.add().CopyFrom(rng.choice(list(model.opset_import)))
    elif rng.random() < 0.5:
        part.add().CopyFrom(rng.choice(list(part)))
    else:
        node = rng.choice(nodes(model))
        if node.output:
            node.output[0] = rng.choice(names(model))
    return model


def drop(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto:
    """Something is missing: a weight, a node, an input, an output, an attribute, an argument."""
    graph = rng.choice(list(graphs(model.graph)))
    node = rng.choice(nodes(model))
    parts = (
        graph.initializer,
        graph.node,
        graph.input,
        graph.output,
        node.attribute,
        node.input,
        node.output,
    )
    part = rng.choice([p for p in (*parts, model.opset_import, model.functions) if len(p)])
    del part[rng.randrange(len(part))]
    return model


def operator(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto:
    """A node asks for another operator, of this or another domain."""
    node = rng.choice(nodes(model))
    schemas = onnx.defs.get_all_schemas()
    node.op_type = rng.choice([rng.choice(schemas).name, rng.choice(HOSTILE)])
    node.domain = rng.choice(("", "", node.domain, "ai.onnx", "ai.onnx.ml", "com.microsoft", "local", "\n"))
    return model


def opset(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto:
    if rng.random() < 0.2:
        model.ir_version = rng.choice((0, 1, 3, 99, 2**40))
    entry = rng.choice(list(model.opset_import))
    entry.version = rng.choice((*NUMBERS, 1, 5, 11, 12, 13, 17, 21, 26))
    return model


# ---- shapes, weights, attributes ------------------------------------------------------------------------


def weight(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto:
    """A weight has other dimensions, another type, other bytes, or says that it is elsewhere."""
    tensors = [t for graph in graphs(model.graph) for t in graph.initializer]
    tensor = rng.choice(tensors)
    what = rng.randrange(5)
    if what == 0 and len(tensor.dims):
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(NUMBERS)
    elif what == 1:
        dims = [rng.choice((0, 1, 2, 3, -1, 2**20)) for _ in range(rng.choice((0, 1, 2, 3, 9, 60)))]
        del tensor.dims[:]
        tensor.dims.extend(dims)
    elif what == 2:
        tensor.data_type = rng.choice([*range(30), 99, 2**30])
    elif what == 3:
        tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data) + 1)] + rng.randbytes(
            rng.choice((0, 3))
        )
    else:
        kind, values = rng.choice(((TensorProto.STRING, [b"a", b"\xff"]), (TensorProto.DOUBLE, [1.5, 2.0])))
        name = tensor.name
        tensor.CopyFrom(helper.make_tensor(name, kind, [2], values))
    return model


def outside(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto:
    """A weight is said to be in another file, outside of the folder, endless or not there."""
    tensor = rng.choice(list(model.graph.initializer))
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    places = (
        "../../../../etc/passwd",
        "/etc/passwd",
        "/dev/zero",
        "/dev/stdin",
        "",
        ".",
        "..",
        "absent.bin",
        "a\x00b",
    )
    location = rng.choice((*places, *HOSTILE[:4]))
    settings = {"location": location, "offset": str(rng.choice(NUMBERS)), "length": str(rng.choice(NUMBERS))}
    settings |= {"checksum": "x"} if rng.random() < 0.2 else {}
    for key, value in settings.items():
        if key == "location" or rng.random() < 0.5:
            tensor.external_data.add(key=key, value=value)
    return model


def declared(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto:
    """An input or output has another shape or type."""
    graph = rng.choice(list(graphs(model.graph)))
    entries = [*graph.input, *graph.output]
    if not entries:
        return model
    entry = rng.choice(entries)
    kind = entry.type.tensor_type
    what = rng.randrange(5)
    if what == 0:
        kind.elem_type = rng.choice([*range(30), 99])
    elif what == 1 and len(kind.shape.dim):
        kind.shape.dim[rng.randrange(len(kind.shape.dim))].dim_value = rng.choice(NUMBERS)
    elif what == 2:
        shape = [
            rng.choice(("N", "", 1, 2, 3, 0, -1, 2**21, rng.choice(HOSTILE))) for _ in range(rng.randrange(8))
        ]
        entry.CopyFrom(helper.make_tensor_value_info(entry.name, TensorProto.FLOAT, shape))
    elif what == 3:
        entry.type.Clear()
    else:
        inner = helper.make_tensor_type_proto(TensorProto.FLOAT, [2])
        make = rng.choice((helper.make_sequence_type_proto, helper.make_optional_type_proto))
        entry.type.CopyFrom(make(inner))
    return model


def attribute(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto:
    """An attribute has another value, length or type; or a tensor or graph where a number is meant."""
    entries = [(node, a) for node in nodes(model) for a in node.attribute if a.type != AttributeProto.GRAPH]
    node, old = rng.choice(entries)
    numbers = [rng.choice(NUMBERS) for _ in range(rng.choice((0, 1, 2, 5, 5, 1000)))]
    values: list[Any] = [
        rng.choice(NUMBERS),
        rng.choice(FLOATS),
        numbers or [0],
        rng.choice(HOSTILE),
        [0.5, 1.0],
    ]
    values += [["LEAF", "x"], helper.make_tensor("t", TensorProto.INT64, [1], [rng.choice(NUMBERS)])]
    same = [v for v in values if helper.make_attribute(old.name, v).type == old.type]
    if old.type in (AttributeProto.INTS, AttributeProto.FLOATS) and rng.random() < 0.6:
        part = old.ints if old.type == AttributeProto.INTS else old.floats
        if len(part):
            part[rng.randrange(len(part))] = rng.choice(
                NUMBERS if old.type == AttributeProto.INTS else FLOATS
            )
        if rng.random() < 0.3 and len(part):
            del part[rng.randrange(len(part))]
        return model
    name = rng.choice((old.name, old.name, old.name, rng.choice(HOSTILE)))
    node.attribute.remove(old)
    node.attribute.add().CopyFrom(
        helper.make_attribute(name, rng.choice(same or values) if rng.random() < 0.6 else rng.choice(values))
    )
    return model


def constants(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto:
    """Whole numbers that say how large something is (shapes, sizes, axes, indices) are huge or negative."""
    tensors = [t for t in model.graph.initializer if t.data_type == TensorProto.INT64]
    if tensors:
        tensor = rng.choice(tensors)
        array = onnx.numpy_helper.to_array(tensor).copy()
        if array.size:
            array.ravel()[rng.randrange(array.size)] = rng.choice(NUMBERS)
            tensor.CopyFrom(onnx.numpy_helper.from_array(array.reshape(tuple(tensor.dims)), tensor.name))
    return model


# ---- depth and texts ------------------------------------------------------------------------------------


def recursion(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto:
    """Functions that call themselves or each other; graphs in graphs in graphs."""
    if rng.random() < 0.5:
        for name, other in (("one", "two"), ("two", rng.choice(("one", "two")))):
            call = helper.make_node(other, ["a"], ["b"], domain="own")
            imports = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
            model.functions.append(helper.make_function("own", name, ["a"], ["b"], [call], imports))
        model.opset_import.append(helper.make_opsetid("own", 1))
        model.graph.node.insert(
            0, helper.make_node("one", [model.graph.input[0].name], ["deep"], domain="own")
        )
        return model
    inner = helper.make_graph([], "inner", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])])
    for depth in range(rng.choice((5, 20, 28))):
        branches = {"then_branch": inner, "else_branch": inner} if depth < 5 else {"then_branch": inner}
        node = helper.make_node("If", [model.graph.input[0].name], [f"y{depth}"], **branches)
        inner = helper.make_graph([node], "inner", [], [helper.make_tensor_value_info(f"y{depth}", 1, [1])])
    model.graph.node.insert(0, inner.node[0])
    return model


def texts(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto:
    """Names of everything, and texts of the manifest, that would be C++ if they were not quoted."""
    new = {name: rng.choice(HOSTILE) + str(i) for i, name in enumerate(names(model)) if name}
    new |= {entry.name: rng.choice(HOSTILE) + f" {entry.name}" for entry in model.graph.input}
    for graph in graphs(model.graph):
        graph.name = rng.choice(HOSTILE) or "g"
        graph.doc_string = rng.choice(HOSTILE)
        for node in graph.node:
            node.name = rng.choice(HOSTILE)
            node.input[:] = [new.get(name, name) for name in node.input]
            node.output[:] = [new.get(name, name) for name in node.output]
        for entry in (*graph.input, *graph.output, *graph.initializer):
            entry.name = new.get(entry.name, entry.name)
    model.producer_name = rng.choice(HOSTILE)
    for entry in model.metadata_props:
        text = entry.value
        for old, name in new.items():
            text = text.replace(f'"name": {json.dumps(old)}', f'"name": {json.dumps(name)}')
            text = text.replace(f'"mask": {json.dumps(old)}', f'"mask": {json.dumps(name)}')
        entry.value = text.replace('"units": "GeV"', f'"units": {json.dumps(rng.choice(HOSTILE))}')
    return model


def one_text(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto:
    """A single name is hostile."""
    old, new = rng.choice([name for name in names(model) if name]), rng.choice(HOSTILE)
    for node in nodes(model):
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for entry in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        entry.name = new if entry.name == old else entry.name
    return model


def metadata(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto:
    """The manifest is no JSON, too deep, of other types, or names other things."""
    entry = next(iter(model.metadata_props), None) or model.metadata_props.add()
    entry.key = "hepml_root"
    text = entry.value or "{}"
    what = rng.randrange(6)
    if what == 0:
        entry.value = rng.choice(
            ("", "[]", "{", "null", "1e999", "[" * 100_000, '{"a":' * 5000, "NaN", *HOSTILE)
        )
    elif what == 1:
        entry.value = text[: rng.randrange(len(text) + 1)]
    elif what == 2:
        model.metadata_props.add(key="hepml_root", value=text)
    else:
        part = json.loads(text)
        path: Any = part
        for _ in range(rng.randrange(6)):
            keys = list(path) if isinstance(path, dict) else list(range(len(path)))
            if not keys:
                break
            key = rng.choice(keys)
            if isinstance(path[key], (dict, list)) and rng.random() < 0.7:
                path = path[key]
                continue
            path[key] = rng.choice((None, 1, -1, [], {}, "x", 1e308, 2**70, True, [[]], rng.choice(HOSTILE)))
            break
        entry.value = json.dumps(part)
    return model


MUTATIONS: tuple[Mutation, ...] = (
    *(truncate, flip_bits, flip_bits, splice, noise),
    *(rewire, circle, double, drop, operator, opset),
    *(weight, outside, declared, attribute, attribute, constants),
    *(recursion, texts, one_text, metadata),
)


def damaged(model: onnx.ModelProto, rng: random.Random) -> tuple[str, bytes]:
    """Return what was done to a copy of the model, and the bytes of the file."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    done = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        mutation = rng.choice(MUTATIONS)
        done.append(mutation.__name__)
        try:
            result = mutation(copy, rng)
        except (IndexError, ValueError, TypeError, DecodeError, onnx.checker.ValidationError):
            continue  # an earlier one left nothing to change, or a number that protobuf does not hold
        if isinstance(result, bytes):
            return "+".join(done), result
    return "+".join(done), copy.SerializeToString()
