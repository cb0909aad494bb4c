"""The same HTTP requests to a real MLflow server and to Bellwether, and what the answers differ in.

usage: mlflow_diff.py [BELLWETHER_BINARY] [--base URL] [--other URL] [--part NAME]... [--limit N] [--list]

Runs with a Python that has all of MLflow: it starts `mlflow server` on a fresh SQLite file, unless `--base` names one that
runs, and Bellwether's binary, unless `--other` names a server. With neither a binary nor `--other` a second MLflow is
started: the differences must then be none. Both servers must be empty at the start: numbers of experiments are compared.
`--part` runs only that part, `--limit` prints at most so many differences (all are counted), `--list` prints each request.

Ids, times, random names and places are masked before the comparison. Lists keep their order where MLflow defines it. What
may differ is in ACCEPTED, each with its reason."""
import base64, http.client, json, os, re, signal, socket, subprocess, sys, tempfile, time, urllib.parse

A2, A3, FILES = "/api/2.0/mlflow/", "/api/3.0/mlflow/", "/api/2.0/mlflow-artifacts/"
JSON = {"content-type": "application/json"}


# ---- Requests -------------------------------------------------------------------------------------------------------

class Request:
    """One request of the corpus; `${name}` in path, query, body and headers becomes what that server gave for the name."""

    def __init__(self, method, path, body=None, query=None, raw=None, headers=None, keep=None,
            loose=False):
        self.method, self.path, self.body, self.query, self.raw = method, path if path.startswith(
            "/") else A2 + path, body, query, raw
        self.headers, self.keep, self.loose = headers, keep or {}, loose

    def shown(self):
        text = f"{self.method} {self.path}"
        if self.query:
            text += "?" + urllib.parse.urlencode(self.query, doseq=True)
        payload = self.raw if self.raw is not None else (json.dumps(self.body) if self.body is not None else "")
        payload = payload if isinstance(payload, str) else repr(payload)
        payload = payload if len(payload) < 400 else f"{payload[:300]}… ({len(payload)} characters)"
        return f"{text} {payload}" + (f" {self.headers}" if self.headers else "")


class Server:
    def __init__(self, name, url):
        self.name, self.values, self.experiments = name, {}, {}
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname, parts.port

    def fill(self, thing):
        if isinstance(thing, str):
            return re.sub(r"\$\{(\w+)\}", lambda m: str(self.values.get(m[1], f"missing-{m[1]}")), thing)
        if isinstance(thing, dict):
            return {self.fill(k): self.fill(v) for k, v in thing.items()}
        if isinstance(thing, (list, tuple)):
            return [self.fill(v) for v in thing]
        return thing

    def send(self, request):
        path = self.fill(request.path)
        if request.query is not None:
            path += "?" + urllib.parse.urlencode(self.fill(request.query), doseq=True)
        headers = {} if request.body is None else dict(JSON)
        headers.update(self.fill(request.headers or {}))
        if request.raw is not None:
            body = self.fill(request.raw).encode() if isinstance(request.raw, str) else request.raw
        else:
            body = None if request.body is None else json.dumps(self.fill(request.body)).encode()
        for attempt in (1, 2):
            connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
            try:
                connection.request(request.method, path, body, headers)
                response = connection.getresponse()
                answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
                break
            except OSError:
                if attempt == 2:
                    raise
            finally:
                connection.close()
        for name, where in request.keep.items():
            value = answer.json
            try:
                for step in where:
                    value = value[step]
            except (KeyError, IndexError, TypeError):
                value = f"missing-{name}"
            self.values[name] = value
            if where[-1] == "experiment_id":
                self.experiments[str(value)] = name
        return answer


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.type = headers.get("content-type", "")
        try:
            self.json = json.loads(body) if "json" in self.type else None
        except ValueError:
            self.json = None


# ---- Masks ----------------------------------------------------------------------------------------------------------

TIMES = {"creation_timestamp", "last_updated_timestamp", "creation_time", "last_update_time", "creation_timestamp_ms",
         "last_updated_timestamp_ms", "create_time"}
CREATED = {"creation_timestamp", "creation_time", "creation_timestamp_ms", "create_time"}
# Lists whose order MLflow leaves to its database.
UNORDERED = {"tags", "params", "aliases", "latest_versions", "dataset_inputs", "model_inputs", "model_outputs",
    "assessments", "attributes", "events", "values"}
NOW = (time.time() - 86400 * 2) * 1000
DATABASE = re.compile(r"\(sqlite3\.|sqlalche\.me|SqlLoggedModel")
SET = re.compile(r"\{('[^'{}]*'(?:, '[^'{}]*')*)\}")


def is_now(value):
    if isinstance(value, str):
        return re.match(r"20\d\d-\d\d-\d\dT", value) is not None and value[:13] >= time.strftime("%Y-%m-%dT%H",
            time.gmtime(NOW / 1000))
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > NOW


class Mask:
    def __init__(self, server, request):
        self.unordered = UNORDERED if "get-history" in request.path else UNORDERED | {"metrics"}
        self.names = {str(v): k for k, v in server.values.items() if isinstance(v, str) and len(v) >= 12}
        self.ids = re.compile("|".join(re.escape(v) for v in sorted(self.names, key=len, reverse=True)) or r"(?!)")
        self.experiments, self.port = server.experiments, server.port

    def experiment(self, number, unknown=None):
        """A number's name; that of an experiment which was not kept is its server's own affair."""
        if number in self.experiments:
            return f"<{self.experiments[number]}>"
        return unknown if unknown and number.isdigit() and number not in ("0", "99999") else number

    def text(self, text, key=""):
        if key in ("experiment_id", "experiment_ids"):
            return self.experiment(text, "<experiment>")
        if key == "artifact_location" and text.startswith("/"):
            return "<where the server runs>/" + text.rsplit("/", 1)[1]
        if key == "next_page_token":
            try:
                token = json.loads(base64.b64decode(text))
                return self.value(token) if isinstance(token, dict) else text
            except ValueError:
                return text
        text = self.ids.sub(lambda m: f"<{self.names[m[0]]}>", text)
        text = re.sub(r"^(mlflow-artifacts:/)(\d+)(?=/|$)", lambda m: m[1] + self.experiment(m[2], "<experiment>"),
            text)
        text = re.sub(r"(mlflow-artifacts:/|id=|[Ee]xperiment |with id |^|')(\d+)(?=[/ '.]|$)",
            lambda m: m[1] + self.experiment(m[2]) if m[1] not in ("", "'") or text[m.end():m.end() + 1] == "/"
            else m[0], text)
        text = re.sub(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<uuid>", text)
        text = re.sub(r"\b(m-|a-|tr-|)[0-9a-f]{32}\b", r"\1<hex>", text)
        text = re.sub(r"^[a-z]+-[a-z]+-\d{1,4}$", "<random name>", text)
        text = SET.sub(lambda m: "{" + ", ".join(sorted(m[1].split(", "))) + "}", text)
        return text.replace(f":{self.port}", ":<port>")

    def value(self, value, key="", parent=None):
        if isinstance(value, dict):
            return {self.text(k): self.value(v, k, value) for k, v in value.items()}
        if isinstance(value, list):
            masked = [self.value(v, key) for v in value]
            if key in self.unordered:
                masked.sort(key=lambda v: json.dumps(v, sort_keys=True))
            return masked
        if (key in TIMES or key == "request_time") and is_now(value):
            created = next((parent[c] for c in CREATED if parent and c in parent), None)
            return "<time>" if key in CREATED or key == "request_time" else ("<created>" if value == created
                else "<later>")
        return self.text(value, key) if isinstance(value, str) else value

    def answer(self, answer):
        seen = {"status": answer.status, "content-type": answer.type}
        if "content-disposition" in answer.headers:
            seen["content-disposition"] = answer.headers["content-disposition"]
        if "allow" in answer.headers:
            seen["allow"] = sorted(method.strip() for method in answer.headers["allow"].split(","))
        if answer.json is not None:
            seen["json"] = self.value(answer.json)
        else:
            seen["body"] = self.text(answer.body.decode("utf-8", "backslashreplace"))
        return seen


# ---- Comparison -----------------------------------------------------------------------------------------------------

def differences(base, other, path=""):
    if isinstance(base, dict) and isinstance(other, dict):
        found = []
        for key in {**base, **other}:
            where = f"{path}.{key}" if path else key
            if key not in other:
                found.append(f"{where}: {short(base[key])} → absent")
            elif key not in base:
                found.append(f"{where}: absent → {short(other[key])}")
            else:
                found += differences(base[key], other[key], where)
        return found
    if isinstance(base, list) and isinstance(other, list):
        found = [] if len(base) == len(other) else [f"{path}: {len(base)} elements → {len(other)}"]
        for i, (b, o) in enumerate(zip(base, other)):
            found += differences(b, o, f"{path}[{i}]")
        return found
    return [] if base == other and isinstance(base, str) == isinstance(other,
        str) else [f"{path}: {short(base)} → {short(other)}"]


def short(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 260 else text[:240] + "…"


def crashed(base, other, _):
    return (base["status"] == 500 and "json" not in base and other["status"] in (400, 404, 501)
        and "error_code" in other.get("json", {}))


def database_text(base, other, _):
    b, o = base.get("json"), other.get("json")
    if not (isinstance(b, dict) and isinstance(o, dict) and DATABASE.search(str(b.get("message", "")))):
        return False
    if b["error_code"] == "BAD_REQUEST" and o.get("error_code") == "INVALID_PARAMETER_VALUE":
        return other["status"] == 400
    same = base["status"] == other["status"] and b["error_code"] == o.get("error_code")
    return same or base["status"] == 500 and other["status"] == 400


def inner_error(base, other, _):
    b, o = base.get("json"), other.get("json")
    return (isinstance(b, dict) and isinstance(o, dict) and base["status"] == 500 and other["status"] == 400
        and b.get("error_code") in ("INTERNAL_ERROR", "INVALID_STATE") and b.get("message") == o.get("message"))


def plain_crash(base, other, _):
    return base["status"] == 500 and base["content-type"].startswith("text/plain") and other["status"] in (400, 409)


def page(base, other, _):
    return base["status"] == other["status"] and base["status"] in (404, 405) and "json" not in base


def stricter(base, other, request):
    return (request.loose and base["status"] == 200 and other["status"] == 400
        and (other.get("json") or {}).get("error_code") == "INVALID_PARAMETER_VALUE")


def not_there(base, other, _):
    return other["status"] == 501 and (other.get("json") or {}).get("error_code") == "NOT_IMPLEMENTED"


def offers(base, other, request):
    return request.path.endswith("/server-info") and base["status"] == other["status"] == 200 and set(
        base["json"]) == set(other["json"])


# What may differ: name, reason, and a test on the two masked answers and the request.
ACCEPTED = [
    ("crash", "MLflow answers 500 with a page (its handler raised): an error that names what is wrong is better, and "
        "clients retry a 500", crashed),
    ("database text", "the message is the text of an SQL driver's error: the status must be the same, and the code or "
        "INVALID_PARAMETER_VALUE for BAD_REQUEST", database_text),
    ("inner error", "a wrong request that MLflow calls an inner error, which clients retry: the same message as a 400",
        inner_error),
    ("upload crash", "an upload over a folder ends in MLflow with 500 as plain text", plain_crash),
    ("page", "MLflow's web framework answers a wrong path or method with a page: the status must be the same", page),
    ("stricter", "a parameter of a wrong type, where MLflow drops it and all that follows it in silence, is refused",
        stricter),
    ("not there", "Bellwether says that it does not have this", not_there),
    ("offers", "what the server can do differs", offers),
]


def accepted(base, other, request):
    return next((name for name, _, test in ACCEPTED if test(base, other, request)), None)


# ---- Corpus ---------------------------------------------------------------------------------------------------------

PARTS = {}


def part(function):
    PARTS[function.__name__] = function
    return function


def post(path, body=None, **more):
    return Request("POST", path, {} if body is None and "raw" not in more else body, **more)


def get(path, query=None, **more):
    return Request("GET", path, query=query, **more)


def patch(path, body, **more):
    return Request("PATCH", path, body, **more)


def delete(path, body=None, **more):
    return Request("DELETE", path, body, **more)


COUNT = [0]
WRONG = [None, "", 5, -1, 1.5, True, [], {}, ["x"], [5], {"x": 1}, "word", "ünï ☃/..:%\n\"'", "x" * 300]


def fresh(body):
    """Each `#` becomes a number of its own, so that names do not clash."""
    COUNT[0] += 1
    return json.loads(json.dumps(body).replace("#", str(COUNT[0])))


def abuse(method, path, good, wrong=WRONG, methods=True):
    """A good body, then each of its parameters missing and wrong in turn, then what is no right body at all."""
    yield Request(method, path, fresh(good))
    for key in good:
        yield Request(method, path, fresh({k: v for k, v in good.items() if k != key}))
        for value in wrong:
            yield Request(method, path, fresh({**good, key: value}), loose=True)
    yield Request(method, path, fresh({**good, "unknown": {"a": [1]}}))
    yield Request(method, path, {})
    for raw in ("", "null", "{", "[1]", "7", json.dumps(json.dumps(fresh(good))), '"text"'):
        yield Request(method, path, raw=raw, headers=JSON)
    yield Request(method, path, raw=json.dumps(fresh(good)))
    yield Request(method, path, raw=json.dumps(fresh(good)), headers={"content-type": "text/plain"})
    yield Request(method, path, raw=json.dumps(fresh(good)),
        headers={"content-type": "application/json; charset=utf-8"})
    yield Request(method, path, raw=json.dumps(fresh(good)),
        headers={"content-type": "application/x-www-form-urlencoded"})
    if methods:
        for other in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if other != method:
                yield Request(other, path, raw="{}", headers=JSON)
        yield Request(method, path + "/", fresh(good))


def abuse_query(path, good, wrong=("", "word", "0", "-1", "1.5", "true", "ünï ☃/..:%\n\"'", "x" * 300), methods=True):
    yield get(path, good)
    for key in good:
        yield get(path, {k: v for k, v in good.items() if k != key} or None)
        for value in wrong:
            yield get(path, {**good, key: value})
        yield get(path, {**good, key: [good[key], "other"]})
    yield get(path, {**good, "unknown": "1"})
    yield get(path)
    yield Request("GET", path, good)
    if methods:
        for other in ("POST", "PUT", "PATCH", "DELETE"):
            yield Request(other, path, raw="{}", headers=JSON)


def token(value):
    return base64.b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).decode()


TOKENS = ["abc", "*", token(b"abc"), token({}), token({"offset": 0}), token({"offset": "x"}), token({"offset": 1}),
    token({"offset": "1"}), token({"offset": -1}), token({"offset": 10 ** 6}), token([1])]


@part
def service():
    for path in ("/version", "/health", "/api/3.0/mlflow/server-info", "/ajax-api/3.0/mlflow/server-info"):
        yield get(path)
        yield Request("HEAD", path)
    for path in ("/api/2.0/mlflow/nope", "/api/2.0/nope", "/api/1.0/mlflow/runs/get", "/api/3.0/mlflow/runs/get",
            "/ajax-api/2.0/mlflow/nope", "/api/2.0/mlflow", "/api/2.0/mlflow/", "/api/2.0/mlflow/experiments",
            "/api/2.0/mlflow//experiments/get", "/api/2.0/mlflow/Experiments/get"):
        yield get(path)
        yield post(path, {})
    yield get("/ajax-api/2.0/mlflow/experiments/get", {"experiment_id": "0"})
    yield Request("OPTIONS", "experiments/create")
    evil = {"host": "evil.example", "origin": "http://evil.example"}
    yield get("experiments/get", {"experiment_id": "0"}, headers={"host": evil["host"]})
    yield get("/version", headers={"host": evil["host"]})
    yield post("experiments/create", {"name": "evil"}, headers={"origin": evil["origin"]})
    yield get("experiments/get", {"experiment_id": "0"}, headers={"origin": evil["origin"]})
    yield get("/get-artifact")
    yield get("/get-artifact", {"run_id": "nope", "path": "a"})
    yield get("/model-versions/get-artifact", {"name": "nope", "version": "1", "path": "a"})
    yield get("unified-traces")
    yield get("get-online-trace-details")


@part
def experiments():
    yield post("experiments/create", {"name": "e-one", "tags": [{"key": "a", "value": "1"}, {"key": "b", "value": ""}]},
        keep={"one": ["experiment_id"]})
    yield get("experiments/get", {"experiment_id": "${one}"})
    yield get("experiments/get", {"experiment_id": "0"})
    yield get("experiments/get-by-name", {"experiment_name": "e-one"})
    yield get("experiments/get-by-name", {"experiment_name": "e-none"})
    yield post("experiments/create", {"name": "e-one"})
    for name in ("e sp ace", "e/sl:ash", "e-ünï ☃", "e'quote\"", "x" * 500, "x" * 501, " ", "e\nline", "e%41"):
        yield post("experiments/create", {"name": name})
        yield get("experiments/get-by-name", {"experiment_name": name})
    for place in ("s3://bucket/x", "s3://bucket/a/../b", "s3://bucket/x?a=..", "s3://bucket/x#f", "runs:/a/b",
            "mlflow-artifacts:/x/y", "x" * 2100, "s3://b/" + "y" * 2041):
        yield post("experiments/create", fresh({"name": "e-place-#", "artifact_location": place}),
            keep={"place": ["experiment_id"]})
        yield get("experiments/get", {"experiment_id": "${place}"})
    for tags in ([{"key": "../a", "value": "1"}], [{"key": "a@", "value": "1"}], [{"key": "k" * 251, "value": "1"}],
            [{"key": "k", "value": "v" * 20001}], [{"key": "k", "value": "v" * 20000}],
            [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}], [{"value": "1"}], [{"key": "a"}], [{}], [None],
            ["x"], [{"key": "a", "value": 5}], {"key": "a"}):
        yield post("experiments/create", fresh({"name": "e-tags-#", "tags": tags}), keep={"tagged": ["experiment_id"]})
        yield get("experiments/get", {"experiment_id": "${tagged}"})
    yield from abuse("POST", "experiments/create",
        {"name": "e-abuse-#", "artifact_location": "s3://b/#", "tags": [{"key": "a", "value": "1"}]})
    yield from abuse_query("experiments/get", {"experiment_id": "${one}"})
    yield from abuse_query("experiments/get-by-name", {"experiment_name": "e-one"})
    for key, value in (("a", "2"), ("c", "3"), ("a@", "1"), ("../x", "1"), ("x/../y", "1"), ("/x", "1"), ("x//y", "1"),
            (".", "1"), ("k" * 250, "1"), ("k" * 251, "1"), ("long", "v" * 20001), ("ü:- /_.", "☃")):
        yield post("experiments/set-experiment-tag", {"experiment_id": "${one}", "key": key, "value": value})
    yield get("experiments/get", {"experiment_id": "${one}"})
    yield from abuse("POST", "experiments/set-experiment-tag", {"experiment_id": "${one}", "key": "k", "value": "v"})
    yield from abuse("POST", "experiments/delete-experiment-tag", {"experiment_id": "${one}", "key": "k"})
    yield get("experiments/get", {"experiment_id": "${one}"})
    yield post("experiments/update", {"experiment_id": "${one}", "new_name": "e-renamed"})
    yield post("experiments/update", {"experiment_id": "${one}", "new_name": "Default"})
    yield from abuse("POST", "experiments/update", {"experiment_id": "${one}", "new_name": "e-new-#"})
    yield get("experiments/get", {"experiment_id": "${one}"})
    # What a deletion does to the runs.
    yield post("experiments/create", {"name": "e-gone"}, keep={"gone": ["experiment_id"]})
    for i in (1, 2):
        yield post("runs/create", {"experiment_id": "${gone}", "start_time": i},
            keep={f"gone_run{i}": ["run", "info", "run_id"]})
    yield post("runs/delete", {"run_id": "${gone_run1}"})
    yield post("experiments/delete", {"experiment_id": "${gone}"})
    yield post("experiments/delete", {"experiment_id": "${gone}"})
    yield get("experiments/get", {"experiment_id": "${gone}"})
    yield get("experiments/get-by-name", {"experiment_name": "e-gone"})
    yield get("runs/get", {"run_id": "${gone_run2}"})
    yield post("experiments/create", {"name": "e-gone"})
    yield post("experiments/update", {"experiment_id": "${gone}", "new_name": "e-other"})
    yield post("experiments/set-experiment-tag", {"experiment_id": "${gone}", "key": "a", "value": "1"})
    yield post("experiments/delete-experiment-tag", {"experiment_id": "${gone}", "key": "a"})
    yield post("runs/create", {"experiment_id": "${gone}"})
    yield post("logged-models", {"experiment_id": "${gone}"})
    for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL"):
        yield post("runs/search", {"experiment_ids": ["${gone}"], "run_view_type": view})
    yield post("experiments/restore", {"experiment_id": "${gone}"})
    yield post("experiments/restore", {"experiment_id": "${gone}"})
    yield post("runs/search", {"experiment_ids": ["${gone}"]})
    yield get("experiments/get", {"experiment_id": "${gone}"})
    yield from abuse("POST", "experiments/delete", {"experiment_id": "${gone}"})
    yield from abuse("POST", "experiments/restore", {"experiment_id": "${gone}"})


