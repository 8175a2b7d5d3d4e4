"""Reasons are true, and they are all: what each says is so, and whoever does what they ask for gets in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mergeq.core.compat import Compat
from mergeq.core.orders import Eviction
from mergeq.core.pool import Arrival, BranchSettings, Landed, Memory, Refusal, Standing, assess, under_protection
from mergeq.core.pull import Context, Mergeable, Method, Protection, PullRequest, Repository, Result
from mergeq.core.query import unmet
from mergeq.core.queue import Landing, QueueValues, Retest
from mergeq.core.reason import Clause, Reason
from tests.builders import green, query
from tests.core.test_properties import configurations, pulls, repositories
from tests.core.trials import trials

NOW = 2000.0


@dataclass(frozen=True)
class Case:
    """Everything that one pull request is judged by."""

    pull: PullRequest
    config: BranchSettings
    repository: Repository
    protection: Protection
    memory: Memory

    def judged(self) -> Standing:
        return assess(self.pull, self.repository, self.protection, self.config, self.memory, NOW)

    def with_pull(self, **changes: Any) -> "Case":
        return replace(self, pull=replace(self.pull, **changes))

    @property
    def labels(self) -> set[str]:
        return {label.lower() for label in self.pull.labels}

    @property
    def required(self) -> frozenset[str]:
        return under_protection(self.config, self.protection).contexts.required

    def reports(self, name: str) -> list[Context]:
        """The newest report of each reporter under a name."""
        found: dict[str | None, Context] = {}
        for one in sorted((c for c in self.pull.contexts or () if c.name == name), key=lambda one: one.at):
            found[one.app] = one
        return list(found.values())


def closest(case: Case) -> Any:
    demands = under_protection(case.config, case.protection).demands
    weights = [sum(one.weight for one in unmet(wanted, case.pull, demands)) for wanted in case.config.queries]
    return case.config.queries[weights.index(min(weights))]


def put_on(case: Case, *labels: str) -> Case:
    """Labels added just now."""
    times = {**dict(case.pull.label_times), **dict.fromkeys((label.lower() for label in labels), NOW)}
    kept = [label for label in case.pull.labels if label.lower() not in {one.lower() for one in labels}]
    return case.with_pull(labels=(*kept, *labels), label_times=tuple(times.items()))


def take_off(case: Case, *labels: str) -> Case:
    gone = {label.lower() for label in labels}
    return case.with_pull(labels=tuple(label for label in case.pull.labels if label.lower() not in gone))


def run_ci(case: Case) -> Case:
    """Everything that must be green is, and everything that was reported."""
    reported = {one.name for one in case.pull.contexts or ()}
    return case.with_pull(contexts=tuple(green(name) for name in sorted({"ci/test", *reported, *case.required})))


def a_branch_for(case: Case) -> str:
    return next(name for name in ("main", "next") if closest(case).admits_branch(name))


@dataclass(frozen=True)
class Meaning:
    """What a clause says of a pull request, told without the code that found it, and what makes it untrue."""

    is_true: Callable[[Case, Reason], bool]
    repaired: Callable[[Case, Reason], Case]


def method_labels(case: Case) -> list[str]:
    methods = case.config.methods
    known = {label.lower() for label in (methods.squash_label, methods.rebase_label, methods.merge_label) if label}
    return [label for label in case.pull.labels if label.lower() in known]


MEANINGS: Mapping[Clause, Meaning] = {
    Clause.CLOSED: Meaning(lambda case, _: not case.pull.is_open, lambda case, _: case.with_pull(is_open=True)),
    Clause.CONFLICT: Meaning(
        lambda case, _: case.pull.mergeable == "CONFLICTING",
        lambda case, _: case.with_pull(mergeable=Mergeable.MERGEABLE, can_be_rebased=True),
    ),
    Clause.METHOD_LABELS: Meaning(
        lambda case, _: len(method_labels(case)) > 1,
        lambda case, _: take_off(case, *method_labels(case)),
    ),
    Clause.REBASE: Meaning(
        lambda case, _: not case.pull.can_be_rebased, lambda case, _: case.with_pull(can_be_rebased=True)
    ),
    Clause.METHOD_DISALLOWED: Meaning(
        lambda case, reason: reason.items[0] not in {one.value for one in case.repository.allowed_methods},
        lambda case, _: replace(case, repository=replace(case.repository, allowed_methods=frozenset(Method))),
    ),
    Clause.GITHUB_BLOCKED: Meaning(
        lambda case, _: case.pull.merge_state == "BLOCKED", lambda case, _: case.with_pull(merge_state="CLEAN")
    ),
    Clause.MERGE_QUEUE: Meaning(
        lambda case, _: case.pull.in_merge_queue, lambda case, _: case.with_pull(in_merge_queue=False)
    ),
    Clause.AUTO_MERGE: Meaning(
        lambda case, _: bool(case.pull.auto_merge_by), lambda case, _: case.with_pull(auto_merge_by="")
    ),
    Clause.ARCHIVED: Meaning(
        lambda case, _: case.repository.is_archived,
        lambda case, _: replace(case, repository=replace(case.repository, is_archived=False)),
    ),
    Clause.WORKFLOWS: Meaning(
        lambda case, _: case.repository.withholds_workflows and bool(case.pull.paths),
        lambda case, _: replace(case, repository=replace(case.repository, withholds_workflows=False)),
    ),
    Clause.DRAFT: Meaning(lambda case, _: case.pull.is_draft, lambda case, _: case.with_pull(is_draft=False)),
    Clause.NO_QUERY: Meaning(
        lambda case, _: case.config.queries == (),
        lambda case, _: replace(case, config=replace(case.config, queries=(query(labels=()),))),
    ),
    Clause.BRANCH: Meaning(
        lambda case, reason: case.pull.base == reason.items[0] and not closest(case).admits_branch(case.pull.base),
        lambda case, _: case.with_pull(base=a_branch_for(case)),
    ),
    Clause.AUTHOR: Meaning(
        lambda case, reason: case.pull.author.lower() != reason.items[0],
        lambda case, reason: case.with_pull(author=reason.items[0]),
    ),
    Clause.MILESTONE: Meaning(
        lambda case, reason: case.pull.milestone != reason.items[0],
        lambda case, reason: case.with_pull(milestone=reason.items[0]),
    ),
    Clause.LABELS: Meaning(
        lambda case, reason: all(case.labels.isdisjoint(item.lower().split(" or ")) for item in reason.items),
        lambda case, reason: put_on(case, *(item.split(" or ")[0] for item in reason.items)),
    ),
    Clause.FORBIDDEN_LABELS: Meaning(
        lambda case, reason: {item.lower() for item in reason.items} <= case.labels,
        lambda case, reason: take_off(case, *reason.items),
    ),
    Clause.CONTEXTS_UNREADABLE: Meaning(lambda case, _: case.pull.contexts is None, lambda case, _: run_ci(case)),
    Clause.NO_CONTEXTS: Meaning(
        lambda case, _: {one.name.lower() for one in case.pull.contexts or ()} <= {case.config.status_context},
        lambda case, _: run_ci(case),
    ),
    Clause.CONTEXTS: Meaning(
        lambda case, reason: all(
            {one.result for one in case.reports(name)} != {Result.SUCCESS} for name in reason.items
        ),
        lambda case, _: run_ci(case),
    ),
    Clause.REVIEW: Meaning(
        lambda case, _: case.pull.review_decision != "APPROVED",
        lambda case, _: case.with_pull(review_decision="APPROVED"),
    ),
    Clause.EVICTED: Meaning(
        lambda case, reason: reason.items == (f"ana@desk: {case.memory.evictions[case.pull.number].why}",),
        lambda case, _: replace(case, memory=replace(case.memory, evictions={})),
    ),
    Clause.SETTLING: Meaning(
        lambda case, reason: (
            {
                max(one.at, one.ended_at) > NOW - case.config.queue.settle
                for one in case.pull.contexts or ()
                if one.name == reason.items[0]
            }
            == {True}
        ),
        lambda case, _: case.with_pull(contexts=tuple(replace(one, at=1.0) for one in case.pull.contexts or ())),
    ),
    Clause.REFUSED: Meaning(
        lambda case, reason: case.memory.refusals[case.pull.number].text == reason.items[0],
        lambda case, _: replace(case, memory=replace(case.memory, refusals={})),
    ),
    Clause.STAGED: Meaning(
        lambda case, reason: replace(case.memory.convictions[case.pull.head_sha], observed_at=NOW) == reason,
        lambda case, _: replace(case, memory=replace(case.memory, convictions={})),
    ),
    Clause.STAGING_FORBIDDEN: Meaning(
        lambda case, _: case.pull.is_fork or not case.pull.by_writer,
        lambda case, _: case.with_pull(is_fork=False, by_writer=True),
    ),
    Clause.VOIDED: Meaning(
        lambda case, reason: (
            reason.items[0].split(" ")[0].lower() in case.labels
            and dict(case.pull.label_times).get("lgtm", 0.0) <= case.memory.arrivals[case.pull.number].not_after
        ),
        lambda case, _: put_on(case, "lgtm"),
    ),
    Clause.PROTECTION: Meaning(
        lambda case, _: case.protection != Protection(),
        lambda case, _: replace(
            case.with_pull(review_decision="APPROVED", unresolved_threads=0, merge_state="CLEAN"),
            protection=replace(
                case.protection,
                linear_history=False,
                signatures=False,
                is_locked=False,
                no_updates=False,
                reserved_for=(),
            ),
        ),
    ),
    Clause.LANDING: Meaning(
        lambda case, _: (
            case.config.queue.landing is Landing.FAST_FORWARD or case.memory.refusals[case.pull.number].is_ours
        ),
        lambda case, _: replace(
            case,
            config=replace(case.config, queue=replace(case.config.queue, landing=Landing.AUTO)),
            memory=replace(
                case.memory, refusals={n: one for n, one in case.memory.refusals.items() if not one.is_ours}
            ),
        ),
    ),
    Clause.LANDED: Meaning(
        lambda case, reason: case.memory.landed[case.pull.number].sha.startswith(reason.items[0]),
        lambda case, _: replace(case, memory=replace(case.memory, landed={})),
    ),
}
FOUND_IN_RUNS = {Clause.BEHIND}
ONLY_TIDE = {Clause.UNPOOLED}

protections = st.just(Protection()) | st.builds(
    Protection,
    required=st.sampled_from([(), (("ci/lint", None),)]),
    reviews=st.booleans(),
    conversations=st.booleans(),
    up_to_date=st.booleans(),
    linear_history=st.booleans(),
    signatures=st.booleans(),
    is_locked=st.booleans(),
    by_pull=st.booleans(),
    no_updates=st.booleans(),
    reserved_for=st.sampled_from([(), ("@acme/release",)]),
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A pull request in any state, under any configuration, its head known to have come at 1000 s."""
    config = draw(configurations)
    retest = draw(st.sampled_from([Retest.HEAD, Retest.STAGING, Retest.UPDATE]))
    pull = replace(
        draw(pulls()),
        label_times=draw(st.sampled_from([(), (("lgtm", 500.0),), (("lgtm", 1500.0),)])),
        unresolved_threads=draw(st.sampled_from([0, 2])),
        merge_state=draw(st.sampled_from(["CLEAN", "CLEAN", "BLOCKED", "BEHIND"])),
        is_fork=draw(st.booleans()),
        by_writer=draw(st.booleans()),
        paths=draw(st.sampled_from([None, ("a.py",), (".github/workflows/ci.yaml",)])),
    )
    conviction = Reason(Clause.STAGED, "e2e to be green", "it is red", "the author", "push a fix", items=("e2e",))
    memory = Memory(
        refusals=draw(
            st.sampled_from([{}, *({pull.number: Refusal(pull.head_sha, "no", 5e3, ours)} for ours in (True, False))])
        ),
        landed=draw(st.sampled_from([{}, {}, {}, {pull.number: Landed(pull.head_sha, "c" * 40, 1500.0)}])),
        convictions=draw(st.sampled_from([{}, {pull.head_sha: conviction}])),
        evictions=draw(st.sampled_from([{}, {pull.number: Eviction(pull.head_sha, "it breaks", "ana@desk", 900.0)}])),
        arrivals={pull.number: Arrival(pull.head_sha, 1000.0, original=draw(st.booleans()))},
    )
    chosen = {"landing": draw(st.sampled_from([*Landing])), "settle": draw(st.sampled_from([0.0, 60.0]))}
    config = replace(config, queue=replace(config.queue, retest=retest, **chosen))
    return Case(pull, config, draw(repositories), draw(protections), memory)


