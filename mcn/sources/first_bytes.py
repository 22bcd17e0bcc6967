"""What a file is by its first bytes, where it is not what its name says: said in errors about files of others.

Conventions: only kinds that people meet instead of a published file are told: pages of a download service, pointers of
Git LFS, archives that were not unpacked, other formats of arrays and weights. Anything else is "".
"""

from __future__ import annotations

from pathlib import Path

PAGE = "a web page, such as a download service shows instead of a file"
POINTER = "a pointer of Git LFS, which stands for the file"
# first bytes -> what the file is
MAGIC = (
    (b"version https://git-lfs", POINTER),
    (b"\x1f\x8b", "a gzip archive, not unpacked"),
    (b"\x93NUMPY", "a numpy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x80", "a pickle"),
)
_ARCHIVE, _TAR = b"PK\x03\x04", b"ustar"
_LOOKED_AT = 512  # bytes


def what_it_is(path: Path | str) -> str:
    """The kind of a file in words, "" where it is none of those above or cannot be read."""
    try:
        with open(path, "rb") as file:
            head = file.read(_LOOKED_AT)
    except OSError:
        return ""
    if not head:
        return "empty"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html")):
        return PAGE
    if head.startswith(_ARCHIVE):
        return _archive(head)
    if head[257:262] == _TAR:
        return "a tar archive, not unpacked"
    return next((kind for magic, kind in MAGIC if head.startswith(magic)), "")


def _archive(head: bytes) -> str:
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if name.endswith(b"/data.pkl"):
        return "a PyTorch file"
    return "an archive of numpy arrays" if name.endswith(b".npy") else "a zip archive, not unpacked"
