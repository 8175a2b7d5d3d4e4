"""Tell CI of staged runs, where the push of their refs alone does not start it: at least once, each time by the same
identity, until it is taken.
"""

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import requests
from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_exponential_jitter

from mergeq.bootstrap import Services
from mergeq.core.batch import Run, Told
from mergeq.core.budget import Purpose
from mergeq.core.pull import Branch
from mergeq.core.queue import Trigger, TriggerKind
from mergeq.github import Refused
from mergeq.store import Lease

STAGED = "mergeq.run.staged"
_ATTEMPTS = 3
_TIMEOUT = (5.0, 10.0)  # seconds to connect, and to the answer's head
_SOON, _AT_MOST = 15.0, 300.0  # seconds until CI is told again, twice as long each time
_PASSING = frozenset({408, 425, 429})
_PLAIN = "!#$&'()*+,-./:;<=>?@[]^_`{|}~"  # what may stand in a header as it is (CloudEvents HTTP binding, 3.1.3.2)


def tell(services: Services, lease: Lease) -> None:
    """Tell CI of every run under way that it does not know of, as `staging.trigger` says. Raises LeaseLost and
    HeldBack.

    What fails is logged, kept with the run, and tried again: a run that CI was not told of is never held to be
    ignored by it. Its time begins when CI was told.
    """
    services = services.on(Purpose.STAGING)
    trigger = services.config.for_branch(lease.branch).queue.staging.trigger
    for run in services.store.runs(lease.branch):
        is_due = services.now() >= run.told.at + _pause(run.told)
        if run.ended is None and run.ref and run.is_pushed and not run.on_head and not run.told.is_done:
            if trigger.kind is not TriggerKind.PUSH and is_due:
                _tell(services, lease, run, trigger)
            elif trigger.kind is TriggerKind.PUSH and run.told.tries:
                services.store.save_run(lease, replace(run, told=Told(), started_at=services.now()))


def _tell(services: Services, lease: Lease, run: Run, trigger: Trigger) -> None:
    services.store.extend(lease, services.now())
    why = _sent(services, lease.branch, run, trigger)
    told = Told(services.now(), run.told.tries + 1, why)
    services.store.count("mergeq_triggers_total", kind=trigger.kind.value, result="failed" if why else "sent")
    if why:
        services.log.warning("CI not told", branch=str(lease.branch), run=run.id, tries=told.tries, why=why)
        services.store.look_later(lease.branch, (), told.at + _pause(told))
        services.store.save_run(lease, replace(run, told=told))
    else:
        services.log.info("CI told", branch=str(lease.branch), run=run.id, kind=trigger.kind.value)
        services.store.save_run(lease, replace(run, told=told, started_at=told.at))


def _pause(told: Told) -> float:
    return min(_SOON * 2.0 ** (told.tries - 1), _AT_MOST) if told.tries else 0.0


def _sent(services: Services, branch: Branch, run: Run, trigger: Trigger) -> str:
    """Tell CI of one run; what went wrong, empty when nothing did. Raises HeldBack."""
    if trigger.kind is TriggerKind.REPOSITORY_DISPATCH:
        try:
            services.github.dispatch(branch, trigger.event_type, payload(branch, run))
        except Refused as error:
            return f"GitHub did not take the dispatch: {error}"
        return ""
    if not (secret := services.settings.secrets.get(trigger.secret_env)):
        return f"{trigger.secret_env} is not set"
    body = json.dumps(payload(branch, run), sort_keys=True).encode()
    headers = {**_attributes(services.settings.public_url, branch, run), **_signature(body, secret)}
    return _posted(services, trigger.url, body, headers)


def payload(branch: Branch, run: Run) -> dict[str, Any]:
    """What CI is told of a run. Nothing in it is a text that the author of a pull request chose, for it is put into
    scripts; GitHub takes ten keys at most.
    """
    return {
        "run": run.id,
        "branch": str(branch),
        "repository": branch.full_repo,
        "base_ref": branch.name,
        "base_sha": run.base_sha,
        "ref": f"refs/heads/{run.ref}",
        "sha": run.staged_sha,
        "tree": run.trees[-1] if run.trees else run.base_tree,
        "pulls": [
            {"number": member.number, "head_sha": member.head_sha, "method": member.method.value}
            for member in run.members
        ],
    }


def _attributes(public_url: str, branch: Branch, run: Run) -> dict[str, str]:
    """The context attributes of the event, as headers (CloudEvents 1.0, HTTP binding, binary mode). They are the same
    each time that a run is told of, so that a receiver can drop what it has had: `source` and `id` name an event.
    """
    found = {
        "specversion": "1.0",
        "type": STAGED,
        "source": f"{public_url or 'mergeq:'}/{branch.full_repo}",
        "id": run.id,
        "time": datetime.fromtimestamp(run.started_at, UTC).isoformat().replace("+00:00", "Z"),
        "subject": str(branch),
    }
    return {
        "Content-Type": "application/json",
        **{f"ce-{name}": quote(said, safe=_PLAIN) for name, said in found.items()},
    }


def _signature(body: bytes, secret: str) -> dict[str, str]:
    """The signature of a body, as GitHub signs its webhooks, which receivers know how to check."""
    return {"X-Hub-Signature-256": f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"}


def _posted(services: Services, url: str, body: bytes, headers: dict[str, str]) -> str:
    """Send an event until it is taken, a few times; what went wrong, empty when nothing did. Redirections are not
    followed: what is signed goes where the configuration says, and nowhere else.
    """
    retrying = Retrying(
        retry=retry_if_result(_may_pass),
        wait=wait_exponential_jitter(multiplier=0.5, max=5),
        stop=stop_after_attempt(_ATTEMPTS),
        sleep=services.sleep,
        retry_error_callback=lambda state: state.outcome and state.outcome.result(),
    )
    code, where = retrying(_post, url, body, headers)
    place = url.partition("?")[0]
    if code == 0:
        return f"{place} gave no answer ({where})"
    if 300 <= code < 400:
        return f"{place} redirects to {where or 'nowhere'}, which is not followed; name the address itself"
    return "" if code < 300 else f"{place} answered {code}"


def _post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
    """The status of the answer, and where it redirects to; 0 when there was none, and what went wrong."""
    try:
        with requests.post(
            url, data=body, headers=headers, timeout=_TIMEOUT, allow_redirects=False, stream=True
        ) as answer:
            return answer.status_code, answer.headers.get("location", "").partition("?")[0]
    except requests.RequestException as error:
        return 0, type(error).__name__


def _may_pass(said: tuple[int, str]) -> bool:
    return said[0] == 0 or said[0] >= 500 or said[0] in _PASSING
