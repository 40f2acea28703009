# Generated from _async/objects/__init__.py by scripts/unasync: DO NOT CHANGE.