@part
def experiment_search():
    for i, name in enumerate(("s-alpha", "s-Beta", "s-gamma", "s-delta")):
        yield post("experiments/create", {"name": name,
            "tags": [{"key": "team", "value": "x" if i % 2 else "y"}, {"key": f"only.{i}", "value": str(i)}]},
            keep={f"s{i}": ["experiment_id"]})
    yield post("experiments/delete", {"experiment_id": "${s3}"})
    mine = "name LIKE 's-%'"
    for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL", "BOGUS", 1, 2, 3, 9, "2", None):
        yield post("experiments/search", {"view_type": view, "max_results": 100, "filter": mine})
        if view is not None:
            yield get("experiments/search", {"view_type": view, "max_results": 100, "filter": mine})
    for number in (1, 2, "3", 0, -1, 50000, 50001, 1.5, "x", True, [], 2 ** 31, None):
        yield post("experiments/search", {"max_results": number, "filter": mine})
    yield get("experiments/search")
    yield post("experiments/search", {})
    for text in ("name = 's-alpha'", "name != 's-alpha' AND name LIKE 's-%'", "name LIKE 's-B%'", "name LIKE 's-b%'",
            "name ILIKE 's-b%'", "name ilike 'S-%' and tags.team = 'x'", "attribute.name = 's-alpha'",
            "attributes.name = 's-alpha'", "attr.name = 'x'", "tag.team = 'y'", "tags.team != 'y'",
            "tags.team LIKE '%'", "tags.`only.1` = '1'", "tags.\"only.1\" = '1'", "tags.only.1 = '1'",
            "tags.team IS NULL AND name LIKE 's-%'", "tags.team IS NOT NULL", "tags.none IS NULL AND name LIKE 's-%'",
            "tags.team > 'x'", "tags.team IN ('x')", "name IS NULL", "experiment_id = '${s1}'",
            "experiment_id != '${s1}' AND name LIKE 's-%'", "experiment_id IN ('${s1}', '${s2}')",
            "experiment_id NOT IN ('${s1}') AND name LIKE 's-%'", "experiment_id = 'x'", "experiment_id LIKE '1'",
            "experiment_id = 1", "experiment_id > '1'", "creation_time > 0 AND name LIKE 's-%'", "creation_time < 5",
            "last_update_time >= 1 AND name LIKE 's-%'", "creation_time = 1.5", "creation_time = '1'",
            "creation_time LIKE 1", "name > 'a'", "name IN ('s-alpha')", "name = s-alpha", "name = \"s-alpha\"",
            "name = 5", "name", "= 'x'", "name = 'a' OR name = 'b'", "(name = 'a')", "name = 'a'; name = 'b'",
            "foo = 'x'", "bogus.x = 'x'", "metrics.x > 1", "params.x = '1'", "name = 'a' AND", "AND", "name == 'a'",
            "name <> 'a'", "'", "name = '", "lifecycle_stage = 'active'", "   ", "name='s-alpha'AND name='s-alpha'"):
        yield post("experiments/search", {"max_results": 100, "filter": text})
    for order in (["name"], ["name DESC"], ["name ASC", "experiment_id"], ["creation_time"], ["creation_time DESC"],
            ["experiment_id"], ["experiment_id DESC"], ["last_update_time ASC"], ["attribute.name"], ["tags.team"],
            ["foo"], ["name FOO"], ["name ASC x"], [""], [" "], ["name, experiment_id"], ["name", "name"], "name", [5],
            {}, ["`name` DESC"], ["name desc"]):
        yield post("experiments/search", {"max_results": 100, "filter": mine, "order_by": order})
    yield get("experiments/search", {"max_results": 100, "filter": mine, "order_by": ["name DESC", "experiment_id"]})
    yield post("experiments/search", {"max_results": 2, "filter": mine, "order_by": ["name"]},
        keep={"spage": ["next_page_token"]})
    yield post("experiments/search", {"max_results": 2, "filter": mine, "order_by": ["name"], "page_token": "${spage}"})
    yield post("experiments/search", {"max_results": 3, "filter": mine})
    for page in TOKENS:
        yield post("experiments/search", {"max_results": 2, "filter": mine, "order_by": ["name"], "page_token": page})
    yield from abuse("POST", "experiments/search",
        {"max_results": 1, "filter": "name = 's-alpha'", "view_type": "ALL", "order_by": ["name"], "page_token": ""},
        methods=False)


@part
def runs():
    yield post("experiments/create", {"name": "r-runs"}, keep={"rx": ["experiment_id"]})
    run = ["run", "info", "run_id"]
    yield post("runs/create", {"experiment_id": "${rx}", "user_id": "u", "start_time": 1700000000000,
        "run_name": "first", "tags": [{"key": "mlflow.user", "value": "u"}]}, keep={"r1": run})
    yield post("runs/create", {"experiment_id": "${rx}", "start_time": 2,
        "tags": [{"key": "mlflow.parentRunId", "value": "${r1}"}, {"key": "mlflow.runName", "value": "from tag"}]},
        keep={"r2": run})
    yield post("runs/create", {"experiment_id": "${rx}", "start_time": 3}, keep={"r3": run})
    yield post("runs/create", {"experiment_id": "${rx}", "run_name": "a",
        "tags": [{"key": "mlflow.runName", "value": "b"}]})
    yield post("runs/create", {"experiment_id": "${rx}", "run_name": "same",
        "tags": [{"key": "mlflow.runName", "value": "same"}]})
    yield post("runs/create", {"experiment_id": "${rx}",
        "tags": [{"key": "t", "value": "a"}, {"key": "t", "value": "b"}]})
    yield post("runs/create", {"experiment_id": "${rx}", "tags": [{"key": "any @ key/..", "value": "v"}],
        "start_time": 1})
    yield post("runs/create", {"experiment_id": "99999"})
    yield post("runs/create", {"experiment_id": "word"})
    yield post("runs/create", {"experiment_id": "${rx}", "startTime": 5, "start_time": 6})
    yield post("runs/create", {"experiment_id": "${rx}", "startTime": 5, "runName": "camel"})
    yield post("runs/create", {"start_time": 1.5, "experiment_id": "${rx}"})
    for start in ("17", 1.0, "1.0", "1e3", 2 ** 63, 2 ** 63 - 1, -5, " 5", "5 "):
        yield post("runs/create", {"experiment_id": "${rx}", "start_time": start, "run_name": "start"})
    yield from abuse("POST", "runs/create", {"experiment_id": "${rx}", "start_time": 5, "run_name": "n", "user_id": "u",
        "tags": [{"key": "k", "value": "v"}]})
    yield get("runs/get", {"run_id": "${r1}"})
    yield get("runs/get", {"run_uuid": "${r1}"})
    yield get("runs/get", {"run_id": "nope"})
    yield from abuse_query("runs/get", {"run_id": "${r1}"})
    for body in ({"status": "FINISHED", "end_time": 5}, {"status": "BOGUS"}, {"status": 4, "run_name": "renamed"},
            {"status": "SCHEDULED"}, {"run_name": ""}, {"end_time": 0}, {"end_time": "7"}, {"status": 99},
            {"status": "3"}, {"status": "finished"}, {"status": "KILLED", "end_time": 1700000000001,
            "run_name": "last"}, {}):
        yield post("runs/update", {"run_id": "${r2}", **body})
    yield post("runs/update", {"run_uuid": "${r2}", "status": "RUNNING"})
    yield get("runs/get", {"run_id": "${r2}"})
    yield post("runs/update", {"run_id": "nope", "status": "FINISHED"})
    yield from abuse("POST", "runs/update", {"run_id": "${r3}", "status": "RUNNING", "end_time": 5, "run_name": "n"})
    # Deleted and restored.
    yield post("runs/delete", {"run_id": "${r3}"})
    yield post("runs/delete", {"run_id": "${r3}"})
    yield get("runs/get", {"run_id": "${r3}"})
    for path, body in (("runs/update", {"status": "FINISHED"}),
            ("runs/log-metric", {"key": "m", "value": 1, "timestamp": 1}),
            ("runs/log-parameter", {"key": "p", "value": "1"}), ("runs/set-tag", {"key": "t", "value": "1"}),
            ("runs/delete-tag", {"key": "mlflow.runName"}),
            ("runs/log-batch", {"params": [{"key": "p", "value": "1"}]}), ("runs/log-inputs", {"datasets": []}),
            ("runs/outputs", {"models": []}), ("runs/log-model", {"model_json": "{}"})):
        yield post(path, {"run_id": "${r3}", **body})
        yield post(path, {"run_id": "nope", **body})
    yield post("runs/restore", {"run_id": "${r3}"})
    yield post("runs/restore", {"run_id": "${r3}"})
    yield post("runs/restore", {"run_id": "nope"})
    yield post("runs/delete", {"run_id": "nope"})
    yield from abuse("POST", "runs/delete", {"run_id": "${r3}"})
    yield from abuse("POST", "runs/restore", {"run_id": "${r3}"})
    yield get("runs/get", {"run_id": "${r3}"})
    # Tags.
    for key, value in (("a", "1"), ("a", "2"), ("a b:c/d-e.f_g", "ü"), ("", "x"), ("a@", "1"), ("..", "1"),
            ("a/../b", "1"), ("k" * 250, "1"), ("k" * 251, "1"), ("long", "v" * 8000), ("longer", "v" * 8001),
            ("empty", ""), ("ünï", "☃"), ("a;ü", "1"), ("nl\n", "1"), ("mlflow.runName", "by tag"),
            ("mlflow.runName", "")):
        yield post("runs/set-tag", {"run_id": "${r1}", "key": key, "value": value})
    yield get("runs/get", {"run_id": "${r1}"})
    yield post("runs/delete-tag", {"run_id": "${r1}", "key": "a"})
    yield post("runs/delete-tag", {"run_id": "${r1}", "key": "a"})
    yield post("runs/delete-tag", {"run_id": "${r1}", "key": "mlflow.runName"})
    yield get("runs/get", {"run_id": "${r1}"})
    yield from abuse("POST", "runs/set-tag", {"run_id": "${r1}", "key": "k", "value": "v"})
    yield from abuse("POST", "runs/delete-tag", {"run_id": "${r1}", "key": "k"})


