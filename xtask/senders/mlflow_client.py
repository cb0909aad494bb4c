"""The unchanged MLflow client against Bellwether, as against MLflow's own server: all that a data scientist's day does.

usage: mlflow_client.py BELLWETHER_BINARY [--part NAME]...
       mlflow_client.py --url URL [--part NAME]...

With a binary a server is started; with `--url` a running one is used, which may be MLflow's own. Each part stands on its own
and is reported: `ok NAME`, `WRONG NAME: why`, or `skipped NAME: why` where a package is not installed or the server says that
it does not do this. Exit code 1 if one is wrong."""
import base64, contextlib, hashlib, hmac, http.server, json, math, os, subprocess, sys, tempfile, threading, time
import traceback, urllib.request, uuid

# A wrong 500 must fail, not be tried again for minutes; and nothing may leave this machine.
os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_HTTP_REQUEST_MAX_RETRIES="1",
    MLFLOW_HTTP_REQUEST_TIMEOUT="60", GIT_PYTHON_REFRESH="quiet", MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true")
for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_REGISTRY_URI"):
    os.environ.pop(name, None)

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput, LoggedModelOutput, Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

PARTS = {}


class Skip(Exception):
    """The part cannot be run here; its text says why."""


def part(function):
    PARTS[function.__name__] = function
    return function


def need(module):
    try:
        return __import__(module, fromlist=["x"])
    except ImportError as error:
        raise Skip(f"no {error.name}") from error


def own(text):
    """A name that nothing else on the server has."""
    return f"{text}-{uuid.uuid4().hex[:8]}"


def same(found, expected, what):
    assert found == expected, f"{what}: {found!r}, expected {expected!r}"


@contextlib.contextmanager
def refused(code, text=""):
    try:
        yield
    except MlflowException as error:
        assert error.error_code == code and text in str(error), f"{error.error_code} {error}, expected {code} {text!r}"
        return
    raise AssertionError(f"was not refused, expected {code} {text!r}")


def read(path):
    """What the client has no call for."""
    with urllib.request.urlopen(mlflow.get_tracking_uri() + path, timeout=30) as answer:
        return json.load(answer)


def iris():
    """A few flowers, as a frame with names where there is pandas."""
    numpy, pandas = need("numpy"), need("pandas")
    need("sklearn")
    from sklearn.datasets import load_iris

    features, kinds = load_iris(return_X_y=True, as_frame=True)
    return numpy, pandas, features, kinds


# ---- Parts ----------------------------------------------------------------------------------------------------------

@part
def session():
    """The usual hour: track, log a model, register, promote, load, predict, trace, judge."""
    numpy, _, features, kinds = iris()
    need("skops")
    from sklearn.linear_model import LogisticRegression

    experiment, name, client = mlflow.set_experiment(own("session")), own("iris"), MlflowClient()
    with mlflow.start_run(run_name="first") as run:
        mlflow.log_input(mlflow.data.from_pandas(features, name="iris"), context="training")
        model = LogisticRegression(max_iter=200).fit(features, kinds)
        mlflow.log_params({"C": 1.0, "solver": "lbfgs"})
        mlflow.log_metrics({"accuracy": model.score(features, kinds), "loss": 0.1}, step=1)
        mlflow.log_metric("accuracy", 0.98, step=2)
        mlflow.set_tag("team", "plants")
        mlflow.log_text("hello", "notes/hello.txt")
        mlflow.log_dict({"a": 1}, "d.json")
        signature = mlflow.models.infer_signature(features, model.predict(features))
        info = mlflow.sklearn.log_model(model, name="model", signature=signature, input_example=features.head(2),
            registered_model_name=name)
    id = run.info.run_id
    client.set_registered_model_alias(name, "champion", 1)
    client.set_model_version_tag(name, 1, "validation", "passed")
    client.transition_model_version_stage(name, 1, "Production")
    client.update_model_version(name, 1, description="the first")
    version = client.get_model_version_by_alias(name, "champion")
    same((str(version.version), version.description, version.current_stage, version.run_id, version.status,
        version.aliases), ("1", "the first", "Production", id, "READY", ["champion"]), "the version by alias")
    same(version.tags, {"validation": "passed"}, "its tags")
    found = client.search_runs([experiment.experiment_id], "metrics.accuracy > 0.5 and params.solver = 'lbfgs'",
        order_by=["metrics.accuracy DESC"])
    same([r.info.run_id for r in found], [id], "the runs found")
    same((found[0].data.params, found[0].data.metrics["accuracy"], found[0].data.tags["team"]),
        ({"C": "1.0", "solver": "lbfgs"}, 0.98, "plants"), "its data")
    same([(d.dataset.name, d.tags[0].value) for d in found[0].inputs.dataset_inputs], [("iris", "training")],
        "its dataset")
    same([(m.step, m.key) for m in client.get_metric_history(id, "accuracy")], [(1, "accuracy"), (2, "accuracy")],
        "the history")
    same(sorted((f.path, f.is_dir) for f in client.list_artifacts(id)), [("d.json", False), ("notes", True)],
        "the artifacts")
    same([(v.name, str(v.version)) for v in client.search_model_versions(f"name='{name}'")], [(name, "1")],
        "the versions")
    assert name in [m.name for m in client.search_registered_models()], "the model is not among those registered"
    logged = client.search_logged_models(experiment_ids=[experiment.experiment_id])
    same([(m.model_id, m.name, m.source_run_id) for m in logged], [(info.model_id, "model", id)], "the logged models")
    loaded = mlflow.pyfunc.load_model(f"models:/{name}@champion")
    assert numpy.array_equal(loaded.predict(features.head(3)),
        model.predict(features.head(3))), "it predicts something else"
    same(type(mlflow.sklearn.load_model(f"models:/{name}/1")).__name__, "LogisticRegression",
        "the model loaded as scikit-learn's")
    same(mlflow.artifacts.load_text(f"runs:/{id}/notes/hello.txt"), "hello", "the text")

    @mlflow.trace
    def outer(x):
        with mlflow.start_span("inner") as span:
            span.set_inputs({"x": x})
            span.set_outputs(x + 1)
        return x + 1

    outer(1)
    mlflow.flush_trace_async_logging()
    traces = mlflow.search_traces(locations=[experiment.experiment_id])
    same(len(traces), 1, "traces")
    mlflow.log_feedback(trace_id=traces.trace_id[0], name="good", value=True)
    same(mlflow.get_trace(traces.trace_id[0]).info.state.value, "OK", "the trace's state")
    client.delete_run(id)
    same(client.get_run(id).info.lifecycle_stage, "deleted", "the run's stage")
    client.restore_run(id)
    same(client.get_run(id).info.lifecycle_stage, "active", "the run's stage")


@part
def experiments():
    client, mark = MlflowClient(), own("exp")
    names = [f"{mark} {kind}" for kind in ("b", "A", "c", "ünï/☃:'")]
    ids = [client.create_experiment(name, tags={"kind": str(i), "a b.c": "x"}) for i, name in enumerate(names)]
    for id, name in zip(ids, names):
        found = client.get_experiment(id)
        same((found.name, found.lifecycle_stage, found.tags["a b.c"]), (name, "active", "x"), "an experiment")
        assert found.creation_time and found.last_update_time >= found.creation_time and found.artifact_location, vars(
            found)
        same(client.get_experiment_by_name(name).experiment_id, id, "the experiment by name")
    same(client.get_experiment_by_name(own("none")), None, "an experiment that is not there")
    with refused("RESOURCE_ALREADY_EXISTS"):
        client.create_experiment(names[0])
    with refused("RESOURCE_DOES_NOT_EXIST", "No Experiment with id=987654321 exists"):
        client.get_experiment("987654321")
    client.rename_experiment(ids[0], mark + " new")
    same(client.get_experiment(ids[0]).name, mark + " new", "the new name")
    client.set_experiment_tag(ids[0], "kind", "other")
    client.set_experiment_tag(ids[0], "more", "")
    client.delete_experiment_tag(ids[0], "a b.c")
    same({k: v for k, v in client.get_experiment(ids[0]).tags.items() if not k.startswith("mlflow.")},
        {"kind": "other", "more": ""}, "the tags")
    with refused("RESOURCE_DOES_NOT_EXIST", "No tag with name: none"):
        client.delete_experiment_tag(ids[0], "none")
    run = client.create_run(ids[1]).info.run_id
    client.delete_experiment(ids[1])
    same((client.get_experiment(ids[1]).lifecycle_stage, client.get_run(run).info.lifecycle_stage),
        ("deleted", "deleted"), "what was deleted")
    with refused("INVALID_PARAMETER_VALUE", "must be in the 'active' state"):
        client.create_run(ids[1])

    mine = f"name LIKE '{mark}%'"
    search = lambda text=mine, **more: [e.experiment_id for e in client.search_experiments(filter_string=text, **more)]
    same(search(), [ids[3], ids[2], ids[0]], "the newest first")
    same(search(view_type=ViewType.DELETED_ONLY), [ids[1]], "only the deleted")
    same(search(view_type=ViewType.ALL, order_by=["name"]), [ids[1], ids[2], ids[0], ids[3]], "all by name")
    same(search(order_by=["name DESC"]), [ids[3], ids[0], ids[2]], "by name, downwards")
    same(search(f"{mine} AND tags.kind = 'other'"), [ids[0]], "by tag")
    same(search(f"name ILIKE '{mark.upper()} C'"), [ids[2]], "without case")
    same(search(f"{mine} AND tags.more IS NULL", order_by=["creation_time ASC"]), [ids[2], ids[3]], "without a tag")
    with refused("INVALID_PARAMETER_VALUE", "Invalid attribute key 'foo'"):
        search("foo = 'x'")
    pages, token = [], None
    while True:
        page = client.search_experiments(filter_string=mine, max_results=2, order_by=["experiment_id ASC"],
            page_token=token)
        pages.append([e.experiment_id for e in page])
        token = page.token
        if not token:
            break
    same(pages, [[ids[0], ids[2]], [ids[3]]], "the pages")
    client.restore_experiment(ids[1])
    same((client.get_experiment(ids[1]).lifecycle_stage, client.get_run(run).info.lifecycle_stage),
        ("active", "active"), "what was restored")


