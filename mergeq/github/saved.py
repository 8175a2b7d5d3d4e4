"""Pull requests and whole worlds saved as JSON, and read as core values: bug reports and golden vectors.

A saved pull request is the node that Tide's search asks for, with what mergeq knows beside that under the names of
GitHub's GraphQL. Of its commits only the one of its head matters.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from mergeq.core.batch import Conflict, Member, Run
from mergeq.core.compat import Compat
from mergeq.core.decide import Situation
from mergeq.core.evidence import Evidence
from mergeq.core.orders import Eviction
from mergeq.core.pool import Arrival, Memory, Refusal, Unproved
from mergeq.core.pull import (
    Blocker,
    Branch,
    BranchFacts,
    Context,
    Method,
    Protection,
    PullRequest,
    Repository,
    Result,
    blocker,
)
from mergeq.core.reason import Reason
from mergeq.github import parse

JSON = Mapping[str, Any]

_METHODS = {
    "allow_merge_commit": Method.MERGE,
    "allow_squash_merge": Method.SQUASH,
    "allow_rebase_merge": Method.REBASE,
}
_WORDING = {
    "merge_commit_title": "merge_title",
    "merge_commit_message": "merge_message",
    "squash_merge_commit_title": "squash_title",
    "squash_merge_commit_message": "squash_message",
}
_PLAIN = {
    "isDraft": "is_draft",
    "url": "url",
    "isCrossRepository": "is_fork",
    "maintainerCanModify": "maintainer_can_modify",
    "isInMergeQueue": "in_merge_queue",
}
_OURS = (
    "approvers",
    "objectors",
    "label_times",
    "unresolved_threads",
    "auto_merge_by",
    "by_writer",
    "steps",
    "head_owner",
    "was_forced",
)
_KNOWN = {"arrival": Arrival, "eviction": Eviction, "refusal": Refusal, "unproved": Unproved, "conviction": Reason}


class Malformed(ValueError):
    """A saved document that lacks something or has something else in its place; the text says where."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A configuration file as it was; one that is not `is_main` may only add to others (T1.6)."""

    name: str
    text: str
    is_main: bool = True


@dataclass(frozen=True, slots=True)
class World:
    """A saved world: every branch that a pull request wants to reach.

    `unmergeable` are heads that conflict with every base, `clashing` pairs of heads of which one does not merge after
    the other. `config` are the configuration files that were in force.
    """

    situations: tuple[Situation, ...] = ()
    unmergeable: frozenset[str] = frozenset()
    clashing: frozenset[frozenset[str]] = frozenset()
    config: tuple[ConfigFile, ...] = ()

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
    except (KeyError, TypeError, AttributeError, ValueError, msgspec.ValidationError) as error:
        raise Malformed(f"not a pull request as Tide's search returns it: {_said(error)}") from error


def pull_json(read: PullRequest) -> dict[str, Any]:
    """A pull request as `pull` reads it again."""
    statuses = [one for one in read.contexts or () if one.app is None]
    runs = [one for one in read.contexts or () if one.app is not None]
    commit = {
        "oid": read.head_sha,
        "status": {
            "contexts": [
                {
                    "context": one.name,
                    "state": one.result.value,
                    "description": one.description,
                    "targetUrl": one.url,
                    "createdAt": _time(one.at),
                }
                for one in statuses
            ]
        },
        "statusCheckRollup": {"contexts": {"nodes": [_run_json(one) for one in runs]}},
    }
    return {
        "number": read.number,
        "title": read.title,
        "body": read.body,
        "author": {"login": read.author},
        "authorMetadata": {"__typename": "Bot" if read.is_bot else "User"},
        "baseRef": {"name": read.base, "prefix": "refs/heads/"},
        "headRefName": read.head_ref,
        "headRefOid": read.head_sha,
        "mergeable": read.mergeable.value,
        "mergeStateStatus": read.merge_state,
        "canBeRebased": read.can_be_rebased,
        "repository": {
            "name": read.repo,
            "nameWithOwner": f"{read.org}/{read.repo}",
            "owner": {"login": read.org},
        },
        "reviewDecision": read.review_decision,
        "labels": {"nodes": [{"name": label} for label in read.labels]},
        "milestone": {"title": read.milestone} if read.milestone is not None else None,
        "commits": {"nodes": [{"commit": commit}] if read.contexts is not None else []},
        "state": "OPEN" if read.is_open else "CLOSED",
        "updatedAt": _time(read.updated_at),
        "createdAt": _time(read.created_at),
        **{key: getattr(read, name) for key, name in _PLAIN.items()},
        "mergeq": msgspec.to_builtins({name: getattr(read, name) for name in _OURS}),
    }


