"""The platform API: so far, what the registry holds."""
