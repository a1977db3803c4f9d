"""The job file's settings, declared once for validation, for ``hepml-root train --schema`` and for the docs.

Every setting is a dataclass field made by :func:`setting`: its type is the annotation, and it carries its
default, its meaning, and where useful its unit, its bounds or the values it may take. Nothing here reads a
file; :mod:`hepml_root.cli.job_file` does.

>>> Training().epochs
100
>>> [field.name for field in dataclasses.fields(Split)]
['test', 'seed', 'by', 'mode']
"""

# ruff: noqa: RUF009 (setting() makes a dataclass field, as dataclasses.field does)
from __future__ import annotations

import dataclasses
from dataclasses import MISSING, dataclass
from typing import Any


def setting(
    default: Any = MISSING,
    help: str = "",
    *,
    example: Any = None,
    unit: str = "",
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """Declare one setting of the job file; without a default it is required."""
    described = {"help": help, "example": example, "unit": unit}
    described |= {"choices": choices, "minimum": minimum, "maximum": maximum}
    if isinstance(default, (list, dict)) or (isinstance(default, type) and dataclasses.is_dataclass(default)):
        factory = default if isinstance(default, type) else default.copy
        return dataclasses.field(default_factory=factory, metadata=described)
    if default is MISSING:
        return dataclasses.field(metadata=described)
    return dataclasses.field(default=default, metadata=described)


@dataclass(frozen=True, kw_only=True)
class Events:
    """Where the events of one class are. A plain `FILE.root:TREE` or a list of them may stand instead."""

    files: str | list[str] = setting(
        help="`FILE.root:TREE`, or a list; globs, `root://` addresses and `$VARIABLES` are taken; relative "
        "to the job file; `shipped:NAME` is a data file inside the ROOT installation",
        example="shipped:Higgs_data.root:sig_tree",
    )
    tree: str | None = setting(None, "the tree or RNTuple, where `files` does not name it", example="events")
    friends: list[str] = setting([], "friend trees, `FILE.root:TREE` each", example=["extra.root:friend"])
    cut: str | None = setting(
        None, "events to take of this class (a ROOT expression)", example="lepton_pT > 0.5"
    )
    weight: str | None = setting(None, "event weight of this class (a ROOT expression)", example="weight")
    cross_section: float | None = setting(
        None,
        "cross section, for weights of the size σ·L; needs `luminosity`",
        unit="pb",
        minimum=0.0,
        example=0.5,
    )
    generated: float | None = setting(
        None, "sum of weights that was generated (before any cut), for σ·L; else that of the tree",
        minimum=0.0, example=1.0e6,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which events train and which test."""

    test: float = setting(0.3, "fraction of the events kept for the test", minimum=0.0, maximum=1.0)
    seed: int = setting(1, "seed of the random split")
    by: str | None = setting(
        None, "`event_number`: split by a hash of that column, the same on every machine",
        choices=("event_number",), example="event_number",
    )  # fmt: skip
    mode: str = setting("random", "TMVA's three ways", choices=("random", "alternate", "block"))


@dataclass(frozen=True, kw_only=True)
class Data:
    """Which events and which columns of them."""

    classes: dict[str, str | list[str] | Events] = setting(
        {}, "classification: the events of each class, by the class's name",
        example={
            "signal": "shipped:Higgs_data.root:sig_tree", "background": "shipped:Higgs_data.root:bkg_tree",
        },
    )  # fmt: skip
    source: str | list[str] | Events | None = setting(
        None, "regression: the events", example="shipped:tmva_reg_example.root:TreeR"
    )
    inputs: list[str] = setting(
        [], "what the network sees: branch names or `label := ROOT expression`",
        example=["lepton_pT", "m_bb", "m_wwbb", "dphi := abs(lepton_phi - jet1_phi)"],
    )  # fmt: skip
    representations: dict[str, dict[str, Any]] = setting(
        {},
        "tensors of jagged columns that the network sees, by name; `kind` is a function of "
        "`hepml_root.representations` and the others are its settings",
        example={
            "particles": {
                "kind": "constituents", "pt": "constituent_pt", "eta": "constituent_eta",
                "phi": "constituent_phi", "max_length": 64,
            }
        },
    )  # fmt: skip
    targets: list[str] = setting([], "regression: what the network learns", example=["fvalue"])
    parameters: list[str] = setting(
        [], "physics parameters that the network takes as a further input", example=["mass"]
    )
    weight: str | None = setting(None, "event weight of all classes (a ROOT expression)", example="weight")
    training_weight: str | None = setting(
        None,
        "weight to train with, where it is not the event weight (a ROOT expression)",
        example="abs(weight)",
    )
    balance: bool = setting(True, "scale the training weights so that every class has the same sum")
    cut: str | None = setting(
        None, "events to take of all classes (a ROOT expression)", example="lepton_pT > 0.5"
    )
    spectators: list[str] = setting(
        [], "columns kept with the events but not learnt from", example=["m_wwbb"]
    )
    event_number: str | None = setting(None, "integer column that identifies an event", example="event")
    units: dict[str, str] = setting({}, "units by label, for plots and the manifest", example={"m_bb": "GeV"})
    max_length: dict[str, int] = setting(
        {}, "jagged columns: constituents kept per event", example={"jet_pt": 10}
    )
    luminosity: float | None = setting(
        None, "integrated luminosity, for weights of the size σ·L", unit="1/fb", minimum=0.0, example=139.0
    )
    signal: str | None = setting(
        None,
        "the class that is the signal; else the one called sig…, else the first not background… or bkg…",
        example="signal",
    )
    missing: str = setting(
        "error",
        "NaN in an input: refuse, or keep for a transform that fills it in",
        choices=("error", "keep"),
    )
    max_events: int | None = setting(None, "events read per class, for a quick look", minimum=1, example=5000)
    threads: int | None = setting(None, "threads that read the files; else one", minimum=1, example=1)
    split: Split = setting(Split, "training and test events")


@dataclass(frozen=True, kw_only=True)
class Dense:
    """A multilayer perceptron (`kind: dense`)."""

    kind: str = setting("dense", "which model", choices=("dense", "boosted"))
    hidden: list[int] = setting([64, 64], "neurons of each hidden layer", minimum=1)
    activation: str = setting(
        "relu", "of the hidden layers: any name of Keras (relu, elu, gelu, selu, tanh, …)"
    )
    transforms: str | dict[str, str] | None = setting(
        "auto", "variable transforms in front: auto (standardise), or a chain of standardise, minmax (N), "
        "decorrelate (D), pca (P), uniform (U), gauss (G), log, clip, impute, as `log,standardise`; or one "
        "for each label, `*` for the others",
    )  # fmt: skip
    dropout: float = setting(0.0, "fraction of neurons dropped in training", minimum=0.0, maximum=1.0)
    l1: str | float = setting(
        "auto", "L1 penalty on the weights; auto: 8 / events", choices=("auto",), minimum=0.0
    )
    l2: float = setting(0.0, "L2 penalty on the weights", minimum=0.0)
    batch_norm: bool = setting(False, "batch normalisation after each hidden layer")
    residual: bool = setting(False, "add each hidden layer's input to its output")
    initializer: str | None = setting(
        None, "of the weights: any name of Keras; else one that suits the activation", example="he_normal"
    )


@dataclass(frozen=True, kw_only=True)
class Boosted:
    """Boosted decision trees from LightGBM (`kind: boosted`)."""

    kind: str = setting("boosted", "which model", choices=("dense", "boosted"))
    trees: int = setting(400, "number of trees at most", minimum=1)
    leaves: int = setting(15, "leaves per tree", minimum=2)
    learning_rate: float = setting(0.05, "shrinkage of each tree", minimum=0.0)
    patience: int = setting(30, "trees without a better validation loss before the training ends", minimum=1)
    seed: int = setting(1, "random seed")


@dataclass(frozen=True, kw_only=True)
class Network:
    """Any network of the model zoo, which `hepml-root models` lists (`dense` too, with these keys)."""

    kind: str = setting(help="which model", example="particle_net")
    preset: str = setting("default", "settings that belong together: `hepml-root models` lists them")
    settings: dict[str, Any] = setting(
        {}, "in place of those of the preset: `hepml-root models KIND` says which there are",
        example={"dropout": 0.1},
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A loss with settings. A plain name may stand instead."""

    name: str = setting(
        help="name in `hepml_root.losses`, or any loss of Keras", example="AsimovSignificance"
    )
    signal: float | None = setting(
        None, "expected signal events; else the sum of their weights", minimum=0.0, example=31.2
    )
    background: float | None = setting(
        None, "expected background events; else the sum of their weights", minimum=0.0, example=20762.0
    )
    systematic: float | list[float] | None = setting(
        None, "relative uncertainty of the background, or one for each bin", minimum=0.0, example=0.3
    )
    settings: dict[str, Any] = setting(
        {}, "the loss's other settings, by their names in Python", example={"form": "inverse"}
    )


@dataclass(frozen=True, kw_only=True)
class Pretrain:
    """Epochs with another loss before those of the training. A plain loss may stand instead."""

    loss: str | Loss = setting(help="as in the training, a name or a section", example="significance")
    epochs: int = setting(5, "how many", minimum=1)
    learning_rate: float | None = setting(None, "else that of the training", minimum=0.0, example=1e-3)
    batch_size: str | int | None = setting(
        None, "events per batch, or auto; else that of the training", choices=("auto",), minimum=1,
        example="auto",
    )  # fmt: skip
    accumulate: int | None = setting(
        None, "batches per step; else those of the training", minimum=1, example=1
    )
    optimizer_state: str = setting(
        "reset", "what becomes of the optimizer's memory after it", choices=("reset", "keep")
    )
    warmup: float = setting(1.0, "epochs over which the learning rate rises from 0 after it", minimum=0.0)
    sharpen: bool = setting(False, "begin with the output made steep around the best cut")


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """The significance of the best cut on the validation events. A plain name may stand instead."""

    name: str = setting(
        "val_significance", "the metric that has settings", choices=("val_significance",),
    )  # fmt: skip
    systematic: float | None = setting(
        None, "relative uncertainty of the background; else that of the loss", minimum=0.0, example=0.3
    )
    minimum_background: float = setting(
        25.0, "effective background events that a cut has to leave to count", minimum=0.0
    )
    minimum_signal: float = setting(
        25.0, "effective signal events that a cut has to leave to count", minimum=0.0
    )


@dataclass(frozen=True, kw_only=True)
class Training:
    """How the network learns."""

    loss: str | Loss | None = setting(
        None,
        "else cross entropy (classification) or mean squared error (regression)",
        example="binary_crossentropy",
    )
    optimizer: str = setting("adam", "any name of Keras")
    learning_rate: float = setting(1e-3, "at the start", minimum=0.0)
    schedule: str | None = setting(None, "of the learning rate", choices=("cosine", "exponential", "plateau"),
                                   example="cosine")  # fmt: skip
    epochs: int = setting(100, "at most", minimum=1)
    batch_size: str | int = setting(
        "auto", "events per batch, or auto: chosen by the size of data and model, and for a significance by "
        "what its estimate needs",
        choices=("auto",), minimum=1,
    )  # fmt: skip
    accumulate: int = setting(1, "batches per step; the loss is that of all their events together", minimum=1)
    pretrain: str | Pretrain | None = setting(
        None, "loss of a few epochs before those of `loss`", example="significance"
    )
    monitor: str | Monitor = setting(
        "val_loss", "what the best epoch is chosen by",
        choices=("val_loss", "val_auc", "val_accuracy", "val_significance"),
    )  # fmt: skip
    patience: int = setting(10, "epochs without a better value of `monitor` before training ends", minimum=1)
    validation: float = setting(
        0.2, "fraction of the training events that drives early stopping", minimum=0.0, maximum=1.0
    )
    seed: int = setting(1, "of the initial weights and of the order of events")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What the report says."""

    bootstrap: int = setting(200, "resamplings for the uncertainties", minimum=2)
    systematic: float = setting(
        0.1, "relative background uncertainty of the Asimov significance", minimum=0.0
    )
    seed: int = setting(1, "of the resampling")
    baseline: bool = setting(True, "also train boosted trees (LightGBM) on the same split, to compare")
    formats: list[str] = setting(
        ["pdf", "png"], "of the pictures that are written beside the page, which has them all; none: []",
        choices=("pdf", "png", "svg"),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Export:
    """What leaves the training."""

    working_points: list[float] = setting(
        [0.3, 0.5, 0.7, 0.8, 0.9, 0.95],
        "signal efficiencies that the report quotes and whose thresholds the model file holds",
        minimum=0.0, maximum=1.0,
    )  # fmt: skip
    compile: bool = setting(True, "also write the C++ header and compile it once")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training, from the ROOT files to the exported model."""

    name: str = setting(help="name of the model, in C++ too", example="higgs")
    output: str = setting(
        "runs/{name}", "folder of the results, relative to the job file; `{name}` is replaced"
    )
    data: Data = setting(help="the events")
    model: Dense | Boosted | Network = setting(Dense, "the model")
    training: Training = setting(Training, "how it learns")
    evaluation: Evaluation = setting(Evaluation, "the report")
    export: Export = setting(Export, "the model file")
