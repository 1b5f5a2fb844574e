"""From a study to what has to be computed: the digest and the settings of every stage, and the work of its jobs."""
