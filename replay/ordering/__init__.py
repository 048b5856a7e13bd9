"""How well an order of closes agrees with a rule's scores, and how far it can where some are not known."""
