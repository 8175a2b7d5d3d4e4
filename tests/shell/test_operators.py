"""Pausing, resuming, evicting and trying again: what operators say is heeded, shown, and on record."""

import json
import socket
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner, Result

from mergeq import execute, operators, sync
from mergeq.cli import cli
from mergeq.config import schemas
from mergeq.core.history import Outcome
from mergeq.core.orders import EVERYTHING
from mergeq.core.pull import Branch
from mergeq.sandbox import ManualClock, Sandbox
from tests.conftest import FILES, READY, Mergeq
from tests.shell.test_landing import fault, hits, saved_and_claimed
from tests.shell.test_replay import env_of
from tests.shell.test_staging import STAGED, outcomes, ready, staging_refs, status_of, work

MAIN = Branch("acme", "rocket", "main")
WHO = "ana@desk"


def said(mergeq: Mergeq, *arguments: str) -> Result:
    """What a command says to whoever runs it, on the store of this mergeq."""
    return CliRunner().invoke(cli, [*arguments], env=env_of(mergeq), standalone_mode=False)


def refused(mergeq: Mergeq, *arguments: str) -> str:
    """Why a command does nothing, in its one line."""
    result = said(mergeq, *arguments)
    assert result.exit_code == 1
    assert result.exception is not None
    return str(getattr(result.exception, "message", result.exception))


@pytest.fixture
def staged(start_mergeq: Callable[..., Mergeq]) -> Mergeq:
    return start_mergeq(STAGED)


# Pausing and resuming


def test_a_paused_branch_says_everywhere_who_paused_it_since_when_and_why(github: Sandbox, mergeq: Mergeq) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()

    operators.pause(mergeq.services, MAIN, WHO, "release week")
    work(github, mergeq, 3)

    told = mergeq.store.halted(MAIN)
    assert told.startswith("paused by ana@desk since 20")
    assert told.endswith(" UTC: release week")
    assert pull.is_open
    assert status_of(github, pull) == f"Not mergeable. The queue of this branch is halted: {told}"
    assert told in mergeq.web.get("/tide").text
    assert told in mergeq.web.get("/pr/acme/rocket/1").text
    assert told in said(mergeq, "explain", "acme/rocket#1").output


def test_what_is_resumed_goes_on_at_once(github: Sandbox, mergeq: Mergeq) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()
    operators.pause(mergeq.services, MAIN, WHO, "release week")
    work(github, mergeq)

    operators.resume(mergeq.services, MAIN, WHO, "it is out")
    mergeq.work()

    assert pull.merged
    assert [(r.action, r.outcome, r.by, r.why) for r in mergeq.history()[1:]] == [
        ("RESUME", Outcome.RESUMED, WHO, "it is out"),
        ("PAUSE", Outcome.PAUSED, WHO, "release week"),
    ]


def test_a_pause_of_everything_holds_for_branches_that_nobody_has_seen_yet(github: Sandbox, mergeq: Mergeq) -> None:
    operators.pause(mergeq.services, EVERYTHING, WHO, "GitHub is being moved")
    github.world.create_repo("acme/launchpad", files=FILES)
    pull = github.world.open_pull("acme/launchpad", title="Add legs", files={"legs.txt": "3\n"}, labels=READY)
    github.settle()

    work(github, mergeq, 2)
    waiting, page, readiness = pull.is_open, mergeq.web.get("/tide").text, mergeq.web.get("/readyz")
    operators.resume(mergeq.services, EVERYTHING, WHO, "it is there")
    mergeq.work()

    assert waiting
    assert "Everything is halted" in page
    assert "GitHub is being moved" in status_of(github, pull) or pull.merged
    assert (readiness.status_code, "ready, but everything is halted: paused by ana@desk" in readiness.text) == (
        200,
        True,
    )
    assert pull.merged
    assert mergeq.web.get("/readyz").text == "ready\n"


