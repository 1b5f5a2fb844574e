"""Numbers that describe a crop or a sliding window, by persistence and by what it is compared with."""
