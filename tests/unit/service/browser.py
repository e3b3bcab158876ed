"""A headless Chromium, spoken to over two pipes by the DevTools protocol: no library is needed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["CHROMIUM", "Page", "open_page"]

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
_PATIENCE_S = 60.0
_COMMANDS, _ANSWERS = 3, 4  # the file descriptors Chromium reads from and writes to


class Page:
    """One page of the browser."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._number, self._read = 0, b""
        self.session: str | None = None
        self.problems: list[str] = []  # of the page's scripts, and of what its policy forbade
        self.asked: list[str] = []  # addresses the page fetched

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the result of a command."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == self._number:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']}")
                result: dict[str, Any] = found["result"]
                return result
            self._note(found)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            self._read += os.read(self._answers, 1 << 16)
        line, _, self._read = self._read.partition(b"\0")
        found: dict[str, Any] = json.loads(line)
        return found

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.problems.append(str(params["exceptionDetails"]))
        elif event.get("method") == "Log.entryAdded":
            self.problems.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif event.get("method") == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])

    def value(self, expression: str) -> Any:
        """Return what some JavaScript gives."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return found["result"].get("value")

    def await_(self, expression: str) -> Any:
        """Return what some JavaScript gives, once that is true."""
        end = time.monotonic() + _PATIENCE_S
        while not (found := self.value(expression)):
            assert time.monotonic() < end, f"never: {expression}; {self.problems}"
            time.sleep(0.05)
        return found

    def open(self, address: str) -> None:
        """Go to an address and wait until it is there."""
        self.call("Page.navigate", url=address)
        self.await_(f"location.href === {address!r} && document.readyState === 'complete'")

    def choose(self, selector: str, file: Path) -> None:
        """Choose a file, as a person does in the dialogue."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(file.absolute())], nodeId=node)

    def drop(self, selector: str, file: Path) -> None:
        """Drop a file on a place of the page."""
        box = self.value(f"document.querySelector({selector!r}).getBoundingClientRect().toJSON()")
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        data = {"items": [], "files": [str(file.absolute())], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, data=data, **place)

    def press(self, key: str) -> None:
        """Press and let go of a key."""
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=9
            )


@contextmanager
def open_page(profile: Path) -> Iterator[Page]:
    """Start the browser with a profile of its own; yield a page of it."""
    assert CHROMIUM is not None
    to_read, to_write = os.pipe(), os.pipe()

    def connect() -> None:
        # The pipes' own numbers may be those they are put to.
        ours = os.dup(to_read[0]), os.dup(to_write[1])
        os.dup2(ours[0], _COMMANDS)
        os.dup2(ours[1], _ANSWERS)

    words = ["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"]
    words += ["--no-first-run", "--disable-dev-shm-usage", f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        [CHROMIUM, *words, "about:blank"],
        preexec_fn=connect,
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read[0])
    os.close(to_write[1])
    page = Page(to_read[1], to_write[0])
    try:
        target = page.call("Target.createTarget", url="about:blank")["targetId"]
        attached = page.call("Target.attachToTarget", targetId=target, flatten=True)
        page.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM", "Accessibility"):
            page.call(f"{domain}.enable")
        yield page
    finally:
        with suppress(OSError):
            os.close(to_read[1])
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()
        os.close(to_write[0])
