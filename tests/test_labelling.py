"""Labels of somebody's own: groups of classes by picture, by name, or as a file says."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_info, threadpool_limits

from unlearnable import labelling
from unlearnable.data import ImageSet
from unlearnable.labelling import cluster, groups_of, relabel, scores
from unlearnable.protections._clusterwise import clustered
from unlearnable.run import Run


def test_groups_keep_classes_whole_and_unknown_labels_unknown(small: ImageSet) -> None:
    groups = groups_of("kmeans:3", small, seed=0)
    assert sorted(groups.unique().tolist()) == [0, 1, 2]
    labels = small.labels.clone()
    labels[0] = -1
    merged = relabel(ImageSet(small.images, labels, small.classes), groups)
    assert merged.labels[0] == -1
    assert torch.equal(merged.labels[1:], groups[labels[1:]])
    assert merged.classes == ("group 0", "group 1", "group 2")


def test_groups_of_a_file(small: ImageSet, tmp_path: Path) -> None:
    file = tmp_path / "groups.json"
    file.write_text(json.dumps({"low": list("01234"), "high": list("56789")}))
    assert groups_of(f"groups:{file}", small, seed=0).tolist() == [0] * 5 + [1] * 5
    file.write_text(json.dumps({"low": list("01234")}))
    with pytest.raises(ValueError, match="puts 5, 6, 7, 8, 9 in no group"):
        groups_of(f"groups:{file}", small, seed=0)
    file.write_text("[]")
    with pytest.raises(ValueError, match="must be JSON of the form"):
        groups_of(f"groups:{file}", small, seed=0)
    with pytest.raises(ValueError, match="must be JSON of the form"):
        groups_of(f"groups:{tmp_path / 'nowhere.json'}", small, seed=0)


def test_a_class_of_two_groups_is_refused(small: ImageSet, tmp_path: Path) -> None:
    file = tmp_path / "groups.json"
    file.write_text(json.dumps({"low": list("01234"), "high": list("3456789")}))
    with pytest.raises(ValueError, match="puts 3, 4 in more groups than one: each class belongs to one"):
        groups_of(f"groups:{file}", small, seed=0)


def test_a_number_of_groups_that_is_no_number_is_refused(small: ImageSet) -> None:
    with pytest.raises(ValueError, match=r"relabel must be kmeans:K, .*, got 'kmeans:²'"):
        groups_of("kmeans:²", small, seed=0)


def test_k_means_adds_up_in_one_order_whatever_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    class Watched(KMeans):
        def fit(self, points: object) -> KMeans:
            threads.extend(found["num_threads"] for found in threadpool_info() if found["user_api"] == "openmp")
            return super().fit(points)

    monkeypatch.setattr("sklearn.cluster.KMeans", Watched)
    points = torch.rand(40, 3, generator=torch.Generator().manual_seed(0))
    with threadpool_limits(4):
        labelling.kmeans(points, 2, seed=0)
        clustered(points, 2, Run())
        scores(points, [2], seed=0)
        assert 4 in [found["num_threads"] for found in threadpool_info()]
    assert set(threads) == {1}


def test_names_of_animals_and_vehicles_fall_apart() -> None:
    names = ("airplane", "automobile", "ship", "truck", "bird", "cat", "deer", "dog", "frog", "horse")
    data = ImageSet(torch.zeros(10, 3, 8, 8, dtype=torch.uint8), torch.arange(10), names)
    groups = groups_of("names:2", data, seed=0)
    vehicles, animals = groups[:4], groups[4:]
    assert (vehicles == vehicles.mode()[0]).sum() + (animals == animals.mode()[0]).sum() >= 9
    assert vehicles.mode()[0] != animals.mode()[0]


def test_three_heaps_are_best_described_by_three_groups() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]]).repeat_interleave(20, 0)
    found = scores(centres + 0.3 * torch.randn(60, 2, generator=generator), [2, 3, 4, 5], seed=0)
    assert [row["k"] for row in found] == [2, 3, 4, 5]
    assert all(a["sse"] > b["sse"] for a, b in pairwise(found))
    assert max(found, key=lambda row: row["silhouette"])["k"] == 3
    assert max(found, key=lambda row: row["calinski_harabasz"])["k"] == 3


@pytest.mark.parametrize("seed", [-1, 2**32 + 5])
def test_any_whole_number_is_a_seed(small: ImageSet, seed: int) -> None:
    assert torch.equal(cluster(small, 3, seed), cluster(small, 3, seed % 2**32))
