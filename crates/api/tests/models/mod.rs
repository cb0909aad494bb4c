//! MLflow's wire over real sockets: what is acknowledged is kept, what is refused changes nothing, files go up and down.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Server;

const A: &str = "/api/2.0/mlflow";
const FILES: &str = "/api/2.0/mlflow-artifacts/artifacts";

impl Server {
    async fn ask(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let request = self.http.request(method, self.url(path)).json(&body);
        let answer = request.send().await.unwrap();
        (answer.status(), serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
    }

    /// A call that must be answered well.
    async fn mlflow(&self, path: &str, body: Value) -> Value {
        let (status, said) = self.ask(Method::POST, &format!("{A}/{path}"), body).await;
        assert_eq!(status, StatusCode::OK, "{path}: {said}");
        said
    }

    async fn new_run(&self) -> String {
        let made = self.mlflow("runs/create", json!({"experiment_id": "0", "start_time": 5})).await;
        made["run"]["info"]["run_id"].as_str().unwrap().to_owned()
    }

    async fn put_file(&self, path: &str, body: impl Into<reqwest::Body>) -> StatusCode {
        self.http.put(self.url(&format!("{FILES}/{path}"))).body(body).send().await.unwrap().status()
    }

    async fn again(self) -> Server {
        let Server { running, dir, .. } = self;
        running.shutdown().await.unwrap();
        Server::on(dir, |_| {}).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_acknowledged_is_there_after_a_restart() {
    let server = Server::start(|_| {}).await;
    let made = server.mlflow("experiments/create", json!({"name": "e"})).await;
    let experiment = made["experiment_id"].as_str().unwrap().to_owned();
    let run = server.new_run().await;
    for step in 0..5 {
        let metric =
            json!({"run_id": run, "key": "loss", "value": 1.0 / f64::from(step + 1), "timestamp": step, "step": step});
        server.mlflow("runs/log-metric", metric).await;
    }
    let batch = json!({"run_id": run, "metrics": [{"key": "acc", "value": "NaN", "timestamp": 1}],
        "params": [{"key": "C", "value": "1"}], "tags": [{"key": "team", "value": "x"}]});
    server.mlflow("runs/log-batch", batch).await;
    let model =
        server.mlflow("logged-models", json!({"experiment_id": experiment, "name": "m", "source_run_id": run})).await;
    let model = model["model"]["info"]["model_id"].as_str().unwrap().to_owned();
    server.mlflow("registered-models/create", json!({"name": "iris"})).await;
    let version = json!({"name": "iris", "source": format!("models:/{model}"), "model_id": model});
    server.mlflow("model-versions/create", version).await;
    server.mlflow("registered-models/alias", json!({"name": "iris", "alias": "champion", "version": "1"})).await;
    assert_eq!(server.put_file("1/a/b.txt", "hello").await, StatusCode::OK);
    let seen = server.get(&format!("{A}/runs/get?run_id={run}")).await;

    let server = server.again().await.again().await;
    assert_eq!(server.get(&format!("{A}/runs/get?run_id={run}")).await, seen);
    assert_eq!(seen["run"]["data"]["metrics"][1]["value"], json!(0.2), "{seen}");
    let history = server.get(&format!("{A}/metrics/get-history?run_id={run}&metric_key=loss")).await;
    assert_eq!(history["metrics"].as_array().unwrap().len(), 5);
    let champion = server.get(&format!("{A}/registered-models/alias?name=iris&alias=champion")).await;
    let version = &champion["model_version"];
    assert_eq!(
        (&version["version"], &version["run_id"], &version["aliases"]),
        (&json!("1"), &json!(run), &json!(["champion"]))
    );
    let file = server.http.get(server.url(&format!("{FILES}/1/a/b.txt"))).send().await.unwrap();
    assert_eq!(file.text().await.unwrap(), "hello");
    let found = json!({"experiment_ids": ["0"], "filter": "metrics.loss < 0.3 and params.C = '1'"});
    assert_eq!(server.mlflow("runs/search", found).await["runs"][0]["info"]["run_id"], json!(run));
    server.running.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_says_why_in_mlflows_form_and_changes_nothing() {
    let server = Server::start(|_| {}).await;
    let run = server.new_run().await;
    let cases = [
        (
            Method::GET,
            "runs/get?run_id=nope".to_owned(),
            json!(null),
            404,
            "RESOURCE_DOES_NOT_EXIST",
            "Run with id=nope not found",
        ),
        (
            Method::POST,
            "runs/log-metric".into(),
            json!({"run_id": run, "key": "a/../b", "value": 1, "timestamp": 1}),
            400,
            "INVALID_PARAMETER_VALUE",
            "resolve to 'b'",
        ),
        (
            Method::POST,
            "runs/log-batch".into(),
            json!({"run_id": run, "metrics": [{"key": "a"}]}),
            400,
            "INVALID_PARAMETER_VALUE",
            "'metrics[0].value'",
        ),
        (
            Method::POST,
            "runs/log-batch".into(),
            json!({"run_id": run, "tags": vec![json!({"key": "k", "value": ""}); 101]}),
            400,
            "INVALID_PARAMETER_VALUE",
            "at most 100 tags",
        ),
        (
            Method::POST,
            "experiments/create".into(),
            json!({"name": "Default"}),
            400,
            "RESOURCE_ALREADY_EXISTS",
            "already exists",
        ),
        (
            Method::POST,
            "runs/search".into(),
            json!({"experiment_ids": ["0"], "filter": "bogus ~ 3"}),
            400,
            "INVALID_PARAMETER_VALUE",
            "Invalid",
        ),
        (
            Method::POST,
            "registered-models/create".into(),
            json!({"name": "../x"}),
            400,
            "INVALID_PARAMETER_VALUE",
            "Invalid model name",
        ),
        (
            Method::PATCH,
            "registered-models/update".into(),
            json!({"name": "none"}),
            404,
            "RESOURCE_DOES_NOT_EXIST",
            "not found",
        ),
        (Method::POST, "gateway/endpoints".into(), json!({}), 501, "NOT_IMPLEMENTED", "MLflow's own server"),
    ];
    for (method, path, body, status, code, reason) in cases {
        let (answered, said) = server.ask(method, &format!("{A}/{path}"), body).await;
        assert_eq!((answered.as_u16(), said["error_code"].as_str()), (status, Some(code)), "{path}: {said}");
        assert!(said["message"].as_str().unwrap().contains(reason), "{path}: {said}");
    }
    for (method, path, status) in
        [(Method::GET, "nope", 404), (Method::DELETE, "runs/get", 405), (Method::PUT, "runs/get", 405)]
    {
        let answer = server.http.request(method, server.url(&format!("{A}/{path}"))).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/html"), "{path}");
    }
    let plain = server.post(&format!("{A}/experiments/create"), "text/plain", r#"{"name": "x"}"#).await;
    assert!(plain.0 == StatusCode::BAD_REQUEST && plain.1.contains("Content-Type must be one of"), "{plain:?}");
    let kept = server.get(&format!("{A}/runs/get?run_id={run}")).await;
    assert!(
        kept["run"]["data"].get("metrics").is_none() && kept["run"]["data"]["tags"].as_array().unwrap().len() == 1,
        "{kept}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_clients_that_register_one_name_one_is_told_that_it_is_taken() {
    let server = Server::start(|_| {}).await;
    let path = format!("{A}/registered-models/create");
    let ask = || server.ask(Method::POST, &path, json!({"name": "one"}));
    let answers = tokio::join!(ask(), ask(), ask(), ask());
    let mut codes = [answers.0.0, answers.1.0, answers.2.0, answers.3.0].map(|status| status.as_u16());
    codes.sort_unstable();
    assert_eq!(codes, [200, 400, 400, 400]);
    server.mlflow("registered-models/set-tag", json!({"name": "one", "key": "k", "value": "v"})).await;
    let runs: Vec<String> = futures_of(8, |_| server.new_run()).await;
    let distinct: std::collections::BTreeSet<&String> = runs.iter().collect();
    assert_eq!(distinct.len(), 8);
}

async fn futures_of<T, F: Future<Output = T>>(count: usize, ask: impl Fn(usize) -> F) -> Vec<T> {
    let mut answers = Vec::new();
    for i in 0..count {
        answers.push(ask(i).await);
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_up_and_down_whole_in_parts_and_by_range() {
    let server = Server::start(|_| {}).await;
    let run = server.new_run().await;
    let root = format!("0/{run}/artifacts");
    let large: Vec<u8> = (0..3_000_000_u32).map(|i| (i * 7919 % 251) as u8).collect();
    assert_eq!(server.put_file(&format!("{root}/model/data.bin"), large.clone()).await, StatusCode::OK);
    assert_eq!(server.put_file(&format!("{root}/one.txt"), "first").await, StatusCode::OK);
    assert_eq!(server.put_file(&format!("{root}/one.txt"), "second").await, StatusCode::OK, "a new one replaces it");
    let get = |path: String, range: Option<&'static str>| {
        let request = server.http.get(server.url(&format!("{FILES}/{path}")));
        let request = range.into_iter().fold(request, |request, range| request.header("range", range));
        async move { request.send().await.unwrap() }
    };
    assert_eq!(get(format!("{root}/one.txt"), None).await.text().await.unwrap(), "second");
    assert_eq!(get(format!("{root}/model/data.bin"), None).await.bytes().await.unwrap(), large);
    let pressed = server.http.get(server.url(&format!("{FILES}/{root}/one.txt"))).header("accept-encoding", "gzip");
    assert_eq!(pressed.send().await.unwrap().bytes().await.unwrap(), "second", "it ends well whoever reads it");
    let part = get(format!("{root}/model/data.bin"), Some("bytes=1000-1999")).await;
    assert_eq!(
        (part.status().as_u16(), part.headers()["content-range"].to_str().unwrap()),
        (206, "bytes 1000-1999/3000000")
    );
    assert_eq!(part.bytes().await.unwrap(), large[1000..2000]);
    assert_eq!(get(format!("{root}/one.txt"), Some("bytes=99-")).await.status().as_u16(), 416);
    let listed = server.get(&format!("{A}/artifacts/list?run_id={run}")).await;
    assert_eq!(
        listed["files"],
        json!([{"path": "model", "is_dir": true}, {"path": "one.txt", "is_dir": false, "file_size": 6}])
    );
    let below = server.get(&format!("{A}/artifacts/list?run_id={run}&path=model")).await;
    assert_eq!(below["files"][0]["path"], "model/data.bin");

    let parts = "/api/2.0/mlflow-artifacts/mpu";
    let asked = json!({"path": "/home/ann/big.bin", "num_parts": 2});
    let (status, begun) = server.ask(Method::POST, &format!("{parts}/create/{root}/big"), asked).await;
    assert_eq!(status, StatusCode::OK, "{begun}");
    let mut listed = Vec::new();
    for (credential, bytes) in
        begun["credentials"].as_array().unwrap().iter().zip([&large[..1_000_000], &large[1_000_000..]])
    {
        let url = credential["url"].as_str().unwrap();
        let answer = server.http.put(url).body(bytes.to_vec()).send().await.unwrap();
        listed.push(
            json!({"part_number": credential["part_number"], "etag": answer.headers()["etag"].to_str().unwrap()}),
        );
    }
    let done = json!({"path": "/home/ann/big.bin", "upload_id": begun["upload_id"], "parts": listed});
    assert_eq!(server.ask(Method::POST, &format!("{parts}/complete/{root}/big"), done.clone()).await.0, StatusCode::OK);
    assert_eq!(get(format!("{root}/big/big.bin"), None).await.bytes().await.unwrap(), large);
    let (status, said) = server.ask(Method::POST, &format!("{parts}/complete/{root}/big"), done).await;
    assert_eq!((status.as_u16(), said["error_code"].as_str()), (404, Some("RESOURCE_DOES_NOT_EXIST")));

    assert_eq!(server.ask(Method::DELETE, &format!("{FILES}/{root}/model"), json!({})).await.0, StatusCode::OK);
    assert_eq!(get(format!("{root}/model/data.bin"), None).await.status().as_u16(), 404);
    assert_eq!(
        get(format!("{root}/big/big.bin"), None).await.bytes().await.unwrap(),
        large,
        "another path has the same content"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_and_no_file_is_run_by_a_browser() {
    let server = Server::start(|_| {}).await;
    for path in [
        "../x",
        "a/../../x",
        "a/..%2f..%2fx",
        "%2e%2e/x",
        "a//b",
        "a/./b",
        "a%5c..%5cx",
        "a%00b",
        "a%252e%252e/..%252fx",
        "..",
    ] {
        // By hand: a client would mend the path before it is sent.
        let answer = raw(&server, &format!("PUT {FILES}/{path} HTTP/1.1")).await;
        assert!(answer.starts_with("HTTP/1.1 400") || answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
    assert_eq!(server.put_file("0/x/page.html", "<script>alert(1)</script>").await, StatusCode::OK);
    let page = server.http.get(server.url(&format!("{FILES}/0/x/page.html"))).send().await.unwrap();
    let header = |name: &str| page.headers()[name].to_str().unwrap().to_owned();
    assert!(
        header("content-type").starts_with("text/plain") && header("content-disposition").starts_with("attachment")
    );
    assert_eq!(header("x-content-type-options"), "nosniff");
    let list = server.get(&format!("{FILES}?path=")).await;
    assert_eq!(list["files"], json!([{"path": "0", "is_dir": true}]), "nothing else was stored");
}

/// The answer to a request as it is written.
async fn raw(server: &Server, line: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(server.running.listen).await.unwrap();
    let request =
        format!("{line}\r\nhost: {}\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx", server.running.listen);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_needs_write_and_a_question_read() {
    let server = Server::start(|config| config.require_auth = true).await;
    let admin = server.running.first_token.clone().unwrap();
    let made = server.http.post(server.url("/api/v1/tokens")).bearer_auth(&admin);
    let made: Value = made.json(&json!({"name": "r", "scope": "read"})).send().await.unwrap().json().await.unwrap();
    let reader = made["token"].as_str().unwrap().to_owned();
    let create = |token: Option<&str>, basic: bool| {
        let request = server.http.post(server.url(&format!("{A}/experiments/create"))).json(&json!({"name": "x"}));
        let request = match token {
            Some(token) if basic => request.basic_auth("ann", Some(token)),
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        async move { request.send().await.unwrap() }
    };
    assert_eq!(create(None, false).await.status(), StatusCode::UNAUTHORIZED);
    let refused = create(Some(&reader), false).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(refused.json::<Value>().await.unwrap()["error_code"], "PERMISSION_DENIED");
    assert_eq!(
        create(Some(&admin), true).await.status(),
        StatusCode::OK,
        "as a user's password, for clients that have no tokens"
    );
    let asked = server.http.get(server.url(&format!("{A}/experiments/get?experiment_id=1"))).bearer_auth(&reader);
    assert_eq!(asked.send().await.unwrap().status(), StatusCode::OK);
    let put = server.http.put(server.url(&format!("{FILES}/a.txt"))).bearer_auth(&reader).body("x");
    assert_eq!(put.send().await.unwrap().status(), StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_of_an_experiment_make_a_trace_and_are_telemetry_too() {
    let server = Server::start(|_| {}).await;
    let trace = format!("{:032x}", 0xabcdu32);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let span = json!({"traceId": trace, "spanId": format!("{:016x}", 1), "name": "ask", "kind": 1,
        "startTimeUnixNano": (now - 5_000_000).to_string(), "endTimeUnixNano": now.to_string(), "status": {"code": 1},
        "attributes": [{"key": "mlflow.spanInputs", "value": {"stringValue": "{\"x\": 1}"}}]});
    let body = json!({"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "agent"}}]},
        "scopeSpans": [{"spans": [span]}]}]});
    let send = |experiment: &'static str| {
        let request =
            server.http.post(server.url("/v1/traces")).header("x-mlflow-experiment-id", experiment).json(&body);
        async move { request.send().await.unwrap().status() }
    };
    assert_eq!(send("0").await, StatusCode::OK);
    let found = server.get(&format!("/api/3.0/mlflow/traces/get?trace_id=tr-{trace}")).await;
    let (info, spans) = (&found["trace"]["trace_info"], &found["trace"]["spans"]);
    assert_eq!((&info["state"], &info["request_preview"]), (&json!("OK"), &json!("{\"x\":1}")), "{found}");
    let inputs = &spans[0]["attributes"][0]["value"]["kvlist_value"]["values"][0];
    assert_eq!(inputs, &json!({"key": "x", "value": {"int_value": 1}}), "{found}");
    assert_eq!(server.count("spans").await, 1);
    assert_eq!(send("99").await, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_told_what_happens_signed_and_nobody_else() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap();
    let server = Server::start(|config| config.egress.allow = vec![place.to_string()]).await;
    let events = json!([{"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"}]);
    let asked = |url: String| json!({"name": "ci", "url": url, "events": events, "secret": "s3cret"});
    let path = format!("{A}/webhooks");
    let (status, said) = server.ask(Method::POST, &path, asked("http://127.0.0.1:1/x".into())).await;
    assert_eq!(status.as_u16(), 400, "{said}");
    let (status, made) = server.ask(Method::POST, &path, asked(format!("http://{place}/hook"))).await;
    assert_eq!(status, StatusCode::OK, "{made}");
    assert!(made["webhook"].get("secret").is_none() && made["webhook"]["status"] == "ACTIVE", "{made}");
    server.mlflow("registered-models/create", json!({"name": "iris"})).await;
    server.mlflow("model-versions/create", json!({"name": "iris", "source": "s3://bucket/m"})).await;
    server.mlflow("registered-models/alias", json!({"name": "iris", "alias": "champion", "version": "1"})).await;
    // The first try is answered 503, the next one well.
    let mut heard = Vec::new();
    for status in ["503 Service Unavailable", "200 OK"] {
        heard.push(hear(&listener, status).await);
    }
    for letter in &heard {
        let (head, body) = letter.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!((&body["entity"], &body["action"]), (&json!("model_version_alias"), &json!("created")), "{letter}");
        assert_eq!(body["data"], json!({"name": "iris", "alias": "champion", "version": "1"}));
        assert!(head.contains("x-mlflow-signature: v1,"), "{head}");
    }
    let id = |letter: &str| letter.lines().find(|line| line.starts_with("x-mlflow-delivery-id")).unwrap().to_owned();
    assert_eq!(id(&heard[0]), id(&heard[1]), "a second try has the id of the first");
    let hook = made["webhook"]["webhook_id"].as_str().unwrap().to_owned();
    let try_path = format!("{path}/{hook}/test");
    let (test, answer) = tokio::join!(server.ask(Method::POST, &try_path, json!({})), hear(&listener, "200 OK"));
    assert_eq!(
        (&test.1["result"]["success"], test.1["result"]["response_status"].as_u64()),
        (&json!(true), Some(200)),
        "{answer}"
    );
    assert_eq!(server.ask(Method::DELETE, &format!("{path}/{hook}"), json!({})).await.0, StatusCode::OK);
    assert_eq!(server.get(&path).await, json!({}));
}

/// Takes one request and answers it.
async fn hear(listener: &tokio::net::TcpListener, status: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let wait = tokio::time::timeout(std::time::Duration::from_secs(20), listener.accept());
    let (mut stream, _) = wait.await.expect("nobody came").unwrap();
    let mut heard = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.unwrap();
        heard.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&heard);
        let length =
            text.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|n| n.parse::<usize>().ok());
        let is_whole = text.split_once("\r\n\r\n").zip(length).is_some_and(|((_, body), length)| body.len() >= length);
        if is_whole || count == 0 {
            break;
        }
    }
    stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await.unwrap();
    String::from_utf8_lossy(&heard).into_owned()
}

/// A model of scikit-learn from a file of the tests of `serve`, with what scikit-learn answers.
fn logistic() -> (Vec<u8>, Value) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../serve/tests/fixtures");
    let bytes = std::fs::read(folder.join("logistic_three.skops")).unwrap();
    let said = std::fs::read(folder.join("logistic_three.json")).unwrap();
    (bytes, serde_json::from_slice(&said).unwrap())
}

impl Server {
    /// Registers a file as the next version of a model.
    async fn register(&self, name: &str, file: &str, bytes: Vec<u8>) -> String {
        let run = self.new_run().await;
        assert_eq!(self.put_file(&format!("0/{run}/artifacts/model/{file}"), bytes).await, StatusCode::OK);
        let _ = self.ask(Method::POST, &format!("{A}/registered-models/create"), json!({"name": name})).await;
        let version = json!({"name": name, "source": format!("runs:/{run}/model"), "run_id": run});
        let made = self.mlflow("model-versions/create", version).await;
        made["model_version"]["version"].as_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_model_answers_on_every_wire_and_a_broken_one_does_not_take_its_place() {
    let server = Server::start(|_| {}).await;
    let (bytes, said) = logistic();
    server.register("flowers", "model.skops", bytes).await;
    let (rows, wanted) = (&said["rows"], &said["predict"]);
    let shape = [rows.as_array().unwrap().len(), 4];
    let asked = |path: &'static str, body: Value| {
        let server = &server;
        async move {
            let (status, answer) = server.ask(Method::POST, path, body).await;
            assert_eq!(status, StatusCode::OK, "{path}: {answer}");
            answer
        }
    };
    let tensor = json!({"name": "x", "shape": shape, "datatype": "FP64", "data": rows});
    let infer = json!({"id": "q", "inputs": [tensor], "outputs": [{"name": "predict"}, {"name": "predict_proba"}]});
    let answer = asked("/v2/models/flowers/infer", infer.clone()).await;
    assert_eq!((&answer["id"], &answer["outputs"][0]["data"]), (&json!("q"), wanted));
    let share = answer["outputs"][1]["data"][0].as_f64().unwrap();
    assert!((share - said["proba"][0][0].as_f64().unwrap()).abs() < 1e-6);
    let predicted = asked("/v1/models/flowers:predict", json!({"instances": rows})).await;
    assert_eq!(&predicted["predictions"], wanted);
    assert_eq!(&asked("/invocations", json!({"inputs": rows})).await["predictions"], wanted);
    let message = json!({"data": {"ndarray": rows}});
    let puid = asked("/api/v1.0/predictions", message).await["meta"]["puid"].as_str().unwrap().to_owned();
    let truth = json!({"response": {"meta": {"puid": puid}}, "truth": {"data": {"ndarray": wanted}}});
    asked("/api/v1.0/feedback", truth).await;

    server.register("flowers", "model.skops", logistic().0).await;
    assert_eq!(asked("/v2/models/flowers/infer", infer.clone()).await["model_version"], "2");
    server.register("flowers", "model.skops", b"\x80\x05 a pickle".to_vec()).await;
    let answer = asked("/v2/models/flowers/infer", infer.clone()).await;
    assert_eq!(
        (&answer["model_version"], &answer["outputs"][0]["data"]),
        (&json!("2"), wanted),
        "the one before goes on"
    );
    let (status, said) = server.ask(Method::POST, "/v2/models/flowers/versions/3/infer", infer).await;
    assert_eq!(status, StatusCode::NOT_IMPLEMENTED, "{said}");
    assert!(said["error"].as_str().unwrap().contains("pickle"), "{said}");
    let index = server.ask(Method::POST, "/v2/repository/index", json!({})).await.1;
    let states: Vec<&str> = index.as_array().unwrap().iter().map(|one| one["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["READY", "READY", "UNAVAILABLE"], "{index}");

    let counted = "select kind, count(*) from events where kind in ('prediction', 'label') group by kind order by kind";
    let mut counts = Value::Null;
    for _ in 0..50 {
        counts = server.ask(Method::POST, "/api/v1/sql", json!({"query": counted})).await.1["rows"].clone();
        if counts[1][1] == json!(6 * shape[0]) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(counts, json!([["label", shape[0]], ["prediction", 6 * shape[0]]]));
    server.running.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_ask_gets_no_prediction() {
    let server = Server::start(|config| config.require_auth = true).await;
    for path in ["/v2/models/x/infer", "/v1/models/x:predict", "/invocations", "/api/v1.0/predictions"] {
        let (status, said) = server.ask(Method::POST, path, json!({})).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}: {said}");
    }
    server.running.shutdown().await.unwrap();
}

/// A program that trains `iris`: it leaves a line in a file of the folder, and takes a minute.
fn with_trainer(config: &mut bellwether_api::ServerConfig) {
    let folder = config.data_dir.clone();
    let trainer: act::actuator::ActuatorSettings = serde_json::from_value(json!({
        "kind": "command", "targets": ["iris"], "folder": folder,
        "argv": ["/bin/sh", "-c", "echo started >> trained; exec sleep 60"], "environment": {"PATH": "/usr/bin:/bin"},
    }))
    .unwrap();
    config.actuators.insert("trainer".into(), trainer.open("trainer", &|_| None).unwrap());
    let policy = json!({"name": "by hand", "models": "iris", "with": "trainer", "max_age_h": 1000});
    config.retraining = vec![serde_json::from_value(policy).unwrap()];
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_that_a_stop_cut_off_is_not_started_again() {
    let server = Server::start(with_trainer).await;
    server.mlflow("registered-models/create", json!({"name": "iris"})).await;
    let (status, training) = server.ask(Method::POST, "/api/v1/models/iris/train", json!({})).await;
    assert_eq!((status, &training["stage"]), (StatusCode::OK, &json!("intended")), "{training}");
    let started = server.dir.path().join("trained");
    for _ in 0..250 {
        if started.exists() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let (status, said) = server.ask(Method::POST, "/api/v1/models/iris/train", json!({})).await;
    assert!(status == StatusCode::BAD_REQUEST && said.to_string().contains("being trained already"), "{status} {said}");
    let Server { running, dir, .. } = server;
    running.shutdown().await.unwrap();

    let server = Server::on(dir, with_trainer).await;
    let over = |answer: &Value| answer["trainings"][0]["stage"] == "unknown";
    let answer = server.until("/api/v1/models/iris/trainings", over).await;
    assert!(answer["trainings"][0]["said"].as_str().unwrap().contains("the server stopped"), "{answer}");
    assert_eq!(std::fs::read_to_string(&started).unwrap().lines().count(), 1, "it was started once");
    let stages = |lines: &Value| -> Vec<String> {
        let all = lines.as_array().unwrap().iter();
        all.map(|line| line["data"]["stage"].as_str().unwrap_or_default().to_owned()).collect()
    };
    // The newest first.
    server.until("/api/v1/journal?kind=model", |lines| stages(lines) == ["unknown", "intended"]).await;
}
