"""The composition root: settings become the services that every entry point works with."""

import logging
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import redis
import structlog
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.retry import Retry
from rq import Queue
from rq.serializers import JSONSerializer
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from mergeq.config import ConfigError, Configuration, Followed, Settings
from mergeq.core.budget import BudgetValues, Purpose
from mergeq.core.protection import Backend
from mergeq.core.pull import PullRequest
from mergeq.github import App, Credentials, GitHub, Meter, NoCredentials, Pat, Protecting, Wire, key_of
from mergeq.github.auth import TOKENS
from mergeq.github.budget import Alone, Ledger
from mergeq.processes import EmbeddedRedis
from mergeq.store import Store

QUEUE = "mergeq"
_PATIENCE = {
    "socket_timeout": 10,
    "socket_connect_timeout": 3,
    "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), 4),
}
_HASTE = {
    "socket_timeout": 0.5,
    "socket_connect_timeout": 0.5,
    "retry": Retry(NoBackoff(), 0),
    "protocol": 2,  # as it begins, without a word before the first command
    "driver_info": None,
}
_PLANNING = dict.fromkeys(("administration", "contents", "members", "metadata", "organization_administration"), "read")
_PLANNING_RULESETS = {**_PLANNING, "administration": "write"}
"""GitHub shows only to who may change a ruleset whom that lets past ("Get a repository ruleset")."""

_APPLYING = {"administration": "write", "members": "read", "metadata": "read"}
"""All that an App may do to protection: who plans cannot write, who writes does it to one repository (P7.12)."""

_SECRET_LENGTH = 8  # a shorter secret would redact half of every word


@dataclass(frozen=True, slots=True)
class Services:
    """What a shell works with. `now()` is seconds since the epoch and `sleep` takes seconds; both may be virtual (D14).
    `planner` reads protection and `applier` writes it, each with no more rights than that takes (P7.12).
    """

    settings: Settings
    followed: Followed
    github: GitHub
    store: Store
    queue: Queue
    now: Callable[[], float]
    sleep: Callable[[float], None]
    log: FilteringBoundLogger
    planner: Protecting
    applier: Protecting

    @property
    def config(self) -> Configuration:
        """The configuration in force; another one after a `follow` that found one."""
        return self.followed.current

    def follow(self, max_age: float = 0.0) -> bool:
        """Take up configuration files that changed on disk; True when another configuration is in force now. Where
        they were looked at less than `max_age` seconds ago they are not again.

        Called where work begins (a beat, a job, a round of it, a request) and right before a pull request lands (D23),
        and nowhere between. Each process logs a change once, also one that is not taken up because it is invalid.
        """
        before = self.config.digest
        if not self.followed.refresh(max_age):
            return False
        if self.followed.problem:
            self.log.error("configuration not taken up", problem=self.followed.problem, in_force=before)
        else:
            self.log.info("configuration taken up", in_force=self.config.digest, before=before)
            for warning in self.config.warnings:
                self.log.warning("configuration", warning=warning)
        self.store.renew_pages()
        return self.config.digest != before

    def on(self, purpose: Purpose) -> "Services":
        """The same services, whose calls to GitHub are for that purpose (D12)."""
        return replace(self, github=self.github.on(purpose))

    def in_haste(self) -> "Services":
        """The same services, whose Redis answers within a fraction of a second or counts as away: for whoever is
        waited for. Nothing is asked here.
        """
        connection = _redis(self.settings.redis_url, **_HASTE)
        return replace(self, store=Store(connection), queue=_queue(connection))

    def meet_server(self) -> None:
        """Find out what this GitHub does not know, and say it in the log; once, where a process starts. One that does
        not answer now is met by the first read that it refuses.
        """
        orgs = (org for query in self.config.queries for org in query.scopes())
        if (owner := next(orgs, "")) and (lacking := self.github.learn_server(owner)):
            self.log.warning("this GitHub lacks features", lacking=", ".join(lacking), version=self.github.version)

    def link(self, pull: PullRequest) -> str:
        """Where the status of a pull request links to: what is configured, else our own page, else nowhere."""
        if configured := self.config.status_link(pull):
            return configured
        public = self.settings.public_url
        return f"{public}/pr/{pull.org}/{pull.repo}/{pull.number}" if public else ""


def services(
    settings: Settings,
    *,
    now: Callable[[], float] = time.time,  # noqa: TID251 -- the one place where the clock comes from
    sleep: Callable[[float], None] = time.sleep,  # noqa: TID251 -- and the one where waiting does
    lenient: bool = False,
) -> Services:
    """Everything, ready to work; if `lenient`, also on an invalid configuration, which then says nothing. Raises
    ConfigError with a line for each thing that is missing.
    """
    problems = _without_credentials(settings)
    if not settings.config_paths:
        problems.append("MERGEQ_CONFIG: is not set; name a configuration with --config PATH")
    if not settings.redis_url:
        problems.append("MERGEQ_REDIS_URL: is not set; name a Redis, or let `mergeq run` start one")
    if problems:
        raise ConfigError(*problems)
    connection = connect(settings.redis_url)
    followed = Followed(settings.config_paths, now=now, lenient=lenient)
    store, log = Store(connection), logger(settings)
    github = connect_github(settings, store, lambda: followed.current.budget, log.warning, now=now, sleep=sleep)
    common = _protection_credentials(settings, github.credentials, now)
    planning = _PLANNING if followed.current.protection_values.backend is Backend.CLASSIC else _PLANNING_RULESETS
    return Services(
        settings=settings,
        followed=followed,
        github=github,
        planner=github.protecting_as(_narrowed(common, planning)),
        applier=github.protecting_as(_narrowed(common, _APPLYING, by_repo=True)),
        store=store,
        queue=_queue(connection),
        now=now,
        sleep=sleep,
        log=log,
    )


