# Generated from _async/files/__init__.py by scripts/unasync: DO NOT CHANGE.
