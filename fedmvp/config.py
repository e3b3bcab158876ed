"""The tree of params.yaml: every knob, its meaning, unit and legal range.

The file is the only source of defaults a run uses; nothing in the code asks which profile it is.
Sections of ``methods`` are validated by the method they belong to (`fedmvp.methods`), so a new
method brings its own section.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from fedmvp.attributes.config import AttributeParams
from fedmvp.errors import ConfigError
from fedmvp.yaml_files import load_yaml

__all__ = [
    "BackboneParams",
    "DataParams",
    "EvaluationParams",
    "FederationParams",
    "Params",
    "PartitionParams",
    "RunParams",
    "Section",
    "load_params",
    "parse_section",
]

_MAX_NUMBER = 2**53  # beyond it a number in JSON is not exact

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$", max_length=60)]

ProfileName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]


def _number(value: Any) -> Any:
    """Take 1e-3, a string to YAML 1.1 (it wants 1.0e-3), for the number it is."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


Float = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]


class Section(BaseModel):
    """A frozen part of params.yaml that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _plain_numbers(cls, value: Any) -> Any:
        """Refuse what pydantic would take for a number: `yes` for 1, and numbers beyond all use."""
        for name, entry in value.items() if isinstance(value, dict) else ():
            field = cls.model_fields.get(name)
            kinds = set() if field is None else _kinds(field.annotation)
            for number in entry if isinstance(entry, list | tuple) else (entry,):
                if isinstance(number, bool) and kinds & {int, float} and bool not in kinds:
                    raise ValueError(f"{name} is {str(number).lower()} instead of a number")
                if type(number) is int and abs(number) > _MAX_NUMBER:
                    raise ValueError(f"{name} holds a number beyond {_MAX_NUMBER}")
        return value


def _kinds(annotation: Any) -> set[Any]:
    """Return the types an annotation is made of."""
    parts = get_args(annotation)
    return {annotation}.union(*map(_kinds, parts)) if parts else {annotation}


class RunParams(Section):
    """What dvc.yaml spans: settings x methods x seeds."""

    suite: Name = Field(description="Folder of fedmvp/partition/settings they are from.")
    settings: tuple[Name, ...] = Field(min_length=1)
    zero_shot: tuple[Name, ...] = Field(description="Methods without training.")
    trained: tuple[Name, ...] = Field(description="Methods trained by the federation.")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)

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

    datasets: tuple[str, ...] = Field(min_length=1)
    split_seed: int = Field(ge=0)
    capture: Float = Field(
        default=0.0,
        ge=0,
        le=4,
        description="Severity of the cameras the catalog entries declare; 0: images as they are.",
    )


class PartitionParams(Section):
    """How clients are made (docs/method.md#clients)."""

    classes_per_client: int = Field(ge=1, description="n of the block rule.")
    shots: int = Field(ge=1, description="Training images per class and client.")
    seed: int = Field(ge=0, description="Seed of the few-shot sample.")


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
    momentum: Float = Field(ge=0, lt=1, description="Of SGD; beta1 of Adam.")
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
        "fedavg", "fedprox", "fedavgm", "fedadam", "fedyogi",
        "median", "trimmed_mean", "krum", "multi_krum",
    ] = "fedavg"  # fmt: skip
    aggregation_dtype: Literal["float64", "float32", "float16"] = "float64"
    proximal_weight: Float = Field(default=0.01, ge=0, description="mu of FedProx.")
    server_learning_rate: Float | None = Field(default=None, gt=0, description="eta; null: auto.")
    server_momentum: Float = Field(default=0.9, ge=0, lt=1, description="beta (FedAvgM), beta1.")
    server_second_momentum: Float = Field(default=0.99, ge=0, lt=1, description="beta2.")
    server_tau: Float = Field(default=1e-3, gt=0, description="tau of FedAdam and FedYogi.")
    trim_fraction: Float = Field(default=0.1, ge=0, lt=0.5, description="beta of trimmed_mean.")
    byzantine: int = Field(default=1, ge=0, description="f of robust rules; 0: no promise.")
    krum_keep: int = Field(default=5, ge=1, description="Clients Multi-Krum averages.")
    clip_norm: Float | None = Field(default=None, gt=0, description="Norm clipping of updates.")
    privacy: DifferentialPrivacyParams | None = None
    on_client_failure: Literal["fail", "skip"] = "fail"
    min_clients: int = Field(default=1, ge=1, description="Fewest valid updates a round needs.")

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


class ReportParams(Section):
    """Presentation only; no number depends on it."""

    title: str = Field(min_length=1)


class Params(Section):
    """The whole of params.yaml."""

    profile: ProfileName
    run: RunParams
    backbone: BackboneParams
    data: DataParams
    attributes: AttributeParams
    partition: PartitionParams
    federation: FederationParams
    evaluation: EvaluationParams
    report: ReportParams
    methods: dict[str, dict[str, Any]]

    @model_validator(mode="after")
    def _methods_have_sections(self) -> Params:
        for name in (*self.run.zero_shot, *self.run.trained):
            if name not in self.methods:
                raise ValueError(f"run lists {name!r} but methods has no section {name!r}")
        return self


_Model = TypeVar("_Model", bound=BaseModel)


def parse_section(model: type[_Model], value: Any, where: str) -> _Model:
    """Validate `value` as `model`, turning the first complaint into one clear line.

    Parameters
    ----------
    where : str
        File and key prefix for the message, e.g. ``"params.yaml: methods.fedmvp"``.

    Raises
    ------
    ConfigError
        Naming the key, its value and what is allowed.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _config_error(model, error, where) from None


def _config_error(model: type[BaseModel], error: ValidationError, where: str) -> ConfigError:
    found = error.errors(include_url=False)
    # A misspelt key is unknown and leaves its right name missing: name what the user wrote.
    first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
    key = ".".join(str(part) for part in first["loc"])
    place = f"{where}: {key}" if key else where
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, first["loc"][:-1])
        return ConfigError("unknown key", where=place, value=first["input"],
                           hint=f"remove it or use one of: {', '.join(known)}")  # fmt: skip
    if first["type"] == "missing":
        return ConfigError("key is missing", where=place, hint="add it")
    message = first["msg"].removeprefix("Value error, ") or "not allowed"
    value = first["input"] if not isinstance(first["input"], dict) else None
    return ConfigError(message[0].lower() + message[1:], where=place, value=value,
                       hint="set an allowed value")  # fmt: skip


def _known_keys(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    for part in location:
        field = model.model_fields.get(str(part))
        if field is None:
            break
        for candidate in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                model = candidate
                break
    return sorted(model.model_fields)


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and validate params.yaml.

    Raises
    ------
    ConfigError
        On an unknown, missing or impossible entry, in one line.
    """
    value = load_yaml(path)
    if not isinstance(value, dict):
        raise ConfigError("not a mapping of sections", where=path, value=value,
                          hint="restore it with `fedmvp profile use default`")  # fmt: skip
    return parse_section(Params, value, str(path))
