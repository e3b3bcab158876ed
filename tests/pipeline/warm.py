"""`python -m`, `dvc` and `fedmvp` as forks of one process that has imported what they need.

Most of a small stage's time is imports. Where processes, files and exit codes are tested and not
the start of the interpreter, a folder of programs of these names stands first on the PATH: each
passes its arguments, environment and open files to the one process, which forks.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import random
import runpy
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from tests.paths import ROOT

__all__ = ["started"]

PRELOADED = (
    "torch",
    "open_clip",
    "mlflow",
    "dvc.cli",
    "dvc.repo",
    "dvc.commands.repro",
    "pipeline.train",
    "pipeline.evaluate",
    "pipeline.zero_shot",
    "pipeline.report",
    "pipeline.track",
    "fedmvp.cli",
)
_LENGTH_BYTES = 8

_CLIENT = """
import json, os, socket, sys
place, python, name, *arguments = sys.argv[1:]
if name == "python" and arguments[:1] != ["-m"]:
    os.execv(python, [python, *arguments])
call = {"name": name, "arguments": arguments, "cwd": os.getcwd(), "environment": dict(os.environ)}
content = json.dumps(call).encode()
with socket.socket(socket.AF_UNIX) as server:
    server.connect(place)
    socket.send_fds(server, [len(content).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(content)
    code = server.recv(16)
sys.exit(int(code) if code else 137)
"""


@contextlib.contextmanager
def started(root: Path) -> Iterator[Path]:
    """Start the process with the packages of `root`; yield the folder to put on the PATH."""
    with tempfile.TemporaryDirectory(prefix="warm-") as name:  # a socket's path must be short
        folder = Path(name)
        place, client = folder / "socket", folder / "client.py"
        client.write_text(_CLIENT, encoding="utf-8")
        (folder / "bin").mkdir()
        for program in ("python", "dvc", "fedmvp"):
            path = folder / "bin" / program
            words = [sys.executable, "-I", "-S", client, place, sys.executable, program]
            line = shlex.join(map(str, words))
            path.write_text(f'#!/bin/sh\nexec {line} "$@"\n', encoding="utf-8")
            path.chmod(0o755)
        with subprocess.Popen(
            [sys.executable, "-m", __name__, str(place)],
            cwd=root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(root), str(ROOT)))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as server:
            assert server.stdout is not None
            assert server.stdin is not None
            assert server.stdout.readline() == b"ready\n"
            yield folder / "bin"
            server.stdin.close()  # which ends it


def serve(place: str) -> None:
    """Fork for every call until stdin ends."""
    import gc
    import importlib
    import select

    for name in PRELOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen()
        print("ready", flush=True)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _answer(connection)
            connection.close()
    os._exit(0)


def _answer(connection: socket.socket) -> NoReturn:
    """Fork once more: the child is the program, the parent sends its exit code."""
    length, files, _, _ = socket.recv_fds(connection, _LENGTH_BYTES, 3)
    content = connection.makefile("rb").read(int.from_bytes(length, "big"))
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        connection.sendall(str(code if code >= 0 else 128 - code).encode())
        os._exit(0)
    connection.close()
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    call = json.loads(content)
    os.environ.clear()
    os.environ.update(call["environment"])
    os.chdir(call["cwd"])
    random.seed()  # as a process of its own would
    code = _code(call["name"], call["arguments"])
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)  # taking apart all that was imported would take longer than importing it


def _code(name: str, arguments: list[str]) -> int:
    """Run a program; return the exit code the interpreter would end with."""
    try:
        _become(name, arguments)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        return 1
    return 0


def _become(name: str, arguments: list[str]) -> None:
    main: Any
    if name == "python":
        _, module, *rest = arguments
        sys.argv, sys.path[0] = [module, *rest], str(Path.cwd())
        sys.modules.pop(module, None)
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    elif name == "dvc":
        from dvc.cli import main

        sys.argv = [name, *arguments]
        sys.exit(main(arguments))
    else:
        from fedmvp.cli import app

        sys.argv = [name, *arguments]
        app(prog_name=name)


if __name__ == "__main__":
    serve(sys.argv[1])
