"""Hides people: arrays in, arrays out. Knows no web, registry, database or metrics."""
