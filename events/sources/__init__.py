"""Source adapters: one module per venue format, each turning rows of files into events."""
