"""Uploading an exported folder to a hub, if the user names a repository."""

from __future__ import annotations

import os
import re
from pathlib import Path

from fedmvp.errors import ConfigError, one_line

__all__ = ["check_repository", "push"]

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


def check_repository(name: str) -> None:
    """Refuse an invalid repository name, before anything is written.

    Raises
    ------
    ConfigError
        With the form that a name must have.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "not a repository's name", where="--push-to-hub", value=name, hint="give USER/NAME"
        )


def push(folder: Path, name: str, *, private: bool) -> str:
    """Upload a folder as one commit; return the repository's address.

    ``HF_ENDPOINT`` chooses the hub; the login is that of `huggingface_hub`.

    Raises
    ------
    ConfigError
        When the hub cannot be reached or refuses; the folder stays.
    """
    from huggingface_hub import HfApi, errors

    check_repository(name)
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
    try:
        address = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(
            folder_path=folder, repo_id=name, commit_message="Export of a FedMVP model"
        )
    except (errors.HTTPError, OSError, ValueError) as error:
        raise ConfigError(
            f"the Hub refused the upload ({one_line(str(error), 120)})",
            where=name,
            hint=f"log in with `hf auth login`, check the network; the export is in {folder}",
        ) from None
    return str(address)
