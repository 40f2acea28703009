# Generated from _async/vault/__init__.py by scripts/unasync: DO NOT CHANGE.
