"""Webhooks: who wants which event, and real HTTP deliveries of them, in order, once."""

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
from dataclasses import dataclass
from typing import Any

import requests

from mergeq.sandbox.clock import Activity, Clock
from mergeq.sandbox.faults import FaultId, Faults

TIMEOUT_S = 10.0
MAX_PAYLOAD = 25_000_000
"""Bytes; what is larger is not delivered and not listed (Q69)."""
Payload = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Hook:
    """One subscription; ``repo`` None means every repository that is not somebody's fork."""

    id: int
    url: str
    secret: str
    events: tuple[str, ...]
    repo: str | None
    created_at: float

    def wants(self, event: str) -> bool:
        return "*" in self.events or event in self.events


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt; ``status_code`` is None if no answer came or a fault dropped it. Redeliveries keep the GUID."""

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
    headers: Mapping[str, str]
    redelivery: bool = False


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
    """

    def __init__(self, clock: Clock, activity: Activity, faults: Faults) -> None:
        self._clock = clock
        self._activity = activity
        self._faults = faults
        self._hooks: list[Hook] = []
        self._ids = itertools.count(1)
        self._delivery_ids = itertools.count(1)
        self._random = random.Random(20260105)  # noqa: S311 - only makes delivery ids
        self._waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._start = threading.Lock()
        self._closed = False
        self.session = requests.Session()
        self.session.trust_env = False
        self.deliveries: list[Delivery] = []
        self.own_hooks_only: set[str] = set()

    def add(self, url: str, secret: str, events: tuple[str, ...], repo: str | None) -> Hook:
        hook = Hook(next(self._ids), url, secret, events, repo, self._clock.now())
        self._hooks.append(hook)
        return hook

    def remove(self, hook: Hook) -> None:
        self._hooks.remove(hook)

    def of_repo(self, repo: str) -> tuple[Hook, ...]:
        return tuple(hook for hook in self._hooks if hook.repo == repo)

    def wanted(self, event: str, repo: str) -> bool:
        return bool(self._takers(event, repo))

    def _takers(self, event: str, repo: str) -> list[Hook]:
        scopes = (repo,) if repo in self.own_hooks_only else (repo, None)
        return [hook for hook in self._hooks if hook.repo in scopes and hook.wants(event)]

    def send(self, event: str, repo: str, payload: Payload, pr: int | None) -> None:
        """Queue an event for everyone who wants it."""
        for hook in self._takers(event, repo):
            self.send_to(hook, event, repo, payload, pr)

    def send_to(self, hook: Hook, event: str, repo: str, payload: Payload, pr: int | None) -> None:
        """Queue an event for one subscriber, as often and as late as faults will have it (Q67, Q68)."""
        guid = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        parcel = _Parcel(guid, hook, event, repo, pr, payload)
        again = self._faults.fires(FaultId.HOOK_DUP, repo, pr)
        shuffled = self._faults.fires(FaultId.HOOK_SHUFFLE, repo, pr)
        delay_s = self._random.uniform(0.0, float(shuffled.args.get("window", 5.0))) if shuffled else 0.0
        for _ in range(1 + int(again.args.get("n", 1)) if again else 1):
            self._enqueue(parcel, delay_s)

    def redeliver(self, made: Delivery) -> None:
        """Queue once more what was delivered, or was not."""
        hook = next(hook for hook in self._hooks if hook.id == made.hook_id)
        self._enqueue(_Parcel(made.guid, hook, made.event, made.repo, None, made.payload, redelivery=True))

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
        if self._clock.virtual or delay_s:
            self._clock.call_later(delay_s, delivery)
            return
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
        status_code: int | None = None
        error: str | None = None
        body = json.dumps(parcel.payload).encode()
        if self._closed or len(body) > MAX_PAYLOAD:
            return
        headers = _headers(parcel, body)
        if self._faults.fires(FaultId.HOOK_DROP, parcel.repo, parcel.pr):
            error = "dropped by a fault"
        else:
            status_code, error = self._post(parcel, body, headers)
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
                status_code=status_code,
                error=error,
                delivered_at=self._clock.now(),
                headers=headers,
                redelivery=parcel.redelivery,
            )
        )

    def _post(self, parcel: _Parcel, body: bytes, headers: Mapping[str, str]) -> tuple[int | None, str | None]:
        try:
            with self.session.post(parcel.hook.url, data=body, headers=headers, timeout=TIMEOUT_S) as answer:
                return answer.status_code, None
        except requests.RequestException as failure:
            return None, str(failure)


def _headers(parcel: _Parcel, body: bytes) -> dict[str, str]:
    secret = parcel.hook.secret.encode()
    return {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/0a1b2c3",
        "X-GitHub-Event": parcel.event,
        "X-GitHub-Delivery": parcel.guid,
        "X-GitHub-Hook-ID": str(parcel.hook.id),
        "X-GitHub-Hook-Installation-Target-ID": str(parcel.hook.id),
        "X-GitHub-Hook-Installation-Target-Type": "repository" if parcel.hook.repo else "organization",
        "X-Hub-Signature": "sha1=" + hmac.new(secret, body, hashlib.sha1).hexdigest(),
        "X-Hub-Signature-256": signature(parcel.hook.secret, body),
    }


def signature(secret: str, body: bytes) -> str:
    """The value of X-Hub-Signature-256 for a body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