def connect_github(
    settings: Settings,
    ledger: Ledger | None = None,
    budget: Callable[[], BudgetValues] = BudgetValues,
    tell: Callable[[str], None] = lambda _: None,
    *,
    now: Callable[[], float] = time.time,  # noqa: TID251 -- as above
    sleep: Callable[[float], None] = time.sleep,  # noqa: TID251 -- as above
) -> GitHub:
    """GitHub; without a ledger for what needs no store, its limits then known to this process alone. Raises
    ConfigError.
    """
    if problems := _without_credentials(settings):
        raise ConfigError(*problems)
    wire = Wire(
        credentials=_credentials(settings, now),
        api_url=settings.github_api_url,
        graphql_url=settings.graphql_url,
        sleep=sleep,
        meter=Meter(ledger or Alone(), budget, now, tell),
    )
    return GitHub(wire)


def _without_credentials(settings: Settings) -> list[str]:
    if settings.github_token or settings.github_app_id:
        return []
    what = "give it a token that may read pull requests, merge and set statuses"
    return [f"GITHUB_TOKEN: is not set; {what}, or a GitHub App by GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY_FILE"]


def _credentials(settings: Settings, now: Callable[[], float]) -> Credentials:
    """How to speak to GitHub. Raises ConfigError."""
    if not settings.github_app_id:
        return Pat(settings.github_token)
    key = _key("GITHUB_APP_PRIVATE_KEY_FILE", settings.github_app_key_file)
    return App(settings.github_app_id, key, settings.github_api_url, now)


def _protection_credentials(settings: Settings, common: Credentials, now: Callable[[], float]) -> Credentials:
    """How to speak to GitHub about protection: as an App of its own, or as about everything. Raises ConfigError."""
    if not settings.protection_app_id:
        return common
    key = _key("MERGEQ_PROTECTION_APP_PRIVATE_KEY_FILE", settings.protection_app_key_file)
    return App(settings.protection_app_id, key, settings.github_api_url, now)


def _narrowed(credentials: Credentials, permissions: Mapping[str, str], *, by_repo: bool = False) -> Credentials:
    """The same with no more than these permissions; what one token may do is not ours to choose."""
    return credentials.narrowed(permissions, by_repo=by_repo) if isinstance(credentials, App) else credentials


def _key(variable: str, file: str) -> str:
    """A private key. Raises ConfigError."""
    try:
        return key_of(Path(file))
    except NoCredentials as error:
        raise ConfigError(f"{variable}: {error}; name the .pem file of the App") from None


def connect(url: str) -> "redis.Redis":
    """A connection to Redis that has answered once. Raises ConfigError.

    A command whose answer was lost is sent again within two seconds; every command of the store bears that, at worst
    by waiting for a lease to run out.
    """
    try:
        connection = _redis(url, **_PATIENCE)
        connection.ping()
    except (redis.RedisError, ValueError) as error:
        raise ConfigError(
            f"MERGEQ_REDIS_URL: Redis does not answer there ({type(error).__name__}); start it, or mend the URL"
        ) from None
    return connection


def _redis(url: str, **options: Any) -> "redis.Redis":
    return redis.Redis.from_url(url, **options)


def _queue(connection: "redis.Redis") -> Queue:
    return Queue(QUEUE, connection=connection, serializer=JSONSerializer)


def embedded_redis(settings: Settings) -> EmbeddedRedis:
    """A real Redis of our own, its data under the state folder, as a child of this process (D15). Raises
    ConfigError.
    """
    return EmbeddedRedis(settings.state_dir / "redis")


def logger(settings: Settings) -> FilteringBoundLogger:
    """Structured logging to stderr: one line per act, without secrets, as JSON or for a console."""
    secret = [settings.github_token, *settings.webhook_secrets, *settings.secrets.values()]

    def redact(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        return {key: _redacted(value, secret) for key, value in event.items()}

    tail: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if settings.log_format == "json"
        else [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact,
            *tail,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    log: FilteringBoundLogger = structlog.get_logger()
    return log


def _redacted(value: Any, secret: list[str]) -> Any:
    if not isinstance(value, str):
        return value
    for text in secret:
        if len(text) >= _SECRET_LENGTH:
            value = value.replace(text, "[redacted]")
    return TOKENS.sub("[redacted]", value)
