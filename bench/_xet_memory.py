"""What many transfers at once take of the memory of the web processes."""

import requests

from bench._live import Live, peak_rss_mb

MIB = 1024**2


def memory(store: Live, secret: str, repo: str) -> list[tuple[str, str]]:
    """16 uploads of 64 MiB at once, half of them packed, then 64 range reads at once."""
    from concurrent.futures import ThreadPoolExecutor

    from catalog.content.xet.hashes import to_hex
    from catalog.content.xet.packing import pack
    from catalog.content.xet.xorbs import XorbReader

    headers = {"Authorization": f"Bearer {secret}"}
    token_url = f"{store.url}/api/models/{repo}/xet-write-token/main"
    xet = requests.get(token_url, headers=headers, timeout=60).json()
    own = {"Authorization": f"Bearer {xet['accessToken']}"}

    def send(number: int) -> None:
        import io

        import numpy as np

        random = np.random.default_rng()
        kind = (np.float16, np.float32)[number % 2]
        weights = random.standard_normal(64 * MIB // 4, np.float32).astype(kind).tobytes()
        starts = range(0, len(weights), 128 * 1024)
        body = b"".join(pack(weights[start : start + 128 * 1024]) for start in starts)
        reader = XorbReader(io.BytesIO(body), None)
        while reader.read_some():
            pass
        name = to_hex(reader.table.hash)
        done = requests.post(
            f"{xet['casUrl']}/v1/xorbs/default/{name}", data=body, headers=own, timeout=600
        )
        assert done.json() == {"was_inserted": True}, done.text

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(send, range(16)))
    after_uploads = max(map(peak_rss_mb, store.web_workers()))
    name = requests.head(f"{store.url}/{repo}/resolve/main/model.safetensors", timeout=60)
    recipe = requests.get(
        f"{xet['casUrl']}/v2/reconstructions/{name.headers['X-Xet-Hash']}", headers=own, timeout=60
    ).json()
    spans = [
        (each["url"], each["ranges"][0]["bytes"])
        for runs in recipe["xorbs"].values()
        for each in runs
    ]

    def fetch(number: int) -> None:
        url, span = spans[number % len(spans)]
        wanted = {"Range": f"bytes={span['start']}-{span['end']}"}
        with requests.get(url, headers=wanted, stream=True, timeout=600) as answer:
            assert answer.status_code == 206
            assert sum(map(len, answer.iter_content(1 << 20))) == span["end"] - span["start"] + 1

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(fetch, range(64)))
    after_reads = max(map(peak_rss_mb, store.web_workers()))
    return [
        (
            "memory of a web process: 16 uploads of 64 MiB at once (≤ 250 MB)",
            f"{after_uploads:.0f} MB",
        ),
        ("… and 64 range reads at once (≤ 250 MB)", f"{after_reads:.0f} MB"),
    ]
