"""Writes the models of this folder and what their libraries answer, on made-up data.

pip install numpy pandas scipy scikit-learn xgboost==3.2.0 lightgbm==4.7.0
python make.py [xgboost|lightgbm]
"""

import json
import pathlib
import sys

import numpy as np
import pandas as pd

HERE = pathlib.Path(__file__).parent


def numbers(values):
    """Nested lists with None for what is missing and enough digits for each number."""
    values = np.asarray(values)
    if values.ndim > 1:
        return [numbers(row) for row in values]
    if values.dtype.kind in "iu":
        return [int(value) for value in values]
    return [float(f"{value:.9g}") if np.isfinite(value) else (None if np.isnan(value) else str(value)) for value in values]


def column(values):
    if isinstance(values.dtype, pd.CategoricalDtype) and isinstance(values.cat.categories[0], str):
        return [None if value is None or value != value else str(value) for value in values]
    return numbers(np.asarray(values, dtype=float))


def write(name, frame, predict, probabilities=None, labels=False):
    names = [str(name) for name in frame.columns] if isinstance(frame, pd.DataFrame) else []
    columns = [column(frame[key]) for key in frame] if names else [numbers(values) for values in np.asarray(frame, dtype=float).T]
    case = {"names": names, "columns": columns, "predict": numbers(predict)}
    case["labels"] = labels
    if probabilities is not None:
        case["probabilities"] = numbers(probabilities)
    (HERE / f"{name}.case.json").write_text(json.dumps(case, separators=(",", ":")) + "\n")


def data(rng, rows=400, width=5, missing=0.1):
    x = rng.normal(size=(rows, width)).round(3)
    signal = 1.5 * x[:, 0] - x[:, 1] + np.abs(x[:, 2]) + 0.3 * rng.normal(size=rows)
    x[rng.random(x.shape) < missing] = np.nan
    return x, signal


def frame_of(rng, rows=400):
    x, signal = data(rng, rows, 3)
    town = rng.choice(["Aachen", "Bonn", "Koblenz", "Mainz", "Trier", "Ulm", "Worms", "Zwickau"], rows)
    kind = rng.choice([3, 5, 9], rows)
    signal = signal + np.isin(town, ["Bonn", "Mainz", "Ulm"]) * 2 + (kind == 5)
    frame = pd.DataFrame({"a b": x[:, 0], "b": x[:, 1], "c": x[:, 2], "town": pd.Categorical(town), "kind": pd.Categorical(kind)})
    frame.loc[rng.random(rows) < 0.1, "town"] = np.nan
    return frame, signal


