"""Makes the ONNX files that tests/onnx.rs reads, with what onnxruntime answers for some rows.

    python make.py

Data is synthetic and seeded. Needs onnx, onnxruntime, skl2onnx, onnxmltools, scikit-learn, lightgbm and xgboost. Each
`NAME.onnx` comes with `NAME.case.json`: `names` of columns (empty: none), `columns` (null: missing), `predict`,
`labels` (whether those are classes), and where it is a classifier `classes` and `probabilities`.
"""

import json
import math
import pathlib
import warnings

import lightgbm
import numpy as np
import onnx
import onnxruntime
import xgboost
from onnx import TensorProto, helper, numpy_helper
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB, GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC, NuSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).parent
ROWS = 8
OPSETS = {"": 18, "ai.onnx.ml": 3}

for model, name, shape, convert, options in [
    (lightgbm.LGBMClassifier, "LightGbmLGBMClassifier", calculate_linear_classifier_output_shapes, convert_lightgbm, {"nocl": [True, False], "zipmap": [True, False, "columns"]}),
    (lightgbm.LGBMRegressor, "LightGbmLGBMRegressor", calculate_linear_regressor_output_shapes, convert_lightgbm, {"nocl": [True, False], "split": None}),
    (xgboost.XGBClassifier, "XGBoostXGBClassifier", calculate_linear_classifier_output_shapes, convert_xgboost, {"nocl": [True, False], "zipmap": [True, False, "columns"]}),
    (xgboost.XGBRegressor, "XGBoostXGBRegressor", calculate_linear_regressor_output_shapes, convert_xgboost, {}),
]:
    update_registered_converter(model, name, shape, convert, options=options)


