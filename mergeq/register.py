"""Registers mergeq as a GitHub App by GitHub's manifest flow, with a web server of its own that lives for one visit."""

import html
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from mergeq.config import ConfigError, Settings
from mergeq.core.checkup import EVENTS, NEEDS
from mergeq.github import NoCredentials
from mergeq.github.auth import NewApp, app_of_manifest

KEY_FILE, ENVIRONMENT_FILE = "mergeq.pem", "mergeq.env"
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<body style="font: 16px/1.5 system-ui; max-width: 40rem; margin: 4rem auto; padding: 0 1rem"><h1>{title}</h1>{body}
"""
_FORM = """<p>GitHub shows next what the App may do, and asks you to confirm.</p>
<form method="post" action="{action}"><input type="hidden" name="manifest" value="{manifest}">
<button autofocus>Go on to GitHub</button></form>"""


def manifest(name: str, public_url: str, redirect_url: str) -> dict[str, Any]:
    """The App as GitHub is asked to make it ("Registering a GitHub App from a manifest"), with what `NEEDS` and
    `EVENTS` say. Without a public URL its webhook is not active.
    """
    home = public_url or "https://github.com"
    return {
        "name": name,
        "url": home,
        "description": "A merge queue: lands pull requests that are ready, and says of each why it is not.",
        "public": False,
        "redirect_url": redirect_url,
        "hook_attributes": {"url": f"{home}/webhooks/github", "active": bool(public_url)},
        "default_permissions": {need.permission: need.access for need in NEEDS},
        "default_events": list(EVENTS),
    }


@dataclass(frozen=True, slots=True)
class Registering:
    """One registration: what is asked for, of whom, and where its secrets go. `org` empty: the person's own App."""

    settings: Settings
    org: str
    name: str
    folder: Path

    def run(self, server: "Visit", stopping: Event) -> NewApp | None:
        """Wait for the visit that brings GitHub's code, then write the key and the environment file, both readable by
        their owner alone; None if `stopping` was set before. Raises ConfigError; then nothing of it is left on disk.
        """
        with ExitStack() as undo:
            files = [self._reserve(name, undo) for name in (KEY_FILE, ENVIRONMENT_FILE)]
            code = server.wait(stopping)
            if code is None:
                return None
            try:
                made = app_of_manifest(self.settings.github_api_url, code, has_hook=bool(self.settings.public_url))
            except NoCredentials as error:
                raise ConfigError(f"{error}; run the command again, a code is good once and for an hour") from None
            for file, text in zip(files, (made.pem, self._environment(made)), strict=True):
                file.write_text(text, encoding="ascii")
            undo.pop_all()
            return made

    def form(self, redirect_url: str, state: str) -> str:
        """The page that hands the manifest to GitHub."""
        api = self.settings.github_api_url
        web = "https://github.com" if api == "https://api.github.com" else api.removesuffix("/api/v3")
        owner = f"/organizations/{quote(self.org)}" if self.org else ""
        asked = manifest(self.name, self.settings.public_url, redirect_url)
        return _FORM.format(
            action=html.escape(f"{web}{owner}/settings/apps/new?state={state}"),
            manifest=html.escape(json.dumps(asked)),
        )

    def _environment(self, made: NewApp) -> str:
        told = {
            "GITHUB_APP_ID": made.id,
            "GITHUB_APP_PRIVATE_KEY_FILE": str((self.folder / KEY_FILE).absolute()),
            "MERGEQ_WEBHOOK_SECRET": made.webhook_secret,
            "MERGEQ_PUBLIC_URL": self.settings.public_url,
        }
        if self.settings.github_api_url != Settings().github_api_url:
            told["GITHUB_API_URL"] = self.settings.github_api_url
        return "".join(f"{name}={value}\n" for name, value in told.items() if value)

    def _reserve(self, name: str, undo: ExitStack) -> Path:
        """An empty file for a secret, made now so that what GitHub tells once cannot fail to be kept."""
        file = self.folder / name
        try:
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError as error:
            why = f"{file}: cannot be made ({error.strerror})"
            raise ConfigError(f"{why}; choose an empty folder with --folder") from None
        undo.callback(file.unlink, missing_ok=True)
        return file


def next_steps(made: NewApp, folder: Path) -> list[str]:
    """What to do with a new App, a line each."""
    hook = "its webhook is on" if made.has_hook else "it has no webhook yet: give it one in its settings"
    return [
        f"{made.name} is registered ({made.url}); {hook}",
        f"its key is in {folder / KEY_FILE}, its variables are in {folder / ENVIRONMENT_FILE}; keep both to yourself",
        f"1. install it where mergeq is to work: {made.url}/installations/new",
        f"2. set -a; . {folder / ENVIRONMENT_FILE}; set +a",
        "3. mergeq doctor ORG/REPO --config config.yaml",
    ]


class Visit:
    """A web server on this machine's loopback that shows one form and waits for GitHub to send the browser back."""

    def __init__(self, registering: Registering, port: int = 0) -> None:
        self._state = secrets.token_urlsafe(24)
        self._code: str | None = None
        visit = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 3  # seconds: browsers open connections that they do not use

            def do_GET(self) -> None:
                """Show the form, or take the code."""
                status, title, body = visit.answer(self.path, registering)
                text = _PAGE.format(title=title, body=body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(text)))
                self.send_header("Cache-Control", "no-store")
                self.send_header("Referrer-Policy", "no-referrer")
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                """The code in an address is nothing for a log."""

        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        except OSError as error:
            raise ConfigError(f"127.0.0.1:{port}: cannot listen there ({error.strerror}); choose --port") from None
        self._server.timeout = 0.2
        self._server.daemon_threads = False  # the last page is sent before we end
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def wait(self, stopping: Event) -> str | None:
        """The code that GitHub sent; None if `stopping` was set before."""
        while self._code is None and not stopping.is_set():
            self._server.handle_request()
        return self._code

    def close(self) -> None:
        """Stop listening."""
        self._server.server_close()

    def answer(self, path: str, registering: Registering) -> tuple[HTTPStatus, str, str]:
        """The status, title and body of one page. Only who came from our own form brings a code that is taken."""
        parts = urlsplit(path)
        asked: Mapping[str, list[str]] = parse_qs(parts.query)
        if parts.path == "/":
            return HTTPStatus.OK, "Register mergeq", registering.form(f"{self.url}/created", self._state)
        if parts.path != "/created":
            return HTTPStatus.NOT_FOUND, "Nothing here", "<p>Go back to your terminal.</p>"
        if not secrets.compare_digest("".join(asked.get("state", [])).encode(), self._state.encode()):
            return HTTPStatus.FORBIDDEN, "Not from here", "<p>Start at the address that the terminal shows.</p>"
        if not asked.get("code"):
            return HTTPStatus.BAD_REQUEST, "No code", "<p>GitHub sent no code. Start again.</p>"
        self._code = asked["code"][0]
        return HTTPStatus.OK, "Done", "<p>Go back to your terminal; it says what comes next.</p>"
