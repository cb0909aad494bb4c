"""The airflow actuator against a real Apache Airflow 3.

usage: airflow_actuator.py ACTUATE [--keep FOLDER]

ACTUATE is the driver (`cargo build -p bellwether-act --example actuate`). Run with the Python of an environment that
has `apache-airflow` (no constraints file, about 324 MB). Starts an api-server, a scheduler and a DAG processor in a new
folder, with one DAG that ends well, one that fails and one that is paused; then asks the actuator what it can do, to
preview, to trigger (twice under one key), to say how the runs stand, and all that must be refused. Each part is reported:
`ok NAME` or `WRONG NAME: why`."""
import json, os, signal, socket, subprocess, sys, tempfile, time, traceback, urllib.error, urllib.request

DAGS = '''
from airflow.sdk import dag, task

@dag(schedule=None, is_paused_upon_creation={paused})
def {name}():
    @task
    def train(**context):
        conf = context["dag_run"].conf
        print("conf", conf)
        assert conf["rows"] == 500 and conf["model"] == "churn", conf
        assert {good}
    train()

{name}()
'''
PARTS, ADDRESS = {}, {}


def part(function):
    PARTS[function.__name__] = function
    return function


def same(found, wanted, what):
    assert found == wanted, f"{what}: {found!r}, expected {wanted!r}"


def settings(**more):
    said = {"kind": "airflow", "url": ADDRESS["url"], "dags": ["retrain", "breaks", "sleeps", "gone"],
        "username": "admin", "secret_env": "PASSWORD", "conf": {"rows": "{rows}", "model": "{model}"},
        "parameters": {"rows": {"type": "integer", "min": 1, "max": 1000}, "model": {"type": "choice", "one_of": ["churn"]}}}
    return {**said, **more}


