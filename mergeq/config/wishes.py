"""What the configuration wishes for the branches of a repository: Prow's levels and ours brought together, with where
each field comes from (P2, P3, P7.2). Nothing of GitHub is known here but the facts that are given.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from mergeq.config.presubmits import Job, contexts_of
from mergeq.config.protecting import DEFAULT_BRANCH, EXTENSIONS, Extensions, extended
from mergeq.config.protection import BranchProtection, Level, lined
from mergeq.config.queue import Leaf, keys_of, queue_values
from mergeq.config.reading import Spot, compiled
from mergeq.core.branchprotector import Policy, applied
from mergeq.core.contexts import Broken, ContextOptions, Pattern
from mergeq.core.lattice import is_as_strong
from mergeq.core.planning import breaches
from mergeq.core.protecting import Exemption, Fields, FromTide, ProtectionValues
from mergeq.core.protection import (
    NOBODY,
    OFF,
    PROW_FIELDS,
    Actors,
    Check,
    Field,
    Mode,
    Ownership,
    RepoFacts,
    Source,
    Target,
    Value,
    Values,
    Wish,
    actors,
)
from mergeq.core.pull import Branch
from mergeq.core.rulesets import matches

_REVIEWS = "required_pull_request_reviews"
_COUNT = "required_approving_review_count"
_MANUAL = "require_manually_triggered_jobs"
_WEEK = 7 * 86400.0
_ADVISORY = re.compile(r"[\w-]+-ghsa-[\w-]+", re.ASCII)

_SETS: Mapping[Leaf, Field] = {tuple(str(name).split(".")): name for name in Field} | {
    ("required_status_checks",): Field.CONTEXTS,
    ("checks",): Field.CONTEXTS,
    ("remove", "contexts"): Field.CONTEXTS,
    ("remove", "restrictions"): Field.PUSHERS,
    ("require_last_push_approval",): Field.LAST_PUSH,
}
_SWITCHES = {
    "enforce_admins": Field.ENFORCE_ADMINS,
    "required_linear_history": Field.LINEAR,
    "allow_force_pushes": Field.FORCE_PUSHES,
    "allow_deletions": Field.DELETIONS,
    "require_signed_commits": Field.SIGNATURES,
    "required_conversation_resolution": Field.CONVERSATIONS,
    "require_last_push_approval": Field.LAST_PUSH,
    "lock_branch": Field.LOCK,
    "allow_fork_syncing": Field.FORK_SYNC,
    "block_creations": Field.CREATIONS,
}
_RESET_BY_PROW = PROW_FIELDS | {Field.LAST_PUSH, Field.CONVERSATIONS, Field.LOCK, Field.FORK_SYNC, Field.CREATIONS}
"""What a request of Prow's turns off, be it that Prow does not know it (P4.12)."""


