"""Options of a booked method as its weight file holds them."""

from __future__ import annotations

from hepml_root.tmva.options.declaration import Option, Options
from hepml_root.tmva.options.shared import SHARED
from hepml_root.tmva.weights.header import Option as Written

# The real TMVA refuses options that its Reader does not declare: those of densities and of optimisers are
# read by parts of it that exist in training only, and two of trees are younger than many installations.
_SHARED_ONES = frozenset(o.name for o in SHARED if o.name == "CreateMVAPdfs" or "MVAPdf" not in o.name)
_OF_METHODS: dict[str, frozenset[str]] = {
    "Likelihood": frozenset({"TransformOutput"}),
    "Cuts": frozenset({"FitMethod", "EffMethod", "CutRangeMin", "CutRangeMax", "VarProp"}),
}
_YOUNG = frozenset({"RegressionLossFunctionBDTG", "HuberQuantile", "SkipNormalization"})
_YOUNG_OF_METHODS = {
    "SVM": frozenset({"Kernel", "Order", "Theta", "GammaList", "Tune", "KernelList", "Loss"}),
}


def file_options(type_name: str, options: Options, variables: int) -> dict[str, Written]:
    """Return what a weight file says of the options of a method.

    Arguments
    ---------
    type_name
        Such as ``BDT``.
    options
        As they were booked.
    variables
        How many there are: options with an index are written for each of them.

    Example
    -------
    >>> from hepml_root.tmva.options.classical import FISHER
    >>> from hepml_root.tmva.options.declaration import parse
    >>> booked = parse((*SHARED, *FISHER), "!V:Fisher:VarTransform=N")
    >>> file_options("Fisher", booked, 2)["VarTransform"]
    Option(value='N', modified=True, size=None)
    """
    written = {}
    for option in options.declared:
        name = option.name
        if option in SHARED:
            if name not in _SHARED_ONES:
                continue
        elif type_name in _OF_METHODS and name not in _OF_METHODS[type_name]:
            continue
        young = name in _YOUNG or name in _YOUNG_OF_METHODS.get(type_name, frozenset())
        if young and name not in options.given:
            continue
        given = name in options.given
        if option.indexed:
            texts = [_text(option, options.at(name, i)) for i in range(variables)]
            written[name] = Written(" ".join(texts), given, variables)
        else:
            written[name] = Written(_text(option, options[name]), given)
    return written


def _text(option: Option, value: object) -> str:
    return f"{value:.6e}" if isinstance(option.default, float) else str(value)
