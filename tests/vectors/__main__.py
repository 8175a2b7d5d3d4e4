"""`python -m tests.vectors FILE... [--explain ID | --default] [--configs DIR]`: golden vectors, answered by the
production code.

A line for every failure (id, operation, first difference), and at the end `N passed, M failed`. Exit 0 when none
failed; what is left out is counted apart, on a line of its own. With `--default` it is counted instead how
many lines production, which differs on purpose, answers otherwise.
"""

import gzip
import json
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import ndiff
from pathlib import Path
from typing import Any

import click

from tests.vectors import protection
from tests.vectors.areas import GO, OPS, is_left_out
from tests.vectors.frame import DIFFERENCES, BrokenVectors, Line, Op, judge
from tests.vectors.protection import PROTECTION


@dataclass(slots=True)
class Tally:
    """What became of the lines."""

    passed: int = 0
    failures: list[str] = field(default_factory=list)
    unanswered: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        return len(self.failures) + self.unanswered.total()

    def add(self, line: Line) -> None:
        """Answer a line and count it."""
        name = name_of(line)
        if is_left_out(line):
            self.left_out[name] += 1
        elif (op := op_of(line)) is None:
            self.unanswered[name] += 1
        else:
            _, differing = judge(op, line)
            self.passed += not differing
            self.failures += [f"{line['id']} {name} {differing[0]}"] if differing else []

    def report(self) -> Iterator[str]:
        """What to print when all lines are counted."""
        yield from self.failures
        yield from (f"not available: {name} ({count} failed)" for name, count in sorted(self.unanswered.items()))
        if self.left_out:
            yield f"{self.left_out.total()} left out: {', '.join(sorted(self.left_out))} (tests/README.md says why)"
        yield f"{self.passed} passed, {self.failed} failed"


@dataclass(slots=True)
class Departures:
    """How many lines production's own settings answer otherwise, by operation, and how many each difference alone."""

    lines: Counter[str] = field(default_factory=Counter)
    all_together: Counter[str] = field(default_factory=Counter)
    alone: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, line: Line) -> None:
        """Answer a line with every difference, then, where that is another answer, with each alone. A recorded call is
        no whole decision and says nothing here.
        """
        name = name_of(line)
        if (op := OPS.get(name)) is None or "func" in line:
            return
        self.lines[name] += 1
        names = (PROTECTION,) if name in protection.OPS else tuple(DIFFERENCES)
        if judge(op, {**line, "differences": names})[1]:
            self.all_together[name] += 1
            for one in names:
                self.alone[name, one] += bool(judge(op, {**line, "differences": (one,)})[1])

    def report(self) -> Iterator[str]:
        """A line for each operation."""
        for name, count in sorted(self.lines.items()):
            causes = (one for one in (*DIFFERENCES, PROTECTION) if self.alone[name, one])
            alone = ", ".join(f"{one} alone {self.alone[name, one]}" for one in causes)
            yield f"{name}: {self.all_together[name]} of {count} differ by default" + (f" ({alone})" if alone else "")
        yield f"{self.all_together.total()} of {self.lines.total()} differ by default"


def name_of(line: Line) -> str:
    """The operation of a line, or the Go function that it records a call of."""
    name: str = line.get("op") or line["func"]
    return name


def op_of(line: Line) -> Op | None:
    """Who answers a line; None when nobody does."""
    return OPS.get(line["op"]) if line.get("op") else GO.get(line["func"])


def lines_of(file: Path, configs: Path | None = None) -> Iterator[Line]:
    """The lines of a file, plain or gzipped. `configs` is where real configurations are: beside the file's folder
    unless given. Raises BrokenVectors.
    """
    folder = configs or file.resolve().parent.parent / "prow-configs"
    number = 0
    try:
        with file.open("rb") as raw:
            is_gzip = raw.read(2) == b"\x1f\x8b"
        with gzip.open(file, "rb") if is_gzip else file.open("rb") as stream:
            for number, text in enumerate(stream, 1):  # noqa: B007  the number is for the complaint below
                if text.strip():
                    yield _checked(json.loads(text), folder)
    except OSError as error:
        raise BrokenVectors(f"{file}: cannot be read ({error.strerror or error}); give a file of vectors") from error
    except (ValueError, EOFError, zlib.error) as error:
        raise BrokenVectors(f"{file}:{number + 1}: is not JSON lines ({error}); get the file anew") from error


def _checked(line: Any, folder: Path) -> Line:
    if (
        not isinstance(line, dict)
        or "id" not in line
        or "expect" not in line
        or not (line.get("op") or line.get("func"))
    ):
        raise ValueError("a line needs `id`, `expect`, and `op` or `func`")
    return {**line, "configs": folder}


def explain(line: Line) -> Iterator[str]:
    """What was expected of a line and what was answered, with the differences marked."""
    yield f"{line['id']} {name_of(line)}"
    op = op_of(line)
    if op is None:
        yield "nobody answers this"
        return
    got, differing = judge(op, line)
    expected = {"load_error": line["load_error"]} if line.get("load_error") else line["expect"]
    yield "- expected   + got   (unmarked: both)"
    yield from (text.rstrip() for text in ndiff(_pretty(expected), _pretty(got)) if not text.startswith("?"))
    yield from (f"differs: {one}" for one in differing) if differing else iter(["no difference"])


def _pretty(value: Any) -> list[str]:
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=str).splitlines()


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--explain", "wanted", metavar="ID", help="Show one line: what was expected and what was answered.")
@click.option("--default", is_flag=True, help="Answer as production does, and count what Tide answered otherwise.")
@click.option("--configs", metavar="DIR", type=click.Path(path_type=Path), help="Where the real configurations are.")
def main(files: tuple[Path, ...], wanted: str | None, configs: Path | None, *, default: bool) -> None:
    """Answer golden vectors of Tide with the production code."""
    lines = (line for file in files for line in lines_of(file, configs))
    try:
        if wanted:
            found = next((line for line in lines if line["id"] == wanted), None)
            if found is None:
                raise BrokenVectors(f"{wanted}: no such id in these files")
            click.echo("\n".join(explain(found)))
            return
        tally = Departures() if default else Tally()
        for line in lines:
            tally.add(line)
    except BrokenVectors as error:
        click.echo(error, err=True)
        sys.exit(1)
    click.echo("\n".join(tally.report()))
    sys.exit(1 if isinstance(tally, Tally) and tally.failed else 0)


if __name__ == "__main__":
    main(prog_name="python -m tests.vectors")
