"""A process on a machine of a Ray cluster, which runs a worker there and forwards its messages.

The class is defined in a function so that Ray sends its code along instead of importing it: a
machine without this checkout has no module of that name. So it uses only the standard library.
"""

from __future__ import annotations

from typing import Any

__all__ = ["host_class"]


def host_class() -> type[Any]:
    """Return the class from which Ray makes an actor for each place."""

    class Host:
        """Runs ``python -m pipeline.cluster.worker``; every call returns within seconds."""

        def __init__(self) -> None:
            self.process: Any = None
            self.log: Any = None

        def facts(self, files: list[str], modules: list[str]) -> dict[str, str]:
            """Return the versions of modules, and the SHA-256 of those files that exist."""
            import hashlib
            import importlib.metadata
            import pathlib
            import platform

            facts = {"python": platform.python_version()}
            for name in modules:
                try:
                    facts[name] = importlib.metadata.version(name)
                except importlib.metadata.PackageNotFoundError:
                    facts[name] = "none"
            for name in files:
                path = pathlib.Path(name)
                known = path.is_file()
                facts[name] = hashlib.sha256(path.read_bytes()).hexdigest() if known else "none"
            return facts

        def settle(
            self, folder: str, source: dict[str, bytes] | None, environment: dict[str, str]
        ) -> None:
            """Choose the folder to work in; write the source there if it is given."""
            import os
            import pathlib
            import shutil
            import sys

            self.folder = pathlib.Path(folder).expanduser()
            state = self.folder.parent
            path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
            self.environment = {**os.environ, "PATH": path, **environment}
            self.environment.pop("OMP_NUM_THREADS", None)  # set by Ray from the number of CPUs
            if source is not None:
                shutil.rmtree(self.folder, ignore_errors=True)
                for name, content in source.items():
                    file = self.folder / name
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(content)
                # What is kept between runs is shared by all places of a machine.
                for name in ("cache", "data", "scratch"):
                    self.environment.setdefault(f"FEDMVP_{name.upper()}", str(state / name))

        def start(self, line: str) -> None:
            """Pass an order on to the worker, which is started if it is not running."""
            import subprocess
            import sys
            import tempfile

            if self.process is None or self.process.poll() is not None:
                self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - open while the worker runs
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "pipeline.cluster.worker"],
                    cwd=self.folder,
                    env=self.environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self.errors,
                    start_new_session=True,
                )
            self.log = None
            self.process.stdin.write(f"{line}\n".encode())
            self.process.stdin.flush()

        def poll(self, log: str, seconds: float) -> tuple[bytes, bytes | None]:
            """Return what was logged since the last call, and the answer once there is one.

            An empty answer means that the worker has ended.
            """
            import contextlib
            import os
            import selectors
            import signal

            answer = None
            with selectors.DefaultSelector() as selector:
                selector.register(self.process.stdout, selectors.EVENT_READ)
                if selector.select(seconds):
                    answer = self.process.stdout.readline()
            if answer == b"":
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            if self.log is None and (self.folder / log).exists():
                self.log = (self.folder / log).open("rb")
            logged = self.log.read() if self.log else b""
            if answer == b"":
                self.errors.seek(0)
                logged += self.errors.read()
            return logged, answer

        def signal(self, number: int) -> None:
            """Send a signal to the stage."""
            import os

            if self.process is not None and self.process.poll() is None:
                os.killpg(self.process.pid, number)

    return Host
