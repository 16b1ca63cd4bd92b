"""Bringing a larger site up to date: its bucket and its database."""

import os
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from store.env import Env
from store.supervise import prepare, site


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings come from the test alone, whatever the machine has set."""
    for name in list(os.environ):
        if name in {"DATABASE_URL", "REDIS_URL", "PORT"} or name.startswith("STORE_"):
            monkeypatch.delenv(name)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Env]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Env(
        storage="s3",
        s3_bucket="store-objects",
        s3_endpoint=f"http://{host}:{port}",
        s3_access_key="key",
        s3_secret_key="secret",
    )
    server.stop()


def buckets(env: Env) -> list[str]:
    client = boto3.client(
        "s3",
        endpoint_url=env.s3_endpoint,
        region_name=env.s3_region,
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    return [each["Name"] for each in client.list_buckets()["Buckets"]]


def test_the_bucket_is_made_once(s3: Env, capsys: pytest.CaptureFixture[str]) -> None:
    site.make_bucket(s3)
    assert buckets(s3).count("store-objects") == 1
    assert capsys.readouterr().out == "bucket store-objects: made\n"

    site.make_bucket(s3)
    assert buckets(s3).count("store-objects") == 1


def test_an_existing_bucket_is_left_alone(
    s3: Env, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    class Client:
        def create_bucket(self, **_: Any) -> None:
            raise refusal("BucketAlreadyOwnedByYou")

        def head_bucket(self, **given: Any) -> None:
            asked.append(given["Bucket"])

    monkeypatch.setattr("boto3.client", lambda *_, **__: Client())

    site.make_bucket(s3)

    assert asked == ["store-objects"]
    assert capsys.readouterr().out == ""


def test_a_refusal_of_the_object_store_is_not_hidden(
    s3: Env, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Client:
        def create_bucket(self, **_: Any) -> None:
            raise refusal("AccessDenied")

    monkeypatch.setattr("boto3.client", lambda *_, **__: Client())

    with pytest.raises(ClientError, match="AccessDenied"):
        site.make_bucket(s3)


def test_a_site_is_prepared_without_a_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    monkeypatch.setattr(site, "run_steps", lambda steps: done.append([s.command for s in steps]))
    monkeypatch.setattr(site, "make_bucket", lambda env: done.append(env.s3_bucket))

    monkeypatch.setattr(site, "read_env", lambda: Env(storage="local"))
    site.main()
    monkeypatch.setattr(site, "read_env", lambda: Env(storage="s3", s3_bucket="b"))
    site.main()

    assert done == [["migrate", "collectstatic"], "b", ["migrate", "collectstatic"]]
    assert [step.command for step in prepare.STEPS if step not in site.STEPS][-1] == "evaluate"


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "CreateBucket")
