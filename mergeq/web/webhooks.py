"""The webhook intake: verify, mark, answer. Nothing of a payload is trusted or kept."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request, Response

from mergeq import jobs
from mergeq.bootstrap import Services
from mergeq.github.webhooks import is_genuine
from mergeq.jobs import Received
from mergeq.store import Away, reaching

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PATH = "/webhooks/github"
MAX_PAYLOAD = 25 * 1024 * 1024  # GitHub sends no larger one (Q69)
_LONGEST_HEADER = 100
_OF_OWNER = frozenset({"organization", "integration"})
_LOOK_SECONDS = 1.0  # how old the configuration may be by which an event is judged


class Intake:
    """Takes deliveries before the application that has the pages sees them, for what that does to a request costs as
    much as all that is done here.
    """

    def __init__(self, services: Services, pages: "WSGIApplication") -> None:
        self._services = services.in_haste()
        self._pages = pages

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ.get("PATH_INFO") != PATH:
            return self._pages(environ, start_response)
        try:
            code, message = self._receive(Request(environ))
        except Exception as error:
            self._services.log.error("webhook failed", error=type(error).__name__, exc_info=error)
            code, message = 503, "mergeq could not answer; its log says why. Deliver it again later"
        body = msgspec.json.encode({"message": message})
        return Response(body, code, mimetype="application/json")(environ, start_response)

    def _receive(self, request: Request) -> tuple[int, str]:
        """202 queued or seen before, 200 ping or nothing to do, 400 not readable, 401 not signed by GitHub, 405 no
        delivery, 413 too large, 415 not JSON, 503 no secret, or Redis does not answer: GitHub keeps what was not
        answered by 2xx, and sends it again when it is asked to.
        """
        secrets = self._services.settings.webhook_secrets
        if request.method != "POST":
            return 405, "GitHub delivers here, by POST"
        if not secrets:
            return self._refuse("no-secret", 503, "set MERGEQ_WEBHOOK_SECRET to accept webhooks")
        request.max_content_length = MAX_PAYLOAD
        try:
            body = request.get_data(cache=False)
        except RequestEntityTooLarge:
            return self._refuse("too-large", 413, f"a delivery has at most {MAX_PAYLOAD} bytes")
        headers = request.headers
        if not is_genuine(body, headers.get("X-Hub-Signature-256", ""), secrets):
            why = "the signature does not fit the body; check the webhook's secret"
            return self._refuse("bad-signature", 401, why)
        if request.mimetype != "application/json":
            return self._refuse("wrong-type", 415, "set the webhook's content type to application/json")
        event, delivery = headers.get("X-GitHub-Event", ""), headers.get("X-GitHub-Delivery", "")
        if not event or not 0 < len(delivery) <= _LONGEST_HEADER:
            return self._refuse("no-headers", 400, "X-GitHub-Event or X-GitHub-Delivery is missing, or is none")
        try:
            payload = msgspec.json.decode(body)
        except (ValueError, msgspec.DecodeError, RecursionError):
            return self._refuse("not-json", 400, "the body is not JSON")
        of_owner = headers.get("X-GitHub-Hook-Installation-Target-Type") in _OF_OWNER
        try:
            with reaching():
                self._services.follow(_LOOK_SECONDS)
                received = jobs.receive(self._services, delivery, event, payload, of_owner=of_owner)
        except Away as error:
            self._services.log.error("webhook not taken", about=event, delivery=delivery, error=str(error))
            return 503, "Redis does not answer; deliver it again later"
        return 202 if received in {Received.QUEUED, Received.DUPLICATE} else 200, received.value

    def _refuse(self, result: str, code: int, message: str) -> tuple[int, str]:
        """Count it; the answer is the same where that cannot be done."""
        try:
            with reaching():
                self._services.store.count("mergeq_webhooks_total", result=result)
        except Away as error:
            self._services.log.error("webhook not counted", result=result, error=str(error))
        return code, message
