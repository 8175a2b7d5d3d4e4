"""A CI that really runs: it checks a commit out, runs its ``ci.sh`` and reports the exit code to GitHub."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mergeq.sandbox.git_objects import GitError
from mergeq.sandbox.globs import matches_any
from mergeq.sandbox.records import CiConfig, CiKind, Pull, Repo

if TYPE_CHECKING:
    from mergeq.sandbox.world import World

SCRIPT = "ci.sh"
REPORTER = "sandbox-ci"
TIMEOUT_S = 60.0
_SKIP = re.compile(r"(?im)\[(skip ci|ci skip|no ci|skip actions|actions skip)\]|^skip-checks: *true")


@dataclass(frozen=True, slots=True)
class Run:
    """One commit to be tested by one CI."""

    number: int
    repo: Repo
    config: CiConfig
    sha: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended; ``log`` is everything it printed."""

    passed: bool
    description: str
    log: str


class Ci:
    """Starts at most one run for each commit and context. With a virtual clock runs happen when that is moved."""

    def __init__(self, world: World, workers: int) -> None:
        self._world = world
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="sandbox-ci")
        self._known: set[tuple[str, str, str]] = set()
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._cancelled: set[int] = set()
        self._guard = threading.Lock()
        self._closed = False
        self._runs = 0
        self.logs: dict[int, str] = {}

    def branch_pushed(self, repo: Repo, branch: str, sha: str) -> None:
        if repo.ci is not None and matches_any(branch, repo.ci.branches):
            self._start(repo, repo.ci, sha)

    def pull_updated(self, pull: Pull) -> None:
        repo = self._world.repo_of(pull)
        if repo.ci is not None and repo.ci.pull_requests and pull.is_open:
            self._start(repo, repo.ci, pull.head_sha)

    def dispatched(self, repo: Repo, kind: str, sha: str) -> None:
        """Somebody sent a repository_dispatch event of this kind about a commit."""
        if repo.ci is not None and kind in repo.ci.dispatches:
            self._start(repo, repo.ci, sha)

    def cancel(self, number: int) -> bool:
        """End a run that is under way or was not begun; False if there is none such."""
        with self._guard:
            if number in self.logs or not 0 < number <= self._runs:
                return False
            self._cancelled.add(number)
            if number in self._children:
                _kill(self._children[number])
            return True

    def close(self) -> None:
        with self._guard:
            self._closed = True
            for child in self._children.values():
                _kill(child)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, repo: Repo, config: CiConfig, sha: str) -> None:
        key = (repo.full_name, config.context.casefold(), sha)
        if key in self._known or self._closed or _SKIP.search(repo.git.commit(sha).message):
            return
        self._known.add(key)
        self._runs += 1
        run = Run(self._runs, repo, config, sha)
        job = self._world.activity.tracked(lambda: self._test(run))
        if self._world.clock.virtual:
            self._world.clock.call_later(0.0, job)
        else:
            self._pool.submit(job)

    def _test(self, run: Run) -> None:
        if self._closed or SCRIPT not in run.repo.git.files_at(run.sha, (SCRIPT,)):
            return
        self._report(run, None)
        outcome = self._execute(run)
        self.logs[run.number] = outcome.log
        if run.config.delay > 0:
            report = self._world.activity.tracked(lambda: self._report(run, outcome))
            self._world.clock.call_later(run.config.delay, report)
        else:
            self._report(run, outcome)

    def _execute(self, run: Run) -> Outcome:
        with tempfile.TemporaryDirectory(prefix="sandbox-ci-") as folder:
            try:
                run.repo.git.export(run.sha, Path(folder))
            except (GitError, subprocess.CalledProcessError) as failure:
                return Outcome(passed=False, description="checkout failed", log=str(failure))
            return self._run_script(Path(folder), run)

    def _run_script(self, folder: Path, run: Run) -> Outcome:
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "LC_ALL": "C",
            "CI": "true",
            "CI_COMMIT": run.sha,
        }
        with subprocess.Popen(
            ("sh", SCRIPT),
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as child:
            with self._guard:
                self._children[run.number] = child
                if self._closed or run.number in self._cancelled:
                    _kill(child)
            try:
                output, _ = child.communicate(timeout=TIMEOUT_S)
                description = "passed" if child.returncode == 0 else f"{SCRIPT} exited with {child.returncode}"
            except subprocess.TimeoutExpired:
                _kill(child)
                output, _ = child.communicate()
                description = f"{SCRIPT} took longer than {TIMEOUT_S:.0f} seconds"
            finally:
                with self._guard:
                    del self._children[run.number]
        if run.number in self._cancelled:
            description = "cancelled"
        return Outcome(child.returncode == 0, description, output.decode(errors="replace"))

    def _report(self, run: Run, outcome: Outcome | None) -> None:
        """Say that a run is under way (no outcome yet), or how it went."""
        url = f"{self._world.url}/_sim/ci/{run.number}"
        if run.config.kind is CiKind.STATUS:
            self._world.set_status(
                run.repo,
                run.sha,
                context=run.config.context,
                state="pending" if outcome is None else "success" if outcome.passed else "failure",
                description="running" if outcome is None else outcome.description,
                target_url=url,
                by=REPORTER,
            )
            return
        self._world.set_check_run(
            run.repo,
            run.sha,
            name=run.config.context,
            status="in_progress" if outcome is None else "completed",
            conclusion=None if outcome is None else _conclusion(outcome),
            app=REPORTER,
            details_url=url,
            summary=None if outcome is None else outcome.description,
        )


def _conclusion(outcome: Outcome) -> str:
    if outcome.passed:
        return "success"
    return "cancelled" if outcome.description == "cancelled" else "failure"


def _kill(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
