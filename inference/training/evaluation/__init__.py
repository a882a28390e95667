"""What `python -m inference.training.evaluate` is made of. The web process never imports this package."""
