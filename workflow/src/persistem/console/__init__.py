"""The console of a run: from Snakemake's log to a bar, results and warnings."""
