"""Branch protection as values: what is wished for, what was found, and what a plan would change. Nothing here reads or
writes GitHub; what a plan is made of is decided in `core/planning.py`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

OURS = "mergeq: "
"""How the names of our rulesets begin; the pattern follows. No other ruleset is ever deleted."""

ANY_APP = "any"
"""The pin of a context that any app may report, said outright."""


class Field(StrEnum):
    """A setting of a rule, spelt as in YAML (P1.5-P1.19, P7.9). A value of one is

    - a bool, for switches;
    - a number or None, for the review count: None asks for no review and no pull request at all (P1.19);
    - a frozenset of Check or None, for contexts: None demands none, where an empty one only turns the section on;
    - Actors or None, for `restrictions` and `dismissal_restrictions`: None lets everyone who may write;
    - Actors, for the two lists of who is let past;
    - a frozenset of names or None, for deployments.
    """

    CONTEXTS = "required_status_checks.contexts"
    STRICT = "required_status_checks.strict"
    ENFORCE_ADMINS = "enforce_admins"
    REVIEWS = "required_pull_request_reviews.required_approving_review_count"
    DISMISS_STALE = "required_pull_request_reviews.dismiss_stale_reviews"
    CODE_OWNERS = "required_pull_request_reviews.require_code_owner_reviews"
    LAST_PUSH = "required_pull_request_reviews.require_last_push_approval"
    DISMISSERS = "required_pull_request_reviews.dismissal_restrictions"
    BYPASSERS = "required_pull_request_reviews.bypass_pull_request_allowances"
    PUSHERS = "restrictions"
    LINEAR = "required_linear_history"
    FORCE_PUSHES = "allow_force_pushes"
    FORCERS = "bypass_force_push_allowances"
    DELETIONS = "allow_deletions"
    SIGNATURES = "require_signed_commits"
    CONVERSATIONS = "required_conversation_resolution"
    LOCK = "lock_branch"
    FORK_SYNC = "allow_fork_syncing"
    CREATIONS = "block_creations"
    DEPLOYMENTS = "required_deployments"


class Check(NamedTuple):
    """A required context and the slug of the app that has to report it: ANY_APP, or empty where it is not said; then
    a pin that GitHub has is kept, and a new context is asked of any app (P4.3, P4.28).
    """

    context: str
    app: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Actors:
    """Who stands in a list of a rule: logins and slugs in lower case, teams those of the organization."""

    users: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()
    apps: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.users or self.teams or self.apps)


NOBODY = Actors()
Value = bool | int | None | frozenset[Check] | frozenset[str] | Actors
Values = Mapping[Field, Value]

OFF: Values = {
    Field.CONTEXTS: None,
    Field.STRICT: False,
    Field.ENFORCE_ADMINS: False,
    Field.REVIEWS: None,
    Field.DISMISS_STALE: False,
    Field.CODE_OWNERS: False,
    Field.LAST_PUSH: False,
    Field.DISMISSERS: None,
    Field.BYPASSERS: NOBODY,
    Field.PUSHERS: None,
    Field.LINEAR: False,
    Field.FORCE_PUSHES: False,
    Field.FORCERS: NOBODY,
    Field.DELETIONS: False,
    Field.SIGNATURES: False,
    Field.CONVERSATIONS: False,
    Field.LOCK: False,
    Field.FORK_SYNC: False,
    Field.CREATIONS: False,
    Field.DEPLOYMENTS: None,
}
"""A rule that demands nothing, which is what GitHub makes of one that is created without saying anything."""

PROW_FIELDS = frozenset(
    {
        Field.CONTEXTS,
        Field.STRICT,
        Field.ENFORCE_ADMINS,
        Field.REVIEWS,
        Field.DISMISS_STALE,
        Field.CODE_OWNERS,
        Field.DISMISSERS,
        Field.BYPASSERS,
        Field.PUSHERS,
        Field.LINEAR,
        Field.FORCE_PUSHES,
        Field.DELETIONS,
    }
)
"""What Prow's YAML can say and turns off where it does not; signatures alone it leaves as they are (P1.14, P7.4)."""


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """What one classic rule or one ruleset of ours is about: a branch by its name, or all that a glob of GitHub's
    matches (P6.62), of ``ORG/REPO``.
    """

    repo: str
    pattern: str

    def __str__(self) -> str:
        return f"{self.repo}:{self.pattern}"

    @property
    def is_glob(self) -> bool:
        """Whether it is about more than one name."""
        return any(sign in self.pattern for sign in "*?[")


