"""The dirty set, leases and fencing, on a real Redis."""

from dataclasses import replace

import pytest
import redis

from mergeq.core.history import HistoryRecord, Outcome, Target
from mergeq.core.marks import Announced, Hint, Mark
from mergeq.core.pool import Pool, Refusal
from mergeq.core.pull import Branch, BranchFacts, Context, Mergeable, Protection, PullRequest, Result, Row
from mergeq.store import ALL, LEASE_SECONDS, Delivered, Lease, LeaseLost, Reading, SavedPool, Store, held
from tests import builders

MAIN, NEXT = Branch("acme", "rocket", "main"), Branch("acme", "rocket", "release/1.0")


@pytest.fixture
def store(clean_redis: "redis.Redis") -> Store:
    return Store(clean_redis)


def claimed(store: Store, branch: Branch = MAIN, now: float = 100.0) -> Lease:
    store.mark_parts([branch], [ALL], now)
    lease = store.claim(branch, now)
    assert lease is not None
    return lease


def saved(*numbers: int, **changes: object) -> SavedPool:
    pool = builders.pool(*(builders.pr(number) for number in numbers))
    return replace(SavedPool("1", pool, "WAIT", (), "nothing is ready", 100.0, "abc"), **changes)  # type: ignore[arg-type]


def record(name: str, at: float, branch: Branch = MAIN) -> HistoryRecord:
    target = Target(7, "ana", "a" * 40, "Add fins", "fins")
    return HistoryRecord(name, str(branch), at, "MERGE", "b" * 40, (target,), Outcome.LANDED)


def test_marking_twice_sends_for_one_worker_only(store: Store) -> None:
    assert store.mark_parts([MAIN, NEXT], [ALL], 1.0) == [MAIN, NEXT]
    assert store.mark_parts([MAIN], [ALL], 2.0) == []


def test_an_unmarked_branch_cannot_be_claimed(store: Store) -> None:
    assert store.claim(MAIN, 1.0) is None


def test_only_one_worker_at_a_time_holds_a_branch(store: Store) -> None:
    claimed(store)
    store.mark_parts([MAIN], [ALL], 101.0)

    assert store.claim(MAIN, 101.0) is None


def test_a_mark_that_comes_during_the_work_survives_it(store: Store) -> None:
    lease = claimed(store)
    store.mark_parts([MAIN], [ALL], 101.0)
    store.release(lease)

    assert store.is_dirty(MAIN)
    assert store.claim(MAIN, 102.0) is not None


def test_the_branch_of_a_killed_worker_is_sent_for_again_after_its_lease(store: Store) -> None:
    claimed(store, now=100.0)

    assert store.overdue(100.0 + LEASE_SECONDS - 1, patience=0.0) == []
    assert store.overdue(100.0 + LEASE_SECONDS, patience=5.0) == [MAIN]
    assert store.overdue(100.0 + LEASE_SECONDS + 1, patience=5.0) == []
    assert store.claim(MAIN, 100.0 + LEASE_SECONDS + 1) is not None


def test_an_overdue_mark_is_named_once_per_patience(store: Store) -> None:
    store.mark_parts([MAIN], [ALL], 0.0)

    assert store.overdue(4.0, patience=5.0) == []
    assert store.overdue(5.0, patience=5.0) == [MAIN]
    assert store.overdue(6.0, patience=5.0) == []
    assert store.overdue(10.0, patience=5.0) == [MAIN]


def test_a_worker_that_lost_its_lease_writes_nothing(store: Store) -> None:
    late = claimed(store, now=100.0)
    after = 100.0 + LEASE_SECONDS + 1
    store.overdue(after, patience=0.0)
    new = store.claim(MAIN, after)
    assert new is not None

    with pytest.raises(LeaseLost):
        store.save_pool(late, saved(1))
    with pytest.raises(LeaseLost):
        store.record(late, record("1", 1.0))
    with pytest.raises(LeaseLost):
        store.refuse(late, 1, Refusal("a", "no", 1.0))
    with pytest.raises(LeaseLost):
        store.extend(late, after)
    store.release(late)

    assert store.pool(MAIN) is None
    assert store.history() == []
    store.extend(new, after)


def test_a_worker_writes_nothing_though_redis_has_forgotten_that_it_gave_a_lease(
    store: Store, clean_redis: "redis.Redis"
) -> None:
    """A Redis that fell back to an older state gives leases anew while whoever has one goes on."""
    late = claimed(store)
    clean_redis.flushall()

    new = claimed(store)

    with pytest.raises(LeaseLost):
        store.save_pool(late, saved(1))
    store.save_pool(new, saved(2))


def test_a_lease_is_given_back_when_the_work_fails(store: Store) -> None:
    store.mark_parts([MAIN], [ALL], 1.0)

    def fail() -> None:
        with held(store, MAIN, 1.0) as lease:
            assert lease is not None
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert store.is_idle()


