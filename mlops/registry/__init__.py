"""Registered models: the bundle that is served, and the registry it comes from."""