@dataclass(frozen=True, slots=True)
class Wishing:
    """What wishes follow from: the sections of the configuration that say anything about protection."""

    values: ProtectionValues = field(default_factory=ProtectionValues)
    protection: BranchProtection = field(default_factory=BranchProtection)
    ours: Extensions = field(default_factory=Extensions)
    presubmits: Mapping[str, tuple[Job, ...]] = field(default_factory=dict)
    options: ContextOptions = field(default_factory=ContextOptions)
    option_places: Mapping[str, str] = field(default_factory=dict)
    queue: Mapping[str, Mapping[Leaf, object]] = field(default_factory=dict)
    named: Mapping[str, frozenset[str]] = field(init=False, repr=False, compare=False)
    _spelt: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        named: dict[str, set[str]] = {}
        spelt: dict[str, str] = {}
        for key in (*self.protection.levels, *self.ours.levels, *self.ours.patterns, *self.presubmits):
            repo, _, branch = key.partition(":")
            spelt.setdefault(repo.lower(), repo)
            if branch:
                named.setdefault(repo, set()).add(branch)
        object.__setattr__(self, "named", {repo: frozenset(names) for repo, names in named.items()})
        object.__setattr__(self, "_spelt", spelt)

    def mode(self, org: str) -> Mode:
        """Whether mergeq writes in an org, or only looks (D13): in whichever letters it is told to."""
        said = {mode for one, mode in self.ours.modes.items() if one.lower() == org.lower()} or {self.values.mode}
        return Mode.OBSERVE if Mode.OBSERVE in said else Mode.ENFORCE

    def protected(self) -> dict[str, frozenset[str] | None]:
        """The orgs that are looked at, each with the repositories that are named, or None where every one of the org is
        to be listed, since the org itself says `protect` (P3.4). Where nothing is managed nothing is looked at (P2.13).
        """
        levels, found = self.protection.levels, dict[str, frozenset[str] | None]()
        repos: dict[str, set[str]] = {}
        for key in (*levels, *self.ours.patterns, *filter(self._is_tested, self.presubmits)):
            repo = key.partition(":")[0]
            org, slash, _ = repo.partition("/")
            if org != "*":
                repos.setdefault(org, set()).update([repo] if slash else ())
        for org, named in repos.items():
            merged = self.protection.merged(Branch(org, "", ""))
            is_left = merged.get("unmanaged") is True
            if "protect" in merged and org in levels and not is_left:
                found[org] = None
            elif managed := {one for one in named if not is_left or one in self.ours.patterns or self._is_managed(one)}:
                found[org] = frozenset(managed)
        return found

    def wants_branches(self, full_repo: str) -> bool:
        """Whether what is wished for a repository depends on which branches it has: where some are named, or all are
        meant by a level above them, and not patterns alone.
        """
        repo = self.as_written(full_repo)
        org, _, name = repo.partition("/")
        says_protect = "protect" in self.protection.merged(Branch(org, name, ""))
        return self.covers(repo) and bool(says_protect or self._is_tested(repo) or self.named.get(repo))

    def reserved(self, full_repo: str) -> tuple[str, ...]:
        """The prefixes of the queue's own refs in a repository, which are never protected (D13)."""
        org, _, name = self.as_written(full_repo).partition("/")
        keys = [key for key in self.queue if key.startswith(f"{org}/{name}:")]
        branches = (Branch(org, name, ""), *(Branch(org, name, key.partition(":")[2]) for key in keys))
        stagings = [queue_values(self.queue, branch).staging for branch in branches]
        return tuple(dict.fromkeys(one for staging in stagings for one in (staging.prefix, staging.scratch_prefix)))

    def wishes(self, facts: RepoFacts, now: float) -> tuple[Wish, ...]:
        """What is wished for each target of a repository: exact names first, then patterns in the order of the file.
        `now` is epoch seconds. None for what is archived or only there for an advisory (P3.4, P3.5).
        """
        if facts.is_archived or _is_advisory(facts):
            return ()
        return tuple(_Repository(self, facts, now).wishes())

    def missing(self, facts: RepoFacts) -> tuple[str, ...]:
        """A line for each branch that is named and is not there: perhaps a slip of the pen (P2.11, P4.37)."""
        repo = self.as_written(facts.repo)
        gone = self.named.get(repo, frozenset()) - facts.branches if facts.branches is not None else ()
        named = {name: self.spot(f"{repo}:{name}") for name in sorted(gone)}
        return tuple(
            spot.line(
                f"{facts.repo} has no branch {name!r}, so nothing is done about it", "mend the name, or remove it"
            )
            for name, spot in named.items()
        )

    def exemption_problems(self, exemptions: Iterable[Exemption], now: float) -> tuple[str, ...]:
        """A line for each exemption that asks for more time than there may be, and for each that ended over a week ago
        and is still written down (P7.11). `now` is epoch seconds.
        """
        lines = []
        for one in exemptions:
            spot = self.ours.exempt[one.id].spot
            if why := self.is_too_long(one, now):
                lines.append(spot.line(why, "let it end sooner"))
            elif now > one.until + _WEEK:
                lines.append(spot.line(f"the exemption {one.id!r} ended more than 7 days ago", "remove it"))
        return tuple(lines)

    def is_too_long(self, exemption: Exemption, now: float) -> str:
        """Why an exemption asks for too much time; empty when it does not."""
        if exemption.until <= now + self.values.max_exemption:
            return ""
        hours = f"{self.values.max_exemption / 3600:g}h"
        return f"the exemption {exemption.id!r} would last longer than max_exemption, {hours}"

    def as_written(self, name: str) -> str:
        """How the files spell an org or ``org/repo``, since GitHub's names have no case (P2.8)."""
        if name in self.protection.levels:
            return name
        org, slash, repo = name.partition("/")
        return self._spelt.get(name.lower()) or (f"{self.as_written(org)}/{repo}" if slash else name)

    def covers(self, repo: str) -> bool:
        """Whether Prow's section reaches a repository, as it is written there (P3.4, P3.7)."""
        return repo.partition("/")[0] in self.protection.levels or self._is_tested(repo)

    def spot(self, key: str) -> Spot:
        """Where a level of either section stands."""
        return self.protection.spots[key] if key in self.protection.spots else self.ours.levels[key].spot

    def ours_for(self, branch: Branch) -> tuple[Level, ...]:
        """Our levels that lead to a branch, broadest first."""
        return tuple(self.ours.levels[key] for key in keys_of(branch) if key in self.ours.levels)

    def at_level(self, key: str) -> Wish | None:
        """What a level alone comes to, for branches that no narrower one speaks about and without what is exempt."""
        branch = branch_of(key)
        return _Repository(self, RepoFacts(branch.full_repo), math.inf).of_branch(branch)

    def of_pattern(self, repo: str, pattern: str) -> Wish | None:
        """As `at_level`, for a pattern, whichever the default branch is."""
        return _Repository(self, RepoFacts(repo), math.inf).of_pattern(pattern, pattern)

    def asked_at(self, key: str) -> frozenset[str]:
        """The contexts that a level itself asks for."""
        section = self.protection.levels.get(key, {}).get("required_status_checks", {})
        checks = self.ours.levels[key].policy.get("checks", ()) if key in self.ours.levels else ()
        return frozenset((*section.get("contexts", ()), *(check["context"] for check in checks)))

    def _is_tested(self, repo: str) -> bool:
        """Whether jobs alone bring a repository in (P3.7)."""
        return bool(self.protection.flags.get("protect-tested-repos")) and repo in self.presubmits and "/" in repo

    def _is_managed(self, repo: str) -> bool:
        """Whether a repository or a branch of it says outright that it is managed (P2.13)."""
        keys = (repo, *(f"{repo}:{name}" for name in self.named.get(repo, ())))
        return any(self.protection.levels.get(key, {}).get("unmanaged") is False for key in keys)


