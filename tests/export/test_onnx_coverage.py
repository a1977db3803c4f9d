"""Every layer and operation of Keras is either exported or listed here with the reason why it is not."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import keras
import keras.src.ops
import pytest
from keras.src.ops.operation import Operation

from hepml_root.export.onnx import rules

pytestmark = pytest.mark.skipif(
    not keras.__version__.startswith("3.15."), reason="the lists are those of Keras 3.15"
)

OPERATIONS = {
    "mix events, or need a number of events": (
        "AllClose", "Bincount", "Corrcoef", "Correlate", "Diag", "Diagflat", "Full", "Histogram",
        "Kron", "Meshgrid", "Ndim", "Nonzero", "Scatter", "ScatterUpdate", "SegmentMax",
        "SegmentMin", "SegmentProd", "SegmentReduction", "SegmentSum", "Size", "Unique", "Vander",
        "Vdot", "Vsplit", "Vstack",
    ),
    "are control flow": (
        "AssociativeScan", "Cond", "ForiLoop", "Function", "Map", "Operation", "Scan", "Switch",
        "VectorizedMap", "WhileLoop",
    ),
    "have no operator in ONNX, or none that ONNX Runtime has for float32": (
        "Cholesky", "CholeskyInverse", "Cumprod", "Eig", "Eigh", "Gcd", "I0", "Inv", "JVP", "Lcm",
        "Logdet", "Lstsq", "LuFactor", "MatrixRank", "Nancumprod", "Nextafter", "Pinv", "Qr",
        "SVD", "Slogdet", "Solve", "SolveTriangular", "LeftShift", "RightShift",
        "BitwiseLeftShift", "BitwiseRightShift", "Signbit", "Nanargmax", "Nanargmin", "Nancumsum",
        "Nanmedian", "Nanpercentile", "Nanquantile", "Nanstd", "Nanvar", "Percentile", "Quantile",
        "Argpartition", "UnravelIndex", "InTopK",
    ),
    "make constants from values of events": ("Arange", "Geomspace", "Linspace", "Logspace"),
    "are complex numbers or spectra": (
        "Angle", "FFT", "FFT2", "IFFT2", "IRFFT", "ISTFT", "Imag", "Isreal", "Polar", "RFFT",
        "STFT", "ViewAsComplex", "ViewAsReal",
    ),
    "treat pictures": (
        "AffineTransform", "CropImages", "ElasticTransform", "ExtractPatches", "Fold",
        "GaussianBlur", "HSVToRGB", "MapCoordinates", "PSNR", "PadImages", "PerspectiveTransform",
        "RGBToGrayscale", "RGBToHSV", "SSIM", "ScaleAndTranslate", "SobelEdges", "Unfold",
    ),
    "are losses": (
        "BinaryCrossentropy", "CTCDecode", "CTCLoss", "CategoricalCrossentropy",
        "SparseCategoricalCrossentropy",
    ),
    "never see a symbolic tensor": ("Array",),
}  # fmt: skip
LAYERS = {
    "change pictures also in inference": (
        "AugMix", "AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "CutMix",
        "Equalization", "MaxNumBoundingBoxes", "MixUp", "Pipeline", "RandAugment", "RandomCrop",
        "Solarization",
    ),
    "read text, categories or sound": (
        "HashedCrossing", "Hashing", "IntegerLookup", "MelSpectrogram", "STFTSpectrogram",
        "StringLookup", "TextVectorization",
    ),
    "hold a network of another library": ("FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper"),
}  # fmt: skip
# Layers that are expanded into operations; each has a case in test_onnx_*.py.
EXPANDED = {
    "Activation", "Add", "AdditiveAttention", "AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D", "AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D",
    "Attention", "Average", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "BatchNormalization",
    "Concatenate", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "Cropping1D", "Cropping2D",
    "Cropping3D", "Dense", "DepthwiseConv1D", "DepthwiseConv2D", "Dot", "ELU", "EinsumDense", "Embedding",
    "Flatten", "GRUCell", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D", "GroupedQueryAttention", "InputLayer",
    "LSTMCell", "Lambda", "Layer", "LayerNormalization", "LeakyReLU", "Masking", "MaxPooling1D",
    "MaxPooling2D", "MaxPooling3D", "Maximum", "Minimum", "MultiHeadAttention", "Multiply", "Permute",
    "RMSNormalization", "ReLU", "RepeatVector", "Reshape", "ReversibleEmbedding", "SeparableConv1D",
    "SeparableConv2D", "SimpleRNNCell", "SpectralNormalization", "StackedRNNCells", "Subtract",
    "UnitNormalization", "Wrapper", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D",
}  # fmt: skip


def keras_operations() -> set[str]:
    found = set()
    for module in pkgutil.iter_modules(keras.src.ops.__path__):
        if not module.name.endswith("_test"):
            members = vars(importlib.import_module(f"keras.src.ops.{module.name}"))
            found |= {
                name
                for name, member in members.items()
                if inspect.isclass(member)
                and issubclass(member, Operation)
                and member.__module__.endswith(f".{module.name}")
            }
    return found


def test_every_operation_is_exported_or_refused_for_a_reason() -> None:
    operations, _ = rules.covered()
    refused = [name for names in OPERATIONS.values() for name in names]
    assert len(set(refused)) == len(refused)
    assert not set(refused) & set(operations)
    assert keras_operations() - set(operations) == set(refused)


def test_every_layer_is_exported_or_refused_for_a_reason() -> None:
    _, ruled = rules.covered()
    refused = {name for names in LAYERS.values() for name in names}
    found = {
        member.__name__  # AvgPool1D and AveragePooling1D are one class
        for name in dir(keras.layers)
        if inspect.isclass(member := getattr(keras.layers, name)) and issubclass(member, keras.layers.Layer)
    }
    assert not refused & (set(ruled) | EXPANDED)
    assert found == set(ruled) | EXPANDED | refused
