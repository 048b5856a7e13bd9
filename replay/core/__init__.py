"""The pure core: state, the reducer, margin, plans and laws. No I/O, no clock, no randomness, no float."""
