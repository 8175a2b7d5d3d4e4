"""Who stands back for a while, who lands by one look, and when an alarm is raised: on real Redis, git and HTTP."""

import re
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from mergeq import execute, jobs, sync
from mergeq.core.history import Outcome
from mergeq.core.pull import Branch
from mergeq.sandbox import ManualClock, Sandbox
from mergeq.store import ALL
from tests.conftest import CONFIG, Mergeq
from tests.shell.test_landing import fault, hits
from tests.shell.test_staging import STAGED, outcomes, ready, status_of, work

MAIN = Branch("acme", "rocket", "main")


def refuse(github: Sandbox, number: int, times: int | None) -> None:
    """Have GitHub say that the base was modified, and modify nothing."""
    fault(github, "merge.base_modified", match={"repo": "acme/rocket", "pr": number}, times=times)


# T12.7


def test_the_next_candidate_lands_in_the_same_round(github: Sandbox, mergeq: Mergeq) -> None:
    first, second = ready(github, "First", {"a.txt": "1\n"}), ready(github, "Second", {"b.txt": "2\n"})
    refuse(github, first.number, None)
    github.settle()

    mergeq.sweep_and_work()

    assert (first.is_open, second.merged) == (True, True)
    assert outcomes(mergeq)[:2] == [("MERGE", "REFUSED", [1]), ("MERGE", "LANDED", [2])]


def test_a_head_that_is_refused_again_stands_back_for_twice_as_long(
    github: Sandbox, mergeq: Mergeq, clock: ManualClock
) -> None:
    pull = ready(github, "First", {"a.txt": "1\n"})
    refuse(github, pull.number, None)
    github.settle()
    waits = []

    for minutes in (1, 6, 11):
        work(github, mergeq, minutes)
        refusal = mergeq.store.refusals(MAIN)[pull.number]
        waits.append((refusal.tries, round((refusal.until - clock.now()) / 300)))

    assert waits == [(1, 1), (2, 2), (3, 4)]
    assert hits(github, "/merge") == 9


@pytest.mark.parametrize("change", ["a label", "a result", "the base"])
def test_a_refused_head_is_tried_at_once_when_something_changes_that_may_matter(
    github: Sandbox, mergeq: Mergeq, change: str
) -> None:
    pull = ready(github, "First", {"a.txt": "1\n"})
    refuse(github, pull.number, 3)
    github.settle()
    work(github, mergeq)
    waiting = pull.is_open

    if change == "a label":
        github.world.add_label(pull, "kind/fix")
    elif change == "a result":
        github.world.set_status("acme/rocket", pull.head_sha, context="ci/more", state="success")
    else:
        github.world.push("acme/rocket", "main", {"elsewhere.txt": "x\n"})
    github.settle()
    work(github, mergeq)

    assert waiting
    assert pull.merged


def test_what_cannot_matter_does_not_end_the_wait(github: Sandbox, mergeq: Mergeq) -> None:
    pull = ready(github, "First", {"a.txt": "1\n"})
    refuse(github, pull.number, 3)
    github.settle()
    work(github, mergeq)

    github.world.edit_title(pull, "A better title")
    github.settle()
    work(github, mergeq, 2)

    assert pull.is_open
    assert hits(github, "/merge") == 3


# Until CI has settled (D18)


def test_a_head_lands_once_ci_has_been_quiet_for_as_long_as_is_asked(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], clock: ManualClock
) -> None:
    mergeq = start_mergeq(CONFIG + "mergeq: {queue: {settle: 150s}}\n")
    github.settle()
    pull = ready(github, "First", {"a.txt": "1\n"})
    github.settle()
    reported = clock.now()
    jobs.look_at(mergeq.services, [MAIN])

    mergeq.work()
    told, page = status_of(github, pull), mergeq.web.get("/pr/acme/rocket/1").text
    clock.advance(100)
    jobs.tick_once(mergeq.services)
    mergeq.work()
    early = pull.merged
    clock.advance(reported + 151 - clock.now())
    jobs.tick_once(mergeq.services)
    mergeq.work()

    assert told == "Not mergeable. CI has reported only just now, and has to settle."
    assert "CI to have been quiet for 150 s" in page
    assert re.search(r"wait 1[45]\d s more", page)
    assert (early, pull.merged) == (False, True)


