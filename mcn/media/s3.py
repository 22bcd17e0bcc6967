"""Files in buckets of S3, or of a server that speaks its protocol (MinIO, Ceph): addresses for a plain request.

Conventions
-----------
- `s3://BUCKET/KEY`; the key is taken as it stands, blanks, `?`, `%` and `#` included.
- boto3 signs the address, and `mcn.media.server` reads it as any other: resumed, tried again, checked.
- Credentials, region and server are what boto3 finds: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE and its
  files, the machine's role; AWS_REGION; AWS_ENDPOINT_URL. Where it finds no credentials, it asks
  as anybody.
- A signed address is a password: it holds for `VALID_SECONDS`, is made anew for each request, and is never shown,
  logged or written.
"""

from __future__ import annotations

import functools
import re
import threading
from importlib.util import find_spec
from typing import Any

VALID_SECONDS = 3600
INSTALL = 'pip install "mcn[cloud]"'
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{1,253}[A-Za-z0-9]")
_making = threading.Lock()


def is_s3(url: str) -> bool:
    """Whether an address names a file in a bucket."""
    return url[:5].lower() == "s3://"


def bucket_and_key(url: str) -> tuple[str, str]:
    """What an address `s3://BUCKET/KEY` names."""
    bucket, _, key = url[5:].partition("/")
    return bucket, key


def s3_problem(url: str) -> str:
    """What is wrong with an `s3://` address, '' where it can be asked for; it holds no secret."""
    bucket, key = bucket_and_key(url)
    if "@" in bucket:
        return "s3:// with a name or a password is not read; credentials are those that boto3 finds"
    if not _BUCKET.fullmatch(bucket) or not key or not key.isprintable():
        return f"{url.partition('?')[0]!r} is no address s3://BUCKET/KEY"
    return "" if find_spec("boto3") else f"s3:// is read by boto3, which is missing; {INSTALL}"


def signed(url: str) -> str:
    """The address that a plain GET of the file takes; it is secret. Errors: `ValueError` where boto3 finds no way."""
    from botocore.exceptions import BotoCoreError

    bucket, key = bucket_and_key(url)
    try:
        with _making:
            client = _client()
        address: str = client.generate_presigned_url(
            "get_object", {"Bucket": bucket, "Key": key}, ExpiresIn=VALID_SECONDS
        )
    except BotoCoreError as error:
        raise ValueError(f"boto3: {error}") from error
    return address


def is_anonymous() -> bool:
    """Whether boto3 finds no credentials."""
    return bool(_client().meta.config.signature_version != "s3v4")


@functools.cache
def _client() -> Any:
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    session = boto3.Session()
    version = "s3v4" if session.get_credentials() else UNSIGNED
    return session.client("s3", config=Config(signature_version=version))


def refusal(headers: Any, body: bytes) -> str:
    """What a server of buckets says beside its status: its code, and where the bucket lies if it is elsewhere."""
    code = re.search(rb"<Code>(\w+)</Code>", body)
    region = headers.get("x-amz-bucket-region", "")
    words = [code[1].decode() if code else ""]
    words += [f"the bucket lies in {region}: set AWS_REGION" if region else ""]
    words += ["no credentials were found" if is_anonymous() else ""]
    return "; ".join(filter(None, words))
