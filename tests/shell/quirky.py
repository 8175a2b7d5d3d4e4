"""What the tests of quirks begin with: a pull request that is ready, work that is done, and what people are shown."""

import re
from collections.abc import Iterable, Mapping
from html import unescape
from typing import Any

from werkzeug.test import TestResponse

from mergeq.sandbox import ManualClock, Sandbox, WsgiAdapter
from mergeq.sandbox.records import Pull
from tests.conftest import CONFIG, READY, Mergeq

REQUIRED = CONFIG.replace("  merge_method:", "  context_options: {required-contexts: [ci/test]}\n  merge_method:")
STAGED = REQUIRED + "mergeq: {queue: {retest: staging}}\n"
MERGED = REQUIRED + "mergeq: {queue: {retest: staging, landing: pull-request}}\n"
UPDATED = REQUIRED + "mergeq: {queue: {retest: update}}\n"


def ready(github: Sandbox, title: str = "Add fins", repo: str = "acme/rocket", **more: object) -> Pull:
    asked: dict[str, object] = {"files": {f"{title}.txt": "x\n"}, "labels": READY, **more}
    pull = github.world.open_pull(repo, title=title, **asked)  # type: ignore[arg-type]
    github.settle()
    return pull


def work(github: Sandbox, mergeq: Mergeq, minutes: int = 1) -> None:
    for _ in range(minutes):
        mergeq.sweep_and_work()
        github.settle()


def sweep_until(mergeq: Mergeq, pull: Pull, clock: ManualClock, minutes: int) -> None:
    """Sweep until a pull request is closed, of so many minutes the first five and the last five one by one."""
    for minute in range(minutes):
        if pull.is_open and not 5 <= minute < minutes - 5:
            mergeq.sweep_and_work()
        elif pull.is_open:
            clock.advance(60)


def status_of(github: Sandbox, pull: Pull) -> str:
    """What our status says on the head; empty when there is none."""
    found = {s.context: s.description or "" for s in github.world.repo(pull.repo).latest_statuses(pull.head_sha)}
    return found.get("tide", "")


def read(mergeq: Mergeq, path: str = "/tide") -> str:
    """The text of a page, as it is read."""
    answer = mergeq.web.get(path)
    assert answer.status_code == 200, answer.text
    return " ".join(unescape(re.sub(r"<[^>]+>", "", answer.text.partition("<main")[2])).split())


def reasons(mergeq: Mergeq, pull: Pull) -> list[str]:
    """What the page of a pull request says keeps it from merging."""
    page: dict[str, Any] = mergeq.web.get(f"/pr/{pull.repo}/{pull.number}.json").get_json()
    return [f"needs {one['needed']}, but {one['observed']}" for one in page["reasons"]]


def warned(log: Iterable[Mapping[str, Any]]) -> list[str]:
    """What the log warns of, each in one line: what happened, and why."""
    told = (entry for entry in log if entry["log_level"] != "info")
    return [": ".join(filter(None, (entry["event"], entry.get("why"), entry.get("error")))) for entry in told]


def foreign(github: Sandbox, path: str, *, body: object = None, headers: dict[str, str] | None = None) -> TestResponse:
    """What somebody else is answered, to prove that a switch is on; with a `body` it is posted."""
    sent = {"Authorization": f"Bearer {github.token}", "User-Agent": "somebody else", **(headers or {})}
    return github.app.test_client().open(path, method="POST" if body else "GET", json=body, headers=sent)


def deliver_to(github: Sandbox, mergeq: Mergeq) -> str:
    """Have GitHub's events come to mergeq, in this process; the address that a hook is to have."""
    github.world.webhooks.session.mount("http://mergeq.test", WsgiAdapter(mergeq.web.application))
    return "http://mergeq.test/webhooks/github"


def listen(github: Sandbox, mergeq: Mergeq) -> None:
    """Have every event of every repository come to mergeq."""
    github.world.add_hook(deliver_to(github, mergeq), github.webhook_secret)
