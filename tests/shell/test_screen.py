"""What the demo prints while it plays: a line that is drawn over on a terminal, plain lines everywhere else."""

import contextlib
import io
import os
from collections.abc import Iterator
from typing import TextIO

import pytest

from mergeq.cli import Screen, table


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TextIO, int]]:
    """A real terminal's two ends: what is written to the first is read from the second."""
    monkeypatch.setenv("TERM", "xterm")
    reader, writer = os.openpty()
    with os.fdopen(writer, "w") as stream:
        yield stream, reader
    os.close(reader)


def shown_on(terminal: tuple[TextIO, int]) -> str:
    """Everything that was written to a terminal; it comes through piece by piece."""
    stream, reader = terminal
    stream.close()
    pieces = []
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed and everything was read
        while piece := os.read(reader, 1000):
            pieces.append(piece)
    return b"".join(pieces).decode()


def tell(screen: Screen) -> None:
    screen.say("#1 landed")
    screen.progress("1 of 2")
    screen.progress("1 of 2")
    screen.say("#2 landed")
    screen.close()


def test_a_terminal_shows_how_far_it_is_below_what_has_happened(terminal: tuple[TextIO, int]) -> None:
    tell(Screen(terminal[0]))

    wipe = "\r\x1b[2K"
    assert shown_on(terminal) == f"#1 landed\r\n1 of 2{wipe}#2 landed\r\n1 of 2{wipe}"


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_draw_over_gets_lines(
    terminal: tuple[TextIO, int], monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    monkeypatch.setenv("TERM", term)

    tell(Screen(terminal[0]))

    assert shown_on(terminal) == "#1 landed\r\n#2 landed\r\n"


def test_a_file_gets_lines() -> None:
    file = io.StringIO()

    tell(Screen(file))

    assert file.getvalue() == "#1 landed\n#2 landed\n"


def test_where_a_document_is_asked_for_only_a_terminal_sees_how_far_it_is(terminal: tuple[TextIO, int]) -> None:
    file = io.StringIO()

    tell(Screen(file, quiet=True))
    tell(Screen(terminal[0], quiet=True))

    assert file.getvalue() == ""
    assert shown_on(terminal) == "1 of 2\r\x1b[2K"


WHY = "Not mergeable. Job ci/test is not green together with the base."
LANDED = {
    "pr": "acme/rocket#6",
    "story": "from a fork, approved",
    "expected": "landed",
    "outcome": "landed",
    "reasons": ["In merge pool."],
    "landed_sha": "6fc46d4" + "0" * 33,
    "tested_tree": "t",
    "landed_tree": "t",
}
OPEN = {
    **LANDED,
    "pr": "acme/rocket#10",
    "outcome": "open",
    "reasons": [WHY],
    "landed_sha": None,
}


def test_the_table_says_what_landed_as_which_commit_and_what_did_not_end_as_it_should() -> None:
    assert table({"prs": [LANDED, OPEN], "rules": [], "ok": False}, 0) == [
        "PULL REQUEST    STORY                  HAPPENED          WHY",
        "acme/rocket#6   from a fork, approved  landed            as 6fc46d4, the tree that was tested",
        f"acme/rocket#10  from a fork, approved  open, NOT landed  {WHY}",
        "",
        "NOT as expected: 2 stories, 1 landed",
    ]


def test_what_did_not_come_from_a_test_on_its_base_is_not_called_tested() -> None:
    line = table({"prs": [{**LANDED, "tested_tree": None}], "rules": [], "ok": True}, 0)[1]

    assert line.endswith("as 6fc46d4, green on its own head")


def test_the_table_keeps_to_a_terminal_s_width_and_loses_no_word() -> None:
    lines = table({"prs": [LANDED, OPEN], "rules": [], "ok": True}, 80)

    assert max(map(len, lines)) <= 80
    assert sorted(" ".join(lines).split()) == sorted(
        " ".join(table({"prs": [LANDED, OPEN], "rules": [], "ok": True}, 0)).split()
    )
