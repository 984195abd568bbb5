"""What the entries of `providers.yaml` have in common; each provider's own fields stand in its file."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """How fast messages may go: what a provider allows, or a shop wants. Absent: no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_second: Annotated[float | None, Field(gt=0, description="messages a second, over all replicas")] = (
        None
    )
    per_day: Annotated[int | None, Field(ge=1, description="messages a UTC day, over all replicas")] = None
    concurrency: Annotated[int, Field(ge=1, le=1000, description="hand-overs at once, of one replica")] = 100


class ProviderConfig(BaseModel):
    """One provider: an account somewhere. Its name stands in the ledger and in `/callbacks/<name>`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
    limits: Limits = Limits()
    sender_limits: Annotated[
        Limits | None, Field(description="of each sender's address or number at this provider")
    ] = None
    timeout_seconds: Annotated[
        float, Field(gt=0, le=120, description="for connecting, and for the answer")
    ] = 10.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every provider may know of this deployment. `callback_url` is where it may call back, if there is such a place.

    `sender_email` stands in for a shop's own.
    """

    callback_url: str | None
    sender_email: str

    def callback_of(self, name: str) -> str | None:
        """The address of a provider's call-backs."""
        return f"{self.callback_url.rstrip('/')}/callbacks/{name}" if self.callback_url else None