@part
def params():
    yield post("experiments/create", {"name": "p-params"}, keep={"px": ["experiment_id"]})
    for i in (1, 2):
        yield post("runs/create", {"experiment_id": "${px}", "start_time": i, "run_name": "p"},
            keep={f"p{i}": ["run", "info", "run_id"]})
    for key, value in (("a", "1"), ("a", "1"), ("a", "2"), ("b", ""), ("c", "v" * 6000), ("d", "v" * 6001),
            ("d", "v" * 6002), ("a@", "1"), ("a/../b", "1"), ("../b", "1"), ("/b", "1"), ("b/", "1"), (".", "1"),
            ("", "1"), ("k" * 250, "1"), ("k" * 251, "1"), ("ü: x", "☃"), ("'", "1"), ("nl", "a\nb")):
        yield post("runs/log-parameter", {"run_id": "${p1}", "key": key, "value": value})
    yield post("runs/log-parameter", {"run_id": "${p1}", "key": "absent"})
    yield post("runs/log-parameter", {"run_uuid": "${p1}", "key": "uuid", "value": "x"})
    yield post("runs/log-parameter", {"runId": "${p1}", "key": "camel", "value": "x"})
    yield get("runs/get", {"run_id": "${p1}"})
    yield from abuse("POST", "runs/log-parameter", {"run_id": "${p2}", "key": "k#", "value": "v"})
    yield get("runs/get", {"run_id": "${p2}"})


@part
def metrics():
    yield post("experiments/create", {"name": "m-metrics"}, keep={"mx": ["experiment_id"]})
    for i in range(1, 7):
        yield post("runs/create", {"experiment_id": "${mx}", "start_time": i, "run_name": "m"},
            keep={f"m{i}": ["run", "info", "run_id"]})
    numbers = [1, 0, -1.5, 1e308, 5e-324, 123456789.123456789, 0.1, True, "2.5", " 1", "NaN", "nan", "Infinity",
        "-Infinity", "inf", "1e400", "abc", "", None, [1], {}, 2 ** 70]
    for i, number in enumerate(numbers):
        yield post("runs/log-metric", {"run_id": "${m1}", "key": f"n{i}", "value": number, "timestamp": 1})
    for raw in ("NaN", "Infinity", "-Infinity", "1e400", "01", "1."):
        yield post("runs/log-metric", raw='{"run_id":"${m1}","key":"raw","value":%s,"timestamp":1}' % raw, headers=JSON)
    yield get("runs/get", {"run_id": "${m1}"})
    for i in range(len(numbers)):
        yield get("metrics/get-history", {"run_id": "${m1}", "metric_key": f"n{i}"})
    for key in ("a b:c/d-e.f_g", "a@", "..", "a/../b", "", "k" * 250, "k" * 251, "ü☃", "ünï"):
        yield post("runs/log-metric", {"run_id": "${m2}", "key": key, "value": 1, "timestamp": 1})
    for more in ({"timestamp": 0}, {"timestamp": -1}, {"timestamp": "5"}, {"timestamp": 1.5}, {"timestamp": "x"},
            {"timestamp": None}, {"step": -3}, {"step": "7"}, {"step": 1.5}, {"step": None}, {"step": []},
            {"step": 2 ** 63}, {"step": 2 ** 63 - 1}, {"timestamp": 2 ** 62}, {"dataset_name": "d"},
            {"dataset_digest": "d"}, {"dataset_name": "d", "dataset_digest": "g"}, {"model_id": "m-none"},
            {"model_id": ""}):
        yield post("runs/log-metric", {"run_id": "${m2}", "key": "m", "value": 1, "timestamp": 9, **more})
    yield get("metrics/get-history", {"run_id": "${m2}", "metric_key": "m"})
    yield get("runs/get", {"run_id": "${m2}"})
    # Which of several is the latest.
    for value, stamp, step in ((5, 10, 1), (4, 10, 1), (6, 10, 1), (1, 11, 1), (9, 99, 0), (2, 5, 2), ("NaN", 5, 2),
            (-1, 5, 2), ("NaN", 5, 3), (-1, 5, 3), (2, 5, 2)):
        yield post("runs/log-metric", {"run_id": "${m3}", "key": "l", "value": value, "timestamp": stamp, "step": step})
        yield get("runs/get", {"run_id": "${m3}"})
    yield get("metrics/get-history", {"run_id": "${m3}", "metric_key": "l"})
    yield from abuse("POST", "runs/log-metric", {"run_id": "${m4}", "key": "k", "value": 1.5, "timestamp": 5, "step": 1,
        "model_id": "", "dataset_name": "d", "dataset_digest": "g"})
    yield get("runs/get", {"run_id": "${m4}"})
    # Histories.
    yield post("runs/log-batch", {"run_id": "${m5}",
        "metrics": [{"key": "h", "value": i % 7, "timestamp": 1000 - i, "step": i} for i in range(300)]})
    yield post("runs/log-batch", {"run_id": "${m6}",
        "metrics": [{"key": "h", "value": 1, "timestamp": 5, "step": i} for i in range(3)]})
    for number in (None, 1, 2, 299, 300, 301, 0, -1, "x", 25000, 10 ** 12):
        yield get("metrics/get-history", {"run_id": "${m5}", "metric_key": "h",
            **({} if number is None else {"max_results": number})},
            keep={"hpage": ["next_page_token"]} if number == 299 else None)
    yield get("metrics/get-history", {"run_id": "${m5}", "metric_key": "h", "max_results": 299,
        "page_token": "${hpage}"})
    for page in TOKENS:
        yield get("metrics/get-history", {"run_id": "${m6}", "metric_key": "h", "max_results": 2, "page_token": page})
    yield get("metrics/get-history", {"run_id": "nope", "metric_key": "h"})
    yield from abuse_query("metrics/get-history", {"run_id": "${m6}", "metric_key": "h", "max_results": "2"})
    bulk = "metrics/get-history-bulk-interval"
    for more in ({}, {"max_results": 1}, {"max_results": 2}, {"max_results": 3}, {"max_results": 7},
            {"max_results": 299}, {"max_results": 300}, {"max_results": 2500}, {"max_results": 2501},
            {"max_results": 0}, {"max_results": "x"}, {"start_step": 5, "end_step": 9}, {"start_step": 5},
            {"end_step": 5}, {"start_step": 9, "end_step": 5}, {"start_step": "x", "end_step": 5},
            {"start_step": 5, "end_step": 5}, {"start_step": 0, "end_step": 100, "max_results": 10}):
        yield get(bulk, {"run_ids": ["${m5}", "${m6}"], "metric_key": "h", **more})
    yield get(bulk, {"run_ids": ["${m6}", "nope", "${m6}"], "metric_key": "h"})
    yield get(bulk, {"run_ids": ["x"] * 101, "metric_key": "h"})
    yield get(bulk, {"metric_key": "h"})
    yield get(bulk, {"run_ids": "${m6}"})
    yield get(bulk, {"run_ids": "${m6}", "metric_key": "none"})
    yield get("/ajax-api/2.0/mlflow/" + bulk, {"run_ids": "${m6}", "metric_key": "h"})
    ajax = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
    for query in ({"run_id": "${m6}", "metric_key": "h"}, {"run_id": "${m6}", "metric_key": "h", "max_results": 2},
            {"metric_key": "h"}, {"run_id": "${m6}"}, {"run_id": ["x"] * 101, "metric_key": "h"}):
        yield get(ajax, query)


@part
def batches():
    yield post("experiments/create", {"name": "b-batches"}, keep={"bx": ["experiment_id"]})
    for i in range(1, 5):
        yield post("runs/create", {"experiment_id": "${bx}", "start_time": i, "run_name": "b"},
            keep={f"b{i}": ["run", "info", "run_id"]})
    m = {"key": "m", "value": 1, "timestamp": 1, "step": 0}
    yield post("runs/log-batch", {"run_id": "${b1}", "metrics": [m, {**m, "step": 1}],
        "params": [{"key": "p", "value": "1"}], "tags": [{"key": "t", "value": "1"}]})
    yield get("runs/get", {"run_id": "${b1}"})
    for body in ({"metrics": []}, {}, {"metrics": [m, m]}, {"metrics": [{**m, "step": None}]},
            {"metrics": [{k: v for k, v in m.items() if k != "step"}]}, {"metrics": [{}]}, {"metrics": [{"key": "m"}]},
            {"metrics": [{"key": "m", "value": 1}]}, {"metrics": [m, {"value": 1, "timestamp": 1}]},
            {"metrics": [{**m, "value": "NaN"}]}, {"metrics": [{**m, "value": "Infinity", "key": "i"}]},
            {"metrics": [{**m, "value": "zz", "key": "z", "step": 4}], "params": [{"key": "after", "value": "1"}]},
            {"metrics": [{**m, "key": "q@"}]}, {"metrics": [m, {**m, "key": "q@"}]},
            {"metrics": [{**m, "key": "k" * 251}]}, {"metrics": [{**m, "timestamp": -1}]},
            {"metrics": [{**m, "timestamp": "x"}]}, {"metrics": [5]}, {"metrics": ["x"]}, {"metrics": [None]},
            {"metrics": {}}, {"metrics": "x"}, {"params": [{"key": "p", "value": "1"}]},
            {"params": [{"key": "p", "value": "2"}], "metrics": [{**m, "key": "not"}],
            "tags": [{"key": "not", "value": "1"}]}, {"params": [{"key": "x", "value": "1"},
            {"key": "x", "value": "1"}]}, {"params": [{"key": "x", "value": "1"}, {"key": "x", "value": "2"},
            {"key": "y", "value": "1"}, {"key": "y", "value": "2"}]}, {"params": [{"value": "1"}]},
            {"params": [{"key": "novalue"}]}, {"params": [{"key": "five", "value": 5}]},
            {"params": [{"key": "a@", "value": "1"}]}, {"params": [{"key": "long", "value": "v" * 6001}]},
            {"params": [{"key": "k" * 251, "value": "1"}]},
            {"tags": [{"key": "t", "value": "1"}, {"key": "t", "value": "2"}]}, {"tags": [{"value": "1"}]},
            {"tags": [{"key": "a@", "value": "1"}]}, {"tags": [{"key": "long", "value": "v" * 8001}]},
            {"tags": [{"key": "k" * 251, "value": "1"}]}, {"tags": [{"key": "mlflow.runName", "value": "batched"}]},
            {"params": [{"key": "q1", "value": "1"}, {"key": "p", "value": "9"}]},
            {"metrics": [{**m, "key": "m2"}], "params": [{"key": "", "value": "1"}]},
            {"metrics": [{**m, "model_id": "m-none", "key": "mm"}]}):
        yield post("runs/log-batch", {"run_id": "${b1}", **body})
    yield get("runs/get", {"run_id": "${b1}"})
    many = lambda n, make: [make(i) for i in range(n)]
    metric = lambda i: {"key": f"k{i}", "value": i, "timestamp": i, "step": i}
    pair = lambda i: {"key": f"k{i}", "value": str(i)}
    for body in ({"metrics": many(1000, metric)}, {"metrics": many(1001, metric)}, {"params": many(100, pair)},
            {"params": many(101, pair)}, {"tags": many(100, pair)}, {"tags": many(101, pair)},
            {"metrics": many(900, metric), "params": many(100, pair)},
            {"metrics": many(901, metric), "params": many(100, pair)},
            {"metrics": many(850, metric), "params": many(100, pair), "tags": many(51, pair)},
            {"params": many(100, lambda i: {"key": f"big{i}", "value": "v" * 6000}),
            "tags": many(100, lambda i: {"key": f"big{i}", "value": "v" * 8000})}):
        yield post("runs/log-batch", {"run_id": "${b2}", **body})
    yield get("runs/get", {"run_id": "${b2}"})
    for run in ("nope", "a/b", "", "-x", "a" * 257, "ü"):
        yield post("runs/log-batch", {"run_id": run})
    yield from abuse("POST", "runs/log-batch", {"run_id": "${b3}", "metrics": [m],
        "params": [{"key": "p", "value": "1"}], "tags": [{"key": "t", "value": "1"}]})
    yield get("runs/get", {"run_id": "${b3}"})
    model = {"artifact_path": "m", "flavors": {}, "utc_time_created": "2026-01-01 00:00:00", "run_id": "x"}
    yield post("runs/log-model", {"run_id": "${b4}", "model_json": json.dumps(model)})
    yield post("runs/log-model", {"run_id": "${b4}", "model_json": json.dumps({**model, "artifact_path": "n"})})
    yield post("runs/log-model", {"run_id": "${b4}", "model_json": "{"})
    yield post("runs/log-model", {"run_id": "${b4}", "model_json": "{}"})
    yield get("runs/get", {"run_id": "${b4}"})


