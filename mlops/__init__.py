"""Governs models: settings, registry, release decisions, cache and metrics. Knows nothing of faces or voices."""
