"""Template filters of the participant pages."""
