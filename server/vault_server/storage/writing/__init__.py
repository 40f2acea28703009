"""How a write is taken in and committed; the modules in the order in which it goes through them.

writes          arguments checked, the writer's jobs made
upload          blocks taken in, into `staging`; `resumable` when they are to outlive their stream
commands        what each write decides and does in a transaction
writer          the thread that commits many of them at once; `outcome` what its callers wait for
transaction     revisions, files named, what is undone
reserve         room that is kept on a full disk
"""