@dataclass(frozen=True, slots=True)
class _Filter:
    """Which branches that are not named are meant (P3.9); `broken` says why it cannot be told (P1.27)."""

    include: tuple[Pattern, ...]
    exclude: tuple[Pattern, ...]
    broken: str

    @classmethod
    def of(cls, policy: Policy) -> "_Filter":
        include, exclude = (tuple(map(compiled, policy.get(key, ()))) for key in ("include", "exclude"))
        broken = (one for one in (*include, *exclude) if isinstance(one, Broken))
        return cls(include, exclude, next((f'regex "{one.pattern}" is not valid: {one.why}' for one in broken), ""))

    def takes(self, name: str) -> bool:
        """Whether a name is let through; each expression is searched for by itself."""
        if self.include:
            return any(pattern.search(name) for pattern in self.include)
        return not any(pattern.search(name) for pattern in self.exclude)


class _Repository:
    """The wishes for one repository, one after the other."""

    def __init__(self, wishing: Wishing, facts: RepoFacts, now: float) -> None:
        self._wishing, self._facts, self._now = wishing, facts, now
        self._repo = wishing.as_written(facts.repo)
        self._named = wishing.named.get(self._repo, frozenset())
        self._patterns = wishing.ours.patterns.get(self._repo, {})
        about = (one for one in wishing.values.exemptions if one.repo.lower() == facts.repo.lower())
        self._exemptions = tuple(about)

    def wishes(self) -> Iterator[Wish]:
        """All of them: branches by name, what exempts a branch from its pattern, then patterns."""
        exact = {wish.target.pattern: wish for wish in self._of_branches()}
        default = self._facts.default_branch
        if DEFAULT_BRANCH in self._patterns and default and default not in exact:
            exact |= {one.target.pattern: one for one in [self.of_pattern(DEFAULT_BRANCH, default)] if one}
        exact |= {wish.target.pattern: wish for wish in self._exempted() if wish.target.pattern not in exact}
        yield from exact.values()
        for pattern in self._patterns:
            if pattern != DEFAULT_BRANCH and (wish := self.of_pattern(pattern, pattern)):
                yield wish

    def _of_branches(self) -> Iterator[Wish]:
        """The wishes for branches by their names; one that is named counts as there where that is not known."""
        if not self._wishing.covers(self._repo):
            return
        reserved = self._wishing.reserved(self._repo)
        filtered = _Filter.of(self._wishing.protection.merged(self._branch("")))
        for name in sorted(self._named if self._facts.branches is None else self._facts.branches):
            is_meant = name in self._named or not self._pattern_for(name)
            if is_meant and not name.startswith(reserved):
                problem = "" if name in self._named else filtered.broken
                if problem or name in self._named or filtered.takes(name):
                    yield from filter(None, [self.of_branch(self._branch(name), problem)])

    def _exempted(self) -> Iterator[Wish]:
        """A branch that is exempt by its name while a pattern speaks for it has a rule of its own until then, which is
        to go afterwards.
        """
        for one in self._exemptions:
            target = Target(self._facts.repo, one.glob)
            if target.is_glob or not (pattern := self._pattern_for(one.glob)):
                continue
            if one.is_in_force(self._now):
                yield from filter(None, [self.of_pattern(pattern, one.glob)])
            else:
                mode = self._wishing.mode(self._repo.partition("/")[0])
                over = dict.fromkeys(Field, one.id)
                yield Wish(target, protect=False, place=one.place, mode=mode, expired=over)

    def _pattern_for(self, name: str) -> str:
        """The pattern that speaks for a branch which is not named (P7.10); empty for none."""
        if name == self._facts.default_branch and DEFAULT_BRANCH in self._patterns:
            return DEFAULT_BRANCH
        return next((one for one in self._patterns if one != DEFAULT_BRANCH and matches(one, name)), "")

    def of_branch(self, branch: Branch, problem: str = "") -> Wish | None:
        """The wish for one branch, None where nothing is wished."""
        levels = self._wishing.protection.chain(branch)
        return self._wish(branch, levels, self._wishing.ours_for(branch), problem)

    def of_pattern(self, pattern: str, target: str) -> Wish | None:
        """The wish for a `target`, as a pattern and the levels above it have it."""
        prow, ours = _parted(self._patterns[pattern])
        above = self._branch("")
        levels = (*self._wishing.protection.chain(above), prow)
        return self._wish(self._branch(target), levels, (*self._wishing.ours_for(above), ours))

    def _branch(self, name: str) -> Branch:
        org, _, repo = self._repo.partition("/")
        return Branch(org, repo, name)

    def _wish(self, branch: Branch, prow: Iterable[Level], ours: Iterable[Level], problem: str = "") -> Wish | None:
        """What levels come to for a target of the repository."""
        wishing, prow, ours = self._wishing, tuple(prow), tuple(ours)
        policy: Policy = {}
        for level in prow:
            policy = applied(policy, level.policy)
        if policy.get("unmanaged") is True:
            return None
        jobs = wishing.presubmits.get(branch.full_repo, ())
        demanded = contexts_of(jobs, branch.name, manual_required=bool(policy.get(_MANUAL)))
        is_named = bool(prow) and prow[-1].key.endswith(f":{branch.name}") and bool(branch.name)
        decided, why = wishing.protection.decided(policy, demanded, branch, is_named=is_named)
        about = [one for one in self._exemptions if matches(one.glob, branch.name)]
        in_force = [one for one in about if one.is_in_force(self._now)]
        over = ((one.id, name) for one in about if one not in in_force for name in _sources([self._exempt(one)]))
        long = (wishing.is_too_long(one, self._now) for one in in_force)
        wish = Wish(
            Target(self._facts.repo, branch.name),
            problem=problem or why or next(filter(None, long), ""),
            place=_deciding((*prow, *ours)),
            backend=wishing.values.backend,
            mode=wishing.mode(branch.org),
            exemptions=tuple(one.id for one in in_force),
            expires_at=min((one.until for one in in_force), default=0.0),
            expired={name: exemption for exemption, name in over},
        )
        if wish.problem:
            return wish
        if decided is None or "protect" not in decided:
            return None
        levels = [*sorted((*prow, *ours), key=lambda level: level.breadth)]
        extension: Policy = {}
        for level in ours:
            extension = extended(extension, level.policy)
        for one in in_force:
            patch, ours_of_patch = _parted(self._exempt(one))
            decided, extension = applied(decided, patch.policy), extended(extension, ours_of_patch.policy)
            levels += [patch, ours_of_patch]
        if decided["protect"] is False:
            return self._held_to_the_floor(replace(wish, protect=False))
        tide = tuple(self._tide(branch))
        contexts = sorted(context for _, names in tide for context in names)
        if contexts:
            decided = applied(decided, {"required_status_checks": {"contexts": contexts}})
        sources = _sources(levels)
        asked = (
            *(Source(branch.full_repo, lined(job.spot)) for job in jobs if job.context in demanded.required),
            *(source for source, _ in tide),
        )
        if asked:
            sources[Field.CONTEXTS] = (*asked, *sources.get(Field.CONTEXTS, ()))
        return self._held_to_the_floor(self._filled(wish, decided, extension, sources))

    def _exempt(self, exemption: Exemption) -> Level:
        return self._wishing.ours.exempt[exemption.id]

    def _tide(self, branch: Branch) -> Iterator[tuple[Source, frozenset[str]]]:
        """The contexts that `context_options` requires, level by level, if GitHub is to require them too (P2.23)."""
        options, places = self._wishing.options, self._wishing.option_places
        if self._wishing.values.contexts_from_tide is FromTide.REQUIRED:
            for key in keys_of(branch):
                level = options.everyone if key == "*" else options.narrower.get(key)
                if level and level.required:
                    yield Source(key, places.get(key, "")), level.required

    def _filled(
        self, wish: Wish, policy: Policy, extension: Policy, sources: Mapping[Field, tuple[Source, ...]]
    ) -> Wish:
        """A wish with the values of its fields, or with why they cannot be told."""
        wishing = self._wishing
        has_apps = "apps" in policy.get("restrictions", {})
        owners = extension.get("ownership", {})
        if (
            has_apps
            and not wishing.values.enable_apps_restrictions
            and owner_of(Field.PUSHERS, owners) is Ownership.OURS
        ):
            why = "restrictions.apps is set, but enable_apps_restrictions is not; set it, or remove the apps"
            return replace(wish, problem=why)
        checks, problem = _checks(policy, extension)
        if problem:
            return replace(wish, problem=problem)
        rule = self._facts.rule(wish.target.pattern)
        reset = _RESET_BY_PROW if wishing.values.fields is Fields.PROW else PROW_FIELDS
        keeps_apps = not wishing.values.enable_apps_restrictions
        values = {name: OFF[name] for name in Field if name in reset}
        values |= _valued(policy, extension, checks, rule.values if rule else OFF, keeps_apps=keeps_apps)
        whose = {name: owner_of(name, owners) for name in values}
        kept = {
            name: value
            for name, value in values.items()
            if whose[name] is Ownership.OURS or (whose[name] is Ownership.PRESERVE and name in sources)
        }
        floor, lines = wishing.values.floor, _sources([wishing.ours.floor])
        sayable = {*Field} if wishing.values.fields is Fields.PRESERVE else {*reset, Field.SIGNATURES}
        unsaid = [
            name for name in floor if name in sayable - sources.keys() and owner_of(name, owners) is Ownership.OURS
        ]
        there = rule.values if rule else OFF
        more = {name for name in unsaid if name not in reset and is_as_strong(name, floor[name], there[name])}
        kept |= {name: there[name] if name in more else floor[name] for name in unsaid}
        said = {name: sources.get(name) or (lines[name] if name in unsaid else ()) for name in kept}
        return replace(wish, values=kept, sources={name: places for name, places in said.items() if places})

    def _held_to_the_floor(self, wish: Wish) -> Wish:
        """The same, with a problem where it goes below the floor (P6.15, P7.6)."""
        below = () if wish.problem else breaches(wish, self._wishing.values.floor)
        return replace(wish, problem=wish.problem or (f"below the floor: {'; '.join(below)}" if below else ""))


