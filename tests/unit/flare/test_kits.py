"""What a start-up kit grants, and whom it names."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from fedmvp.config import load_params
from fedmvp.errors import ConfigError
from fedmvp.federation.flare import policy
from fedmvp.federation.flare.installed import require_flare
from fedmvp.federation.flare.kit import create_federation, renew_kits
from fedmvp.federation.flare.layout import Kit, Organiser
from fedmvp.federation.flare.settings import (
    FederationSettings,
    new_plan,
    read_settings,
    require_site_names,
)
from fedmvp.federation.plan import load_plan
from fedmvp.sections import parse_section
from tests.paths import ROOT

SITES = ("north", "south", "far-east")


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_each_site_has_its_own_certificate_of_the_one_ca(federation_folder: Path) -> None:
    organiser = Organiser.open(federation_folder)
    for site in SITES:
        kit = Kit.open(organiser.kits / site)
        own = certificate(kit.startup / "client.crt")
        authority = certificate(kit.startup / "rootCA.pem")
        own.verify_directly_issued_by(authority)
        names = own.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        assert [name.value for name in names] == [site]


def test_private_keys_and_the_ca_are_their_owners_alone(federation_folder: Path) -> None:
    organiser = Organiser.open(federation_folder)
    assert mode(organiser.authority) == 0o700
    private = [*federation_folder.rglob("*.key"), *federation_folder.rglob("cert.json")]
    assert len(private) == 2 + len(SITES) + 1
    assert {mode(path) for path in private} == {0o600}
    assert "offline" in (organiser.authority / "README").read_text(encoding="utf-8")


def content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def test_no_kit_holds_the_ca_key(federation_folder: Path) -> None:
    organiser = Organiser.open(federation_folder)
    key = read(organiser.authority / "fed" / "state" / "cert.json")["root_pri_key"]
    inner = key.splitlines()[5].encode()
    for folder in (organiser.kits, organiser.server, organiser.admin):
        assert not [path for path in folder.rglob("*") if inner in content(path)]


@pytest.mark.parametrize("site", SITES)
def test_a_site_grants_jobs_of_installed_code_and_nothing_else(
    site: str, federation_folder: Path
) -> None:
    local = Organiser.open(federation_folder).kits / site / "local"
    permissions = read(local / "authorization.json")["permissions"]
    granted = {
        (role, right)
        for role, rights in permissions.items()
        for right, who in rights.items()
        if who != "none"
    }
    assert granted == {("project_admin", "submit_job"), ("project_admin", "manage_job")}
    assert all(set(rights) == set(policy.RIGHTS) for rights in permissions.values())
    resources = read(local / "resources.json")
    assert resources["allow_log_streaming"] is False
    assert resources["class_allow_list"] == ["fedmvp.federation.flare."]
    assert resources["class_list_enforcement_mode"] == "enforce"
    assert not [c for c in resources["components"] if "log" in c["id"]]
    privacy = read(local / "privacy.json")
    (scope,) = privacy["scopes"]
    assert privacy["default_scope"] == scope["name"]
    assert [f["path"] for f in scope["task_result_filters"]] == [
        "fedmvp.federation.flare.site_filter.SiteFilter"
    ]


def test_the_rights_written_out_are_all_the_engine_knows() -> None:
    pytest.importorskip("nvflare")
    from nvflare.security.security import COMMAND_CATEGORIES

    assert set(COMMAND_CATEGORIES.values()) <= set(policy.RIGHTS)


def test_the_server_stores_below_its_own_folder(federation_folder: Path) -> None:
    organiser = Organiser.open(federation_folder)
    resources = read(organiser.server / "local" / "resources.json")
    stores = [
        resources["snapshot_persistor"]["args"]["storage"]["args"]["root_dir"],
        *(c["args"]["uri_root"] for c in resources["components"] if c["id"] == "job_manager"),
    ]
    assert [Path(store).is_relative_to(organiser.server) for store in stores] == [True, True]
    assert "log_receiver" not in [c["id"] for c in resources["components"]]


def test_a_renewed_site_has_a_new_key_and_the_old_ca(
    federation_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "fed"
    shutil.copytree(federation_folder, folder)
    organiser = Organiser.open(folder)
    kit = Kit.open(organiser.kits / "south")
    (kit.site).write_text("own", encoding="utf-8")
    before = {p: p.read_bytes() for p in folder.rglob("*.crt")} | {
        p: p.read_bytes() for p in kit.local.iterdir()
    }
    renew_kits(organiser, read_settings(organiser), SITES, ["south"])
    changed = {path.relative_to(folder) for path, old in before.items() if path.read_bytes() != old}
    assert changed == {Path("kits/south/startup/client.crt")}
    assert kit.site.read_text(encoding="utf-8") == "own"
    certificate(kit.startup / "client.crt").verify_directly_issued_by(
        certificate(kit.startup / "rootCA.pem")
    )


def test_a_kit_that_was_handed_out_and_deleted_can_be_renewed(
    federation_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "fed"
    shutil.copytree(federation_folder, folder)
    organiser = Organiser.open(folder)
    old = certificate(Kit.open(organiser.kits / "far-east").startup / "client.crt")
    shutil.rmtree(organiser.kits)
    renew_kits(organiser, read_settings(organiser), SITES, ["far-east"])
    kit = Kit.open(organiser.kits / "far-east")
    assert certificate(kit.startup / "client.crt").serial_number != old.serial_number
    assert mode(kit.startup) == 0o700


def test_renewal_needs_the_ca_and_a_known_name(federation_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "fed"
    shutil.copytree(federation_folder, folder)
    organiser = Organiser.open(folder)
    settings = read_settings(organiser)
    with pytest.raises(ConfigError, match="neither a site"):
        renew_kits(organiser, settings, SITES, ["west"])
    shutil.rmtree(organiser.authority)
    with pytest.raises(ConfigError, match="folder of the CA is missing"):
        renew_kits(organiser, settings, SITES, ["south"])


def test_a_folder_that_exists_is_left_alone(federation_folder: Path) -> None:
    before = sorted(federation_folder.rglob("*"))
    organiser = Organiser.open(federation_folder)
    settings, plan = read_settings(organiser), load_plan(organiser.plan)
    with pytest.raises(ConfigError, match="already exists"):
        create_federation(federation_folder, settings, plan, organiser.backbone)
    assert sorted(federation_folder.rglob("*")) == before


def test_each_kit_holds_the_plan(federation_folder: Path) -> None:
    organiser = Organiser.open(federation_folder)
    plans = {Kit.open(organiser.kits / site).plan.read_bytes() for site in SITES}
    assert plans == {organiser.plan.read_bytes()}
    plan = load_plan(organiser.plan)
    assert plan.clients == SITES
    assert (plan.resolved().on_client_failure, plan.resolved().min_clients) == ("skip", 2)
    assert plan.resolved().participation == 1.0


@pytest.mark.parametrize(
    ("sites", "told"),
    [
        (("a", "server"), "is the name of the server"),
        (("a", "localhost"), "is the name of the server"),
        (("A b",), "pattern"),
        (("../a",), "pattern"),
    ],
)
def test_impossible_names_of_sites_are_refused(sites: tuple[str, ...], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        require_site_names(sites, "localhost")


@pytest.mark.parametrize("change", [{"port": 0}, {"host": "a b"}, {"wait_s": 0}, {"wiat_s": 1}])
def test_impossible_settings_are_refused(change: dict[str, Any], federation_folder: Path) -> None:
    value = read_settings(Organiser.open(federation_folder)).model_dump(mode="json")
    with pytest.raises(ConfigError, match=next(iter(change))):
        parse_section(FederationSettings, {**value, **change}, "federation.yaml")


def test_the_plan_takes_the_methods_own_rounds_unless_others_are_asked_for() -> None:
    params = load_params(ROOT / "fedmvp/profiles/default.yaml")
    made = new_plan(
        params, "fedmvp", name="x", sites=("a", "b"), seed=1, backbone_sha256="0" * 64, rounds=3
    )
    assert made.resolved().rounds == 3
    with pytest.raises(ConfigError, match="trains nothing"):
        new_plan(params, "zero_shot", name="x", sites=("a",), seed=1, backbone_sha256="0" * 64)


def test_without_the_extra_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.8.1")
    with pytest.raises(ConfigError, match=r"nvflare 2\.9 is needed"):
        require_flare()

    def missing(name: str) -> str:
        import importlib.metadata

        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", missing)
    with pytest.raises(ConfigError, match=r"fedmvp\[flare\]"):
        require_flare()