def make_xgboost():
    import xgboost as xgb

    def save(booster, name, suffix="ubj"):
        booster.save_model(HERE / f"xgb_{name}.{suffix}")

    objectives = {
        "squarederror": ("reg:squarederror", lambda s: s),
        "squaredlogerror": ("reg:squaredlogerror", lambda s: np.exp(s / 3)),
        "reglogistic": ("reg:logistic", lambda s: 1 / (1 + np.exp(-s))),
        "logistic": ("binary:logistic", lambda s: s > 0.5),
        "logitraw": ("binary:logitraw", lambda s: s > 0.5),
        "hinge": ("binary:hinge", lambda s: s > 0.5),
        "softmax": ("multi:softmax", lambda s: np.digitize(s, [-1, 1])),
        "softprob": ("multi:softprob", lambda s: np.digitize(s, [-1, 1])),
        "poisson": ("count:poisson", lambda s: np.exp(s / 2).round()),
        "gamma": ("reg:gamma", lambda s: np.exp(s / 2) + 0.1),
        "tweedie": ("reg:tweedie", lambda s: np.exp(s / 2).round()),
        "absoluteerror": ("reg:absoluteerror", lambda s: s),
        "pseudohuber": ("reg:pseudohubererror", lambda s: s),
        "quantile": ("reg:quantileerror", lambda s: s),
        "cox": ("survival:cox", lambda s: np.exp(s / 2) + 0.1),
        "pairwise": ("rank:pairwise", lambda s: np.digitize(s, [-1, 0, 1])),
        "ndcg": ("rank:ndcg", lambda s: np.digitize(s, [-1, 0, 1])),
    }
    for at, (name, (objective, target)) in enumerate(objectives.items()):
        rng = np.random.default_rng(at)
        x, signal = data(rng)
        train = xgb.DMatrix(x, target(signal).astype(float))
        params = {"objective": objective, "max_depth": 3, "seed": 7, "nthread": 1}
        if objective.startswith("multi"):
            params["num_class"] = 3
        if objective.startswith("rank"):
            train.set_group([100] * 4)
        if name == "quantile":
            params["quantile_alpha"] = 0.8
        booster = xgb.train(params, train, 6)
        save(booster, name, "json" if name in ("squarederror", "softmax") else "ubj")
        ask = x[:40]
        proba = None
        if name == "softprob":
            proba = booster.predict(xgb.DMatrix(ask))
        write(f"xgb_{name}", ask, booster.predict(xgb.DMatrix(ask)), proba)

    rng = np.random.default_rng(100)
    x, signal = data(rng)
    train = xgb.DMatrix(x, signal)
    ask = xgb.DMatrix(x[:40])
    both = np.stack([signal, -2 * signal + x[:, 3]], 1)
    both[np.isnan(both)] = 0
    special = {
        "dart": ({"booster": "dart", "rate_drop": 0.5, "max_depth": 3}, train),
        "linear": ({"booster": "gblinear", "updater": "coord_descent", "feature_selector": "cyclic"}, train),
        "lossguide": ({"grow_policy": "lossguide", "max_leaves": 12, "max_depth": 0, "gamma": 0.5, "tree_method": "hist"}, train),
        "pruned": ({"tree_method": "exact", "gamma": 5, "max_depth": 5}, train),
        "forest": ({"num_parallel_tree": 3, "subsample": 0.7, "max_depth": 3}, train),
        "base": ({"base_score": 3.25, "max_depth": 2}, train),
        "targets": ({"max_depth": 3}, xgb.DMatrix(x, both)),
        "wide": ({"max_depth": 3, "multi_strategy": "multi_output_tree"}, xgb.DMatrix(x, both)),
        "quantiles": ({"max_depth": 3, "objective": "reg:quantileerror", "quantile_alpha": [0.2, 0.8]}, train),
    }
    for name, (params, matrix) in special.items():
        booster = xgb.train({"seed": 7, "nthread": 1, **params}, matrix, 5)
        save(booster, name)
        write(f"xgb_{name}", x[:40], booster.predict(ask))
    classes = np.digitize(signal, [-1, 1])
    booster = xgb.train({"booster": "gblinear", "objective": "multi:softprob", "num_class": 3, "updater": "coord_descent"}, xgb.DMatrix(x, classes), 5)
    save(booster, "linear_classes")
    write("xgb_linear_classes", x[:40], booster.predict(ask))

    for name, params in {"categories": {"max_cat_to_onehot": 1}, "onehot": {"max_cat_to_onehot": 100}}.items():
        frame, signal = frame_of(np.random.default_rng(200))
        booster = xgb.train({"max_depth": 4, "nthread": 1, **params}, xgb.DMatrix(frame, signal, enable_categorical=True), 6)
        save(booster, name, "json" if name == "onehot" else "ubj")
        write(f"xgb_{name}", frame[:60], booster.predict(xgb.DMatrix(frame[:60], enable_categorical=True)))
    codes = frame[["a b", "b", "c"]].to_numpy()
    codes = np.column_stack([codes, frame["town"].cat.codes.replace(-1, np.nan)])
    types = ["q", "q", "q", "c"]
    matrix = xgb.DMatrix(codes, signal, feature_types=types, enable_categorical=True)
    booster = xgb.train({"max_depth": 4, "max_cat_to_onehot": 1, "nthread": 1}, matrix, 6)
    save(booster, "codes")
    codes[:4, 3] = [-1, 8, 2.9, 1000]
    write("xgb_codes", codes[:60], booster.inplace_predict(codes[:60]))

    x, signal = data(np.random.default_rng(300))
    for name, target, extra in [
        ("classifier", (signal > 0.5).astype(int), {}),
        ("classifier3", np.digitize(signal, [-1, 1]), {}),
        ("classifier_softmax", np.digitize(signal, [-1, 1]), {"objective": "multi:softmax"}),
    ]:
        noise = np.random.default_rng(301).permutation(target[200:])
        model = xgb.XGBClassifier(n_estimators=12, max_depth=2, learning_rate=1.0, early_stopping_rounds=4, n_jobs=1, **extra)
        model.fit(x[:200], target[:200], eval_set=[(x[200:], np.where(np.arange(200) % 3 == 0, noise, target[200:]))], verbose=False)
        save(model, name)
        print(name, "best", model.best_iteration, "of", model.get_booster().num_boosted_rounds())
        write(f"xgb_{name}", x[:40], model.predict(x[:40]), model.predict_proba(x[:40]), labels=True)
    model = xgb.XGBRegressor(n_estimators=5, max_depth=3, n_jobs=1).fit(x, signal)
    save(model, "regressor")
    write("xgb_regressor", x[:40], model.predict(x[:40]))