@part
def runs():
    client, experiment = MlflowClient(), mlflow.set_experiment(own("runs")).experiment_id
    with mlflow.start_run(run_name="parent", description="about", tags={"k": "v"}) as parent:
        mlflow.log_param("depth", 0)
        for i in range(3):
            with mlflow.start_run(run_name=f"child {i}", nested=True) as child:
                mlflow.log_params({"depth": 1, "i": i, "long": "x" * 500})
                mlflow.log_metric("m", i)
    same(client.get_parent_run(child.info.run_id).info.run_id, parent.info.run_id, "the parent")
    found = client.get_run(parent.info.run_id)
    same((found.info.run_name, found.info.status, found.info.lifecycle_stage, found.info.experiment_id),
        ("parent", "FINISHED", "active", experiment), "the run")
    same((found.data.tags["k"], found.data.tags["mlflow.note.content"], found.data.tags["mlflow.runName"]),
        ("v", "about", "parent"), "its tags")
    assert found.info.end_time >= found.info.start_time > 0 and found.info.artifact_uri, found.info
    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'",
        order_by=["params.i ASC"])
    same([r.info.run_name for r in children], ["child 0", "child 1", "child 2"], "the children")
    with contextlib.suppress(ZeroDivisionError):
        with mlflow.start_run() as broken:
            1 / 0
    same(client.get_run(broken.info.run_id).info.status, "FAILED", "the status of a run that broke")
    assert client.get_run(broken.info.run_id).info.run_name, "a run without a name of its own has none"
    run = client.create_run(experiment, start_time=5, tags={"t": "1"}, run_name="by client")
    id = run.info.run_id
    same((run.info.start_time, run.info.status, run.info.end_time), (5, "RUNNING", None), "the run made")
    client.log_param(id, "p", 1)
    client.log_param(id, "p", 1)
    with refused("INVALID_PARAMETER_VALUE", "Changing param values is not allowed"):
        client.log_param(id, "p", 2)
    client.set_tag(id, "t", "2")
    client.set_tag(id, "mlflow.runName", "renamed")
    client.update_run(id, status="SCHEDULED", name="again")
    same((client.get_run(id).info.run_name, client.get_run(id).info.status,
        client.get_run(id).data.tags["mlflow.runName"]), ("again", "SCHEDULED", "again"), "the run updated")
    client.delete_tag(id, "t")
    with refused("RESOURCE_DOES_NOT_EXIST", "No tag with name: t"):
        client.delete_tag(id, "t")
    client.set_terminated(id, "KILLED", end_time=9)
    same((client.get_run(id).info.status, client.get_run(id).info.end_time), ("KILLED", 9), "how it ended")
    client.delete_run(id)
    with refused("INVALID_PARAMETER_VALUE", "must be in the 'active' state"):
        client.log_param(id, "q", 1)
    same([r.info.run_id for r in client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY)], [id],
        "the deleted runs")
    client.restore_run(id)
    client.log_param(id, "q", 1)
    with refused("RESOURCE_DOES_NOT_EXIST", "not found"):
        client.get_run(uuid.uuid4().hex)
    for bad in ("a@", "a/../b", "/a", ""):
        with refused("INVALID_PARAMETER_VALUE"):
            client.log_param(id, bad, 1)
        with refused("INVALID_PARAMETER_VALUE"):
            client.set_tag(id, bad, 1)
    client.log_param(id, "ünï /_-.: x", "☃ \n 'quoted' \"twice\"")
    same(client.get_run(id).data.params["ünï /_-.: x"], "☃ \n 'quoted' \"twice\"", "an unusual value")
    with mlflow.start_run(run_id=id):
        mlflow.log_metric("resumed", 1)
    same(client.get_run(id).info.status, "FINISHED", "a run taken up again")
    same(mlflow.last_active_run().info.run_id, id, "the last active run")


