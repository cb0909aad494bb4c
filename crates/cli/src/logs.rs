//! The program's own log: lines on standard error (RUST_LOG chooses), warnings and errors also into the store.

use tracing::{Event, Level, Subscriber, field::Visit};
use tracing_subscriber::{EnvFilter, Layer, layer::Context, layer::SubscriberExt, util::SubscriberInitExt};

/// Installs both; returns the sink that the server reads.
pub fn start() -> api::OwnLogs {
    let logs = api::OwnLogs::default();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,bellwether=info"));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let stored = Stored(logs.clone());
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).with(stored).try_init();
    logs
}

struct Stored(api::OwnLogs);

impl<S: Subscriber> Layer<S> for Stored {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let ours = event.metadata().target().starts_with("bellwether");
        let severity = match *event.metadata().level() {
            Level::ERROR => 17,
            Level::WARN => 13,
            Level::INFO if ours => 9,
            _ => return,
        };
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.line(severity, text.0);
    }
}

/// Fields as text: the message first, the rest as `name=value`.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        use std::fmt::Write;
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        let _ = if field.name() == "message" {
            write!(self.0, "{value:?}")
        } else {
            write!(self.0, "{}={value:?}", field.name())
        };
    }
}
