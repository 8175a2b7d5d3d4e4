"""Prow's `tide:` section, read from all files together."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from mergeq.config.documents import Path_
from mergeq.config.reading import Reading, Spot, compiled
from mergeq.core.contexts import Broken, ContextOptions, ContextPolicy, Pattern
from mergeq.core.merge_method import MergeMethods, NestedMethods
from mergeq.core.message import CommitTemplate, templated
from mergeq.core.pool import BlocksPolicy
from mergeq.core.pull import Method, PullRequest
from mergeq.core.query import Query
from mergeq.core.template import Template, Unparsable, parse

QUERY_KEYS = {
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
CONTEXT_KEYS = {
    "required-contexts": "required",
    "required-if-present-contexts": "required_if_present",
    "optional-contexts": "optional",
}
_FLAGS = ("skip-unknown-contexts", "from-branch-protection", "overwrite-pending-contexts")
_CONTEXT_KNOWN = (*CONTEXT_KEYS, *_FLAGS, "optional-regex-contexts")
_LABELS = ("squash_label", "rebase_label", "merge_label")
_TEXTS = (*_LABELS, "blocker_label")
_SUPPLEMENTAL = {"queries", "merge_method"}


_ORDINARY = PullRequest(
    org="org", repo="repo", number=1, base="main", head_sha="1" * 40, head_ref="topic", title="title", author="author",
    labels=("one", "two"), contexts=(), milestone="milestone", review_decision="APPROVED", body="body",
)  # fmt: skip
"""A pull request that has everything a template may ask for."""


class TideSection:
    """What the documents say under `tide:`; `settings` has the fields of a Configuration."""

    def __init__(self, reading: Reading) -> None:
        self.settings: dict[str, Any] = {}
        self.queries: list[tuple[Query, Spot]] = []
        self.context_options = ContextOptions()
        self.context_spots: dict[str, Spot] = {}
        self._reading = reading
        self._main_file = ""
        self._methods = _Methods(reading)
        self._labels: dict[str, str] = {}
        self._readers: dict[str, Callable[[str, Any, Path_], None]] = {
            "queries": self._queries,
            "merge_method": lambda _, value, path: self._methods.read(value, path),
            "context_options": self._context_options,
            "sync_period": self._duration,
            "status_update_period": self._duration,
            "max_goroutines": self._goroutines,
            "display_all_tide_queries_in_status": self._flag,
            "target_url": self._urls,
            "target_urls": self._urls,
            "pr_status_base_url": self._urls,
            "pr_status_base_urls": self._urls,
            "batch_size_limit": self._map_of(int, "batch_size_limits"),
            "prioritize_existing_batches": self._map_of(bool, "prioritize_existing_batches"),
            "github_merge_blocks_policy": self._blocks_policies,
            "priority": self._priority,
            "merge_commit_template": self._templates,
            "gerrit": self._gerrit,
            **dict.fromkeys(_TEXTS, self._text),
        }

    def read(self, tide: Any, *, is_main: bool) -> None:
        """Read one document's section. A supplemental one may hold `queries` and `merge_method` alone (T1.6)."""
        reading = self._reading
        if tide is None:
            return
        keys = reading.tidy(tide, self._readers, ("tide",))
        if is_main and self._main_file and set(keys) - _SUPPLEMENTAL:
            reading.problem(("tide",), f"stands in {self._main_file} too", "keep `tide:` in one main file")
            return
        if is_main:
            self._main_file = reading.file
        for key, value in keys.items():
            path: Path_ = ("tide", key)
            if not is_main and key not in _SUPPLEMENTAL:
                reading.problem(
                    path, f"a supplemental file may not set {key!r}", "only `queries` and `merge_method` may be here"
                )
            elif value is not None:
                self._readers[key](key, value, path)

    def methods(self) -> MergeMethods:
        """Everything about merge methods."""
        return MergeMethods(self._methods.flat, self._methods.nested, *(self._labels.get(key, "") for key in _LABELS))

    def _text(self, key: str, value: Any, path: Path_) -> None:
        if self._reading.expect(value, str, path):
            (self._labels if key in _LABELS else self.settings)[key] = value

    def _flag(self, key: str, value: Any, path: Path_) -> None:
        if self._reading.expect(value, bool, path):
            self.settings[key] = value

    def _duration(self, key: str, value: Any, path: Path_) -> None:
        self.settings[key] = self._reading.duration(value, path)

    def _goroutines(self, key: str, value: Any, path: Path_) -> None:
        if self._reading.expect(value, int, path) and value:
            self.settings[key] = value
            if value < 0:
                what = f"tide has invalid max_goroutines ({value}), it needs to be a positive number"
                self._reading.problem(path, what, "use 20, or remove it")

    def _map_of(self, kind: type, field: str) -> Callable[[str, Any, Path_], None]:
        def read(_: str, value: Any, path: Path_) -> None:
            self.settings[field] = self._reading.map_of(value, path, kind)

        return read

    def _urls(self, key: str, value: Any, path: Path_) -> None:
        """`target_url(s)` and `pr_status_base_url(s)`: one for everybody, or a map (T1.15-T1.18)."""
        field = key if key.endswith("s") else key + "s"
        if key == field:
            urls = self._reading.map_of(value, path, str)
        else:
            urls = {"*": value} if self._reading.expect(value, str, path) and value else {}
        if not urls:
            return
        if key == "pr_status_base_url":
            self._reading.warn(path, "is deprecated in Prow", "write it as the `*` of pr_status_base_urls")
        if self.settings.setdefault(field, urls) is not urls:
            said = {
                "target_urls": "tide.target_url and tide.target_urls are mutually exclusive",
                "pr_status_base_urls": "both pr_status_base_url and pr_status_base_urls are defined",
            }
            self._reading.problem(path, said[field], "keep one")
        elif field == "pr_status_base_urls" and "*" not in urls:
            what = "pr_status_base_urls is defined but the default value ('*') is missing"
            self._reading.problem(path, what, "add a `*`")

    def _blocks_policies(self, _: str, value: Any, path: Path_) -> None:
        policies: dict[str, BlocksPolicy] = {}
        for key, chosen in self._reading.map_of(value, path, str).items():
            if chosen in set(BlocksPolicy):
                policies[key] = BlocksPolicy(chosen)
                continue
            what = f'tide.github_merge_blocks_policy["{key}"] has invalid value "{chosen}"'
            self._reading.problem((*path, key), f"{what}, must be one of: {', '.join(BlocksPolicy)}", "use one of them")
        self.settings["blocks_policies"] = policies

    def _priority(self, key: str, value: Any, path: Path_) -> None:
        entries = []
        for index, entry in enumerate(value if self._reading.expect(value, list, path) else ()):
            spot = (*path, index)
            labels = self._reading.tidy(entry, ("labels",), spot).get("labels")
            entries.append(() if labels is None else self._reading.names(labels, (*spot, "labels")))
        self.settings[key] = tuple(entries)

    def _templates(self, _: str, value: Any, path: Path_) -> None:
        templates: dict[str, CommitTemplate] = {}
        for key, entry in value.items() if self._reading.expect(value, dict, path) else ():
            spot = (*path, key)
            parts = self._reading.tidy(entry, ("title", "body"), spot) if entry is not None else {}
            parsed = {part: self._template(part, text, (*spot, part)) for part, text in parts.items()}
            templates[key] = CommitTemplate(**parsed)
        self.settings["commit_templates"] = templates

    def _template(self, part: str, text: Any, path: Path_) -> Template | None:
        """A template, None for no text (T1.24). One that fails even where nothing is missing would never be used."""
        if text is None or not self._reading.expect(text, str, path) or not text:
            return None
        try:
            template = parse(text)
        except Unparsable as error:
            what = f"parsing template for commit {part}: {error}"
            self._reading.problem(
                path, what, "mend it; it is a Go template, of which policies/README.md says what is known"
            )
            return None
        for failure in templated(CommitTemplate(title=template), _ORDINARY).failures:
            what = failure.replace("commit title", f"commit {part}")
            self._reading.warn(path, what, "GitHub's default text is used where it fails")
        return template

    def _gerrit(self, _: str, _value: Any, path: Path_) -> None:
        self._reading.warn(path, "is not applied", "mergeq serves GitHub alone")

    def _queries(self, _: str, value: Any, path: Path_) -> None:
        if self._reading.expect(value, list, path):
            for index, query in enumerate(value):
                self._query(query, (*path, index))

    def _query(self, query: Any, path: Path_) -> None:
        reading = self._reading
        values: dict[str, Any] = {}
        before = len(reading.problems)
        for key, value in reading.tidy(query, QUERY_KEYS, path).items():
            spot = (*path, key)
            if value is None:
                continue
            if key == "reviewApprovedRequired" or key in {"author", "milestone"}:
                if reading.expect(value, bool if key == "reviewApprovedRequired" else str, spot):
                    values[QUERY_KEYS[key]] = value
            else:
                values[QUERY_KEYS[key]] = reading.names(value, spot)
                if key in {"includedBranches", "excludedBranches"}:
                    reading.branch_names(values[QUERY_KEYS[key]], spot)
        if len(reading.problems) > before:
            return
        built = Query(**values)
        for what in query_problems(built):
            reading.problem(path, f"tide query (index {path[-1]}) is invalid: {what}", "mend the query")
        self.queries.append((built, reading.spot(path)))

    def _context_options(self, _: str, value: Any, path: Path_) -> None:
        narrower: dict[str, ContextPolicy] = {}
        everyone, orgs = self._context_level("*", value, path, "orgs")
        for org, in_org in orgs.items():
            at_org = (*path, "orgs", org)
            narrower[org], repos = self._context_level(org, in_org, at_org, "repos")
            for repo, in_repo in repos.items():
                key, at_repo = f"{org}/{repo}", (*at_org, "repos", repo)
                narrower[key], branches = self._context_level(key, in_repo, at_repo, "branches")
                self._reading.branch_names(branches, (*at_repo, "branches"))
                for branch, in_branch in branches.items():
                    name, at_branch = f"{key}:{branch}", (*at_repo, "branches", branch)
                    narrower[name] = self._context_level(name, in_branch, at_branch, "")[0]
        self.context_options = ContextOptions(everyone, narrower)

    def _context_level(self, key: str, node: Any, path: Path_, below: str) -> tuple[ContextPolicy, dict[str, Any]]:
        """The policy of one level, and the levels under `below`."""
        reading = self._reading
        self.context_spots[key] = reading.spot(path)
        known = (*_CONTEXT_KNOWN, *((below,) if below else ()))
        values = {
            key: value
            for key, value in reading.tidy({} if node is None else node, known, path, below=below).items()
            if value is not None
        }
        lists = {
            name: frozenset(reading.names(values[key], (*path, key)))
            for key, name in CONTEXT_KEYS.items()
            if key in values
        }
        flags = {
            key: values[key] for key in _FLAGS if key in values and reading.expect(values[key], bool, (*path, key))
        }
        spot = (*path, "optional-regex-contexts")
        texts = reading.names(values.get("optional-regex-contexts", []), spot)
        patterns = tuple(map(compiled, texts))
        for broken in (one for one in patterns if isinstance(one, Broken)):
            what = f'regex "{broken.pattern}" is not valid: {broken.why}'
            reading.warn(spot, what, "mend it; the syntax is RE2's")
        policy = ContextPolicy(
            **lists,
            optional_patterns=patterns,
            skip_unknown=flags.get("skip-unknown-contexts"),
            from_branch_protection=flags.get("from-branch-protection"),
            overwrite_pending=flags.get("overwrite-pending-contexts"),
        )
        return policy, reading.children(values, below, path)


