"""What holds for every pool and every query, not only for the examples."""

import re
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mergeq.core.action import Blocked, Land, Merge, Stage, Wait, targets_of
from mergeq.core.batch import Conflict, Run, RunState, is_current, verdict
from mergeq.core.compat import Compat
from mergeq.core.contexts import ContextPolicy, EmptyContexts, Presubmit
from mergeq.core.conviction import convictions
from mergeq.core.decide import Decision, decide
from mergeq.core.evidence import Evidence
from mergeq.core.merge_method import MergeMethods
from mergeq.core.pool import Arrival, BlocksPolicy, BranchSettings, Memory, Pool, Refusal, Standing, divide, priority_of
from mergeq.core.pull import Blocker, Branch, Context, Mergeable, Method, PullRequest, Repository, Result, blocker
from mergeq.core.query import Query, unmet
from mergeq.core.queue import Drafts, Order, QueueValues, Retest, StagingValues
from mergeq.core.reason import Clause
from mergeq.core.status import describe
from mergeq.core.strategy import holds_a_failure
from tests.builders import BASE, context, facts, green, insider, pool, pr, query, run, settings, staging
from tests.core.trials import trials

quickly = trials()

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
        auto_merge_by=draw(st.sampled_from(["", "bo"])),
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


def alone(pull: PullRequest, config: BranchSettings) -> Standing:
    """One pull request, judged with the head that it was opened with."""
    return pool(pull, config=config).standings[0]


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
@given(crowds(), configurations, st.randoms(use_true_random=False), st.sampled_from(Compat))
def test_the_order_of_queries_changes_neither_who_is_in_the_pool_nor_what_is_done(
    crowd: tuple[PullRequest, ...], config: BranchSettings, random: Random, compat: Compat
) -> None:
    config = replace(config, compat=compat)
    queries = [*config.queries]
    random.shuffle(queries)
    other = replace(config, queries=tuple(queries))

    one, shuffled = pool(*crowd, config=config), pool(*crowd, config=other)

    assert decide(one, config) == decide(shuffled, other)
    for standing, again in zip(one.standings, shuffled.standings, strict=True):
        assert standing.in_pool == again.in_pool
        assert sum(reason.weight for reason in standing.reasons) == sum(reason.weight for reason in again.reasons)


@quickly
@given(crowds(), configurations, st.lists(labels, max_size=3).map(tuple))
def test_priority_lets_nobody_in_and_only_says_who_is_first(
    crowd: tuple[PullRequest, ...], config: BranchSettings, priority: tuple[tuple[str, ...], ...]
) -> None:
    """T4.12, T4.13."""
    urgent = replace(config, priority=priority)
    judged = pool(*crowd, config=urgent)

    action = decide(judged, urgent).action

    assert judged == pool(*crowd, config=replace(config, priority=()))
    if isinstance(action, Merge):
        chosen = next(member.pull for member in judged.members if member.pull.number == action.number)
        assert all(priority_of(chosen, urgent) <= priority_of(member.pull, urgent) for member in judged.members)


@quickly
@given(crowds(), configurations, stopping)
def test_a_pool_with_blockers_never_merges(
    crowd: tuple[PullRequest, ...], config: BranchSettings, blockers: tuple[Blocker, ...]
) -> None:
    assert not isinstance(decide(pool(*crowd, config=config, blockers=blockers), config).action, Merge)


@quickly
@given(crowds(), configurations, st.text(min_size=1))
def test_a_partial_pool_never_merges(crowd: tuple[PullRequest, ...], config: BranchSettings, gap: str) -> None:
    assert not isinstance(decide(pool(*crowd, config=config, partial=gap), config).action, Merge)


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

    action = decide(judged, config).action

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
        assert any(unmet(one, member.pull, config.demands) == () for one in config.queries)


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
    assert alone(whole, config).reasons == ()

    for way, changes in spoilt(wanted).items():
        pull = replace(whole, **changes)
        assert unmet(wanted, pull, config.demands) != (), way
        assert not alone(pull, config).in_pool, way


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

    one, other = alone(pull, config), alone(shouted, config)

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


# With staging


