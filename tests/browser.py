"""A headless Chromium, controlled through a pipe by the DevTools protocol."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class View(NamedTuple):
    """What a browser did to show a page."""

    requests: list[str]
    """Addresses that were requested, without that of the page and data addresses."""
    messages: list[str]
    """Messages of the console: errors, warnings, violated policies."""
    screenshot: bytes
    """The whole page, PNG."""


def view(page: Path, profile: Path, *, width: int = 1280) -> View:
    """Open a file in headless Chromium, until it has loaded.

    Args:
        page: HTML file.
        profile: Empty folder for the browser.
        width: Width of the window in pixels.
    """
    read_commands, write_commands = _pipe()
    read_answers, write_answers = _pipe()

    def take_pipes() -> None:  # Chromium reads commands from 3, and answers to 4
        os.dup2(read_commands, 3)
        os.dup2(write_answers, 4)

    process = subprocess.Popen(
        [
            str(CHROMIUM),
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            f"--window-size={width},1000",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        close_fds=False,
        preexec_fn=take_pipes,
    )
    os.close(read_commands)
    os.close(write_answers)
    with (
        os.fdopen(write_commands, "wb") as to,
        os.fdopen(read_answers, "rb") as answers,
    ):
        connection = _Connection(to, answers)
        try:
            return _show(connection, page.as_uri())
        finally:
            connection.send("Browser.close")
            process.wait(timeout=60)


def _pipe() -> tuple[int, int]:
    """Open a pipe whose ends are not 3 or 4."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]


class _Connection:
    def __init__(self, to: Any, answers: Any) -> None:
        self.to = to
        self.answers = answers
        self.events: list[dict[str, Any]] = []
        self.session: dict[str, str] = {}
        self.count = 0

    def send(self, method: str, **parameters: Any) -> None:
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        self.to.write(json.dumps(message | self.session).encode() + b"\0")
        self.to.flush()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and return its answer; events before it are kept."""
        self.send(method, **parameters)
        while True:
            message = self.receive()
            if message.get("id") == self.count:
                result: dict[str, Any] = message["result"]
                return result

    def receive(self) -> dict[str, Any]:
        content = bytearray()
        while (byte := self.answers.read(1)) != b"\0":
            if not byte:
                raise EOFError("Chromium has closed the connection")
            content += byte
        message: dict[str, Any] = json.loads(content)
        if "method" in message:
            self.events.append(message)
        return message


def _show(connection: _Connection, address: str) -> View:
    target = connection.call("Target.createTarget", url="about:blank")
    attached = connection.call("Target.attachToTarget", flatten=True, **target)
    connection.session = attached
    for domain in ("Page", "Runtime", "Log", "Network"):
        connection.call(f"{domain}.enable")
    connection.call("Page.navigate", url=address)
    while not any(e["method"] == "Page.loadEventFired" for e in connection.events):
        connection.receive()
    shot = connection.call("Page.captureScreenshot", captureBeyondViewport=True)
    requests = []
    messages = []
    for event in connection.events:
        parameters = event["params"]
        if event["method"] == "Network.requestWillBeSent":
            requests.append(parameters["request"]["url"])
        elif event["method"] == "Log.entryAdded":
            messages.append(parameters["entry"]["text"])
        elif event["method"] == "Runtime.consoleAPICalled":
            messages.append(str(parameters["args"]))
        elif event["method"] == "Runtime.exceptionThrown":
            messages.append(parameters["exceptionDetails"]["text"])
    return View(
        [url for url in requests if url != address and not url.startswith("data:")],
        messages,
        base64.b64decode(shot["data"]),
    )
