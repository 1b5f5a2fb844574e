"""Numbers that describe a crop or a sliding window: from persistence, and from the methods it is compared with."""