@part
def inputs():
    yield post("experiments/create", {"name": "i-inputs"}, keep={"ix": ["experiment_id"]})
    for i in (1, 2, 3):
        yield post("runs/create", {"experiment_id": "${ix}", "start_time": i, "run_name": "i"},
            keep={f"i{i}": ["run", "info", "run_id"]})
    d = {"name": "d", "digest": "g", "source_type": "local", "source": "{}", "schema": "{\"a\":1}", "profile": "{}"}
    context = [{"key": "mlflow.data.context", "value": "training"}]
    for datasets in ([{"dataset": d, "tags": context}],
            [{"dataset": {**d, "source": "other"}, "tags": [{"key": "more", "value": "1"}]}],
            [{"dataset": {**d, "digest": "h"}}], [{"dataset": {"name": "bare"}}], [{}], [],
            [{"dataset": {**d, "name": "n" * 500}}], [{"dataset": {**d, "name": "n" * 501}}],
            [{"dataset": {**d, "digest": "x" * 37}}], [{"dataset": {**d, "source": "x" * 65536}}],
            [{"dataset": d, "tags": [{"key": "k" * 256, "value": "1"}]}],
            [{"dataset": d, "tags": [{"key": "k", "value": "v" * 501}]}],
            [{"dataset": {**d, "name": "twice"}}, {"dataset": {**d, "name": "twice"}}], ["x"], [None], "x",
            [{"dataset": 5}], [{"dataset": d, "tags": "x"}]):
        yield post("runs/log-inputs", {"run_id": "${i1}", "datasets": datasets})
    yield post("runs/log-inputs", {"run_id": "${i2}",
        "datasets": [{"dataset": {**d, "source": "third"}, "tags": [{"key": "mlflow.data.context", "value": "eval"}]}],
        "models": [{"model_id": "m-any"}]})
    yield post("runs/log-inputs", {"run_id": "a/b", "datasets": []})
    for models in ([{"model_id": "m-any", "step": 3}], [{"model_id": "m-any", "step": 3}], [{"model_id": "m-two"}],
            [{}], [], None, "x", [{"model_id": 5}]):
        yield post("runs/outputs", {"run_id": "${i2}", "models": models})
    for i in (1, 2):
        yield get("runs/get", {"run_id": "${i%d}" % i})
    yield post("runs/search", {"experiment_ids": ["${ix}"]})
    for text in ("datasets.name = 'd'", "dataset.name != 'd'", "datasets.digest = 'g'", "datasets.digest IN ('g', 'h')",
            "datasets.name NOT IN ('d')", "datasets.context = 'training'", "datasets.context IN ('eval', 'x')",
            "datasets.context LIKE '%ing'", "datasets.name ILIKE 'D'",
            "datasets.name = 'd' AND datasets.context = 'eval'", "datasets.name > 'd'", "datasets.source = 'x'",
            "datasets.name = 5", "datasets.name IS NULL", "dataset.`name` = 'd'", "datasets.name IN ()",
            "datasets.name IN (1)", "datasets.name IN ('d'"):
        yield post("runs/search", {"experiment_ids": ["${ix}"], "filter": text})
    yield from abuse("POST", "runs/log-inputs", {"run_id": "${i3}", "datasets": [{"dataset": d}],
        "models": [{"model_id": "m-x"}]})
    yield from abuse("POST", "runs/outputs", {"run_id": "${i3}", "models": [{"model_id": "m-y", "step": 1}]})
    yield get("runs/get", {"run_id": "${i3}"})


@part
def run_search():
    yield post("experiments/create", {"name": "q-search"}, keep={"qx": ["experiment_id"]})
    yield post("experiments/create", {"name": "q-other"}, keep={"qy": ["experiment_id"]})
    for i in range(6):
        yield post("runs/create", {"experiment_id": "${qx}", "start_time": 100 + i // 2 * 10 + i,
            "run_name": f"run-{'abcdef'[i]}", "user_id": "u1" if i % 2 else "u2"},
            keep={f"q{i}": ["run", "info", "run_id"]})
    yield post("runs/create", {"experiment_id": "${qy}", "start_time": 1000, "run_name": "elsewhere"})
    for i, acc in enumerate((0.5, 0.9, "NaN", "Infinity", -1)):
        yield post("runs/log-metric", {"run_id": "${q%d}" % i, "key": "acc", "value": acc, "timestamp": 1})
        yield post("runs/log-parameter", {"run_id": "${q%d}" % i, "key": "solver",
            "value": ("lbfgs", "LBFGS", "sag", "it''s", "")[i]})
        yield post("runs/set-tag", {"run_id": "${q%d}" % i, "key": "a b.c/d", "value": ("x", "y", "x%", "x_", "z")[i]})
    yield post("runs/log-metric", {"run_id": "${q0}", "key": "m/x y:z", "value": 3, "timestamp": 1})
    yield post("runs/update", {"run_id": "${q1}", "status": "FINISHED", "end_time": 500})
    yield post("runs/update", {"run_id": "${q2}", "status": "FAILED", "end_time": 600})
    yield post("runs/delete", {"run_id": "${q5}"})
    good = ("", " ", "metrics.acc > 0.4", "metrics.acc >= 0.5", "metrics.acc = 0.5", "metrics.acc != 0.5",
        "metrics.acc < 0", "metrics.acc <= -1", "metric.acc > -2", "metrics.acc > 1e-3", "metrics.acc > 1.5e3",
        "metrics.acc > .1", "metrics.acc > 1.", "metrics.acc > +1", "metrics.none > 0", "metrics.`acc` > 0",
        "metrics.\"acc\" > 0", "metrics.`m/x y:z` = 3", "metrics.\"m/x y:z\" = 3", "`metrics`.acc > 0",
        "metrics.acc > 0 AND metrics.acc < 0.7", "metrics.acc > 0 and params.solver = 'lbfgs'",
        "params.solver = 'lbfgs'", "params.solver = \"lbfgs\"", "params.solver != 'lbfgs'", "params.solver LIKE 'l%'",
        "params.solver like '%S'", "params.solver ILIKE 'l%'", "param.solver = 'sag'", "parameter.solver = 'sag'",
        "parameters.solver = 'sag'", "params.solver = ''", "params.solver = 'it''s'", "params.solver = \"it''s\"",
        "params.solver IS NULL", "params.solver IS NOT NULL", "params.none is null", "params.none != 'x'",
        "tags.`a b.c/d` = 'x'", "tag.\"a b.c/d\" LIKE 'x%'", "tags.`a b.c/d` LIKE 'x_'", "tags.`a b.c/d` LIKE 'x\\_'",
        "tags.`a b.c/d` != 'x'", "tags.`mlflow.runName` = 'run-a'", "tags.mlflow.runName = 'run-a'",
        "tags.`a b.c/d` IS NULL", "tags.x IS NOT NULL", "attributes.status = 'FINISHED'",
        "attribute.status != 'RUNNING'", "attr.status LIKE 'F%'", "run.status ILIKE 'f%'", "status = 'RUNNING'",
        "status = 'running'", "run_name = 'run-a'", "attributes.run_name LIKE 'run-%'", "`run name` = 'run-b'",
        "attributes.\"Run name\" = 'run-b'", "attributes.`Run Name` != 'run-b'", "user_id = 'u1'", "user_id != 'u1'",
        "artifact_uri LIKE '%artifacts'", "run_id = '${q0}'", "attributes.run_id != '${q0}'",
        "run_id IN ('${q0}', '${q1}')", "run_id IN ('${q0}')", "run_id NOT IN ('${q0}')",
        "attributes.run_id in ('${q0}')", "run_id IN (\"${q0}\")", "run_id LIKE '%'", "start_time > 100",
        "start_time >= 101 AND start_time < 125", "attributes.start_time != 100", "created > 100",
        "attributes.Created <= 101", "end_time > 0", "end_time = 500", "end_time != 500", "start_time > 100.5",
        "start_time > -1")
    bad = ("metrics.acc = '1'", "metrics.acc > abc", "metrics.acc LIKE 1", "metrics.acc IN (1)", "metrics.acc != NaN",
        "metrics.acc IS NULL", "params.solver > 'x'", "params.solver = x", "params.solver = 1",
        "params.solver IN ('x')", "params.solver NOT IN ('x')", "params.solver = 'x", "params.solver == 'x'",
        "params.solver <> 'x'", "tags.x > 'x'", "tags.x IN ('a')", "tags.x = 5", "status > 'x'",
        "status IN ('RUNNING')", "status = 1", "status IS NULL", "status NOT IN ('x')", "start_time > '1'",
        "start_time LIKE 1", "start_time IN (1)", "run_id IN ()", "run_id IN (1)", "run_id IN ('a', 1)",
        "run_id IN 'a'", "run_id IN ('a'", "attributes.foo = '1'", "foo = '1'", "name = 'x'", "experiment_id = '1'",
        "lifecycle_stage = 'active'", "bogus.x = '1'", "Metrics.acc > 1", "metrics.acc", "acc > 0.5", "metrics. > 1",
        ".acc > 1", "metrics > 1", "1 = 1", "'x' = 'x'", "metrics.acc > 0 OR params.solver = 'x'", "(metrics.acc > 0)",
        "NOT metrics.acc > 0", "metrics.acc > 0 AND", "AND metrics.acc > 0", "metrics.acc > 0 AND AND metrics.acc > 0",
        "metrics.acc > 0 metrics.acc < 1", "metrics.acc > 0; metrics.acc < 1", "metrics.acc BETWEEN 1 AND 2",
        "metrics.acc > 0, metrics.acc < 1", "' = '", "'", "\"", "`", "metrics.acc > 0 -- comment",
        "metrics.acc > 0 /* c */", "SELECT 1", "params.solver = NULL", "params.solver = 'a' || 'b'",
        "metrics.acc > 1 + 1", "metrics.acc > metrics.acc", "params.p = params.q", "metrics.acc >> 1",
        "metrics.acc => 1", "bogus ~ 3", "*", "%", "metrics.acc > 0x10")
    for text in good + bad:
        yield post("runs/search", {"experiment_ids": ["${qx}"], "filter": text})
    for order in (["metrics.acc"], ["metrics.acc DESC"], ["metrics.acc ASC"], ["metric.acc desc"], ["params.solver"],
            ["params.solver DESC"], ["tags.`a b.c/d`"], ["tags.\"a b.c/d\" DESC"], ["start_time"], ["start_time DESC"],
            ["attributes.start_time ASC"], ["attribute.end_time"], ["end_time DESC"], ["status", "start_time"],
            ["status DESC", "metrics.acc DESC"], ["run_name"], ["created"], ["Created DESC"], ["user_id"],
            ["metrics.none"], ["metrics.`m/x y:z` DESC"], ["`metrics`.acc"], [], None):
        yield post("runs/search", {"experiment_ids": ["${qx}"], "order_by": order})
    for order in ("run_id", "run_id DESC", "artifact_uri"):  # Random ones: of one run only.
        yield post("runs/search", {"experiment_ids": ["${qx}"], "order_by": [order], "filter": "run_name = 'run-a'"})
    for order in (["bogus.x"], ["foo"], ["name"], ["Run name"], ["`run name`"], ["metrics.acc FOO"],
            ["metrics.acc DESC NULLS"], ["metrics.acc, start_time"], [" "], [""], ["metrics.acc", "metrics.acc DESC"],
            ["start_time", "created"], ["datasets.name"], ["metrics"], ["metrics."], ["5"], [5], "metrics.acc", {},
            ["'x'"], ["metrics.acc > 1"], ["experiment_id"], ["lifecycle_stage"]):
        yield post("runs/search", {"experiment_ids": ["${qx}"], "order_by": order})
    for view in ("ACTIVE_ONLY", "DELETED_ONLY", "ALL", "BOGUS", 1, 2, 3, 0, 9, None):
        yield post("runs/search", {"experiment_ids": ["${qx}"], "run_view_type": view})
    for number in (1, 2, 5, "3", 0, -1, 50000, 50001, 1.5, "x", None, True, []):
        yield post("runs/search", {"experiment_ids": ["${qx}"], "max_results": number})
    for ids in ([], ["${qx}", "${qy}"], ["${qx}", "${qx}"], ["99999"], ["word"], ["${qx}", "word"], [5], "5", None,
            [""], [" 1"]):
        yield post("runs/search", {"experiment_ids": ids})
    yield post("runs/search", {"experiment_ids": ["${qx}"], "max_results": 2, "order_by": ["start_time"]},
        keep={"qpage": ["next_page_token"]})
    yield post("runs/search", {"experiment_ids": ["${qx}"], "max_results": 2, "order_by": ["start_time"],
        "page_token": "${qpage}"}, keep={"qpage": ["next_page_token"]})
    yield post("runs/search", {"experiment_ids": ["${qx}"], "max_results": 2, "order_by": ["start_time"],
        "page_token": "${qpage}"})
    for page in TOKENS:
        yield post("runs/search", {"experiment_ids": ["${qx}"], "max_results": 2, "order_by": ["start_time"],
            "page_token": page})
    yield post("runs/search", {"experimentIds": ["${qx}"], "maxResults": 1})
    yield from abuse("POST", "runs/search", {"experiment_ids": ["${qx}"], "filter": "metrics.acc > 0", "max_results": 1,
        "order_by": ["metrics.acc"], "run_view_type": "ALL", "page_token": ""})