# landings_per_cycle (T12.14)


@pytest.mark.parametrize(("count", "records"), [(1, 3), (3, 1)])
def test_several_land_by_one_look(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], count: int, records: int
) -> None:
    mergeq = start_mergeq(CONFIG + f"mergeq: {{queue: {{landings_per_cycle: {count}}}}}\n")
    pulls = [ready(github, f"Part {n}", {f"part{n}.txt": "x\n"}) for n in range(3)]
    github.settle()

    mergeq.sweep_and_work()

    assert [pull.merged for pull in pulls] == [True, True, True]
    assert len(mergeq.history()) == records
    assert mergeq.history()[0].tested_tree is None


def test_one_that_changes_the_same_file_waits_for_another_look(
    github: Sandbox, start_mergeq: Callable[..., Mergeq]
) -> None:
    mergeq = start_mergeq(CONFIG + "mergeq: {queue: {landings_per_cycle: 5}}\n")
    ready(github, "One", {"a.txt": "1\n"})
    ready(github, "Two", {"b.txt": "1\n"})
    ready(github, "Three", {"b.txt": "1\n", "c.txt": "1\n"})
    github.settle()

    mergeq.sweep_and_work()

    assert outcomes(mergeq)[0] == ("MERGE_BATCH", "LANDED", [1, 2])


def test_each_of_several_is_admitted_anew_right_before_it_lands(
    github: Sandbox, start_mergeq: Callable[..., Mergeq]
) -> None:
    """D23."""
    mergeq = start_mergeq(CONFIG + "mergeq: {queue: {landings_per_cycle: 2}}\n")
    one, two = ready(github, "One", {"a.txt": "1\n"}), ready(github, "Two", {"b.txt": "1\n"})
    github.settle()
    mergeq.store.mark_parts([MAIN], [ALL], mergeq.services.now())
    lease = mergeq.store.claim(MAIN, mergeq.services.now())
    assert lease
    saved = sync.sync(mergeq.services, lease)
    fault(github, "pr.draft", match={"repo": "acme/rocket", "pr": two.number}, after=4)  # when the first has landed

    record = execute.land(mergeq.services, lease, saved)

    assert (one.merged, two.is_open) == (True, True)
    assert (saved.targets, record.outcome) == ((1, 2), Outcome.PARTIAL)
    assert "it is a draft" in record.err


# The watchdog


def metric(mergeq: Mergeq) -> str:
    lines = mergeq.web.get("/metrics").text.splitlines()
    return next(line.rpartition(" ")[2] for line in lines if line.startswith("mergeq_stalled{"))


def alarms(mergeq: Mergeq) -> list[str]:
    """What one more beat says in the log of pools that stand still, or go on."""
    with capture_logs() as log:
        jobs.tick_once(mergeq.services)
    return [one["event"] for one in log if "pool" in one["event"]]


def test_a_pool_of_which_nothing_comes_raises_one_alarm_that_ends_by_itself(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], clock: ManualClock
) -> None:
    config = STAGED.replace("staging: {", "staging: {timeout: 1h, start_timeout: 5h, ")
    mergeq = start_mergeq(config)
    github.world.repo("acme/rocket").ci = None
    pull = ready(github, "First", {"a.txt": "1\n"})
    github.world.set_status("acme/rocket", pull.head_sha, context="ci/test", state="success")
    github.settle()
    work(github, mergeq)
    quiet = (alarms(mergeq), metric(mergeq))

    clock.advance(3 * 3600 + 60)
    raised = [alarms(mergeq), alarms(mergeq)]
    loud, page = metric(mergeq), mergeq.web.get("/tide").text
    mergeq.work()
    work(github, mergeq, 2)

    assert quiet == ([], "0.0")
    assert raised == [["nothing comes of a pool"], []]
    assert loud == "1.0"
    assert "Nothing has come of this pool" in page
    assert "testing #1" in page
    assert metric(mergeq) == "0.0"
    assert "Nothing has come of this pool" not in mergeq.web.get("/tide").text
