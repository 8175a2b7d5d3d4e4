"""Pull requests and whole worlds that were saved as JSON, read as core values: bug reports and golden vectors.

A saved pull request is the node that Tide's search asks for. Of its commits only the one of its head matters.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mergeq.core.compat import Compat
from mergeq.core.evidence import Evidence
from mergeq.core.pull import Branch, BranchFacts, Context, Method, PullRequest, Repository, Result, blocker
from mergeq.github import parse

JSON = Mapping[str, Any]

_METHODS = {
    "allow_merge_commit": Method.MERGE,
    "allow_squash_merge": Method.SQUASH,
    "allow_rebase_merge": Method.REBASE,
}


class Malformed(ValueError):
    """A saved document that lacks something or has something else in its place; the text says where."""


@dataclass(frozen=True, slots=True)
class World:
    """A saved world. `facts` has every branch that a pull request wants to reach.

    `unmergeable` are heads that conflict with every base, `clashing` pairs of heads of which one does not merge after
    the other.
    """

    facts: tuple[BranchFacts, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    unmergeable: frozenset[str] = frozenset()
    clashing: frozenset[frozenset[str]] = frozenset()

    def merges(self, prefix: tuple[str, ...], head: str) -> bool:
        """Whether a head merges into a base after the heads of `prefix`."""
        return head not in self.unmergeable and not any(frozenset({one, head}) in self.clashing for one in prefix)


def pull(node: JSON, reports: JSON | None = None, paths: tuple[str, ...] | None = None) -> PullRequest:
    """A saved pull request. Raises Malformed.

    `reports` are the contexts of its head where they are not among the commits of the node, as REST answers them: lists
    of `statuses` and `check_runs`; without them such contexts are unknown.
    """
    try:
        return _pull(node, reports, paths)
    except (KeyError, TypeError, AttributeError) as error:
        raise Malformed(f"not a pull request as Tide's search returns it: {_said(error)}") from error


def world(document: JSON, compat: Compat = Compat.MERGEQ) -> World:
    """A saved world. Raises Malformed.

    Under TIDE nothing is known of blockers where no pull request was found (T7.1), or where they could not be read.
    """
    where = ""
    try:
        pulls: dict[Branch, list[PullRequest]] = {}
        for index, one in enumerate(document["prs"]):
            where = f"prs[{index}]"
            head, statuses = one["pr"]["headRefOid"], document.get("combined_status") or {}
            runs = document.get("check_runs") or {}
            rest = {"statuses": statuses.get(head) or (), "check_runs": runs.get(head) or ()}
            known = rest if head in statuses or head in runs else None
            read = replace(
                _pull(one["pr"], known, tuple(one.get("changed_files") or ())), was_found=one.get("in_search", True)
            )
            pulls.setdefault(read.branch, []).append(read)
        where = "refs, repos or blocker_issues"
        facts = tuple(_facts(document, branch, tuple(found)) for branch, found in pulls.items())
        if compat is Compat.TIDE:
            asked = any(pull.was_found for found in pulls.values() for pull in found)
            facts = tuple(one if asked and not one.partial else replace(one, blockers=()) for one in facts)
        where = "evidence"
        evidence = tuple(_evidence(row) for row in document.get("evidence") or ())
        where = "git_conflicts_with_base or git_conflict_pairs"
        alone = frozenset(document.get("git_conflicts_with_base") or ())
        pairs = frozenset(frozenset(pair) for pair in document.get("git_conflict_pairs") or ())
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Malformed(f"{where}: not as a saved world has it: {_said(error)}") from error
    return World(facts, evidence, alone, pairs)


def _pull(node: JSON, reports: JSON | None, paths: tuple[str, ...] | None) -> PullRequest:
    head = node["headRefOid"]
    commits = (one["commit"] for one in node["commits"]["nodes"])
    commit = next((one for one in commits if one["oid"] == head), None)
    return PullRequest(
        org=node["repository"]["owner"]["login"],
        repo=node["repository"]["name"],
        number=node["number"],
        base=node["baseRef"]["name"],
        head_sha=head,
        head_ref=node["headRefName"],
        title=node["title"],
        author=(node["author"] or {}).get("login", "ghost"),
        labels=tuple(label["name"] for label in node["labels"]["nodes"]),
        contexts=_contexts_of(commit) if commit else contexts(**reports) if reports else None,
        milestone=(node["milestone"] or {}).get("title"),
        mergeable=parse.mergeable(node["mergeable"]),
        merge_state=node["mergeStateStatus"],
        can_be_rebased=node["canBeRebased"],
        review_decision=node["reviewDecision"],
        updated_at=parse.seconds(node.get("updatedAt")),
        paths=paths,
    )


def _contexts_of(commit: JSON) -> tuple[Context, ...]:
    statuses = (commit["status"] or {"contexts": ()})["contexts"]
    rollup = commit["statusCheckRollup"] or {"contexts": {"nodes": ()}}
    return contexts(statuses, rollup["contexts"]["nodes"])


def contexts(statuses: Any, check_runs: Any) -> tuple[Context, ...]:
    """Statuses, then check runs, as core values; a node that is no check run is empty and left out (T3.18, T3.19)."""
    return (
        *(
            Context(one["context"], parse.status_result(one["state"]), description=one.get("description") or "")
            for one in statuses
        ),
        *(
            Context(one["name"], parse.check_result(one["status"], one["conclusion"]), app="unknown app")
            for one in check_runs
            if one.get("name")
        ),
    )


def _facts(document: JSON, branch: Branch, pulls: tuple[PullRequest, ...]) -> BranchFacts:
    allowed = (document.get("repos") or {}).get(branch.full_repo)
    methods = [method for key, method in _METHODS.items() if allowed is None or allowed.get(key)]
    issues = [
        blocker(issue["number"], issue["title"], issue["url"])
        for issue in document.get("blocker_issues") or ()
        if (issue["repository"]["owner"]["login"], issue["repository"]["name"]) == (branch.org, branch.repo)
    ]
    failed = document.get("blockers_error_orgs") or ()
    unread = branch.org in failed if document.get("apps_auth", True) else bool(failed)  # a token searches all at once
    return BranchFacts(
        branch,
        document["refs"][f"{branch.full_repo} heads/{branch.name}"],
        pulls,
        Repository(frozenset(methods)),
        blockers=tuple(issues),
        partial="the issues that may block it" if unread else "",
    )


def _evidence(row: JSON) -> Evidence:
    heads = tuple((one["number"], one["sha"]) for one in row["pulls"])
    return Evidence(
        Branch.parse(row["branch"]),
        row["base_sha"],
        heads,
        row["context"],
        Result(row["state"].upper()),
        is_batch=row.get("batch", len(heads) > 1),
        reporter=row.get("reporter", ""),
        url=row.get("url", ""),
    )


def _said(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
