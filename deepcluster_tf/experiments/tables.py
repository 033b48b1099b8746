"""The tables and their rows: a row says which runs it shows, by which of their clusterings, and so how it is made."""

from __future__ import annotations

import dataclasses

from deepcluster_tf.experiments.registry import Row, Table

_LEVELS = (0.0, 0.01, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5)
_ALONE = {"reconstruction": 0.0}  # the clustering loss
_SUPERVISION = Table(
    "fashion-dcec", "SDCEC", "supervision", "Table 1",
    "all 70,000 images of Fashion-MNIST, the supervised ones included; ACC one to one",
    rows=(
        *(Row(f"{100 * x:g} %", "fashion-dcec", {"supervision": x}, printed=f"{x:g}") for x in _LEVELS),
        # the lambda of the DCEC authors' command line
        Row("0 %, lambda 0.1", "fashion-dcec", {"supervision": 0.0, "lam": 0.1}, beyond=True),
        # what the author's released code comes to, whose one output is compiled with two losses
        *(
            Row(f"{100 * x:g} %, no reconstruction", "fashion-dcec", {"supervision": x, **_ALONE}, beyond=True)
            for x in (0.0, 0.01)
        ),
    ),
)  # fmt: skip

_KMEANS, _MIXTURE, _N2D = {"by": "kmeans"}, {"by": "mixture"}, {"by": "n2d"}
_SIGMOID, _POOLING = {"activation": "sigmoid"}, {"architecture": "pooling"}
_RECTIFIED = {"embedding_activation": "relu"}
_AUTOENCODERS = Table(
    "fashion-encodings", "Akula", "encodings", "sections 5.1 to 5.4",
    "The paper's accuracy is purity over the 60,000 training images: each cluster takes its majority class. Its "
    "60.795 % stands beside the mixture on the encodings, as its section 3.7 and conclusion say, though the heading of "
    'section 5.4 says "without auto encoder"; the mixture on raw pixels has a row of its own. It is fitted to their '
    "first 50 principal components, which makes its cost bearable: a full covariance of 784 dimensions has 307,720 "
    "values a component.",
    rows=(
        Row("raw pixels, k-means", "fashion-raw", **_KMEANS, printed="raw pixels, kmeans"),
        Row("raw pixels, their first 50 principal components, Gaussian mixture", "fashion-raw", **_MIXTURE),
        Row("dense autoencoder, k-means", "fashion-ae", **_KMEANS, printed="autoencoder, kmeans"),
        Row("dense autoencoder, Gaussian mixture", "fashion-ae", **_MIXTURE, printed="autoencoder, mixture"),
        Row("dense autoencoder, UMAP and a mixture", "fashion-ae", **_N2D),
        Row("dense autoencoder, sigmoid, k-means", "fashion-ae", _SIGMOID, **_KMEANS),
        Row("dense autoencoder, sigmoid, Gaussian mixture", "fashion-ae", _SIGMOID, **_MIXTURE),
        Row("dense autoencoder, ReLU on the encoding, k-means", "fashion-ae", _RECTIFIED, **_KMEANS),
        Row("dense autoencoder, ReLU on the encoding, Gaussian mixture", "fashion-ae", _RECTIFIED, **_MIXTURE),
        Row("convolutions, pooling, dropout, k-means", "fashion-ae", _POOLING, **_KMEANS),
        Row("convolutions, pooling, dropout, Gaussian mixture", "fashion-ae", _POOLING, **_MIXTURE),
    ),
    seeds=3,
)  # fmt: skip


def _of(k: int, *, by: str = "mixture", **more) -> dict:
    """Settings of so many clusters."""
    return {"n_clusters": k, "clustering": by, **more} if by != "kmeans" else {"n_clusters": k, **more}


def _single(query: str, k: int) -> dict:
    return {"query": query, "n_clusters": k}


