"""``python -m tests.crash``: end something at every write of every journey, and say what does not hold afterwards."""

import json
import random
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from tests.crash.invariants import open_statuses, violations
from tests.crash.journeys import JOURNEYS, Journey
from tests.crash.points import KINDS, Kind, Point
from tests.crash.processes import Nursery
from tests.crash.worlds import Servers, World, world


@dataclass(frozen=True, slots=True)
class Clean:
    """A journey in which nothing ended: what was written, by whom, and what is said of those that stay open."""

    writes: dict[Kind, list[str]]
    statuses: list[tuple[str, str]]

    def points(self, journey: Journey) -> list[Point]:
        """Every point of a journey, in the order of its writes."""
        return [
            Point(journey.name, kind, index, moment)
            for kind, writes in self.writes.items()
            for index in range(len(writes))
            for moment in kind.moments
        ]

    def write(self, point: Point) -> str:
        """What is written at a point, as far as it is the same each time."""
        writes = self.writes[point.kind]
        return writes[point.index] if point.index < len(writes) else "a later one"


@dataclass(slots=True)
class Report:
    """How many points there are, at how many something ended, and what did not hold."""

    points: int = 0
    killed: int = 0
    violations: list[dict[str, Any]] = field(default_factory=list)

    def blame(self, point: str, write: str, found: Iterable[str]) -> None:
        """Note what did not hold at a point."""
        for what in found:
            again = f"python -m tests.crash --point {point}"
            self.violations.append({"point": point, "write": write, "what": what, "again": again})
            click.echo(f"{point} ({write}): {what}; {again}", err=True)


@dataclass(frozen=True, slots=True)
class Harness:
    """What all worlds have in common, and how much is told of them."""

    nursery: Nursery
    servers: Servers
    report: Report
    wrong: bool
    verbose: int

    def clean(self, journey: Journey) -> Clean:
        """Let a journey go its way, and count what is written."""
        with self._world(journey, None) as made:
            made.go_on()
            found = Clean({kind: made.plan.of(kind.part).writes(kind.server) for kind in KINDS}, open_statuses(made))
            self.report.blame(journey.name, "nothing ended", violations(made, found.statuses))
        return found

    def end(self, journey: Journey, point: Point, clean: Clean) -> None:
        """Let a journey go its way but for one end, and look at what has come of it."""
        write = clean.write(point)
        with self._world(journey, point) as made:
            seconds = made.go_on()
            self.report.killed += made.fired
            self.report.blame(str(point), write, violations(made, clean.statuses))
            if self.verbose:
                click.echo(f"{point} ({write}): {seconds:.0f} s{'' if made.fired else ', nothing ended'}", err=True)
            if self.verbose > 1:
                click.echo("\n".join(made.log()), err=True)

    @contextmanager
    def _world(self, journey: Journey, point: Point | None) -> Iterator[World]:
        with world(journey, point, self.nursery, self.servers, wrong=self.wrong) as made:
            yield made


@click.command(help=__doc__)
@click.option("--every", default=1, metavar="N", type=click.IntRange(1), help="Take every N-th point.")
@click.option("--offset", default=0, metavar="K", help="Begin at the K-th of the points.")
@click.option("--minutes", default=0.0, help="Take points in the order that the seed decides, until these are over.")
@click.option("--seed", default=0, help="With --minutes: what is not reached by one seed is another's.")
@click.option("--only", "kinds", multiple=True, type=click.Choice([*map(str, KINDS)]), help="Take this kind alone.")
@click.option("--journey", "names", multiple=True, type=click.Choice([*JOURNEYS]), help="Take this journey alone.")
@click.option("--point", "points", multiple=True, help="Take this point alone, as it was printed.")
@click.option("--write", default="", metavar="TEXT", help="Take writes that contain this alone, as `PUT` or `intents`.")
@click.option("--wrong", is_flag=True, help="Spoil mergeq, so that there is something to be found.")
@click.option("--json", "as_json", is_flag=True, help="Print {points, killed, violations}.")
@click.option("--verbose", "-v", count=True, help="A line for each point; twice, and all that was logged.")
def main(
    every: int,
    offset: int,
    minutes: float,
    seed: int,
    kinds: tuple[str, ...],
    names: tuple[str, ...],
    points: tuple[str, ...],
    write: str,
    wrong: bool,
    as_json: bool,
    verbose: int,
) -> None:
    wanted = [Point.parse(text) for text in points]
    report, began = Report(), time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="mergeq-crash-redis-", ignore_cleanup_errors=True)))
        nursery, servers = stack.enter_context(Nursery()), stack.enter_context(Servers(folder))
        harness = Harness(nursery, servers, report, wrong, verbose)
        chosen = [*dict.fromkeys(point.journey for point in wanted)] or names or [*JOURNEYS]
        for place, name in enumerate(chosen, 1):
            clean = harness.clean(JOURNEYS[name])
            every_one = clean.points(JOURNEYS[name])
            report.points += len(every_one)
            some = [one for one in every_one if (not kinds or str(one.kind) in kinds) and write in clean.write(one)]
            if minutes:
                random.Random(seed).shuffle(some)
            for point in wanted or some[offset % every :: every]:
                if minutes and time.monotonic() - began > minutes * 60 * place / len(chosen):
                    break
                if point.journey == name:
                    harness.end(JOURNEYS[name], point, clean)
    found = {"points": report.points, "killed": report.killed, "violations": report.violations}
    told = f"{report.points} points, something ended at {report.killed}, {len(report.violations)} violations"
    click.echo(json.dumps(found) if as_json else told)
    sys.exit(bool(report.violations))


if __name__ == "__main__":
    main()
