"""The generated header as C++: it compiles anywhere without a warning, is safe, and no name breaks it."""

from __future__ import annotations

import ctypes
import itertools
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hepml_root.errors import ModelFileError, OutputExistsError, UnsupportedOperationError
from hepml_root.export import cpp
from hepml_root.export.cpp import generate, generator, identifier, string_literal
from hepml_root.inference.session import Session
from tests.export.libraries import compiled

STRICT = ("-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Wno-psabi", "-Werror")


def mlp(sizes: list[int], activation: str = "Relu", seed: int = 1, name: str = "net") -> onnx.ModelProto:
    """A network whose hidden layers have an activation and whose last one is a softmax or sigmoid."""
    r = np.random.default_rng(seed)
    nodes, weights, value = [], [], "features"
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        weights.append(
            numpy_helper.from_array((r.normal(size=(a, b)) / np.sqrt(a)).astype(np.float32), f"w{i}")
        )
        weights.append(numpy_helper.from_array(r.normal(size=b).astype(np.float32), f"b{i}"))
        nodes.append(helper.make_node("Gemm", [value, f"w{i}", f"b{i}"], [f"s{i}"]))
        last = i == len(sizes) - 2
        value = "score" if last else f"a{i}"
        final = "Softmax" if sizes[-1] > 1 else "Sigmoid"
        nodes.append(helper.make_node(final if last else activation, [f"s{i}"], [value]))
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", sizes[0]])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N", sizes[-1]])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def scores(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"features": x})[0]


def build(folder: Path, source: str, *flags: str) -> Path:
    (folder / "main.cxx").write_text(source)
    program = folder / "program"
    subprocess.run(["g++", *STRICT, *flags, "main.cxx", "-o", str(program)], cwd=folder, check=True)
    return program


def output(program: Path, *arguments: str) -> list[str]:
    done = subprocess.run(
        [str(program), *arguments], capture_output=True, text=True, check=False, cwd=program.parent
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split()


MAIN = """
#include "one.hxx"
#include "two.hxx"
#include "one.hxx" // a second time does no harm
#include <cstdio>
#include <fstream>
#include <thread>

// Scores of all events in blocks, one by one, by a copy, and by four threads sharing one session.
int main()
{
   std::ifstream file("x.bin", std::ios::binary);
   std::vector<float> x(COUNT * 7);
   file.read(reinterpret_cast<char *>(x.data()), x.size() * sizeof(float));
   TMVA_SOFIE_one::Session *first = new TMVA_SOFIE_one::Session("unused.dat");
   const TMVA_SOFIE_one::Session session = *first;
   delete first; // the copy must not need it
   const TMVA_SOFIE_two::Session other;
   std::vector<float> y(COUNT * 3), shared(COUNT * 3), z(COUNT);
   session.infer(x.data(), COUNT, y.data());
   other.infer(x.data(), COUNT, z.data());
   std::vector<std::thread> threads;
   for (int t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
         for (std::size_t i = t; i < COUNT; i += 4)
            session.infer(x.data() + 7 * i, 1, shared.data() + 3 * i);
      });
   for (auto &thread : threads)
      thread.join();
   for (std::size_t i = 0; i < COUNT; ++i) {
      const std::vector<float> one = session.infer(x.data() + 7 * i); // SOFIE's signature
      for (int k = 0; k < 3; ++k) {
         if (one[k] != shared[3 * i + k])
            return 1;
         std::printf("%.9g\\n", y[3 * i + k]);
      }
   }
   for (std::size_t i = 0; i < COUNT; ++i)
      std::printf("%.9g\\n", z[i]);
   for (std::size_t n : {0, 1, 2, 15, 16, 17, 47, 48, 49})
      session.infer(x.data(), n, y.data());
}
"""


@pytest.mark.parametrize(
    "flags",
    [
        ("-O2", "-march=native"),
        ("-O2",),
        ("-O1", "-march=haswell", "-DHEPML_ROOT_LANES=8"),
        ("-O0", "-march=native", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    ],
    ids=["native", "plain", "avx2", "sanitizers"],
)
def test_compiles_without_warnings_and_runs(tmp_path: Path, flags: tuple[str, ...]) -> None:
    one, two = mlp([7, 21, 3], "Tanh", 1, "one"), mlp([7, 33, 1], "Relu", 2, "two")
    for model in (one, two):
        generate(model).save(tmp_path)
    x = np.random.default_rng(4).normal(size=(101, 7)).astype(np.float32)
    x.tofile(tmp_path / "x.bin")
    supported = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    program = build(tmp_path, MAIN.replace("COUNT", "std::size_t(101)"), *flags, "-pthread")
    if "-march=haswell" in flags and "avx2" not in supported:
        pytest.skip("this processor has no AVX2")
    found = np.array(output(program), np.float32)
    right = np.concatenate([scores(one, x).ravel(), scores(two, x).ravel()])
    np.testing.assert_allclose(found, right, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)], ids=["narrow first", "wide first"])
