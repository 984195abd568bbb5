"""A connection that closes under a write."""

import asyncio

import pytest
import uvloop
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from shared import kafka


async def _write_to_a_closed_transport() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    connection = AIOKafkaConnection(*server.sockets[0].getsockname(), request_timeout_ms=1000)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    vars(connection).update(
        _reader=reader,
        _writer=writer,
        _versions={3: (0, 12)},
        _read_task=asyncio.ensure_future(reader.read()),
    )
    await reader.read()
    writer.transport.abort()
    await asyncio.wait_for(_closed(writer), 5)
    try:
        await connection.send(MetadataRequest([]))
    finally:
        server.close()


async def _closed(writer: asyncio.StreamWriter) -> None:
    try:
        await writer.wait_closed()
    except ConnectionError:
        return


def test_a_write_to_a_closed_connection_is_an_error_that_aiokafka_expects() -> None:
    assert kafka.closing
    with pytest.raises(KafkaConnectionError):
        uvloop.run(_write_to_a_closed_transport())
