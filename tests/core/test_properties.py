"""What holds for every pool and every query, not only for the examples."""

import re
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from mergeq.core.contexts import ContextPolicy, EmptyContexts
from mergeq.core.decide import Merge, decide
from mergeq.core.merge_method import MergeMethods
from mergeq.core.pool import BlocksPolicy, BranchSettings, Refusal, assess
from mergeq.core.pull import Blocker, Branch, Context, Mergeable, Method, PullRequest, Repository, Result, blocker
from mergeq.core.query import Query, unmet
from mergeq.core.queue import Drafts, Order, QueueValues
from mergeq.core.status import describe
from tests.builders import context, pool, pr, query, settings

quickly = trials(deadline=None, max_examples=40)

LABELS = ("lgtm", "approved", "hold", "urgent", "m/squash", "m/rebase")
NAMES = ("ci/test", "ci/lint", "e2e", "tide")
OURS = "tide"

texts = st.text(max_size=30)
labels = st.lists(st.sampled_from(LABELS), max_size=4, unique=True).map(tuple)
contexts = st.builds(
    Context,
    name=st.sampled_from(NAMES),
    result=st.sampled_from([Result.SUCCESS, Result.SUCCESS, Result.SUCCESS, Result.PENDING, Result.FAILURE]),
    app=st.sampled_from([None, "actions"]),
    at=st.sampled_from([1.0, 2.0]),
)


@st.composite
def pulls(draw: st.DrawFn, number: int = 1) -> PullRequest:
    """A pull request with anything that the core looks at, often green."""
    green = pr(number)
    if draw(st.booleans()):
        return replace(green, labels=(*green.labels, *draw(st.sampled_from([(), ("urgent",), ("m/squash",)]))))
    return replace(
        green,
        base=draw(st.sampled_from(["main", "next"])),
        title=draw(texts),
        author=draw(st.sampled_from(["ana", "bo"])),
        labels=draw(labels),
        contexts=draw(st.none() | st.lists(contexts, max_size=3).map(tuple)),
        milestone=draw(st.sampled_from([None, "v1"])),
        is_draft=draw(st.booleans()),
        is_open=draw(st.booleans()),
        mergeable=draw(st.sampled_from(Mergeable)),
        merge_state=draw(st.sampled_from(["CLEAN", "BLOCKED"])),
        can_be_rebased=draw(st.booleans()),
        review_decision=draw(st.sampled_from([None, "APPROVED", "CHANGES_REQUESTED"])),
        in_merge_queue=draw(st.booleans()),
    )


@st.composite
def crowds(draw: st.DrawFn) -> tuple[PullRequest, ...]:
    """Some pull requests of one branch, in any order."""
    numbers = draw(st.lists(st.integers(1, 9), max_size=5, unique=True))
    return tuple(draw(pulls(number)) for number in numbers)


refusals = st.dictionaries(
    st.integers(1, 9),
    st.integers(1, 9).flatmap(
        lambda number: st.builds(Refusal, st.just(f"{number:040x}"), texts, st.sampled_from([1.0, 5e3]))
    ),
    max_size=3,
)
histories = st.dictionaries(
    st.integers(1, 9).map(lambda number: (number, f"{number:040x}")), st.floats(0, 2000), max_size=5
)
configurations = st.builds(
    BranchSettings,
    queries=st.lists(
        st.sampled_from(
            [
                query(),
                query(labels=("urgent,lgtm",), missing_labels=("hold",)),
                query(author="bo", milestone="v1", review_approved_required=True),
                query(included_branches=("main",)),
                query(excluded_branches=("main",)),
            ]
        ),
        max_size=3,
    ).map(tuple),
    contexts=st.sampled_from(
        [ContextPolicy(), ContextPolicy(required=frozenset({"e2e"})), ContextPolicy(optional=frozenset({"ci/lint"}))]
    ),
    methods=st.builds(
        MergeMethods,
        st.sampled_from([{}, {"acme": Method.REBASE}]),
        squash_label=st.sampled_from(["", "m/squash"]),
        rebase_label=st.just("m/rebase"),
    ),
    blocks_policy=st.sampled_from(BlocksPolicy),
    queue=st.builds(
        QueueValues,
        empty_contexts=st.sampled_from(EmptyContexts),
        drafts=st.sampled_from(Drafts),
        order=st.sampled_from(Order),
    ),
    priority=st.sampled_from([(), (("urgent",),), (("urgent", "m/squash"), ("urgent",))]),
)
repositories = st.builds(Repository, st.frozensets(st.sampled_from(Method), min_size=1), st.booleans())
stopping = st.lists(
    st.builds(blocker, st.integers(1, 99), st.sampled_from(["Outage", "Freeze branch:main"]), st.just("")),
    min_size=1,
    max_size=3,
).map(tuple)


