"""Mutation test of the decision core: small faults are put into it one by one, and some test must notice each.

    make mutation ARGS="--json"
    make mutation ARGS="--only services/scheduler/domain/quiet.py --survivors survivors.txt"

mutmut makes the mutants; bench/mutation_run.py tries each on the tests that reach it. mutmut leaves decorated functions and
classes alone, and much of the core is properties and dataclasses: in a copy of the tree every decorator is taken off and
applied below, which means the same and lets mutmut see the bodies. What is left out, and why, stands in docs/mutation.md.
"""

import argparse
import ast
import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import libcst as cst

ROOT = Path(__file__).parents[1]
DOMAIN = Path("services/scheduler/domain")
COPIED = ("services", "shared", "demo", "bench", "tests", "journeys", "docs", "pyproject.toml", "Makefile")
TESTS = (
    "tests/unit/scheduler",
    "tests/properties/test_long_lives.py",
)
PYTEST = (
    "--timeout=60",
    "--ignore-glob=*/test_backtest*",
    "--ignore-glob=*/test_page_*",
)
"""Left out: tests of what stands around the core, which are slow, or read files that are not copied."""
GOAL = 0.85
EXAMPLES, LIVES = 2, 3
PROFILE = f"""
hypothesis.settings.register_profile(
    "mutation", deadline=None, derandomize=True, database=None, max_examples={EXAMPLES},
    suppress_health_check=list(hypothesis.HealthCheck), phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)
hypothesis.settings.load_profile("mutation")
"""

CONFIGURATION = """
[tool.mutmut]
source_paths = ["services"]
only_mutate = [{only}]
also_copy = [{copied}]
do_not_mutate_patterns = [{patterns}]
track_dependencies = false
"""

GENERATE = """
import sys
from mutmut import __main__ as mutmut
from mutmut.configuration import Config
Config.get()
mutmut.copy_src_dir()
mutmut.copy_also_copy_files()
mutmut.create_mutants(int(sys.argv[1]))
"""

PATTERNS = (
    r"^\s*message = f?\".*",  # what an error says to people
    r"^\s*problem = f?\".*",
)
"""Lines that are not mutated; docs/mutation.md gives the reasons."""


class Lifted(cst.CSTTransformer):
    """Takes decorators off functions and classes and applies them in an assignment below: the same, spelled out."""

    def leave_FunctionDef(  # noqa: N802  libcst's name
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement]:
        """Rename a decorated function, and bind its name to what the decorators make of it."""
        name = original_node.name.value
        plain = [each.decorator for each in updated_node.decorators]
        if not plain or (
            len(plain) == 1
            and isinstance(plain[0], cst.Name)
            and plain[0].value in ("classmethod", "staticmethod")
        ):
            return updated_node
        hidden = f"lifted_{name.strip('_')}"
        bare = updated_node.with_changes(name=cst.Name(hidden), decorators=[])
        return cst.FlattenSentinel([bare, _bound(name, hidden, plain)])

    def leave_ClassDef(  # noqa: N802  libcst's name
        self, original_node: cst.ClassDef, updated_node: cst.ClassDef
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement]:
        """Bind a decorated class to what the decorators make of it."""
        name = original_node.name.value
        plain = [each.decorator for each in updated_node.decorators]
        if not plain:
            return updated_node
        return cst.FlattenSentinel([updated_node.with_changes(decorators=[]), _bound(name, name, plain)])


def _bound(name: str, inner: str, decorators: Sequence[cst.BaseExpression]) -> cst.SimpleStatementLine:
    value: cst.BaseExpression = cst.Name(inner)
    for decorator in reversed(decorators):
        value = cst.Call(decorator, [cst.Arg(value)])
    target = cst.AssignTarget(cst.Name(name))
    return cst.SimpleStatementLine([cst.Assign([target], value)])


def prepare(folder: Path, only: Sequence[str]) -> None:
    """Copy the tree, spell decorators out, and make tests repeat themselves exactly."""
    leave_out = shutil.ignore_patterns("__pycache__", "*.pyc", "kafka-streams")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=leave_out)
        else:
            shutil.copy(source, folder / name)
    for path in (folder / DOMAIN).rglob("*.py"):
        path.write_text(cst.parse_module(path.read_text()).visit(Lifted()).code)
    (folder / "tests" / "__init__.py").touch()  # mutmut's own search path hides folders that are no packages
    conftest = folder / "tests" / "conftest.py"
    conftest.write_text(conftest.read_text() + PROFILE)
    for path in (folder / "tests").rglob("*.py"):
        fewer = re.sub(r"max_examples=\d+", f"max_examples={EXAMPLES}", path.read_text())
        path.write_text(
            re.sub(r"^LIVES = range\(\d+\)", f"LIVES = range({LIVES})", fewer, flags=re.MULTILINE)
        )
    configuration = CONFIGURATION.format(
        only=_quoted(only or [f"{DOMAIN}/*"]),
        copied=_quoted(COPIED),
        patterns=", ".join(f"'{each}'" for each in PATTERNS),
    )
    with (folder / "pyproject.toml").open("a") as project:
        project.write(configuration)


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{each}"' for each in names)


