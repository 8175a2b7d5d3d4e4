"""Prow's `tide:` section and our own `mergeq:` section, read from all files together into one Configuration."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import jsonschema
import re2

from mergeq import shipped
from mergeq.config.documents import ConfigError, Document, Path_, read
from mergeq.core.contexts import ContextOptions, ContextPolicy, EmptyContexts, Pattern
from mergeq.core.merge_method import MergeMethods, NestedMethods
from mergeq.core.pool import BlocksPolicy, BranchSettings
from mergeq.core.pull import Branch, Method
from mergeq.core.queue import Drafts, Order, QueueValues
from mergeq.core.query import Query, applicable, open_pull_searches

T = TypeVar("T")

_QUERY_KEYS = {
    "orgs": "orgs",
    "repos": "repos",
    "excludedRepos": "excluded_repos",
    "author": "author",
    "labels": "labels",
    "missingLabels": "missing_labels",
    "includedBranches": "included_branches",
    "excludedBranches": "excluded_branches",
    "milestone": "milestone",
    "reviewApprovedRequired": "review_approved_required",
}
_CONTEXT_KEYS = {
    "required-contexts": "required",
    "required-if-present-contexts": "required_if_present",
    "optional-contexts": "optional",
}
_CONTEXT_FLAGS = ("skip-unknown-contexts", "from-branch-protection", "overwrite-pending-contexts")
_USED = {
    "sync_period",
    "blocker_label",
    "squash_label",
    "rebase_label",
    "merge_label",
    "target_url",
    "target_urls",
    "github_merge_blocks_policy",
    "priority",
    "merge_method",
    "context_options",
    "queries",
}
_HARMLESS = {
    "max_goroutines",
    "status_update_period",
    "display_all_tide_queries_in_status",
    "prioritize_existing_batches",
}
_NOT_APPLIED = {
    "batch_size_limit": "pull requests land one at a time",
    "merge_commit_template": "GitHub's default commit message is used",
    "pr_status_base_url": "statuses link to mergeq's own page",
    "pr_status_base_urls": "statuses link to mergeq's own page",
    "gerrit": "mergeq serves GitHub alone",
}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)", re.ASCII)
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class QueueLevel:
    """The `mergeq.queue` keys set at one level, under their YAML names; what is unset inherits."""

    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Configuration:
    """All configuration in force, as one value. `digest` names it in history; `warnings` are lines for a person."""

    queries: tuple[Query, ...] = ()
    sync_period: float = 60.0
    methods: MergeMethods = field(default_factory=MergeMethods)
    context_options: ContextOptions = field(default_factory=ContextOptions)
    blocker_label: str = ""
    blocks_policies: Mapping[str, BlocksPolicy] = field(default_factory=dict)
    target_urls: Mapping[str, str] = field(default_factory=dict)
    priority: tuple[tuple[str, ...], ...] = ()
    status_context: str = "tide"
    queue: Mapping[str, QueueLevel] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    digest: str = ""

    def covers(self, branch: Branch) -> bool:
        """Whether any query speaks about the branch's repository."""
        return bool(applicable(self.queries, branch))

    def searches(self) -> tuple[str, ...]:
        """Every search that nominates pull requests, each as sent to GitHub (T2.3, D11)."""
        return tuple(dict.fromkeys(search for query in self.queries for search in query.searches()))

    def open_pull_searches(self) -> tuple[str, ...]:
        """Searches for all open pull requests in scope (T6.33)."""
        return open_pull_searches(self.queries)

    def for_branch(self, branch: Branch) -> BranchSettings:
        """Everything configured for one branch."""
        values: dict[str, str] = {}
        for key in ("*", branch.org, branch.full_repo, str(branch)):
            values.update(self.queue.get(key, QueueLevel()).values)
        unset = BranchSettings()
        return BranchSettings(
            queries=applicable(self.queries, branch),
            contexts=self.context_options.for_branch(branch.org, branch.repo, branch.name),
            methods=self.methods,
            status_context=self.status_context,
            blocks_policy=_most_specific(self.blocks_policies, branch, unset.blocks_policy),
            priority=self.priority,
            queue=QueueValues(
                empty_contexts=EmptyContexts(values.get("empty_contexts", unset.queue.empty_contexts)),
                drafts=Drafts(values.get("drafts", unset.queue.drafts)),
                order=Order(values.get("order", unset.queue.order)),
            ),
        )

    def target_url(self, branch: Branch) -> str:
        """The configured link of a status, most specific first; empty when none is (T1.16)."""
        return _most_specific(self.target_urls, branch, "")


