"""Which contexts of a commit count, and whether those that count are green."""

import functools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from mergeq.core.compat import Compat
from mergeq.core.pull import Context, Result


class Pattern(Protocol):
    """A compiled RE2 expression (T1.3): searched, not anchored."""

    @property
    def pattern(self) -> str: ...

    def search(self, text: str, /) -> object: ...


class EmptyContexts(StrEnum):
    """What a head on which nothing has reported means: `hold` it (ours), or `allow` it (Tide's)."""

    HOLD = "hold"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True)
class Broken:
    """A pattern that does not compile, and why: it matches nothing, and Tide does not act on a policy that has one."""

    pattern: str
    why: str

    def search(self, _text: str, /) -> None:
        return None


@dataclass(frozen=True, slots=True)
class ContextPolicy:
    """Which contexts are required and which do not count (T1.58). Lists are sets of names; unset booleans inherit.

    `from_branch_protection` asks for more required contexts; whoever has the configuration adds them (T1.60).
    `overwrite_pending` is about jobs that Tide starts on heads (T1.65); mergeq starts none.
    """

    required: frozenset[str] = frozenset()
    required_if_present: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    optional_patterns: tuple[Pattern, ...] = field(default=(), compare=False)
    skip_unknown: bool | None = None
    from_branch_protection: bool | None = None
    overwrite_pending: bool | None = None

    def narrowed_by(self, narrower: "ContextPolicy") -> "ContextPolicy":
        """This policy with a narrower level's applied: lists are united, a set boolean wins (T1.59)."""
        return ContextPolicy(
            required=self.required | narrower.required,
            required_if_present=self.required_if_present | narrower.required_if_present,
            optional=self.optional | narrower.optional,
            optional_patterns=self.optional_patterns + narrower.optional_patterns,
            skip_unknown=_narrowest(self.skip_unknown, narrower.skip_unknown),
            from_branch_protection=_narrowest(self.from_branch_protection, narrower.from_branch_protection),
            overwrite_pending=_narrowest(self.overwrite_pending, narrower.overwrite_pending),
        )

    def counts(self, name: str) -> bool:
        """Whether a context that is present must be green (T1.62).

        Of a name that is both required and optional the first holds: Tide would not act at all then (T1.61, D8).
        """
        if name in self.required or name in self.required_if_present:
            return True
        if name in self.optional or any(pattern.search(name) for pattern in self.optional_patterns):
            return False
        return not self.skip_unknown

    def overlap(self) -> str:
        """What contradicts itself in this policy, as one phrase; empty when nothing does (T1.61)."""
        return self._shared_names() or self._matched_names()

    def refusal(self) -> str:
        """Why Tide would not act on this policy, as one phrase; empty when it would (T1.61)."""
        broken = (one for one in self._sorted_patterns() if isinstance(one, Broken))
        said = (f"optional context regex {_quoted(one)} doesn't compile: {one.why}" for one in broken)
        return self._shared_names() or next(said, "") or self._matched_names()

    def _shared_names(self) -> str:
        for first, second, said in (
            (self.required, self.optional, "required and optional"),
            (self.required, self.required_if_present, "required and required if present"),
            (self.optional, self.required_if_present, "optional and required if present"),
        ):
            if both := first & second:
                return f"contexts {', '.join(sorted(both))} are defined as {said}"
        return ""

    def _matched_names(self) -> str:
        for pattern in self._sorted_patterns():
            for names, said in ((self.required, "required"), (self.required_if_present, "required if present")):
                if match := next((name for name in sorted(names) if pattern.search(name)), None):
                    return f"optional context regex {_quoted(pattern)} matches {said} context {match}"
        return ""

    def _sorted_patterns(self) -> list[Pattern]:
        return sorted(self.optional_patterns, key=lambda one: one.pattern)


def _quoted(pattern: Pattern) -> str:
    return json.dumps(pattern.pattern, ensure_ascii=False)


def _narrowest(broad: bool | None, narrow: bool | None) -> bool | None:
    return broad if narrow is None else narrow


def latest(contexts: Sequence[Context]) -> tuple[Context, ...]:
    """The newest report of each (app, name), in first-seen order: superseded runs are dropped, nothing is collapsed
    across apps (D18).

    Status contexts of one name differ only in case on GitHub when they are the same context, so names compare
    case-insensitively there.
    """
    keys = [(context.app, context.name if context.app else context.name.lower()) for context in contexts]
    newest = dict(zip(keys, contexts, strict=True))
    if len(newest) < len(keys):
        for key, context in zip(keys, contexts, strict=True):
            if _age(context) >= _age(newest[key]):
                newest[key] = context
    return tuple(newest.values())


