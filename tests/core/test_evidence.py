"""Tide's evidence: what jobs said about heads on a base, how far that brings a pool, and what it tests next."""

from collections.abc import Sequence
from typing import Any

import pytest

from mergeq.core import evidence
from mergeq.core.batch import Conflict, Progress
from mergeq.core.contexts import ContextPolicy, Presubmit
from mergeq.core.evidence import Evidence
from mergeq.core.pool import Pool, Standing
from mergeq.core.pull import Branch, Context, Method, PullRequest, Result
from tests.builders import BASE, MAIN, clash, context, green, job, pr, tide

S, P, F, E = Result.SUCCESS, Result.PENDING, Result.FAILURE, Result.ERROR
OTHER = "c" * 40
ONE, TWO, THREE, FOUR, FIVE = (pr(number) for number in range(1, 6))


def told(description: str, result: Result = S) -> PullRequest:
    """A pull request on whose head ci/test says this."""
    return pr(1, contexts=(context("ci/test", result, description=description),))


def pool(*pulls: PullRequest, base_sha: str = BASE) -> Pool:
    """These, in the pool of their branch."""
    return Pool(MAIN, base_sha, tuple(Standing(pull, Method.MERGE, ()) for pull in pulls))


def bucket(found: Progress) -> str:
    """Where the only pull request of a pool is."""
    return "success" if found.passed else "pending" if found.pending else "missing"


@pytest.mark.parametrize(
    ("rows", "jobs", "said"),
    [
        pytest.param((), "job1 job2", "missing", id="T11.156 nothing has run"),
        pytest.param((("job1", P),), "job1 job2", "missing", id="T11.157 one has not begun"),
        pytest.param((("job1", P), ("job2", P)), "job1 job2", "pending", id="T11.158 both run"),
        pytest.param((("job1", F), ("job2", P)), "job1 job2", "missing", id="T11.159 one failed"),
        pytest.param(
            (("job1", P), ("job2", F), ("job2", P)), "job1 job2", "pending", id="T11.160 failed, and runs again"
        ),
        pytest.param((("job1", S), ("job2", P)), "job1 job2", "pending", id="T11.161 one is green"),
        pytest.param((("job1", S), ("job1", F), ("job2", S)), "job1 job2", "success", id="T11.162 the best counts"),
        pytest.param((("a", S), ("b", S), ("c", S), ("d", F)), "a b c d", "missing", id="T11.163 the fourth failed"),
        pytest.param(
            (("a", S), ("b", S), ("c", S), ("d", F), ("d", P)), "a b c d", "pending", id="T11.163 it runs again"
        ),
        pytest.param((("a", S), ("b", S), ("c", S), ("d", F), ("d", S)), "a b c d", "success", id="T11.163 it passed"),
        pytest.param((), "", "success", id="T11.165 nothing is demanded"),
    ],
)
def test_a_pull_request_has_come_as_far_as_its_slowest_job(
    rows: tuple[tuple[str, Result], ...], jobs: str, said: str
) -> None:
    found = evidence.progress(pool(ONE), [job(name, result, ONE) for name, result in rows], tide(*jobs.split()))

    assert bucket(found) == said


@pytest.mark.parametrize(("old", "new", "said"), [(S, F, "missing"), (F, S, "success")])
def test_what_was_said_of_another_head_is_void(old: Result, new: Result, said: str) -> None:
    """T11.164."""
    before = pr(1, head_sha=OTHER)
    rows = [job("ci/test", old, before), job("ci/test", new, ONE)]

    assert bucket(evidence.progress(pool(ONE), rows, tide("ci/test"))) == said


@pytest.mark.parametrize(
    ("pull", "rows", "said"),
    [
        pytest.param(told(f"Job succeeded. BaseSHA:{BASE}"), (), "success", id="T11.166 it names the base"),
        pytest.param(told(f"Job succeeded. BaseSHA:{OTHER}"), (), "missing", id="T11.167 it names another base"),
        pytest.param(told(f"Job failed. BaseSHA:{BASE}", F), (), "missing", id="T11.168 it is red"),
        pytest.param(told(f"ok BaseSHA:{BASE}"), (F,), "success", id="T11.169 the job failed"),
        pytest.param(told(f"no BaseSHA:{BASE}", F), (S,), "success", id="T11.169 the job passed"),
        pytest.param(told(f"no BaseSHA:{BASE}", F), (F,), "missing", id="T11.170 both failed"),
        pytest.param(told(f"ok Basesha:{BASE}"), (), "success", id="T11.172 as it was once written"),
        pytest.param(told("ok [prow:skip-retest]"), (), "success", id="T11.173 it stands for every base"),
        pytest.param(told("ok"), (), "missing", id="it names no base"),
    ],
)
def test_a_green_status_that_names_the_base_is_evidence(pull: PullRequest, rows: tuple[Result, ...], said: str) -> None:
    found = evidence.progress(pool(pull), [job("ci/test", result, pull) for result in rows], tide("ci/test"))

    assert bucket(found) == said


