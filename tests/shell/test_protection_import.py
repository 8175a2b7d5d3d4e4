"""Worlds drawn at random, on a real GitHub of ours: what is taken over from one asks for nothing there, and what was
written needs no second time.
"""

from collections.abc import Callable, Sequence
from itertools import count

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mergeq import gathering, reconcile
from mergeq.config.writing import as_yaml
from mergeq.core.audit import Result
from mergeq.core.branchprotector import body, policy_of
from mergeq.core.planning import in_order
from mergeq.core.protection import Backend, Change, Effect, Field, Item, Kind, Mode, RepoFacts, Target, Values, Wish
from mergeq.enforcing import Order
from mergeq.github import Protecting
from mergeq.sandbox import ManualClock, Sandbox
from tests.conftest import Mergeq
from tests.core.protected import PATTERNS, rule_values, wished_values
from tests.core.trials import MANY
from tests.shell.test_protect_cli import Desk

Rules = dict[str, tuple[Values, bool]]
"""The fields of rules by their patterns, and whether they are made as Prow does, by REST."""

BRANCHES = frozenset(name for name in PATTERNS if not set(name) & set("* "))
"""Of these names, those that a branch can have."""
_rules = st.dictionaries(st.sampled_from(PATTERNS), st.tuples(rule_values, st.booleans()), max_size=3)
_wishes = st.dictionaries(
    st.sampled_from(PATTERNS),
    st.tuples(st.booleans() | st.just(value=True), wished_values, st.sampled_from(list(Backend))),
    min_size=1,
    max_size=3,
)


def trials(number: int) -> settings:
    """Settings for a property that is tried so often on one GitHub, each time in an organization of its own."""
    fine = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture)
    return settings(deadline=None, max_examples=max(1, round(number * MANY)), suppress_health_check=fine)


class Worlds:
    """A GitHub in which there is always one more organization."""

    def __init__(self, github: Sandbox, protecting: Protecting) -> None:
        self._world, self._protecting, self._numbers = github.world, protecting, count()
        names: dict[str, dict[str, str]] = {name: {} for name in BRANCHES if name != "main"}
        self._source = self._world.create_repo("quarry/part", files={"a.txt": "a\n"}, ci=None, branches=names)
        self._world.users.id_of("ana")
        for slug in ("actions", "bot", "buildkite"):
            self._world.app(slug)

    def org(self, drawn: Sequence[Rules]) -> str:
        """An organization with a repository for each of what was drawn, called ``r0`` and so on."""
        name = f"org-{next(self._numbers)}"
        self._world.users.join_team(f"{name}/core", "ana")
        for number, rules in enumerate(drawn):
            repo = self._world.copy_repo(self._source, f"{name}/r{number}").full_name
            for pattern, (found, by_rest) in rules.items():
                self._protect(Target(repo, pattern), found, by_rest=by_rest)
        return name

    def _protect(self, target: Target, found: Values, *, by_rest: bool) -> None:
        facts = self._protecting.read([target.repo])[target.repo]
        if by_rest and target.pattern in BRANCHES:
            sent = body(policy_of(found), apps=True)
            signed = bool(found[Field.SIGNATURES]) or None
            assert self._protecting.replace(target.repo, target.pattern, sent, signed) is None
            return
        changes = tuple(Change(name, None, value, Effect.NEUTRAL) for name, value in found.items())
        assert self._protecting.write(Item(target, Kind.CREATE, changes=changes), facts) is None

    def facts(self, repo: str) -> RepoFacts:
        return self._protecting.read([repo])[repo]


@pytest.fixture
def at(github: Sandbox, clock: ManualClock, start_mergeq: Callable[..., Mergeq]) -> Desk:
    return Desk(start_mergeq(), github, clock)


@pytest.fixture
def worlds(github: Sandbox, at: Desk) -> Worlds:
    return Worlds(github, at.mergeq.services.applier)


@given(drawn=st.lists(_rules, min_size=1, max_size=2).filter(any))
@trials(3)
def test_a_configuration_that_was_taken_over_asks_for_nothing(at: Desk, worlds: Worlds, drawn: list[Rules]) -> None:
    """P6.13."""
    org = worlds.org(drawn)
    there = [worlds.facts(f"{org}/r{number}").rules or () for number in range(len(drawn))]

    at.rewrite(at.says("import", org))

    assert [{rule.pattern for rule in rules} for rules in there] == [{*rules} for rules in drawn]
    looked = at.says("plan")
    assert looked.startswith(f"nothing to do: {sum(map(len, there))} "), looked


@given(rules=_rules, drawn=_wishes)
@trials(6)
def test_what_was_written_needs_no_second_time(
    at: Desk, worlds: Worlds, rules: Rules, drawn: dict[str, tuple[bool, Values, Backend]]
) -> None:
    """P7.48."""
    services = at.mergeq.services
    repo = f"{worlds.org([rules])}/r0"
    wishes = [
        Wish(Target(repo, pattern), protect, values, backend=backend, mode=Mode.ENFORCE)
        for pattern, (protect, values, backend) in drawn.items()
    ]
    gathered = gathering.gather(services, gathering.ALL, wishes)

    report = reconcile.enforce(services, gathered, in_order(gathered.plan), Order("run"))

    assert [row for row in report.rows if row.result is not Result.APPLIED] == []
    assert (report.held, report.left) == (None, ())
    again = gathering.gather(services, gathering.ALL, wishes).plan
    assert again.writes == ()
    assert {item.kind for item in again.items} & {Kind.UNKNOWN, Kind.PARKED} == set()


def test_what_is_told_beside_a_configuration_stays_a_comment() -> None:
    told = as_yaml({"a": 1}, ["the ruleset x\nb: 2\u2028c: 3\x1b[2J stays"])

    assert yaml.safe_load(told) == {"a": 1}
