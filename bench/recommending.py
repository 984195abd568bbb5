"""The recommender as it is to be run: a stream worker, and a ranker in a process of its own."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.broker import PARTITIONS
from bench.service import Service


class Recommender:
    """Both processes on one broker. The worker's state is in `folder`/state."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self.state = folder / "state"
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "ORDERWAKE_DATA_DIR": str(self.state),
            "ORDERWAKE_TOPIC_PARTITIONS": str(PARTITIONS),
        }
        self.worker, self.ranker = (
            Service(
                "recommender", {**environment, "ORDERWAKE_RECOMMENDER_ROLE": role}, folder / f"{role}.log"
            )
            for role in ("stream", "ranker")
        )

    def __enter__(self) -> Self:
        self.worker.start()
        self.ranker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.worker.stop()
        self.ranker.stop()

    @property
    def cpu_seconds(self) -> float:
        """CPU that both have used."""
        return self.worker.cpu_seconds + self.ranker.cpu_seconds

    async def is_ready(self) -> bool:
        """Whether both are."""
        return await self.worker.is_ready() and await self.ranker.is_ready()

    async def status(self) -> dict[str, Any]:
        """What both say of themselves; of the ranking, the ranker."""
        worker, ranker = await self.worker.get("/v1/status"), await self.ranker.get("/v1/status")
        return {**worker[1], **ranker[1]}
