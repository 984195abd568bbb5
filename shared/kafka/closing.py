"""A write to a connection that is just being closed becomes the KafkaConnectionError that aiokafka expects.

asyncio drops such a write. uvloop raises RuntimeError, which aiokafka 0.14 does not catch: it ends the client's metadata
task or the producer's sender for good, and a broker that was killed and came back is never found again.
"""

from functools import wraps
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_send = AIOKafkaConnection.send


@wraps(_send)
def _send_or_say_closed(self: Any, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401  aiokafka ships no types
    try:
        return _send(self, *arguments, **options)
    except RuntimeError as error:
        host, port = self.host, self.port
        self.close(reason=CloseReason.CONNECTION_BROKEN)
        message = f"Connection at {host}:{port} is closed"
        raise KafkaConnectionError(message) from error


def apply() -> None:
    """Put it in place, once for all clients of the process."""
    AIOKafkaConnection.send = _send_or_say_closed
