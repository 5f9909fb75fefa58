"""A training's states in a bucket, for machines that may not come back with their disks."""

from pathlib import Path

from components.s3 import connect, is_bucket, split_address

__all__ = ["Bucket", "is_bucket"]


class Bucket:
    """A prefix of a bucket; address and keys are those that boto3 finds (AWS_ENDPOINT_URL for MinIO or Ceph).

    An object appears whole or not at all, as `model.states.Folder` wants it.

    Raises:
        ValueError: the address names no bucket, or it cannot be reached.
    """

    def __init__(self, address: str):
        from botocore.exceptions import BotoCoreError, ClientError

        self.address = address
        self.bucket, self.prefix = split_address(address, where="--state")
        try:
            self.client = connect(sign="always")
            self.client.head_bucket(Bucket=self.bucket)
        except (BotoCoreError, ClientError) as error:
            raise ValueError(f"--state: {address}: {error}") from None

    def __str__(self) -> str:
        return self.address

    def names(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        return [thing["Key"].removeprefix(self.prefix) for page in pages for thing in page.get("Contents", [])]

    def read(self, name: str) -> bytes:
        return self.client.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"].read()

    def write(self, name: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=self.prefix + name, Body=data)

    def upload(self, name: str, path: Path) -> None:
        self.client.upload_file(str(path), self.bucket, self.prefix + name)  # in parts, where it is large

    def download(self, name: str, path: Path) -> None:
        self.client.download_file(self.bucket, self.prefix + name, str(path))

    def delete(self, name: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=self.prefix + name)