_SPREAD = {"distance": "mahalanobis", "decay": "gaussian"}
_NAMES = Table(
    "mnist-vae", "VAE with named clusters", "annotation", "section 4 and Figure 4",
    "Accuracy of the class head on the 10,000 test images after the last epoch, and how many pictures were named on "
    "the way. The paper's annotator is a person; here a reader stood in for that person: a small classifier, trained "
    "apart on the training images, that sees the picture and nothing else; it is the same for all seeds. It names a "
    "picture of which it is 70 % sure and sees no digit in any other, which a person might; the bolder one names a "
    "picture as soon as one class is likelier than all others together. The paper prints 75 % for k-means; 93.47 % "
    "for the mixture is the authors' later report, whose number of named pictures is not printed; the paper names 10 "
    "to 16 an epoch, about 40 to 64 in five epochs, which is what the rows of 16 clusters, none split, do; the others "
    "name more. Its authors also ran twice as many clusters, which is what the row of 32 does. Its text trains five "
    "epochs and its Figure 4 counts six: one row has six. Reconstructions are read by a reader that is sure by 0.7, "
    "whoever named; Figure 5 has beside it what the same reader names rightly however unsure, and the paper's person "
    'lies between the two. "single images" are what naming centres is compared with: so many training images after '
    "each epoch, named by the same reader (which knows them), each with a weight of its own in the same loss: a "
    "cluster's name reaches thousands of images, theirs one each.",
    rows=(
        Row("k-means, as published", "mnist-vae", printed="k-means", curve="k-means centres"),
        Row("k-means, a bolder reader", "mnist-vae", {"threshold": 0.5}),
        Row("k-means, learning rate 0.001", "mnist-vae", {"learning_rate": 0.001}),
        Row("k-means, 16 clusters", "mnist-vae", _of(16, by="kmeans")),
        Row("k-means, 16 clusters, none split", "mnist-vae", _of(16, by="kmeans", depth=1)),
        Row("k-means, 16 clusters, Mahalanobis distance, Gaussian decay", "mnist-vae",
            _of(16, by="kmeans", **_SPREAD)),
        Row("Gaussian mixture, its posterior as confidence", "mnist-vae", {"clustering": "mixture"}, printed="mixture"),
        Row("Gaussian mixture, 16 clusters", "mnist-vae", _of(16)),
        Row("Gaussian mixture, 16 clusters, learning rate 0.001", "mnist-vae", _of(16, learning_rate=0.001)),
        Row("Gaussian mixture, 24 clusters", "mnist-vae", _of(24)),
        Row("Gaussian mixture, 16 clusters, none split", "mnist-vae", _of(16, depth=1), printed="mixture",
            curve="mixture centres, 16 an epoch"),
        Row("Gaussian mixture, 16 clusters, none split, six epochs", "mnist-vae", _of(16, depth=1, epochs=6)),
        Row("Gaussian mixture, 24 clusters, none split", "mnist-vae", _of(24, depth=1),
            curve="mixture centres, 24 an epoch"),
        Row("Gaussian mixture, 32 clusters, none split", "mnist-vae", _of(32, depth=1)),
        Row("Gaussian mixture, 40 clusters, none split", "mnist-vae", _of(40, depth=1),
            curve="mixture centres, 40 an epoch"),
        Row("single images, at random, 16 an epoch", "mnist-vae", _single("random", 16),
            curve="random images, 16 an epoch"),
        Row("single images, the most uncertain, 16 an epoch", "mnist-vae", _single("uncertain", 16),
            curve="uncertain images, 16 an epoch"),
        Row("single images, at random, 90 an epoch", "mnist-vae", _single("random", 90),
            curve="random images, 90 an epoch"),
        Row("single images, the most uncertain, 90 an epoch", "mnist-vae", _single("uncertain", 90),
            curve="uncertain images, 90 an epoch"),
        Row("no names (gamma = 0)", "mnist-vae", {"gamma": 0.0}),
    ),
    drawn=tuple(
        Row(f"{z} latent dimensions, no names", "mnist-vae", {"gamma": 0.0, "z_dim": z})
        for z in (1, 2, 3, 4, 5, 9, 13, 17, 21)  # of the paper's Figure 5
    ),
    seeds=5,
)  # fmt: skip

