//! What understudy does: take a group over, change it while it is served, release it, and
//! say how it is.

mod expedited;
mod health;
mod release;
mod reload;
mod takeover;

pub use health::{Health, Level, health};
pub use release::release;
pub use reload::reload;
pub use takeover::{check_node, takeover};
