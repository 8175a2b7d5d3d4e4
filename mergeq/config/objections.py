"""What can be said about protection before any repository is looked at: what cannot be had, and what is taken as Prow
takes it but has no effect, or another one than it seems (P1.30).
"""

from collections.abc import Iterator, Mapping

from mergeq.config.presubmits import contexts_of
from mergeq.config.protecting import EXTENSIONS
from mergeq.config.queue import keys_of, queue_values
from mergeq.config.reading import Spot
from mergeq.config.wishes import Wishing, branch_of, owner_of, said_by
from mergeq.core.branchprotector import is_defined
from mergeq.core.planning import breaches
from mergeq.core.protecting import Fields
from mergeq.core.protection import ANY_APP, Backend, Check, Field, Ownership, Target, Wish
from mergeq.core.rulesets import may_begin

_REVIEWS = "required_pull_request_reviews"
_COUNT = "required_approving_review_count"
_BEYOND_PROW = "is nothing that Prow can write, and `fields: prow` is set"
_NOT_OF_PROW = EXTENSIONS - {"remove", "checks"}


Levels = Mapping[str, Wish | None]
"""What each level of Prow's and ours comes to by itself."""


def of(wishing: Wishing, *, is_waited_for: bool) -> tuple[list[str], list[str]]:
    """A line for each thing that refuses the configuration, and one for each that is not what it seems.
    `is_waited_for`: whether a queue minds contexts.
    """
    keys = dict.fromkeys((*wishing.protection.levels, *wishing.ours.levels))
    levels = {key: wishing.at_level(key) for key in keys}
    return [*_problems(wishing, levels)], [*_warnings(wishing, levels, is_waited_for=is_waited_for)]


def _problems(wishing: Wishing, levels: Levels) -> Iterator[str]:
    ours, values = wishing.ours, wishing.values
    for key, wish in levels.items():
        yield from _below_floor(wishing, wish, wishing.spot(key))
    for repo, patterns in ours.patterns.items():
        for pattern, level in patterns.items():
            yield from _below_floor(wishing, wishing.of_pattern(repo, pattern), level.spot)
            covered = [prefix for prefix in wishing.reserved(repo) if may_begin(pattern, prefix)]
            if covered:
                what = f"covers {covered[0]!r}, where the queue keeps refs of its own"
                yield level.spot.line(what, "write a narrower pattern, or give the queue another prefix")
    for level in ours.exempt.values():
        patch = Wish(Target("", level.key), protect=level.policy.get("protect") is not False, values=said_by(level))
        yield from _below_floor(wishing, patch, level.spot)
    if values.fields is Fields.PROW:
        for level in (*ours.levels.values(), *ours.exempt.values()):
            pinned = any("app" in check for check in level.policy.get("checks", ()))
            keys = [key for key in level.policy if key in _NOT_OF_PROW or (key == "checks" and pinned)]
            yield from (level.spot.below(key).line(_BEYOND_PROW, "remove one of them") for key in keys)
        for level in (level for patterns in ours.patterns.values() for level in patterns.values()):
            yield level.spot.line(f"a pattern {_BEYOND_PROW}", "remove one of them")
        if values.backend is not Backend.CLASSIC:
            yield ours.spots["backend"].line(f"a ruleset {_BEYOND_PROW}", "remove one of them")


def _below_floor(wishing: Wishing, wish: Wish | None, spot: Spot) -> Iterator[str]:
    for below in breaches(wish, wishing.values.floor) if wish else ():
        yield spot.line(below, "raise it; nothing may go below `mergeq.protection.floor`")


def _warnings(wishing: Wishing, levels: Levels, *, is_waited_for: bool) -> Iterator[str]:
    yield from _inert(wishing)
    yield from _undecided(wishing, levels)
    yield from _colliding(wishing, levels)
    yield from _locking_out(wishing)
    yield from _of_ours(wishing, levels)
    if is_waited_for:
        yield from _uncoupled(wishing, levels)
    if wishing.protection.flags.get("protect-tested-repos"):
        for repo, jobs in wishing.presubmits.items():
            if repo.count("/") != 1 and jobs:
                yield jobs[0].spot.line(f"bad presubmit repo: {repo}", "write it as ORG/REPO; its jobs protect nothing")


def _inert(wishing: Wishing) -> Iterator[str]:
    """What a level of Prow's sets to no effect, or to another than it seems, together with those above."""
    protection = wishing.protection
    chains = {key: keys_of(branch_of(key)) for key in protection.levels}
    deciding = {key for key, level in protection.levels.items() if level.keys() & {"protect", "unmanaged"}}
    decided = {one for key in deciding for one in chains[key]}
    for key, level in protection.levels.items():
        spot = protection.spots[key]
        undecided = key not in decided and deciding.isdisjoint(chains[key]) and ":" not in key
        if undecided and is_defined(level) and not protection.flags.get("protect-tested-repos"):
            what = "has no effect, since `protect` is set neither here nor at any level above or below"
            yield spot.line(what, "set it")
        if _REVIEWS in level:
            reviews = protection.merged(branch_of(key)).get(_REVIEWS, {})
            if _COUNT not in reviews:
                what = "has no required_approving_review_count, so no review is required at all"
                yield spot.below(_REVIEWS).line(what, "give it one, or 0")
        if level.get("include") or level.get("exclude"):
            policy = protection.merged(branch_of(key))
            if ":" in key:
                yield spot.line("include and exclude have no effect on a branch that is named", "remove them")
            elif policy.get("include") and policy.get("exclude"):
                what = "include and exclude are both in force here, and exclude is not looked at"
                yield spot.line(what, "keep one of them on the way from everyone to here")


