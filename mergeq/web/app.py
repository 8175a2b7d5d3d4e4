"""The application: its routes, its headers, its errors."""

from pathlib import Path
from typing import Any

from flask import Flask, Response, current_app, jsonify, render_template, request
from jinja2 import StrictUndefined
from werkzeug.exceptions import HTTPException

from mergeq import __version__, shipped
from mergeq.bootstrap import Services
from mergeq.web.live import live, prepare
from mergeq.web.pages import pages
from mergeq.web.webhooks import Intake

_MAX_FORM = 64 * 1024  # bytes that a request for a page may have
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def create_app(services: Services) -> Flask:
    """The pages, their JSON twins, the webhook intake, health and metrics."""
    webui: Path = shipped("webui")
    app = Flask(
        "mergeq",
        template_folder=str(webui / "templates"),
        static_folder=str(webui / "static"),
        static_url_path="/static",
    )
    app.config.update(MAX_CONTENT_LENGTH=_MAX_FORM, SERVICES=services)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals["version"] = __version__
    app.jinja_env.undefined = StrictUndefined
    prepare(app)
    app.register_blueprint(pages)
    app.register_blueprint(live)
    app.before_request(_follow)
    app.after_request(_harden)
    app.register_error_handler(HTTPException, _explain)
    app.register_error_handler(Exception, _admit)
    app.wsgi_app = Intake(services, app.wsgi_app)  # type: ignore[method-assign]
    return app


def _follow() -> None:
    services: Services = current_app.config["SERVICES"]
    services.follow()


def _harden(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.path != "/static" and not request.path.startswith("/static/"):
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def _explain(error: HTTPException) -> tuple[Any, int]:
    """An error page in words, or the same as JSON where a program asked."""
    code = error.code or 500
    if request.path.endswith((".json", ".js")) or request.path.startswith(("/api/", "/events")):
        return jsonify(error=error.description), code
    return render_template("error.html", code=code, name=error.name, description=error.description), code


def _admit(error: Exception) -> tuple[Any, int]:
    """Something failed inside: logged whole, shown as one sentence, never as a traceback."""
    current_app.config["SERVICES"].log.error(
        "request failed", path=request.path, error=type(error).__name__, exc_info=error
    )
    unavailable = HTTPException("mergeq could not answer; its log says why. Try again in a moment.")
    unavailable.code = 503
    return _explain(unavailable)
