"""The section of params.yaml for datasets whose images show many classes (docs/multilabel.md)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from fedmvp.sections import Float, Section

__all__ = ["MultiLabelParams"]


class MultiLabelParams(Section):
    """Head, loss and metrics of datasets whose images show many classes (docs/multilabel.md)."""

    head: Literal["image", "tiles", "region", "pair"] = Field(
        default="image",
        description="What a class is compared with: the whole image; the nearest of its tiles; its "
        "patches' output tokens; or the image with the texts of presence and of absence.",
    )
    tiles: int = Field(default=2, ge=2, le=8, description="Tiles along each side of an image.")
    whole: bool = Field(
        default=False,
        description="Whether the whole image is one more tile, or counts as much as all regions.",
    )
    region_scale: Float = Field(default=20.0, gt=0, description="Sharpness of regions' weights.")
    negative_template: str = Field(
        default="a photo without a {}.", description="Text of a class's absence in head `pair`."
    )
    scale: Float = Field(default=20.0, gt=0, description="a at the start; learned from there.")
    loss: Literal["asl", "bce"] = Field(
        default="asl", description="The asymmetric loss, or binary cross-entropy."
    )
    gamma_negative: Float = Field(
        default=2.0, ge=0, description="Focusing where a class is absent."
    )
    gamma_positive: Float = Field(default=1.0, ge=0, description="Focusing where it is shown.")
    clip: Float = Field(default=0.05, ge=0, lt=1, description="Probability taken for 0.")
    loss_weight: Float = Field(default=1.0, gt=0, description="Of the loss beside a method's own.")
    average_precision: Literal["step", "voc11", "interpolated"] = Field(
        default="step",
        description="scikit-learn's form; VOC's of 11 recalls; the area under the envelope.",
    )
    empty_class: Literal["leave_out", "zero"] = Field(
        default="leave_out", description="What a class without positives counts for in the mean."
    )
    bank: Literal["candidates", "seen"] = Field(
        default="candidates",
        description="Whose attributes FedMVP's patches attend to in evaluation: of all classes "
        "that are chosen among, or of the trained ones only.",
    )
    best_on_test: bool = Field(
        default=False,
        description="Whether each F1 metric is also given at its own best threshold on test images "
        "(`…_max`), as FedMPT's code reports them: chosen on what they are measured on.",
    )

    @field_validator("negative_template")
    @classmethod
    def _one_place(cls, text: str) -> str:
        if [text.count(mark) for mark in ("{", "{}", "}")] != [1, 1, 1]:
            raise ValueError("template must contain {} once, for the class")
        return text

    @property
    def grid(self) -> int:
        """Images are loaded at this multiple of the side that the backbone sees."""
        return self.tiles if self.head == "tiles" else 1
