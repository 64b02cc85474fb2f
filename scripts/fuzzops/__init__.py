"""Looks for operations that end the process: see __main__.py."""
