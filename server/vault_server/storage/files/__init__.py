"""The files of a store.

directory       the open directory, and whether another is in its place; `access` modes, `filesystem` which are refused
directory_lock  who has a directory open
revision_note   the last revision that was acknowledged
blobs           objects' files and their names; `staging` those on their way
reader          one generation's blocks; `measure` what a file's bytes come to
reserve         room that is kept on a full disk
"""
