"""The papers, and the experiments by name.

Commands, variables and help and the names of runs all come from here. To add a method, add an `Experiment` here and,
for its place in a table, a `Row` in `tables/`.
"""

from __future__ import annotations

from deepcluster_tf.experiments.registry import Experiment, Paper

PAPERS = (
    Paper(
        "SDCEC",
        "Semi-Supervised Deep Clustering with Convolutional Autoencoders",
        authors="N. Fiorentino",
        number="004",
    ),
    Paper(
        "Akula",
        "Image Classification Using Unsupervised Learning Methods",
        authors="U. Akula",
        number="002",
    ),
    Paper(
        "VAE with named clusters",
        "Image Classification using Unlabelled Data - A Semisupervised Approach using Variational Autoencoder and "
        "Topdown Hierarchical Clustering",
        number="000",
    ),
    Paper("Schultz", "Unsupervised Image Classification", authors="R. Schultz", number="003"),
    Paper("Singh", "Unsupervised Image Classification (slides)", authors="D. Singh", year=2022, number="001"),
)

# ---- what a user may name
_RUN = {"SEED": "seed", "QUICK": "quick", "FORCE": "force"}
_TRAIN = {**_RUN, "STRATEGY": "strategy", "PRECISION": "precision"}
_PUBLISHED = {"DATA_DIR": "data_dir"}
_OWN = {"IMAGES": "images", "SIZE": "side", "BROKEN": "broken"}
_DCEC = {
    "SUP": "supervision", "LABELS": "labels_per_class", "LAMBDA": "lam", "RECONSTRUCTION": "reconstruction",
    "PRETRAIN": "pretrain", "VIEWS": "views",
    **_TRAIN,
}  # fmt: skip
_AE = {
    "ARCHITECTURE": ("architecture", "dense", "pooling"), "ACTIVATION": "activation",
    "ENCODING": "embedding_activation", **_TRAIN,
}  # fmt: skip
_VAE = {
    "EPOCHS": "epochs", "K": "n_clusters", "Z": "z_dim", "BETA": "beta", "GAMMA": "gamma", "A": "a",
    "CLUSTERING": "clustering", "DISTANCE": "distance", "DECAY": "decay", "DEPTH": "depth", "QUERY": "query",
    "RATE": "learning_rate", "ANNOTATOR": "annotator", "THRESHOLD": "threshold", "ANSWERS": "answers", "PORT": "port",
    **_TRAIN,
}  # fmt: skip
_CONTROL = {"SCALE": "size", "REDUCER": "reducer", "CLUSTERS": "n_clusters", **_RUN}
_LEARNED = {"BATCH": "batch_size", "DIM": "embedding_dim", "CLUSTERS": "n_clusters", **_TRAIN}
_CONVOLUTIONAL = {"EPOCHS": "max_epochs", **_LEARNED}
_RESIDUAL = {"LOSS": ("loss", "mse", "binary_crossentropy"), **_CONVOLUTIONAL}
_PAIRS = {
    "VIEWS": "views", "FILTERS": "filters", "NORMALISED": "normalised", "SCHEDULE": "schedule", "EPOCHS": "epochs",
    **_LEARNED,
}  # fmt: skip
_SIMILARITY = {
    "LOSS": ("comparison", "dot", "contrastive"), "REGULARISATION": "regularisation", "TEMPERATURE": "temperature",
    "NEGATIVES": "negatives", "PROJECTOR": "projector", **_PAIRS,
}  # fmt: skip

_FROZEN = {"BACKBONE": "backbone", "SCALE": "backbone_side", "CLUSTERS": "n_clusters", **_RUN}
_SCAN = {
    "BACKBONE": "backbone", "SCALE": "backbone_side", "STAGES": "stages", "SUP": "supervision",
    "LABELS": "labels_per_class", "ENTROPY": "entropy_weight", "NEIGHBORS": "neighbors", "HEADS": "heads",
    "FLIP": "flip", "PRETEXT": "pretext_epochs", "EPOCHS": "epochs", "CLUSTERS": "n_clusters", **_TRAIN,
}  # fmt: skip

