"""A model of the states of a material, as a microscope shows them: trained, written, loaded, and what it says."""
