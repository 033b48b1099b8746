"""What the papers claim in words, confirmed or refuted by what is recorded; a function a paper."""

from __future__ import annotations

import numpy as np
import pandas as pd

Judged = list[tuple[str, bool, str]]


def said_of(judged: Judged) -> list[str]:
    """A line for each claim: the claim, the verdict, and the numbers from which it follows."""
    return [f"- {claim}: {'confirmed' if true else 'refuted'} ({why})" for claim, true, why in judged]


def _beside(more: float, less: float, more_std: float, less_std: float) -> str:
    """That a difference may be the seeds', where it is smaller than their deviation."""
    within = abs(more - less) < np.hypot(np.nan_to_num(more_std), np.nan_to_num(less_std))
    return "; the difference is within the deviation over the seeds" if within else ""


def sdcec(acc: dict[float, float], purity: dict[float, float]) -> list[str]:
    """What SDCEC's section 5 says of the supervision.

    Args:
        acc: supervision -> mean ACC over all images, both fractions.
        purity: the same of the purity.

    Returns:
        a line for each claim; one that says so while a level is not recorded.
    """
    levels = sorted(acc)
    if {0.0, 0.01, 0.1} - set(levels) or len(levels) < 4:
        return ["The paper's claims are judged when every level is recorded."]
    rates = {b: (acc[b] - acc[a]) / (100 * (b - a)) for a, b in zip(levels, levels[1:])}
    few, many = (acc[0.1] - acc[0.0]) / 10, (acc[levels[-1]] - acc[0.1]) / (100 * (levels[-1] - 0.1))
    said = lambda found: ", ".join(f"{100 * level:g} %: {found[level]:.4f}" for level in levels)
    grows = lambda found: all(found[a] < found[b] for a, b in zip(levels, levels[1:]))
    slower = ", ".join(f"{100 * level:g} %: {100 * rate:.2f}" for level, rate in rates.items())
    return said_of([
        ("1 % of the labels adds 15 points of ACC", acc[0.01] - acc[0.0] >= 0.145,
         f"{100 * (acc[0.01] - acc[0.0]):.1f} points, from {acc[0.0]:.4f} to {acc[0.01]:.4f}"),
        ("ACC reaches 0.80 with 10 % of the labels", acc[0.1] >= 0.795, f"{acc[0.1]:.4f}"),
        ("with more labels ACC grows at a lower rate", many < few,
         f"{100 * few:.2f} points for each per cent of labels up to 10 %, {100 * many:.2f} beyond; by level, {slower}"),
        ("more labels, more performance", grows(acc), said(acc)),
        ("the purity of the clusters increases with the supervision", grows(purity), said(purity)),
    ])  # fmt: skip


