"""From atoms to 8-bit crops: exit waves, the lens, the detector."""
