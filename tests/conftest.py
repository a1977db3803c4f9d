"""Settings and small data shared by all tests."""

from __future__ import annotations

import os

# Tests run side by side on few cores: leave the thread pools small, and keep TensorFlow's start-up quiet.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("MPLBACKEND", "Agg")
# OpenMP threads that spin while they wait make LightGBM crawl when the workers are more than the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Exports compile nothing, but where the certificate is what is tested.
os.environ.setdefault("HEPML_ROOT_CERTIFY", "0")
