"""From a study to what has to be computed: digests and settings of the stages, and the work of their jobs."""
