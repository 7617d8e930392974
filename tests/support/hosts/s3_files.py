"""Copies files to and from S3, from the host on which it is started.

python -m tests.support.hosts.s3_files make BUCKET…
python -m tests.support.hosts.s3_files put FOLDER s3://BUCKET/KEY
python -m tests.support.hosts.s3_files get s3://BUCKET/KEY FOLDER
python -m tests.support.hosts.s3_files remove s3://BUCKET/KEY
"""

from __future__ import annotations

import sys

import s3fs


def main(what: str, *names: str) -> None:
    storage = s3fs.S3FileSystem()
    if what == "make":
        for name in names:
            storage.mkdir(name)
    elif what == "put":
        storage.put(f"{names[0]}/", names[1], recursive=True)
    elif what == "get":
        storage.get(f"{names[0]}/", f"{names[1]}/", recursive=True)
    else:
        storage.rm(names[0], recursive=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
