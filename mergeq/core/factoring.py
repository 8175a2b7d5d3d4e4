"""Rules that GitHub has as the configuration that asks for them: what rules have in common stands once, above them
(P6.13).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mergeq.core.protection import ANY_APP, Actors, Check, Field, Rule, Target, Value, Values
from mergeq.core.rulesets import may_begin

Policy = dict[str, Any]

_PROWS = (Field.ENFORCE_ADMINS, Field.LINEAR, Field.FORCE_PUSHES, Field.DELETIONS, Field.SIGNATURES)
_OURS = (Field.CONVERSATIONS, Field.LAST_PUSH, Field.LOCK, Field.FORK_SYNC, Field.CREATIONS)
_WHOLE = frozenset({"required_deployments", "bypass_force_push_allowances"})
"""What a narrower level replaces: it goes upward as a whole or not at all."""


def factored(
    rules: Mapping[str, Iterable[Rule]],
    reserved: tuple[str, ...] = (),
    branches: Mapping[str, frozenset[str] | None] = {},
) -> Policy:
    """A configuration, as YAML has it, under which nothing is to be done about these rules, by ``ORG/REPO``.

    Prow's fields stand in `branch-protection`; what Prow does not know, and every pattern, in `mergeq.protection`. A
    level has what all that is below it has in common, since no narrower one can take away what it inherits (P2.3); but
    `protect` stands with each branch, so that nothing else comes to be protected. What is off is not said, and neither
    are the apps in lists of actors, which stay as they are unless they are said. Rules on names that begin with a
    `reserved` prefix are left out.
    """
    prow: dict[str, Policy] = {}
    ours: dict[str, Policy] = {}
    for repo, found in sorted(rules.items()):
        kept = sorted((one for one in found if not any(may_begin(one.pattern, two) for two in reserved)), key=_age)
        if kept:
            prow[repo], ours[repo] = _repo(repo, kept, branches.get(repo))
    document: Policy = {}
    if by_org := _orgs(prow):
        document["branch-protection"] = {"orgs": by_org}
    if by_org := _orgs(ours):
        document["mergeq"] = {"protection": {"orgs": by_org}}
    return document


def _age(rule: Rule) -> tuple[int, str]:
    return rule.serial, rule.pattern


def _repo(repo: str, rules: Sequence[Rule], branches: frozenset[str] | None) -> tuple[Policy, Policy]:
    """What either section says of a repository."""
    prow, of_prow = _parted([_prows(rule.values) for rule in rules])
    ours, of_ours = _parted([_own(rule.values) for rule in rules])
    for rule, said, own in zip(rules, of_prow, of_ours, strict=True):
        if Target(repo, rule.pattern).is_glob or (branches is not None and rule.pattern not in branches):
            ours.setdefault("patterns", {})[rule.pattern] = {"protect": True, **said, **own}
            continue
        prow.setdefault("branches", {})[rule.pattern] = {"protect": True, **said}
        if own:
            ours.setdefault("branches", {})[rule.pattern] = own
    return prow, ours


def _orgs(repos: Mapping[str, Policy]) -> Policy:
    """The levels of organizations, with what all their repositories have in common."""
    names: dict[str, list[str]] = {}
    for repo in repos:
        names.setdefault(repo.partition("/")[0], []).append(repo)
    orgs: Policy = {}
    for org, listed in names.items():
        below = [{key: repos[repo][key] for key in ("patterns", "branches") if key in repos[repo]} for repo in listed]
        fields = [
            {key: said for key, said in repos[repo].items() if key not in {"patterns", "branches"}} for repo in listed
        ]
        common, rests = _parted(fields)
        levels = {
            repo.partition("/")[2]: {**rest, **inner}
            for repo, rest, inner in zip(listed, rests, below, strict=True)
            if rest or inner
        }
        if common or levels:
            orgs[org] = {**common, **({"repos": levels} if levels else {})}
    return orgs


def _parted(policies: Sequence[Policy]) -> tuple[Policy, list[Policy]]:
    """What several policies have in common, and what each says besides; of one alone nothing goes upward."""
    if len(policies) < 2:
        return {}, list(policies)
    common = _common(policies)
    return common, [_rest(policy, common) for policy in policies]


def _common(policies: Sequence[Policy]) -> Policy:
    common: Policy = {}
    first, *others = policies
    for key, value in first.items():
        found = [other[key] for other in others if key in other]
        if len(found) < len(others):
            continue
        if all(one == value for one in found):
            common[key] = value
        elif isinstance(value, dict) and key not in _WHOLE and (inner := _common([value, *found])):
            common[key] = inner
        elif isinstance(value, list) and key not in _WHOLE:
            shared = [one for one in value if all(one in other for other in found)]
            common |= {key: shared} if shared else {}
    return common


def _rest(policy: Policy, common: Policy) -> Policy:
    rest: Policy = {}
    for key, value in policy.items():
        above = common.get(key)
        if above is None:
            rest[key] = value
        elif isinstance(value, dict) and (inner := _rest(value, above)):
            rest[key] = inner
        elif isinstance(value, list) and (more := [one for one in value if one not in above]):
            rest[key] = more
    return rest


def _prows(values: Values) -> Policy:
    """A rule in Prow's fields."""
    policy: Policy = {str(name): True for name in _PROWS if values[name]}
    contexts = values[Field.CONTEXTS]
    if isinstance(contexts, frozenset):
        names = sorted({one.context for one in contexts if isinstance(one, Check)})
        policy["required_status_checks"] = {
            **({"contexts": names} if names else {}),
            **({"strict": True} if values[Field.STRICT] else {}),
        }
    if values[Field.REVIEWS] is not None:
        reviews = {_leaf(name): True for name in (Field.DISMISS_STALE, Field.CODE_OWNERS) if values[name]}
        people = {
            _leaf(name): _people(values[name]) for name in (Field.DISMISSERS, Field.BYPASSERS) if _names(values, name)
        }
        policy["required_pull_request_reviews"] = {_leaf(Field.REVIEWS): values[Field.REVIEWS], **reviews, **people}
    if _names(values, Field.PUSHERS):
        policy[str(Field.PUSHERS)] = _people(values[Field.PUSHERS])
    return policy


