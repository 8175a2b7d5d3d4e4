"""A real browser, driven over its debugging pipe; for pictures, and for what only a browser can tell."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
MISSING = "no browser was found; install one: apt-get install chromium"
DESKTOP, PHONE = 1280, 390  # CSS pixels
_FLAGS = (
    *(
        "--headless",
        "--no-sandbox",
        "--hide-scrollbars",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
    ),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe"),
)
_AS_3_AND_4 = "import os, sys; [os.dup2(int(sys.argv[n]), n + 2) for n in (1, 2)]; os.execvp(sys.argv[3], sys.argv[3:])"
_PAUSE = threading.Event()


def found() -> str | None:
    """The program of a browser that is installed here, if any."""
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


class Browser:
    """One window of a browser with a profile of its own. Raises RuntimeError when the browser has gone, or says no."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._numbers = count(1)
        self._pending = b""
        self._session = ""
        self.complaints: list[str] = []

    def __enter__(self) -> Self:
        self._profile = tempfile.TemporaryDirectory(prefix="mergeq-browser-", ignore_cleanup_errors=True)
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs_in, theirs_out)]  # not 3 and 4 themselves
        arguments = [self._program, *_FLAGS, f"--user-data-dir={self._profile.name}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-ISc", _AS_3_AND_4, *map(str, theirs), *arguments],
            pass_fds=theirs,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (theirs_in, theirs_out, *theirs):
            os.close(end)
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Runtime"):
            self._ask(f"{domain}.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._out)
        os.close(self._in)
        self._process.terminate()
        self._process.wait()
        self._profile.cleanup()

    def look(self, width: int, *, height: int = 900, dark: bool = False) -> None:
        """How wide and high the window is from now on, and whether its reader prefers dark."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < DESKTOP}
        self._ask("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._ask("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Go to a page, and wait until it and its scripts are there; what the page before it still does is over."""
        for there in ("about:blank", url):
            self._ask("Page.navigate", url=there)
            self.wait(f"location.href === {json.dumps(there)} && document.readyState === 'complete'")
            if there != url:
                self.complaints.clear()

    def evaluate(self, expression: str) -> Any:
        """What a JavaScript expression is in the page."""
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, expression: str, looks: int = 1200) -> None:
        """Look until an expression is true. Raises RuntimeError when it never is."""
        for _ in range(looks):
            if self.evaluate(expression):
                return
            _PAUSE.wait(0.1)
        raise RuntimeError(f"{expression}: never came true")

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        text = {"text": "\r"} if key == "Enter" else {}
        code = {"Enter": 13, "Tab": 9}[key]
        for kind in ("keyDown", "keyUp"):
            self._ask("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **text)

    def picture(self, file: Path, *, whole: bool = True) -> None:
        """Write a PNG of the whole page, or of what the window shows."""
        taken = self._ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(taken["data"]))

    def _ask(self, method: str, **parameters: object) -> dict[str, Any]:
        number = next(self._numbers)
        asked: dict[str, object] = {"id": number, "method": method, "params": parameters}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._out, json.dumps(asked).encode() + b"\0")
        while (told := self._next()).get("id") != number:
            self._note(told)
        if "error" in told:
            raise RuntimeError(f"{method}: {told['error']['message']}")
        result: dict[str, Any] = told["result"]
        return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._pending:
            if not (piece := os.read(self._in, 1 << 16)):
                raise RuntimeError("the browser has ended")
            self._pending += piece
        message, _, self._pending = self._pending.partition(b"\0")
        told: dict[str, Any] = json.loads(message)
        return told

    def _note(self, told: dict[str, Any]) -> None:
        """Keep what the page's console would show in red: broken policies, failed requests, exceptions."""
        if told.get("method") == "Log.entryAdded" and told["params"]["entry"]["level"] == "error":
            self.complaints.append(told["params"]["entry"]["text"])
        if told.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(told["params"]["exceptionDetails"]))
