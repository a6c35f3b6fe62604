"""Reads a release of encodings with NumPy alone, and its labels with DuckDB; nothing of Leadglass is needed.

    pip install numpy duckdb
    python read_release.py RELEASE

A shard is a safetensors file of one tensor "encodings" [images, patches, outputs]: eight bytes with the length of a JSON
header, the header, the numbers. The i-th row of labels.parquet belongs to the i-th encoding over all shards in order.
"""

import hashlib
import json
import sys
from pathlib import Path

import duckdb
import numpy as np


def read_release(folder):
    """The manifest, the labels (a dictionary of columns) and a generator of (first image, encodings) by shard."""
    folder = Path(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    labels = duckdb.sql(f"select * from read_parquet('{folder / 'labels.parquet'}')").fetchnumpy()

    def shards():
        first = 0
        for shard in manifest["shards"]:
            data = (folder / shard["file"]).read_bytes()
            if hashlib.sha256(data).hexdigest() != shard["sha256"]:
                raise ValueError(f"{shard['file']} is not what the manifest describes")
            length = int.from_bytes(data[:8], "little")
            tensor = json.loads(data[8 : 8 + length])["encodings"]
            dtype = {"F16": "<f2", "F32": "<f4"}[tensor["dtype"]]
            yield first, np.frombuffer(data, dtype, offset=8 + length).reshape(tensor["shape"])
            first += tensor["shape"][0]

    return manifest, labels, shards()


if __name__ == "__main__":
    manifest, labels, shards = read_release(sys.argv[1])
    print(f"scheme {manifest['scheme']['name']}, key {manifest['key']}, {manifest['images']} images")
    for target in manifest["labels"]["targets"]:
        print(f"{target}: {int(np.nansum(np.ma.filled(labels[target].astype(float), np.nan)))} positive")
    means = np.concatenate([x.astype(np.float32).mean(axis=1) for _, x in shards])
    print(f"mean patches {means.shape}, root mean square {np.sqrt((means**2).mean()):.4f}")
