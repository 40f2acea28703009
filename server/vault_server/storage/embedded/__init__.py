"""The engine as Stores.

store               EmbeddedStore
async_store         AsyncEmbeddedStore; `async_streams` its readers, writers and watches
opener              the entry point by which a path finds it
check_directory     a directory checked from outside, its register rebuilt when it must be
"""