def named_clusters(found: pd.DataFrame, by_dimensions: dict[int, float]) -> list[str]:
    """What the VAE's section 4 says of names and reconstructions.

    Args:
        found: the table's frame: "what", "annotations", "test_acc", "reconstruction_acc".
        by_dimensions: latent dimensions -> mean reconstruction accuracy without names.

    Returns:
        a line for each claim; one that says so while a row that it needs is not recorded.
    """
    rows = found.set_index("what")
    few, all_of_them, mixture = (f"k-means, {w}" for w in ("16 clusters, none split", "as published", "16 clusters"))
    best, nobody = "Gaussian mixture, 16 clusters, none split", "no names (gamma = 0)"
    singly = [f"single images, {how}, 16 an epoch" for how in ("at random", "the most uncertain")]
    needed = [few, all_of_them, mixture, best, nobody, *singly]
    if rows.reindex(needed)["test_acc"].isna().any() or len(by_dimensions) < 3:
        return ["The paper's claims are judged when every row of its own is recorded."]
    acc, names, read = rows["test_acc"], rows["annotations"], rows["reconstruction_acc"]
    said = lambda row: f"{row}: {acc[row]:.4f} with {names[row]:.0f} names"
    gain = lambda row: 100 * (read[row] - read[nobody])
    dims = sorted(by_dimensions)
    middle = min(dims, key=lambda z: abs(z - 10))
    low, high = ((by_dimensions[b] - by_dimensions[a]) / (b - a) for a, b in ((dims[0], middle), (middle, dims[-1])))
    return said_of([
        ("75 % of the test images within five epochs, with 10 to 16 named pictures an epoch", acc[few] >= 0.745,
         f"{said(few)}; where split clusters show more pictures, {said(all_of_them)}; with the mixture, {said(best)}"),
        ("more levels of the hierarchy give more accuracy", acc[mixture] > acc[few],
         f"{said(mixture)}, one level: {acc[few]:.4f} with {names[few]:.0f}"),
        ("far fewer names are needed than where single images are named", acc[few] > acc[singly].max(),
         f"{said(few)}; " + "; ".join(map(said, singly))),
        ("reconstructions are read rightly 6 to 10 points more often when names are given", gain(all_of_them) >= 6,
         f"k-means, as published: {gain(all_of_them):+.1f} points; {best}: {gain(best):+.1f}"),
        ("beyond ten latent dimensions reconstructions do not improve in proportion", high < low,
         f"{100 * low:.2f} points a dimension from {dims[0]} to {middle}, {100 * high:.2f} from there to {dims[-1]}"),
    ])  # fmt: skip


def gaps_of_names(found: pd.DataFrame, runs: dict[str, list[tuple[float, bool]]]) -> list[str]:
    """Why rows lie more than two points from the paper, as far as names explain it.

    Args:
        found: the table's frame: "what", "annotations", "test_acc", "test_acc_difference".
        runs: what -> test accuracy of each run, and whether every class had a name in its last round.

    Returns:
        a line for each such row.
    """
    lines = []
    for row in found[found["test_acc_difference"].abs() > 0.02].to_dict("records"):
        whole, lacking = ([acc for acc, each in runs[row["what"]] if each is named] for named in (True, False))
        named = f"every class had a name in the last round of {len(whole)} of {len(whole) + len(lacking)} runs"
        if lacking:
            named += f" (ACC {np.mean(whole):.4f})" if whole else ""
            named += f", not of the others ({np.mean(lacking):.4f}), whose class head never learns what lacks one"
        kind = row["what"].partition(",")[0]
        alike = found[found["what"].str.startswith(kind) & found["test_acc"].notna()].sort_values("annotations")
        said = [f"{each['annotations']:.0f} names ({each['what']}): {each['test_acc']:.4f}"
                for each in alike.iloc[[0, -1]].to_dict("records")]  # fmt: skip
        lines.append(f"- {row['what']}, {row['test_acc_difference']:+.4f}: {named}; {said[0]}, {said[1]}")
    return lines


def akula(found: pd.DataFrame) -> list[str]:
    """What Akula's sections 5 and 6 say of encodings, by purity over the training images.

    Args:
        found: the table's frame: "scored", "what", "purity", "purity_std".

    Returns:
        a line for each claim; one that says so while a row that it needs is not recorded.
    """
    rows = found[found["scored"] == "training"].set_index("what")
    raw, dense, pooling = "raw pixels", "dense autoencoder", "convolutions, pooling, dropout"
    needed = [
        f"{raw}, k-means",
        *(f"{what}, {by}" for what in (dense, pooling) for by in ("k-means", "Gaussian mixture")),
    ]
    if rows.reindex(needed)["purity"].isna().any():
        return ["The paper's claims are judged when every row of its own is recorded."]
    pure, deviation = rows["purity"], rows["purity_std"]

    def compared(more: str, less: str) -> tuple[bool, str]:
        why = f"{more}: {100 * pure[more]:.2f} %; {less}: {100 * pure[less]:.2f} %"
        return pure[more] > pure[less], why + _beside(pure[more], pure[less], deviation[more], deviation[less])

    pooled = [compared(f"{pooling}, {by}", f"{dense}, {by}") for by in ("k-means", "Gaussian mixture")]
    return said_of([
        ("k-means is purer on the autoencoder's encodings than on pixels",
         *compared(f"{dense}, k-means", f"{raw}, k-means")),
        ("a Gaussian mixture is purer than k-means on the encodings",
         *compared(f"{dense}, Gaussian mixture", f"{dense}, k-means")),
        ("convolutions with pooling and dropout are purer than the dense autoencoder",
         all(true for true, _ in pooled), "; ".join(why for _, why in pooled)),
    ])  # fmt: skip


