"""The processes of the demo: five services and the two receiving ends, started, watched and stopped by id."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from shared.errors import OrderwakeError
from tests.fakes.twilio import ACCOUNT, TOKEN

SERVICES = ("ingest", "recommender", "scheduler", "dispatcher", "reporting")
_START_SECONDS = 90
_STOP_SECONDS = 25


class ProcessDiedError(OrderwakeError):
    """A process of the demo ended by itself. The message says which, and where its log is."""


@dataclass
class Stack:
    """Every process of the demo. `folder` takes data, logs and received messages."""

    folder: Path
    environment: Mapping[str, str]
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    def log_of(self, name: str) -> Path:
        """Where a process writes its log."""
        return self.folder / "logs" / f"{name}.log"

    def url(self, service: str, path: str = "") -> str:
        """Address of a service's HTTP port."""
        return f"http://127.0.0.1:{self.ports[service]}{path}"

    async def start_receivers(self) -> dict[str, str]:
        """Start the SMTP server and the SMS provider; returns the settings that point to them."""
        received = self.folder / "received"
        smtp = await self._start_receiver("smtp", "--folder", str(received / "email"))
        twilio = await self._start_receiver("twilio", "--folder", str(received / "sms"))
        return {
            "ORDERWAKE_SMTP_HOST": "127.0.0.1",
            "ORDERWAKE_SMTP_PORT": str(smtp),
            "ORDERWAKE_TWILIO_URL": f"http://127.0.0.1:{twilio}",
            "ORDERWAKE_TWILIO_ACCOUNT_SID": ACCOUNT,
            "ORDERWAKE_TWILIO_AUTH_TOKEN": TOKEN,
            "ORDERWAKE_TWILIO_FROM": "+12025550100",
            "ORDERWAKE_PUBLIC_URL": "https://go.example.com",
        }

    async def _start_receiver(self, name: str, *arguments: str) -> int:
        fake = ["tests.fakes.smtp"] if name == "smtp" else ["tests.fakes.http", "--kind", name]
        process = await self._spawn(name, self.environment, "-m", *fake, "--port", "0", *arguments, read=True)
        if process.stdout is None:
            raise ProcessDiedError(name)
        line = await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)
        if not line:
            message = f"{name} ended at its start; see {self.log_of(name)}"
            raise ProcessDiedError(message)
        self.ports[name] = int(json.loads(line)["port"])
        return self.ports[name]

    async def start_services(self, settings: Mapping[str, str]) -> None:
        """Start the five services and wait until each is ready."""
        self.environment = {**self.environment, **settings}
        for name in SERVICES:
            self.ports[name] = _free_port()
            await self.start_service(name)
        await asyncio.gather(*(self._wait_ready(name) for name in SERVICES))

    async def start_service(self, name: str) -> None:
        """Start a service, or start it again where it was: same port, same data, same log."""
        own = {
            "ORDERWAKE_HTTP_PORT": str(self.ports[name]),
            # Where business time runs or leaps, everything is long overdue.
            "ORDERWAKE_CATCH_UP_PER_SECOND": "0",
            "ORDERWAKE_DATA_DIR": str(self.folder / "data" / name),
        }
        await self._spawn(name, {**self.environment, **own}, "-m", "services.cli", name)

    async def kill(self, name: str) -> None:
        """Kill a service with SIGKILL, as a crash would, and wait until it is gone."""
        if self.processes[name].returncode is None:
            self.processes[name].kill()
            await self.processes[name].wait()

    async def _spawn(
        self, name: str, environment: Mapping[str, str], *arguments: str, read: bool = False
    ) -> asyncio.subprocess.Process:
        self.log_of(name).parent.mkdir(parents=True, exist_ok=True)
        with self.log_of(name).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, env={**os.environ, **environment}, stderr=log,
                stdout=asyncio.subprocess.PIPE if read else log, start_new_session=True,
            )  # fmt: skip
        self.processes[name] = process
        return process

    async def _wait_ready(self, name: str) -> None:
        end = asyncio.get_running_loop().time() + _START_SECONDS
        conditions: Any = "it never answered"
        while asyncio.get_running_loop().time() < end:
            self.check()
            try:
                async with aiohttp.request(
                    "GET", self.url(name, "/readyz"), timeout=aiohttp.ClientTimeout(2)
                ) as answer:
                    conditions = await answer.json()
                    if answer.status == 200:  # noqa: PLR2004  HTTP's own number
                        return
            except (OSError, aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(0.2)
        message = f"{name} is not ready after {_START_SECONDS} s ({conditions}); see {self.log_of(name)}"
        raise ProcessDiedError(message)

    def check(self) -> None:
        """Raise ProcessDiedError if any process has ended."""
        for name, process in self.processes.items():
            if process.returncode is not None:
                message = f"{name} ended with exit code {process.returncode}; see {self.log_of(name)}"
                raise ProcessDiedError(message)

    async def status(self, service: str) -> dict[str, Any]:
        """What a service says of itself on /v1/status; empty if it does not answer just now."""
        try:
            async with aiohttp.request(
                "GET", self.url(service, "/v1/status"), timeout=aiohttp.ClientTimeout(3)
            ) as answer:
                found: dict[str, Any] = await answer.json()
                return found
        except (OSError, aiohttp.ClientError, TimeoutError, ValueError):
            return {}

    async def unfinished(self) -> dict[str, int]:
        """Work that is due now and not done: steps to decide, messages to send. Raises ProcessDiedError."""
        self.check()
        scheduler, dispatcher = await self.status("scheduler"), await self.status("dispatcher")
        ledger = dispatcher.get("messages", {"intended": 1})
        return {
            "overdue steps": int(scheduler.get("overdue", 1)),
            "messages on their way": sum(
                int(ledger.get(state, 0)) for state in ("intended", "claimed", "handed_over")
            ),
        }

    async def stop(self) -> None:
        """Stop services first, then the receivers: SIGTERM, and SIGKILL for what does not drain in time."""
        for names in (SERVICES, ("smtp", "twilio")):
            stopping = [self.processes[name] for name in names if name in self.processes]
            for process in stopping:
                if process.returncode is None:
                    process.send_signal(signal.SIGTERM)
            for process in stopping:
                try:
                    await asyncio.wait_for(process.wait(), _STOP_SECONDS)
                except TimeoutError:
                    process.kill()
                    await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
