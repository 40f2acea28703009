# Generated from _async/feed/__init__.py by scripts/unasync: DO NOT CHANGE.
