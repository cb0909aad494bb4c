"""Writes what the shap package says of the models in the folders beside, and two models of its own.

    pip install numpy pandas scikit-learn==1.9.1 skops==0.16.0 shap==0.51.0 xgboost==3.2.0 lightgbm==4.7.0
    python make.py

Each NAME.json has `rows` (numbers of rows of the fixture), `base` (a number an output) and `values` (rows, outputs,
inputs). Of XGBoost and LightGBM shap asks the libraries themselves; XGBoost answers in 32 bits. Where shap knows a
model not (boosting of three classes, trees of HistGradientBoosting with categories), the trees are explained one by one
or left out. Linear models are compared with the rows of their fixture, and behind a StandardScaler with nothing.
"""

import json
import pathlib
import warnings
import zipfile

import lightgbm as lgb
import numpy as np
import pandas as pd
import shap
import skops.io as sio
import xgboost as xgb
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeRegressor

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent
SKOPS = HERE.parent / "fixtures"
BOOST = HERE.parent / "fixtures_boost"


def rounded(values):
    return json.loads(json.dumps(np.asarray(values, dtype=float).tolist()), parse_float=lambda x: float(f"{float(x):.10g}"))


def write(name, rows, base, values):
    """`values`: rows, inputs, and outputs last where there are several."""
    values = np.asarray(values, dtype=float)
    values = values[:, None, :] if values.ndim == 2 else values.transpose(0, 2, 1)
    base = np.atleast_1d(base)
    assert values.shape[:2] == (len(rows), len(base)), (name, values.shape, base)
    answer = {"rows": [int(row) for row in rows], "base": rounded(base), "values": rounded(values)}
    (HERE / f"{name}.json").write_text(json.dumps(answer, separators=(",", ":")) + "\n")


def some(count):
    return sorted({*range(min(6, count)), count - 2, count - 1})


def skops_fixture(folder, name):
    path = folder / f"{name}.skops"
    model = sio.load(path, trusted=sio.get_untrusted_types(file=path))
    said = json.loads((folder / f"{name}.json").read_text())
    if said["names"]:
        return model, pd.DataFrame(said["rows"], columns=said["names"])
    return model, np.array([[np.nan if value is None else value for value in row] for row in said["rows"]], dtype=float)


def of_trees(model, x):
    explainer = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent")
    return explainer.expected_value, explainer.shap_values(x, check_additivity=False)


def of_boosting(model, x):
    """Stage by stage, class by class: shap takes no GradientBoosting of three classes."""
    start = model._raw_predict_init(x[:1]).ravel()
    base, values = start.astype(float), np.zeros((*x.shape, model.estimators_.shape[1]))
    for stage in model.estimators_:
        for output, tree in enumerate(stage):
            tree_base, tree_values = of_trees(tree, x)
            base[output] += model.learning_rate * np.ravel(tree_base)[0]
            values[:, :, output] += model.learning_rate * tree_values
    return base, values[:, :, 0] if values.shape[2] == 1 else values


def of_linear(model, x, means):
    """Each output by itself: shap's explainer of independent inputs, whose background has the means."""
    coefficients, add = np.atleast_2d(model.coef_), np.ravel(model.intercept_) * np.ones(len(np.atleast_2d(model.coef_)))
    base, values = [], []
    for weights, more in zip(coefficients, add):
        explainer = shap.LinearExplainer((weights, more), shap.maskers.Independent(np.atleast_2d(means)))
        base.append(explainer.expected_value)
        values.append(explainer.shap_values(x))
    return base, np.stack(values, 2)


def summed(values, owners, inputs):
    out = np.zeros((values.shape[0], inputs, *values.shape[2:]))
    for column, owner in enumerate(owners):
        out[:, owner] += values[:, column]
    return out


def make_skops():
    trees = ["tree_classifier", "tree_regressor", "forest_classifier", "forest_regressor", "extra_classifier", "extra_regressor",
             "boosting_two", "boosting_exponential", "boosting_three", "boosting_regressor", "boosting_zero", "histograms_two",
             "histograms_three", "histograms_regressor", "histograms_poisson", "isolation"]
    for name in trees:
        model, x = skops_fixture(SKOPS, name)
        x = x.astype(np.float32).astype(float) if not name.startswith("hist") else x
        rows = some(len(x))
        base, values = (of_boosting if name.startswith("boosting") else of_trees)(model, x[rows])
        if name == "isolation":
            # Here in units of the usual path, as scikit-learn's scores have it; shap has the paths' mean.
            from sklearn.ensemble._iforest import _average_path_length

            usual = _average_path_length([model._max_samples])[0]
            base, values = np.ravel(base) / usual, values / usual
        write(name, rows, base, values)

    linear = ["linear", "linear_two_targets", "ridge", "lasso", "elastic_net", "sgd_regressor", "linear_svr", "poisson",
              "logistic_two", "logistic_three", "sgd_log_three", "sgd_huber_two", "linear_svc", "ridge_classifier", "discriminant"]
    for name in linear:
        model, x = skops_fixture(SKOPS, name)
        x = np.asarray(x)
        rows = some(len(x))
        write(name, rows, *of_linear(model, x[rows], x.mean(0)))

    scaled, x = skops_fixture(SKOPS, "pipeline_standard")
    rows = some(len(x))
    write("pipeline_standard", rows, *of_linear(scaled[-1], scaled[:-1].transform(x[rows]), np.zeros(4)))
    imputed, x = skops_fixture(SKOPS, "pipeline_imputer")
    rows = some(len(x))
    inner = imputed[:-1].transform(x[rows])
    base, values = of_linear(imputed[-1], inner, np.zeros(inner.shape[1]))
    write("pipeline_imputer", rows, base, summed(values, [*range(4), *imputed[0].indicator_.features_], 4))

    by_name, frame = skops_fixture(SKOPS, "columns_by_name")
    rows = some(len(frame))
    inner = by_name[:-1].transform(frame)
    inner = inner.toarray() if hasattr(inner, "toarray") else inner
    base, values = of_linear(by_name[-1], inner[rows], inner.mean(0))
    towns = inner.shape[1] - 2
    names = list(frame.columns)
    owners = [names.index("height"), names.index("age"), *[names.index("town")] * towns]
    write("columns_by_name", rows, base, summed(values, owners, len(names)))
    ordinal, frame = skops_fixture(SKOPS, "columns_ordinal")
    frame = frame.where(frame.notna(), None).astype({"age": float, "height": float})
    rows = some(len(frame))
    base, values = of_trees(ordinal[-1], ordinal[:-1].transform(frame)[rows])
    names = list(frame.columns)
    owners = [names.index(name) for name in ("town", "size", "note", "age")]
    write("columns_ordinal", rows, base, summed(values, owners, len(names)))


