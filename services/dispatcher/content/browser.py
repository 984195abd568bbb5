"""Pictures of pages, by a Chromium without a window, driven over its DevTools protocol."""

import asyncio
import base64
import itertools
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HOW_TO_GET = "no browser found: install Debian's package `chromium`, or Google Chrome, for --png"
_START_SECONDS = 60
_ANSWER_SECONDS = 30
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "about:blank",
)


def program() -> str | None:
    """The browser of this machine, if it has one."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Camera:
    """One page of a browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._session: str | None = None

    async def attach(self) -> None:
        """Open the page."""
        target = await self._call("Target.createTarget", url="about:blank")
        attached = await self._call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        await self._call("Page.enable")

    async def picture(self, address: str, width: int, *, dark: bool) -> bytes:
        """A PNG of the whole of a page, `width` CSS pixels wide."""
        await self._resize(width, 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self._call("Emulation.setEmulatedMedia", features=[scheme])
        await self._call("Page.navigate", until="Page.loadEventFired", url=address)
        size = await self._call("Page.getLayoutMetrics")
        await self._resize(width, int(size["cssContentSize"]["height"]))
        shot = await self._call("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])

    async def _resize(self, width: int, height: int) -> None:
        await self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    async def _call(self, method: str, until: str | None = None, **parameters: Any) -> Any:  # noqa: ANN401  any of the protocol
        """Call a method; returns its result, once the event `until` has come too."""
        number = next(self._numbers)
        asked = {"id": number, "method": method, "params": parameters}
        await self._socket.send_json(asked | ({"sessionId": self._session} if self._session else {}))
        result, come = None, until is None
        async with asyncio.timeout(_ANSWER_SECONDS):
            while result is None or not come:
                said = await self._socket.receive_json()
                come = come or said.get("method") == until
                if said.get("id") == number:
                    if "error" in said:
                        raise RuntimeError(f"{method}: {said['error'].get('message')}")  # noqa: EM102, TRY003  the protocol's words
                    result = said["result"]
        return result


@asynccontextmanager
async def camera(browser: str) -> AsyncIterator[Camera]:
    """Yield a page of a fresh browser, which ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="orderwake-pictures-"))
    process = await asyncio.create_subprocess_exec(
        browser,
        f"--user-data-dir={folder}",
        *_OPTIONS,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        address = await asyncio.wait_for(_address(process), _START_SECONDS)
        async with aiohttp.ClientSession() as client, client.ws_connect(address, max_msg_size=0) as socket:
            page = Camera(socket)
            await page.attach()
            yield page
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
        shutil.rmtree(folder, ignore_errors=True)


async def _address(process: asyncio.subprocess.Process) -> str:
    said = ""
    while process.stderr and (line := (await process.stderr.readline()).decode(errors="replace")):
        said += line
        if found := re.search(r"listening on (ws://\S+)", line):
            return found[1]
    message = f"the browser ended at once: {said.strip()[-300:]}"
    raise RuntimeError(message)
