"""`python -m shared.embedded.lock 4.1.2`: write kafka-jars.txt anew for a version of Apache Kafka."""

import hashlib
import tempfile
from pathlib import Path

import click

from shared.embedded.jars import LOCK, repositories

_ROOTS = ("org.apache.kafka:kafka_2.13:{version}", "org.slf4j:slf4j-simple:1.7.36")
_SCOPES = {"compile", "runtime"}


def lines(version: str, folder: Path) -> list[str]:
    """Resolve the broker's jars as Maven would, download them into `folder`, and give each its line."""
    from jgo.maven import MavenContext  # noqa: PLC0415  an optional extra

    context = MavenContext(repo_cache=folder, remote_repos=repositories(), timeout=30)
    roots = [context.create_dependency(root.format(version=version)) for root in _ROOTS]
    wanted, others = context.resolver.resolve(roots)
    found = []
    for dependency in [*wanted, *(other for other in others if other.scope in _SCOPES)]:
        content = Path(dependency.artifact.resolve()).read_bytes()
        coordinate = f"{dependency.groupId}:{dependency.artifactId}:{dependency.version}"
        found.append(f"{coordinate} {hashlib.sha256(content).hexdigest()} {len(content)}")
    return sorted(found)


@click.command()
@click.argument("version")
def main(version: str) -> None:
    """Write kafka-jars.txt anew for a VERSION of Apache Kafka."""
    with tempfile.TemporaryDirectory() as folder:
        LOCK.write_text("\n".join(lines(version, Path(folder))) + "\n")
    click.echo(f"{LOCK}: Apache Kafka {version}")


if __name__ == "__main__":
    main()
