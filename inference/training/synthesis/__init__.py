"""The parts of `python -m inference.training.synthesize`: labelled preferences of synthetic users. No Django."""