@part
def metrics():
    client, experiment = MlflowClient(), mlflow.set_experiment(own("metrics")).experiment_id
    id = client.create_run(experiment).info.run_id
    metrics = [Metric("loss", 1000 - i, 10**12 + i, i) for i in range(900)] + [Metric(f"m/{i} x:y.z", i / 7, 1, 0)
        for i in range(100)]
    client.log_batch(id, metrics=metrics)
    client.log_batch(id, params=[Param(f"p{i}", "v" * 100) for i in range(100)])
    client.log_batch(id, tags=[RunTag(f"t{i}", "v") for i in range(100)])
    data = client.get_run(id).data
    same((len(data.metrics), len(data.params), data.metrics["loss"], data.metrics["m/99 x:y.z"]),
        (101, 100, 101, 99 / 7), "what the batches left")
    history = client.get_metric_history(id, "loss")
    same([(m.step, m.value, m.timestamp) for m in history], [(i, 1000 - i, 10**12 + i) for i in range(900)],
        "the history")
    for i in range(900, 30000, 970):
        client.log_batch(id, metrics=[Metric("long", float(k), k, k) for k in range(i, i + 970)])
    history = client.get_metric_history(id, "long")
    same((len(history), history[0].step, history[-1].step), (29100, 900, 29999), "a history of more than a page")
    page = client._tracking_client.store.get_metric_history(id, "loss", max_results=400)
    rest = client._tracking_client.store.get_metric_history(id, "loss", max_results=600, page_token=page.token)
    same((len(page), len(rest), rest[0].step, rest.token), (400, 500, 400, None), "two pages")
    sampled = read(f"/api/2.0/mlflow/metrics/get-history-bulk-interval?run_ids={id}&metric_key=loss&max_results=10")
    same((len(sampled["metrics"]), sampled["metrics"][0]["step"], sampled["metrics"][-1]["step"]), (10, 0, 899),
        "a sample")
    for value in (math.nan, math.inf, -math.inf, 0, -0.0, 1e308, 5e-324, 123456789.123456789, True, 10**15):
        client.log_metric(id, "odd", value, step=7)
    values = [m.value for m in client.get_metric_history(id, "odd")]
    assert any(math.isnan(v) for v in values), f"no NaN in {values}"
    for value in (1.7976931348623157e308, -1.7976931348623157e308, 1e308, 5e-324, 123456789.123456789, 1.0, 1e15):
        assert value in values, f"{value} is not in {values}"
    # The latest is that of the highest step, then time, then value.
    for value, stamp, step in ((1, 10, 1), (2, 10, 1), (0, 10, 1), (5, 99, 0)):
        client.log_metric(id, "latest", value, timestamp=stamp, step=step)
    same(client.get_run(id).data.metrics["latest"], 2, "the latest")
    same(len(client.get_metric_history(id, "latest")), 4, "all four")
    client.log_metric(id, "latest", 2, timestamp=10, step=1)
    same(len(client.get_metric_history(id, "latest")), 4, "the same again is not new")
    same(client.get_metric_history(id, "none"), [], "the history of nothing")
    client.log_metric(id, "negative", 1, step=-5)
    with refused("INVALID_PARAMETER_VALUE", "Names may only contain"):
        client.log_metric(id, "a@", 1)
    threads = [threading.Thread(target=lambda k=k: [client.log_metric(id, f"thread{k}", i, step=i) for i in range(20)])
        for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    same([len(client.get_metric_history(id, f"thread{k}")) for k in range(4)], [20] * 4, "four at once")
    with mlflow.start_run(run_id=id):
        for i in range(50):
            mlflow.log_metric("later", i, step=i, synchronous=False)
        mlflow.flush_async_logging()
    same(len(client.get_metric_history(id, "later")), 50, "logged in the background")


@part
def run_search():
    client, experiment = MlflowClient(), mlflow.set_experiment(own("search")).experiment_id
    other = client.create_experiment(own("search"))
    ids = []
    for i in range(6):
        run = client.create_run(experiment, start_time=100 + i, run_name=f"run {'abcdef'[i]}")
        ids.append(run.info.run_id)
        if i < 5:
            client.log_metric(ids[i], "acc", (0.5, 0.9, math.nan, -1, 0.7)[i])
            client.log_param(ids[i], "solver", ("lbfgs", "LBFGS", "sag", "a'b", "x_y")[i])
            client.set_tag(ids[i], "a b.c/d", ("x", "y", "x%", "xy", "z")[i])
    client.create_run(other, run_name="elsewhere")
    client.set_terminated(ids[1], "FINISHED", end_time=500)
    client.set_terminated(ids[2], "FAILED", end_time=600)

    def found(text="", order=("start_time ASC",), **more):
        return "".join("abcdef"[ids.index(r.info.run_id)]
            for r in client.search_runs([experiment], text, order_by=list(order), **more))

    for text, expected in (("", "abcdef"), ("metrics.acc > 0.4", "abe"),
            ("metrics.acc >= 0.5 and metric.acc < 0.9", "ae"), ("metrics.acc != 0.5", "bcde"),
            ("metrics.`acc` = -1", "d"), ("metrics.none > 0", ""), ("params.solver = 'lbfgs'", "a"),
            ("params.solver != 'lbfgs'", "bcde"), ("params.solver ILIKE 'l%'", "ab"), ("param.solver LIKE '%s'", "a"),
            ("params.solver = \"a'b\"", "d"), ("params.solver LIKE 'x_y'", "e"), ("params.solver IS NULL", "f"),
            ("params.solver IS NOT NULL AND metrics.acc > 0.8", "b"), ("tags.`a b.c/d` LIKE 'x%'", "acd"),
            ("tags.\"a b.c/d\" = 'y'", "b"), ("tag.none IS NULL", "abcdef"), ("attributes.status = 'RUNNING'", "adef"),
            ("status != 'RUNNING'", "bc"), ("attributes.run_name LIKE 'run %'", "abcdef"), ("run_name = 'run c'", "c"),
            ("attributes.`Run name` = 'run d'", "d"), ("start_time > 102", "def"),
            ("created >= 101 AND end_time > 0", "bc"), ("end_time = 500", "b"), (f"run_id = '{ids[4]}'", "e"),
            (f"attributes.run_id IN ('{ids[0]}', '{ids[5]}')", "af"), (f"run_id NOT IN ('{ids[0]}')", "bcdef"),
            ("metrics.acc > 0 AND params.solver LIKE '%' AND tags.`a b.c/d` != 'x'", "be")):
        same(found(text), expected, text)
    for order, expected in ((["metrics.acc DESC"], "beadcf"), (["metrics.acc ASC"], "daebcf"),
            (["params.solver"], "bdacef"), (["start_time DESC"], "fedcba"), (["status", "start_time"], "cbadef"),
            (["end_time DESC", "start_time"], "cbadef"), (["tags.`a b.c/d` DESC"], "ebdcaf"),
            (["attributes.run_name DESC"], "fedcba")):
        same(found(order=order), expected, f"order by {order}")
    same(found(order=()), "fedcba", "without an order the newest first")
    for bad, text in (("metrics.acc > 'x'", "Expected numeric value type"),
            ("params.solver > 'x'", "Invalid comparator '>'"), ("params.solver = x", "not quoted"),
            ("foo = 'x'", "Invalid attribute key 'foo'"), ("bogus.x = 'x'", "Invalid entity type 'bogus'"),
            ("metrics.acc > 0 OR metrics.acc < 0", "Invalid clause(s)"), ("metrics.acc", "Invalid clause(s)"),
            ("status IN ('RUNNING')", "support comparison with a list"), ("metrics.acc > 0; x", "multiple expression")):
        with refused("INVALID_PARAMETER_VALUE", text):
            found(bad)
    for bad in ("metrics.acc UP", "bogus.x", "foo"):
        with refused("INVALID_PARAMETER_VALUE"):
            found(order=[bad])
    pages, token = [], None
    while True:
        page = client.search_runs([experiment, other], order_by=["start_time ASC"], max_results=3, page_token=token)
        pages.append(len(page))
        token = page.token
        if not token:
            break
    same(pages, [3, 3, 1], "the pages of two experiments")
    same(len(client.search_runs([])), 0, "no experiment")
    client.delete_run(ids[0])
    same((found(), found(run_view_type=ViewType.DELETED_ONLY), found(run_view_type=ViewType.ALL)),
        ("bcdef", "a", "abcdef"), "the views")
    client.restore_run(ids[0])
    need("pandas")
    frame = mlflow.search_runs([experiment], "metrics.acc > 0", order_by=["metrics.acc DESC"])
    same((list(frame["metrics.acc"]), list(frame["params.solver"])), ([0.9, 0.7, 0.5], ["LBFGS", "x_y", "lbfgs"]),
        "the frame")
    same(len(mlflow.search_runs(search_all_experiments=True, max_results=5)), 5, "of all experiments")


@part
def artifacts():
    client, experiment = MlflowClient(), mlflow.set_experiment(own("artifacts")).experiment_id
    id = client.create_run(experiment).info.run_id
    same(client.list_artifacts(id), [], "no artifacts")
    with tempfile.TemporaryDirectory() as folder:
        tree = os.path.join(folder, "tree")
        os.makedirs(os.path.join(tree, "deep", "deeper"))
        contents = {"one.txt": b"one", "deep/two.bin": bytes(range(256)) * 1000, "deep/deeper/three ü&+%.json": b"{}",
            "deep/empty": b""}
        for name, content in contents.items():
            with open(os.path.join(tree, name), "wb") as file:
                file.write(content)
        client.log_artifact(id, os.path.join(tree, "one.txt"))
        client.log_artifact(id, os.path.join(tree, "one.txt"), "a/b")
        client.log_artifacts(id, tree, "tree")
        client.log_artifacts(id, os.path.join(tree, "deep"))
        listed = lambda path=None: sorted((f.path, f.is_dir, f.file_size) for f in client.list_artifacts(id, path))
        same(listed(), [("a", True, None), ("deeper", True, None), ("empty", False, None), ("one.txt", False, 3),
            ("tree", True, None), ("two.bin", False, 256000)], "the list")
        same(listed("tree/deep"), [("tree/deep/deeper", True, None), ("tree/deep/empty", False, None),
            ("tree/deep/two.bin", False, 256000)], "the list of a folder")
        same(listed("none"), [], "the list of nothing")
        same(listed("one.txt"), [], "the list of a file")
        got = client.download_artifacts(id, "tree", folder)
        for name, content in contents.items():
            with open(os.path.join(got, name), "rb") as file:
                assert file.read() == content, f"{name} came back otherwise"
        with open(mlflow.artifacts.download_artifacts(run_id=id, artifact_path="a/b/one.txt", dst_path=folder)) as file:
            same(file.read(), "one", "a file")
        same(sorted(os.listdir(mlflow.artifacts.download_artifacts(f"runs:/{id}/",
            dst_path=os.path.join(folder, "all")))), ["a", "deeper", "empty", "one.txt", "tree", "two.bin"],
            "all of the run")
        with open(os.path.join(tree, "one.txt"), "w") as file:
            file.write("over")
        client.log_artifact(id, os.path.join(tree, "one.txt"))
        same(mlflow.artifacts.load_text(f"runs:/{id}/one.txt"), "over", "a file written over")
        big = os.path.join(folder, "big.bin")
        with open(big, "wb") as file:
            file.write(os.urandom(30_000_000))
        client.log_artifact(id, big, "big")
        with open(big, "rb") as file, open(client.download_artifacts(id, "big/big.bin", os.path.join(folder, "tree")),
                "rb") as back:
            assert file.read() == back.read(), "thirty megabytes came back otherwise"
    client.log_text(id, "text ☃", "texts/t.txt")
    client.log_dict(id, {"a": [1, None]}, "d.json")
    client.log_dict(id, {"a": 1}, "d.yaml")
    same((mlflow.artifacts.load_text(f"runs:/{id}/texts/t.txt"), mlflow.artifacts.load_dict(f"runs:/{id}/d.json")),
        ("text ☃", {"a": [1, None]}), "text and dictionary")
    with mlflow.start_run(run_id=id):
        mlflow.log_text("x", "fluent.txt")
        assert mlflow.get_artifact_uri("fluent.txt").endswith(f"{id}/artifacts/fluent.txt"), mlflow.get_artifact_uri(
            "fluent.txt")
    uri = client.get_run(id).info.artifact_uri
    same(mlflow.artifacts.load_text(uri + "/fluent.txt"), "x", "a file by the run's own place")
    same(sorted(f.path for f in mlflow.artifacts.list_artifacts(run_id=id, artifact_path="texts")), ["texts/t.txt"],
        "the fluent list")
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(uri)
    repository.delete_artifacts("tree")
    repository.delete_artifacts("one.txt")
    repository.delete_artifacts("none")
    same(sorted(f.path for f in client.list_artifacts(id)),
        ["a", "big", "d.json", "d.yaml", "deeper", "empty", "fluent.txt", "texts", "two.bin"], "what is left")
    for call, what in ((lambda: client.list_artifacts(id, "../.."), "a folder above was listed"),
            (lambda: client.download_artifacts(id, "none.txt"), "what is not there was downloaded")):
        try:
            call()
        except (MlflowException, OSError):  # The client passes on some errors of its HTTP library, which are OSErrors.
            continue
        raise AssertionError(what)


@part
def multipart():
    """A file in parts; a server that takes none says so when asked, and the client sends it whole."""
    client, experiment = MlflowClient(), mlflow.set_experiment(own("multipart")).experiment_id
    id = client.create_run(experiment).info.run_id
    small = {"MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
        "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(5 * 2**20),
        "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": str(5 * 2**20)}
    os.environ.update(small)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "parts.bin")
            with open(path, "wb") as file:
                file.write(os.urandom(17_000_001))
            client.log_artifact(id, path, "p")
            back = client.download_artifacts(id, "p/parts.bin", folder)
            with open(path, "rb") as sent, open(back, "rb") as received:
                assert sent.read() == received.read(), "it came back otherwise"
            same([(f.path, f.file_size) for f in client.list_artifacts(id, "p")], [("p/parts.bin", 17_000_001)],
                "the list")
    finally:
        for name in small:
            os.environ.pop(name)


