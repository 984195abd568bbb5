"""Runs mutants: a pytest plugin that collects the tests once, and then forks for each mutant and runs what reaches it.

mutmut's own runner collects tests anew for each mutant, which for a core that hundreds of tests reach takes seconds.
"""

import json
import os
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import mutmut
import pytest
from _pytest.runner import runtestprotocol
from mutmut.configuration import Config

KILLED, SURVIVED, UNREACHED = "killed", "survived", "unreached"
_LEAST_CPU_SECONDS = 5
_SLOWER = 8
_TELL_EVERY = 50


class Mutations:
    """What every test reaches and takes, and what became of each mutant."""

    def __init__(self, out: Path, every: int, processes: int) -> None:
        self._out = out
        self._every = every
        self._processes = processes
        self._reaching: dict[str, list[pytest.Item]] = defaultdict(list)
        self._seconds: dict[str, float] = {}
        self._red: list[str] = []

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Take the place of pytest's own loop."""
        self._red = self._learn(session.items)
        self._write(self._try_all(sorted(_mutants())[:: self._every]))
        return True

    def _write(self, found: dict[str, str]) -> None:
        self._out.write_text(json.dumps({"red": self._red, "results": found}))

    def _learn(self, items: Sequence[pytest.Item]) -> list[str]:
        """Run every test without a mutant; returns those that fail all the same, which are left out."""
        os.environ["MUTANT_UNDER_TEST"], os.environ["MUTMUT_DEPENDENCY_DEPTH"] = "stats", "-1"
        red = []
        for item in items:
            mutmut._stats.clear()  # noqa: SLF001  where its trampolines note what they reach
            started = time.process_time()
            reports = runtestprotocol(item, nextitem=None, log=False)
            self._seconds[item.nodeid] = time.process_time() - started
            if any(each.failed for each in reports):
                red.append(item.nodeid)
                continue
            for function in mutmut._stats:  # noqa: SLF001  as above
                self._reaching[function].append(item)
        for reaching in self._reaching.values():
            reaching.sort(key=lambda item: self._seconds[item.nodeid])
        return red

    def _try_all(self, mutants: Iterable[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        running: dict[int, str] = {}
        for name in mutants:
            tests = self._reaching.get(name.rpartition("__mutmut_")[0])
            if not tests:
                found[name] = UNREACHED
                continue
            while len(running) >= self._processes:
                _await(running, found)
            running[self._start(name, tests)] = name
            if len(found) % _TELL_EVERY == 0:
                self._write(found)
                sys.stderr.write(f"{len(found)} mutants tried\n")
        while running:
            _await(running, found)
        return found

    def _start(self, name: str, tests: Sequence[pytest.Item]) -> int:
        child = os.fork()
        if child == 0:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
            limit = _LEAST_CPU_SECONDS + int(_SLOWER * sum(self._seconds[each.nodeid] for each in tests))
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
            os.environ["MUTANT_UNDER_TEST"] = name
            _forget()
            os._exit(1 if _some_fails(tests) else 0)
        return child


def _forget() -> None:
    """Clear what was computed without the mutant."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("services.scheduler.domain", "tests.support")):
            for value in vars(module).values():
                if callable(clear := getattr(value, "cache_clear", None)):
                    clear()


def _some_fails(tests: Sequence[pytest.Item]) -> bool:
    try:
        return any(
            report.failed for item in tests for report in runtestprotocol(item, nextitem=None, log=False)
        )
    except BaseException:  # noqa: BLE001  a mutant may break pytest itself: that is noticed
        return True


def _await(running: dict[int, str], found: dict[str, str]) -> None:
    child, status = os.wait()
    found[running.pop(child)] = SURVIVED if status == 0 else KILLED


def _mutants() -> list[str]:
    folder = Path("services/scheduler/domain")
    return [
        name
        for meta in folder.rglob("*.py.meta")
        for name in json.loads(meta.read_text())["exit_code_by_key"]
    ]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take where to write results, which share of the mutants to try, and how many at once."""
    group = parser.getgroup("mutation")
    group.addoption("--mutation-out", type=Path, required=True)
    group.addoption("--mutation-every", type=int, default=1)
    group.addoption("--mutation-processes", type=int, default=2)


def pytest_configure(config: pytest.Config) -> None:
    """Take over."""
    here = Path.cwd()
    os.chdir(here.parent)
    Config.get()
    os.chdir(here)
    own = Mutations(
        config.getoption("--mutation-out"),
        config.getoption("--mutation-every"),
        config.getoption("--mutation-processes"),
    )
    config.pluginmanager.register(own, "mutations")
