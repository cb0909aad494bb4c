"""Models logged by the unchanged MLflow client, asked through the clients of other inference servers.

usage: inference_clients.py BELLWETHER_BINARY [--part NAME]... [--stubs FOLDER]

Triton's clients over HTTP and gRPC, MLflow's scoring, TensorFlow Serving over HTTP and (with its stubs, see
`tfserving_stubs.py`) over gRPC, KServe's first protocol, Seldon's. What Bellwether answers is held against what the
library of the model answers. Each part is reported: `ok NAME`, `WRONG NAME: why`, `skipped NAME: why`."""
import contextlib, io, json, os, subprocess, sys, tempfile, threading, time, traceback, urllib.error, urllib.request

os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_HTTP_REQUEST_MAX_RETRIES="1", GIT_PYTHON_REFRESH="quiet",
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false", MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true",
    PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION="upb")

import mlflow, numpy as np, pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

PARTS, ADDRESS, MODELS, OUR = {}, {}, {}, {}
SETTINGS = """
[[gates]]
name = "accuracy"
models = "gated*"
metric = "accuracy"
at_least = 0.9
not_worse_by = 0.01

[[gates]]
name = "as the shadow says"
models = "rolled"
before = ["canary"]
rows = 100
agreement = 0.99

[[rollouts]]
name = "quick"
models = "rolled"
shadow_minutes = 0
canary_percents = [50]
canary_minutes = 0

[[rollouts]]
name = "careful"
models = "careful"
canary_percents = [50]
canary_minutes = 600

[[retraining]]
name = "enough rows"
models = "retrained"
with = "trainer"
rows = 50

[actuators.trainer]
kind = "command"
targets = ["retrained"]
argv = ["PYTHON", "FOLDER/train.py", "{target}"]
folder = "FOLDER"
environment = { HOME = "FOLDER", PATH = "/usr/bin:/bin" }
timeout_s = 120

[analyses.models]
window_s = 1  # a minute otherwise, for which nobody waits here
"""

# What trains: a program like that of any team, which logs the next version with MLflow's client.
TRAIN = """import os, sys
os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", GIT_PYTHON_REFRESH="quiet")
import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
mlflow.set_tracking_uri(open("address").read())
rows, classes = load_iris(return_X_y=True)
mlflow.sklearn.log_model(LogisticRegression(max_iter=500).fit(rows, classes), name="again", registered_model_name=sys.argv[1])
print("trained", sys.argv[1])
"""


class Skip(Exception):
    """The part cannot be run here; its text says why."""


def part(function):
    PARTS[function.__name__] = function
    return function


def close(found, wanted, what):
    found, wanted = np.asarray(found, float), np.asarray(wanted, float)
    assert found.shape == wanted.shape and np.allclose(found, wanted, rtol=1e-6, atol=1e-6), f"{what}: {found}, expected {wanted}"


def same(found, wanted, what):
    assert found == wanted, f"{what}: {found!r}, expected {wanted!r}"