_DEC = {
    "SUP": "supervision", "LABELS": "labels_per_class", "LAMBDA": "lam", "EVEN": "even", "FLIP": "flip",
    "PATIENCE": "patience", "PRETEXT": "pretext_epochs", "EPOCHS": "epochs", "CLUSTERS": "n_clusters", **_TRAIN,
}  # fmt: skip
_DEEPCLUSTER = {
    "PROTOTYPES": "prototypes", "SOBEL": "sobel", "HEAD": "head", "VIEWS": "views", "FLIP": "flip", "EPOCHS": "epochs",
    "BATCH": "batch_size", "CLUSTERS": "n_clusters", **_TRAIN,
}  # fmt: skip

_FIXMATCH = {
    "SUP": "supervision", "LABELS": "labels_per_class", "TYPICAL": "typical", "FLIP": "flip",
    "STEPS": "iterations", "CLUSTERS": "n_clusters", "PRECISION": "precision", **_RUN,
}  # fmt: skip

# ---- experiments
_LARGE = {"pretraining_epochs": 3, "max_iterations": 700}  # about three minutes for 70,000 images on two cores
_SMALL = {"pretraining_epochs": 50, "max_iterations": 700}  # seconds for two thousand
_OF_DCEC = {"method": "dcec:DCEC", "protocol": "semi_supervised:SemiSupervised", "paper": "SDCEC"}
_OF_AE = {
    "method": "autoencoder:Autoencoder", "protocol": "encodings:Encodings", "paper": "Akula",
    "quick": {"max_epochs": 2, "n_init": 1},
}  # fmt: skip
_OF_RAW = {"method": "raw:Raw", "protocol": "encodings:Encodings", "paper": "Akula", "quick": {"n_init": 1}}
_OF_VAE = {"method": "vae:VAE", "protocol": "annotated:Annotated", "paper": "VAE with named clusters"}
# 64 pixels weigh less against the KL divergence than 784, and 1,372 images are few steps
_FEW = {"beta": 0.4, "epochs": 30, "unsupervised_epochs": 15}
_OWN_VAE = {"min_steps": 900}  # about an epoch of MNIST, before someone is asked what the decoder shows

_TENTH = {"embedding_dim": 307, "n_components": 50, "n_init": 3, "assign_by": "kmeans"}  # of CIFAR-10's 3,072 values
_SAMPLE = {"n_init": 1, "sample": 5000}
_LOOKED = {**_SAMPLE, "ways": ("random", "kmeans", "mixture", "n2d")}  # without what takes longer than to learn
# steps of a first look, about a minute and a half on two cores, and the least of a full fit to few images
_LOOK, _SLOW_LOOK, _PATIENCE = (600, 4000), (200, 1500), (60, 150)
_ENCODERS = {  # Schultz's encodings, and the residual autoencoder of Singh's slides
    "control": {"method": "control:Control", "paper": "Schultz", "quick": _LOOKED, "options": _CONTROL},
    "ae": {
        "method": "autoencoder:Autoencoder", "paper": "Schultz", "quick": _LOOKED,
        "settings": {"architecture": "convolutional", "max_epochs": 60, **_TENTH}, "options": _CONVOLUTIONAL,
        "steps": {"max_epochs": _LOOK, "patience": _PATIENCE},
    },
    "resnet": {
        "method": "autoencoder:Autoencoder", "paper": "Singh", "quick": _LOOKED,
        "settings": {"architecture": "residual", "max_epochs": 20, **_TENTH}, "options": _RESIDUAL,
        "steps": {"max_epochs": _SLOW_LOOK, "patience": _PATIENCE},
    },
    "representation": {
        "method": "siamese:Siamese", "paper": "Schultz", "options": _PAIRS,
        # small batches, of which a minute holds more, and strong views
        "quick": {"views": "strong", "normalised": True, "batch_size": 64, **_LOOKED},
        "steps": {"epochs": (1500, 4000)},
    },
    "similarity": {
        "method": "siamese:Siamese", "paper": "Schultz", "options": _SIMILARITY,
        "quick": {"comparison": "contrastive", "views": "strong", "batch_size": 64, **_LOOKED},
        "steps": {"epochs": _LOOK}, "settings": {"comparison": "dot"},
    },
}  # fmt: skip

