"""Funding histories: read, validated, on the grid; and what smoothing makes of them. No numpy."""