@part
def models():
    numpy, pandas, features, kinds = iris()
    need("skops")
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LinearRegression

    client, name = MlflowClient(), own("forest")
    experiment = mlflow.set_experiment(own("models")).experiment_id
    forest = RandomForestClassifier(10, random_state=0).fit(features, kinds)
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(forest, name="forest",
            signature=mlflow.models.infer_signature(features, forest.predict(features)), input_example=features.head(3),
            params={"trees": 10}, tags={"kind": "forest"}, model_type="classifier",
            skops_trusted_types=["sklearn.tree._tree.Tree"])
        line = mlflow.sklearn.log_model(LinearRegression().fit(features, kinds), name="line")

    class Doubles(mlflow.pyfunc.PythonModel):
        def load_context(self, context):
            with open(context.artifacts["factor"]) as file:
                self.factor = float(file.read())

        def predict(self, context, model_input, params=None):
            return model_input * self.factor

    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "factor.txt"), "w") as file:
            file.write("2")
        own_model = mlflow.pyfunc.log_model(name="doubles", python_model=Doubles(),
            artifacts={"factor": os.path.join(folder, "factor.txt")}, pip_requirements=[])
    same(list(mlflow.pyfunc.load_model(own_model.model_uri).predict(pandas.DataFrame({"a": [1.0, 2.0]}))["a"]),
        [2.0, 4.0], "the model of its own")
    for uri in (info.model_uri, f"runs:/{run.info.run_id}/forest", f"models:/{info.model_id}"):
        loaded = mlflow.pyfunc.load_model(uri)
        assert numpy.array_equal(loaded.predict(features), forest.predict(features)), f"{uri} predicts something else"
    assert numpy.array_equal(mlflow.sklearn.load_model(info.model_uri).predict_proba(features),
        forest.predict_proba(features))
    same(loaded.metadata.signature.inputs.input_names(), list(features.columns), "the signature")
    same(len(mlflow.pyfunc.load_model(info.model_uri).input_example), 3, "the example")
    details = mlflow.models.get_model_info(info.model_uri)
    same((details.model_id, "sklearn" in details.flavors, details.run_id), (info.model_id, True, run.info.run_id),
        "the model's details")
    logged = mlflow.get_logged_model(info.model_id)
    same((logged.name, logged.params, logged.tags["kind"], str(logged.status), logged.model_type),
        ("forest", {"trees": "10"}, "forest", "READY", "classifier"), "the logged model")
    outputs = client.get_run(run.info.run_id).outputs.model_outputs
    same({o.model_id for o in outputs}, {info.model_id, line.model_id}, "what the run put out")
    version = mlflow.register_model(info.model_uri, name, tags={"a": "1"})
    same((str(version.version), version.run_id, client.get_model_version(name, 1).source),
        ("1", run.info.run_id, f"models:/{info.model_id}"), "the version")
    version = mlflow.register_model(f"runs:/{run.info.run_id}/line", name)
    same(str(version.version), "2", "the second version")
    assert numpy.array_equal(mlflow.pyfunc.load_model(f"models:/{name}/1").predict(features), forest.predict(features))
    assert client.get_model_version_download_uri(name,
        "1") == logged.artifact_location, client.get_model_version_download_uri(name, "1")
    same(json.loads(mlflow.get_logged_model(info.model_id).tags["mlflow.modelVersions"])[0]["name"], name,
        "where the model is registered")
    with tempfile.TemporaryDirectory() as folder:
        assert "MLmodel" in os.listdir(mlflow.artifacts.download_artifacts(f"models:/{name}/1",
            dst_path=folder)), "no MLmodel"
    assert "MLmodel" in {f.path for f in mlflow.artifacts.list_artifacts(f"models:/{name}/1")}, "no MLmodel listed"
    same([m.model_id for m in mlflow.search_logged_models([experiment], output_format="list",
        filter_string="name = 'line'")], [line.model_id], "the models found")


@part
def logged_models():
    client, experiment = MlflowClient(), mlflow.set_experiment(own("logged")).experiment_id
    run = client.create_run(experiment).info.run_id
    first = client.create_logged_model(experiment, name="first", source_run_id=run, tags={"t": "1", "u": "2"},
        params={"p": "1"}, model_type="kind")
    second = client.create_logged_model(experiment, name="second", tags={"t": "2"})
    unnamed = client.create_logged_model(experiment)
    same((str(first.status), first.params, first.tags, first.source_run_id, first.model_type),
        ("PENDING", {"p": "1"}, {"t": "1", "u": "2"}, run, "kind"), "the model made")
    assert first.model_id.startswith("m-") and unnamed.name and first.artifact_location.endswith(
        f"/models/{first.model_id}/artifacts"), vars(first)
    same(str(client.finalize_logged_model(first.model_id, "READY").status), "READY", "the status")
    same(str(client.finalize_logged_model(second.model_id, "FAILED").status), "FAILED", "the status")
    client.set_logged_model_tags(first.model_id, {"t": "9", "v": "3"})
    client.delete_logged_model_tag(first.model_id, "u")
    same(client.get_logged_model(first.model_id).tags, {"t": "9", "v": "3"}, "the tags")
    with refused("RESOURCE_DOES_NOT_EXIST", "No tag with key 'u'"):
        client.delete_logged_model_tag(first.model_id, "u")
    client.log_model_params(first.model_id, {"q": "x" * 300})
    same(client.get_logged_model(first.model_id).params, {"p": "1", "q": "x" * 300}, "the params")
    client.log_metric(run, "acc", 0.5, model_id=first.model_id, dataset_name="d", dataset_digest="g")
    client.log_metric(run, "acc", 0.9, model_id=second.model_id)
    client.log_batch(run, metrics=[Metric("loss", 0.1, 1, 0, model_id=first.model_id)])
    same({m.key: (m.value, m.dataset_name, m.run_id) for m in client.get_logged_model(first.model_id).metrics},
        {"acc": (0.5, "d", run), "loss": (0.1, None, run)}, "the model's metrics")
    client.log_outputs(run, [LoggedModelOutput(first.model_id, 3)])
    client.log_inputs(run, models=[LoggedModelInput(second.model_id)])
    found = client.get_run(run)
    same(([(o.model_id, o.step) for o in found.outputs.model_outputs], [i.model_id for i in found.inputs.model_inputs]),
        ([(first.model_id, 3)], [second.model_id]), "what the run took and gave")
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "weights.bin"), "wb") as file:
            file.write(b"123")
        client.log_model_artifacts(first.model_id, folder)
        client.log_model_artifact(first.model_id, os.path.join(folder, "weights.bin"))
    same([(f.path, f.file_size) for f in client.list_logged_model_artifacts(first.model_id)], [("weights.bin", 3)],
        "the model's files")

    def search(text=None, **more):
        return [m.name for m in client.search_logged_models([experiment], filter_string=text, **more)]

    same(search("name = 'first'"), ["first"], "by name")
    same(sorted(search("name IN ('first', 'second')")), ["first", "second"], "by names")
    same(search("metrics.acc > 0.6"), ["second"], "by metric")
    same(search("params.p = '1' AND tags.t = '9'"), ["first"], "by param and tag")
    same(search("metrics.acc > 0", order_by=[{"field_name": "metrics.acc", "ascending": False}]), ["second", "first"],
        "by order of a metric")
    same(search("name IN ('first', 'second')", order_by=[{"field_name": "name"}]), ["first", "second"],
        "by order of name")
    same(search(), [unnamed.name, "second", "first"], "the newest first")
    page = client.search_logged_models([experiment], max_results=2)
    rest = client.search_logged_models([experiment], max_results=2, page_token=page.token)
    same([m.name for m in page] + [m.name for m in rest], [unnamed.name, "second", "first"], "two pages")
    same(search(datasets=[{"dataset_name": "d", "dataset_digest": "g"}]), ["first"], "by dataset")
    for bad in ("bogus.x = '1'", "name > 'a'", "name = 'a' OR name = 'b'"):
        with refused("INVALID_PARAMETER_VALUE"):
            search(bad)
    client.delete_logged_model(second.model_id)
    with refused("RESOURCE_DOES_NOT_EXIST", "not found"):
        client.get_logged_model(second.model_id)
    same(search(), [unnamed.name, "first"], "what is left")
    with mlflow.start_run():
        active = mlflow.set_active_model(name="active")
        mlflow.log_metric("m", 1)
    same(mlflow.get_logged_model(active.model_id).name, "active", "the active model")
    mlflow.clear_active_model()
    with refused("INVALID_PARAMETER_VALUE", "Invalid model name"):
        client.create_logged_model(experiment, name="a/b")


