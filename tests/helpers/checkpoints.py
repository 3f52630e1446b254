"""Reads checkpoints without the project's code: the manifest, and h5py."""

import json
import pathlib

import h5py
import numpy as np


def manifest(folder):
    return json.loads((pathlib.Path(folder) / "manifest.json").read_text())


def tensors(folder, prefix="/weights/"):
    """All tensors under `prefix` as {name: float32 array}, put together from their slices."""
    folder = pathlib.Path(folder)
    result, files = {}, {}
    for name, tensor in manifest(folder)["tensors"].items():
        if not name.startswith(prefix):
            continue
        whole = np.full(tensor["shape"], np.nan, dtype=np.float32)
        for part in tensor["slices"]:
            file = files.setdefault(part["file"], h5py.File(folder / part["file"], "r"))
            box = tuple(slice(b, b + n) for b, n in zip(part["start"], part["count"]))
            whole[box] = file[part.get("dataset", name)][()]
        assert not np.isnan(whole).any(), f"{name} is not covered by its slices"
        result[name.removeprefix(prefix)] = whole
    for file in files.values():
        file.close()
    return result


def update_distance(start, a, b):
    """|a - b| / |b - start| over all tensors together."""
    difference = sum(float(((a[name].astype(np.float64) - b[name]) ** 2).sum()) for name in start)
    size = sum(float(((b[name].astype(np.float64) - start[name]) ** 2).sum()) for name in start)
    return (difference / size) ** 0.5
