"""Participant pages, one noun a module. The recorded state decides the page; a view only shows or passes on."""