def test_every_clause_has_a_meaning() -> None:
    assert {*MEANINGS} | FOUND_IN_RUNS | ONLY_TIDE == {*Clause}


@trials(30)
@given(cases())
def test_every_reason_is_true_and_nothing_is_said_twice(case: Case) -> None:
    reasons = case.judged().reasons

    for reason in reasons:
        assert MEANINGS[reason.clause].is_true(case, reason), reason
        assert "" not in {reason.needed, reason.observed, reason.who, reason.remedy}
    assert len({*reasons}) == len(reasons)


@trials(30)
@given(cases())
def test_whoever_does_all_that_the_reasons_ask_for_is_admitted(case: Case) -> None:
    """Once is enough, unless it was not known yet by which method it would land, or what stands in for a query."""
    first = case.judged().reasons
    repaired = all_repaired(case, first)

    left = repaired.judged().reasons

    if {reason.clause for reason in first}.isdisjoint({Clause.METHOD_LABELS, Clause.NO_QUERY}):
        assert left == ()
    assert all_repaired(repaired, left).judged().reasons == ()


@trials(20)
@given(cases())
def test_one_reason_left_is_enough_to_stay_out(case: Case) -> None:
    reasons = case.judged().reasons

    for reason in reasons:
        others = [one for one in reasons if one.clause is not reason.clause]
        if reason.clause in {Clause.CLOSED, Clause.DRAFT, Clause.ARCHIVED, Clause.MERGE_QUEUE, Clause.REFUSED}:
            left = all_repaired(case, others).judged().reasons
            assert reason.clause in {one.clause for one in left}


def all_repaired(case: Case, reasons: Any) -> Case:
    repaired = case
    for reason in reasons:
        repaired = MEANINGS[reason.clause].repaired(repaired, reason)
    return repaired


@trials(20)
@given(cases())
def test_what_tide_would_say_of_a_query_is_true_too_and_the_same_where_there_is_one(case: Case) -> None:
    """D20; contexts are read in another way there."""
    config = replace(case.config, queue=QueueValues.of_tide(), compat=Compat.TIDE, queries=case.config.queries[:1])
    tides = {one.clause: one for one in replace(case, config=config).judged().reasons}
    one_query = replace(case, config=replace(case.config, queries=case.config.queries[:1]))
    ours = {one.clause: one for one in one_query.judged().reasons}

    for clause in (Clause.BRANCH, Clause.AUTHOR, Clause.MILESTONE, Clause.LABELS, Clause.FORBIDDEN_LABELS):
        assert (clause in tides) <= (clause in ours)
        if clause in tides:
            assert tides[clause].items == ours[clause].items
            assert MEANINGS[clause].is_true(one_query, tides[clause])