def run(folder: Path, every: int, processes: int) -> dict[str, str]:
    """Make the mutants and try them; returns what became of each. Raises SystemExit if tests do not even start."""
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    generate = [sys.executable, "-c", GENERATE, str(processes)]
    subprocess.run(generate, cwd=folder, check=True, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603  the command is ours
    out, mutants = folder / "results.json", folder / "mutants"
    tests = [each for each in TESTS if (mutants / each).exists()]
    options = [f"--mutation-out={out}", f"--mutation-every={every}", f"--mutation-processes={processes}"]
    subprocess.run(  # noqa: S603  the command is ours
        [sys.executable, "-m", "pytest", "-q", "-p", "bench.mutation_run", "-p", "no:cacheprovider", *options, *PYTEST, *tests],
        cwd=mutants, check=False, env={**environment, "PYTHONPATH": str(mutants)},
    )  # fmt: skip
    if not out.exists():
        raise SystemExit(1)
    found = json.loads(out.read_text())
    for each in found["red"]:
        sys.stdout.write(f"red without any mutant, left out: {each}\n")
    return dict(found["results"])


def table(found: Mapping[str, Counter[str]]) -> str:
    """Return killed, survived and unreached mutants per module, and the share that was killed."""
    lines = [f"{'module':28} {'mutants':>8} {'killed':>8} {'survived':>9} {'unreached':>10} {'share':>7}"]
    for module, counts in (*sorted(found.items()), ("all", sum(found.values(), Counter()))):
        total = counts.total()
        share = counts["killed"] / total if total else 1.0
        lines.append(
            f"{module:28} {total:8} {counts['killed']:8} {counts['survived']:9} {counts['unreached']:10} {share:7.1%}"
        )
    return "\n".join(lines)


def main() -> int:
    """Run and report; exits 1 under the goal."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="*", default=[], help="paths of modules to mutate, with * as a wildcard"
    )
    parser.add_argument("--every", type=int, default=1, help="try one mutant of so many")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--survivors", type=Path, help="write the survivors' differences to this file")
    parser.add_argument("--folder", type=Path, help="where to work; a run that was stopped there goes on")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON on the last line")
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="ow-mutation-"))
    try:
        if not (folder / "pyproject.toml").exists():
            folder.mkdir(parents=True, exist_ok=True)
            prepare(folder, asked.only)
        results = run(folder, asked.every, asked.processes)
        if asked.survivors:
            left = [name for name, became in results.items() if became != "killed"]
            asked.survivors.write_text("\n".join(_difference(folder, name) for name in left))
    finally:
        if not asked.folder:
            shutil.rmtree(folder, ignore_errors=True)
    found: dict[str, Counter[str]] = {}
    for name, became in results.items():
        found.setdefault(_module(name), Counter())[became] += 1
    return _report(found, as_json=asked.json)


def _module(name: str) -> str:
    return name.removeprefix("services.scheduler.domain.").rpartition(".")[0]


def _difference(folder: Path, name: str) -> str:
    """Return what a mutant changes."""
    module, _, function = name.rpartition(".")
    path = folder / "mutants" / f"{module.replace('.', '/')}.py"
    source = path if path.exists() else path.with_suffix("") / "__init__.py"
    bodies = {
        node.name: ast.unparse(node).splitlines()
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "__mutmut_" in node.name
    }
    before = bodies[f"{function.rpartition('__mutmut_')[0]}__mutmut_orig"]
    lines = [
        line
        for line in difflib.unified_diff(before[1:], bodies[function][1:], lineterm="", n=1)
        if line[:3] not in ("---", "+++")
    ]
    return "\n".join([f"=== {name}", *lines])


def _report(found: Mapping[str, Counter[str]], *, as_json: bool) -> int:
    sys.stdout.write(f"\n{table(found)}\n")
    counts = sum(found.values(), Counter())
    share = counts["killed"] / counts.total() if counts.total() else 0.0
    if as_json:
        figures = {
            "mutants": counts.total(),
            "killed": counts["killed"],
            "share": round(share, 4),
            "goal": GOAL,
        }
        sys.stdout.write(json.dumps(figures) + "\n")
    return 1 if share < GOAL else 0


if __name__ == "__main__":
    sys.exit(main())
