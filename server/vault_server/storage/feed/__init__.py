"""The change feed.

feed            what was committed, in order; `bell` says when
watch           one watcher's place in it; `notifier` tells event loops
"""
