#!/usr/bin/env python3
"""Switches the demo's faults on, one after another, and says what the incidents named. Standard library only.

    demo.py BELLWETHER [--orders N] [--seed N] [--on S] [--gap S] [--warm S] [--quiet MIN] [--pairs N] [--only FAULT] [--then COMMAND]

Each order is a fresh demo that runs healthily for --warm seconds, then has each fault on for --on seconds with --gap
seconds between. A fault is found when an incident that was opened since it came has the right service and an admissible
kind as its first cause, in time when within two minutes. With --quiet a demo without faults runs for that many minutes;
every incident in it is a false one. With --pairs each order instead has N
pairs of faults of different services on at the same time, half a minute after a harmless deployment of a third service
was told of: each must have an incident of its own, and the deployment must be blamed for nothing. --then runs a shell
command with BELLWETHER_URL set while the first fault is on and found, and ends there. Ends with 1 when something was missed, misnamed or false.
"""
import argparse
import datetime
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request

KINDS = {"slow-dependency": {"dependency", "software"}, "lost-instance": {"host", "software"}}
IN_TIME_S = 120


class Demo:
    def __init__(self, binary, seed):
        self.data = tempfile.TemporaryDirectory(prefix="bellwether-demo-")
        arguments = ["demo", "--no-browser", "--faults", "none", "--seed", str(seed), "--data-dir", self.data.name]
        for address in ("--listen", "--otlp-grpc", "--otlp-http"):
            arguments += [address, "127.0.0.1:0"]
        self.process = subprocess.Popen([binary, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.url = "http://" + json.loads(self.process.stdout.readline())["listen"]

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def incidents(self, query=""):
        found = self.ask("/api/v1/incidents" + query)
        return found if isinstance(found, list) else found["incidents"]

    def switch(self, name, on):
        self.ask("/api/v1/demo/faults", {"name": name, "on": on})

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.data.cleanup()


def seconds(stamp):
    return datetime.datetime.fromisoformat(stamp[:19] + "+00:00").timestamp()


def top(incident):
    causes = incident["causes"]
    if not causes:
        return "no cause"
    return f"{causes[0]['entity'].split('/')[-1]} {causes[0]['kind']} {causes[0]['belief']:.2f}"


def since(demo, began):
    return [i for i in demo.incidents() if seconds(i["opened_at"]) >= began - 1]


def is_right(incident, fault):
    if incident["undecided"] or not incident["causes"]:
        return False
    first = incident["causes"][0]
    kinds = KINDS.get(fault["name"], {fault["kind"]})
    return first["entity"].endswith("/" + fault["service"]) and first["kind"] in kinds


def asked(demo, began):
    """Whom the two comparisons name that a person can ask of a stretch: of requests, and of series along the map."""
    stamp = datetime.datetime.fromtimestamp(began, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    before = time.time()
    answer = demo.ask(f"/api/v1/contrast/causes?from={stamp}&to=now")
    says = {"took_s": round(time.time() - before, 2)}
    for way in ("requests", "series"):
        found = answer[way] or {"suspects": []}
        first = "; ".join(f"{s['entity'].split('/')[-1]} {s['belief']:.2f}" for s in found["suspects"][:3])
        says[way] = first + (" (undecided)" if found["suspects"] and found["undecided"] else "")
    return says


def one_fault(demo, fault, on_s, gap_s):
    began = time.time()
    demo.switch(fault["name"], True)
    found_after, mine = None, []
    while time.time() - began < on_s:
        time.sleep(1)
        mine = since(demo, began)
        right = [i for i in mine if is_right(i, fault)]
        if right and found_after is None:
            found_after = time.time() - began
    held = found_after is not None and bool(right)
    at_end = [f"{i['id']} {top(i)}" for i in mine]
    said = asked(demo, began)
    demo.switch(fault["name"], False)
    off = time.time()
    resolved_after = None
    while time.time() - off < gap_s:
        time.sleep(1)
        mine = since(demo, began)
        if resolved_after is None and mine and all(i["state"] == "resolved" for i in mine):
            resolved_after = time.time() - off
    ok = found_after is not None and found_after <= IN_TIME_S and held and len(mine) == 1
    return ok, {
        "fault": fault["name"],
        "found_s": None if found_after is None else round(found_after),
        "held": held,
        "incidents": len(mine),
        "resolved_s": None if resolved_after is None else round(resolved_after),
        "at_end": at_end,
        "asked": said,
        "after": [f"{i['id']} {i['state']} {top(i)} {i['title']}" for i in mine],
    }


def one_pair(demo, pair, decoy, on_s, gap_s):
    demo.ask("/api/v1/changes", {"entity": decoy, "kind": "deployment", "version": "9.9.9"})
    time.sleep(30)
    began = time.time()
    for fault in pair:
        demo.switch(fault["name"], True)
    found, mine, blamed = {}, [], set()
    while time.time() - began < on_s:
        time.sleep(1)
        mine = since(demo, began)
        for fault in pair:
            if any(is_right(i, fault) for i in mine):
                found.setdefault(fault["name"], round(time.time() - began))
        blamed |= {i["id"] for i in mine if not i["undecided"] and i["causes"] and i["causes"][0]["entity"].endswith("/" + decoy)}
    homes = [{i["id"] for i in mine if is_right(i, fault)} for fault in pair]
    at_end = [f"{i['id']} {i['state']} {top(i)}" for i in mine]
    for fault in pair:
        demo.switch(fault["name"], False)
    time.sleep(gap_s)
    apart = all(homes) and not homes[0] & homes[1]
    names = [fault["name"] for fault in pair]
    ok = len(found) == 2 and apart and not blamed and len(mine) == 2
    return ok, {"pair": names, "decoy": decoy, "found_s": found, "apart": apart, "decoy_blamed": sorted(blamed), "incidents": len(mine), "at_end": at_end}


def while_on(demo, fault, command):
    began = time.time()
    demo.switch(fault["name"], True)
    while not any(is_right(i, fault) for i in since(demo, began)):
        if time.time() - began > IN_TIME_S:
            sys.exit(f"{fault['name']} was not named within {IN_TIME_S} s: {[top(i) for i in since(demo, began)]}")
        time.sleep(1)
    print(f"{fault['name']} named after {time.time() - began:.0f} s", flush=True)
    return subprocess.run(command, shell=True, env={**os.environ, "BELLWETHER_URL": demo.url}).returncode


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    for name, default in (("orders", 3), ("seed", 1), ("on", 120), ("gap", 180), ("warm", 240), ("quiet", 0), ("pairs", 0)):
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--only", help="this fault alone")
    parser.add_argument("--then", help="a shell command to run while it is on")
    options = parser.parse_args()
    bad = 0
    for order in range(options.orders):
        seed = options.seed + order
        demo = Demo(options.binary, seed)
        try:
            time.sleep(options.warm)
            early = demo.incidents()
            bad += len(early)
            for incident in early:
                print(f"false before any fault: {incident['title']}: {incident['summary']}", flush=True)
            faults = demo.ask("/api/v1/demo/faults")
            faults = faults if isinstance(faults, list) else faults["faults"]
            faults = [f for f in faults if options.only in (None, f["name"])]
            if options.then:
                sys.exit(while_on(demo, faults[0], options.then))
            random.Random(seed).shuffle(faults)
            pairs = [(a, b) for i, a in enumerate(faults) for b in faults[:i] if a["service"] != b["service"]]
            random.Random(seed).shuffle(pairs)
            services = sorted({row["entity"].split("/")[-1] for row in demo.ask("/api/v1/services")})
            for pair in pairs[: options.pairs]:
                decoy = next(s for s in services if s not in [fault["service"] for fault in pair])
                ok, row = one_pair(demo, pair, decoy, options.on, options.gap)
                bad += not ok
                print(("ok   " if ok else "WRONG"), seed, json.dumps(row), flush=True)
            for fault in [] if options.pairs else faults:
                ok, row = one_fault(demo, fault, options.on, options.gap)
                bad += not ok
                print(("ok   " if ok else "WRONG"), seed, json.dumps(row), flush=True)
        finally:
            demo.close()
    if options.quiet:
        demo = Demo(options.binary, options.seed)
        try:
            time.sleep(options.quiet * 60)
            for incident in demo.incidents():
                bad += 1
                print(f"false: {incident['opened_at']} {incident['title']}: {incident['summary']}", flush=True)
            own = demo.incidents("?tenant=_self")
            for incident in own:
                print(f"about the machine: {incident['opened_at']} {incident['summary']}", flush=True)
            print(f"quiet: {options.quiet} min, {len(demo.incidents())} incidents, {len(own)} about the machine", flush=True)
        finally:
            demo.close()
    print(f"{bad} wrong" if bad else "all as it should be", flush=True)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