def _undecided(wishing: Wishing, levels: Levels) -> Iterator[str]:
    """Levels for which it cannot be told what is wished; one that only inherits that is not named."""
    told = set[str]()
    for key, wish in levels.items():
        if wish is None or not wish.problem or breaches(wish, wishing.values.floor):
            continue
        broader = keys_of(branch_of(key))
        if told.isdisjoint(broader[: broader.index(key)]):
            yield wishing.spot(key).line(wish.problem.strip(), "until then it is left as it is")
        told.add(key)
    for repo, patterns in wishing.ours.patterns.items():
        for pattern, level in patterns.items():
            if (wish := wishing.of_pattern(repo, pattern)) and wish.problem:
                yield level.spot.line(wish.problem, "until then it is left as it is")


def _colliding(wishing: Wishing, levels: Levels) -> Iterator[str]:
    """Orgs and repositories that are written in two ways, which GitHub takes for one (P2.8)."""
    seen: dict[str, str] = {}
    for key in levels:
        if ":" not in key and (other := seen.setdefault(key.lower(), key)) != key:
            what = f"is the same to GitHub as {other!r}"
            yield wishing.spot(key).line(what, "write it in one way; until then only one of them is looked at")


def _locking_out(wishing: Wishing) -> Iterator[str]:
    """Who may do something is said, and nobody named, not even outright as an empty list (P4.9)."""
    protection = wishing.protection
    for key, level in protection.levels.items():
        merged = protection.merged(branch_of(key))
        if "restrictions" in level and not merged["restrictions"]:
            spot = protection.spots[key].below("restrictions")
            yield spot.line("is empty, so nobody may push", "name somebody, or write `users: []` if that is meant")
        reviews = merged.get(_REVIEWS, {})
        if "dismissal_restrictions" in level.get(_REVIEWS, {}) and not reviews["dismissal_restrictions"]:
            spot = protection.spots[key].below(_REVIEWS).below("dismissal_restrictions")
            yield spot.line(
                "is empty, so nobody may dismiss reviews", "name somebody, or write `users: []` if that is meant"
            )


def _of_ours(wishing: Wishing, levels: Levels) -> Iterator[str]:
    """What a level of ours sets to no effect: nothing protects what it is about, or a field needs another one."""
    chosen = wishing.protection
    protecting = {
        one
        for key, level in chosen.levels.items()
        if level.get("protect") is True
        for one in (key, *keys_of(branch_of(key)))
    }
    for key, level in wishing.ours.levels.items():
        above = [one for one in keys_of(branch_of(key)) if one in protecting]
        within = any(repo == key or repo.startswith(f"{key}/") for repo in wishing.ours.patterns)
        tested = chosen.flags.get("protect-tested-repos")
        if level.policy and key != "*" and not (above or within or tested):
            yield level.spot.line("has no effect, since nothing of it is protected", "set `protect: true` there")
        owners = level.policy.get("ownership", {})
        if loose := [name for name in wishing.values.floor if owner_of(name, owners) is not Ownership.OURS]:
            what = f"leaves {', '.join(loose)} as it is, so `mergeq.protection.floor` does not hold that there"
            yield level.spot.below("ownership").line(what, "remove it, unless others see to that")
        wish = levels[key]
        if wish is None or wish.problem or not wish.protect:
            continue
        for name, needed in ((Field.LAST_PUSH, Field.REVIEWS), (Field.CREATIONS, Field.PUSHERS)):
            leaf = str(name).rpartition(".")[2]
            if level.policy.get(leaf) and needed in wish.values and wish.values[needed] is None:
                yield level.spot.below(leaf).line(f"has no effect without {needed}", "set that too, or remove this")


def _uncoupled(wishing: Wishing, levels: Levels) -> Iterator[str]:
    """Contexts that GitHub is to require while the queue thinks otherwise of them (P2.23, P7.47), each at the level
    that asks GitHub for it. What contradicts itself within the queue's own contexts is told there.
    """
    for key, wish in levels.items():
        branch = branch_of(key)
        checks = wish.values.get(Field.CONTEXTS) if wish and wish.protect and not wish.problem else None
        if not isinstance(checks, frozenset):
            continue
        options = wishing.options.for_branch(branch.org, branch.repo, branch.name)
        jobs = contexts_of(wishing.presubmits.get(branch.full_repo, ()), branch.name, manual_required=False)
        apps = queue_values(wishing.queue, branch).context_apps
        for check in sorted(one for one in checks if isinstance(one, Check) and one.context in wishing.asked_at(key)):
            name, pin = check.context, apps.get(check.context, "")
            if pin and check.app and ANY_APP not in {pin, check.app} and pin.lower() != check.app:
                what = f"GitHub is to take {name!r} from {check.app!r} alone, and the queue from {pin!r} alone"
                yield wishing.spot(key).line(what, "name one app in both, or nothing can land")
            if options.from_branch_protection or name in options.required:
                continue
            is_optional = name in options.optional | jobs.optional
            if is_optional or any(pattern.search(name) for pattern in options.optional_patterns):
                what = f"GitHub is to require {name!r}, which the queue takes for optional"
                yield wishing.spot(key).line(what, "name it under `required-contexts` too, or do not require it here")
            elif name in options.required_if_present | jobs.required_if_present:
                what = f"GitHub is to require {name!r} always, and the queue only where it is present"
                yield wishing.spot(key).line(what, "where it never reports nothing can land; make both the same")
