"""Classifiers, splits, nested cross-validation over MD seeds, and intervals."""
