"""Figures, tables, claims and the page of a study."""
