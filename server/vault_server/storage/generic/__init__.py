"""A Store over any engine: an index, blobs and a signal, as `protocols` names what they do.

`_async` is written, `_sync` is generated from it by scripts/unasync.

store        what every Store does; `reading_store` its reads, `index_store` that of an engine that commits by `commits`
reads        an object found and opened; `reader` its blocks
commits      many callers' writes, decided and applied as one group
writer       an object's blocks on their way, staged; `suspended` keeps those that are to go on later
collection   what was replaced or deleted goes when its time has come
watch        a watcher's place in the feed
signal       wakes watchers within a process
"""