def test_a_status_that_names_no_base_is_no_evidence_where_the_base_is_not_known() -> None:
    assert bucket(evidence.progress(pool(told(""), base_sha=""), (), tide("ci/test"))) == "missing"


def test_one_job_may_be_told_by_a_status_and_another_by_itself() -> None:
    """T11.171."""
    pull = told(f"ok BaseSHA:{BASE}")

    assert bucket(evidence.progress(pool(pull), [job("e2e", S, pull)], tide("ci/test", "e2e"))) == "success"


def test_what_is_to_be_run_again_is_neither_green_nor_running() -> None:
    """T11.174, T4.26."""
    rows = [job("a", S, ONE), job("b", P, ONE), job("c", F, ONE)]

    assert evidence.to_test(pool(ONE), rows, tide("a", "b", "c", "d")) == {1: ("c", "d")}


def test_jobs_of_another_branch_or_base_say_nothing() -> None:
    """T11.147."""
    rows = [
        job("ci/test", S, ONE, base=OTHER),
        job("ci/test", S, ONE, branch=Branch("acme", "rocket", "release")),
        job("ci/test", S, ONE, branch=Branch("acme", "probe", "main")),
    ]

    assert evidence.progress(pool(ONE), rows, tide("ci/test")).missing == (1,)


A, B = pr(1, head_sha="a" * 40), pr(2, head_sha="b" * 40)
BOTH = (A, B)
OLD = pr(1, head_sha=OTHER)


@pytest.mark.parametrize(
    ("rows", "jobs", "pending", "passed"),
    [
        pytest.param((), "foo bar baz", (), (), id="T11.176 nothing"),
        pytest.param((("foo", P, (A,)),), "foo", (1,), (), id="T11.177 it runs"),
        pytest.param((("foo", P, (A,)),), "foo bar baz", (), (), id="T11.178 two have not begun"),
        pytest.param(
            (
                *(("foo", P, (A,)), ("bar", S, (A,)), ("baz", S, (A,))),
                *(("foo", S, (B,)), ("bar", S, (B,)), ("baz", S, (B,))),
            ),
            "foo bar baz",
            (1,),
            (2,),
            id="T11.179 one runs and one is green",
        ),
        pytest.param(
            (("foo", S, BOTH), ("bar", S, BOTH), ("baz", S, BOTH)), "foo bar baz", (), (1, 2), id="T11.180 green"
        ),
        pytest.param(
            (
                *(("foo", S, BOTH), ("bar", S, BOTH), ("baz", S, BOTH)),
                *(("foo", F, BOTH), ("baz", F, BOTH), ("foo", F, (OLD, B))),
            ),
            "foo bar baz",
            (),
            (1, 2),
            id="T11.181 it was red before",
        ),
        pytest.param((("foo", F, BOTH), ("bar", S, BOTH), ("baz", F, BOTH)), "foo bar baz", (), (), id="T11.182 red"),
        pytest.param(
            (("foo", S, BOTH), ("bar", S, BOTH), ("baz", S, BOTH)), "foo bar baz boo", (), (), id="T11.183 one lacks"
        ),
        pytest.param(
            (("foo", S, BOTH), ("bar", S, BOTH), ("baz", S, BOTH), ("boo", S, BOTH)),
            "foo bar baz boo",
            (),
            (1, 2),
            id="T11.184 none lacks",
        ),
        pytest.param((("foo", P, (pr(9),)), ("foo", S, (B,))), "foo", (), (2,), id="T11.185 a member left the pool"),
        pytest.param((("foo", S, BOTH),), "", (), (1, 2), id="T4.22 nothing is demanded"),
    ],
)
def test_a_batch_has_come_as_far_as_its_slowest_job(
    rows: tuple[tuple[str, Result, tuple[PullRequest, ...]], ...],
    jobs: str,
    pending: tuple[int, ...],
    passed: tuple[int, ...],
) -> None:
    said = [job(name, result, *pulls, batch=True) for name, result, pulls in rows]

    found = evidence.progress(pool(A, B), said, tide(*jobs.split()))

    assert [one.numbers for one in found.pending_batches] == ([pending] if pending else [])
    assert [one.numbers for one in found.passed_batches] == ([passed] if passed else [])


