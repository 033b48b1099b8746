"""What is made once for some images and kept on disk: features of a network that is not trained, and arrays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from deepcluster_tf.files import locked, mapped, read_json, read_npz, replacing, write_json

BLOCK, STEP = 5000, 100  # images between two notes of how far it came, and between two movements of the bar


def kept_features(
    embed: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    width: int,
    directory: Path | None,
    made_of: dict,
    progress: bool = True,
) -> np.ndarray:
    """The features of all images as an array on disk, made where they are not there yet.

    Several runs share them: one makes them, the others wait. Memory does not grow with the number of images.

    Args:
        embed: (m, height, width, channels) -> float (m, width).
        images: (n, height, width, channels).
        width: features an image.
        directory: where they are kept, and no others; None keeps them in memory.
        made_of: what they depend on, JSON types: the network, the images' digest.
        progress: show a bar of images.

    Returns:
        float16 (n, width), a memory map that is read only.

    Raises:
        ValueError: the folder holds features of something else, or damaged ones; or features are not within 16 bits.
        OSError: they cannot be written.
    """
    if directory is None:
        starts = tqdm(range(0, len(images), STEP), "features", disable=not progress, unit="batch")
        return np.concatenate([_halved(embed(images[start : start + STEP])) for start in starts])
    path, index = directory / "features.npy", directory / "features.json"
    made_of = json.loads(json.dumps({**made_of, "shape": [len(images), width]}))
    with locked(directory, wait=True):
        done = _blocks(path, index, made_of) if index.exists() else []
        left = BLOCK * len(done) < len(images)
        features = mapped(path, np.float16, (len(images), width), again=bool(done)) if left else None
        starts = range(BLOCK * len(done), len(images), BLOCK)
        with tqdm(total=len(images), initial=min(BLOCK * len(done), len(images)), desc="features", unit="image",
                  disable=not progress or features is None) as bar:  # fmt: skip
            for start in starts:
                block = images[start : start + BLOCK]
                for first in range(0, len(block), STEP):
                    some = block[first : first + STEP]
                    features[start + first : start + first + len(some)] = _halved(embed(some))
                    bar.update(len(some))
                features.flush()
                done.append(_digest(features[start : start + BLOCK]))
                write_json(index, {"made_of": made_of, "blocks": done})
    return np.lib.format.open_memmap(path, mode="r")


def kept_arrays(
    path: Path | None, of: str, make: Callable[[], dict[str, np.ndarray]], names: Iterable[str]
) -> dict[str, np.ndarray]:
    """Arrays made once and kept, or made anew where those kept are of something else.

    Args:
        path: the `.npz` file; None keeps nothing.
        of: the digest of what they are made of.
        make: makes them. names: of them.

    Raises:
        ValueError: the file is damaged.
        OSError: it cannot be written.
    """
    if path is None:
        return make()
    if path.exists() and (kept := read_npz(path, (*names, "of")))["of"] == of:
        return kept
    made = make()  # two runs at once may both do so, and write the same
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        np.savez(part, of=np.array(of), **made)
    return made


def _blocks(path: Path, index: Path, made_of: dict) -> list[str]:
    """The digests of the blocks that are there, after a look whether they are what was written."""
    noted = read_json(index)
    if noted.get("made_of") != made_of:
        raise ValueError(f"{path.parent} holds features of other images or of another network: remove it")
    try:
        features = np.lib.format.open_memmap(path, mode="r")
        found = [_digest(features[BLOCK * i : BLOCK * (i + 1)]) for i in range(len(noted["blocks"]))]
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path} is missing or damaged: remove {path.parent} to make the features anew") from error
    if found != noted["blocks"]:
        raise ValueError(f"{path} is damaged: remove {path.parent} to make the features anew")
    return found


def _halved(features: np.ndarray) -> np.ndarray:
    """Features as float16; a ValueError where these cannot hold them."""
    with np.errstate(over="ignore"):
        halves = np.float16(features)
    if not np.isfinite(halves).all():
        most = np.abs(features).max()
        raise ValueError(f"features are kept with 16 bits, up to 65,504: let the network scale them; received {most:g}")
    return halves


def _digest(block: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(block)).hexdigest()
