"""What kind of file system a directory is on: those of a network are refused, where a store does not hold."""

import ctypes
import logging
import os
import sys
from pathlib import Path
from typing import Final

from vault.errors import StorageError

from vault_server.storage.os_errors import storing

_log = logging.getLogger(__name__)

FUSE: Final = 0x65735546
NETWORK: Final = {
    0x00006969: "NFS",
    0x0000517B: "SMB",
    0xFE534D42: "SMB",
    0xFF534D42: "CIFS",
    0x0BD00BD0: "Lustre",
    0x47504653: "GPFS",
    0x01021997: "9P",
    0x5346414F: "AFS",
    0x6B414653: "AFS",
    0x00C36400: "Ceph",
    0x19830326: "BeeGFS",
    0x20030528: "OrangeFS",
    0xAAD7AAEA: "PanFS",
    0x73757245: "Coda",
    0x0000564C: "NCP",
    0xBEEFDEAD: "SNFS",
    0x013111A8: "IBRIX",
    0x7461636F: "OCFS2",
    0x01161970: "GFS2",
    0x786F4256: "a shared folder of VirtualBox",
    0xBACBACBC: "a shared folder of VMware",
    0x7C7C6673: "a shared folder of Parallels",
}
"""By f_type of statfs(2): numbers of Linux and of GNU coreutils' stat. Those of clusters, too: their machines share
files, and not the memory that SQLite's readers and writers share."""

NETWORK_FUSE: Final = frozenset({
    "beegfs", "blobfuse", "blobfuse2", "ceph", "ceph-fuse", "curlftpfs", "cvmfs2", "davfs", "fuse_dfs", "gcsfuse",
    "glusterfs", "goofys", "gpfs", "juicefs", "lizardfs", "mfs", "moosefs", "mountpoint-s3", "nfs", "rclone", "s3fs",
    "seaweedfs", "smbnetfs", "sshfs",
})  # fmt: skip
"""By the name after `fuse.` in the list of mounts."""


def require_local(root: Path, *, allowed: bool) -> None:
    """Looks at the file system of a directory, or of the nearest folder above that is there. On Linux.

    Args:
        allowed: A network's is used all the same.

    Raises:
        StorageError: NETWORK_FILESYSTEM.
    """
    if sys.platform != "linux":
        return
    with storing(f"look at the file system of {str(root)!r}"):
        folder = next(each for each in (root, *root.parents) if each.exists())
        kind = statfs_type(folder)
        name = NETWORK.get(kind)
        subtype = mount_type(folder) if kind == FUSE else ""
    if subtype.removeprefix("fuse.") in NETWORK_FUSE:
        name = subtype
    if name is None:
        if kind == FUSE:
            _log.warning(
                "the store %s is on a file system in user space (%s): whether locks and shared memory hold there, and "
                "whether what was synced is kept, is up to that",
                root,
                subtype or "fuse",
            )
        return
    if allowed:
        _log.warning("the store %s is on %s, a network file system: use it on one machine at a time", root, name)
        return
    raise StorageError(
        f"the directory {str(root)!r} is on a network file system ({name}), where neither locks nor SQLite's log hold "
        "between machines: run vault-grpc serve there, on the machine whose disk it is, and connect to it. Where one "
        "machine alone uses the directory: StoreOptions(allow_network_filesystem=True), or "
        "--allow-network-filesystem of serve and check",
        reason="NETWORK_FILESYSTEM",
        filesystem=name,
    )


def statfs_type(path: Path) -> int:
    """f_type of statfs(2), which Python's statvfs leaves out; 0 where the C library cannot be asked."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        answer = ctypes.create_string_buffer(256)
        failed = libc.statfs(os.fsencode(path), answer)
    except (OSError, AttributeError):
        return 0
    if failed:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), os.fspath(path))
    return ctypes.c_long.from_buffer(answer).value & 0xFFFFFFFF


def mount_type(path: Path) -> str:
    """The type in the list of mounts, as `fuse.sshfs`; empty when it is not there."""
    device = path.stat().st_dev
    try:
        mounts = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    for mount in mounts:
        place, _, what = mount.partition(" - ")
        if place.split()[2] == f"{os.major(device)}:{os.minor(device)}":
            return what.split()[0]
    return ""
