"""Files that are whole at every moment, whatever dies while they are written, and that are checked when read."""

from deepcluster_tf.files.folders import locked, require_utf8, require_writable
from deepcluster_tf.files.reading import read_csv, read_json, read_npz
from deepcluster_tf.files.writing import (
    checksums,
    copy,
    mapped,
    remove,
    replacing,
    sha256,
    sweep,
    unpack_archive,
    verify,
    write_json,
)

__all__ = [
    "checksums",
    "copy",
    "locked",
    "mapped",
    "read_csv",
    "read_json",
    "read_npz",
    "remove",
    "replacing",
    "require_utf8",
    "require_writable",
    "sha256",
    "sweep",
    "unpack_archive",
    "verify",
    "write_json",
]
