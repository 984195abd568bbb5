"""The commands of README and docs/first-event.md, run as they stand."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.embedded import Infrastructure
from tests.support.ingest import Ingest, ingest_running, prepare, settings_for

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "first-event.md")


def _block(document: Path, start: str) -> str:
    blocks = re.findall(r"^```sh\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)
    return next(str(block) for block in blocks if block.startswith(start))


@pytest.fixture
async def ingest(infrastructure: Infrastructure, database_url: str) -> AsyncIterator[Ingest]:
    settings = settings_for(infrastructure, database_url)
    await prepare(settings)
    async with ingest_running("my-shop", settings) as running:
        yield running


async def _run(ingest: Ingest, folder: Path, block: str) -> str:
    environment = {
        "ORDERWAKE_URL": str(ingest.client.make_url("")),
        "KAFKA_BOOTSTRAP_SERVERS": ingest.settings.kafka_bootstrap_servers,
    }
    process = await asyncio.create_subprocess_exec(
        "bash", "-ec", block, cwd=folder, stdout=asyncio.subprocess.PIPE, env=os.environ | environment
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


def _needs(program: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
async def test_the_first_order_by_curl_is_accepted_and_comes_out(
    ingest: Ingest, tmp_path: Path, document: Path
) -> None:
    _needs("curl")
    await _run(ingest, tmp_path, _block(document, "cat > order.json"))
    answer = await _run(ingest, tmp_path, _block(document, "curl"))
    assert answer.startswith("HTTP/1.1 202 Accepted")
    assert answer.endswith('{"accepted":1}')
    (record,) = await ingest.expect("orders")
    assert record.event["data"]["order_id"] == "1001"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
async def test_the_first_order_by_kcat_comes_out(ingest: Ingest, tmp_path: Path, document: Path) -> None:
    _needs("kcat")
    await _run(ingest, tmp_path, _block(document, "cat > order.json"))
    await _run(ingest, tmp_path, _block(document, "tr -d"))
    (record,) = await ingest.expect("orders")
    assert f"my-shop|c-1 {record.value.decode()}" in await _run(
        ingest, tmp_path, _block(DOCUMENTS[1], "kcat -C")
    )
