"""Writes of the study loop, one noun a module: studies, entry, progress, leaving, texts."""
