"""What GitHub could not deliver is asked for again. It keeps an App's deliveries for three days and repeats none by
itself; of a repository's own webhooks nothing is asked, and the sweep makes up for those.
"""

from mergeq.bootstrap import Services
from mergeq.github import App, NoCredentials

_KEPT_SECONDS = 3 * 86400.0
_OVERLAP_SECONDS = 600.0  # an attempt is listed only when it is over
_AT_ONCE = 100


def redeliver_missed(services: Services) -> int:
    """Ask once for each delivery to our App that failed since the last look and has not come by other means (Q69);
    returns for how many. Costs a call where nothing failed, and nothing without an App. What GitHub does not let us
    know or have is logged.
    """
    app, store, now = services.github.credentials, services.store, services.now()
    if not isinstance(app, App):
        return 0
    asked = 0
    try:
        for attempt in app.failed_deliveries(max(store.asked_until() - _OVERLAP_SECONDS, now - _KEPT_SECONDS)):
            if not store.is_missed(delivery := str(attempt["guid"])):
                continue
            if asked == _AT_ONCE:
                return asked
            if app.redeliver(attempt["id"]):
                store.count("mergeq_webhooks_redelivered_total")
                asked += 1
            store.note_asked(delivery, now)
        store.set_asked_until(now)
    except NoCredentials as error:
        services.log.warning("missed webhooks not asked for", error=str(error))
    return asked
