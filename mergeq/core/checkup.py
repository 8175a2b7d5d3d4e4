"""Whether mergeq can do its work on a repository: what was seen there, judged, with what to do about each thing."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum

from mergeq.core.ci import listening
from mergeq.core.pool import BranchSettings
from mergeq.core.pull import BranchFacts, Method, Protection
from mergeq.core.query import Query
from mergeq.core.queue import Retest, StagingValues, TriggerKind


class Severity(StrEnum):
    """How much a finding matters: `ok` and `note` ask for nothing, a `problem` keeps mergeq from doing its work."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what was seen, and what to do, empty when nothing is to be done."""

    severity: Severity
    about: str
    seen: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Need:
    """A permission of a GitHub App (or fine-grained token), with the scope of a classic token that includes it."""

    permission: str
    access: str
    why: str
    is_optional: bool = False
    scope: str = "repo"


NEEDS = (
    Need("contents", "write", "merging, staging refs, dispatches"),
    Need("pull_requests", "write", "what is open, and bringing it up to date"),
    Need("statuses", "write", "our status, and reading those of others"),
    Need("checks", "read", "check runs of heads and of staged commits"),
    Need("issues", "read", "blockers"),
    Need("metadata", "read", "search, labels and rules"),
    Need("administration", "read", "branch protection, and who may pass it by"),
    Need(
        "workflows",
        "write",
        "pull requests that change `.github/workflows`",
        is_optional=True,
        scope="workflow",
    ),
)
"""What mergeq does on GitHub and the permission for it (GitHub's "Permissions required for GitHub Apps")."""

EVENTS = (
    "branch_protection_configuration",
    "branch_protection_rule",
    "check_run",
    "check_suite",
    "create",
    "issues",
    "label",
    "milestone",
    "pull_request",
    "pull_request_review",
    "pull_request_review_thread",
    "push",
    "repository",
    "repository_ruleset",
    "status",
)
"""The webhook events that send mergeq to look somewhere (GitHub's "Webhook events and payloads")."""

_LEVELS = ("", "read", "write", "admin")
_STAGING_RULES = {
    "creation": "creating refs",
    "update": "moving refs",
    "deletion": "deleting refs",
    "non_fast_forward": "moving scratch refs back",
    "required_signatures": "commits that GitHub did not sign",
    "required_linear_history": "merge commits",
    "required_status_checks": "commits that were not tested before",
    "required_deployments": "commits that were not deployed before",
    "pull_request": "anything that does not come by pull request",
    "merge_queue": "anything but GitHub's own merge queue",
    "workflows": "commits that required workflows did not pass",
    "code_scanning": "commits that were not scanned before",
    "commit_message_pattern": "commit messages of another pattern",
    "commit_author_email_pattern": "authors of another pattern",
    "committer_email_pattern": "committers of another pattern",
    "branch_name_pattern": "names of another pattern",
}
"""What each kind of rule refuses of a staging ref (Q52, "Available rules for rulesets")."""

_PUSH_RULES = {
    "file_path_restriction": "files at certain paths",
    "file_extension_restriction": "files with certain endings",
    "max_file_path_length": "files with long paths",
    "max_file_size": "files over a certain size",
}
"""What each kind of push rule refuses on every ref, and of a pull request when it is staged or merged (the same)."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who mergeq is to GitHub. `granted` are the App's permissions by name in this organization, `scopes` those of a
    classic token; both None when GitHub does not tell, as of a fine-grained token. `role` is what GitHub says the
    bearer may do in the repository; an App has none.
    """

    who: str
    is_app: bool = False
    granted: Mapping[str, str] | None = None
    scopes: frozenset[str] | None = None
    role: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rule:
    """An active rule of a ruleset; `bypass` is whether we may pass it by: never, always, pull_requests_only, exempt, or
    empty when GitHub does not tell.
    """

    kind: str
    ruleset: str
    bypass: str = ""

    @property
    def binds_us(self) -> bool:
        """Whether a push of ours is held to it."""
        return self.bypass not in {"always", "exempt"}


