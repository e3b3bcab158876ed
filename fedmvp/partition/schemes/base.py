"""What a partition scheme is: a rule that deals the images of one dataset to clients.

A rule sees labels and positions, never files. Every draw comes from the generator it is given, so
the same seed deals the same images whatever else the process draws, and the training seed plays no
part (docs/partition_schemes.md).

Shapes: N training images, M test images, C classes, U clients.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fedmvp.errors import ConfigError
from fedmvp.sections import Section

__all__ = ["Draws", "Pool", "Positions", "Scheme", "Share", "shares"]

Positions = NDArray[np.int64]
"""Positions in a pool's training or test images, ascending unless said otherwise."""

Draws = np.random.Generator | np.random.RandomState
"""numpy's new and old generator have the same methods; published partitions used the old one."""


@dataclass(frozen=True)
class Pool:
    """The images a rule deals: of one dataset, or of one of its domains.

    Parameters
    ----------
    train, test : ndarray of int, shapes [N] and [M]
        Class of each image, 0 to C - 1, in label order. With many labels, the rarest class the
        image shows; images that show none form one more class.
    classes : int
        C; a class need not have images.
    groups : tuple of int
        Superclass of each class, C entries; empty where the dataset has none.
    where : str
        The key that sets the scheme, and the source of the images, for error messages.
    train_labels, test_labels : ndarray of bool, shapes [N, K] and [M, K], optional
        Which classes each image shows, where it may show many.
    """

    train: Positions
    test: Positions
    classes: int
    groups: tuple[int, ...] = ()
    where: str = "pool"
    train_labels: NDArray[np.bool_] | None = None
    test_labels: NDArray[np.bool_] | None = None

    def of_class(self, label: int) -> tuple[Positions, Positions]:
        """Return the positions of a class's training and test images."""
        return np.flatnonzero(self.train == label), np.flatnonzero(self.test == label)

    @property
    def present(self) -> Positions:
        """Classes with training images."""
        return np.unique(self.train)


@dataclass(frozen=True)
class Share:
    """What one client gets.

    Parameters
    ----------
    train : ndarray of int
        Positions of its training images.
    test : ndarray of int or None
        Positions of its own test images; None: all test images of its classes.
    """

    train: Positions
    test: Positions | None


class Scheme(Section):
    """A rule with its parameters: ``partition.scheme`` of params.yaml or of a setting.

    Attributes
    ----------
    per_domain : bool
        Whether every domain is dealt by itself, whatever the setting's ``clients`` says.
    shares_classes : bool
        Whether two clients of a pool may have images of one class.
    """

    per_domain: ClassVar[bool] = False
    shares_classes: ClassVar[bool] = True

    @abstractmethod
    def deal(self, pool: Pool, draw: Draws) -> list[Share]:
        """Return the share of each client, in the clients' order.

        Raises
        ------
        ConfigError
            When the rule cannot be met with this pool; before anything is computed.
        """

    def describe(self) -> str:
        """Return the parameters in words, e.g. ``alpha 0.5, clients 10``."""
        return ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in self.model_dump().items())

    def refusal(self, what: str, pool: Pool, value: object, hint: str) -> ConfigError:
        """Return the error for a rule that cannot be met."""
        return ConfigError(what, where=pool.where, value=value, hint=hint)

    def require_images(self, pool: Pool, needed: int, why: str) -> None:
        """Refuse a pool of fewer training images than `needed`."""
        if len(pool.train) < needed:
            raise self.refusal(
                f"{why} need {needed} training images, but there are {len(pool.train)}",
                pool,
                self.describe(),
                "choose fewer clients, or raise partition.shots",
            )


def shares(
    trains: Sequence[Sequence[int] | Positions], tests: Sequence[Sequence[int] | Positions]
) -> list[Share]:
    """Return shares from positions in any order; they are sorted."""
    return [
        Share(np.sort(np.asarray(train, np.int64)), np.sort(np.asarray(test, np.int64)))
        for train, test in zip(trains, tests, strict=True)
    ]
