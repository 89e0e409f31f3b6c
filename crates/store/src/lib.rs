#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod migrations;
mod record;
mod rows;
mod sqlite;
mod store;

pub use record::{Outcome, Record};
pub use sqlite::Sqlite;
pub use store::{Created, Filter, MeanDuration, Page, Retention, Store, StoreError, StoreFuture};
