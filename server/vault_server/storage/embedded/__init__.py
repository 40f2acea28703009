"""The Stores of a directory.

store               EmbeddedStore
async_store         AsyncEmbeddedStore; `async_engine` its parts and `async_writer` its writers, in `threads`
opener              the entry point by which a path finds it
check_directory     a directory checked from outside, its register rebuilt when it must be
"""
