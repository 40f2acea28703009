"""The change feed.

feed            what was committed, in order; `commit_signal` says when
watch           one watcher's place in it; `notifier` wakes event loops
"""
