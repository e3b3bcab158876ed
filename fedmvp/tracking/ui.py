"""MLflow's pages, served to this machine only."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from fedmvp.config import load_params
from fedmvp.errors import ConfigError, FedMVPError
from fedmvp.ports import require_free
from fedmvp.tracking.store import experiment_id, locked, open_client, tracking_uri
from fedmvp.tracking.trouble import without_secret

__all__ = ["page_address", "ui_command", "ui_environment"]

_HOST = "127.0.0.1"


def page_address(root: Path, *, port: int, uri: str | None = None) -> str:
    """Return where the runs of params.yaml's profile are, or the list of experiments.

    Without its last part the page would show an experiment as an application of language models:
    mlflow 3.17 heeds the address and what was last chosen in this browser, not the experiment's
    kind.
    """
    try:
        profile = load_params(root / "params.yaml").profile
        experiment = experiment_id(tracking_uri(root, uri), profile)
    except FedMVPError:  # the page can be looked at without a profile
        experiment = None
    place = "experiments" if experiment is None else f"experiments/{experiment}/runs"
    return f"http://{_HOST}:{port}/#/{place}?workflowType=machine_learning"


def ui_command(root: Path, *, port: int = 5000, uri: str | None = None) -> list[str]:
    """Return the command that serves the store of `ui_environment` to this machine only.

    The server has no log-in, so it never listens elsewhere; look at it from another machine
    through ``ssh -L``.

    Raises
    ------
    ConfigError
        When the port is impossible or taken, or the store is a server, which has a page of its own.
    """
    store = tracking_uri(root, uri)
    if store.startswith(("http://", "https://", "databricks")):
        raise ConfigError(
            "the tracking store is a server",
            where="FEDMVP_TRACKING_URI",
            value=without_secret(store),
            hint="open this address in a browser",
        )
    require_free(_HOST, port, "fedmvp track ui")
    if importlib.util.find_spec("mlflow") is None:
        raise ConfigError("mlflow is not installed", where=sys.executable, hint="run `make env`")
    return [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        _HOST,
        "--port",
        str(port),
        "--workers",
        "1",
    ]


def ui_environment(root: Path, uri: str | None = None) -> dict[str, str]:
    """Return the server's environment, which names a store that can be opened.

    On a command line every user of the machine would see the password a URI may hold.

    Raises
    ------
    ConfigError
        When the store cannot be opened: of that the server makes a traceback.
    """
    store = tracking_uri(root, uri)
    with locked(root, uri):
        open_client(store)
    return {**os.environ, "MLFLOW_BACKEND_STORE_URI": store}
