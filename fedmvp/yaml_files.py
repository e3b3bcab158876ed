"""YAML as this project reads it: plain values, every key once, nothing that grows when expanded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml

from fedmvp.errors import ConfigError, FedMVPError, nearest
from fedmvp.files import read_text

__all__ = ["find_yaml", "load_yaml", "yaml_names"]

_MAX_NODES = 1_000_000
"""Most values in a file; values that aliases repeat count each time."""


class _PlainLoader(yaml.SafeLoader):
    """Loader of plain values that refuses a key given twice; the last would win silently.

    A few lines of aliases can stand for a value too large for any memory, or for one that holds
    itself: what they repeat is counted.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._nodes = 0
        self._sizes: dict[str, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next node."""
        peek: Callable[[], Any] = self.peek_event
        event, before = peek(), self._nodes
        if not isinstance(event, yaml.events.AliasEvent):
            self._nodes += 1
        elif event.anchor in self.anchors and event.anchor not in self._sizes:
            raise _fault(f"*{event.anchor} stands inside itself", event)
        else:
            self._nodes += self._sizes.get(str(event.anchor), 0)
        if self._nodes > _MAX_NODES:
            raise _fault(f"more than {_MAX_NODES} values", event)
        node: yaml.Node | None = super().compose_node(parent, index)
        if event.anchor is not None:
            self._sizes.setdefault(event.anchor, self._nodes - before)
        return node


def _fault(message: str, place: Any) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, message, place.start_mark)


def _unique_mapping(loader: _PlainLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    counts = Counter(key for key in keys if isinstance(key, Hashable))
    for key, count in counts.items():
        if count > 1:
            raise _fault(f"key {key!r} is given twice", node)
    return loader.construct_mapping(node, deep=True)


_PlainLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def load_yaml(path: Path) -> Any:
    """Read a YAML file of plain values with unique keys.

    Raises
    ------
    ConfigError
        When the file is missing, huge or not such YAML.
    """
    try:
        return yaml.load(read_text(path), Loader=_PlainLoader)  # noqa: S506
    except FileNotFoundError:
        raise ConfigError(
            "file is missing",
            where=path,
            hint="run from the repository root, or restore it with `git checkout`",
        ) from None
    except (FedMVPError, OSError):
        raise
    except Exception as error:  # PyYAML leaves wrong numbers, dates and bytes to int() and others
        raise ConfigError(f"not valid YAML: {error}", where=path, hint="correct the file") from None


def find_yaml(name: str, folders: Sequence[Path], *, what: str, where: str) -> Path:
    """Return the one file ``<name>.yaml`` in some folders, the shipped one first.

    Parameters
    ----------
    what, where : str
        What such a file describes and where it was looked for, for messages.

    Raises
    ------
    ConfigError
        When there is none (the message names the most similar one), or two.
    """
    paths = [folder / f"{name}.yaml" for folder in folders]
    found = [path for path in paths if path.is_file()]
    if not found:
        raise ConfigError(
            f"unknown {what}", where=where, value=name, hint=nearest(name, yaml_names(folders))
        )
    if len(found) > 1:
        raise ConfigError(
            f"{what} is defined twice",
            where=found[1],
            value=name,
            hint="rename yours: a shipped one is never replaced",
        )
    return found[0]


def yaml_names(folders: Sequence[Path]) -> tuple[str, ...]:
    """Return the names of all YAML files in some folders, sorted."""
    return tuple(sorted({path.stem for folder in folders for path in folder.glob("*.yaml")}))
