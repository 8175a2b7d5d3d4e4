"""What is wished for protection and what is there, read together, and the plan that follows (P7.1-P7.5)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mergeq.bootstrap import Services
from mergeq.core.audit import (
    InForce,
    Parked,
    SeenRepo,
)
from mergeq.core.branchprotector import unauthorized
from mergeq.core.planning import plan
from mergeq.core.protection import (
    WRITES,
    Actors,
    Cause,
    Check,
    Field,
    Item,
    Kind,
    Plan,
    RepoFacts,
    Target,
    Wish,
    spoken,
)
from mergeq.core.pull import Branch
from mergeq.github import Unreadable
from mergeq.store.protection import is_within

ALL = "*"
_PAGE_SECONDS = 12.0  # for each further hundred branches, a point, before they are listed for one more of them
_REPO_SECONDS = 1.8  # for each repository, half a point, before all are read for an event again: a fifth of an hour's


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is wished and what is there, and the plan that follows. `scope` is ``*``, an ORG or an ORG/REPO, `at` when
    the reading began; `errors` say what could not be listed, by its ORG. `is_asked`: the wishes are not those of the
    configuration, and the scope is the name of a run behind UNDOING.
    """

    scope: str
    at: float
    plan: Plan = field(default_factory=Plan)
    wishes: Mapping[str, tuple[Wish, ...]] = field(default_factory=dict)
    facts: Mapping[str, RepoFacts] = field(default_factory=dict)
    known: Mapping[Target, InForce] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    is_asked: bool = False

    def wish(self, target: Target) -> Wish | None:
        """What is wished for a target."""
        return next((one for one in self.wishes.get(target.repo, ()) if one.target == target), None)

    @property
    def unknown(self) -> dict[str, str]:
        """What could not be read, ORG or ORG/REPO, and why."""
        unread = {repo: one.problem.text for repo, one in self.facts.items() if one.rules is None and one.problem}
        return {**self.errors, **unread}


def gather(services: Services, scope: str = ALL, asked: Iterable[Wish] | None = None) -> Gathered:
    """Read what protects all that a scope names, and plan what is wished for it: by the configuration, or as `asked`.

    Nothing is written on GitHub, and nothing of the plan in the store. What cannot be read is unknown, by its name
    (D8). Raises HeldBack.
    """
    at, config = services.now(), services.config
    if asked is None:
        repos, errors = _managed(services, scope)
    else:
        asked = tuple(asked)
        repos, errors = sorted({wish.target.repo for wish in asked}), {}
    wanted = [repo for repo in repos if config.wants_branches(repo)]
    facts = services.planner.read(repos, branches=wanted) if repos else {}
    wishes: dict[str, tuple[Wish, ...]] = {}
    for repo, seen in facts.items():
        if pages := len(seen.branches or ()) // 100:
            _note_cost(services, repo, at + pages * _PAGE_SECONDS)
        theirs = config.wishes(seen, at) if asked is None else (one for one in asked if one.target.repo == repo)
        wishes[repo] = _authorized(services, repo, theirs)
    for org, count in Counter(map(_org, facts) if "/" not in scope else ()).items():
        _note_cost(services, org, at + count * _REPO_SECONDS)
    known, is_asked = services.store.protection.in_force(facts), asked is not None
    gathered = Gathered(scope, at, wishes=wishes, facts=facts, known=known, errors=errors, is_asked=is_asked)
    made = planned(services, gathered, facts)
    return replace(gathered, plan=replace(made, items=tuple(warned(services, item) for item in made.items)))


def _authorized(services: Services, repo: str, wishes: Iterable[Wish]) -> tuple[Wish, ...]:
    """Wishes, with a problem where one names somebody who may not push, if that is to be verified (P3.12)."""
    found = tuple(wishes)
    naming = {wish.target: who for wish in found if isinstance(who := wish.values.get(Field.PUSHERS), Actors) and who}
    if not naming or not services.config.protection_values.verify_restrictions:
        return found
    try:
        allowed = services.planner.authorized(repo)
    except Unreadable as error:
        why = f"it could not be read who may push to {repo}: {error}"
        return tuple(replace(wish, problem=wish.problem or why) if wish.target in naming else wish for wish in found)
    wrong = {
        target: "; ".join(unauthorized(repo, {"restrictions": spoken(who)}, allowed)) for target, who in naming.items()
    }
    return tuple(replace(wish, problem=wish.problem or wrong.get(wish.target, "")) for wish in found)