MOVED = "c" * 40
NOW = 10_000.0
staging_configurations = st.builds(
    staging,
    contexts=st.sampled_from(
        [
            ContextPolicy(required=frozenset({"ci/test"})),
            ContextPolicy(required=frozenset({"ci/test"})),
            ContextPolicy(required=frozenset({"ci/test", "dco"}), optional=frozenset({"ci/lint"})),
            ContextPolicy(),
        ]
    ),
    slots=st.integers(1, 3),
    batch_size_limit=st.sampled_from([0, 0, -1, 1, 2, 3]),
    order=st.sampled_from(Order),
    priority=st.sampled_from([(), (("urgent",),)]),
    staging_contexts=st.sampled_from([frozenset(), frozenset({"e2e"})]),
    head_only_contexts=st.just(frozenset({"dco"})),
    staging=st.builds(StagingValues, retries=st.integers(0, 2)),
)


@st.composite
def staged_crowds(draw: st.DrawFn) -> tuple[PullRequest, ...]:
    """Pull requests of one branch that stages, most of them ready, in any order."""
    passed = tuple(green(name) for name in ("ci/test", "dco"))
    spoils: list[dict[str, Any]] = [
        {},
        {},
        {},
        {"labels": ("lgtm", "approved", "urgent")},
        {"labels": ("lgtm", "approved", "m/squash")},
        {"is_draft": True},
        {"head_sha": "9" * 40},
        {"by_writer": False},
    ]
    numbers = draw(st.lists(st.integers(1, 5), max_size=5, unique=True))
    return tuple(insider(n, **{"contexts": passed, **draw(st.sampled_from(spoils))}) for n in numbers)


@dataclass(frozen=True)
class Scene:
    """A branch that stages, with the runs and the conflicts that are known of it."""

    crowd: tuple[PullRequest, ...]
    config: BranchSettings
    runs: tuple[Run, ...]
    conflicts: tuple[Conflict, ...]

    def judged(self, **changes: Any) -> Pool:
        """The pool, with those held responsible who are."""
        arrivals = {one.number: Arrival(one.head_sha, 0.0, original=True) for one in self.crowd}
        found = convictions(self.runs, BASE, "", self.config, NOW)
        memory = Memory(convictions={head: one.reason for head, one in found.items()}, arrivals=arrivals)
        return divide(facts(*self.crowd, **changes), self.config, memory, NOW)

    def decision(self, judged: Pool) -> Decision:
        return decide(judged, self.config, runs=self.runs, conflicts=self.conflicts, now=NOW)


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """A scene as it can be met: a run on this base that is over is marked as such."""
    crowd, config = draw(staged_crowds()), draw(staging_configurations)
    runs = []
    for index in range(draw(st.integers(0, 4))):
        numbers = draw(st.lists(st.integers(1, 5), max_size=3, unique=True))
        results = {
            name: draw(st.sampled_from([Result.SUCCESS, Result.SUCCESS, Result.PENDING, Result.FAILURE, None]))
            for name in ("ci/test", "e2e")
        }
        one = run(
            *(insider(number) for number in numbers),
            id=f"run-{index}",
            base_sha=draw(st.sampled_from([BASE, BASE, BASE, MOVED])),
            started_at=draw(st.sampled_from([NOW - 10.0, NOW - 20.0, NOW - 1000.0, NOW - 9000.0])),
            contexts=tuple(context(name, result) for name, result in results.items() if result),
        )
        said = verdict(one, config, NOW).state
        is_over = said not in {RunState.PENDING, RunState.GREEN}
        runs.append(replace(one, ended=said, ended_at=NOW - draw(st.sampled_from([1.0, 9000.0]))) if is_over else one)
    facts_known = draw(
        st.lists(
            st.builds(
                lambda numbers, base: Conflict(base, tuple(f"{n:040x}" for n in numbers[1:]), f"{numbers[0]:040x}"),
                st.lists(st.integers(1, 5), min_size=1, max_size=3, unique=True),
                st.sampled_from([BASE, BASE, MOVED]),
            ),
            max_size=4,
        )
    )
    return Scene(crowd, config, tuple(runs), tuple(facts_known))


@quickly
@given(scenes())
def test_nothing_lands_that_is_not_green_together_on_this_base_and_still_as_it_was_staged(scene: Scene) -> None:
    """D3."""
    judged = scene.judged()

    action = scene.decision(judged).action

    assert not isinstance(action, Merge)
    if isinstance(action, Land):
        (proof,) = (one for one in scene.runs if one.id == action.run)
        assert verdict(proof, scene.config, NOW).state is RunState.GREEN
        policy, queue = scene.config.contexts, scene.config.queue
        awaited = (policy.required - queue.head_only_contexts) | queue.staging_contexts
        assert awaited
        assert awaited <= {one.name for one in proof.contexts or () if one.result is Result.SUCCESS}
        assert proof.base_sha == judged.base_sha
        assert action.numbers == tuple(member.number for member in proof.members)
        ready = {member.pull.number: (member.pull.head_sha, member.method) for member in judged.members}
        assert all(ready.get(member.number) == (member.head_sha, member.method) for member in proof.members)