_MATRIX, _SIMILAR = {"comparison": "contrastive"}, "similarity, matrix of a batch"
_STRONG = {**_MATRIX, "views": "strong", "temperature": 0.2}
_NEGATIVES = {**_STRONG, "negatives": "all"}  # and so on, to the encoder with which SCAN and DEC begin
_NORMALISED = {**_NEGATIVES, "normalised": True}
_PROJECTED = {**_NORMALISED, "projector": 128}
_EIGHT_LAYERS = {"filters": (32, 64, *[128] * 6), "batch_size": 16}
_CIFAR = Table(
    "cifar-encodings", "Schultz", "clusterings", 'section "Scoring"',
    "Adjusted Rand index over all 60,000 images of CIFAR-10; agglomerative clustering over 10,000 and affinity "
    "propagation over 2,000 of them, drawn at random, because their memory grows with the square. The equivalent "
    "accuracy is that of simulated labels with the same index. The papers print no number: they claim that the "
    "similarity scores best, that the representation trains most steadily, that every learned encoding is above the "
    "control, and the control above random guessing.",
    rows=(
        Row("images scaled to 8x8 (control)", "cifar-control"),
        Row("192 principal components", "cifar-control", {"reducer": "pca"}, beyond=True),
        Row("convolutional autoencoder", "cifar-ae"),
        Row("residual autoencoder", "cifar-resnet", beyond=True),
        Row("residual autoencoder, cross-entropy", "cifar-resnet", {"loss": "binary_crossentropy"}, beyond=True),
        Row("representation", "cifar-representation"),
        Row("similarity, dot product", "cifar-similarity"),
        Row("similarity, dot product, regulariser of 0.1", "cifar-similarity", {"regularisation": 0.1}, beyond=True),
        Row(_SIMILAR, "cifar-similarity", _MATRIX, beyond=True),
        Row(f"{_SIMILAR}, temperature 0.2", "cifar-similarity", {**_MATRIX, "temperature": 0.2}, beyond=True),
        Row(f"{_SIMILAR}, temperature 0.2, strong views", "cifar-similarity", _STRONG, beyond=True),
        Row("and all 2n - 2 negatives", "cifar-similarity", _NEGATIVES, beyond=True),
        Row("and batch normalisation", "cifar-similarity", _NORMALISED, beyond=True),
        Row("and a projector, thrown away", "cifar-similarity", _PROJECTED, beyond=True),
        Row("and a cosine schedule", "cifar-similarity", {**_PROJECTED, "schedule": "cosine"}, beyond=True),
    ),
    drawn=(
        Row("similarity, eight layers, batches of 16, no regulariser", "cifar-similarity",
            {**_EIGHT_LAYERS, "regularisation": 0.0, "epochs": 1}),
        Row("representation, eight layers, batches of 16", "cifar-representation", {**_EIGHT_LAYERS, "epochs": 1}),
    ),
    seeds=3,
)  # fmt: skip


def _frozen(data: str, title: str) -> tuple[Row, ...]:
    """The rows of a data set's frozen features."""
    lite = {"backbone": "EfficientNetLite2"}
    return (
        Row(f"{title}: k-means", f"{data}-frozen", **_KMEANS),
        Row(f"{title}: Gaussian mixture", f"{data}-frozen", **_MIXTURE),
        Row(f"{title}: UMAP and a mixture", f"{data}-frozen", **_N2D),
        Row(f"{title}: SCAN's heads", f"{data}-scan", lite, by="scan"),
    )


_PRETRAINED = Table(
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
            Row("pixels, k-means", f"{data}-umap", **_KMEANS),
            Row("pixels, UMAP and a mixture", f"{data}-umap", **_N2D),
            *rows,
        ),
        seeds=3,
    )  # fmt: skip


