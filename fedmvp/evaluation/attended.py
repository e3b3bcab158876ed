"""The candidate classes of a target, and whose attributes patches attend to among many labels."""

from __future__ import annotations

from dataclasses import replace

from fedmvp.methods.banks import Banks
from fedmvp.methods.classes import ClassSet
from fedmvp.methods.heads import Head
from fedmvp.methods.multilabel_head import MultiLabelHead
from fedmvp.partition.model import Partition, Target

__all__ = ["candidate_classes"]


def candidate_classes(banks: Banks, target: Target, head: Head, partition: Partition) -> ClassSet:
    """Return what a target is classified among.

    Prompts depend on the set of candidates, through the attributes patches attend to. Under
    ``multilabel.bank: seen`` these are of the classes the fold was trained on, so that the set of
    candidates changes the classifier alone.
    """
    classes = banks.select(target.dataset, target.domain, target.classes)
    if not isinstance(head, MultiLabelHead) or head.params.bank == "candidates":
        return classes
    clients = (c for c in partition.clients_of(target.fold) if c.dataset == target.dataset)
    trained = dict.fromkeys(name for client in clients for name in client.classes)
    if not trained:  # nothing of this dataset was trained on
        return classes
    return replace(classes, attended=banks.select(target.dataset, target.domain, tuple(trained)))
