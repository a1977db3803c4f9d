"""Histograms of the score as statistical models for other programs: pyhf's JSON, RooFit's JSON and XML.

One channel, the samples ``signal`` and ``background``, and their parameters: the signal strength (a
normfactor), the background's common scale (normsys, in XML OverallSys: lognormal) and each bin's
statistical uncertainty (shapesys, ShapeSys: a Poisson count). It is the likelihood of
:mod:`hepml_root.evaluation.binned_likelihood` with ``constraint="lognormal"``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import ArrayLike

from hepml_root.errors import SettingError, ShapeError
from hepml_root.evaluation.arrays import Floats, checked_vector
from hepml_root.evaluation.binned_likelihood import BinnedLikelihood
from hepml_root.output import writing

#: Names in the workspace.
STRENGTH, SCALE, BINS, MEASUREMENT = "mu", "background_scale", "background_bins", "signal_strength"


def workspace(
    model: BinnedLikelihood,
    *,
    observed: ArrayLike | None = None,
    channel: str = "score",
    largest_strength: float = 10.0,
) -> dict[str, Any]:
    """Return the model as a HistFactory workspace, the JSON that pyhf, cabinetry and others read.

    Arguments
    ---------
    model
        Signal at μ = 1, background, and its uncertainties. The common scale is written as lognormal.
    observed
        Counts (bins,); the expected background if None.
    channel
        Name of the channel.
    largest_strength
        Upper bound of μ in fits; a limit has to lie below it.

    Raises
    ------
    ShapeError
        ``observed`` has another number of bins.
    SettingError
        A count is negative, or ``largest_strength`` is not positive.

    Example
    -------
    >>> content = workspace(BinnedLikelihood([1.0, 5.0], [50.0, 20.0], correlated=0.1))
    >>> [sample["name"] for sample in content["channels"][0]["samples"]]
    ['signal', 'background']
    """
    counts = _counts(model, observed)
    if not (np.isfinite(largest_strength) and largest_strength > 0):
        raise SettingError(f"largest_strength={largest_strength!r}: the bound of μ is a positive number.")
    modifiers: list[dict[str, Any]] = []
    if model.correlated:
        high = 1.0 + model.correlated
        modifiers.append({"name": SCALE, "type": "normsys", "data": {"hi": high, "lo": 1.0 / high}})
    if model.uncorrelated.any():
        spread = (model.uncorrelated * model.background).tolist()
        modifiers.append({"name": BINS, "type": "shapesys", "data": spread})
    strength = {"name": STRENGTH, "type": "normfactor", "data": None}
    bound = {"name": STRENGTH, "inits": [1.0], "bounds": [[0.0, float(largest_strength)]]}
    content = {
        "channels": [
            {
                "name": channel,
                "samples": [
                    {"name": "signal", "data": model.signal.tolist(), "modifiers": [strength]},
                    {"name": "background", "data": model.background.tolist(), "modifiers": modifiers},
                ],
            }
        ],
        "observations": [{"name": channel, "data": counts.tolist()}],
        "measurements": [{"name": MEASUREMENT, "config": {"poi": STRENGTH, "parameters": [bound]}}],
        "version": "1.0.0",
    }
    check_workspace(content)
    return content


def check_workspace(content: Mapping[str, Any]) -> None:
    """Check a HistFactory workspace as far as can be without pyhf: its keys, lengths, numbers and names.

    Raises
    ------
    SettingError
        Something is missing, of another length, no finite number, or a name that nothing defines.

    Example
    -------
    >>> check_workspace({"version": "1.0.0"})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    hepml_root.errors.SettingError: the workspace has the keys version; channels, ... are needed.
    """
    wanted = ["channels", "measurements", "observations", "version"]
    if sorted(content) != wanted:
        raise SettingError(
            f"the workspace has the keys {', '.join(sorted(content))}; {', '.join(wanted)} are needed."
        )
    lengths: dict[str, int] = {}
    defined = set()
    for channel in content["channels"]:
        for sample in channel["samples"]:
            where = f"sample '{sample['name']}' of channel '{channel['name']}'"
            length = lengths.setdefault(channel["name"], len(sample["data"]))
            _check_numbers(where, sample["data"], length)
            for modifier in sample["modifiers"]:
                defined.add(modifier["name"])
                inner = f"modifier '{modifier['name']}' of {where}"
                if modifier["type"] in ("shapesys", "staterror"):
                    _check_numbers(inner, modifier["data"], length)
                elif modifier["type"] == "normsys":
                    _check_numbers(inner, [modifier["data"]["hi"], modifier["data"]["lo"]], 2)
                elif modifier["type"] == "histosys":
                    for side in ("hi_data", "lo_data"):
                        _check_numbers(inner, modifier["data"][side], length)
    observations = {entry["name"]: entry["data"] for entry in content["observations"]}
    if set(observations) != set(lengths):
        raise SettingError(f"observations of {sorted(observations)}, but channels {sorted(lengths)}.")
    for name, data in observations.items():
        _check_numbers(f"the observation of channel '{name}'", data, lengths[name])
    for measurement in content["measurements"]:
        config = measurement["config"]
        for name in [config["poi"], *(entry["name"] for entry in config["parameters"])]:
            if name not in defined:
                raise SettingError(
                    f"measurement '{measurement['name']}' names '{name}', which no sample has; defined are "
                    f"{', '.join(sorted(defined))}."
                )


def _check_numbers(where: str, values: Any, length: int) -> None:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (length,) or length == 0:
        raise SettingError(f"{where} has the shape {array.shape} instead of ({length},).")
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise SettingError(f"{where} holds numbers that are negative or not finite.")


def write_workspace(
    model: BinnedLikelihood,
    path: str | os.PathLike[str],
    *,
    observed: ArrayLike | None = None,
    overwrite: bool = False,
    **settings: Any,
) -> Path:
    """Write :func:`workspace` to a JSON file and return its path; further settings as there.

    Raises
    ------
    OutputExistsError, OutputWriteError
        The file exists or cannot be written.
    """
    content = workspace(model, observed=observed, **settings)
    with writing(path, overwrite) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return Path(path)


# -- ROOT ---------------------------------------------------------------------------------------------------

# The elements that are used, inside each file: ROOT's parser checks files against declarations.
_COMBINATION = """\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE Combination [
<!ELEMENT Combination (Input+, Measurement+)>
<!ATTLIST Combination OutputFilePrefix CDATA #REQUIRED>
<!ELEMENT Input (#PCDATA)>
<!ELEMENT Measurement (POI, ParamSetting*)>
<!ATTLIST Measurement Name CDATA #REQUIRED Lumi CDATA #REQUIRED LumiRelErr CDATA #REQUIRED
  ExportOnly CDATA #IMPLIED>
<!ELEMENT POI (#PCDATA)>
<!ELEMENT ParamSetting (#PCDATA)>
<!ATTLIST ParamSetting Const CDATA #IMPLIED>
]>
<Combination OutputFilePrefix={prefix}>
  <Input>{channel_file}</Input>
  <Measurement Name={measurement} Lumi="1" LumiRelErr="0.01" ExportOnly="True">
    <POI>{strength}</POI>
    <ParamSetting Const="True">Lumi</ParamSetting>
  </Measurement>
</Combination>
"""
_CHANNEL = """\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE Channel [
<!ELEMENT Channel (Data, Sample+)>
<!ATTLIST Channel Name CDATA #REQUIRED InputFile CDATA #REQUIRED>
<!ELEMENT Data EMPTY>
<!ATTLIST Data HistoName CDATA #REQUIRED>
<!ELEMENT Sample (NormFactor | OverallSys | ShapeSys)*>
<!ATTLIST Sample Name CDATA #REQUIRED HistoName CDATA #REQUIRED NormalizeByTheory CDATA #REQUIRED>
<!ELEMENT NormFactor EMPTY>
<!ATTLIST NormFactor Name CDATA #REQUIRED Val CDATA #REQUIRED Low CDATA #REQUIRED High CDATA #REQUIRED>
<!ELEMENT OverallSys EMPTY>
<!ATTLIST OverallSys Name CDATA #REQUIRED High CDATA #REQUIRED Low CDATA #REQUIRED>
<!ELEMENT ShapeSys EMPTY>
<!ATTLIST ShapeSys Name CDATA #REQUIRED HistoName CDATA #REQUIRED ConstraintType CDATA #REQUIRED>
]>
<Channel Name={channel} InputFile={histograms}>
  <Data HistoName="data"/>
  <Sample Name="signal" HistoName="signal" NormalizeByTheory="False">
    <NormFactor Name={strength} Val="1" Low="0" High={largest}/>
  </Sample>
  <Sample Name="background" HistoName="background" NormalizeByTheory="False">
{modifiers}  </Sample>
</Channel>
"""


def write_histfactory(
    model: BinnedLikelihood,
    folder: str | os.PathLike[str],
    *,
    edges: ArrayLike | None = None,
    observed: ArrayLike | None = None,
    channel: str = "score",
    largest_strength: float = 10.0,
    overwrite: bool = False,
) -> Path:
    """Write the model as input of RooFit, in both of its forms, and return the path of the folder.

    ``hs3.json`` is RooFit's own JSON, which holds everything:
    ``RooJSONFactoryWSTool(w).importJSON("hs3.json")`` gives the workspace ``w`` a ``ModelConfig`` and the
    data set ``observed``. For HistFactory the folder also gets ``<channel>.root`` with the histograms
    ``data``, ``signal``, ``background`` and ``background_bins`` (relative errors), and the XML files
    ``<channel>.xml`` and ``combination.xml``, which name each other without folders: run ``hist2workspace
    combination.xml`` there (a ROOT without XML has no such program). ROOT is not needed to write them.

    Arguments
    ---------
    model, observed, channel, largest_strength
        As in :func:`workspace`.
    folder
        A folder that does not exist.
    edges
        Of the histograms (bins + 1,); 0, 1, 2, … if None. The likelihood does not depend on them.

    Raises
    ------
    ShapeError
        ``edges`` or ``observed`` do not fit the bins.
    OutputExistsError, OutputWriteError
        The folder exists or cannot be written.
    """
    import uproot

    counts = _counts(model, observed)
    bins = len(model.signal)
    limits = checked_vector("edges", np.arange(bins + 1.0) if edges is None else edges)
    if len(limits) != bins + 1 or (np.diff(limits) <= 0).any():
        raise ShapeError(f"edges are {bins + 1} rising numbers for {bins} bins, not {len(limits)}.")
    histograms = {"data": counts, "signal": model.signal, "background": model.background}
    modifiers = ""
    if model.correlated:
        high = 1.0 + model.correlated
        modifiers += f'    <OverallSys Name="{SCALE}" High="{high!r}" Low="{1.0 / high!r}"/>\n'
    if model.uncorrelated.any():
        histograms[BINS] = model.uncorrelated
        modifiers += f'    <ShapeSys Name="{BINS}" HistoName="{BINS}" ConstraintType="Poisson"/>\n'
    with writing(folder, overwrite, folder=True) as temporary:
        temporary.mkdir()
        with uproot.recreate(temporary / f"{channel}.root") as file:
            for name, values in histograms.items():
                file[name] = (np.asarray(values, dtype=np.float64), limits)
        named = {"channel": quoteattr(channel), "strength": quoteattr(STRENGTH)}
        text = _CHANNEL.format(
            **named, histograms=quoteattr(f"{channel}.root"), modifiers=modifiers,
            largest=quoteattr(repr(float(largest_strength))),
        )  # fmt: skip
        (temporary / f"{channel}.xml").write_text(text, encoding="utf-8")
        text = _COMBINATION.format(
            prefix=quoteattr(channel), channel_file=f"{channel}.xml",
            measurement=quoteattr(MEASUREMENT), strength=STRENGTH,
        )  # fmt: skip
        (temporary / "combination.xml").write_text(text, encoding="utf-8")
        content = _hs3(model, counts, limits, channel, float(largest_strength))
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        (temporary / "hs3.json").write_text(text, encoding="utf-8")
    return Path(folder)


def _hs3(
    model: BinnedLikelihood, counts: Floats, edges: Floats, channel: str, largest: float
) -> dict[str, Any]:
    """Return the model in RooFit's JSON (HEP Statistics Serialization Standard), as RooFit writes it."""
    axes = [{"name": f"obs_x_{channel}", "edges": edges.tolist()}]
    modifiers: list[dict[str, Any]] = []
    constraints: list[dict[str, Any]] = []
    nuisances: list[dict[str, Any]] = []
    measured: list[dict[str, Any]] = []  # RooFit's global observables
    values: list[dict[str, Any]] = [{"name": STRENGTH, "value": 1.0}]
    if model.correlated:
        high, alpha = 1.0 + model.correlated, f"alpha_{SCALE}"
        scale = {
            "name": SCALE,
            "type": "normsys",
            "parameter": alpha,
            "constraint_name": f"{alpha}Constraint",
        }
        modifiers.append({**scale, "data": {"hi": high, "lo": 1.0 / high}})
        gauss = {"name": f"{alpha}Constraint", "type": "gaussian_dist", "x": alpha, "sigma": 1.0}
        constraints.append({**gauss, "mean": f"nom_{alpha}"})
        nuisances.append({"name": alpha, "min": -5.0, "max": 5.0})
        measured.append({"name": f"nom_{alpha}", "min": -10.0, "max": 10.0})
        values.append({"name": alpha, "value": 0.0})
        values.append({"name": f"nom_{alpha}", "value": 0.0, "const": True})
    if model.uncorrelated.any():
        gammas = [f"gamma_{BINS}_bin_{index}" for index in range(len(model.signal))]
        bins = {"name": BINS, "type": "shapesys", "constraint_type": "Poisson", "parameters": gammas}
        modifiers.append({**bins, "data": {"vals": model.uncorrelated.tolist()}})
        for gamma, spread in zip(gammas, model.uncorrelated.tolist(), strict=True):
            if not spread > 0:  # nothing to measure
                values.append({"name": gamma, "value": 1.0, "const": True})
                continue
            nuisances.append({"name": gamma, "min": 0.0, "max": 1.0 + 5.0 * max(spread, 0.01)})
            measured.append({"name": f"nom_{gamma}", "min": 0.0})
            values.append({"name": gamma, "value": 1.0})
            values.append({"name": f"nom_{gamma}", "value": spread**-2, "const": True})
    strength = [{"name": STRENGTH, "min": 0.0, "max": largest}]
    domains = {
        "main_nuisance_parameters": nuisances,
        "main_global_observables": measured,
        "main_parameters_of_interest": strength,
    }
    samples = [
        {
            "name": "signal",
            "data": {"contents": model.signal.tolist()},
            "modifiers": [{"name": STRENGTH, "type": "normfactor", "parameter": STRENGTH}],
        },
        {
            "name": "background",
            "data": {"contents": model.background.tolist()},
            "modifiers": modifiers,
        },
    ]
    pdf, data = f"model_{channel}", f"observed_{channel}"
    names = {"index_cat": "channelCat", "indices": [0], "labels": [channel]}
    internal = {
        "combined_datasets": {"observed": names},
        "combined_distributions": {"main": {**names, "distributions": [pdf]}},
        "ModelConfigs": {
            "main": {"combined_data_name": "observed", "mcName": "ModelConfig", "pdfName": "main"}
        },
        "attributes": {entry["name"]: {"tags": ["Constant"]} for entry in measured}
        | {f"{channel}_model": {"tags": ["BinnedLikelihood", "GenerateBinned"]}},
    }
    return {
        "distributions": [
            {"name": pdf, "type": "histfactory_dist", "axes": axes, "samples": samples},
            *constraints,
        ],
        "data": [{"name": data, "type": "binned", "axes": axes, "contents": counts.tolist()}],
        "likelihoods": [{"name": "main_likelihood", "distributions": [pdf], "data": [data]}],
        "analyses": [
            {
                "name": "main",
                "likelihood": "main_likelihood",
                "parameters_of_interest": [STRENGTH],
                "domains": list(domains),
            }
        ],
        "domains": [
            {"name": name, "type": "product_domain", "axes": entries}
            for name, entries in {**domains, "default_domain": [*nuisances, *measured, *strength]}.items()
        ],
        "parameter_points": [{"name": "default_values", "parameters": values}],
        "metadata": {"hs3_version": "0.2"},
        "misc": {"ROOT_internal": internal},
    }


def _counts(model: BinnedLikelihood, observed: ArrayLike | None) -> Floats:
    if observed is None:
        return model.background
    counts = checked_vector("the observed counts", np.atleast_1d(observed), len(model.signal))
    if (counts < 0).any():
        raise SettingError("observed counts cannot be negative.")
    return counts
