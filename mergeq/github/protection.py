"""GitHub's words for branch protection read as the core's values, and the core's values put in GitHub's words. Nothing
is asked here; `github/protecting.py` does.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mergeq.core.protection import (
    ANY_APP,
    NOBODY,
    Actors,
    Bypasser,
    Check,
    Field,
    RepoFacts,
    Rule,
    Ruleset,
    Value,
    Values,
    actors,
)
from mergeq.github import parse

Ids = Callable[[Actors], list[str]]
"""Gives the node ids of actors."""

SWITCHES = {
    Field.ENFORCE_ADMINS: "isAdminEnforced",
    Field.LINEAR: "requiresLinearHistory",
    Field.FORCE_PUSHES: "allowsForcePushes",
    Field.DELETIONS: "allowsDeletions",
    Field.SIGNATURES: "requiresCommitSignatures",
    Field.CONVERSATIONS: "requiresConversationResolution",
    Field.LOCK: "lockBranch",
    Field.FORK_SYNC: "lockAllowsFetchAndMerge",
    Field.CREATIONS: "blocksCreations",
    Field.STRICT: "requiresStrictStatusChecks",
    Field.DISMISS_STALE: "dismissesStaleReviews",
    Field.CODE_OWNERS: "requiresCodeOwnerReviews",
    Field.LAST_PUSH: "requireLastPushApproval",
}
"""The fields that are on or off, under GraphQL's names (P7.22-P7.36)."""

_OF_REVIEWS = (Field.DISMISS_STALE, Field.CODE_OWNERS, Field.LAST_PUSH)
_LISTS: Mapping[Field, tuple[str, str, str]] = {
    Field.PUSHERS: ("pushActorIds", "restrictsPushes", "pushAllowances"),
    Field.DISMISSERS: ("reviewDismissalActorIds", "restrictsReviewDismissals", "reviewDismissalAllowances"),
    Field.BYPASSERS: ("bypassPullRequestActorIds", "", "bypassPullRequestAllowances"),
    Field.FORCERS: ("bypassForcePushActorIds", "", "bypassForcePushAllowances"),
}
"""The lists of a rule: the field that sets it, the switch that makes it count if there is one, the field it is read by.
"""


def rule(node: Mapping[str, Any]) -> Rule:
    """A classic rule with every field. What only counts where a section is on is off where that is: GitHub keeps it
    and does not mind it.
    """
    values: dict[Field, Value] = {field: bool(node[name]) for field, name in SWITCHES.items()}
    if not node["requiresStatusChecks"]:
        values[Field.STRICT] = False
    checks = node["requiredStatusChecks"] or ()
    values[Field.CONTEXTS] = frozenset(map(_check, checks)) if node["requiresStatusChecks"] else None
    for field, (_, switch, listing) in _LISTS.items():
        named = _actors(one["actor"] for one in node[listing]["nodes"])
        values[field] = named if not switch or node[switch] else None
    values[Field.REVIEWS] = None
    if node["requiresApprovingReviews"]:
        count = node["requiredApprovingReviewCount"]
        values[Field.REVIEWS] = 1 if count is None else count  # without a number GitHub asks for one
    else:
        values |= {**dict.fromkeys(_OF_REVIEWS, False), Field.DISMISSERS: None, Field.BYPASSERS: NOBODY}
    environments = frozenset(node["requiredDeploymentEnvironments"] or ())
    values[Field.DEPLOYMENTS] = environments if node["requiresDeployments"] else None
    creator = parse.login(node["creator"]) if node["creator"] else ""
    return Rule(node["id"], node["pattern"], values, node["databaseId"] or 0, creator)


def _check(told: Mapping[str, Any]) -> Check:
    return Check(told["context"], (told["app"] or {}).get("slug") or ANY_APP)


def _actors(found: Iterable[Mapping[str, Any] | None]) -> Actors:
    """Who stands in a list; whose account is gone is GitHub's `ghost` (Q32)."""
    users, teams, apps = [], [], []
    for one in found:
        match (one or {}).get("__typename"):
            case "App":
                apps.append(one["slug"])  # type: ignore[index]
            case "Team":
                teams.append(one["combinedSlug"])  # type: ignore[index]
            case _:
                users.append(parse.login(dict(one) if one else None))
    return actors(users, teams, apps)