def ask(method, path, body=None, kind="application/json", headers={}):
    """Status, headers and JSON (else text) of an answer."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    asked = urllib.request.Request(ADDRESS["http"] + path, data, {"content-type": kind, **headers} if data is not None else headers, method=method)
    try:
        answer = urllib.request.urlopen(asked, timeout=30)
    except urllib.error.HTTPError as error:
        answer = error
    text = answer.read().decode()
    with contextlib.suppress(ValueError):
        text = json.loads(text)
    return answer.status, answer.headers, text


def good(method, path, body=None, **more):
    status, _, answer = ask(method, path, body, **more)
    assert status == 200, f"{method} {path}: {status} {answer}"
    return answer


def bad(status, says, method, path, body=None, **more):
    found, _, answer = ask(method, path, body, **more)
    assert found == status and says in json.dumps(answer), f"{method} {path}: {found} {answer}, expected {status} {says!r}"
    return answer


def train():
    """Four models: with a signature of columns, without names, with texts, and one that answers numbers."""
    mlflow.set_experiment("inference")
    X, y = load_iris(return_X_y=True, as_frame=True)
    MODELS["iris"] = (LogisticRegression(max_iter=500).fit(X, y), X)
    MODELS["forest"] = (RandomForestClassifier(100, random_state=1).fit(X.values, y), X.values)
    people = pd.DataFrame({"age": [20, 30, 40, 50, 60, 70] * 5, "city": ["a", "b", "c"] * 10})
    words = np.array(["stays", "leaves"])[(people.age > 45).astype(int)]
    columns = ColumnTransformer([("city", OneHotEncoder(handle_unknown="ignore"), ["city"])], remainder="passthrough")
    MODELS["churn"] = (make_pipeline(columns, LogisticRegression()).fit(people, words), people)
    D, d = load_diabetes(return_X_y=True, as_frame=True)
    MODELS["sugar"] = (LinearRegression().fit(D, d), D)
    for name, (model, rows) in MODELS.items():
        signature = None if name == "forest" else infer_signature(rows, model.predict(rows))
        trusted = ["sklearn.tree._tree.Tree"] if name == "forest" else None
        mlflow.sklearn.log_model(model, name=name, registered_model_name=name, signature=signature, skops_trusted_types=trusted)


def triton_round(module, client):
    """The same questions over HTTP and gRPC."""
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("iris")
    assert client.is_model_ready("iris", "1")
    model, rows = MODELS["iris"]
    table = module.InferInput("whatever", [len(rows), 4], "FP64")
    table.set_data_from_numpy(rows.values)
    same(client.infer("iris", [table]).as_numpy("predict").tolist(), model.predict(rows).tolist(), "predict")
    wanted = [module.InferRequestedOutput("predict_proba"), module.InferRequestedOutput("predict")]
    answer = client.infer("iris", [table], model_version="1", outputs=wanted, request_id="q-1")
    close(answer.as_numpy("predict_proba"), model.predict_proba(rows), "predict_proba")
    same(answer.as_numpy("predict").tolist(), model.predict(rows).tolist(), "predict beside probabilities")
    columns = []
    for name in reversed(rows.columns):
        column = module.InferInput(name, [len(rows), 1], "FP32")
        column.set_data_from_numpy(rows[[name]].values.astype(np.float32))
        columns.append(column)
    same(client.infer("iris", columns).as_numpy("predict").tolist(), model.predict(rows).tolist(), "a tensor a column")
    forest, values = MODELS["forest"]
    table = module.InferInput("input", list(values.shape), "FP64")
    table.set_data_from_numpy(values)
    answer = client.infer("forest", [table], outputs=[module.InferRequestedOutput("predict_proba")])
    close(answer.as_numpy("predict_proba"), forest.predict_proba(values), "forest")
    churn, people = MODELS["churn"]
    age = module.InferInput("age", [len(people)], "INT64")
    age.set_data_from_numpy(people.age.values.astype(np.int64))
    city = module.InferInput("city", [len(people)], "BYTES")
    city.set_data_from_numpy(people.city.values.astype(object))
    found = [text.decode() for text in client.infer("churn", [age, city]).as_numpy("predict")]
    same(found, churn.predict(people).tolist(), "texts")
    top = client.infer("iris", [columns[0], *columns[1:]], outputs=[module.InferRequestedOutput("predict_proba", class_count=1)])
    first = top.as_numpy("predict_proba")[0].decode()
    score, index, label = first.split(":")
    same((int(index), label), (0, "0"), "the highest class")
    from tritonclient.utils import InferenceServerException

    def refused(says, *args, **more):
        try:
            client.infer(*args, **more)
        except InferenceServerException as error:
            assert says in str(error), f"{error}, expected {says!r}"
        else:
            raise AssertionError(f"was not refused: {says}")

    refused("none", "none", [table])
    refused("no version 9", "iris", [table], model_version="9")
    refused("age", "churn", [city])
    texts = module.InferInput("age", [len(people)], "BYTES")
    texts.set_data_from_numpy(people.city.values.astype(object))
    refused("holds texts", "churn", [texts, city])
    narrow = module.InferInput("x", [2, 3], "FP64")
    narrow.set_data_from_numpy(np.zeros((2, 3)))
    refused("[2, 3]", "iris", [narrow])
    refused("no output", "iris", columns, outputs=[module.InferRequestedOutput("other")])


@part
def triton_http():
    import tritonclient.http as module
    client = module.InferenceServerClient(ADDRESS["http"].split("//")[1])
    triton_round(module, client)
    model, rows = MODELS["iris"]
    for binary in (True, False):
        table = module.InferInput("x", [len(rows), 4], "FP64")
        table.set_data_from_numpy(rows.values, binary_data=binary)
        for compression in (None, "gzip"):
            out = module.InferRequestedOutput("predict_proba", binary_data=binary)
            answer = client.infer("iris", [table], outputs=[out], request_compression_algorithm=compression)
            close(answer.as_numpy("predict_proba"), model.predict_proba(rows), f"binary {binary} {compression}")
    meta = client.get_model_metadata("iris")
    same([i["name"] for i in meta["inputs"]], list(rows.columns), "inputs")
    same(meta["versions"], ["1"], "versions")
    same(client.get_model_config("iris")["output"][0]["data_type"], "TYPE_INT64", "config")
    assert client.get_server_metadata()["name"] == "bellwether"
    stats = client.get_inference_statistics("iris")["model_stats"][0]
    assert stats["inference_stats"]["success"]["count"] > 0 and stats["inference_stats"]["fail"]["count"] > 0, stats
    assert {m["name"] for m in client.get_model_repository_index()} >= set(MODELS)
    client.unload_model("sugar")
    assert not client.is_model_ready("sugar")
    client.load_model("sugar")
    assert client.is_model_ready("sugar")


@part
def triton_grpc():
    import tritonclient.grpc as module
    for address in (ADDRESS["grpc"], ADDRESS["http"].split("//")[1]):
        client = module.InferenceServerClient(address)
        triton_round(module, client)
        same(client.get_model_metadata("iris").outputs[1].name, "predict_proba", "metadata")
        same(client.get_model_config("iris").config.input[0].data_type, 12, "config")
        same(list(client.get_model_config("iris").config.output[1].dims), [-1, 3], "dims of an output")
        assert client.get_server_metadata().name == "bellwether"
        assert client.get_inference_statistics("iris").model_stats[0].inference_count > 0
        assert {m.name for m in client.get_model_repository_index().models} >= set(MODELS)
    model, rows = MODELS["iris"]
    came, done = [], threading.Event()

    def callback(result, error):
        came.append(error or result.as_numpy("predict").tolist())
        if len(came) == 3:
            done.set()

    client.start_stream(callback)
    for name in ("iris", "none", "iris"):
        table = module.InferInput("x", [len(rows), 4], "FP64")
        table.set_data_from_numpy(rows.values)
        client.async_stream_infer(name, [table])
    assert done.wait(20), came
    client.stop_stream()
    wanted = model.predict(rows).tolist()
    assert came[0] == wanted and came[2] == wanted and "none" in str(came[1]), came


@part
def mlflow_scoring():
    for name, (model, rows) in MODELS.items():
        frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
        wanted = mlflow.pyfunc.load_model(f"models:/{name}/1").predict(rows)
        split = json.loads(frame.to_json(orient="split"))
        bodies = [{"dataframe_split": split}, {"instances": frame.values.tolist()}]
        if isinstance(rows, pd.DataFrame):
            records = json.loads(frame.to_json(orient="records"))
            columns = {column: frame[column].tolist() for column in frame}
            bodies += [{"dataframe_records": records}, {"inputs": columns}, {"instances": records}]
        if name == "forest":
            bodies[0] = {"dataframe_split": {"data": split["data"]}}
        for body in bodies:
            for path in (f"/invocations?model={name}", f"/serving-endpoints/{name}/invocations"):
                found = good("POST", path, body)["predictions"]
                if isinstance(wanted[0], str):
                    same(found, list(wanted), f"{name} {list(body)}")
                else:
                    close(found, wanted, f"{name} {list(body)}")
        if isinstance(rows, pd.DataFrame):
            text = frame.to_csv(index=False).encode()
            found = good("POST", "/invocations", text, kind="text/csv", headers={"x-bellwether-model": f"{name}/1"})
            same(len(found["predictions"]), len(rows), "csv")
    status, headers, text = ask("GET", "/ping")
    assert status == 200 and not text.strip()
    bad(400, "which model", "POST", "/invocations", {"inputs": [[1]]})
    bad(404, "RESOURCE_DOES_NOT_EXIST", "POST", "/invocations?model=none", {"inputs": [[1]]})
    bad(415, "content types", "POST", "/invocations?model=iris", b"x", kind="text/plain")
    bad(400, "exactly one of", "POST", "/invocations?model=iris", {})
    bad(400, "not JSON", "POST", "/invocations?model=iris", b"{")
    bad(400, "whole numbers", "POST", "/invocations?model=churn", {"dataframe_records": [{"age": 1.5, "city": "a"}]})
    bad(400, "missing", "POST", "/invocations?model=churn", {"dataframe_records": [{"age": 1}]})
    bad(400, "NaN", "POST", "/invocations?model=iris", b'{"inputs": [[NaN, 1, 1, 1]]}')


@part
def tensorflow_http():
    model, rows = MODELS["iris"]
    wanted = model.predict(rows).tolist()
    same(good("POST", "/v1/models/iris:predict", {"instances": rows.values.tolist()}), {"predictions": wanted}, "rows")
    same(good("POST", "/v1/models/iris/versions/1:predict", {"inputs": {c: rows[c].tolist() for c in rows}}), {"outputs": wanted}, "columns")
    found = good("POST", "/v1/models/iris:predict", {"signature_name": "predict_proba", "instances": json.loads(rows.to_json(orient="records"))})
    close(found["predictions"], model.predict_proba(rows), "a signature")
    examples = json.loads(rows.head(3).to_json(orient="records"))
    classes = good("POST", "/v1/models/iris:classify", {"examples": examples})["results"]
    close([[score for _, score in row] for row in classes], model.predict_proba(rows.head(3)), "classify")
    same([label for label, _ in classes[0]], ["0", "1", "2"], "labels")
    sugar, values = MODELS["sugar"]
    context = {"context": {"age": float(values.age[0])}, "examples": [dict(values.drop(columns="age").iloc[0])]}
    close(good("POST", "/v1/models/sugar:regress", context)["results"], sugar.predict(values.head(1)), "regress")
    status = good("GET", "/v1/models/iris")
    same(status["model_version_status"], [{"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}], "status")
    same((status["name"], status["ready"]), ("iris", True), "KServe's status")
    signatures = good("GET", "/v1/models/iris/metadata")["metadata"]["signature_def"]["signature_def"]
    same(signatures["serving_default"]["inputs"][rows.columns[0]]["dtype"], "DT_DOUBLE", "metadata")
    assert set(good("GET", "/v1/models")["models"]) >= set(MODELS)
    bad(404, "Latest(none)", "POST", "/v1/models/none:predict", {"instances": [[1]]})
    bad(404, "Specific(iris, 7)", "GET", "/v1/models/iris/versions/7")
    bad(400, "signature", "POST", "/v1/models/iris:predict", {"signature_name": "x", "instances": [[1, 2, 3, 4]]})
    bad(400, "Missing", "POST", "/v1/models/iris:predict", {})
    bad(400, "[rows, 4]", "POST", "/v1/models/iris:predict", {"instances": [1, 2]})
    bad(404, "Malformed", "POST", "/v1/models/iris:other", {})


@part
def tensorflow_grpc():
    stubs = OUR.get("stubs")
    if not stubs:
        raise Skip("no --stubs")
    sys.path.insert(0, stubs)
    import grpc
    from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
    from tensorflow_serving.apis import classification_pb2, get_model_metadata_pb2, get_model_status_pb2, model_management_pb2
    from tensorflow_serving.apis import model_service_pb2_grpc, predict_pb2, prediction_service_pb2_grpc, regression_pb2
    channel = grpc.insecure_channel(ADDRESS["grpc"])
    service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    model, rows = MODELS["iris"]

    def tensor(values, **typed):
        shape = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=n) for n in values.shape])
        return tensor_pb2.TensorProto(dtype=types_pb2.DT_DOUBLE, tensor_shape=shape, **(typed or {"tensor_content": values.tobytes()}))

    asked = predict_pb2.PredictRequest()
    asked.model_spec.name = "iris"
    asked.inputs["x"].CopyFrom(tensor(rows.values))
    answer = service.Predict(asked)
    same(list(answer.outputs["predict"].int64_val), model.predict(rows).tolist(), "predict")
    same((answer.model_spec.version.value, answer.model_spec.signature_name), (1, "serving_default"), "the version that answered")
    asked.model_spec.signature_name = "predict_proba"
    asked.inputs["x"].CopyFrom(tensor(rows.values, double_val=rows.values.ravel().tolist()))
    close(service.Predict(asked).outputs["predict_proba"].double_val, model.predict_proba(rows).ravel(), "probabilities")
    asked = classification_pb2.ClassificationRequest()
    asked.model_spec.name = "iris"
    for _, row in rows.head(3).iterrows():
        example = asked.input.example_list.examples.add()
        for name, value in row.items():
            example.features.feature[name].float_list.value.append(value)
    found = [[c.score for c in row.classes] for row in service.Classify(asked).result.classifications]
    assert np.allclose(found, model.predict_proba(rows.head(3)), atol=1e-5)
    asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    asked.model_spec.name = "iris"
    packed = get_model_metadata_pb2.SignatureDefMap()
    service.GetModelMetadata(asked).metadata["signature_def"].Unpack(packed)
    same(packed.signature_def["predict_proba"].outputs["predict_proba"].dtype, types_pb2.DT_DOUBLE, "metadata")
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = "iris"
    status = models.GetModelStatus(asked).model_version_status[0]
    same((status.version, status.state), (1, get_model_status_pb2.ModelVersionStatus.AVAILABLE), "status")
    reload = model_management_pb2.ReloadConfigRequest()
    config = reload.config.model_config_list.config.add()
    config.name, config.base_path = "iris", "/models/iris"
    config.version_labels["stable"] = 1
    same(models.HandleReloadConfigRequest(reload).status.error_code, 0, "reload")
    same(MlflowClient().get_model_version_by_alias("iris", "stable").version, "1", "a label is an alias")
    asked = predict_pb2.PredictRequest()
    asked.model_spec.name, asked.model_spec.version_label = "iris", "stable"
    asked.inputs["x"].CopyFrom(tensor(rows.values))
    same(len(service.Predict(asked).outputs["predict"].int64_val), len(rows), "by label")
    for name, code in (("none", grpc.StatusCode.NOT_FOUND), ("iris", grpc.StatusCode.INVALID_ARGUMENT)):
        asked = predict_pb2.PredictRequest()
        asked.model_spec.name = name
        asked.inputs["x"].CopyFrom(tensor(np.zeros((2, 3))))
        try:
            service.Predict(asked)
        except grpc.RpcError as error:
            same(error.code(), code, error.details())
        else:
            raise AssertionError(f"{name} was not refused")


@part
def seldon_http():
    model, rows = MODELS["iris"]
    shares = model.predict_proba(rows)
    for path in ("/api/v1.0/predictions?model=iris", "/seldon/default/iris/api/v1.0/predictions"):
        answer = good("POST", path, {"meta": {"puid": "mine"}, "data": {"ndarray": rows.values.tolist()}})
        close(answer["data"]["ndarray"], shares, "lists")
        same((answer["data"]["names"], answer["meta"]["puid"]), (["0", "1", "2"], "mine"), "names")
    flat = {"shape": list(rows.shape), "values": rows.values.ravel().tolist()}
    answer = good("POST", "/seldon/default/iris/api/v1.0/predictions", {"data": {"names": list(rows.columns), "tensor": flat}})
    close(np.reshape(answer["data"]["tensor"]["values"], shares.shape), shares, "a tensor")
    assert answer["meta"]["puid"]
    truth = {"response": answer, "truth": {"data": {"ndarray": [[0]] * len(rows)}}, "reward": 1.0}
    good("POST", "/seldon/default/iris/api/v1.0/feedback", truth)
    bad(400, "no prediction", "POST", "/seldon/default/iris/api/v1.0/feedback", {"truth": {"data": {"ndarray": [[0]]}}})
    bad(400, "FAILURE", "POST", "/seldon/default/iris/api/v1.0/predictions", {"strData": "x"})
    bad(404, "none", "POST", "/seldon/default/none/api/v1.0/predictions", {"data": {"ndarray": [[1]]}})


@part
def seldon_client():
    try:
        from seldon_core.seldon_client import SeldonClient
    except ImportError as error:
        raise Skip(f"no {error.name}") from error
    model, rows = MODELS["iris"]
    host = ADDRESS["http"].split("//")[1]
    client = SeldonClient(deployment_name="iris", namespace="default", gateway_endpoint=host, gateway="ambassador")
    answer = client.predict(data=rows.values, names=list(rows.columns))
    assert answer.success, answer.msg
    close(np.reshape(answer.response["data"]["tensor"]["values"], (len(rows), 3)), model.predict_proba(rows), "predict")


@part
def versions_move_under_load():
    client = MlflowClient()
    model, rows = MODELS["iris"]
    other = LogisticRegression(max_iter=500).fit(rows, 7 - load_iris().target)
    mlflow.sklearn.log_model(other, name="iris2", registered_model_name="iris", signature=infer_signature(rows, other.predict(rows)))
    client.set_registered_model_alias("iris", "champion", "1")
    body = {"instances": rows.head(4).values.tolist()}
    answers = {"1": model.predict(rows.head(4)).tolist(), "2": other.predict(rows.head(4)).tolist()}
    stop, wrong, count = threading.Event(), [], [0]

    def load():
        while not stop.is_set():
            status, _, answer = ask("POST", "/v1/models/iris:predict", body)
            count[0] += 1
            if status != 200 or answer["predictions"] not in answers.values():
                wrong.append((status, answer))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for version in ["2", "1"] * 10:
            client.set_registered_model_alias("iris", "champion", version)
            found = good("POST", "/v1/models/iris:predict", body)["predictions"]
            same(found, answers[version], f"right after the alias moved to {version}")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong and count[0] > 20, (wrong[:3], count)
    # A version that cannot be run does not take the place of one that can.
    broken = client.create_model_version("iris", "s3://elsewhere/model").version
    client.set_registered_model_alias("iris", "champion", broken)
    same(good("POST", "/v1/models/iris:predict", body)["predictions"], answers["1"], "the version before goes on")
    bad(501, "s3://elsewhere", "POST", f"/v2/models/iris/versions/{broken}/infer", {"inputs": []})
    client.set_registered_model_alias("iris", "champion", "1")


@part
def gates_hold_for_the_stock_client():
    client = MlflowClient()
    _, rows = MODELS["sugar"]
    client.create_registered_model("gated")
    for accuracy in (0.95, 0.8, 0.949):
        with mlflow.start_run() as run:
            mlflow.log_metric("accuracy", accuracy)
            mlflow.sklearn.log_model(MODELS["sugar"][0], name="gated", registered_model_name="gated")
    client.set_registered_model_alias("gated", "champion", "1")
    for version, move in (("2", "alias"), ("2", "stage")):
        try:
            if move == "alias":
                client.set_registered_model_alias("gated", "champion", version)
            else:
                client.transition_model_version_stage("gated", version, "Production")
        except MlflowException as error:
            assert error.error_code == "PERMISSION_DENIED" and "is 0.8, and must be at least 0.9" in str(error), error
        else:
            raise AssertionError(f"the gate let version 2 pass by {move}")
    client.set_registered_model_alias("gated", "champion", "3")
    before = good("GET", "/api/v1/models/gated/in-use")
    same(before["version"], "3", "in use")
    moves = good("GET", "/api/v1/models/gated/moves")["moves"]
    same([m["what"]["kind"] for m in moves], ["alias", "alias", "registered", "registered", "registered"], "moves")
    same((moves[0]["gates"], moves[0]["before"], moves[0]["after"]), (["accuracy"], 1, 3), "the last move")
    same(good("GET", f"/api/v1/models/gated/in-use?at={moves[1]['at']}")["version"], "1", "in use then")
    for _ in range(50):
        lines = good("GET", "/api/v1/journal?kind=model&limit=100")
        lines = [line for line in lines if line["subject"].startswith("gated/")]
        changes = [c for c in good("GET", "/api/v1/changes") if c["entity"] == "model:default/gated"]
        if len(lines) == 5 and len(changes) == 5:
            break
        time.sleep(0.1)
    assert len(lines) == 5 and len(changes) == 5, (len(lines), len(changes))
    status, _, answer = ask("POST", "/api/v1/models/gated/versions/1/approve", {})
    same((status, answer["version"]), (200, "1"), "approval")
    bad(404, "none", "GET", "/api/v1/models/none/moves")
    assert good("GET", "/api/v1/models/gated/serving")["gates"][0]["name"] == "accuracy"


@part
def predictions_are_kept():
    client = MlflowClient()
    _, rows = MODELS["sugar"]
    client.set_registered_model_tag("sugar", "bellwether.log", "all")
    client.set_registered_model_tag("sugar", "bellwether.log.fields", "age,bmi")
    good("POST", "/v1/models/sugar:predict", {"instances": rows.head(1).values.tolist()})
    time.sleep(1.2)
    body = {"id": "order-7", "inputs": [{"name": "x", "shape": [3, 10], "datatype": "FP64", "data": rows.head(3).values.tolist()}]}
    status, headers, answer = ask("POST", "/v2/models/sugar/infer", body)
    same((status, answer["id"], headers["x-prediction-id"]), (200, "order-7", "order-7"), "the id")
    good_labels = {"labels": [{"model": "sugar", "prediction_id": f"order-7/{row}", "value": 150 + row} for row in range(3)]}
    status, _, answer = ask("POST", "/api/v1/labels", good_labels)
    same(status, 202, answer)
    query = "select attributes from events where kind = 'prediction' and entity = 'model:default/sugar' order by time"
    kept = [json.loads(row[0]) if isinstance(row[0], str) else row[0] for row in good("POST", "/api/v1/sql", {"query": query})["rows"]]
    last = [event for event in kept if event["id"].startswith("order-7/")]
    same([event["id"] for event in last], ["order-7/0", "order-7/1", "order-7/2"], "a row an event")
    same(sorted(last[0]["inputs"]), ["age", "bmi"], "fields")
    close([event["prediction"] for event in last], MODELS["sugar"][0].predict(rows.head(3)), "predictions")
    client.set_registered_model_tag("sugar", "bellwether.log", "off")
    time.sleep(1.2)
    good("POST", "/v2/models/sugar/infer", {**body, "id": "order-8"})
    good("POST", "/v2/models/sugar/infer", {**body, "id": "order-9"})
    time.sleep(0.5)
    rows = good("POST", "/api/v1/sql", {"query": "select count(*) from events where kind = 'prediction' and attributes like '%order-9%'"})["rows"]
    same(rows, [[0]], "off")


@part
def a_model_that_drifts_and_errs_is_an_incident():
    client = MlflowClient()
    model, rows = MODELS["iris"]
    client.create_registered_model("watched")
    client.set_registered_model_tag("watched", "bellwether.log", "all")
    mlflow.sklearn.log_model(model, name="watched", registered_model_name="watched", signature=infer_signature(rows, model.predict(rows)))
    rng = np.random.default_rng(7)

    def predict(number, shift):
        """A hundred rows like those that the model learned from, the petals longer by `shift`; their predictions."""
        some = rows.sample(100, replace=True, random_state=number) + rng.normal(0, 0.1, (100, 4))
        some["petal length (cm)"] += shift
        tensor = {"name": "x", "shape": [100, 4], "datatype": "FP64", "data": some.values.ravel().tolist()}
        answer = good("POST", "/v2/models/watched/infer", {"id": f"r{number}", "inputs": [tensor]})
        return answer["outputs"][0]["data"]

    def label(number, values):
        labels = [{"model": "watched", "prediction_id": f"r{number}/{row}", "value": value} for row, value in enumerate(values)]
        status, _, answer = ask("POST", "/api/v1/labels", {"labels": labels})
        same(status, 202, answer)

    def found():
        return {f["measure"]: f for f in good("GET", "/api/v1/findings?entity=model:default/watched&from=now-1h&to=now")}

    for number in range(15):
        label(number, predict(number, 0))
    time.sleep(12)
    assert not found(), found()
    for number in range(15, 60):
        wrong = [(value + 1) % 3 for value in predict(number, 2.5)]
        label(number, wrong)
        time.sleep(0.4)
    for _ in range(60):
        seen = found()
        if {"model_input_drift", "model_errors"} <= set(seen):
            break
        time.sleep(0.5)
    assert {"model_input_drift", "model_errors"} <= set(seen), seen
    assert "petal length" in seen["model_input_drift"]["summary"], seen["model_input_drift"]["summary"]
    incidents = [i for i in good("GET", "/api/v1/incidents") if "model:default/watched" in i["entities"]]
    assert incidents and incidents[0]["causes"][0]["kind"] in ("data", "model", "change"), incidents


def two_versions(name, second):
    """A model whose first version is in use, and its second one: by the same rows, or `second`."""
    model, rows = MODELS["iris"]
    for one in (model, second):
        mlflow.sklearn.log_model(one, name=name, registered_model_name=name, signature=infer_signature(rows, model.predict(rows)))
        if one is model:
            MlflowClient().set_registered_model_alias(name, "champion", "1")


def infer(name, number, count=150):
    """Which version answered, and what; asks for so many rows of the iris."""
    some = MODELS["iris"][1].sample(count, replace=True, random_state=number)
    tensor = {"name": "x", "shape": [count, 4], "datatype": "FP64", "data": some.values.ravel().tolist()}
    answer = good("POST", f"/v2/models/{name}/infer", {"id": f"r{number}", "inputs": [tensor]})
    return answer["model_version"], MODELS["iris"][0].predict(some)


@part
def a_canary_answers_its_share():
    client = MlflowClient()
    two_versions("split", MODELS["iris"][0])
    good("POST", "/v2/models/split/versions/2/infer", {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4]}]})
    client.set_registered_model_alias("split", "canary", "2")
    client.set_registered_model_tag("split", "bellwether.canary.percent", "25")
    answered = [infer("split", number, 1)[0] for number in range(200)]
    assert 45 <= answered.count("2") <= 55, answered.count("2")
    same({good("POST", "/v2/models/split/versions/1/infer", {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4]}]})["model_version"] for _ in range(20)}, {"1"}, "a named version")
    try:
        client.set_registered_model_tag("split", "bellwether.canary.percent", "half")
        raise AssertionError("a share of half was taken")
    except MlflowException as error:
        assert "from 0 to 100" in str(error), error
    serving = good("GET", "/api/v1/models/split/serving")
    same(([v["phase"] for v in serving["versions"]], serving["canary"]), (["canary", "live"], {"version": "2", "percent": 25}), "phases")
    client.delete_registered_model_alias("split", "canary")
    same({infer("split", number, 1)[0] for number in range(20)}, {"1"}, "after the canary")


@part
def a_rollout_goes_on_and_another_goes_back():
    client = MlflowClient()
    model, rows = MODELS["iris"]
    two_versions("rolled", model)
    wrong = np.where(model.predict(rows) == 1, 2, model.predict(rows))
    two_versions("careful", LogisticRegression(max_iter=500).fit(rows, wrong))
    client.set_registered_model_alias("rolled", "shadow", "2")
    client.set_registered_model_alias("careful", "canary", "2")
    client.set_registered_model_tag("careful", "bellwether.canary.percent", "50")
    same(good("GET", "/api/v1/models/rolled/serving")["shadow"], "2", "the shadow")

    def phases(name):
        return {v["version"]: v["phase"] for v in good("GET", f"/api/v1/models/{name}/serving")["versions"]}

    for number in range(240):
        infer("rolled", number)
        _, right = infer("careful", number, 20)
        labels = [{"model": "careful", "prediction_id": f"r{number}/{row}", "value": int(value)} for row, value in enumerate(right)]
        status, _, answer = ask("POST", "/api/v1/labels", {"labels": labels})
        same(status, 202, answer)
        if (phases("rolled")["2"], phases("careful")["2"]) == ("live", "retired"):
            break
        time.sleep(0.4)
    same((phases("rolled"), phases("careful")), ({"2": "live", "1": "retired"}, {"2": "retired", "1": "live"}), "phases")
    moves = good("GET", "/api/v1/models/rolled/moves")["moves"]
    steps = [(change["version"], change["to"]) for made in reversed(moves) for change in made["phases"]]
    same([to for version, to in steps if version == 2][-3:], ["shadow", "canary", "live"], "the life of version 2")
    assert any(made["by"] == "rollout" and "no gate refuses it" in made["why"] for made in moves), moves
    back = good("GET", "/api/v1/models/careful/moves")["moves"][0]
    assert back["by"] == "rollout" and back["why"].startswith("model_"), back
    observed = good("GET", "/api/v1/models/rolled/serving")["versions"][0]["observed"]
    assert observed["rows"] >= 100 and observed["agreement"] == 1, observed


@part
def explanations_cards_and_columns():
    model, rows = MODELS["forest"]
    answer = good("POST", "/v1/models/forest:explain", {"instances": rows[:5].tolist()})
    same((answer["predictions"], answer["space"]), (model.predict(rows[:5]).tolist(), "probability"), "predictions")
    for row, said in enumerate(answer["explanations"]):
        sums = [base + sum(values) for base, values in zip(said["base_values"], said["values"])]
        close(sums, model.predict_proba(rows[row : row + 1])[0], "base and contributions")
    seldon = good("POST", "/api/v1.0/explain?model=forest", {"data": {"ndarray": rows[:2].tolist()}})
    close(np.array(seldon["data"]["shap_values"])[:, 0, :], np.array(answer["explanations"][0]["values"]), "Seldon's")
    model, rows = MODELS["iris"]
    bad(400, "reference", "POST", "/v1/models/iris:explain", {"instances": rows.head(1).values.tolist()})
    answer = good("POST", "/v1/models/iris:explain", {"instances": rows.head(1).values.tolist(), "reference": rows.values.tolist()})
    said = answer["explanations"][0]
    close([b + sum(v) for b, v in zip(said["base_values"], said["values"])], model.decision_function(rows.head(1))[0], "iris")
    card = good("GET", "/api/v1/models/iris/versions/1/card")
    same((card["identity"]["name"], card["identity"]["version"]), ("iris", 1), "the card")
    markdown = good("GET", "/api/v1/models/iris/versions/1/card?format=markdown")
    assert markdown.startswith("# ") and "sepal length" in markdown and "sklearn" in markdown, markdown[:2000]
    status, headers, page = ask("GET", "/api/v1/models/iris/versions/1/card?format=html")
    assert status == 200 and "sandbox" in headers["content-security-policy"] and "<script" not in page, (status, headers)
    bad(400, "json, markdown and html", "GET", "/api/v1/models/iris/versions/1/card?format=pdf")
    bad(404, "no version 9", "GET", "/api/v1/models/iris/versions/9/card")
    lineage = good("GET", "/api/v1/models/iris/versions/1/lineage")
    assert {"logged_model", "version", "deployment"} <= {node["kind"] for node in lineage["nodes"]}, lineage
    client = MlflowClient()
    client.set_registered_model_tag("churn", "bellwether.log", "all")
    time.sleep(1.2)
    people = MODELS["churn"][1]
    for shift in (0, 0, 40):
        some = people.sample(600, replace=True, random_state=2)
        good("POST", "/serving-endpoints/churn/invocations", {"dataframe_split": {"columns": ["age", "city"], "data": (some.assign(age=some.age + shift)).values.tolist()}})
    found = good("GET", "/api/v1/models/churn/columns")
    assert found["reference"]["rows"] == 1000 and found["window"]["rows"] >= 600, (found["reference"], found["window"])
    age = next(column for column in found["columns"] if column["name"] == "age")
    assert age["drifted"] and age["kind"] == "number" and abs(sum(b["reference"] for b in age["bins"]) - 1) < 1e-6, age
    same(good("GET", "/api/v1/models/sugar/columns?version=1&from=now-1m")["version"], "1", "a version")
    bad(404, "no version 7", "GET", "/api/v1/models/churn/columns?version=7")


@part
def a_model_is_trained_again():
    model, rows = MODELS["iris"]
    mlflow.sklearn.log_model(model, name="retrained", registered_model_name="retrained", signature=infer_signature(rows, model.predict(rows)))
    infer("retrained", 1)
    for _ in range(240):
        trainings = good("GET", "/api/v1/models/retrained/trainings")["trainings"]
        if trainings and trainings[0]["stage"] not in ("intended", "running"):
            break
        time.sleep(0.5)
    [training] = trainings
    same((training["stage"], training["before"], training["version"], training["policy"]), ("succeeded", 1, 2, "enough rows"), training)
    assert "predicted 150 rows" in training["why"] and "trained retrained" in training["said"], training
    serving = good("GET", "/api/v1/models/retrained/serving")
    same((serving["shadow"], serving["in_use"]), (None, "2"), "without a champion the newest is in use")
    lines = [line for line in good("GET", "/api/v1/journal?kind=model&limit=500") if line["subject"] == "retrained/training/1"]
    same(sorted(line["data"]["stage"] for line in lines), ["intended", "succeeded"], "the journal")
    status, _, answer = ask("POST", "/api/v1/models/iris/train", {})
    assert status == 400 and "no [[retraining]]" in json.dumps(answer), (status, answer)
    status, _, answer = ask("POST", "/api/v1/models/none/train", {})
    same(status, 404, answer)


@part
def onnx_models_answer():
    import skl2onnx
    model, rows = MODELS["forest"]
    small = RandomForestClassifier(20, random_state=1).fit(rows, model.predict(rows))
    graph = skl2onnx.to_onnx(small, rows[:1].astype(np.float32), options={"zipmap": False})
    mlflow.onnx.log_model(graph, name="by-onnx", registered_model_name="by-onnx")
    table = {"name": "x", "shape": [len(rows), 4], "datatype": "FP32", "data": rows.astype(np.float32).ravel().tolist()}
    answer = good("POST", "/v2/models/by-onnx/infer", {"inputs": [table], "outputs": [{"name": "predict"}, {"name": "predict_proba"}]})
    outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    same(outputs["predict"], small.predict(rows.astype(np.float32)).tolist(), "classes")
    close(np.reshape(outputs["predict_proba"], (-1, 3)), small.predict_proba(rows.astype(np.float32)), "probabilities")
    answer = good("POST", "/v1/models/by-onnx:predict", {"instances": rows[:3].tolist()})
    same(answer["predictions"], small.predict(rows[:3]).tolist(), "TensorFlow Serving's way")


@part
def bad_bodies():
    infer = "/v2/models/iris/infer"
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [1, 2, 3, 4]}
    for change, says in [({"datatype": "FP128"}, "FP128"), ({"shape": [2, 4]}, "does not hold"), ({"shape": [-1, 4]}, "-1"),
            ({"data": [1, 2, 3, "x"]}, "holds texts"), ({"data": None}, "no data"), ({"shape": [2**40, 2**40]}, "hold"),
            ({"data": [[1, 2], [3]]}, "a list has"), ({"parameters": {"binary_data_size": 32}}, "both data and"),
            ({"datatype": "BYTES", "data": ["a", "b", "c", "d"]}, "holds texts"), ({"parameters": {"shared_memory_region": "r"}}, "shared memory")]:
        bad(400, says, "POST", infer, {"inputs": [{**tensor, **change}]})
    bad(400, "no tensor", "POST", infer, {"inputs": []})
    bad(400, "inputs", "POST", infer, {})
    bad(400, "Inference-Header", "POST", infer, {"inputs": [tensor]}, headers={"inference-header-content-length": "999999"})
    bad(400, "no number", "POST", infer, {"inputs": [tensor]}, headers={"inference-header-content-length": "x"})
    del tensor["data"]
    text = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": 31}}]}).encode()
    bad(400, "31 bytes came", "POST", infer, text + bytes(31), headers={"inference-header-content-length": str(len(text))})
    bad(400, "are left", "POST", infer, text + bytes(30), headers={"inference-header-content-length": str(len(text))})
    bad(404, "there is no", "GET", "/v2/other")
    bad(404, "none", "GET", "/v2/models/none")
    bad(404, "not found", "POST", "/v2/models/a%20b/infer", {"inputs": []})
    bad(501, "texts", "POST", "/v2/models/iris/generate", {})
    client = MlflowClient()
    for name, file, content, says in [("pickled", "model.skops", b"\x80\x05\x95", "pickle"), ("torn", "model.ubj", b"{L\0\0", "damaged"), ("none", "readme.txt", b"x", "no model in")]:
        name = f"bad-{name}"
        with mlflow.start_run() as run, tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, file)
            with open(path, "wb") as out:
                out.write(content)
            mlflow.log_artifact(path, "model")
        client.create_registered_model(name)
        client.create_model_version(name, f"runs:/{run.info.run_id}/model", run.info.run_id)
        bad(501, says, "POST", f"/v2/models/{name}/infer", {"inputs": [{**tensor, "data": [1, 2, 3, 4]}]})
        same(good("GET", f"/v1/models/{name}")["ready"], False, "not ready")


def run_parts(chosen):
    wrong = 0
    for name in chosen:
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                PARTS[name]()
            print("ok", name, flush=True)
        except Skip as why:
            print(f"skipped {name}: {why}", flush=True)
        except Exception as error:
            wrong += 1
            where = traceback.extract_tb(error.__traceback__)
            own = [frame.lineno for frame in where if frame.filename == __file__]
            print(f"WRONG {name}: {type(error).__name__} {error} (lines {own})"[:2000], flush=True)
    return wrong


def main(arguments):
    arguments, chosen, binary = list(arguments), [], None
    while arguments:
        name = arguments.pop(0)
        if name == "--part":
            chosen.append(arguments.pop(0))
        elif name == "--stubs":
            OUR["stubs"] = arguments.pop(0)
        else:
            binary = name
    if not binary or set(chosen) - set(PARTS):
        raise SystemExit(f"{__doc__}\n\nparts: {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as data:
        settings = os.path.join(data, "settings.toml")
        with open(settings, "w") as out:
            out.write(SETTINGS.replace("PYTHON", sys.executable).replace("FOLDER", data))
        with open(os.path.join(data, "train.py"), "w") as out:
            out.write(TRAIN)
        command = [binary, "serve", "--config", settings, "--data-dir", os.path.join(data, "data")]
        for address in ("--listen", "--otlp-grpc", "--otlp-http"):
            command += [address, "127.0.0.1:0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            first = json.loads(server.stdout.readline())
            ADDRESS.update(http="http://" + first["listen"], grpc=first["otlp_grpc"])
            mlflow.set_tracking_uri(ADDRESS["http"])
            with open(os.path.join(data, "address"), "w") as out:
                out.write(ADDRESS["http"])
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                train()
            return run_parts(chosen or PARTS)
        finally:
            server.terminate()
            assert server.wait(30) == 0, "the server did not exit with 0 on SIGTERM"


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
