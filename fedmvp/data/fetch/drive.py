"""Download from Google Drive with gdown, which knows its confirmation pages and resumes."""

from __future__ import annotations

from pathlib import Path

from fedmvp.errors import SourceError

__all__ = ["download_drive"]


def download_drive(file_id: str, target: Path) -> None:
    """Fetch a file to `target`, which appears whole or not; the caller verifies the content.

    Raises
    ------
    SourceError
        When Drive refuses (popular files run into quotas) or the connection fails.
    """
    import gdown
    import requests
    from gdown.exceptions import DownloadError, FileURLRetrievalError

    where = f"https://drive.google.com/uc?id={file_id}"
    hint = f"try again tomorrow, or fetch it in a browser and save it as {target}"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        gdown.download(id=file_id, output=str(target), resume=True)
    except (DownloadError, FileURLRetrievalError, requests.RequestException, OSError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(f"Google Drive refused ({reason})", where=where, hint=hint) from None
    if not target.is_file():
        raise SourceError("Google Drive gave no file", where=where, hint=hint)