class _Methods:
    """`merge_method` in all its forms (T1.48)."""

    def __init__(self, reading: Reading) -> None:
        self.flat: dict[str, Method] = {}
        self.nested: dict[str, NestedMethods] = {}
        self._reading = reading

    def read(self, value: Any, path: Path_) -> None:
        if not self._reading.expect(value, dict, path):
            return
        for key, entry in value.items():
            spot = (*path, key)
            repo, _, branch = key.partition("@")
            if branch:
                self._reading.branch_names([branch], spot)
            elif key == "*" or (isinstance(entry, dict) and "/" in repo):
                what = f"{key!r} is taken for the name of an org, and none is called so"
                self._reading.warn(spot, what, "write `org: {repo: {branch: method}}`; a repo may be `*`, an org not")
            if key in self.flat or key in self.nested:
                self._reading.problem(spot, f"config for org or repo {key} passed more than once", "keep one of them")
            elif isinstance(entry, str):
                if entry:
                    self.flat[key] = self._method(entry, spot, key)
            elif isinstance(entry, dict):
                self.nested[key] = self._nested(key, entry, spot)
            elif entry is not None:
                self._reading.expect(entry, dict, spot)

    def _nested(self, org: str, repos: dict[str, Any], path: Path_) -> NestedMethods:
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
                    if (pattern := self._reading.pattern(text, (*spot, text))) is not None:
                        pairs.append((pattern, method))
                by_branch[repo] = tuple(pairs)
            elif entry is not None:
                self._reading.expect(entry, dict, spot)
        return NestedMethods(whole, by_branch)

    def _method(self, value: Any, path: Path_, whom: str) -> Method:
        """A merge method, or a complaint in Tide's words (T1.50)."""
        if isinstance(value, str) and value in set(Method):
            return Method(value)
        shown = value if isinstance(value, str) else "" if value is None else json.dumps(value, default=str)
        what = f'merge type "{shown}" for {whom} is not a valid type'
        self._reading.problem(path, what, "use merge, squash or rebase")
        return Method.MERGE


