"""HTTP in, pages out: a Flask application over the store. It never talks to GitHub."""

from mergeq.web.app import create_app
from mergeq.web.server import serve

__all__ = ["create_app", "serve"]
