"""The GraphQL documents that are sent, each named for what it is for, and what servers may lack of them."""

from collections.abc import Collection
from functools import cache
from typing import Any

from graphql import REMOVE, FieldNode, Visitor, parse, print_ast, visit

OPTIONAL: dict[str, dict[str, Any]] = {
    "PullRequest": {"mergeStateStatus": "UNKNOWN", "isInMergeQueue": False, "isMergeQueueEnabled": False},
    "Ref": {"rules": {"totalCount": 0, "nodes": []}},
    "Repository": {
        "mergeCommitTitle": "MERGE_MESSAGE",
        "mergeCommitMessage": "PR_TITLE",
        "squashMergeCommitTitle": "COMMIT_OR_PR_TITLE",
        "squashMergeCommitMessage": "COMMIT_MESSAGES",
    },
}
"""Fields by type that a GitHub Enterprise Server may be too old for, with what holds where there is no such thing
(Q84).
"""

_TOLD_BY = {"PullRequest": "headRefName", "Ref": "branchProtectionRule", "Repository": "isArchived"}
"""By which field an answer shows that it is of a type, in all our documents that ask for something optional of it."""

_PULL = """
fragment Pull on PullRequest {
  number state isDraft title url createdAt updatedAt authorAssociation isCrossRepository maintainerCanModify
  author { __typename login }
  headRepositoryOwner { login }
  headRepository { name }
  headRef { target { oid } }
  baseRefName headRefName headRefOid
  mergeable mergeStateStatus canBeRebased reviewDecision isInMergeQueue isMergeQueueEnabled
  repository { name owner { login } }
  milestone { title }
  labels(first: 100) { ...Labels }
  reviews(last: 50, states: [APPROVED]) { nodes { author { __typename login } authorAssociation commit { oid } } }
  reviewThreads(first: 100) { totalCount nodes { isResolved } }
  commits(first: 1) { totalCount }
  files(first: 100) { totalCount nodes { path } }
  timelineItems(last: 100, itemTypes: [LABELED_EVENT, HEAD_REF_FORCE_PUSHED_EVENT]) {
    pageInfo { hasPreviousPage }
    nodes { __typename ... on LabeledEvent { createdAt label { name } } }
  }
  statusCheckRollup { ...Rollup }
}
"""

_LABELS = """
fragment Labels on LabelConnection {
  totalCount
  pageInfo { hasNextPage endCursor }
  nodes { name }
}
"""

_CONTEXTS = """
fragment Contexts on StatusCheckRollupContextConnection {
  totalCount
  pageInfo { hasNextPage endCursor }
  nodes {
    __typename
    ... on CheckRun { databaseId name status conclusion startedAt detailsUrl checkSuite { app { slug databaseId } } }
    ... on StatusContext { context state description targetUrl createdAt }
  }
}
"""

_ROLLUP = (
    """
fragment Rollup on StatusCheckRollup {
  commit { oid }
  contexts(first: 100) { ...Contexts }
}
"""
    + _CONTEXTS
)

_REPOSITORY = """
fragment Settings on Repository {
  nameWithOwner isArchived mergeCommitAllowed squashMergeAllowed rebaseMergeAllowed
  mergeCommitTitle mergeCommitMessage squashMergeCommitTitle squashMergeCommitMessage
  ref(qualifiedName: $ref) {
    target { oid }
    branchProtectionRule {
      requiresStatusChecks requiresStrictStatusChecks requiredStatusChecks { context app { slug } }
      requiresApprovingReviews requiresLinearHistory requiresCommitSignatures requiresConversationResolution
      dismissesStaleReviews requireLastPushApproval lockBranch
    }
    rules(first: 100) {
      totalCount
      nodes {
        type
        parameters {
          __typename
          ... on RequiredStatusChecksParameters {
            strictRequiredStatusChecksPolicy requiredStatusChecks { context integrationId }
          }
          ... on PullRequestParameters {
            requiredApprovingReviewCount requiredReviewThreadResolution dismissStaleReviewsOnPush
            requireLastPushApproval requireCodeOwnerReview allowedMergeMethods
          }
        }
      }
    }
  }
  issues(first: 100, states: [OPEN], labels: $labels) @include(if: $blockers) {
    totalCount
    nodes { number title url }
  }
}
"""

NOMINATE = """
query Nominate($query: String!, $cursor: String) {
  rateLimit { cost limit remaining resetAt }
  search(type: ISSUE, first: 100, after: $cursor, query: $query) {
    issueCount
    pageInfo { hasNextPage endCursor }
    nodes { __typename ... on PullRequest { number updatedAt baseRefName repository { name owner { login } } } }
  }
}
"""

