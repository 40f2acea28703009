"""The index of a store, in SQLite.

objects         its rows as values; `listing` pages of them
schema          the tables, their versions and the steps between them
connections     SQLite connections, leased
opening         a register that is missing, torn or too old is told; `watermark` is how the last is known
presence        who has a directory open
adoption        directories that pyvault wrote; `measuring` what a file's bytes come to
"""
