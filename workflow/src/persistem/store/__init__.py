"""Where results lie, and how nothing is lost: paths, digests, seals, files, locks and runs."""
