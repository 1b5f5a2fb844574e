"""Where results lie, and how none is lost: paths, digests, seals, files, locks and runs."""