@part
def registry():
    client, name = MlflowClient(), own("reg")
    model = client.create_registered_model(name, tags={"a": "1", "b c.d": "2"}, description="about")
    same((model.name, model.tags, model.description, model.latest_versions, model.aliases),
        (name, {"a": "1", "b c.d": "2"}, "about", [], {}), "the model made")
    with refused("RESOURCE_ALREADY_EXISTS", f"Registered Model (name={name}) already exists"):
        client.create_registered_model(name)
    for bad in ("a/b", "a:b", " ", ".."):
        with refused("INVALID_PARAMETER_VALUE"):
            client.create_registered_model(bad)
    with refused("RESOURCE_DOES_NOT_EXIST", "Registered Model with name"):
        client.get_registered_model(own("none"))
    experiment = mlflow.set_experiment(own("reg")).experiment_id
    run = client.create_run(experiment).info.run_id
    versions = [client.create_model_version(name, f"runs:/{run}/model{i}", run, tags={"i": str(i)}, description=f"v{i}",
        run_link="http://l") for i in range(1, 4)]
    same([str(v.version) for v in versions], ["1", "2", "3"], "the versions")
    version = client.get_model_version(name, 2)
    same((version.source, version.run_id, version.description, version.tags, version.status, version.current_stage,
        version.run_link, list(version.aliases)), (f"runs:/{run}/model2", run, "v2", {"i": "2"}, "READY", "None",
        "http://l", []), "a version")
    assert version.creation_timestamp and version.last_updated_timestamp >= version.creation_timestamp, version
    with refused("INVALID_PARAMETER_VALUE", "Invalid model version source"):
        client.create_model_version(name, "s3://b/../x")
    with refused("RESOURCE_DOES_NOT_EXIST", "not found"):
        client.get_model_version(name, 99)
    # Aliases move, and go with their version.
    client.set_registered_model_alias(name, "champion", 1)
    client.set_registered_model_alias(name, "champion", "2")
    client.set_registered_model_alias(name, "other", "2")
    client.set_registered_model_alias(name, "old", "1")
    same(client.get_registered_model(name).aliases, {"champion": "2", "other": "2", "old": "1"}, "the aliases")
    same((str(client.get_model_version_by_alias(name, "champion").version),
        sorted(client.get_model_version(name, 2).aliases)), ("2", ["champion", "other"]), "the champion")
    client.delete_registered_model_alias(name, "other")
    client.delete_registered_model_alias(name, "other")
    with refused("INVALID_PARAMETER_VALUE", "Registered model alias other not found"):
        client.get_model_version_by_alias(name, "other")
    for bad in ("latest", "v1", "a b"):
        with refused("INVALID_PARAMETER_VALUE"):
            client.set_registered_model_alias(name, bad, 1)
    # Stages.
    client.transition_model_version_stage(name, 1, "Production")
    client.transition_model_version_stage(name, 2, "production", archive_existing_versions=True)
    same([client.get_model_version(name, i).current_stage for i in (1, 2, 3)], ["Archived", "Production", "None"],
        "the stages")
    same({v.current_stage: str(v.version) for v in client.get_latest_versions(name)},
        {"Archived": "1", "Production": "2", "None": "3"}, "the latest of each stage")
    same([str(v.version) for v in client.get_latest_versions(name, ["Production"])], ["2"], "the latest in production")
    with refused("INVALID_PARAMETER_VALUE", "Invalid Model Version stage"):
        client.transition_model_version_stage(name, 1, "bogus")
    # Tags and texts.
    client.set_registered_model_tag(name, "a", "9")
    client.delete_registered_model_tag(name, "b c.d")
    client.delete_registered_model_tag(name, "b c.d")
    client.set_model_version_tag(name, "1", "x", "☃")
    client.delete_model_version_tag(name, "1", "i")
    same((client.get_registered_model(name).tags, client.get_model_version(name, 1).tags), ({"a": "9"}, {"x": "☃"}),
        "the tags")
    same(client.update_registered_model(name, "new").description, "new", "the model's text")
    same(client.update_model_version(name, 1, "newer").description, "newer", "the version's text")
    # Search.
    others = [own("reg-other") for _ in range(3)]
    for i, other in enumerate(others):
        client.create_registered_model(other, tags={"mark": others[0], "i": str(i)})
    mine = f"tags.mark = '{others[0]}'"
    found = lambda text, **more: [m.name for m in client.search_registered_models(text, **more)]
    same(found(mine), sorted(others), "by tag")
    same(found(f"{mine} AND tags.i = '1'"), [others[1]], "by two tags")
    same(found(mine, order_by=["name DESC"]), sorted(others, reverse=True), "by name, downwards")
    same(found(f"name LIKE '{name[:-1]}%'"), [name], "by the start of the name")
    same(found(f"name ILIKE '{name.upper()}'"), [name], "without case")
    page = client.search_registered_models(mine, max_results=2)
    same(([m.name for m in page], [m.name for m in client.search_registered_models(mine, max_results=2,
        page_token=page.token)]), (sorted(others)[:2], sorted(others)[2:]), "two pages")
    entry = client.search_registered_models(f"name = '{name}'")[0]
    same((entry.aliases, {str(v.version) for v in entry.latest_versions}),
        ({"champion": "2", "old": "1"}, {"1", "2", "3"}), "the model found")
    versions = lambda text, **more: [str(v.version) for v in client.search_model_versions(text, **more)]
    same(versions(f"name = '{name}'", order_by=["version_number ASC"]), ["1", "2", "3"], "the versions by number")
    same(versions(f"name = '{name}' AND version_number > 1", order_by=["version_number DESC"]), ["3", "2"],
        "the later versions")
    same(sorted(versions(f"run_id = '{run}'")), ["1", "2", "3"], "the versions of a run")
    same(versions(f"name = '{name}' AND tags.i = '3'"), ["3"], "the versions by tag")
    same(versions(f"name = '{name}' AND source_path LIKE '%model2'"), ["2"], "the versions by source")
    same(len(client.search_model_versions(f"name = '{name}'", max_results=2)), 2, "two of the versions")
    with refused("INVALID_PARAMETER_VALUE"):
        found("bogus = 'x'")
    with refused("INVALID_PARAMETER_VALUE"):
        versions("creation_timestamp > 0")
    # A copy.
    copied = own("reg-copy")
    copy = client.copy_model_version(f"models:/{name}@champion", copied)
    same((copy.name, str(copy.version), copy.run_id, copy.source), (copied, "1", run, f"models:/{name}/2"), "the copy")
    same(client.get_model_version_download_uri(copied, "1"), f"runs:/{run}/model2", "where the copy lies")
    # Delete, rename.
    client.delete_model_version(name, 2)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_model_version(name, 2)
    same(client.get_registered_model(name).aliases, {"old": "1"}, "the aliases that are left")
    same(str(client.create_model_version(name, "s3://bucket/x").version), "4", "a number is not used twice")
    renamed = own("reg-new")
    client.rename_registered_model(name, renamed)
    same(client.get_registered_model(renamed).name, renamed, "the new name")
    same((str(client.get_model_version_by_alias(renamed, "old").version), client.get_model_version(renamed, 1).tags),
        ("1", {"x": "☃"}), "what went along")
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_registered_model(name)
    with refused("RESOURCE_ALREADY_EXISTS"):
        client.rename_registered_model(renamed, others[0])
    client.delete_registered_model(renamed)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.get_registered_model(renamed)


@part
def autolog():
    _, _, features, kinds = iris()
    need("skops")
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    client, experiment = MlflowClient(), mlflow.set_experiment(own("autolog")).experiment_id
    mlflow.sklearn.autolog(max_tuning_runs=2, silent=True)
    try:
        with mlflow.start_run() as run:
            LogisticRegression(max_iter=300, C=0.5).fit(features, kinds)
        with mlflow.start_run() as tuned:
            GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
                {"logisticregression__C": [0.1, 1.0]}, cv=2).fit(features, kinds)
    finally:
        mlflow.sklearn.autolog(disable=True)
    found = client.get_run(run.info.run_id)
    same((found.data.params["C"], found.data.tags["estimator_name"], found.info.status),
        ("0.5", "LogisticRegression", "FINISHED"), "the run")
    assert found.data.metrics["training_accuracy_score"] > 0.9, found.data.metrics
    assert [d.dataset.name for d in found.inputs.dataset_inputs], "no dataset was logged"
    assert found.outputs.model_outputs, "no model was logged"
    model = mlflow.pyfunc.load_model(f"models:/{found.outputs.model_outputs[0].model_id}")
    same(len(model.predict(features)), 150, "predictions")
    children = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{tuned.info.run_id}'")
    same((len(children), client.get_run(tuned.info.run_id).data.params["best_logisticregression__C"] in ("0.1", "1.0")),
        (2, True), "the tuning")


