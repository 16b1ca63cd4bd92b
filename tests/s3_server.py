"""A real HTTP server that speaks S3, for storages and whole stores that use one."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

from moto.s3.exceptions import NoSuchUpload
from moto.s3.models import S3Backend
from moto.s3.responses import S3Response
from moto.server import ThreadedMotoServer

KEY, SECRET = "AKIATEST", "not a secret"


def _make_moto_behave() -> None:
    """Correct two things in which moto is not like S3."""
    upload_part, lock = S3Backend.upload_part, RLock()

    def refuse(self: S3Backend, bucket_name: str, multipart_id: str, *rest: Any) -> Any:
        if multipart_id not in self.get_bucket(bucket_name).multiparts:
            raise NoSuchUpload(upload_id=multipart_id)  # moto answers 500
        return upload_part(self, bucket_name, multipart_id, *rest)

    def atomic(respond: Callable[..., Any]) -> Callable[..., Any]:
        def one_at_a_time(*args: Any) -> Any:
            with lock:  # moto closes an object's file while another thread still reads it
                return respond(*args)

        return one_at_a_time

    patched: Any = S3Backend
    patched.upload_part = refuse
    patched = S3Response
    patched.key_response = atomic(S3Response.key_response)
    patched.bucket_response = atomic(S3Response.bucket_response)


@contextmanager
def moto_server() -> Iterator[str]:
    """Run it on a free port; give its address."""
    _make_moto_behave()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