@dataclass(frozen=True, slots=True)
class Classic:
    """Classic protection as far as it makes differences between people: `names_us` says in which of its lists we
    are; `restricts_pushes` whether only those in its list may push.
    """

    enforce_admins: bool
    restricts_pushes: bool = False
    names_us: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class BranchSeen:
    """One branch. `facts` None: not there, or unreadable, and `why` says so. `classic` None: none, or not readable.

    `reports` are the names of contexts seen on `heads` recent heads, with the apps they came from, None for statuses.
    """

    name: str
    facts: BranchFacts | None = None
    why: str = ""
    is_protected: bool = False
    classic: Classic | None = None
    rules: tuple[Rule, ...] = ()
    reports: frozenset[tuple[str, str | None]] = frozenset()
    heads: int = 0


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow of GitHub Actions on the default branch: whether it runs on pushes, and with which filters; None: no
    such filter. `on_dispatch`: whether it runs on repository_dispatch, and `types` of which. `why` says what could not
    be read.
    """

    path: str
    on_push: bool = False
    branches: tuple[str, ...] | None = None
    branches_ignore: tuple[str, ...] = ()
    on_dispatch: bool = False
    types: tuple[str, ...] | None = None
    why: str = ""

    def is_dispatched(self, event_type: str) -> bool:
        """Whether a repository_dispatch of that type runs it ("Workflow syntax", `on.<event_name>.types`)."""
        return self.on_dispatch and (self.types is None or event_type in self.types)

    def hears(self, ref: str) -> bool:
        """Whether a push to the branch `ref` runs it ("Workflow syntax", `on.push.branches`)."""
        if not self.on_push or any(is_matched(ref, one) for one in self.branches_ignore):
            return False
        if self.branches is None:
            return True
        heard = False
        for pattern in self.branches:
            if is_matched(ref, pattern.removeprefix("!")):
                heard = not pattern.startswith("!")
        return heard


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook that sends events about the repository; `failed` are its newest deliveries that were not taken, a
    phrase each, of `tried` that were looked at.
    """

    url: str
    events: frozenset[str]
    is_active: bool = True
    is_json: bool = True
    tried: int = 0
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """All that was seen of a repository. None stands for what could not be read; `gaps` says why, by its topic."""

    full_repo: str
    identity: Identity
    default_branch: str
    branches: tuple[BranchSeen, ...] = ()
    missing_branches: frozenset[str] = frozenset()
    branch_names: tuple[str, ...] = ()
    labels: tuple[str, ...] | None = None
    hooks: tuple[Hook, ...] | None = None
    workflows: tuple[Workflow, ...] | None = None
    workflow_token: str | None = None
    staging_rules: tuple[Rule, ...] = ()
    scratch_rules: tuple[Rule, ...] = ()
    push_rules: tuple[Rule, ...] = ()
    classic_patterns: tuple[str, ...] = ()
    prefixes: tuple[str, str] = (StagingValues().prefix, StagingValues().scratch_prefix)
    listed: int = 0
    found: int | None = None
    server: str = ""
    lacking: tuple[str, ...] = ()
    is_archived: bool = False
    gaps: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the configuration wants of a repository: the settings of each branch that is looked at, and every label that
    is named, with what names it. None of it without a configuration.
    """

    settings: Mapping[str, BranchSettings]
    labels: Mapping[str, str]
    is_covered: bool


def judge(seen: Seen, wanted: Wanted | None) -> tuple[Finding, ...]:
    """Everything there is to say about a repository, in the order in which it is best mended."""
    return tuple(
        Finding(severity, about, what, remedy)
        for about, topic in (
            ("credentials", _credentials(seen)),
            ("server", _server(seen)),
            ("configuration", _configuration(seen, wanted)),
            ("branches", _branches(seen, wanted)),
            ("labels", _labels(seen, wanted)),
            ("merge-methods", _methods(seen, wanted)),
            ("contexts", _contexts(seen, wanted)),
            ("protection", _protection(seen)),
            ("bypass", _bypasses(seen)),
            ("merge-queue", _native_queue(seen)),
            ("staging", _staging(seen, wanted)),
            ("ci", _ci(seen, wanted)),
            ("workflow-token", _workflow_token(seen)),
            ("webhooks", _webhooks(seen)),
            ("search", _search(seen)),
        )
        for severity, what, remedy in (*topic, *_gap(seen, about))
    )


_Found = tuple[Severity, str, str]
_OK, _NOTE, _WARNING, _PROBLEM = Severity.OK, Severity.NOTE, Severity.WARNING, Severity.PROBLEM


def _gap(seen: Seen, about: str) -> Iterator[_Found]:
    if why := seen.gaps.get(about):
        yield _NOTE, f"could not be looked at: {why}", "give the credentials the right to read it, or look yourself"


def _credentials(seen: Seen) -> Iterator[_Found]:
    me = seen.identity
    missing = [need for need in NEEDS if not _has(me, need)]
    for need in missing:
        if me.scopes is not None:
            what, how = f"the scope `{need.scope}` is missing", "make a token that has it"
        elif me.granted is not None:
            what = f"the permission {need.permission}: {need.access} is missing"
            how = "give it to the App in its settings, then accept it in the organization"
        else:
            what, how = f"the right to {need.access} is missing in {seen.full_repo}", "give it to its bearer"
        severity = _WARNING if need.is_optional or need.access == "read" else _PROBLEM
        yield severity, f"{me.who}: {what}; it is for {need.why}", how
    if not missing:
        told = me.granted is not None or me.scopes is not None
        yield _OK, f"{me.who} may do all that mergeq does" if told else f"{me.who} may write", ""
    if not me.is_app and me.scopes is None:
        listed = ", ".join(f"{need.permission}: {need.access}" for need in NEEDS)
        yield (
            _NOTE,
            "GitHub does not tell what a fine-grained token may do",
            f"see in its settings that it has {listed}",
        )
    if me.scopes is not None and (excess := me.scopes & {"admin:org", "delete_repo", "admin:enterprise", "site_admin"}):
        yield _WARNING, f"the token could also do what mergeq never does: {_names(excess)}", "make one without these"
    if seen.is_archived:
        yield _PROBLEM, f"{seen.full_repo} is archived and read-only", "unarchive it, or take it out of the queries"


def _has(me: Identity, need: Need) -> bool:
    if me.granted is not None:
        return _LEVELS.index(me.granted.get(need.permission, "")) >= _LEVELS.index(need.access)
    if me.scopes is not None and need.scope not in me.scopes:
        return False
    return need.permission != "contents" or me.is_app or "push" in me.role


def _server(seen: Seen) -> Iterator[_Found]:
    name = f"GitHub Enterprise Server {seen.server}" if seen.server else "this GitHub"
    for feature in seen.lacking:
        yield _WARNING, f"{name} does not know {feature}; mergeq goes on without", "update the server to have it"
    if seen.server and not seen.lacking:
        yield _OK, f"{name} knows all that mergeq asks for", ""


def _configuration(seen: Seen, wanted: Wanted | None) -> Iterator[_Found]:
    if wanted is None:
        yield _NOTE, "no configuration was given, so nothing is compared with one", "name it with --config PATH"
    elif not wanted.is_covered:
        what = f"no query speaks about {seen.full_repo}, so nothing there will ever merge"
        yield _PROBLEM, what, "name it or its org in `tide.queries`"


def _branches(seen: Seen, wanted: Wanted | None) -> Iterator[_Found]:
    for name in sorted(seen.missing_branches):
        how = f"did you mean {close}?" if (close := _close(name, seen.branch_names)) else "create it, or mend the name"
        yield _WARNING, f"the configuration names the branch {name}, which is not there", how
    for branch in seen.branches:
        if branch.why:
            yield _PROBLEM, f"{branch.name}: {branch.why}", "until it can be read, nothing lands there"
    if wanted is not None and not seen.missing_branches:
        yield _OK, "every branch that the configuration names is there", ""


def _labels(seen: Seen, wanted: Wanted | None) -> Iterator[_Found]:
    if wanted is None or seen.labels is None:
        return
    known = {label.lower() for label in seen.labels}
    absent = {label: why for label, why in wanted.labels.items() if label.lower() not in known}
    for label, why in absent.items():
        how = f"did you mean {close}?" if (close := _close(label, seen.labels)) else "create it in the repository"
        yield _WARNING, f"{why} names the label {label}, which {seen.full_repo} does not have", how
    if not absent:
        yield _OK, f"all {len(wanted.labels)} labels that the configuration names are there", ""


def _methods(seen: Seen, wanted: Wanted | None) -> Iterator[_Found]:
    for branch in seen.branches:
        if wanted is None or branch.facts is None:
            continue
        methods = wanted.settings[branch.name].methods
        allowed = branch.facts.repository.allowed_methods
        if branch.facts.protection.linear_history:
            allowed -= {Method.MERGE}
        method = methods.for_branch(branch.facts.branch)
        may = _names(one.value for one in allowed) or "none"
        if method not in allowed:
            yield (
                _PROBLEM,
                f"{branch.name}: the configuration says {method.value}, but GitHub allows {may} there",
                f"set `tide.merge_method` of {seen.full_repo} to one of these, or allow it on GitHub",
            )
            continue
        yield _OK, f"{branch.name}: merged by {method.value}, which GitHub allows", ""
        by_label = (
            (methods.squash_label, Method.SQUASH),
            (methods.rebase_label, Method.REBASE),
            (methods.merge_label, Method.MERGE),
        )
        for label, wish in by_label:
            if label and wish not in allowed:
                what = f"{branch.name}: the label {label} asks for {wish.value}, but GitHub allows {may} there"
                yield _NOTE, what, f"do not use {label} here, or allow {wish.value}"


def _contexts(seen: Seen, wanted: Wanted | None) -> Iterator[_Found]:
    for branch in seen.branches:
        if branch.facts is None:
            continue
        settings = wanted.settings[branch.name] if wanted else None
        asked = [(name, app, "GitHub's protection") for name, app in branch.facts.protection.required]
        if settings:
            named = settings.contexts.required | settings.queue.staging_contexts
            asked += [(name, settings.queue.context_apps.get(name), "the configuration") for name in sorted(named)]
        ours = settings.status_context if settings else ""
        asked = [one for one in asked if one[0] != ours]
        if asked and not branch.heads:
            yield _NOTE, f"{branch.name}: nothing was reported on anything lately, so contexts cannot be compared", ""
            continue
        silent = [one for one in asked if not _is_reported(branch.reports, one[0], one[1])]
        for name, app, whose in silent:
            yield _PROBLEM, *_silence(branch, name, app, whose)
        if asked and not silent:
            yield _OK, f"{branch.name}: all {len(asked)} required contexts report", ""
        if not asked:
            what = f"{branch.name}: no context is required by name; whatever reports must be green"
            yield _NOTE, what, "require the contexts that matter, so that one that stays away is missed"


def _is_reported(reports: Iterable[tuple[str, str | None]], name: str, app: str | None) -> bool:
    return any(name == seen and app in {None, "any", by} for seen, by in reports)


def _silence(branch: BranchSeen, name: str, app: str | None, whose: str) -> tuple[str, str]:
    """Which context stays away, and what to do."""
    if others := sorted({by or "a status" for seen, by in branch.reports if seen == name}):
        what = f"{branch.name}: {name} is required from {app} by {whose}, but comes from {', '.join(others)}"
        return what, f"require it from {others[0]}, or have {app} report it"
    what = f"{branch.name}: {name} is required by {whose}, and none of the newest {branch.heads} heads has it"
    if close := _close(name, sorted({seen for seen, _ in branch.reports})):
        return what, f"did you mean {close}? Otherwise start what reports it, or require it no more"
    return what, "start what reports it, or require it no more"


def _protection(seen: Seen) -> Iterator[_Found]:
    for branch in seen.branches:
        if branch.facts is None:
            continue
        if branch.is_protected and not (branch.classic or branch.rules) and branch.facts.protection == Protection():
            yield (
                _PROBLEM,
                f"{branch.name}: is protected, but by what cannot be seen, so mergeq cannot hold itself to it",
                "give the permission administration: read",
            )
        rules = [f"a rule that only GitHub can judge: {kind}" for kind in branch.facts.protection.unjudged]
        if branch.facts.protection.is_locked:
            yield _PROBLEM, f"{branch.name}: is locked", "unlock it in its protection; until then nothing lands"
        for rule in rules:
            yield _NOTE, f"{branch.name}: {rule}; its verdict is awaited on each pull request", ""
        classic = branch.classic
        if classic and classic.restricts_pushes and "pushers" not in classic.names_us:
            severity = _WARNING if not classic.enforce_admins and "admin" in seen.identity.role else _PROBLEM
            what = f"{branch.name}: only those on a list may push, and {seen.identity.who} is not on it"
            yield severity, what, "add it to the people, teams or Apps that may push; merging needs that too"


def _bypasses(seen: Seen) -> Iterator[_Found]:
    """Every way past protection that we could take and do not (D19)."""
    held = []
    for branch in seen.branches:
        classic = branch.classic
        if classic and not classic.enforce_admins and "admin" in seen.identity.role:
            held.append((f"{branch.name}: administrators are not held to its protection", "include administrators"))
        if classic and "reviews" in classic.names_us:
            held.append((f"{branch.name}: is on the list of those who need no pull request", "take it off the list"))
        if classic and "forcers" in classic.names_us:
            held.append((f"{branch.name}: is on the list of those who may force-push", "take it off the list"))
        for name, how in {rule.ruleset: rule.bypass for rule in branch.rules}.items():
            if how not in {"", "never"}:
                words = {"pull_requests_only": "by pull request"}.get(how, how)
                what = f"{branch.name}: may pass the ruleset {name} by ({words})"
                held.append((what, "take it, its team or its role off the ruleset's bypass list"))
    for what, how in held:
        kept = "mergeq holds itself to it all the same, but whoever gets hold of the token need not"
        yield _WARNING, f"{seen.identity.who} on {what}; {kept}", how
    if not held and seen.branches and not seen.gaps.get("bypass"):
        yield _OK, f"{seen.identity.who} can pass no protection by, as far as it can see", ""


def _native_queue(seen: Seen) -> Iterator[_Found]:
    for branch in seen.branches:
        ruled = any(rule.kind == "merge_queue" for rule in branch.rules)
        if ruled or (branch.facts and any(pull.in_merge_queue for pull in branch.facts.pulls)):
            what = f"{branch.name}: has GitHub's own merge queue, which lets nothing else merge"
            yield _PROBLEM, what, "switch it off in the branch's rules, or exclude the branch from the queries"


def _staging(seen: Seen, wanted: Wanted | None) -> Iterator[_Found]:
    """What would keep staging and scratch refs from being made (Q52)."""
    modes = {settings.queue.retest for settings in wanted.settings.values()} if wanted else set[Retest]()
    prefixes = seen.prefixes
    clear = True
    for prefix, rules, is_used in (
        (prefixes[0], seen.staging_rules, Retest.STAGING in modes),
        (prefixes[1], seen.scratch_rules, bool(modes - {Retest.HEAD})),
    ):
        severity = _PROBLEM if is_used else _NOTE
        for what, remedy in standing_in_the_way(rules, prefix):
            clear = False
            yield severity, what, remedy
        for pattern in seen.classic_patterns:
            if is_matched(f"{prefix}main-0123456789ab", pattern):
                clear = False
                what = f"the branch protection of {pattern} covers refs/heads/{prefix}**"
                yield severity, what, f"narrow the pattern so that it leaves out {prefix}"
    for name, refused in _by_ruleset(seen.push_rules, _PUSH_RULES):
        what = f"the ruleset {name} refuses pushes of {refused}, so a pull request that brings some in is not staged"
        yield _NOTE, what, "let mergeq bypass it if such pull requests are to land"
    if clear and "staging" not in seen.gaps:
        yield _OK, f"no rule stands in the way of refs under {prefixes[0]} and {prefixes[1]}", ""


def standing_in_the_way(rules: Iterable[Rule], prefix: str) -> Iterator[tuple[str, str]]:
    """What rules for refs under a prefix of ours refuse, ruleset by ruleset, each with what to do about it (Q52)."""
    for name, refused in _by_ruleset(rules, _STAGING_RULES):
        what = f"the ruleset {name} covers refs/heads/{prefix}** and refuses there {refused}"
        yield what, f"exclude `refs/heads/{prefix}**/*` in its target branches"


def _by_ruleset(rules: Iterable[Rule], refusing: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What each ruleset that binds us refuses, of the kinds of rules that are `refusing`."""
    found: dict[str, list[str]] = {}
    for rule in rules:
        if rule.binds_us and rule.kind in refusing:
            found.setdefault(rule.ruleset, []).append(refusing[rule.kind])
    for name, refused in found.items():
        yield name, ", ".join(refused)