def make_lightgbm():
    import lightgbm as lgb

    plain = {"verbose": -1, "num_leaves": 8, "num_threads": 1, "seed": 7, "deterministic": True, "min_data_in_leaf": 5}
    classes = lambda s: np.digitize(s, [-1, 1])
    objectives = {
        "regression": ({"objective": "regression"}, lambda s: s),
        "sqrt": ({"objective": "regression", "reg_sqrt": True}, lambda s: s),
        "l1": ({"objective": "regression_l1"}, lambda s: s),
        "huber": ({"objective": "huber"}, lambda s: s),
        "fair": ({"objective": "fair"}, lambda s: s),
        "quantile": ({"objective": "quantile", "alpha": 0.8}, lambda s: s),
        "mape": ({"objective": "mape"}, lambda s: s + 10),
        "poisson": ({"objective": "poisson"}, lambda s: np.exp(s / 2).round()),
        "gamma": ({"objective": "gamma"}, lambda s: np.exp(s / 2) + 0.1),
        "tweedie": ({"objective": "tweedie"}, lambda s: np.exp(s / 2).round()),
        "binary": ({"objective": "binary", "sigmoid": 0.7}, lambda s: s > 0.5),
        "cross_entropy": ({"objective": "cross_entropy"}, lambda s: 1 / (1 + np.exp(-s))),
        "cross_entropy_lambda": ({"objective": "cross_entropy_lambda"}, lambda s: 1 / (1 + np.exp(-s))),
        "multiclass": ({"objective": "multiclass", "num_class": 3}, classes),
        "multiclassova": ({"objective": "multiclassova", "num_class": 3, "sigmoid": 1.2}, classes),
        "lambdarank": ({"objective": "lambdarank"}, classes),
        "xendcg": ({"objective": "rank_xendcg"}, classes),
        "dart": ({"objective": "regression", "boosting": "dart"}, lambda s: s),
        "rf": ({"objective": "regression", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7}, lambda s: s),
        "rf_binary": ({"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7}, lambda s: s > 0.5),
        "linear": ({"objective": "regression", "linear_tree": True}, lambda s: s),
        "zero": ({"objective": "regression", "zero_as_missing": True}, lambda s: s),
        "nomissing": ({"objective": "regression", "use_missing": False}, lambda s: s),
    }
    for at, (name, (params, target)) in enumerate(objectives.items()):
        rng = np.random.default_rng(1000 + at)
        x, signal = data(rng)
        if name in ("zero", "regression"):
            x[rng.random(x.shape) < 0.2] = 0.0
        train = lgb.Dataset(x, target(signal).astype(float), group=[100] * 4 if "rank" in params["objective"] else None)
        booster = lgb.train({**plain, **params}, train, 6)
        booster.save_model(HERE / f"lgb_{name}.txt")
        write(f"lgb_{name}", x[:60], booster.predict(x[:60]))

    for name, params in {"categories": {"max_cat_to_onehot": 1}, "onehot": {"max_cat_to_onehot": 100}}.items():
        frame, signal = frame_of(np.random.default_rng(2000))
        extra = {"min_data_per_group": 5, "cat_smooth": 1, "objective": "regression"}
        booster = lgb.train({**plain, **extra, **params}, lgb.Dataset(frame, signal), 6)
        booster.save_model(HERE / f"lgb_{name}.txt")
        ask = frame[:60].copy()
        ask["town"] = ask["town"].astype(str).replace({"Ulm": "Paris", "nan": None}).astype(pd.CategoricalDtype(["Paris", *frame["town"].cat.categories]))
        write(f"lgb_{name}", ask, booster.predict(ask))
    codes = np.column_stack([frame[["a b", "b", "c"]].to_numpy(), frame["town"].cat.codes.replace(-1, np.nan)])
    booster = lgb.train({**plain, **extra, "max_cat_to_onehot": 1}, lgb.Dataset(codes, signal, categorical_feature=[3]), 6)
    booster.save_model(HERE / "lgb_codes.txt")
    codes[:5, 3] = [-1, 8, 2.9, 1000, 1e12]
    write("lgb_codes", codes[:60], booster.predict(codes[:60]))
    constant = lgb.train({**plain, "objective": "regression"}, lgb.Dataset(np.zeros((50, 2)), np.full(50, 3.5)), 2)
    constant.save_model(HERE / "lgb_constant.txt")
    write("lgb_constant", np.zeros((8, 2)), constant.predict(np.zeros((8, 2))))


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["xgboost", "lightgbm"]
    if "xgboost" in wanted:
        make_xgboost()
    if "lightgbm" in wanted:
        make_lightgbm()
