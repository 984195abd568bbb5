"""`make crash-dispatcher`: one run through dispatchers that are killed, over a broker, a database and providers that fail.

    make crash-dispatcher
    make crash-dispatcher ARGS="--messages 2000 --every 5 --json"
    make crash-dispatcher ARGS="--providers smtp,sendgrid,resend,mailgun,twilio"

E-mail goes to each of the e-mail providers, since each dispatcher prefers another one; SMS to Twilio. All far ends are fakes of
this project (tests/fakes): by chance they refuse (429, 4xx, 5xx), time out and hang up before or after they accept, and call back
late, twice and out of order. Every `--every` seconds a dispatcher is killed with SIGKILL, and now and then the broker or the
database with it. What stays unknown although providers were asked and have called back is settled at the end by
`orderwake ledger resolve`, from what the far ends' logs say. Requests are held against the published specifications, where these
lie beside the repository.
"""

import argparse
import asyncio
import json
import logging
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from aiokafka.errors import KafkaError

from bench.service import Bar
from shared import log
from shared.embedded import EmbeddedKafka, EmbeddedPostgres
from shared.events import Channel, EngagementKind, Event, MessageRequested
from tests.support.dispatcher_ends import CORE, End, open_ends
from tests.support.dispatcher_front import open_front
from tests.support.dispatcher_mayhem import Mayhem
from tests.support.dispatcher_settling import settle
from tests.support.dispatcher_verdict import Verdict, judge, table
from tests.support.dispatcher_world import OPEN, Terms, World
from tests.support.messages import customer, message
from tests.support.waiting import eventually

CUSTOMERS, WITHOUT_CONSENT = 2000, 20
CHUNK = 1000
TEXTS_OF_TEN = 3
LOOK_SECONDS = 0.5
STALL_SECONDS, REPORT_SECONDS = 180.0, 60.0


@dataclass(frozen=True)
class Asked:
    """What a run is to be."""

    messages: int
    dispatchers: int
    every: float
    providers: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class Found:
    """What came out. `violations` by provider: how many, and the first of them; only of those that are checked."""

    verdict: Verdict
    causes: Mapping[tuple[str, str | None], int]
    violations: Mapping[str, tuple[int, list[str]]]
    killed: Counter[str]


def say(text: str) -> None:
    """Tell the person who waits."""
    sys.stderr.write(f"{text}\n")


def story(number: int) -> tuple[list[Event], list[MessageRequested]]:
    """Customers, a few of whom withdrew their consent, and messages to them, e-mails and texts mixed."""
    people: list[Event] = [customer(each, granted=each >= WITHOUT_CONSENT) for each in range(CUSTOMERS)]
    channels = [Channel.SMS if each % 10 < TEXTS_OF_TEN else Channel.EMAIL for each in range(number)]
    return people, [message(each % CUSTOMERS, channel) for each, channel in enumerate(channels)]


async def soak(folder: Path, asked: Asked) -> Found:
    """Run, settle what is unknown, and judge."""
    with ExitStack() as stack:
        kafka = stack.enter_context(EmbeddedKafka(folder / "kafka"))
        postgres = stack.enter_context(EmbeddedPostgres(folder / "postgres"))
        async with open_front() as front:
            ends = open_ends(stack, folder, front.url, asked.providers, asked.seed)
            world = World(kafka, postgres, folder, ends, front, _terms())
            try:
                return await _run(world, ends, asked)
            finally:
                world.close()


def _terms() -> Terms:
    return Terms(claim=20, lease_seconds=5.0, timeout_seconds=2.0, session_seconds=2.0)