def query_problems(query: Query) -> Iterable[str]:
    """What is wrong with a query, in Tide's words and order (T1.38, T1.39)."""
    for index, org in enumerate(query.orgs):
        if not org:
            yield f"orgs[{index}]: is an empty string"
        elif "/" in org:
            yield f"orgs[{index}]: \"{org}\" contains a '/' which is not valid"
    yield from _duplicates("orgs", query.orgs)
    for index, repo in enumerate(query.repos):
        if _is_malformed(repo):
            yield f'repos[{index}]: "{repo}" is not of the form "org/repo"'
        elif (owner := repo.partition("/")[0]) in query.orgs:
            yield f'repos[{index}]: "{repo}" is already included via org: "{owner}"'
    yield from _duplicates("repos", query.repos)
    if not query.orgs and not query.repos:
        yield "'orgs' and 'repos' cannot both be empty"
    for index, repo in enumerate(query.excluded_repos):
        if _is_malformed(repo):
            yield f'excludedRepos[{index}]: "{repo}" is not of the form "org/repo"'
        elif (owner := repo.partition("/")[0]) not in query.orgs:
            yield f'excludedRepos[{index}]: "{repo}" has no effect because org "{owner}" is not included'
    yield from _duplicates("excludedRepos", query.excluded_repos)
    if both := sorted(set(query.labels) & set(query.missing_labels)):
        listed = " ".join(json.dumps(label, ensure_ascii=False) for label in both)
        yield f"the labels: [{listed}] are both required and forbidden"
    yield from _duplicates("labels", query.labels)
    yield from _duplicates("missingLabels", query.missing_labels)
    if query.included_branches and query.excluded_branches:
        yield "both 'includedBranches' and 'excludedBranches' are specified ('excludedBranches' have no effect)"
    yield from _duplicates("includedBranches", query.included_branches)
    yield from _duplicates("excludedBranches", query.excluded_branches)


def _is_malformed(repo: str) -> bool:
    return len(parts := repo.split("/")) != 2 or not all(parts)


def _duplicates(key: str, entries: tuple[str, ...]) -> Iterable[str]:
    if twice := sorted({entry for entry in entries if entries.count(entry) > 1}):
        yield f'"{key}" contains {len(entries) - len(set(entries))} duplicate entries: {", ".join(twice)}'
