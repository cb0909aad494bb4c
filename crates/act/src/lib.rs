//! What goes out of Bellwether. No other room speaks to the outside on its own account.
//!
//! ```text
//! settings ─ChannelSettings::open─▶ Channel ─requests(notice)─▶ Outgoing ─Egress::send─▶ Answer ─▶ Outcome
//! ```
//!
//! [`Egress`] is the one HTTP client; [`Channel`] knows what each receiver wants to hear; [`deliver`] joins the two.
//! What to say, to whom, and when to try again is decided elsewhere: here is no queue, no state and no clock.
//!
//! [`actuator`] is what changes the outside world: a step is carried out once, and one outcome said.

pub mod actuator;
pub mod address;
pub mod channel;
pub mod deliver;
pub mod egress;
pub mod secret;
mod story;
pub mod text;

pub use channel::{Channel, ChannelSettings, Notice, Problem, Reason, open_all};
pub use deliver::{Outcome, backoff, deliver};
pub use egress::{Answer, Egress, EgressSettings, Failure, Outgoing, Resolve, SystemResolver, Target};
pub use secret::Secret;