async def _run(world: World, ends: list[End], asked: Asked) -> Found:
    await world.open(asked.dispatchers)
    people, messages = story(asked.messages)
    await world.produce(people)
    for each in world.dispatchers:
        each.start()
    mayhem = Mayhem(world, asked.every, say)
    killing = asyncio.ensure_future(mayhem.run())
    try:
        for start in range(0, len(messages), CHUNK):
            await _insist(world, messages[start : start + CHUNK])
        # Some of them again, as a relay may.
        await _insist(world, messages[:: max(len(messages) // CHUNK, 1)])
        await _end_of_each(world, len(messages))
    finally:
        killing.cancel()
    say("the killing has ended; call-backs and queries go on")
    await _reports(ends, world)
    told = await world.told()
    unknown = {name for name, kinds in told.items() if EngagementKind.UNKNOWN in kinds}
    means = await settle(world, messages, ends, unknown)
    rows = await world.rows()
    states = {str(row["message_id"]): str(row["state"]) for row in rows}
    wanted = [str(each.data.message_id) for each in messages]
    return Found(
        judge(wanted, states, world.received(), unknown, means),
        Counter((str(row["state"]), row["reason"]) for row in rows),
        {end.name: end.violations() for end in ends if end.checked},
        mayhem.killed,
    )


async def _insist(world: World, events: list[MessageRequested]) -> None:
    """Produce, although the broker may be killed meanwhile; what is produced twice is the same message."""
    while True:
        try:
            await world.produce(events)
        except (KafkaError, OSError) as error:
            say(f"produced again: {type(error).__name__}")
        else:
            return


async def _end_of_each(world: World, number: int) -> None:
    """Wait until none is on its way, as long as there is progress."""
    best, clock = -1, asyncio.get_running_loop()
    since = clock.time()
    bar = Bar("messages settled", number)
    while best < number:
        rows = await world.rows()
        settled = sum(row["state"] not in OPEN for row in rows)
        if settled > best:
            best, since = settled, clock.time()
            bar.show(best)
        if clock.time() - since > STALL_SECONDS:
            counts = Counter((row["state"], row["reason"]) for row in rows)
            message = f"nothing moves: {best} of {number} settled; {counts}\n{world.logs}"
            raise TimeoutError(message)
        await asyncio.sleep(LOOK_SECONDS)


async def _reports(ends: list[End], world: World) -> None:
    """Wait until every call-back was taken or given up, and every dispatcher lives."""
    await eventually(
        lambda: world.up() and not sum(end.pending() for end in ends),
        REPORT_SECONDS,
        lambda: f"call-backs: {[end.pending() for end in ends]}",
    )


def main() -> int:
    """Run and report; exits 1 if anything was doubled, lost, left unresolved or not as specified."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=20_000, help="(default %(default)s)")
    parser.add_argument("--dispatchers", type=int, default=3, help="(default %(default)s)")
    parser.add_argument(
        "--every", type=float, default=10.0, help="seconds between two deaths (default %(default)s)"
    )
    parser.add_argument("--providers", default=",".join(CORE), help="fakes, by comma (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the faults (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON on the last line")
    given = parser.parse_args()
    log.configure("soak", "error")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asked = Asked(
        given.messages, given.dispatchers, given.every, tuple(given.providers.split(",")), given.seed
    )
    # Not the user's own folder: PostgreSQL runs as another user when this runs as root.
    folder = Path(tempfile.mkdtemp(prefix="ow-dispatcher-soak-"))
    try:
        found = asyncio.run(soak(folder, asked))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _report(found, as_json=given.json)


def _report(found: Found, *, as_json: bool) -> int:
    verdict = found.verdict
    sys.stdout.write(table(verdict, found.causes) + "\n\n")
    for name, (count, first) in found.violations.items():
        sys.stdout.write(f"{name:14}{count:10} violations of its specification {' '.join(first)}\n")
    killed = ", ".join(f"{name} {times}" for name, times in sorted(found.killed.items()))
    sys.stdout.write(
        f"killed: {killed}. {verdict.messages} messages: {verdict.doubles} doubled, {verdict.lost} lost, "
        f"{verdict.unknown} unknown at some time, {verdict.unresolved} unresolved\n"
    )
    wrong = sum(count for count, _ in found.violations.values())
    if as_json:
        figures = {
            "messages": verdict.messages,
            "doubles": verdict.doubles,
            "lost": verdict.lost,
            "unknown": verdict.unknown,
            "unresolved": verdict.unresolved,
            "settled_by": dict(verdict.means),
            "violations": wrong,
            "killed": dict(found.killed),
        }
        sys.stdout.write(json.dumps(figures) + "\n")
    return 1 if verdict.doubles or verdict.lost or verdict.unresolved or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
