//! What people call by hand, one file each.

mod status;

pub use status::status;
