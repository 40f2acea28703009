"""A Store over any engine: an index, blobs and a signal, as `protocols` names what they do.

`_async` is written, `_sync` is generated from it by scripts/unasync.

commits      many callers' writes, decided and applied as one group
writer       an object's blocks on their way, staged; `suspended` keeps those that are to go on later
collection   what was replaced or deleted goes when its time has come
watch        a watcher's place in the feed
store        the Store made of these
"""
