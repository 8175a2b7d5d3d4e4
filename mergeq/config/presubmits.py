"""Prow's `presubmits:`, read only for the contexts that its jobs report (T1.63, P2.15-P2.17), and where more such jobs
are kept in the repositories themselves. mergeq runs no jobs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mergeq.config.documents import Path_
from mergeq.config.reading import Reading, Spot
from mergeq.core.branchprotector import JobContexts
from mergeq.core.contexts import Pattern

_FLAGS = ("always_run", "optional", "skip_report", "run_before_merge")
_CONDITIONS = ("run_if_changed", "skip_if_only_changed")
_TEXTS = ("name", "context", *_CONDITIONS)
_LISTS = ("branches", "skip_branches")


@dataclass(frozen=True, slots=True)
class Job:
    """What one job means for contexts: `always` runs on every pull request, `manual` on request alone; neither: when
    certain files changed. `before_merge`: the queue runs it, whatever else is said.
    """

    context: str
    optional: bool
    always: bool
    manual: bool
    branches: tuple[Pattern, ...]
    skip_branches: tuple[Pattern, ...]
    spot: Spot
    before_merge: bool = False
    run_if_changed: Pattern | None = None
    skip_if_only_changed: Pattern | None = None

    @property
    def is_required(self) -> bool:
        """Whether it must be green wherever it runs."""
        return self.always and not self.optional

    def runs_on(self, branch: str) -> bool:
        """Whether the job could run for a base branch."""
        if any(pattern.search(branch) for pattern in self.skip_branches):
            return False
        return not self.branches or any(pattern.search(branch) for pattern in self.branches)


def contexts_of(jobs: Iterable[Job], branch: str, *, manual_required: bool) -> JobContexts:
    """The contexts of the jobs that could run on a branch (T1.63)."""
    required, if_present, optional = set[str](), set[str](), set[str]()
    for job in jobs:
        if job.runs_on(branch):
            always = job.always or (job.manual and manual_required)
            (optional if job.optional else required if always else if_present).add(job.context)
    return JobContexts(frozenset(required), frozenset(if_present), frozenset(optional))


class PresubmitsSection:
    """The jobs of all documents, by ``org/repo``."""

    def __init__(self, reading: Reading) -> None:
        self.jobs: dict[str, tuple[Job, ...]] = {}
        self.in_repo: dict[str, bool] = {}
        self._reading = reading

    def read(self, section: Any) -> None:
        """Read one document's section, which may add jobs to a repository of another."""
        path: Path_ = ("presubmits",)
        if section is None or not self._reading.expect(section, dict, path):
            return
        for repo, jobs in section.items():
            if jobs is not None and self._reading.expect(jobs, list, (*path, repo)):
                read = (self._job(job, (*path, repo, index)) for index, job in enumerate(jobs))
                self.jobs[repo] = (*self.jobs.get(repo, ()), *(job for job in read if job is not None))

    def read_in_repo(self, section: Any) -> None:
        """Read one document's `in_repo_config`: for whom jobs are kept in the repositories, by ``*``, org or
        ``org/repo``. Nothing else of it matters here, nor is it checked.
        """
        enabled = section.get("enabled") if isinstance(section, dict) else None
        if isinstance(enabled, dict):
            self.in_repo |= {key: value for key, value in enabled.items() if isinstance(value, bool)}
        if any(self.in_repo.values()):
            what = "the jobs in `.prow.yaml` files are not read, so the contexts they report are not known here"
            remedy = "name those that must be green under `tide.context_options`"
            self._reading.warn(("in_repo_config", "enabled"), what, remedy)

    def _job(self, job: Any, path: Path_) -> Job | None:
        reading = self._reading
        before = len(reading.problems)
        job = reading.tidy(job, (*_FLAGS, *_TEXTS, *_LISTS), path, others=True)
        for keys, kind in ((_FLAGS, bool), (_TEXTS, str)):
            for key in keys:
                if job.get(key) is not None:
                    reading.expect(job[key], kind, (*path, key))
        branches, skipped = (self._patterns(job, key, path) for key in _LISTS)
        changed = {key: self._pattern(job.get(key), (*path, key)) for key in _CONDITIONS}
        if len(reading.problems) > before:
            return None
        context = job.get("context") or job.get("name")
        if not context:
            reading.problem(path, "is a job without a name", "name it")
            return None
        conditional = any(job.get(key) for key in _CONDITIONS)
        always = job.get("always_run") is True
        return Job(
            context,
            optional=job.get("optional") is True or job.get("skip_report") is True,
            always=always,
            manual=not (always or conditional),
            branches=branches,
            skip_branches=skipped,
            spot=reading.spot(path),
            before_merge=job.get("run_before_merge") is True,
            **changed,
        )

    def _pattern(self, text: Any, path: Path_) -> Pattern | None:
        return self._reading.pattern(text, path) if text and isinstance(text, str) else None

    def _patterns(self, job: dict[str, Any], key: str, path: Path_) -> tuple[Pattern, ...]:
        spot = (*path, key)
        texts = self._reading.names(job[key], spot) if job.get(key) is not None else ()
        patterns = (self._reading.pattern(text, (*spot, index)) for index, text in enumerate(texts))
        return tuple(pattern for pattern in patterns if pattern is not None)
