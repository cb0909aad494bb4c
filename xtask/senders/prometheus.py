"""A real Prometheus scrapes bellwether's own /metrics and remote-writes to it.

usage: prometheus.py BELLWETHER_BINARY PROMETHEUS_BINARY"""
import json, os, subprocess, sys, tempfile, time, urllib.request

from pathlib import Path


def main(binary, prometheus):
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen([binary, "serve", "--data-dir", folder + "/bw", "--listen", "127.0.0.1:0",
                                   "--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
        sender = None
        try:
            listen = json.loads(server.stdout.readline())["listen"]
            config = Path(folder, "prometheus.yml")
            config.write_text(f"""
global: {{scrape_interval: 1s}}
scrape_configs: [{{job_name: bellwether, static_configs: [{{targets: ['{listen}']}}]}}]
remote_write: [{{url: 'http://{listen}/api/v1/write', queue_config: {{batch_send_deadline: 1s}}}}]
""")
            sender = subprocess.Popen([prometheus, f"--config.file={config}", f"--storage.tsdb.path={folder}/prom", "--web.listen-address=127.0.0.1:0"],
                                      stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            query = "select count(*), count(distinct metric) from samples where entity = 'service:default/bellwether'"
            for _ in range(60):
                time.sleep(1)
                rows, metrics = sql(listen, query)[0]
                if rows > 50 and metrics > 5:
                    print(f"Prometheus remote write: {rows} samples of {metrics} metrics arrived")
                    return
            raise SystemExit(f"only {rows} samples of {metrics} metrics arrived in a minute")
        finally:
            if sender:
                sender.terminate()
                sender.wait(20)
            server.terminate()
            server.wait(20)


def sql(listen, query):
    request = urllib.request.Request(f"http://{listen}/api/v1/sql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["rows"]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
