"""The training images of a client, with the labels its annotators gave."""

from __future__ import annotations

from fedmvp.data.image_source import LoadImages
from fedmvp.federation.client import ClientData
from fedmvp.methods.banks import Banks
from fedmvp.methods.heads import Head
from fedmvp.partition.annotations import read_annotations
from fedmvp.partition.model import Client

__all__ = ["client_data"]


def client_data(
    client: Client, banks: Banks, load_images: LoadImages, head: Head | None = None
) -> ClientData:
    """Return a client's training images and the classes it trains among.

    Parameters
    ----------
    head : Head, optional
        The training method's head; by default an image has one view and one class.
    """
    classes = banks.select(client.dataset, client.domain, client.classes)
    images, labels = load_images(client.dataset, client.train, classes.names)
    if client.annotations:
        labels = read_annotations(client.annotations[: len(client.train)])
    key = load_images.key(client.dataset, client.train)
    return ClientData(banks.backbone, images, labels, classes, key=key, head=head)
