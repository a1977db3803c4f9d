"""TMVA's DataSetInfo: what a DataLoader was told, for programs that ask for it."""

from __future__ import annotations

from collections.abc import Sequence

from hepml_root.tmva.data_sets.declared_columns import DeclaredColumn, width


class NameVector(list[str]):
    """A list of names with the calls of ``std::vector`` that scripts make.

    >>> names = NameVector(["a", "b"])
    >>> names.size(), names.at(1), names.empty()
    (2, 'b', False)
    """

    def size(self) -> int:
        """Return how many there are."""
        return len(self)

    def at(self, index: int) -> str:
        """Return one of them."""
        return self[index]

    def empty(self) -> bool:
        """Return whether there is none."""
        return not self


class DataSetInfo:
    """Names and numbers of what a DataLoader holds.

    Arguments
    ---------
    name
        That of the DataLoader.
    variables, spectators, targets
        As they were added.
    classes
        Names of the classes.

    Example
    -------
    >>> from hepml_root import tmva as TMVA
    >>> loader = TMVA.DataLoader("dataset")
    >>> loader.AddVariable("sum := x + y")
    >>> loader.AddVariablesArray("pixels", 2)
    >>> loader.GetDataSetInfo().GetListOfVariables()
    ['x+y', 'pixels[0]', 'pixels[1]']
    """

    def __init__(
        self,
        name: str,
        variables: Sequence[DeclaredColumn],
        spectators: Sequence[DeclaredColumn],
        targets: Sequence[DeclaredColumn],
        classes: Sequence[str],
    ) -> None:
        self._name = name
        self._variables, self._spectators, self._targets = variables, spectators, targets
        self._classes = tuple(classes)

    def GetName(self) -> str:
        """Return the name of the DataLoader."""
        return self._name

    def GetListOfVariables(self) -> NameVector:
        """Return the expressions of the variables, each element of an array by itself."""
        names = NameVector()
        for column in self._variables:
            if column.length:
                names.extend(f"{column.expression}[{element}]" for element in range(column.length))
            else:
                names.append(column.expression)
        return names

    def GetNVariables(self) -> int:
        """Return the number of variables."""
        return width(self._variables)

    def GetNSpectators(self) -> int:
        """Return the number of spectators."""
        return width(self._spectators)

    def GetNTargets(self) -> int:
        """Return the number of targets."""
        return width(self._targets)

    def GetNClasses(self) -> int:
        """Return the number of classes."""
        return len(self._classes)
