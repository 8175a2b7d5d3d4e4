"""Webhooks: who wants which event, and real HTTP deliveries of them: in order and once, unless faults are on."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import queue
import random
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import requests

from mergeq.sandbox.clock import Activity, Clock
from mergeq.sandbox.faults import Fault, FaultId, Faults
from mergeq.sandbox.ids import node_id

TIMEOUT_S = 10.0
MAX_PAYLOAD = 25 * 1024 * 1024
"""Bytes; a bigger event is not delivered at all."""
REDELIVERABLE_S = 3 * 86_400.0
_MAX_KEPT_ANSWER = 10_000
Payload = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Hook:
    """One subscription; ``repo`` None means every repository that is not somebody's fork.

    With ``app_id`` it is the App's own: it gets the events of the repositories the App is installed on.
    """

    id: int
    url: str
    secret: str
    events: tuple[str, ...]
    repo: str | None
    created_at: float
    app_id: int | None = None

    def wants(self, event: str) -> bool:
        return "*" in self.events or event in self.events


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt; ``status_code`` is None if no answer came or a fault dropped it."""

    id: int
    guid: str
    hook_id: int
    url: str
    event: str
    action: str | None
    repo: str
    payload: Payload
    status_code: int | None
    error: str | None
    delivered_at: float
    duration_s: float = 0.0
    redelivery: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    answer: str = ""


@dataclass(frozen=True, slots=True)
class _Parcel:
    guid: str
    hook: Hook
    event: str
    repo: str
    pr: int | None
    payload: Payload
    redelivery: bool = False