def do(what, environment={}, **more):
    """What the actuator says."""
    asked = {"egress": {"allow": [f"127.0.0.1:{ADDRESS['port']}"]}, "actuator": settings(), "do": what, **more}
    environment = {"PASSWORD": ADDRESS["password"], **environment}
    ran = subprocess.run([ADDRESS["actuate"]], input=json.dumps(asked), capture_output=True, text=True, env=environment, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def step(dag, rows=500, model="churn"):
    return {"action": "trigger", "target": dag, "parameters": {"rows": rows, "model": model}}


def ask(method, path, body=None, token=None):
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
    data = json.dumps(body).encode() if body is not None else None
    with urllib.request.urlopen(urllib.request.Request(ADDRESS["url"] + path, data, headers, method=method), timeout=60) as answer:
        return json.loads(answer.read())


def token():
    return ask("POST", "/auth/token", {"username": "admin", "password": ADDRESS["password"]})["access_token"]


def ends(handle, seconds=240):
    """How the run ends."""
    until, seen = time.monotonic() + seconds, None
    while time.monotonic() < until:
        seen = do("state", handle=handle)
        if seen in ("success", "failed"):
            return seen
        same(seen, "running", "the state")
        time.sleep(2)
    raise AssertionError(f"the run does not end: {seen}")


@part
def says_what_it_can_do():
    same(do("targets"), ["breaks", "gone", "retrain", "sleeps"], "targets")
    registration, = do("registrations")
    same((registration["action"], registration["idempotent"], registration["reversible"]), ("trigger", True, False), "registration")


@part
def preview_changes_nothing():
    preview = do("dry_run", step=step("retrain"))
    same(preview, {"asked": True, "does": ['trigger a run bellwether__KEY of the DAG retrain with conf {"model":"churn","rows":500}']}, "preview")
    same(ask("GET", "/api/v2/dags/retrain/dagRuns", token=token())["total_entries"], 0, "runs after a preview")


@part
def a_run_ends_well_and_is_one():
    first = do("carry_out", step=step("retrain"), key="key-0000-1")
    same((first["end"], first["handle"]), ("done", "retrain/bellwether__key-0000-1"), str(first))
    again = do("carry_out", step=step("retrain"), key="key-0000-1")
    same((again["end"], again["text"], again["handle"]), ("done", "the run was triggered before", first["handle"]), str(again))
    same(ends(first["handle"]), "success", "the run")
    runs = ask("GET", "/api/v2/dags/retrain/dagRuns", token=token())
    same(runs["total_entries"], 1, "runs after two calls under one key")
    run, = runs["dag_runs"]
    same((run["conf"], run["note"], run["triggered_by"]), ({"rows": 500, "model": "churn"}, "triggered by Bellwether", "rest_api"), "the run")


@part
def a_run_that_fails_is_failed():
    outcome = do("carry_out", step=step("breaks"), key="key-0000-2")
    same(outcome["end"], "done", str(outcome))
    same(ends(outcome["handle"]), "failed", "the run")


@part
def a_paused_dag():
    refused = do("carry_out", step=step("sleeps"), key="key-0000-3")
    assert refused["end"] == "refused" and "paused" in refused["text"], refused
    preview = do("dry_run", step=step("sleeps"), actuator=settings(unpause=True))
    same(preview["does"][0], "unpause the DAG sleeps", "preview")
    same(ask("GET", "/api/v2/dags/sleeps", token=token())["is_paused"], True, "paused after a preview")
    outcome = do("carry_out", step=step("sleeps"), key="key-0000-3", actuator=settings(unpause=True))
    same(outcome["end"], "done", str(outcome))
    same(ends(outcome["handle"]), "success", "the run")


@part
def a_token_that_is_given():
    outcome = do("carry_out", {"TOKEN": token()}, step=step("retrain"), key="key-0000-4", actuator=settings(username=None, secret_env="TOKEN"))
    same(outcome["end"], "done", str(outcome))
    outcome = do("carry_out", {"TOKEN": "not.a.token"}, step=step("retrain"), key="key-0000-5", actuator=settings(username=None, secret_env="TOKEN"))
    same(outcome["end"], "refused", str(outcome))


@part
def what_must_be_refused():
    for says, more in [
        ("HTTP 401", {"environment": {"PASSWORD": "wrong"}}),
        ("HTTP 404", {"step": step("gone")}),
        ("inventory", {"step": step("other")}),
        ("inventory", {"step": step("../retrain")}),
        ("1..=1000", {"step": step("retrain", rows=1001)}),
        ("one of churn", {"step": step("retrain", model="x; rm -rf /")}),
        ("egress.allow", {"egress": {}}),
    ]:
        outcome = do("carry_out", **{"step": step("retrain"), "key": "key-0000-6", **more})
        assert outcome["end"] == "refused" and says in outcome["text"], f"{more}: {outcome}"
    for handle in ["retrain/manual__1", "retrain/bellwether__../x", "other/bellwether__key-0000-1", "retrain"]:
        same(do("state", handle=handle)["end"], "refused", handle)
    lost = do("state", handle="retrain/bellwether__key-9999-9")
    assert lost["end"] == "refused" and "404" in lost["text"], lost


@part
def nobody_answers():
    outcome = do("carry_out", step=step("retrain"), key="key-0000-7", egress={"allow": ["127.0.0.1:1"]}, actuator=settings(url="http://127.0.0.1:1"))
    same(outcome["end"], "failed", str(outcome))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(folder):
    """Starts Airflow and waits until it is healthy and has read the DAGs."""
    os.makedirs(f"{folder}/dags", exist_ok=True)
    for name, paused, good in [("retrain", False, True), ("breaks", False, False), ("sleeps", True, True)]:
        with open(f"{folder}/dags/{name}.py", "w") as file:
            file.write(DAGS.format(name=name, paused=paused, good=good))
    ADDRESS["port"] = free_port()
    ADDRESS["url"] = f"http://127.0.0.1:{ADDRESS['port']}"
    ADDRESS["password"] = "correct-horse-battery"
    with open(f"{folder}/passwords.json", "w") as file:
        json.dump({"admin": ADDRESS["password"]}, file)
    options = {"CORE__LOAD_EXAMPLES": "False", "CORE__DAGS_FOLDER": f"{folder}/dags", "CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": f"{folder}/passwords.json", "CORE__PARALLELISM": "2", "API__WORKERS": "1",
        "CORE__EXECUTION_API_SERVER_URL": f"{ADDRESS['url']}/execution/", "API__PORT": str(ADDRESS["port"]), "API__HOST": "127.0.0.1",
        "API_AUTH__JWT_SECRET": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "DAG_PROCESSOR__REFRESH_INTERVAL": "5"}
    environment = {**os.environ, "AIRFLOW_HOME": folder, "NO_PROXY": "127.0.0.1", **{f"AIRFLOW__{name}": value for name, value in options.items()},
        "PATH": os.path.dirname(sys.executable) + ":" + os.environ["PATH"]}
    log = open(f"{folder}/log", "w")
    subprocess.run(["airflow", "db", "migrate"], env=environment, stdout=log, stderr=log, check=True, timeout=300)
    running = [subprocess.Popen(["airflow", *command], env=environment, stdout=log, stderr=log, start_new_session=True)
        for command in [["api-server"], ["scheduler"], ["dag-processor"]]]
    until = time.monotonic() + 400
    while time.monotonic() < until:
        try:
            health = ask("GET", "/api/v2/monitor/health")
            dags = ask("GET", "/api/v2/dags?exclude_stale=true", token=token())["total_entries"]
            if health["scheduler"]["status"] == "healthy" and dags == 3:
                return running
        except (OSError, KeyError):
            pass
        time.sleep(2)
    stop(running)
    raise SystemExit(f"Airflow does not become healthy, see {folder}/log")


def stop(running):
    for process in running:
        os.killpg(process.pid, signal.SIGTERM)
    for process in running:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def main():
    arguments = sys.argv[1:]
    if not arguments:
        raise SystemExit(__doc__)
    ADDRESS["actuate"] = os.path.abspath(arguments[0])
    kept = arguments[arguments.index("--keep") + 1] if "--keep" in arguments else None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        begun = time.monotonic()
        running = start(kept or folder)
        print(f"Airflow is healthy after {time.monotonic() - begun:.0f} s", flush=True)
        wrong = 0
        try:
            for name, function in PARTS.items():
                try:
                    function()
                    print("ok", name, flush=True)
                except Exception as error:
                    wrong += 1
                    print(f"WRONG {name}: {error}", flush=True)
                    if not isinstance(error, AssertionError):
                        traceback.print_exc()
        finally:
            stop(running)
    sys.exit(1 if wrong else 0)


main()
