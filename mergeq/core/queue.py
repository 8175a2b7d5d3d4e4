"""The `mergeq.queue` settings of one branch. The defaults of its YAML keys live here; durations are seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from mergeq.core.contexts import EmptyContexts


class Retest(StrEnum):
    """What green means (D3): on the head alone, on a staged commit on the base, or on the head brought up to date."""

    HEAD = "head"
    STAGING = "staging"
    UPDATE = "update"


class UpdateMethod(StrEnum):
    """How `retest: update` brings a pull request's own branch up to date."""

    MERGE = "merge"
    REBASE = "rebase"


class Landing(StrEnum):
    """How tested content reaches the base (D5)."""

    AUTO = "auto"
    FAST_FORWARD = "fast-forward"
    PULL_REQUEST = "pull-request"


class Forks(StrEnum):
    """Which pull requests from forks may be staged, where their code meets the repository's secrets (D21)."""

    NEVER = "never"
    APPROVED = "approved"
    ALWAYS = "always"


class Drafts(StrEnum):
    """Whether drafts may be in a pool (T3.16 repaired)."""

    EXCLUDE = "exclude"
    INCLUDE = "include"


class Order(StrEnum):
    """Who is first among equals: the longest in the pool (T12.16), or the lowest number as in Tide."""

    ENTERED = "entered"
    NUMBER = "number"


class TriggerKind(StrEnum):
    """How CI is told of a staged commit: by its push alone, by an event of the repository, or by a signed request."""

    PUSH = "push"
    REPOSITORY_DISPATCH = "repository_dispatch"
    CLOUDEVENTS = "cloudevents"


@dataclass(frozen=True, slots=True)
class Trigger:
    """The `staging.trigger` part. `event_type` is that of a repository_dispatch; `url` is where CloudEvents are sent,
    `secret_env` the variable with the secret by which they are signed.
    """

    kind: TriggerKind = TriggerKind.PUSH
    event_type: str = "mergeq"
    url: str = ""
    secret_env: str = ""

    @property
    def place(self) -> str:
        """The address without its query, which may be secret."""
        return self.url.partition("?")[0]


@dataclass(frozen=True, slots=True)
class StagingValues:
    """The `staging` part: where staged commits go, how long they may take, whose code may run there."""

    prefix: str = "mergeq/"
    scratch_prefix: str = "mergeq-scratch/"
    start_timeout: float = 600.0
    timeout: float = 7200.0
    retries: int = 1
    keep: float = 86400.0
    forks: Forks = Forks.APPROVED
    sensitive_paths: tuple[str, ...] = (".github/**",)
    allow_label: str = "ok-to-stage"
    trigger: Trigger = Trigger()


@dataclass(frozen=True, slots=True)
class QueueValues:
    """Everything under `mergeq.queue` for one branch. `batch_size_limit` None: what `tide.batch_size_limit` says."""

    retest: Retest = Retest.HEAD
    update_method: UpdateMethod = UpdateMethod.MERGE
    landing: Landing = Landing.AUTO
    slots: int = 2
    batch_size_limit: int | None = None
    order: Order = Order.ENTERED
    landings_per_cycle: int = 1
    overtake: tuple[str, ...] = ()
    drafts: Drafts = Drafts.EXCLUDE
    empty_contexts: EmptyContexts = EmptyContexts.HOLD
    settle: float = 0.0
    voided_by_push: tuple[str, ...] = ("lgtm",)
    head_only_contexts: frozenset[str] = frozenset()
    staging_contexts: frozenset[str] = frozenset()
    context_apps: Mapping[str, str] = field(default_factory=dict)
    staging: StagingValues = field(default_factory=StagingValues)

    @classmethod
    def of_tide(cls) -> Self:
        """The values by which the queue behaves as Tide does, which has none of these keys (D3, D20, T0.7, T3.16)."""
        return cls(
            retest=Retest.STAGING,
            order=Order.NUMBER,
            drafts=Drafts.INCLUDE,
            empty_contexts=EmptyContexts.ALLOW,
            voided_by_push=(),
            staging=StagingValues(forks=Forks.ALWAYS, sensitive_paths=()),
        )
