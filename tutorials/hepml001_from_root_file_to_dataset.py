"""hepml001: from a ROOT file to a dataset.

Shows      sources (files, trees, RDataFrame nodes), inputs as branch names and as ROOT expressions, cuts,
           weights, cross section x luminosity, spectators, and splits that are the same on every machine
Prints     tables of yields: events, sums of weights, effective numbers; the shape of what a network will see
Run it     python tutorials/hepml001_from_root_file_to_dataset.py          (from anywhere, a few seconds)
Next       hepml002_train_a_network.py
"""

from __future__ import annotations

import hepml_root as hr


def main() -> None:
    # 10 000 signal and 10 000 background events of the HIGGS benchmark lie inside the ROOT installation:
    # gg -> H0 -> W H+- -> W W h0 -> W W b b against top pairs (arXiv:1402.4735).
    higgs = hr.data.shipped_file("Higgs_data.root")
    signal, background = f"{higgs}:sig_tree", f"{higgs}:bkg_tree"

    print("--- Two trees, branches and expressions as inputs, one cut ---")
    # An input is a branch name, also one that is no C++ name, or "label := any ROOT expression".
    inputs = ["lepton_pT", "jet1_b-tag", "m_jj", "m_bb", "m_wwbb", "dphi := abs(lepton_phi - jet1_phi)"]
    data = hr.Dataset.from_root(
        {"signal": signal, "background": background},
        inputs=inputs,
        spectators=["m_jlv"],  # travels with the events, is not learnt from
        cut="lepton_pT > 0.5",
    )
    print(data)
    print("what the network sees:", data.X["features"].shape, data.X["features"].dtype)
    print(
        "the first event:",
        dict(zip(data.blocks[0].labels, data.X["features"][0].round(3).tolist(), strict=True)),
    )

    print("\n--- Physics weights: cross section x luminosity ---")
    # Cross sections in pb, luminosity in 1/fb. Every part of a split stands for the full yield again, and the
    # training weights are balanced between the classes, apart from the physics weights.
    search = hr.Dataset.from_root(
        {
            "signal": hr.Source(signal, cross_section=0.0148),
            "background": hr.Source(background, cross_section=1.2),
        },
        inputs=inputs,
        luminosity=36.0,
    )
    train, test = search.split(test=0.3, seed=1)
    print(test)
    sums = {name: train.training_weight[train.labels == i].sum() for i, name in enumerate(train.classes)}
    print("sums of training weights:", {name: round(float(total), 1) for name, total in sums.items()})

    print("\n--- Event weights from a branch, one of two trees has them ---")
    toy = hr.data.shipped_file("tmva_class_example.root")
    weighted = hr.Dataset.from_root(
        {"signal": f"{toy}:TreeS", "background": f"{toy}:TreeB"},
        inputs=["sum := var1 + var2", "difference := var1 - var2", "var3", "var4"],
        weight={"signal": "1", "background": "weight"},
    )
    print(weighted)

    print("\n--- An RDataFrame node as a source: its Defines and Filters are honoured ---")
    import ROOT

    nodes = {
        name: ROOT.RDataFrame(tree, higgs)
        .Define("ht", "jet1_pt + jet2_pt + jet3_pt + jet4_pt")
        .Filter("ht > 3")
        for name, tree in (("signal", "sig_tree"), ("background", "bkg_tree"))
    }
    from_nodes = hr.Dataset.from_root(nodes, inputs=["ht", "m_bb"])
    print(from_nodes)

    print("\n--- A split by event number: the same event is on the same side, whatever else changes ---")
    numbered = hr.Dataset.from_root(
        {"signal": signal, "background": background}, inputs=["m_bb"], event_number="rdfentry_"
    )
    train, test = numbered.split(test=0.3, seed=1, by="event_number")
    print(
        f"{len(train)} events to train on, {len(test)} to test on;",
        "the first test events:",
        test.event_number[:5],
    )

    print("\n--- A name that does not exist ---")
    try:
        hr.Dataset.from_root({"signal": signal, "background": background}, inputs=["m_bbb"])
    except hr.errors.ColumnNotFoundError as error:
        print(f"ColumnNotFoundError: {error}"[:110], "...")


if __name__ == "__main__":
    main()
