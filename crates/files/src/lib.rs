#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(feature = "cloud")]
mod cloud;
mod content_hash;
mod error;
mod file_store;
mod local;
mod location;
mod object_files;
mod object_writer;
mod put;

pub use content_hash::{ContentHash, ParseHashError};
pub use error::{Fault, FileError};
pub use file_store::{
    DownloadLink, FileBytes, FileContent, FileFuture, FileList, FileStore, FileWriter, StoredFile,
};
pub use location::{Location, LocationError};
pub use object_files::ObjectFiles;
pub use put::{Put, PutError, put};
