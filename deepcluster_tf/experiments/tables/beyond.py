"""What goes beyond the documents: what they name, honest neighbours, few labels, a handful of names."""

from __future__ import annotations

import dataclasses

from deepcluster_tf.experiments.registry import Row, Table
from deepcluster_tf.experiments.tables.documents import KMEANS, LEVELS, MIXTURE, N2D, STRONG

_LITE = {"backbone": "EfficientNetLite2"}
_NO_LABELS, _SLIGHT = {"supervision": 0.0}, {"views": "slight"}


def _frozen(data: str, title: str) -> tuple[Row, ...]:
    """The rows of a data set's frozen features."""
    return (
        Row(f"{title}: k-means", f"{data}-frozen", **KMEANS),
        Row(f"{title}: Gaussian mixture", f"{data}-frozen", **MIXTURE),
        Row(f"{title}: UMAP and a mixture", f"{data}-frozen", **N2D),
        Row(f"{title}: SCAN's heads", f"{data}-scan", _LITE, by="scan"),
    )


PRETRAINED = Table(
    "pretrained", "Singh", "unsupervised", "its pretrained features and SCAN",
    "Features of EfficientNet-Lite2, which was trained on ImageNet with its labels: nine of CIFAR-10's ten classes are "
    "among them, so these numbers do not stand beside those of methods that learn from nothing. No label of the data "
    "set itself was used: the size of the images is that of the network's training, the heads' learning rate and the "
    "head that is kept were chosen by the loss. Scored over all images, training and test. The minutes are those of a "
    "run whose features were there; making them takes ten to fifteen more, once.",
    rows=(*_frozen("cifar", "CIFAR-10"), *_frozen("fashion", "Fashion-MNIST")),
    seeds=5,
)  # fmt: skip


def _unsupervised(data: str, title: str, *rows: Row) -> Table:
    return Table(
        f"{data}-unsupervised", "Singh", "unsupervised", f"clusterings of {title} from nothing, and those",
        f"No label of any data set was used to learn. Ours are scored over all images of {title}, training and test, "
        "one to one; what others print is mostly over the same images, from larger networks and on GPUs. UMAP and a "
        "mixture on the pixels is no network at all: their first 50 principal components, UMAP to ten dimensions, the "
        "likeliest of five mixtures.",
        rows=(
            Row("pixels, k-means", f"{data}-umap", **KMEANS),
            Row("pixels, UMAP and a mixture", f"{data}-umap", **N2D),
            *rows,
        ),
        seeds=3,
    )  # fmt: skip


UNEVEN = Table(
    "fashion-tail", "Singh", "unsupervised", "uneven classes, Fashion-MNIST thinned to a long tail, by methods",
    "Fashion-MNIST, of whose classes, in their order, ever fewer images are kept: all T-shirts, a tenth of the ankle "
    "boots. Beside ACC, which large classes rule, stands the mean over the classes of the share that is in a class's "
    "own cluster. SCAN asks for even clusters by the weight of its entropy, 5 in the paper; a smaller one lets them "
    "be uneven, but heads may collapse. FixMatch aligns its answers with the sizes of its first clusters.",
    rows=(
        Row("pixels, k-means", "fashion-tail-umap", **KMEANS),
        Row("pixels, UMAP and a mixture", "fashion-tail-umap", **N2D),
        Row("FixMatch, from the typical images of UMAP and a mixture", "fashion-tail-fixmatch", by="fixmatch"),
        Row("pretrained features, k-means", "fashion-tail-frozen", **KMEANS),
        Row("pretrained features, UMAP and a mixture", "fashion-tail-frozen", **N2D),
        Row("SCAN's heads on pretrained features", "fashion-tail-scan", _LITE, by="scan"),
        *(
            Row(f"the same, the entropy's weight {weight:g}", "fashion-tail-scan",
                {**_LITE, "entropy_weight": weight}, by="scan")
            for weight in (2.0, 1.0)
        ),
    ),
    seeds=3,
    scores=("acc", "balanced", "nmi", "ari"),
)  # fmt: skip

FROM_NOTHING = (
    _unsupervised(
        "cifar", "CIFAR-10",
        Row("convolutional autoencoder, Gaussian mixture", "cifar-ae", **MIXTURE),
        Row("similarity, strong views, k-means", "cifar-similarity", STRONG, **KMEANS),
        Row("similarity, strong views, Gaussian mixture", "cifar-similarity", STRONG, **MIXTURE),
        Row("k-means on the encoder that SCAN ends with", "cifar-scan", **KMEANS),
        Row("SCAN", "cifar-scan", by="scan"),
        Row("k-means on the contrastive encoder of SCAN and DEC", "cifar-dec", {"epochs": 0}, **KMEANS),
        Row("DEC's clustering layer on it, the contrastive loss kept", "cifar-dec", by="dec"),
        Row("the same, lambda 0.1", "cifar-dec", {"lam": 0.1}, by="dec"),
        Row("with lambda 1, stopped when no fewer change", "cifar-dec", {"patience": 1}, by="dec"),
        Row("with lambda 1 and clusters of any size", "cifar-dec", {"even": False}, by="dec"),
        Row("DeepCluster, k-means", "cifar-deepcluster", **KMEANS),
        Row("DeepCluster, Gaussian mixture", "cifar-deepcluster", **MIXTURE),
    ),
    *(
        _unsupervised(
            data, title,
            *network,
            Row("SDCEC without labels", f"{data}-dcec", _NO_LABELS, by="unsupervised"),
            Row("the same, on slight views (DEC-DA)", f"{data}-dcec", {**_NO_LABELS, **_SLIGHT}, by="unsupervised"),
            Row("FixMatch, from the typical images of UMAP and a mixture", f"{data}-fixmatch", by="fixmatch"),
            Row("UMAP and a mixture again, on the encoding of that FixMatch", f"{data}-fixmatch", **N2D),
            Row("SCAN", f"{data}-scan", by="scan"),
            Row("DEC on a contrastive encoder", f"{data}-dec", by="dec"),
        )
        for data, title, network in (
            ("fashion", "Fashion-MNIST", (
                Row("dense autoencoder, UMAP and a mixture (training images)", "fashion-ae", by="n2d_training"),
            )),
            ("mnist", "MNIST", ()),
        )
    ),
)  # fmt: skip


