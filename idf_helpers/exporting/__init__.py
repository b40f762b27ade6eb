"""Showing results: the exported page, turntables, notebook widgets."""
