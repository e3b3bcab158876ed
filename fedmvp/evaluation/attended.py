"""The candidate classes of a target, and the classes whose attributes are used for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fedmvp.methods.banks import Banks
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.heads import Head
from fedmvp.methods.multilabel_head import MultiLabelHead
from fedmvp.partition.model import Partition, Target

__all__ = ["candidate_classes", "trained_classes"]


def candidate_classes(banks: Banks, target: Target, head: Head, trained: Sequence[str]) -> ClassSet:
    """Return the candidate classes of a target.

    Prompts depend on the candidates through the attributes that patches attend to. With
    ``multilabel.bank: seen`` these attributes are those of the `trained` classes, so that the
    candidates affect only the classifier.

    Parameters
    ----------
    trained : sequence of str
        Classes of the target's dataset that its fold was trained on; may be empty.
    """
    classes = banks.select(target.dataset, target.domain, target.classes)
    if not isinstance(head, MultiLabelHead) or head.params.bank == "candidates" or not trained:
        return classes
    return replace(classes, attended=banks.select(target.dataset, target.domain, trained))


def trained_classes(partition: Partition, target: Target) -> tuple[str, ...]:
    """Return the classes of a target's dataset that the clients of its fold train on."""
    clients = (c for c in partition.clients_of(target.fold) if c.dataset == target.dataset)
    return tuple(dict.fromkeys(name for client in clients for name in client.classes))
