"""Pictures within the page, and the sheet of what the sites of a study see."""

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
    """One picture of example images: what each site's camera makes of them.

    Parameters
    ----------
    image : PIL image or bytes
        Bytes of a PNG or JPEG file.
    caption : str
        Printed above it.
    alt : str
        What it shows, for those who do not see it.
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
    """Return a picture as a data URI, a PIL image as PNG: the same bytes for the same pixels.

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
    raise DataError("image is neither PNG nor JPEG", where=where, value=image[:8],
                    hint="give the report a PIL image, or PNG or JPEG bytes")
