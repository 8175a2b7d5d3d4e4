"""All configuration in force as one value: Prow's sections and our own, of all files together."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from mergeq.config import objections
from mergeq.config.documents import ConfigError, Document, parse, read, text_of
from mergeq.config.presubmits import Job, PresubmitsSection, contexts_of
from mergeq.config.protecting import ProtectingSection
from mergeq.config.protection import BranchProtection, ProtectionSection, lined, required_contexts
from mergeq.config.queue import Leaf, MergeqSection, keys_of, queue_values
from mergeq.config.reading import Reading, Spot
from mergeq.config.tide import TideSection
from mergeq.config.wishes import Wishing, branch_of, said_by
from mergeq.core.branchprotector import JobContexts
from mergeq.core.budget import BudgetValues, SweepValues
from mergeq.core.compat import Compat
from mergeq.core.contexts import ContextOptions, ContextPolicy, Presubmit
from mergeq.core.merge_method import MergeMethods
from mergeq.core.message import CommitTemplate
from mergeq.core.pool import BlocksPolicy, BranchSettings, under_protection
from mergeq.core.protecting import ProtectionValues
from mergeq.core.protection import Mode, RepoFacts, Wish
from mergeq.core.pull import Branch, Protection, PullRequest
from mergeq.core.query import Query, applicable, by_scope, merged, open_pull_searches
from mergeq.core.queue import QueueValues, Retest

T = TypeVar("T")

_MANUAL = "require_manually_triggered_jobs"
_SECTIONS = ("tide", "mergeq", "branch-protection", "presubmits", "in_repo_config")
_NO_URL = re.compile(r"[\x00-\x1f\x7f]|%(?![0-9A-Fa-f]{2})|^(?![A-Za-z][A-Za-z0-9+.-]*:)[^/]*:")
_NO_PAIR = re.compile(r"%(?![0-9A-Fa-f]{2})|;")
_UNSET = BranchSettings()

_NO_JOBS = {"disabled_clusters", "periodics", "postsubmits"}
"""Sections of Prow's that are only about jobs (T13.4)."""

IN_REPO = "its jobs are kept in the repository itself and not known here"


