//! The seven ways in which the shop breaks.

use serde::Serialize;

/// Something that can be broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Inventory answers late, and so do all who wait for it.
    SlowDependency,
    /// Payments refuses half of all charges.
    ErrorBurst,
    /// Catalog is replaced by a version with a defect.
    BadDeployment,
    /// Cart never frees what it remembers.
    MemoryLeak,
    /// Checkout fills its folder up to its quota.
    FullDisk,
    /// One of the two instances of catalog is killed.
    LostInstance,
    /// Shipping retries without pause and logs each try.
    LogStorm,
}

/// One fault as told to the outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultInfo {
    /// Its name, as in `POST /api/v1/demo/faults`.
    pub name: &'static str,
    /// The plain name of the service at fault.
    pub service: &'static str,
    /// The kind of cause that an incident should name.
    pub kind: &'static str,
    /// Whether it is on.
    pub on: bool,
    /// What it does, in one sentence.
    pub summary: &'static str,
}

/// Why a fault could not be switched.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    /// No fault has that name.
    #[error("no fault is called {0:?}; GET /api/v1/demo/faults lists them")]
    Unknown(String),
    /// A process of the shop did not do as told.
    #[error("could not switch {name}: {reason}; try again, or read the shop's logs in the demo's folder")]
    Failed {
        /// The fault.
        name: &'static str,
        /// What went wrong.
        reason: String,
    },
}

/// All faults, in the order of the tour.
pub const FAULTS: [Fault; 7] = [
    Fault::SlowDependency,
    Fault::ErrorBurst,
    Fault::BadDeployment,
    Fault::MemoryLeak,
    Fault::FullDisk,
    Fault::LostInstance,
    Fault::LogStorm,
];

impl Fault {
    /// The fault called `name`.
    pub fn named(name: &str) -> Result<Fault, FaultError> {
        FAULTS.into_iter().find(|fault| fault.name() == name).ok_or_else(|| FaultError::Unknown(name.to_owned()))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.info(false).name
    }

    /// The plain name of the service at fault.
    pub fn service(self) -> &'static str {
        self.info(false).service
    }

    /// What is told of it.
    pub fn info(self, on: bool) -> FaultInfo {
        let (name, service, kind, summary) = match self {
            Fault::SlowDependency => (
                "slow-dependency",
                "inventory",
                "dependency",
                "inventory answers 600 to 900 ms late; catalog, checkout and the frontend wait for it",
            ),
            Fault::ErrorBurst => {
                ("error-burst", "payments", "software", "payments fails half of all charges by itself; checkouts fail")
            }
            Fault::BadDeployment => (
                "bad-deployment",
                "catalog",
                "change",
                "catalog is deployed as version 1.1.0, which is slow and fails 40 % of lookups; off rolls back",
            ),
            Fault::MemoryLeak => (
                "memory-leak",
                "cart",
                "resource",
                "cart keeps 6 MB more each second; near its limit it answers late, at the limit it fails",
            ),
            Fault::FullDisk => (
                "full-disk",
                "checkout",
                "resource",
                "checkout's archive fills its folder up to the quota of 64 MiB; orders can no longer be saved",
            ),
            Fault::LostInstance => (
                "lost-instance",
                "catalog",
                "host",
                "the second instance of catalog is killed; every other call to catalog is refused and tried again",
            ),
            Fault::LogStorm => (
                "log-storm",
                "shipping",
                "software",
                "shipping retries its carrier without pause, with 120 error lines a second and some failed shipments",
            ),
        };
        FaultInfo { name, service, kind, on, summary }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_by_its_name() {
        for fault in FAULTS {
            assert_eq!(Fault::named(fault.name()).unwrap(), fault);
        }
        let names: Vec<_> = FAULTS.iter().map(|fault| fault.name()).collect();
        let outside = "slow-dependency error-burst bad-deployment memory-leak full-disk lost-instance log-storm";
        assert_eq!(names.join(" "), outside);
        assert!(Fault::named("no-such").unwrap_err().to_string().contains("no-such"));
    }

    #[test]
    fn an_entry_has_the_fields_that_the_outside_reads() {
        let entry = serde_json::to_value(Fault::FullDisk.info(true)).unwrap();
        assert_eq!(entry["name"], "full-disk");
        assert_eq!(entry["service"], "checkout");
        assert_eq!(entry["kind"], "resource");
        assert_eq!(entry["on"], true);
        assert!(entry["summary"].as_str().unwrap().contains("quota"));
    }
}
