"""Vault: typed Python objects and large files in units, embedded or on a storage host."""
