"""The meaning: what events add up to."""
