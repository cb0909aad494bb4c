#!/usr/bin/env python3
"""Sends a storm of alerts to a fresh server, as a Prometheus would, and says what it cost. Standard library only.

    alerts.py BELLWETHER [--alerts N] [--sources N] [--mapped]

N alerts of N/sources rules come from so many services in about half a minute. With --mapped the services are on the
service map in pairs that have nothing to do with one another, so that each pair is a cause of its own. Prints the
server's CPU seconds, what became of the alerts, and how many incidents there are. Ends with 1 when an alert is not
accounted for.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request

BATCH = 100


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--alerts", type=int, default=10_000)
    parser.add_argument("--sources", type=int, default=200)
    parser.add_argument("--mapped", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bellwether-alerts-") as data:
        arguments = ["serve", "--data-dir", data]
        for address in ("--listen", "--otlp-grpc", "--otlp-http"):
            arguments += [address, "127.0.0.1:0"]
        process = subprocess.Popen([options.binary, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            url = "http://" + json.loads(process.stdout.readline())["listen"]

            def ask(path, body=None):
                sent = None if body is None else json.dumps(body).encode()
                request = urllib.request.Request(url + path, sent, {"content-type": "application/json"})
                with urllib.request.urlopen(request, timeout=30) as answer:
                    text = answer.read()
                    return json.loads(text) if text else None

            if options.mapped:
                edges = "".join(f'[[edge]]\nfrom = "svc{i}"\nto = "svc{i + 1}"\n' for i in range(0, options.sources - 1, 2))
                request = urllib.request.Request(url + "/api/v1/topology", edges.encode(), {"content-type": "application/toml"})
                urllib.request.urlopen(request, timeout=30).read()
                time.sleep(3)
            before = cpu_seconds(process.pid)
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            for first in range(0, options.alerts, BATCH):
                alerts = [
                    {
                        "labels": {
                            "alertname": f"Rule{i // options.sources}",
                            "service": f"svc{i % options.sources}",
                            "severity": ["critical", "warning", "error"][i % 3],
                            "instance": f"i{i % 7}",
                        },
                        "annotations": {"summary": f"rule {i // options.sources} fires"},
                        "startsAt": now,
                    }
                    for i in range(first, min(first + BATCH, options.alerts))
                ]
                ask("/api/v2/alerts", alerts)
                time.sleep(0.3 * BATCH / 100)
            time.sleep(10)
            cost = cpu_seconds(process.pid) - before
            answer = ask("/api/v1/alerts?limit=1")
            counts = answer["counts"]
            incidents = ask("/api/v1/incidents?limit=1000")
            print(f"{options.alerts} alerts of {options.sources} sources: {cost:.2f} CPU-s, {len(incidents)} incidents, {counts}")
            known = sum(counts[name] for name in ("fired", "repeated", "resolved", "resolved_unknown", "over_limit"))
            sys.exit(0 if counts["received"] == options.alerts == known else 1)
        finally:
            process.terminate()
            process.wait(30)


if __name__ == "__main__":
    main()