def test_a_saved_pool_comes_back_as_it_was(store: Store) -> None:
    lease = claimed(store)
    wanted = saved(1, 2)
    store.save_pool(lease, wanted)

    assert store.pool(MAIN) == wanted
    assert list(store.pools()) == [wanted]


def test_pools_are_read_when_their_turn_comes(store: Store) -> None:
    branches = [Branch("acme", f"part-{number:03}", "main") for number in range(100)]
    leases = [claimed(store, branch) for branch in reversed(branches)]
    for lease in leases:
        store.save_pool(lease, saved(pool=Pool(lease.branch, "b" * 40, saved(1).pool.standings)))

    found = store.pools()
    first = next(found)
    store.save_pool(leases[0], saved())

    assert [first.pool.branch, *(one.pool.branch for one in found)] == branches[:-1]


def test_a_pool_without_pull_requests_is_forgotten(store: Store) -> None:
    lease = claimed(store)
    store.save_pool(lease, saved(1))
    store.save_pool(lease, saved())

    assert list(store.pools()) == []


def reading(pull: PullRequest, branch: Branch | None = MAIN, **changes: object) -> Reading:
    row = Row("acme", "rocket", pull.number, f"PR_{pull.number}", pull.base, pull.head_sha, pull.updated_at)
    return replace(Reading("acme/rocket", pull.number, branch, pull.head_sha, pull, row), **changes)  # type: ignore[arg-type]


def heading(store: Store, sha: str) -> int:
    """How many pull requests a commit is known to head."""
    found = store.deliver(store.new_id(), [], 1.0, head=f"acme/rocket@{sha}")
    store.unmark(MAIN, store.marks(MAIN))
    assert found is not None
    return found.touched


def test_what_was_read_part_by_part_is_one_branch(store: Store) -> None:
    one, other = builders.pr(1), builders.pr(2)
    assert store.facts(MAIN) is None

    assert store.keep([reading(other), reading(one)], [BranchFacts(MAIN, "b" * 40)], 5.0) == [MAIN]
    assert store.keep([], [BranchFacts(MAIN, "b" * 40)], 6.0) == []

    assert store.facts(MAIN) == BranchFacts(MAIN, "b" * 40, (one, other))
    assert store.branch_of("acme/rocket", 2) == MAIN
    assert store.numbers(MAIN) == [1, 2]
    assert set(store.rows("acme")) == {"acme/rocket#1", "acme/rocket#2"}
    assert heading(store, one.head_sha) == 1


def test_an_older_reading_that_comes_late_changes_nothing(store: Store) -> None:
    store.keep([reading(builders.pr(1, title="new"))], [BranchFacts(MAIN, "b" * 40)], 9.0)

    assert store.keep([reading(builders.pr(1, title="old"))], [BranchFacts(MAIN, "a" * 40)], 8.0) == []

    facts = store.facts(MAIN)
    assert facts is not None
    assert (facts.base_sha, [pull.title for pull in facts.pulls]) == ("b" * 40, ["new"])


def test_one_that_could_not_be_read_is_named_until_it_can(store: Store) -> None:
    store.keep([reading(builders.pr(1))], [BranchFacts(MAIN, "b" * 40)], 1.0)
    store.keep([Reading("acme/rocket", 1, NEXT)], (), 2.0)
    unread = store.facts(MAIN)
    store.keep([reading(builders.pr(1))], (), 3.0)

    assert unread == BranchFacts(MAIN, "b" * 40, unread=("#1",))
    assert store.facts(MAIN) == BranchFacts(MAIN, "b" * 40, (builders.pr(1),))


def test_one_that_wants_another_branch_now_leaves_the_first(store: Store) -> None:
    store.keep([reading(builders.pr(1))], [BranchFacts(MAIN, "b" * 40)], 1.0)

    assert store.keep([reading(builders.pr(1, base="next"), NEXT)], (), 2.0) == [MAIN, NEXT]

    assert (store.numbers(MAIN), store.numbers(NEXT)) == ([], [1])
    assert store.branch_of("acme/rocket", 1) == NEXT


def test_one_that_is_gone_is_forgotten_with_all_that_led_to_it(store: Store) -> None:
    """Q81: another pull request with the same head stays known by it."""
    pull = builders.pr(1)
    store.keep([reading(pull), reading(builders.pr(2, head_sha=pull.head_sha))], [BranchFacts(MAIN, "b" * 40)], 1.0)
    store.note_written(pull, Context("tide", Result.PENDING), None)
    both = heading(store, pull.head_sha)

    store.keep([reading(pull, None)], (), 2.0)

    assert (both, heading(store, pull.head_sha)) == (2, 1)
    assert (store.branch_of("acme/rocket", 1), store.numbers(MAIN)) == (None, [2])
    assert (set(store.rows("acme")), store.written(MAIN)) == ({"acme/rocket#2"}, {})


