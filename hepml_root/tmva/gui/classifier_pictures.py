"""Pictures of classifiers from an output file: responses, probabilities, efficiencies, ROC curves."""

from __future__ import annotations

import functools

from hepml_root.tmva.gui.agreement import agreement, responses
from hepml_root.tmva.gui.output_content import Histogram1D, MethodContent
from hepml_root.tmva.gui.panels import plot_class_histograms
from hepml_root.tmva.gui.pictures import Pictures
from hepml_root.tmva.gui.plot_responses import (
    Compared,
    Density,
    Efficiencies,
    plot_curves,
    plot_densities,
    plot_efficiencies,
    plot_overtraining,
)

#: Events of signal and background before the cut, as TMVA begins with.
DEFAULT_EVENTS = (1000.0, 1000.0)
_PANELS = 6
_ENDS = {"S": "Signal", "B": "Background"}
_WITH_PDFS = "book the method with CreateMVAPdfs"


class ClassifierPictures:
    """Adds the pictures of two-class methods to a collection."""

    def __init__(self, collection: Pictures) -> None:
        self.collection = collection
        self.dataset = collection.dataset
        self.methods = self.dataset.methods
        self.efficiencies = list(filter(None, map(_efficiencies, self.methods)))

    def _pairs(self, middle: str) -> list[tuple[MethodContent, dict[str, Histogram1D]]]:
        """Return methods with their histograms ``MVA_<T>_<middle>S`` and ``…B``."""
        found = []
        for method in self.methods:
            histograms = {
                self._class(side): histogram
                for side in _ENDS
                if (histogram := method.folder.histogram(f"MVA_{method.title}_{middle}{side}")) is not None
            }
            if len(histograms) == 2:
                found.append((method, histograms))
        return found

    def _class(self, side: str) -> str:
        classes = self.dataset.classes
        return classes[0 if side == "S" else 1] if len(classes) == 2 else _ENDS[side]

    @property
    def _classes(self) -> tuple[str, ...]:
        return (self._class("S"), self._class("B"))

    def add_all(self) -> None:
        """Add all of them, in the order of TMVA's list."""
        self.outputs()
        self.overtraining()
        self.probabilities()
        self.cuts()
        self.curves()

    def outputs(self) -> None:
        pairs = self._pairs("")
        lacking = [m.title for m in self.methods if m.title not in {method.title for method, _ in pairs}]
        if lacking:
            self.collection.lack("Classifier output", f"{', '.join(lacking)} has no response in the file")
        self.collection.in_pages(
            [(method.title, histograms) for method, histograms in pairs], _PANELS, "output", "output",
            "Classifier output", "Test events with their weights, each class scaled to unit area.",
            lambda part: plot_class_histograms(
                part, classes=self._classes, signal=self._class("S"), columns=3, size=(4.0, 3.2),
                x_titles=[f"{title} response" for title, _ in part],
            ),
        )  # fmt: skip

    def overtraining(self) -> None:
        train = {method.title: histograms for method, histograms in self._pairs("Train_")}
        columns = responses(self.dataset)
        items, binned = [], False
        for method, test in self._pairs(""):
            if method.title not in train:
                self.collection.lack("Overtraining check", f"{method.title} has no histograms of training")
                continue
            p_values, from_bins = agreement(columns, method.title, test, train[method.title])
            binned |= from_bins
            items.append(Compared(method.title, test, train[method.title], p_values))
        how = "unbinned, with weights and effective events, from TestTree and TrainTree"
        if binned:
            how += "; from the histograms where the trees lack the response, which makes p too large"
        caption = f"""Test events (areas) and training events (points with errors), unit area. p is that of a
            two-sample Kolmogorov–Smirnov test, {how}: below about 0.01 the method behaves differently on
            events it has seen."""
        self.collection.in_pages(
            items, _PANELS, "overtraining", "output", "Output of test and training events",
            " ".join(caption.split()),
            lambda part: plot_overtraining(part, self._classes, self._class("S")),
        )  # fmt: skip

    def probabilities(self) -> None:
        for kind, title, caption in (
            (
                "Proba", "Signal probability",
                "p_S/(p_S + p_B) of the densities of the response, test events, unit area.",
            ),
            (
                "Rarity", "Rarity",
                "Integral of the background's density below the response, test events, unit area; it is "
                "uniform for background.",
            ),
        ):  # fmt: skip
            pairs = self._pairs(f"{kind}_")
            if not pairs:
                self.collection.lack(f"Classifier {kind.lower()} distributions", _WITH_PDFS)
                continue
            self.collection.in_pages(
                [(method.title, histograms) for method, histograms in pairs], _PANELS, kind, "output",
                title, caption,
                functools.partial(
                    plot_class_histograms, classes=self._classes, signal=self._class("S"), columns=3,
                    size=(4.0, 3.2), x_titles=[title] * len(pairs),
                ),
            )  # fmt: skip

    def cuts(self) -> None:
        if not self.efficiencies:
            self.collection.lack("Cut efficiencies", "no method has histograms …_effS and …_effB")
            return
        signal, background = DEFAULT_EVENTS
        caption = f"""Shares of test events above the cut (below it where signal has the low response),
            purity and significance S/√(S + B), for {signal:g} signal and {background:g} background events
            before the cut. The triangle is the largest significance; above, other numbers of events can be
            chosen."""
        self.collection.in_pages(
            self.efficiencies, _PANELS, "efficiencies", "cuts", "Cut efficiencies and optimal cut",
            " ".join(caption.split()), lambda part: plot_efficiencies(part, signal, background),
        )  # fmt: skip

    def curves(self) -> None:
        found = []
        for method in self.methods:
            names = (f"MVA_{method.title}_rejBvsS", f"MVA_{method.title}_invBeffvsSeff")
            rejection, inverse = (method.folder.histogram(name) for name in names)
            if rejection is None:
                self.collection.lack("ROC curve", f"{method.title} has no histogram {names[0]}")
                continue
            found.append((float(rejection.values.mean()), method.title, rejection, inverse))
        if not found:
            return
        found.sort(key=lambda entry: -entry[0])
        x_title = "Signal efficiency"
        rejections = {f"{t}: {area:.3f}": (h.centres, h.values) for area, t, h, _ in found}
        self.collection.add(
            "roc", "roc", "Background rejection against signal efficiency",
            "Of the test events, in 100 bins of the signal efficiency; the number is the mean rejection, the "
            "area under the curve but for the bins.",
            plot_curves(rejections, x_title=x_title, y_title="Background rejection 1 − ε$_b$"), wide=False,
        )  # fmt: skip
        inverses = {
            t: (h.centres[h.values > 0], h.values[h.values > 0]) for _, t, _, h in found if h is not None
        }
        if inverses:
            self.collection.add(
                "inverse", "roc", "1/(background efficiency) against signal efficiency",
                "Of the test events; curves end where no background event is left.",
                plot_curves(
                    inverses, x_title=x_title, y_title="1/(background efficiency)", logarithmic=True
                ), wide=False,
            )  # fmt: skip
        else:
            self.collection.lack("1/(background efficiency)", "the file has no …_invBeffvsSeff")

    def densities(self) -> None:
        """Densities of the response, and references of likelihoods."""
        items = []
        for method in self.methods:
            for name in method.folder.names("TH1"):
                if name.endswith("_tr_S"):
                    item = _density(method, name, ("_tr_S", "_tr_B"), self._classes, method.title)
                    items += [item] if item is not None else []
        if not items:
            self.collection.lack("PDFs of classifiers", _WITH_PDFS)
        self.collection.in_pages(
            items, _PANELS, "densities", "densities", "Densities of the response",
            "Training events (points) and the densities made of them (lines), unit area.",
            lambda part: plot_densities(part, self._classes, self._class("S")),
        )  # fmt: skip
        references = []
        likelihoods = [method for method in self.methods if "Likelihood" in method.type_name] or [
            method
            for method in self.methods
            if any(name.endswith("_sig_nice") for name in method.folder.classes)
        ]
        for method in likelihoods:
            several = f"{method.title}: " if len(likelihoods) > 1 else ""
            for name in method.folder.names("TH1"):
                if name.endswith("_sig_nice"):
                    variable = name.removesuffix("_sig_nice")
                    item = _density(method, name, ("_sig", "_bgd"), self._classes, several + variable)
                    references += [item] if item is not None else []
        if not references:
            why = (
                "their directories have no <variable>_sig_nice" if likelihoods else "no likelihood was booked"
            )
            self.collection.lack("Likelihood reference distributions", why)
        self.collection.in_pages(
            references, 2 * _PANELS, "references", "densities", "Reference distributions of the likelihood",
            "Training events (points) and the densities made of them (lines), unit area.",
            lambda part: plot_densities(part, self._classes, self._class("S")),
        )  # fmt: skip


def _efficiencies(method: MethodContent) -> Efficiencies | None:
    signal, background = (method.folder.histogram(f"MVA_{method.title}_eff{side}") for side in "SB")
    if signal is None or background is None or len(signal.values) != len(background.values):
        return None
    return Efficiencies(method.title, signal.centres, signal.values, background.values)


def _density(
    method: MethodContent, name: str, ends: tuple[str, str], classes: tuple[str, ...], title: str
) -> Density | None:
    """Return a histogram of signal, that of background, and the densities made of them."""
    data, densities = {}, {}
    for end, of_class in zip(ends, classes, strict=True):
        own = name.replace(ends[0], end)
        histogram = method.folder.histogram(own)
        if histogram is None:
            return None
        data[of_class] = histogram
        base = own.removesuffix("_nice")
        for kind in (*(f"spline{i}" for i in range(6)), "KDE"):
            density = method.folder.histogram(f"{base}_smoothed_hist_from_{kind}")
            if density is not None:
                densities[of_class] = density
                break
    x_title = title if ends[0] == "_sig" else f"{title} response"
    return Density(title, data, densities, x_title)
