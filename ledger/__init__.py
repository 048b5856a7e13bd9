"""The record: where events are kept."""
