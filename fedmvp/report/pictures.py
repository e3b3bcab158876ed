"""Pictures embedded in the page, and the contact sheet of what a study's sites see."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedmvp.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["ContactSheet", "data_uri"]

_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


@dataclass(frozen=True)
class ContactSheet:
    """One picture of example images, as each site's camera sees them.

    Parameters
    ----------
    image : PIL image or bytes
        Bytes of a PNG or JPEG file.
    caption : str
        Printed above it.
    alt : str
        Text alternative, for those who cannot see the picture.
    """

    image: Image.Image | bytes
    caption: str
    alt: str

    @property
    def href(self) -> str:
        """The picture as a data URI.

        Raises
        ------
        DataError
            For bytes that are neither PNG nor JPEG.
        """
        return data_uri(self.image, "contact sheet")


def data_uri(image: Image.Image | bytes, where: str) -> str:
    """Return a picture as a data URI, a PIL image as PNG; equal pixels give equal bytes.

    Raises
    ------
    DataError
        For bytes that are neither PNG nor JPEG; `where` names the picture.
    """
    if not isinstance(image, bytes):
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, format="PNG", optimize=True)
        image = buffer.getvalue()
    for signature, mime in _SIGNATURES.items():
        if image.startswith(signature):
            return f"data:{mime};base64,{base64.b64encode(image).decode()}"
    raise DataError(
        "image is neither PNG nor JPEG",
        where=where,
        value=image[:8],
        hint="give the report a PIL image, or PNG or JPEG bytes",
    )
