"""Who may not in: certificates of another CA, expired ones, another site's, and jobs with code.

After all of them, the same server and sites train on images that show many classes.
"""

from __future__ import annotations

import datetime
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fedmvp.errors import ConfigError
from fedmvp.federation.flare.connection import shake_hands
from fedmvp.federation.flare.job import write_job
from fedmvp.federation.flare.layout import Kit
from fedmvp.federation.flare.process import Process, server_process, site_process
from fedmvp.federation.flare.session import Session, Unreachable, open_session
from fedmvp.federation.flare.settings import read_settings
from tests.machines.machines import SITES, Machines, assert_nothing_leaked, running

pytest.importorskip("nvflare")

pytestmark = [pytest.mark.slow, pytest.mark.minutes]


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """A server that answers, and site a, of a federation for images that show many classes."""
    made = Machines(
        tmp_path_factory.mktemp("strangers"),
        rounds=2,
        many_labels=True,
        by_command=True,
    )
    server = server_process(made.organiser, made.organiser.run / "server.log")
    try:
        with running(made):
            made.join("a")
            made.session = session_of(made)  # type: ignore[attr-defined]
            made.wait(lambda: made.session.sites() == ["a"])  # type: ignore[attr-defined]
            impostor = start_impostor(made)
            made.impostor = impostor  # type: ignore[attr-defined]
            try:
                yield made
            finally:
                impostor.stop()
            made.session.close()  # type: ignore[attr-defined]
    finally:
        server.stop()


def start_impostor(machines: Machines) -> Process:
    """Start site c in the name of b; other tests need not wait for what becomes of it."""
    kit = copied(machines, machines.root / "impostor", "c")
    change_json(kit.startup / "fed_client.json", lambda entry: entry["client"].update(fqsn="b"))
    patience = {"maint_msg_timeout": 5.0}
    change_json(kit.local / "resources.json", lambda entry: entry["client"].update(patience))
    return site_process(kit, machines.root / "impostor.log")


def change_json(path: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def session_of(machines: Machines) -> Session:
    end = time.monotonic() + 120
    while True:
        try:
            return open_session(machines.organiser)
        except Unreachable:
            assert time.monotonic() < end
            time.sleep(0.5)


def copied(machines: Machines, tmp_path: Path, site: str) -> Kit:
    shutil.copytree(machines.organiser.kits / site, tmp_path / "kit")
    return Kit.open(tmp_path / "kit")


def test_a_site_of_the_federation_is_greeted(machines: Machines) -> None:
    assert shake_hands(machines.kit("b")).server.startswith("localhost:")


def test_a_certificate_of_another_ca_is_not_taken(machines: Machines, tmp_path: Path) -> None:
    kit = copied(machines, tmp_path, "b")
    sign_anew(machines, kit, own_ca=True, days_ago=0)
    with pytest.raises(ConfigError, match="rejected this site's certificate"):
        shake_hands(kit)


def test_an_expired_certificate_is_not_taken(machines: Machines, tmp_path: Path) -> None:
    kit = copied(machines, tmp_path, "b")
    sign_anew(machines, kit, own_ca=False, days_ago=400)
    with pytest.raises(ConfigError, match="rejected this site's certificate"):
        shake_hands(kit)
    sign_anew(machines, kit, own_ca=False, days_ago=0)
    assert shake_hands(kit).cipher  # the same hand made a valid one


def test_a_job_that_brings_code_runs_nowhere(machines: Machines, tmp_path: Path) -> None:
    job = write_job(tmp_path / "job")
    mark = tmp_path / "ran"
    code = job / "app" / "custom" / "theirs.py"
    code.parent.mkdir()
    code.write_text(f"open({str(mark)!r}, 'w').close()\n", encoding="utf-8")
    config = job / "app" / "config" / "config_fed_client.json"
    theirs = [{"id": "theirs", "path": "theirs.Anything", "args": {}}]
    change_json(config, lambda value: value.update(components=theirs))
    refused(machines, job)
    assert not mark.exists()


def test_a_job_of_classes_that_are_not_ours_runs_nowhere(
    machines: Machines, tmp_path: Path
) -> None:
    job = write_job(tmp_path / "job")
    config = job / "app" / "config" / "config_fed_client.json"
    mark = tmp_path / "ran"
    theirs = {"path": "subprocess.Popen", "args": {"args": ["touch", str(mark)]}}
    change_json(config, lambda value: value["executors"][0].update(executor=theirs))
    refused(machines, job)
    assert not mark.exists()


def test_a_site_cannot_come_in_anothers_name(machines: Machines) -> None:
    impostor: Process = machines.impostor  # type: ignore[attr-defined]
    log = machines.root / "impostor.log"
    # Refused, it gives up or tries again, as its library's messages happen to cross.
    machines.wait(lambda: not impostor.running or "re-challenge" in log.read_text(encoding="utf-8"))
    assert impostor.popen.poll() != 0
    refusals = (machines.organiser.run / "server.log").read_text(encoding="utf-8")
    assert "authenticated as 'c' but claimed endpoint 'b'" in refusals
    assert machines.session.sites() == ["a"]  # type: ignore[attr-defined]


def test_none_of_them_keeps_sites_of_many_labels_from_the_bytes_of_one_process(
    machines: Machines, tmp_path: Path
) -> None:
    from tests.machines.in_process import in_process

    assert machines.plan.multilabel is not None
    expected = in_process(machines, tmp_path / "here")
    for site in ("b", "c"):
        machines.join(site)
    session: Session = machines.session  # type: ignore[attr-defined]
    machines.wait(lambda: session.sites() == list(SITES))
    number = session.submit(write_job(tmp_path / "job"))
    machines.wait(lambda: number in [event["job"] for event in machines.events("over")])
    assert [event["event"] for event in machines.events()][-2:] == ["finished", "over"]
    results = machines.organiser.results
    assert (results / "weights.safetensors").read_bytes() == expected.weights
    assert (results / "rounds.csv").read_bytes() == expected.rounds
    counts = json.loads((results / "counts.json").read_text(encoding="utf-8"))
    assert set(counts["sites"]) == set(SITES)
    assert "known_of1" in counts["metrics"]
    assert_nothing_leaked(machines)


def refused(machines: Machines, job: Path) -> None:
    """Submit a job, and see that it comes to nothing."""
    session: Session = machines.session  # type: ignore[attr-defined]
    try:
        number = session.submit(job)
    except Unreachable:
        return  # the server would not even take it
    machines.wait(lambda: session.status(number).startswith("FINISHED"))
    assert session.status(number) != "FINISHED:COMPLETED"


def sign_anew(machines: Machines, kit: Kit, *, own_ca: bool, days_ago: int) -> None:
    """Give a kit a certificate of its own name, made `days_ago`, valid for 360 days."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from nvflare.lighter.utils import (
        Identity,
        generate_cert,
        generate_keys,
        serialize_cert,
        serialize_pri_key,
    )

    authority = read_settings(machines.organiser).authority
    book = machines.organiser.authority / authority / "state" / "cert.json"
    theirs = json.loads(book.read_text(encoding="utf-8"))["root_pri_key"].encode()
    signing = generate_keys()[0] if own_ca else load_pem_private_key(theirs, None)
    private, public = generate_keys()
    begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days_ago)
    made = generate_cert(
        Identity(kit.name, kit.name),
        Identity(authority),
        signing,
        public,
        not_valid_before=begin,
        not_valid_after=begin + datetime.timedelta(days=360),
    )
    (kit.startup / "client.crt").write_bytes(serialize_cert(made))
    (kit.startup / "client.key").write_bytes(serialize_pri_key(private))
