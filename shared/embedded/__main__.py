"""`python -m shared.embedded`: Kafka and PostgreSQL in the foreground until Ctrl-C or SIGTERM."""

import os
import shlex
import signal
import threading
from pathlib import Path

import click

from shared.embedded.choose import choose
from shared.errors import InfrastructureError


def serve(folder: Path) -> None:
    """Start both, write `export NAME=value` lines to stdout, stop both on SIGINT, SIGTERM or SIGHUP.

    Call it from the main thread. Raises InfrastructureError if one cannot be had.
    """
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    infrastructure = choose(folder, os.environ)
    click.echo(infrastructure.why, err=True)
    with infrastructure:
        for name, value in infrastructure.environment.items():
            click.echo(f"export {name}={shlex.quote(value)}")
        click.echo("Ready; Ctrl-C stops them.", err=True)
        ended.wait()


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".orderwake"),
    show_default=True,
    help="Where their data is kept.",
)
def main(folder: Path) -> None:
    """Run Kafka and PostgreSQL in the foreground and print how to reach them."""
    try:
        serve(folder)
    except InfrastructureError as problem:
        raise click.ClickException(str(problem)) from problem


if __name__ == "__main__":
    main()
