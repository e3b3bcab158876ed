"""FedMVP: multimodal visual prompts made by a federated PromptFormer (arXiv 2504.20860).

Formulas: docs/method.md. Where paper and official code differ, flags choose; ``variant`` sets all.

Shapes: B images, K classes, n bank texts, b patches, m prompts, e joint embedding, d vision width.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from fedmvp.clip.backbone import Backbone
from fedmvp.config import Float, Section
from fedmvp.methods.base import Batch, Loss, Method, MethodParams, RoundLosses
from fedmvp.methods.classes import ClassSet, RaggedFeatures
from fedmvp.methods.fedmvp_texts import bank_features, classifier_weights
from fedmvp.methods.promptformer import Conditioning, PromptFormer, Start
from fedmvp.methods.text_prompts import gaussian

__all__ = ["BUNDLES", "FedMVP", "FedMVPFlags", "FedMVPParams"]

Depth = Literal["all"] | Annotated[int, Field(ge=1)]
Classifier = Literal["per_attribute_mean", "concat", "template", "template_and_attributes"]


class FedMVPFlags(Section):
    """The choices where paper and code differ (docs/method.md#paper-and-official-code)."""

    step_mode: Literal["per_batch", "last_batch"]
    switch_timing: Literal["between_rounds", "before_step"]
    lora_site: Literal["weights", "inputs"]
    lora_init: Literal["zero_up", "gauss"]
    lora_trains_linear: bool
    lora_trigger: Literal["epoch_mean", "last_batch_total"]
    lora_eval: bool
    lora_payload: Literal["lora", "full"]
    attr_bank: Literal["attributes", "sentences", "official", "names", "random"]
    truncate: Literal["tokens77", "chars77"]
    con_view: Literal["per_sample", "batch_flip"]
    classifier: Classifier
    value_norm: bool
    start: Start
    depth: Depth


BUNDLES: dict[str, dict[str, Any]] = {
    "paper": {
        "step_mode": "per_batch",
        "switch_timing": "between_rounds",
        "lora_site": "weights",
        "lora_init": "zero_up",
        "lora_trains_linear": False,
        "lora_trigger": "epoch_mean",
        "lora_eval": True,
        "lora_payload": "lora",
        "attr_bank": "attributes",
        "truncate": "tokens77",
        "con_view": "per_sample",
        "classifier": "per_attribute_mean",
        "value_norm": False,
        "start": "random",
        "depth": 1,
    },
    "official-code": {
        "step_mode": "last_batch",
        "switch_timing": "before_step",
        "lora_site": "inputs",
        "lora_init": "gauss",
        "lora_trains_linear": True,
        "lora_trigger": "last_batch_total",
        "lora_eval": False,
        "lora_payload": "full",
        "attr_bank": "official",
        "truncate": "chars77",
        "con_view": "batch_flip",
        "classifier": "per_attribute_mean",
        "value_norm": False,
        "start": "random",
        "depth": 1,
    },
}
"""The flags of each variant (docs/method.md#paper-and-official-code)."""

_FEDERATION: dict[str, dict[str, Any]] = {
    "paper": {},
    "official-code": {
        "weighting": "uniform",
        "aggregation_dtype": "float16",
        "client_state": "persistent",
    },
}


class FedMVPParams(MethodParams):
    """``methods.fedmvp`` of params.yaml; a flag left null is taken from the variant."""

    variant: Literal["paper", "official-code"] = "paper"
    n_prompts: int = Field(default=4, ge=1, le=1024, description="m, visual prompts.")
    heads: int = Field(default=4, ge=1, description="Heads of the cross-attention.")
    rank: int = Field(default=8, ge=1, description="r of LoRA.")
    consistency_weight: Float = Field(
        default=10.0, ge=0, description="alpha of the consistency loss; 0 skips it."
    )
    attributes_weight: Float = Field(
        default=0.5, ge=0, description="w of the sentences in `template_and_attributes`."
    )
    switch_loss: Float | None = Field(
        default=0.5,
        description="sigma: a client whose loss falls below it trains LoRA; null: never.",
    )
    conditioning: Conditioning = "multimodal"
    start: Start | None = Field(
        default=None,
        description="`random`: the paper's. `patches`: prompts start as the pooled patches (ours).",
    )
    depth: Depth | None = Field(
        default=None,
        description="D, blocks with prompts: 1 in the paper; more, or `all`, are ours.",
    )
    step_mode: Literal["per_batch", "last_batch"] | None = None
    switch_timing: Literal["between_rounds", "before_step"] | None = None
    lora_site: Literal["weights", "inputs"] | None = None
    lora_init: Literal["zero_up", "gauss"] | None = None
    lora_trains_linear: bool | None = None
    lora_trigger: Literal["epoch_mean", "last_batch_total"] | None = None
    lora_eval: bool | None = None
    lora_payload: Literal["lora", "full"] | None = None
    attr_bank: Literal["attributes", "sentences", "official", "names", "random"] | None = None
    truncate: Literal["tokens77", "chars77"] | None = None
    con_view: Literal["per_sample", "batch_flip"] | None = None
    classifier: Classifier | None = None
    value_norm: bool | None = None

    @property
    def flags(self) -> FedMVPFlags:
        """The variant's flags, replaced by those that are set alone."""
        own = {name: getattr(self, name) for name in FedMVPFlags.model_fields}
        chosen = {name: value for name, value in own.items() if value is not None}
        return FedMVPFlags(**{**BUNDLES[self.variant], **chosen})

    def federation_overrides(self) -> dict[str, Any]:
        """Return the federation entries the variant and the section override."""
        return {**_FEDERATION[self.variant], **self.federation}

    def resolved(self) -> dict[str, Any]:
        """Return the section as it is logged, with every flag filled in."""
        return {**self.model_dump(mode="json"), **self.flags.model_dump(mode="json")}


class FedMVP(Method):
    """PromptFormer prompts for the frozen image tower; phase 2 trains LoRA only."""

    Params: ClassVar[type[MethodParams]] = FedMVPParams
    first_phase: ClassVar[str] = "promptformer"
    phases: ClassVar[tuple[str, ...]] = ("promptformer", "lora")
    fine_tuning_phase: ClassVar[str] = "fine_tuning"
    params: FedMVPParams

    def __init__(self, backbone: Backbone, params: FedMVPParams, seed: int) -> None:
        super().__init__(backbone, params, seed)
        flags = self.flags = params.flags
        self.last_batch_only = flags.step_mode == "last_batch"
        self.switch_before_step = flags.switch_timing == "before_step"
        spec = backbone.spec
        self.promptformer = PromptFormer(
            width=spec.vision.width,
            embed_dim=spec.embed_dim,
            prompts=params.n_prompts,
            heads=params.heads,
            rank=params.rank,
            value_norm=flags.value_norm,
            lora_on_inputs=flags.lora_site == "inputs",
            lora_zero_up=flags.lora_init == "zero_up",
            conditioning=params.conditioning,
            start=flags.start,
            generator=self.generator("promptformer"),
            shortcuts=backbone.shortcuts,
            linear=backbone.linear,
        )
        self.depth = spec.vision.layers if flags.depth == "all" else flags.depth
        if self.depth > spec.vision.layers:
            raise ValueError(
                f"depth {self.depth} is more than the image tower's {spec.vision.layers} blocks"
            )
        if self.depth > 1:
            shape = self.depth - 1, params.n_prompts, spec.vision.width
            self.deep = gaussian(*shape, generator=self.generator("deep"))

    def _names(self, part: str) -> list[str]:
        """Return the tensor names of θ ("promptformer"), of LoRA or of the bank projection."""
        names = list(self.tensors())
        lora = [name for name in names if name.startswith("promptformer.lora.")]
        return {
            "promptformer": [name for name in names if name not in lora],
            "lora": lora,
            "bank": [name for name in names if name.startswith("promptformer.bank.")],
        }[part]

    @property
    def _switch_loss(self) -> float | None:
        """σ; None with many labels: σ is meant for cross-entropy, whose scale differs."""
        return None if self.head.many_labels else self.params.switch_loss

    @property
    def _evaluates_lora(self) -> bool:
        return self.flags.lora_eval and self._switch_loss is not None

    def trainable(self, phase: str) -> list[str]:
        """Phase 1: all but LoRA. Phase 2: LoRA (and the bank projection, in the official code).

        Fine-tuning trains all that evaluation uses, including LoRA if it is used.
        """
        if phase == "fine_tuning" and self._evaluates_lora:
            return list(self.tensors())
        if phase in ("fine_tuning", "promptformer"):
            return self._names("promptformer")
        return self._names("lora") + (self._names("bank") if self.flags.lora_trains_linear else [])

    def communicated(self, phase: str) -> list[str]:
        """Return what the phase trains; everything in the official code."""
        whole = self.flags.lora_payload == "full"
        return list(self.tensors()) if whole else self.trainable(phase)

    def downloaded(self, phase: str) -> list[str]:
        """Return the PromptFormer, and LoRA if used; everything in the official code."""
        whole = self.flags.lora_payload == "full" or phase == "lora"
        return list(self.tensors()) if whole else self._names("promptformer")

    def enter(self, phase: str | None) -> None:
        """Use LoRA in its phase, and at the server if ``lora_eval`` says so and it is trained."""
        evaluating = phase in (None, "fine_tuning")
        self.promptformer.use_lora = self._evaluates_lora if evaluating else phase == "lora"

    def next_phase(self, phase: str, local: RoundLosses) -> str:
        """Change to LoRA permanently once the loss is below sigma (docs/method.md#phases)."""
        if phase in ("lora", "fine_tuning") or self._switch_loss is None:
            return phase
        by_epoch = self.flags.lora_trigger == "epoch_mean"
        loss = local.first_epoch_loss if by_epoch else local.last_batch_loss
        return "lora" if loss < self._switch_loss else phase

    def _bank(self, classes: ClassSet) -> RaggedFeatures:
        attended = classes.attended or classes
        return bank_features(attended, self.flags.attr_bank, self.flags.truncate, self.seed)

    def prompts(self, images: Tensor, classes: ClassSet) -> Tensor:
        """Return the visual prompts of the first block, [B, 3, S, S] → [B or 1, m, d]."""
        patches = self.backbone.vision.embed(images)[:, 1:]
        prompts: Tensor = self.promptformer(patches, self._bank(classes).values)
        return prompts

    def _prompted(self, images: Tensor, classes: ClassSet) -> Tensor:
        """Return normalised prompted features v, [B, 3, S, S] → [B, e]."""
        with self.backbone.autocast():
            embedded = self.backbone.vision.embed(images)
            patches = embedded[:, 1:]
            made = self.promptformer.make(patches, self._bank(classes).values)
            # Before each further block the prompt tokens are replaced, as in deep VPT.
            deep = {block: made + self.deep[block - 1] for block in range(1, self.depth)}
            prompts = self.promptformer.begin(made, patches)
            features = self.backbone.vision(embedded, prompts, deep=deep)
        return F.normalize(features.float(), dim=-1)

    def _classify(self, features: Tensor, classes: ClassSet) -> Tensor:
        weights = classifier_weights(
            classes, self.flags.classifier, self.flags.truncate, self.params.attributes_weight
        )
        return self.backbone.scale * features @ self.head.texts(weights, classes).T

    def logits(self, images: Tensor, classes: ClassSet) -> Tensor:
        """Return class scores (docs/method.md#classifier), [B, 3, S, S] → [B, K]."""
        return self._classify(self._prompted(images, classes), classes)

    def loss(self, batch: Batch, classes: ClassSet) -> Loss:
        """Return L_ce + alpha · L_con, L_con = 1 - mean cos(v, v0) (docs/method.md#losses)."""
        features = self._prompted(batch.images, classes)
        logits = self._classify(features, classes)
        classification = self.head.loss(logits, batch.labels)
        if self.params.consistency_weight == 0:
            return Loss(classification, logits, {"loss_ce": classification})
        count = 1 if self.flags.con_view == "batch_flip" else len(features)
        flips = self.head.flips(count, batch.generator)
        target = batch.frozen(flips.expand(len(features)))
        consistency = 1 - (features * target).sum(dim=-1).mean()
        total = classification + self.params.consistency_weight * consistency
        return Loss(total, logits, {"loss_ce": classification, "loss_con": consistency})

    @torch.no_grad()
    def explain(self, images: Tensor, classes: ClassSet) -> Tensor | None:
        """Return how much each patch attends to each attribute, [B, b, n]; None without any."""
        if self.flags.attr_bank in ("names", "random"):
            return None
        embedded = self.backbone.vision.embed(images)
        return self.promptformer.weights(embedded[:, 1:], self._bank(classes).values)
