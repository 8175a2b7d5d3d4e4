"""Which permission of an App or fine-grained token each REST route and GraphQL mutation asks for.

The names and levels are those of GitHub's pages on the permissions of GitHub Apps; what those leave out follows
what its servers say in ``X-Accepted-GitHub-Permissions``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from mergeq.sandbox.refusals import NotSimulatedError
from mergeq.sandbox.users import LEVELS

Needs = Sequence[Mapping[str, str]]
"""Sets of permissions, any one of which will do; all of a set are needed."""

_PUBLIC = frozenset({"actions", "checks", "contents", "deployments", "issues", "metadata", "pull_requests", "statuses"})
"""What everybody may read of a public repository, whatever their token was given."""

_REPO = "/repos/{owner}/{repo}"
_READ_ONLY = re.compile(r"GET|HEAD")
_ROUTES: Sequence[tuple[str, str | None, str]] = (
    # pattern behind the repository, level if not by method, permissions ("a" or "a b", any of them)
    (r"PUT /pulls/\{pull_number\}/merge(-async.*)?", "write", "contents"),
    (r"GET /commits/\{commit_sha\}/pulls", None, "pull_requests contents"),
    (r"\w+ /pulls.*", None, "pull_requests"),
    (r"\w+ /issues/\{issue_number\}/(comments|labels|assignees|timeline|events).*", None, "issues pull_requests"),
    (r"\w+ /issues.*", None, "issues pull_requests"),
    (r"\w+ /(labels|milestones).*", None, "issues pull_requests"),
    (r"\w+ /branches/\{branch\}/(protection.*|rename)", None, "administration"),
    (r"GET /rulesets/\{ruleset_id\}/history", None, "administration"),
    (r"GET /(rulesets|rules/branches).*", "read", "metadata"),
    (r"\w+ /rulesets.*", None, "administration"),
    (r"\w+ /commits/\{ref\}/(check-runs|check-suites)", None, "checks"),
    (r"\w+ /commits/\{ref\}/(status|statuses)", None, "statuses"),
    (r"\w+ /statuses/.*", None, "statuses"),
    (r"\w+ /check-(runs|suites).*", None, "checks"),
    (r"\w+ /deployments.*", None, "deployments"),
    (
        r"\w+ /(branches|commits|compare|contents|readme|git|merges|merge-upstream|tarball|zipball|dispatches)($|/.*)",
        None,
        "contents",
    ),
    (r"\w+ /hooks.*", None, "repository_hooks"),
    (r"GET /teams", "read", "administration"),
    (r"GET /actions/permissions.*", None, "administration"),
    (r"\w+ /actions.*", None, "actions"),
    (r"GET /collaborators.*", "read", "metadata"),
    (r"\w+ /collaborators.*", None, "administration"),
    (r"GET ", "read", "metadata"),
    (r"(PATCH|DELETE) ", "write", "administration"),
    (r"POST /transfer", "write", "administration"),
)
_OTHERS: Sequence[tuple[str, str | None, str]] = (
    (r"GET /installation/repositories|GET /search/.*|GET /repositories.*|GET /orgs/\{org\}/repos", "read", "metadata"),
    (r"\w+ /orgs/\{org\}/(members|memberships|public_members|teams).*", None, "members"),
    (r"GET /orgs/\{org\}/(installations|audit-log)", "read", "organization_administration"),
    (r"\w+ /orgs/\{org\}/hooks.*", None, "organization_hooks"),
    (r"\w+ /orgs/\{org\}/rulesets.*", None, "organization_administration"),
)
_FREE = re.compile(r"GET /(rate_limit|meta|users?(/.*)?|apps/.*|orgs/\{org\})|DELETE /installation/token")
"""What any token may ask."""

MUTATIONS: Mapping[str, Needs] = {
    "addComment": ({"issues": "write"}, {"pull_requests": "write"}),
    "addAssigneesToAssignable": ({"issues": "write"}, {"pull_requests": "write"}),
    "removeAssigneesFromAssignable": ({"issues": "write"}, {"pull_requests": "write"}),
    "requestReviews": ({"pull_requests": "write"},),
    "updateIssue": ({"issues": "write"},),
    "closeIssue": ({"issues": "write"},),
    "createIssue": ({"issues": "write"},),
    "reopenIssue": ({"issues": "write"},),
    "addLabelsToLabelable": ({"issues": "write"}, {"pull_requests": "write"}),
    "removeLabelsFromLabelable": ({"issues": "write"}, {"pull_requests": "write"}),
    "createRef": ({"contents": "write"},),
    "deleteRef": ({"contents": "write"},),
    "updateRef": ({"contents": "write"},),
    "updateRefs": ({"contents": "write"},),
    "mergeBranch": ({"contents": "write"},),
    "mergePullRequest": ({"contents": "write"},),
    "createCommitOnBranch": ({"contents": "write"},),
    "addPullRequestReview": ({"pull_requests": "write"},),
    "closePullRequest": ({"pull_requests": "write"},),
    "convertPullRequestToDraft": ({"pull_requests": "write"},),
    "createPullRequest": ({"pull_requests": "write"},),
    "markPullRequestReadyForReview": ({"pull_requests": "write"},),
    "reopenPullRequest": ({"pull_requests": "write"},),
    "updatePullRequest": ({"pull_requests": "write"},),
    "updatePullRequestBranch": ({"pull_requests": "write"},),
    "enablePullRequestAutoMerge": ({"pull_requests": "write"},),
    "disablePullRequestAutoMerge": ({"pull_requests": "write"},),
    "enqueuePullRequest": ({"merge_queues": "write"},),
    "dequeuePullRequest": ({"merge_queues": "write"},),
    "resolveReviewThread": ({"pull_requests": "write"},),
    "unresolveReviewThread": ({"pull_requests": "write"},),
    "createBranchProtectionRule": ({"administration": "write"},),
    "updateBranchProtectionRule": ({"administration": "write"},),
    "deleteBranchProtectionRule": ({"administration": "write"},),
    **dict.fromkeys(
        ("createRepositoryRuleset", "updateRepositoryRuleset", "deleteRepositoryRuleset"),
        ({"administration": "write"}, {"organization_administration": "write"}),
    ),
}


def needs_of(route: str) -> Needs:
    """What ``METHOD /path`` (in GitHub's spelling) asks for; empty: nothing. Raises NotSimulatedError if not known."""
    if _FREE.fullmatch(route):
        return ()
    method, _, path = route.partition(" ")
    in_repo = path.startswith(_REPO)
    wanted = f"{method} {path.removeprefix(_REPO)}" if in_repo else route
    for pattern, level, names in _ROUTES if in_repo else _OTHERS:
        if re.fullmatch(pattern, wanted):
            chosen = level or ("read" if _READ_ONLY.fullmatch(method) else "write")
            return tuple({name: chosen} for name in names.split())
    raise NotSimulatedError(f"the permissions that {route} asks for")


def met(needs: Needs, held: Mapping[str, str]) -> bool:
    """Whether a token that holds these permissions may go on."""
    return not needs or any(all(_reaches(held.get(name), level) for name, level in one.items()) for one in needs)


def _reaches(held: str | None, level: str) -> bool:
    return held is not None and LEVELS.index(held) >= LEVELS.index(level)


def public(needs: Needs) -> bool:
    """Whether anybody may do this in a public repository."""
    return not needs or any(set(one.values()) == {"read"} and one.keys() <= _PUBLIC for one in needs)


def spelt(needs: Needs) -> str:
    """The value of ``X-Accepted-GitHub-Permissions``."""
    return "; ".join(",".join(f"{name}={level}" for name, level in one.items()) for one in needs)