@pytest.mark.parametrize("what", ["acme/rocket:main", "--all"])
def test_a_pause_waits_for_nobody_to_mend_the_configuration(github: Sandbox, mergeq: Mergeq, what: str) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()
    mergeq.services.settings.config_paths[0].write_text("tide: {queries: [\n")

    paused = said(mergeq, "pause", what, "--why", "a wrong push to the configuration")
    resumed = refused(mergeq, "resume", what, "--why", "it is mended")
    work(github, mergeq)

    assert (paused.exit_code, paused.stdout.endswith(" is paused\n")) == (0, True)
    assert "is not YAML" in paused.stderr
    assert "is not YAML" in resumed
    assert pull.is_open
    assert mergeq.store.halted(MAIN).endswith("a wrong push to the configuration")


def test_a_branch_that_is_halted_for_itself_stays_so_when_everything_is_resumed(
    github: Sandbox, mergeq: Mergeq
) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()
    operators.pause(mergeq.services, MAIN, WHO, "release week")
    operators.pause(mergeq.services, EVERYTHING, WHO, "GitHub is being moved")

    result = said(mergeq, "resume", "--all", "--why", "it is there")
    work(github, mergeq, 2)

    assert result.stdout == "everything goes on\n"
    assert "still halted: acme/rocket:main, paused by ana@desk since" in result.stderr
    assert pull.is_open


def test_resuming_one_branch_does_not_lift_the_pause_of_everything(github: Sandbox, mergeq: Mergeq) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()
    operators.pause(mergeq.services, EVERYTHING, WHO, "GitHub is being moved")

    told = refused(mergeq, "resume", "acme/rocket:main", "--why", "please")
    work(github, mergeq, 2)

    assert told.startswith("acme/rocket:main is neither paused nor halted; everything is: paused by ana@desk since")
    assert pull.is_open


def test_what_stopped_a_branch_is_never_covered_by_a_pause(github: Sandbox, mergeq: Mergeq) -> None:
    """D22: whoever resumes it must have seen that another tree landed."""
    github.settle()
    mergeq.store.mark_parts([MAIN], ["all"], 0.0)
    lease = mergeq.store.claim(MAIN, 0.0)
    assert lease
    mergeq.store.halt(lease, "1a2b3c4 has another tree than the tested one", 0.0)

    told = refused(mergeq, "pause", "acme/rocket:main", "--why", "release week")

    assert told == "acme/rocket:main is halted already: 1a2b3c4 has another tree than the tested one"


def test_a_pause_between_the_decision_and_the_merge_is_heeded(github: Sandbox, mergeq: Mergeq) -> None:
    """D23."""
    _, lease, saved = saved_and_claimed(github, mergeq)
    operators.pause(mergeq.services, EVERYTHING, WHO, "stop")

    record = execute.land(mergeq.services, lease, saved)

    assert record.outcome is Outcome.STALE
    assert "the branch is halted: paused by ana@desk" in record.err
    assert hits(github, "/merge") == 0


# Evicting


def test_an_evicted_pull_request_stays_out_until_it_is_pushed_to(github: Sandbox, mergeq: Mergeq) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    other = ready(github, "Add wings", {"wings.txt": "two\n"})
    operators.pause(mergeq.services, MAIN, WHO, "to look at it")
    github.settle()
    work(github, mergeq)
    operators.evict(mergeq.services, "acme/rocket", pull.number, WHO, "it breaks the telescope")
    operators.resume(mergeq.services, MAIN, WHO, "seen")

    work(github, mergeq, 2)
    told = status_of(github, pull)
    others_way = other.merged
    explained = said(mergeq, "explain", "acme/rocket#1").output
    github.world.push_to_pull(pull, {"fins.txt": "five\n"})
    github.world.remove_label(pull, "lgtm")
    github.settle()
    work(github, mergeq)
    github.world.add_label(pull, "lgtm", by="ben")
    github.settle()
    work(github, mergeq, 2)

    assert told == "Not mergeable. Taken out of the queue by ana@desk: it breaks the telescope"
    assert others_way
    assert "ana@desk took it out of the queue at 20" in explained
    assert "mergeq retry acme/rocket#1" in explained
    assert pull.merged


