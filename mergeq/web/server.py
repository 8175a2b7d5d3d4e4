"""The web process: gunicorn around the application."""

import gc
import runpy
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from mergeq import shipped
from mergeq.bootstrap import Services
from mergeq.web.app import create_app


def serve(services: Services) -> None:
    """Serve pages and webhooks on the configured address until told to stop."""
    gunicorn(services).run()


def gunicorn(services: Services) -> BaseApplication:
    """Gunicorn around the application, set up as deploy/gunicorn.conf.py says."""
    settings = services.settings
    options = runpy.run_path(str(shipped("deploy") / "gunicorn.conf.py")) | {
        "bind": f"{settings.host}:{settings.port}",
        "post_worker_init": _let_streams_end,
        # SIGHUP: gunicorn starts new workers, each a fork of this process, which therefore reads the files first
        "on_reload": lambda _arbiter: services.followed.force(),
        "pre_fork": lambda _arbiter, _worker: _before_fork(services),
    }
    return _Application(services, options)


def _before_fork(services: Services) -> None:
    """Read the files first, and keep what a worker inherits out of its garbage collections: each of them would write to
    every page of it, and so take it out of what the processes share.
    """
    services.follow()
    gc.collect()
    gc.freeze()


def _let_streams_end(worker: Any) -> None:
    """Have open streams end when their process is told to stop, instead of holding it up."""
    worker.wsgi.extensions["mergeq.ending"] = lambda: not worker.alive


class _Application(BaseApplication):  # type: ignore[misc]
    """Gunicorn without a command line of its own."""

    def __init__(self, services: Services, options: dict[str, Any]) -> None:
        self._services = services
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        return create_app(self._services)
