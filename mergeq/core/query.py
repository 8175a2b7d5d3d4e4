"""Tide's queries: which pull requests a maintainer wants merged, what one of them still lacks, and the search that
finds them.
"""

import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from mergeq.core.compat import Compat
from mergeq.core.contexts import Demands, unsuccessful
from mergeq.core.pull import Branch, Context, PullRequest, Result
from mergeq.core.reason import Clause, Reason

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FLOOR = datetime(2007, 1, 1, tzinfo=UTC)
_JSON_FIELDS = {
    "author": "author",
    "labels": "labels",
    "missingLabels": "missing_labels",
    "excludedBranches": "excluded_branches",
    "includedBranches": "included_branches",
    "milestone": "milestone",
    "reviewApprovedRequired": "review_approved_required",
    "orgs": "orgs",
    "repos": "repos",
    "excludedRepos": "excluded_repos",
}


@dataclass(frozen=True, slots=True)
class Query:
    """One entry of `tide.queries`, its keys spelt as Tide spells them in snake case (T1.28-T1.37)."""

    orgs: tuple[str, ...] = ()
    repos: tuple[str, ...] = ()
    excluded_repos: tuple[str, ...] = ()
    author: str = ""
    labels: tuple[str, ...] = ()
    missing_labels: tuple[str, ...] = ()
    included_branches: tuple[str, ...] = ()
    excluded_branches: tuple[str, ...] = ()
    milestone: str = ""
    review_approved_required: bool = False

    def covers(self, org: str, full_repo: str) -> bool:
        """Whether this query speaks about a repository (T1.43)."""
        if org in self.orgs:
            return full_repo not in self.excluded_repos
        return full_repo in self.repos

    def admits_branch(self, name: str) -> bool:
        """Whether this query lets pull requests merge into the branch `name`."""
        return name not in self.excluded_branches and (not self.included_branches or name in self.included_branches)

    def search_terms(self) -> tuple[str, ...]:
        """The search without its scope (T2.3, parts 1-8)."""
        return (
            "is:pr",
            "state:open",
            "archived:false",
            *([f'author:"{self.author}"'] if self.author else ()),
            *(f'-base:"{branch}"' for branch in self.excluded_branches),
            *(f'base:"{branch}"' for branch in self.included_branches),
            *("label:" + ",".join(f'"{label}"' for label in entry.split(",")) for entry in self.labels),
            *(f'-label:"{label}"' for label in self.missing_labels),
            *([f'milestone:"{self.milestone}"'] if self.milestone else ()),
            *(["review:approved"] if self.review_approved_required else ()),
        )

    def scopes(self) -> Mapping[str, tuple[str, ...]]:
        """The scope terms of each org that is named anywhere, in the order of T2.3, by org (T2.4)."""
        scopes: dict[str, list[str]] = {}
        for org in dict.fromkeys(self.orgs):
            scopes.setdefault(org, []).append(f'org:"{org}"')
        for sign, repos in (("", self.repos), ("-", self.excluded_repos)):
            for repo in repos:
                org, slash, name = repo.partition("/")
                if slash and "/" not in name:
                    scopes.setdefault(org, []).append(f'{sign}repo:"{repo}"')
        return {org: tuple(terms) for org, terms in scopes.items()}

    def as_tide_searches(self) -> str:
        """The one search Tide sends with a personal token, its orgs sorted (T2.3, T2.5). GitHub's present search reads
        several scopes as AND, so we send `searches`.
        """
        scopes = self.scopes()
        return " ".join((*self.search_terms(), *(term for org in sorted(scopes) for term in scopes[org])))

    def searches_by_org(self) -> Mapping[str, str]:
        """The searches Tide sends as a GitHub App, one for each org (T2.4)."""
        terms = self.search_terms()
        return {org: " ".join((*terms, *scope)) for org, scope in self.scopes().items()}

    def searches(self) -> tuple[str, ...]:
        """The searches as sent: one ``org:`` or one ``repo:`` each, because GitHub reads several as AND (D11, Q21).

        For the same reason several branches are left out altogether: a search only nominates, and may find too much.
        """
        one_branch = self if len(self.included_branches) < 2 else replace(self, included_branches=())
        terms = " ".join(one_branch.search_terms())
        by_org = (
            f'{terms} org:"{org}"'
            + "".join(f' -repo:"{repo}"' for repo in self.excluded_repos if repo.startswith(f"{org}/"))
            for org in self.orgs
        )
        return (*by_org, *(f'{terms} repo:"{repo}"' for repo in self.repos))

    def exact_searches(self) -> tuple[str, ...]:
        """Searches, each one exact, that together find just what this query admits but for contexts."""
        branches: list[tuple[str, ...]] = [(name,) for name in self.included_branches] or [()]
        return tuple(search for one in branches for search in replace(self, included_branches=one).searches())


