"""Composite specimens, which state is where in them, and how well a map of their micrograph agrees with that."""
