"""The demo's stories: pull requests, what people do to them, and how each ended, judged from git alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mergeq.sandbox.records import CiConfig, CiKind, Pull

if TYPE_CHECKING:
    from mergeq.sandbox import Sandbox

ROCKET = "acme/rocket"
LAUNCHPAD = "acme/launchpad"

_CI = """set -e
echo "checking $(ls *.txt | wc -l) parts"
! grep -l BROKEN *.txt
"""
_FILES = {
    ROCKET: {"ci.sh": _CI, "README.md": "# Rocket\n", "engine.txt": "one engine\n", "hull.txt": "a hull\n"},
    LAUNCHPAD: {"ci.sh": _CI, "README.md": "# Launchpad\n", "tower.txt": "a tower\n", "countdown.txt": "3 2 1\n"},
}


@dataclass(frozen=True, slots=True)
class Story:
    """One pull request and how it should end: ``landed``, or ``open`` with a status text that says ``because``."""

    repo: str
    name: str
    title: str
    author: str
    files: dict[str, str]
    labels: tuple[str, ...]
    added_labels: tuple[str, ...] = ()
    draft: bool = False
    expected: str = "open"
    because: str = ""


STORIES = (
    Story(
        ROCKET,
        "ready: its last label appears while the queue runs",
        "Add a heat shield",
        "ana",
        {"shield.txt": "a heat shield\n"},
        ("lgtm",),
        added_labels=("approved",),
        expected="landed",
    ),
    Story(
        ROCKET,
        "a label is missing",
        "Paint the hull red",
        "ben",
        {"hull.txt": "a red hull\n"},
        ("lgtm",),
        because="Not mergeable. Needs approved label.",
    ),
    Story(
        LAUNCHPAD,
        "CI fails",
        "Raise the tower",
        "cleo",
        {"tower.txt": "BROKEN tower\n"},
        ("lgtm", "approved"),
        because="Not mergeable. Job ci/test has not succeeded.",
    ),
    Story(
        LAUNCHPAD,
        "a draft",
        "Try a longer countdown",
        "dev",
        {"countdown.txt": "5 4 3 2 1\n"},
        ("lgtm", "approved"),
        draft=True,
        because="Not mergeable. PR is a draft.",
    ),
)


class Demo:
    """Plays the stories in a sandbox and judges them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._world = sandbox.world
        self._pulls: list[tuple[Story, Pull]] = []

    def open(self) -> None:
        """Make the repositories and open the pull requests."""
        self._world.create_repo(ROCKET, files=_FILES[ROCKET], ci=CiConfig())
        self._world.create_repo(LAUNCHPAD, files=_FILES[LAUNCHPAD], ci=CiConfig(kind=CiKind.CHECK_RUN))
        for story in STORIES:
            pull = self._world.open_pull(
                story.repo,
                title=story.title,
                files=story.files,
                author=story.author,
                labels=story.labels,
                draft=story.draft,
            )
            self._pulls.append((story, pull))

    def play(self) -> None:
        """Do what people do while the queue runs."""
        for story, pull in self._pulls:
            for label in story.added_labels:
                self._world.add_label(pull, label, by="maintainer")

    def is_quiet(self) -> bool:
        """Whether no CI runs and no webhook is on its way."""
        return self._world.activity.wait_idle(0.0)

    def verdict(self) -> dict[str, Any]:
        """How each story ended, from the sandbox's records and its git; ``ok`` if every one ended as it should."""
        with self._world.lock:
            rows = [self._judge(story, pull) for story, pull in self._pulls]
        right = all(
            row["outcome"] == row["expected"] and (story.because in row["reasons"] or not story.because)
            for row, (story, _) in zip(rows, self._pulls, strict=True)
        )
        return {"prs": rows, "ok": right}

    def _judge(self, story: Story, pull: Pull) -> dict[str, Any]:
        repo = self._world.repo(pull.repo)
        tip = repo.git.tip(pull.base_ref) or ""
        sha = pull.merge_commit_sha if pull.merged else None
        landed = sha is not None and repo.git.is_ancestor(sha, tip)
        ours = [status for status in repo.latest_statuses(pull.head_sha) if status.context == "tide"]
        return {
            "pr": f"{pull.repo}#{pull.number}",
            "story": story.name,
            "expected": story.expected,
            "outcome": "landed" if landed else pull.state,
            "reasons": [ours[-1].description or ""] if ours else [],
            "landed_sha": sha if landed else None,
            "tested_tree": None,
            "landed_tree": repo.git.commit(sha).tree if landed and sha else None,
        }
