"""The webhook intake: verify, mark, answer. Nothing of a payload is trusted or kept."""

import json

from flask import Blueprint, Response, current_app, jsonify, request

from mergeq import jobs
from mergeq.bootstrap import Services
from mergeq.github.webhooks import is_genuine

MAX_PAYLOAD = 25 * 1024 * 1024  # GitHub sends no larger one (Q69)

webhooks = Blueprint("webhooks", __name__)


@webhooks.post("/webhooks/github")
def receive() -> tuple[Response, int]:
    """202 queued or seen before, 200 ping or nothing to do, 400 not readable, 401 not signed by GitHub, 415 not JSON,
    503 no secret.
    """
    services: Services = current_app.config["SERVICES"]
    if not services.settings.webhook_secrets:
        return _answer(services, "no-secret", "set MERGEQ_WEBHOOK_SECRET to accept webhooks", 503)
    body = request.get_data(cache=False)
    if not is_genuine(body, request.headers.get("X-Hub-Signature-256", ""), services.settings.webhook_secrets):
        return _answer(
            services, "bad-signature", "the signature does not fit the body; check the webhook's secret", 401
        )
    if request.mimetype != "application/json":
        return _answer(services, "wrong-type", "set the webhook's content type to application/json", 415)
    event, delivery = request.headers.get("X-GitHub-Event", ""), request.headers.get("X-GitHub-Delivery", "")
    if not event or not delivery:
        return _answer(services, "no-headers", "X-GitHub-Event or X-GitHub-Delivery is missing", 400)
    if event == "ping":
        return _answer(services, "ping", "pong", 200)
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        return _answer(services, "not-json", "the body is not JSON", 400)
    received = jobs.receive(services, delivery, event, payload)
    return _answer(services, received.value, received.value, 200 if received is jobs.Received.IGNORED else 202)


def _answer(services: Services, result: str, message: str, code: int) -> tuple[Response, int]:
    services.store.count("mergeq_webhooks_total", result=result)
    return jsonify(message=message), code
