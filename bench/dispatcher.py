"""The dispatcher's speed: messages from Kafka through ledger and rendering to a far end that takes everything.

    make bench-dispatcher
    make bench-dispatcher ARGS="--messages 4000 --rounds 1 --only smtp --drain 0 --json"
    make bench-dispatcher ARGS="--drain 100000 --json"

One process of the service on an embedded broker and an embedded PostgreSQL that forces its commits to disk. The mails are those of
the worked shops' templates, 20 kB on the wire. A round is over when each message was taken, written in the ledger as accepted and
told on `engagement`. Beside it, in turn, a bare loop renders the same mails with the same templates and hands them to the same
client, as many at a time; it has no ledger, no Kafka and no check, and its messages are in memory from the start. What exactness
costs is the service's time as a multiple of the loop's, round by round, at the median.

smtp   to Postfix's `smtp-sink`. It comes with Postfix (`apt-get install postfix`, which need not run); where it is not, this
       part is left out, and said to be
http   to an HTTP sink of this benchmark (bench/dispatcher_sink.py), through the SendGrid adapter
drain  a longer queue, and whether memory stays flat: its mean in the last fifth of the time over that in the second fifth

After a crash at most `--claim` messages of a process are left unknown: no more are handed over and unanswered at a time.
"""

import argparse
import asyncio
import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from bench.dispatcher_cases import Start, Terms, beside, drain, once, publish
from bench.dispatcher_crew import Place
from bench.dispatcher_far import HOW_TO_GET_IT, find_smtp_sink, http_sink, smtp_sink
from bench.dispatcher_mail import people, products_for
from bench.goals import Goals, table
from services.dispatcher import app
from services.dispatcher.compose import Composer
from shared import log
from shared.db import migrate
from shared.embedded import EmbeddedKafka, EmbeddedPostgres
from shared.kafka.admin import apply_topics
from shared.settings import Settings
from shared.topics import CUSTOMERS

GOALS: Goals = {
    "mail_bytes": ("at least", 20_000),
    "smtp_per_second": ("at least", 1500),
    "http_per_second": ("at least", 2000),
    "ratio_bare_smtp": ("at most", 1.3),
    "ratio_bare_http": ("at most", 1.3),
    "drain_memory_growth": ("at most", 1.1),
}
SIDES = ("smtp", "http")
WARM_UP = 500
MIGRATIONS = Path(app.__file__).with_name("migrations")


def parser() -> argparse.ArgumentParser:
    """What may be asked for."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--messages", type=int, default=10_000, help="messages a round (default %(default)s)"
    )
    options.add_argument("--rounds", type=int, default=3, help="turns of each side (default %(default)s)")
    options.add_argument(
        "--claim", type=int, default=100, help="messages in flight at most (default %(default)s)"
    )
    options.add_argument("--connections", type=int, default=20, help="SMTP connections (default %(default)s)")
    options.add_argument(
        "--drain", type=int, default=20_000, help="messages of the long queue; 0: none (default %(default)s)"
    )
    options.add_argument(
        "--only", default=",".join(SIDES), help="smtp, http or both by comma (default: both)"
    )
    options.add_argument("--smtp-sink", type=Path, default=None, help="where smtp-sink lies, if elsewhere")
    options.add_argument("--json", action="store_true", help="print the figures as JSON on the last line")
    return options


def far_ends(given: argparse.Namespace, folder: Path) -> dict[str, Start]:
    """The far ends that are asked for and there."""
    found: dict[str, Start] = {}
    asked = given.only.split(",")
    if "smtp" in asked:
        program = find_smtp_sink(given.smtp_sink)
        if program is None:
            sys.stderr.write(f"smtp: left out, there is no smtp-sink. {HOW_TO_GET_IT}\n")
        else:
            found["smtp"] = partial(smtp_sink, program, folder)
    if "http" in asked:
        found["http"] = http_sink
    return found


async def measure(place: Place, ends: Mapping[str, Start], given: argparse.Namespace) -> dict[str, float]:
    """Make topics, tables and customers, and run what is asked for."""
    clock = place.settings.clock()
    await apply_topics(place.settings)
    await migrate(place.settings.database_url.get_secret_value(), app.NAME, MIGRATIONS)
    await publish(place, CUSTOMERS, people(clock.business()))
    products, size = products_for(Composer(place.settings, clock), clock.business())
    found: dict[str, float] = {"mail_bytes": size, "ambiguous_at_most": given.claim}
    for start in list(ends.values())[:1]:  # the customers are read before anything is measured
        await once("ours", place, start, Terms(WARM_UP, 1, products))
    for name, start in ends.items():
        found |= await beside(name, place, start, Terms(given.messages, given.rounds, products))
    if given.drain and ends:
        name, start = list(ends.items())[-1]
        found |= await drain(name, place, start, Terms(given.drain, 1, products))
    return found


def main() -> None:
    """Start broker and database, measure, print."""
    given = parser().parse_args()
    log.configure("bench", "error")
    # Topics just made have no leader yet; it tries again.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    # Not in a private folder: PostgreSQL and smtp-sink run as another user when this runs as root.
    folder = Path(tempfile.mkdtemp(prefix="orderwake-bench-"))
    folder.chmod(0o755)
    try:
        with (
            EmbeddedKafka(folder / "kafka") as kafka,
            EmbeddedPostgres(folder / "postgres", durable=True) as postgres,
        ):
            settings = Settings(kafka_bootstrap_servers=kafka.bootstrap, database_url=postgres.dsn)
            place = Place(settings, folder, given.claim, given.connections)
            found = asyncio.run(measure(place, far_ends(given, folder), given))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(table(GOALS, found) + "\n")
    sys.stdout.write(f"A crash leaves at most {given.claim} messages unknown at this setting.\n")
    if given.json:
        sys.stdout.write(json.dumps({name: round(value, 3) for name, value in found.items()}) + "\n")


if __name__ == "__main__":
    main()
