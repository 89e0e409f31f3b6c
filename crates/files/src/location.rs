//! Where files are stored, as an option names it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

/// A place for files: a folder, or a part of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// A local folder.
    Folder(PathBuf),
    /// A folder in memory's stead: a temporary one, which is deleted when the store is dropped.
    Temporary,
    /// Object storage: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.
    Cloud(Url),
}

/// A string that names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// The URL's scheme is unknown.
    #[error("\"{0}\" is not supported: write a folder, or a URL that begins with s3://, gs:// or az://")]
    Scheme(String),
    /// The URL names no bucket.
    #[error("the URL names no bucket: write {scheme}://BUCKET/PREFIX")]
    Bucket {
        /// The URL's scheme.
        scheme: String,
    },
    /// The URL has parts that mean nothing here.
    #[error("the URL must not have a {0}; credentials are read from the environment")]
    Extra(&'static str),
    /// The string cannot be read as a URL.
    #[error("the URL cannot be read: {0}")]
    Url(#[from] url::ParseError),
    /// The build lacks object storage.
    #[error("this build stores files in local folders only: build it with `--features cloud` for {0}")]
    NotInThisBuild(String),
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let Some((scheme, _)) = text.split_once("://") else { return Ok(Self::Folder(text.into())) };
        let scheme = scheme.to_ascii_lowercase();
        if !matches!(scheme.as_str(), "s3" | "gs" | "az") {
            return Err(LocationError::Scheme(format!("{scheme}://")));
        }
        if cfg!(not(feature = "cloud")) {
            return Err(LocationError::NotInThisBuild(format!("{scheme}://")));
        }
        let url = match Url::parse(text) {
            Err(url::ParseError::EmptyHost) => return Err(LocationError::Bucket { scheme }),
            url => url?,
        };
        if url.host_str().is_none_or(str::is_empty) {
            return Err(LocationError::Bucket { scheme });
        }
        let extra = [
            ("user name or password", !url.username().is_empty() || url.password().is_some()),
            ("port", url.port().is_some()),
            ("query", url.query().is_some()),
            ("fragment", url.fragment().is_some()),
        ];
        match extra.into_iter().find(|(_, is_there)| *is_there) {
            Some((what, _)) => Err(LocationError::Extra(what)),
            None => Ok(Self::Cloud(url)),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Temporary => f.write_str("a temporary folder"),
            Self::Cloud(url) => url.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_without_a_scheme_is_a_folder() {
        assert_eq!("files".parse(), Ok(Location::Folder("files".into())));
        assert_eq!("C:\\files".parse(), Ok(Location::Folder("C:\\files".into())));
    }

    #[cfg(feature = "cloud")]
    #[test]
    fn a_url_names_a_bucket_and_nothing_else() {
        let parse = |text: &str| text.parse::<Location>();
        let url = |text| Ok(Location::Cloud(Url::parse(text).unwrap()));
        assert_eq!(parse("s3://bucket/a/b"), url("s3://bucket/a/b"));
        assert_eq!(parse("gs://bucket"), url("gs://bucket"));
        assert!(matches!(parse("s3:///a"), Err(LocationError::Bucket { .. })));
        assert_eq!(parse("s3://key:secret@bucket"), Err(LocationError::Extra("user name or password")));
        assert_eq!(parse("s3://bucket?region=x"), Err(LocationError::Extra("query")));
    }

    #[cfg(not(feature = "cloud"))]
    #[test]
    fn a_url_needs_another_build() {
        assert!(matches!("s3://bucket".parse::<Location>(), Err(LocationError::NotInThisBuild(_))));
    }

    #[test]
    fn an_unknown_scheme_is_named() {
        let error = "ftp://host/files".parse::<Location>().unwrap_err().to_string();
        assert!(error.contains("\"ftp://\"") && error.contains("s3://"), "{error}");
    }
}
