"""What an App was not told is asked for again: once, as far back as it was not looked for, and as cheaply as can be."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from mergeq import redeliver
from mergeq.core.checkup import EVENTS, NEEDS
from mergeq.core.pull import Branch
from mergeq.redeliver import redeliver_missed
from mergeq.sandbox import ManualClock, Sandbox, webhooks
from mergeq.sandbox.apps import Registration
from tests.conftest import Mergeq
from tests.shell.quirky import deliver_to
from tests.shell.test_quirks_deliveries import CONFIG_OF_A_DAY, announce
from tests.web.test_webhooks import counted

MAIN = Branch("acme", "rocket", "main")
LISTED, AGAIN = "GET /app/hook/deliveries", "POST /app/hook/deliveries/{delivery_id}/attempts"


@pytest.fixture
def app(github: Sandbox) -> Registration:
    permissions = {need.permission: need.access for need in NEEDS}
    made = github.world.register_app(
        "queue",
        permissions=permissions,
        events=EVENTS,
        hook_url="http://mergeq.test/webhooks/github",
    )
    github.world.install_app(made, "acme")
    return made


@pytest.fixture
def mergeq(github: Sandbox, app: Registration, start_mergeq: Callable[..., Mergeq], tmp_path: Path) -> Mergeq:
    """mergeq as the App: it has swept once, and gets what happens from now on."""
    key = tmp_path / "app.pem"
    key.write_text(app.pem)
    made = start_mergeq(
        CONFIG_OF_A_DAY,
        github_token="",
        github_app_id=str(app.app.id),
        github_app_key_file=str(key),
        webhook_secrets=(app.webhook_secret,),
    )
    made.store.set_swept("deliveries", made.services.now() + 86400.0)  # by the tick none is asked for on that day
    github.settle()
    made.sweep_and_work()
    github.world.webhooks.deliveries.clear()
    deliver_to(github, made)
    return made


def label(github: Sandbox, *names: str) -> None:
    for name in names:
        github.world.add_label(github.world.pull("acme/rocket", 1), name)


def redelivered(mergeq: Mergeq) -> float:
    return sum(value for name, _, value in mergeq.store.metrics() if name == "mergeq_webhooks_redelivered_total")


def asked(github: Sandbox, route: str) -> int:
    return github.hits.get(route, 0)


def test_what_was_lost_on_its_way_is_asked_for_and_acted_on(github: Sandbox, mergeq: Mergeq) -> None:
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "x\n"})
    announce(github, mergeq)
    github.world.faults.add("hook.drop", times=None)
    label(github, "lgtm", "approved")
    announce(github, mergeq)
    untold = pull.is_open
    github.world.faults.clear()

    assert redeliver_missed(mergeq.services) == 2
    announce(github, mergeq)

    assert (untold, pull.merged) == (True, True)
    assert redelivered(mergeq) == 2
    assert asked(github, AGAIN) == 2


def test_the_tick_asks_every_ten_minutes(github: Sandbox, mergeq: Mergeq) -> None:
    pull = github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "x\n"})
    announce(github, mergeq)
    github.world.faults.add("hook.drop", times=None)
    label(github, "lgtm", "approved")
    announce(github, mergeq)
    github.world.faults.clear()
    mergeq.store.set_swept("deliveries", mergeq.services.now() - 540.0)

    mergeq.sweep_and_work()
    announce(github, mergeq)

    assert pull.merged
    assert (redelivered(mergeq), asked(github, LISTED)) == (2, 1)


def test_nothing_is_asked_for_twice_and_where_nothing_failed_one_page_is_read(
    github: Sandbox, mergeq: Mergeq, clock: ManualClock
) -> None:
    github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "x\n"})
    github.world.faults.add("hook.drop", times=None)
    announce(github, mergeq)
    first = redeliver_missed(mergeq.services)
    announce(github, mergeq)
    before = asked(github, LISTED)

    again = [redeliver_missed(mergeq.services) for _ in range(3)]
    clock.advance(3600)
    after_an_hour = redeliver_missed(mergeq.services)

    assert first > 0
    assert (again, after_an_hour, asked(github, AGAIN)) == ([0, 0, 0], 0, first)
    assert asked(github, LISTED) == before + 4


def test_what_came_after_all_is_not_asked_for(github: Sandbox, mergeq: Mergeq) -> None:
    """Somebody pressed Redeliver, or our answer was lost."""
    github.world.faults.add("hook.drop")
    github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "x\n"})
    announce(github, mergeq)
    (lost,) = [one for one in github.world.deliveries if one.status_code is None]
    github.world.webhooks.redeliver(lost)
    announce(github, mergeq)

    assert redeliver_missed(mergeq.services) == 0
    assert "queued" in counted(mergeq)


def test_of_a_long_outage_a_part_is_asked_for_at_a_time_and_nothing_that_github_has_not_kept(
    github: Sandbox, mergeq: Mergeq, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redeliver, "_AT_ONCE", 2)
    github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "x\n"})
    announce(github, mergeq)
    fault = github.world.faults.add("hook.drop", times=None)
    label(github, "too-old")
    announce(github, mergeq)
    clock.advance(3 * 86400 + 1)
    label(github, "a", "b", "c")
    announce(github, mergeq)
    assert fault.hits == 4
    github.world.faults.clear()

    assert [redeliver_missed(mergeq.services) for _ in range(3)] == [2, 1, 0]


def test_what_github_lists_and_does_not_have_any_more_holds_up_nothing(
    github: Sandbox, mergeq: Mergeq, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.world.faults.add("hook.drop", times=None)
    github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "x\n"})
    announce(github, mergeq)
    monkeypatch.setattr(webhooks, "REDELIVERABLE_S", -1.0)

    found = [(redeliver_missed(mergeq.services), asked(github, AGAIN)) for _ in range(2)]

    assert found == [(0, len(github.world.deliveries))] * 2


def test_many_failures_are_read_page_by_page(github: Sandbox, mergeq: Mergeq, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mergeq.sandbox.rest_hooks.MAX_PAGE", 2)
    github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "x\n"})
    announce(github, mergeq)
    github.world.faults.add("hook.drop", times=None)
    label(github, "a", "b", "c", "d", "e")
    announce(github, mergeq)
    before = asked(github, LISTED)

    assert redeliver_missed(mergeq.services) == 5
    assert asked(github, LISTED) == before + 3


def test_a_github_that_does_not_answer_is_asked_next_time(github: Sandbox, mergeq: Mergeq) -> None:
    github.world.faults.add("hook.drop")
    github.world.open_pull("acme/rocket", title="Add fins", files={"fins.txt": "x\n"})
    announce(github, mergeq)
    github.world.faults.add("http.5xx", route=AGAIN)
    with capture_logs() as log:
        failed = redeliver_missed(mergeq.services)

    assert (failed, redeliver_missed(mergeq.services)) == (0, 1)
    assert [(line["event"], line["error"]) for line in log] == [
        ("missed webhooks not asked for", "GitHub does not serve the App: 502")
    ]


def test_without_an_app_nothing_is_asked(github: Sandbox, start_mergeq: Callable[..., Mergeq]) -> None:
    before: dict[str, Any] = dict(github.hits)

    assert redeliver_missed(start_mergeq().services) == 0
    assert dict(github.hits) == before


def test_an_app_without_a_webhook_misses_nothing(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], tmp_path: Path
) -> None:
    silent = github.world.register_app("silent", permissions={"metadata": "read"})
    key = tmp_path / "silent.pem"
    key.write_text(silent.pem)
    mergeq = start_mergeq(github_token="", github_app_id=str(silent.app.id), github_app_key_file=str(key))

    assert redeliver_missed(mergeq.services) == 0
