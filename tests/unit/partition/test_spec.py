from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import fedmvp.partition
from fedmvp.errors import ConfigError
from fedmvp.partition.folds import datasets_of, explicit_folds
from fedmvp.partition.setting_spec import load_setting, setting_names

SHIPPED = sorted(
    (path.parent.name, path.stem)
    for path in Path(fedmvp.partition.__file__).parent.glob("settings/*/*.yaml")
)
EMOJI = ("animals", "food", "objects", "travel", "activities")
STYLES = (
    "twemoji",
    "noto",
    "openmoji",
    "fluent-emoji-flat",
    "fluent-emoji",
    "fluent-emoji-high-contrast",
    "emojione",
    "fxemoji",
)
FOLD: dict[str, Any] = {"train": {"classes": "all"}, "targets": [{"group": "target"}]}


def _write(folder: Path, monkeypatch: pytest.MonkeyPatch, **setting: object) -> None:
    monkeypatch.setenv("FEDMVP_SETTINGS", str(folder))
    (folder / "emoji").mkdir(exist_ok=True)
    (folder / "emoji" / "own.yaml").write_text(yaml.safe_dump({"title": "Own", **setting}))


@pytest.mark.parametrize(("suite", "name"), SHIPPED)
def test_shipped_settings_are_valid(suite: str, name: str) -> None:
    assert load_setting(suite, name).title


def test_the_emoji_suite() -> None:
    assert setting_names("emoji") == ("base_to_new", "cross_dataset", "msst", "ssmt")
    assert datasets_of(load_setting("emoji", "base_to_new"), EMOJI) == EMOJI
    assert datasets_of(load_setting("emoji", "msst"), EMOJI) == ("food",)


def test_leave_one_domain_out_is_written_out() -> None:
    domains = {name: STYLES for name in EMOJI}
    shipped = load_setting("emoji", "msst")
    assert shipped.leave_one_domain_out is not None
    rule = shipped.leave_one_domain_out.model_copy(update={"held_out": "all"})
    whole = shipped.model_copy(update={"leave_one_domain_out": rule})
    for setting, names in ((shipped, ["fluent-emoji-high-contrast"]), (whole, list(STYLES))):
        folds = explicit_folds(setting, domains)
        assert [fold.name for fold in folds] == names
        for fold in folds:
            assert fold.targets[0].domains == (fold.name,)
            assert set(fold.train.domains) == set(STYLES) - {fold.name}


def test_all_folds_of_a_shorthand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shape: dict[str, Any] = {
        "protocol": "transfer",
        "split": "by_domain",
        "clients": "per_domain",
    }
    domains = {"animals": STYLES, "food": STYLES}
    for shorthand in ("leave_one_domain_out", "single_source"):
        _write(tmp_path, monkeypatch, **shape, **{shorthand: {"datasets": ["animals", "food"]}})
        folds = explicit_folds(load_setting("emoji", "own"), domains)
        assert tuple(fold.name for fold in folds) == STYLES


def test_a_setting_is_added_by_its_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path, monkeypatch, protocol="transfer", folds=[FOLD])
    assert "own" in setting_names("emoji")
    assert load_setting("emoji", "own").title == "Own"


def test_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'base_to_new'"):
        load_setting("emoji", "base2new")
    with pytest.raises(ConfigError, match=r"unknown suite.*did you mean .emoji."):
        load_setting("emojis", "base_to_new")


def test_shipped_settings_are_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path, monkeypatch)
    (tmp_path / "emoji" / "own.yaml").rename(tmp_path / "emoji" / "msst.yaml")
    with pytest.raises(ConfigError, match="defined twice"):
        load_setting("emoji", "msst")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": []}, "exactly one of folds"),
        ({"single_source": {"datasets": ["food"]}}, "exactly one of folds"),
        ({"folds": [FOLD, FOLD]}, "same name"),
        ({"protocol": "base_to_new"}, "group 'target' is not one of"),
        ({"folds": [{**FOLD, "targets": [{"group": "local"}]}]}, "must be used together"),
        ({"folds": [{**FOLD, "targets": [{"group": "target", "name": "{epoch}"}]}]}, "may contain"),
        (
            {"folds": [{**FOLD, "targets": [{"group": "target", "name": "{domain}"}]}]},
            "may contain",
        ),
        ({"folds": [{**FOLD, "name": "a/b"}]}, "name"),
        ({"shots": 0}, "shots"),
        ({"colour": 1}, "unknown key"),
        (
            {"folds": [], "protocol": "base_to_new", "single_source": {"datasets": ["food"]}},
            "need protocol: transfer",
        ),
    ],
)
def test_invalid_settings_are_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], message: str
) -> None:
    _write(tmp_path, monkeypatch, **{"protocol": "transfer", "folds": [FOLD], **changes})
    with pytest.raises(ConfigError, match=message) as raised:
        load_setting("emoji", "own")
    assert "own.yaml" in str(raised.value)


def test_unknown_datasets_and_domains() -> None:
    with pytest.raises(ConfigError, match=r"'food'.*data\.datasets"):
        datasets_of(load_setting("emoji", "msst"), ["animals", "objects"])
    domains = {"animals": ("noto", "oil"), "food": ("noto", "oil")}
    with pytest.raises(ConfigError, match="twemoji"):
        explicit_folds(load_setting("emoji", "ssmt"), domains)
    with pytest.raises(ConfigError, match="differ in their domains"):
        explicit_folds(load_setting("emoji", "ssmt"), {**domains, "food": ("noto",)})
    with pytest.raises(ConfigError, match="at least two domains"):
        explicit_folds(load_setting("emoji", "ssmt"), dict.fromkeys(domains, ("noto",)))
