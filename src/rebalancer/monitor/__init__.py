"""The loop around deciding: what to fetch, and how it is looked at before anything is decided."""