def _age(context: Context) -> tuple[float, int]:
    """What orders reports of one name; a run that has not started yet is newer than every one that has."""
    return (context.at or math.inf, context.serial)


def best(contexts: Iterable[Context]) -> tuple[Context, ...]:
    """Tide's reading: statuses as they are, and of the check runs of one name the best whoever reports it, at the place
    of the first (T3.18, T3.19).
    """
    statuses: list[Context] = []
    runs: dict[str, Context] = {}
    for context in contexts:
        if context.app is None:
            statuses.append(context)
        elif (seen := runs.get(context.name)) is None or _RANK[context.result] > _RANK[seen.result]:
            runs[context.name] = context
    return (*statuses, *runs.values())


_GREEN = Result.SUCCESS
_RANK = {Result.EXPECTED: 0, Result.FAILURE: 1, Result.ERROR: 1, Result.PENDING: 2, Result.SUCCESS: 3}


@dataclass(frozen=True, slots=True)
class Demands:
    """What is demanded of the contexts of a commit.

    `ours` is the name of our own status context, which is never judged (T3.15). `apps` pins names to the slugs of the
    apps that are believed, split by commas, ``any`` being everybody.
    """

    policy: ContextPolicy = ContextPolicy()
    ours: str = "tide"
    apps: Mapping[str, str] = field(default_factory=dict)
    compat: Compat = Compat.MERGEQ

    def judged(self, contexts: Sequence[Context]) -> tuple[Context, ...]:
        """The reports that are judged: one of each app and name, none of them ours (D18; T3.18 under TIDE)."""
        if self.compat is Compat.TIDE:
            return tuple([context for context in best(contexts) if context.name != self.ours])
        ours = self.ours.lower()
        return tuple([context for context in latest(contexts) if context.name.lower() != ours])

    def is_ours(self, name: str) -> bool:
        """Whether a context of this name is our own status."""
        return self.compat.same(name) == self.compat.same(self.ours)


def unsuccessful(contexts: Sequence[Context], demands: Demands) -> tuple[Context, ...]:
    """The contexts that keep a commit from being green, sorted by name: counting and not SUCCESS, or required and
    absent (T1.64, T3.12, T3.13). A name reported by several apps must be green from all.
    """
    tide = demands.compat is Compat.TIDE
    policy, pinned = demands.policy, demands.apps
    present = demands.judged(contexts)
    if pinned:
        present = tuple(one for one in present if _is_believed(one, pinned))
    bad = [context for context in present if context.result is not _GREEN and policy.counts(context.name)]
    if policy.required:
        names = {context.name for context in (contexts if tide else present)}
        bad += [Context(name, Result.EXPECTED) for name in policy.required - names if tide or not demands.is_ours(name)]
        seen = {(context.name, context.app) for context in present}
        bad += [
            Context(name, Result.EXPECTED, app)
            for name in policy.required & names & pinned.keys()
            for app in {*pinned[name].split(",")} - {"any"}
            if (name, app) not in seen
        ]
    return tuple(sorted(bad, key=lambda context: (context.name, context.app or ""))) if bad else ()


def _is_believed(context: Context, pinned: Mapping[str, str]) -> bool:
    slugs = pinned.get(context.name, "any").split(",")
    return "any" in slugs or context.app in slugs


@dataclass(frozen=True, slots=True)
class Presubmit:
    """A job of Prow's whose context must be green with the base: `always`, or where changed files say so (T3.25).

    It runs for a path that `run_if_changed` matches, or that `skip_if_only_changed` does not.
    """

    context: str
    always: bool = True
    run_if_changed: Pattern | None = None
    skip_if_only_changed: Pattern | None = None

    def is_demanded(self, paths: Iterable[str]) -> bool:
        """Whether it must be green for a change of these paths."""
        runs, skips = self.run_if_changed, self.skip_if_only_changed
        return self.always or any(
            (runs is not None and runs.search(path)) or (skips is not None and not skips.search(path)) for path in paths
        )


def resolve(levels: Sequence[ContextPolicy]) -> ContextPolicy:
    """One policy out of its levels, broadest first (T1.59)."""
    return functools.reduce(ContextPolicy.narrowed_by, levels) if levels else ContextPolicy()


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """Prow's `context_options`: a policy for everyone, and narrower ones by org, ``org/repo`` and ``org/repo:branch``
    (T1.58).
    """

    everyone: ContextPolicy = ContextPolicy()
    narrower: Mapping[str, ContextPolicy] = field(default_factory=dict)

    def for_branch(self, org: str, repo: str, branch: str) -> ContextPolicy:
        """The policy in force on a branch."""
        keys = (org, f"{org}/{repo}", f"{org}/{repo}:{branch}")
        return resolve((self.everyone, *(self.narrower[key] for key in keys if key in self.narrower)))
