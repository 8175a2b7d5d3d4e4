from __future__ import annotations

import pytest
import requests

from mergeq.sandbox import CiConfig, CiKind, ManualClock, Sandbox
from mergeq.sandbox.globs import matches_any
from tests.sandbox.conftest import GREEN, Rest


def results(sandbox: Sandbox, sha: str, repo: str = "acme/tested") -> list[str]:
    return [status.state for status in sandbox.world.repo(repo).statuses.get(sha, [])]


def test_ci_runs_what_the_commit_says_and_reports_by_its_exit_code(sandbox: Sandbox, rest: Rest) -> None:
    world = sandbox.world
    world.create_repo("acme/tested", files=GREEN)
    good = world.open_pull("acme/tested", title="Good", files={"a.txt": "a\n"})
    bad = world.open_pull("acme/tested", title="Bad", files={"ci.sh": "echo no luck >&2; exit 3\n"})

    sandbox.settle()

    assert results(sandbox, good.head_sha) == ["pending", "success"]
    assert results(sandbox, bad.head_sha) == ["pending", "failure"]
    failure = world.repo("acme/tested").latest_statuses(bad.head_sha)[0]
    assert failure.description == "ci.sh exited with 3"
    assert rest("GET", f"//{str(failure.target_url).removeprefix(sandbox.url + '/')}").text == "no luck\n"


def test_a_real_clock_runs_ci_by_itself(served: Sandbox) -> None:
    served.world.create_repo("acme/tested", files=GREEN)
    pull = served.world.open_pull("acme/tested", title="Bad", files={"broken.txt": "x\n"})

    assert served.settle()

    assert results(served, pull.head_sha) == ["pending", "failure"]


def test_a_commit_is_tested_once_however_often_it_is_pushed(sandbox: Sandbox) -> None:
    world = sandbox.world
    world.create_repo("acme/tested", files=GREEN)
    pull = world.open_pull("acme/tested", title="Good", files={"a.txt": "a\n"})
    sandbox.settle()

    world.create_ref("acme/tested", "refs/heads/copy", pull.head_sha)
    world.close_pull(pull)
    world.reopen_pull(pull)
    world.update_ref("acme/tested", "refs/heads/main", pull.head_sha)
    sandbox.settle()

    assert results(sandbox, pull.head_sha) == ["pending", "success"]


def test_skip_ci_in_the_message_runs_nothing(sandbox: Sandbox) -> None:
    world = sandbox.world
    world.create_repo("acme/tested", files=GREEN)
    sha = world.push("acme/tested", "quiet", {"a.txt": "a\n"}, message="Scratch\n\n[skip ci]")

    sandbox.settle()

    assert results(sandbox, sha) == []


def test_a_commit_without_a_script_is_not_reported_on(sandbox: Sandbox) -> None:
    world = sandbox.world
    world.create_repo("acme/tested", files={"README.md": "no tests\n"})
    sha = world.push("acme/tested", "main", {"a.txt": "a\n"})

    sandbox.settle()

    assert results(sandbox, sha) == []


def test_the_verdict_comes_after_the_delay_of_the_clock() -> None:
    clock = ManualClock()
    with Sandbox(clock=clock) as sandbox:
        sandbox.world.create_repo("acme/tested", files=GREEN, ci=CiConfig(delay=90))
        sha = sandbox.world.push("acme/tested", "main", {"a.txt": "a\n"})

        sandbox.settle()
        clock.advance(89)
        assert results(sandbox, sha) == ["pending"]
        clock.advance(1)
        assert results(sandbox, sha) == ["pending", "success"]
        reported = sandbox.world.repo("acme/tested").latest_statuses(sha)[0]
        assert reported.created_at == clock.now()


def test_ci_may_report_as_check_runs(sandbox: Sandbox) -> None:
    world = sandbox.world
    world.create_repo("acme/tested", files=GREEN, ci=CiConfig(context="build", kind=CiKind.CHECK_RUN))
    pull = world.open_pull("acme/tested", title="Bad", files={"broken.txt": "x\n"}, fork="ana")

    sandbox.settle()

    (run,) = world.repo("acme/tested").latest_runs(pull.head_sha)
    assert (run.name, run.status, run.conclusion) == ("build", "completed", "failure")
    assert results(sandbox, pull.head_sha) == []


def test_branches_and_pull_requests_can_be_left_out(sandbox: Sandbox) -> None:
    world = sandbox.world
    world.create_repo("acme/tested", files=GREEN, ci=CiConfig(branches=("staging/*",), pull_requests=False))
    pull = world.open_pull("acme/tested", title="Good", files={"a.txt": "a\n"})
    staged = world.push("acme/tested", "staging/1", {"b.txt": "b\n"})

    sandbox.settle()

    assert results(sandbox, pull.head_sha) == []
    assert results(sandbox, staged) == ["pending", "success"]


@pytest.mark.parametrize(
    ("branch", "glob", "fits"),
    [
        ("main", "main", True),
        ("main", "**", True),
        ("a/b", "**", True),
        ("a/b", "*", False),
        ("a/b", "a/*", True),
        ("a/b/c", "a/*", False),
        ("a/b/c", "a/**", True),
        ("a.b", "a?b", True),
        ("axb", "a.b", False),
    ],
)
def test_a_star_stays_within_a_segment_and_two_cross_it(branch: str, glob: str, fits: bool) -> None:
    assert matches_any(branch, (glob,)) is fits


def test_what_goes_wrong_in_a_thread_comes_out_when_settling() -> None:
    with Sandbox() as sandbox:

        def fail() -> None:
            raise RuntimeError("broken thread")

        with pytest.raises(RuntimeError, match="broken thread"):
            sandbox.world.activity.tracked(fail)()
        with pytest.raises(RuntimeError, match="broken thread"):
            sandbox.settle()


def test_a_dispatch_starts_the_ci_that_waits_for_it(sandbox: Sandbox, rest: Rest) -> None:
    waiting = CiConfig(branches=(), pull_requests=False, dispatches=("mergeq",))
    sandbox.world.create_repo("acme/tested", files=GREEN, ci=waiting)
    pull = sandbox.world.open_pull("acme/tested", title="Good", files={"a.txt": "a\n"})
    sandbox.settle()
    before = results(sandbox, pull.head_sha)

    for kind in ("other", "mergeq"):
        rest("POST", "//repos/acme/tested/dispatches", event_type=kind, client_payload={"sha": pull.head_sha})
    sandbox.settle()

    assert (before, results(sandbox, pull.head_sha)) == ([], ["pending", "success"])


def test_a_run_can_be_cancelled_until_it_has_ended(served: Sandbox) -> None:
    world = served.world
    world.create_repo("acme/slow", files={"ci.sh": "sleep 60\n"}, ci=CiConfig(kind=CiKind.CHECK_RUN))
    pull = world.open_pull("acme/slow", title="Slow", files={"a.txt": "a\n"})
    url = f"{served.url}/repos/acme/slow/actions/runs/1/cancel"
    asks = {"Authorization": f"token {served.token}"}

    first = requests.post(url, headers=asks, timeout=30)
    assert served.settle()
    second = requests.post(url, headers=asks, timeout=30)

    assert (first.status_code, second.status_code) == (202, 409)
    assert [run.conclusion for run in world.repo("acme/slow").latest_runs(pull.head_sha)] == ["cancelled"]
