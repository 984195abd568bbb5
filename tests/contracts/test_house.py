"""Rules of the house that an import linter cannot see. `make check` runs them too."""

import ast
import re
from pathlib import Path

import pytest

from shared import topics

ROOT = Path(__file__).parents[2]
MODULES = sorted(path for folder in ("services", "shared", "demo") for path in (ROOT / folder).rglob("*.py"))
SERVICES = ("ingest", "recommender", "scheduler", "dispatcher", "reporting")
SQL = re.compile(
    r"\b(SELECT\b.+\bFROM|INSERT\s+INTO|DELETE\s+FROM|UPDATE\s+\w+\s+SET|CREATE\s+TABLE)\b", re.DOTALL
)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def strings(path: Path) -> list[str]:
    """Every string in a module that is not a docstring."""
    tree = ast.parse(path.read_text())
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation
    ]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_sql_is_in_sql_files_only(path: Path) -> None:
    assert not [text for text in strings(path) if SQL.search(text)]


@pytest.mark.parametrize("path", [path for path in MODULES if path.name != "clock.py"], ids=name_of)
def test_only_the_clock_reads_the_systems_time(path: Path) -> None:
    calls = {
        ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    }
    assert not calls & {"datetime.now", "datetime.utcnow", "time.time", "time.monotonic", "time.perf_counter"}


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path != ROOT / "shared" / "topics.py"], ids=name_of
)
def test_only_topics_py_spells_a_topics_name(path: Path) -> None:
    tree = ast.parse(path.read_text())
    called = {
        argument.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("send", "send_and_wait", "subscribe", "topic")
        for argument in node.args
        if isinstance(argument, ast.Constant)
    }
    distinctive = {topic.name for topic in topics.ALL if re.search("[.-]", topic.name)}
    assert not called & {topic.name for topic in topics.ALL}
    assert not distinctive & set(strings(path))


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_names_anothers_schema_in_its_sql(service: str) -> None:
    others = "|".join(set(SERVICES) - {service})
    for path in (ROOT / "services" / service).rglob("*.sql"):
        assert not re.search(rf"\b({others})\.\w+", path.read_text()), path


@pytest.mark.parametrize("path", sorted(ROOT.glob("s*/**/*.sql")), ids=name_of)
def test_sql_takes_time_as_a_parameter(path: Path) -> None:
    statements = re.sub(r"--.*", "", path.read_text())
    assert not re.search(
        r"\b(now\(\)|current_timestamp|clock_timestamp|localtimestamp)", statements, re.IGNORECASE
    )


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_one_room(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 350


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_prints_or_reads_the_environment_by_itself(path: Path) -> None:
    calls = {
        ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    }
    assert "print" not in calls
    if path.parts[-2] != "embedded" and path.name not in ("settings.py", "secrets.py"):
        assert not calls & {"os.getenv", "os.environ.get"}
