"""The GraphQL documents that are sent, each named for what it is for."""

_PULL = """
fragment Pull on PullRequest {
  number state isDraft title url createdAt updatedAt authorAssociation isCrossRepository maintainerCanModify
  author { __typename login }
  headRepositoryOwner { login }
  baseRefName headRefName headRefOid
  mergeable mergeStateStatus canBeRebased reviewDecision isInMergeQueue isMergeQueueEnabled
  repository { name owner { login } }
  milestone { title }
  labels(first: 100) { totalCount nodes { name } }
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

_ROLLUP = """
fragment Rollup on StatusCheckRollup {
  commit { oid }
  contexts(first: 100) {
    totalCount
    nodes {
      __typename
      ... on CheckRun { databaseId name status conclusion startedAt detailsUrl checkSuite { app { slug databaseId } } }
      ... on StatusContext { context state description targetUrl createdAt }
    }
  }
}
"""

_REPOSITORY = """
fragment Settings on Repository {
  isArchived mergeCommitAllowed squashMergeAllowed rebaseMergeAllowed
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
    nodes { __typename ... on PullRequest { number baseRefName repository { name owner { login } } } }
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
    + _ROLLUP
    + _REPOSITORY
)

BASE = """
query Base($owner: String!, $name: String!, $number: Int!) {
  rateLimit { cost limit remaining resetAt }
  repository(owner: $owner, name: $name) { pullRequest(number: $number) { baseRefName } }
}
"""

LANDING = """
query Landing($owner: String!, $name: String!, $number: Int!, $ref: String!, $depth: Int!) {
  rateLimit { cost limit remaining resetAt }
  repository(owner: $owner, name: $name) {
    ref(qualifiedName: $ref) { target { oid } }
    pullRequest(number: $number) {
      state merged headRefOid
      mergeCommit { oid tree { oid } history(first: $depth) { nodes { oid parents(first: 1) { nodes { oid } } } } }
    }
  }
}
"""

COMMITS = """
query Commits($owner: String!, $name: String!, $number: Int!) {
  rateLimit { cost limit remaining resetAt }
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      headRefOid
      commits(first: 100) {
        totalCount
        nodes { commit { oid message author { name email user { login } } parents(first: 2) { totalCount } } }
      }
    }
  }
}
"""


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
