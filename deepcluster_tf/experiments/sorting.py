"""The images of a finished run sorted into folders, one a cluster."""

from __future__ import annotations

import filecmp
import os
import shutil
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from deepcluster_tf.experiments import results
from deepcluster_tf.experiments.finished import cluster_names
from deepcluster_tf.files import copy

SORTED_BY = {"umap": "n2d"}  # experiment -> the clusters that it is about, where its model gives others
NOWHERE = "none"  # the folder of images that were not among those clustered


def sort(
    directory: Path, to: Path, by: str | None = None, copied: bool = False, progress: bool = True
) -> dict[str, int]:
    """Put the images of a run into folders, one a cluster: as links, or as copies.

    Args:
        directory: the run's folder, of a folder of images.
        to: where the folders go; nothing that is there is replaced.
        by: which clustering, where the run has several; None: the one that `predict` gives, but of `umap` UMAP's.
        copied: whether files are copied, rather than linked.
        progress: show a bar.

    Returns:
        the folders' names -> how many images went there.

    Raises:
        ValueError: the run is of no folder, the folder or an image in it is gone, `to` is in it, or a file is in the
            way. A copy of the same bytes, or a link to the image, is not: what was begun is gone on with.
    """
    result = results.read_result(directory)
    if not result or "folder" not in result["data"]:
        raise ValueError(f"{directory} holds no finished run on a folder of images: expected one, as make dcec makes")
    folder, given = Path(result["data"]["folder"]), result.get("class_names_given", [])
    if to.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{to} is in {folder}, where sorted images would be taken for more of them: name another TO")
    table = _clusters(directory / "clusters.csv", result)
    columns = [name for name in table.columns if name != "file"]
    usual = result["settings"].get("assign_by")
    about = SORTED_BY.get(result["experiment"])
    by = by or next((name for name in (about, usual) if name in columns), columns[0])
    if by not in columns:
        raise ValueError(f"BY must be {' or '.join(columns)}; received {by!r}")
    names = dict(enumerate(given)) if by == "class" else {}
    if by == (usual or columns[0]):  # the clusters that `predict` gives
        names = cluster_names(directory, result)
    if result["protocol"] == "classified":
        names = dict(enumerate(result["class_names"]))
    places = _places(table[by], names)
    pairs = [(folder / file, to / place / file) for file, place in zip(table["file"], places)]
    for source, target in pairs:  # all of them, before the first is made
        if not source.is_file():
            raise ValueError(f"{source} is gone: expected the images where they were when the run was made")
        if os.path.lexists(target) and not _is_sorted(source, target, copied):
            raise ValueError(f"{target} is there already: expected a folder of its own for the images; name another TO")
    for source, target in tqdm(pairs, desc="sorting", unit="image", disable=not progress, delay=1):
        target.parent.mkdir(parents=True, exist_ok=True)
        if copied:
            copy(source, target)
            shutil.copystat(source, target)
        elif not target.is_symlink():
            target.symlink_to(source)
    return pd.Series(places).value_counts().sort_index().to_dict()


def _is_sorted(source: Path, target: Path, copied: bool) -> bool:
    """Whether an image was put there already, by a call that did not come to its end."""
    if target.is_symlink() or not copied:
        return not copied and target.is_symlink() and target.readlink() == source
    return target.is_file() and filecmp.cmp(source, target, shallow=False)


def _clusters(path: Path, result: dict) -> pd.DataFrame:
    """Which image is in which cluster, or of which class, by number; a ValueError if the file is not what was recorded.

    An image that was not among those clustered has -1.
    """
    sizes, class_names = result["cluster_sizes"], result.get("class_names_given", [])
    if not isinstance(sizes, dict):
        sizes = {"class" if class_names else "cluster": sizes}
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False)
        columns = ["file", *(by for by in sizes if by != "random")]  # drawn at random, and not written
        if list(table) != columns:
            raise ValueError(f"expected the columns {', '.join(columns)}; received {', '.join(table)}")
        if len(table) != result["data"]["n"] or not table["file"].is_unique:
            raise ValueError(f"expected a row for each of {result['data']['n']:,} images; received {len(table):,} rows")
        if away := [file for file in table["file"] if Path(file).is_absolute() or ".." in Path(file).parts]:
            raise ValueError(f"expected files inside the folder of images; received {away[0]}")
        for by in columns[1:]:
            table[by] = table[by].map(class_names.index if by == "class" else int)
            counts = table[by].value_counts().to_dict()
            found = [counts.get(j, 0) for j in range(len(sizes[by]))]
            if counts.keys() - {-1, *range(len(found))} or by != "class" and found != sizes[by]:  # a VAE's: of training
                raise ValueError(f"expected the numbers and sizes of {by} in result.json; received others")
        return table
    except (OSError, ValueError, OverflowError) as error:
        why = str(error).partition("\n")[0]
        raise ValueError(f"{path} is missing or damaged ({why}): run the experiment again with FORCE=1") from error


def _places(clusters: pd.Series, names: dict[int, str]) -> list[str]:
    """The folder of each image: the number of its cluster, and its name where it has one."""
    width = len(str(clusters.max()))
    said = {j: f"{j:0{width}d} {names.get(j, '')}".strip().replace("/", "-") for j in clusters.unique() if j >= 0}
    return [results.folder_name(said.get(j, NOWHERE)) for j in clusters]
