"""The web process: gunicorn around the application."""

from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from mergeq.bootstrap import Services
from mergeq.web.app import create_app


def serve(services: Services, *, workers: int = 1, threads: int = 16) -> None:
    """Serve pages and webhooks on the configured address until told to stop."""
    settings = services.settings
    options = {
        "bind": f"{settings.host}:{settings.port}",
        "workers": workers,
        "threads": threads,
        "worker_class": "gthread",
        "loglevel": "warning",
        "graceful_timeout": 5,
        "proc_name": "mergeq web",
        "control_socket_disable": True,
    }
    _Application(services, options).run()


class _Application(BaseApplication):  # type: ignore[misc]
    """Gunicorn without a command line or a configuration file of its own."""

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
