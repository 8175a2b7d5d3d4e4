"""GitHub's answers read as core values. What is missing or unknown is never guessed (D8)."""

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
    blocker,
)

_PASSING = frozenset({"SUCCESS", "NEUTRAL", "SKIPPED"})
_WRITERS = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
_METHODS = {
    "mergeCommitAllowed": Method.MERGE,
    "squashMergeAllowed": Method.SQUASH,
    "rebaseMergeAllowed": Method.REBASE,
}


def pull(node: dict[str, Any]) -> PullRequest | None:
    """A pull request; None when the node is not readable enough to be judged (partial data, more than 100 labels: Q3,
    Q33).
    """
    try:
        labels = node["labels"]
        if labels["totalCount"] > len(labels["nodes"]):
            return None
        head = node["headRefOid"]
        approvals = [one for one in node["reviews"]["nodes"] if one["authorAssociation"] in _WRITERS]
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
            contexts=contexts(node["statusCheckRollup"], head),
            milestone=(node["milestone"] or {}).get("title"),
            is_draft=node["isDraft"],
            is_open=node["state"] == "OPEN",
            mergeable=mergeable(node["mergeable"]),
            merge_state=node["mergeStateStatus"],
            can_be_rebased=node["canBeRebased"],
            review_decision=node["reviewDecision"],
            in_merge_queue=bool(node["isInMergeQueue"] or node["isMergeQueueEnabled"]),
            url=node["url"],
            updated_at=seconds(node["updatedAt"]),
            created_at=seconds(node["createdAt"]),
            approvers=tuple(
                dict.fromkeys(login(r["author"]) for r in approvals if (r["commit"] or {}).get("oid") == head)
            ),
            label_times=_label_times(node["timelineItems"]["nodes"]),
            unresolved_threads=_unresolved(node["reviewThreads"]),
            is_fork=node["isCrossRepository"],
            by_writer=node["authorAssociation"] in _WRITERS,
            paths=_paths(node["files"]),
            steps=node["commits"]["totalCount"],
            was_forced=_was_forced(node["timelineItems"]),
            head_owner=login(node["headRepositoryOwner"]) if node["headRepositoryOwner"] else "",
            maintainer_can_modify=node["maintainerCanModify"],
            body=node.get("body") or "",
            is_bot=(node["author"] or {}).get("__typename") == "Bot",
        )
    except (KeyError, TypeError):
        return None


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


def repository(node: dict[str, Any]) -> Repository:
    """The settings of a repository for merging."""
    allowed = frozenset(method for field, method in _METHODS.items() if node[field])
    return Repository(
        allowed,
        node["isArchived"],
        merge_title=node["mergeCommitTitle"],
        merge_message=node["mergeCommitMessage"],
        squash_title=node["squashMergeCommitTitle"],
        squash_message=node["squashMergeCommitMessage"],
    )


def commits(nodes: list[dict[str, Any]]) -> tuple[Commit, ...]:
    """The commits of a pull request as a rebase would replay them: merges are left out."""
    found = [node["commit"] for node in nodes]
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


def protection(node: dict[str, Any]) -> Protection:
    """What classic protection demands of the branch whose ref was read; nothing when there is no rule."""
    rule = node["ref"].get("branchProtectionRule")
    if rule is None:
        return Protection()
    checks = rule["requiredStatusChecks"] or [] if rule["requiresStatusChecks"] else []
    return Protection(
        required=tuple((check["context"], (check["app"] or {}).get("slug")) for check in checks),
        reviews=rule["requiresApprovingReviews"],
        conversations=rule["requiresConversationResolution"],
        up_to_date=rule["requiresStatusChecks"] and rule["requiresStrictStatusChecks"],
        linear_history=rule["requiresLinearHistory"],
        signatures=rule["requiresCommitSignatures"],
        dismisses_stale=rule["requiresApprovingReviews"] and rule["dismissesStaleReviews"],
        last_push_approval=rule["requiresApprovingReviews"] and rule["requireLastPushApproval"],
    )


def blockers(node: dict[str, Any]) -> tuple[Blocker, ...] | None:
    """The open blocker issues; () when none was asked for, None when not all could be read (D11)."""
    issues = node.get("issues", {"totalCount": 0, "nodes": []})
    if issues is None or issues["totalCount"] > len(issues["nodes"]) or None in issues["nodes"]:
        return None
    return tuple(blocker(issue["number"], issue["title"], issue["url"]) for issue in issues["nodes"])


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
