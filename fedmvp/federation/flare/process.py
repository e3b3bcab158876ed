"""A FLARE process that ends with the one that started it: ``python -m … server|site FOLDER``.

FLARE's job processes watch their parent already; its server and site processes do not. One that was
left over would keep the port, or answer in a site's name.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

from fedmvp.federation.flare.layout import Kit, Organiser, organisation

__all__ = ["Process", "server_process", "site_process"]

_WATCH_S = 0.5
_PATIENCE_S = 10.0
# A site notices a server that came back by its heartbeat, once it has reached it: FLARE's own
# intervals are ten seconds each, so a new job would wait for twenty.
_HEARTBEAT_S = 2
_RECONNECT_S = 2
_MODULES = {
    "server": "nvflare.private.fed.app.server.server_train",
    "site": "nvflare.private.fed.app.client.client_train",
}
_STARTUP = {"server": "fed_server.json", "site": "fed_client.json"}


class Process:
    """A running process of FLARE.

    Parameters
    ----------
    popen : subprocess.Popen
        Leader of a process group of its own.
    """

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self.popen = popen
        self._stopped = False

    @property
    def running(self) -> bool:
        """Whether the process is running."""
        return self.popen.poll() is None

    def stop(self) -> None:
        """End the process and all it started; do nothing the second time."""
        if self._stopped:
            return
        self._stopped = True
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.popen.pid, number)
            except ProcessLookupError:
                break
            try:
                self.popen.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                continue
        self.popen.wait()


def server_process(organiser: Organiser, log: Path) -> Process:
    """Start the server; what it prints goes to `log`."""
    return _start("server", organiser.server, log, organiser.variables())


def site_process(kit: Kit, log: Path) -> Process:
    """Start a site; what it prints goes to `log`."""
    return _start("site", kit.root, log, {})


def _start(role: str, folder: Path, log: Path, variables: dict[str, str]) -> Process:
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **variables}
    environment.setdefault("FEDMVP_CACHE", str(folder / "cache"))
    with log.open("ab") as output:
        return Process(_popen(role, folder, output, environment))


def _popen(
    role: str, folder: Path, output: IO[bytes], environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", __name__, role, str(folder)]
    return subprocess.Popen(  # noqa: S603 - our interpreter, our module
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )


def _end_with_parent(parent: int) -> None:
    """Kill the process group, if it is our own, once the process that started us is gone."""
    while os.getppid() == parent:
        time.sleep(_WATCH_S)
    os.kill(0 if os.getpgrp() == os.getpid() else os.getpid(), signal.SIGKILL)


def _reconnect_soon() -> None:
    """Shorten the longest pause between two tries to reach the server; FLARE has no setting."""
    from nvflare.fuel.f3.sfm import conn_manager

    conn_manager.MAX_WAIT = _RECONNECT_S


def main(role: str, folder: str) -> None:
    """Become FLARE's server or site."""
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    name = Kit(Path(folder)).name if role == "site" else ""
    names = [f"uid={name}", f"org={organisation(name)}"] if name else ["org=organiser"]
    options = ["secure_train=true", "config_folder=config", *names]
    if role == "site":
        options.append(f"heart_beat_interval={_HEARTBEAT_S}")
        _reconnect_soon()
    sys.argv = [role, "-m", folder, "-s", _STARTUP[role], "--set", *options]
    runpy.run_module(_MODULES[role], run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
