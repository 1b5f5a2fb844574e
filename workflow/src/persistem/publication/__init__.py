"""What a study shows, where it comes from, and how others verify it."""
