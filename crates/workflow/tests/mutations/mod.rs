//! Graphs from node schemas, and what can go wrong with them: the same for the same seed.

mod generate;
mod mutate;
mod random;

pub use generate::graph;
pub use mutate::mutate;
pub use random::Random;