@quickly
@given(crowds(), configurations, histories, refusals, st.randoms(use_true_random=False))
def test_the_order_in_which_pull_requests_arrive_changes_nothing(
    crowd: tuple[PullRequest, ...],
    config: BranchSettings,
    entered: dict[tuple[int, str], float],
    refused: dict[int, Refusal],
    random: Random,
) -> None:
    shuffled = list(crowd)
    random.shuffle(shuffled)

    one = pool(*crowd, config=config, entered=entered, refusals=refused)
    other = pool(*shuffled, config=config, entered=entered, refusals=refused)

    assert one == other
    assert decide(one, config) == decide(other, config)


@quickly
@given(crowds(), configurations, stopping)
def test_a_pool_with_blockers_never_merges(
    crowd: tuple[PullRequest, ...], config: BranchSettings, blockers: tuple[Blocker, ...]
) -> None:
    assert not isinstance(decide(pool(*crowd, config=config, blockers=blockers), config), Merge)


@quickly
@given(crowds(), configurations, st.text(min_size=1))
def test_a_partial_pool_never_merges(crowd: tuple[PullRequest, ...], config: BranchSettings, gap: str) -> None:
    assert not isinstance(decide(pool(*crowd, config=config, partial=gap), config), Merge)


@quickly
@given(crowds(), configurations, repositories, histories, refusals)
def test_only_a_pull_request_that_nothing_keeps_out_is_merged_and_one_is_if_there_is_one(
    crowd: tuple[PullRequest, ...],
    config: BranchSettings,
    repository: Repository,
    entered: dict[tuple[int, str], float],
    refused: dict[int, Refusal],
) -> None:
    judged = pool(*crowd, config=config, repository=repository, entered=entered, refusals=refused)

    action = decide(judged, config)

    assert isinstance(action, Merge) == bool(judged.members)
    if isinstance(action, Merge):
        chosen = judged.standing(action.number)
        assert chosen is not None
        assert chosen.reasons == ()
        assert (chosen.pull.head_sha, chosen.method) == (action.head_sha, action.method)


@quickly
@given(crowds(), configurations, repositories)
def test_whoever_is_in_the_pool_is_admitted_by_a_query_on_its_own_fields(
    crowd: tuple[PullRequest, ...], config: BranchSettings, repository: Repository
) -> None:
    for member in pool(*crowd, config=config, repository=repository).members:
        assert any(unmet(one, member.pull, config.contexts, OURS) == () for one in config.queries)


word = st.sampled_from(["a", "b", "c", "d"])
queries = st.builds(
    Query,
    orgs=st.just(("acme",)),
    author=st.sampled_from(["", "ana", "@Ana"]),
    labels=st.lists(st.lists(word, min_size=1, max_size=3, unique=True).map(",".join), max_size=3, unique=True).map(
        tuple
    ),
    missing_labels=st.lists(st.sampled_from(["x", "y", "z"]), max_size=2, unique=True).map(tuple),
    included_branches=st.sampled_from([(), ("main",), ("next", "main")]),
    milestone=st.sampled_from(["", "v1"]),
    review_approved_required=st.booleans(),
)


def admitted(wanted: Query) -> PullRequest:
    """A pull request that has what one query asks for, and no more."""
    return pr(
        labels=tuple(entry.split(",")[0].upper() for entry in wanted.labels),
        milestone=wanted.milestone or None,
        review_decision="APPROVED" if wanted.review_approved_required else None,
    )


def spoilt(wanted: Query) -> dict[str, dict[str, Any]]:
    """Every way to take one thing away from `admitted(wanted)`."""
    pull = admitted(wanted)
    ways: dict[str, dict[str, Any]] = {
        "a red context": {"contexts": (*(pull.contexts or ()), context("ci/lint", Result.FAILURE))},
        "a pending context": {"contexts": (*(pull.contexts or ()), context("ci/lint", Result.PENDING))},
        "the required context gone": {"contexts": (context("ci/lint", Result.SUCCESS),)},
    }
    for entry in wanted.labels:
        alternatives = entry.split(",")
        ways[f"no {entry}"] = {"labels": tuple(one for one in pull.labels if one.lower() not in alternatives)}
    for label in wanted.missing_labels:
        ways[f"with {label}"] = {"labels": (*pull.labels, label.upper())}
    if wanted.author:
        ways["another author"] = {"author": "bo"}
    if wanted.milestone:
        ways["another milestone"] = {"milestone": "v2"}
        ways["no milestone"] = {"milestone": None}
    if wanted.included_branches:
        ways["another base"] = {"base": "dev"}
    if wanted.review_approved_required:
        ways["a withdrawn approval"] = {"review_decision": "REVIEW_REQUIRED"}
    return ways


