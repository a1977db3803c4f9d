"""Likelihoods of independent variables (Likelihood): one density for each variable and class.

    y = p_S / (p_S + p_B),  p_C = Πᵢ f_C,i(xᵢ)

The densities are histograms of the training events that are smoothed and interpolated, or sums of Gaussian
kernels (``weights/pdf``). Correlations between the variables are not seen: VarTransform=D or P
takes the linear ones out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import EmptySelectionError, SettingError
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet, Sample
from hepml_root.tmva.methods.method import Booking, Method, Trained, positive_part, ranked
from hepml_root.tmva.options.classical import LIKELIHOOD
from hepml_root.tmva.weights.kernels import ADAPTIVE, MIRROR, NO_TREATMENT, NONADAPTIVE, RENORM, Kernels
from hepml_root.tmva.weights.likelihood import Likelihood
from hepml_root.tmva.weights.pdf import INTERPOLATIONS, Histogram, Pdf, make_pdf, pdf_values

_SUFFIXES = ("Sig", "Bkg")
_FINER = 5  # bins of a histogram for kernels, in place of one
_ITERATIONS = {"Nonadaptive": NONADAPTIVE, "Adaptive": ADAPTIVE}
_BORDERS = {"None": NO_TREATMENT, "Renorm": RENORM, "Mirror": MIRROR}
_SEPARATION_BINS = 80
_LEFT_OUT = 0.01  # part of the events that is worth a warning


class ProjectiveLikelihood(Method):
    """TMVA's kLikelihood; see the module for its formula."""

    type_name = "Likelihood"
    own_options = LIKELIHOOD
    transforms_by_class = True
    summary = "Likelihood of independent variables"
    ranked_by = "Delta Separation"
    help = """The likelihood ratio of densities that are estimated for each variable on its own.
It is the best there is if the variables are independent; with VarTransform=D or P linear correlations go.
Look at the densities in the output file: NSmooth and NAvEvtPerBin (for single variables NSmoothSig[0] and
so on) should leave no fluctuations, and no structure flattened. PDFInterpol=KDE takes Gaussian kernels.
TransformOutput spreads a response that crowds at 0 and 1."""

    def __init__(self, booking: Booking) -> None:
        super().__init__(booking)
        least, most = int(self.options["MinNSmooth"]), int(self.options["MaxNSmooth"])
        if 0 <= most < least:
            raise SettingError(f"'{booking.title}': MaxNSmooth={most} is less than MinNSmooth={least}.")

    def train(self, data: DataSet, console: Console) -> Trained:
        """Return the densities; there is nothing random."""
        events = positive_part(data, self.options)
        signal = events.classes == data.signal
        counts = [int(mask.sum()) for mask in (signal, ~signal)]
        if not min(counts):
            raise EmptySelectionError(
                f"'{self.booking.title}': {counts[0]} events of the signal and {counts[1]} of the background "
                "for training."
            )
        console.line("Filling reference histograms")
        densities = []
        for i in range(len(data.variables)):
            methods = {str(self._of("PDFInterpol", i, suffix)) for suffix in _SUFFIXES}
            if len(methods) > 1 and "Spline0" in methods:
                raise SettingError(
                    f"'{self.booking.title}': variable {i} ('{data.variables[i].label}') is interpolated for "
                    f"one class and not for the other ({', '.join(sorted(methods))}). Give both the same "
                    "PDFInterpol."
                )
            both = [
                self._density(data, events, mask, i, suffix, min(counts), console)
                for mask, suffix in zip((signal, ~signal), _SUFFIXES, strict=True)
            ]
            densities.append((both[0], both[1]))
        console.line("Building PDF out of reference histograms")
        self._ranking = None
        if str(self.options["VarTransform"]) in ("None", "I"):
            self._ranking = ranked(data.labels, _separation_lost(densities, events, signal))
        return Trained(Likelihood(tuple(densities), bool(self.options["TransformOutput"])))

    def ranking(self) -> list[tuple[str, float]] | None:
        return getattr(self, "_ranking", None)

    def _of(self, name: str, variable: int, suffix: str) -> object:
        """Return an option for one density: its own value, or that of all."""
        own = self.options.at(name + suffix, variable)
        unset = {option.name: option.default for option in self.own_options}[name + suffix]
        return self.options[name] if own == unset else own

    def _density(
        self,
        data: DataSet,
        events: Sample,
        mask: NDArray[np.bool_],
        i: int,
        suffix: str,
        smallest: int,
        console: Console,
    ) -> Pdf:
        name = data.variables[i].label
        which = "signal" if suffix == "Sig" else "background"

        def error(text: str) -> SettingError:
            return SettingError(
                f"'{self.booking.title}', the density of '{name}' for the {which}: {text} It can be changed "
                f"with NAvEvtPerBin{suffix}[{i}], PDFInterpol{suffix}[{i}] and NSmooth{suffix}[{i}]."
            )

        method = str(self._of("PDFInterpol", i, suffix))
        low, high = float(events.variables[:, i].min()), float(events.variables[:, i].max())
        if not low < high:
            raise error(f"it is {low:g} in all training events.")
        if data.variables[i].kind == "I":
            # Transformed ones are no integers any more: the first bin begins below all of them.
            low, high = np.floor(low), round(high + 1)
            bins = int(high - low)
        else:
            bins = self._bins(i, suffix, smallest, method == "KDE", error)
        values, weights = events.variables[mask, i].astype(np.float64), events.weights[mask]
        places = np.minimum(np.floor(bins * (values - low) / (high - low)), bins - 1).astype(np.int64)
        contents = np.bincount(places, weights.astype(np.float32).astype(np.float64), bins)
        if not contents.sum() > 0:
            raise error(f"its events have the sum of weights {contents.sum():g}.")
        if self._of("CheckHist", i, suffix) and (contents == 0).mean() > 0.5:
            console.warning(
                f"{(contents == 0).mean():.0%} of the bins of '{name}' are empty for the {which}."
            )
        if method == "KDE" and contents[-1] > _LEFT_OUT * contents.sum():
            console.warning(
                f"TMVA's kernels leave out the last bin, which has {contents[-1] / contents.sum():.0%} of "
                f"the {which} in '{name}': take PDFInterpol{suffix}[{i}]=Spline0 for discrete variables."
            )
        smoothings = int(str(self._of("NSmooth", i, suffix)))
        least, most = (int(str(self._of(f"{end}NSmooth", i, suffix))) for end in ("Min", "Max"))
        if least < 0 or most < 0:
            least = most = max(smoothings, 0)
        kernels = Kernels(
            1, _ITERATIONS[str(self._of("KDEiter", i, suffix))],
            _BORDERS[str(self._of("KDEborder", i, suffix))],
            float(str(self._of("KDEFineFactor", i, suffix))),
        )  # fmt: skip
        label = "sig" if suffix == "Sig" else "bgd"
        histogram = Histogram(
            f"{self.booking.title} PDF {suffix}[{i}]", f"{name}_{label}_original",
            np.linspace(low, high, bins + 1), contents.astype(np.float32), True,
            INTERPOLATIONS.index(method), (least, most), kernels,
        )  # fmt: skip
        return make_pdf(histogram, True, error)

    def _bins(
        self, i: int, suffix: str, smallest: int, kernels: bool, error: Callable[[str], SettingError]
    ) -> int:
        factor = _FINER if kernels else 1
        given = int(str(self._of("Nbins", i, suffix)))
        if given > 0:
            return given * factor
        mean = int(str(self._of("NAvEvtPerBin", i, suffix)))
        if mean < 1:
            raise error(f"NAvEvtPerBin={mean}.")
        bins = smallest // mean * factor
        if bins < 1:
            raise error(f"{smallest} events do not fill one bin of {mean}.")
        return bins


def _separation_lost(
    densities: list[tuple[Pdf, Pdf]], events: Sample, signal: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return by how much the separation falls when one variable is left out."""
    logarithms = np.stack(
        [
            np.log(pdf_values(pdfs[0], np.clip(events.variables[:, i], pdfs[0].low, pdfs[0].high)))
            - np.log(pdf_values(pdfs[1], np.clip(events.variables[:, i], pdfs[1].low, pdfs[1].high)))
            for i, pdfs in enumerate(densities)
        ],
        axis=1,
    )

    def separation(total: NDArray[np.float64]) -> float:
        response = 1.0 / (1.0 + np.exp(-np.clip(total, -500.0, 500.0)))
        shares = []
        for mask in (signal, ~signal):
            counts = np.histogram(response[mask], _SEPARATION_BINS, (0.0, 1.0), weights=events.weights[mask])[
                0
            ]
            shares.append(counts / counts.sum())
        both = shares[0] + shares[1]
        difference = (shares[0] - shares[1]) ** 2
        return 0.5 * float(np.divide(difference, both, out=np.zeros_like(both), where=both > 0).sum())

    everything = logarithms.sum(axis=1)
    whole = separation(everything)
    return np.array([whole - separation(everything - column) for column in logarithms.T])
