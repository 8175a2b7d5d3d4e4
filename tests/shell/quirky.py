"""What the tests of quirks begin with: a pull request that is ready, work that is done, the status that is shown."""

from mergeq.sandbox import Sandbox
from mergeq.sandbox.records import Pull
from tests.conftest import CONFIG, READY, Mergeq

REQUIRED = CONFIG.replace("  merge_method:", "  context_options: {required-contexts: [ci/test]}\n  merge_method:")
STAGED = REQUIRED + "mergeq: {queue: {retest: staging}}\n"
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


def status_of(github: Sandbox, pull: Pull) -> str:
    """What our status says on the head; empty when there is none."""
    found = {s.context: s.description or "" for s in github.world.repo(pull.repo).latest_statuses(pull.head_sha)}
    return found.get("tide", "")
