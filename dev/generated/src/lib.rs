//! Generated code with the hardest names there are: keywords, names of the runtime, no package at all.
//!
//! That this crate compiles without a warning is its first test; `tests/` calls the services.

polywire::include_proto!();

/// A package of its own, outside of the tree.
pub mod alone {
    polywire::include_proto!("names");
}
