"""Whether a pool that somebody waits in stands still: how long it was without a verdict, and how long it may be."""

from dataclasses import dataclass, replace

from mergeq.core.queue import QueueValues, Retest

_KEPT = 50
_LEAST, _UNKNOWN = 900.0, 3600.0  # seconds without a verdict that are nothing to worry about; the latter at first


@dataclass(frozen=True, slots=True)
class Pulse:
    """How the pool of one branch goes on. `since` is when it began to wait for its next verdict (epoch seconds), None
    while nobody waits there or people stop it; `verdict` when the last one came. `intervals` are the last waits that
    ended with a verdict, in seconds, oldest first.

    A verdict is a landing, or a run that has ended by what CI says or does not say. A run that is given up is none: to
    begin anew again and again is what is looked for.
    """

    since: float | None = None
    verdict: float = 0.0
    intervals: tuple[float, ...] = ()

    def beat(self, now: float, verdict: float, *, is_waiting: bool) -> "Pulse":
        """The pulse after a look at the pool, whose last verdict came at `verdict`."""
        pulse = self
        if self.since is not None and verdict > self.verdict:
            waited = max(verdict - self.since, 0.0)
            pulse = replace(self, since=verdict, intervals=(*self.intervals, waited)[-_KEPT:])
        since = (now if pulse.since is None else pulse.since) if is_waiting else None
        return replace(pulse, since=since, verdict=verdict)

    def stalled(self, now: float, values: QueueValues) -> bool:
        """Whether it has waited for longer than it ever had to of late.

        A quarter of an hour is never too long. Where nothing is known yet an hour is, or three times what a staged run
        may take.
        """
        least = _LEAST if self.intervals else _UNKNOWN
        if not self.intervals and values.retest is not Retest.HEAD:
            least = max(least, 3 * values.staging.timeout)
        return self.since is not None and now - self.since > max(least, *self.intervals, 0.0)
