"""The sections of params.yaml: every parameter with its meaning, unit and permitted range.

The file is the only source of defaults a run uses; nothing in the code asks which profile it is.
Sections of ``methods`` are validated by the method they belong to (`fedmvp.methods`), so a new
method brings its own section.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from fedmvp.attributes.config import AttributeParams
from fedmvp.errors import ConfigError
from fedmvp.multilabel_config import MultiLabelParams
from fedmvp.partition_config import AnnotationParams, PartitionParams, SchemeValue
from fedmvp.sections import Float, Section, parse_section
from fedmvp.yaml_files import load_yaml

__all__ = [
    "AnnotationParams",
    "BackboneParams",
    "DataParams",
    "EvaluationParams",
    "FederationParams",
    "Float",
    "MultiLabelParams",
    "Params",
    "PartitionParams",
    "RunParams",
    "SchemeValue",
    "Section",
    "load_params",
    "parse_section",
]

# Names become parts of paths and of commands, so only these characters are permitted.
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$", max_length=60)]
HyphenName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]


"""``partition.scheme``; `fedmvp.partition.schemes` reads the entries."""


class RunParams(Section):
    """The runs in dvc.yaml: settings x methods x seeds."""

    suite: Name = Field(description="Folder of fedmvp/partition/settings they are from.")
    settings: tuple[Name, ...] = Field(min_length=1)
    zero_shot: tuple[Name, ...] = Field(description="Methods without training.")
    trained: tuple[Name, ...] = Field(description="Methods trained by the federation.")
    seeds: tuple[Annotated[int, Field(ge=0, strict=True)], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> RunParams:
        for name in ("settings", "zero_shot", "trained", "seeds"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"{name} repeats an entry")
        if both := sorted(set(self.zero_shot) & set(self.trained)):
            raise ValueError(f"{both[0]!r} is listed as zero_shot and as trained")
        if not self.zero_shot and not self.trained:
            raise ValueError("no method is listed: fill zero_shot or trained")
        return self


class BackboneParams(Section):
    """The frozen CLIP model."""

    name: str = Field(min_length=1, description="`pictoclip` or an open_clip model name.")
    pretrained: str | None = Field(description="open_clip tag, or null.")
    weights: str | None = Field(description="Local .safetensors or .pt file, or null.")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        default="fp32", description="Arithmetic of the frozen towers; trainables stay fp32."
    )
    linear: Literal["matmul", "convolution"] = Field(
        default="matmul",
        description="How a CPU computes linear maps in fp32: equal up to rounding, the second up "
        "to twice as fast on AMD processors.",
    )


class DataParams(Section):
    """The datasets and how images without an official split are split."""

    datasets: tuple[HyphenName, ...] = Field(min_length=1)
    split_seed: int = Field(ge=0)
    capture: Float = Field(
        default=0.0,
        ge=0,
        le=4,
        description="Severity of the cameras the catalog entries declare; 0: images as they are.",
    )


class DifferentialPrivacyParams(Section):
    """Client-level DP-FedAvg (docs/method.md#differential-privacy)."""

    clip_norm: Float = Field(gt=0, description="S: L2 bound of a client's whole update.")
    noise_multiplier: Float = Field(ge=0, description="z: noise std on the mean is z*S/m.")
    delta: Float = Field(gt=0, lt=1)


class FederationParams(Section):
    """The federated optimisation every method shares (docs/method.md#rounds)."""

    rounds: int = Field(ge=1)
    participation: Float = Field(gt=0, le=1, description="Share of clients per round.")
    local_epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: Float = Field(gt=0)
    momentum: Float = Field(ge=0, lt=1, description="Momentum of SGD; beta1 of Adam.")
    weight_decay: Float = Field(ge=0)
    client_optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    second_momentum: Float = Field(default=0.999, ge=0, lt=1, description="beta2 of Adam.")
    adam_epsilon: Float = Field(default=1e-8, gt=0)
    schedule: Literal["cosine", "constant"]
    client_state: Literal["fresh", "persistent"] = Field(
        description="Whether a client's momentum survives from round to round."
    )
    weighting: Literal["uniform", "samples"]
    aggregation: Literal[
        "fedavg",
        "fedprox",
        "fedavgm",
        "fedadam",
        "fedyogi",
        "median",
        "trimmed_mean",
        "krum",
        "multi_krum",
    ] = "fedavg"
    aggregation_dtype: Literal["float64", "float32", "float16"] = "float64"
    proximal_weight: Float = Field(
        default=0.01, ge=0, description="mu of FedProx: its pull to the global model."
    )
    server_learning_rate: Float | None = Field(
        default=None, gt=0, description="eta of the server; null: by the rule."
    )
    server_momentum: Float = Field(
        default=0.9, ge=0, lt=1, description="beta of FedAvgM, else beta1."
    )
    server_second_momentum: Float = Field(
        default=0.99, ge=0, lt=1, description="beta2 of FedAdam and FedYogi."
    )
    server_tau: Float = Field(default=1e-3, gt=0, description="tau of FedAdam and FedYogi.")
    trim_fraction: Float = Field(
        default=0.1, ge=0, lt=0.5, description="Share trimmed_mean cuts at each end."
    )
    byzantine: int = Field(default=1, ge=0, description="f, wrong clients a round to withstand.")
    krum_keep: int = Field(default=5, ge=1, description="Clients that Multi-Krum averages.")
    clip_norm: Float | None = Field(default=None, gt=0, description="Bound on an update's L2 norm.")
    privacy: DifferentialPrivacyParams | None = None
    shuffle: bool = Field(
        default=True, description="Whether a client draws its batches in random order."
    )
    on_client_failure: Literal["fail", "skip"] = "fail"
    min_clients: int = Field(default=1, ge=1, description="Fewest valid updates a round needs.")
    kept_rounds: int = Field(
        default=1,
        ge=1,
        description="Last rounds whose models are kept; from two on, personal evaluation reports "
        "their mean beside the last one's ([stability](../personal_evaluation.md#stability)).",
    )

    @model_validator(mode="after")
    def _sound(self) -> FederationParams:
        if self.privacy is not None and self.weighting != "uniform":
            raise ValueError("privacy needs weighting: uniform (sensitivity bound)")
        if self.privacy is not None and self.aggregation != "fedavg":
            raise ValueError("privacy needs aggregation: fedavg")
        robust = ("median", "trimmed_mean", "krum", "multi_krum")
        if self.aggregation in robust and self.weighting != "uniform":
            raise ValueError(f"{self.aggregation} takes no weights: it needs weighting: uniform")
        return self


class EvaluationParams(Section):
    """What evaluation computes."""

    batch_size: int = Field(ge=1)
    explain_images: int = Field(ge=0, description="Images whose patch attention is kept.")
    scores: bool = Field(
        default=False,
        description="Whether the scores of all classes are kept where images show one; of many "
        "labels they always are.",
    )
    personal: bool = Field(
        default=False,
        description="Whether each client's model is tested on every client's images "
        "([personal evaluation](../personal_evaluation.md)).",
    )
    fine_tune_epochs: int = Field(
        default=0,
        ge=0,
        description="Passes over its own images a client's model takes, evaluated beside the model "
        "without them.",
    )
    fine_tuned: tuple[Name, ...] | None = Field(
        default=None, description="Methods whose clients take them; null: all that are trained."
    )
    candidates: Literal["own", "all"] = Field(
        default="own",
        description="Classes a client's images are classified among: that client's, or all that "
        "the dataset trains on.",
    )
    client_mean: Literal["unweighted", "weighted"] = Field(
        default="unweighted", description="Mean over clients; weighted: by their test images."
    )

    @model_validator(mode="after")
    def _sound(self) -> EvaluationParams:
        if self.fine_tune_epochs and not self.personal:
            raise ValueError("fine_tune_epochs needs personal: true")
        if self.fine_tuned is not None and not self.fine_tune_epochs:
            raise ValueError("fine_tuned needs fine_tune_epochs")
        return self


class ReportParams(Section):
    """Presentation only; no number depends on it."""

    title: str | None = Field(default=None, min_length=1)


class Params(Section):
    """The whole of params.yaml."""

    profile: HyphenName
    run: RunParams
    backbone: BackboneParams
    data: DataParams
    attributes: AttributeParams
    partition: PartitionParams
    federation: FederationParams
    evaluation: EvaluationParams
    multilabel: MultiLabelParams = MultiLabelParams()
    report: ReportParams
    methods: dict[str, dict[str, Any]]

    @model_validator(mode="after")
    def _fine_tuned_are_trained(self) -> Params:
        for name in self.evaluation.fine_tuned or ():
            if name not in self.run.trained:
                raise ValueError(
                    f"evaluation.fine_tuned lists {name!r}, which run.trained does not"
                )
        return self

    @model_validator(mode="after")
    def _methods_have_sections(self) -> Params:
        for name in (*self.run.zero_shot, *self.run.trained):
            if name not in self.methods:
                raise ValueError(f"run lists {name!r} but methods has no section {name!r}")
        return self


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and validate params.yaml.

    Raises
    ------
    ConfigError
        On an unknown, missing or impossible entry, in one line.
    """
    value = load_yaml(path)
    if not isinstance(value, dict):
        raise ConfigError(
            "not a mapping of sections",
            where=path,
            value=value,
            hint="restore it with `fedmvp profile use default`",
        )
    return parse_section(Params, value, str(path))
