"""``python -m tests.crash``: end something at every write of every journey, and say what does not hold afterwards."""

import argparse
import json
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.crash.invariants import open_statuses, violations
from tests.crash.journeys import JOURNEYS, Journey
from tests.crash.points import KINDS, Kind, Point
from tests.crash.processes import Nursery
from tests.crash.worlds import Servers, world


@dataclass(slots=True)
class Clean:
    """A journey in which nothing ended: what was written, by whom, and what is said of those that stay open."""

    writes: dict[Kind, list[str]]
    statuses: dict[int, tuple[str, str]]
    violations: list[str]

    def points(self, journey: Journey) -> Iterable[Point]:
        """Every point of a journey, in the order of its writes."""
        for kind, writes in self.writes.items():
            for index in range(len(writes)):
                for moment in kind.moments:
                    yield Point(journey.name, kind, index, moment)


@dataclass(slots=True)
class Report:
    """How many points there are, at how many something ended, and what did not hold."""

    points: int = 0
    killed: int = 0
    violations: list[dict[str, Any]] = field(default_factory=list)

    def blame(self, point: str, write: str, found: Iterable[str]) -> None:
        """Note what did not hold at a point."""
        for what in found:
            one = {"point": point, "write": write, "what": what, "again": f"python -m tests.crash --point {point}"}
            self.violations.append(one)
            print(f"{point} ({write}): {what}", file=sys.stderr, flush=True)


def clean(journey: Journey, nursery: Nursery, servers: Servers, *, wrong: bool) -> Clean:
    """Let a journey go its way, and count what is written."""
    with world(journey, None, nursery, servers, wrong=wrong) as made:
        made.go_on()
        writes = {kind: made.plan.of(kind.part).writes(kind.server) for kind in KINDS}
        statuses = open_statuses(made)
        return Clean(writes, statuses, violations(made, statuses))


def main() -> int:
    asked = _asked()
    report = Report()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="mergeq-crash-redis-")))
        nursery, servers = stack.enter_context(Nursery()), stack.enter_context(Servers(folder))
        for name in asked.journey or JOURNEYS:
            journey = JOURNEYS[name]
            before = clean(journey, nursery, servers, wrong=asked.wrong)
            report.blame(name, "nothing ended", before.violations)
            points = [*before.points(journey)]
            report.points += len(points)
            chosen = [Point.parse(asked.point)] if asked.point else _chosen(points, asked)
            for point in chosen:
                write = (before.writes[point.kind] or [""])[min(point.index, len(before.writes[point.kind]) - 1)]
                with world(journey, point, nursery, servers, wrong=asked.wrong) as made:
                    beats = made.go_on()
                    report.killed += made.fired
                    found = violations(made, before.statuses)
                    if asked.verbose:
                        print(f"{point} ({write}): {beats} beats, {len(found)} violations", file=sys.stderr, flush=True)
                        if asked.point:
                            print(*made.log(), sep="\n", file=sys.stderr)
                report.blame(str(point), write, found)
    if asked.json:
        print(json.dumps({"points": report.points, "killed": report.killed, "violations": report.violations}))
    else:
        print(f"{report.points} points, something ended at {report.killed}, {len(report.violations)} violations")
    return bool(report.violations)


def _chosen(points: list[Point], asked: argparse.Namespace) -> list[Point]:
    wanted = [point for point in points if not asked.only or str(point.kind) in asked.only]
    return wanted[asked.offset % asked.every :: asked.every]


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take every N-th point")
    parser.add_argument("--offset", type=int, default=0, help="begin at the K-th of them")
    parser.add_argument("--only", action="append", choices=[*map(str, KINDS)], help="points of this kind alone")
    parser.add_argument("--journey", action="append", choices=[*JOURNEYS], help="this journey alone")
    parser.add_argument("--point", help="this point alone, as it was printed")
    parser.add_argument("--json", action="store_true", help="print {points, killed, violations}")
    parser.add_argument("--verbose", action="store_true", help="a line for each point; with --point, all that was logged")
    parser.add_argument("--wrong", action="store_true", help="spoil mergeq so that there is something to be found")
    asked = parser.parse_args()
    if asked.point:
        asked.journey = [Point.parse(asked.point).journey]
    return asked


if __name__ == "__main__":
    sys.exit(main())
