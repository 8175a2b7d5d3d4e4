"""One pretend GitHub, whole: its world, its application, its server, and the clean end of all of them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mergeq.sandbox.app import SandboxApp
from mergeq.sandbox.clock import Clock, ManualClock, RealClock
from mergeq.sandbox.rates import Rates
from mergeq.sandbox.seed import plant
from mergeq.sandbox.server import Server
from mergeq.sandbox.site import Site
from mergeq.sandbox.users import BOT
from mergeq.sandbox.world import World


class Sandbox:
    """GitHub, offline. Use as a context manager, or call ``close``.

    Without ``root`` the repositories live in a folder of their own that is removed on close.
    """

    def __init__(self, root: Path | None = None, *, clock: Clock | None = None, ci_workers: int = 2) -> None:
        self._own_root: tempfile.TemporaryDirectory[str] | None = None
        if root is None:
            self._own_root = tempfile.TemporaryDirectory(prefix="mergeq-sandbox-")
            root = Path(self._own_root.name)
        self.root = root
        self.clock: Clock = clock or RealClock()
        self.webhook_secret = "sandbox-webhook-secret"  # noqa: S105 - known to everybody
        self.world = World(self.root, self.clock, ci_workers=ci_workers)
        self.token = self.world.users.issue_token(BOT)
        self._site = Site(self.world, self.load)
        self.app = SandboxApp(self._site)
        self._server: Server | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The base URL: of the server once it serves, else one that only a WsgiAdapter can reach."""
        return self.world.url

    @property
    def rates(self) -> Rates:
        """The rate limit; ``rates.limit`` may be raised for long runs."""
        return self._site.rates

    @property
    def hits(self) -> dict[str, int]:
        """How often each route and GraphQL operation was asked for."""
        return self._site.hits.counts()

    def serve(self, port: int = 0) -> str:
        """Start answering on 127.0.0.1 and return the base URL; a second call returns the same one."""
        if self._server is None:
            self._server = Server(self.app, port)
            self.world.url = self._server.url
        return self._server.url

    def load_example(self) -> None:
        """Plant the seed that is shipped: three repositories of an organization that merges as Falco's does."""
        self.load(json.loads((files("mergeq.sandbox") / "falcosecurity.json").read_bytes()))

    def load(self, seed: Mapping[str, Any]) -> None:
        """Plant a seed; raises ValueError naming a key that is not understood."""
        plant(self.world, seed, self.webhook_secret)

    def settle(self, timeout: float = 30.0) -> bool:
        """Wait until CI is idle and all webhooks are delivered; False if ``timeout`` seconds were not enough.

        With a ManualClock: run what is due now, and no later. Raises the first error of the sandbox's own threads.
        """
        done = True
        if isinstance(self.clock, ManualClock):
            self.clock.advance(0.0)
        else:
            done = self.world.activity.wait_idle(timeout)
        if self.world.activity.failures:
            raise self.world.activity.failures[0]
        return done

    def close(self) -> None:
        """Stop serving, end every thread and child, and remove what is ours."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.world.close()
        self.clock.close()
        if self._own_root is not None:
            self._own_root.cleanup()