@part
def artifacts():
    yield post("experiments/create", {"name": "a-artifacts"}, keep={"ax": ["experiment_id"]})
    yield post("runs/create", {"experiment_id": "${ax}", "start_time": 1, "run_name": "a"},
        keep={"ar": ["run", "info", "run_id"]})
    root = FILES + "artifacts/${ax}/${ar}/artifacts"
    listed = "${ax}/${ar}/artifacts"
    yield get("artifacts/list", {"run_id": "${ar}"})
    yield get(FILES + "artifacts", {"path": listed})
    names = ("b.txt", "a/b.txt", "a/c/d.json", "a/c/e.bin", "MLmodel", "conda.yaml", "t.csv", "m.pkl", "p.py", "l.log",
        "r.md", "h.html", "i.png", "noext", "z.parquet", "x.tar.gz", "n.npy", "s.skops", "u.ubj", "sp%20ace.txt",
        "%C3%BCn%C3%AF.txt", "%E2%98%83", "q'uote%22.txt", "plus+and&.txt", "per%2525cent.txt", ".hidden",
        "semi;colon.txt", "comma,x.txt", "UP.TXT", "j.jsonl", "y.yml", "t.tsv", "c.cfg", "v.svg", "w.pdf", "g.gif",
        "k.js", "k.css", "k.xml", "k.zip", "k.gz", "k.onnx", "k.pt")
    for i, name in enumerate(names):
        yield Request("PUT", f"{root}/{name}", raw=b"x" * (i % 5),
            headers={"content-type": "text/plain"} if i % 2 else None)
        yield get(f"{root}/{name}")
    yield Request("PUT", f"{root}/b.txt", raw=b"over" * 5000)
    yield get(f"{root}/b.txt")
    yield get(f"{root}/b.txt", headers={"range": "bytes=2-5"})
    yield Request("HEAD", f"{root}/b.txt")
    for path in ("", "a", "a/", "a/c", "a/b.txt", "none", "a/none", "../x", "/etc", "a/../..", "a/..", ".", "a%2Fc",
            "a#b", "%2e%2e/x", "file:///etc", "a\\c", "ü", "C:/x", "a//c", "./a"):
        yield get(FILES + "artifacts", {"path": f"{listed}/{path}"})
        yield get("artifacts/list", {"run_id": "${ar}", "path": path})
        yield get("/get-artifact", {"run_id": "${ar}", "path": path})
    for path in ("none", "a", "a/c", "", "%2e%2e/x", "..%2f..%2fx", "a%23b", "%2Fetc%2Fpasswd", "a/%2e%2e/b.txt",
            "a%5Cc", "a//b.txt", "%252e%252e/x"):
        yield get(f"{root}/{path}")
        yield Request("PUT", f"{root}/{path}", raw=b"y")
        yield Request("DELETE", f"{root}/{path}", raw="{}", headers=JSON) if path not in ("",) else get(f"{root}/b.txt")
    yield get(FILES + "artifacts", {"path": listed})
    yield Request("PUT", f"{root}/dir/", raw=b"y")
    yield Request("PUT", f"{root}/d/f.txt", raw=b"y")
    yield Request("PUT", f"{root}/d", raw=b"y")
    yield Request("PUT", f"{root}/d/f.txt/g.txt", raw=b"y")
    yield get(FILES + "artifacts", {"path": f"{listed}/d"})
    yield delete(f"{root}/d/f.txt")
    yield delete(f"{root}/d/f.txt", {})
    yield get(FILES + "artifacts", {"path": f"{listed}/d"})
    yield Request("PUT", f"{root}/tree/a/b", raw=b"y")
    yield delete(f"{root}/tree", {})
    yield get("artifacts/list", {"run_id": "${ar}", "path": "tree"})
    yield get("artifacts/list", {"run_id": "${ar}"})
    yield from abuse_query("artifacts/list", {"run_id": "${ar}", "path": "a"})
    yield get("artifacts/list", {"run_id": "nope"})
    for action, body in (("create", {"path": "x", "num_parts": 2}),
            ("complete", {"path": "x", "upload_id": "u", "parts": []}), ("abort", {"path": "x", "upload_id": "u"})):
        yield post(f"{FILES}mpu/{action}/x/y", body)
        yield post(f"{FILES}mpu/{action}/x/y", {})
        yield post(f"{FILES}mpu/{action}/../y", body)
        yield post(f"{FILES}mpu/{action}/x/y", raw=json.dumps(body))
    yield get(f"{FILES}presigned/x/y")
    for kind in ("upload", "download"):
        yield post(f"artifacts/presigned-{kind}-url", {"run_id": "${ar}", "path": "a"})
        yield post(f"artifacts/presigned-{kind}-url", {})
    for method in ("POST", "PATCH"):
        yield Request(method, f"{root}/b.txt", raw=b"y")
    for method in ("PUT", "POST", "DELETE"):
        yield Request(method, FILES + "artifacts", raw=b"y")
    # A deleted run keeps its files.
    yield post("runs/delete", {"run_id": "${ar}"})
    yield get("artifacts/list", {"run_id": "${ar}", "path": "a"})
    yield get(f"{root}/a/b.txt")


@part
def logged_models():
    yield post("experiments/create", {"name": "l-models"}, keep={"lx": ["experiment_id"]})
    yield post("runs/create", {"experiment_id": "${lx}", "start_time": 1, "run_name": "l"},
        keep={"lr": ["run", "info", "run_id"]})
    model = ["model", "info", "model_id"]
    yield post("logged-models", {"experiment_id": "${lx}", "name": "first", "model_type": "t", "source_run_id": "${lr}",
        "params": [{"key": "p", "value": "1"}], "tags": [{"key": "t", "value": "1"}]}, keep={"l1": model})
    yield post("logged-models", {"experiment_id": "${lx}", "name": "second"}, keep={"l2": model})
    yield post("logged-models", {"experiment_id": "${lx}"}, keep={"l3": model})
    for name in ("a/b", "a:b", "a.b", "a%b", "a'b", 'a"b', "ünï ☃", "x" * 300, " "):
        yield post("logged-models", {"experiment_id": "${lx}", "name": name})
    yield post("logged-models", {"experiment_id": "99999"})
    yield post("logged-models", {"experiment_id": "${lx}", "name": "dup",
        "tags": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]})
    yield from abuse("POST", "logged-models", {"experiment_id": "${lx}", "name": "abused", "model_type": "t",
        "source_run_id": "r", "params": [{"key": "p", "value": "1"}], "tags": [{"key": "t", "value": "1"}]},
        methods=False)
    for name in ("${l1}", "${l2}", "nope", "m-nope"):
        yield get(f"logged-models/{name}")
    for status in ("LOGGED_MODEL_READY", "LOGGED_MODEL_PENDING", "LOGGED_MODEL_UPLOAD_FAILED", "BOGUS", 1, 2, 3, 9, "2",
            None, "", []):
        yield patch("logged-models/${l2}", {"model_id": "${l2}", "status": status})
    yield patch("logged-models/nope", {"model_id": "nope", "status": 2})
    yield patch("logged-models/${l2}", {"model_id": "${l1}", "status": "LOGGED_MODEL_READY"})
    yield patch("logged-models/${l2}", {"status": 2})
    for tags in ([{"key": "x", "value": "1"}, {"key": "x", "value": "2"}], [], None, "x", [{"key": "y"}],
            [{"value": "1"}], [{"key": "a@/..", "value": "1"}], [{"key": "long", "value": "v" * 9000}], [5]):
        yield patch("logged-models/${l1}/tags", {"tags": tags})
    yield patch("logged-models/nope/tags", {"tags": [{"key": "x", "value": "1"}]})
    yield get("logged-models/${l1}")
    for tag in ("x", "x", "none", "a%20b"):
        yield delete(f"logged-models/${{l1}}/tags/{tag}")
    yield delete("logged-models/nope/tags/x")
    for body in ({"model_id": "${l1}", "params": [{"key": "q", "value": "2"}]},
            {"model_id": "${l1}", "params": [{"key": "q", "value": "2"}]}, {"params": [{"key": "r", "value": "2"}]},
            {"model_id": "${l1}"}, {"model_id": "${l1}", "params": "x"},
            {"model_id": "${l1}", "params": [{"key": "s"}]}):
        yield post("logged-models/${l1}/params", body)
    yield post("logged-models/nope/params", {"model_id": "nope", "params": []})
    yield post("logged-models/nope/params", {"model_id": "nope", "params": [{"key": "a", "value": "1"}]})
    for name, value, step in (("acc", 0.5, 1), ("acc", 0.9, 2), ("loss", "NaN", 0)):
        yield post("runs/log-metric", {"run_id": "${lr}", "key": name, "value": value, "timestamp": step + 1,
            "step": step, "model_id": "${l1}", "dataset_name": "d", "dataset_digest": "g"})
    yield post("runs/log-metric", {"run_id": "${lr}", "key": "acc", "value": 0.1, "timestamp": 1, "model_id": "${l2}"})
    yield post("runs/log-batch", {"run_id": "${lr}",
        "metrics": [{"key": "batched", "value": 1, "timestamp": 1, "step": 0, "model_id": "${l2}"}]})
    for name in ("${l1}", "${l2}"):
        yield get(f"logged-models/{name}")
    search = lambda **more: post("logged-models/search", {"experiment_ids": ["${lx}"], "max_results": 5, **more})
    for text in ("name = 'first'", "name != 'first' AND name = 'second'", "name LIKE 'f%'", "name ILIKE 'F%'",
            "name IN ('first', 'second')", "name NOT IN ('first') AND name LIKE 'sec%'", "attributes.name = 'first'",
            "attribute.name = 'first'", "metrics.acc > 0.4", "metrics.acc > 0.7 AND metrics.acc < 0.6",
            "metrics.`acc` < 0.3", "params.p = '1' AND name = 'first'", "params.q LIKE '2'",
            "tags.t = '1' AND name = 'first'", "tags.`t` != '2' AND name = 'first'", "model_id = '${l1}'",
            "model_id IN ('${l1}', '${l2}')", "source_run_id = '${lr}'", "status = 'READY'",
            "status = 'LOGGED_MODEL_READY'", "status = 2", "model_type = 't' AND name = 'first'",
            "creation_timestamp > 0 AND name = 'first'", "creation_time > 0 AND name = 'first'",
            "last_updated_timestamp > 0 AND name = 'first'", "name > 'a'", "metrics.acc LIKE '1'", "metrics.acc > 'a'",
            "name = first", "name = \"first\"", "foo = 'x'", "bogus.a = '1'", "name = 'a' OR name = 'b'",
            "(name = 'a')", "name", "name =", "name = 'a'; name = 'b'", "name = 'first' and name = 'first'", "AND",
            "params.p IS NULL", "experiment_id = '1'", "lifecycle_stage = 'active'"):
        yield search(filter=text)
    named = "name IN ('first', 'second')"
    for order in ([{"field_name": "name"}], [{"field_name": "name", "ascending": False}],
            [{"field_name": "creation_time"}], [{"field_name": "creation_timestamp", "ascending": False}],
            [{"field_name": "last_updated_timestamp"}], [{"field_name": "metrics.acc"}],
            [{"field_name": "metrics.acc", "ascending": False}], [{"field_name": "metrics.acc", "dataset_name": "d"}],
            [{"field_name": "metrics.acc", "dataset_name": "d", "dataset_digest": "g"}],
            [{"field_name": "metrics.none"}], [{"field_name": "params.p"}], [{"field_name": "foo"}],
            [{"field_name": "status"}], [{"field_name": "model_type"}], [{}], ["name"], "name",
            [{"field_name": "name", "ascending": "x"}]):
        yield search(order_by=order, filter=named)
    for datasets in ([{"dataset_name": "d"}], [{"dataset_name": "d", "dataset_digest": "g"}],
            [{"dataset_name": "none", "dataset_digest": "g"}], [{}], [{"dataset_digest": "g"}], "x"):
        yield search(datasets=datasets)
        yield search(datasets=datasets, filter="metrics.acc > 0.4")
    for number in (1, 2, 0, -1, "x", 1.5, None, 10 ** 6):
        yield post("logged-models/search", {"experiment_ids": ["${lx}"], "max_results": number, "filter": named,
            "order_by": [{"field_name": "name"}]})
    yield post("logged-models/search", {"experiment_ids": ["${lx}"], "max_results": 1, "filter": named},
        keep={"lpage": ["next_page_token"]})
    yield post("logged-models/search", {"experiment_ids": ["${lx}"], "max_results": 1, "filter": named,
        "page_token": "${lpage}"})
    yield post("logged-models/search", {"experiment_ids": ["${lx}"], "max_results": 1, "filter": "name = 'first'",
        "page_token": "${lpage}"})
    yield post("logged-models/search", {"experiment_ids": ["0"], "max_results": 1, "filter": named,
        "page_token": "${lpage}"})
    yield post("logged-models/search", {"experiment_ids": ["${lx}"], "max_results": 1, "filter": named,
        "page_token": "${lpage}", "order_by": [{"field_name": "name"}]})
    yield post("logged-models/search", {"experiment_ids": ["${lx}"], "page_token": "abc"})
    yield post("logged-models/search", {"experiment_ids": ["${lx}"], "page_token": token(b"abc")})
    for ids in ([], ["99999"], ["word"], None, "x", [5]):
        yield post("logged-models/search", {"experiment_ids": ids})
    yield post("logged-models/search", {})
    yield get("logged-models/search")
    # Files.
    yield Request("PUT", FILES + "artifacts/${lx}/models/${l1}/artifacts/MLmodel", raw=b"flavors: {}")
    yield Request("PUT", FILES + "artifacts/${lx}/models/${l1}/artifacts/data/w.bin", raw=b"123")
    for path in (None, "data", "none", "../x", "MLmodel"):
        yield get("logged-models/${l1}/artifacts/directories",
            None if path is None else {"artifact_directory_path": path})
    yield get("logged-models/nope/artifacts/directories")
    for path in ("MLmodel", "data", "none", "../x", ""):
        yield get("/ajax-api/2.0/mlflow/logged-models/${l1}/artifacts/files", {"artifact_file_path": path})
    # Deleted.
    for name in ("${l2}", "${l2}", "nope"):
        yield delete(f"logged-models/{name}")
    yield get("logged-models/${l2}")
    for flag in ("true", "True", "false", "x"):
        yield get("logged-models/${l2}", {"allow_deleted": flag})
    yield search(filter=named)
    yield patch("logged-models/${l2}", {"model_id": "${l2}", "status": 2})
    yield patch("logged-models/${l2}/tags", {"tags": [{"key": "a", "value": "1"}]})
    for method in ("PUT", "POST"):
        yield Request(method, "logged-models/${l1}", raw="{}", headers=JSON)


