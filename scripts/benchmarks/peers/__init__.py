"""Vault and what it is measured beside: a module each, with the client's side and such servers as are ours to write.

Each peer is used as its own documentation shows; where that leaves a choice, the faster way is taken. `table.py` names
them all.
"""