def test_an_eviction_between_the_decision_and_the_merge_is_heeded(github: Sandbox, mergeq: Mergeq) -> None:
    """D23."""
    pull, lease, saved = saved_and_claimed(github, mergeq)
    operators.evict(mergeq.services, "acme/rocket", pull.number, WHO, "it breaks the telescope")

    record = execute.land(mergeq.services, lease, saved)

    assert record.outcome is Outcome.STALE
    assert "ana@desk took it out of the queue" in record.err
    assert hits(github, "/merge") == 0


def test_a_run_with_an_evicted_member_is_given_up(github: Sandbox, staged: Mergeq) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()
    staged.sweep_and_work()
    before = staging_refs(github)

    operators.evict(staged.services, "acme/rocket", pull.number, WHO, "it breaks the telescope")
    staged.work()

    assert len(before) == 1
    assert staging_refs(github) == []
    assert outcomes(staged)[-1] == ("TRIGGER", "ABANDONED", [1])
    assert "left the pool" in staged.history()[0].err


def test_an_eviction_holds_for_the_head_that_mergeq_itself_made_of_the_one_that_was_evicted(
    github: Sandbox, mergeq: Mergeq
) -> None:
    pull, _, _ = saved_and_claimed(github, mergeq)
    operators.evict(mergeq.services, "acme/rocket", pull.number, WHO, "it breaks the telescope")

    mergeq.store.move_eviction("acme/rocket", pull.number, "8" * 40, "9" * 40)
    other = mergeq.store.evictions("acme/rocket")[pull.number].head_sha
    mergeq.store.move_eviction("acme/rocket", pull.number, pull.head_sha, "9" * 40)

    assert other == pull.head_sha
    assert mergeq.store.evictions("acme/rocket")[pull.number].head_sha == "9" * 40


# Trying again


def test_a_pull_request_that_stands_back_is_tried_at_once_when_an_operator_says_so(
    github: Sandbox, mergeq: Mergeq
) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    fault(github, "merge.base_modified", times=3)
    github.settle()
    work(github, mergeq)
    refusals, waiting = mergeq.store.refusals(MAIN), pull.is_open

    _, held = operators.retry(mergeq.services, "acme/rocket", pull.number, WHO, "the rule was mended")
    mergeq.work()

    assert [*refusals] == [1]
    assert (waiting, held) == (True, 1)
    assert pull.merged


def test_a_head_that_did_not_pass_alone_is_tested_again_when_an_operator_says_so(
    github: Sandbox, staged: Mergeq
) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "BROKEN\n"})
    github.world.set_status("acme/rocket", pull.head_sha, context="ci/test", state="success")
    github.settle()
    github.world.set_status("acme/rocket", pull.head_sha, context="ci/test", state="success")
    work(github, staged, 8)
    tried = outcomes(staged).count(("TRIGGER", "RED", [1]))

    _, held = operators.retry(staged.services, "acme/rocket", pull.number, WHO, "the runner was broken")
    staged.work()

    assert (tried, held) == (2, 2)
    assert outcomes(staged)[-1] == ("TRIGGER", "TRIGGERED", [1])


def test_an_eviction_is_forgotten_by_trying_again(github: Sandbox, mergeq: Mergeq) -> None:
    pull = ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()
    operators.pause(mergeq.services, MAIN, WHO, "to look at it")
    work(github, mergeq)
    operators.evict(mergeq.services, "acme/rocket", pull.number, WHO, "it breaks the telescope")
    operators.resume(mergeq.services, MAIN, WHO, "seen")
    mergeq.work()

    result = said(mergeq, "retry", "acme/rocket#1", "--why", "the telescope is mended", "--as", "ben")
    mergeq.work()

    assert result.stdout == "acme/rocket#1 is tried again; 1 thing held against it\n"
    assert pull.merged