def test_a_new_head_is_known_and_the_old_one_no_more(store: Store) -> None:
    store.keep([reading(builders.pr(1, head_sha="1" * 40))], (), 1.0)
    store.keep([reading(builders.pr(1, head_sha="2" * 40))], (), 2.0)

    assert (heading(store, "1" * 40), heading(store, "2" * 40)) == (0, 1)


def test_apps_that_rulesets_name_by_number_are_known_by_their_slugs(store: Store) -> None:
    rules = Protection(required=(("build", "App 7"), ("lint", "App 8"), ("e2e", None)))
    store.keep([], [BranchFacts(MAIN, "b" * 40, protection=rules)], 1.0)
    store.learn_apps({7: "builder"})

    facts = store.facts(MAIN)

    assert facts is not None
    assert facts.protection.required == (("build", "builder"), ("lint", "App 8"), ("e2e", None))


def test_a_row_that_shows_a_status_of_ours_is_nothing_new(store: Store) -> None:
    kept = reading(builders.pr(1))
    assert kept.pull is not None
    assert kept.row is not None
    store.keep([kept], (), 1.0)
    store.note_written(kept.pull, Context("tide", Result.PENDING), None)
    once = store.rows("acme")["acme/rocket#1"]
    store.note_written(kept.pull, Context("tide", Result.SUCCESS), "PENDING")
    store.note_written(builders.pr(1, head_sha="e" * 40), Context("tide", Result.SUCCESS), None)

    assert not replace(kept.row, results=(("PENDING", 1),)).differs_from(once)
    assert not replace(kept.row, results=(("SUCCESS", 1),)).differs_from(store.rows("acme")["acme/rocket#1"])


def test_a_status_of_ours_is_seen_where_it_was_written_until_a_later_reading_shows_another(store: Store) -> None:
    old, ours, theirs = (Context("tide", Result.PENDING, at=at) for at in (1.0, 5.0, 9.0))
    ci = Context("ci/test", Result.SUCCESS, at=2.0)

    def seen(*contexts: Context, at: float, sha: str = "1" * 40) -> tuple[Context, ...] | None:
        store.keep([reading(builders.pr(1, head_sha=sha, contexts=contexts))], [BranchFacts(MAIN, "b" * 40)], at)
        facts = store.facts(MAIN)
        assert facts is not None
        return facts.pulls[0].contexts

    seen(old, ci, at=1.0)
    store.note_written(builders.pr(1, head_sha="1" * 40), ours, "PENDING")

    assert seen(old, ci, at=2.0) == (ci, ours)
    assert seen(theirs, ci, at=3.0) == (theirs, ci)
    assert seen(ci, at=4.0, sha="2" * 40) == (ci,)


def test_an_opinion_on_merging_is_about_one_head_alone(store: Store) -> None:
    kept = reading(builders.pr(1))
    assert kept.row is not None
    store.keep([kept], [BranchFacts(MAIN, "b" * 40)], 1.0)
    store.keep_rows([replace(kept.row, mergeable=Mergeable.CONFLICTING, merge_state="DIRTY")])
    facts = store.facts(MAIN)
    store.keep_rows([replace(kept.row, mergeable=Mergeable.CONFLICTING, head_sha="e" * 40)])
    other = store.facts(MAIN)

    assert facts is not None
    assert other is not None
    assert [(pull.mergeable, pull.merge_state) for pull in facts.pulls] == [(Mergeable.CONFLICTING, "DIRTY")]
    assert other.pulls == (kept.pull,)


def test_states_of_branches_that_nobody_wants_to_reach_are_forgotten(store: Store) -> None:
    store.keep([], [BranchFacts(MAIN, "b" * 40), BranchFacts(NEXT, "b" * 40)], 1.0)
    store.forget_states("other", [])
    store.forget_states("acme", [NEXT])

    assert (store.state(MAIN), store.state(NEXT)) == (None, BranchFacts(NEXT, "b" * 40))


def test_statuses_that_can_wait_have_a_turn_of_their_own_and_urgent_ones_go_first(store: Store) -> None:
    def pace(branch: Branch, now: float, count: int, *, urgent: bool = False, account: str = "*") -> float:
        return store.pace(account, branch, now, 1.0, 2, count, urgent=urgent)

    assert [pace(MAIN, 100.0, 3), pace(NEXT, 100.0, 2)] == [0.0, 1.0]
    assert pace(MAIN, 100.0, 4, urgent=True) == 0.0
    assert pace(MAIN, 100.0, 1) == 7.0
    assert [pace(NEXT, 100.5, 2), pace(NEXT, 101.0, 2)] == [0.5, 0.0]
    assert pace(NEXT, 101.0, 1, account="other") == 0.0
    assert pace(MAIN, 107.0, 1) == 0.0


