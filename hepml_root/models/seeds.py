"""Initial weights that are a function of a seed alone, whatever layers a model is made of."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Build a model inside: its initial weights and its dropout follow from ``seed``; None: different each
    time.

    Keras draws the seed of every initialiser and dropout layer that has none from Python's ``random``, whose
    state is set here and given back afterwards. Layers must be built inside, as they are when called on
    symbolic tensors.

    Example
    -------
    >>> import keras
    >>> def kernel():
    ...     with seeded(3):
    ...         return keras.layers.Dense(2)(keras.Input((1,)))._keras_history.operation.kernel.numpy()
    >>> bool((kernel() == kernel()).all())
    True
    """
    if seed is None:
        yield
        return
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
