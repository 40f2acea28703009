"""One open store.

engine      its parts put together, taken apart, and made anew in a forked child
register    its register as `generic` reads an index; `contents` its files as `generic` reads blobs
file_writer the writer of a stream
adoption    directories that pyvault wrote
"""
