"""What a server learns of an error at a site: its kind and the lines of our own code, no more.

Error messages name files, folders and classes. Only messages made up of what the server knows
(client, round, names of tensors, numbers) are sent; the site's own log has the others.
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
    """The site was asked for something that it does not have, did not agree to or does not send."""


# Errors whose texts contain nothing of the site's own: those of `train_client`, `check_update` and
# the checks of messages and of what is sent.
_TOLD = (ClientFailure, MessageError)


def scrubbed(client: str, round_index: int, error: BaseException) -> Failure:
    """Describe `error` without any path, class name or file name of the site."""
    kind = type(error).__name__
    text = str(error) if isinstance(error, _TOLD) else "see the site's own log"
    frames = [
        f"{file.name}:{frame.lineno} in {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if (file := Path(frame.filename)).is_relative_to(_PACKAGE)
    ]
    trace = " > ".join(frames)
    return Failure(client, round_index, one_line(f"{kind}: {text}", 2000), one_line(trace, 2000))