def merged(queries: Sequence[Query]) -> tuple[tuple[Query, tuple[int, ...]], ...]:
    """Queries that demand the same made one, in the order in which Tide numbers them, each with the indices of those it
    was made of (T1.41). Labels and branches come out sorted; orgs and repositories are joined as they come.
    """
    alike: dict[Query, tuple[Query, tuple[int, ...]]] = {}
    for index, query in enumerate(queries):
        criteria = replace(
            query,
            labels=tuple(sorted(query.labels)),
            missing_labels=tuple(sorted(query.missing_labels)),
            included_branches=tuple(sorted(query.included_branches)),
            excluded_branches=tuple(sorted(query.excluded_branches)),
            orgs=(),
            repos=(),
            excluded_repos=(),
        )
        seen, indices = alike.get(criteria, (criteria, ()))
        joined = replace(
            seen,
            orgs=(*seen.orgs, *query.orgs),
            repos=(*seen.repos, *query.repos),
            excluded_repos=(*seen.excluded_repos, *query.excluded_repos),
        )
        alike[criteria] = (joined, (*indices, index))
    return tuple(sorted(alike.values(), key=lambda entry: _as_json(entry[0])))


def open_pull_searches(queries: Iterable[Query]) -> tuple[str, ...]:
    """Searches for every open pull request of the configured orgs and repositories, whatever its labels (T6.33), each
    scope once.
    """
    scopes: dict[str, None] = {}
    for query in queries:
        scopes.update(dict.fromkeys(f'org:"{org}"' for org in query.orgs))
        scopes.update(dict.fromkeys(f'repo:"{repo}"' for repo in query.repos))
    return tuple(f"is:pr state:open archived:false {scope}" for scope in scopes)


def scope_of(search: str) -> str:
    """What a search is about, ``ORG`` or ``ORG/REPO``; empty when it names nothing. Ours name just one (D11)."""
    found = re.search(r'(?:^| )(?:org|repo|user):"?([^" ]+)', search)
    return found[1] if found else ""


def scope_owner(search: str) -> str:
    """The org or account that a search is about; empty when it names none."""
    return scope_of(search).partition("/")[0]


def updated_between(start: float, end: float) -> str:
    """The search term for a window of update times in seconds since the epoch, always in UTC (T2.7 repaired)."""
    return updated_since_2007(*(datetime.fromtimestamp(at, UTC) for at in (start, end)))


def updated_since_2007(first: datetime, last: datetime) -> str:
    """The search term for a window that never begins before 2007 (T2.6). The clocks' own figures are written, as Tide
    does also where they are not in UTC (T2.7).
    """
    return updated_term(max(first, _FLOOR), max(last, _FLOOR))


def updated_term(first: datetime, last: datetime) -> str:
    """The search term for any window; what is before 1970 is open."""
    return "updated:" + "..".join("*" if at < _EPOCH else f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in (first, last))


def lacking(entry: str, labels: frozenset[str], compat: Compat = Compat.MERGEQ) -> bool:
    """Whether a label entry, alternatives split by commas (T1.32), is not met by labels given as `compat` compares
    them.
    """
    return labels.isdisjoint(_alternatives(compat.same(entry)))


@functools.lru_cache(maxsize=1024)
def _alternatives(entry: str) -> tuple[str, ...]:
    return tuple(entry.split(","))


