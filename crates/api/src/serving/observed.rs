//! What the analyses say of versions, told to the book, whose gates ask for it.

use types::{EntityId, Finding, Tenant};
use view::DerivedSample;

use crate::state::App;

/// Notes what is being found of a version, and what is not any longer.
pub fn observe_finding(app: &App, finding: &Finding) {
    if finding.method != "models" || finding.tenant != Tenant::default() {
        return;
    }
    let Some((model, version, _)) = whose(finding) else { return };
    app.models.observe(model, version, |seen| {
        if finding.ongoing {
            seen.findings.insert(finding.measure.to_string(), finding.summary.clone());
        } else {
            seen.findings.remove(finding.measure.as_str());
        }
    });
}

/// Notes how much was seen of a version, and how it does.
pub fn observe_sample(app: &App, sample: &DerivedSample) {
    let Some(what) = sample.metric.strip_prefix("bellwether.model.") else { return };
    if sample.tenant != Tenant::default() {
        return;
    }
    let version = sample.labels.iter().find(|(name, _)| *name == "version");
    let Some(version) = version.and_then(|(_, version)| version.parse().ok()) else { return };
    // A name of its own, so that no lock of the directory is held while the book is waited for.
    let model = app.store.directory().read().entity_id(sample.entity).and_then(model_of).map(str::to_owned);
    let Some(model) = model else { return };
    app.models.observe(&model, version, |seen| match what {
        "rows" => seen.rows = sample.value as u64,
        "error.pairs" => seen.pairs = sample.value as u64,
        "error.difference" => seen.difference = Some(sample.value),
        "agreement" => seen.agreement = Some(sample.value),
        _ => {}
    });
}

/// The model and version that a finding is about, and which part of it; empty: all.
pub fn whose(finding: &Finding) -> Option<(&str, u64, &str)> {
    let (version, part) = finding.scope.split_once(", ").unwrap_or((&finding.scope, ""));
    let version = version.strip_prefix("version ")?.parse().ok()?;
    Some((model_of(&finding.entity)?, version, part))
}

/// The registered model that an entity is.
fn model_of(entity: &EntityId) -> Option<&str> {
    entity.as_str().strip_prefix("model:default/")
}