class Backend(StrEnum):
    """How a wish is put into force. AUTO: as what is there is, else as a classic rule."""

    CLASSIC = "classic"
    RULESET = "ruleset"
    AUTO = "auto"


class Mode(StrEnum):
    """Whether mergeq only looks, or also writes (D13)."""

    OBSERVE = "observe"
    ENFORCE = "enforce"


class Ownership(StrEnum):
    """Whose a field is: GitHub's settings page keeps what it has where it is PRESERVE, EXTERNAL is never touched even
    if the YAML sets it (P7.4).
    """

    OURS = "ours"
    PRESERVE = "preserve"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class Source:
    """What says the value of a field: a level (``*``, ORG, ORG/REPO, ORG/REPO:BRANCH, an exemption's id), and the line
    that does, as ``file:line``.
    """

    level: str
    place: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What the configuration asks for one target.

    `protect`: True has `values` in force, False removes the rule; what is neither is no wish at all (P2.20, P2.21).
    `values` has the fields that are managed; whatever is not in it stays as GitHub has it. `sources` says for each
    which lines asked for it, the narrowest last. `problem`: why it cannot be told what is wished; then nothing is done
    and the item is INVALID. `exemptions` are the ids of those in force, `expires_at` the first end of one, epoch
    seconds, 0.0 for none; `expired` has the fields that one set which has run out, and its id.
    """

    target: Target
    protect: bool = True
    values: Values = field(default_factory=dict)
    sources: Mapping[Field, tuple[Source, ...]] = field(default_factory=dict)
    problem: str = ""
    place: str = ""
    backend: Backend = Backend.CLASSIC
    mode: Mode = Mode.OBSERVE
    exemptions: tuple[str, ...] = ()
    expires_at: float = 0.0
    expired: Mapping[Field, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """A classic rule as it was read: `id` is GitHub's node id, `values` has every field, contexts with their pins."""

    id: str
    pattern: str
    values: Values
    serial: int = 0
    creator: str = ""


@dataclass(frozen=True, slots=True)
class Bypasser:
    """Who is let past a ruleset: `kind` in REST's words (Team, Integration, RepositoryRole, OrganizationAdmin,
    DeployKey, User), `name` its slug or login or role where it is known, and when: always, pull_request, exempt.
    """

    kind: str
    id: int | None
    name: str
    mode: str


@dataclass(frozen=True, slots=True)
class Ruleset:
    """A ruleset that targets branches, as it was read. `owner` is the ORG/REPO, ORG or enterprise that it is of;
    `include` and `exclude` as GitHub has them (``~DEFAULT_BRANCH``, ``~ALL``, ``refs/heads/…``); `rules` are REST's, by
    type. `is_whole`: nothing of it is unreadable for us.
    """

    id: int
    name: str
    owner: str
    enforcement: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    rules: Mapping[str, Mapping[str, Any]]
    bypassers: tuple[Bypasser, ...] = ()
    updated_at: str = ""
    is_whole: bool = True

    def __str__(self) -> str:
        return f"ruleset {self.name} of {self.owner}"

    @property
    def is_active(self) -> bool:
        """Whether it binds anybody: not where it is disabled, or only evaluated."""
        return self.enforcement == "active"


class Trouble(StrEnum):
    """Why something could not be read or written, or had no effect (P7.7, P7.8)."""

    NO_ADMIN = "no_admin"
    GONE = "gone"
    ARCHIVED = "archived"
    PLAN_LIMIT = "plan_limit"
    ACTOR_INVALID = "actor_invalid"
    CONFLICT = "conflict"
    RATE_LIMITED = "rate_limited"
    NOT_EFFECTIVE = "not_effective"
    REFUSED = "refused"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Problem:
    """A trouble and what was said of it, for a person: what happened, and what to do."""

    kind: Trouble
    text: str


