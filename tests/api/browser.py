"""A headless Chromium without a network, driven over its debugging protocol."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.waiting import until

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
START_SECONDS = 60
ANSWER_SECONDS = 30
TEXT = "document.body.innerText.slice(0, 2000)"


def find() -> str | None:
    """The path of the browser, if it is installed."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """The only page of the browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.refused: list[str] = []  # requests to other hosts, and violations of the page's policy
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        """One command and its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=ANSWER_SECONDS))
            if message.get("id") == number:
                assert "error" not in message, message["error"]
                return message["result"]
            self._note(message)

    def _note(self, message: Any) -> None:
        if message["method"] == "Network.loadingFailed":
            self.refused.append(message["params"]["errorText"])
        if message["method"] == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
            self.refused.append(message["params"]["entry"]["text"])
        if message["method"] == "Runtime.exceptionThrown":
            self.refused.append(str(message["params"]["exceptionDetails"].get("exception")))

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, condition: str, seconds: float = ANSWER_SECONDS) -> None:
        """Wait until a JavaScript expression is true; an error in it counts as false."""
        script = f"(() => {{ try {{ return Boolean({condition}) }} catch {{ return false }} }})()"
        try:
            until(lambda: self.run(script), seconds)
        except AssertionError as e:
            raise AssertionError(f"{condition}; refused: {self.refused}; page: {self.run(TEXT)}") from e

    def screenshot(self, path: Path) -> None:
        """The page as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def page(program: str, url: str, folder: Path) -> Iterator[Page]:
    """The page at this address, in a browser that can reach only this machine."""
    command = [
        program,
        "--headless=new",
        "--no-sandbox",  # the tests may run as root in a container
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
        "--window-size=1400,900",
        "about:blank",
    ]
    with (folder.parent / "browser.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        port_file = folder / "DevToolsActivePort"
        until(lambda: port_file.is_file() and port_file.read_text().count("\n") >= 1, START_SECONDS)
        port = port_file.read_text().splitlines()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=ANSWER_SECONDS) as answer:
            target = next(t for t in json.load(answer) if t["type"] == "page")
        with connect(target["webSocketDebuggerUrl"], max_size=None) as socket:
            found = Page(socket)
            found.call("Page.navigate", url=url)
            yield found
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)
