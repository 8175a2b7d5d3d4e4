"""What commands share: their common options, how they name things, and the services that they work with."""

import getpass
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import click

from mergeq.bootstrap import Services, embedded_redis, services
from mergeq.config import Settings
from mergeq.core.pull import Branch

config_option = click.option(
    "--config",
    "paths",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A configuration file or folder; may be given several times. Default: MERGEQ_CONFIG.",
)


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def line_of_text(_context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """An option's value as one line of some words. Raises click.BadParameter."""
    if value is not None and not (value.strip() and value.isprintable()):
        raise click.BadParameter("give some words, in one line", param=option)
    return value.strip() if value else value


why_option = click.option(
    "--why", required=True, callback=line_of_text, help="What people will read: on the pages, in statuses, in history."
)
as_option = click.option(
    "--as", "name", callback=line_of_text, help="Who says so. Default: who runs this; the host is added."
)


def settings_of(paths: tuple[Path, ...]) -> Settings:
    """What the environment says, with the configuration that is named on the command line if one is. Raises
    ConfigError.
    """
    settings = Settings.from_environment()
    return replace(settings, config_paths=paths) if paths else settings


@contextmanager
def working(paths: tuple[Path, ...], *, lenient: bool = False) -> Iterator[Services]:
    """The services for one command: without a Redis that is named, that of the `mergeq run` whose state folder this is,
    or its data if it does not run. `lenient` as for `services`.
    """
    settings = settings_of(paths)
    with ExitStack() as stack:
        if not settings.redis_url:
            settings = replace(settings, redis_url=stack.enter_context(embedded_redis(settings)).url)
        yield services(settings, lenient=lenient)


def who(name: str | None) -> str:
    """Who says something, and where: what is given, else the user that this runs as."""
    try:
        return f"{name or getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError) as error:
        raise click.UsageError("this user has no name; say who it is with --as NAME") from error


def branch_of(text: str) -> Branch:
    """A branch by its name. Raises click.UsageError."""
    try:
        return Branch.parse(text)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def repo_of(text: str) -> str:
    """A repository by its name. Raises click.UsageError."""
    if text.count("/") != 1 or not all(text.split("/")) or any(char.isspace() for char in text):
        raise click.UsageError(f"{text!r} is not of the form ORG/REPO")
    return text


@contextmanager
def interruptible() -> Iterator[tuple[threading.Event, list[int]]]:
    """An event that SIGINT and SIGTERM set, and the list of those that came."""
    stopping, caught = threading.Event(), list[int]()

    def note(number: int, _frame: object) -> None:
        caught.append(number)
        stopping.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping, caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_for(caught: list[int]) -> None:
    """Exit as what is interrupted does, if it was."""
    if signal.SIGINT in caught:
        sys.exit(130)