@part
def registry():
    model, version = "registered-models/", "model-versions/"
    yield post(model + "create", {"name": "M", "tags": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}],
        "description": "d"})
    yield post(model + "create", {"name": "M"})
    for name in ("a/b", "a:b", " ", "..", ".", "a b", "ünï ☃", "x" * 256, "x" * 257, "a%41", "a'b\"c", "a\nb"):
        yield post(model + "create", {"name": name})
        yield get(model + "get", {"name": name})
    for tags in ([{"key": "a@", "value": "1"}], [{"key": "k" * 251, "value": "1"}],
            [{"key": "k", "value": "v" * 100001}], [{"value": "1"}], [{"key": "k"}], ["x"], "x"):
        yield post(model + "create", fresh({"name": "tags-#", "tags": tags}))
    yield from abuse("POST", model + "create", {"name": "abuse-#", "description": "d",
        "tags": [{"key": "a", "value": "1"}]})
    yield get(model + "get", {"name": "none"})
    yield from abuse_query(model + "get", {"name": "M"})
    for body in ({"description": "new"}, {"description": ""}, {}, {"description": None}, {"description": "ü" * 6000}):
        yield patch(model + "update", {"name": "M", **body})
    yield from abuse("PATCH", model + "update", {"name": "M", "description": "d"})
    # Versions.
    yield post("experiments/create", {"name": "v-versions"}, keep={"vx": ["experiment_id"]})
    yield post("runs/create", {"experiment_id": "${vx}", "start_time": 1, "run_name": "v"},
        keep={"vr": ["run", "info", "run_id"]})
    yield post("logged-models", {"experiment_id": "${vx}", "name": "lm", "source_run_id": "${vr}"},
        keep={"vl": ["model", "info", "model_id"]})
    for more in ({"source": "s3://b/x"}, {"source": "s3://b/y", "run_id": "r", "run_link": "http://l",
            "description": "d", "tags": [{"key": "k", "value": "v"}, {"key": "k", "value": "w"}]}, {"source": "/tmp/x"},
            {"source": "/tmp/x", "run_id": "${vr}"}, {"source": "file:///tmp/x"}, {"source": "x/y"},
            {"source": "s3://b/../x"}, {"source": "s3://b/%2e%2e/x"}, {"source": "http://h/x"},
            {"source": "http://h/../x"}, {"source": "models:/${vl}"}, {"source": "models:/${vl}", "model_id": "${vl}"},
            {"source": "models:/${vl}", "model_id": "m-other"}, {"source": "models:/m-none", "model_id": "m-none"},
            {"source": "s3://b/z", "model_id": "${vl}"}, {"source": "s3://b/z", "model_id": "m-none"},
            {"source": "runs:/${vr}/model", "run_id": "${vr}"}, {"source": "runs:/${vr}/model"},
            {"source": "runs:/abc/model", "run_id": "abc"}, {"source": "runs:/abc", "run_id": "abc"},
            {"source": "runs:/${vr}/model", "model_id": "${vl}"},
            {"source": "mlflow-artifacts:/${vx}/${vr}/artifacts/model", "run_id": "${vr}"},
            {"source": "mlflow-artifacts:/${vx}/${vr}/artifacts/model"},
            {"source": "mlflow-artifacts:/${vx}/models/${vl}/artifacts", "model_id": "${vl}"},
            {"source": "mlflow-artifacts:/0/other", "run_id": "${vr}"}, {"source": "models:/M/1"},
            {"source": "models:/M/2"}, {"source": "models:/M/99"}, {"source": "models:/none/1"},
            {"source": "models:/M@none"}, {"source": "models:/M/latest"}, {"source": "models:/M"},
            {"source": "models:/M/1", "run_id": "other"}, {"source": "models://h/M/1"}, {"source": "dbfs:/x"},
            {"source": "gs://b/x", "tags": [{"key": "a@", "value": "1"}]},
            {"source": "s3://b/x", "tags": [{"key": "k", "value": "v" * 100001}]}, {"source": "s3://b/x?a=1#f"},
            {"source": " "}, {"source": "dummy-source"}):
        yield post(version + "create", {"name": "M", **more})
    yield post(version + "create", {"name": "none", "source": "s3://b/x"})
    yield post(version + "create", {"name": "a/b", "source": "s3://b/x"})
    yield get("logged-models/${vl}")
    yield get(model + "get", {"name": "M"})
    yield post(model + "create", {"name": "V"})
    yield from abuse("POST", version + "create", {"name": "V", "source": "s3://b/x", "run_id": "r", "run_link": "l",
        "description": "d", "tags": [{"key": "a", "value": "1"}]})
    for number in ("1", "2", "3", "99", "x", " 1", "01", "1.0", "-1", "0", "1_0", ""):
        yield get(version + "get", {"name": "M", "version": number})
        yield get(version + "get-download-uri", {"name": "M", "version": number})
    yield get(version + "get-download-uri", {"name": "none", "version": "1"})
    yield from abuse_query(version + "get", {"name": "M", "version": "1"})
    yield from abuse_query(version + "get-download-uri", {"name": "M", "version": "1"})
    for body in ({"description": "D"}, {"description": ""}, {}, {"description": None}):
        yield patch(version + "update", {"name": "M", "version": "1", **body})
        yield get(version + "get", {"name": "M", "version": "1"})
    yield get(model + "get", {"name": "M"})
    yield from abuse("PATCH", version + "update", {"name": "M", "version": "1", "description": "d"})
    # Aliases.
    for alias, number in (("champion", "1"), ("champion", "2"), ("Champion", "1"), ("latest", "1"), ("LATEST", "1"),
            ("v1", "1"), ("V22", "1"), ("v1a", "1"), ("a b", "1"), ("a.b", "1"), ("a" * 255, "1"), ("a" * 256, "1"),
            ("ünï", "1"), ("x", "99"), ("x", "word"), ("-_", "2"), ("1", "2"), ("nl\n", "1")):
        yield post(model + "alias", {"name": "M", "alias": alias, "version": number})
        yield get(model + "alias", {"name": "M", "alias": alias})
    yield get(version + "get", {"name": "M", "version": "2"})
    yield get(model + "get", {"name": "M"})
    for alias in ("latest", "none", "LATEST", "", "a b"):
        yield get(model + "alias", {"name": "M", "alias": alias})
        yield delete(model + "alias", {"name": "M", "alias": alias})
    yield get(model + "alias", {"name": "none", "alias": "champion"})
    yield post(model + "alias", {"name": "none", "alias": "champion", "version": "1"})
    yield post(model + "create", {"name": "empty"})
    yield get(model + "alias", {"name": "empty", "alias": "latest"})
    yield from abuse("POST", model + "alias", {"name": "M", "alias": "abused", "version": "1"}, methods=False)
    yield from abuse_query(model + "alias", {"name": "M", "alias": "champion"}, methods=False)
    yield from abuse("DELETE", model + "alias", {"name": "M", "alias": "abused"}, methods=False)
    # Stages.
    for number, stage, archive in (("1", "production", False), ("2", "Production", True), ("3", "STAGING", None),
            ("3", "bogus", None), ("3", "None", True), ("3", "Archived", True), ("3", "archived", None),
            ("99", "Staging", None), ("x", "Staging", None), ("1", "Production", "true"), ("1", "Production", 1)):
        yield post(version + "transition-stage", {"name": "M", "version": number, "stage": stage,
            **({} if archive is None else {"archive_existing_versions": archive})})
        yield get(version + "get", {"name": "M", "version": "1"})
    yield get(model + "get", {"name": "M"})
    yield from abuse("POST", version + "transition-stage",
        {"name": "V", "version": "1", "stage": "Staging", "archive_existing_versions": True})
    for stages in (None, [], ["None"], ["production", "Staging"], ["bogus"], "None", [5]):
        yield post(model + "get-latest-versions", {"name": "M", **({} if stages is None else {"stages": stages})})
    yield get(model + "get-latest-versions", {"name": "M", "stages": ["Production", "none"]})
    yield get(model + "get-latest-versions", {"name": "M"})
    yield get(model + "get-latest-versions", {"name": "none"})
    # Tags.
    for key, value in (("a", "1"), ("a", "2"), ("a@", "1"), ("..", "1"), ("k" * 250, "1"), ("k" * 251, "1"),
            ("long", "v" * 100000), ("longer", "v" * 100001), ("empty", ""), ("ü: x", "☃")):
        yield post(model + "set-tag", {"name": "M", "key": key, "value": value})
        yield post(version + "set-tag", {"name": "M", "version": "1", "key": key, "value": value})
    yield get(version + "get", {"name": "M", "version": "1"})
    for key in ("a", "a", "none", "a@"):
        yield delete(model + "delete-tag", {"name": "M", "key": key})
        yield delete(version + "delete-tag", {"name": "M", "version": "1", "key": key})
    for name in ("none", "a/b"):
        yield post(model + "set-tag", {"name": name, "key": "a", "value": "1"})
        yield delete(model + "delete-tag", {"name": name, "key": "a"})
        yield post(version + "set-tag", {"name": name, "version": "1", "key": "a", "value": "1"})
    yield post(version + "set-tag", {"name": "M", "version": "99", "key": "a", "value": "1"})
    yield from abuse("POST", model + "set-tag", {"name": "M", "key": "t", "value": "v"})
    yield from abuse("DELETE", model + "delete-tag", {"name": "M", "key": "t"})
    yield from abuse("POST", version + "set-tag", {"name": "M", "version": "1", "key": "t", "value": "v"})
    yield from abuse("DELETE", version + "delete-tag", {"name": "M", "version": "1", "key": "t"})
    # Deleted versions.
    yield delete(version + "delete", {"name": "M", "version": "2"})
    yield delete(version + "delete", {"name": "M", "version": "2"})
    for request in (get(version + "get", {"name": "M", "version": "2"}),
            get(model + "alias", {"name": "M", "alias": "champion"}), get(model + "get", {"name": "M"}),
            get(version + "get-download-uri", {"name": "M", "version": "2"})):
        yield request
    yield post(version + "create", {"name": "M", "source": "s3://b/next"})
    yield from abuse("DELETE", version + "delete", {"name": "V", "version": "2"})
    # A new name.
    yield post(model + "rename", {"name": "M", "new_name": "V"})
    yield post(model + "rename", {"name": "M", "new_name": "N"})
    yield get(model + "get", {"name": "M"})
    yield get(model + "get", {"name": "N"})
    yield get(version + "get", {"name": "N", "version": "1"})
    yield get(model + "alias", {"name": "N", "alias": "-_"})
    yield post(model + "create", {"name": "M"})
    yield from abuse("POST", model + "rename", {"name": "N", "new_name": "N#"})
    yield delete(model + "delete", {"name": "V"})
    yield delete(model + "delete", {"name": "V"})
    yield get(model + "get", {"name": "V"})
    yield get(version + "get", {"name": "V", "version": "1"})
    yield post(model + "create", {"name": "V"})
    yield post(version + "create", {"name": "V", "source": "s3://b/again"})
    yield from abuse("DELETE", model + "delete", {"name": "V"})


@part
def registry_search():
    model, version = "registered-models/", "model-versions/"
    for i, name in enumerate(("z-one", "z-Two", "z-three", "z-four")):
        yield post(model + "create", {"name": name, "tags": [{"key": "team", "value": "x" if i % 2 else "y"},
            {"key": "a b.c", "value": str(i)}]})
        for k in range(i):
            yield post(version + "create", {"name": name, "source": f"s3://b/{i}/{k}", "run_id": f"run{k}",
                "tags": [{"key": "k", "value": str(k)}]})
    yield post(model + "create", {"name": "z-prompt",
        "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}, {"key": "_mlflow_prompt_type", "value": "text"}]})
    yield post(version + "create", {"name": "z-prompt", "source": "dummy-source",
        "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"},
        {"key": "mlflow.prompt.text", "value": "Hello {{name}}"}]})
    yield post(version + "create", {"name": "z-prompt", "source": "s3://b/x",
        "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]})
    yield post(model + "create", {"name": "z-prompt"})
    yield post(model + "create", {"name": "z-one", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]})
    yield post(model + "create", {"name": "z-prompt", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]})
    yield post(model + "alias", {"name": "z-prompt", "alias": "prod", "version": "1"})
    yield get(model + "get", {"name": "z-prompt"})
    prompt = "tag.`mlflow.prompt.is_prompt`"
    for text in (f"{prompt} != 'true' AND name LIKE 'z-%'", f"{prompt} = 'true'",
            f"{prompt} = 'false' AND name LIKE 'z-%'", f"{prompt} != 'false'", f"{prompt} = 'TRUE'",
            f"{prompt} LIKE 'true' AND name LIKE 'z-%'", "name LIKE 'z-%'", "name = 'z-one'",
            "name != 'z-one' AND name LIKE 'z-%'", "name ILIKE 'Z-t%'", "name LIKE 'z-t%'",
            "name IN ('z-one', 'z-Two')", "name NOT IN ('z-one') AND name LIKE 'z-%'", "attribute.name = 'z-one'",
            "attributes.name = 'z-one'", "tags.team = 'x'", "tag.team = 'x' AND name LIKE 'z-T%'", "tags.team != 'x'",
            "tags.team LIKE 'x'", "tags.`a b.c` = '1'", "tags.\"a b.c\" = '1'",
            "tags.team = 'x' AND tags.`a b.c` = '1'", "tags.team IS NULL", "tags.team > 'x'", "tags.team IN ('x')",
            "tags.none != 'x'", "name > 'a'", "name = z-one", "name = 5", "foo = 'x'", "description = 'x'",
            "bogus.x = '1'", "name = 'a' OR name = 'b'", "(name = 'a')", "name", "name = 'a' AND",
            "name = 'a'; name = 'b'", "name IN ()", "name IN (1)", "name IN 'a'", "creation_timestamp > 0", "'",
            "name=\"z-one\"", "name like 'z-o%'"):
        yield get(model + "search", {"filter": text})
        yield get(version + "search", {"filter": text})
    for text in ("run_id = 'run1'", "run_id != 'run1' AND name LIKE 'z-%'", "run_id IN ('run0', 'run2')",
            "run_id NOT IN ('run0') AND name LIKE 'z-%'", "run_id LIKE 'run%'", "source_path = 's3://b/2/1'",
            "source_path LIKE 's3://b/3%'", "source_path IN ('x')", "version_number > 1 AND name LIKE 'z-%'",
            "version_number = '1' AND name LIKE 'z-%'", "version_number = 1.5", "version_number LIKE 1",
            "version_number = 'x'", "version_number != 1 AND name LIKE 'z-%'",
            "version_number <= 1 AND name LIKE 'z-%'", "tags.k = '1' AND name LIKE 'z-%'",
            "tag.k LIKE '%' AND name LIKE 'z-%'", "run_id > 'x'", "version = 1", "source = 'x'",
            "current_stage = 'None'", "creation_timestamp > 0", "last_updated_timestamp > 0", "run_id = 5",
            "name = 'z-four' AND run_id = 'run1' AND version_number = 2"):
        yield get(version + "search", {"filter": text})
    for order in ("name", "name DESC", "name ASC", "timestamp", "last_updated_timestamp DESC", "creation_timestamp",
            "creation_timestamp DESC", "version_number", "version_number DESC", "bogus", "name foo",
            "name, version_number", "tags.k", " ", "description", "`name`", "attribute.name DESC", "current_stage"):
        yield get(model + "search", {"filter": "name LIKE 'z-%'", "order_by": order})
        yield get(version + "search", {"filter": "name LIKE 'z-%'", "order_by": order})
    for orders in (["name", "name DESC"], ["name", "timestamp"], ["timestamp", "last_updated_timestamp"],
            ["name DESC", "version_number"]):
        yield get(model + "search", {"filter": "name LIKE 'z-%'", "order_by": orders})
        yield get(version + "search", {"filter": "name LIKE 'z-%'", "order_by": orders})
    for number in ("1", "2", "0", "-1", "-2", "1000", "1001", "200000", "200001", "x", "1.5", ""):
        yield get(model + "search", {"filter": "name LIKE 'z-%'", "max_results": number})
        yield get(version + "search", {"filter": "name LIKE 'z-%'", "max_results": number})
    for kind in (model, version):
        yield get(kind + "search", {"filter": "name LIKE 'z-%'", "max_results": 2, "order_by": "name"},
            keep={"zpage": ["next_page_token"]})
        yield get(kind + "search", {"filter": "name LIKE 'z-%'", "max_results": 2, "order_by": "name",
            "page_token": "${zpage}"})
        for page in TOKENS:
            yield get(kind + "search", {"filter": "name LIKE 'z-%'", "max_results": 2, "order_by": "name",
                "page_token": page})
        yield from abuse_query(kind + "search", {"filter": "name LIKE 'z-%'", "max_results": "2", "order_by": "name",
            "page_token": ""})


