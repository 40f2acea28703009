# Generated from _async/__init__.py by scripts/unasync: DO NOT CHANGE.
"""Written; `_sync` is generated from it."""
