"""How a write is committed.

commands        what each write decides and does in a transaction
writer          the thread that commits many of them at once; `outcome` what its callers wait for
transaction     revisions, files named, what is undone
collection      files that nothing needs any more
"""