def said_by(level: Level) -> Values:
    """The fields that a level sets by itself."""
    prow, ours = _parted(level)
    checks, _ = _checks(prow.policy, ours.policy)
    values = {**OFF, **_valued(prow.policy, ours.policy, checks, OFF, keeps_apps=False)}
    return {name: values[name] for name in _sources([level])}


def _valued(
    policy: Policy, extension: Policy, checks: Value, before: Values, *, keeps_apps: bool
) -> dict[Field, Value]:
    """The values of the fields that are set, and of those that go with them. `before` has the apps that are let by
    where the YAML says nothing of apps.
    """
    values: dict[Field, Value] = {}
    both = {**policy, **extension}
    values |= {name: both[key] for key, name in _SWITCHES.items() if key in both}
    values[Field.CONTEXTS] = checks
    values[Field.STRICT] = bool(policy.get("required_status_checks", {}).get("strict"))
    reviews = policy.get(_REVIEWS, {})
    is_on = _COUNT in reviews or extension.get("ownership", {}).get(_REVIEWS) == Ownership.PRESERVE
    reviews = reviews if is_on else {}
    values[Field.REVIEWS] = reviews.get(_COUNT)
    values[Field.DISMISS_STALE] = bool(reviews.get("dismiss_stale_reviews"))
    values[Field.CODE_OWNERS] = bool(reviews.get("require_code_owner_reviews"))
    if not is_on and Field.LAST_PUSH in values:
        values[Field.LAST_PUSH] = False
    dismissers, bypassers = reviews.get("dismissal_restrictions"), reviews.get("bypass_pull_request_allowances")
    values[Field.DISMISSERS] = None if dismissers is None else _actors(dismissers, before[Field.DISMISSERS])
    values[Field.BYPASSERS] = _actors(bypassers or {}, before[Field.BYPASSERS]) if is_on else NOBODY
    pushers = policy.get("restrictions")
    values[Field.PUSHERS] = None
    if pushers is not None:
        found = _actors(pushers, before[Field.PUSHERS] if keeps_apps else None)
        gone = actors(**extension.get("remove", {}).get("restrictions", {}))
        values[Field.PUSHERS] = Actors(found.users - gone.users, found.teams - gone.teams, found.apps - gone.apps)
    if "bypass_force_push_allowances" in extension:
        values[Field.FORCERS] = actors(**extension["bypass_force_push_allowances"])
    if "required_deployments" in extension:
        values[Field.DEPLOYMENTS] = frozenset(extension["required_deployments"]) or None
    return values


