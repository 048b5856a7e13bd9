"""The vocabulary: what happened. Frozen facts, exact units, canonical bytes, and the sources they come from."""
