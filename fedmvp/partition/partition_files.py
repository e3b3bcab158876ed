"""A partition as a JSON file: equal partitions give equal bytes; it is checked when read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedmvp.errors import DataError
from fedmvp.files import read_json, write_json
from fedmvp.partition.model import Client, Partition, Target, check

__all__ = ["load_partition", "save_partition"]

_PLAIN = re.compile(r"[A-Za-z0-9][\w .-]*")


def save_partition(partition: Partition, path: Path) -> None:
    """Write a partition as JSON."""
    own: dict[str, Any] = {}
    if partition.participation is not None:
        own["participation"] = partition.participation
    if partition.scheme or partition.shared_classes:
        own |= {"scheme": partition.scheme, "shared_classes": partition.shared_classes}
    if partition.task != "single":
        own["task"] = partition.task
    if partition.tests_training:
        own["tests_training"] = True
    value = {
        "setting": partition.setting,
        "protocol": partition.protocol,
        "split": partition.split,
        "official": partition.official,
        **own,
        "clients": [_record(client) for client in partition.clients],
        "targets": [_record(target) for target in partition.targets],
    }
    write_json(path, value, sort_keys=False)


def load_partition(path: Path) -> Partition:
    """Read a partition and check its guarantees.

    Raises
    ------
    DataError
        When the file is missing, is not a partition, or breaks a guarantee.
    """
    value = read_json(path)
    try:
        partition = Partition(
            setting=value["setting"],
            protocol=value["protocol"],
            split=value["split"],
            clients=tuple(Client(**_typed(c, "train")) for c in value["clients"]),
            targets=tuple(Target(**_typed(t, "images")) for t in value["targets"]),
            official=_texts("official", value["official"]),
            participation=_share(value.get("participation")),
            scheme=_texts("scheme", [value.get("scheme", "")])[0],
            shared_classes=value.get("shared_classes") is True,
            task=value.get("task", "single"),
            tests_training=value.get("tests_training") is True,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"not a partition ({type(error).__name__}: {error})",
            where=path,
            hint="delete it and run `dvc repro partition`",
        ) from None
    check(partition, str(path))
    return partition


_LISTS = ("classes", "train", "images", "validation", "annotations")


def _typed(record: Mapping[str, Any], images: str) -> dict[str, Any]:
    """Return the record of a client or target with lists as tuples; all entries must be text.

    Names are used in paths and as keys of files, so they must be plain.
    """
    for key, value in record.items():
        _texts(key, value if key in _LISTS else [value or ""])
        if key in ("fold", "dataset") and not _PLAIN.fullmatch(value or ""):
            raise ValueError(f"{key} {value!r} is not a plain name")
    lists = {
        key: tuple(record[key]) for key in _LISTS if key in record or key in ("classes", images)
    }
    return {**record, **lists}


def _share(value: Any) -> float | None:
    if value is None or (type(value) in (int, float) and 0 < value <= 1):
        return None if value is None else float(value)
    raise ValueError(f"participation {value!r} is not a share above 0 and at most 1")


def _texts(key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise TypeError(f"{key} is not a list of text")
    return tuple(value)


def _record(part: Client | Target) -> dict[str, Any]:
    """Return a client or target as a record, without lists that are empty (single label)."""
    values = {name: getattr(part, name) for name in part.__slots__}
    return {k: v for k, v in values.items() if v or k not in ("validation", "annotations")}