def _checks(policy: Policy, extension: Policy) -> tuple[frozenset[Check] | None, str]:
    """The contexts that are required, with their pins, and why that cannot be told: two levels pin one to different
    apps (P7.9).
    """
    section, pinned = policy.get("required_status_checks"), extension.get("checks", ())
    if section is None and not pinned:
        return None, ""
    apps: dict[str, set[str]] = {context: set() for context in (section or {}).get("contexts", ())}
    for check in pinned:
        apps.setdefault(check["context"], set()).update([check["app"].lower()] if "app" in check else ())
    for context in extension.get("remove", {}).get("contexts", ()):
        apps.pop(context, None)
    for context, pins in sorted(apps.items()):
        if len(pins) > 1:
            return None, f"{context!r} is pinned to several apps, {' and '.join(sorted(pins))}; keep one of them"
    return frozenset(Check(context, next(iter(pins), "")) for context, pins in apps.items()), ""


def _actors(said: Mapping[str, Iterable[str]], before: Value) -> Actors:
    """The actors that are named, and the apps that there were where nothing is said of apps (P4.7, P7.4)."""
    found = actors(**said)
    return found if "apps" in said or not isinstance(before, Actors) else replace(found, apps=found.apps | before.apps)


def owner_of(name: Field, owners: Mapping[str, str]) -> Ownership:
    """Whose a field is, by its own name or that of its section."""
    section, _, leaf = str(name).partition(".")
    return Ownership(owners.get(leaf) or owners.get(section) or Ownership.OURS)