def _ci(seen: Seen, wanted: Wanted | None) -> Iterator[_Found]:
    """Whether what is staged would be tested, as far as that can be seen: CI is told by a push where nothing else is
    configured.
    """
    settings = wanted.settings.values() if wanted else ()
    staging = [one.queue.staging for one in settings if one.queue.retest is Retest.STAGING]
    by_kind = {one.trigger.kind: one for one in staging}
    if event := by_kind.get(TriggerKind.CLOUDEVENTS):
        where = event.trigger.place
        yield _NOTE, f"CI is told of staged commits at {where}; what it starts is not seen from here", ""
    if seen.workflows is None:
        return
    if dispatch := by_kind.get(TriggerKind.REPOSITORY_DISPATCH):
        yield from _dispatched(seen.workflows, dispatch)
    if TriggerKind.PUSH in by_kind or not by_kind:
        yield from _pushed(seen, seen.workflows, staged=bool(by_kind))


def _dispatched(workflows: Sequence[Workflow], staging: StagingValues) -> Iterator[_Found]:
    event = staging.trigger.event_type
    heard = [one.path for one in workflows if one.is_dispatched(event)]
    if heard:
        yield _OK, f"repository_dispatch {event} runs {_names(heard)}", ""
    else:
        what = f"no workflow of GitHub Actions runs on repository_dispatch {event}"
        yield _WARNING, what, f"if a required context comes from one, add `{listening(staging)}` under its `on:`"


