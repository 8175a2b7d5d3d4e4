"""GitHub's answers read as core values. What is missing or unknown is never guessed (D8)."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from mergeq.core.pull import (
    Blocker,
    Commit,
    Context,
    Mergeable,
    Method,
    Protection,
    PullRequest,
    Repository,
    Result,
    Row,
    blocker,
)

_PASSING = frozenset({"SUCCESS", "NEUTRAL", "SKIPPED"})
_WRITERS = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
_HARMLESS = frozenset({"CREATION", "DELETION", "NON_FAST_FORWARD", "TAG_NAME_PATTERN", "BRANCH_NAME_PATTERN"})
"""Rules that nothing breaks which lands."""

_JUDGED = frozenset(
    {
        *("REQUIRED_STATUS_CHECKS", "PULL_REQUEST", "REQUIRED_LINEAR_HISTORY", "REQUIRED_SIGNATURES", "LOCK_BRANCH"),
        *("UPDATE", "MERGE_QUEUE", "COPILOT_CODE_REVIEW"),
    }
)
"""Rules that are judged here, and one that asks for nothing but a look."""

_SHOWN = frozenset({"REQUIRED_DEPLOYMENTS", "WORKFLOWS", "CODE_SCANNING", "LICENSE_COMPLIANCE_SCANNING"})
"""Rules of which GitHub says on a pull request whether they are met, also to those who could pass them by."""

_METHODS = {
    "mergeCommitAllowed": Method.MERGE,
    "squashMergeAllowed": Method.SQUASH,
    "rebaseMergeAllowed": Method.REBASE,
}


def pull(node: dict[str, Any]) -> PullRequest | None:
    """A pull request; None when the node is not readable enough to be judged (partial data, not all labels: Q3, Q33).

    Nothing is concluded from the contexts of a head that its branch has left already (Q18).
    """
    try:
        labels = node["labels"]
        if labels["totalCount"] > len(labels["nodes"]):
            return None
        head = node["headRefOid"]
        opinions = _opinions(node["reviews"]["nodes"])
        return PullRequest(
            org=node["repository"]["owner"]["login"],
            repo=node["repository"]["name"],
            number=node["number"],
            base=node["baseRefName"],
            head_sha=head,
            head_ref=node["headRefName"],
            title=node["title"],
            author=login(node["author"]),
            labels=tuple(label["name"] for label in labels["nodes"]),
            contexts=contexts(node["statusCheckRollup"], head) if _tip(node) in {None, head} else None,
            milestone=(node["milestone"] or {}).get("title"),
            is_draft=node["isDraft"],
            is_open=node["state"] == "OPEN",
            mergeable=mergeable(node["mergeable"]),
            merge_state=node["mergeStateStatus"],
            can_be_rebased=node["canBeRebased"],
            review_decision=node["reviewDecision"],
            in_merge_queue=bool(node["isInMergeQueue"] or node["isMergeQueueEnabled"]),
            auto_merge_by=_enabled_by(node["autoMergeRequest"]),
            url=node["url"],
            updated_at=seconds(node["updatedAt"]),
            created_at=seconds(node["createdAt"]),
            approvers=tuple(who for who, (state, oid) in opinions.items() if state == "APPROVED" and oid == head),
            objectors=tuple(who for who, (state, _) in opinions.items() if state != "APPROVED"),
            label_times=_label_times(node["timelineItems"]["nodes"]),
            unresolved_threads=_unresolved(node["reviewThreads"]),
            is_fork=node["isCrossRepository"],
            by_writer=node["authorAssociation"] in _WRITERS,
            paths=_paths(node["files"]),
            steps=node["commits"]["totalCount"],
            was_forced=_was_forced(node["timelineItems"]),
            head_owner=_head_owner(node),
            maintainer_can_modify=node["maintainerCanModify"],
            body=node.get("body") or "",
            is_bot=(node["author"] or {}).get("__typename") == "Bot",
            tree=_tree(node),
        )
    except (KeyError, TypeError):
        return None


def _tree(node: dict[str, Any]) -> str:
    """The tree of the head; empty where its branch is gone, or elsewhere by now."""
    target = (node["headRef"] or {}).get("target") or {}
    return str((target.get("tree") or {}).get("oid", "")) if target.get("oid") == node["headRefOid"] else ""


def _opinions(reviews: Iterable[dict[str, Any]]) -> dict[str, tuple[str, str | None]]:
    """The last opinion of each reviewer who may write, and the commit that it was about."""
    return {
        login(one["author"]): (one["state"], (one["commit"] or {}).get("oid"))
        for one in reviews
        if one["authorAssociation"] in _WRITERS
    }


def _tip(node: dict[str, Any]) -> str | None:
    """Where the branch of a pull request is; None when that cannot be seen, as when its fork is gone."""
    return ((node["headRef"] or {}).get("target") or {}).get("oid")


def _head_owner(node: dict[str, Any]) -> str:
    """Whose repository the branch is in; empty when that is gone (Q24)."""
    owner = node["headRepositoryOwner"] if node["headRepository"] else None
    return login(owner) if owner else ""


def _label_times(events: list[dict[str, Any] | None]) -> tuple[tuple[str, float], ...]:
    """When each label was last put on, by its name in lower case; later events win."""
    times: dict[str, float] = {}
    for event in events:
        if event and event["__typename"] == "LabeledEvent":
            name = event["label"]["name"].lower()
            times[name] = max(times.get(name, 0.0), seconds(event["createdAt"]))
    return tuple(sorted(times.items()))


def _was_forced(timeline: dict[str, Any]) -> bool:
    """Whether the head was ever force-pushed, as far as is not certain that it was not."""
    events = timeline["nodes"]
    return timeline["pageInfo"]["hasPreviousPage"] or any(
        event is None or event["__typename"] == "HeadRefForcePushedEvent" for event in events
    )


def _unresolved(threads: dict[str, Any]) -> int:
    """How many conversations are open; those that could not be read count as open."""
    seen = threads["nodes"]
    return int(threads["totalCount"]) - len(seen) + sum(not thread["isResolved"] for thread in seen)


def _paths(files: dict[str, Any] | None) -> tuple[str, ...] | None:
    """The changed files; None when GitHub did not give them all (Q80)."""
    if files is None or files["totalCount"] > len(files["nodes"]):
        return None
    return tuple(file["path"] for file in files["nodes"])


def contexts(rollup: dict[str, Any] | None, head: str) -> tuple[Context, ...] | None:
    """The contexts of exactly `head`: none reported is (), not all readable is None (Q23, Q34)."""
    if rollup is None:
        return ()
    nodes = rollup["contexts"]["nodes"]
    if rollup["commit"]["oid"] != head or rollup["contexts"]["totalCount"] > len(nodes):
        return None
    found = []
    for node in nodes:
        if node["__typename"] == "StatusContext":
            found.append(
                Context(
                    name=node["context"],
                    result=status_result(node["state"]),
                    at=seconds(node["createdAt"]),
                    description=node["description"] or "",
                    url=node["targetUrl"] or "",
                )
            )
        elif node["__typename"] == "CheckRun" and node["name"]:
            app = (node["checkSuite"] or {}).get("app") or {}
            found.append(
                Context(
                    name=node["name"],
                    result=check_result(node["status"], node["conclusion"]),
                    app=app.get("slug") or "unknown app",
                    at=seconds(node["startedAt"]),
                    serial=node["databaseId"] or 0,
                    url=node["detailsUrl"] or "",
                    conclusion=(node["conclusion"] or "").lower(),
                    ended_at=seconds(node["completedAt"]),
                )
            )
    return tuple(found)


def status_result(state: str) -> Result:
    """What a commit status says; a state that is not known is an error."""
    said = state.upper()
    return Result(said) if said in Result.__members__ else Result.ERROR


def check_result(status: str | None, conclusion: str | None) -> Result:
    """What a check run says: not completed is pending; neutral, skipped and success pass, anything else failed (T3.19).

    GraphQL says it in upper case, REST in lower.
    """
    if (status or "").upper() != "COMPLETED":
        return Result.PENDING
    return Result.SUCCESS if (conclusion or "").upper() in _PASSING else Result.FAILURE


def repository(node: dict[str, Any], *, withholds_workflows: bool = False) -> Repository:
    """The settings of a repository and the rules of the branch that was read, as far as they limit merging (spec of
    effective policy: the methods are those that every level allows), and what our credentials lack.
    """
    allowed = frozenset(method for field, method in _METHODS.items() if node[field])
    for rule in _rules(node["ref"]):
        methods = (rule["parameters"] or {}).get("allowedMergeMethods")
        if methods:
            allowed &= frozenset(method for method in Method if method.value in {one.lower() for one in methods})
    return Repository(
        allowed,
        node["isArchived"],
        merge_title=node["mergeCommitTitle"],
        merge_message=node["mergeCommitMessage"],
        squash_title=node["squashMergeCommitTitle"],
        squash_message=node["squashMergeCommitMessage"],
        withholds_workflows=withholds_workflows,
    )


def commits(nodes: Iterable[dict[str, Any]], head: str) -> tuple[Commit, ...] | None:
    """The commits of a pull request as a rebase would replay them: merges are left out.

    GitHub lists them by date, so they are put in order by their parents, up to `head` (Q23); None when they do not all
    lead there.
    """
    listed = {node["commit"]["oid"]: node["commit"] for node in nodes}
    found = _parents_first(listed, head)
    if len(found) < len(listed):
        return None
    authors = [commit["author"] or {} for commit in found]
    return tuple(
        Commit(
            commit["oid"],
            commit["message"],
            author.get("name") or "",
            author.get("email") or "",
            (author.get("user") or {}).get("login", ""),
        )
        for commit, author in zip(found, authors, strict=True)
        if commit["parents"]["totalCount"] < 2
    )


def compared(nodes: Iterable[dict[str, Any]], head: str) -> tuple[Commit, ...]:
    """The commits of a comparison as REST lists them, each after its parents, as far as they lead to `head`."""
    listed = {
        node["sha"]: node | {"parents": {"nodes": [{"oid": one["sha"]} for one in node["parents"]]}} for node in nodes
    }
    return tuple(
        Commit(
            node["sha"],
            node["commit"]["message"],
            node["commit"]["author"]["name"],
            node["commit"]["author"]["email"],
            parents=tuple(one["oid"] for one in node["parents"]["nodes"]),
            tree=node["commit"]["tree"]["sha"],
        )
        for node in _parents_first(listed, head)
    )


def _parents_first(listed: Mapping[str, dict[str, Any]], head: str) -> list[dict[str, Any]]:
    """What `head` is built on, each commit after its parents."""
    ordered: dict[str, dict[str, Any]] = {}
    waiting = [(head, False)]
    seen = set()
    while waiting:
        oid, is_due = waiting.pop()
        if is_due:
            ordered[oid] = listed[oid]
        elif oid in listed and oid not in seen:
            seen.add(oid)
            waiting.append((oid, True))
            waiting.extend((parent["oid"], False) for parent in reversed(listed[oid]["parents"]["nodes"]))
    return list(ordered.values())


def app_slugs(pulls: Iterable[dict[str, Any] | None]) -> dict[int, str]:
    """The slugs of all Apps that have reported on the heads of pull requests, by their numbers: rulesets name Apps by
    number.
    """
    found = {}
    for pull in pulls:
        rollup = (pull or {}).get("statusCheckRollup") or {"contexts": {"nodes": ()}}
        for node in rollup["contexts"]["nodes"]:
            app = ((node or {}).get("checkSuite") or {}).get("app") or {}
            if app.get("databaseId"):
                found[app["databaseId"]] = app["slug"]
    return found


def protection(node: dict[str, Any], slugs: Mapping[int, str], speaks_as: str) -> Protection | None:
    """What GitHub demands of the branch whose ref was read: its classic protection and all active rules together, the
    stricter of both (Q49); None when not all could be read. An App that has never reported is nobody's. Where a list
    says who may push, and we are not on it by that login, the protection is reserved for them: teams as ``@ORG/TEAM``.
    """
    ref = node["ref"]
    rules = ref["rules"]
    if rules is None or rules["totalCount"] > len(rules["nodes"]) or None in rules["nodes"]:
        return None
    found = _classic(ref["branchProtectionRule"], speaks_as)
    for rule in _rules(ref):
        found = _stricter(found, rule, slugs)
    return found


def _rules(ref: dict[str, Any]) -> list[dict[str, Any]]:
    return [rule for rule in (ref["rules"] or {"nodes": ()})["nodes"] if rule is not None]


def _classic(rule: dict[str, Any] | None, speaks_as: str) -> Protection:
    if rule is None:
        return Protection()
    checks = rule["requiredStatusChecks"] or [] if rule["requiresStatusChecks"] else []
    return Protection(
        required=tuple((check["context"], (check["app"] or {}).get("slug")) for check in checks),
        reviews=rule["requiresApprovingReviews"] and _asks_for_reviews(rule),
        conversations=rule["requiresConversationResolution"],
        up_to_date=rule["requiresStatusChecks"] and rule["requiresStrictStatusChecks"],
        linear_history=rule["requiresLinearHistory"],
        signatures=rule["requiresCommitSignatures"],
        dismisses_stale=rule["requiresApprovingReviews"] and rule["dismissesStaleReviews"],
        last_push_approval=rule["requiresApprovingReviews"] and rule["requireLastPushApproval"],
        is_locked=rule["lockBranch"],
        unjudged=("required deployments",) if rule["requiresDeployments"] else (),
        by_pull=rule["requiresApprovingReviews"],
        reserved_for=_reserved_for(rule, speaks_as) if rule["restrictsPushes"] else (),
    )


def _asks_for_reviews(rule: dict[str, Any]) -> bool:
    """Whether a pull request alone does not do; without a number GitHub asks for one review."""
    asked = rule["requiredApprovingReviewCount"]
    return bool(asked != 0 or rule["requiresCodeOwnerReviews"] or rule["requireLastPushApproval"])


def _reserved_for(rule: dict[str, Any], speaks_as: str) -> tuple[str, ...]:
    """Who alone may push; () where we may. Administrators always may, which is a way round it."""
    actors = [one["actor"] or {} for one in rule["pushAllowances"]["nodes"]]
    names = {
        "User": lambda actor: str(actor["login"]),
        "App": lambda actor: f"{actor['slug']}[bot]",
        "Team": lambda actor: f"@{actor['combinedSlug']}",
    }
    named = tuple(names[actor["__typename"]](actor) for actor in actors if actor.get("__typename") in names)
    return () if speaks_as in named else named or ("administrators",)


def _stricter(known: Protection, rule: dict[str, Any], slugs: Mapping[int, str]) -> Protection:
    """Protection with one rule more."""
    kind, told = rule["type"], rule["parameters"] or {}
    match kind:
        case "REQUIRED_STATUS_CHECKS":
            checks = [(one["context"], one["integrationId"]) for one in told["requiredStatusChecks"]]
            apps = {number: slugs.get(number, f"App {number}") for _, number in checks if number}
            required = ((name, apps.get(number)) for name, number in checks)
            return replace(
                known,
                required=tuple(dict.fromkeys((*known.required, *required))),
                up_to_date=known.up_to_date or told["strictRequiredStatusChecksPolicy"],
            )
        case "PULL_REQUEST":
            asked = told["requiredApprovingReviewCount"] > 0 or told["requireCodeOwnerReview"]
            asked = asked or told["requireLastPushApproval"]
            return replace(
                known,
                by_pull=True,
                reviews=known.reviews or asked,
                conversations=known.conversations or told["requiredReviewThreadResolution"],
                dismisses_stale=known.dismisses_stale or (asked and told["dismissStaleReviewsOnPush"]),
                last_push_approval=known.last_push_approval or told["requireLastPushApproval"],
            )
        case "REQUIRED_LINEAR_HISTORY":
            return replace(known, linear_history=True)
        case "REQUIRED_SIGNATURES":
            return replace(known, signatures=True)
        case "LOCK_BRANCH":
            return replace(known, is_locked=True)
        case "UPDATE":
            return replace(known, no_updates=True)
        case "MERGE_QUEUE":
            return replace(known, by_pull=True)
        case _ if kind in _HARMLESS:
            return known
    return replace(known, unjudged=(*known.unjudged, kind.lower().replace("_", " ")))


def is_hidden(kind: str, merge_state: str) -> bool:
    """Whether it is not known of a rule that it is met, though we might be let past it: GitHub says so of some alone,
    in a pull request's merge state. `kind` is REST's word for it, in lower case.
    """
    name = kind.upper()
    if name in _HARMLESS | _JUDGED:
        return False
    return name not in _SHOWN or merge_state in {"BLOCKED", "UNKNOWN", ""}


def blockers(node: dict[str, Any]) -> tuple[Blocker, ...] | None:
    """The open blocker issues; () when none was asked for, None when not all could be read (D11)."""
    issues = node.get("issues", {"totalCount": 0, "nodes": []})
    if issues is None or issues["totalCount"] > len(issues["nodes"]) or None in issues["nodes"]:
        return None
    return tuple(blocker(issue["number"], issue["title"], issue["url"]) for issue in issues["nodes"])


def row(node: dict[str, Any] | None) -> Row | None:
    """The little of a pull request that tells whether it changed; None when even that could not be read."""
    if node is None:
        return None
    try:
        rollup = node["statusCheckRollup"]
        return Row(
            org=node["repository"]["owner"]["login"],
            repo=node["repository"]["name"],
            number=node["number"],
            node=node["id"],
            base=node["baseRefName"],
            head_sha=node["headRefOid"],
            updated_at=seconds(node["updatedAt"]),
            mergeable=mergeable(node["mergeable"]),
            merge_state=node["mergeStateStatus"],
            can_be_rebased=node["canBeRebased"],
            review_decision=node["reviewDecision"],
            results=_results(rollup) if rollup else (),
        )
    except (KeyError, TypeError):
        return None


def _results(rollup: dict[str, Any]) -> tuple[tuple[str, int], ...]:
    """How many contexts are in each state, statuses by its bare name; where a server does not count them, what all say
    together.
    """
    told = rollup["contexts"]
    runs, statuses = told["checkRunCountsByState"], told["statusContextCountsByState"]
    if runs is None or statuses is None:
        return ((f"all {rollup['state']}", told["totalCount"]),)
    counts = [(f"run {one['state']}", one["count"]) for one in runs]
    return tuple(sorted([*counts, *((one["state"], one["count"]) for one in statuses)]))


def usable(data: Any, errors: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """Partial data with everything an error is about taken away, so that it is missed and not taken for empty: that
    pull request, the blockers, the rules, or one of many branches (Q3). A pull request that is not there any more has
    no number, one of many repositories has under `refused` the error in its place, and who does not exist is None. None
    where the gaps cannot be told.
    """
    if not data or (_SEVERAL.isdisjoint(data) and not _has_places(data)):
        return None
    found: dict[str, Any] = data
    repo = found.get("repository")
    for error in errors:
        match error.get("path"):
            case [str(name), *_] if name.startswith("branch") and name in found:
                found[name] = None
            case [str(name), *_] if name.startswith("repo") and name in found and name != "repository":
                found[name] = {"refused": error}
            case [str(name)] if name.startswith("user") or name == "organization":
                if error.get("type") != "NOT_FOUND":
                    return None
            case ["nodes", int(index), *_] if index in range(len(found["nodes"])):
                node = found["nodes"][index]
                is_gone = node is None and error.get("type") == "NOT_FOUND"
                found["nodes"][index] = {} if is_gone else {"number": (node or {}).get("number")}
            case ["repository", "pullRequests", "nodes", int(index), *_] if repo is not None:
                rows = repo["pullRequests"]["nodes"]
                if index in range(len(rows)) and rows[index]:
                    rows[index] = {"id": rows[index].get("id"), "number": rows[index]["number"]}
            case ["repository", "issues", *_] if repo is not None:
                repo["issues"] = None
            case _ if repo is not None:
                repo["ref"]["rules"] = None
            case _:
                return None
    return found


_SEVERAL = frozenset({"branch0", "repo0", "user0", "organization"})
"""What stands first in answers about several things of one kind."""


def _has_places(data: dict[str, Any]) -> bool:
    """Whether there is a place for each pull request, and of a branch its tip and the page that was asked for."""
    if data.get("nodes") is None:
        return False
    if "repository" not in data:
        return True
    repo = data["repository"] or {}
    page = repo.get("pullRequests", {"pageInfo": {"hasNextPage": False}, "nodes": []}) or {}
    return bool((repo.get("ref") or {}).get("target") and page.get("pageInfo") and page.get("nodes") is not None)


def _enabled_by(request: dict[str, Any] | None) -> str:
    return login(request["enabledBy"]) if request else ""


def login(actor: dict[str, Any] | None) -> str:
    """Who; a deleted account is GitHub's `ghost` (Q32), an App has the name that REST and searches give it."""
    if actor is None:
        return "ghost"
    return f"{actor['login']}[bot]" if actor.get("__typename") == "Bot" else str(actor["login"])


def seconds(at: str | None) -> float:
    """Seconds since the epoch of an ISO time; 0.0 for none."""
    return datetime.fromisoformat(at).timestamp() if at else 0.0


def mergeable(text: str) -> Mergeable:
    """GitHub's opinion on conflicts; one that is not known is no opinion."""
    return Mergeable(text) if text in Mergeable.__members__ else Mergeable.UNKNOWN