_LITE = {"backbone": "EfficientNetLite2"}
_UNEVEN = Table(
    "fashion-tail", "Singh", "unsupervised", "uneven classes, Fashion-MNIST thinned to a long tail, by methods",
    "Fashion-MNIST, of whose classes, in their order, ever fewer images are kept: all T-shirts, a tenth of the ankle "
    "boots. Beside ACC, which large classes rule, stands the mean over the classes of the share that is in a class's "
    "own cluster. SCAN asks for even clusters by the weight of its entropy, 5 in the paper; a smaller one lets them "
    "be uneven, but heads may collapse. FixMatch aligns its answers with the sizes of its first clusters.",
    rows=(
        Row("pixels, k-means", "fashion-tail-umap", **_KMEANS),
        Row("pixels, UMAP and a mixture", "fashion-tail-umap", **_N2D),
        Row("FixMatch, from the typical images of UMAP and a mixture", "fashion-tail-fixmatch", by="fixmatch"),
        Row("pretrained features, k-means", "fashion-tail-frozen", **_KMEANS),
        Row("pretrained features, UMAP and a mixture", "fashion-tail-frozen", **_N2D),
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

_FROM_NOTHING = (
    _unsupervised(
        "cifar", "CIFAR-10",
        Row("convolutional autoencoder, Gaussian mixture", "cifar-ae", **_MIXTURE),
        Row("similarity, strong views, k-means", "cifar-similarity", _STRONG, **_KMEANS),
        Row("similarity, strong views, Gaussian mixture", "cifar-similarity", _STRONG, **_MIXTURE),
        Row("k-means on the encoder that SCAN ends with", "cifar-scan", **_KMEANS),
        Row("SCAN", "cifar-scan", by="scan"),
        Row("k-means on the contrastive encoder of SCAN and DEC", "cifar-dec", {"epochs": 0}, **_KMEANS),
        Row("DEC's clustering layer on it, the contrastive loss kept", "cifar-dec", by="dec"),
        Row("the same, lambda 0.1", "cifar-dec", {"lam": 0.1}, by="dec"),
        Row("with lambda 1, stopped when no fewer change", "cifar-dec", {"patience": 1}, by="dec"),
        Row("with lambda 1 and clusters of any size", "cifar-dec", {"even": False}, by="dec"),
        Row("DeepCluster, k-means", "cifar-deepcluster", **_KMEANS),
        Row("DeepCluster, Gaussian mixture", "cifar-deepcluster", **_MIXTURE),
    ),
    *(
        _unsupervised(
            data, title,
            Row("FixMatch, from the typical images of UMAP and a mixture", f"{data}-fixmatch", by="fixmatch"),
            Row("UMAP and a mixture again, on the encoding of that FixMatch", f"{data}-fixmatch", **_N2D),
            Row("SCAN", f"{data}-scan", by="scan"),
            Row("DEC on a contrastive encoder", f"{data}-dec", by="dec"),
        )
        for data, title in (("fashion", "Fashion-MNIST"), ("mnist", "MNIST"))
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
        Row(f"{title}: ours, SDCEC without labels", f"{data}-dcec", {"supervision": 0.0}, by="unsupervised"),
        Row(f"{title}: ours, UMAP and a mixture, no network", f"{data}-umap", **_N2D),
        Row(f"{title}: ours, FixMatch without labels", f"{data}-fixmatch", by="fixmatch"),
    )


_BESIDE = Table(
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


def _told(data: str, supervisions: tuple[dict, ...], *methods: Row) -> tuple[Row, ...]:
    """A row for each method and supervision."""
    plain = (
        ("support vector machine on pixels", "svm"),
        ("logistic regression on pixels", "logistic"),
        ("labels spread over a graph of the pixels (Poisson learning)", "poisson"),
    )
    methods = (
        *methods,
        Row("FixMatch", f"{data}-fixmatch", by="fixmatch"),
        *(Row(label, f"{data}-classifier", by=by) for label, by in plain),
    )
    return tuple(dataclasses.replace(row, settings=told) for row in methods for told in supervisions)


_SHARES = tuple({"supervision": share} for share in _LEVELS if share)
_EACH = tuple({"labels_per_class": count} for count in (1, 2, 4, 10, 40, 80))
_LABELS = (
    Table(
        "fashion-labels", "SDCEC", "labels", "the supervision of Table 1, told to plain classifiers too,",
        "ACC over the images of Fashion-MNIST whose label was not told, one to one; all rows of a column are told the "
        "same labels. The minutes of SDCEC's clustering include those of its autoencoder, which several runs share.",
        rows=_told("fashion", _SHARES, Row("semi-supervised deep clustering (SDCEC)", "fashion-dcec")),
        seeds=3,
    ),
    *(
        Table(
            f"{data}-few-labels", "SDCEC", "labels", f"a few labels of each class of {title}, after the supervision",
            f"ACC over the images of {title} whose label was not told, one to one; all rows of a column are told the "
            "same labels, so many of each class.",
            rows=_told(data, _EACH),
            seeds=3,
        )
        for data, title in (("fashion", "Fashion-MNIST"), ("mnist", "MNIST"), ("cifar", "CIFAR-10"))
    ),
)  # fmt: skip

_NAMED_PICTURES = tuple(
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

_ALL_TABLES = (
    _SUPERVISION, _AUTOENCODERS, _NAMES, _CIFAR, _PRETRAINED, *_FROM_NOTHING, _UNEVEN, _BESIDE, *_LABELS,
    *_NAMED_PICTURES,
)  # fmt: skip
TABLES = {table.name: table for table in _ALL_TABLES}
