"""What others may do at a site and at the server: every right is listed.

FLARE's own kits grant an administrator everything, even submitting code and running shell
commands, and stream a site's error log to the server. Ours do not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = [
    "ADMIN",
    "ALLOWED",
    "POLL_S",
    "RIGHTS",
    "server_resources",
    "server_rights",
    "site_privacy",
    "site_resources",
    "site_rights",
]

ADMIN = "organiser@federation.local"
"""Name in the certificate of the only user."""
POLL_S = 0.1
"""How often a site asks for work, in seconds."""
ALLOWED = ("fedmvp.federation.flare.",)
"""Prefix of the Python classes a job may name."""

_ROLES = ("project_admin", "org_admin", "lead", "member")
RIGHTS = (
    "submit_job",
    "clone_job",
    "manage_job",
    "download_job",
    "view",
    "operate",
    "shell_commands",
    "byoc",
    "server-predeployed-flwr",
)


def server_rights() -> dict[str, Any]:
    """Return the server's authorization.json: the organiser may submit, abort and view jobs."""
    return _policy({"submit_job", "manage_job", "view"})


def site_rights() -> dict[str, Any]:
    """Return a site's authorization.json: the organiser may run installed code, nothing else.

    The rights `view` and `operate` are not granted, either: they would reveal the site's folders
    and error messages.
    """
    return _policy({"submit_job", "manage_job"})


def _policy(granted: set[str]) -> dict[str, Any]:
    none = dict.fromkeys(RIGHTS, "none")
    admin = {right: "any" if right in granted else "none" for right in RIGHTS}
    permissions = {role: admin if role == "project_admin" else none for role in _ROLES}
    return {"format_version": "1.0", "permissions": permissions}


def site_privacy() -> dict[str, Any]:
    """Return a site's privacy.json: each result passes the site's filter, whatever the job says."""
    check = {"path": "fedmvp.federation.flare.site_filter.SiteFilter", "args": {}}
    scope = {"name": "site", "properties": {}, "task_result_filters": [check]}
    return {"scopes": [scope], "default_scope": "site"}


def site_resources() -> dict[str, Any]:
    """Return a site's resources.json."""
    managers = "nvflare.app_common.resource_managers.gpu_resource_manager.GPUResourceManager"
    consumer = "nvflare.app_common.resource_consumers.gpu_resource_consumer.GPUResourceConsumer"
    launcher = "nvflare.app_common.job_launcher.client_process_launcher.ClientProcessJobLauncher"
    gpus = {"num_of_gpus": 0, "mem_per_gpu_in_GiB": 0, "expiration_period": 300}
    return {
        "format_version": 2,
        "class_list_enforcement_mode": "enforce",
        "class_allow_list": list(ALLOWED),
        "allow_log_streaming": False,
        "client": {"retry_timeout": 30, "compression": "Gzip"},
        # FLARE's default, a log streamer, is left out.
        "components": [
            {"id": "resource_manager", "path": managers, "args": gpus},
            {"id": "resource_consumer", "path": consumer, "args": {}},
            {"id": "process_launcher", "path": launcher, "args": {}},
        ],
    }


def server_resources(server: Path) -> dict[str, Any]:
    """Return the server's resources.json; its stores are inside the server's folder.

    Parameters
    ----------
    server : Path
        Absolute, as FLARE requires; its default stores are in the system's temporary folder.
    """
    storage = "nvflare.app_common.storages.filesystem_storage.FilesystemStorage"
    persistor = "nvflare.app_common.state_persistors.storage_state_persistor.StorageStatePersistor"
    scheduler = "nvflare.app_common.job_schedulers.job_scheduler.DefaultJobScheduler"
    manager = "nvflare.apis.impl.job_def_manager.SimpleJobDefManager"
    launcher = "nvflare.app_common.job_launcher.server_process_launcher.ServerProcessJobLauncher"
    snapshots = {"root_dir": str(server / "store" / "snapshots"), "uri_root": "/"}
    jobs = {"uri_root": str(server / "store" / "jobs"), "job_store_id": "job_store"}
    return {
        "format_version": 2,
        "class_list_enforcement_mode": "enforce",
        "class_allow_list": list(ALLOWED),
        "servers": [
            {
                "admin_storage": "transfer",
                "max_num_clients": 1000,
                "heart_beat_timeout": 60,
                "admin_timeout": 10.0,
            }
        ],
        "snapshot_persistor": {
            "path": persistor,
            "args": {"uri_root": "/", "storage": {"path": storage, "args": snapshots}},
        },
        "components": [
            # More than one: a dead job that FLARE believes to be running must not block the next.
            {"id": "job_scheduler", "path": scheduler, "args": {"max_jobs": 1000}},
            {"id": "job_manager", "path": manager, "args": jobs},
            {"id": "job_store", "path": storage},
            {"id": "process_launcher", "path": launcher, "args": {}},
        ],
    }
