"""What a generator and its critic fight over: Wasserstein distance with gradient penalty, least squares."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from keras import ops

from hepml_root.errors import SettingError, unknown


@dataclass(frozen=True)
class AdversarialLoss:
    """The base: two numbers for each event, one that the critic makes small, and one that the generator does.

    Scores are what the critic gives, ``(events, 1)``; so are the results, whose mean counts. Several critics
    give a column each, and their losses are added up.

    Arguments
    ---------
    critic_steps
        Steps of the critic before each one of the generator.
    gradient_weight
        Of the penalty on the gradient of the critic; 0: none.

    Raises
    ------
    SettingError
        A setting is out of its range.
    """

    critic_steps: int = 1
    gradient_weight: float = 0.0

    def __post_init__(self) -> None:
        steps = self.critic_steps
        if isinstance(steps, bool) or int(steps) != steps or steps < 1:
            raise SettingError(f"critic_steps={steps!r}: a whole number from 1 is needed.")
        if not 0.0 <= self.gradient_weight < float("inf"):
            raise SettingError(f"gradient_weight={self.gradient_weight}: a number from 0 on is needed.")

    def critic(self, real: Any, fake: Any) -> Any:
        """Return what the critic makes small, from its scores of real and generated events."""
        raise NotImplementedError

    def generator(self, fake: Any) -> Any:
        """Return what the generator makes small, from the scores of its events."""
        raise NotImplementedError

    def penalty(self, norm: Any) -> Any:
        r"""Return :math:`\lambda (|\nabla D| - 1)^2` from the norms of the critic's gradients."""
        return self.gradient_weight * ops.square(norm - 1.0)

    def describe(self) -> dict[str, Any]:
        """Return name and settings, JSON-able."""
        return {"class": type(self).__name__, **asdict(self)}


@dataclass(frozen=True)
class WassersteinGP(AdversarialLoss):
    r"""The Wasserstein distance, by a critic whose slope is held at 1 by a penalty.

    .. math:: W = \max_{|\nabla D| \le 1} \langle D(x) \rangle_{real} - \langle D(x) \rangle_{fake}, \qquad
              L_D = -W + \lambda \langle (|\nabla D(\hat x)| - 1)^2 \rangle, \qquad
              L_G = -\langle D(x) \rangle_{fake}

    at :math:`\hat x` on the straight lines between real and generated events. W is in the units of what the
    critic sees, so it tells how a training goes. The critic has to be near its best for that: five steps of
    it for each one of the generator.

    Arguments
    ---------
    critic_steps, gradient_weight
        As in :class:`AdversarialLoss`.

    Reference: arXiv:1701.07875, arXiv:1704.00028.

    Example
    -------
    >>> import numpy as np
    >>> loss = WassersteinGP()
    >>> float(loss.critic(np.float32(3.0), np.float32(1.0))), float(loss.penalty(np.float32(1.5)))
    (-2.0, 2.5)
    """

    critic_steps: int = 5
    gradient_weight: float = 10.0

    def critic(self, real: Any, fake: Any) -> Any:
        return fake - real

    def generator(self, fake: Any) -> Any:
        return -fake


@dataclass(frozen=True)
class LeastSquares(AdversarialLoss):
    r"""The critic tells 1 from 0, and the generator wants a 1, both by squares.

    .. math:: L_D = \tfrac12 (D(x_{real}) - 1)^2 + \tfrac12 D(x_{fake})^2, \qquad
              L_G = \tfrac12 (D(x_{fake}) - 1)^2

    It goes on to pull at events that the critic has seen through, where cross entropies are flat. A small
    gradient penalty steadies it.

    Arguments
    ---------
    critic_steps, gradient_weight
        As in :class:`AdversarialLoss`.

    Reference: arXiv:1611.04076.

    Example
    -------
    >>> import numpy as np
    >>> float(LeastSquares().critic(np.float32(0.0), np.float32(1.0)))
    1.0
    """

    def critic(self, real: Any, fake: Any) -> Any:
        return 0.5 * ops.square(real - 1.0) + 0.5 * ops.square(fake)

    def generator(self, fake: Any) -> Any:
        return 0.5 * ops.square(fake - 1.0)


ADVERSARIAL: dict[str, type[AdversarialLoss]] = {
    "wasserstein": WassersteinGP,
    "wassersteingp": WassersteinGP,
    "leastsquares": LeastSquares,
}


def adversarial_loss(loss: str | AdversarialLoss) -> AdversarialLoss:
    """Return an adversarial loss from its name, "wasserstein" or "least_squares", or as it is.

    Raises
    ------
    SettingError
        There is none of that name.

    Example
    -------
    >>> adversarial_loss("least_squares")
    LeastSquares(critic_steps=1, gradient_weight=0.0)
    """
    if isinstance(loss, AdversarialLoss):
        return loss
    made = ADVERSARIAL.get(loss.replace("_", "").casefold()) if isinstance(loss, str) else None
    if made is None:
        raise SettingError(unknown("adversarial loss", str(loss), ADVERSARIAL, "Or give an AdversarialLoss."))
    return made()
