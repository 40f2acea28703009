"""The index of a store, in SQLite.

objects         its rows as values; `listing` pages of them
retirement      generations that were replaced or deleted, until they are collected
schema          the tables, their versions and the steps between them
connections     SQLite connections, leased
opening         a register that is missing, torn or too old is refused
"""
