"""The GraphQL documents that are sent, each named for what it is for."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from graphql import DocumentNode, FragmentDefinitionNode, Node, Visitor, parse, print_ast, visit
from graphql.language import REMOVE, FieldNode, FragmentSpreadNode

from mergeq.core.pull import Repository


@dataclass(frozen=True, slots=True, eq=False)
class Newer:
    """What an older Enterprise Server may not have: fields of a type of its schema, each with what such a server would
    say if it could. `beside` is a field that is asked for wherever they are, and nowhere else.
    """

    what: str
    kind: str
    beside: str
    absent: Mapping[str, Any]


NEWER = (
    Newer("rulesets", "Ref", "branchProtectionRule", {"rules": {"totalCount": 0, "nodes": []}}),
    Newer(
        "the merge methods that a ruleset allows",
        "PullRequestParameters",
        "requiredApprovingReviewCount",
        {"allowedMergeMethods": None},
    ),
    Newer("GitHub's own opinion of a merge", "PullRequest", "mergeable", {"mergeStateStatus": "UNKNOWN"}),
    Newer(
        "a merge queue of its own",
        "PullRequest",
        "mergeable",
        {"isInMergeQueue": False, "isMergeQueueEnabled": False},
    ),
    Newer(
        "approval of the last push",
        "BranchProtectionRule",
        "requiresApprovingReviews",
        {"requireLastPushApproval": False},
    ),
    Newer(
        "how many results there are of each kind",
        "StatusCheckRollupContextConnection",
        "totalCount",
        {"checkRunCountsByState": None, "statusContextCountsByState": None},
    ),
    Newer(
        "locked branches",
        "BranchProtectionRule",
        "requiresApprovingReviews",
        {"lockBranch": False, "lockAllowsFetchAndMerge": False},
    ),
    Newer(
        "required deployments",
        "BranchProtectionRule",
        "requiresApprovingReviews",
        {"requiresDeployments": False, "requiredDeploymentEnvironments": []},
    ),
    Newer(
        "a repository's list of rulesets",
        "Repository",
        "branchProtectionRules",
        {"rulesets": {"pageInfo": {"hasNextPage": False}, "nodes": []}},
    ),
    Newer(
        "settings for the messages of merges",
        "Repository",
        "mergeCommitAllowed",
        {
            "mergeCommitTitle": Repository().merge_title,
            "mergeCommitMessage": Repository().merge_message,
            "squashMergeCommitTitle": Repository().squash_title,
            "squashMergeCommitMessage": Repository().squash_message,
        },
    ),
)

SCHEMA = "query Schema {\n%s\n}" % "\n".join(  # noqa: UP031 -- braces stand for themselves
    f'  {name}: __type(name: "{name}") {{ fields {{ name }} }}' for name in sorted({one.kind for one in NEWER})
)

_ROW = """
fragment Row on PullRequest {
  id number state updatedAt baseRefName headRefOid mergeable mergeStateStatus canBeRebased reviewDecision
  repository { name owner { login } }
  statusCheckRollup { state contexts(first: 1) { ...Tally } }
}
"""

_TALLY = """
fragment Tally on StatusCheckRollupContextConnection {
  totalCount
  checkRunCountsByState { state count }
  statusContextCountsByState { state count }
}
"""

_PULL = """
fragment Pull on PullRequest {
  id number state isDraft title url createdAt updatedAt authorAssociation isCrossRepository maintainerCanModify
  author { __typename login }
  autoMergeRequest { enabledBy { login } }
  headRepositoryOwner { login }
  headRepository { name }
  headRef { target { oid ... on Commit { tree { oid } } } }
  baseRefName headRefName headRefOid
  mergeable mergeStateStatus canBeRebased reviewDecision isInMergeQueue isMergeQueueEnabled
  repository { name owner { login } }
  milestone { title }
  labels(first: 100) { ...Labels }
  reviews(last: 50, states: [APPROVED, CHANGES_REQUESTED]) {
    nodes { state author { __typename login } authorAssociation commit { oid } }
  }
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

_CONTEXTS = (
    """
fragment Contexts on StatusCheckRollupContextConnection {
  ...Tally
  pageInfo { hasNextPage endCursor }
  nodes {
    __typename
    ... on CheckRun {
      databaseId name status conclusion startedAt completedAt detailsUrl checkSuite { app { slug databaseId } }
    }
    ... on StatusContext { context state description targetUrl createdAt }
  }
}
"""
    + _TALLY
)

_ROLLUP = (
    """
fragment Rollup on StatusCheckRollup {
  state
  commit { oid }
  contexts(first: 100) { ...Contexts }
}
"""
    + _CONTEXTS
)

_RULES = """
fragment Rules on Ref {
  branchProtectionRule {
    requiresStatusChecks requiresStrictStatusChecks requiredStatusChecks { context app { slug } }
    requiresApprovingReviews requiresLinearHistory requiresCommitSignatures requiresConversationResolution
    dismissesStaleReviews requireLastPushApproval lockBranch restrictsPushes requiresDeployments
    requiredApprovingReviewCount requiresCodeOwnerReviews
    pushAllowances(first: 100) {
      nodes { actor { __typename ... on User { login } ... on Team { combinedSlug } ... on App { slug } } }
    }
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
"""

_REPOSITORY = """
fragment Settings on Repository {
  id nameWithOwner isArchived mergeCommitAllowed squashMergeAllowed rebaseMergeAllowed
  mergeCommitTitle mergeCommitMessage squashMergeCommitTitle squashMergeCommitMessage
  issues(first: 100, states: [OPEN], labels: $labels) @include(if: $blockers) {
    totalCount
    nodes { number title url }
  }
}

fragment State on Ref {
  target { oid ... on Commit { tree { oid } } }
  ...Rules
}
"""

OPEN_PULLS = (
    """
query OpenPulls($query: String!, $cursor: String) {
  rateLimit { cost limit remaining resetAt }
  search(type: ISSUE, first: 100, after: $cursor, query: $query) {
    issueCount
    pageInfo { hasNextPage endCursor }
    nodes { __typename ...Row }
  }
}
"""
    + _ROW
    + _TALLY
)

LOOK = (
    """
query Look(
  $owner: String!, $name: String!, $ref: String!, $base: String!, $first: Int!, $listed: Boolean!, $cursor: String,
  $labels: [String!], $blockers: Boolean!, $ids: [ID!]!
) {
  rateLimit { cost limit remaining resetAt }
  viewer { login }
  repository(owner: $owner, name: $name) {
    ...Settings
    ref(qualifiedName: $ref) { ...State }
    pullRequests(
      first: $first, after: $cursor, states: [OPEN], baseRefName: $base, orderBy: {field: CREATED_AT, direction: ASC}
    ) @include(if: $listed) {
      pageInfo { hasNextPage endCursor }
      nodes { ...Row }
    }
  }
  nodes(ids: $ids) { ...Pull }
}
"""
    + _PULL
    + _LABELS
    + _ROLLUP
    + _REPOSITORY
    + _RULES
    + _ROW
)

PULLS = (
    """
query Pulls($ids: [ID!]!) {
  rateLimit { cost limit remaining resetAt }
  nodes(ids: $ids) { ...Pull }
}
"""
    + _PULL
    + _LABELS
    + _ROLLUP
)

BASE = """
query Base($owner: String!, $name: String!, $number: Int!) {
  rateLimit { cost limit remaining resetAt }
  repository(owner: $owner, name: $name) { pullRequest(number: $number) { id baseRefName } }
}
"""

REBASE = """
mutation Rebase($pull: ID!, $head: GitObjectID!) {
  updatePullRequestBranch(input: {pullRequestId: $pull, expectedHeadOid: $head, updateMethod: REBASE}) {
    pullRequest { number }
  }
}
"""

_LANDED = """
fragment Landed on Commit {
  oid
  tree { oid }
  history(first: $depth) { nodes { oid parents(first: 1) { nodes { oid } } } }
}
"""

PUSH = """
mutation Push($repository: ID!, $ref: GitRefname!, $before: GitObjectID!, $after: GitObjectID!) {
  updateRefs(input: {
    repositoryId: $repository, refUpdates: [{name: $ref, beforeOid: $before, afterOid: $after, force: false}]
  }) { clientMutationId }
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


_RULE = """
fragment Rule on BranchProtectionRule {
  id databaseId pattern creator { __typename login }
  isAdminEnforced allowsForcePushes allowsDeletions blocksCreations lockBranch lockAllowsFetchAndMerge
  requiresLinearHistory requiresCommitSignatures requiresConversationResolution
  requiresStatusChecks requiresStrictStatusChecks requiredStatusChecks { context app { id databaseId slug } }
  requiresApprovingReviews requiredApprovingReviewCount requiresCodeOwnerReviews dismissesStaleReviews
  requireLastPushApproval restrictsReviewDismissals restrictsPushes requiresDeployments requiredDeploymentEnvironments
  pushAllowances(first: 100) { pageInfo { hasNextPage endCursor } nodes { actor { ...Pusher } } }
  reviewDismissalAllowances(first: 100) { pageInfo { hasNextPage endCursor } nodes { actor { ...Dismisser } } }
  bypassPullRequestAllowances(first: 100) { pageInfo { hasNextPage endCursor } nodes { actor { ...Excepted } } }
  bypassForcePushAllowances(first: 100) { pageInfo { hasNextPage endCursor } nodes { actor { ...Excepted } } }
}
"""

_ACTORS = """
fragment Pusher on PushAllowanceActor {
  __typename ... on App { id databaseId slug } ... on Team { combinedSlug } ... on User { login }
}

fragment Dismisser on ReviewDismissalAllowanceActor {
  __typename ... on App { id databaseId slug } ... on Team { combinedSlug } ... on User { login }
}

fragment Excepted on BranchActorAllowanceActor {
  __typename ... on App { id databaseId slug } ... on Team { combinedSlug } ... on User { login }
}
"""

_RULESET = """
fragment Ruleset on RepositoryRuleset {
  databaseId name enforcement updatedAt
  source { __typename ... on Repository { nameWithOwner } ... on Organization { login } ... on Enterprise { slug } }
  conditions { refName { include exclude } }
  bypassActors(first: 100) {
    pageInfo { hasNextPage }
    nodes {
      bypassMode deployKey enterpriseOwner organizationAdmin repositoryRoleName repositoryRoleDatabaseId
      actor { __typename ... on App { id databaseId slug } ... on Team { combinedSlug databaseId } }
    }
  }
  rules(first: 100) {
    pageInfo { hasNextPage }
    nodes {
      type
      parameters {
        __typename
        ... on PullRequestParameters {
          requiredApprovingReviewCount dismissStaleReviewsOnPush requireCodeOwnerReview requireLastPushApproval
          requiredReviewThreadResolution allowedMergeMethods
        }
        ... on RequiredStatusChecksParameters {
          strictRequiredStatusChecksPolicy doNotEnforceOnCreate requiredStatusChecks { context integrationId }
        }
        ... on UpdateParameters { updateAllowsFetchAndMerge }
        ... on RequiredDeploymentsParameters { requiredDeploymentEnvironments }
      }
    }
  }
}
"""

_PROTECTED = (
    """
fragment Protected on Repository {
  ...Owned
  branchProtectionRules(first: 10) { pageInfo { hasNextPage endCursor } nodes { ...Rule } }
  rulesets(first: 4, includeParents: true, targets: [BRANCH]) {
    pageInfo { hasNextPage endCursor }
    nodes { ...Ruleset }
  }
}
"""
    + _RULE
    + _ACTORS
    + _RULESET
)

_OWNED = """
fragment Owned on Repository {
  id nameWithOwner isArchived isDisabled isPrivate isFork isInOrganization viewerCanAdminister
  defaultBranchRef { name }
}
"""

REPOSITORIES = (
    """
query Repositories($owner: String!, $cursor: String) {
  rateLimit { cost limit remaining resetAt }
  repositoryOwner(login: $owner) {
    repositories(first: 100, after: $cursor, isArchived: false, ownerAffiliations: [OWNER]) {
      pageInfo { hasNextPage endCursor }
      nodes { ...Owned }
    }
  }
}
"""
    + _OWNED
)

MORE_RULES = (
    """
query MoreRules($owner: String!, $name: String!, $cursor: String) {
  rateLimit { cost limit remaining resetAt }
  repository(owner: $owner, name: $name) {
    branchProtectionRules(first: 50, after: $cursor) { pageInfo { hasNextPage endCursor } nodes { ...Rule } }
  }
}
"""
    + _RULE
    + _ACTORS
)

MORE_RULESETS = (
    """
query MoreRulesets($owner: String!, $name: String!, $cursor: String) {
  rateLimit { cost limit remaining resetAt }
  repository(owner: $owner, name: $name) {
    rulesets(first: 50, after: $cursor, includeParents: true, targets: [BRANCH]) {
      pageInfo { hasNextPage endCursor }
      nodes { ...Ruleset }
    }
  }
}
"""
    + _RULESET
)

MORE_BRANCHES = """
query MoreBranches($owner: String!, $name: String!, $cursor: String) {
  rateLimit { cost limit remaining resetAt }
  repository(owner: $owner, name: $name) {
    refs(refPrefix: "refs/heads/", first: 100, after: $cursor) {
      pageInfo { hasNextPage endCursor }
      nodes { name }
    }
  }
}
"""

_ALLOWED = {
    "pushAllowances": "Pusher",
    "reviewDismissalAllowances": "Dismisser",
    "bypassPullRequestAllowances": "Excepted",
    "bypassForcePushAllowances": "Excepted",
}
"""The lists of a rule of whom it makes exceptions for, and the fragment of those in each."""

EXCEPTIONS = tuple(_ALLOWED)


@cache
def more_exceptions(listing: str) -> str:
    """The query for the next page of one of the EXCEPTIONS of a rule."""
    fragment = next(one for one in _ACTORS.split("\n\n") if f"fragment {_ALLOWED[listing]} " in one)
    return (
        "query MoreExceptions($rule: ID!, $cursor: String) {\n  rateLimit { cost limit remaining resetAt }\n"
        "  node(id: $rule) { ... on BranchProtectionRule {\n"
        f"    {listing}(first: 100, after: $cursor) {{\n      pageInfo {{ hasNextPage endCursor }}\n"
        f"      nodes {{ actor {{ ...{_ALLOWED[listing]} }} }}\n    }}\n  }} }}\n}}\n{fragment}\n"
    )


@cache
def protected(count: int) -> str:
    """The query for the protection of `count` repositories of one owner, given as the variables $name0 and so on, with
    their branches where $branches0 and so on say so: half a point each (P7.13-P7.15).
    """
    wanted = range(count)
    variables = "".join(f", $name{n}: String!, $branches{n}: Boolean!" for n in wanted)
    refs = 'refs(refPrefix: "refs/heads/", first: 100)'
    repos = "".join(
        f"  repo{n}: repository(owner: $owner, name: $name{n}) {{\n    ...Protected\n"
        f"    {refs} @include(if: $branches{n}) {{ pageInfo {{ hasNextPage endCursor }} nodes {{ name }} }}\n  }}\n"
        for n in wanted
    )
    start = f"query Protection($owner: String!{variables}) {{\n  rateLimit {{ cost limit remaining resetAt }}\n"
    return f"{start}{repos}}}\n{_PROTECTED}{_OWNED}"


@cache
def actors(users: int, teams: int) -> str:
    """The query for the node ids of people, given as the variables $user0 and so on, and of an organization's teams,
    given as $team0 and so on.
    """
    variables = "".join(
        [
            *(f", $user{n}: String!" for n in range(users)),
            *(f", $team{n}: String!" for n in range(teams)),
        ]
    )
    people = "".join(f"  user{n}: user(login: $user{n}) {{ id databaseId }}\n" for n in range(users))
    theirs = "".join(f"    team{n}: team(slug: $team{n}) {{ id databaseId }}\n" for n in range(teams))
    org = f"  organization(login: $owner) {{\n{theirs}  }}\n" if teams else ""
    owner = "$owner: String!" if teams else ""
    given = (owner + variables).removeprefix(", ")
    return f"query Actors({given}) {{\n  rateLimit {{ cost limit remaining resetAt }}\n{people}{org}}}\n"


PROTECT = """
mutation Protect($input: CreateBranchProtectionRuleInput!) {
  createBranchProtectionRule(input: $input) { branchProtectionRule { id } }
}
"""

CHANGE_RULE = """
mutation ChangeRule($input: UpdateBranchProtectionRuleInput!) {
  updateBranchProtectionRule(input: $input) { branchProtectionRule { id } }
}
"""

LIFT_RULE = """
mutation LiftRule($input: DeleteBranchProtectionRuleInput!) {
  deleteBranchProtectionRule(input: $input) { clientMutationId }
}
"""


@cache
def merges(count: int) -> str:
    """The mutation that merges `count` commits into a branch, given as the variables $head0 and so on, in this order:
    one that fails leaves the others to be tried (GraphQL specification, 6.2.2: serially).
    """
    wanted = range(count)
    heads = "".join(f", $head{n}: String!" for n in wanted)
    where = "repositoryId: $repository, base: $base, commitMessage: $message"
    calls = "".join(
        f"  merge{n}: mergeBranch(input: {{{where}, head: $head{n}}}) {{ mergeCommit {{ oid tree {{ oid }} }} }}\n"
        for n in wanted
    )
    return f"mutation Merges($repository: ID!, $base: String!, $message: String!{heads}) {{\n{calls}}}\n"


@cache
def last_look(count: int) -> str:
    """The query for a branch and `count` of its pull requests, given as the variables $number0, $number1 and so on."""
    numbers = "".join(f", $number{n}: Int!" for n in range(count))
    pulls = "".join(f"    pull{n}: pullRequest(number: $number{n}) {{ ...Pull body }}\n" for n in range(count))
    variables = f"$owner: String!, $name: String!, $ref: String!, $labels: [String!], $blockers: Boolean!{numbers}"
    return (
        f"query LastLook({variables}) {{\n"
        "  rateLimit { cost limit remaining resetAt }\n  viewer { login }\n"
        "  repository(owner: $owner, name: $name) {\n"
        f"    ...Settings\n    ref(qualifiedName: $ref) {{ ...State }}\n{pulls}  }}\n}}\n"
        f"{_PULL}{_LABELS}{_ROLLUP}{_REPOSITORY}{_RULES}"
    )


@cache
def landing(count: int) -> str:
    """The query for what became of `count` pull requests, given as the variables $number0, $number1 and so on, and of
    their base.
    """
    numbers = "".join(f", $number{n}: Int!" for n in range(count))
    pulls = "".join(
        f"    pull{n}: pullRequest(number: $number{n}) {{\n"
        "      state merged closedAt baseRefName headRefOid\n      mergeCommit { ...Landed }\n    }\n"
        for n in range(count)
    )
    return (
        f"query Landing($owner: String!, $name: String!, $ref: String!, $depth: Int!, $sha: GitObjectID{numbers},\n"
        "  $known: Boolean!, $labels: [String!], $blockers: Boolean!, $state: Boolean!) {\n"
        "  rateLimit { cost limit remaining resetAt }\n  viewer { login }\n"
        "  repository(owner: $owner, name: $name) {\n    ...Settings @include(if: $state)\n"
        "    ref(qualifiedName: $ref) { target { oid } ...State @include(if: $state) }\n"
        f"    object(oid: $sha) @include(if: $known) {{ ...Landed }}\n{pulls}  }}\n}}\n{_LANDED}{_REPOSITORY}{_RULES}"
    )


@cache
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


@cache
def states_of(count: int) -> str:
    """The query for the states of `count` branches of any repositories of one owner, given as the variables $name0,
    $base0, $ref0 and so on.
    """
    wanted = range(count)
    variables = "".join(f", $name{n}: String!, $base{n}: String!, $ref{n}: String!" for n in wanted)
    branches = "".join(
        f"  branch{n}: repository(owner: $owner, name: $name{n}) {{\n"
        f"    ...Settings\n    ref(qualifiedName: $ref{n}) {{ ...State }}\n"
        f"    open: pullRequests(states: [OPEN], baseRefName: $base{n}) {{ totalCount }}\n  }}\n"
        for n in wanted
    )
    start = f"query States($owner: String!, $labels: [String!], $blockers: Boolean!{variables}) {{\n"
    shared = "  rateLimit { cost limit remaining resetAt }\n  viewer { login }\n"
    return f"{start}{shared}{branches}}}\n{_REPOSITORY}{_RULES}"


@cache
def without(document: str, lacking: tuple[Newer, ...]) -> str:
    """A document that does not ask for what a server lacks."""
    return print_ast(_used(visit(parse(document), _Leaving(lacking)))) if lacking else document


def _used(document: DocumentNode) -> DocumentNode:
    """A document without the fragments that nothing in it uses, which no server takes."""
    while True:
        spread = _Spread()
        visit(document, spread)
        kept = [
            one
            for one in document.definitions
            if not isinstance(one, FragmentDefinitionNode) or one.name.value in spread.names
        ]
        if len(kept) == len(document.definitions):
            return document
        document = DocumentNode(definitions=tuple(kept))


def completed(answer: Any, lacking: tuple[Newer, ...]) -> Any:
    """An answer to such a document as a server gives it that lacks nothing and has none of it."""
    if isinstance(answer, list):
        return [completed(one, lacking) for one in answer]
    if not isinstance(answer, dict):
        return answer
    filled = {name: value for one in lacking if one.beside in answer for name, value in one.absent.items()}
    return filled | {name: completed(value, lacking) for name, value in answer.items()}


class _Spread(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Node) -> None:
        """Note the name of a fragment that is used."""
        self.names.add(node.name.value)


class _Leaving(Visitor):
    def __init__(self, lacking: tuple[Newer, ...]) -> None:
        super().__init__()
        self._fields = {name for one in lacking for name in one.absent}

    def enter_field(self, node: FieldNode, *_: Node) -> object:
        """Leave out the field and all below it."""
        return REMOVE if node.name.value in self._fields else None