def apps_in(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The Apps that a rule or a ruleset names, each with its slug, node id and number."""
    named = [check["app"] for check in node.get("requiredStatusChecks") or ()]
    for listing in (*(listing for _, _, listing in _LISTS.values()), "bypassActors"):
        named += [(one or {}).get("actor") for one in (node.get(listing) or {"nodes": ()})["nodes"]]
    return [one for one in named if one and one.get("slug")]


def app_numbers(node: Mapping[str, Any]) -> set[int]:
    """The numbers of the Apps that are to report what a ruleset, as GraphQL shows it, requires."""
    told = [(one or {}).get("parameters") or {} for one in (node["rules"] or {"nodes": ()})["nodes"]]
    return {check["integrationId"] for one in told for check in one.get("requiredStatusChecks") or ()} - {None}


def sent(changes: Mapping[Field, Value], ids: Ids, app_id: Callable[[str], str]) -> dict[str, Any]:
    """The fields of a mutation that makes a rule as it is to be; what is not among the changes is left out, and stays
    as it is (P7.44).
    """
    found: dict[str, Any] = {SWITCHES[field]: value for field, value in changes.items() if field in SWITCHES}
    for field, value in changes.items():
        if field is Field.CONTEXTS:
            found["requiresStatusChecks"] = value is not None
            if isinstance(value, frozenset):
                found["requiredStatusChecks"] = [
                    {"context": check.context, "appId": app_id(check.app)} for check in _checks(value)
                ]
        elif field is Field.REVIEWS:
            found["requiresApprovingReviews"] = value is not None
            if value is not None:
                found["requiredApprovingReviewCount"] = value
        elif field is Field.DEPLOYMENTS:
            found["requiresDeployments"] = value is not None
            if isinstance(value, frozenset):
                found["requiredDeploymentEnvironments"] = sorted(map(str, value))
        elif field in _LISTS:
            name, switch, _ = _LISTS[field]
            if switch:
                found[switch] = value is not None
            if isinstance(value, Actors):
                found[name] = ids(value)
    return found


def pinned(wanted: Value, before: Values) -> Value:
    """Checks with the app of each said, where they are any: the pin that a context has is kept where none is asked for,
    and a new one has none (P4.28).
    """
    if not isinstance(wanted, frozenset):
        return wanted
    known = before.get(Field.CONTEXTS)
    pins = {one.context: one.app for one in _checks(known)} if isinstance(known, frozenset) else {}
    return frozenset(Check(one.context, one.app or pins.get(one.context, ANY_APP)) for one in _checks(wanted))


def _checks(value: frozenset[Any]) -> list[Check]:
    return sorted(one for one in value if isinstance(one, Check))


def named_in(values: Mapping[Field, Value]) -> Actors:
    """Everybody whom these values name, the apps of contexts too."""
    lists = [value for value in values.values() if isinstance(value, Actors)]
    checks = values.get(Field.CONTEXTS)
    pins = {one.app for one in _checks(checks)} if isinstance(checks, frozenset) else set[str]()
    return Actors(
        frozenset().union(*(one.users for one in lists)),
        frozenset().union(*(one.teams for one in lists)),
        frozenset(pins - {"", ANY_APP}).union(*(one.apps for one in lists)),
    )


def ruleset(repo: str, node: Mapping[str, Any], slugs: Mapping[int, str]) -> Ruleset:
    """A ruleset as GraphQL shows it, the repository's name spelt as it was asked for; it is not whole where that cannot
    show all of it (P7.43), or does not to us. `slugs` are those of Apps by number, which is all that rules name.
    """
    rules = node["rules"] or {"pageInfo": {"hasNextPage": True}, "nodes": ()}
    told = [(one["type"].lower(), _parameters(one["parameters"])) for one in rules["nodes"] if one]
    shown = node["bypassActors"]
    let = [_bypasser(one) for one in shown["nodes"]] if shown else []
    names = (node["conditions"] or {}).get("refName") or {}
    owner = next(node["source"][key] for key in ("nameWithOwner", "login", "slug") if key in node["source"])
    return Ruleset(
        id=node["databaseId"],
        name=node["name"],
        owner=repo if owner.lower() == repo.lower() else owner,
        enforcement=node["enforcement"].lower(),
        include=tuple(names.get("include") or ()),
        exclude=tuple(names.get("exclude") or ()),
        rules=_with_slugs(dict(told), slugs),
        bypassers=tuple(one for one in let if one is not None),
        updated_at=node["updatedAt"],
        is_whole=bool(
            shown
            and None not in let
            and not (shown["pageInfo"]["hasNextPage"] or rules["pageInfo"]["hasNextPage"])
            and len(dict(told)) == len(rules["nodes"])
        ),
    )


def ruleset_by_rest(known: Ruleset, data: Mapping[str, Any], slugs: Mapping[int, str]) -> Ruleset:
    """The same ruleset as REST shows it, which knows all kinds of rules and of actors; of the latter the numbers."""
    names = {(one.kind, one.id): one.name for one in known.bypassers}
    let = data.get("bypass_actors")
    rules = {one["type"]: one.get("parameters") or {} for one in data["rules"]}
    return Ruleset(
        known.id,
        data["name"],
        known.owner,
        data["enforcement"],
        known.include,
        known.exclude,
        _with_slugs(rules, slugs),
        tuple(
            Bypasser(
                one["actor_type"],
                one["actor_id"],
                names.get((one["actor_type"], one["actor_id"]), ""),
                one["bypass_mode"],
            )
            for one in let or ()
        ),
        known.updated_at,
        is_whole=let is not None and len(rules) == len(data["rules"]),
    )


def pins_of(ruleset: Ruleset) -> frozenset[str]:
    """The slugs of the Apps that are to report what a ruleset requires."""
    checks = ruleset.rules.get("required_status_checks", {}).get("required_status_checks", ())
    return frozenset(one["app"] for one in checks if "app" in one and not str(one["app"]).isdigit())


def ruleset_body(ruleset: Ruleset, numbers: Mapping[str, int]) -> dict[str, Any]:
    """A ruleset as REST takes it; `numbers` are those of its pins by slug."""

    def check(told: Mapping[str, Any]) -> dict[str, Any]:
        if (app := told.get("app")) is None:
            return dict(told)
        return {"context": told["context"], "integration_id": numbers.get(app) or int(app)}

    rules = {kind: dict(told) for kind, told in ruleset.rules.items()}
    if (checks := rules.get("required_status_checks")) is not None:
        checks["required_status_checks"] = [check(one) for one in checks["required_status_checks"]]
    return {
        "name": ruleset.name,
        "target": "branch",
        "enforcement": ruleset.enforcement,
        "conditions": {"ref_name": {"include": list(ruleset.include), "exclude": list(ruleset.exclude)}},
        "bypass_actors": [
            {"actor_type": one.kind, "actor_id": one.id, "bypass_mode": one.mode} for one in ruleset.bypassers
        ],
        "rules": [{"type": kind, "parameters": told} if told else {"type": kind} for kind, told in rules.items()],
    }


def _bypasser(node: Mapping[str, Any]) -> Bypasser | None:
    """Whom a ruleset lets past; None for one that GraphQL has no word for, or no word for when."""
    if node["bypassMode"] is None:
        return None
    mode, actor = node["bypassMode"].lower(), node["actor"] or {}
    if node["deployKey"]:
        return Bypasser("DeployKey", None, "", mode)
    if node["organizationAdmin"]:
        return Bypasser("OrganizationAdmin", 1, "", mode)
    if node["enterpriseOwner"]:
        return Bypasser("EnterpriseOwner", None, "", mode)
    if node["repositoryRoleDatabaseId"] is not None:
        return Bypasser("RepositoryRole", node["repositoryRoleDatabaseId"], node["repositoryRoleName"] or "", mode)
    if actor.get("__typename") == "App":
        return Bypasser("Integration", actor["databaseId"], actor["slug"].lower(), mode)
    if actor.get("__typename") == "Team":
        return Bypasser("Team", actor["databaseId"], actor["combinedSlug"].rpartition("/")[2].lower(), mode)
    return None


def _parameters(told: Mapping[str, Any] | None) -> dict[str, Any]:
    """Parameters of a rule as REST spells them."""
    found = {_snake(name): value for name, value in (told or {}).items() if name != "__typename"}
    if found.get("allowed_merge_methods"):
        found["allowed_merge_methods"] = [one.lower() for one in found["allowed_merge_methods"]]
    if "required_status_checks" in found:
        found["required_status_checks"] = [
            {_snake(name): value for name, value in one.items() if value is not None}
            for one in found["required_status_checks"]
        ]
    return found


def _with_slugs(rules: Mapping[str, Mapping[str, Any]], slugs: Mapping[int, str]) -> dict[str, Mapping[str, Any]]:
    """The rules, in which each check with a number has beside it the slug of that App, as `app`, where it is known."""
    found = dict(rules)
    if (checks := found.get("required_status_checks")) is not None:
        named = [
            {**one, "app": slugs[one["integration_id"]]} if one.get("integration_id") in slugs else one
            for one in checks["required_status_checks"]
        ]
        found["required_status_checks"] = {**checks, "required_status_checks": named}
    return found


def facts(repo: str, node: Mapping[str, Any]) -> RepoFacts:
    """A repository without its rules, which are not read yet."""
    found = node["nameWithOwner"]
    return RepoFacts(
        repo,
        rules=None,
        rulesets=None,
        default_branch=(node["defaultBranchRef"] or {}).get("name", ""),
        is_private=node["isPrivate"],
        is_archived=node["isArchived"],
        is_fork=node["isFork"],
        is_user_owned=not node["isInOrganization"],
        renamed_to=found if found.lower() != repo.lower() else "",
        id=node["id"],
    )


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: "_" + found[1].lower(), name)