def unmet(query: Query, pull: PullRequest, demands: Demands) -> tuple[Reason, ...]:
    """What `pull` lacks to be admitted by `query`, in the order of T6.13-T6.19; empty exactly when it is admitted.

    Labels compare case-insensitively, as GitHub's do (D18). Contexts that could not be read are the pool's concern and
    add nothing here (T6.23).
    """
    compat = demands.compat
    reasons: list[Reason] = []
    if not query.admits_branch(pull.base):
        reasons.append(
            Reason(
                Clause.BRANCH,
                f"a base branch this query allows ({_branches(query)})",
                f"the base is {pull.base}",
                "the author",
                "change the base branch of the pull request, or add the branch to the query",
                2000,
                (pull.base,),
            )
        )
    author = query.author.lower().removeprefix("@")
    if author and not _is_by(author, pull, compat):
        reasons.append(
            Reason(
                Clause.AUTHOR,
                f"to be by {author}",
                f"it is by {pull.author}",
                "nobody: the author is fixed",
                "open it as that author",
                1000,
                (author,),
            )
        )
    if query.milestone and pull.milestone != query.milestone:
        reasons.append(
            Reason(
                Clause.MILESTONE,
                f"the milestone {query.milestone}",
                f"its milestone is {pull.milestone or 'not set'}",
                "a member of the repository",
                f"set the milestone {query.milestone}",
                100,
                (query.milestone,),
            )
        )
    present = compat.all_of(pull.labels)
    if missing := [entry for entry in query.labels if lacking(entry, present, compat)]:
        spoken = tuple(sorted(entry.replace(",", " or ") for entry in missing))
        reasons.append(
            Reason(
                Clause.LABELS,
                f"the label{'s' * (len(spoken) > 1)} {', '.join(spoken)}",
                f"its labels are {', '.join(sorted(pull.labels)) or 'none'}",
                "a reviewer or member, usually by a command to the review bot",
                f"add {', '.join(spoken)}",
                len(missing),
                spoken,
            )
        )
    if not present.isdisjoint(compat.all_of(query.missing_labels)):
        forbidden = sorted(label for label in query.missing_labels if compat.same(label) in present)
        reasons.append(
            Reason(
                Clause.FORBIDDEN_LABELS,
                f"not to have the label{'s' * (len(forbidden) > 1)} {', '.join(forbidden)}",
                "it has",
                "whoever set the label",
                f"remove {', '.join(forbidden)}",
                len(forbidden),
                tuple(forbidden),
            )
        )
    bad = unsuccessful(pull.contexts, demands) if pull.contexts is not None else ()
    if bad:
        reasons.append(_not_green(bad, pull))
    if query.review_approved_required and not _is_approved(pull, compat):
        reasons.append(
            Reason(
                Clause.REVIEW,
                "an approving review that satisfies GitHub",
                _decided(pull, compat),
                "a reviewer with write access",
                "approve the pull request on GitHub",
                50,
            )
        )
    return tuple(reasons)


def is_found(queries: Iterable[Query], pull: PullRequest, demands: Demands) -> bool:
    """Whether the search of any query returns a pull request: all but its contexts is as it should be."""
    return any(all(reason.clause is Clause.CONTEXTS for reason in unmet(query, pull, demands)) for query in queries)


def closest(queries: Iterable[Query], pull: PullRequest, demands: Demands) -> tuple[Reason, ...]:
    """What is missing in the query that is nearest to admitting `pull`; empty when one admits it (T6.21). The first of
    equals wins.
    """
    best: tuple[Reason, ...] | None = None
    for query in queries:
        reasons = unmet(query, pull, demands)
        if not reasons:
            return ()
        if best is None or _distance(reasons) < _distance(best):
            best = reasons
    if best is not None:
        return best
    return (
        Reason(
            Clause.NO_QUERY,
            "a query that covers this repository",
            f"no query names {pull.org}/{pull.repo}",
            "the owner of the configuration",
            "add the repository to `tide.queries`",
        ),
    )


def by_scope(queries: Iterable[Query]) -> Mapping[str, tuple[int, ...]]:
    """The indices of the queries that name an org or a repository, by its name."""
    named: dict[str, list[int]] = {}
    for index, query in enumerate(queries):
        for scope in dict.fromkeys((*query.orgs, *query.repos)):
            named.setdefault(scope, []).append(index)
    return {scope: tuple(indices) for scope, indices in named.items()}


