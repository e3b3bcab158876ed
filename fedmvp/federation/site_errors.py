"""What a server learns of an error at a site: its kind and the lines of our own code, no more.

Messages of errors name files, folders and classes. Those that are made of a federation's words
alone (client, round, names of tensors, numbers) are told; the site's own log has the others.
"""

from __future__ import annotations

import traceback
from pathlib import Path

import fedmvp
from fedmvp.errors import ClientFailure, MessageError, one_line
from fedmvp.federation.failures import Failure

__all__ = ["NotAtThisSite", "scrubbed"]

_PACKAGE = Path(fedmvp.__file__).parent


class NotAtThisSite(ClientFailure):
    """What the site was asked for is not what it keeps, agreed to, or lets out."""


# Raised with nothing of a site's own in their texts: `train_client`, `check_update`, the checks of
# messages and of what leaves.
_TOLD = (ClientFailure, MessageError)


def scrubbed(client: str, round_index: int, error: BaseException) -> Failure:
    """Describe `error` without a path, a class name or a file name of the site."""
    kind = type(error).__name__
    text = str(error) if isinstance(error, _TOLD) else "see the site's own log"
    frames = [
        f"{file.name}:{frame.lineno} in {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if (file := Path(frame.filename)).is_relative_to(_PACKAGE)
    ]
    trace = " > ".join(frames)
    return Failure(client, round_index, one_line(f"{kind}: {text}", 2000), one_line(trace, 2000))
