"""Deliveries that come twice, late, never, or from somebody else change nothing of what happens in the end."""

from collections.abc import Callable
from typing import Any

import pytest

from mergeq import jobs
from mergeq.core.history import Outcome
from mergeq.core.pull import Branch
from mergeq.sandbox import ManualClock, Sandbox
from tests.conftest import READY, Mergeq
from tests.quirks import Quirk
from tests.shell.quirky import STAGED, listen, ready, status_of
from tests.web.test_webhooks import counted

MAIN = Branch("acme", "rocket", "main")


@pytest.fixture
def mergeq(start_mergeq: Callable[..., Mergeq], github: Sandbox) -> Mergeq:
    """mergeq that has swept once, is told of everything, and would sweep again after a day."""
    made = start_mergeq(CONFIG_OF_A_DAY)
    made.sweep_and_work()
    listen(github, made)
    return made


CONFIG_OF_A_DAY = """
tide:
  sync_period: 24h
  queries:
    - orgs: [acme]
      labels: [lgtm, approved]
"""


def announce(github: Sandbox, mergeq: Mergeq) -> None:
    """Let everything happen that is announced, until nothing is any more."""
    for _ in range(3):
        github.settle()
        mergeq.work()


@pytest.mark.quirk("Q67")
def test_an_event_that_comes_many_times_is_acted_on_once(github: Sandbox, mergeq: Mergeq, quirk: Quirk) -> None:
    quirk.on("hook.dup", n=2, times=None)
    pull = ready(github)
    announce(github, mergeq)

    told = counted(mergeq)
    assert [(record.outcome, record.targets[0].number) for record in mergeq.history()] == [(Outcome.LANDED, 1)]
    assert pull.merged
    assert told["duplicate"] == 2 * sum(count for result, count in told.items() if result != "duplicate")


@pytest.mark.quirk("Q68")
def test_what_is_announced_late_or_in_another_order_ends_the_same(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, clock: ManualClock
) -> None:
    for seconds in (30, 10, 20):
        quirk.on("hook.shuffle", window=seconds)
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "x\n"})
    for label in READY:
        github.world.add_label(pull, label)
    announce(github, mergeq)
    for _ in range(30):
        clock.advance(1)
        announce(github, mergeq)

    assert pull.merged
    assert [record.outcome for record in mergeq.history()] == [Outcome.LANDED]


@pytest.mark.quirk("Q68")
def test_an_approval_is_void_though_the_push_is_announced_long_after_it(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, clock: ManualClock
) -> None:
    """D17: the time of a head is GitHub's, not that of its delivery."""
    pull = ready(github, labels=("lgtm",))
    announce(github, mergeq)
    clock.advance(5)
    quirk.on("hook.shuffle", window=60, pr=pull.number)
    github.world.push("acme/rocket", pull.head_ref, {"more.txt": "y\n"})
    clock.advance(5)
    github.world.add_label(pull, "approved")
    for _ in range(7):
        announce(github, mergeq)
        clock.advance(10)
    announce(github, mergeq)

    assert pull.is_open
    assert "lgtm was given to" in status_of(github, pull)


@pytest.mark.quirk("Q69")
def test_what_was_never_announced_is_made_up_for_by_the_sweep(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, clock: ManualClock
) -> None:
    quirk.on("hook.drop", times=None)
    pull = ready(github)
    announce(github, mergeq)
    untold = pull.is_open
    clock.advance(86400)
    mergeq.sweep_and_work()

    assert (untold, pull.merged, counted(mergeq)) == (True, True, {})


@pytest.mark.quirk("Q71")
@pytest.mark.parametrize(
    ("args", "result"),
    [({}, "bad-signature"), ({"missing": True}, "bad-signature"), ({"form": True}, "wrong-type")],
    ids=["wrong", "missing", "a form"],
)
def test_a_delivery_that_is_not_to_be_believed_is_counted_and_not_acted_on(
    github: Sandbox, mergeq: Mergeq, quirk: Quirk, clock: ManualClock, args: dict[str, Any], result: str
) -> None:
    quirk.on("hook.badsig", times=None, **args)
    pull = ready(github)
    announce(github, mergeq)

    untold = pull.is_open and mergeq.store.is_idle()
    clock.advance(86400)
    mergeq.sweep_and_work()

    assert (untold, pull.merged) == (True, True)
    assert counted(mergeq).keys() == {result}
    assert {one.status_code for one in github.world.deliveries} == {401 if result == "bad-signature" else 415}


@pytest.mark.quirk("Q41")
@pytest.mark.parametrize("retest", ["head", "staging"])
def test_a_result_that_is_told_before_it_can_be_read_is_looked_for_until_it_is_there(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], quirk: Quirk, clock: ManualClock, retest: str
) -> None:
    config = STAGED.replace("retest: staging", f"retest: {retest}, staging_contexts: [e2e]")
    config = config if retest == "staging" else config.replace("[ci/test]", "[ci/test, e2e]")
    mergeq = start_mergeq(config.replace("tide:\n", "tide:\n  sync_period: 24h\n"))
    mergeq.sweep_and_work()
    listen(github, mergeq)
    pull = ready(github)
    announce(github, mergeq)
    tested = next((run.staged_sha for run in mergeq.store.runs(MAIN)), pull.head_sha)
    quirk.on("read.lag", checks=True, ms=10_000)
    github.world.set_status("acme/rocket", tested, context="e2e")
    announce(github, mergeq)
    early = pull.merged
    for _ in range(9):
        clock.advance(15)
        jobs.tick_once(mergeq.services)
        announce(github, mergeq)

    assert (early, pull.merged, mergeq.history()[0].outcome) == (False, True, Outcome.LANDED)
    assert (tested == pull.head_sha) == (retest == "head")
