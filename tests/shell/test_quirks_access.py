"""Limits, tokens and Apps: what is refused for a while is asked again, and whoever may do nothing does nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from mergeq.core.pull import Branch
from mergeq.doctor import examine
from mergeq.sandbox import ManualClock, Sandbox
from mergeq.sandbox.users import Grant
from tests.conftest import Mergeq
from tests.quirks import Quirk
from tests.shell.quirky import read, ready, reasons, status_of, sweep_until, warned, work
from tests.shell.test_quirks_reading import look

MAIN = Branch("acme", "rocket", "main")
MERGE = "PUT /repos/{owner}/{repo}/pulls/{pull_number}/merge"
SLOWER = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
USED_UP = "API rate limit exceeded for "
ABUSE = "You have triggered an abuse detection mechanism. Please wait a few minutes before you try again."
LIMITS = [
    pytest.param(
        *("limit.secondary", {"code": 403, "silent": True}, SLOWER, 60),
        marks=pytest.mark.quirk("Q59"),
        id="without a hint",
    ),
    pytest.param(
        *("limit.secondary", {"code": 403, "retry_after": 90}, SLOWER, 90),
        marks=pytest.mark.quirk("Q59"),
        id="retry-after",
    ),
    pytest.param("limit.secondary", {"code": 429}, SLOWER, 60, marks=pytest.mark.quirk("Q60"), id="429"),
    pytest.param("limit.primary", {}, USED_UP, 3601, marks=pytest.mark.quirk("Q61"), id="primary"),
    pytest.param(
        "limit.primary", {"skew": -7200}, USED_UP, 60, marks=pytest.mark.quirk("Q61"), id="a reset in the past"
    ),
    pytest.param("limit.abuse", {}, ABUSE, 60, marks=pytest.mark.quirk("Q62"), id="in the old words"),
]


@pytest.fixture
def as_app(github: Sandbox, start_mergeq: Callable[..., Mergeq], tmp_path: Path) -> Callable[..., Mergeq]:
    """Start mergeq as a GitHub App that is installed in acme."""

    def start(without: str = "") -> Mergeq:
        held = {name: access for name, access in _PERMISSIONS.items() if name != without}
        app = github.world.register_app("mergeq", permissions=held)
        github.world.install_app(app, "acme")
        key = tmp_path / "app.pem"
        key.write_text(app.pem)
        return start_mergeq(github_token="", github_app_id=str(app.app.id), github_app_key_file=str(key))

    return start


_PERMISSIONS = {
    "contents": "write",
    "pull_requests": "write",
    "statuses": "write",
    "checks": "read",
    "issues": "read",
    "administration": "read",
    "metadata": "read",
    "workflows": "write",
}


@pytest.mark.parametrize(("switch", "args", "words", "seconds"), LIMITS)
def test_a_limit_on_reading_delays_and_nothing_is_forgotten(
    github: Sandbox,
    mergeq: Mergeq,
    quirk: Quirk,
    clock: ManualClock,
    switch: str,
    args: dict[str, Any],
    words: str,
    seconds: int,
) -> None:
    pull = ready(github, labels=("lgtm",))
    mergeq.sweep_and_work()
    github.world.add_label(pull, "approved")
    quirk.on(switch, route="graphql:Look", **args)

    with capture_logs() as log:
        look(mergeq)
    known, page = mergeq.store.pool(MAIN), read(mergeq)
    waiting = pull.is_open and known is not None and len(known.pool.standings) == 1
    sweep_until(mergeq, pull, clock, 65)

    assert waiting
    assert "GitHub's limit makes everything wait until " in page
    assert words in page
    assert [(line.startswith("branch held back: "), words in line) for line in warned(log)] == [(True, True)]
    assert [entry["seconds"] for entry in log] == [seconds]
    assert (pull.merged, quirk.requests("{pull_number}/merge")) == (True, 1)


@pytest.mark.parametrize(("switch", "args", "words", "seconds"), LIMITS)
def test_a_limit_on_merging_is_a_no_for_now_and_nothing_is_done_twice(
    github: Sandbox,
    mergeq: Mergeq,
    quirk: Quirk,
    clock: ManualClock,
    switch: str,
    args: dict[str, Any],
    words: str,
    seconds: int,
) -> None:
    pull = ready(github)
    quirk.on(switch, route=MERGE, **args)

    with capture_logs() as log:
        mergeq.sweep_and_work()
    at_once, page = pull.is_open, read(mergeq)
    sweep_until(mergeq, pull, clock, 65)

    assert (at_once, pull.merged, quirk.requests("{pull_number}/merge")) == (True, True, 2)
    assert ("GitHub's limit makes everything wait until " in page, words in page) == (True, True)
    assert [words in line for line in warned(log)] == [True]
    assert [entry["seconds"] for entry in log if "seconds" in entry] == [seconds]
    assert mergeq.history()[0].outcome.value == "LANDED"


@pytest.mark.quirk("Q63")
@pytest.mark.parametrize("route", ["graphql:LastLook", MERGE])
def test_a_token_that_ends_too_early_is_replaced_and_the_call_made_once_more(
    github: Sandbox, as_app: Callable[..., Mergeq], quirk: Quirk, route: str
) -> None:
    mergeq = as_app()
    quirk.on("auth.expire", route=route)
    pull = ready(github)

    with capture_logs() as log:
        mergeq.sweep_and_work()

    assert (pull.merged, len(mergeq.history()), warned(log)) == (True, 1, [])


@pytest.mark.quirk("Q64")
@pytest.mark.parametrize("seconds", [-900, 900])
def test_the_claim_of_an_app_is_dated_by_githubs_clock(
    github: Sandbox, as_app: Callable[..., Mergeq], quirk: Quirk, seconds: int
) -> None:
    mergeq = as_app()
    quirk.on("clock.skew", seconds=seconds, times=None)
    pull = ready(github)

    with capture_logs() as log:
        mergeq.sweep_and_work()

    assert (pull.merged, warned(log)) == (True, [])


@pytest.mark.quirk("Q65")
def test_long_tokens_are_used_as_they_are_and_never_told(
    github: Sandbox, as_app: Callable[..., Mergeq], quirk: Quirk, capsys: pytest.CaptureFixture[str]
) -> None:
    mergeq = as_app()
    pull = ready(github)

    quirk.shown_by("/access_tokens")

    mergeq.sweep_and_work()
    token = mergeq.services.github.credentials.token("acme")

    assert (pull.merged, token.startswith("ghs_"), len(token) > 300) == (True, True, True)
    assert token not in "".join(capsys.readouterr())
    connection: Any = mergeq.services.queue.connection
    assert not [key for key in connection.scan_iter() if token.encode() in connection.dump(key)]


@pytest.mark.quirk("Q66")
def test_a_suspended_app_does_nothing_and_the_page_says_why(
    github: Sandbox, as_app: Callable[..., Mergeq], quirk: Quirk
) -> None:
    mergeq = as_app()
    pull = ready(github, labels=("lgtm",))
    mergeq.sweep_and_work()
    github.world.add_label(pull, "approved")
    quirk.on("auth.suspend", after=1)

    look(mergeq)
    look(mergeq)

    assert (pull.is_open, quirk.requests("{pull_number}/merge")) == (True, 0)
    assert "the GitHub App is suspended in acme; unsuspend its installation there" in read(mergeq)


@pytest.mark.quirk("Q66")
def test_a_permission_that_was_not_accepted_is_named(
    github: Sandbox, as_app: Callable[..., Mergeq], quirk: Quirk
) -> None:
    mergeq = as_app()
    pull = ready(github)
    quirk.on("auth.perms", after=1, remove=["contents"])

    mergeq.sweep_and_work(2)

    assert pull.is_open
    refused = "GitHub answered: Resource not accessible by integration (it asks for contents=write)"
    assert reasons(mergeq, pull) == [f"needs GitHub to accept the merge, but {refused}"]
    assert (
        mergeq.history()[0].err
        == "failed merging [1]: #1: Resource not accessible by integration (it asks for contents=write)"
    )
    findings = examine(mergeq.services.settings, "acme/rocket")["findings"]
    assert [one["seen"] for one in findings if one["remedy"].startswith("give it to the App")] == [
        "the GitHub App mergeq: the permission contents: write is missing; it is for merging, staging refs, dispatches"
    ]


@pytest.mark.quirk("Q58")
@pytest.mark.parametrize("kind", ["an App", "a classic token"])
def test_workflow_files_that_the_credentials_may_not_change_are_not_even_tried(
    github: Sandbox, as_app: Callable[..., Mergeq], start_mergeq: Callable[..., Mergeq], quirk: Quirk, kind: str
) -> None:
    if kind == "an App":
        mergeq = as_app(without="workflows")
    else:
        github.world.users.remember(github.token, Grant("mergeq-bot", scopes=("repo",)))
        mergeq = start_mergeq()
    pull, other = ready(github, files={".github/workflows/x.yml": "on: push\n"}), ready(github, "Other")
    quirk.shown_by("graphql:")

    work(github, mergeq)

    assert (pull.is_open, other.merged, quirk.requests("{pull_number}/merge")) == (True, True, 1)
    file = ".github/workflows/x.yml"
    assert status_of(github, pull) == f"Not mergeable. mergeq may not change workflow files, and PR changes {file}."
    said = f"it changes {file}, and the credentials lack workflows: write"
    assert reasons(mergeq, pull) == [f"needs a right of mergeq's to change workflow files, but {said}"]