@dataclass(frozen=True, slots=True)
class RepoFacts:
    """A repository as far as protection minds it.

    `rules` is None when they could not be read: unknown, never "unprotected" (P7.3); `problem` says why, and may also
    say why nothing can be written where they could. `branches` are all its branches, None where they were not asked
    for. `renamed_to` is its present ``ORG/REPO`` where it answers under another name, `id` its node id.
    """

    repo: str
    rules: tuple[Rule, ...] | None = ()
    rulesets: tuple[Ruleset, ...] | None = ()
    branches: frozenset[str] | None = None
    default_branch: str = ""
    is_private: bool = False
    is_archived: bool = False
    is_fork: bool = False
    is_user_owned: bool = False
    renamed_to: str = ""
    problem: Problem | None = None
    id: str = ""

    def rule(self, pattern: str) -> Rule | None:
        """The classic rule of exactly this pattern."""
        return next((rule for rule in self.rules or () if rule.pattern == pattern), None)


class Kind(StrEnum):
    """What is to be done about a target, or why nothing is (P7.5)."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    NOTHING = "no-op"
    ORPHANED = "orphaned"
    UNSUPPORTED = "unsupported"
    UNKNOWN = "unknown"
    BLOCKED = "blocked"
    INVALID = "invalid"
    PARKED = "parked"


WRITES = frozenset({Kind.CREATE, Kind.UPDATE, Kind.DELETE})


class Cause(StrEnum):
    """Why what is there differs from what is wished (P7.5)."""

    FIRST_RUN = "first-run"
    CONFIG = "config-change"
    DRIFT = "drift"
    BOTH = "both"
    EXPIRY = "expiry"
    ROLLBACK = "rollback"


class Effect(StrEnum):
    """Whether a change protects a branch more or less."""

    STRENGTHEN = "strengthen"
    WEAKEN = "weaken"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class Change:
    """One field of one target: what it is, what it is to be."""

    field: Field
    before: Value
    after: Value
    effect: Effect


@dataclass(frozen=True, slots=True)
class Item:
    """What a plan says of one target. `before` is every field of the rule that was found, empty for none: the pre-image
    that has to be there still when it is applied (P7.1). `rule` is its node id or the number of the ruleset.
    """

    target: Target
    kind: Kind
    backend: Backend = Backend.CLASSIC
    changes: tuple[Change, ...] = ()
    before: Values = field(default_factory=dict)
    rule: str = ""
    cause: Cause | None = None
    why: str = ""
    place: str = ""
    sources: Mapping[Field, tuple[Source, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    mode: Mode = Mode.OBSERVE
    exemptions: tuple[str, ...] = ()

    @property
    def effect(self) -> Effect:
        """The worst that it does: to weaken one field is to weaken the branch."""
        found = {change.effect for change in self.changes}
        return next((one for one in (Effect.WEAKEN, Effect.STRENGTHEN) if one in found), Effect.NEUTRAL)

    @property
    def hash(self) -> str:
        """Names everything that it alone would write (P7.1)."""
        return Plan((self,)).hash

    @property
    def after(self) -> Values:
        """Every field as it is to be; empty for a rule that is to go."""
        if self.kind is Kind.DELETE:
            return {}
        return {**OFF, **self.before, **{change.field: change.after for change in self.changes}}


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be written, and what would not be and why: the value that is shown and the value that is applied.
    `items` are in the order of their targets, `config` is the digest of the configuration it follows from.
    """

    items: tuple[Item, ...] = ()
    warnings: tuple[str, ...] = ()
    config: str = ""

    @property
    def writes(self) -> tuple[Item, ...]:
        """The items that change something on GitHub."""
        return tuple(item for item in self.items if item.kind in WRITES)

    @property
    def hash(self) -> str:
        """Names everything that it would write, and nothing else: two plans with the same hash do the same (P7.1)."""
        told = [_canonical(item) for item in self.writes]
        return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def spoken(value: Value) -> Any:
    """A value as JSON: what plans, the ledger and the audit show, lists sorted."""
    if isinstance(value, Actors):
        return {kind: sorted(getattr(value, kind)) for kind in ("users", "teams", "apps")}
    if isinstance(value, frozenset):
        return [_check(one) if isinstance(one, Check) else one for one in sorted(value)]
    return value