BRANCH = (
    """
query Branch(
  $owner: String!, $name: String!, $ref: String!, $base: String!, $first: Int!, $cursor: String, $labels: [String!],
  $blockers: Boolean!
) {
  rateLimit { cost limit remaining resetAt }
  repository(owner: $owner, name: $name) {
    ...Settings
    pullRequests(
      first: $first, after: $cursor, states: [OPEN], baseRefName: $base, orderBy: {field: CREATED_AT, direction: ASC}
    ) {
      pageInfo { hasNextPage endCursor }
      nodes { ...Pull }
    }
  }
}
"""
    + _PULL
    + _LABELS
    + _ROLLUP
    + _REPOSITORY
)

PULL = (
    """
query LastLook($owner: String!, $name: String!, $number: Int!, $ref: String!, $labels: [String!], $blockers: Boolean!) {
  rateLimit { cost limit remaining resetAt }
  repository(owner: $owner, name: $name) {
    ...Settings
    pullRequest(number: $number) { ...Pull body }
  }
}
"""
    + _PULL
    + _LABELS
    + _ROLLUP
    + _REPOSITORY
)

SCHEMA = (
    "query Schema {\n"
    + "".join(f"  {name}: __type(name: {name!r}) {{ fields {{ name }} }}\n" for name in OPTIONAL).replace("'", '"')
    + "}\n"
)

BASE = """
query Base($owner: String!, $name: String!, $number: Int!) {
  rateLimit { cost limit remaining resetAt }
  repository(owner: $owner, name: $name) { pullRequest(number: $number) { baseRefName } }
}
"""

LANDING = """
query Landing(
  $owner: String!, $name: String!, $number: Int!, $ref: String!, $depth: Int!, $sha: GitObjectID, $known: Boolean!
) {
  rateLimit { cost limit remaining resetAt }
  repository(owner: $owner, name: $name) {
    ref(qualifiedName: $ref) { target { oid } }
    object(oid: $sha) @include(if: $known) { ...Landed }
    pullRequest(number: $number) {
      state merged headRefOid
      mergeCommit { ...Landed }
    }
  }
}

fragment Landed on Commit {
  oid
  tree { oid }
  history(first: $depth) { nodes { oid parents(first: 1) { nodes { oid } } } }
}
"""

COMMITS = """
query Commits($owner: String!, $name: String!, $number: Int!, $cursor: String) {
  rateLimit { cost limit remaining resetAt }
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      headRefOid
      commits(first: 100, after: $cursor) {
        totalCount
        pageInfo { hasNextPage endCursor }
        nodes {
          commit { oid message author { name email user { login } } parents(first: 2) { totalCount nodes { oid } } }
        }
      }
    }
  }
}
"""

LABELS = (
    """
query Labels($owner: String!, $name: String!, $number: Int!, $cursor: String) {
  rateLimit { cost limit remaining resetAt }
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) { labels(first: 100, after: $cursor) { ...Labels } }
  }
}
"""
    + _LABELS
)

CONTEXTS = (
    """
query Contexts($owner: String!, $name: String!, $sha: GitObjectID!, $cursor: String) {
  rateLimit { cost limit remaining resetAt }
  repository(owner: $owner, name: $name) {
    object(oid: $sha) { ... on Commit { statusCheckRollup { contexts(first: 100, after: $cursor) { ...Contexts } } } }
  }
}
"""
    + _CONTEXTS
)


@cache
def without(document: str, lacking: frozenset[str]) -> str:
    """A document that does not ask for some fields."""
    return print_ast(visit(parse(document), _Without(lacking)))


def fill_in(answer: Any, lacking: frozenset[str]) -> None:
    """Put into an answer what holds in place of the fields that were not asked for."""
    if isinstance(answer, list):
        for one in answer:
            fill_in(one, lacking)
    elif isinstance(answer, dict):
        for one in [*answer.values()]:
            fill_in(one, lacking)
        for name, sign in _TOLD_BY.items():
            if sign in answer:
                answer |= {field: value for field, value in OPTIONAL[name].items() if field in lacking}


class _Without(Visitor):
    """Takes fields out by their names, none of which has another meaning elsewhere in our documents."""

    def __init__(self, names: Collection[str]) -> None:
        super().__init__()
        self._names = names

    def enter_field(self, node: FieldNode, *_where: Any) -> Any:
        return REMOVE if node.name.value in self._names else None


def staged(count: int) -> str:
    """The query for the contexts of `count` staged commits, given as the variables $sha0, $sha1 and so on."""
    wanted = range(count)
    variables = "".join(f", $sha{index}: GitObjectID!" for index in wanted)
    objects = "".join(
        f"    run{index}: object(oid: $sha{index}) {{ ... on Commit {{ statusCheckRollup {{ ...Rollup }} }} }}\n"
        for index in wanted
    )
    return (
        f"query Staged($owner: String!, $name: String!{variables}) {{\n  rateLimit {{ cost limit remaining resetAt }}\n"
        f"  repository(owner: $owner, name: $name) {{\n{objects}  }}\n}}\n{_ROLLUP}"
    )
