//! The situation of a group on this node: what was found of it, what other groups claim,
//! and what other programs may do to it.

pub mod claims;
pub(crate) mod found;
pub mod neighbours;
pub mod scope;
