"""Waiting for what another process does."""

import time

#: Longer than anything takes on a machine that is busy with something else.
PATIENCE = 600.0


def until(condition, patience=PATIENCE):
    """Wait until a condition holds, and return what it was; an error where it never does."""
    end = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {patience:.0f} s"
        time.sleep(0.05)
    return found
