"""The demo's stories: pull requests, what people do to them and to the rules of a branch, and how each ended, judged
from git and from GitHub's own records alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import requests

from mergeq.sandbox.records import CiConfig, CiKind, Pull

if TYPE_CHECKING:
    from mergeq.sandbox import Sandbox
    from mergeq.sandbox.world import World

ROCKET, LAUNCHPAD, TELEMETRY, GUIDEBOOK = "acme/rocket", "acme/launchpad", "acme/telemetry", "acme/guidebook"
READY = ("lgtm", "approved", "dco-signoff: yes")
STAGED, UPDATED = frozenset({ROCKET, LAUNCHPAD}), frozenset({TELEMETRY})

_CI = """echo "checking $(ls *.txt | wc -l) parts"
if grep -l BROKEN *.txt; then exit 1; fi
if test -f pump.txt -a -f tank.txt; then echo "the pump bursts the light tank"; exit 1; fi
"""
_FILES = {
    ROCKET: {"ci.sh": _CI, "README.md": "# Rocket\n", "engine.txt": "one engine\n", "hull.txt": "a hull\n"},
    LAUNCHPAD: {"ci.sh": _CI, "README.md": "# Launchpad\n", "tower.txt": "a tower\n", "countdown.txt": "3 2 1\n"},
    TELEMETRY: {"ci.sh": _CI, "README.md": "# Telemetry\n", "speed.txt": "a speedometer\n"},
    GUIDEBOOK: {"ci.sh": _CI, "README.md": "# Guidebook\n", "safety.txt": "stand back\n"},
}

Script = Callable[["World", Pull], Iterator[None]]


@dataclass(frozen=True, slots=True)
class Story:
    """One pull request and how it should end: ``landed``, or ``open`` with a status text that begins as ``because``.

    ``script`` is what people do to it meanwhile, a step at a time.
    """

    repo: str
    name: str
    title: str
    files: dict[str, str]
    expected: str = "open"
    because: str = ""
    author: str = "ana"
    labels: tuple[str, ...] = READY
    base: str = "main"
    draft: bool = False
    fork: str | None = None
    script: Script | None = None
    fault: str = ""


def _label_late(world: World, pull: Pull) -> Iterator[None]:
    yield from _until(lambda: _says(world, pull, "Needs approved label"))
    world.add_label(pull, "approved", by="maintainer")


def _hold(world: World, pull: Pull) -> Iterator[None]:
    yield from _until(lambda: _says(world, pull, "Should not have do-not-merge/hold label"))
    world.remove_label(pull, "do-not-merge/hold", by="maintainer")


def _push_after_lgtm(world: World, pull: Pull) -> Iterator[None]:
    yield from _until(lambda: _says(world, pull, "Needs approved label"))
    world.push_to_pull(pull, {"legs.txt": "three legs, and something nobody reviewed\n"}, author=pull.author)
    world.add_label(pull, "approved", by="maintainer")


def _review_again(world: World, pull: Pull) -> Iterator[None]:
    yield from _until(lambda: _says(world, pull, "lgtm was given to an earlier head"))
    world.remove_label(pull, "lgtm", by="maintainer")
    yield from _pause(world, 1.5)
    world.add_label(pull, "lgtm", by="maintainer")


def _push_to_base(world: World, pull: Pull) -> Iterator[None]:
    yield from _until(lambda: _is_staged(world, pull))
    world.push(pull.repo, pull.base_ref, {"hotfix.txt": "pushed by hand\n"}, author="maintainer")


def _block(world: World, pull: Pull) -> Iterator[None]:
    issue = world.open_issue(pull.repo, f"Freeze branch:{pull.base_ref}", labels=["tide/merge-blocker"])
    yield from _until(lambda: _says(world, pull, "Merging is blocked by issue"))
    world.close_issue(issue, by="maintainer")


def _rename_label(world: World, pull: Pull) -> Iterator[None]:
    world.rename_label(pull.repo, "lgtm", "LGTM")
    yield


STORIES = (
    Story(
        ROCKET,
        "ready: its last label appears while the queue runs",
        "Add a heat shield",
        {"shield.txt": "a heat shield\n"},
        "landed",
        labels=("lgtm", "dco-signoff: yes"),
        script=_label_late,
    ),
    Story(
        ROCKET,
        "a label is missing",
        "Paint the hull red",
        {"hull.txt": "a red hull\n"},
        because="Not mergeable. Needs approved label.",
        labels=("lgtm", "dco-signoff: yes"),
    ),
    Story(
        ROCKET,
        "a hold is set, then lifted",
        "Add a window",
        {"window.txt": "a window\n"},
        "landed",
        labels=(*READY, "do-not-merge/hold"),
        script=_hold,
    ),
    Story(
        ROCKET,
        "CI fails",
        "Swap the engine",
        {"engine.txt": "a BROKEN engine\n"},
        because="Not mergeable. Job ci/test has not succeeded.",
    ),
    Story(
        ROCKET,
        "a draft",
        "Try a bigger nose",
        {"nose.txt": "a big nose\n"},
        because="Not mergeable. PR is a draft.",
        draft=True,
    ),
    Story(
        ROCKET,
        "from a fork, approved",
        "Add landing lights",
        {"lights.txt": "two lights\n"},
        "landed",
        author="eve",
        fork="eve",
    ),
    Story(ROCKET, "green alone, red with the next one", "A stronger fuel pump", {"pump.txt": "a pump\n"}, "landed"),
    Story(
        ROCKET,
        "green alone, red with the one before: the culprit",
        "A lighter tank",
        {"tank.txt": "a tank\n"},
        because="Not mergeable. Job ci/test is not green together with the base.",
        author="cleo",
    ),
    Story(
        LAUNCHPAD,
        "a label chooses squash",
        "Raise the tower",
        {"tower.txt": "a tall tower\n"},
        "landed",
        labels=(*READY, "tide/merge-method-squash"),
    ),
    Story(
        LAUNCHPAD,
        "a head that moves between test and landing, reviewed again",
        "Add a water tower",
        {"water.txt": "a water tower\n"},
        "landed",
        script=_review_again,
        fault="merge.head_push",
    ),
    Story(
        LAUNCHPAD,
        "lgtm given, then a push",
        "Add legs",
        {"legs.txt": "three legs\n"},
        because="Not mergeable. lgtm was given to an earlier head",
        labels=("lgtm", "dco-signoff: yes"),
        author="mallory",
        script=_push_after_lgtm,
    ),
    Story(
        LAUNCHPAD,
        "somebody pushes to the base in the middle",
        "Add a flame trench",
        {"trench.txt": "a trench\n"},
        "landed",
        script=_push_to_base,
    ),
    Story(
        LAUNCHPAD,
        "a required context that never reports",
        "Backport the countdown",
        {"countdown.txt": "5 4 3 2 1\n"},
        because="Not mergeable. Job e2e has not succeeded.",
        base="release-1",
    ),
    Story(
        LAUNCHPAD,
        "edits its own workflow, from a fork",
        "Speed up CI",
        {".github/workflows/ci.yml": "on: push\n"},
        because="Not mergeable. PR touches sensitive paths and needs ok-to-stage label.",
        author="mallory",
        fork="mallory",
    ),
    Story(
        TELEMETRY,
        "first of two where each is tested on its own branch",
        "Measure the height",
        {"height.txt": "an altimeter\n"},
        "landed",
    ),
    Story(
        TELEMETRY,
        "second of the two: behind now, brought up to date, tested again",
        "Measure the heat",
        {"heat.txt": "a thermometer\n"},
        "landed",
        author="ben",
    ),
    Story(
        GUIDEBOOK,
        "an issue blocks the branch, then is closed",
        "Explain the countdown",
        {"countdown.txt": "count backwards\n"},
        "landed",
        script=_block,
    ),
    Story(GUIDEBOOK, "first of two that conflict", "Two seats", {"seats.txt": "two seats\n"}, "landed"),
    Story(
        GUIDEBOOK,
        "second of two that conflict",
        "Four seats",
        {"seats.txt": "four seats\n"},
        because="Not mergeable. PR has a merge conflict.",
        author="ben",
    ),
    Story(
        GUIDEBOOK,
        "GitHub answers 502, but it landed",
        "Explain the engine",
        {"engine.txt": "it is loud\n"},
        "landed",
        fault="merge.lie_merged",
    ),
    Story(
        GUIDEBOOK,
        "a label renamed to another case",
        "Explain the tower",
        {"tower.txt": "it is tall\n"},
        "landed",
        script=_rename_label,
    ),
    Story(
        GUIDEBOOK,
        "a title with markup and a marker for CI",
        "Explain <script>alert(1)</script> [skip ci]",
        {"scripts.txt": "do not run them\n"},
        "landed",
    ),
)


@dataclass(slots=True)
class Tampering:
    """Somebody who loosens the rule of a branch by hand, through GitHub's API, once it is there and demands something.
    It should end ``repaired``: demanding again what it did.
    """

    repo: str = GUIDEBOOK
    branch: str = "main"
    name: str = "an administrator takes the required contexts away by hand"
    by: str = "oscar"
    before: tuple[str, ...] | None = None
    loosened: tuple[str, ...] | None = None

    def script(self, sandbox: Sandbox) -> Iterator[None]:
        """Wait for the rule, look at it for a while, loosen it."""
        world = sandbox.world
        world.users.set_role(self.by, "admin")
        yield from _until(lambda: bool(self.demands(world)))
        yield from _pause(world, 3.0)
        self.before = self.demands(world)
        requests.delete(
            f"{sandbox.url}/api/v3/repos/{self.repo}/branches/{self.branch}/protection/required_status_checks",
            headers={"Authorization": f"Bearer {world.users.issue_token(self.by)}"},
            timeout=30,
        ).raise_for_status()
        self.loosened = self.demands(world)
        yield from _until(lambda: self.demands(world) == self.before)

    def demands(self, world: World) -> tuple[str, ...] | None:
        """The contexts that GitHub requires on the branch now; None without a rule."""
        rule = world.repo(self.repo).protection_of(self.branch)
        return None if rule is None else tuple(sorted(check.context for check in rule.checks))

    def verdict(self, world: World) -> dict[str, Any]:
        """How it ended, from the rule as GitHub has it."""
        now = self.demands(world)
        if now is None:
            outcome = "unprotected"
        elif self.before is None:
            outcome = "untouched"
        else:
            outcome = "repaired" if now == self.before != self.loosened else "loosened"
        return {
            "target": f"{self.repo}:{self.branch}",
            "story": self.name,
            "expected": "repaired",
            "outcome": outcome,
            "by": self.by,
            "before": _listed(self.before),
            "loosened": _listed(self.loosened),
            "now": _listed(now),
        }


@dataclass(slots=True)
class _Played:
    story: Story
    pull: Pull
    script: Iterator[None] | None = None


@dataclass(slots=True)
class Demo:
    """Plays the stories in a sandbox and judges them; CI takes `ci_seconds` where what lands is tested first."""

    sandbox: Sandbox
    ci_seconds: float = 0.3
    tampering: Tampering = field(default_factory=Tampering)
    _played: list[_Played] = field(default_factory=list)
    _hand: Iterator[None] | None = None

    @property
    def _world(self) -> World:
        return self.sandbox.world

    def open(self) -> None:
        """Make the repositories and open the pull requests."""
        for repo, files in _FILES.items():
            branches = {"release-1": {"VERSION": "1\n"}} if repo == LAUNCHPAD else {}
            kind = CiKind.CHECK_RUN if repo == LAUNCHPAD else CiKind.STATUS
            delay = self.ci_seconds if repo in STAGED | UPDATED else 0.0
            self._world.create_repo(repo, files=files, branches=branches, ci=CiConfig(kind=kind, delay=delay))
        self._world.users.set_role("mallory", "read")
        self._world.users.set_role("eve", "read")
        for story in STORIES:
            self._open(story)
        for repo in sorted(STAGED):  # what follows is for everybody to be tested on
            self._world.push(repo, "main", {"assembly.txt": "where the parts meet\n"}, author="maintainer")
        self._hand = self.tampering.script(self.sandbox)
        self.step()

    def _open(self, story: Story) -> None:
        quiet = story.title.replace("[skip ci]", "").strip()
        pull = self._world.open_pull(
            story.repo,
            title=quiet,
            files=story.files,
            author=story.author,
            base=story.base,
            labels=story.labels,
            draft=story.draft,
            fork=story.fork,
        )
        if quiet != story.title:
            self._world.edit_title(pull, story.title)
        if story.fault:
            args = {"code": 502} if story.fault == "merge.lie_merged" else {}
            self._world.faults.add(story.fault, repo=pull.repo, pr=pull.number, times=1, args=args)
        script = story.script(self._world, pull) if story.script else None
        self._played.append(_Played(story, pull, script))

    def step(self) -> None:
        """Let everybody do the next thing that they were waiting to do."""
        for one in self._played:
            if one.script is not None and next(one.script, self) is self:
                one.script = None
        if self._hand is not None and next(self._hand, self) is self:
            self._hand = None

    def is_quiet(self) -> bool:
        """Whether every script has ended, no CI runs and no webhook is on its way."""
        scripts = (self._hand, *(one.script for one in self._played))
        return not any(scripts) and self._world.activity.wait_idle(0.0)

    def verdict(self) -> dict[str, Any]:
        """How each story ended, from the sandbox's records and its git; ``ok`` if every one ended as it should."""
        with self._world.lock:
            rows = [self._judge(one.story, one.pull) for one in self._played]
            rule = self.tampering.verdict(self._world)
        right = all(
            row["outcome"] == row["expected"]
            and (row["outcome"] == "landed" or any(said.startswith(one.story.because) for said in row["reasons"]))
            and (row["tested_tree"] == row["landed_tree"] or one.story.repo not in STAGED | UPDATED)
            for row, one in zip(rows, self._played, strict=True)
        )
        return {"prs": rows, "rules": [rule], "ok": right and rule["outcome"] == rule["expected"]}

    def _judge(self, story: Story, pull: Pull) -> dict[str, Any]:
        repo = self._world.repo(pull.repo)
        tip = repo.git.tip(pull.base_ref) or ""
        sha = pull.merge_commit_sha if pull.merged else None
        landed = sha is not None and repo.git.is_ancestor(sha, tip)
        tree = repo.git.commit(sha).tree if landed and sha else None
        said = said_by_queue(self._world, pull)
        return {
            "pr": f"{pull.repo}#{pull.number}",
            "story": story.name,
            "expected": story.expected,
            "outcome": "landed" if landed else pull.state,
            "reasons": [said] if said else [],
            "landed_sha": sha if landed else None,
            "tested_tree": tree if tree and tree in self._tested(pull) else None,
            "landed_tree": tree,
        }

    def _tested(self, pull: Pull) -> set[str]:
        """The trees of every staged series that CI found good: of the commit that it tested, and of each step to it
        from the base that it was cut from. Also that of the head, if CI found it good.
        """
        repo = self._world.repo(pull.repo)
        trees: set[str] = set()
        if self._passed(pull.repo, pull.head_sha):
            trees.add(repo.git.commit(pull.head_sha).tree)
        bases = repo.tips.get(pull.base_ref, set())
        for name, sha in repo.git.branches().items():
            if name.startswith("mergeq/") and self._passed(pull.repo, sha):
                at = repo.git.commit(sha)
                trees.add(at.tree)
                while at.parents and at.parents[0] not in bases:
                    at = repo.git.commit(at.parents[0])
                    trees.add(at.tree)
        return trees

    def _passed(self, full_name: str, sha: str) -> bool:
        repo = self._world.repo(full_name)
        statuses = {status.context: status.state.value for status in repo.latest_statuses(sha)}
        runs = {run.name: run.conclusion and run.conclusion.value for run in repo.latest_runs(sha)}
        return {**statuses, **runs}.get("ci/test") == "success"


def _listed(demands: tuple[str, ...] | None) -> list[str] | None:
    return None if demands is None else list(demands)


def _until(true: Callable[[], bool]) -> Iterator[None]:
    while not true():
        yield


def _pause(world: World, seconds: float) -> Iterator[None]:
    end = world.now() + seconds
    yield from _until(lambda: world.now() >= end)


def said_by_queue(world: World, pull: Pull) -> str:
    """What the queue's own status says on the present head."""
    mine = [one for one in world.repo(pull.repo).latest_statuses(pull.head_sha) if one.context == "tide"]
    return (mine[-1].description or "") if mine else ""


def _says(world: World, pull: Pull, text: str) -> bool:
    return text in said_by_queue(world, pull)


def _is_staged(world: World, pull: Pull) -> bool:
    """Whether a staging ref ends with this pull request: by its head as a parent, its number, or its own words."""
    git = world.repo(pull.repo).git
    staged = [git.commit(sha) for name, sha in git.branches().items() if name.startswith("mergeq/")]
    head = git.commit(pull.head_sha)
    return any(
        pull.head_sha in one.parents or f"(#{pull.number})" in one.message or one.message == head.message
        for one in staged
    )