def _pushed(seen: Seen, workflows: Sequence[Workflow], *, staged: bool) -> Iterator[_Found]:
    prefix = seen.prefixes[0]
    severity = _PROBLEM if staged else _NOTE
    deaf = [one for one in workflows if not one.why and not one.hears(f"{prefix}main-0123456789ab")]
    heard = [one for one in workflows if not one.why and one not in deaf]
    for one in workflows:
        if one.why:
            yield _WARNING, f"{one.path} cannot be read: {one.why}", "mend it; GitHub does not run it either"
    if heard:
        yield _OK, f"pushes to {prefix}** run {_names(one.path for one in heard)}", ""
        severity = _NOTE
    for one in deaf:
        yield severity, f"{one.path} does not run on pushes to {prefix}**", _listening(one, prefix)
    if not workflows:
        what = "there are no GitHub Actions workflows, so another CI must build staging refs"
        yield (_NOTE, what, f"have it build pushes to {prefix}** and report on their commits" if staged else "")


def _listening(workflow: Workflow, prefix: str) -> str:
    """How a workflow is made to run on staging refs."""
    if not workflow.on_push:
        return f"if a required context comes from it, add `push: {{branches: ['{prefix}**']}}` under its `on:`"
    if any(is_matched(f"{prefix}main-0123456789ab", one) for one in workflow.branches_ignore):
        return f"take the pattern that matches {prefix} out of its `on.push.branches-ignore`"
    return f"if a required context comes from it, add `'{prefix}**'` to its `on.push.branches`"


