"""What binds a ref, in one form: classic protection and rulesets ask in the same words, and all of them at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from mergeq.sandbox.git import HEADS
from mergeq.sandbox.records import NOBODY, Method, Protection, Repo, RequiredCheck, Restrictions, ReviewRule, StatusRule
from mergeq.sandbox.rulesets import OF_PUSHES, BypassMode, Rule, Ruleset, covering

LOCKED = "Cannot change this locked branch"
PROTECTED = "Cannot update this protected ref."


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a text about commits or the ref itself must look like."""

    subject: str
    operator: str
    pattern: str
    negate: bool = False

    def allows(self, text: str) -> bool:
        match self.operator:
            case "starts_with":
                found = text.startswith(self.pattern)
            case "ends_with":
                found = text.endswith(self.pattern)
            case "contains":
                found = self.pattern in text
            case _:
                found = re.search(self.pattern, text, re.MULTILINE) is not None
        return found is not self.negate

    @property
    def sentence(self) -> str:
        what = {"starts_with": "start with", "ends_with": "end with", "contains": "contain"}
        must = "must not" if self.negate else "must"
        return f"{self.subject} {must} {what.get(self.operator, 'match')} a given {self._kind}: {self.pattern}"

    @property
    def _kind(self) -> str:
        return "regex pattern" if self.operator == "regex" else "pattern"


@dataclass(frozen=True, slots=True)
class Violation:
    """A sentence against a write, what was found to be so, and whether it holds for administrators too.

    Found are commits, or the files of a push (``of_push``), of which its sender is told in a part of its own.
    """

    sentence: str
    found: tuple[str, ...] = ()
    absolute: bool = False
    of_push: bool = False


@dataclass(frozen=True, slots=True)
class Demands:
    """Everything one source asks of writes to a ref.

    ``frozen`` is what is said to those who would update it, empty where updates are free. ``pushers`` None: nobody
    is kept from pushing. ``methods`` None: any. ``on_create``: whether contexts are asked of a new ref too.
    """

    status: StatusRule | None = None
    on_create: bool = True
    reviews: ReviewRule | None = None
    threads: bool = False
    linear: bool = False
    signatures: bool = False
    never_forced: bool = False
    forcers: Restrictions = NOBODY
    never_deleted: bool = False
    never_created: bool = False
    frozen: str = ""
    pushers: Restrictions | None = None
    pushers_create: bool = False
    methods: frozenset[Method] | None = None
    queue: bool = False
    messages: tuple[Pattern, ...] = ()
    author_emails: tuple[Pattern, ...] = ()
    committer_emails: tuple[Pattern, ...] = ()
    names: tuple[Pattern, ...] = ()
    environments: tuple[str, ...] = ()
    """Where the commit must have been deployed to."""
    workflows: tuple[str, ...] = ()
    """The paths of those that must have passed."""
    workflows_on_create: bool = True
    scanners: tuple[str, ...] = ()
    """The tools of code scanning that must have found nothing."""
    licenses: bool = False
    files: tuple[Rule, ...] = ()
    """What is asked of the files that a push brings."""

    @property
    def looks_at_commits(self) -> bool:
        texts = self.messages or self.author_emails or self.committer_emails
        return bool(self.linear or self.signatures or texts)


@dataclass(frozen=True, slots=True)
class Binding:
    """One source that binds a ref: classic protection, or a ruleset."""

    demands: Demands
    source: Protection | Ruleset

    @property
    def is_ruleset(self) -> bool:
        return isinstance(self.source, Ruleset)

    @property
    def is_about_pushes(self) -> bool:
        """Whether it binds whatever is pushed, and no ref in particular."""
        return isinstance(self.source, Ruleset) and self.source.is_about_pushes

    def lets_through(self, repo: Repo, by: str, *, merging: bool) -> BypassMode | None:
        """How somebody is let through by it, which GitHub tells in the answer to a push; None if not at all."""
        if isinstance(self.source, Protection):
            passes = not self.source.enforce_admins and repo.people.is_admin(by)
            return BypassMode.ALWAYS if passes else None
        mode = self.source.mode_for(repo, by)
        return None if mode is BypassMode.PULL_REQUEST and not merging else mode


