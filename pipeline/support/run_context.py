"""What train, evaluate and zero_shot work with: params, backbone, texts, images, identity."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from fedmvp.clip.backbone import Backbone, load_backbone
from fedmvp.config import FederationParams, Params, load_params
from fedmvp.data.image_source import ImageSource
from fedmvp.data.manifest import Manifest
from fedmvp.data.manifest_files import load_manifest
from fedmvp.files import sha256_file, sha256_json
from fedmvp.methods.banks import TextBanks
from fedmvp.methods.base import Method, MethodParams
from fedmvp.methods.build import build_method, method_params, resolved_federation
from fedmvp.multilabel_config import MultiLabelParams
from fedmvp.partition.model import Partition
from fedmvp.partition.partition_files import load_partition
from fedmvp.paths import ATTRIBUTES, BACKBONE, manifest_path, partition_path, scratch_root
from pipeline.support.resources import decoded_bytes, memory_bytes, tell_resources

__all__ = ["RunContext", "scratch_folder"]

_SCHEMA = 1  # of weights.safetensors, rounds.csv and the checkpoints


def scratch_folder(fingerprint: str) -> Path:
    """Return the checkpoint folder of a run: its fingerprint and the code that is running."""
    files = sorted(
        Path(file)
        for name, module in sys.modules.items()
        if name.split(".")[0] in ("fedmvp", "pipeline")
        and (file := getattr(module, "__file__", None))
    )
    code = sha256_json([sha256_file(path) for path in files])
    return scratch_root() / f"{fingerprint[:24]}-{code[:8]}"


@dataclass(frozen=True)
class RunContext:
    """Everything one (setting, method) works with; parts are loaded when first used."""

    setting: str
    method: str
    device: str | None = None  # the first of FEDMVP_DEVICE

    @cached_property
    def params(self) -> Params:
        """params.yaml."""
        return load_params()

    @cached_property
    def section(self) -> MethodParams:
        """The method's own section, validated before anything is computed."""
        return method_params(self.method, self.params.methods.get(self.method, {}))

    @cached_property
    def federation(self) -> FederationParams:
        """The federation section with the setting's and the method's overrides."""
        return resolved_federation(
            self.method, self.section, self.params.federation, self.partition.participation
        )

    @cached_property
    def partition(self) -> Partition:
        """Clients and targets."""
        return load_partition(partition_path(self.setting))

    @cached_property
    def manifests(self) -> dict[str, Manifest]:
        """Images of every dataset of the partition."""
        return {name: load_manifest(manifest_path(name)) for name in self.partition.datasets}

    @cached_property
    def backbone(self) -> Backbone:
        """The frozen CLIP, on the device."""
        from fedmvp.devices import prepare_device

        device = prepare_device(self.device)
        return load_backbone(
            BACKBONE,
            precision=self.params.backbone.precision,
            linear=self.params.backbone.linear,
            device=device,
        )

    @cached_property
    def banks(self) -> TextBanks:
        """Texts of every dataset."""
        return TextBanks(self.backbone, ATTRIBUTES, self.manifests)

    def create(self, seed: int) -> Method:
        """Return the method with its initial tensors."""
        return build_method(self.method, self.backbone, self.section, seed, self.multilabel)

    @cached_property
    def multilabel(self) -> MultiLabelParams | None:
        """The head of images that show many classes; None where they show one."""
        return self.params.multilabel if self.partition.task == "multi" else None

    @property
    def image_size(self) -> int:
        """Side of the square that images are loaded at, in pixels."""
        grid = 1 if self.multilabel is None else self.multilabel.grid
        return grid * self.backbone.spec.vision.image_size

    @cached_property
    def train_images(self) -> ImageSource:
        """Training images; asking it for a test image is an error."""
        return self._images(self.partition.train_split)

    @cached_property
    def test_images(self) -> ImageSource:
        """Test images; asking it for a training image is an error."""
        return self._images(self.partition.test_split)

    def _images(self, split: Literal["train", "test", "all"]) -> ImageSource:
        return ImageSource(self.manifests, self.image_size, split)

    def tell_resources(self, batch: int, *, training: bool) -> None:
        """Print how much memory and disk this stage will need."""
        spec = self.backbone.spec
        weights = (BACKBONE / "weights.safetensors").stat().st_size
        half = self.params.backbone.precision != "fp32"
        tell_resources(
            f"{self.setting} {self.method}",
            decoded_bytes(
                self.partition.clients if training else self.partition.targets,
                self.image_size,
            ),
            memory_bytes(spec, weights, batch, training=training, half=half),
        )

    def identity(self, seed: int, *, trained: bool) -> dict[str, Any]:
        """Return run.json: what determines the result, and its hash."""
        inputs = [
            BACKBONE / "spec.json",
            partition_path(self.setting),
            *(ATTRIBUTES / f"{name}.json" for name in sorted(self.partition.datasets)),
            *(manifest_path(name) for name in sorted(self.partition.datasets)),
        ]
        params: dict[str, Any] = {
            "suite": self.params.run.suite,
            "backbone": self.params.backbone.model_dump(mode="json"),
            "data": {
                "split_seed": self.params.data.split_seed,
                "capture": self.params.data.capture,
            },
            # The rule for texts that CLIP cuts off decides whether there is a result, not which.
            "attributes": self.params.attributes.model_dump(mode="json", exclude={"long_texts"}),
            # Without entries at their defaults: a new entry must not change every fingerprint.
            "partition": self.params.partition.model_dump(mode="json", exclude_defaults=True),
            "method": self.section.resolved(),
        }
        if self.multilabel is not None:
            section = self.multilabel.model_dump(mode="json")
            later = {"bank": "candidates", "best_on_test": False}
            params["multilabel"] = {k: v for k, v in section.items() if later.get(k) != v}
        if trained:
            # The same applies to these.
            usual = set()
            if self.federation.kept_rounds == 1:
                usual.add("kept_rounds")
            if self.federation.shuffle:
                usual.add("shuffle")
            params["federation"] = self.federation.model_dump(mode="json", exclude=usual)
        content = {
            "schema": _SCHEMA,
            "setting": self.setting,
            "method": self.method,
            "seed": seed,
            "params": params,
            "inputs": {path.as_posix(): sha256_file(path) for path in sorted(inputs)},
        }
        return {"fingerprint": sha256_json(content), **content}
