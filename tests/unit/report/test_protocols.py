"""What settings are called in the report."""

from __future__ import annotations

from fedmvp.report.protocols import setting_phrase


def test_settings_within_a_sentence() -> None:
    names = ("base_to_new", "cross_dataset", "msst", "ssmt_vlcs", "imagenet_variants", "my_own")
    assert [setting_phrase(name) for name in names] == [
        "base-to-new",
        "cross-dataset",
        "multi-source",
        "single-source (VLCS)",
        "ImageNet-variants",
        "my own",
    ]
