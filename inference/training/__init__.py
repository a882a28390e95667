"""Flat programs that make and measure the bundled model. The web process never imports this package."""
