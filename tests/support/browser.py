"""A real browser without a window, driven over its DevTools protocol."""

import asyncio
import base64
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.waiting import eventually

NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--remote-debugging-port=0",
    "about:blank",
)


class Tab:
    """One page. `console` is what it logged, faults of scripts and of its content security policy among it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.console: list[str] = []
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._session: str | None = None

    async def listen(self) -> None:
        """Take answers and events until the browser ends."""
        async for message in self._socket:
            said = json.loads(message.data)
            if (waiting := self._answers.pop(said.get("id", 0), None)) is not None:
                waiting.set_result(said)
            elif said.get("method") == "Log.entryAdded":
                self.console.append(said["params"]["entry"]["text"])
            elif said.get("method") == "Runtime.exceptionThrown":
                self.console.append(json.dumps(said["params"]["exceptionDetails"]))

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401  any of the protocol
        """Call a method of the protocol; returns its result."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        asked = {"id": number, "method": method, "params": parameters}
        await self._socket.send_json(asked | ({"sessionId": self._session} if self._session else {}))
        said = await asyncio.wait_for(answer, 30)
        assert "error" not in said, said
        result: dict[str, Any] = said["result"]
        return result

    async def attach(self) -> None:
        """Open the page."""
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")

    async def resize(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """Give the page a size in CSS pixels, and the colours that its user likes."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def open(self, url: str) -> None:
        """Go to an address and wait until the page has loaded."""
        self.console.clear()
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def evaluate(self, expression: str) -> Any:  # noqa: ANN401  whatever it gives
        """Return the value of an expression in the page."""
        said = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    async def until(self, expression: str) -> Any:  # noqa: ANN401  whatever it gives
        """Wait until an expression is true, and return its value."""

        async def holds() -> Any:  # noqa: ANN401  as above
            return await self.evaluate(expression)

        return await eventually(holds, what=lambda: f"{expression} in a page that logged {self.console}")

    async def click(self, element: str) -> None:
        """Press the mouse on the middle of the element that an expression gives."""
        box = await self.evaluate(
            f"(() => {{ const e = {element}; e.scrollIntoView(); const r = e.getBoundingClientRect();"
            " return [r.x + r.width / 2, r.y + r.height / 2] })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.call(
                "Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1
            )

    async def press(self, key: str) -> None:
        """Press a key."""
        codes = {"Tab": 9, "Enter": 13}
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=codes[key],
                **text,
            )

    async def picture(self) -> bytes:
        """Return what the page looks like, as a PNG."""
        shot = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])


@asynccontextmanager
async def browser() -> AsyncIterator[Tab]:
    """Yield a page of a fresh browser; the test is skipped, saying so, where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser on this machine: none of {', '.join(NAMES)}")
    folder = Path(tempfile.mkdtemp(prefix="orderwake-browser-"))
    process = await asyncio.create_subprocess_exec(
        program,
        f"--user-data-dir={folder}",
        *_OPTIONS,
        env={**os.environ, "HOME": str(folder)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        port_file = folder / "DevToolsActivePort"
        text = await eventually(lambda: port_file.exists() and port_file.read_text(), 60, "a browser")
        port, path = str(text).split()
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0) as socket,
        ):
            tab = Tab(socket)
            listening = asyncio.ensure_future(tab.listen())
            await tab.attach()
            yield tab
            listening.cancel()
    finally:
        process.kill()
        await process.wait()
        shutil.rmtree(folder, ignore_errors=True)
