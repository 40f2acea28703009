"""The decision on every commit, which each engine makes alike: no SQL, no I/O, no clock.

writes          what callers ask for
rows            what an index holds, and how it is packed
plan            what a decision is made of, and what it comes to
decide          the decision; `group` what it has come to so far, `quota` the room in it, `refusals` its errors
columns         the decision on a batch of new objects, at once
stored          what is read of an object; `listing` a page of them
leases          who has a lease on a name
"""
