"""Every bench, in the order of the table."""

from tests.bench import core, economy, intake, protection, queueing, reaction, sandbox
from tests.bench.frame import Bench

BENCHES: tuple[Bench, ...] = (
    *core.BENCHES,
    *queueing.BENCHES,
    *sandbox.BENCHES,
    *intake.BENCHES,
    *economy.BENCHES,
    *reaction.BENCHES,
    *protection.BENCHES,
)