def _sources(levels: Iterable[Level]) -> dict[Field, tuple[Source, ...]]:
    """The lines that set each field, in the order of the levels."""
    found: dict[Field, dict[Source, None]] = {}
    for level in levels:
        for leaf, place in level.places.items():
            ends = range(len(leaf), 0, -1)
            if (name := next((_SETS[leaf[:end]] for end in ends if leaf[:end] in _SETS), None)) is not None:
                found.setdefault(name, {})[Source(level.key, place)] = None
    return {name: tuple(sources) for name, sources in found.items()}


def _parted(level: Level) -> tuple[Level, Level]:
    """A level that may say everything, in Prow's fields and ours."""
    prow, ours = (
        Level(
            level.key,
            {key: value for key, value in level.policy.items() if (key in EXTENSIONS) is is_ours},
            {leaf: place for leaf, place in level.places.items() if (leaf[0] in EXTENSIONS) is is_ours},
            level.spot,
        )
        for is_ours in (False, True)
    )
    return prow, ours


def _deciding(levels: Iterable[Level]) -> str:
    """Where it is said whether a target is protected, or else where the narrowest level stands."""
    places = [level.places.get(("protect",), "") for level in levels]
    return next(filter(None, reversed(places)), next((level.place for level in reversed([*levels])), ""))


def _is_advisory(facts: RepoFacts) -> bool:
    """Whether it is a fork for a security advisory: private, and named so (P3.5); a name with a dot in it passes Prow's
    expression by, so there GitHub's word that it is a fork counts.
    """
    name = facts.repo.partition("/")[2]
    return facts.is_private and bool(_ADVISORY.fullmatch(name) or (facts.is_fork and "-ghsa-" in name))


def branch_of(scope: str) -> Branch:
    """A branch that no narrower level speaks about than `scope` does."""
    if scope == "*":
        return Branch("", "", "")
    org, _, rest = scope.partition("/")
    repo, _, name = rest.partition(":")
    return Branch(org, repo, name)
