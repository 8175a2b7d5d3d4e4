"""The decisions: pure functions from facts to values. No network, Redis, file, clock or log is reachable from here."""
