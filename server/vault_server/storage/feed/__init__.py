"""The change feed: what was committed, in order; `commit_signal` says when another process did."""
