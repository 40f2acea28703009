"""How an upload's bytes are taken in before its commit.

staging_writer      blocks verified, staged, made durable
resumable_writer    the same, for a write that is to outlive its stream
resumption          writes that lost their stream; `journal` one of them on the disk
"""