def world(document: JSON, compat: Compat = Compat.MERGEQ) -> World:
    """A saved world. Raises Malformed.

    Under TIDE nothing is known of blockers where no pull request was found (T7.1), or where they could not be read.
    """
    where = "prs"
    try:
        pulls: dict[Branch, list[PullRequest]] = {}
        known: dict[Branch, list[tuple[PullRequest, JSON]]] = {}
        statuses, runs = document.get("combined_status") or {}, document.get("check_runs") or {}
        for index, one in enumerate(document["prs"]):
            where = f"prs[{index}]"
            head = one["pr"]["headRefOid"]
            rest = {"statuses": statuses.get(head) or (), "check_runs": runs.get(head) or ()}
            paths = one.get("changed_files") or () if "changed_files" in one or compat is Compat.TIDE else None
            read = _pull(
                one["pr"], rest if head in statuses or head in runs else None, None if paths is None else tuple(paths)
            )
            read = replace(read, was_found=one.get("in_search", True))
            pulls.setdefault(read.branch, []).append(read)
            known.setdefault(read.branch, []).append((read, one.get("known") or {}))
        where = "evidence"
        tested = [_tested(entry) for entry in document.get("evidence") or ()]
        where = "refs, repos, branches or blocker_issues"
        situations = tuple(
            _situation(document, branch, found, known[branch], tested) for branch, found in pulls.items()
        )
        if compat is Compat.TIDE:
            asked = any(pull.was_found for found in pulls.values() for pull in found)
            situations = tuple(_as_tide_knows(one) if not asked or one.facts.partial else one for one in situations)
        where = "config, git_conflicts_with_base or git_conflict_pairs"
        alone = frozenset(document.get("git_conflicts_with_base") or ())
        pairs = frozenset(frozenset(pair) for pair in document.get("git_conflict_pairs") or ())
        config = msgspec.convert(document.get("config") or (), tuple[ConfigFile, ...])
    except (KeyError, TypeError, AttributeError, ValueError, msgspec.ValidationError) as error:
        raise Malformed(f"{where}: not as a saved world has it: {_said(error)}") from error
    return World(situations, alone, pairs, config)


def world_json(situations: Iterable[Situation], config: Iterable[ConfigFile]) -> dict[str, Any]:
    """Situations as `world` reads them again."""
    situations = tuple(situations)
    return {
        "refs": {
            f"{one.facts.branch.full_repo} heads/{one.facts.branch.name}": one.facts.base_sha for one in situations
        },
        "repos": {
            one.facts.branch.full_repo: {
                **{key: method in one.facts.repository.allowed_methods for key, method in _METHODS.items()},
                **{key: getattr(one.facts.repository, name) for key, name in _WORDING.items()},
                "archived": one.facts.repository.is_archived,
                "withholds_workflows": one.facts.repository.withholds_workflows,
            }
            for one in situations
        },
        "prs": [
            {
                "in_search": pull.was_found,
                "pr": pull_json(pull),
                **({} if pull.paths is None else {"changed_files": list(pull.paths)}),
                "known": _known_json(pull, one.memory),
            }
            for one in situations
            for pull in one.facts.pulls
        ],
        "blocker_issues": [
            {
                "number": issue.number,
                "title": issue.title,
                "url": issue.url,
                "branches": list(issue.branches),
                "repository": {"name": one.facts.branch.repo, "owner": {"login": one.facts.branch.org}},
            }
            for one in situations
            for issue in one.facts.blockers
        ],
        "evidence": [
            {"branch": str(one.facts.branch), **msgspec.to_builtins(run)} for one in situations for run in one.runs
        ],
        "branches": {
            str(one.facts.branch): {
                "protection": msgspec.to_builtins(one.facts.protection),
                "conflicts": msgspec.to_builtins(one.conflicts),
                "partial": one.facts.partial,
                "unread": list(one.facts.unread),
                "halted": one.halted,
                "now": one.now,
            }
            for one in situations
        },
        "config": msgspec.to_builtins(tuple(config)),
    }


