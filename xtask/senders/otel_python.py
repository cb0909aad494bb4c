"""The OpenTelemetry Python SDK against a running bellwether: three signals over gRPC, HTTP with protobuf and HTTP with
JSON, then counted by SQL.

usage: otel_python.py BELLWETHER_BINARY"""
import json, logging, subprocess, sys, tempfile, time, urllib.request

from opentelemetry import metrics, trace
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.json.http._log_exporter import OTLPLogExporter as JsonLogs
from opentelemetry.exporter.otlp.json.http.metric_exporter import OTLPMetricExporter as JsonMetrics
from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter as JsonSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans


def main(binary):
    with tempfile.TemporaryDirectory() as data:
        server = subprocess.Popen([binary, "serve", "--data-dir", data, "--listen", "127.0.0.1:0",
                                   "--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
        try:
            ready = json.loads(server.stdout.readline())
            grpc = "http://" + ready["otlp_grpc"]
            http = "http://" + ready["otlp_http"]
            send("py-grpc", GrpcSpans(endpoint=grpc, insecure=True), GrpcMetrics(endpoint=grpc, insecure=True), GrpcLogs(endpoint=grpc, insecure=True))
            gzip = Compression.Gzip
            send("py-http", HttpSpans(endpoint=http + "/v1/traces", compression=gzip), HttpMetrics(endpoint=http + "/v1/metrics", compression=gzip), HttpLogs(endpoint=http + "/v1/logs", compression=gzip))
            send("py-json", JsonSpans(endpoint=http + "/v1/traces"), JsonMetrics(endpoint=http + "/v1/metrics"), JsonLogs(endpoint=http + "/v1/logs"))
            for service in ("py-grpc", "py-http", "py-json"):
                for table, least in (("spans", 40), ("records", 20), ("samples", 5)):
                    found = sql(ready["listen"], f"select count(*) from {table} where entity = 'service:senders/{service}'")[0][0]
                    assert found >= least, f"{service}: {found} rows in {table}, expected {least} or more"
                total = sql(ready["listen"], f"select max(value) from samples where entity = 'service:senders/{service}' and metric = 'orders'")[0][0]
                assert total == 20, f"{service}: the counter reads {total}, expected 20"
                edge = sql(ready["listen"], f"select count(*) from spans where entity = 'service:senders/{service}' and parent_span_id <> ''")[0][0]
                assert edge >= 20, f"{service}: {edge} spans have a parent"
            print("OpenTelemetry Python SDK: gRPC, HTTP with protobuf, HTTP with JSON; three signals, all there")
        finally:
            server.terminate()
            assert server.wait(20) == 0, "the server did not exit with 0 on SIGTERM"


def send(service, spans, points, lines):
    resource = Resource.create({"service.name": service, "service.namespace": "senders", "service.version": "1.2.3"})
    tracing = TracerProvider(resource=resource)
    tracing.add_span_processor(BatchSpanProcessor(spans))
    metering = MeterProvider(resource=resource, metric_readers=[PeriodicExportingMetricReader(points, export_interval_millis=60000)])
    logs = LoggerProvider(resource=resource)
    logs.add_log_record_processor(BatchLogRecordProcessor(lines))
    logger = logging.getLogger(service)
    logger.setLevel(logging.INFO)
    logger.addHandler(LoggingHandler(logger_provider=logs))
    tracer, meter = tracing.get_tracer("t"), metering.get_meter("t")
    orders, latency = meter.create_counter("orders", unit="1"), meter.create_histogram("latency", unit="ms")
    for i in range(20):
        with tracer.start_as_current_span("outer", attributes={"i": i}):
            with tracer.start_as_current_span("inner"):
                logger.warning("order %d took %d ms", i, i * 3)
        orders.add(1)
        latency.record(i)
    for provider in (tracing, metering, logs):
        provider.force_flush()
        provider.shutdown()


def sql(listen, query):
    request = urllib.request.Request(f"http://{listen}/api/v1/sql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["rows"]


if __name__ == "__main__":
    main(sys.argv[1])
