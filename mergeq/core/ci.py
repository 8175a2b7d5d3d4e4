"""What CI has to be set up for so that it tests staged commits, and what is probably missing where it stays away."""

from collections.abc import Iterable, Mapping

from mergeq.core.queue import StagingValues, TriggerKind

_ACTIONS = "github-actions"


def missing_ci(
    contexts: Iterable[str], staging: StagingValues, apps: Mapping[str, str | None], *, on_head: bool = False
) -> str:
    """What is most probably to be configured where, when these contexts never appeared on a staged commit: a sentence
    part for whoever runs CI, empty without contexts. `apps` are the slugs of the Apps that report them elsewhere, as on
    the pull requests' heads; of others, or with `any`, nobody knows. `on_head`: on a pull request's own head instead.
    """
    by_app: dict[str, list[str]] = {}
    for name in sorted(set(contexts)):
        app = apps.get(name) or ""
        by_app.setdefault("" if app == "any" else app, []).append(name)
    return "; ".join(_remedy(app, ", ".join(names), staging, on_head=on_head) for app, names in sorted(by_app.items()))


def listening(staging: StagingValues) -> str:
    """What stands under `on:` of a GitHub Actions workflow that runs on staged commits ("Events that trigger
    workflows").
    """
    if staging.trigger.kind is TriggerKind.REPOSITORY_DISPATCH:
        return f"repository_dispatch: {{types: [{staging.trigger.event_type}]}}"
    return f"push: {{branches: ['{staging.prefix}**']}}"


def _remedy(app: str, names: str, staging: StagingValues, *, on_head: bool) -> str:
    source = f"{app}, which reports {names}," if app else f"whatever reports {names}"
    if on_head:
        return f"have {source} run on pull requests"
    match staging.trigger.kind:
        case TriggerKind.CLOUDEVENTS:
            receiver = f"the receiver of {staging.trigger.place}"
            return f"have {receiver} start {source} and report on the commit `sha` of the event"
        case TriggerKind.REPOSITORY_DISPATCH if app == _ACTIONS:
            return (
                f"Actions reports what a dispatch started on the default branch alone: have the workflow set {names} "
                f"as a commit status of `client_payload.sha`, with `{listening(staging)}` under its `on:`"
            )
        case TriggerKind.REPOSITORY_DISPATCH:
            event = staging.trigger.event_type
            return f"have {source} run on repository_dispatch {event} and report on the commit `client_payload.sha`"
        case _ if app == _ACTIONS:
            return f"add `{listening(staging)}` under `on:` of the workflow that reports {names}"
        case _:
            return f"have {source} build pushes to {staging.prefix}** and report on the commit"