def test_one_program_may_compile_it_for_several_processors(tmp_path: Path, order: tuple[int, ...]) -> None:
    """The linker takes one of all functions of the same name: those of other register widths have others."""
    model = mlp([7, 40, 3], "Tanh", 5, "net")
    generate(model).save(tmp_path)
    x = np.random.default_rng(6).normal(size=(101, 7)).astype(np.float32)
    x.tofile(tmp_path / "x.bin")
    part = '#include "net.hxx"\n__attribute__((flatten)) void PART(const float* x, std::size_t n, float* y) '
    part += "{ TMVA_SOFIE_net::Session().infer(x, n, y); }\n"
    (tmp_path / "part.cxx").write_text(part)
    targets = (("-DHEPML_ROOT_LANES=4",), ("-DHEPML_ROOT_LANES=8",), ("-march=native",))
    for index in order:
        command = ["g++", *STRICT, "-O1", *targets[index], f"-DPART=part{index}", "-c", "part.cxx"]
        subprocess.run([*command, "-o", f"part{index}.o"], cwd=tmp_path, check=True)
    main = "#include <cstdio>\n#include <cstddef>\n#include <initializer_list>\n"
    main += "".join(f"void part{i}(const float*, std::size_t, float*);\n" for i in order)
    main += """
int main() {
   static float x[101 * 7], y[101 * 3];
   std::FILE *file = std::fopen("x.bin", "rb");
   if (!file || std::fread(x, sizeof(x), 1, file) != 1)
      return 1;
   for (auto part : {part0, part1, part2}) {
      part(x, 101, y);
      for (float value : y)
         std::printf("%.9g\\n", value);
   }
}
"""
    program = build(tmp_path, main, *(f"part{index}.o" for index in order))
    found = np.array(output(program), np.float32).reshape(3, 101, 3)
    for scored in found:
        np.testing.assert_allclose(scored, scores(model, x), rtol=2e-6, atol=1e-6)


def test_the_templates_are_valid_cpp(tmp_path: Path) -> None:
    for template in (cpp.TEMPLATE, cpp.TEMPLATE.with_name("library.cxx")):
        (tmp_path / template.name).write_text(template.read_text())
    flags = (
        "-std=c++17",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fsyntax-only",
        "-march=native",
        "-I",
        str(cpp.INCLUDE),
    )
    subprocess.run(["g++", *flags, "library.cxx"], cwd=tmp_path, check=True)


def test_every_engine_header_stands_alone(tmp_path: Path) -> None:
    lines = [f'#include "hepml_root/engine/{path.name}"' for path in cpp.ENGINE]
    for line in lines:
        (tmp_path / "alone.cxx").write_text(line + "\n")
        flags = ("-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", str(cpp.INCLUDE))
        subprocess.run(["g++", *flags, "alone.cxx"], cwd=tmp_path, check=True)


