"""Ensembles of decision trees in C++ against ONNX Runtime, and boosted trees as model files."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import hepml_root as hr
from hepml_root.errors import ModelFileError, UnsupportedOperationError
from hepml_root.export.cpp import generate
from hepml_root.export.trees import emit_boosted, float32_thresholds
from hepml_root.inference.session import Session

compile_module = importlib.import_module("hepml_root.inference.compile")

BATCHES = (1, 5, 16, 48 + 16 + 3, 1000)
FEATURES = 20
COMPARISONS = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT")
EQUALITIES = ("BRANCH_EQ", "BRANCH_NEQ")
TRANSFORMS = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO")


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEPML_ROOT_CACHE", str(tmp_path_factory.getbasetemp() / "hepml_root_cache"))
    # What is computed is the same at all levels, and many ensembles are compiled here.
    monkeypatch.setattr(compile_module, "FLAGS", ["-O1" if f == "-O3" else f for f in compile_module.FLAGS])


@dataclass
class Trees:
    """Random trees, node by node, as ai.onnx.ml 1 and 3 write them."""

    rng: np.random.Generator
    features: int = FEATURES
    modes: tuple[str, ...] = COMPARISONS
    nodes: dict[str, list[Any]] = field(default_factory=dict)
    leaves: list[tuple[int, int]] = field(default_factory=list)
    count: int = 0

    def grow(self, leaves: int) -> Trees:
        """Add a tree: a random leaf is split until there are enough."""
        tree: list[dict[str, Any]] = [{"modes": "LEAF"}]
        for _ in range(leaves - 1):
            ends = [i for i, node in enumerate(tree) if node["modes"] == "LEAF"]
            at = int(self.rng.choice(ends))
            tree[at] = {
                "modes": str(self.rng.choice(self.modes)),
                "featureids": int(self.rng.integers(self.features)),
                # Some thresholds meet values of the events exactly.
                "values": float(np.float32(self.rng.choice([self.rng.normal(), self.rng.integers(-2, 3)]))),
                "truenodeids": len(tree),
                "falsenodeids": len(tree) + 1,
                "missing_value_tracks_true": int(self.rng.integers(2)),
            }
            tree += [{"modes": "LEAF"}, {"modes": "LEAF"}]
        for i, node in enumerate(tree):
            whole = {"treeids": self.count, "nodeids": i, "featureids": 0, "values": 0.0, "truenodeids": 0}
            whole |= {"falsenodeids": 0, "missing_value_tracks_true": 0, **node}
            for name, value in whole.items():
                self.nodes.setdefault(f"nodes_{name}", []).append(value)
            if node["modes"] == "LEAF":
                self.leaves.append((self.count, i))
        self.count += 1
        return self

    def attributes(
        self, prefix: str, outputs: int, share: float = 1.0, positive: bool = False
    ) -> dict[str, Any]:
        """Return the node attributes, with a value for each leaf and output (or for a share of them)."""
        entries = [(t, n, o) for t, n in self.leaves for o in range(outputs) if self.rng.random() < share]
        weights = np.float32(self.rng.normal(size=len(entries)) / self.count)
        tree, node, output = (list(column) for column in zip(*entries, strict=True))
        return {
            **self.nodes,
            f"{prefix}_treeids": tree,
            f"{prefix}_nodeids": node,
            f"{prefix}_ids": output,
            f"{prefix}_weights": (np.abs(weights) if positive else weights).tolist(),
        }


@dataclass
class Family:
    """Many ensembles as one model with one output each, so that they are compiled together."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def add(
        self, case: str, operator: str, given: str = "x", label: bool | None = None, **attributes: Any
    ) -> None:
        names = [case] if label is None else [f"{case} label", case]
        self.outputs += names if label or label is None else [case]
        node = helper.make_node(operator, given.split(), names, name=case, domain="ai.onnx.ml", **attributes)
        self.nodes.append(node)

    def model(self, inputs: Mapping[str, int], ml: int = 3) -> onnx.ModelProto:
        declared = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", k]) for n, k in inputs.items()]
        outputs = []
        for i, name in enumerate(self.outputs):
            label = name.endswith("label")
            kind, shape = (TensorProto.INT64, ["N"]) if label else (TensorProto.FLOAT, ["N", f"K{i}"])
            outputs.append(helper.make_tensor_value_info(name, kind, shape))
        graph = helper.make_graph(self.nodes, "trees", declared, outputs, self.weights)
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", ml)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def events(features: int, count: int = 1000, missing: float = 0.03, seed: int = 7) -> np.ndarray:
    """Normal numbers, small integers (that meet thresholds), infinities, zeros of both signs, and NaN."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, features)).astype(np.float32)
    chosen = rng.random(x.shape)
    x = np.where(chosen < 0.3, np.round(x), x)
    x = np.where(
        chosen < 0.02, rng.choice(np.float32([np.inf, -np.inf, -0.0, 1e-42, -1e-42, 3e38]), x.shape), x
    )
    nan = rng.random(x.shape) < missing
    nan[: count // 2] = False
    return np.where(nan, np.float32(np.nan), x).astype(np.float32)


def assert_agrees(
    model: onnx.ModelProto, path: Path, feed: Mapping[str, np.ndarray], tolerance: float = 2e-6
) -> None:
    """Hold our C++ to ONNX Runtime with all batch sizes, and name every wrong case."""
    onnx.save(model, path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    runtime = onnxruntime.InferenceSession(model.SerializeToString(), options)
    names = [value.name for value in runtime.get_outputs()]
    wanted = dict(zip(names, runtime.run(None, dict(feed)), strict=True))
    session, wrong = Session(path, engine="cpp"), []
    for batch in BATCHES:
        # The last events have missing values.
        found = session.infer({name: array[-batch:] for name, array in feed.items()})
        found = found if isinstance(found, dict) else {names[0]: found}
        for name, right in wanted.items():
            right = right.reshape(len(right), -1)[-batch:]
            scale = max(1.0, float(np.abs(right[np.isfinite(right)]).max(initial=0)))
            try:
                np.testing.assert_allclose(
                    found[name].reshape(right.shape), right, rtol=tolerance, atol=tolerance * scale
                )
            except AssertionError as error:
                wrong.append(f"{name}, batch of {batch}: {error}")
    assert not wrong, (
        "\n".join(wrong[:4]) + f"\nwrong: {sorted({line.split(', batch')[0] for line in wrong})}"
    )


def trees(
    sizes: list[int], seed: int, features: int = FEATURES, modes: tuple[str, ...] = COMPARISONS
) -> Trees:
    grown = Trees(np.random.default_rng(seed), features, modes)
    for size in sizes:
        grown.grow(size)
    return grown


SMALL = [31, 2, 1, 32, 7, 31, 17, 30] * 5 + [3]


def test_regressors(tmp_path: Path) -> None:
    family = Family()
    many = [*SMALL, 33, 64, 65, 100, 128, 129, 400, 33, 50, 400] + [45] * 17
    for outputs in (1, 3):
        some = trees(many, outputs).attributes("target", outputs)
        family.add(f"sum of {outputs}", "TreeEnsembleRegressor", **some, n_targets=outputs)
        for name in ("AVERAGE", "MIN", "MAX"):
            few = trees([20, 5, 40, 200, 1], outputs + 5).attributes(
                "target", outputs, 0.6 if outputs > 1 else 1
            )
            base = np.linspace(-1, 1, outputs).tolist()
            family.add(
                f"{name} of {outputs}",
                "TreeEnsembleRegressor",
                **few,
                n_targets=outputs,
                aggregate_function=name,
                base_values=base,
            )
    for transform in TRANSFORMS:
        few = trees([9, 31, 3], 11)
        attributes = few.attributes("target", 3, positive=True)
        family.add(
            f"{transform} of 3", "TreeEnsembleRegressor", **attributes, n_targets=3, post_transform=transform
        )
        attributes = few.attributes("target", 1, positive=True)
        family.add(
            f"{transform} of 1", "TreeEnsembleRegressor", **attributes, n_targets=1, post_transform=transform
        )
    # Away from 1/2, where numbers cancel in ONNX Runtime's float32.
    probit = trees([9], 12).attributes("target", 2)
    count = len(probit["target_weights"])
    probit |= {"target_weights": np.linspace(0.75, 0.95, count).tolist(), "post_transform": "PROBIT"}
    family.add("PROBIT", "TreeEnsembleRegressor", **probit, n_targets=2)
    model = family.model({"x": FEATURES})
    assert_agrees(model, tmp_path / "regressors.onnx", {"x": events(FEATURES)})


def test_equality_and_many_features(tmp_path: Path) -> None:
    """Equal and not equal; one, two and more registers of features for a single event; none that is used."""
    family = Family()
    for name, sizes in {"small": [4, 12, 31, 8], "large": [300, 12]}.items():
        some = trees(sizes, 3, modes=(*EQUALITIES, *COMPARISONS)).attributes("target", 1)
        family.add(f"equal {name}", "TreeEnsembleRegressor", **some, n_targets=1)
    for features in (1, 40, 90):
        some = trees([31] * 20 + [200] * 2, features, features=features).attributes("target", 1)
        family.add(f"{features} features", "TreeEnsembleRegressor", given=f"x{features}", **some, n_targets=1)
    some = trees([1, 1, 1], 1).attributes("target", 2)
    family.add("leaves only", "TreeEnsembleRegressor", **some, n_targets=2)
    feed = {"x": events(FEATURES), **{f"x{n}": events(n, seed=n) for n in (1, 40, 90)}}
    model = family.model({name: array.shape[1] for name, array in feed.items()})
    assert_agrees(model, tmp_path / "equal.onnx", feed)


def test_classifiers(tmp_path: Path) -> None:
    """Two classes with values for one or both, positive or of both signs, and five classes; with labels."""
    family = Family()
    labels = {"classlabels_int64s": [3, 8]}
    for positive in (False, True):
        sign = "positive" if positive else "mixed"
        for transform in TRANSFORMS:
            both = trees([7, 31, 40], 2).attributes("class", 2, positive=positive)
            settings = {"post_transform": transform, **labels}
            family.add(f"both {sign} {transform}", "TreeEnsembleClassifier", label=True, **both, **settings)
            one = trees([7, 31, 3], 3).attributes("class", 1, positive=positive)
            second = {**one, "class_ids": [1] * len(one["class_ids"])}
            for base in ([], [0.2], [0.2, 0.4])[: 3 if transform in ("NONE", "LOGISTIC") else 1]:
                more = {"base_values": base} if base else {}
                case = f"first {sign} {transform} {len(base)}"
                family.add(case, "TreeEnsembleClassifier", label=True, **one, **settings, **more)
            more = {"base_values": [0.2]}
            family.add(
                f"second {sign} {transform}", "TreeEnsembleClassifier", label=True, **second, **settings
            )
            case = f"second {sign} {transform} base"
            family.add(case, "TreeEnsembleClassifier", label=True, **second, **settings, **more)
            five = trees([7, 31, 3, 12], 4).attributes("class", 5, positive=positive)
            settings = {"post_transform": transform, "classlabels_int64s": [5, 1, -2, 9, 4]}
            case = f"five {sign} {transform}"
            more = {"base_values": [0.1, 0.2, 0.0, -0.1, 0.3]} if positive else {}
            family.add(case, "TreeEnsembleClassifier", label=True, **five, **settings, **more)
    names = {"classlabels_strings": ["signal", "background"]}
    some = trees([7, 31, 3], 5).attributes("class", 2)
    family.add("named", "TreeEnsembleClassifier", label=False, **some, **names)
    model = family.model({"x": FEATURES})
    assert_agrees(model, tmp_path / "classifiers.onnx", {"x": events(FEATURES)}, 4e-6)
    family.outputs = ["named label"]
    with pytest.raises(UnsupportedOperationError, match="label"):
        generate(family.model({"x": FEATURES}))


def by_leaf(grown: Trees, outputs: int, members: bool, **settings: Any) -> dict[str, Any]:
    """Return the same trees as ai.onnx.ml 5 writes them, some of them asking for membership."""
    rng, nodes = grown.rng, grown.nodes
    place = {key: i for i, key in enumerate(zip(nodes["nodes_treeids"], nodes["nodes_nodeids"], strict=True))}
    inner = [i for i, mode in enumerate(nodes["nodes_modes"]) if mode != "LEAF"]
    ends = [i for i, mode in enumerate(nodes["nodes_modes"]) if mode == "LEAF"]
    node_of, leaf_of = ({n: i for i, n in enumerate(part)} for part in (inner, ends))
    modes = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", *EQUALITIES)
    code = [modes.index(nodes["nodes_modes"][n]) for n in inner]
    listed: list[float] = []
    if members:
        for i in rng.choice(len(inner), len(inner) // 4, replace=False).tolist():
            code[i] = 6
        for mode in code:
            if mode == 6:
                listed += [*rng.choice(np.arange(-3, 4), rng.integers(1, 5), replace=False).tolist(), np.nan]
    children: dict[str, list[int]] = {}
    for which in ("true", "false"):
        named = [place[nodes["nodes_treeids"][n], nodes[f"nodes_{which}nodeids"][n]] for n in inner]
        children[f"nodes_{which}nodeids"] = [node_of.get(n, leaf_of.get(n, 0)) for n in named]
        children[f"nodes_{which}leafs"] = [int(n in leaf_of) for n in named]
    roots = [node_of[place[t, 0]] for t in range(grown.count)]
    weights = (rng.normal(size=len(ends)) / grown.count).astype(np.float32)
    splits = np.float32([nodes["nodes_values"][n] for n in inner])
    if members:
        settings["membership_values"] = numpy_helper.from_array(np.float32(listed))
    return {
        **children,
        **settings,
        "nodes_modes": numpy_helper.from_array(np.uint8(code)),
        "nodes_featureids": [nodes["nodes_featureids"][n] for n in inner],
        "nodes_splits": numpy_helper.from_array(splits),
        "nodes_missing_value_tracks_true": [nodes["nodes_missing_value_tracks_true"][n] for n in inner],
        "tree_roots": roots,
        "leaf_targetids": rng.integers(0, outputs, len(ends)).tolist(),
        "leaf_weights": numpy_helper.from_array(weights),
        "n_targets": outputs,
    }


def test_ensembles_of_version_5(tmp_path: Path) -> None:
    family = Family()
    family.nodes.append(helper.make_node("Round", ["whole"], ["rounded"]))
    for members in (False, True):
        for outputs in (1, 3):
            grown = trees([7, 31, 20, 90, 2], outputs, modes=(*COMPARISONS, *EQUALITIES))
            some = by_leaf(grown, outputs, members, aggregate_function=outputs % 3)
            given = "rounded" if members else "x"
            family.add(f"{outputs}, {members}", "TreeEnsemble", given=given, **some)
    # ONNX Runtime rounds numbers before it looks for them among whole members.
    feed = {"x": events(FEATURES), "whole": np.round(np.clip(events(FEATURES, seed=3), -4, 4))}
    assert_agrees(family.model(dict.fromkeys(feed, FEATURES), 5), tmp_path / "five.onnx", feed)


def test_linear_models_support_vectors_and_transforms(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    family = Family()
    n = FEATURES

    def some(*shape: int) -> list[float]:
        return rng.normal(size=shape).astype(np.float32).ravel().tolist()

    def add(case: str, operator: str, given: str = "x", **attributes: Any) -> None:
        family.add(case, operator, given, **attributes)

    add("scaler", "Scaler", offset=some(n), scale=some(n))
    add("one scale", "Scaler", offset=[0.3], scale=[1.7])
    for norm in ("MAX", "L1", "L2"):
        add(f"normalizer {norm}", "Normalizer", norm=norm)
        add(f"normalizer of zeros {norm}", "Normalizer", "zeros", norm=norm)
    add("binarizer", "Binarizer", threshold=0.4)
    add("imputer", "Imputer", "missing", imputed_value_floats=some(n), replaced_value_float=float("nan"))
    add("imputer of 1", "Imputer", "whole", imputed_value_floats=[7.0], replaced_value_float=1.0)
    add("vectorizer", "FeatureVectorizer", "x whole", inputdimensions=[n, n])
    family.weights.append(numpy_helper.from_array(np.array([3, 0, 3, 19]), "chosen"))
    add("extractor", "ArrayFeatureExtractor", "x chosen")
    family.nodes.append(helper.make_node("Cast", ["whole"], ["integer"], to=TensorProto.INT64))
    add("one-hot", "OneHotEncoder", "integer", cats_int64s=[1, -2, 0], zeros=1)
    keys, values = {"keys_int64s": [1, -2, 0]}, {"values_floats": [0.5, 3.5, -1.0]}
    add("encoder", "LabelEncoder", "integer", **keys, **values, default_float=9.0)
    add("float encoder", "LabelEncoder", "missing", keys_floats=[1.0, float("nan")], values_floats=[2.0, 4.0])
    add("linear regressor", "LinearRegressor", coefficients=some(3, n), intercepts=some(3), targets=3)
    for transform in ("NONE", "LOGISTIC", "SOFTMAX"):
        coefficients = {"coefficients": some(3, n), "intercepts": some(3), "classlabels_ints": [4, 2, 9]}
        case = f"linear classifier {transform}"
        family.add(case, "LinearClassifier", label=True, **coefficients, post_transform=transform)
    for kernel in ("LINEAR", "POLY", "RBF", "SIGMOID"):
        vectors = {"support_vectors": some(11, n), "n_supports": 11, "coefficients": some(11), "rho": [0.2]}
        parameters = {"kernel_type": kernel, "kernel_params": [0.02, 0.5, 3.0]}
        add(f"support vectors {kernel}", "SVMRegressor", **vectors, **parameters)
    parameters = {"kernel_type": "LINEAR", "kernel_params": [0.0, 0.0, 0.0]}
    add("linear support", "SVMRegressor", coefficients=some(n), rho=[0.2], n_supports=0, **parameters)
    x = rng.normal(size=(1000, n)).astype(np.float32)
    feed = {"x": x, "whole": np.round(2 * x), "missing": np.where(x > 1.0, np.float32(np.nan), np.round(x))}
    feed["zeros"] = x * (np.arange(1000) % 3 > 0)[:, None].astype(np.float32)
    assert_agrees(family.model(dict.fromkeys(feed, n)), tmp_path / "linear.onnx", feed, 5e-6)


def test_large_forests_go_to_a_side_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hepml_root.export.cpp import generator

    monkeypatch.setattr(generator, "MOST_WEIGHTS_IN_HEADER", 1000)
    family = Family()
    some = trees([31] * 20 + [300] * 3, 1).attributes("target", 2)
    family.add("forest", "TreeEnsembleRegressor", **some, n_targets=2)
    model = family.model({"x": FEATURES})
    assert generate(model).weights is not None
    assert_agrees(model, tmp_path / "large.onnx", {"x": events(FEATURES)})


def test_thresholds_decide_the_same_in_both_precisions() -> None:
    rng = np.random.default_rng(1)
    t = np.concatenate([rng.normal(size=300), 10.0 ** rng.uniform(-46, 39, 300), [0.0, -0.0, 1e300, -1e300]])
    x = np.float32(t)
    near = np.concatenate([x, np.nextafter(x, np.float32(np.inf)), np.nextafter(x, np.float32(-np.inf))])
    rounded = float32_thresholds(t)
    with np.errstate(over="ignore"):
        right = near.astype(np.float64)[:, None] <= t
    np.testing.assert_array_equal(near[:, None] <= rounded, right)


def boosted_data(task: str) -> hr.Dataset:
    """Features with missing values and jagged constituents."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(1500, 5)).astype(np.float32)
    jets = rng.exponential(size=(1500, 3, 2)).astype(np.float32)
    mask = np.arange(3) < rng.integers(0, 4, (1500, 1))
    signal = x[:, 0] + np.where(mask[:, 0], jets[:, 0, 0], 0) + 0.3 * rng.normal(size=1500)
    x[::4, 1] = np.nan
    x[::7, 0] = np.nan
    blocks = {"features": x, "jets": jets, "jets_mask": mask}
    if task == "regression":
        return hr.Dataset.from_arrays(blocks, target=50 + 10 * signal, targets=["mass"], missing="keep")
    classes = ["a", "b"] if task == "binary" else ["a", "b", "c"]
    labels = np.digitize(signal, [0.5] if task == "binary" else [0.0, 1.0])
    return hr.Dataset.from_arrays(blocks, labels, classes=classes, missing="keep")


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_boosted_trees_become_model_files(task: str, tmp_path: Path) -> None:
    data = boosted_data(task)
    model = hr.models.boosted(data, trees=30, leaves=12)
    path = hr.export(model, tmp_path / "trees.onnx", data=data)
    manifest = hr.export.read_manifest(path)
    assert manifest["task"] == task
    assert manifest["parity"]["onnxruntime"]["events"] == 1500
    wanted = model.predict(data)
    found = Session(path, engine="cpp").infer(data.X)
    scale = max(1.0, float(np.abs(wanted).max()))
    np.testing.assert_allclose(found, wanted, atol=1e-6 * scale, rtol=2e-6)
    if task == "binary":
        saved = model.save(tmp_path / "model.trees")
        again = hr.export(saved, tmp_path / "again.onnx")
        assert hr.export.read_manifest(again)["parity"]["onnxruntime"]["events_from"] == "random numbers"
        again = hr.export(model.booster, tmp_path / "booster.onnx", data=data)
        np.testing.assert_array_equal(Session(again, engine="onnxruntime").infer(data.X).shape, wanted.shape)
        with pytest.raises(ModelFileError, match="data=dataset"):
            hr.export(model.booster, tmp_path / "none.onnx")


def test_splits_that_have_no_counterpart_are_refused() -> None:
    import lightgbm

    x = np.random.default_rng(1).integers(0, 5, size=(500, 2)).astype(float)
    quiet = {"verbosity": -1, "min_data_in_leaf": 5}
    block = {"name": "features", "kind": "flat", "shape": [2]}

    def refused(settings: dict[str, Any], words: str, **of_data: Any) -> None:
        table = lightgbm.Dataset(x, (x[:, 0] == 2) | (x[:, 0] == 4), params=settings | quiet, **of_data)
        booster = lightgbm.train(settings | quiet, table, 3)
        with pytest.raises(UnsupportedOperationError, match=words):
            emit_boosted(booster, [block], "score", "trees")

    refused({"objective": "binary"}, "by category", categorical_feature=[0])
    refused({"objective": "regression", "zero_as_missing": True}, "zeros as missing")
    refused({"objective": "regression", "linear_tree": True}, "linear")
    refused({"objective": "regression", "reg_sqrt": True}, "objective 'regression sqrt'")
