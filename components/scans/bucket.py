"""Page files of a bucket, brought to disk a few at a time."""

from pathlib import Path, PurePosixPath

from components.s3 import SCHEME, connect, is_bucket, split_address
from ecg.paper.files import ENDINGS
from ecg.paper.limits import MAX_BYTES

__all__ = ["Objects", "is_bucket"]


class Objects:
    """The page files directly below a prefix; address and keys of the store are those that boto3 finds.

    Raises:
        ValueError: the address names no bucket.
    """

    def __init__(self, address: str):
        self.address = address
        self.bucket, self.prefix = split_address(address, where="scans")
        self.client = connect()

    def pages(self) -> list[str]:
        """Return the keys, sorted.

        Raises:
            ValueError: there is none, one is larger than a page may be, or the store refuses.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            listed = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix,
                                                                            Delimiter="/")
            found = {thing["Key"]: thing["Size"] for page in listed for thing in page.get("Contents", [])
                     if PurePosixPath(thing["Key"]).suffix.lower() in ENDINGS}
        except (BotoCoreError, ClientError) as error:
            raise ValueError(f"scans: {self.address}: {error}") from None
        if not found:
            raise ValueError(f"scans: {self.address}: no page file directly below it ({', '.join(ENDINGS)})")
        large = next((key for key, size in found.items() if size > MAX_BYTES), None)
        if large:
            raise ValueError(f"scans: {large}: {found[large] / 1e6:.0f} MB, the limit is {MAX_BYTES / 1e6:.0f} MB")
        return sorted(found)

    def bring(self, keys: list[str], folder: Path) -> dict[Path, str]:
        """Write objects to numbered files; returns the address of each. A key never becomes a path.

        Raises:
            ValueError: one has gone since it was listed, or the bucket refuses it.
            RuntimeError: the line broke again and again.
        """
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        known = {}
        for number, key in enumerate(keys):
            file = folder / f"{number:04d}{PurePosixPath(key).suffix.lower()}"
            try:
                self.client.download_file(self.bucket, key, str(file))
            except (BotoCoreError, ClientError) as error:
                raise ValueError(f"scans: {SCHEME}{self.bucket}/{key}: {error}") from None
            except Boto3Error as error:
                # No relative of those above: what boto3 says when its own attempts have ended.
                raise RuntimeError(f"scans: {SCHEME}{self.bucket}/{key}: broke off ({error}); call again") from None
            known[file] = f"{SCHEME}{self.bucket}/{key}"
        return known
