"""Start-up kits: keys, certificates, and a policy that grants only what is needed.

FLARE's provisioning makes the keys. The policy files it writes are replaced by ours, and the
scripts it writes are not used.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fedmvp.errors import ConfigError
from fedmvp.federation.flare.installed import require_flare
from fedmvp.federation.flare.layout import Organiser, organisation
from fedmvp.federation.flare.policy import (
    ADMIN,
    server_resources,
    server_rights,
    site_privacy,
    site_resources,
    site_rights,
)
from fedmvp.federation.flare.settings import FederationSettings, write_settings
from fedmvp.federation.plan import Plan, save_plan
from fedmvp.files import write_json, write_text

__all__ = ["create_federation", "renew_kits"]

_ORGANISER = "organiser"
_ROOT_DAYS = 3650
_UNUSED = (
    "start.sh",
    "stop_fl.sh",
    "sub_start.sh",
    "fl_admin.sh",
    "readme.txt",
    "system_info.ipynb",
)
_README = """\
CA of the federation: whoever has cert.json can make a certificate for any site.
Keep this folder offline (a USB stick in a safe), and bring it back for `fedmvp federation renew`.
"""


def create_federation(
    root: Path, settings: FederationSettings, plan: Plan, backbone: Path
) -> Organiser:
    """Make the organiser's folder: CA, the server's kit, a kit for each site, settings and plan.

    `root` appears only when everything in it is complete.

    Parameters
    ----------
    backbone : Path
        Folder of the frozen CLIP; it is copied.

    Raises
    ------
    ConfigError
        When the folder exists, or FLARE is not installed.
    """
    require_flare()
    final = root.absolute()
    if final.exists():
        raise ConfigError(
            "already exists",
            where=root,
            hint="choose another folder, or renew certificates: `fedmvp federation renew`",
        )
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{final.name}.", dir=final.parent) as scratch:
        made = Organiser(Path(scratch) / "made")
        made.root.mkdir(mode=0o700)
        made.authority.mkdir(mode=0o700)
        _issue(made, settings, plan.clients, (), final / "server")
        write_text(made.authority / "README", _README)
        write_settings(made.settings, settings)
        shutil.copytree(backbone, made.backbone)
        for path in (made.plan, *(made.kits / site / made.plan.name for site in plan.clients)):
            save_plan(path, plan)
        made.root.rename(final)
    return Organiser(final)


def renew_kits(
    organiser: Organiser,
    settings: FederationSettings,
    sites: Sequence[str],
    names: Sequence[str],
) -> None:
    """Issue new keys and certificates for some sites, or for ``server``, with the same CA.

    The organiser hands out the new ``startup`` folder alone: it does not contain a site's own
    settings, state or policy.

    Raises
    ------
    ConfigError
        When the CA's folder is missing, or a name is not one of the federation's.
    """
    require_flare()
    if not _authority_file(organiser.authority, settings).is_file():
        raise ConfigError(
            "the folder of the CA is missing",
            where=organiser.authority,
            hint="bring the folder back from where it is kept offline",
        )
    known = (*sites, "server", _ORGANISER)
    for name in names:
        if name not in known:
            raise ConfigError(
                "neither a site nor the server",
                where="fedmvp federation renew",
                value=name,
                hint=f"choose from: {', '.join(known)}",
            )
    _issue(organiser, settings, sites, names, organiser.server)


def _authority_file(authority: Path, settings: FederationSettings) -> Path:
    return authority / settings.authority / "state" / "cert.json"


def _issue(
    organiser: Organiser,
    settings: FederationSettings,
    sites: Sequence[str],
    renewed: Sequence[str],
    server: Path,
) -> None:
    """Make all kits, or only the startup folders of `renewed` again.

    Parameters
    ----------
    server : Path
        Final path of the server's folder.
    """
    subjects = {"server": settings.host, _ORGANISER: ADMIN}
    _forget(
        _authority_file(organiser.authority, settings),
        [subjects.get(name, name) for name in renewed],
    )
    with _private_files():
        made = _provision(organiser.authority, settings, sites)
    targets = {
        settings.host: organiser.server,
        ADMIN: organiser.admin,
        **{site: organiser.kits / site for site in sites},
    }
    wanted = {subjects.get(name, name) for name in renewed} or set(targets)
    for subject in wanted:
        target = targets[subject]
        if renewed:
            shutil.rmtree(
                target / "startup", ignore_errors=True
            )  # kits are deleted once handed out
        else:
            (target / "local").mkdir(parents=True, mode=0o700)
            logs = made / subject / "local" / "log_config.json.default"
            if logs.is_file():
                shutil.copy(logs, target / "local" / "log_config.json")
        shutil.copytree(made / subject / "startup", target / "startup")
        for name in _UNUSED:
            (target / "startup" / name).unlink(missing_ok=True)
        for folder in (target, target / "startup"):
            folder.chmod(0o700)
    shutil.rmtree(made)
    if not renewed:
        write_json(organiser.server / "local" / "resources.json", server_resources(server))
        write_json(organiser.server / "local" / "authorization.json", server_rights())
        for site in sites:
            local = organiser.kits / site / "local"
            write_json(local / "resources.json", site_resources())
            write_json(local / "authorization.json", site_rights())
            write_json(local / "privacy.json", site_privacy())


@contextlib.contextmanager
def _private_files() -> Iterator[None]:
    """Within this context, let only the owner read what FLARE writes."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _forget(path: Path, subjects: Sequence[str]) -> None:
    """Remove certificates from the CA's list, so that provisioning issues new ones."""
    if not path.is_file():
        return
    book = json.loads(path.read_text(encoding="utf-8"))
    for subject in subjects:
        book.pop(subject, None)
    write_json(path, book)
    path.chmod(0o600)


def _provision(authority: Path, settings: FederationSettings, sites: Sequence[str]) -> Path:
    """Let FLARE make keys and certificates; return the folder with one kit per participant."""
    from nvflare.lighter.entity import Participant, Project
    from nvflare.lighter.impl.cert import CertBuilder
    from nvflare.lighter.impl.signature import SignatureBuilder
    from nvflare.lighter.impl.static_file import StaticFileBuilder
    from nvflare.lighter.impl.workspace import WorkspaceBuilder
    from nvflare.lighter.provisioner import Provisioner

    server = {
        "fed_learn_port": settings.port,
        "host_names": [settings.host],
        "default_host": settings.host,
    }
    participants = [
        Participant("server", settings.host, _ORGANISER, server),
        Participant("admin", ADMIN, _ORGANISER, {"role": "project_admin"}),
        *(Participant("client", site, organisation(site), {}) for site in sites),
    ]
    project = Project(settings.authority, "", participants, {"api_version": 3})
    builders = [
        WorkspaceBuilder(["master_template.yml"]),
        StaticFileBuilder(config_folder="config", scheme="grpc"),
        CertBuilder(root_valid_days=_ROOT_DAYS),
        SignatureBuilder(),
    ]
    log = logging.getLogger("fedmvp.flare")
    context: dict[str, Any] = Provisioner(str(authority), builders).provision(project, logger=log)
    folder = context.get("current_prod_dir")
    if not folder:
        raise ConfigError(
            "FLARE could not make the kits",
            where=authority,
            value=context.get("errors"),
            hint="see above; is the disk full?",
        )
    return Path(folder)
