"""Decides what may be released; whoever acts on a decision stands elsewhere."""
