#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod file;
mod index;

pub use file::{File, file};
pub use index::{Index, index};

/// The address below which the files are served: `/assets/VERSION/PATH`.
pub const ASSETS: &str = "/assets/";

/// The `Cache-Control` of the files: for ever, because a changed file has another address. The files of a debug build change
/// in place.
pub const CACHE_CONTROL: &str =
    if cfg!(debug_assertions) { "no-cache" } else { "public, max-age=31536000, immutable" };

/// Returns the path of a file in an address below [`ASSETS`], without the version in it.
///
/// Any version is accepted: a page that was opened before the server was updated asks for the old one.
pub fn path_below_version(tail: &str) -> Option<&str> {
    tail.split_once('/').map(|(_version, path)| path)
}
