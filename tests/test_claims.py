"""The papers' claims are judged by the numbers: confirmed, refuted, or not yet."""

import numpy as np
import pandas as pd
import pytest

from deepcluster_tf.reporting.tables import claims

LEVELS = (0.0, 0.01, 0.05, 0.1, 0.5)


def verdicts(lines):
    """Whether each claim is confirmed; each line says why."""
    assert all(line.startswith("- ") and line.endswith(")") for line in lines)
    assert all((": confirmed (" in line) != (": refuted (" in line) for line in lines)
    return [": confirmed (" in line for line in lines]


def test_sdcec_by_hand():
    acc = dict(zip(LEVELS, (0.50, 0.65, 0.75, 0.80, 0.90)))
    lines = claims.sdcec(acc, acc)
    assert verdicts(lines) == [True] * 5
    assert "15.0 points, from 0.5000 to 0.6500" in lines[0]
    # 30 points over 10 per cent, then 10 over 40
    assert "3.00 points for each per cent of labels up to 10 %, 0.25 beyond" in lines[2]
    assert "1 %: 15.00, 5 %: 2.50, 10 %: 1.00, 50 %: 0.25" in lines[2]


@pytest.mark.parametrize(
    ("changed", "refuted"),
    [({0.01: 0.64}, [0]), ({0.1: 0.79}, [1]), ({0.5: 4.0}, [2]), ({0.05: 0.64}, [3]), ({0.01: 0.50}, [0, 3])],
)
def test_sdcec_is_refuted_where_the_numbers_say_so(changed, refuted):
    acc = dict(zip(LEVELS, (0.50, 0.65, 0.75, 0.80, 0.90)))
    assert [i for i, true in enumerate(verdicts(claims.sdcec({**acc, **changed}, acc))) if not true] == refuted
    if 3 in refuted:
        assert not verdicts(claims.sdcec(acc, {**acc, **changed}))[4]


def test_nothing_is_judged_before_it_is_recorded():
    assert claims.sdcec({0.0: 0.5, 0.01: 0.6}, {}) == ["The paper's claims are judged when every level is recorded."]
    found = pd.DataFrame({"what": ["k-means, as published"], "test_acc": [0.8]})
    assert "every row of its own" in claims.named_clusters(found, {1: 0.1, 9: 0.5, 21: 0.6})[0]
    assert "every row of its own" in claims.akula(purities(0.5).iloc[:3])[0]


WAYS = (
    "k-means, 16 clusters, none split", "k-means, as published", "k-means, 16 clusters",
    "Gaussian mixture, 16 clusters, none split", "no names (gamma = 0)", "single images, at random, 16 an epoch",
    "single images, the most uncertain, 16 an epoch",
)  # fmt: skip


def names(acc, read, annotations=(64, 273, 368, 64, 0, 64, 64)):
    return pd.DataFrame({"what": WAYS, "test_acc": acc, "reconstruction_acc": read, "annotations": annotations})


def test_named_clusters_by_hand():
    found = names((0.75, 0.79, 0.80, 0.85, 0.1, 0.5, 0.3), (0.66, 0.72, 0.7, 0.75, 0.65, 0.6, 0.6))
    lines = claims.named_clusters(found, {1: 0.2, 9: 0.6, 21: 0.66})
    assert verdicts(lines) == [True] * 5
    assert "+7.0 points" in lines[3] and "none split: +10.0" in lines[3]
    assert "5.00 points a dimension from 1 to 9, 0.50 from there to 21" in lines[4]
    found = names((0.74, 0.79, 0.70, 0.85, 0.1, 0.76, 0.3), (0.66, 0.70, 0.7, 0.75, 0.65, 0.6, 0.6))
    lines = claims.named_clusters(found, {1: 0.2, 9: 0.3, 21: 0.9})
    assert verdicts(lines) == [False] * 5


def purities(purity, std=0.01):
    what = [
        "raw pixels, k-means", "dense autoencoder, k-means", "dense autoencoder, Gaussian mixture",
        "convolutions, pooling, dropout, k-means", "convolutions, pooling, dropout, Gaussian mixture",
    ]  # fmt: skip
    return pd.DataFrame({"scored": "training", "what": what, "purity": purity, "purity_std": std})


def test_gaps_of_encodings_by_hand():
    found = purities((0.5, 0.6, 0.605, 0.54, 0.8)).assign(purity_document=[0.51, 0.55, 0.606, np.nan, np.nan])
    found["purity_difference"] = found["purity"] - found["purity_document"]
    near = "these lie within two points of it: convolutions, pooling, dropout, k-means"
    tried = "tried: convolutions, pooling, dropout, k-means 54.00 %"
    assert claims.gaps_of_encodings(found) == [
        f"- dense autoencoder, k-means, +5.00 points of 55.00 %; {tried}; {near}"
    ]
    found.loc[3, "purity"] = 0.59
    assert claims.gaps_of_encodings(found)[0].endswith("59.00 %; none lies within two points of it")
    found.loc[3, "purity"] = np.nan
    assert claims.gaps_of_encodings(found)[0].endswith("tried: nothing yet; none lies within two points of it")


def test_akula_by_hand():
    lines = claims.akula(purities((0.5, 0.6, 0.605, 0.7, 0.8)))
    assert verdicts(lines) == [True] * 3
    # 0.005 apart, with a deviation of 0.0141; a tenth apart, it is not the seeds'
    assert "within the deviation over the seeds" in lines[1] and "within" not in lines[0]
    lines = claims.akula(purities((0.7, 0.6, 0.5, 0.7, 0.4), np.nan))
    assert verdicts(lines) == [False] * 3 and not any("within" in line for line in lines)


def test_gaps_of_names_by_hand():
    what = ["mixture, 16", "mixture, 24", "k-means", "mixture, none"]
    found = pd.DataFrame({
        "what": what, "annotations": [64, 96, 273, 0], "test_acc": [0.85, 0.9, 0.77, np.nan],
        "test_acc_difference": [-0.05, np.nan, 0.02, np.nan],
    })  # fmt: skip
    lines = claims.gaps_of_names(found, {"mixture, 16": [(0.9, True), (0.7, False), (0.94, True)]})
    assert lines == [
        "- mixture, 16, -0.0500: every class had a name in the last round of 2 of 3 runs (ACC 0.9200), not of the "
        "others (0.7000), whose class head never learns what lacks one; 64 names (mixture, 16): 0.8500, "
        "96 names (mixture, 24): 0.9000"
    ]
    alone = claims.gaps_of_names(found.assign(test_acc_difference=0.03).iloc[2:3], {"k-means": [(0.77, True)]})
    assert alone == [
        "- k-means, +0.0300: every class had a name in the last round of 1 of 1 runs; 273 names (k-means): 0.7700, "
        "273 names (k-means): 0.7700"
    ]