def load(paths: Iterable[Path]) -> Configuration:
    """Read every path as one configuration: main files, then the supplemental files of folders (T1.6).

    Raises ConfigError with every problem that was found, a line each.
    """
    main, supplemental = _files(paths)
    problems: list[str] = []
    documents: list[tuple[Document, bool]] = []
    for file, is_main in [*((f, True) for f in main), *((f, False) for f in supplemental)]:
        try:
            documents.append((read(file), is_main))
        except ConfigError as error:
            problems += error.problems
    reading = _Reading(problems)
    for document, is_main in documents:
        reading.document(document, is_main=is_main)
    if problems:
        raise ConfigError(*problems)
    if not reading.queries:
        reading.warnings.append(
            f"{', '.join(str(path) for path in paths) or 'no configuration'}: has no `tide.queries`, so nothing "
            "will ever merge; add a query"
        )
    return reading.configuration()


def _files(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    main: list[Path] = []
    supplemental: list[Path] = []
    for path in paths:
        if not path.is_dir():
            main.append(path)
            continue
        roots = [path / name for name in ("config.yaml", "_config.yaml") if (path / name).is_file()]
        main += roots
        found = sorted(file for file in path.rglob("*") if file.suffix in {".yaml", ".yml"} and file.is_file())
        supplemental += [file for file in found if file not in roots]
    return main, supplemental


class _Reading:
    """Collects what the documents say, and every problem with its position."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        self.warnings: list[str] = []
        self.queries: list[Query] = []
        self._tide: dict[str, Any] = {}
        self._tide_file = ""
        self._flat: dict[str, Method] = {}
        self._nested: dict[str, NestedMethods] = {}
        self._options = ContextOptions()
        self._queue: dict[str, QueueLevel] = {}
        self._status_context = ""
        self._digest = hashlib.sha256()
        self._doc: Document | None = None

    def document(self, document: Document, *, is_main: bool) -> None:
        self._doc = document
        self.warnings += document.notes
        self._digest.update(json.dumps(document.value, sort_keys=True, default=str).encode())
        if document.value is None:
            return
        if not isinstance(document.value, dict):
            self._problem((), "is not a mapping", "a configuration has `tide:` and `mergeq:` at its top")
            return
        if (tide := document.value.get("tide")) is not None:
            self._tide_section(tide, is_main=is_main)
        if (ours := document.value.get("mergeq")) is not None:
            self._mergeq_section(ours)
        if document.value.get("presubmits"):
            self._warn(("presubmits",), "is not read yet", "list what its jobs report under `tide.context_options`")

    def configuration(self) -> Configuration:
        tide = self._tide
        return Configuration(
            queries=tuple(self.queries),
            sync_period=tide.get("sync_period", 60.0),
            methods=MergeMethods(
                self._flat,
                self._nested,
                tide.get("squash_label", ""),
                tide.get("rebase_label", ""),
                tide.get("merge_label", ""),
            ),
            context_options=self._options,
            blocker_label=tide.get("blocker_label", ""),
            blocks_policies=tide.get("github_merge_blocks_policy", {}),
            target_urls=tide.get("target_urls", {}),
            priority=tide.get("priority", ()),
            status_context=self._status_context or Configuration().status_context,
            queue=self._queue,
            warnings=tuple(self.warnings),
            digest=self._digest.hexdigest()[:12],
        )

    def _tide_section(self, tide: Any, *, is_main: bool) -> None:
        if not self._expect(tide, dict, ("tide",)):
            return
        if is_main and self._tide_file and set(tide) - {"queries", "merge_method"}:
            self._problem(("tide",), f"stands in {self._tide_file} too", "keep `tide:` in one main file")
            return
        if is_main:
            self._tide_file = self._file
        for key, value in tide.items():
            path: Path_ = ("tide", key)
            if not is_main and key not in {"queries", "merge_method"}:
                self._problem(
                    path, f"a supplemental file may not set {key!r}", "only `queries` and `merge_method` may be here"
                )
            elif key in _NOT_APPLIED:
                self._warn(path, "is not applied yet", _NOT_APPLIED[key])
            elif key in _USED:
                self._tide_key(key, value, path)
            elif key not in _HARMLESS:
                self._unknown(path, key, _USED | _HARMLESS | set(_NOT_APPLIED))

    def _tide_key(self, key: str, value: Any, path: Path_) -> None:
        if value is None:
            return
        match key:
            case "queries":
                if self._expect(value, list, path):
                    for index, query in enumerate(value):
                        self._query(query, (*path, index))
            case "merge_method":
                self._merge_method(value, path)
            case "context_options":
                self._context_options(value, path)
            case "sync_period":
                self._tide[key] = self._duration(value, path)
            case "target_url" | "target_urls":
                single = key == "target_url" and self._expect(value, str, path)
                urls = {"*": value} if single else self._map_of(value, path, str) if key == "target_urls" else {}
                if urls and self._tide.setdefault("target_urls", urls) is not urls:
                    self._problem(path, "tide.target_url and tide.target_urls are mutually exclusive", "keep one")
            case "github_merge_blocks_policy":
                self._tide[key] = {
                    name: self._blocks_policy(name, chosen, (*path, name))
                    for name, chosen in self._map_of(value, path, str).items()
                }
            case "priority":
                self._tide[key] = self._priority(value, path)
            case _:
                if self._expect(value, str, path):
                    self._tide[key] = value

    def _query(self, query: Any, path: Path_) -> None:
        if not self._expect(query, dict, path):
            return
        values: dict[str, Any] = {}
        before = len(self.problems)
        for key, value in query.items():
            if key not in _QUERY_KEYS:
                self._unknown((*path, key), key, _QUERY_KEYS)
            elif value is not None and key == "reviewApprovedRequired":
                if self._expect(value, bool, (*path, key)):
                    values[_QUERY_KEYS[key]] = value
            elif value is not None and key in {"author", "milestone"}:
                if self._expect(value, str, (*path, key)):
                    values[_QUERY_KEYS[key]] = value
            elif value is not None:
                values[_QUERY_KEYS[key]] = self._names(value, (*path, key))
        if len(self.problems) > before:
            return
        built = Query(**values)
        for what in _query_problems(built):
            self._problem(path, f"tide query (index {path[-1]}) is invalid: {what}", "mend the query")
        self.queries.append(built)

    def _merge_method(self, value: Any, path: Path_) -> None:
        if not self._expect(value, dict, path):
            return
        for key, entry in value.items():
            spot = (*path, key)
            if key in self._flat or key in self._nested:
                self._problem(spot, f"config for org or repo {key} passed more than once", "keep one of them")
            elif isinstance(entry, str):
                if entry:
                    self._flat[key] = self._method(entry, spot, key)
            elif isinstance(entry, dict):
                self._nested[key] = self._nested_methods(key, entry, spot)
            elif entry is not None:
                self._expect(entry, dict, spot)

    def _nested_methods(self, org: str, repos: dict[str, Any], path: Path_) -> NestedMethods:
        whole: dict[str, Method] = {}
        by_branch: dict[str, tuple[tuple[Pattern, Method], ...]] = {}
        for repo, entry in repos.items():
            spot = (*path, repo)
            if isinstance(entry, str):
                if entry:
                    whole[repo] = self._method(entry, spot, f"{org}/{repo}")
            elif isinstance(entry, dict):
                pairs = []
                for text in sorted(entry):
                    method = self._method(entry[text], (*spot, text), f"{org}/{repo}@{text}")
                    if (pattern := self._pattern(text, (*spot, text))) is not None:
                        pairs.append((pattern, method))
                by_branch[repo] = tuple(pairs)
            elif entry is not None:
                self._expect(entry, dict, spot)
        return NestedMethods(whole, by_branch)

    def _context_options(self, value: Any, path: Path_) -> None:
        narrower: dict[str, ContextPolicy] = {}

        def level(node: Any, spot: Path_, below: str) -> ContextPolicy:
            if not self._expect(node, dict, spot):
                return ContextPolicy()
            known = {*_CONTEXT_KEYS, *_CONTEXT_FLAGS, "optional-regex-contexts", *([below] if below else ())}
            for key in node.keys() - known:
                self._unknown((*spot, key), key, known)
            return self._context_policy(node, spot)

        def children(node: Any, key: str, spot: Path_) -> dict[str, Any]:
            found = node.get(key) if isinstance(node, dict) else None
            return found if found is not None and self._expect(found, dict, (*spot, key)) else {}

        everyone = level(value, path, "orgs")
        for org, in_org in children(value, "orgs", path).items():
            at_org = (*path, "orgs", org)
            narrower[org] = level(in_org or {}, at_org, "repos")
            for repo, in_repo in children(in_org, "repos", at_org).items():
                at_repo = (*at_org, "repos", repo)
                narrower[f"{org}/{repo}"] = level(in_repo or {}, at_repo, "branches")
                for branch, in_branch in children(in_repo, "branches", at_repo).items():
                    narrower[f"{org}/{repo}:{branch}"] = level(in_branch or {}, (*at_repo, "branches", branch), "")
        self._options = ContextOptions(everyone, narrower)
        if overlap := everyone.overlap():
            self._problem(path, overlap, "name each context once")
        for key in narrower if not overlap else ():
            org, _, rest = key.partition("/")
            repo, _, branch = rest.partition(":")
            if overlap := self._options.for_branch(org, repo, branch).overlap():
                self._problem(path, f"{key}: {overlap}", "name each context once")

    def _context_policy(self, node: dict[str, Any], path: Path_) -> ContextPolicy:
        lists = {
            name: frozenset(self._names(node[key], (*path, key)))
            for key, name in _CONTEXT_KEYS.items()
            if node.get(key) is not None
        }
        texts = self._names(node.get("optional-regex-contexts") or [], (*path, "optional-regex-contexts"))
        patterns = (self._pattern(text, (*path, "optional-regex-contexts")) for text in texts)
        flags = {key: node[key] for key in _CONTEXT_FLAGS if node.get(key) is not None}
        for key, flag in flags.items():
            self._expect(flag, bool, (*path, key))
        if flags.get("from-branch-protection") is True:
            spot = (*path, "from-branch-protection")
            self._problem(spot, "is not read yet", "list those contexts under `required-contexts`")
        return ContextPolicy(
            **lists,
            optional_patterns=tuple(pattern for pattern in patterns if pattern is not None),
            skip_unknown=flags.get("skip-unknown-contexts"),
        )

    def _priority(self, value: Any, path: Path_) -> tuple[tuple[str, ...], ...]:
        entries = []
        for index, entry in enumerate(value if self._expect(value, list, path) else ()):
            spot = (*path, index)
            if self._expect(entry, dict, spot):
                entries.append(self._names(entry.get("labels") or [], (*spot, "labels")))
        return tuple(entries)

    def _mergeq_section(self, ours: Any) -> None:
        schema = json.loads((shipped("schemas") / "mergeq.schema.json").read_bytes())
        errors = sorted(
            jsonschema.Draft202012Validator(schema).iter_errors(ours), key=lambda error: list(map(str, error.path))
        )
        for error in errors:
            path: Path_ = ("mergeq", *error.absolute_path)
            hint = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
            self._problem(path, error.message, hint or "see schemas/README.md")
        if errors:
            return
        if (name := ours.get("status_context")) is not None:
            if self._status_context and self._status_context != name:
                self._problem(("mergeq", "status_context"), "is set in two files", "keep one")
            self._status_context = name
        queue = ours.get("queue", {})
        path = ("mergeq", "queue")
        self._queue_level("*", queue, path)
        for org, in_org in queue.get("orgs", {}).items():
            at_org = (*path, "orgs", org)
            self._queue_level(org, in_org, at_org)
            for repo, in_repo in in_org.get("repos", {}).items():
                at_repo = (*at_org, "repos", repo)
                self._queue_level(f"{org}/{repo}", in_repo, at_repo)
                for branch, in_branch in in_repo.get("branches", {}).items():
                    self._queue_level(f"{org}/{repo}:{branch}", in_branch, (*at_repo, "branches", branch))

    def _queue_level(self, key: str, node: dict[str, Any], path: Path_) -> None:
        values = {name: value for name, value in node.items() if name not in {"orgs", "repos", "branches"}}
        before = self._queue.get(key, QueueLevel()).values
        for name in values.keys() & before.keys():
            self._problem((*path, name), f"{name} is set in two files for {key}", "keep one")
        self._queue[key] = QueueLevel({**before, **values})

    @property
    def _file(self) -> str:
        return self._doc.file if self._doc else ""

    def _problem(self, path: Path_, what: str, remedy: str) -> None:
        self.problems.append(self._line(path, what, remedy))

    def _warn(self, path: Path_, what: str, remedy: str) -> None:
        self.warnings.append(self._line(path, what, remedy))

    def _unknown(self, path: Path_, key: str, known: Iterable[str]) -> None:
        near = get_close_matches(key, list(known), n=1)
        self._warn(
            path,
            "is not a key that is known here, so it has no effect",
            f"did you mean {near[0]!r}?" if near else "remove it",
        )

    def _line(self, path: Path_, what: str, remedy: str) -> str:
        where = self._doc.where(path) if self._doc else ""
        return f"{where}: {'.'.join(str(part) for part in path)}: {what}; {remedy}".replace(": : ", ": ")

    def _expect(self, value: Any, kind: type, path: Path_) -> bool:
        if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
            return True
        names = {dict: "a mapping", list: "a list", str: "text", bool: "true or false"}
        self._problem(path, f"must be {names[kind]}, but is {json.dumps(value, default=str)[:40]}", "mend the value")
        return False

    def _names(self, value: Any, path: Path_) -> tuple[str, ...]:
        if not self._expect(value, list, path):
            return ()
        return tuple(item for index, item in enumerate(value) if self._expect(item, str, (*path, index)))

    def _map_of(self, value: Any, path: Path_, kind: type) -> dict[str, Any]:
        if not self._expect(value, dict, path):
            return {}
        return {key: item for key, item in value.items() if self._expect(item, kind, (*path, key))}

    def _method(self, value: Any, path: Path_, whom: str) -> Method:
        """A merge method, or a complaint in Tide's words (T1.50)."""
        if value in set(Method):
            return Method(value)
        self._problem(path, f'merge type "{value}" for {whom} is not a valid type', "use merge, squash or rebase")
        return Method.MERGE

    def _blocks_policy(self, key: str, value: str, path: Path_) -> BlocksPolicy:
        """A policy, or a complaint in Tide's words (T1.22)."""
        if value in set(BlocksPolicy):
            return BlocksPolicy(value)
        what = f'tide.github_merge_blocks_policy["{key}"] has invalid value "{value}"'
        self._problem(path, f"{what}, must be one of: {', '.join(BlocksPolicy)}", "use one of them")
        return BlocksPolicy.BLOCK

    def _pattern(self, text: str, path: Path_) -> Pattern | None:
        options = re2.Options()
        options.log_errors = False
        try:
            compiled: Pattern = re2.compile(text, options)
        except re2.error as error:
            said = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
            self._problem(path, f'regex "{text}" is not valid: {said}', "mend it; the syntax is RE2's")
            return None
        return compiled

    def _duration(self, value: Any, path: Path_) -> float:
        text = value if isinstance(value, str) else ""
        sign = -1.0 if text.startswith("-") else 1.0
        parts = _DURATION.findall(text)
        if not parts or "".join(number + unit for number, unit in parts) != text.removeprefix("-").removeprefix("+"):
            self._problem(path, f"{value!r} is not a duration", "write it as 1m, 90s or 1h30m")
            return 60.0
        return sign * sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _query_problems(query: Query) -> Iterable[str]:
    """What is wrong with a query, in Tide's words and order (T1.38, T1.39)."""
    yield from _scope_problems(query)
    if both := sorted(set(query.labels) & set(query.missing_labels)):
        yield f"the labels: {json.dumps(both)} are both required and forbidden"
    if query.included_branches and query.excluded_branches:
        yield "both 'includedBranches' and 'excludedBranches' are specified ('excludedBranches' have no effect)"
    for key, name in _QUERY_KEYS.items():
        entries = getattr(query, name)
        if isinstance(entries, tuple) and (twice := sorted({entry for entry in entries if entries.count(entry) > 1})):
            yield f'"{key}" contains {len(entries) - len(set(entries))} duplicate entries: {", ".join(twice)}'


def _scope_problems(query: Query) -> Iterable[str]:
    """What is wrong with the orgs and repositories of a query."""

    def malformed(name: str, repos: tuple[str, ...]) -> Iterable[str]:
        for index, repo in enumerate(repos):
            if len(parts := repo.split("/")) != 2 or not all(parts):
                yield f'{name}[{index}]: "{repo}" is not of the form "org/repo"'

    for index, org in enumerate(query.orgs):
        if not org:
            yield f"orgs[{index}]: is an empty string"
        elif "/" in org:
            yield f"orgs[{index}]: \"{org}\" contains a '/' which is not valid"
    yield from malformed("repos", query.repos)
    for index, repo in enumerate(query.repos):
        if (owner := repo.split("/", maxsplit=1)[0]) in query.orgs:
            yield f'repos[{index}]: "{repo}" is already included via org: "{owner}"'
    if not query.orgs and not query.repos:
        yield "'orgs' and 'repos' cannot both be empty"
    yield from malformed("excludedRepos", query.excluded_repos)
    for index, repo in enumerate(query.excluded_repos):
        if (owner := repo.split("/", maxsplit=1)[0]) not in query.orgs:
            yield f'excludedRepos[{index}]: "{repo}" has no effect because org "{owner}" is not included'


def _most_specific(values: Mapping[str, T], branch: Branch, fallback: T) -> T:
    """The value for ``org/repo``, else for ``org``, else for ``*`` (T1.16, T1.22)."""
    return next((values[key] for key in (branch.full_repo, branch.org, "*") if key in values), fallback)
