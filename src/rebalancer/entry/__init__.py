"""The opening side: when to open, and which pair."""
