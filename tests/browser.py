"""Looks at a page with headless Chromium, from outside: the page may run no script of its own.

Chromium is driven through its DevTools protocol over a pair of pipes (--remote-debugging-pipe: one JSON message, then a zero byte), so
that neither a driver nor a websocket library is needed, and no port is opened.

Reference:
    https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 60.0
"""Longer than a busy machine takes to start Chromium and to load a page."""

# Chromium reads commands from descriptor 3 and writes answers to 4.
_LAUNCH = """
import fcntl, os, sys
commands, answers = (fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3])
os.dup2(commands, 3)
os.dup2(answers, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""

# What a person would see: every fold opened, every picture waited for.
_LOOK = """
(async () => {
  document.querySelectorAll('details').forEach(fold => { fold.open = true; });
  const images = [...document.images];
  await Promise.all(images.map(image => image.decode().catch(() => null)));
  const root = document.documentElement, width = root.clientWidth;
  const inside = element => {
    for (let up = element.parentElement; up; up = up.parentElement) {
      if (up !== document.body && up !== root && getComputedStyle(up).overflowX !== 'visible') return true;
    }
    return false;
  };
  const wide = [...document.body.querySelectorAll('*')].filter(
    element => element.getBoundingClientRect().right > width + 1 && !inside(element));
  const name = element => element.tagName.toLowerCase() + (element.className ? '.' + element.className : '');
  const style = getComputedStyle(document.body);
  return JSON.stringify({
    images: images.length,
    missing: images.filter(image => !image.naturalWidth).map(image => image.alt || image.src.slice(0, 80)),
    scroll: root.scrollWidth, width: width, wide: wide.slice(0, 5).map(name),
    ink: style.color, paper: style.backgroundColor, text: document.body.innerText.length,
  });
})()
"""


def find_chromium() -> str | None:
    """Returns the path of an installed Chromium."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@dataclass(frozen=True)
class Look:
    """What a browser makes of a page.

    Attributes:
        problems: In words; empty where all is well.
        n_images: Pictures on it.
        ink: Colour of the text.
        paper: Colour behind it.
    """

    problems: tuple[str, ...]
    n_images: int
    ink: tuple[int, int, int]
    paper: tuple[int, int, int]


class Browser:
    """A headless Chromium; to be used in a with statement.

    Args:
        path: Of the program.
        place: An empty folder for its files.
    """

    def __init__(self, path: str, place: Path) -> None:
        commands_read, self._commands = os.pipe()
        self._answers, answers_write = os.pipe()
        flags = ["--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio"]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")  # Chromium refuses root otherwise
        command = [sys.executable, "-c", _LAUNCH, str(commands_read), str(answers_write), path, *flags, f"--user-data-dir={place}"]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen([*command, "about:blank"], pass_fds=(commands_read, answers_write), **quiet)
        os.close(commands_read)
        os.close(answers_write)
        self._buffer, self._number, self._events = b"", 0, []

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._send("Browser.close", {}, None)
            self._process.wait(20)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def look(self, page: Path, *, width: int, dark: bool = False) -> Look:
        """Opens a page in a window of that width, and says what is wrong with it."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        seen = json.loads(self.ask(page, _LOOK, width=width, media={"features": features}))
        problems = [*self._said(), *_layout(seen)]
        return Look(tuple(problems), seen["images"], _colour(seen["ink"]), _colour(seen["paper"]))

    def ask(self, page: Path, expression: str, *, width: int, media: dict[str, Any]) -> Any:
        """Opens a page in a window of that width, and returns what an expression of JavaScript says of it.

        Args:
            page: A file.
            expression: Its value, or what it promises, must be JSON.
            width: In pixels.
            media: Parameters of Emulation.setEmulatedMedia, such as {"media": "print"}.
        """
        target = self._call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable", {}, session)
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self._call("Emulation.setDeviceMetricsOverride", screen, session)
        self._call("Emulation.setEmulatedMedia", media, session)
        self._events.clear()
        self._call("Page.navigate", {"url": page.resolve().as_uri()}, session)
        self._wait_for("Page.loadEventFired")
        asked = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        said = self._call("Runtime.evaluate", asked, session)["result"]["value"]
        self._call("Target.closeTarget", {"targetId": target})
        return said

    def _said(self) -> list[str]:
        """What the browser itself complained of."""
        said = []
        for event in self._events:
            given = event["params"]
            if event["method"] == "Log.entryAdded" and given["entry"]["level"] in ("error", "warning"):
                said.append(f"{given['entry']['source']}: {given['entry']['text']}")
            if event["method"] == "Runtime.exceptionThrown":
                said.append(f"exception: {given['exceptionDetails']['text']}")
            if event["method"] == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning", "assert"):
                said.append(f"console: {given['args'][0].get('value', '')}")
        return said

    def _send(self, method: str, parameters: dict[str, Any], session: str | None) -> int:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        left = json.dumps(message).encode() + b"\0"
        while left:
            left = left[os.write(self._commands, left) :]
        return self._number

    def _call(self, method: str, parameters: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        number = self._send(method, parameters, session)
        while (message := self._receive(method)).get("id") != number:
            self._events.append(message)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        return message["result"]

    def _wait_for(self, event: str) -> None:
        while not any(seen.get("method") == event for seen in self._events):
            self._events.append(self._receive(event))

    def _receive(self, what: str) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0, end - time.monotonic()))
            part = os.read(self._answers, 1 << 16) if ready else b""
            if not part:
                raise RuntimeError(f"Chromium did not answer {what}")
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


def contrast(look: Look) -> float:
    """Returns how far text stands out from its background: 1 to 21; W3C asks for 4.5 at least."""
    light, dark = sorted((_luminance(look.ink), _luminance(look.paper)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _layout(seen: dict[str, Any]) -> list[str]:
    said = [f"picture missing: {what}" for what in seen["missing"]]
    if seen["scroll"] > seen["width"]:
        said.append(f"wider than the window: {seen['scroll']} of {seen['width']} pixels, {', '.join(seen['wide']) or 'nobody knows why'}")
    return said if seen["text"] else [*said, "empty page"]


def _colour(text: str) -> tuple[int, int, int]:
    """Reads "rgb(1, 2, 3)"."""
    red, green, blue = (int(part) for part in text[text.index("(") + 1 : -1].split(",")[:3])
    return red, green, blue


def _luminance(colour: tuple[int, int, int]) -> float:
    parts = [part / 255 for part in colour]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
