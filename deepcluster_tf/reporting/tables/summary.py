"""One run, as the command line shows it."""

from __future__ import annotations

from deepcluster_tf.experiments import TABLES, Experiment, results, running
from deepcluster_tf.reporting.tables.markdown import DASH


def summary(result: dict, experiment: Experiment) -> str:
    """One run in a few lines: every score, beside the paper's where it prints one, with the difference."""
    scored, printed = result["metrics"], _printed(result, experiment)
    lines = [f"{experiment.name} {result['directory'].parent.name}, seed {result['seed']}, budget {result['budget']}"]
    width = max(map(len, scored), default=0) + 2
    if scored:
        lines.append(f"{'score':<{width}} {'ours':>8} {'paper':>9} {'difference':>11}")
    for over in dict.fromkeys(score["protocol"] for score in scored.values()):  # a block for each way of scoring
        lines.append(f"over {over}:")
        for name, score in scored.items():
            if score["protocol"] == over:
                paper = printed.get(name)
                beside = f"{DASH:>9} {DASH:>11}"
                if paper is not None:
                    beside = f"{paper:>9.4f} {score['value'] - paper:>+11.4f}"
                lines.append(f"  {name:<{width - 2}} {score['value']:>8.4f} {beside}")
    if not scored:
        sizes = result["cluster_sizes"]
        for by, found in (sizes if isinstance(sizes, dict) else {"": sizes}).items():
            lines.append(
                f"no classes are known: {by + ' ' if by else ''}clusters of {', '.join(map(str, found))} images"
            )
    end = {True: " (the stopping rule held)", False: " (iterations ran out)", None: ""}[result["converged"]]
    spent = {**result["seconds"]}
    if "autoencoder" in result:
        spent["pretraining before"] = result["autoencoder"]["seconds"]
    seconds = ", ".join(f"{phase} {value:,.0f} s" for phase, value in spent.items())
    lines.append(f"{result['iterations']:,} iterations{end}; {seconds}")
    if "sparsity" in result:
        said = {"sparsity": "sparsity", "invariance": "invariance_centred"}  # which early records do not have
        lines.append(f"encodings: {', '.join(f'{name} {result[k]:.4f}' for name, k in said.items() if k in result)}")
    if counted := result.get("counted"):
        best = max(counted["silhouettes"])
        lines.append(
            f"{counted['n_clusters']} clusters suggest themselves in {counted['of']} (mean silhouette {best:.3f})"
        )
    if "annotations" in result:
        lines.append(f"{result['annotations']:,} annotations")
    lines += [f"notice: {notice}" for notice in result["notices"]]
    if (result["directory"] / "clusters.csv").exists():
        lines.append(f"which image is where: {result['directory'] / 'clusters.csv'}")
    lines.append(f"{'recorded' if result['fresh'] else 'recorded before'} in {result['directory']}")
    if not result["fresh"]:
        lines.append("FORCE=1 runs it again")
    return "\n".join(lines)


def _printed(result: dict, experiment: Experiment) -> dict:
    """The paper's numbers for the settings of a run, by the names of our scores."""
    if result["budget"] != "paper":
        return {}
    found, variant = {}, result["directory"].parent.name
    for table in TABLES.values():
        for row in table.rows:
            if row.printed and row.experiment == experiment.name and running.variant_of(row) == variant:
                printed, by = results.reference()[table.name][row.printed], f"_{row.by}_training" if row.by else ""
                found |= {name + by: value for name, value in printed.items() if name + by in result["metrics"]}
    return found
