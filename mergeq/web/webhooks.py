"""The webhook intake: verify, mark, answer. Nothing of a payload is trusted or kept."""

import msgspec
from flask import Blueprint, Response, current_app, jsonify, request
from werkzeug.exceptions import RequestEntityTooLarge

from mergeq import jobs
from mergeq.bootstrap import Services
from mergeq.github.webhooks import is_genuine
from mergeq.jobs import Received
from mergeq.store import Away

MAX_PAYLOAD = 25 * 1024 * 1024  # GitHub sends no larger one (Q69)
_LONGEST_HEADER = 100
_LOOK_SECONDS = 1.0  # how old the configuration may be by which an event is judged

webhooks = Blueprint("webhooks", __name__)


@webhooks.post("/webhooks/github")
def receive() -> tuple[Response, int]:
    """202 queued or seen before, 200 ping or nothing to do, 400 not readable, 401 not signed by GitHub, 413 too large,
    415 not JSON, 503 no secret, or Redis does not answer: GitHub keeps what was not answered by 2xx, and sends it again
    when it is asked to.
    """
    services: Services = current_app.config["INTAKE"]
    if not services.settings.webhook_secrets:
        return _refuse(services, "no-secret", "set MERGEQ_WEBHOOK_SECRET to accept webhooks", 503)
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        return _refuse(services, "too-large", f"a delivery has at most {MAX_PAYLOAD} bytes", 413)
    if not is_genuine(body, request.headers.get("X-Hub-Signature-256", ""), services.settings.webhook_secrets):
        why = "the signature does not fit the body; check the webhook's secret"
        return _refuse(services, "bad-signature", why, 401)
    if request.mimetype != "application/json":
        return _refuse(services, "wrong-type", "set the webhook's content type to application/json", 415)
    event, delivery = request.headers.get("X-GitHub-Event", ""), request.headers.get("X-GitHub-Delivery", "")
    if not event or not 0 < len(delivery) <= _LONGEST_HEADER:
        return _refuse(services, "no-headers", "X-GitHub-Event or X-GitHub-Delivery is missing, or is none", 400)
    try:
        payload = msgspec.json.decode(body)
    except (ValueError, msgspec.DecodeError, RecursionError):
        return _refuse(services, "not-json", "the body is not JSON", 400)
    services.follow(_LOOK_SECONDS)
    try:
        received = jobs.receive(services, delivery, event, payload)
    except Away as error:
        services.log.error("webhook not taken", about=event, delivery=delivery, error=str(error))
        return jsonify(message="Redis does not answer; deliver it again later"), 503
    return jsonify(message=received.value), 202 if received in {Received.QUEUED, Received.DUPLICATE} else 200


def _refuse(services: Services, result: str, message: str, code: int) -> tuple[Response, int]:
    """Count and answer; the answer is the same where it cannot be counted."""
    try:
        services.store.count_delivery(result)
    except Away as error:
        services.log.error("webhook not counted", result=result, error=str(error))
    return jsonify(message=message), code
