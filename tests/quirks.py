"""GitHub's recorded quirks under their numbers: a test switches one on, says what mergeq must do, and is counted here.

``python -m tests.quirks`` runs those tests and prints how often each quirk happened and whether its tests passed; with
``--json`` as ``[{q, hits, asserted}]``, else with what stands in place of a switch where there is none. What
stands in no test yet has no hits and is not asserted.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mergeq.sandbox import Sandbox

_EVERYWHERE = ("auth.expire", "clock.", "graphql.", "limit.", "profile.", "schema.", "search.")
"""Switches about requests that may be about no repository."""

NUMBERS = tuple(f"Q{number}" for number in range(1, 91))

TABLE: tuple[tuple[str, str, str, str], ...] = tuple(
    re.findall(
        r"^\| (Q\d+) \| .+? \| (.+?) \| (.+?) \| (.+?) \|$",
        (Path(__file__).parent / "README.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
)
"""Of each quirk: its number, its switches or ``data: WHY`` there is none, the tests that show it, and mergeq's."""


class Quirk:
    """What a test does with the quirk it is about; that the quirk has happened is asserted when the test ends."""

    def __init__(self, github: Sandbox) -> None:
        self._asked = github.app.test_client()
        self._watched: dict[int, int] = {}
        self._shown: dict[str, int] = {}

    def on(
        self,
        switch: str,
        *,
        repo: str = "acme/rocket",
        pr: int | None = None,
        route: str | None = None,
        times: int | None = 1,
        after: int = 0,
        **args: Any,
    ) -> None:
        """Switch it on, for one pull request or route if given. It must happen before the test ends, and what people
        do at once counts only if something is asked of GitHub afterwards; with `after` they do it in the midst. What
        happens to deliveries is told by them.
        """
        bound = not switch.startswith(_EVERYWHERE)
        match = {"repo": repo if bound else None, "pr": pr, "route": route}
        body = {"id": switch, "match": match, "times": times, "after": after, "args": args}
        answer = self._asked.post("/_sim/faults", json=body)
        assert answer.status_code == 201, answer.text
        self._watched[len(self._faults()) - 1] = self.requests()

    def shown_by(self, route: str) -> None:
        """What has no switch, since it stands in the data: it happens whenever this route, which shows it, is asked
        from here on.
        """
        self._shown[route] = self.requests(route)

    @property
    def hits(self) -> int:
        return sum(hits for _, hits in self._counted())

    def check(self) -> None:
        """Raises AssertionError if something that was switched on never happened, or nothing was."""
        idle = [name for name, hits in self._counted() if not hits]
        assert self.hits, "no quirk happened in this test"
        assert not idle, f"switched on, and it never happened: {idle}"

    def _counted(self) -> Iterator[tuple[str, int]]:
        """What the sandbox has counted of all that was switched on and of all that shows what stands in the data."""
        asked, switched = self.requests(), self._faults()
        for index, before in self._watched.items():
            name, hits = str(switched[index]["id"]), int(switched[index]["hits"])
            yield name, hits if asked > before or name.startswith("hook.") else 0
        for route, before in self._shown.items():
            yield route, self.requests(route) - before

    def requests(self, route: str = "") -> int:
        """How often a route or a GraphQL operation was asked for, by a part of its name."""
        found: dict[str, int] = self._asked.get("/_sim/hits").get_json()
        return sum(count for name, count in found.items() if route in name)

    def _faults(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._asked.get("/_sim/faults").get_json()
        return found


def numbers_of(item: pytest.Item) -> Iterable[str]:
    """The quirks that a test is marked with."""
    return (number for marker in item.iter_markers("quirk") for number in marker.args)


@dataclass(slots=True)
class Told:
    hits: int = 0
    tests: int = 0
    failed: int = 0


@dataclass(slots=True, eq=False)
class Counter:
    """A pytest plugin that counts by number what the marked tests have shown."""

    told: dict[str, Told] = field(default_factory=lambda: {number: Told() for number in NUMBERS})
    _numbers: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            self._numbers[item.nodeid] = tuple(numbers_of(item))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for number in self._numbers.get(report.nodeid, ()):
            told = self.told[number]
            told.tests += report.when == "call" and report.passed
            told.failed += report.failed
            if report.when == "teardown":
                told.hits += sum(int(str(hits)) for name, hits in report.user_properties if name == "hits")

    def rows(self) -> list[dict[str, Any]]:
        return [
            {"q": number, "hits": told.hits, "asserted": told.tests > 0 and told.failed == 0 and told.hits > 0}
            for number, told in self.told.items()
        ]


def main(arguments: list[str]) -> int:
    """Run the marked tests; 1 if one of them failed."""
    counter = Counter()
    here = str(Path(__file__).parent)
    with contextlib.redirect_stdout(sys.stderr):
        failed = pytest.main(["-q", "-m", "quirk", "-p", "no:cacheprovider", here], plugins=[counter])
    if "--json" in arguments:
        print(json.dumps(counter.rows()))  # noqa: T201 -- what the command is for
    else:
        switches = {number: switch for number, switch, *_ in TABLE}
        for row in counter.rows():
            said = "asserted" if row["asserted"] else "-"
            why = switches[row["q"]] if switches[row["q"]].startswith("data: ") else ""
            print(f"{row['q']:<4} {row['hits']:>5}  {said:<8}  {why}".rstrip())  # noqa: T201 -- as above
    return int(failed != pytest.ExitCode.OK)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
