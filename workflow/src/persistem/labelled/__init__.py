"""From labelled micrographs to a model of their states, and what it is worth on micrographs that it has not seen."""
