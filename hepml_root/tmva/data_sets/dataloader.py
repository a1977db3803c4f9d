"""TMVA's DataLoader: variables, trees, weights and cuts as they are declared, and the two samples of them."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from hepml_root.errors import EmptySelectionError, NonFiniteInputError, SettingError, ShapeError, unknown
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.data_set_info import DataSetInfo
from hepml_root.tmva.data_sets.declared_columns import DeclaredColumn, described, width
from hepml_root.tmva.data_sets.event_pool import EventClass, EventPool, SourceTree, both, purpose_of
from hepml_root.tmva.data_sets.events import DataSet, Sample
from hepml_root.tmva.data_sets.splitting import Order, normalisation, split
from hepml_root.tmva.data_sets.tree_reading import Quantity, opened
from hepml_root.tmva.options.declaration import keyword_text, parse
from hepml_root.tmva.options.factory import split_options
from hepml_root.tmva.output.variables import correlation_matrix


class DataLoader:
    """Collects what a Factory's methods learn from; TMVA's calls, with its defaults.

    Arguments
    ---------
    name
        The folder that weight files go to, and that of the output file.

    Raises
    ------
    SettingError
        A call has arguments that cannot be: each of them says which.

    Example
    -------
    >>> import numpy as np
    >>> from hepml_root import tmva as TMVA
    >>> loader = TMVA.DataLoader("dataset")
    >>> loader.AddVariable("sum := x + y", "Sum", "GeV")
    >>> rng = np.random.default_rng(1)
    >>> for name, mean in (("Signal", 1.0), ("Background", 0.0)):
    ...     loader.AddTree({"x": rng.normal(mean, 1, 100), "y": rng.normal(0, 1, 100)}, name)
    >>> loader.PrepareTrainingAndTestTree("x > -9", "nTrain_Signal=30:nTrain_Background=40:!V")
    >>> data = loader.prepared("Classification")
    >>> len(data.training), len(data.test), data.labels
    (70, 130, ['sum'])
    """

    def __init__(self, name: Any = "default") -> None:
        self.name = str(name)
        self._variables: list[DeclaredColumn] = []
        self._spectators: list[DeclaredColumn] = []
        self._targets: list[DeclaredColumn] = []
        self._classes: dict[str, EventClass] = {}
        self._cut = ""
        self._weight = ""
        self._split: tuple[str, dict[str, Any]] = ("", {})
        self._prepared: dict[str, DataSet] = {}

    def GetName(self) -> str:
        """Return the name."""
        return self.name

    def GetDataSetInfo(self) -> DataSetInfo:
        """Return what was added so far: names of variables, numbers of classes."""
        return DataSetInfo(
            self.name,
            tuple(self._variables),
            tuple(self._spectators),
            tuple(self._targets),
            (*self._classes,),
        )

    DefaultDataSetInfo = GetDataSetInfo

    # -- columns ---------------------------------------------------------------------------------------------

    def AddVariable(
        self,
        expression: Any,
        title: Any = "",
        unit: Any = "",
        type: Any = "F",
        min: float = 0,
        max: float = 0,
    ) -> None:  # the names of the arguments are TMVA's
        """Add an input variable: ``expression`` or ``"label := expression"``.

        Arguments
        ---------
        title, unit, type
            As in TMVA, where the second argument may be the type (``"F"`` or ``"I"``) as well.
        min, max
            Are not used, as in TMVA.
        """
        self._add("variable", self._variables, expression, title, unit, type)

    def AddSpectator(
        self, expression: Any, title: Any = "", unit: Any = "", min: float = 0, max: float = 0
    ) -> None:
        """Add a quantity that goes along and that no method sees; see :meth:`AddVariable`."""
        self._add("spectator", self._spectators, expression, title, unit, "F")

    def AddTarget(
        self, expression: Any, title: Any = "", unit: Any = "", min: float = 0, max: float = 0
    ) -> None:
        """Add a quantity that a regression shall learn; see :meth:`AddVariable`."""
        self._classes.setdefault("Regression", EventClass())
        self._add("target", self._targets, expression, title, unit, "F")

    def AddVariablesArray(
        self, expression: Any, size: int, type: Any = "F", min: float = 0, max: float = 0
    ) -> None:
        """Add ``size`` variables: the elements of one array branch, such as the pixels of an image."""
        if int(size) < 1:
            raise SettingError(f"AddVariablesArray('{expression}', {size}): a size of at least 1 is needed.")
        self._add("variable", self._variables, expression, "", "", type, int(size))

    def _add(
        self,
        what: str,
        columns: list[DeclaredColumn],
        text: Any,
        title: Any,
        unit: Any,
        kind: Any,
        length: int = 0,
    ) -> None:
        self._prepared.clear()
        column = DeclaredColumn.of(what, text, title, unit, kind, length)
        if column.label in [other.label for other in columns]:
            raise SettingError(f"the {what} '{column.label}' is added twice.")
        columns.append(column)

    # -- trees and events ------------------------------------------------------------------------------------

    def AddTree(
        self, tree: Any, className: Any, weight: float = 1.0, cut: Any = "", treetype: Any = None
    ) -> None:
        """Add events of a class.

        Arguments
        ---------
        tree
            A TTree, TChain, RDataFrame, file name, dictionary of arrays or pandas table.
        className
            The class: ``"Signal"``, ``"Background"``, or any names of a multiclass problem.
        weight
            Of the whole tree.
        cut
            Only events for which this is true.
        treetype
            ``"Training"``, ``"Test"``, or both (default).

        Raises
        ------
        SourceNotFoundError, ColumnTypeError
            There is no such tree, or it holds no events.
        """
        self._prepared.clear()
        source = opened(tree)
        purpose = purpose_of(treetype)
        self._class(className).trees.append(SourceTree(source, float(weight), purpose, _cut(cut)))

    def AddSignalTree(self, tree: Any, weight: float = 1.0, treetype: Any = None) -> None:
        """Add signal events; see :meth:`AddTree`."""
        self.AddTree(tree, "Signal", weight, "", treetype)

    def AddBackgroundTree(self, tree: Any, weight: float = 1.0, treetype: Any = None) -> None:
        """Add background events; see :meth:`AddTree`."""
        self.AddTree(tree, "Background", weight, "", treetype)

    def AddRegressionTree(self, tree: Any, weight: float = 1.0, treetype: Any = None) -> None:
        """Add events of a regression; see :meth:`AddTree`."""
        self.AddTree(tree, "Regression", weight, "", treetype)

    def SetTree(self, tree: Any, className: Any, weight: float = 1.0) -> None:
        """As :meth:`AddTree`."""
        self.AddTree(tree, className, weight)

    SetSignalTree, SetBackgroundTree, SetRegressionTree = AddSignalTree, AddBackgroundTree, AddRegressionTree

    def SetInputTrees(self, *arguments: Any) -> None:
        """``(signal, background[, weight, weight])``, or ``(tree, signal cut, background cut)``."""
        if len(arguments) == 3 and not isinstance(arguments[2], (int, float)):
            tree, signal, background = arguments
            self.AddTree(tree, "Signal", 1.0, signal)
            self.AddTree(tree, "Background", 1.0, background)
            return
        if not 2 <= len(arguments) <= 4:
            raise SettingError("SetInputTrees(signal, background[, signal weight, background weight]).")
        weights = [float(weight) for weight in arguments[2:]] + [1.0, 1.0]
        self.AddSignalTree(arguments[0], weights[0])
        self.AddBackgroundTree(arguments[1], weights[1])

    def AddEvent(self, className: Any, treetype: Any, event: Sequence[float], weight: float = 1.0) -> None:
        """Add one event: the values of all variables, then of the targets, then of the spectators."""
        self._prepared.clear()
        needed = width((*self._variables, *self._targets, *self._spectators))
        values = [float(value) for value in event]
        if len(values) != needed:
            raise ShapeError(
                f"an event of {len(values)} numbers; {needed} are needed: {len(self._variables)} "
                f"variable(s), {len(self._targets)} target(s), {len(self._spectators)} spectator(s)."
            )
        if not np.isfinite([*values, weight]).all():
            raise NonFiniteInputError(f"an event of '{className}' has NaN or infinity: {values}, {weight}.")
        events = self._class(className).events
        events.setdefault(purpose_of(treetype), []).append((values, float(weight)))

    def AddTrainingEvent(self, className: Any, event: Sequence[float], weight: float = 1.0) -> None:
        """Add one training event; see :meth:`AddEvent`."""
        self.AddEvent(className, "Training", event, weight)

    def AddTestEvent(self, className: Any, event: Sequence[float], weight: float = 1.0) -> None:
        """Add one test event; see :meth:`AddEvent`."""
        self.AddEvent(className, "Test", event, weight)

    def AddSignalTrainingEvent(self, event: Sequence[float], weight: float = 1.0) -> None:
        """Add one training event of the signal; see :meth:`AddEvent`."""
        self.AddEvent("Signal", "Training", event, weight)

    def AddSignalTestEvent(self, event: Sequence[float], weight: float = 1.0) -> None:
        """Add one test event of the signal; see :meth:`AddEvent`."""
        self.AddEvent("Signal", "Test", event, weight)

    def AddBackgroundTrainingEvent(self, event: Sequence[float], weight: float = 1.0) -> None:
        """Add one training event of the background; see :meth:`AddEvent`."""
        self.AddEvent("Background", "Training", event, weight)

    def AddBackgroundTestEvent(self, event: Sequence[float], weight: float = 1.0) -> None:
        """Add one test event of the background; see :meth:`AddEvent`."""
        self.AddEvent("Background", "Test", event, weight)

    def _class(self, name: Any) -> EventClass:
        name = str(name)
        if name == "Regression" or "Regression" not in self._classes:
            return self._classes.setdefault(name, EventClass())
        raise SettingError(f"class '{name}': with targets there are no classes: use AddRegressionTree.")

    # -- weights, cuts, split --------------------------------------------------------------------------------

    def SetWeightExpression(self, expression: Any, className: Any = "") -> None:
        """Set the expression of the event weight, of one class or of all."""
        self._prepared.clear()
        if str(className):
            self._class(className).weight = str(expression)
        else:
            self._weight = str(expression)
            for one in self._classes.values():
                one.weight = ""

    def SetSignalWeightExpression(self, expression: Any) -> None:
        """Set the weight expression of the signal."""
        self.SetWeightExpression(expression, "Signal")

    def SetBackgroundWeightExpression(self, expression: Any) -> None:
        """Set the weight expression of the background."""
        self.SetWeightExpression(expression, "Background")

    def SetCut(self, cut: Any, className: Any = "") -> None:
        """Set the cut: of one class, beside that of all, or of all in place of every other."""
        self._prepared.clear()
        if str(className):
            self._class(className).cut = _cut(cut)
        else:
            self._cut = _cut(cut)
            for one in self._classes.values():
                one.cut = ""

    def AddCut(self, cut: Any, className: Any = "") -> None:
        """Add a cut to what is there, of one class or of all."""
        self._prepared.clear()
        if str(className):
            one = self._class(className)
            one.cut = both(one.cut, _cut(cut))
        else:
            self._cut = both(self._cut, _cut(cut))

    def PrepareTrainingAndTestTree(self, cut: Any, *arguments: Any, **keywords: Any) -> None:
        """Set the cuts, and how events are divided; nothing is read before methods are booked.

        ``(cut, options)``, ``(cut of signal, cut of background, options)``, ``(cut, training events of the
        signal, of the background, test events of the signal, of the background[, options])``, ``(cut,
        training events, test events)``; options are those of TMVA, as a string or as keywords. As in TMVA, a
        second call adds its cuts, and its options replace those of the first.
        """
        numbers = [int(value) for value in arguments if isinstance(value, (int, np.integer))]
        texts = [value for value in arguments if not isinstance(value, (int, np.integer))]
        if len(numbers) not in (0, 2, 4):
            raise SettingError("PrepareTrainingAndTestTree: 2 or 4 numbers of events are needed, or options.")
        if texts and (
            len(texts) > 1 or hasattr(texts[0], "GetTitle") or (keywords and "=" not in str(texts[0]))
        ):
            self.AddCut(cut, "Signal")
            self.AddCut(texts.pop(0), "Background")
        else:
            self.AddCut(cut)
        if len(texts) > 1:
            raise SettingError("PrepareTrainingAndTestTree: at most two cuts and one text of options.")
        if len(numbers) == 2:
            numbers = [numbers[0], numbers[0], numbers[1], numbers[1]]
        for name, number in zip(
            ("nTrain_Signal", "nTrain_Background", "nTest_Signal", "nTest_Background"), numbers, strict=False
        ):
            keywords[name] = number
        self._prepared.clear()
        self._split = (str(texts[0]) if texts else "", keywords)

    @property
    def split_text(self) -> str:
        """The options of the split as one text."""
        text, keywords = self._split
        return ":".join(filter(None, [text, *(keyword_text(*item) for item in keywords.items())]))

    # -- the samples -----------------------------------------------------------------------------------------

    @property
    def analysis(self) -> str:
        """What can be learned from these events: that of AnalysisType=Auto."""
        if self._targets:
            return "Regression"
        return "Multiclass" if len(self._with_events()) > 2 else "Classification"

    def prepared(self, analysis: str, console: Console | None = None) -> DataSet:
        """Read and divide all events; the result is kept until something changes.

        Raises
        ------
        SettingError
            There are no variables, no trees, or options of the split that do not fit them.
        ColumnNotFoundError, ExpressionError, NonFiniteInputError
            As :func:`hepml_root.tmva.data_sets.tree_reading.read`.
        EmptySelectionError
            No event is left of a class.
        """
        if analysis not in self._prepared:
            self._prepared[analysis] = self._prepare(
                analysis, console or Console("DataSetFactory", silent=True)
            )
        return self._prepared[analysis]

    def _prepare(self, analysis: str, console: Console) -> DataSet:
        classes = self._ordered(analysis)
        if not self._variables:
            raise SettingError(f"the DataLoader '{self.name}' has no variable: call AddVariable.")
        options = parse(split_options(list(classes)), self.split_text, "PrepareTrainingAndTestTree")
        console.line(f"[{self.name}] : Number of events in input trees")
        quantities = self._quantities()
        pools = [
            EventPool(self.name, name, one, quantities, self._cut, self._weight, console)
            for name, one in classes.items()
        ]
        order_training, order_test = split([pool.available for pool in pools], options)
        weights = [
            pool.weights[order_training.rows[order_training.classes == i]] for i, pool in enumerate(pools)
        ]
        factors = normalisation(options["NormMode"], weights, list(classes))
        # As in TMVA, weights of test events stay what they are.
        training = self._sample(pools, order_training, factors)
        test = self._sample(pools, order_test, [1.0] * len(pools))
        for number, name in enumerate(classes):
            for what, sample in (("training", training), ("testing", test)):
                chosen = sample.weights[sample.classes == number]
                console.line(f"[{self.name}] : {name:<12} -- {what} events            : {len(chosen)}")
                console.verbose_line(f"[{self.name}] : {name:<12} -- sum of weights: {chosen.sum():g}")
        columns = [
            described(self._variables, training.variables),
            described(self._spectators, training.spectators),
            described(self._targets, training.targets),
        ]
        constant = [
            [f"'{one.label}' ({one.minimum:g})" for one in which if one.minimum == one.maximum]
            for which in columns
        ]
        if constant[2]:
            raise EmptySelectionError(f"the same target in every training event: {', '.join(constant[2])}.")
        if constant[0]:
            # As in TMVA, one of whose tutorials has 200 of them.
            shown = ", ".join(constant[0][:10]) + (" and more" if len(constant[0]) > 10 else "")
            console.warning(f"{len(constant[0])} variables are the same in every training event: {shown}.")
        variables, spectators, targets = columns
        return DataSet(self.name, analysis, variables, spectators, targets, tuple(classes), training, test)

    def _with_events(self) -> dict[str, EventClass]:
        return {name: one for name, one in self._classes.items() if one.trees or one.events}

    def _ordered(self, analysis: str) -> dict[str, EventClass]:
        """The classes that have events; signal first where there are signal and background."""
        found = self._with_events()
        if not found:
            raise SettingError(
                f"the DataLoader '{self.name}' has no events: call AddSignalTree, AddTree, AddEvent."
            )
        for name, one in self._classes.items():
            if name not in found and (one.weight or one.cut):
                raise SettingError(
                    "a weight or cut is set of a class without events: " + unknown("class", name, found)
                )
        if analysis == "Classification":
            if len(found) != 2:
                hint = "Add the other one with AddSignalTree, AddBackgroundTree or AddTree."
                if "Regression" in found:
                    hint = "For a regression take AnalysisType=Regression."
                elif len(found) > 2:
                    hint = "Take AnalysisType=Multiclass."
                raise SettingError(
                    f"a classification needs events of two classes; there are {', '.join(found)}. {hint}"
                )
            if set(found) == {"Signal", "Background"}:
                found = {name: found[name] for name in ("Signal", "Background")}
        if analysis == "Regression" and not self._targets:
            raise SettingError("a regression needs targets: call AddTarget.")
        if analysis == "Multiclass" and self._targets:
            raise SettingError("targets belong to a regression; AnalysisType=Multiclass has classes.")
        return found

    def _sample(self, pools: Sequence[EventPool], order: Order, factors: Sequence[float]) -> Sample:
        first = np.cumsum([0, *(len(pool.weights) for pool in pools)])[:-1]
        rows = first[order.classes] + order.rows
        values = np.concatenate([pool.values for pool in pools])[rows]
        weights = np.concatenate([pool.weights for pool in pools])[rows] * np.array(factors)[order.classes]
        ends = np.cumsum([width(columns) for columns in (self._variables, self._targets, self._spectators)])
        variables, targets, spectators = np.split(values, ends[:-1], axis=1)
        variables, spectators, targets = map(np.ascontiguousarray, (variables, spectators, targets))
        return Sample(variables, spectators, targets, order.classes, weights)

    def _quantities(self) -> list[Quantity]:
        columns = (*self._variables, *self._targets, *self._spectators)
        return [Quantity(column.expression, column.length) for column in columns]

    def GetCorrelationMatrix(self, className: Any = "Signal") -> Any:
        """Return the linear correlations of the variables in a class, weighted, in percent: a TH2F.

        Raises
        ------
        SettingError
            There is no such class.
        """
        data = self.prepared(self.analysis)
        if str(className) not in data.classes:
            raise SettingError(unknown("class", str(className), data.classes))
        return correlation_matrix(data, data.classes.index(str(className)))

    def VarTransform(self, definition: Any) -> DataLoader:
        """Return another loader with some of the variables, of the same trees: ``"VT(2.5)"`` takes those with
        a variance above 2.5 in training.

        Raises
        ------
        SettingError
            Another definition, or no variable is left.
        """
        found = re.fullmatch(r"\s*VT\(([^()]+)\)\s*", str(definition))
        try:
            threshold = float(found[1]) if found else None
        except ValueError:
            threshold = None
        if threshold is None:
            raise SettingError(
                f"VarTransform('{definition}'): known is VT(threshold of the variance), as VT(2.5)."
            )
        training = self.prepared(self.analysis).training
        values, weights = training.variables.astype(np.float64), np.abs(training.weights)
        mean = np.average(values, axis=0, weights=weights)
        variance = np.average((values - mean) ** 2, axis=0, weights=weights)
        other = copy.copy(self)
        other.name, other._prepared = "vt_transformed_dataset", {}
        other._classes = {name: one.copied() for name, one in self._classes.items()}
        other._spectators, other._targets = [*self._spectators], [*self._targets]
        ends = np.cumsum([max(column.length, 1) for column in self._variables])
        other._variables = [
            column
            for column, part in zip(self._variables, np.split(variance, ends[:-1]), strict=True)
            if part.max() > threshold
        ]
        if not other._variables:
            raise SettingError(f"VarTransform('{definition}'): the largest variance is {variance.max():g}.")
        return other


def _cut(cut: Any) -> str:
    """Return the text of a string or a TCut."""
    text = str(cut.GetTitle()) if hasattr(cut, "GetTitle") else str(cut if cut is not None else "")
    return text.strip()
