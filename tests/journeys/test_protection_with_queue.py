"""An organization comes to be protected while a batch lands in it: neither gets in the other's way (D13, P7.47)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import yaml

from mergeq import gathering, reconcile
from mergeq.enforcing import Report
from mergeq.sandbox import ManualClock, Sandbox
from tests.conftest import FILES, Mergeq
from tests.shell.quirky import MERGED, ready, work
from tests.shell.test_protect_cli import Desk
from tests.shell.test_staging import outcomes, staging_refs

pytestmark = pytest.mark.journey

OBSERVED = (
    MERGED.replace("mergeq: {", "mergeq: {protection: {mode: observe}, ")
    + """
branch-protection:
  orgs:
    acme:
      protect: true
      enforce_admins: true
      required_status_checks: {contexts: [ci/test]}
"""
)
ENFORCED = OBSERVED.replace("mode: observe", "mode: enforce")
SCRATCH = "mergeq-scratch/left-over"


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """What was staged in the middle of a landing, and what became of an organization that was to be protected then."""

    staged: list[str]
    report: Report
    rules: dict[str, list[str]]


def test_an_organization_is_protected_while_a_batch_lands(
    github: Sandbox, start_mergeq: Callable[..., Mergeq], clock: ManualClock
) -> None:
    world, found = github.world, list[Meanwhile]()
    world.create_repo("acme/launchpad", files=FILES)
    world.protect("acme/launchpad", "mergeq/**/*", ["ci/else"])
    world.push("acme/rocket", "release-1", {"engine.txt": "one\n"})
    world.create_ref("acme/rocket", f"refs/heads/{SCRATCH}", str(world.repo("acme/rocket").git.tip("main")))
    started = start_mergeq(OBSERVED)
    desk = Desk(started, github, clock)

    def rules() -> dict[str, list[str]]:
        return {repo.full_name: sorted(repo.protections) for repo in world.repos()}

    def sleep(seconds: float) -> None:
        clock.advance(seconds)
        if [pull.merged for pull in pulls] == [True, True, False] and not found:
            desk.rewrite(ENFORCED)
            started.services.follow()
            report = reconcile.reconcile(started.services, gathering.ALL)
            found.append(Meanwhile(staging_refs(github), report, rules()))

    queue = Mergeq(replace(started.services, sleep=sleep), clock)
    pulls = [ready(github, title) for title in ("First", "Second", "Third")]
    world.faults.add("merge.base_modified", repo="acme/rocket", after=2)

    work(github, queue, 4)

    (meanwhile,) = found
    assert {SCRATCH} < {*meanwhile.staged}, "what is staged is there too"
    assert [(str(item.target), why) for item, why in meanwhile.report.left] == [
        ("acme/rocket:main", "the queue is at work on acme/rocket:main")
    ]
    assert meanwhile.rules == {
        "acme/rocket": [*(pull.head_ref for pull in pulls), "release-1"],
        "acme/launchpad": ["main", "mergeq/**/*"],
    }
    assert all(pull.merged for pull in pulls)
    assert ("MERGE_BATCH", "LANDED", [2, 3]) in outcomes(queue)
    assert "main" in rules()["acme/rocket"], "as soon as the landing was over"

    late = ready(github, "Fourth")
    work(github, queue, 4)

    assert late.merged, "it lands on a branch that is protected"
    desk.pass_by(7 * 3600.0)
    assert desk.says("plan").startswith("nothing to do: ")
    told = desk.says("import", "acme")
    assert "acme/launchpad:mergeq/**/* is where mergeq stages, and is left out" in told
    assert "mergeq" not in yaml.safe_load(told)
    assert [row.target for row in desk.rows() if ":mergeq" in row.target] == []
    assert world.repo("acme/rocket").git.branches().keys() >= {SCRATCH}