def _managed(services: Services, scope: str) -> tuple[list[str], dict[str, str]]:
    """The repositories within a scope that are to be looked at, those too whose rules nobody asks for any more; and the
    owners that could not be listed, and why.
    """
    found: set[str] = {repo for repo in services.store.protection.repos_in_force() if is_within(repo, scope)}
    errors: dict[str, str] = {}
    for org, named in services.config.protected().items():
        if scope != ALL and scope.partition("/")[0].lower() != org.lower():
            continue
        if named is not None:
            found |= {repo for repo in named if is_within(repo, scope)}
        elif "/" in scope:
            found.add(services.store.protection.spelt(scope))
        else:
            try:
                found |= {one.repo for one in services.planner.repos(org)}
            except Unreadable as error:
                errors[org] = str(error)
                found |= {one.repo for one in services.store.protection.seen(org)}
    return sorted(found), errors


def is_protected(services: Services, scope: str) -> bool:
    """Whether the configuration protects anything of an ORG or an ORG/REPO."""
    org = scope.partition("/")[0].lower()
    protected = services.config.protected().items()
    named = next((repos for one, repos in protected if one.lower() == org), frozenset[str]())
    return named is None or any(is_within(repo, scope) for repo in named)


def is_to_be_read(services: Services, scope: str, branch: str = "") -> bool:
    """Whether an event about an ORG, or about a branch that was made in an ORG/REPO, has that read at once: not where
    nothing is wished for the branch, and later where it was read a short while ago for how much that costs (P7.21).
    """
    config, now = services.config, services.now()
    if branch:
        if not config.wants_branches(scope):
            return False
        wishes = config.wishes(RepoFacts(scope, branches=frozenset({branch})), now)
        if all(wish.target.pattern != branch for wish in wishes):
            return False
    (until,) = services.store.recall([_reading(scope)], now)
    if until is not None:
        services.store.protection.put_off(scope, float(until))
    return until is None


def _note_cost(services: Services, scope: str, until: float) -> None:
    services.store.remember(_reading(scope), repr(until), until)


def _reading(scope: str) -> str:
    return f"reading {scope}".lower()


def _org(repo: str) -> str:
    return repo.partition("/")[0]


def planned(services: Services, gathered: Gathered, facts: Mapping[str, RepoFacts]) -> Plan:
    """The plan for repositories as they are read now, everything else as it was gathered."""
    left_alone, now = services.store.protection.parked(facts), services.now()
    items = (item for seen in facts.values() for item in _planned_alone(services, gathered, seen, left_alone, now))
    warnings = (one for seen in facts.values() for one in services.config.protection_warnings(seen, now))
    ordered = tuple(sorted(items, key=lambda item: item.target))
    return Plan(ordered, tuple(dict.fromkeys(warnings)), services.config.digest)


def _planned_alone(
    services: Services, gathered: Gathered, facts: RepoFacts, left_alone: Mapping[Target, Parked], now: float
) -> tuple[Item, ...]:
    """The items of one repository, without what is parked: that is known only by what would be done. What was asked for
    to put a run back is asked for by no line of the configuration.
    """
    config, wishes = services.config, gathered.wishes[facts.repo]
    past = {target: one.values for target, one in gathered.known.items() if target.repo == facts.repo}

    def found(parked: Mapping[Target, str]) -> Plan:
        reserved = config.reserved(facts.repo)
        return plan(wishes, {facts.repo: facts}, past, parked=parked, reserved=reserved, now=now)

    made, by_target = found({}), {wish.target: wish for wish in wishes}
    parked = {
        item.target: left_alone[item.target].why
        for item in made.writes
        if item.target in left_alone and left_alone[item.target].holds(item, by_target[item.target], now)
    }
    items = (found(parked) if parked else made).items
    if not gathered.is_asked:
        return items
    return tuple(replace(one, cause=one.cause and Cause.ROLLBACK, place="") for one in items)


def warned(services: Services, item: Item) -> Item:
    """An item with a warning for each context that is required, or is to be, and that nothing has reported there as far
    as the queue has seen pull requests: it would never turn green (P7.47).
    """
    branch = _branch_of(item.target) if item.kind in {*WRITES, Kind.NOTHING} else None
    required = item.after.get(Field.CONTEXTS)
    if branch is None or not isinstance(required, frozenset) or not required:
        return item
    if (reported := services.store.reported(branch)) is None:
        return item
    never = sorted({one.context for one in required if isinstance(one, Check)})
    told = tuple(
        f"context never seen: no pull request into {branch} has reported {context}"
        for context in never
        if context.lower() not in reported
    )
    return replace(item, warnings=(*item.warnings, *told))


def _branch_of(target: Target) -> Branch | None:
    try:
        return None if target.is_glob else Branch.parse(str(target))
    except ValueError:
        return None


def seen_as(services: Services, gathered: Gathered, facts: RepoFacts, items: Sequence[Item]) -> SeenRepo:
    """What pages are to show of a repository, with what is to be said of its items."""
    error = facts.problem.text if facts.problem else ""
    warnings = services.config.protection_warnings(facts, services.now())
    return SeenRepo(facts.repo, gathered.at, tuple(items), error, warnings, services.config.digest)