HOSTILE = (
    'x"; system("touch injected"); //',
    "x */ int injected; /*",
    "x\nint injected;",
    "x\\",
    "??/ trigraph",
    "int",
    "häßlich 🙂",
    "{0} {1}",
    "a" * 5000,
)


def test_names_of_any_kind_stay_text(tmp_path: Path) -> None:
    """Names of inputs, outputs, nodes, weights, the graph and the file appear in C++ only as escaped text."""
    names = iter(HOSTILE * 3)
    x, w, s, y, node = (next(names) + str(i) for i in range(5))
    weights = [numpy_helper.from_array(np.float32([[1.0], [2.0]]), w)]
    nodes = [
        helper.make_node("MatMul", [x, w], [s], name=node),
        helper.make_node("Relu", [s], [y], name=next(names)),
    ]
    declared = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", k]) for n, k in ((x, 2), (y, 1))]
    for name in HOSTILE:
        graph = helper.make_graph(nodes, name, declared[:1], declared[1:], weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        source = generate(model)
        assert re.fullmatch(r"[A-Za-z0-9_]+", source.name)
        assert source.header.isascii()
        code = re.sub(r'"[^"\n]*"', '""', source.header)  # without the text of the manifest
        assert "int injected" not in code
        assert "system(" not in code
    folder = tmp_path / "hostile"
    source.save(folder)
    main = f'#include "{source.name}.hxx"\n#include <cstdio>\nint main() {{ {source.namespace}::Session s;\n'
    main += "const float x[] = {3, 4}; std::puts(s.manifest()); return s.infer(x)[0] == 11 ? 0 : 1; }\n"
    program = build(folder, main, "-O1")
    manifest = json.loads(subprocess.run([str(program)], capture_output=True, check=True).stdout)
    assert manifest["inputs"][0]["name"] == x
    assert not list(tmp_path.rglob("injected"))


def test_identifiers_and_literals() -> None:
    assert identifier("int main(){}") == "int_main"
    assert identifier("ÄÖÜ") == "model"
    assert len(identifier("a" * 1000)) == 64
    literal = string_literal('quote " backslash \\ newline \n trigraph ??/ é 1')
    assert set(literal) <= {chr(c) for c in range(32, 127)} | {"\n"}
    assert "??" not in literal
    assert "\\042" in literal
    assert "\\134" in literal
    # A digit after an octal escape is no part of it: escapes always have three digits.
    assert string_literal("\n1") == '"\\0121"'


def test_weights_of_large_networks_go_to_a_checked_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator, "MOST_WEIGHTS_IN_HEADER", 1000)
    model = mlp([7, 80, 80, 3], name="large")
    source = generate(model)
    assert source.side_file
    assert len(source.header) < 120_000
    header = source.save(tmp_path)
    with pytest.raises(OutputExistsError):
        source.save(tmp_path)
    main = """
#include "large.hxx"
#include <cstdio>
int main(int, char **argv)
{
   try {
      const TMVA_SOFIE_large::Session session{std::string(argv[1])};
      const TMVA_SOFIE_large::Session copy = session;
      const float x[7] = {1, 2, 3, 4, 5, 6, 7};
      for (float y : copy.infer(x))
         std::printf("%.9g ", y);
   } catch (const std::runtime_error &error) {
      std::printf("refused %s", error.what());
   }
}
"""
    program = build(tmp_path, main, "-O1", "-march=native")
    right = scores(model, np.arange(1, 8, dtype=np.float32)[None])[0]
    weights = header.with_suffix(".weights")
    np.testing.assert_allclose(np.array(output(program, str(weights)), np.float32), right, rtol=5e-6)
    data = bytearray(weights.read_bytes())
    data[1234] ^= 1
    for name, content in {"flipped": data, "short": data[:-4], "long": data + b"\0\0\0\0"}.items():
        (tmp_path / name).write_bytes(content)
        assert output(program, str(tmp_path / name))[0] == "refused"
    assert "no file of weights" in " ".join(output(program, "absent"))
    # A compiled library holds the weights itself.
    monkeypatch.setenv("HEPML_ROOT_CACHE", str(tmp_path / "cache"))
    onnx.save(model, tmp_path / "large.onnx")
    found = Session(tmp_path / "large.onnx", "cpp").infer(np.arange(1, 8, dtype=np.float32)[None])
    np.testing.assert_allclose(found[0], right, rtol=5e-6)


