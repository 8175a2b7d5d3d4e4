"""What stands in mergeq's way on a repository: looks it over, has it judged, and says what to do. Changes nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mergeq.bootstrap import connect_github
from mergeq.config import ConfigError, Configuration, Settings, load
from mergeq.config.documents import parse
from mergeq.core.checkup import Finding, Seen, Severity, Wanted, Workflow, judge, labels_of
from mergeq.core.pull import Branch
from mergeq.core.query import Query
from mergeq.github import GitHub, HeldBack, Unreadable
from mergeq.github.survey import Survey

_WIDTH = max(map(len, Severity))


def examine(settings: Settings, full_repo: str) -> dict[str, Any]:
    """Everything there is to say about a repository, as one JSON document. A configuration is compared with if there is
    one. Raises ConfigError with one line when nothing can be said at all.
    """
    config = load(settings.config_paths) if settings.config_paths else None
    github = connect_github(settings)
    try:
        seen, wanted = look(github, full_repo, config)
    except (Unreadable, HeldBack) as error:
        raise ConfigError(str(error)) from error
    finally:
        github.close()
    findings = judge(seen, wanted)
    return {
        "repo": full_repo,
        "who": seen.identity.who,
        "github": settings.github_api_url,
        "version": seen.server or None,
        "ok": not any(one.severity is Severity.PROBLEM for one in findings),
        "findings": [_as_json(one) for one in findings],
    }


def look(github: GitHub, full_repo: str, config: Configuration | None) -> tuple[Seen, Wanted | None]:
    """A repository as it is, and as the configuration wants it. Raises Unreadable."""
    org, repo = full_repo.split("/")
    whole = Branch(org, repo, "")
    queries = tuple(query for query in config.queries if query.covers(org, full_repo)) if config else ()
    staging = (config or Configuration()).queue_values(whole).staging
    named = _branches_named(config, queries, full_repo) if config else ()
    lacking = github.learn_server(org)
    survey = Survey(github, full_repo)
    seen = survey.look(
        (*named, *(name for query in queries for name in query.included_branches)),
        lambda name: config is None or any(query.admits_branch(name) for query in queries),
        config.blocker_label if config else "",
        (staging.prefix, staging.scratch_prefix),
    )
    files = survey.workflows()
    seen = replace(
        seen,
        lacking=lacking,
        missing_branches=seen.missing_branches & set(named),
        workflows=None if files is None else tuple(_workflow(path, text) for path, text in files),
    )
    if config is None:
        return seen, None
    methods = config.methods
    labels = {
        "tide.blocker_label": config.blocker_label,
        "tide.squash_label": methods.squash_label,
        "tide.rebase_label": methods.rebase_label,
        "tide.merge_label": methods.merge_label,
        **{f"overtake[{index}]": label for index, label in enumerate(config.queue_values(whole).overtake)},
    }
    wanted = Wanted(
        settings={one.name: config.for_branch(Branch(org, repo, one.name)) for one in seen.branches},
        labels=labels_of(queries, labels),
        is_covered=bool(queries),
    )
    return seen, wanted


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What `examine` found, for a terminal: what is to be done first, and each thing under the other."""
    yield f"{found['repo']} on {found['github']}, as {found['who']}"
    for severity in reversed(Severity):
        for one in found["findings"]:
            if one["severity"] == severity:
                yield f"{severity:<{_WIDTH}}  {one['about']}: {one['seen']}"
                if one["remedy"]:
                    yield f"{'':<{_WIDTH}}  -> {one['remedy']}"
    counts = {severity: sum(one["severity"] == severity for one in found["findings"]) for severity in Severity}
    problems, warnings = counts[Severity.PROBLEM], counts[Severity.WARNING]
    yield f"{problems} problem{'s' * (problems != 1)}, {warnings} warning{'s' * (warnings != 1)}"


def _as_json(finding: Finding) -> dict[str, str]:
    return {
        "severity": finding.severity.value,
        "about": finding.about,
        "seen": finding.seen,
        "remedy": finding.remedy,
    }


def _branches_named(config: Configuration, queries: tuple[Query, ...], full_repo: str) -> tuple[str, ...]:
    """The branches that the configuration names for this very repository: one named for a whole org may be missing in
    some of its repositories.
    """
    by_query = (name for query in queries if full_repo in query.repos for name in query.included_branches)
    by_level = (key.removeprefix(f"{full_repo}:") for key in config.queue if key.startswith(f"{full_repo}:"))
    return tuple(dict.fromkeys((*by_query, *by_level)))


def _workflow(path: str, text: bytes) -> Workflow:
    """When a workflow runs, as far as pushes go ("Workflow syntax for GitHub Actions", `on`)."""
    try:
        document = parse(text, path).value
    except ConfigError as error:
        return Workflow(path, why=str(error))
    on = document.get("on") if isinstance(document, dict) else None
    if isinstance(on, str | list):
        events = [on] if isinstance(on, str) else on
        return Workflow(path, on_push="push" in events, on_dispatch="repository_dispatch" in events)
    if not isinstance(on, dict):
        return Workflow(path, why="it has no `on:`")
    push, dispatch = on.get("push"), on.get("repository_dispatch")
    filters = push if isinstance(push, dict) else {}
    only_tags = "branches" not in filters and "branches-ignore" not in filters and "tags" in filters
    branches = filters.get("branches")
    return Workflow(
        path,
        on_push="push" in on and not only_tags,
        branches=None if branches is None else _texts(branches),
        branches_ignore=_texts(filters.get("branches-ignore")),
        on_dispatch="repository_dispatch" in on,
        types=_texts(dispatch["types"]) if isinstance(dispatch, dict) and "types" in dispatch else None,
    )


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),) if value is not None else ()