@part
def datasets():
    client, experiment = MlflowClient(), mlflow.set_experiment(own("datasets")).experiment_id
    dataset = Dataset(name="bare", digest="d1", source_type="http", source="{\"url\": \"http://x\"}", schema="{}",
        profile="{\"rows\": 1}")
    first, second = (client.create_run(experiment).info.run_id for _ in range(2))
    client.log_inputs(first, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training"), InputTag("k", "v")])])
    client.log_inputs(first, [DatasetInput(dataset, [InputTag("k", "other")])])
    client.log_inputs(second, [DatasetInput(dataset, [InputTag("mlflow.data.context", "eval")]),
        DatasetInput(Dataset("two", "d2", "t", "s"))])
    inputs = client.get_run(first).inputs.dataset_inputs
    same([(i.dataset.name, i.dataset.digest, i.dataset.source_type, i.dataset.profile, {t.key: t.value for t in i.tags})
        for i in inputs], [("bare", "d1", "http", "{\"rows\": 1}", {"mlflow.data.context": "training", "k": "v"})],
        "the inputs")
    same(sorted(i.dataset.name for i in client.get_run(second).inputs.dataset_inputs), ["bare", "two"],
        "the other's inputs")
    found = lambda text: {r.info.run_id for r in client.search_runs([experiment], text)}
    same((found("datasets.name = 'bare'"), found("dataset.digest = 'd2'"), found("datasets.context = 'eval'"),
        found("datasets.name IN ('two', 'x')"), found("datasets.name LIKE 'b%'")),
        ({first, second}, {second}, {second}, {second}, {first, second}), "the runs found")
    numpy, pandas = need("numpy"), need("pandas")
    frame = mlflow.data.from_pandas(pandas.DataFrame({"a": [1, 2], "y": [0.5, 1.5]}), source="http://x/data.csv",
        name="frame", targets="y")
    matrix = mlflow.data.from_numpy(numpy.arange(6).reshape(3, 2), name="matrix")
    with mlflow.start_run() as run:
        mlflow.log_input(frame, context="training", tags={"more": "1"})
        mlflow.log_input(matrix)
    back = {i.dataset.name: i for i in client.get_run(run.info.run_id).inputs.dataset_inputs}
    same(set(back), {"frame", "matrix"}, "the datasets")
    same((json.loads(back["frame"].dataset.schema)["mlflow_colspec"][0]["name"],
        json.loads(back["frame"].dataset.profile)["num_rows"]), ("a", 2), "schema and profile")
    source = mlflow.data.get_source(back["frame"].dataset)
    same(source.url, "http://x/data.csv", "the source")


@part
def evaluation():
    _, _, features, kinds = iris()
    for module in ("skops", "matplotlib"):
        need(module)
    from sklearn.linear_model import LogisticRegression

    client, experiment = MlflowClient(), mlflow.set_experiment(own("evaluation")).experiment_id
    data = features.assign(label=(kinds > 0).astype(int))
    with mlflow.start_run() as run:
        info = mlflow.sklearn.log_model(LogisticRegression(max_iter=300).fit(features, data.label), name="model")
        dataset = mlflow.data.from_pandas(data, targets="label", name="eval")
        result = mlflow.models.evaluate(info.model_uri, dataset, model_type="classifier", evaluators="default",
            evaluator_config={"log_explainer": False, "log_model_explainability": False})
    assert result.metrics["accuracy_score"] > 0.9, result.metrics
    found = client.get_run(run.info.run_id)
    assert found.data.metrics["accuracy_score"] == result.metrics["accuracy_score"], found.data.metrics
    same([i.dataset.name for i in found.inputs.dataset_inputs], ["eval"], "the dataset")
    assert any(f.path.endswith(".png") for f in client.list_artifacts(run.info.run_id)), "no pictures"
    metrics = {m.key: m for m in client.get_logged_model(info.model_id).metrics}
    assert metrics["accuracy_score"].dataset_name == "eval", "the model does not have the metric with its dataset"
    same([m.model_id for m in client.search_logged_models([experiment], filter_string="metrics.accuracy_score > 0.9")],
        [info.model_id], "the model by its result")
    from mlflow.models import MetricThreshold

    mlflow.validate_evaluation_results({"accuracy_score": MetricThreshold(threshold=0.5, greater_is_better=True)},
        result)


@part
def traces():
    need("pandas")
    client, experiment = MlflowClient(), mlflow.set_experiment(own("traces")).experiment_id

    @mlflow.trace(name="answer", span_type="CHAIN", attributes={"k": "v"})
    def answer(question, fail=False):
        mlflow.update_current_trace(tags={"kind": question},
            metadata={"mlflow.trace.session": "s1", "mlflow.trace.user": "me"})
        with mlflow.start_span("retrieve", span_type="RETRIEVER") as span:
            span.set_inputs({"question": question})
            span.set_attribute("count", 3)
            span.add_event(mlflow.entities.SpanEvent("found", attributes={"n": 1}))
            span.set_outputs(["a", {"b": 1}])
        if fail:
            raise ValueError("no answer")
        return {"text": question.upper(), "scores": [0.5, None]}

    with mlflow.start_run() as run:
        answer("first")
        time.sleep(0.01)
        with contextlib.suppress(ValueError):
            answer("second", fail=True)
    time.sleep(0.01)
    answer("third")
    mlflow.flush_trace_async_logging()
    found = mlflow.search_traces(locations=[experiment], return_type="list")
    same([(t.info.tags["kind"], t.info.state.value) for t in found],
        [("third", "OK"), ("second", "ERROR"), ("first", "OK")], "the newest first")
    trace = mlflow.get_trace(found[2].info.trace_id)
    same([(s.name, s.span_type, s.parent_id is None) for s in trace.data.spans],
        [("answer", "CHAIN", True), ("retrieve", "RETRIEVER", False)], "the spans")
    root, inner = trace.data.spans
    same((root.inputs, root.outputs, root.attributes["k"]),
        ({"question": "first", "fail": False}, {"text": "FIRST", "scores": [0.5, None]}, "v"), "the root")
    same((inner.inputs, inner.outputs, inner.attributes["count"], inner.events[0].name, inner.parent_id),
        ({"question": "first"}, ["a", {"b": 1}], 3, "found", root.span_id), "the span within")
    assert root.end_time_ns >= inner.end_time_ns >= inner.start_time_ns >= root.start_time_ns, "the times"
    same((trace.info.trace_metadata["mlflow.trace.session"], trace.info.trace_metadata["mlflow.sourceRun"],
        trace.info.tags["mlflow.traceName"]), ("s1", run.info.run_id, "answer"), "the trace's data")
    failed = mlflow.get_trace(found[1].info.trace_id)
    same((failed.data.spans[0].status.status_code.value, [e.name for e in failed.data.spans[0].events]),
        ("ERROR", ["exception"]), "how it failed")
    search = lambda text, **more: [t.info.tags["kind"]
        for t in mlflow.search_traces(locations=[experiment], filter_string=text, return_type="list", **more)]
    for text, expected in (("status = 'ERROR'", ["second"]), ("tags.kind = 'first'", ["first"]),
            ("tags.kind != 'first'", ["third", "second"]), ("name = 'answer'", ["third", "second", "first"]),
            (f"run_id = '{run.info.run_id}'", ["second", "first"]),
            (f"timestamp >= {found[1].info.request_time}", ["third", "second"]),
            ("metadata.`mlflow.trace.session` = 's1'", ["third", "second", "first"]),
            ("execution_time < 600000 AND status = 'OK'", ["third", "first"]),
            ("tags.none IS NULL AND tags.kind LIKE 's%'", ["second"]),
            ("span.name = 'retrieve'", ["third", "second", "first"]), ("span.status = 'ERROR'", ["second"])):
        same(search(text), expected, text)
    same(search("status = 'OK'", order_by=["timestamp ASC"]), ["first", "third"], "by order of time")
    same(search(None, max_results=2), ["third", "second"], "two of them")
    same([t.info.tags["kind"] for t in mlflow.search_traces(run_id=run.info.run_id, locations=[experiment],
        return_type="list")], ["second", "first"], "those of the run")
    frame = mlflow.search_traces(locations=[experiment])
    same((len(frame), {"trace_id", "request", "response", "spans", "tags"} <= set(frame.columns)), (3, True),
        "as a frame")
    with refused("INVALID_PARAMETER_VALUE"):
        search("bogus.x = '1'")
    page = client.search_traces(locations=[experiment], max_results=2)
    rest = client.search_traces(locations=[experiment], max_results=2, page_token=page.token)
    same([t.info.tags["kind"] for t in page] + [t.info.tags["kind"] for t in rest], ["third", "second", "first"],
        "two pages")
    id = trace.info.trace_id
    mlflow.set_trace_tag(id, "extra", "1")
    same(mlflow.get_trace(id).info.tags["extra"], "1", "a tag")
    mlflow.delete_trace_tag(id, "extra")
    assert "extra" not in mlflow.get_trace(id).info.tags, "the tag is still there"
    with refused("RESOURCE_DOES_NOT_EXIST"):
        client.delete_trace_tag(id, "extra")
    same(mlflow.get_trace("tr-" + uuid.uuid4().hex), None, "a trace that is not there")
    # By hand, over threads of control.
    span = client.start_trace("by hand", inputs={"x": 1}, tags={"kind": "hand"}, experiment_id=experiment)
    child = client.start_span("child", span.trace_id, span.span_id, inputs=[1])
    client.end_span(child.trace_id, child.span_id, outputs=[2])
    client.end_trace(span.trace_id, outputs={"y": 2})
    mlflow.flush_trace_async_logging()
    same([s.name for s in mlflow.get_trace(span.trace_id).data.spans], ["by hand", "child"], "the trace by hand")
    client.link_traces_to_run([span.trace_id], run.info.run_id)
    same(set(search(f"run_id = '{run.info.run_id}'")), {"hand", "second", "first"}, "linked to the run")
    same(client.delete_traces(experiment, trace_ids=[span.trace_id]), 1, "deleted")
    same(client.delete_traces(experiment, max_timestamp_millis=int(time.time() * 1000) + 1000, max_traces=1), 1,
        "the oldest deleted")
    same(search(None), ["third", "second"], "what is left")


@part
def assessments():
    from mlflow.entities import AssessmentSource, AssessmentSourceType

    experiment = mlflow.set_experiment(own("assess")).experiment_id
    with mlflow.start_span("root") as span:
        span.set_inputs("q")
    mlflow.flush_trace_async_logging()
    id = span.trace_id
    person = AssessmentSource(AssessmentSourceType.HUMAN, "me@x")
    good = mlflow.log_feedback(trace_id=id, name="good", value=True, rationale="because", source=person,
        metadata={"m": "1"}, span_id=span.span_id)
    mlflow.log_feedback(trace_id=id, name="score", value=0.75,
        source=AssessmentSource(AssessmentSourceType.LLM_JUDGE, "gpt"))
    mlflow.log_feedback(trace_id=id, name="list", value=["a", "b"])
    mlflow.log_feedback(trace_id=id, name="failed", error=ValueError("no judge"))
    expected = mlflow.log_expectation(trace_id=id, name="answer", value={"text": "x", "n": [1, 2]}, source=person)
    mlflow.log_expectation(trace_id=id, name="number", value=5)
    back = {a.name: a for a in mlflow.get_trace(id).info.assessments}
    same(set(back), {"good", "score", "list", "failed", "answer", "number"}, "the assessments")
    same((back["good"].value, back["good"].rationale, back["good"].source.source_id, back["good"].metadata["m"],
        back["good"].span_id, back["good"].assessment_id),
        (True, "because", "me@x", "1", span.span_id, good.assessment_id), "a feedback")
    same((back["score"].value, back["list"].value, back["answer"].value, back["number"].value),
        (0.75, ["a", "b"], {"text": "x", "n": [1, 2]}, 5), "the values")
    assert back["failed"].error is not None and "no judge" in back["failed"].error.error_message, back["failed"]
    same(mlflow.get_assessment(id, good.assessment_id).value, True, "one by its id")
    from mlflow.entities import Expectation, Feedback

    updated = mlflow.update_assessment(id, good.assessment_id,
        Feedback(name="good", value=False, rationale="after all"))
    same((updated.value, updated.rationale, mlflow.get_assessment(id, good.assessment_id).value),
        (False, "after all", False), "changed")
    mlflow.update_assessment(id, expected.assessment_id, Expectation(name="answer", value="short"))
    same(mlflow.get_assessment(id, expected.assessment_id).value, "short", "an expectation changed")
    over = mlflow.override_feedback(trace_id=id, assessment_id=good.assessment_id, value=True, source=person)
    same((over.overrides, mlflow.get_assessment(id, good.assessment_id).valid), (good.assessment_id, False),
        "overridden")
    need("pandas")
    found = lambda text: len(mlflow.search_traces(locations=[experiment], filter_string=text, return_type="list"))
    same((found("feedback.good = 'true'"), found("feedback.good = 'false'"), found("feedback.score > 0.5"),
        found("expectation.number > 4"), found("feedback.none IS NOT NULL")), (1, 0, 1, 1, 0), "traces by assessment")
    mlflow.delete_assessment(id, over.assessment_id)
    same(mlflow.get_assessment(id, good.assessment_id).valid, True, "valid again")
    with refused("RESOURCE_DOES_NOT_EXIST"):
        mlflow.get_assessment(id, over.assessment_id)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        mlflow.log_feedback(trace_id="tr-" + uuid.uuid4().hex, name="x", value=1)


@part
def webhooks():
    client, name = MlflowClient(), own("hook")
    hooks = client
    if not hasattr(client, "create_webhook"):
        raise Skip("this client has no webhooks")
    try:
        hook = hooks.create_webhook(name=name, url="https://93.184.216.34/x",
            events=["registered_model.created", "model_version_alias.created"], description="about", secret="s",
            status="DISABLED")
    except MlflowException as error:
        if error.error_code in ("NOT_IMPLEMENTED", "ENDPOINT_NOT_FOUND"):
            raise Skip(str(error)) from error
        raise
    same((hook.name, hook.url, hook.description, str(hook.status), sorted(str(e) for e in hook.events)),
        (name, "https://93.184.216.34/x", "about", "DISABLED",
        ["model_version_alias.created", "registered_model.created"]), "the hook")
    same(hooks.get_webhook(hook.webhook_id).name, name, "the hook by its id")
    changed = hooks.update_webhook(hook.webhook_id, description="new", events=["prompt.created"])
    same((changed.description, [str(e) for e in changed.events],
        changed.last_updated_timestamp >= hook.last_updated_timestamp), ("new", ["prompt.created"], True),
        "the hook changed")
    assert hook.webhook_id in [h.webhook_id for h in hooks.list_webhooks(max_results=1000)], "not in the list"
    with refused("INVALID_PARAMETER_VALUE"):
        hooks.create_webhook(name="a b", url="https://93.184.216.34/x", events=["prompt.created"], status="DISABLED")
    hooks.delete_webhook(hook.webhook_id)
    with refused("RESOURCE_DOES_NOT_EXIST", "not found"):
        hooks.get_webhook(hook.webhook_id)


@part
def deliveries():
    """What a hook brings: one for each change, signed."""
    got = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((dict(self.headers), self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    client, name = MlflowClient(), own("delivered")
    url = f"http://127.0.0.1:{receiver.server_port}/hook"
    events = ["registered_model.created", "model_version.created", "model_version_tag.set", "model_version_tag.deleted",
        "model_version_alias.created", "model_version_alias.deleted"]
    try:
        hook = client.create_webhook(name=own("hook"), url=url, events=events, secret="secret")
    except MlflowException as error:
        raise Skip(f"the server sends nothing to this machine: {error}") from error
    try:
        result = client.test_webhook(hook.webhook_id, event="registered_model.created")
        same((result.success, result.response_status), (True, 200), "the test")
        same(json.loads(got.pop()[1])["entity"], "registered_model", "what the test sent")
        client.create_registered_model(name, tags={"a": "1"}, description="about")
        version = client.create_model_version(name, "s3://bucket/x", tags={"t": "1"}, description="v").version
        client.set_model_version_tag(name, version, "k", "v")
        client.delete_model_version_tag(name, version, "k")
        client.set_registered_model_alias(name, "champion", version)
        client.delete_registered_model_alias(name, "champion")
        client.set_registered_model_tag(name, "k", "v")
        for _ in range(100):
            if len(got) >= len(events):
                break
            time.sleep(0.1)
        bodies = {f"{body['entity']}.{body['action']}": body["data"] for body in (json.loads(text) for _, text in got)}
        version = str(version)
        same(bodies, {
            "registered_model.created": {"name": name, "tags": {"a": "1"}, "description": "about"},
            "model_version.created": {"name": name, "version": version, "source": "s3://bucket/x", "run_id": None,
                "tags": {"t": "1"}, "description": "v"},
            "model_version_tag.set": {"name": name, "version": version, "key": "k", "value": "v"},
            "model_version_tag.deleted": {"name": name, "version": version, "key": "k"},
            "model_version_alias.created": {"name": name, "alias": "champion", "version": version},
            "model_version_alias.deleted": {"name": name, "alias": "champion"}}, "what was delivered")
        for headers, text in got:
            headers = {key.lower(): value for key, value in headers.items()}
            id, stamp = headers["x-mlflow-delivery-id"], headers["x-mlflow-timestamp"]
            digest = hmac.new(b"secret", f"{id}.{stamp}.{text.decode()}".encode(), hashlib.sha256).digest()
            same(headers["x-mlflow-signature"], "v1," + base64.b64encode(digest).decode(), "the signature")
            assert abs(int(stamp) - time.time()) < 300 and headers["content-type"] == "application/json", headers
        same(len({headers["X-MLflow-Delivery-Id"] for headers, _ in got}), len(events), "ids of deliveries")
    finally:
        client.delete_webhook(hook.webhook_id)
        receiver.shutdown()


@part
def judged():
    """An evaluation of answers by scorers: a run, a trace an answer, and their assessments."""
    need("pandas")
    experiment = mlflow.set_experiment(own("judged")).experiment_id
    try:
        from mlflow.genai import scorer
    except ImportError as error:
        raise Skip(str(error)) from error

    @scorer
    def right(outputs, expectations):
        return outputs == expectations["answer"]

    @scorer
    def length(outputs):
        return len(outputs)

    data = [{"inputs": {"question": q}, "outputs": o, "expectations": {"answer": a}}
        for q, o, a in (("one", "1", "1"), ("two", "2", "2"), ("three", "4", "3"))]
    result = mlflow.genai.evaluate(data=data, scorers=[right, length])
    same({k: round(v, 3) for k, v in result.metrics.items()}, {"right/mean": 0.667, "length/mean": 1.0}, "the metrics")
    run = MlflowClient().get_run(result.run_id)
    same({k: round(v, 3) for k, v in run.data.metrics.items()}, {"right/mean": 0.667, "length/mean": 1.0}, "the run's")
    traces = mlflow.search_traces(locations=[experiment], run_id=result.run_id, return_type="list")
    same(len(traces), 3, "the run's traces")
    found = sorted((t.data.spans[0].inputs["question"], a.value) for t in traces for a in t.info.assessments
        if a.name == "right")
    same(found, [("one", True), ("three", False), ("two", True)], "what was judged")
    same(len(mlflow.search_traces(locations=[experiment], filter_string="feedback.right = 'false'",
        return_type="list")), 1, "the wrong answers")


@part
def evaluation_datasets():
    need("pandas")
    from mlflow.genai import datasets as sets

    experiment, name = mlflow.set_experiment(own("sets")).experiment_id, own("set")
    try:
        made = sets.create_dataset(name=name, experiment_id=experiment, tags={"k": "v"})
    except MlflowException as error:
        if error.error_code in ("NOT_IMPLEMENTED", "ENDPOINT_NOT_FOUND"):
            raise Skip(str(error)) from error
        raise
    made.merge_records([{"inputs": {"q": i}, "expectations": {"a": str(i)}, "tags": {"t": "1"}} for i in range(3)])
    made.merge_records([{"inputs": {"q": 0}, "expectations": {"a": "zero"}}])
    back = sets.get_dataset(dataset_id=made.dataset_id)
    same((back.name, back.tags["k"]), (name, "v"), "the set")
    records = {r["inputs"]["q"]: r["expectations"]["a"] for r in back.to_df().to_dict("records")}
    same(records, {0: "zero", 1: "1", 2: "2"}, "its records")
    same([d.name for d in sets.search_datasets(experiment_ids=[experiment], filter_string=f"name = '{name}'")], [name],
        "the set found")
    sets.set_dataset_tags(dataset_id=made.dataset_id, tags={"k": "w"})
    same(sets.get_dataset(dataset_id=made.dataset_id).tags["k"], "w", "the tag")
    sets.delete_dataset(dataset_id=made.dataset_id)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        sets.get_dataset(dataset_id=made.dataset_id)


@part
def prompts():
    client, name = MlflowClient(), own("prompt")
    first = mlflow.genai.register_prompt(name=name, template="Hello {{who}}!", commit_message="the first",
        tags={"author": "me"})
    second = mlflow.genai.register_prompt(name=name,
        template=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "{{question}}"}])
    same((first.version, second.version, first.template, first.variables), (1, 2, "Hello {{who}}!", {"who"}),
        "the prompts")
    loaded = mlflow.genai.load_prompt(f"prompts:/{name}/1")
    same((loaded.template, loaded.format(who="you"), loaded.commit_message, loaded.tags["author"]),
        ("Hello {{who}}!", "Hello you!", "the first", "me"), "the prompt")
    same(mlflow.genai.load_prompt(name, version=2).template[1]["content"], "{{question}}", "the prompt for a talk")
    mlflow.genai.set_prompt_alias(name, alias="prod", version=1)
    same(mlflow.genai.load_prompt(f"prompts:/{name}@prod", cache_ttl_seconds=0).version, 1, "the prompt by alias")
    mlflow.genai.set_prompt_alias(name, alias="prod", version=2)
    same(mlflow.genai.load_prompt(f"prompts:/{name}@prod", cache_ttl_seconds=0).version, 2, "the alias moved")
    mlflow.genai.set_prompt_version_tag(name, 1, "k", "v")
    same(mlflow.genai.load_prompt(name, version=1, cache_ttl_seconds=0).tags["k"], "v", "a version's tag")
    mlflow.genai.set_prompt_tag(name, "team", "x")
    same(mlflow.genai.get_prompt_tags(name)["team"], "x", "a prompt's tag")
    same([p.name for p in mlflow.genai.search_prompts(f"name = '{name}'")], [name], "the prompt found")
    same(client.search_registered_models(f"name = '{name}'"), [], "a prompt among the models")
    same(mlflow.genai.load_prompt(own("none"), version=1, allow_missing=True), None, "a prompt that is not there")
    mlflow.genai.delete_prompt_alias(name, "prod")
    with refused("RESOURCE_ALREADY_EXISTS"):
        client.create_registered_model(name)
    client.delete_prompt_version(name, "1")
    same(mlflow.genai.load_prompt(name, version=1, allow_missing=True, cache_ttl_seconds=0), None, "a version deleted")


@part
def cli():
    name = own("cli")

    runner, commands = need("click.testing").CliRunner(), need("mlflow.cli").cli

    def call(*arguments):
        """In this process: to start one takes seconds."""
        done = runner.invoke(commands, arguments)
        assert done.exit_code == 0, f"mlflow {' '.join(arguments)}: {done.output[-500:]} {done.exception!r}"
        return done.output

    alone = subprocess.run([sys.executable, "-m", "mlflow", "experiments", "create", "--experiment-name", name],
        capture_output=True, text=True, timeout=120, env={**os.environ,
        "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri()})
    assert alone.returncode == 0, f"mlflow experiments create: {alone.stderr[-500:]}"
    id = MlflowClient().get_experiment_by_name(name).experiment_id
    assert name in call("experiments", "search"), "mlflow experiments search"
    call("experiments", "rename", "--experiment-id", id, "--new-name", name + "x")
    run = MlflowClient().create_run(id, run_name="by cli").info.run_id
    assert run in call("runs", "list", "--experiment-id", id), "mlflow runs list"
    assert "by cli" in call("runs", "describe", "--run-id", run), "mlflow runs describe"
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "f.txt"), "w") as file:
            file.write("text")
        call("artifacts", "log-artifact", "--local-file", os.path.join(folder, "f.txt"), "--run-id", run,
            "--artifact-path", "a")
        call("artifacts", "log-artifacts", "--local-dir", folder, "--run-id", run, "--artifact-path", "all")
        assert "a/f.txt" in call("artifacts", "list", "--run-id", run, "--artifact-path", "a"), "mlflow artifacts list"
        call("artifacts", "download", "--run-id", run, "--artifact-path", "all", "--dst-path",
            os.path.join(folder, "back"))
        with open(os.path.join(folder, "back", "all", "f.txt")) as file:
            same(file.read(), "text", "the file downloaded")
    call("runs", "delete", "--run-id", run)
    same(MlflowClient().get_run(run).info.lifecycle_stage, "deleted", "the run's stage")
    call("runs", "restore", "--run-id", run)
    call("experiments", "delete", "--experiment-id", id)
    same(MlflowClient().get_experiment(id).lifecycle_stage, "deleted", "the experiment's stage")
    call("experiments", "restore", "--experiment-id", id)
    same((MlflowClient().get_experiment(id).name, MlflowClient().get_experiment(id).lifecycle_stage),
        (name + "x", "active"), "the experiment")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "runs.csv")
        need("pandas")
        call("experiments", "csv", "--experiment-id", id, "--filename", path)
        with open(path) as file:
            assert run in file.read(), "mlflow experiments csv"