def gaps_of_encodings(found: pd.DataFrame) -> list[str]:
    """What the variants tried come to, for rows whose purity lies more than two points from Akula's.

    Args:
        found: the table's frame: "scored", "what", "purity", "purity_document", "purity_difference".

    Returns:
        a line for each such row.
    """
    rows, lines = found[(found["scored"] == "training") & found["purity"].notna()], []
    for row in rows[rows["purity_difference"].abs() > 0.02].to_dict("records"):
        by = row["what"].rpartition(", ")[2]
        tried = rows[rows["what"].str.endswith(f", {by}") & ~rows["what"].str.startswith("raw pixels")]
        tried = tried[tried["what"] != row["what"]].sort_values("purity")
        near = (tried["purity"] - row["purity_document"]).abs() <= 0.02
        verdict = "these lie within two points of it" if near.any() else "none lies within two points of it"
        said = ", ".join(f"{what} {100 * purity:.2f} %" for what, purity in zip(tried["what"], tried["purity"]))
        named = ": " + ", ".join(tried["what"][near]) if near.any() else ""
        lines.append(
            f"- {row['what']}, {100 * row['purity_difference']:+.2f} points of {100 * row['purity_document']:.2f} %; "
            f"tried: {said or 'nothing yet'}; {verdict}{named}"
        )
    return lines


def schultz(found: pd.DataFrame, learned: list[str], beyond: tuple[str, ...] = (), by: str = "kmeans") -> list[str]:
    """What Schultz claims, confirmed or refuted by the adjusted Rand index of a clustering.

    Args:
        found: from `frame`; its first rows are of the control.
        learned: the encodings that are learned, by their names.
        beyond: encodings that the paper does not have; they do not count as its best or steadiest, and are left
            out while they have fewer than two runs.
        by: the clustering.

    Returns:
        a line for each claim; one that says so while a row of the paper's has fewer than two runs.
    """
    ours = found[found["by"] == by].set_index("what")
    few = ours.index[ours["ari_std"].isna()]
    if not few.isin(beyond).all():
        return ["The paper's claims are judged when every row of its own has runs of several seeds."]
    ours = ours.drop(few)
    ari, deviation = ours["ari"], ours["ari_std"]
    said = lambda name: f"{name} {ari[name]:.4f}"
    steady = lambda names: ", ".join(f"{name} ± {deviation[name]:.4f}" for name in names)
    control, guessed = ari.index[0], found[found["by"] == "random"]["ari"].iloc[0]
    theirs = ari[~ari.index.isin(beyond)]
    best, below = theirs.idxmax(), [name for name in ari.index.intersection(learned) if ari[name] <= ari[control]]
    by_steadiness = deviation[[name for name in theirs.index if name in learned]].sort_values().index
    judged = [
        ("the similarity scores best", best == "similarity, dot product", f"of its encodings, best is {said(best)}, "
         "then " + ", ".join(said(name) for name in theirs.drop(best).nlargest(2).index)),
        ("the representation trains most steadily", by_steadiness[0] == "representation",
         f"over the seeds, {steady(by_steadiness)}; the control, which trains nothing, ± {deviation[control]:.4f}"),
        ("every learned encoding is above the control", not below,
         f"{said(control)}; " + (f"not above it: {', '.join(map(said, below))}" if below else "all are above it")),
        ("the control is above random guessing", ari[control] > guessed, f"{said(control)}, guessing {guessed:.4f}"),
    ]  # fmt: skip
    return said_of(judged)
