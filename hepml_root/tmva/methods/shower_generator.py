"""Generators of showers, booked as HepML: variables are the cells, spectators what a shower depends on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.geometry import Geometry, geometry
from hepml_root.data.shower_conditions import CONDITIONS
from hepml_root.data.showers import Showers
from hepml_root.errors import SettingError, ShapeError, unknown
from hepml_root.export import cpp, export
from hepml_root.models.generators import generator_entry
from hepml_root.output import writing
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet, Sample
from hepml_root.tmva.methods.method import Booking
from hepml_root.tmva.options.declaration import Options
from hepml_root.training.fit import fit

# Options of networks that are trained on a response.
_NOT_OF_GENERATORS = ("Preset", "Signal", "Background", "Systematic", "Pretrain", "Transforms", "InputLayout")


def check_generator(options: Options, given: Geometry | None, model: str, what: str) -> Geometry:
    """Check what can be checked when a generator is booked; return its calorimeter.

    Arguments
    ---------
    given
        A :class:`Geometry` given as a keyword, in place of a name.

    Raises
    ------
    SettingError
        Geometry is missing or unknown, or an option belongs to networks.
    """
    for name in (*_NOT_OF_GENERATORS, "Columns", "Padding"):
        if name in options.given:
            raise SettingError(f"{what}: {name} belongs to networks; {model} makes showers.")
    if options["VarTransform"] not in ("None", "I"):
        raise SettingError(
            f"{what}: VarTransform={options['VarTransform']}: {model} takes energies of cells as they are."
        )
    if options["CreateMVAPdfs"]:
        raise SettingError(f"{what}: CreateMVAPdfs: {model} makes showers and gives no response.")
    if not options["Geometry"] and given is None:
        raise SettingError(
            f"{what}: {model} makes showers of a calorimeter: name it with Geometry=, as Geometry=lar-3."
        )
    conditions_of(str(options["Conditions"]), what)
    return geometry(given or str(options["Geometry"]))


def conditions_of(text: str, what: str) -> dict[str, str]:
    """Return conditions as ``{label: name of a spectator}``; ``energy`` where nothing is said.

    Raises
    ------
    SettingError
        A label is no condition of showers, or the energy is missing.

    Example
    -------
    >>> conditions_of("energy=E_true,eta", "HepML")
    {'energy': 'E_true', 'eta': 'eta'}
    """
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in (text or "energy").split(","))):
        label, _, name = (piece.strip() for piece in part.partition("="))
        if label not in CONDITIONS:
            raise SettingError(
                f"{what}: Conditions={text}: {unknown('condition', label, CONDITIONS)} A spectator of "
                "another name is given as energy=NAME."
            )
        found[label] = name or label
    if "energy" not in found:
        raise SettingError(f"{what}: Conditions={text}: the energy of the particle is missing: energy=NAME.")
    return found


def showers_of(sample: Sample, data: DataSet, options: Options, calorimeter: Geometry, what: str) -> Showers:
    """Return the training events of one class as showers.

    Raises
    ------
    SettingError
        There is no such class or spectator, or the events have different weights.
    ShapeError
        The variables are not the cells of the geometry.
    """
    if data.analysis != "Regression":
        name = str(options["Class"]) or data.classes[data.signal]
        if name not in data.classes:
            raise SettingError(f"{what}: {unknown('class', name, data.classes)}")
        sample = sample.take(sample.classes == data.classes.index(name))
    if not np.allclose(sample.weights, sample.weights[0]):
        raise SettingError(f"{what}: showers have no weights; those of the events differ.")
    if sample.variables.shape[1] != calorimeter.cells:
        raise ShapeError(
            f"{what}: {sample.variables.shape[1]} variables; {calorimeter} has "
            f"{calorimeter.cells} cells, layer by layer and row by row."
        )
    columns: dict[str, NDArray[np.float32]] = {}
    for variables, table in ((data.targets, sample.targets), (data.spectators, sample.spectators)):
        for place, variable in enumerate(variables):
            columns |= {variable.label: table[:, place], variable.expression: table[:, place]}
    wanted = conditions_of(str(options["Conditions"]), what)
    for name in wanted.values():
        if name not in columns:
            raise SettingError(f"{what}: Conditions: {unknown('spectator', name, columns)}")
    conditions = np.stack([columns[name] for name in wanted.values()], axis=1)
    return Showers(sample.variables, conditions, calorimeter, tuple(wanted))


def train_generator(
    model: str,
    settings: Mapping[str, Any],
    calorimeter: Geometry,
    validation: float,
    data: DataSet,
    booking: Booking,
    console: Console,
) -> list[Path]:
    """Train a generator; return its files: ``.keras``, ``.onnx``, and the C++ header.

    Arguments
    ---------
    model, settings
        Its name, and what was booked of its settings.
    calorimeter
        As :func:`check_generator` gives it.
    validation
        Part of the showers that is set aside.
    """
    options = booking.options
    what = f"{booking.type_name} '{booking.title}'"
    showers = showers_of(data.training, data, options, calorimeter, what)
    seed = int(options["RandomSeed"]) or int(np.random.default_rng().integers(1, 1 << 31))
    generator = generator_entry(model).function(showers, seed=seed, name=model, **settings)
    console.line(f"{model}, {len(showers)} showers of {showers.geometry}")
    asked: dict[str, Any] = {
        "loss": str(options["Loss"]) or None,
        "schedule": str(options["Schedule"]) or None,
    }
    if "Patience" in options.given:
        asked["patience"] = None if options["Patience"] < 0 else int(options["Patience"])
    history = fit(
        generator,
        showers,
        validation=validation,
        optimizer=str(options["Optimizer"]),
        learning_rate=float(options["LearningRate"]),
        epochs=int(options["Epochs"]),
        batch_size=int(options["BatchSize"]) or "auto",
        seed=seed,
        verbose=False,
        **asked,
    )
    console.line(f"{history.epochs} epochs, loss {history.metrics['loss'][-1]:.5g}" if history.epochs else "")
    stem = f"{booking.job}_{booking.title}"
    kept, written = booking.folder / f"{stem}.keras", booking.folder / f"{stem}.onnx"
    with writing(kept, overwrite=True) as temporary:
        generator.save(temporary)
    export(generator, written, overwrite=True, certify=False)
    header = cpp.generate(written, cpp.identifier(stem)).save(booking.folder, overwrite=True)
    return [kept, written, header]