def test_a_large_network_is_generated_quickly_and_the_header_is_reproducible() -> None:
    model = mlp([28, 300, 300, 300, 1])
    assert generate(model, "a").header == generate(model, "a").header
    assert generate(model, "a").hash != generate(mlp([28, 300, 300, 300, 1], seed=2), "a").hash


def test_graphs_that_cannot_be_generated_are_refused() -> None:
    def model(
        nodes: list[onnx.NodeProto], shape: list[object], opset: int = 18, kind: int = TensorProto.FLOAT
    ):
        x = helper.make_tensor_value_info("x", kind, shape)
        y = helper.make_empty_tensor_value_info("y")
        graph = helper.make_graph(nodes, "g", [x], [y])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)

    relu = [helper.make_node("Relu", ["x"], ["y"], name="r")]
    cases = {
        "batch of 4": model(relu, [4, 3]),
        "axis 1 has no fixed length": model(relu, ["N", "M"]),
        "no batch axis": model(relu, []),
        "opset 11": model(relu, ["N", 3], opset=11),
        "DOUBLE": model(relu, ["N", 3], kind=TensorProto.DOUBLE),
        "has the batch at axis 1": model(
            [helper.make_node("Transpose", ["x"], ["y"], perm=[1, 0])], ["N", 3]
        ),
        "mixes events": model([helper.make_node("ReduceSum", ["x"], ["y"])], ["N", 3]),
        "along the batch axis": model([helper.make_node("Concat", ["x", "x"], ["y"], axis=0)], ["N", 3]),
        "domain 'com.example'": model(
            [helper.make_node("Relu", ["x"], ["y"], domain="com.example")], ["N", 3]
        ),
        "casts to float64": model([helper.make_node("Cast", ["x"], ["y"], to=TensorProto.DOUBLE)], ["N", 3]),
    }
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [1, 10**12])
    cases["numbers per event"] = model([helper.make_node("Expand", ["x", "shape"], ["y"])], ["N", 1])
    cases["numbers per event"].graph.initializer.append(shape)
    cases["malformed"] = model([helper.make_node("Concat", ["x", "x"], ["y"], name="c")], ["N", 3])
    cases["does not depend"] = model([helper.make_node("Relu", ["x"], ["z"])], ["N", 3])
    for words, proto in cases.items():
        with pytest.raises(UnsupportedOperationError, match=words):
            generate(proto)


def test_a_damaged_manifest_is_refused() -> None:
    model = mlp([3, 2, 1])
    entry = model.metadata_props.add()
    entry.key, entry.value = "hepml_root", "{no json"
    with pytest.raises(ModelFileError, match="manifest"):
        generate(model)


def test_a_library_calls_its_own_functions(tmp_path: Path) -> None:
    """Also where another library with functions of the same names is visible to all: ROOT makes them so."""
    scores = []
    for number, operator in enumerate(("Neg", "Exp")):
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3]) for name in "xy"]
        graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "one", values[:1], values[1:])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        folder = tmp_path / str(number)
        folder.mkdir()
        function = compiled({"same": model}, folder)["same"]
        ctypes.CDLL(str(folder / "library.so"), ctypes.RTLD_GLOBAL)
        scores.append(function({"x": np.ones((5, 3), np.float32)})["y"])
    assert (scores[0] == -1).all()
    np.testing.assert_allclose(scores[1], np.e, rtol=1e-6)
