"""How well states are told apart in specimens that no model has seen, and what a leaking split would claim."""