@quickly
@given(scenes())
def test_only_what_is_ready_and_was_not_red_is_staged_each_once_and_within_the_limits(scene: Scene) -> None:
    judged = scene.judged()

    action = scene.decision(judged).action

    if isinstance(action, Stage):
        ready = {member.pull.number: member.pull.head_sha for member in judged.members}
        assert set(action.numbers) <= set(ready)
        assert len(set(action.numbers)) == len(action.numbers)
        heads = tuple(ready[number] for number in action.numbers)
        here = [one for one in scene.runs if one.base_sha == judged.base_sha]
        red = [one for one in here if one.ended is RunState.RED and tuple(m.head_sha for m in one.members) == heads]
        assert len(red) <= (scene.config.queue.staging.retries if len(heads) < 2 else 0)
        under_way = [one for one in here if one.ended is None and is_current(one, judged)]
        pending = [one for one in under_way if verdict(one, scene.config, NOW).state is RunState.PENDING]
        assert len(pending) < scene.config.queue.slots


@quickly
@given(scenes())
def test_every_run_under_way_is_either_about_the_pool_or_given_up_with_a_reason(scene: Scene) -> None:
    judged = scene.judged()

    given_up = dict(scene.decision(judged).abandon)

    for one in scene.runs:
        is_useless = not is_current(one, judged) or holds_a_failure(one, judged, scene.runs)
        assert (one.id in given_up) == (one.ended is None and is_useless)
    assert all(given_up.values())


@quickly
@given(
    scenes(),
    st.sampled_from(Retest),
    st.sampled_from(["halted", "partial", "blocked"]),
    st.text(min_size=1),
)
def test_a_branch_that_is_halted_partial_or_blocked_never_acts(
    scene: Scene, retest: Retest, stop: str, why: str
) -> None:
    """D8, D22, T4.2."""
    stopped: dict[str, dict[str, Any]] = {
        "partial": {"partial": why},
        "blocked": {"blockers": (blocker(7, "Outage", ""),)},
    }
    config = replace(scene.config, queue=replace(scene.config.queue, retest=retest))
    judged = replace(scene, config=config).judged(**stopped.get(stop, {}))
    judged = replace(judged, halted=why) if stop == "halted" else judged

    action = decide(judged, config, runs=scene.runs, conflicts=scene.conflicts, now=NOW).action

    assert isinstance(action, Wait | Blocked)


@quickly
@given(scenes(), st.randoms(use_true_random=False))
def test_the_order_in_which_anything_of_a_branch_is_known_changes_nothing(scene: Scene, random: Random) -> None:
    """T12.39."""
    crowd, runs, conflicts = [*scene.crowd], [*scene.runs], [*scene.conflicts]
    for part in (crowd, runs, conflicts):
        random.shuffle(part)
    other = Scene(tuple(crowd), scene.config, tuple(runs), tuple(conflicts))

    judged = scene.judged()

    assert other.judged() == judged
    assert other.decision(judged) == scene.decision(judged)
    for standing in judged.standings:
        assert describe(
            standing, judged, scene.config, runs=other.runs, conflicts=other.conflicts
        ) == describe(standing, judged, scene.config, runs=scene.runs, conflicts=scene.conflicts)  # fmt: skip


@quickly
@given(staged_crowds(), staging_configurations)
def test_where_somebody_is_ready_and_nothing_was_tried_something_is_staged(
    crowd: tuple[PullRequest, ...], config: BranchSettings
) -> None:
    scene = Scene(crowd, config, (), ())
    judged = scene.judged()

    provable = bool(config.contexts.required | config.queue.staging_contexts)

    assert isinstance(scene.decision(judged).action, Stage) == (bool(judged.members) and provable)


@quickly
@given(scenes())
def test_a_status_in_staging_is_green_only_for_what_a_run_proves(scene: Scene) -> None:
    """T6.10, T12.28: the evidence is that of the decision."""
    judged = scene.judged()

    for standing in judged.standings:
        status = describe(standing, judged, scene.config, runs=scene.runs, conflicts=scene.conflicts)
        proofs = [
            one
            for one in scene.runs
            if standing.pull.head_sha in one.heads
            and is_current(one, judged)
            and verdict(one, scene.config, NOW).state is RunState.GREEN
        ]
        assert (status.state == "success") == (standing.in_pool and bool(proofs))
        assert "Not mergeable." not in status.description or status.state != "success"
        assert 0 < len(status.description) <= 140


