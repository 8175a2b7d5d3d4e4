"""Repositories that are copies of another: as real as it, and apart from it and from each other."""

from __future__ import annotations

import pytest

from mergeq.sandbox import Sandbox
from mergeq.sandbox.records import Pull, Repo


@pytest.fixture
def source(sandbox: Sandbox) -> Repo:
    repo = sandbox.world.repo("acme/rocket")
    pull = sandbox.world.open_pull(repo, title="Add fins", files={"fins.txt": "four\n"}, labels=["lgtm"])
    sandbox.world.set_status(repo, pull.head_sha, context="ci/test")
    sandbox.world.set_check_run(repo, pull.head_sha, name="build", conclusion="success")
    sandbox.world.open_issue(repo, "Wait", ["blocker"])
    return repo


def copied(sandbox: Sandbox, source: Repo, name: str) -> Pull:
    return sandbox.world.copy_repo(source, name).pulls[1]


def test_a_copy_has_its_own_git_with_everything_in_it(sandbox: Sandbox, source: Repo) -> None:
    pull = copied(sandbox, source, "acme/copy")
    repo = sandbox.world.repo("acme/copy")

    repo.git.reload()

    assert repo.git.refs() == source.git.refs()
    assert repo.git.git("fsck", "--connectivity-only").stdout == b""
    assert {one.context for one in repo.latest_statuses(pull.head_sha)} == {"ci/test"}
    assert [run.name for run in repo.latest_runs(pull.head_sha)] == ["build"]
    assert pull.repo == pull.head_repo == "acme/copy"
    assert repo.issues[2].repo == "acme/copy"


def test_what_happens_in_one_copy_happens_nowhere_else(sandbox: Sandbox, source: Repo) -> None:
    one, other = (copied(sandbox, source, name) for name in ("acme/one", "acme/other"))
    git = sandbox.world.repo("acme/one").git

    sandbox.world.merge_pull(one)
    sandbox.world.add_label(other, "hold")
    sandbox.world.set_status("acme/other", other.head_sha, context="ci/test", state="failure")

    assert (source.pulls[1].merged, one.merged, other.merged) == (False, True, False)
    assert (source.pulls[1].labels, one.labels, other.labels) == (["lgtm"], ["lgtm"], ["lgtm", "hold"])
    assert len(source.statuses[one.head_sha]) == 1
    assert git.tip("main") != source.git.tip("main")
    assert git.git("fsck", "--connectivity-only").stdout == b""
    assert source.git.kind(str(git.tip("main"))) is None
    assert len({source.pulls[1].id, one.id, other.id}) == 3


def test_a_name_that_is_taken_is_refused(sandbox: Sandbox, source: Repo) -> None:
    with pytest.raises(ValueError, match="acme/rocket exists"):
        sandbox.world.copy_repo(source, "acme/rocket")