def _peers(data: str, title: str) -> tuple[Row, ...]:
    """ClustPy's algorithms with its own settings and with the epochs of document 004's method, then ours."""
    ours = {"pretrain_epochs": 200, "clustering_epochs": 73}  # 20,000 iterations of 256 images
    rows, theirs = [], {"by": "peer", "whose": "ClustPy's"}
    for name in ("DEC", "IDEC", "N2D", "VaDE"):
        many = {"algorithm": name, **ours}
        if name == "N2D":
            del many["clustering_epochs"]
        label = f"{title}: ClustPy's {name}"
        rows += [
            Row(label, f"{data}-peers", {"algorithm": name}, **theirs),
            Row(f"{label}, as many epochs as SDCEC", f"{data}-peers", many, **theirs),
        ]
    return (
        *rows,
        Row(f"{title}: ours, SDCEC without labels", f"{data}-dcec", _NO_LABELS, by="unsupervised"),
        Row(f"{title}: ours, UMAP and a mixture, no network", f"{data}-umap", **N2D),
        Row(f"{title}: ours, FixMatch without labels", f"{data}-fixmatch", by="fixmatch"),
    )


BESIDE = Table(
    "peers", "SDCEC", "unsupervised", "ClustPy on the same images without labels, beside the methods",
    "ClustPy is the library of deep clustering that people would use instead: with PyTorch, in an environment of its "
    "own, on the same pixels in 0..1, with its own networks, which are small and dense, and its own settings; each "
    "run's record has its version; then with as many epochs as SDCEC has. Its N2D lays out by UMAP with the settings "
    "of N2D's authors: scikit-learn's t-SNE, its default, refuses ten dimensions. Scored over all images, training "
    "and test, one to one. The minutes include those of every autoencoder; memory is the most that the process had, "
    "where it was recorded.",
    rows=(*_peers("mnist", "MNIST"), *_peers("fashion", "Fashion-MNIST")),
    seeds=3,
)  # fmt: skip


def _told(data: str, supervisions: tuple[dict, ...], *methods: Row, embedded: bool = False) -> tuple[Row, ...]:
    """A row for each method and supervision; `embedded`: also of classifiers that see what SDCEC begins with."""
    plain = (
        ("support vector machine on pixels", "svm"),
        ("logistic regression on pixels", "logistic"),
        ("labels spread over a graph of the pixels (Poisson learning)", "poisson"),
    )
    beginning = (
        ("support vector machine on the embedding with which SDCEC begins", "svm"),
        ("labels spread over a graph of that embedding", "poisson"),
    )
    methods = (
        *methods,
        Row("FixMatch", f"{data}-fixmatch", by="fixmatch"),
        *(Row(label, f"{data}-classifier", by=by) for label, by in plain),
        *(Row(label, f"{data}-classifier", {"features": "autoencoder"}, by=by) for label, by in beginning if embedded),
    )
    return tuple(
        dataclasses.replace(row, settings={**row.settings, **told}) for row in methods for told in supervisions
    )


_SHARES = tuple({"supervision": share} for share in LEVELS if share)
_EACH = tuple({"labels_per_class": count} for count in (1, 2, 4, 10, 40, 80))
LABELS = (
    Table(
        "fashion-labels", "SDCEC", "labels", "the supervision of Table 1, told to plain classifiers too,",
        "ACC over the images of Fashion-MNIST whose label was not told, one to one; all rows of a column are told the "
        "same labels. The minutes of SDCEC's clustering include those of its autoencoder, which several runs share.",
        rows=_told(
            "fashion", _SHARES, Row("semi-supervised deep clustering (SDCEC)", "fashion-dcec"), embedded=True
        ),
        seeds=3,
    ),
    *(
        Table(
            f"{data}-few-labels", "SDCEC", "labels", f"a few labels of each class of {title}, after the supervision",
            f"ACC over the images of {title} whose label was not told, one to one; all rows of a column are told the "
            "same labels, so many of each class.",
            rows=_told(data, _EACH, embedded=data == "fashion"),
            seeds=3,
        )
        for data, title in (("fashion", "Fashion-MNIST"), ("mnist", "MNIST"), ("cifar", "CIFAR-10"))
    ),
)  # fmt: skip

NAMED_PICTURES = tuple(
    Table(
        f"{data}-names", "VAE with named clusters", "labels", f"named pictures of {title}, after section 4",
        f"Accuracy over the test images of {title} after one round of names. The encoding is learned without a label, "
        "by FixMatch from the typical images of UMAP and a mixture, on all images, the test images among them; the VAE "
        "sees training images alone. Then UMAP and a mixture of so many clusters as pictures are named: the most "
        "typical real image of each is shown to a reader, which stands in for a person, and names it where it is sure "
        "by 0.7.",
        rows=tuple(
            Row("one round of names, after FixMatch without labels", f"{data}-names", {"pictures": count})
            for count in (10, 16, 20, 40, 64)
        ),
        seeds=5,
    )
    for data, title in (("mnist", "MNIST"), ("fashion", "Fashion-MNIST"))
)  # fmt: skip
