"""The ``attributes`` section of params.yaml: who describes the classes, and how.

Only what changes the texts belongs here. The server's address, its key, how many questions are
asked at once and what a token costs come from the environment (``OPENAI_BASE_URL``,
``OPENAI_API_KEY``) and from options of ``fedmvp attributes generate``, so they never rerun a stage.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["AttributeParams"]

TEMPLATE_NAME = r"^[a-z0-9][a-z0-9-]*$"


class AttributeParams(BaseModel):
    """Class attributes: provider, model, question, sampling."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: Literal["recorded", "openai", "transformers", "file"] = Field(
        description="`recorded` reads committed answers and never calls anything; `openai` asks "
        "any OpenAI-compatible server; `transformers` a local causal language model; `file` "
        "reads a JSON of class -> list of texts."
    )
    model: str = Field(
        min_length=1,
        max_length=300,
        description="Model whose answers are used: a server's model name, a local model's path "
        "or name, or the name answers were recorded under (`claude` for the shipped ones).",
    )
    template: str = Field(
        pattern=TEMPLATE_NAME,
        description="Question asked for each class: fedmvp/attributes/templates/<template>.txt.",
    )
    per_class: int = Field(
        strict=True,
        ge=1,
        le=100,
        description="Attributes asked of a live model, and the most used of any list.",
    )
    temperature: float = Field(
        default=0.0,
        strict=True,
        ge=0,
        le=2,
        allow_inf_nan=False,
        description="Sampling temperature; 0: greedy.",
    )
    max_tokens: int = Field(
        default=600,
        strict=True,
        ge=16,
        le=100_000,
        description="Longest answer to one question, in tokens.",
    )
    attempts: int = Field(
        default=3,
        strict=True,
        ge=1,
        le=10,
        description="Most tries for a class; from the second on, the model is told what was wrong.",
    )
    naming: Literal["reject", "drop", "keep"] = Field(
        default="reject",
        description="What happens to a recorded or imported attribute that names its own class: "
        "an error, left out, or kept word for word. A live answer is asked again.",
    )
    long_texts: Literal["warn", "refuse"] = Field(
        default="warn",
        description="What happens to texts of more than CLIP's 77 tokens, which it does not read "
        "to their end: a warning with class and text, or an error.",
    )
    path: str | None = Field(
        default=None,
        min_length=1,
        description="JSON read by provider `file`; `{dataset}` stands for the dataset's name.",
    )

    @model_validator(mode="after")
    def _file_has_path(self) -> AttributeParams:
        if self.provider == "file" and self.path is None:
            raise ValueError("provider file needs path, the JSON to read")
        return self
