"""A document keeper: documents in folders, in a directory or on a storage host."""
