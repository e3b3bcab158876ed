"""What a method is: a small module over a shared frozen backbone.

The round loop and the evaluation know only this interface. A method has phases (FedMVP: the
PromptFormer, then LoRA; most have one); a phase says which tensors a client trains and which it
sends.

Shapes: B images, K classes, e joint embedding.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from fedmvp.clip.backbone import Backbone
from fedmvp.config import Section
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.heads import Head, SoftmaxHead
from fedmvp.methods.server import MethodServer
from fedmvp.seeds import torch_generator

__all__ = ["Batch", "Loss", "Method", "MethodParams", "RoundLosses"]


class MethodParams(Section):
    """Base of a method's section in params.yaml."""

    federation: dict[str, Any] = Field(
        default_factory=dict,
        description="Entries of the federation section this method overrides.",
    )

    def federation_overrides(self) -> dict[str, Any]:
        """Return the entries of the federation section this method overrides."""
        return self.federation

    def resolved(self) -> dict[str, Any]:
        """Return the section as it is logged, with every choice filled in."""
        return self.model_dump(mode="json")


@dataclass(frozen=True)
class Batch:
    """Training images of one client.

    A head with several views of an image puts them all into the batch; B is then the number of
    views, except in `labels`, where it is the number of images.

    Parameters
    ----------
    images : Tensor of shape [B, 3, S, S]
        Normalised, not augmented.
    labels : Tensor of shape [B] or [B, K]
        Positions in the client's class set; with many labels, 1 (shown), 0 (not shown) or
        -1 (unknown).
    frozen : callable
        Maps a boolean flip mask [B] to the frozen features, without prompts, of the (flipped)
        images, [B, e]; each view is computed once per client and kept.
    generator : torch.Generator
        For random draws of this batch (CPU).
    """

    images: Tensor
    labels: Tensor
    frozen: Callable[[Tensor], Tensor]
    generator: torch.Generator


@dataclass(frozen=True)
class Loss:
    """A training loss: the scalar to minimise, its named parts, and the scores [B, K]."""

    total: Tensor
    logits: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class RoundLosses:
    """A client's losses in one round, which decide about its phase.

    Parameters
    ----------
    first_epoch_loss : float
        Mean total loss over the first local epoch.
    last_batch_loss : float
        Total loss of the last batch.
    """

    first_epoch_loss: float
    last_batch_loss: float


class Method(nn.Module):
    """Base class of methods.

    Parameters
    ----------
    backbone : Backbone
        Shared and frozen; not part of the method's state.
    params : MethodParams
        The validated section of params.yaml.
    seed : int
        Seed of the initial parameters.
    """

    Params: ClassVar[type[MethodParams]] = MethodParams
    trained: ClassVar[bool] = True
    first_phase: ClassVar[str] = "all"
    #: The phases in which a client of a federation may be.
    phases: ClassVar[tuple[str, ...]] = ("all",)
    #: Whether a client classifies with tensors it never sends (`ClientState.personal`).
    personal: ClassVar[bool] = False
    #: Whether clients are sent other clients' tensors as they are, not only averages.
    forwards_updates: ClassVar[bool] = False

    #: The phase in which a client fine-tunes the last global model; None: the first.
    fine_tuning_phase: ClassVar[str | None] = None

    #: Whether its loss has a form for images of many labels.
    many_labels: ClassVar[bool] = True
    #: Whether scores are s · cos of an image feature and one text feature per class.
    one_text: ClassVar[bool] = True

    #: Whether only an epoch's last batch takes a step (docs/method.md#difference-step-mode).
    last_batch_only: bool = False
    #: Whether a change of phase also applies to the step of the loss that caused it
    #: (docs/method.md#difference-switch-timing).
    switch_before_step: bool = False

    def __init__(self, backbone: Backbone, params: MethodParams, seed: int) -> None:
        super().__init__()
        # In a tuple, so that nn.Module does not register the backbone as part of the method.
        self._backbone = (backbone,)
        self.params = params
        self.seed = seed
        self.head: Head = SoftmaxHead()

    @property
    def backbone(self) -> Backbone:
        """The shared frozen CLIP."""
        return self._backbone[0]

    def generator(self, purpose: str) -> torch.Generator:
        """Return the generator of this method's initial values."""
        return torch_generator(self.seed, f"initialise/{purpose}")

    @abstractmethod
    def logits(self, images: Tensor, classes: ClassSet) -> Tensor:
        """Return class scores of normalised images, [B, 3, S, S] → [B, K]."""

    def loss(self, batch: Batch, classes: ClassSet) -> Loss:
        """Return the training loss; by default the head's over the client's classes."""
        logits = self.logits(batch.images, classes)
        loss = self.head.loss(logits, batch.labels)
        return Loss(loss, logits, {"loss_ce": loss})

    def tensors(self) -> dict[str, nn.Parameter]:
        """Return every learned tensor the server keeps, by name, in a fixed order."""
        return dict(self.named_parameters())

    def trainable(self, phase: str) -> list[str]:
        """Return the names of the tensors a client in `phase` trains."""
        return list(self.tensors())

    def communicated(self, phase: str) -> list[str]:
        """Return the names of the tensors a client in `phase` sends."""
        return self.trainable(phase)

    def downloaded(self, phase: str) -> list[str]:
        """Return the names of the tensors the server sends to a client in `phase`.

        By default every tensor that any phase sends: a client needs the whole global model.
        """
        return self.communicated(phase)

    def kept(self, phase: str) -> list[str]:
        """Return the names of the tensors a client keeps after training in `phase`.

        By default those it trains and does not send. Together with the global tensors, which they
        replace, they are the client's own model; a kept tensor that is also downloaded is used when
        this model is evaluated, not in training.
        """
        sent = set(self.communicated(phase))
        return [name for name in self.trainable(phase) if name not in sent]

    def rearranged(
        self, received: Mapping[str, Tensor], generator: torch.Generator, round_index: int
    ) -> dict[str, str]:
        """Return which tensors exchange places after a client has trained.

        This is a permutation, name → name whose value it takes, for clients that choose what they
        send: the names that are sent are always the same.

        Parameters
        ----------
        received : mapping of str to Tensor
            The tensors the client downloaded.
        generator : torch.Generator
            For random draws of this client and round (CPU).
        round_index : int
            From 0.
        """
        return {}

    def server(self, rounds: int) -> MethodServer:
        """Return the method's server-side part for a federation with `rounds` rounds."""
        return MethodServer()

    def enter(self, phase: str | None) -> None:
        """Prepare to compute as a client in `phase` or, for None, as the server that evaluates."""

    def next_phase(self, phase: str, local: RoundLosses) -> str:
        """Return a client's next phase, given its losses in this round."""
        return phase

    def explain(self, images: Tensor, classes: ClassSet) -> Tensor | None:
        """Return how much each patch attends to each attribute, [B, b, n]; None if none does."""
        return None

    def prompts(self, images: Tensor, classes: ClassSet) -> Tensor | None:
        """Return the visual prompts of the images, [B, m, d]; None without per-image prompts."""
        return None
