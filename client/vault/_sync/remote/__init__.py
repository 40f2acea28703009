# Generated from _async/remote/__init__.py by scripts/unasync: DO NOT CHANGE.