def _workflow_token(seen: Seen) -> Iterator[_Found]:
    if seen.workflow_token == "write":  # noqa: S105 -- the name of a level of access
        what = "workflows get a token that may write by default, and staged commits run what contributors wrote"
        yield _WARNING, what, "set Settings > Actions > General > Workflow permissions to read"
    elif seen.workflow_token:
        yield _OK, f"workflows get a token that may {seen.workflow_token} by default", ""


def _webhooks(seen: Seen) -> Iterator[_Found]:
    if seen.hooks is None:
        return
    hooks = [hook for hook in seen.hooks if hook.is_active]
    if not hooks:
        what = "no active webhook sends anything, so mergeq only looks every `sync_period`"
        yield _WARNING, what, "add one to /webhooks/github of mergeq's address, content type application/json"
    for hook in hooks:
        if not hook.is_json:
            yield _PROBLEM, f"{hook.url}: sends forms, which mergeq does not read", "set its content type to JSON"
        absent = [] if "*" in hook.events else [event for event in EVENTS if event not in hook.events]
        if absent:
            yield _WARNING, f"{hook.url}: does not send {', '.join(absent)}", "subscribe it to these events"
        if hook.failed:
            what = f"{hook.url}: {len(hook.failed)} of its newest {hook.tried} deliveries were not taken"
            yield _WARNING, f"{what}: {'; '.join(hook.failed[:3])}", _delivering(hook.failed)
        elif not absent and hook.is_json:
            yield _OK, f"{hook.url}: its newest {hook.tried} deliveries were all taken", ""


