"""Which way tested content reaches the base, and why (D5): the base is moved to the very commit that was staged, or its
members are merged one by one. What stands against the first is told in full.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mergeq.core.contexts import ContextPolicy, Demands, unsuccessful
from mergeq.core.pull import Context, Method, Protection, Result
from mergeq.core.queue import Landing, QueueValues, Retest


class Way(StrEnum):
    """How something lands."""

    FAST_FORWARD = "fast-forward"
    PULL_REQUEST = "pull-request"


@dataclass(frozen=True, slots=True)
class Choice:
    """The way that is taken, and why that one. None: fast-forward is what was asked for, and nothing lands without."""

    way: Way | None
    why: str

    def __str__(self) -> str:
        return f"{self.way or 'nothing lands'}: {self.why}"


@dataclass(frozen=True, slots=True)
class Staged:
    """What is left to land of a run, as GitHub has it: the staged commit, the commit on which the first of its members
    was staged, empty where it is not known, and the contexts of the staged commit, None where they could not be read.

    `unsigned` are those of the commits between that GitHub does not call verified, `hidden` the kinds of rules that
    only GitHub can judge and would not hold us to. `speaks_as` is our login, empty where it is not known.
    """

    sha: str
    onto: str
    contexts: tuple[Context, ...] | None
    unsigned: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    speaks_as: str = ""


def choose(wanted: Landing, obstacles: Sequence[str]) -> Choice:
    """The way to land, given all that stands against a fast-forward."""
    if wanted is Landing.PULL_REQUEST:
        return Choice(Way.PULL_REQUEST, "`landing: pull-request` is configured")
    if not obstacles:
        return Choice(Way.FAST_FORWARD, "no rule keeps the staged commit itself from being pushed")
    way = Way.PULL_REQUEST if wanted is Landing.AUTO else None
    return Choice(way, "; ".join(obstacles))


def obstacles(
    members: Iterable[tuple[int, Method | None]], protection: Protection, queue: QueueValues
) -> tuple[str, ...]:
    """What stands against landing pull requests by fast-forward, before anything of them is staged; () for nothing.

    `protection` is everything that binds a push, as if there were no way round it (D19; spec of "About protected
    branches" and "Available rules for rulesets").
    """
    if queue.retest is not Retest.STAGING:
        return (f"with `retest: {queue.retest}` no commit is made that could be pushed",)
    others = [f"#{number} by {method}" for number, method in members if method is not Method.MERGE]
    only_head = {name.lower() for name in queue.head_only_contexts}
    names = sorted({name for name, _ in protection.required if name.lower() in only_head})
    told = (
        (others, f"GitHub would not notice what lands otherwise than by merge: {', '.join(others)}"),
        (protection.by_pull, "changes have to come through a pull request"),
        (protection.linear_history, "a linear history is required, and merges are what was tested"),
        (protection.is_locked, "the branch is locked"),
        (protection.no_updates, "a ruleset restricts updates"),
        (protection.reserved_for, f"only {', '.join(protection.reserved_for)} may push"),
        (protection.unjudged, f"only GitHub can judge its rules: {', '.join(protection.unjudged)}"),
        (names, f"GitHub requires {', '.join(names)} on what is pushed, and heads alone have it"),
    )
    return tuple(text for is_so, text in told if is_so)


def obstacles_of(staged: Staged, tip: str, protection: Protection, ours: str) -> tuple[str, ...]:
    """What else stands against moving the base from `tip` to a staged commit. `ours` is the name of our own context,
    which is posted there before (Q49); what GitHub requires besides has to be green there, from its app.
    """
    wanted = frozenset(name for name, _ in protection.required)
    demands = Demands(ContextPolicy(required=wanted, skip_unknown=True), ours, protection.pins)
    bad = unsuccessful(staged.contexts or (), demands)
    said = {Result.EXPECTED: "is missing", Result.PENDING: "is still running"}
    lacking = ", ".join(f"{one.name} {said.get(one.result, 'failed')}" for one in bad)
    pins = {
        slug for name, slugs in protection.pins.items() if name.lower() == ours.lower() for slug in slugs.split(",")
    }
    told = (
        (not staged.sha, "no commit of its own was made"),
        (staged.onto != tip, f"it was staged on {staged.onto[:7] or 'another commit'}, not on the tip {tip[:7]}"),
        (staged.contexts is None and wanted, f"the contexts of {staged.sha[:7]} could not be read"),
        (bad, f"GitHub requires on what is pushed what {staged.sha[:7]} does not have: {lacking}"),
        (
            pins and {f"{slug}[bot]" for slug in pins} != {staged.speaks_as},
            f"{ours} has to be written by {', '.join(sorted(pins))}",
        ),
        (staged.unsigned, f"signatures are required, and GitHub verifies none of {_short(staged.unsigned)}"),
        (staged.hidden, f"only GitHub can judge its rules, and would let mergeq pass: {', '.join(staged.hidden)}"),
    )
    return tuple(text for is_so, text in told if is_so)


def _short(shas: Sequence[str]) -> str:
    more = f" and {len(shas) - 3} more" if len(shas) > 3 else ""
    return ", ".join(sha[:7] for sha in shas[:3]) + more