def _own(values: Values) -> Policy:
    """A rule in our fields, as far as Prow's do not say it."""
    policy: Policy = {_leaf(name): True for name in _OURS if values[name]}
    contexts = values[Field.CONTEXTS]
    checks = sorted(one for one in contexts if isinstance(one, Check)) if isinstance(contexts, frozenset) else []
    names = [one.context for one in checks]
    pinned = [one for one in checks if one.app not in {"", ANY_APP} and names.count(one.context) == 1]
    if pinned:
        policy["checks"] = [{"context": one.context, "app": one.app} for one in pinned]
    if isinstance(deployments := values[Field.DEPLOYMENTS], frozenset) and deployments:
        policy[_leaf(Field.DEPLOYMENTS)] = sorted(map(str, deployments))
    if isinstance(forcers := values[Field.FORCERS], Actors) and forcers:
        policy[_leaf(Field.FORCERS)] = _people(forcers) | ({"apps": sorted(forcers.apps)} if forcers.apps else {})
    return policy


def _leaf(name: Field) -> str:
    return str(name).rpartition(".")[2]


def _names(values: Values, name: Field) -> bool:
    """Whether a list of actors is to be said: who is let past only where somebody is."""
    return isinstance(values[name], Actors) and bool(name is not Field.BYPASSERS or values[name])


def _people(listed: Value) -> Policy:
    """The people and teams of a list, without those that are not there."""
    return {kind: sorted(getattr(listed, kind)) for kind in ("users", "teams") if getattr(listed, kind)}