@part
def webhooks():
    url = "https://93.184.216.34/x"
    event = [{"entity": "REGISTERED_MODEL", "action": "CREATED"}]
    off = {"status": "DISABLED"}
    yield get("webhooks")
    yield post("webhooks", {"name": "one", "url": url, "events": event, "secret": "s", "description": "d", **off},
        keep={"w1": ["webhook", "webhook_id"]})
    yield post("webhooks", {"name": "two", "url": url,
        "events": event + [{"entity": "MODEL_VERSION_ALIAS", "action": "DELETED"}], **off},
        keep={"w2": ["webhook", "webhook_id"]})
    yield post("webhooks", {"name": "active", "url": url,
        "events": [{"entity": "BUDGET_POLICY", "action": "EXCEEDED"}]})
    for name in ("two", "a b", "", "-a", "a-", "a" * 63, "a" * 64, "A.b_c-1", "ü"):
        yield post("webhooks", {"name": name, "url": url, "events": event, **off})
    for place in ("http://93.184.216.34/x", "https://", "https:///x", "ftp://93.184.216.34", "x", " ",
            "https://127.0.0.1/x", "https://10.0.0.1/x", "https://[::1]/x", "https://169.254.1.1/",
            "https://93.184.216.34:8443/x?y=1"):
        yield post("webhooks", {"name": "place", "url": place, "events": event, **off})
    actions = ("CREATED", "UPDATED", "DELETED", "SET", "EXCEEDED")
    for entity in ("REGISTERED_MODEL", "MODEL_VERSION", "MODEL_VERSION_TAG", "MODEL_VERSION_ALIAS", "PROMPT",
            "PROMPT_VERSION", "PROMPT_TAG", "PROMPT_VERSION_TAG", "PROMPT_ALIAS", "BUDGET_POLICY", "BOGUS"):
        for action in actions:
            yield post("webhooks", {"name": "pair", "url": url, "events": [{"entity": entity, "action": action}],
                **off})
    for events in ([], None, "x", ["x"], [{}], [{"entity": "REGISTERED_MODEL"}], [{"entity": 1, "action": 1}],
            [{"entity": "REGISTERED_MODEL", "action": "BOGUS"}], event * 2):
        yield post("webhooks", {"name": "events", "url": url, "events": events, **off})
    for status in ("ACTIVE", "DISABLED", "BOGUS", 1, 2, 3, ""):
        yield post("webhooks", {"name": "status", "url": url,
            "events": [{"entity": "BUDGET_POLICY", "action": "EXCEEDED"}], "status": status})
    yield from abuse("POST", "webhooks", {"name": "abuse", "url": url, "events": event, "description": "d",
        "secret": "s", "status": "DISABLED"}, wrong=[None, "", 5, True, [], {}, "word"], methods=False)
    yield get("webhooks/${w1}")
    yield get("webhooks/nope")
    for body in ({}, {"status": "DISABLED", "description": "x"}, {"name": ""}, {"name": "!"}, {"description": ""},
            {"url": "http://x"}, {"url": ""}, {"events": []}, {"events": [{"entity": "PROMPT", "action": "CREATED"}]},
            {"secret": "new"}, {"secret": ""}, {"name": "renamed"}, {"status": "BOGUS"}, {"name": 5}):
        yield patch("webhooks/${w1}", body)
    yield patch("webhooks/nope", {})
    for number in ("1", "0", "-1", "1000", "1001", "x"):
        yield get("webhooks", {"max_results": number}) if number not in ("0", "1000") else get("webhooks/${w2}")
    yield get("webhooks", {"max_results": 1}, keep={"wpage": ["next_page_token"]})
    yield get("webhooks", {"max_results": 1, "page_token": "${wpage}"})
    for page in TOKENS[:6]:
        yield get("webhooks", {"max_results": 1, "page_token": page})
    yield delete("webhooks/${w1}")
    yield delete("webhooks/${w1}")
    yield get("webhooks/${w1}")
    yield patch("webhooks/${w1}", {})
    for method in ("PUT", "POST"):
        yield Request(method, "webhooks/${w2}", raw="{}", headers=JSON)


def trace(name, experiment="${tx}", **more):
    info = {"trace_id": name, "trace_location": {"type": "MLFLOW_EXPERIMENT",
        "mlflow_experiment": {"experiment_id": experiment}}, "request_time": "2026-01-02T03:04:05.678Z",
        "execution_duration": "1.500s", "state": "OK"}
    info.update(more)
    return {"trace": {"trace_info": info}}


def otlp(trace_id, spans, resource=None):
    return {"resourceSpans": [{"resource": {"attributes": [{"key": k, "value": {"stringValue": v}} for k,
        v in (resource or {}).items()]}, "scopeSpans": [
        {"scope": {"name": "s"}, "spans": [{"traceId": trace_id, "spanId": span, "name": name, "kind": 1,
        "startTimeUnixNano": str(1767323045678000000 + start), "endTimeUnixNano": str(1767323045678000000 + end),
        **more} for span, name, start, end, more in spans]}]}]}


@part
def traces():
    yield post("experiments/create", {"name": "t-traces"}, keep={"tx": ["experiment_id"]})
    yield post("runs/create", {"experiment_id": "${tx}", "start_time": 1, "run_name": "t"},
        keep={"trun": ["run", "info", "run_id"]})
    t = [f"tr-{i:032x}" for i in range(1, 9)]
    yield post(A3 + "traces", trace(t[0], request_preview="rq", response_preview="rs",
        trace_metadata={"k": "v", "mlflow.sourceRun": "${trun}"}, tags={"mlflow.traceName": "f", "t": "1"},
        client_request_id="c1"))
    yield post(A3 + "traces", trace(t[0], tags={"t": "2", "u": "3"}, state="ERROR", execution_duration="2s"))
    yield post(A3 + "traces", trace(t[1], request_time="2026-01-02T03:04:06Z", execution_duration="0.001s",
        tags={"mlflow.traceName": "g"}))
    yield post(A3 + "traces", trace(t[2], request_time="2026-01-02T03:04:04.5Z", state="IN_PROGRESS",
        execution_duration=None))
    yield post(A3 + "traces", trace(t[3], trace_metadata={"mlflow.trace.session": "s1", "mlflow.trace.user": "me"},
        assessments=[{"assessment_name": "inline", "source": {"source_type": "HUMAN", "source_id": "me"},
        "create_time": "2026-01-02T03:04:05Z", "last_update_time": "2026-01-02T03:04:05Z",
        "feedback": {"value": "good"}}]))
    for body in ({}, {"trace": {}}, {"trace": {"trace_info": {}}}, {"trace": "x"}, {"trace": None},
            trace("tr-x", experiment="99999"), trace("tr-y", experiment="word"), trace("tr-z", state="BOGUS"),
            trace("tr-time", request_time="yesterday"), trace("tr-dur", execution_duration="long"),
            trace("tr-tags", tags=["x"]), trace("tr-long", tags={"k" * 300: "v", "long": "v" * 9000},
            trace_metadata={"m" * 300: "v" * 9000})):
        yield post(A3 + "traces", body)
    for name in t[:4] + ["tr-nope", "nope"]:
        yield get(A3 + f"traces/{name}")
        if name in t[:4]:
            yield get(A3 + f"traces/{name}", {"trace_id": name})
    for query in ({"trace_id": "nope"}, {"trace_id": t[0], "allow_partial": "true"},
            {"trace_id": t[0], "allow_partial": "maybe"}, {"trace_id": t[0], "allow_partial": "FALSE"}, {},
            {"allow_partial": "true"}):
        yield get(A3 + "traces/get", query)
    yield get(A3 + "traces/batchGet", {"trace_ids": ["nope", "nix"]})
    yield get(A3 + "traces/batchGet")
    yield post(A3 + "traces/batchGetInfos", {"trace_ids": [t[1], "nope", t[0]]})
    for ids in ([], None, "x", [5]):
        yield post(A3 + "traces/batchGetInfos", {"trace_ids": ids})
    # Tags.
    for key, value in (("a", "1"), ("a", "2"), ("a@", "1"), ("..", "1"), ("k" * 250, "1"), ("k" * 251, "1"),
            ("long", "v" * 8001), ("mlflow.traceName", "renamed"), ("mlflow.trace.spansLocation", "x"),
            ("mlflow.trace.archivalFailure", "x"), ("empty", ""), ("ü: x", "☃")):
        yield patch(A3 + f"traces/{t[1]}/tags", {"key": key, "value": value})
    yield patch(A2 + f"traces/{t[1]}/tags", {"key": "two", "value": "0"})
    yield patch(A3 + "traces/nope/tags", {"key": "a", "value": "1"})
    yield get(A3 + f"traces/{t[1]}")
    for key in ("a", "a", "none", "mlflow.traceName", "mlflow.traceName", "mlflow.trace.spansLocation"):
        yield delete(A3 + f"traces/{t[1]}/tags", {"key": key})
    yield delete(A3 + f"traces/{t[1]}/tags", query={"key": "two"})
    yield delete(A3 + "traces/nope/tags", {"key": "a"})
    yield from abuse("PATCH", A3 + f"traces/{t[1]}/tags", {"key": "k", "value": "v"},
        wrong=[None, "", 5, True, [], {}, "word"], methods=False)
    yield from abuse("DELETE", A3 + f"traces/{t[1]}/tags", {"key": "k"}, wrong=[None, "", 5, True, [], {}, "word"],
        methods=False)
    # Assessments.
    me = {"source": {"source_type": "HUMAN", "source_id": "me"}, "create_time": "2026-01-02T03:04:05Z",
        "last_update_time": "2026-01-02T03:04:05Z"}
    path = A3 + f"traces/{t[0]}/assessments"
    yield post(path, {"assessment": {"assessment_name": "good", "trace_id": t[0], **me, "feedback": {"value": True},
        "rationale": "r", "metadata": {"m": "1"}, "valid": True}}, keep={"as1": ["assessment", "assessment_id"]})
    for value in ("text", 5, 0.5, None, [1, "a"], {"a": {"b": 1}}, False):
        yield post(path, {"assessment": {"assessment_name": "f", **me, "feedback": {"value": value}}})
        yield post(path, {"assessment": {"assessment_name": "e", **me, "expectation": {"value": value}}})
    yield post(path, {"assessment": {"assessment_name": "ser", **me,
        "expectation": {"serialized_value": {"serialization_format": "JSON_FORMAT", "value": "[1,2]"}}}},
        keep={"as2": ["assessment", "assessment_id"]})
    yield post(path, {"assessment": {"assessment_name": "ser", **me,
        "expectation": {"serialized_value": {"serialization_format": "XML", "value": "[1,2]"}}}})
    yield post(path, {"assessment": {"assessment_name": "err", **me,
        "feedback": {"error": {"error_code": "E", "error_message": "m", "stack_trace": "s"}}}})
    yield post(path, {"assessment": {"assessment_name": "judge",
        "source": {"source_type": "LLM_JUDGE", "source_id": "gpt"}, "feedback": {"value": 1}, "span_id": "abc"}})
    for body in ({}, {"assessment": {}}, {"assessment": {"assessment_name": "none"}},
            {"assessment": {"assessment_name": "src", "source": {"source_type": "BOGUS"}, "feedback": {"value": 1}}},
            {"assessment": "x"}, {"assessment": {"feedback": {"value": 1}}},
            {"assessment": {"assessment_name": "n" * 300, **me, "feedback": {"value": 1}}}):
        yield post(path, body)
    yield post(A3 + "traces/nope/assessments", {"assessment": {"assessment_name": "good", **me,
        "feedback": {"value": True}}})
    yield post(path, {"assessment": {"assessment_name": "good", "overrides": "${as1}", **me,
        "feedback": {"value": False}}}, keep={"as3": ["assessment", "assessment_id"]})
    yield post(path, {"assessment": {"assessment_name": "good", "overrides": "a-nope", **me,
        "feedback": {"value": False}}})
    for name in ("${as1}", "${as3}", "nope"):
        yield get(f"{path}/{name}")
    yield get(A3 + "traces/nope/assessments/nope")
    for body in ({"assessment": {"feedback": {"value": "x"}, "rationale": "rr"}, "update_mask": "feedback,rationale"},
            {"assessment": {"feedback": {"value": "y"}}, "update_mask": "rationale"},
            {"assessment": {"metadata": {"n": "2"}}, "update_mask": "metadata"},
            {"assessment": {"assessment_name": "named"}, "update_mask": "assessmentName"},
            {"assessment": {"feedback": {"value": "x"}}}, {"update_mask": "feedback"},
            {"assessment": {"expectation": {"value": "x"}}, "update_mask": "expectation"},
            {"assessment": {}, "update_mask": "bogus"}, {"assessment": {}, "update_mask": ""}):
        yield patch(f"{path}/${{as1}}", body)
    yield patch(f"{path}/${{as2}}", {"assessment": {"expectation": {"value": 7}}, "update_mask": "expectation"})
    yield patch(f"{path}/${{as2}}", {"assessment": {"feedback": {"value": 7}}, "update_mask": "feedback"})
    yield patch(f"{path}/nope", {"assessment": {"rationale": "x"}, "update_mask": "rationale"})
    yield get(A3 + f"traces/{t[0]}")
    for name in ("${as3}", "${as3}", "nope"):
        yield delete(f"{path}/{name}")
    yield get(f"{path}/${{as1}}")
    # Spans by OTLP, before and after the trace itself.
    root = {"status": {"code": 1}, "attributes": [{"key": "mlflow.spanInputs", "value": {"stringValue": "{\"x\":1}"}},
        {"key": "mlflow.spanOutputs", "value": {"stringValue": "\"out\""}},
        {"key": "mlflow.spanType", "value": {"stringValue": "\"LLM\""}}, {"key": "n", "value": {"intValue": "5"}},
        {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": "a"}, {"doubleValue": 0.5}]}}}]}
    inner = {"parentSpanId": "00000000000000a1", "status": {"code": 2, "message": "boo"},
        "events": [{"name": "ev", "timeUnixNano": "1767323045679000000",
        "attributes": [{"key": "a", "value": {"boolValue": True}}]}]}
    h = {"x-mlflow-experiment-id": "${tx}"}
    five, six, seven = (f"{i:032x}" for i in (5, 6, 7))
    yield post("/v1/traces", otlp(five, [("00000000000000a1", "root", 0, 10 ** 9, root),
        ("00000000000000a2", "inner", 10 ** 6, 9 * 10 ** 8, inner)], {"service.name": "svc"}), headers=h)
    yield post("/v1/traces", otlp(six, [("00000000000000b2", "child only", 0, 10 ** 6,
        {"parentSpanId": "00000000000000b1"})]), headers=h)
    yield get(A3 + f"traces/tr-{six}")
    yield post("/v1/traces", otlp(six, [("00000000000000b1", "late root", 0, 10 ** 7, {"status": {"code": 2}})]),
        headers=h)
    yield post("/v1/traces", otlp(seven, [("00000000000000c1", "to run", 0, 10 ** 7, {})]),
        headers={**h, "x-mlflow-run-id": "${trun}"})
    yield post(A3 + "traces", trace(f"tr-{six}", tags={"mlflow.traceName": "named later"}, trace_metadata={"z": "1"}))
    for name in (five, six, seven):
        yield get(A3 + f"traces/tr-{name}")
        yield get(A3 + "traces/get", {"trace_id": f"tr-{name}"})
    yield get(A3 + "traces/batchGet", {"trace_ids": [f"tr-{six}", "nope", f"tr-{five}"]})
    yield get("/ajax-api/3.0/mlflow/get-trace-artifact", {"request_id": f"tr-{five}"})
    yield get("/ajax-api/2.0/mlflow/get-trace-artifact")
    for raw, headers in ((b"", {"content-type": "application/x-protobuf"}),
            (b"", {"content-type": "application/x-protobuf", **h}),
            (b"\xff\xff", {"content-type": "application/x-protobuf", **h}),
            (b"{}", {"content-type": "text/plain", **h}), (b"{", {**JSON, **h}), (b"{}", {**JSON, **h}), (b"{}", JSON)):
        yield post("/v1/traces", raw=raw, headers=headers)
    yield post("/v1/traces", otlp(five, [("00000000000000a9", "x", 0, 1, {})]),
        headers={"x-mlflow-experiment-id": "99999"})
    yield get("/v1/traces")
    # Search.
    where = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "${tx}"}}]
    search = lambda **more: post(A3 + "traces/search", {"locations": where, **more})
    yield search()
    for text in ("status = 'OK'", "status != 'OK'", "status = 'ok'", "status IN ('OK', 'ERROR')",
            "status NOT IN ('OK')", "attributes.status = 'ERROR'", "trace.status = 'IN_PROGRESS'", "state = 'OK'",
            "tags.t = '2'", "tag.t != '2'", "tags.t LIKE '%'", "tags.t ILIKE '2'", "tags.t IS NULL",
            "tags.u IS NOT NULL", "tags.t IN ('2')", "tags.t RLIKE '^2'", "metadata.k = 'v'",
            "request_metadata.k = 'v'", "metadata.k IS NULL", "metadata.`mlflow.trace.session` = 's1'",
            "metadata.`mlflow.sourceRun` = '${trun}'", "name = 'f'", "name != 'f'", "trace.name LIKE 'named%'",
            "attributes.name ILIKE 'F'", "name IN ('f')", "run_id = '${trun}'", "run_id = 'none'",
            "run_id IN ('${trun}')", "request_id = 'tr-00000000000000000000000000000001'",
            "request_id IN ('tr-00000000000000000000000000000001')", "trace_id = 'x'", "client_request_id = 'c1'",
            "client_request_id IN ('c1', 'c2')", "timestamp > 0", "timestamp_ms >= 1767323045678",
            "timestamp = 1767323045678", "trace.timestamp_ms < 5", "execution_time > 1000", "execution_time_ms <= 1",
            "attributes.execution_time = 2000", "end_time > 0", "end_time_ms < 5", "timestamp > '0'",
            "timestamp IN ('1')", "execution_time LIKE 1", "execution_time > 1.5", "feedback.good = 'true'",
            "feedback.good = 'false'", "feedback.f = 'text'", "feedback.f > 1", "feedback.f = 5",
            "feedback.none IS NULL", "feedback.good IS NOT NULL", "expectation.e = 'text'",
            "expectation.ser IS NOT NULL", "expectation.e > 'x'", "span.name = 'inner'", "span.name LIKE '%root'",
            "span.type = 'LLM'", "span.status = 'ERROR'", "span.name = 'inner' AND span.status = 'ERROR'",
            "span.attributes.n LIKE '%5%'", "span.attributes.mlflow.spanInputs LIKE '%x%'", "span.content LIKE '%boo%'",
            "span.bogus = 'x'", "span.attributes. = 'x'", "text LIKE '%boo%'", "trace.text LIKE '%boo%'",
            "trace.text ILIKE '%BOO%'", "trace.text = 'x'", "prompt = 'p/1'", "prompt = 'p'", "prompt LIKE 'p'",
            "issue.id = 'x'", "issue.name = 'x'", "foo = 'x'", "bogus.x = '1'", "status", "status = OK",
            "status = 'a' OR status = 'b'", "(status = 'OK')", "status = 'OK' AND tags.t = '2'",
            "status = 'OK'; status = 'OK'", "1 = 1", "'", "tags.t > '1'", "metrics.x > 1"):
        yield search(filter=text)
    for order in ("timestamp", "timestamp DESC", "timestamp_ms ASC", "attributes.timestamp_ms", "execution_time DESC",
            "status", "name", "name DESC", "request_id", "request_id DESC", "experiment_id", "end_time", "tags.t",
            "tag.t DESC", "metadata.k", "run_id", "client_request_id", "foo", "bogus.x", "timestamp FOO", " ",
            "span.name"):
        yield search(order_by=[order])
    yield search(order_by=["status", "timestamp DESC"])
    yield search(order_by=["status", "status DESC"])
    yield search(order_by="status")
    for number in (1, 2, 500, 501, 0, -1, "2", 1.5, "x"):
        yield search(max_results=number)
    yield search(max_results=3, order_by=["request_id"])
    yield post(A3 + "traces/search", {"locations": where, "max_results": 5, "order_by": ["request_id"]},
        keep={"tpage": ["next_page_token"]})
    yield search(max_results=5, order_by=["request_id"], page_token="${tpage}")
    for page in TOKENS:
        yield search(max_results=2, order_by=["request_id"], page_token=page)
    for places in ([], None, "x", [{}], [{"mlflow_experiment": {}}],
            [{"mlflow_experiment": {"experiment_id": "99999"}}], [{"mlflow_experiment": {"experiment_id": "word"}}],
            [{"mlflow_experiment": {"experiment_id": "a.b"}}],
            [{"type": "BOGUS", "mlflow_experiment": {"experiment_id": "${tx}"}}]):
        yield post(A3 + "traces/search", {"locations": places, "max_results": 1})
    yield post(A3 + "traces/search", {})
    # Links.
    link = "traces/link-to-run"
    for body in ({"trace_ids": [t[1]], "run_id": "${trun}"}, {"trace_ids": [t[1]], "run_id": "${trun}"},
            {"trace_ids": ["nope"], "run_id": "nope"}, {"trace_ids": [], "run_id": "${trun}"}, {"trace_ids": [t[1]]},
            {"run_id": "${trun}"}, {"trace_ids": ["x"] * 101, "run_id": "r"}, {"trace_ids": "x", "run_id": "r"}):
        yield post(link, body)
    yield search(filter="run_id = '${trun}'")
    for body in ({"trace_id": t[1], "prompt_versions": [{"name": "p", "version": "1"}]},
            {"trace_id": "nope", "prompt_versions": [{"name": "p", "version": "1"}]},
            {"trace_id": t[1], "prompt_versions": []}, {"trace_id": t[1]}):
        yield post("traces/link-prompts", body)
    yield search(filter="prompt = 'p/1'")
    # Deletion.
    gone = A3 + "traces/delete-traces"
    for body in ({}, {"experiment_id": "${tx}"}, {"experiment_id": "${tx}", "max_timestamp_millis": 5,
            "request_ids": [t[0]]}, {"experiment_id": "${tx}", "max_traces": 1, "request_ids": [t[0]]},
            {"experiment_id": "${tx}", "max_traces": 0, "max_timestamp_millis": 5},
            {"experiment_id": "${tx}", "request_ids": ["nope"]},
            {"experiment_id": "${tx}", "request_ids": [t[0], "nope"]},
            {"experiment_id": "${tx}", "request_ids": [t[0]]}, {"experiment_id": "0", "request_ids": [t[1]]},
            {"experiment_id": "word", "request_ids": [t[1]]},
            {"experiment_id": "${tx}", "max_timestamp_millis": 1767323044600, "max_traces": 1},
            {"experiment_id": "${tx}", "max_timestamp_millis": "x"}, {"experiment_id": "${tx}", "request_ids": "x"},
            {"experiment_id": "${tx}", "request_ids": []}):
        yield post(gone, body)
    yield search()
    yield post("traces/delete-traces", {"experiment_id": "${tx}", "max_timestamp_millis": 4102444800000})
    yield search()


