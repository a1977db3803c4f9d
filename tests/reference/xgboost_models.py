"""Makes tests/reference/tmva/xgboost_*.json.gz: models that XGBoost 3.0.5 trained, with its own answers.

    pip install "xgboost==3.0.5"    # in an environment of its own
    python tests/reference/xgboost_models.py

Each file is {"model": what XGBoost saves, "events": …, "expected": its predictions}.
"""

import gzip
import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent / "tmva"


def write(name, model, events, expected):
    document = {
        "model": json.loads(bytes(model.get_booster().save_raw(raw_format="json"))),
        "events": events.astype(np.float32).tolist(),
        "expected": np.asarray(expected, np.float64).tolist(),
    }
    with gzip.GzipFile(HERE / f"xgboost_{name}.json.gz", "wb", mtime=0) as file:
        file.write(json.dumps(document).encode())


def main():
    import xgboost

    rng = np.random.default_rng(5)
    x = rng.normal(size=(2000, 4)).astype(np.float32)
    test = rng.normal(size=(40, 4)).astype(np.float32)
    score = x[:, 0] + x[:, 1] * x[:, 2]
    common = {"n_estimators": 12, "max_depth": 3, "n_jobs": 1, "random_state": 1}

    model = xgboost.XGBClassifier(**common).fit(x, score + rng.normal(size=2000) > 0.3)
    # On cuts, where a float that is equal goes to the right.
    cuts = [
        float(line.split("<")[1].split("]")[0])
        for line in model.get_booster().get_dump()[0].split("\n")
        if "<" in line
    ]
    on_cuts = np.repeat(test[:1], len(cuts), axis=0)
    on_cuts[:, 0] = np.float32(cuts)
    events = np.concatenate([test, on_cuts])
    write("binary", model, events, model.predict_proba(events)[:, 1])

    model = xgboost.XGBClassifier(**common).fit(x, np.digitize(score, [-0.5, 0.5]))
    write("multiclass", model, test, model.predict_proba(test))

    model = xgboost.XGBRegressor(**common).fit(x, 3.0 + score)
    write("regression", model, test, model.predict(test))


if __name__ == "__main__":
    main()
