"""Whether a store has lost what an earlier one knew (D14). One that was never founded lets nothing happen until
everything open was read: where GitHub shows what only an earlier one can have written, halts and pauses may be lost.
"""

from mergeq.bootstrap import Services
from mergeq.core import status
from mergeq.core.budget import Purpose
from mergeq.core.history import HistoryRecord, Outcome
from mergeq.core.orders import EVERYTHING, Halt
from mergeq.core.pull import Branch
from mergeq.core.query import scope_of
from mergeq.core.queue import Retest
from mergeq.github import Refused, Unreadable

_OURSELVES = "mergeq"


def found(services: Services) -> list[Branch]:
    """Found the store once all that is open in every scope was read; returns the branches that may then go on, empty
    while that is not known.

    It is paused if a status of ours stands on an open pull request, or a staging ref where runs are staged. Nothing of
    that can be this store's own, for until then nothing is written. Raises HeldBack, and Unreadable for what could not
    be read of all that.
    """
    store, now = services.store, services.now()
    scopes = {scope_of(search) for search in services.config.open_pull_searches()}
    if store.is_founded() or not scopes <= store.read_through():
        return []
    if trace := _status_of_ours(services) or _staging_ref(services.on(Purpose.SWEEP)):
        why = f"the store is new, but GitHub shows {trace}: if an earlier one was lost, so were its pauses and halts"
        record = HistoryRecord(
            id=store.new_id(),
            branch=str(EVERYTHING),
            time=now,
            action="PAUSE",
            base_sha="",
            targets=(),
            outcome=Outcome.PAUSED,
            config=services.config.digest,
            by=_OURSELVES,
            why=why,
        )
        if store.found(now, record, Halt(why, _OURSELVES, now)):
            services.log.error("everything is paused", why=why, remedy="look, then `mergeq resume --all --why …`")
    elif store.found(now):
        services.log.info("the store is new, and GitHub shows nothing of an earlier one")
    return store.known_branches()


def _status_of_ours(services: Services) -> str:
    """A status of ours on an open pull request; empty when none has one. Raises Unreadable when that is not known."""
    name, unread = services.config.status_context, ""
    for key, pull in services.store.known_pulls():
        if pull is None or pull.contexts is None:
            unread = unread or key
        elif status.shown(pull.contexts, name) is not None:
            return f"the status {name} on {key}"
    if unread:
        raise Unreadable(f"{unread} could not be read in full, so it is not known whether it has a status of ours")
    return ""


def _staging_ref(services: Services) -> str:
    """A ref under a staging prefix; empty when there is none. Raises Unreadable and HeldBack."""
    staged = {
        (branch.full_repo, values.staging.prefix): branch
        for branch in services.store.known_branches()
        if (values := services.config.queue_values(branch)).retest is not Retest.HEAD
    }
    for (repo, prefix), branch in sorted(staged.items()):
        try:
            refs = services.github.refs_under(branch, prefix)
        except Refused as error:
            raise Unreadable(f"{repo}: its refs could not be listed ({error})") from error
        if refs:
            return f"the staging ref {refs[0][0]} in {repo}"
    return ""
