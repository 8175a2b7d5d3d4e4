"""What the demo prints while it plays: a line that is drawn over on a terminal, plain lines everywhere else."""

import io
import os
from collections.abc import Iterator
from typing import TextIO

import pytest

from mergeq.cli import Screen


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TextIO, int]]:
    """A real terminal's two ends: what is written to the first is read from the second."""
    monkeypatch.setenv("TERM", "xterm")
    reader, writer = os.openpty()
    with os.fdopen(writer, "w") as stream:
        yield stream, reader
    os.close(reader)


def tell(screen: Screen) -> None:
    screen.say("#1 landed")
    screen.progress("1 of 2")
    screen.progress("1 of 2")
    screen.say("#2 landed")
    screen.close()


def test_a_terminal_shows_how_far_it_is_below_what_has_happened(terminal: tuple[TextIO, int]) -> None:
    stream, reader = terminal

    tell(Screen(stream))

    wipe = "\r\x1b[2K"
    assert os.read(reader, 1000).decode() == f"#1 landed\r\n1 of 2{wipe}#2 landed\r\n1 of 2{wipe}"


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_draw_over_gets_lines(
    terminal: tuple[TextIO, int], monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    stream, reader = terminal
    monkeypatch.setenv("TERM", term)

    tell(Screen(stream))

    assert os.read(reader, 1000).decode() == "#1 landed\r\n#2 landed\r\n"


def test_a_file_gets_lines() -> None:
    file = io.StringIO()

    tell(Screen(file))

    assert file.getvalue() == "#1 landed\n#2 landed\n"


def test_where_a_document_is_asked_for_nothing_is_told() -> None:
    file = io.StringIO()

    tell(Screen(file, quiet=True))

    assert file.getvalue() == ""