class Webhooks:
    """Delivers events one after another: on a thread of its own, or when a virtual clock is moved.

    Failures are not retried, as on GitHub. ``session`` may have adapters mounted to reach an app in process.
    ``installed`` says by which installation an App (by id) is on a repository (by name), None if by none.
    """

    def __init__(
        self, clock: Clock, activity: Activity, faults: Faults, installed: Callable[[int, str], int | None]
    ) -> None:
        self._clock = clock
        self._activity = activity
        self._faults = faults
        self._installed = installed
        self._hooks: list[Hook] = []
        self._ids = itertools.count(1)
        self._delivery_ids = itertools.count(900_001)
        self._random = random.Random(20260105)  # noqa: S311 - only makes delivery ids
        self._waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._start = threading.Lock()
        self._closed = False
        self.session = requests.Session()
        self.session.trust_env = False
        self.deliveries: list[Delivery] = []
        self.own_hooks_only: set[str] = set()

    def add(self, url: str, secret: str, events: tuple[str, ...], repo: str | None, app_id: int | None = None) -> Hook:
        hook = Hook(next(self._ids), url, secret, events, repo, self._clock.now(), app_id)
        self._hooks.append(hook)
        return hook

    def remove(self, hook: Hook) -> None:
        self._hooks.remove(hook)

    def of_repo(self, repo: str) -> tuple[Hook, ...]:
        return tuple(hook for hook in self._hooks if hook.repo == repo)

    def of_app(self, app_id: int) -> Hook | None:
        """An App's own hook."""
        return next((hook for hook in self._hooks if hook.app_id == app_id), None)

    def change(self, hook: Hook, *, url: str, secret: str) -> Hook:
        """Deliver somewhere else from now on."""
        changed = replace(hook, url=url, secret=secret)
        self._hooks[self._hooks.index(hook)] = changed
        return changed

    def rename(self, before: str, after: str) -> None:
        """A repository has another name."""
        self._hooks = [replace(hook, repo=after) if hook.repo == before else hook for hook in self._hooks]
        if before in self.own_hooks_only:
            self.own_hooks_only.add(after)

    def wanted(self, event: str, repo: str) -> bool:
        return bool(self._takers(event, repo))

    def _takers(self, event: str, repo: str) -> list[Hook]:
        scopes = (repo,) if repo in self.own_hooks_only else (repo, None)
        return [
            hook
            for hook in self._hooks
            if hook.wants(event)
            and (hook.repo in scopes if hook.app_id is None else self._installed(hook.app_id, repo) is not None)
        ]

    def send(self, event: str, repo: str, payload: Payload, pr: int | None) -> None:
        """Queue an event for everyone who wants it; an App is told by which installation it gets it."""
        for hook in self._takers(event, repo):
            number = None if hook.app_id is None else self._installed(hook.app_id, repo)
            told = (
                payload
                if number is None
                else {**payload, "installation": {"id": number, "node_id": node_id("IN", number)}}
            )
            self.send_to(hook, event, told, repo, pr)

    def send_to(self, hook: Hook, event: str, payload: Payload, repo: str = "", pr: int | None = None) -> None:
        """Queue an event for one hook, whether it has asked for such events or not."""
        guid = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        parcel = _Parcel(guid, hook, event, repo, pr, payload)
        late = self._faults.fires(FaultId.HOOK_SHUFFLE, repo or None, pr)
        self._enqueue(parcel, float(late.args.get("window", 5)) if late else 0.0)
        twice = self._faults.fires(FaultId.HOOK_DUP, repo or None, pr)
        for _ in range(int(twice.args.get("n", 1)) if twice else 0):
            self._enqueue(parcel)

    def redeliver(self, delivery: Delivery) -> bool:
        """Queue a delivery again under its GUID; False if its hook is gone or it is older than three days."""
        hook = next((hook for hook in self._hooks if hook.id == delivery.hook_id), None)
        if hook is None or self._clock.now() > delivery.delivered_at + REDELIVERABLE_S:
            return False
        again = _Parcel(delivery.guid, hook, delivery.event, delivery.repo, None, delivery.payload, redelivery=True)
        self._enqueue(again)
        return True

    def deliveries_of(self, hook: Hook) -> tuple[Delivery, ...]:
        """Newest first."""
        return tuple(one for one in reversed(self.deliveries) if one.hook_id == hook.id)

    def close(self) -> None:
        with self._start:
            self._closed = True
            if self._thread is not None:
                self._waiting.put(None)
        if self._thread is not None:
            self._thread.join()
        self.session.close()

    def _enqueue(self, parcel: _Parcel, delay_s: float = 0.0) -> None:
        delivery = self._activity.tracked(lambda: self._deliver(parcel))
        if self._clock.virtual:
            self._clock.call_later(delay_s, delivery)
        elif delay_s:
            self._clock.call_later(delay_s, lambda: self._hand_over(delivery))
        else:
            self._hand_over(delivery)

    def _hand_over(self, delivery: Callable[[], None]) -> None:
        with self._start:
            if self._closed:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sandbox-webhooks", daemon=True)
                self._thread.start()
        self._waiting.put(delivery)

    def _run(self) -> None:
        while (delivery := self._waiting.get()) is not None:
            delivery()

    def _deliver(self, parcel: _Parcel) -> None:
        body = json.dumps(parcel.payload).encode()
        if self._closed or len(body) > MAX_PAYLOAD:
            return
        wrong = self._faults.fires(FaultId.HOOK_BADSIG, parcel.repo or None, parcel.pr)
        if wrong is not None and wrong.args.get("form"):
            body = urlencode({"payload": body.decode()}).encode()
        headers = _headers(parcel, body, wrong)
        answer: requests.Response | None = None
        error: str | None = None
        started_at = self._clock.now()
        if self._faults.fires(FaultId.HOOK_DROP, parcel.repo, parcel.pr):
            error = "dropped by a fault"
        else:
            try:
                answer = self.session.post(parcel.hook.url, data=body, headers=headers, timeout=TIMEOUT_S)
            except requests.RequestException as failure:
                error = str(failure)
        self.deliveries.append(
            Delivery(
                id=next(self._delivery_ids),
                guid=parcel.guid,
                hook_id=parcel.hook.id,
                url=parcel.hook.url,
                event=parcel.event,
                action=parcel.payload.get("action"),
                repo=parcel.repo,
                payload=parcel.payload,
                status_code=None if answer is None else answer.status_code,
                error=error,
                delivered_at=started_at,
                duration_s=self._clock.now() - started_at,
                redelivery=parcel.redelivery,
                headers=headers,
                answer_headers={} if answer is None else dict(answer.headers),
                answer="" if answer is None else answer.text[:_MAX_KEPT_ANSWER],
            )
        )


def _headers(parcel: _Parcel, body: bytes, wrong: Fault | None) -> dict[str, str]:
    hook = parcel.hook
    form = wrong is not None and bool(wrong.args.get("form"))
    headers = {
        "Accept": "*/*",
        "Content-Type": "application/x-www-form-urlencoded" if form else "application/json",
        "User-Agent": "GitHub-Hookshot/0a1b2c3",
        "X-GitHub-Event": parcel.event,
        "X-GitHub-Delivery": parcel.guid,
        "X-GitHub-Hook-ID": str(hook.id),
    }
    repository: Payload = parcel.payload.get("repository") or {}
    owners = hook.app_id is None and hook.repo is None
    target = hook.app_id or (repository.get("owner", {}) if owners else repository).get("id")
    if target is not None:
        kind = "organization" if owners else "repository" if hook.app_id is None else "integration"
        headers["X-GitHub-Hook-Installation-Target-ID"] = str(target)
        headers["X-GitHub-Hook-Installation-Target-Type"] = kind
    if hook.secret and not (wrong is not None and wrong.args.get("missing")):
        secret = hook.secret if wrong is None or form else f"not {hook.secret}"
        headers["X-Hub-Signature"] = "sha1=" + hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()
        headers["X-Hub-Signature-256"] = signature(secret, body)
    return headers


def signature(secret: str, body: bytes) -> str:
    """The value of X-Hub-Signature-256 for a body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