def plain(value):
    """Arrays, and maps of classes, as JSON has them."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = [list(row.values()) for row in value]
    value = np.asarray(value)
    if value.dtype.kind == "f":
        assert np.isfinite(value).all()
        short = lambda x: float(f"{x:.9g}")
        return [[short(x) for x in row] for row in value.reshape(len(value), -1)] if value.ndim > 1 else [short(x) for x in value]
    return value.tolist()


def save(name, file, columns, names=(), classes=None, wants_probabilities=None):
    """Writes a file and what onnxruntime answers; columns are arrays of the type that the file takes."""
    model = onnx.load_from_string(file) if isinstance(file, bytes) else file
    data = model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options)
    inputs = session.get_inputs()
    rows = len(columns[0])
    if len(inputs) == 1:
        given = {inputs[0].name: np.stack(columns, 1).reshape([rows] + [d for d in inputs[0].shape[1:]])}
    else:
        given = {at.name: column.reshape(rows, 1) for at, column in zip(inputs, columns)}
    answers = session.run(None, given)
    first = np.asarray(answers[0])
    labels = first.dtype.kind != "f" and first.size == rows
    case = {
        "names": list(names),
        "columns": [[None if isinstance(x, (float, np.floating)) and math.isnan(x) else (x.item() if hasattr(x, "item") else x) for x in column] for column in columns],
        "predict": plain(first.reshape(rows)) if labels else plain(first),
        "labels": bool(labels),
    }
    if classes is not None:
        case["classes"] = np.asarray(classes).tolist()
        case["probabilities"] = plain(answers[1])
    (HERE / f"{name}.onnx").write_bytes(data)
    (HERE / f"{name}.case.json").write_text(json.dumps(case))


random = np.random.default_rng(7)
X = random.normal(size=(300, 5)).astype(np.float32)
MISSING = X.copy()
MISSING[random.random(X.shape) < 0.15] = np.nan
SCORE = X[:, 0] - 0.7 * X[:, 1] * X[:, 2] + 0.3 * X[:, 3]
NUMBER = (3 * SCORE + random.normal(size=300) * 0.1).astype(np.float64)
TWO = (SCORE > 0).astype(np.int64)
THREE = np.digitize(SCORE, [-0.6, 0.5]).astype(np.int64)
NAMED = np.array(["low", "middle", "high"])[THREE]


def columns_of(matrix, dtype=np.float32):
    return [matrix[:ROWS, at].astype(dtype) for at in range(matrix.shape[1])]


def sklearn_case(name, model, target, rows=X, options=None, dtype=np.float32, zipmap=False, classifier=None, opsets=OPSETS):
    model.fit(rows, target)
    is_classifier = hasattr(model, "predict_proba") if classifier is None else classifier
    options = dict(options or {})
    if hasattr(model, "predict_proba"):
        options["zipmap"] = zipmap
    kind = FloatTensorType if dtype == np.float32 else DoubleTensorType
    file = to_onnx(model, initial_types=[("X", kind([None, rows.shape[1]]))], options={id(model): options} if options else None, target_opset=opsets)
    save(name, file, columns_of(rows, dtype), classes=model.classes_ if is_classifier else None)


def of_sklearn():
    seed = {"random_state": 3}
    small = {"n_estimators": 6, "max_depth": 4, **seed}
    sklearn_case("logistic_two", LogisticRegression(), TWO)
    sklearn_case("logistic_three", LogisticRegression(), NAMED, zipmap=True)
    sklearn_case("logistic_zipmap", LogisticRegression(), TWO, zipmap=True)
    sklearn_case("logistic_double", LogisticRegression(), THREE, dtype=np.float64)
    sklearn_case("logistic_rest", OneVsRestClassifier(LogisticRegression()), THREE)
    sklearn_case("ridge", Ridge(), NUMBER)
    sklearn_case("linear_two_targets", LinearRegression(), np.stack([NUMBER, -NUMBER], 1))
    sklearn_case("linear_double", LinearRegression(), NUMBER, dtype=np.float64)
    sklearn_case("poisson", PoissonRegressor(), np.abs(NUMBER))
    sklearn_case("ridge_classifier", RidgeClassifier(), THREE)
    sklearn_case("sgd", SGDClassifier(loss="log_loss", **seed), THREE)
    sklearn_case("linear_svc", LinearSVC(**seed), TWO)
    sklearn_case("discriminant", LinearDiscriminantAnalysis(), THREE)
    sklearn_case("tree_two", DecisionTreeClassifier(max_depth=4, **seed), TWO)
    sklearn_case("tree_names", DecisionTreeClassifier(max_depth=4, **seed), NAMED)
    sklearn_case("tree_regressor", DecisionTreeRegressor(max_depth=4, **seed), NUMBER)
    sklearn_case("tree_targets", DecisionTreeRegressor(max_depth=3, **seed), np.stack([NUMBER, NUMBER**2], 1))
    sklearn_case("forest_two", RandomForestClassifier(**small), TWO, zipmap=True)
    sklearn_case("forest_three", RandomForestClassifier(**small), NAMED)
    sklearn_case("forest_double", RandomForestClassifier(**small), THREE, dtype=np.float64)
    sklearn_case("forest_regressor", RandomForestRegressor(**small), NUMBER)
    sklearn_case("extra_regressor", ExtraTreesRegressor(**small), NUMBER)
    sklearn_case("boosting_two", GradientBoostingClassifier(**small), TWO)
    sklearn_case("boosting_three", GradientBoostingClassifier(n_estimators=4, max_depth=3, **seed), THREE)
    sklearn_case("boosting_regressor", GradientBoostingRegressor(**small), NUMBER)
    sklearn_case("ada", AdaBoostClassifier(n_estimators=4, **seed), THREE)
    sklearn_case("bagging", BaggingClassifier(DecisionTreeClassifier(max_depth=3), n_estimators=3, **seed), THREE)
    sklearn_case("voting", VotingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=3, **seed))], voting="soft", flatten_transform=False), THREE)
    sklearn_case("calibrated", CalibratedClassifierCV(LogisticRegression(), cv=2), TWO)
    sklearn_case("stacking", StackingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=3, **seed))], cv=2), NUMBER)
    sklearn_case("bayes", GaussianNB(), THREE)
    sklearn_case("bernoulli", BernoulliNB(), TWO)
    sklearn_case("network_two", MLPClassifier((6,), max_iter=60, **seed), TWO)
    sklearn_case("network_three", MLPClassifier((6, 4), activation="tanh", max_iter=60, **seed), NAMED)
    sklearn_case("network_regressor", MLPRegressor(hidden_layer_sizes=(6,), activation="logistic", max_iter=60, **seed), NUMBER)
    few = slice(0, 60)
    sklearn_case("svc_two", SVC(probability=True, **seed), TWO[few], rows=X[few])
    sklearn_case("svc_three", SVC(probability=True, kernel="poly", **seed), NAMED[few], rows=X[few])
    sklearn_case("svc_scores", SVC(kernel="rbf", **seed), TWO[few], rows=X[few])
    sklearn_case("svc_linear", NuSVC(kernel="linear", nu=0.3, **seed), THREE[few], rows=X[few])
    sklearn_case("svr", SVR(kernel="sigmoid"), NUMBER[few], rows=X[few])
    sklearn_case("one_class", OneClassSVM(), NUMBER[few], rows=X[few])
    sklearn_case("means", KMeans(3, n_init=1, **seed), NUMBER)
    sklearn_case("isolation", IsolationForest(n_estimators=3, max_samples=32, **seed), NUMBER, opsets={"": 15, "ai.onnx.ml": 3})
    for name, step in [
        ("scaled", StandardScaler()),
        ("robust", RobustScaler()),
        ("min_max", MinMaxScaler(clip=True)),
        ("max_abs", MaxAbsScaler()),
        ("normalized", Normalizer("l1")),
        ("normalized_max", Normalizer("max")),
        ("binarized", Binarizer(threshold=0.3)),
        ("bins", KBinsDiscretizer(4, encode="onehot-dense")),
        ("components", PCA(3)),
        ("polynomials", PolynomialFeatures(2)),
        ("powers", PowerTransformer()),
        ("selected", SelectKBest(k=2)),
    ]:
        sklearn_case(f"pipeline_{name}", make_pipeline(step, LogisticRegression()), TWO)
    sklearn_case("pipeline_imputed", make_pipeline(SimpleImputer(), StandardScaler(), Ridge()), NUMBER, rows=MISSING)
    of_columns()


def of_columns():
    import pandas as pd

    towns = np.array(["Bern", "Genf", "Zug", ""])[random.integers(0, 4, 300)]
    rooms = random.integers(1, 6, 300)
    frame = pd.DataFrame({"town": towns, "rooms": rooms, "size": MISSING[:, 0], "age": X[:, 1]})
    types = [("town", StringTensorType([None, 1])), ("rooms", Int64TensorType([None, 1])), ("size", FloatTensorType([None, 1])), ("age", FloatTensorType([None, 1]))]
    columns = [towns[:ROWS].astype(object), rooms[:ROWS].astype(np.int64), MISSING[:ROWS, 0], X[:ROWS, 1]]
    for name, encoder in [("one_hot", OneHotEncoder(handle_unknown="ignore")), ("ordinal", OrdinalEncoder())]:
        steps = ColumnTransformer([("text", encoder, ["town"]), ("whole", OneHotEncoder(handle_unknown="ignore"), ["rooms"]), ("number", make_pipeline(SimpleImputer(), StandardScaler()), ["size", "age"])])
        model = make_pipeline(steps, LogisticRegression()).fit(frame, NAMED)
        file = to_onnx(model, initial_types=types, options={id(model): {"zipmap": False}}, target_opset=OPSETS)
        save(f"columns_{name}", file, columns, names=list(frame.columns), classes=model.classes_)


def of_boosters():
    few = {"n_estimators": 5, "random_state": 3}
    lgb = {**few, "num_leaves": 7, "verbose": -1}
    sklearn_case("lgb_two", lightgbm.LGBMClassifier(**lgb), TWO, rows=MISSING)
    sklearn_case("lgb_three", lightgbm.LGBMClassifier(**lgb), THREE, rows=MISSING, zipmap=True)
    sklearn_case("lgb_regressor", lightgbm.LGBMRegressor(**lgb), NUMBER, rows=MISSING)
    codes = X.copy()
    codes[:, 4] = random.integers(0, 6, 300)
    model = lightgbm.LGBMRegressor(**lgb).fit(codes, NUMBER + 3 * (codes[:, 4] % 2), categorical_feature=[4])
    save("lgb_codes", to_onnx(model, initial_types=[("X", FloatTensorType([None, 5]))], target_opset=OPSETS), columns_of(codes))
    xgb = {**few, "max_depth": 3}
    sklearn_case("xgb_two", xgboost.XGBClassifier(**xgb), TWO, rows=MISSING)
    sklearn_case("xgb_three", xgboost.XGBClassifier(**xgb), THREE, rows=MISSING, zipmap=True)
    sklearn_case("xgb_regressor", xgboost.XGBRegressor(**xgb), NUMBER, rows=MISSING)
    sklearn_case("xgb_scaled", make_pipeline(StandardScaler(), xgboost.XGBRegressor(**xgb)), NUMBER)


def graph(name, nodes, initial=(), outputs=("Y",), shape=(None, 5), dtype=TensorProto.FLOAT, rows=X, opset=18, kinds=None, ml=3, classes=None):
    kinds = kinds or [TensorProto.FLOAT] * len(outputs)
    made = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("X", dtype, shape)],
        [helper.make_tensor_value_info(output, kind, None) for output, kind in zip(outputs, kinds)],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in dict(initial).items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", ml)], ir_version=10 if opset > 18 else 8)
    save(name, model, columns_of(rows), classes=classes)


def weights(*shape):
    return (random.normal(size=shape) * 0.5).astype(np.float32)


def of_networks():
    node = helper.make_node
    graph(
        "torch_mlp",
        [node("Gemm", ["X", "w1", "b1"], ["h1"], transB=1), node("Relu", ["h1"], ["a1"]), node("Gemm", ["a1", "w2", "b2"], ["h2"], transB=1), node("LeakyRelu", ["h2"], ["a2"], alpha=0.1), node("Gemm", ["a2", "w3", "b3"], ["Y"], transB=1)],
        {"w1": weights(8, 5), "b1": weights(8), "w2": weights(8, 8), "b2": weights(8), "w3": weights(3, 8), "b3": weights(3)},
    )
    graph(
        "torch_norm",
        [
            node("MatMul", ["X", "w1"], ["m1"]), node("Add", ["m1", "b1"], ["h1"]),
            node("BatchNormalization", ["h1", "s", "b1", "m", "v"], ["n1"]),
            node("LayerNormalization", ["n1", "s", "b1"], ["n2"], axis=-1),
            node("Div", ["n2", "root"], ["g1"]), node("Erf", ["g1"], ["g2"]), node("Add", ["g2", "one"], ["g3"]), node("Mul", ["n2", "g3"], ["g4"]), node("Mul", ["g4", "half"], ["g5"]),
            node("Dropout", ["g5"], ["d1"]), node("MatMul", ["d1", "w2"], ["m2"]), node("Softmax", ["m2"], ["Y"], axis=1),
        ],
        {"w1": weights(5, 8), "b1": weights(8), "s": weights(8), "m": weights(8), "v": np.abs(weights(8)), "root": np.float32(math.sqrt(2)), "one": np.float32(1), "half": np.float32(0.5), "w2": weights(8, 3)},
    )
    graph(
        "keras_labels",
        [node("MatMul", ["X", "w1"], ["m1"]), node("Add", ["m1", "b1"], ["h1"]), node("Sigmoid", ["h1"], ["a1"]), node("MatMul", ["a1", "w2"], ["m2"]), node("Softmax", ["m2"], ["probabilities"]), node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0)],
        {"w1": weights(5, 6), "b1": weights(6), "w2": weights(6, 3)},
        outputs=["label", "probabilities"], kinds=[TensorProto.INT64, TensorProto.FLOAT], classes=[0, 1, 2],
    )
    attention = [
        node("Reshape", ["X", "split"], ["x"]), node("MatMul", ["x", "wq"], ["q"]), node("MatMul", ["x", "wk"], ["k"]), node("MatMul", ["x", "wv"], ["v"]),
        node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]), node("MatMul", ["q", "kt"], ["s"]), node("Softmax", ["s"], ["p"], axis=-1), node("MatMul", ["p", "v"], ["o"]),
        node("ReduceMean", ["o", "axis"], ["Y"], keepdims=0),
    ]
    graph("attention", attention, {"split": np.array([0, 5, 1]), "wq": weights(1, 4), "wk": weights(1, 4), "wv": weights(1, 4), "axis": np.array([1])})
    graph("images", [node("Transpose", ["X"], ["t"], perm=[0, 2, 1]), node("Flatten", ["t"], ["f"]), node("MatMul", ["f", "w"], ["Y"])], {"w": weights(4, 2)}, shape=(None, 2, 2), rows=X[:, :4])
    pictures = random.normal(size=(ROWS, 64)).astype(np.float32)
    graph(
        "pictures",
        [
            node("Conv", ["X", "w1", "b1"], ["c1"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]), node("BatchNormalization", ["c1", "s", "b1", "m", "v"], ["n1"]), node("Relu", ["n1"], ["r1"]),
            node("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]), node("Conv", ["p1", "w2"], ["c2"], kernel_shape=[3, 2], strides=[1, 2], dilations=[1, 1], group=2, auto_pad="SAME_UPPER"),
            node("AveragePool", ["c2"], ["p2"], kernel_shape=[2, 2], pads=[1, 0, 1, 0], count_include_pad=1), node("GlobalAveragePool", ["c2"], ["g"]),
            node("Flatten", ["p2"], ["f2"]), node("Flatten", ["g"], ["fg"]), node("Concat", ["f2", "fg"], ["f"], axis=1), node("MatMul", ["f", "w3"], ["Y"]),
        ],
        {"w1": weights(4, 1, 3, 3), "b1": weights(4), "s": weights(4), "m": weights(4), "v": np.abs(weights(4)), "w2": weights(4, 2, 3, 2), "w3": weights(24, 3)},
        shape=(None, 1, 8, 8), rows=pictures,
    )
    graph(
        "signals",
        [
            node("Conv", ["X", "w1"], ["c1"], kernel_shape=[3], dilations=[2], strides=[2], pads=[2, 1]), node("MaxPool", ["c1"], ["p1"], kernel_shape=[2], strides=[2], ceil_mode=1),
            node("AveragePool", ["c1"], ["p2"], kernel_shape=[3], pads=[1, 1]), node("GlobalMaxPool", ["c1"], ["p3"]), node("Concat", ["p1", "p2", "p3"], ["p"], axis=2), node("Flatten", ["p"], ["Y"]),
        ],
        {"w1": weights(3, 2, 3)}, shape=(None, 2, 16), rows=pictures[:, :32],
    )
    graph("one_row", [node("Gemm", ["X", "w"], ["Y"])], {"w": weights(5, 2)}, shape=(ROWS, 5))


def joined(name, parts, initial=(), opset=18, ml=3):
    """A graph in which the outcome of each part becomes columns of the answer. A part: nodes, and what they make."""
    nodes, flat = [], []
    for at, (steps, made) in enumerate(parts):
        nodes += steps
        nodes += [helper.make_node("Cast", [made], [f"cast{at}"], to=TensorProto.FLOAT), helper.make_node("Reshape", [f"cast{at}", "rows_rest"], [f"flat{at}"])]
        flat.append(f"flat{at}")
    graph(name, [*nodes, helper.make_node("Concat", flat, ["Y"], axis=1)], {**dict(initial), "rows_rest": np.array([0, -1])}, opset=opset, ml=ml)


def of_operations():
    node = helper.make_node
    count = iter(range(10_000))

    def one(op, inputs, **attributes):
        made = f"made{next(count)}"
        return [node(op, inputs, [made], **attributes)], made

    def then(part, op, *more, **attributes):
        steps, made = part
        following, last = one(op, [made, *more], **attributes)
        return steps + following, last

    i = {"two": np.float32(2), "row": weights(1, 5), "i2": np.array([2]), "i0": np.array([0]), "i1": np.array([1]), "axes": np.array([1]), "three": np.array(3)}
    unary = ["Abs", "Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "HardSigmoid", "LeakyRelu", "Neg", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Tanh"]
    parts = [one(op, ["X"]) for op in unary]
    parts += [then(one("Abs", ["X"]), op) for op in ["Log", "Sqrt"]]
    parts += [one(op, ["X", "row"]) for op in ["Add", "Sub", "Mul", "Div", "PRelu", "Max", "Min", "Mean", "Sum"]]
    parts += [then(one("Abs", ["X"]), "Pow", "two"), one("Mod", ["X", "row"], fmod=1), one("Clip", ["X", "", "two"])]
    parts += [one(op, ["X", "row"]) for op in ["Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Equal"]]
    parts += [then(one("Less", ["X", "row"]), "Not"), then(one("Cast", ["X"], to=TensorProto.BOOL), "Xor", "truth"), then(one("Cast", ["X"], to=TensorProto.BOOL), "And", "truth")]
    parts += [then(one("Less", ["X", "row"]), "Where", "X", "row"), one("IsNaN", ["X"]), one("Cast", ["X"], to=TensorProto.INT64), then(one("Cast", ["X"], to=TensorProto.STRING), "Cast", to=TensorProto.FLOAT), then(one("Cast", ["X"], to=TensorProto.DOUBLE), "Exp")]
    joined("ops_cells", parts, {**i, "truth": np.array([[True, False, True, True, False]])})

    reductions = ["ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"]
    parts = [one(op, ["X", "axes"], keepdims=at % 2) for at, op in enumerate(reductions)]
    parts += [then(one("Reshape", ["X", "cube"]), "ReduceSum", "axes"), then(one("Reshape", ["X", "cube"]), "ReduceMax", "axes", keepdims=0)]
    parts += [one("ArgMax", ["X"], axis=1), one("ArgMin", ["X"], axis=1, keepdims=0), one("Softmax", ["X"]), one("LogSoftmax", ["X"], axis=1), one("Hardmax", ["X"])]
    steps, made = one("TopK", ["X", "i2"], axis=1)
    steps[0].output.append("ranks")
    parts += [(steps, made), ([], "ranks")]
    parts += [one("Slice", ["X", "i1", "big", "axes", "i2"]), one("Slice", ["X", "last", "low", "axes", "minus"]), one("Gather", ["X", "which"], axis=1), one("Transpose", ["X"]) and then(one("Transpose", ["X"]), "Transpose")]
    parts += [one("Tile", ["X", "tiles"]), then(one("Unsqueeze", ["X", "axes"]), "Squeeze", "axes"), then(one("Unsqueeze", ["X", "axes"]), "Expand", "wide"), then(one("Shape", ["X"]), "Gather", "i1") if False else one("Identity", ["X"])]
    steps, made = one("Split", ["X", "sizes"], axis=1)
    steps[0].output.append("rest")
    parts += [(steps, made), ([], "rest"), one("Concat", ["X", "X"], axis=-1), one("Flatten", ["X"]), one("MatMul", ["X", "square"])]
    parts += [one("GatherElements", ["X", "columns"], axis=1)]
    steps, made = one("Shape", ["X"])
    steps += [node("ConstantOfShape", [made], ["nothing"], value=numpy_helper.from_array(np.array([7.0], np.float32)))]
    parts += [(steps, "nothing")]
    joined(
        "ops_axes",
        parts,
        {**i, "cube": np.array([0, 5, 1]), "big": np.array([2**62]), "last": np.array([-1]), "low": np.array([-(2**62)]), "minus": np.array([-2]), "which": np.array([3, -1, 0]), "tiles": np.array([1, 2]), "wide": np.array([1, 3, 5]), "sizes": np.array([2, 3]), "square": weights(5, 5), "columns": np.tile(np.array([[1, -1, 0]]), (ROWS, 1))},
    )
    # Older sets of operations, whose axes and ends are attributes.
    parts = [one("Softmax", ["X"]), one("Clip", ["X"], min=-0.5, max=0.5), one("ReduceSum", ["X"], axes=[1]), then(one("Unsqueeze", ["X"], axes=[1]), "Squeeze", axes=[1]), one("Slice", ["X"], starts=[1], ends=[-1], axes=[1]), one("Dropout", ["X"])]
    steps, made = one("Split", ["X"], axis=1, split=[1, 4])
    steps[0].output.append("four")
    parts += [(steps, made), ([], "four")]
    joined("ops_old", parts, opset=9, ml=1)

    ml = {"domain": "ai.onnx.ml"}
    parts = [
        one("Scaler", ["X"], offset=[0.1, 0.2, 0.3, 0.4, 0.5], scale=[2.0] * 5, **ml), one("Scaler", ["X"], offset=[0.5], scale=[3.0], **ml),
        one("Normalizer", ["X"], norm="L2", **ml), one("Normalizer", ["X"], norm="L1", **ml), one("Normalizer", ["X"], norm="MAX", **ml),
        one("Binarizer", ["X"], threshold=0.25, **ml), one("ArrayFeatureExtractor", ["X", "which"], **ml), one("FeatureVectorizer", ["X", "X"], inputdimensions=[5, 5], **ml),
        then(one("Round", ["X"]), "Imputer", imputed_value_floats=[1.0, 2.0, 3.0, 4.0, 5.0], replaced_value_float=1.0, **ml),
        then(one("Cast", ["X"], to=TensorProto.INT64), "OneHotEncoder", cats_int64s=[0, 1, -1], zeros=1, **ml),
        then(one("Cast", ["X"], to=TensorProto.INT64), "LabelEncoder", keys_int64s=[0, 1], values_floats=[0.5, 1.5], default_float=-9.0, **ml),
        then(then(one("Cast", ["X"], to=TensorProto.INT64), "LabelEncoder", keys_int64s=[0, 1], values_strings=["no", "yes"], default_string="other", **ml), "LabelEncoder", keys_strings=["no", "other"], values_int64s=[10, 20], default_int64=30, **ml),
        then(then(one("Cast", ["X"], to=TensorProto.INT64), "CategoryMapper", cats_int64s=[0, 1], cats_strings=["a", "b"], default_string="c", **ml), "CategoryMapper", cats_int64s=[5, 6], cats_strings=["a", "b"], default_int64=7, **ml),
        one("LinearRegressor", ["X"], coefficients=weights(10).tolist(), intercepts=[0.1, 0.2], targets=2, post_transform="SOFTMAX", **ml),
        one("LinearRegressor", ["X"], coefficients=weights(5).tolist(), **ml),
    ]
    joined("ops_tables", parts, {"which": np.array([4, 0])})


def tree(mode, missing=0):
    """Two trees of three and five nodes that ask so."""
    return {
        "nodes_treeids": [0, 0, 0, 1, 1, 1, 1, 1], "nodes_nodeids": [0, 1, 2, 0, 1, 2, 3, 4], "nodes_featureids": [0, 0, 0, 1, 2, 0, 0, 0],
        "nodes_values": [0.25, 0, 0, 1.0, -0.5, 0, 0, 0], "nodes_modes": [mode, "LEAF", "LEAF", mode, mode, "LEAF", "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 0, 0, 1, 2, 0, 0, 0], "nodes_falsenodeids": [2, 0, 0, 4, 3, 0, 0, 0],
        "nodes_missing_value_tracks_true": [missing] * 8, "nodes_hitrates": [1.0] * 8,
    }


def of_trees():
    node = helper.make_node
    asked = MISSING.copy()
    asked[:ROWS] = np.round(asked[:ROWS] * 2) / 2
    asked[:4, 0] = 0.25
    for mode in ["LEQ", "LT", "GTE", "GT", "EQ", "NEQ"]:
        for missing in [0, 1]:
            made = node("TreeEnsembleRegressor", ["X"], ["Y"], domain="ai.onnx.ml", n_targets=1, **tree(f"BRANCH_{mode}", missing), target_treeids=[0, 0, 1, 1, 1], target_nodeids=[1, 2, 2, 3, 4], target_ids=[0] * 5, target_weights=[1.0, 2.0, 10.0, 20.0, 30.0], base_values=[0.5])
            graph(f"tree_{mode.lower()}_{missing}", [made], rows=asked)
    ids = {"target_treeids": [0, 0, 1, 1, 1, 1], "target_nodeids": [1, 2, 2, 3, 4, 4], "target_ids": [0, 1, 0, 1, 0, 1], "target_weights": [1.0, -2.0, 0.5, 0.25, 0.75, -1.0]}
    one = {"target_treeids": [0, 0, 1, 1, 1], "target_nodeids": [1, 2, 2, 3, 4], "target_ids": [0] * 5, "target_weights": [0.2, 0.8, 0.1, 0.3, 0.05]}
    for aggregate in ["SUM", "AVERAGE", "MIN", "MAX"]:
        made = node("TreeEnsembleRegressor", ["X"], ["Y"], domain="ai.onnx.ml", n_targets=2, aggregate_function=aggregate, **tree("BRANCH_LEQ"), **ids)
        graph(f"tree_two_{aggregate.lower()}", [made])
        made = node("TreeEnsembleRegressor", ["X"], ["Y"], domain="ai.onnx.ml", n_targets=1, aggregate_function=aggregate, **tree("BRANCH_LEQ"), **one, base_values=[0.01])
        graph(f"tree_one_{aggregate.lower()}", [made])
    for transform in ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"]:
        made = node("TreeEnsembleRegressor", ["X"], ["Y"], domain="ai.onnx.ml", n_targets=1, aggregate_function="AVERAGE", post_transform=transform, **tree("BRANCH_LEQ"), **one)
        graph(f"tree_regressor_{transform.lower()}", [made])
        two = {key.replace("target", "class"): value for key, value in ids.items()}
        first = {key.replace("target", "class"): value for key, value in one.items()}
        mixed = {**first, "class_weights": [0.2, -0.8, 0.1, 0.3, -0.5]}
        many = {**two, "class_ids": [0, 1, 2, 1, 0, 2]}
        for name, leaves, classes, base in [("first", first, [4, 9], []), ("mixed", mixed, [4, 9], [0.1]), ("both", two, [4, 9], []), ("many", many, [4, 7, 9], [0.1, 0.2, 0.3])]:
            if transform == "PROBIT" and name != "many":
                continue
            extra = {"base_values": base} if base else {}
            leaves = {**leaves, "class_weights": np.array(leaves["class_weights"]).clip(0.02, 0.3).tolist()} if transform == "PROBIT" else leaves
            made = node("TreeEnsembleClassifier", ["X"], ["label", "scores"], domain="ai.onnx.ml", post_transform=transform, **tree("BRANCH_LEQ"), **leaves, classlabels_int64s=classes, **extra)
            graph(f"tree_classes_{name}_{transform.lower()}", [made], outputs=["label", "scores"], kinds=[TensorProto.INT64, TensorProto.FLOAT])
            swap = node("Identity", ["scores"], ["Y"])
            graph(f"tree_scores_{name}_{transform.lower()}", [made, swap], rows=X)
    for transform in ["NONE", "LOGISTIC", "SOFTMAX", "PROBIT"]:
        for classes, targets in [(["no", "yes"], 1), (["a", "b", "c"], 3)]:
            scale = 0.02 if transform == "PROBIT" else 1.0
            made = node("LinearClassifier", ["X"], ["label", "scores"], domain="ai.onnx.ml", post_transform=transform, coefficients=(weights(targets * 5) * scale).tolist(), intercepts=[0.3] * targets, classlabels_strings=classes)
            if transform == "PROBIT" and targets == 1:
                continue
            graph(f"linear_scores_{targets}_{transform.lower()}", [made, node("Identity", ["scores"], ["Y"])])
            graph(f"linear_classes_{targets}_{transform.lower()}", [made], outputs=["label", "scores"], kinds=[TensorProto.STRING, TensorProto.FLOAT])
    linked = node(
        "TreeEnsemble", ["X"], ["Y"], domain="ai.onnx.ml", n_targets=2, aggregate_function=1, post_transform=0, tree_roots=[0, 2],
        nodes_featureids=[0, 1, 2], nodes_splits=numpy_helper.from_array(np.array([0.1, -0.2, 0.3], np.float32)), nodes_modes=numpy_helper.from_array(np.array([0, 3, 1], np.uint8)),
        nodes_truenodeids=[1, 1, 3], nodes_trueleafs=[0, 1, 1], nodes_falsenodeids=[0, 2, 4], nodes_falseleafs=[1, 1, 1],
        leaf_targetids=[0, 1, 0, 1, 0], leaf_weights=numpy_helper.from_array(np.array([1, 2, 3, 4, 5], np.float32)),
    )
    graph("tree_linked", [linked], opset=21, ml=5)


for make in [of_sklearn, of_boosters, of_networks, of_operations, of_trees]:
    make()