def rows_of(run: Run, branch: Branch) -> tuple[Evidence, ...]:
    """What a run of ours would be to Tide."""
    heads = tuple((member.number, member.head_sha) for member in run.members)
    return tuple(
        Evidence(branch, run.base_sha, heads, one.name, one.result, len(heads) > 1, "tide", one.url)
        for one in run.contexts or ()
    )


def _pull(node: JSON, reports: JSON | None, paths: tuple[str, ...] | None) -> PullRequest:
    head = node["headRefOid"]
    commits = (one["commit"] for one in node["commits"]["nodes"])
    commit = next((one for one in commits if one["oid"] == head), None)
    ours = msgspec.convert(node.get("mergeq") or {}, _Ours)
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
        is_open=node.get("state", "OPEN") == "OPEN",
        updated_at=parse.seconds(node.get("updatedAt")),
        created_at=parse.seconds(node.get("createdAt")),
        body=node.get("body") or "",
        is_bot=(node.get("authorMetadata") or {}).get("__typename") == "Bot",
        paths=paths,
        **{name: node[key] for key, name in _PLAIN.items() if key in node},
        **{name: getattr(ours, name) for name in _OURS},
    )


class _Ours(msgspec.Struct):
    """What mergeq knows of a pull request beside the fields of its node."""

    approvers: tuple[str, ...] = ()
    objectors: tuple[str, ...] = ()
    label_times: tuple[tuple[str, float], ...] = ()
    unresolved_threads: int = 0
    auto_merge_by: str = ""
    by_writer: bool = False
    steps: int = 1
    head_owner: str = ""
    was_forced: bool = True


def _contexts_of(commit: JSON) -> tuple[Context, ...]:
    statuses = (commit["status"] or {"contexts": ()})["contexts"]
    rollup = commit["statusCheckRollup"] or {"contexts": {"nodes": ()}}
    return contexts(statuses, rollup["contexts"]["nodes"])


def contexts(statuses: Any, check_runs: Any) -> tuple[Context, ...]:
    """Statuses, then check runs, as core values; a node that is no check run is empty and left out (T3.18, T3.19)."""
    return (
        *(
            Context(
                one["context"],
                parse.status_result(one["state"]),
                at=parse.seconds(one.get("createdAt")),
                description=one.get("description") or "",
                url=one.get("targetUrl") or "",
            )
            for one in statuses
        ),
        *(
            Context(
                one["name"],
                parse.check_result(one["status"], one["conclusion"]),
                app=((one.get("checkSuite") or {}).get("app") or {}).get("slug") or "unknown app",
                at=parse.seconds(one.get("startedAt")),
                serial=one.get("databaseId") or 0,
                url=one.get("detailsUrl") or "",
                conclusion=(one["conclusion"] or "").lower(),
                ended_at=parse.seconds(one.get("completedAt")),
            )
            for one in check_runs
            if one.get("name")
        ),
    )


def _run_json(run: Context) -> dict[str, Any]:
    ended = run.result not in {Result.PENDING, Result.EXPECTED}
    said = run.conclusion.upper() or ("SUCCESS" if run.result is Result.SUCCESS else "FAILURE")
    return {
        "name": run.name,
        "status": "COMPLETED" if ended else "IN_PROGRESS",
        "conclusion": said if ended else None,
        "startedAt": _time(run.at),
        "completedAt": _time(run.ended_at),
        "databaseId": run.serial,
        "detailsUrl": run.url,
        "checkSuite": {"app": {"slug": run.app}},
    }


def _situation(
    document: JSON,
    branch: Branch,
    pulls: Iterable[PullRequest],
    known: Iterable[tuple[PullRequest, JSON]],
    tested: Iterable[tuple[Branch, Run | Evidence]],
) -> Situation:
    extra = (document.get("branches") or {}).get(str(branch)) or {}
    here = [one for where, one in tested if where == branch]
    rows = [one for one in here if isinstance(one, Evidence)]
    runs = [one for one in here if isinstance(one, Run)]
    return Situation(
        _facts(document, branch, tuple(pulls), extra),
        _memory(known),
        (*runs, *_runs_of(rows)),
        msgspec.convert(extra.get("conflicts") or (), tuple[Conflict, ...]),
        extra.get("halted", ""),
        float(extra.get("now", 0.0)),
        (*rows, *(row for run in runs for row in rows_of(run, branch))),
    )


