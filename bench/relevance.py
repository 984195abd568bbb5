"""Relevance against what a shop would otherwise use, on two real shops: the same questions to every method.

    make bench-relevance ARGS="--shop online-retail --instances 4000 --json"
    make bench-relevance ARGS="--part tune --instances 500"

Orders by time: fit on the first part, choose on the next, score on the last, where every method is refitted weekly or
once. Each method chooses among as many configurations, by shop and task; ours is shown so, too, but its goals are those of
its one configuration for all shops. Differences are paired, with 95 % intervals from a bootstrap over customers. Every
scoring of the last part is appended to bench/relevance-log.md.
"""

import argparse
import json

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.relevance_cost import Meter
from bench.relevance_data import available, load
from bench.relevance_report import Goal, note, report, say, say_costs, say_frontier
from bench.relevance_run import ask, examine
from bench.relevance_tune import TUNING_INSTANCES, tried, tune

SHOPS = ("online-retail", "complete-journey")
REFIT_DAYS = {"weekly": 7.0, "once": float("inf")}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shop", choices=SHOPS, action="append", help="only this shop; may be given twice")
    parser.add_argument(
        "--instances", type=int, default=10_000, help="questions a task, at most (%(default)s)"
    )
    parser.add_argument("--refit", choices=tuple(REFIT_DAYS), default="weekly")
    parser.add_argument("--part", choices=("last", "tune"), default="last", help="tune: nothing is logged")
    parser.add_argument("--json", action="store_true", help="print the goals as JSON on the last line")
    args = parser.parse_args()
    goals: dict[str, Goal] = {}
    for shop in args.shop or SHOPS:
        if available(shop):
            goals |= bench(shop, args)
        else:
            say(f"{shop}: left out, ../shared/relevance is not there")
    say()
    for name, goal in goals.items():
        met = "met    " if goal["met"] else "NOT MET"
        say(
            f"{met} {name}: {goal['value']:+.3f} [{goal['low']:+.3f}, {goal['high']:+.3f}] against {goal['against']}"
        )
    if args.json:
        say(json.dumps({"goals": goals, "refit": args.refit, "instances": args.instances, "part": args.part}))


def bench(shop: str, args: argparse.Namespace) -> dict[str, Goal]:
    """Tune and score one shop; prints its tables and returns its goals."""
    log, meter = load(shop), Meter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        practice = examine(log, "tune", min(args.instances, TUNING_INSTANCES))
        bar = progress.add_task(f"{shop}: choosing", total=tried(practice))
        tuned = tune(practice, lambda answers: progress.advance(bar, answers))
        exam, settings = examine(log, args.part, args.instances), tuned.settings()
        progress.update(bar, visible=False)
        last = progress.add_task(f"{shop}: scoring", total=exam.answers(settings))
        days = REFIT_DAYS[args.refit]
        results = ask(exam, settings, days, meter, lambda answers: progress.advance(last, answers))
    goals = report(exam, results, tuned)
    say_costs(log, meter)
    say_frontier(log, tuned)
    if args.part == "last":
        note(log, args.instances, args.refit, results, tuned)
    return goals


if __name__ == "__main__":
    main()
