"""Reports on events with images and graphs: what is shown, ranked and written of them."""

from __future__ import annotations

import numpy as np
import uproot

import hepml_root as hr


def test_images_and_graphs_in_a_report(tmp_path) -> None:
    random = np.random.default_rng(3)
    events = 200
    labels = np.arange(events) % 2
    image = random.exponential(size=(events, 4, 4, 2)) * (random.random((events, 4, 4, 2)) < 0.3)
    mask = np.arange(3) < random.integers(1, 4, events)[:, None]
    arrays = {
        "features": random.normal(size=(events, 1)),
        "p": random.normal(size=(events, 3, 1)) * mask[..., None],
        "p_mask": mask,
        "p_neighbours": random.integers(0, 3, (events, 3, 2)),
        "p_edges": random.normal(size=(events, 3, 2, 1)),
        "p_edges_mask": np.repeat(mask[..., None], 2, axis=2),
        "calorimeter": image,
    }
    names = {"calorimeter": ["ecal", "hcal"], "p": ["pt"], "p_edges": ["delta"], "features": ["mass"]}
    data = hr.Dataset.from_arrays(arrays, labels, columns=names)
    report = hr.evaluate(labels * 0.5 + random.random(events) * 0.6, data, bootstrap=5)
    shown = {one["signal"].name: one["signal"] for one in report.inputs}
    assert set(shown) == {"mass", "pt", "delta", "ecal", "hcal"}
    filled = (image[labels == 1][..., 0] != 0).sum()
    assert shown["ecal"].entries == filled
    assert shown["pt"].entries == mask[labels == 1].sum()
    report.save(tmp_path / "report")
    with uproot.open(next((tmp_path / "report").glob("*.root"))) as file:
        tree = file["test"]
        assert {"mass", "pt"} <= set(tree.keys())
        assert "ecal" not in tree.keys()  # noqa: SIM118