def test_a_batch_says_nothing_about_its_members_alone() -> None:
    found = evidence.progress(pool(A, B), [job("foo", S, A, batch=True)], tide("foo"))

    assert found.missing == (1, 2)


def test_a_batch_must_pass_what_any_of_its_members_must() -> None:
    """T11.187, T3.27: the changed files of its members are taken together."""

    class Docs:
        pattern = "docs"

        def search(self, text: str, /) -> object:
            return "docs" in text

    config = tide(presubmits=(Presubmit("spell", always=False, run_if_changed=Docs()),))
    words, code = pr(1, paths=("docs/a.md",)), pr(2, paths=("main.go",))

    alone = evidence.progress(pool(words, code), (), config)
    together = evidence.progress(pool(words, code), [job("spell", F, words, code, batch=True)], config)

    assert ([one.numbers for one in alone.passed], alone.missing) == ([(2,)], (1,))
    assert together.passed_batches == ()


HELD = ContextPolicy(required=frozenset({"need"}))


@pytest.mark.parametrize(
    ("contexts", "rows", "policy"),
    [
        pytest.param((context("need", P),), (job("need", P, ONE),), HELD, id="T11.201 it runs, started by Tide"),
        pytest.param(
            (context("need", P),), (job("need", F, ONE, base=OTHER),), HELD, id="T4.14 on any base, ended or not"
        ),
        pytest.param((green("need"),), (), HELD, id="T11.201 green, without a job"),
        pytest.param(
            (green("need"), context("odd", F)),
            (),
            ContextPolicy(required=frozenset({"need"}), optional=frozenset({"odd"})),
            id="T11.201 what is optional failed",
        ),
        pytest.param((green("need"), context("tide", F)), (), HELD, id="T11.201 our own status is red"),
        pytest.param((green("c1"), green("c2")), (), ContextPolicy(), id="T11.115 what is green may be tested again"),
    ],
)
def test_who_is_green_or_tested_by_tide_may_be_tested_again(
    contexts: tuple[Context, ...], rows: tuple[Evidence, ...], policy: ContextPolicy
) -> None:
    assert evidence.is_eligible(pr(1, contexts=contexts), rows, tide(contexts=policy))


@pytest.mark.parametrize(
    ("contexts", "rows"),
    [
        pytest.param((), (), id="T11.202 it is absent"),
        pytest.param((context("need", F),), (job("need", P, ONE),), id="T11.202 red"),
        pytest.param((context("need", E),), (job("need", P, ONE),), id="T11.202 an error"),
        pytest.param((context("need", P),), (), id="T11.202 pending without a job"),
        pytest.param((context("need", P),), (job("need", P, ONE, by=""),), id="T11.202 started by somebody else"),
        pytest.param((context("need", P),), (job("need", P, ONE, batch=True),), id="T11.202 a batch"),
        pytest.param(
            (context("need", P),),
            (job("need", P, ONE, branch=Branch("acme", "probe", "main")),),
            id="T11.202 another repository",
        ),
        pytest.param((context("need", P),), (job("need", P, TWO),), id="T11.202 another pull request"),
        pytest.param((context("need", P),), (job("other", P, ONE),), id="T11.202 another context"),
        pytest.param((context("need", P),), (job("need", P, pr(1, head_sha=OTHER)),), id="T11.202 another head"),
        pytest.param(None, (), id="its contexts are not known"),
    ],
)
def test_who_waits_for_others_may_not_be_tested_again(
    contexts: tuple[Context, ...] | None, rows: tuple[Evidence, ...]
) -> None:
    assert not evidence.is_eligible(pr(1, contexts=contexts), rows, tide(contexts=HELD))


def batch(rows: tuple[Evidence, ...] = (), conflicts: tuple[Conflict, ...] = (), **changes: Any) -> list[int] | None:
    """The numbers that Tide would test together, of five that are ready."""
    judged = pool(ONE, TWO, THREE, FOUR, FIVE)
    found = evidence.candidates(judged, rows, conflicts, tide(**changes))
    return None if found is None else [member.pull.number for member in found]


FIRST_FOUR = (ONE, TWO, THREE, FOUR)
LAST_TWO = (THREE, FOUR)


