"""Keras callbacks inside our own training loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from hepml_root.errors import SettingError

_BATCH_HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")


class EpochCallbacks:
    """Calls the epoch and training hooks of Keras callbacks.

    Raises
    ------
    SettingError
        Something is no Keras callback, or needs single batches, which run inside one compiled function.
    """

    def __init__(self, callbacks: Sequence[Any], model: keras.Model) -> None:
        self.callbacks = list(callbacks)
        self.model = model
        for callback in self.callbacks:
            if not isinstance(callback, keras.callbacks.Callback):
                raise SettingError(f"a callback is a keras.callbacks.Callback, not {callback!r}.")
            for hook in _BATCH_HOOKS:
                if getattr(type(callback), hook) is not getattr(keras.callbacks.Callback, hook):
                    raise SettingError(
                        f"the callback {type(callback).__name__} works on single batches ({hook}), "
                        "which run inside one compiled function here. Use keras.Model.fit for it."
                    )
            callback.set_model(model)

    def begin(self) -> None:
        """The training begins."""
        self.model.stop_training = False
        for callback in self.callbacks:
            callback.on_train_begin()

    def epoch_begin(self, epoch: int) -> None:
        """An epoch begins."""
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch)

    def epoch_end(self, epoch: int, metrics: dict[str, float]) -> bool:
        """An epoch is done; return whether a callback asks to stop."""
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, dict(metrics))
        return bool(self.callbacks) and bool(getattr(self.model, "stop_training", False))

    def end(self) -> None:
        """The training is over."""
        for callback in self.callbacks:
            callback.on_train_end()
