"""What is kept for a while, and goes then.

retention       generations that were replaced or deleted
resumption      writes that lost their stream; `journal` one of them on the disk
sweeper         files that nothing needs any more
"""
