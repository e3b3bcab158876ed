"""Stage ``partition``: manifests → data/partitions/<setting>.json, the clients and targets.

Run as ``python -m pipeline.partition SETTING``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fedmvp.config import load_params
from fedmvp.data.manifest_files import load_manifest
from fedmvp.partition.build import build_partition
from fedmvp.partition.folds import datasets_of
from fedmvp.partition.partition_files import save_partition
from fedmvp.partition.setting_spec import load_setting
from fedmvp.paths import manifest_path, partition_path
from fedmvp.wording import plural
from pipeline.support.stage import run_stage, stage_arguments


def main(arguments: Sequence[str] = tuple(sys.argv[1:])) -> None:
    """Make the partition of one setting."""
    (name,) = stage_arguments(arguments, "SETTING")
    params = load_params()
    setting = load_setting(params.run.suite, name)
    datasets = datasets_of(setting, params.data.datasets)
    manifests = {dataset: load_manifest(manifest_path(dataset)) for dataset in datasets}
    partition = build_partition(
        name,
        setting,
        manifests,
        classes_per_client=params.partition.classes_per_client,
        shots=params.partition.shots,
        seed=params.partition.seed,
        scheme=params.partition.scheme,
        candidates=params.partition.candidates,
        validation=params.partition.validation,
        annotations=params.partition.annotations,
    )
    save_partition(partition, partition_path(name))
    images = sum(len(client.train) for client in partition.clients)
    print(
        f"{name}: {plural(len(partition.folds), 'fold')}, "
        f"{plural(len(partition.clients), 'client')} with {plural(images, 'training image')}, "
        f"{plural(len(partition.targets), 'target')}"
    )
    lone = [fold for fold in partition.folds if len(partition.clients_of(fold)) == 1]
    if lone:
        print(
            f"{name}: fold {lone[0]} has one client, which is not a federation; lower "
            "partition.classes_per_client, or the setting's own"
        )


if __name__ == "__main__":
    run_stage(main)
