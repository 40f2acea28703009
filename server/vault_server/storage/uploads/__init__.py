"""How an upload's bytes are taken in before its commit.

incoming        what is known of them; `staged_bytes` the file that they go to
resumption      writes that lost their stream; `journal` one of them on the disk
"""