_FEW_WAYS = {"ways": ("kmeans", "mixture", "n2d"), "queries": 5000}
_BEYOND = {  # what Singh's slides name and leave to others
    "frozen": {
        "method": "frozen:Frozen", "paper": "Singh", "quick": {"backbone_side": 96, **_SAMPLE}, "options": _FROZEN,
        "settings": {"ways": ("random", "kmeans", "mixture", "n2d"), "queries": 5000},
    },
    "scan": {
        "method": "scan:SCAN", "paper": "Singh", "options": _SCAN, "settings": _FEW_WAYS,
        "quick": {"network": "small", "stages": 2, "batch_size": 256, **_SAMPLE},
        "steps": {"pretext_epochs": (600, 800), "epochs": (100, 500), "self_labelling_epochs": (50, 500)},
    },
}  # fmt: skip
_BEYOND["deepcluster"] = {
    "method": "deepcluster:DeepCluster", "paper": "Singh", "quick": _SAMPLE, "options": _DEEPCLUSTER,
    "settings": {"ways": ("kmeans", "mixture", "n2d"), "queries": 5000}, "steps": {"epochs": (300, 3000)},
}  # fmt: skip
_BEYOND["dec"] = {
    "method": "dec:DEC", "paper": "SDCEC", "quick": {"network": "small", **_SAMPLE}, "options": _DEC,
    "settings": _FEW_WAYS, "steps": {"pretext_epochs": (600, 800), "epochs": (200, 500)},
}  # fmt: skip
_BEYOND["fixmatch"] = {
    "method": "fixmatch:FixMatch", "paper": "SDCEC", "options": _FIXMATCH, "settings": _FEW_WAYS,
    "quick": {"iterations": 600, **_SAMPLE},
}  # fmt: skip
_LONGER = {"iterations": 12_000}  # in less time than SDCEC takes with its pretraining
_CLASSIFIER = {  # what plain classifiers make of the labels that others are told
    "method": "raw:Raw", "protocol": "classified:Classified", "paper": "SDCEC", "told_by": "protocol",
    "quick": {"ways": ("svm", "poisson"), "pretraining_epochs": 3},
    "settings": {"n_init": 1, "n_components": 5},
    "options": {"SUP": "supervision", "LABELS": "labels_per_class", "FEATURES": "features", **_RUN},
}  # fmt: skip
_PEERS = {  # the library that people would use instead
    "method": "raw:Raw", "protocol": "peers:Peers", "paper": "SDCEC", "told_by": "protocol",
    "settings": {"n_init": 1, "n_components": 5}, "quick": {"pretrain_epochs": 3, "clustering_epochs": 3},
    "options": {"ALGORITHM": "algorithm", "PRETRAINING": "pretrain_epochs", "EPOCHS": "clustering_epochs",
                "CLUSTERS": "n_clusters", **_RUN},
}  # fmt: skip
_NAMED = {
    "method": "fixmatch:FixMatch", "protocol": "named:Named", "paper": "VAE with named clusters",
    "told_by": "protocol", "quick": {"iterations": 600},
    "options": {"PICTURES": "pictures", "ANNOTATOR": "annotator", "THRESHOLD": "threshold", "PORT": "port",
                "STEPS": "iterations", "FLIP": "flip", **_RUN},
}  # fmt: skip
_BEYOND["umap"] = {  # no network at all, beside those that have one
    "method": "raw:Raw", "paper": "Akula", "quick": _SAMPLE, "options": {"CLUSTERS": "n_clusters", **_RUN},
    "settings": {"ways": ("random", "kmeans", "mixture", "n2d"), "queries": 5000, "n_init": 3},
}  # fmt: skip
_ENCODERS |= _BEYOND


def _encoder(name: str, data: str, where: dict, **settings) -> Experiment:
    how = {"protocol": "clusterings:Clusterings", **_ENCODERS[name]}
    how["settings"] = {**how.get("settings", {}), **settings}
    return Experiment(f"{data}-{name}" if data else name, data, **{**how, "options": {**how["options"], **where}})


