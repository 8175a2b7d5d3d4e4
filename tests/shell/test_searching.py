"""What a query admits is what its searches find: held against the sandbox's search, which knows nothing of mergeq."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from mergeq.core.compat import Compat
from mergeq.core.contexts import ContextPolicy, Demands
from mergeq.core.pull import PullRequest
from mergeq.core.query import Query, unmet
from mergeq.sandbox.search import Candidate, matches, parse
from tests.builders import pr

REPOS = ("acme/rocket", "acme/launchpad", "umbrella/site")
LABELS = ("lgtm", "approved", "do-not-merge/hold", "cncf-cla: yes", "kind/bug")
BRANCHES = ("main", "next", "release-1.0")

some_labels = st.lists(st.sampled_from(LABELS), max_size=3, unique=True).map(tuple)
some_branches = st.lists(st.sampled_from(BRANCHES), min_size=1, max_size=2, unique=True).map(tuple)
worlds = st.lists(
    st.builds(
        lambda repo, changes: pr(org=repo.partition("/")[0], repo=repo.partition("/")[2], **changes),
        st.sampled_from(REPOS),
        st.fixed_dictionaries(
            {
                "author": st.sampled_from(["ana", "Bo"]),
                "labels": some_labels,
                "base": st.sampled_from(BRANCHES),
                "milestone": st.sampled_from([None, "v1", "v2"]),
                "review_decision": st.sampled_from([None, "APPROVED", "REVIEW_REQUIRED"]),
                "is_open": st.sampled_from([True, True, True, False]),
                "is_draft": st.booleans(),
            }
        ),
    ),
    min_size=1,
    max_size=8,
).map(lambda pulls: [replace(pull, number=index) for index, pull in enumerate(pulls, 1)])
queries = st.builds(
    lambda scope, branches, criteria: Query(**scope, **branches, **criteria),
    st.sampled_from(
        [
            {"orgs": ("acme",)},
            {"orgs": ("acme", "umbrella"), "excluded_repos": ("acme/launchpad",)},
            {"repos": ("acme/rocket", "umbrella/site")},
            {"orgs": ("umbrella",), "repos": ("acme/launchpad",)},
        ]
    ),
    st.just({})
    | st.sampled_from(["included_branches", "excluded_branches"]).flatmap(
        lambda key: st.fixed_dictionaries({key: some_branches})
    ),
    st.fixed_dictionaries(
        {
            "author": st.sampled_from(["", "", "ana", "bo"]),
            "labels": st.lists(
                st.sampled_from([*LABELS[:2], "approved,kind/bug", "cncf-cla: yes"]), max_size=2, unique=True
            ).map(tuple),
            "missing_labels": st.lists(st.sampled_from(LABELS[2:]), max_size=2, unique=True).map(tuple),
            "milestone": st.sampled_from(["", "", "v1"]),
            "review_approved_required": st.booleans(),
        }
    ),
)


def indexed(pull: PullRequest) -> Candidate:
    """A pull request as search knows it, without any lag."""
    return Candidate(
        repo=f"{pull.org}/{pull.repo}",
        number=pull.number,
        is_pull=True,
        state="open" if pull.is_open else "closed",
        author=pull.author,
        created_at=0,
        updated_at=0,
        labels=frozenset(pull.labels),
        base=pull.base,
        milestone=pull.milestone,
        draft=pull.is_draft,
        reviews=frozenset({"approved"} if pull.review_decision == "APPROVED" else {"required"}),
    )


@pytest.mark.parametrize("compat", Compat)
@trials(deadline=None, max_examples=150)
@given(world=worlds, wanted=queries)
def test_a_pull_request_is_found_exactly_when_the_query_misses_nothing_but_contexts(
    world: list[PullRequest], wanted: Query, compat: Compat
) -> None:
    """D11: a search finds all that may be admitted; what it finds besides is looked at and left out."""
    demands = Demands(ContextPolicy(skip_unknown=True), compat=compat)

    exact = {one.number for one in world for text in wanted.exact_searches() if matches(parse(text), indexed(one))}
    sent = {one.number for one in world for text in wanted.searches() if matches(parse(text), indexed(one))}
    admitted = {
        one.number
        for one in world
        if one.is_open and wanted.covers(one.org, f"{one.org}/{one.repo}") and unmet(wanted, one, demands) == ()
    }

    assert exact == admitted
    assert sent >= admitted


@trials(deadline=None, max_examples=50)
@given(world=worlds, wanted=queries)
def test_the_case_in_which_labels_are_written_changes_neither_what_is_found_nor_what_is_admitted(
    world: list[PullRequest], wanted: Query
) -> None:
    """D18, and GitHub's own search."""
    demands = Demands(ContextPolicy(skip_unknown=True))
    for one in world:
        shouted = replace(one, labels=tuple(label.upper() for label in one.labels))

        assert (unmet(wanted, shouted, demands) == ()) == (unmet(wanted, one, demands) == ())
        for text in wanted.exact_searches():
            assert matches(parse(text), indexed(shouted)) == matches(parse(text), indexed(one))
