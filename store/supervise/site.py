"""Brings a larger site up to date before its containers start: ``docker-compose.yml`` runs it.

Unlike ``prepare`` it loads no demo, and it makes the bucket of the object store.
"""

import sys

import boto3
from botocore.exceptions import ClientError

from store.env import Env, read_env
from store.supervise.prepare import Step, run_steps

STEPS = (
    Step("migrate", ("--no-input", "--verbosity=1")),
    Step("collectstatic", ("--no-input", "--verbosity=0")),
)


def main() -> None:
    """Prepare the site of the current settings."""
    env = read_env()
    if env.storage == "s3":
        make_bucket(env)
    run_steps(STEPS)


def make_bucket(env: Env) -> None:
    """Make the configured bucket, unless it is there. Safe to repeat."""
    client = boto3.client(
        "s3",
        endpoint_url=env.s3_endpoint or None,
        region_name=env.s3_region,
        aws_access_key_id=env.s3_access_key.get_secret_value() or None,
        aws_secret_access_key=env.s3_secret_key.get_secret_value() or None,
    )
    try:
        client.create_bucket(Bucket=env.s3_bucket)
    except ClientError as exc:
        if exc.response["Error"]["Code"] not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
            raise
        client.head_bucket(Bucket=env.s3_bucket)  # ours, or somebody else's of the same name?
        return
    sys.stdout.write(f"bucket {env.s3_bucket}: made\n")


if __name__ == "__main__":
    main()