def test_what_is_not_there_yet_is_looked_for_ever_more_rarely(store: Store) -> None:
    waits = [store.try_again(MAIN, 0.0, 3.0, 20.0) for _ in range(4)]
    store.is_settled(MAIN)

    assert waits == [3.0, 6.0, 12.0, 20.0]
    assert store.try_again(MAIN, 0.0, 3.0, 20.0) == 3.0


def test_a_look_to_be_sure_comes_in_time_and_is_no_work_that_is_left(store: Store) -> None:
    store.look_later(MAIN, ["tip"], 50.0)
    store.look_later(MAIN, [], 70.0)

    assert store.is_idle()
    assert (store.overdue(49.0, 5.0), store.overdue(50.0, 5.0)) == ([], [MAIN])
    assert set(store.marks(MAIN)) == {"tip"}


def test_a_pool_of_an_older_version_is_as_if_it_had_never_been_saved(store: Store, clean_redis: "redis.Redis") -> None:
    clean_redis.hset("mergeq:pools", str(MAIN), '{"id": 1}')

    assert store.pool(MAIN) is None


def test_recording_one_decision_twice_changes_nothing(store: Store) -> None:
    lease = claimed(store)
    store.record(lease, record("1", 1.0))
    store.record(lease, replace(record("1", 9.0), outcome=Outcome.STALE))

    assert store.history() == [record("1", 1.0)]


def test_history_is_newest_first_and_can_be_narrowed(store: Store) -> None:
    """T11.299, T11.301: the limit is that of a reading, nothing is thrown away for it."""
    lease, other = claimed(store), claimed(store, NEXT)
    store.record(lease, record("1", 1.0))
    store.record(other, record("2", 2.0, NEXT))
    store.record(lease, record("3", 3.0))

    assert [one.id for one in store.history()] == ["3", "2", "1"]
    assert [one.id for one in store.history(branch=MAIN)] == ["3", "1"]
    assert [one.id for one in store.history(limit=1)] == ["3"]
    assert [one.id for one in store.history(pull=("acme/rocket", 7))] == ["3", "2", "1"]
    assert store.history(pull=("acme/rock", 7)) == []


def test_a_delivery_counts_once_and_is_remembered_for_days(store: Store) -> None:
    assert store.deliver("guid", [Mark(MAIN, 7)], 1.0) == Delivered(1, (MAIN,))
    assert store.deliver("guid", [Mark(MAIN, 7)], 2.0) is None
    assert store.deliver("other", [Mark(MAIN, 7)], 3.0) == Delivered(1, ())
    assert store.deliver("guid", [Mark(MAIN, 7)], 3 * 86400.0) is None


def test_a_mark_set_again_while_its_subject_was_read_stays(store: Store) -> None:
    hint = Hint(Announced.UPDATED, at=5.0)
    store.mark([Mark(MAIN, 7, "PR_7", hint), Mark(MAIN)], 1.0)
    read = store.marks(MAIN)
    store.mark([Mark(MAIN, 7)], 2.0)
    store.unmark(MAIN, read)

    assert {field: (one.node, one.hints) for field, one in read.items()} == {"7": ("PR_7", (hint,)), "tip": ("", ())}
    assert {field: (one.node, one.hints) for field, one in store.marks(MAIN).items()} == {"7": ("PR_7", (hint,))}
    store.unmark(MAIN, store.marks(MAIN))
    assert store.marks(MAIN) == {}


def test_sweeps_begin_once_per_period(store: Store) -> None:
    assert store.begin_sweep("org:acme", 100.0, 60.0)
    assert not store.begin_sweep("org:acme", 159.0, 60.0)
    assert store.begin_sweep("org:other", 159.0, 60.0)
    assert store.begin_sweep("org:acme", 160.0, 60.0)
    assert store.swept() == {"org:acme": 160.0, "org:other": 159.0}
    store.set_swept("org:acme", 110.0)
    assert store.begin_sweep("org:acme", 171.0, 60.0)


def test_decisions_are_named_in_order(store: Store) -> None:
    names = [store.new_id() for _ in range(12)]

    assert names == sorted(names)
    assert len(set(names)) == 12


def test_counters_add_up_and_gauges_replace(store: Store) -> None:
    store.count("merges", repo="rocket")
    store.count("merges", 2, repo="rocket")
    store.set_gauge("pooledprs", 3, repo="rocket")
    store.set_gauge("pooledprs", 4, repo="rocket")

    assert store.metrics() == [("merges", {"repo": "rocket"}, 3.0), ("pooledprs", {"repo": "rocket"}, 4.0)]
