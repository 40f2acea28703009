"""How a group of writes is committed.

writer          the thread that commits what queued up meanwhile at once; `outcome` what its callers wait for
committer       one write transaction; `placement` the files that it names
collection      files that nothing needs any more; `expiry` objects whose time is over
"""