@dataclass(frozen=True, slots=True)
class Configuration:
    """All configuration in force, as one value. `digest` names it in history; `warnings` are lines for a person.

    Durations are seconds. What differs between branches is asked of the methods; a plain mapping has the keys ``*``,
    ``org`` and ``org/repo``. `query_places` has for each query where it stands, once per entry it was made of.
    `not_applied` has what `mergeq:` says and nothing follows from yet, by its path there, `protection_said` what it
    says of protection.
    """

    queries: tuple[Query, ...] = ()
    query_places: tuple[tuple[str, ...], ...] = ()
    sync_period: float = 60.0
    status_update_period: float = 60.0
    max_goroutines: int = 20
    display_all_tide_queries_in_status: bool = False
    methods: MergeMethods = field(default_factory=MergeMethods)
    context_options: ContextOptions = field(default_factory=ContextOptions)
    protection: BranchProtection = field(default_factory=BranchProtection)
    wishing: Wishing = field(default_factory=Wishing)
    presubmits: Mapping[str, tuple[Job, ...]] = field(default_factory=dict)
    jobs_in_repo: Mapping[str, bool] = field(default_factory=dict)
    blocker_label: str = ""
    blocks_policies: Mapping[str, BlocksPolicy] = field(default_factory=dict)
    target_urls: Mapping[str, str] = field(default_factory=dict)
    pr_status_base_urls: Mapping[str, str] = field(default_factory=dict)
    batch_size_limits: Mapping[str, int] = field(default_factory=dict)
    prioritize_existing_batches: Mapping[str, bool] = field(default_factory=dict)
    commit_templates: Mapping[str, CommitTemplate] = field(default_factory=dict)
    priority: tuple[tuple[str, ...], ...] = ()
    status_context: str = "tide"
    queue: Mapping[str, Mapping[Leaf, object]] = field(default_factory=dict)
    not_applied: Mapping[Leaf, object] = field(default_factory=dict)
    protection_said: Mapping[Leaf, object] = field(default_factory=dict)
    budget: BudgetValues = field(default_factory=BudgetValues)
    sweep: SweepValues = field(default_factory=SweepValues)
    warnings: tuple[str, ...] = ()
    digest: str = ""
    _named: Mapping[str, tuple[int, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_named", by_scope(self.queries))

    def covers(self, branch: Branch) -> bool:
        """Whether any query speaks about the branch's repository."""
        return bool(applicable(self.queries, self._named, branch))

    @property
    def sweep_period(self) -> float:
        """Seconds between two sweeps where no webhooks are seen to work."""
        return self.sync_period if self.sweep.period is None else self.sweep.period

    def searches(self) -> tuple[str, ...]:
        """Every search that nominates pull requests, each as sent to GitHub (T2.3, D11)."""
        return tuple(dict.fromkeys(search for query in self.queries for search in query.searches()))

    def open_pull_searches(self) -> tuple[str, ...]:
        """Searches for all open pull requests in scope (T6.33)."""
        return open_pull_searches(self.queries)

    def for_branch(self, branch: Branch, compat: Compat = Compat.MERGEQ) -> BranchSettings:
        """Everything configured for one branch; under Compat.TIDE without what Tide does not know (D20)."""
        tide = compat is Compat.TIDE
        return BranchSettings(
            queries=applicable(self.queries, self._named, branch),
            contexts=self.contexts(branch),
            methods=self.methods,
            status_context=self.status_context,
            blocks_policy=most_specific(self.blocks_policies, branch, _UNSET.blocks_policy),
            priority=self.priority,
            batch_size_limit=most_specific(self.batch_size_limits, branch, 0),
            queue=QueueValues.of_tide() if tide else self.queue_values(branch),
            tells_all_queries=self.display_all_tide_queries_in_status,
            compat=compat,
            presubmits=self._presubmits(branch) if tide else (),
            prioritizes_existing_batches=self.prioritizes_existing_batches(branch),
            refusal=self.contexts_refusal(branch) if tide else "",
        )

    def held_to(self, branch: Branch, protection: Protection) -> BranchSettings:
        """Everything configured for one branch, with all that GitHub itself requires of it (D19)."""
        return under_protection(self.for_branch(branch), protection)

    def _presubmits(self, branch: Branch) -> tuple[Presubmit, ...]:
        """The jobs that Tide itself would see green with the base of a branch (T3.25)."""
        forced = self._wants_manual(branch)
        return tuple(
            Presubmit(
                job.context,
                always=job.always or job.before_merge or (job.manual and forced),
                run_if_changed=job.run_if_changed,
                skip_if_only_changed=job.skip_if_only_changed,
            )
            for job in self.presubmits.get(branch.full_repo, ())
            if job.runs_on(branch.name) and (job.before_merge or not job.optional)
        )

    def queue_values(self, branch: Branch) -> QueueValues:
        """Everything under `mergeq.queue` for one branch."""
        return queue_values(self.queue, branch)

    def contexts(self, branch: Branch) -> ContextPolicy:
        """Which contexts count on a branch: `context_options`, what the jobs of `presubmits` report, and with
        `from-branch-protection` what the configuration's own protection requires (T1.60, T1.63). Where that cannot be
        told it requires nothing.
        """
        options = self.context_options.for_branch(branch.org, branch.repo, branch.name)
        jobs = self.job_contexts(branch)
        required = options.required | jobs.required
        if options.from_branch_protection:
            required |= required_contexts(self.protection.of(branch, jobs)[0])
        return replace(
            options,
            required=required,
            required_if_present=options.required_if_present | jobs.required_if_present,
            optional=options.optional | jobs.optional,
            from_branch_protection=None,
        )

    def contexts_refusal(self, branch: Branch) -> str:
        """Why Tide would not act on the contexts of a branch: they contradict themselves (T1.61), or it could not read
        the jobs that report them (T3.25). Empty when it would.
        """
        in_repo = most_specific(self.jobs_in_repo, branch, fallback=False)
        return IN_REPO if in_repo else self.contexts(branch).refusal()

    @property
    def protection_values(self) -> ProtectionValues:
        """Everything under `mergeq.protection` that is one for everybody."""
        return self.wishing.values

    def protection_mode(self, org: str) -> Mode:
        """Whether mergeq writes protection in an org, or only looks (D13)."""
        return self.wishing.mode(org)

    def protected(self) -> Mapping[str, frozenset[str] | None]:
        """The orgs whose protection is looked at, each with the ``org/repo`` that are named there; None: the org's
        repositories are to be listed, and every one of them is looked at (P3.4).
        """
        return self.wishing.protected()

    def wants_branches(self, full_repo: str) -> bool:
        """Whether `wishes` needs to know which branches a repository has."""
        return self.wishing.wants_branches(full_repo)

    def wishes(self, facts: RepoFacts, now: float) -> tuple[Wish, ...]:
        """What is wished for each target of a repository; `now` is epoch seconds."""
        return self.wishing.wishes(facts, now)

    def protection_warnings(self, facts: RepoFacts, now: float) -> tuple[str, ...]:
        """Lines about what only shows with the branches that a repository has, and as time goes by."""
        of_repo = (one for one in self.protection_values.exemptions if one.repo.lower() == facts.repo.lower())
        return (*self.wishing.missing(facts), *self.wishing.exemption_problems(of_repo, now))

    def exemption_problems(self, now: float) -> tuple[str, ...]:
        """A line for each exemption that lasts too long or ended long ago (P7.11); `now` is epoch seconds."""
        return self.wishing.exemption_problems(self.protection_values.exemptions, now)

    def reserved(self, full_repo: str) -> tuple[str, ...]:
        """The prefixes of the queue's own refs in a repository, which protection leaves alone (D13)."""
        return self.wishing.reserved(full_repo)

    def job_contexts(self, branch: Branch) -> JobContexts:
        """The contexts of the jobs under `presubmits` that could run on a branch (T1.63)."""
        jobs = self.presubmits.get(branch.full_repo)
        if not jobs:
            return JobContexts()
        return contexts_of(jobs, branch.name, manual_required=self._wants_manual(branch))

    def _wants_manual(self, branch: Branch) -> bool:
        """Whether jobs that run on request alone are required (T1.63)."""
        options = self.context_options.for_branch(branch.org, branch.repo, branch.name)
        return bool(options.from_branch_protection and self.protection.merged(branch).get(_MANUAL))

    def batch_size_limit(self, branch: Branch) -> int:
        """How many pull requests may be tested together; 0: any number, below 0: no batches (T1.20)."""
        ours = self.queue_values(branch).batch_size_limit
        return most_specific(self.batch_size_limits, branch, 0) if ours is None else ours

    def prioritizes_existing_batches(self, branch: Branch) -> bool:
        """Whether a batch that was tried is tested again before a new one is formed (T1.21)."""
        return most_specific(self.prioritize_existing_batches, branch, fallback=True)

    def commit_template(self, branch: Branch) -> CommitTemplate:
        """The templates for the title and body of merge commits (T1.44)."""
        templates = self.commit_templates
        return templates.get(branch.full_repo) or templates.get(branch.org) or CommitTemplate()

    def status_link(self, pull: PullRequest) -> str:
        """What is configured for the link of a pull request's status; empty when nothing is (T6.30)."""
        return self.target_url(pull.branch) or dashboard_link(self.pr_status_base_url(pull.branch), pull)

    def target_url(self, branch: Branch) -> str:
        """The configured link of a status, most specific first; empty when none is (T1.16)."""
        return most_specific(self.target_urls, branch, "")

    def pr_status_base_url(self, branch: Branch) -> str:
        """The base of the link to the pull request dashboard, most specific first; empty when none is (T1.18)."""
        return most_specific(self.pr_status_base_urls, branch, "")


def dashboard_link(base: str, pull: PullRequest) -> str:
    """The link to a dashboard of pull requests that is to show this one: `base` with its `query` parameter set to a
    search. Empty for no base, and for one that is no URL to Go's `net/url` (T6.30).
    """
    if not base or _NO_URL.search(base.partition("?")[0]):
        return ""
    try:
        parts = urlsplit(base)
        _ = parts.port
    except ValueError:
        return ""
    author = pull.author.removesuffix("[bot]")
    author = f"app/{author}" if pull.is_bot and not author.startswith("app/") else author
    search = f"is:pr repo:{pull.org}/{pull.repo} author:{author} head:{pull.head_ref}"
    given = "&".join(pair for pair in parts.query.split("&") if not _NO_PAIR.search(pair))
    kept = [(name, value) for name, value in parse_qsl(given, keep_blank_values=True) if name != "query"]
    return urlunsplit(parts._replace(query=urlencode(sorted([*kept, ("query", search)], key=lambda pair: pair[0]))))


def load(paths: Iterable[Path]) -> Configuration:
    """Read every path as one configuration: main files, then the supplemental files of folders (T1.6).

    Raises ConfigError with every problem that was found, a line each.
    """
    paths = tuple(paths)
    documents, problems = documents_of(paths)
    return configuration_of(documents, problems, ", ".join(map(str, paths)) or "no configuration")


def texts_of(paths: Iterable[Path]) -> tuple[tuple[str, str, bool], ...]:
    """Every file behind the paths: its name, its text, and whether it is a main one. Raises ConfigError."""
    return tuple((str(file), text_of(file), is_main) for file, is_main in _files(paths))


def load_texts(texts: Iterable[tuple[str, str, bool]], whose: str) -> Configuration:
    """As `load`, for what `texts_of` gave. Raises ConfigError."""
    documents = [(parse(text.encode(), name), is_main) for name, text, is_main in texts]
    return configuration_of(documents, [], whose)


def documents_of(paths: Iterable[Path]) -> tuple[list[tuple[Document, bool]], list[str]]:
    """Every file behind the paths, with whether it is a main one, and what could not be read."""
    problems: list[str] = []
    documents: list[tuple[Document, bool]] = []
    for file, is_main in _files(paths):
        try:
            documents.append((read(file), is_main))
        except ConfigError as error:
            problems += error.problems
    return documents, problems


def configuration_of(documents: Sequence[tuple[Document, bool]], problems: list[str], whose: str) -> Configuration:
    """The documents as one configuration. Raises ConfigError with `problems` and every one that is found here."""
    reading = Reading(problems)
    tide, ours = TideSection(reading), MergeqSection(reading)
    protection, presubmits = ProtectionSection(reading), PresubmitsSection(reading)
    protecting = ProtectingSection(reading)
    digest = hashlib.sha256()
    for document, is_main in documents:
        reading.turn_to(document)
        digest.update(json.dumps(document.value, sort_keys=True, default=str).encode())
        if document.value is None:
            continue
        if not isinstance(document.value, dict):
            reading.problem((), "is not a mapping", "a configuration has `tide:` and `mergeq:` at its top")
            continue
        sections = reading.tidy(document.value, _SECTIONS, (), others=True)
        tide.read(sections.get("tide"), is_main=is_main)
        protecting.read(ours.read(sections.get("mergeq")).get("protection", {}))
        protection.read(sections.get("branch-protection"))
        presubmits.read(sections.get("presubmits"))
        presubmits.read_in_repo(sections.get("in_repo_config"))
        for key in sorted(_NO_JOBS & document.value.keys()):
            reading.warn((key,), "is not applied", "mergeq runs no jobs; nothing else needs it here")
    queries = merged([query for query, _ in tide.queries])
    found = Configuration(
        queries=tuple(query for query, _ in queries),
        query_places=tuple(tuple(tide.queries[index][1].place for index in made_of) for _, made_of in queries),
        methods=tide.methods(),
        context_options=tide.context_options,
        protection=protection.result(),
        wishing=Wishing(
            replace(protecting.values, floor=said_by(protecting.result().floor)),
            protection.result(),
            protecting.result(),
            presubmits.jobs,
            tide.context_options,
            {key: lined(spot) for key, spot in tide.context_spots.items()},
            ours.levels,
        ),
        presubmits=presubmits.jobs,
        jobs_in_repo=presubmits.in_repo,
        status_context=ours.status_context or Configuration().status_context,
        queue=ours.levels,
        not_applied=ours.not_applied,
        protection_said=ours.protection,
        budget=ours.budget,
        sweep=ours.sweep,
        digest=digest.hexdigest()[:12],
        **{"status_update_period": tide.settings.get("sync_period", 60.0), **tide.settings},
    )
    refusing, telling = objections.of(found.wishing, is_waited_for=bool(found.queries))
    problems += (*_untested_stagings(found, ours), *refusing)
    if problems:
        raise ConfigError(*problems)
    nothing = f"{whose}: has no `tide.queries`, so nothing will ever merge; add a query"
    warnings = (*reading.warnings, *_contradictions(found, tide.context_spots), *telling)
    return replace(found, warnings=warnings if found.queries else (*warnings, nothing))


def most_specific(values: Mapping[str, T], branch: Branch, fallback: T) -> T:
    """The value for ``org/repo``, else for ``org``, else for ``*`` (T1.16, T1.20-T1.22)."""
    if not values:
        return fallback
    return next((values[key] for key in (branch.full_repo, branch.org, "*") if key in values), fallback)


def _files(paths: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    """The main files of all paths, then the supplemental ones. In a folder `config.yaml` is a main file; folders whose
    name begins with two dots are how Kubernetes keeps what it links to.
    """
    supplemental: list[Path] = []
    for path in paths:
        if not path.is_dir():
            yield path, True
            continue
        roots = [path / name for name in ("config.yaml", "_config.yaml") if (path / name).is_file()]
        yield from ((file, True) for file in roots)
        found = sorted(file for file in path.rglob("*") if file.suffix in {".yaml", ".yml"} and file.is_file())
        shown = (file for file in found if not any(part.startswith("..") for part in file.relative_to(path).parts))
        supplemental += [file for file in shown if file not in roots]
    yield from ((file, False) for file in supplemental)


def _untested_stagings(configuration: Configuration, ours: MergeqSection) -> Iterator[str]:
    """Retesting on the base where no context would have to be green there, neither at that level nor at any below:
    nothing could ever land (D3).
    """
    scopes = dict.fromkeys(("*", *_scopes(configuration), *configuration.queue))
    for key, level in configuration.queue.items():
        mode = Retest(str(level.get(("retest",), Retest.HEAD)))
        if mode is Retest.HEAD or any(_is_within(one, key) and _demanded(configuration, one, mode) for one in scopes):
            continue
        staged = mode is Retest.STAGING
        yield ours.spots[key, ("retest",)].line(
            f"no context is required{' on staged commits' * staged} here, so nothing could ever be called tested",
            f"name some under `tide.context_options`{' or `staging_contexts`' * staged}",
        )


def _demanded(configuration: Configuration, scope: str, mode: Retest) -> frozenset[str]:
    """The contexts that must be green on what is tested (T0.6), as far as a level can tell; for a repository those of
    all its branches.
    """
    branch = branch_of(scope)
    queue = configuration.queue_values(branch)
    jobs = () if branch.name else configuration.presubmits.get(branch.full_repo, ())
    required = configuration.contexts(branch).required.union(job.context for job in jobs if job.is_required)
    if mode is Retest.STAGING:
        required = required - queue.head_only_contexts | queue.staging_contexts
    return required - {configuration.status_context}


def _contradictions(configuration: Configuration, options: Mapping[str, Spot]) -> Iterator[str]:
    """What contradicts itself about the contexts of a level: such a branch requires whatever anything requires of it,
    where Tide would not act at all (T1.60, T1.61). A level that only inherits a contradiction is not named.
    """
    asking = (scope for scope, policy in _context_levels(configuration) if policy.from_branch_protection)
    if not configuration.protection.levels and (first := next(asking, None)):
        what = f"{first}: asks for the contexts of `branch-protection:`, but no file has that section"
        yield options[first].line(what, "give the file that has it too, or remove `from-branch-protection`")
    told: set[str] = set()
    for scope in ("*", *_scopes(configuration)):
        branch = branch_of(scope)
        spots = [spots[scope] for spots in (options, configuration.protection.spots) if scope in spots]
        resolved = configuration.context_options.for_branch(branch.org, branch.repo, branch.name)
        protected = resolved.from_branch_protection and scope in configuration.protection.spots
        if not protected and scope not in options and branch.full_repo not in configuration.presubmits:
            continue  # what holds there is what holds one level up
        overlap = configuration.contexts(branch).overlap()
        if overlap and not any(f"{key}: {overlap}" in told for key in keys_of(branch)):
            told.add(f"{scope}: {overlap}")
            jobs = [job.spot for job in configuration.presubmits.get(branch.full_repo, ())]
            remedy = "name each context once, until then what is required is required"
            yield from (spot.line(f"{scope}: {overlap}", remedy) for spot in (*spots, *jobs)[:1])


def _context_levels(configuration: Configuration) -> Iterable[tuple[str, ContextPolicy]]:
    options = configuration.context_options
    return (("*", options.everyone), *options.narrower.items())


def _scopes(configuration: Configuration) -> Iterable[str]:
    """Every org, repository and branch about whose contexts anything is said."""
    return dict.fromkeys(
        scope
        for scope in (
            *configuration.context_options.narrower,
            *configuration.protection.levels,
            *configuration.presubmits,
        )
        if scope != "*"
    )


def _is_within(scope: str, level: str) -> bool:
    return level in {"*", scope} or scope.startswith((f"{level}/", f"{level}:"))
