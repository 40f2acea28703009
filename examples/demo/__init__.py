"""Vault at work: a server and its clients."""