def boost_frame(said):
    if not said["names"]:
        return np.array(said["columns"], dtype=float).T
    return pd.DataFrame(dict(zip(said["names"], said["columns"])))


def make_boost():
    for path in sorted(BOOST.glob("*.case.json")):
        name = path.name.removesuffix(".case.json")
        model = next(BOOST / f"{name}.{kind}" for kind in ("ubj", "json", "txt") if (BOOST / f"{name}.{kind}").exists())
        x = boost_frame(json.loads(path.read_text()))
        rows = some(len(x))
        x = x.iloc[rows] if isinstance(x, pd.DataFrame) else x[rows]
        if name.startswith("xgb"):
            booster = xgb.Booster(model_file=model)
            if booster.feature_types and "c" in booster.feature_types and isinstance(x, pd.DataFrame):
                # Codes by the order in which make.py has the categories.
                kinds = dict(zip(booster.feature_names, booster.feature_types))
                for key in [key for key in x if kinds[key] == "c"]:
                    order = sorted({value for value in json_column(path, key) if value is not None})
                    if not isinstance(order[0], str):
                        order, x[key] = [int(value) for value in order], x[key].astype(int)
                    x[key] = pd.Categorical(x[key], categories=order)
            types = booster.feature_types if not isinstance(x, pd.DataFrame) else None
            matrix = xgb.DMatrix(x, feature_types=types, enable_categorical=True)
            best = booster.attr("best_iteration")
            rounds = (0, int(best) + 1) if best and booster.attr("scikit_learn") else (0, 0)
            if name.startswith("xgb_linear"):
                continue
            try:
                whole = booster.predict(matrix, pred_contribs=True, strict_shape=True, iteration_range=rounds)
            except xgb.core.XGBoostError as error:
                print(name, "is left out:", str(error).splitlines()[0])
                continue
            write(name, rows, whole[0, :, -1], whole[:, :, :-1].transpose(0, 2, 1))
        else:
            booster = lgb.Booster(model_file=model)
            if name == "lgb_linear" or (isinstance(x, pd.DataFrame) and not lgb_frame(booster, x)):
                continue
            whole = np.asarray(booster.predict(x, pred_contrib=True))
            outputs = booster.num_model_per_iteration()
            if name.startswith("lgb_rf"):
                # Its contributions and raw scores are those of the sum of the trees, where it predicts from their mean.
                whole = whole / booster.current_iteration()
                assert np.allclose(whole.sum(1), booster.predict(x, raw_score=True) / booster.current_iteration())
            whole = whole.reshape(len(rows), outputs, -1)
            write(name, rows, whole[0, :, -1], whole[:, :, :-1].transpose(0, 2, 1))


def json_column(path, key):
    said = json.loads(path.read_text())
    return said["columns"][said["names"].index(key)]


def lgb_frame(booster, x):
    """Columns of categories as pandas has them; False: there are none that fit."""
    kept = booster.pandas_categorical or []
    coded = [key for key in x if key in ("town", "kind")]
    if len(kept) != len(coded):
        return not coded
    for key, categories in zip(coded, kept):
        x[key] = pd.Categorical(x[key], categories=categories)
    return True


def make_own():
    """A tree of 39 levels with as many inputs on its path, and a forest of many outputs."""
    x = np.eye(40)
    deep = DecisionTreeRegressor(random_state=0).fit(x, 1.7 ** np.arange(40.0))
    wide_x, wide_y = make_classification(600, 12, n_informative=8, n_classes=10, n_clusters_per_class=1, random_state=0)
    wide_x = wide_x.round(3)
    wide_x[np.random.default_rng(0).random(wide_x.shape) < 0.1] = np.nan
    wide = RandomForestClassifier(5, max_depth=12, class_weight="balanced", random_state=0).fit(wide_x, wide_y)
    asked = np.vstack([np.zeros((1, 40)), x[[7, 20, 39]], 1 - x[[3, 30]]])
    for name, model, rows in [("own_deep", deep, asked), ("own_wide", wide, wide_x[:8])]:
        sio.dump(model, HERE / f"{name}.skops", compression=zipfile.ZIP_DEFLATED, compresslevel=9)
        base, values = of_trees(model, rows)
        write(name, range(len(rows)), base, values)
        answer = json.loads((HERE / f"{name}.json").read_text())
        answer["x"] = [[None if np.isnan(value) else value for value in row] for row in rows.tolist()]
        (HERE / f"{name}.json").write_text(json.dumps(answer, separators=(",", ":")) + "\n")
        print(name, "depth", getattr(model, "get_depth", lambda: "")())


make_skops()
make_boost()
make_own()
