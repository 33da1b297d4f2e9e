"""Frozen values without I/O: what a position, a market, a rule's verdict and a decision are."""