def spoken_values(values: Values) -> dict[str, Any]:
    """As `spoken`, for several fields."""
    return {str(name): spoken(values[name]) for name in Field if name in values}


def heard_values(told: Mapping[str, Any]) -> dict[Field, Value]:
    """The other way round of `spoken_values`."""
    return {name: _heard(name, told[name]) for name in Field if name in told}


def spoken_item(item: Item) -> dict[str, Any]:
    """An item as JSON: what the store keeps, and what commands and pages print."""
    return {
        "target": str(item.target),
        "kind": item.kind.value,
        "effect": item.effect.value,
        "cause": item.cause.value if item.cause else None,
        "mode": item.mode.value,
        "backend": item.backend.value,
        "changes": [
            {
                "field": change.field.value,
                "before": spoken(change.before),
                "after": spoken(change.after),
                "effect": change.effect.value,
            }
            for change in item.changes
        ],
        "before": spoken_values(item.before),
        "rule": item.rule,
        "why": item.why,
        "place": item.place,
        "sources": {
            str(name): [{"level": one.level, "place": one.place} for one in item.sources[name]]
            for name in Field
            if name in item.sources
        },
        "warnings": list(item.warnings),
        "exemptions": list(item.exemptions),
    }


def heard_item(told: Mapping[str, Any]) -> Item:
    """The other way round of `spoken_item`."""
    return Item(
        target=target_of(told["target"]),
        kind=Kind(told["kind"]),
        backend=Backend(told["backend"]),
        changes=tuple(
            Change(
                field=(name := Field(one["field"])),
                before=_heard(name, one["before"]),
                after=_heard(name, one["after"]),
                effect=Effect(one["effect"]),
            )
            for one in told["changes"]
        ),
        before=heard_values(told["before"]),
        rule=told["rule"],
        cause=Cause(told["cause"]) if told["cause"] else None,
        why=told["why"],
        place=told["place"],
        sources={Field(name): tuple(Source(**one) for one in lines) for name, lines in told["sources"].items()},
        warnings=tuple(told["warnings"]),
        mode=Mode(told["mode"]),
        exemptions=tuple(told["exemptions"]),
    )


def target_of(text: str) -> Target:
    """A target by its name, ORG/REPO:PATTERN."""
    repo, _, pattern = text.partition(":")
    return Target(repo, pattern)


def actors(users: Iterable[str] = (), teams: Iterable[str] = (), apps: Iterable[str] = ()) -> Actors:
    """Actors by names as people write them: ``@Login``, ``org/team`` or ``team`` (P4.19). The login of an App's bot,
    ``slug[bot]``, stands for the App: GitHub has no user of that name.
    """
    logins = {user.removeprefix("@").lower() for user in users}
    bots = {login for login in logins if login.endswith("[bot]")}
    return Actors(
        frozenset(logins - bots),
        frozenset(team.removeprefix("@").rpartition("/")[2].lower() for team in teams),
        frozenset({app.lower() for app in apps} | {bot.removesuffix("[bot]") for bot in bots}),
    )


def _check(check: Check) -> dict[str, str]:
    return {"context": check.context, "app": check.app}


def _heard(name: Field, told: Any) -> Value:
    if isinstance(told, dict):
        return Actors(**{kind: frozenset(names) for kind, names in told.items()})
    if name is Field.CONTEXTS and told is not None:
        return frozenset(Check(one["context"], one["app"]) for one in told)
    return frozenset(told) if isinstance(told, list) else told


def _canonical(item: Item) -> dict[str, Any]:
    changes = [[change.field, spoken(change.before), spoken(change.after)] for change in item.changes]
    return {
        "target": str(item.target),
        "kind": item.kind,
        "backend": item.backend,
        "changes": changes,
        "before": spoken_values(item.before),
    }
