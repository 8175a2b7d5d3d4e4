"""What rules ask of a commit besides contexts and reviews: deployments, workflows, scans, and files that may be pushed.

The sandbox runs neither GitHub Actions nor scanners. A check run that their App reports stands for their result: one
of ``github-actions`` that is called like the workflow's path, or one of ``github-advanced-security`` called like the
tool, which is what GitHub posts once a tool has uploaded its findings. Of GitHub's sentences those are known that speak
of deployments, workflows, missing scans and restricted paths; those about findings, licenses, endings, lengths and
sizes are guessed after them. GitHub calls a workflow by its name, where here it is called by its path. Nothing waits
for Copilot, whose rule only has it asked for a review.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mergeq.sandbox.demands import Demands, Violation
from mergeq.sandbox.git_objects import BroughtFile
from mergeq.sandbox.globs import fnmatch
from mergeq.sandbox.records import PASSING, CheckConclusion, CheckStatus, DeploymentState, Repo
from mergeq.sandbox.rulesets import Rule

ACTIONS = "github-actions"
SCANNERS = "github-advanced-security"
LICENSES = "License compliance"
NO_SCANS_OF_BASE = "Waiting for Code Scanning results. Code Scanning may not be configured for the target branch."
_MEGABYTE = 1024 * 1024
Brought = Sequence[BroughtFile]


def lacking(repo: Repo, sha: str, base: str, demands: Demands) -> Iterator[Violation]:
    """What a commit must have before it may become part of a branch whose tip is ``base``; workflows apart."""
    missing = [name for name in demands.environments if not _is_deployed(repo, sha, name)]
    if missing:
        yield Violation(f"Missing successful active {_listed(missing)} deployment{'s' if len(missing) > 1 else ''}.")
    if all(_is_scanned(repo, base, tool) for tool in demands.scanners):
        for tool in demands.scanners:
            yield from _by_result(repo, sha, tool, f"Code scanning is waiting for results from {tool}", "Code scanning")
    else:
        yield Violation(NO_SCANS_OF_BASE)
    if demands.licenses:
        yield from _by_result(repo, sha, LICENSES, f"{LICENSES} is waiting for results", LICENSES)


def workflows_lacking(repo: Repo, sha: str, demands: Demands) -> Iterator[Violation]:
    """All required workflows in one sentence, unless each has passed on the commit."""
    if any(_result(repo, sha, ACTIONS, path) not in PASSING for path in demands.workflows):
        yield Violation(f"Required workflow '{', '.join(demands.workflows)}' is not satisfied")


def _listed(names: list[str]) -> str:
    if len(names) < 3:
        return " and ".join(names)
    return f"{', '.join(names[:-1])}, and {names[-1]}"


def _is_deployed(repo: Repo, sha: str, environment: str) -> bool:
    """Whether the newest deployment of the commit there has succeeded and was not replaced by another since."""
    made = [one for one in repo.deployments if one.sha == sha and one.environment == environment]
    return bool(made) and made[-1].state is DeploymentState.SUCCESS


def _is_scanned(repo: Repo, tip: str, tool: str) -> bool:
    """Whether anything in a branch's history has results of a tool."""
    scanned = (sha for sha in repo.suites if _result(repo, sha, SCANNERS, tool) is not None)
    return any(repo.git.is_ancestor(sha, tip) for sha in scanned)


def _by_result(repo: Repo, sha: str, name: str, waiting: str, what: str) -> Iterator[Violation]:
    result = _result(repo, sha, SCANNERS, name)
    if result is None:
        yield Violation(f"{waiting} for the commit {sha[:7]}.")
    elif result not in PASSING:
        yield Violation(f"{what} has found alerts by {name} for the commit {sha[:7]}.")


def _result(repo: Repo, sha: str, app: str, name: str) -> CheckConclusion | None:
    """How the newest run of a check has ended that an App reports; None if it has not."""
    runs = [run for run in repo.latest_runs(sha) if run.suite.app.slug == app and run.name == name]
    return runs[-1].conclusion if runs and runs[-1].status is CheckStatus.COMPLETED else None


def files_against(repo: Repo, sha: str, demands: Demands) -> Iterator[Violation]:
    """What the files are that the commits of ``sha`` bring to the repository and should not be.

    Commits that a branch has already were let in before.
    """
    brought = repo.git.brought(sha) if demands.files else ()
    for rule in demands.files:
        sentence, wrong = _FILE_RULES[rule.type]
        found = dict.fromkeys(wrong(repo, rule, brought))
        if found:
            yield Violation(sentence, tuple(found), of_push=True)


def _at_restricted_paths(_repo: Repo, rule: Rule, brought: Brought) -> list[str]:
    """Deleting a file changes its path too."""
    globs = _asked(rule, "restricted_file_paths")
    return [file.path for file in brought if any(fnmatch(glob, file.path) for glob in globs)]


def _with_restricted_extensions(_repo: Repo, rule: Rule, brought: Brought) -> list[str]:
    """Extensions may be written ``exe``, ``.exe`` or ``*.exe``."""
    endings = tuple(f".{one.removeprefix('*').removeprefix('.')}" for one in _asked(rule, "restricted_file_extensions"))
    return [file.path for file in brought if file.blob and file.path.endswith(endings)]


def _too_long(_repo: Repo, rule: Rule, brought: Brought) -> list[str]:
    return [file.path for file in brought if file.blob and len(file.path) > _asked(rule, "max_file_path_length")]


def _too_big(repo: Repo, rule: Rule, brought: Brought) -> list[str]:
    sizes = repo.git.sizes(file.blob for file in brought if file.blob)
    most = _asked(rule, "max_file_size") * _MEGABYTE
    return [file.path for file in brought if file.blob and sizes[file.blob] > most]


def _asked(rule: Rule, name: str) -> Any:
    return (rule.parameters or {})[name]


_FILE_RULES: Mapping[str, tuple[str, Callable[[Repo, Rule, Brought], list[str]]]] = {
    "file_path_restriction": ("File path is restricted", _at_restricted_paths),
    "file_extension_restriction": ("File extension is restricted", _with_restricted_extensions),
    "max_file_path_length": ("File path is too long", _too_long),
    "max_file_size": ("File is too large", _too_big),
}
