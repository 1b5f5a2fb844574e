"""Composites whose regions are known, and what a model's maps are worth on them."""
