#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod assets;
mod error;
mod migrations;
mod output_contents;
mod record;
mod rows;
mod scheduling;
mod sessions;
mod sqlite;
mod state_dir;
mod store;
mod stored_files;
mod uploads;

pub use assets::AssetRecord;
pub use error::{Fault, StoreError};
pub use output_contents::OutputContent;
pub use record::{Outcome, Record, Summary};
pub use sessions::EndedSession;
pub use sqlite::Sqlite;
pub use store::{Created, Deleted, Filter, Page, Retention, Store, StoreFuture};
pub use stored_files::{KeptOutput, UnkeptJob};
pub use uploads::{Upload, UploadPage, UploadUse};