@part
def ajax():
    """The paths of the browser's interface: the same handlers."""
    two, three = "/ajax-api/2.0/mlflow/", "/ajax-api/3.0/mlflow/"
    yield post(two + "experiments/create", {"name": "x-ajax"}, keep={"xx": ["experiment_id"]})
    yield post(two + "runs/create", {"experiment_id": "${xx}", "start_time": 1, "run_name": "x"},
        keep={"xr": ["run", "info", "run_id"]})
    yield post(two + "runs/log-metric", {"run_id": "${xr}", "key": "m", "value": 1, "timestamp": 1})
    yield post(two + "runs/log-parameter", {"run_id": "${xr}"})
    yield get(two + "runs/get", {"run_id": "${xr}"})
    yield post(two + "runs/search", {"experiment_ids": ["${xx}"], "filter": "metrics.m > 0"})
    yield post(two + "experiments/search", {"max_results": 5, "filter": "name = 'x-ajax'"})
    yield get(two + "metrics/get-history", {"run_id": "${xr}", "metric_key": "m"})
    yield get(two + "artifacts/list", {"run_id": "${xr}"})
    yield Request("PUT", "/ajax-api/2.0/mlflow-artifacts/artifacts/${xx}/${xr}/artifacts/a.txt", raw=b"x")
    yield get("/ajax-api/2.0/mlflow-artifacts/artifacts/${xx}/${xr}/artifacts/a.txt")
    yield get("/ajax-api/2.0/mlflow-artifacts/artifacts", {"path": "${xx}/${xr}/artifacts"})
    yield delete("/ajax-api/2.0/mlflow-artifacts/artifacts/${xx}/${xr}/artifacts/a.txt", {})
    yield post(two + "logged-models", {"experiment_id": "${xx}", "name": "x"},
        keep={"xl": ["model", "info", "model_id"]})
    yield get(two + "logged-models/${xl}")
    yield post(two + "logged-models/search", {"experiment_ids": ["${xx}"]})
    yield post(two + "registered-models/create", {"name": "x-model"})
    yield post(two + "model-versions/create", {"name": "x-model", "source": "models:/${xl}", "model_id": "${xl}"})
    yield get(two + "registered-models/search", {"filter": "name = 'x-model'"})
    yield post(two + "registered-models/alias", {"name": "x-model", "alias": "a", "version": "1"})
    yield get(two + "registered-models/alias", {"name": "x-model", "alias": "a"})
    yield delete(two + "registered-models/delete", {"name": "x-model"})
    yield get(two + "webhooks/nope")
    yield post(three + "traces", trace(f"tr-{99:032x}", experiment="${xx}"))
    yield get(three + f"traces/tr-{99:032x}")
    yield post(three + "traces/search",
        {"locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "${xx}"}}]})
    yield patch(three + f"traces/tr-{99:032x}/tags", {"key": "a", "value": "1"})
    yield post(two + "experiments/delete", {"experiment_id": "${xx}"})
    yield get("/ajax-api/1.0/mlflow/experiments/get", {"experiment_id": "0"})


# ---- Run ------------------------------------------------------------------------------------------------------------

def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_mlflow(folder):
    port = free_port()
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
               "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"]
    with open(os.path.join(folder, "log"), "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    for _ in range(1800):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health")
            if connection.getresponse().read() == b"OK":
                return process, url
        except OSError:
            pass
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit(f"mlflow server did not start: {open(os.path.join(folder, 'log')).read()[-2000:]}")


def start_bellwether(binary, folder):
    process = subprocess.Popen([binary, "serve", "--data-dir", folder, "--listen", "127.0.0.1:0", "--otlp-grpc",
        "127.0.0.1:0", "--otlp-http", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True)
    return process, "http://" + json.loads(process.stdout.readline())["listen"]


def compare(base, other, chosen, limit, listing):
    sent, differ, allowed = 0, [], {}
    for name, corpus in chosen:
        count, before = 0, len(differ)
        for request in corpus():
            if listing:
                print(request.shown())
            time.sleep(0.002)  # So that two changes never carry the same millisecond.
            answers = [server.send(request) for server in (base, other)]
            masked = [Mask(server, request).answer(answer) for server, answer in zip((base, other), answers)]
            found, count = differences(*masked), count + 1
            if not found:
                continue
            reason = accepted(*masked, request)
            if reason:
                allowed[reason] = allowed.get(reason, 0) + 1
                continue
            differ.append(name)
            if limit is None or len(differ) <= limit:
                print(f"[{name}] {request.shown()}")
                for line in found[:8]:
                    print(f"    {line}")
                if len(found) > 8:
                    print(f"    … {len(found) - 8} more")
        sent += count
        print(f"{name}: {count} requests, {len(differ) - before} differ", flush=True)
    for reason, number in allowed.items():
        print(f"accepted, {number} times: {next(why for title, why, _ in ACCEPTED if title == reason)}")
    print(f"{sent} requests, {len(differ)} differ")
    return not differ


def main(arguments):
    options, binary = {"--part": []}, None
    arguments = list(arguments)
    while arguments:
        name = arguments.pop(0)
        if name == "--part":
            options["--part"].append(arguments.pop(0))
        elif name == "--list":
            options[name] = True
        elif name in ("--base", "--other", "--limit"):
            options[name] = arguments.pop(0)
        elif not name.startswith("--") and binary is None:
            binary = name
        else:
            raise SystemExit(__doc__)
    unknown = set(options["--part"]) - set(PARTS)
    if unknown:
        raise SystemExit(f"no part {unknown}: there are {', '.join(PARTS)}")
    chosen = [(name, corpus) for name, corpus in PARTS.items() if not options["--part"] or name in options["--part"]]
    started = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # So that the servers are stopped.
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        try:
            urls = []
            for option, folder in (("--base", first), ("--other", second)):
                if option in options:
                    urls.append(options[option])
                    continue
                start = start_bellwether(binary, folder) if option == "--other" and binary else start_mlflow(folder)
                started.append(start[0])
                urls.append(start[1])
            limit = options.get("--limit")
            return compare(Server("base", urls[0]), Server("other", urls[1]), chosen,
                None if limit is None else int(limit), options.get("--list"))
        finally:
            for process in started:
                try:
                    os.killpg(process.pid, signal.SIGTERM)
                    process.wait(30)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    pass


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
