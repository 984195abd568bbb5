"""Faults that pass: a broker or a database that is away or restarting, or asks to try again.

Whoever meets one in a loop logs it and does the same work again from what was committed. Anything else is a fault of
ours and ends the process.
"""

import asyncpg
from aiokafka.errors import KafkaError

PASSING = (
    KafkaError,
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.CannotConnectNowError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InsufficientResourcesError,  # too many connections, a full disk
    asyncpg.ReadOnlySQLTransactionError,  # the former primary, during a failover
    asyncpg.IdleInTransactionSessionTimeoutError,  # this worker stood still, and its rows were let go
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # asyncpg's state machine, when a connection dies during a reset
)