@quickly
@given(scenes(), st.sampled_from(Retest), st.booleans())
def test_whatever_is_done_is_done_to_members_of_the_pool_alone(scene: Scene, retest: Retest, own_branch: bool) -> None:
    """T4.21; also for pull requests that are tested on their own branch."""
    runs = tuple(replace(one, on_head=own_branch) for one in scene.runs if len(one.members) == 1)
    config = replace(scene.config, queue=replace(scene.config.queue, retest=retest))
    scene = Scene(scene.crowd, config, runs if retest is Retest.UPDATE else scene.runs, scene.conflicts)
    judged = scene.judged()

    action = scene.decision(judged).action

    assert {*targets_of(action)} <= {member.pull.number for member in judged.members}
    if isinstance(action, Land):
        proof = next(one for one in scene.runs if one.id == action.run)
        assert is_current(proof, judged)
        assert verdict(proof, config, NOW).state is RunState.GREEN


# As Tide would


rows = st.lists(
    st.builds(
        lambda numbers, base, context, result, batch: Evidence(
            Branch("acme", "rocket", "main"),
            base,
            tuple((number, f"{number:040x}") for number in sorted(numbers)),
            context,
            result,
            is_batch=batch or len(numbers) > 1,
        ),
        st.lists(st.integers(1, 5), min_size=1, max_size=3, unique=True),
        st.sampled_from([BASE, BASE, BASE, MOVED]),
        st.sampled_from(["ci/test", "ci/lint"]),
        st.sampled_from([Result.SUCCESS, Result.SUCCESS, Result.PENDING, Result.FAILURE]),
        st.booleans(),
    ),
    max_size=12,
).map(tuple)
jobs = st.sampled_from([(), (Presubmit("ci/test"),), (Presubmit("ci/test"), Presubmit("ci/lint"))])


def as_tide(config: BranchSettings, presubmits: tuple[Presubmit, ...] = ()) -> BranchSettings:
    return replace(config, queue=QueueValues.of_tide(), compat=Compat.TIDE, presubmits=presubmits)


@trials(40)
@given(staged_crowds(), jobs, rows)
def test_tide_lands_only_members_that_all_jobs_found_green_together_on_this_base(
    crowd: tuple[PullRequest, ...], presubmits: tuple[Presubmit, ...], said: tuple[Evidence, ...]
) -> None:
    """T3.23, T4.20-T4.22: the best that a job said counts, and it has to be about these heads."""
    config = as_tide(settings(), presubmits)
    judged = pool(*crowd, config=config)
    heads = {member.pull.number: member.pull.head_sha for member in judged.members}

    action = decide(judged, config, rows=said).action

    assert {*targets_of(action)} <= {*heads}
    if isinstance(action, Land):
        landed = tuple((number, heads[number]) for number in action.numbers)
        for job in presubmits:
            assert any(
                (row.context, row.base_sha, row.result) == (job.context, BASE, Result.SUCCESS)
                and (row.heads == landed if row.is_batch else landed[0] in row.heads)
                for row in said
            )


@quickly
@given(staged_crowds(), jobs, rows, stopping)
def test_tide_does_nothing_to_a_blocked_branch_either(
    crowd: tuple[PullRequest, ...],
    presubmits: tuple[Presubmit, ...],
    said: tuple[Evidence, ...],
    blockers: tuple[Blocker, ...],
) -> None:
    config = as_tide(settings(), presubmits)

    assert isinstance(decide(pool(*crowd, config=config, blockers=blockers), config, rows=said).action, Blocked)


@quickly
@given(pulls(), configurations, st.text(alphabet="aü🐲", max_size=200))
def test_a_status_of_tide_is_no_longer_than_github_takes_and_green_only_where_a_query_is_met(
    pull: PullRequest, config: BranchSettings, strange: str
) -> None:
    """T6.24."""
    config = as_tide(config)
    named = replace(pull, contexts=(*(pull.contexts or ()), context(f"ci/{strange}", Result.ERROR)))

    for one in (pull, named):
        judged = pool(one, config=config)
        status = describe(judged.standings[0], judged, config)
        assert len(status.description) <= 140
        assert (status.state == "success") == all(
            reason.clause is Clause.UNPOOLED for reason in judged.standings[0].reasons
        )