# ---- Run ------------------------------------------------------------------------------------------------------------

def run_parts(chosen):
    wrong = 0
    for name in chosen:
        start = time.monotonic()
        try:
            with contextlib.redirect_stdout(sys.stderr):
                PARTS[name]()
            print(f"ok {name} ({time.monotonic() - start:.1f} s)", flush=True)
        except Skip as reason:
            print(f"skipped {name}: {reason}", flush=True)
        except Exception as error:
            wrong += 1
            here = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == __file__
                and f.name != "run_parts"]
            line = f" (line {here[0].lineno}: {(here[0].line or '')[:120]})" if here else ""
            text = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"WRONG {name}: {text[:700]}{line}", flush=True)
        finally:
            while mlflow.active_run():
                mlflow.end_run()
    return wrong


def main(arguments):
    arguments, chosen, url, binary = list(arguments), [], None, None
    while arguments:
        name = arguments.pop(0)
        if name == "--part":
            chosen.append(arguments.pop(0))
        elif name == "--url":
            url = arguments.pop(0)
        elif not name.startswith("--") and binary is None:
            binary = name
        else:
            raise SystemExit(__doc__)
    if (url is None) == (binary is None) or set(chosen) - set(PARTS):
        raise SystemExit(f"{__doc__}\n\nparts: {', '.join(PARTS)}")
    if url:
        mlflow.set_tracking_uri(url)
        return run_parts(chosen or PARTS)
    with tempfile.TemporaryDirectory() as data:
        command = [binary, "serve", "--data-dir", data]
        for address in ("--listen", "--otlp-grpc", "--otlp-http"):
            command += [address, "127.0.0.1:0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            mlflow.set_tracking_uri("http://" + json.loads(server.stdout.readline())["listen"])
            wrong = run_parts(chosen or PARTS)
        finally:
            server.terminate()
            assert server.wait(30) == 0, "the server did not exit with 0 on SIGTERM"
        return wrong


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
