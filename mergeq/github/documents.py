"""The GraphQL documents that are sent, each named for what it is for."""

_PULL = """
fragment Pull on PullRequest {
  number state isDraft title url updatedAt
  author { login }
  baseRefName headRefName headRefOid
  mergeable mergeStateStatus canBeRebased reviewDecision isInMergeQueue isMergeQueueEnabled
  repository { name owner { login } }
  milestone { title }
  labels(first: 100) { totalCount nodes { name } }
  reviews(last: 50, states: [APPROVED]) { nodes { author { login } commit { oid } } }
  statusCheckRollup {
    commit { oid }
    contexts(first: 100) {
      totalCount
      nodes {
        __typename
        ... on CheckRun { databaseId name status conclusion startedAt detailsUrl checkSuite { app { slug } } }
        ... on StatusContext { context state description targetUrl createdAt }
      }
    }
  }
}
"""

NOMINATE = """
query Nominate($query: String!, $cursor: String) {
  rateLimit { cost remaining resetAt }
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
  $owner: String!, $name: String!, $ref: String!, $base: String!, $cursor: String, $labels: [String!], $blockers:
  Boolean!
) {
  rateLimit { cost remaining resetAt }
  repository(owner: $owner, name: $name) {
    isArchived mergeCommitAllowed squashMergeAllowed rebaseMergeAllowed
    ref(qualifiedName: $ref) { target { oid } }
    issues(first: 100, states: [OPEN], labels: $labels) @include(if: $blockers) {
      totalCount
      nodes { number title url }
    }
    pullRequests(
      first: 25, after: $cursor, states: [OPEN], baseRefName: $base, orderBy: {field: CREATED_AT, direction: ASC}
    ) {
      pageInfo { hasNextPage endCursor }
      nodes { ...Pull }
    }
  }
}
"""
    + _PULL
)

PULL = (
    """
query LastLook($owner: String!, $name: String!, $number: Int!, $ref: String!, $labels: [String!], $blockers: Boolean!) {
  rateLimit { cost remaining resetAt }
  repository(owner: $owner, name: $name) {
    isArchived mergeCommitAllowed squashMergeAllowed rebaseMergeAllowed
    ref(qualifiedName: $ref) { target { oid } }
    issues(first: 100, states: [OPEN], labels: $labels) @include(if: $blockers) {
      totalCount
      nodes { number title url }
    }
    pullRequest(number: $number) { ...Pull }
  }
}
"""
    + _PULL
)

LANDING = """
query Landing($owner: String!, $name: String!, $number: Int!, $ref: String!) {
  rateLimit { cost remaining resetAt }
  repository(owner: $owner, name: $name) {
    ref(qualifiedName: $ref) { target { oid } }
    pullRequest(number: $number) { state merged headRefOid mergeCommit { oid tree { oid } } }
  }
}
"""
