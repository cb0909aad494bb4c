//! The measures that findings speak of: one table, so that a new domain adds a row. How a measure reads, and what it says
//! about causes, is decided where words and causes are (see docs/adding-an-analysis.md).

/// What is known of a measure.
pub struct Measure {
    /// As in [`types::Finding::measure`].
    pub name: &'static str,
    /// Unit of observed and expected values.
    pub unit: &'static str,
    /// 0..=1: how much it hurts whoever uses the entity when it is abnormal.
    pub impact: f64,
    /// One sentence.
    pub summary: &'static str,
}

/// All measures.
pub const ALL: &[Measure] = &[
    Measure { name: "error_ratio", unit: "1", impact: 0.9, summary: "Share of requests that failed." },
    Measure {
        name: "latency_ms_p95",
        unit: "ms",
        impact: 0.7,
        summary: "95th percentile of the time that requests take.",
    },
    Measure { name: "latency_ms_mean", unit: "ms", impact: 0.7, summary: "Mean time that requests take." },
    Measure { name: "silence", unit: "s", impact: 0.7, summary: "Something that sent steadily sends no more." },
    Measure {
        name: "resource",
        unit: "",
        impact: 0.7,
        summary: "Memory, disk or another bounded resource runs out or leaks.",
    },
    Measure {
        name: "exhaustion",
        unit: "h",
        impact: 0.4,
        summary: "Time until memory, a disk or another bounded resource is used up.",
    },
    Measure { name: "log_errors_rate", unit: "1/s", impact: 0.7, summary: "Error lines a second." },
    Measure {
        name: "log_template_new",
        unit: "",
        impact: 0.4,
        summary: "A kind of log line that was never seen of this service.",
    },
    Measure { name: "log_template_rate", unit: "1/s", impact: 0.4, summary: "Lines of one kind a second." },
    Measure {
        name: "log_value",
        unit: "",
        impact: 0.2,
        summary: "A value in log lines of one kind that was never seen there.",
    },
    Measure {
        name: "log_session",
        unit: "1",
        impact: 0.2,
        summary: "Share of the sessions in logs (by trace or id) whose lines were never so.",
    },
    Measure {
        name: "slo_burn",
        unit: "1",
        impact: 0.8,
        summary: "How many times too fast the error budget of a service level objective is spent.",
    },
    Measure { name: "request_rate", unit: "1/s", impact: 0.4, summary: "Requests a second." },
    Measure { name: "metric", unit: "", impact: 0.2, summary: "Any metric that left its band." },
    Measure {
        name: "joint",
        unit: "",
        impact: 0.2,
        summary: "Metrics of one sender that do not go together as they usually do.",
    },
    Measure {
        name: "model_errors",
        unit: "",
        impact: 0.8,
        summary: "Share of a model's predictions that were wrong, or how far numbers were off, by labels.",
    },
    Measure {
        name: "model_worse",
        unit: "",
        impact: 0.8,
        summary: "Errors of a version of a model, held against those of the version before it, by labels.",
    },
    Measure {
        name: "model_estimate",
        unit: "1",
        impact: 0.5,
        summary: "Share of a model's predictions that are right, as far as can be told without labels.",
    },
    Measure {
        name: "model_data_quality",
        unit: "1",
        impact: 0.5,
        summary: "Inputs of a model that are broken: missing, of another type, far out of range, stuck.",
    },
    Measure {
        name: "model_fairness",
        unit: "1",
        impact: 0.5,
        summary: "Lowest over highest rate at which groups get the favourable prediction of a model.",
    },
    Measure {
        name: "model_input_drift",
        unit: "",
        impact: 0.3,
        summary: "Inputs of a model that are distributed otherwise than in the version's first rows.",
    },
    Measure {
        name: "model_prediction_drift",
        unit: "",
        impact: 0.3,
        summary: "Predictions of a model that are distributed otherwise than in the version's first rows.",
    },
    Measure { name: "cause", unit: "", impact: 0.0, summary: "Why an incident happened." },
];

/// Impact of a measure; 0.2 (evidence only) for one that is not registered.
pub fn impact(name: &str) -> f64 {
    ALL.iter().find(|m| m.name == name).map_or(0.2, |m| m.impact)
}