def _delivering(failed: Sequence[str]) -> str:
    """What to do about deliveries that were not taken; a wrong secret is answered 403, and none at all 503."""
    if any("403" in one or "401" in one for one in failed):
        return "give the webhook the secret that MERGEQ_WEBHOOK_SECRET holds"
    if any("503" in one for one in failed):
        return "set MERGEQ_WEBHOOK_SECRET to the webhook's secret, then restart the web process"
    return "see that the address is reachable from GitHub and that the web process runs"


def _search(seen: Seen) -> Iterator[_Found]:
    if seen.found is None:
        return
    if seen.found < seen.listed:
        what = f"search finds {seen.found} of the {seen.listed} open pull requests of {seen.full_repo}"
        yield _WARNING, what, "if that lasts for minutes, give the credentials access to the repository in full"
    else:
        yield _OK, f"search finds the {seen.listed} open pull requests", ""


def labels_of(queries: Iterable[Query], others: Mapping[str, str]) -> dict[str, str]:
    """Every label that queries and `others` (label by the key that names it) name, with what names it first."""
    found: dict[str, str] = {}
    for query in queries:
        for entry in query.labels:
            for label in entry.split(","):
                found.setdefault(label, "`labels` of a query")
        for label in query.missing_labels:
            found.setdefault(label, "`missingLabels` of a query")
    return {**{label: f"`{key}`" for key, label in others.items() if label}, **found}


def is_matched(name: str, pattern: str) -> bool:
    """Whether a pattern of GitHub's matches a whole branch name: ``*`` stays within a part, ``**`` does not."""
    out, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            out, at = f"{out}(?:.*/)?", at + 3
        elif pattern.startswith("**", at):
            out, at = f"{out}.*", at + 2
        else:
            char, at = pattern[at], at + 1
            out += {"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char))
    return re.fullmatch(out, name) is not None


def _close(name: str, known: Iterable[str]) -> str:
    """The known name that is most like one that is not known, empty when none is like it."""
    spellings = {one.lower(): one for one in known}
    close = get_close_matches(name.lower(), spellings, n=1, cutoff=0.6)
    return spellings[close[0]] if close else ""


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
