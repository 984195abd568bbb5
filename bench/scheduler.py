"""The scheduler's speed, and procrastinate's with the same rules, on an embedded PostgreSQL.

    make bench-scheduler
    make bench-scheduler ARGS="--people 4000 --rounds 1 --only decide,intake --json"
    make bench-scheduler ARGS="--people 50000 --churn-steps 3600000 --plan-people 1000000 --backtest --json"

Customers have eight orders and 15 messages behind them (bench/scheduler_people.py); every decision asks all rules and leaves its
full record, as it goes to `decisions`, in the outbox. The relay does not run: Kafka is no part of this. Both sides take turns
over the same rows on the same cores, and must come to the same decisions with the same verdicts.

decide    due steps claimed, decided, recorded and written to the outbox; beside procrastinate, one job a step
intake    events to state, with the due steps that follow from them
lateness  how late a due step is settled when a thousand come due each second
whale     what an event and a step of a customer of 10,000 orders cost, as a multiple of an ordinary one
fairness  how late one shop's steps are beside another's overdue steps, and beside another's past being taken in
churn     the sizes of the tables through an hour of a thousand steps a second, done as fast as it goes
plan      how long planning a publication takes, for a million waiting people
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.goals import Goals, table
from bench.scheduler_beside import fairness
from bench.scheduler_cases import Case, Terms, decide, intake, lateness
from bench.scheduler_churn import churn
from bench.scheduler_plan import plan
from bench.scheduler_whale import whale
from shared import log
from shared.embedded.postgres import EmbeddedPostgres

GOALS: Goals = {
    "decided_per_second": ("at least", 6000),
    "ratio_procrastinate": ("at least", 5),
    "events_per_second": ("at least", 10_000),
    "late_p99_ms": ("under", 1000),
    "event_whale_times": ("at most", 10),
    "step_whale_times": ("at most", 10),
    "plan_seconds_per_million": ("under", 120),
    "backtest_year_seconds": ("under", 180),
}
CASES: dict[str, Case] = {
    "decide": decide,
    "intake": intake,
    "lateness": lateness,
    "whale": whale,
    "fairness": fairness,
    "churn": churn,
    "plan": plan,
}


def parser() -> argparse.ArgumentParser:
    """What may be asked for."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--people", type=int, default=12_000, help="customers whose steps are decided (default %(default)s)"
    )
    options.add_argument(
        "--rounds", type=int, default=3, help="turns of each side; the median counts (default %(default)s)"
    )
    options.add_argument(
        "--seconds", type=float, default=12.0, help="length of each look at lateness (default %(default)s)"
    )
    options.add_argument(
        "--rate", type=int, default=1000, help="steps due a second in `lateness` (at most 1000)"
    )
    options.add_argument(
        "--overdue", type=int, default=30_000, help="overdue steps of the other shop in `fairness`"
    )
    options.add_argument(
        "--history", type=int, default=200_000, help="events of the other shop's past in `fairness`"
    )
    options.add_argument(
        "--churn-steps", type=int, default=3_600_000, help="steps of `churn` (default: an hour's)"
    )
    options.add_argument(
        "--plan-people", type=int, default=50_000, help="people of `plan`; the figure is for a million"
    )
    options.add_argument("--only", default=",".join(CASES), help="cases, by comma (default: all)")
    options.add_argument("--backtest", action="store_true", help="also time a year's backtest (minutes)")
    options.add_argument("--json", action="store_true", help="print the figures as JSON on the last line")
    return options


async def measure(dsn: str, terms: Terms, names: list[str]) -> dict[str, float]:
    """Run the cases in turn."""
    found: dict[str, float] = {}
    for name in names:
        sys.stderr.write(f"{name}\n")
        found |= await CASES[name](dsn, terms)
    return found


def year() -> dict[str, float]:
    """Live the grocer's year again (bench/backtest_year.py) and return how long that took."""
    sys.stderr.write("backtest\n")
    command = [sys.executable, "-m", "bench.backtest_year", "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603  the command is ours
    told = json.loads(done.stdout.strip().splitlines()[-1])
    return {"backtest_year_seconds": told["backtest_year_seconds"]}


def main() -> None:
    """Start PostgreSQL, measure, print."""
    given = parser().parse_args()
    names = [name for name in given.only.split(",") if name]
    unknown = set(names) - set(CASES)
    if unknown:
        parser().error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    log.configure("bench", "error")
    terms = Terms(
        people=given.people,
        rounds=given.rounds,
        seconds=given.seconds,
        rate=min(given.rate, 1000),
        overdue=given.overdue,
        history=given.history,
        churn_steps=given.churn_steps,
        plan_people=given.plan_people,
    )
    # Not in a private folder: PostgreSQL runs as another user when this runs as root.
    folder = Path(tempfile.mkdtemp(prefix="orderwake-bench-"))
    try:
        with EmbeddedPostgres(folder / "postgres") as postgres:
            found = asyncio.run(measure(postgres.dsn, terms, names))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if given.backtest:
        found |= year()
    sys.stdout.write(table(GOALS, found) + "\n")
    if given.json:
        sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