@quickly
@given(queries)
def test_taking_one_thing_away_from_an_admitted_pull_request_keeps_it_out(wanted: Query) -> None:
    config = settings(queries=(wanted,), contexts=ContextPolicy(required=frozenset({"ci/test"})))
    whole = admitted(wanted)
    assert assess(whole, Repository(), config).reasons == ()

    for way, changes in spoilt(wanted).items():
        pull = replace(whole, **changes)
        assert unmet(wanted, pull, config.contexts, OURS) != (), way
        assert not assess(pull, Repository(), config).in_pool, way


@quickly
@given(
    pulls(),
    st.builds(replace, configurations, status_context=st.sampled_from(["tide", "Tide"])),
    st.text(),
    st.booleans(),
)
def test_a_status_is_always_something_that_github_takes(
    pull: PullRequest, config: BranchSettings, strange: str, blocked: bool
) -> None:
    named = replace(pull, base=pull.base + strange, contexts=(*(pull.contexts or ()), context(strange, Result.ERROR)))
    refused = {pull.number: Refusal(pull.head_sha, strange, 5e3)}
    blockers = (blocker(7, "Outage", ""),) if blocked else ()

    for one in (pull, named):
        judged = pool(one, config=config, blockers=blockers, refusals=refused if one is named else {})
        status = describe(judged.standings[0], judged, config)
        assert 0 < len(status.description) <= 140
        assert max(status.description) <= "\uffff"
        assert status.state in {"success", "pending", "error"}
        assert (status.state == "success") == (judged.standings[0].in_pool and not blocked)


@quickly
@given(pulls(), configurations)
def test_the_case_of_labels_never_matters(pull: PullRequest, config: BranchSettings) -> None:
    """D18."""
    shouted = replace(pull, labels=tuple(label.upper() for label in pull.labels))

    one, other = assess(pull, Repository(), config), assess(shouted, Repository(), config)

    assert [(reason.clause, reason.items, reason.weight) for reason in one.reasons] == [
        (reason.clause, reason.items, reason.weight) for reason in other.reasons
    ]
    assert one.method == other.method


plain = st.text(alphabet="abcXYZ019-_./: ü🐲", min_size=1, max_size=12)
owners = st.text(alphabet="abc-", min_size=1, max_size=5)
repos = st.builds("{}/{}".format, owners, owners)


@quickly
@given(
    st.builds(
        Query,
        orgs=st.lists(owners, max_size=3, unique=True).map(tuple),
        repos=st.lists(repos, max_size=3, unique=True).map(tuple),
        excluded_repos=st.lists(repos, max_size=3, unique=True).map(tuple),
        author=plain | st.just(""),
        labels=st.lists(plain, max_size=3).map(tuple),
        missing_labels=st.lists(plain, max_size=3).map(tuple),
        included_branches=st.lists(plain, max_size=2).map(tuple),
        milestone=plain | st.just("") | st.just("org:acme repo:acme/rocket"),
    )
)
def test_each_search_has_exactly_one_scope_and_every_scope_its_search(wanted: Query) -> None:
    """D11, Q21: GitHub reads several scopes as AND."""
    found = []
    for search in wanted.searches():
        outside_quotes = re.sub(r'"[^"]*"', lambda quoted: quoted[0].replace(" ", "_").replace(":", "_"), search)
        scopes = [term for term in outside_quotes.split(" ") if term.startswith(("org:", "repo:"))]
        assert len(scopes) == 1, search
        found += scopes

    assert found == [f'org:"{org}"' for org in wanted.orgs] + [f'repo:"{repo}"' for repo in wanted.repos]


@quickly
@given(owners, owners, st.text(alphabet="abc/.:#-ü", min_size=1, max_size=12))
def test_every_branch_reads_back_what_it_writes(org: str, repo: str, name: str) -> None:
    branch = Branch(org, repo, name)

    assert Branch.parse(str(branch)) == branch