_ALL = (
    Experiment(
        "fashion-dcec", "fashion", settings={"supervision": 0.01}, options={**_DCEC, **_PUBLISHED}, quick=_LARGE,
        **_OF_DCEC,
    ),
    Experiment(
        "mnist-dcec", "mnist", settings={"supervision": 0.01}, options={**_DCEC, **_PUBLISHED}, quick=_LARGE,
        **_OF_DCEC,
    ),
    Experiment("digits-dcec", "digits", settings={"supervision": 0.05}, options=_DCEC, quick=_SMALL, **_OF_DCEC),
    Experiment(
        "dcec", "", quick={"max_iterations": 700, "views": "slight"}, steps={"pretraining_epochs": _LOOK},
        options={
            "EPOCHS": "pretraining_epochs", "BATCH": "batch_size", "CLUSTERS": "n_clusters", **_DCEC, **_OWN,
        },
        **_OF_DCEC,
    ),
    Experiment("fashion-ae", "fashion", options={**_AE, **_PUBLISHED}, **_OF_AE),
    Experiment("mnist-ae", "mnist", options={**_AE, **_PUBLISHED}, **_OF_AE),
    Experiment("digits-ae", "digits", options=_AE, **_OF_AE),
    Experiment("fashion-raw", "fashion", options={**_RUN, **_PUBLISHED}, **_OF_RAW),
    Experiment("mnist-raw", "mnist", options={**_RUN, **_PUBLISHED}, **_OF_RAW),
    Experiment("digits-raw", "digits", options=_RUN, **_OF_RAW),
    Experiment("mnist-vae", "mnist", options={**_VAE, **_PUBLISHED}, quick={"epochs": 2}, **_OF_VAE),
    Experiment("fashion-vae", "fashion", options={**_VAE, **_PUBLISHED}, quick={"epochs": 2}, **_OF_VAE),
    Experiment("digits-vae", "digits", settings=_FEW, options=_VAE, quick={"epochs": 18}, **_OF_VAE),
    Experiment(
        "vae", "", settings=_OWN_VAE, options={"CLASSES": "class_names", **_VAE, **_OWN}, quick={"epochs": 2},
        **_OF_VAE,
    ),
    *(_encoder(name, "cifar", _PUBLISHED, **(_LONGER if name == "fixmatch" else {})) for name in _ENCODERS),
    *(_encoder(name, "", _OWN) for name in _ENCODERS),
    *(_encoder(name, "fashion", _PUBLISHED, **(_LONGER if name == "fixmatch" else {})) for name in _BEYOND),
    *(_encoder(name, "mnist", _PUBLISHED) for name in ("frozen", "umap")),
    # mirrored, a digit is another sign
    *(_encoder(name, "mnist", _PUBLISHED, flip=False) for name in ("scan", "dec", "deepcluster", "fixmatch")),
    *(_encoder(name, "digits", {}, flip=False) for name in ("scan", "dec", "deepcluster", "fixmatch")),
    _encoder("umap", "digits", {}),
    *(
        _encoder(name, "fashion-tail", _PUBLISHED, **(_LONGER if name == "fixmatch" else {}))
        for name in ("umap", "frozen", "scan", "fixmatch")
    ),
    *(
        Experiment(
            f"{data}-names" if data else "names", data,
            **{**_NAMED, "settings": settings, "options": {**_NAMED["options"], **where}},
        )
        for data, settings, where in (
            ("mnist", {"flip": False}, _PUBLISHED), ("fashion", _LONGER, _PUBLISHED), ("digits", {"flip": False}, {}),
            ("", {}, {"CLASSES": "class_names", "CLUSTERS": "n_clusters", **_OWN}),
        )
    ),
    *(
        Experiment(
            f"{data}-classifier" if data else "classifier", data,
            **{**_CLASSIFIER, "options": {**_CLASSIFIER["options"], **where}},
        )
        for data, where in (
            ("fashion", _PUBLISHED), ("mnist", _PUBLISHED), ("cifar", _PUBLISHED), ("digits", {}), ("", _OWN)
        )
    ),
    *(
        Experiment(f"{data}-peers" if data else "peers", data, **{**_PEERS, "options": {**_PEERS["options"], **where}})
        for data, where in (("fashion", _PUBLISHED), ("mnist", _PUBLISHED), ("digits", {}), ("", _OWN))
    ),
)  # fmt: skip
EXPERIMENTS = {experiment.name: experiment for experiment in _ALL}