@pytest.mark.parametrize(
    ("rows", "changes", "chosen"),
    [
        pytest.param((), {}, [1, 2, 3, 4, 5], id="T11.190 nothing was tried"),
        pytest.param((job("a", S, *FIRST_FOUR, batch=True),), {}, [1, 2, 3, 4], id="T11.191 one was tried"),
        pytest.param(
            (job("a", S, *FIRST_FOUR, batch=True),),
            {"prioritizes_existing_batches": False},
            [1, 2, 3, 4, 5],
            id="T11.192 and does not go first",
        ),
        pytest.param(
            (job("a", S, *FIRST_FOUR, pr(9), batch=True),), {}, [1, 2, 3, 4, 5], id="T11.193 a member may not be tested"
        ),
        pytest.param(
            (job("a", S, *FIRST_FOUR, batch=True),), {"batch_size_limit": 3}, [1, 2, 3], id="T11.194 it is too large"
        ),
        pytest.param(
            (job("a", S, pr(1, head_sha=OTHER), TWO, batch=True),), {}, [1, 2, 3, 4, 5], id="T11.195 a head is new"
        ),
        pytest.param((job("a", F, *FIRST_FOUR, batch=True),), {}, [1, 2, 3, 4, 5], id="T11.196 it failed"),
        pytest.param(
            (job("a", P, *LAST_TWO, batch=True), job("a", S, ONE, TWO, batch=True)),
            {},
            [1, 2],
            id="T11.197 green goes before running",
        ),
        pytest.param((job("a", P, *FIRST_FOUR, batch=True),), {}, [1, 2, 3, 4], id="T11.198 it runs"),
        pytest.param(
            (job("a", S, *FIRST_FOUR, batch=True), *(job(name, S, *LAST_TWO, batch=True) for name in "ab")),
            {},
            [3, 4],
            id="T11.199 most green jobs go first",
        ),
        pytest.param((job("a", S, ONE, TWO, batch=True, base=OTHER),), {}, [1, 2, 3, 4, 5], id="another base"),
        pytest.param((job("a", S, ONE, TWO),), {}, [1, 2, 3, 4, 5], id="it was no batch"),
        pytest.param((), {"batch_size_limit": -1}, [], id="T11.189 batches are off"),
    ],
)
def test_a_batch_that_was_tried_is_tried_again(
    rows: tuple[Evidence, ...], changes: dict[str, Any], chosen: list[int]
) -> None:
    assert batch(rows, **changes) == chosen


def test_a_new_batch_leaves_out_who_conflicts_or_may_not_be_tested() -> None:
    """T11.188."""
    pulls = [pr(number) for number in range(5)]
    lacking, red = pr(5, contexts=()), pr(6, contexts=(context("ci/test", F),))
    judged = pool(*pulls, lacking, red, pr(7), pr(8))
    config = tide(batch_size_limit=5, contexts=ContextPolicy(required=frozenset({"ci/test"})))

    found = evidence.candidates(judged, (), [clash((pulls[0], pulls[1]), pulls[2])], config)

    assert found is not None
    assert [member.pull.number for member in found] == [0, 1, 3, 4, 7]


def test_nobody_merging_into_the_base_is_an_error_and_nobody_being_ready_is_none() -> None:
    """T4.15."""
    heads = [Conflict(BASE, (), pull.head_sha) for pull in (ONE, TWO, THREE, FOUR, FIVE)]

    assert batch(conflicts=tuple(heads)) is None
    assert batch(contexts=HELD) == []


def test_alone_goes_the_first_in_rank_that_may_be_tested() -> None:
    """T4.12, T11.203: what runs on an earlier base does not hold it back."""
    first, waiting = pr(1, contexts=(green("need"),)), pr(2, contexts=(context("need", P),))
    urgent = pr(3, labels=("urgent",), contexts=(green("need"),))
    judged, config = pool(first, waiting, urgent), tide(contexts=HELD, priority=(("urgent",),))
    started = [job("need", P, waiting, base=OTHER)]

    def chosen(*missing: int, rows: Sequence[Evidence] = ()) -> int | None:
        found = evidence.serial_candidate(judged, missing, rows, config)
        return found.pull.number if found else None

    assert chosen(1, 2, 3) == 3
    assert chosen(1, 2) == 1
    assert (chosen(2), chosen(2, rows=started)) == (None, 2)


def test_what_is_still_to_be_retested_has_no_green_job_alone_or_in_a_batch() -> None:
    """T6.9, T11.287."""
    config = tide("foo", "bar", contexts=ContextPolicy(required=frozenset({"foo", "need"})))
    rows = [job("foo", S, ONE, TWO, batch=True), job("bar", F, ONE), job("need", S, ONE, base=OTHER)]

    assert evidence.untested(ONE, BASE, rows, config) == ["bar", "need"]
    assert evidence.untested(TWO, BASE, rows, config) == ["bar", "need"]
