//! Which metrics count served requests, and what failed.

use types::{EntityId, SeriesDef, SeriesKind};

/// What the rise of a series counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Counted {
    /// Requests; whether they failed, where a label says so, and whether a sum of their times goes with them.
    Requests { failed: Option<bool>, timed: bool },
    /// Time that requests took: how many µs one is.
    Time { micros: f64 },
}

/// Parts of the names of metrics about served requests, with `_` for every separator.
const SERVED: [&str; 6] = ["request", "rpc_server", "grpc_server", "http_server", "http_response", "http_handler"];
/// Parts of the names of metrics about something else: calls to others, sizes, what is going on just now.
const OTHERS: [&str; 14] = [
    "client", "upstream", "outgoing", "outbound", "size", "bytes", "body", "active", "flight", "queue", "pending",
    "_db_", "sql", "limit",
];
/// Parts of the names of histograms of time.
const TIMES: [&str; 5] = ["duration", "latency", "seconds", "time", "handling"];
/// Labels that hold an HTTP status or a gRPC code.
const CODES: [&str; 12] = [
    "http.response.status_code",
    "http_response_status_code",
    "http.status_code",
    "http_status_code",
    "status_code",
    "status",
    "code",
    "response_code",
    "http_status",
    "grpc_code",
    "rpc.grpc.status_code",
    "rpc_grpc_status_code",
];
/// gRPC codes that are the server's fault, as names and numbers, as OpenTelemetry has them; and plain words.
const SERVER_FAULTS: [&str; 16] = [
    "unknown",
    "deadlineexceeded",
    "unimplemented",
    "internal",
    "unavailable",
    "dataloss",
    "2",
    "4",
    "12",
    "13",
    "14",
    "15",
    "error",
    "failed",
    "failure",
    "exception",
];

/// The family's name, what the series counts, and whose requests they are if not its sender's.
pub(super) fn read(def: &SeriesDef) -> Option<(&str, Counted, Option<EntityId>)> {
    if !matches!(def.kind, SeriesKind::Counter | SeriesKind::Delta) {
        return None;
    }
    let metric: &str = &def.metric;
    let plain = metric.to_ascii_lowercase().replace(['.', '-'], "_");
    if metric.starts_with("bellwether.") || metric.ends_with("_bucket") {
        return None;
    }
    if !SERVED.iter().any(|part| plain.contains(part)) || OTHERS.iter().any(|part| plain.contains(part)) {
        return None;
    }
    let is_time = TIMES.iter().any(|part| plain.contains(part));
    let served_by = served_by(def)?;
    if let Some(family) = metric.strip_suffix("_sum") {
        let micros = micros_of(&plain, &def.unit);
        return is_time.then_some((family, Counted::Time { micros }, served_by));
    }
    let failed = failed(def);
    match metric.strip_suffix("_count") {
        Some(family) if is_time => Some((family, Counted::Requests { failed, timed: true }, served_by)),
        Some(_) => None,
        None => Some((metric, Counted::Requests { failed, timed: false }, served_by)),
    }
}

/// A mesh tells each request twice and speaks of others: what the destination says counts, for the destination.
/// The outer `None`: it does not count.
fn served_by(def: &SeriesDef) -> Option<Option<EntityId>> {
    match def.labels.get("reporter") {
        None => Some(None),
        Some("destination") => {
            let names = ["destination_workload", "destination_service_name"];
            let name = names.iter().find_map(|label| def.labels.get(label))?;
            let namespaces = ["destination_workload_namespace", "destination_service_namespace"];
            let namespace = namespaces.iter().find_map(|label| def.labels.get(label)).unwrap_or("");
            Some(Some(EntityId::new("service", namespace, name)))
        }
        Some(_) => None,
    }
}

fn failed(def: &SeriesDef) -> Option<bool> {
    let code = CODES.iter().find_map(|label| def.labels.get(label)).filter(|code| !code.is_empty());
    if let Some(code) = code {
        let plain = code.to_ascii_lowercase().replace('_', "");
        let is_http = plain.len() == 3 && plain.as_bytes()[0].is_ascii_digit();
        return Some(if is_http { plain.starts_with('5') } else { SERVER_FAULTS.contains(&plain.as_str()) });
    }
    let error = ["error.type", "error_type"].iter().find_map(|label| def.labels.get(label));
    error.map(|error| !error.is_empty())
}

