"""The files of a store.

directory       the open directory: who has it, and whether another is in its place
access          the modes of what is made in it; `filesystem` where none may be
revision_note   the last revision that was acknowledged
blobs           objects' files and their names; `staging` those on their way, each a `staged_file`
reader          one generation's blocks
reserve         room that is kept on a full disk
leases          the leases on names
"""
