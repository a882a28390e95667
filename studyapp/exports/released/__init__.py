"""Programs that travel in a release: they stand alone and import nothing of Palate."""
