"""Buckets: their addresses, and one way to reach them that AWS, MinIO and Ceph all understand."""

from functools import cache
from pathlib import Path

SCHEME = "s3://"
SIGN = ("auto", "always", "never")


def is_bucket(place: Path | str | None) -> bool:
    """Whether a place is `s3://BUCKET/PREFIX`."""
    return str(place).startswith(SCHEME)


def split_address(address: str, *, where: str) -> tuple[str, str]:
    """Return bucket and prefix of an address; the prefix ends with "/" or is empty.

    Args:
        address: `s3://BUCKET/PREFIX`.
        where: the option or field that a user gave it in.

    Raises:
        ValueError: it names no bucket.
    """
    bucket, _, prefix = address.removeprefix(SCHEME).rstrip("/").partition("/")
    if not is_bucket(address) or not bucket:
        raise ValueError(f"{where}: {address!r} names no bucket; write s3://BUCKET/PREFIX")
    return bucket, f"{prefix}/" if prefix else ""


def connect(*, profile: str = "", endpoint: str = "", sign: str = "auto", connections: int = 10,
            seconds: float = 60.0, attempts: int | None = None):
    """Make a boto3 client; keys, region and endpoint are those that boto3 finds where nothing is said.

    Checksums are only sent where the protocol asks for them: since boto3 1.36 it sends more by itself, which stores
    that are not AWS refuse.

    Args:
        profile: of ~/.aws/config; empty: the usual one.
        endpoint: address of the store; empty: AWS_ENDPOINT_URL, the profile's, or AWS.
        sign: `never` asks without keys, as open buckets want; `auto` does so where no keys are found.
        connections: how many may be open at once.
        seconds: to wait for an answer or for its next bytes.
        attempts: of each call within boto3; None: its own number.

    Raises:
        ValueError: no such profile, or an address that is none.
    """
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    options = {"max_pool_connections": connections, "connect_timeout": min(seconds, 10.0), "read_timeout": seconds,
               "request_checksum_calculation": "when_required", "response_checksum_validation": "when_required",
               **({"retries": {"total_max_attempts": attempts}} if attempts else {})}
    try:
        core = Session()
        core.register_component("data_loader", _models())
        session = boto3.Session(botocore_session=core, profile_name=profile or None)
        if sign == "never" or (sign == "auto" and session.get_credentials() is None):
            options["signature_version"] = UNSIGNED
        return session.client("s3", endpoint_url=endpoint or None, config=Config(**options))
    except (BotoCoreError, ValueError) as error:
        raise ValueError(f"the bucket's client: {error}") from None


@cache
def _models():
    """The descriptions of the services, read once: they are most of what a new client costs."""
    from botocore.loaders import create_loader

    return create_loader()