def applicable(queries: Sequence[Query], named: Mapping[str, tuple[int, ...]], branch: Branch) -> tuple[Query, ...]:
    """The queries that speak about the repository of a branch, in configured order; `named` is `by_scope` of them."""
    org, full_repo = branch.org, branch.full_repo
    found = sorted({*named.get(org, ()), *named.get(full_repo, ())})
    return tuple(queries[index] for index in found if queries[index].covers(org, full_repo))


def _is_by(author: str, pull: PullRequest, compat: Compat) -> bool:
    """Whether a pull request is by `author`, in lower case. ``app/x`` and ``x[bot]`` are the App x, which nobody else's
    name can stand for; Tide compares the names alone (T6.14).
    """
    login = pull.author.lower().removeprefix("@")
    if compat is Compat.TIDE or not author.startswith("app/"):
        return login == author
    return pull.is_bot and login.removesuffix("[bot]") == author.removeprefix("app/")


def _is_approved(pull: PullRequest, compat: Compat) -> bool:
    """Whether reviewers approve. Where GitHub's protection asks for no review GitHub decides nothing, and the reviews
    themselves count: an approval of this head by a writer, and no writer who wants changes (Q88). Tide waits for ever.
    """
    if pull.review_decision is not None or compat is Compat.TIDE:
        return pull.review_decision == "APPROVED"
    return bool(pull.approvers) and not pull.objectors


def _decided(pull: PullRequest, compat: Compat) -> str:
    """What is known of the reviews of a pull request that is not approved."""
    if pull.review_decision is not None or compat is Compat.TIDE:
        return f"GitHub's review decision is {(pull.review_decision or 'none').replace('_', ' ').lower()}"
    if pull.objectors:
        return f"{', '.join(pull.objectors)} requested changes"
    return f"nobody who may write has approved {pull.head_sha[:7]}"


def waits_for_consent(context: Context) -> bool:
    """Whether a check has not run, since it is a stranger's and a maintainer has to allow it first (Q86)."""
    return context.conclusion == "action_required"


def _not_green(bad: Sequence[Context], pull: PullRequest) -> Reason:
    """The contexts that are not green, and whose turn it is: who pushed, who runs CI or allows it, or only CI."""
    names = tuple(sorted({context.name for context in bad}))
    reported = {context.name for context in pull.contexts or ()}
    results = {context.result for context in bad}
    if any(map(waits_for_consent, bad)):
        who, remedy = "a maintainer of the repository", "read what it changes, then press Approve and run on GitHub"
    elif results == {Result.EXPECTED}:
        who, remedy = "whoever runs CI for the repository", f"see why {', '.join(names)} does not report on this commit"
        if pull.is_fork and not pull.by_writer:
            remedy += "; GitHub may be waiting for a maintainer to press Approve and run"
    elif results == {Result.PENDING}:
        who, remedy = "nobody: it is running", "wait for it"
    else:
        who, remedy = "the author, or whoever runs that CI", "push a fix, or re-run what failed for another reason"
    return Reason(
        Clause.CONTEXTS,
        f"{', '.join(names)} to be green on {pull.head_sha[:7]}",
        "; ".join(f"{context.name} {_spoken(context)}" for context in bad),
        who,
        remedy,
        sum(1 if context.name in reported else 2 for context in bad),
        names,
    )


def _as_json(query: Query) -> bytes:
    """A query as Go writes it, which is what Tide sorts by."""
    values = {key: getattr(query, name) for key, name in _JSON_FIELDS.items()}
    text = json.dumps({key: value for key, value in values.items() if value}, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text.encode()


def _distance(reasons: Iterable[Reason]) -> int:
    return sum(reason.weight for reason in reasons)


def _branches(query: Query) -> str:
    if query.included_branches:
        return ", ".join(query.included_branches)
    return "any but " + ", ".join(query.excluded_branches)


def _spoken(context: Context) -> str:
    if waits_for_consent(context):
        return "waits for a maintainer to let it run"
    return {
        Result.SUCCESS: "is green",
        Result.PENDING: "is still running",
        Result.FAILURE: "failed",
        Result.ERROR: "ended with an error",
        Result.EXPECTED: "has not reported yet",
    }[context.result]
