from __future__ import annotations

import gzip
import os
import subprocess
import threading
from pathlib import Path

import pytest
import requests

from mergeq.sandbox import Sandbox
from mergeq.sandbox.git import clean_environment

IDENTITY = {
    "GIT_AUTHOR_NAME": "Zoe",
    "GIT_AUTHOR_EMAIL": "zoe@users.noreply.github.com",
    "GIT_COMMITTER_NAME": "Zoe",
    "GIT_COMMITTER_EMAIL": "zoe@users.noreply.github.com",
}


def git(*args: str, cwd: Path, ok: bool = True, words: bool = False) -> str:
    """What git prints; with ``words``, or if it is to fail, what it says on its second stream."""
    environment = clean_environment() | IDENTITY
    done = subprocess.run(("git", *args), cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == ok, done.stderr
    return done.stdout.strip() if ok and not words else done.stderr


def address(sandbox: Sandbox, token: str | None = None) -> str:
    credentials = f"x-access-token:{token}@" if token else ""
    return sandbox.url.replace("http://", f"http://{credentials}") + "/acme/rocket.git"


def commit(clone: Path, name: str, text: str) -> str:
    (clone / name).write_text(text)
    git("add", "-A", cwd=clone)
    git("commit", "-q", "-m", f"Write {name}", cwd=clone)
    return git("rev-parse", "HEAD", cwd=clone)


@pytest.fixture
def clone(served: Sandbox, tmp_path: Path) -> Path:
    git("clone", "-q", address(served, served.token), "clone", cwd=tmp_path)
    return tmp_path / "clone"


def test_anybody_may_clone(served: Sandbox, tmp_path: Path) -> None:
    git("clone", "-q", address(served), "here", cwd=tmp_path)

    assert (tmp_path / "here" / "README.md").read_text() == "rocket\n"


def test_a_push_without_a_token_is_refused(served: Sandbox, tmp_path: Path) -> None:
    git("clone", "-q", address(served), "here", cwd=tmp_path)
    commit(tmp_path / "here", "a.txt", "a\n")

    answer = requests.get(address(served) + "/info/refs?service=git-receive-pack", timeout=180)
    said = git("push", "-q", "origin", "main", cwd=tmp_path / "here", ok=False)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert "could not read Username" in said


def test_a_push_with_a_wrong_token_is_refused(served: Sandbox, clone: Path) -> None:
    commit(clone, "a.txt", "a\n")

    assert "Authentication failed" in git("push", "-q", address(served, "ghp_wrong"), "main", cwd=clone, ok=False)


def test_a_push_has_the_consequences_of_a_push(served: Sandbox, clone: Path) -> None:
    world = served.world
    pull = world.open_pull("acme/rocket", title="Add", files={"b.txt": "b\n"}, head="feature/b")
    before = pull.head_sha
    git("fetch", "-q", cwd=clone)
    git("checkout", "-q", "feature/b", cwd=clone)

    after = commit(clone, "c.txt", "c\n")
    git("push", "-q", "origin", "feature/b", cwd=clone)

    assert (pull.head_sha, before != after) == (after, True)
    assert git("ls-remote", "origin", "refs/pull/1/head", cwd=clone).split()[0] == after


def test_pushing_a_merge_to_the_base_merges_the_pull_request(served: Sandbox, clone: Path) -> None:
    pull = served.world.open_pull("acme/rocket", title="Add", files={"b.txt": "b\n"})
    git("fetch", "-q", "origin", "refs/pull/1/head", cwd=clone)
    git("merge", "-q", "--no-ff", "-m", "Land it", "FETCH_HEAD", cwd=clone)

    git("push", "-q", "origin", "main", cwd=clone)

    assert (pull.merged, pull.merged_by) == (True, "mergeq-bot")
    assert pull.merge_commit_sha == git("rev-parse", "HEAD", cwd=clone)


def test_branches_are_created_forced_and_deleted_by_pushes(served: Sandbox, clone: Path) -> None:
    tips = served.world.repo("acme/rocket").git.tip
    first = commit(clone, "a.txt", "a\n")
    git("push", "-q", "origin", "HEAD:refs/heads/x/y", cwd=clone)
    assert tips("x/y") == first

    git("commit", "-q", "--amend", "-m", "Again", cwd=clone)
    git("push", "-q", "origin", "HEAD:refs/heads/x/y", cwd=clone, ok=False)
    git("push", "-q", "--force", "origin", "HEAD:refs/heads/x/y", cwd=clone)
    assert tips("x/y") == git("rev-parse", "HEAD", cwd=clone)

    git("push", "-q", "origin", ":x/y", cwd=clone)
    assert tips("x/y") is None


def test_refs_of_pull_requests_cannot_be_pushed(served: Sandbox, clone: Path) -> None:
    served.world.open_pull("acme/rocket", title="Add", files={"b.txt": "b\n"})

    said = git("push", "-q", "--force", "origin", "HEAD:refs/pull/1/head", cwd=clone, ok=False)

    assert "deny updating a hidden ref" in said


def test_a_big_push_arrives_in_chunks(served: Sandbox, clone: Path) -> None:
    sha = commit(clone, "big.bin", os.urandom(1_500_000).hex())

    git("push", "-q", "origin", "main", cwd=clone)

    assert served.world.repo("acme/rocket").git.tip("main") == sha


def test_a_compressed_request_is_understood(served: Sandbox) -> None:
    tip = served.world.repo("acme/rocket").git.tip("main")
    lines = (f"want {tip} no-progress\n", "", "done\n")
    wanted = "".join(f"{len(line) + 4:04x}{line}" if line else "0000" for line in lines).encode()

    answer = requests.post(
        address(served) + "/git-upload-pack",
        data=gzip.compress(wanted),
        headers={"Content-Type": "application/x-git-upload-pack-request", "Content-Encoding": "gzip"},
        timeout=180,
    )

    assert answer.status_code == 200
    assert answer.content.startswith(b"0008NAK\nPACK")


def test_a_partial_clone_by_sha_works(served: Sandbox, tmp_path: Path) -> None:
    pull = served.world.open_pull("acme/rocket", title="Add", files={"b.txt": "b\n"}, fork="ana")
    git("init", "-q", "here", cwd=tmp_path)

    git("fetch", "-q", "--depth=1", "--filter=blob:none", address(served), pull.head_sha, cwd=tmp_path / "here")

    assert git("rev-parse", "FETCH_HEAD", cwd=tmp_path / "here") == pull.head_sha


def test_closing_ends_every_thread_even_with_connections_open() -> None:
    before = set(threading.enumerate())
    with Sandbox() as sandbox, requests.Session() as session:
        sandbox.world.create_repo("acme/rocket", files={"ci.sh": "true\n"})
        sandbox.world.open_pull("acme/rocket", title="Add", files={"a.txt": "a\n"})
        session.get(sandbox.serve() + "/api/v3/repos/acme/rocket", timeout=180)
        root = sandbox.root
        assert sandbox.settle()
        assert set(threading.enumerate()) > before

    assert set(threading.enumerate()) == before
    assert not root.exists()


def test_a_protected_branch_declines_a_push_as_github_does(served: Sandbox, clone: Path) -> None:
    world = served.world
    world.protect("acme/rocket", "main", required_contexts=["ci/test"])
    before = world.repo("acme/rocket").git.tip("main")
    sha = commit(clone, "a.txt", "a\n")

    words = git("push", "origin", "main", "main:side", cwd=clone, ok=False)

    assert "remote: error: GH006: Protected branch update failed for refs/heads/main." in words
    assert 'remote: - Required status check "ci/test" is expected.' in words
    assert "! [remote rejected] main -> main (protected branch hook declined)" in words
    assert (world.repo("acme/rocket").git.tip("main"), world.repo("acme/rocket").git.tip("side")) == (before, sha)

    world.set_status("acme/rocket", sha, context="ci/test")
    git("push", "-q", "origin", "main", cwd=clone)

    assert world.repo("acme/rocket").git.tip("main") == sha


def test_a_protected_branch_is_neither_forced_nor_deleted_by_a_push(served: Sandbox, clone: Path) -> None:
    world = served.world
    world.push("acme/rocket", "release", {"a.txt": "a\n"})
    world.protect("acme/rocket", "release", enforce_admins=False)
    commit(clone, "b.txt", "b\n")

    forced = git("push", "--force", "origin", "main:release", cwd=clone, ok=False)
    deleted = git("push", "origin", ":release", cwd=clone, ok=False)
    both = git("push", "--atomic", "origin", ":release", "main:other", cwd=clone, ok=False)

    assert "remote: - Cannot force-push to a protected branch" in forced
    assert "remote: - Cannot delete a protected branch" in deleted
    assert "main -> other (atomic push failure)" in both
    assert sorted(world.repo("acme/rocket").git.branches()) == ["main", "release"]


def test_a_push_from_where_a_protected_branch_is_not_is_told_by_git(served: Sandbox, clone: Path) -> None:
    served.world.protect("acme/rocket", "main", allow_force_pushes=True)
    sha = commit(clone, "a.txt", "a\n")
    served.world.push("acme/rocket", "main", {"b.txt": "b\n"})

    assert "fetch first" in git("push", "origin", "main", cwd=clone, ok=False)
    git("push", "-q", "--force", "origin", "main", cwd=clone)

    assert served.world.repo("acme/rocket").git.tip("main") == sha


def test_who_may_only_read_cannot_push(served: Sandbox, clone: Path) -> None:
    token = served.world.users.issue_token("zoe")
    served.world.users.set_role("zoe", "read")
    commit(clone, "a.txt", "a\n")

    words = git("push", "-q", address(served, token), "main", cwd=clone, ok=False)

    assert "remote: Permission to acme/rocket.git denied to zoe." in words
    assert "403" in words
