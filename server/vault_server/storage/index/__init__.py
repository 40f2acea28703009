"""The index of a store, in SQLite.

facts           what a decision needs to know; `apply` makes a plan so
padded          parameters for lists of any length, in few statements
objects         its rows as values; `object_batches` many at once, `listing` pages of them, `page_token` their tokens
expiring        what has expired, left out of all that is read
units           what units hold, and their limits; `principals` what is charged to each, and theirs
retirement      generations that were replaced or deleted, until they are collected
schema          the tables, their versions and the steps between them
connections     SQLite connections, leased
opening         a register that is missing, torn or too old is refused
restoring       rows that are put back
"""
