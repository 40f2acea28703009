"""One open store.

engine      its parts put together, taken apart, and made anew in a forked child
reads       looking up and loading; `writes` arguments checked, bytes staged, jobs handed to the writer
adoption    directories that pyvault wrote
"""