def bindings(repo: Repo, ref: str) -> tuple[Binding, ...]:
    """All that is in force on a ref, whether it exists or not, and on what is pushed to it."""
    found = [Binding(_of_ruleset(ruleset), ruleset) for ruleset in covering(repo, ref)]
    rule = repo.protection_of(ref.removeprefix(HEADS)) if ref.startswith(HEADS) else None
    if rule is not None:
        found.insert(0, Binding(_of_protection(rule), rule))
    return tuple(found)


def is_protected(repo: Repo, branch: str) -> bool:
    """Whether GitHub calls a branch so: anything is in force on it, be it ever so little."""
    return any(not binding.is_about_pushes for binding in bindings(repo, HEADS + branch))


@lru_cache(maxsize=256)
def _of_protection(rule: Protection) -> Demands:
    return Demands(
        status=rule.status,
        reviews=rule.reviews,
        threads=rule.conversation_resolution,
        linear=rule.linear_history,
        signatures=rule.signatures,
        never_forced=not rule.force_pushes,
        forcers=rule.forcers,
        never_deleted=not rule.deletions,
        frozen=LOCKED if rule.lock_branch else "",
        pushers=rule.restrictions,
        pushers_create=rule.block_creations,
        queue=rule.queue,
        environments=rule.environments or (),
    )


@lru_cache(maxsize=256)
def _of_ruleset(ruleset: Ruleset) -> Demands:
    demands = Demands()
    for rule in ruleset.rules:
        demands = _with(demands, rule)
    return demands


def _with(demands: Demands, rule: Rule) -> Demands:
    """The demands and one rule more; a rule nobody knows asks for nothing (Q85)."""
    sent: Mapping[str, Any] = rule.parameters or {}
    match rule.type:
        case "creation":
            return replace(demands, never_created=True)
        case "update":
            return replace(demands, frozen=PROTECTED)
        case "deletion":
            return replace(demands, never_deleted=True)
        case "non_fast_forward":
            return replace(demands, never_forced=True)
        case "required_linear_history":
            return replace(demands, linear=True)
        case "required_signatures":
            return replace(demands, signatures=True)
        case "merge_queue":
            return replace(demands, queue=True)
        case "required_status_checks":
            checks = tuple(
                RequiredCheck(check["context"], check.get("integration_id")) for check in sent["required_status_checks"]
            )
            strict = sent["strict_required_status_checks_policy"] and bool(checks)
            on_create = not sent.get("do_not_enforce_on_create")
            return replace(demands, status=StatusRule(strict, checks), on_create=on_create)
        case "pull_request":
            reviews = ReviewRule(
                sent["required_approving_review_count"],
                dismiss_stale=sent["dismiss_stale_reviews_on_push"],
                last_push_approval=sent["require_last_push_approval"],
                code_owners=sent["require_code_owner_review"],
            )
            methods = frozenset(map(Method, sent.get("allowed_merge_methods") or Method))
            threads = sent["required_review_thread_resolution"]
            return replace(demands, reviews=reviews, methods=methods, threads=threads)
        case "required_deployments":
            return replace(demands, environments=tuple(sent["required_deployment_environments"]))
        case "workflows":
            paths = tuple(workflow["path"] for workflow in sent["workflows"])
            return replace(demands, workflows=paths, workflows_on_create=not sent["do_not_enforce_on_create"])
        case "code_scanning":
            return replace(demands, scanners=tuple(tool["tool"] for tool in sent["code_scanning_tools"]))
        case "license_compliance_scanning":
            return replace(demands, licenses=True)
        case kind if kind in OF_PUSHES:
            return replace(demands, files=(*demands.files, rule))
    return _with_pattern(demands, rule.type, sent)


def _with_pattern(demands: Demands, kind: str, sent: Mapping[str, Any]) -> Demands:
    def pattern(subject: str) -> tuple[Pattern, ...]:
        return (Pattern(subject, sent["operator"], sent["pattern"], bool(sent.get("negate"))),)

    match kind:
        case "commit_message_pattern":
            return replace(demands, messages=demands.messages + pattern("Commit message"))
        case "commit_author_email_pattern":
            return replace(demands, author_emails=demands.author_emails + pattern("Author email"))
        case "committer_email_pattern":
            return replace(demands, committer_emails=demands.committer_emails + pattern("Committer email"))
        case "branch_name_pattern":
            return replace(demands, names=demands.names + pattern("Branch name"))
        case "tag_name_pattern":
            return replace(demands, names=demands.names + pattern("Tag name"))
    return demands
