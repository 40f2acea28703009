"""Written; `_sync` is generated from it."""