fn micros_of(plain: &str, unit: &str) -> f64 {
    let says = |ends: [&str; 2]| ends.iter().any(|end| plain.contains(end));
    match unit {
        "s" => 1e6,
        "ms" => 1e3,
        "us" => 1.0,
        "ns" => 1e-3,
        _ if says(["millis", "_ms_"]) || plain.ends_with("_ms_sum") => 1e3,
        _ if says(["micros", "_us_"]) => 1.0,
        _ if says(["nanos", "_ns_"]) => 1e-3,
        _ => 1e6,
    }
}

#[cfg(test)]
mod tests {
    use types::{EntityKey, LabelSet, Tenant};

    use super::*;

    fn said(metric: &str, unit: &str, labels: &[(&str, &str)]) -> Option<(String, Counted, Option<String>)> {
        let def = SeriesDef {
            tenant: Tenant::default(),
            metric: metric.into(),
            entity: EntityKey(0),
            labels: LabelSet::pack(&mut labels.to_vec()),
            kind: SeriesKind::Counter,
            unit: unit.into(),
        };
        read(&def).map(|(name, counted, of)| (name.to_owned(), counted, of.map(|of| of.to_string())))
    }

    #[test]
    fn names_of_common_instrumentation_are_known() {
        let requests = |failed, timed| Counted::Requests { failed, timed };
        let of = |metric: &str, labels: &[(&str, &str)]| said(metric, "", labels).unwrap().1;
        assert_eq!(of("http_requests_total", &[("code", "503")]), requests(Some(true), false));
        assert_eq!(of("http_requests_total", &[("status", "404")]), requests(Some(false), false));
        assert_eq!(of("http_requests_total", &[]), requests(None, false));
        assert_eq!(of("http_server_requests_seconds_count", &[("status", "500")]), requests(Some(true), true));
        assert_eq!(of("http_server_requests_seconds_sum", &[("status", "500")]), Counted::Time { micros: 1e6 });
        assert_eq!(of("grpc_server_handled_total", &[("grpc_code", "Unavailable")]), requests(Some(true), false));
        assert_eq!(of("grpc_server_handled_total", &[("grpc_code", "NotFound")]), requests(Some(false), false));
        assert_eq!(of("grpc_server_handled_total", &[("grpc_code", "DEADLINE_EXCEEDED")]), requests(Some(true), false));
        assert_eq!(of("jobs_http_request_total", &[("status", "error")]), requests(Some(true), false));
        assert_eq!(of("jobs_http_request_total", &[("status", "success")]), requests(Some(false), false));
        assert_eq!(of("http_requests_total", &[("code", "5xx")]), requests(Some(true), false));
        assert_eq!(of("traefik_service_requests_total", &[("code", "502")]), requests(Some(true), false));
        let otel = |labels: &[(&str, &str)]| said("http.server.request.duration_count", "s", labels).unwrap();
        assert_eq!(otel(&[("http.response.status_code", "500")]).1, requests(Some(true), true));
        assert_eq!(otel(&[("error.type", "timeout")]).1, requests(Some(true), true));
        assert_eq!(otel(&[]).0, "http.server.request.duration");
        let old = said("http.server.duration_sum", "ms", &[]).unwrap();
        assert_eq!(old, ("http.server.duration".into(), Counted::Time { micros: 1e3 }, None));
    }

    #[test]
    fn what_counts_something_else_is_left_out() {
        let others = [
            "http_client_requests_total",
            "http.client.request.duration_count",
            "http_request_size_bytes_count",
            "http.server.active_requests",
            "http_request_duration_seconds_bucket",
            "envoy_cluster_upstream_rq_total",
            "cpu_seconds_total",
            "bellwether.requests.rate",
        ];
        for metric in others {
            assert_eq!(said(metric, "", &[("code", "500")]), None, "{metric}");
        }
    }

    #[test]
    fn a_mesh_speaks_for_the_destination_once() {
        let labels = |reporter| {
            [
                ("reporter", reporter),
                ("destination_workload", "pay"),
                ("destination_workload_namespace", "shop"),
                ("response_code", "503"),
            ]
        };
        let (_, counted, of) = said("istio_requests_total", "", &labels("destination")).unwrap();
        assert_eq!(counted, Counted::Requests { failed: Some(true), timed: false });
        assert_eq!(of.unwrap(), "service:shop/pay");
        assert_eq!(said("istio_requests_total", "", &labels("source")), None);
    }
}