def _facts(document: JSON, branch: Branch, pulls: tuple[PullRequest, ...], extra: JSON) -> BranchFacts:
    allowed = (document.get("repos") or {}).get(branch.full_repo)
    methods = [method for key, method in _METHODS.items() if allowed is None or allowed.get(key)]
    issues = [
        blocker(issue["number"], issue["title"], issue["url"])
        if "branches" not in issue
        else Blocker(issue["number"], issue["title"], issue["url"], tuple(issue["branches"]))
        for issue in document.get("blocker_issues") or ()
        if (issue["repository"]["owner"]["login"], issue["repository"]["name"]) == (branch.org, branch.repo)
    ]
    failed = document.get("blockers_error_orgs") or ()
    unread = branch.org in failed if document.get("apps_auth", True) else bool(failed)  # a token searches all at once
    return BranchFacts(
        branch,
        document["refs"][f"{branch.full_repo} heads/{branch.name}"],
        pulls,
        Repository(
            frozenset(methods),
            bool((allowed or {}).get("archived")),
            withholds_workflows=bool((allowed or {}).get("withholds_workflows")),
            **{name: allowed[key] for key, name in _WORDING.items() if allowed and key in allowed},
        ),
        msgspec.convert(extra.get("protection") or {}, Protection),
        tuple(issues),
        "the issues that may block it" if unread else extra.get("partial", ""),
        tuple(extra.get("unread", ())),
    )


def _memory(known: Iterable[tuple[PullRequest, JSON]]) -> Memory:
    """What was known of the pull requests from before."""
    read: list[tuple[PullRequest, dict[str, Any], JSON]] = [
        (pull, {name: msgspec.convert(one[name], kind) for name, kind in _KNOWN.items() if name in one}, one)
        for pull, one in known
    ]
    return Memory(
        entered={(pull.number, pull.head_sha): float(one["entered"]) for pull, _, one in read if "entered" in one},
        refusals={pull.number: found["refusal"] for pull, found, _ in read if "refusal" in found},
        convictions={pull.head_sha: found["conviction"] for pull, found, _ in read if "conviction" in found},
        arrivals={pull.number: found["arrival"] for pull, found, _ in read if "arrival" in found},
        unproved={pull.number: found["unproved"] for pull, found, _ in read if "unproved" in found},
        evictions={pull.number: found["eviction"] for pull, found, _ in read if "eviction" in found},
    )


def _known_json(pull: PullRequest, memory: Memory) -> dict[str, Any]:
    found = {
        "entered": memory.entered.get((pull.number, pull.head_sha)),
        "arrival": memory.arrivals.get(pull.number),
        "refusal": memory.refusals.get(pull.number),
        "conviction": memory.convictions.get(pull.head_sha),
        "unproved": memory.unproved.get(pull.number),
        "eviction": memory.evictions.get(pull.number),
    }
    return {name: msgspec.to_builtins(value) for name, value in found.items() if value is not None}


def _as_tide_knows(situation: Situation) -> Situation:
    return replace(situation, facts=replace(situation.facts, blockers=()))


def _tested(entry: JSON) -> tuple[Branch, Run | Evidence]:
    """One entry of `evidence`: a run of ours with its `members`, or a row with `pulls`, what one job said."""
    branch = Branch.parse(entry["branch"])
    if "members" in entry:
        return branch, msgspec.convert({key: value for key, value in entry.items() if key != "branch"}, Run)
    heads = tuple((one["number"], one["sha"]) for one in entry["pulls"])
    return branch, Evidence(
        branch,
        entry["base_sha"],
        heads,
        entry["context"],
        Result(entry["state"].upper()),
        is_batch=entry.get("batch", len(heads) > 1),
        reporter=entry.get("reporter", ""),
        url=entry.get("url", ""),
    )


def _runs_of(rows: Iterable[Evidence]) -> tuple[Run, ...]:
    """Rows about the same heads on the same base as one run, for want of a better one."""
    together: dict[tuple[str, tuple[tuple[int, str], ...]], list[Evidence]] = {}
    for row in rows:
        together.setdefault((row.base_sha, row.heads), []).append(row)
    return tuple(
        Run(
            id=f"saved-{index}",
            base_sha=base_sha,
            members=tuple(Member(number, sha, Method.MERGE) for number, sha in heads),
            ref="saved",
            staged_sha="saved",
            trees=(),
            started_at=0.0,
            contexts=tuple(Context(one.context, one.result, url=one.url) for one in found),
        )
        for index, ((base_sha, heads), found) in enumerate(together.items())
    )


def _time(at: float) -> str | None:
    return datetime.fromtimestamp(at, UTC).isoformat() if at else None


def _said(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
