//! What understudy does: take a group over, release it, and say how it is.

mod health;
mod release;
mod takeover;

pub use health::{Health, Level, health};
pub use release::release;
pub use takeover::{check_node, takeover};