# The commands


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["pause", "acme/nowhere"], "'acme/nowhere' is not of the form ORG/REPO:BRANCH"),
        (["pause", "umbrella/x:main"], "umbrella/x:main is not served here: no query of the configuration is about it"),
        (["resume", "acme/rocket:main"], "acme/rocket:main is neither paused nor halted"),
        (["resume", "--all"], "everything is neither paused nor halted"),
        (["evict", "acme/rocket#9"], "acme/rocket#9 is not an open pull request that mergeq has seen"),
        (["retry", "acme/rocket#9"], "acme/rocket#9 is not an open pull request that mergeq has seen"),
        (["pause"], "name a branch as ORG/REPO:BRANCH, or give --all"),
        (["pause", "--all", "acme/rocket:main"], "name a branch as ORG/REPO:BRANCH, or give --all"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_one_line(mergeq: Mergeq, arguments: list[str], line: str) -> None:
    assert refused(mergeq, *arguments, "--why", "because") == line


@pytest.mark.parametrize("why", ["", "  ", "two\nlines"])
def test_a_reason_is_one_line_of_words(mergeq: Mergeq, why: str) -> None:
    assert "give some words, in one line" in refused(mergeq, "pause", "acme/rocket:main", "--why", why)
    assert mergeq.store.halts() == {}


def test_without_a_reason_nothing_is_done(mergeq: Mergeq) -> None:
    assert isinstance(said(mergeq, "pause", "acme/rocket:main").exception, click.MissingParameter)
    assert mergeq.store.halts() == {}


def test_every_command_prints_its_record(github: Sandbox, mergeq: Mergeq) -> None:
    ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()
    printed = []

    def tell(*arguments: str) -> None:
        result = said(mergeq, *arguments, "--why", "because", "--as", "ana", "--json")
        printed.append(json.loads(result.stdout))

    tell("pause", "--all")
    work(github, mergeq)
    tell("evict", "acme/rocket#1")
    tell("retry", "acme/rocket#1")
    tell("resume", "--all")

    for one in printed:
        schemas.validator("pause").validate(one)
    assert [(one["action"], one["outcome"], one["branch"]) for one in printed] == [
        ("PAUSE", "PAUSED", "*/*:*"),
        ("EVICT", "EVICTED", "acme/rocket:main"),
        ("RETRY", "RETRIED", "acme/rocket:main"),
        ("RESUME", "RESUMED", "*/*:*"),
    ]
    assert {(one["by"], one["why"]) for one in printed} == {(f"ana@{socket.gethostname()}", "because")}
    assert printed[1]["target"][0]["title"] == "Add fins"


def test_the_history_tells_what_operators_did_in_every_form(github: Sandbox, mergeq: Mergeq) -> None:
    ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()
    operators.pause(mergeq.services, EVERYTHING, WHO, "GitHub is <being> moved")
    work(github, mergeq)
    operators.evict(mergeq.services, "acme/rocket", 1, WHO, "it breaks the telescope")

    page, served = mergeq.web.get("/tide-history").text, mergeq.web.get("/api/history").get_json()
    tides = mergeq.web.get("/tide-history.json").get_json()

    assert "GitHub is &lt;being&gt; moved" in page
    assert "said by ana@desk" in page
    assert "every branch" in page
    schemas.validator("history").validate(served)
    schemas.validator("tide-history").validate(tides)
    assert [one["why"] for one in served["records"]] == ["it breaks the telescope", "GitHub is <being> moved"]
    assert [one["action"] for one in tides["History"]["acme/rocket:main"]] == ["EVICT"]
    assert [one["action"] for one in mergeq.web.get("/api/history?action=PAUSE").get_json()["records"]] == ["PAUSE"]
    assert "it breaks the telescope" in mergeq.web.get("/pr/acme/rocket/1").text


def test_an_eviction_is_part_of_a_world_that_is_taken_down(github: Sandbox, mergeq: Mergeq, clock: ManualClock) -> None:
    ready(github, "Add fins", {"fins.txt": "four\n"})
    github.settle()
    operators.pause(mergeq.services, MAIN, WHO, "to look at it")
    work(github, mergeq)
    operators.evict(mergeq.services, "acme/rocket", 1, WHO, "it breaks the telescope")
    clock.advance(1)

    seen = sync.look(mergeq.services, MAIN, mergeq.store.pool(MAIN))

    assert seen.memory.evictions[1].why == "it breaks the telescope"
