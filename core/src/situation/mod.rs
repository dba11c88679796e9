//! The situation of a group on this node: what there is of it, what other groups have, and
//! what other programs may do to it.

pub mod claims;
pub mod found;
pub mod neighbours;
pub mod scope;
