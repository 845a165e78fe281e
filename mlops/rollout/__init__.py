"""Releases: who gets which version, what is decided by which figures, and the state that says so."""
