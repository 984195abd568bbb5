"""Far ends of the long run: fakes as processes that refuse, stall, drop, and call back late, twice and out of order."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.fakes import FakeProcess

MAIL_FAULTS = {
    "4xx": 0.03,
    "data_4xx": 0.02,
    "5xx": 0.01,
    "drop_before": 0.01,
    "drop_lost": 0.003,
    "drop_taken": 0.003,
}
WIRE_FAULTS = {"drop_before": 0.01, "timeout_before": 0.002, "timeout_after": 0.002, "drop_after": 0.004}
HTTP_FAULTS: Mapping[str, Mapping[str, float]] = {
    "sendgrid": {"429": 0.03, "500": 0.005, "503": 0.005, "400": 0.003},
    "resend": {"429": 0.03, "500": 0.005, "422": 0.003},
    "mailgun": {"429": 0.03, "500": 0.005, "503": 0.005, "400": 0.003},
    "twilio": {"429": 0.03, "500": 0.005, "503": 0.005, "21211": 0.005, "30001": 0.01},
}
FATES: Mapping[str, Mapping[str, float]] = {
    "sendgrid": {"bounced": 0.02, "complained": 0.005, "read": 0.1, "silent": 0.05},
    "resend": {"bounced": 0.02, "read": 0.1, "silent": 0.05},
    "mailgun": {"bounced": 0.02, "read": 0.1, "silent": 0.05},
    "twilio": {"30003": 0.01, "30005": 0.01, "silent": 0.05},
}
SECRETS = {
    "sendgrid": ("key", "callback_key"),
    "resend": ("key", "callback_key"),
    "mailgun": ("key", "callback_key"),
    "twilio": ("token",),
}
PLAIN = {"mailgun": ("domain",), "twilio": ("account", "sender")}
CORE = ("smtp", "sendgrid", "resend", "twilio")


@dataclass
class End:
    """One provider's place."""

    name: str
    fake: FakeProcess
    folder: Path

    @property
    def entry(self) -> dict[str, Any]:
        """What `providers.yaml` says of it."""
        said = self.fake.said
        if self.name == "smtp":
            return {"kind": "smtp", "host": "127.0.0.1", "port": said["port"], "connections": 10}
        plain = {field: said[field] for field in PLAIN.get(self.name, ())}
        return {"kind": self.name, "url": self.fake.url, **plain, **self._secrets()}

    def _secrets(self) -> dict[str, dict[str, str]]:
        """Each in a file of its own."""
        found = {}
        for field in SECRETS[self.name]:
            file = self.folder / f"{self.name}-{field}"
            file.write_text(self.fake.said[field])
            found[field] = {"file": str(file)}
        return found

    def taken(self) -> list[str]:
        """Ids of the messages that it took, in order."""
        name = "message_id" if self.name == "smtp" else "k"
        return [entry[name] for entry in self.fake.received()]

    def reported(self) -> set[str]:
        """Ids of the messages of which a call-back was taken."""
        if self.name == "smtp":
            return set()
        return {entry["k"] for entry in self.fake.called_back() if 200 <= entry["status"] < 300}

    def violations(self) -> tuple[int, list[str]]:
        """How often a request broke the published specification, and the first of them."""
        if self.name == "smtp":
            return 0, []
        status = self.fake.status()
        return int(status["violation_count"]), list(status["violations"][:3])

    def pending(self) -> int:
        """Call-backs that are on their way."""
        return 0 if self.name == "smtp" else int(self.fake.status()["call_backs_pending"])

    @property
    def checked(self) -> bool:
        """Whether requests are held against a published specification."""
        return self.fake.said.get("checked") == "yes"


def open_ends(stack: ExitStack, folder: Path, callback: str, names: tuple[str, ...], seed: int) -> list[End]:
    """Start the fakes of these names; each calls back at its own path under `callback`."""
    found = []
    for place, name in enumerate(names):
        if name == "smtp":
            fake = FakeProcess("smtp", folder / name, MAIL_FAULTS, seed=seed)
        else:
            fates = [f"--fate={fate}={rate}" for fate, rate in FATES[name].items()]
            ways = ("--duplicate=0.2", "--disorder=0.2", "--delay=2", "--posting=4")
            where = f"--callback-url={callback}/callbacks/{name}"
            faults = {**WIRE_FAULTS, **HTTP_FAULTS[name]}
            fake = FakeProcess(name, folder / name, faults, seed + place, (*fates, *ways, where))
        found.append(End(name, stack.enter_context(fake), folder))
    return found
