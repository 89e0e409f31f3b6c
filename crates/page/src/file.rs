//! The embedded files.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::RustEmbed;
use sha2::{Digest as _, Sha256};

/// The folder of the page's files. Licences are for readers of the sources.
#[derive(RustEmbed)]
#[folder = "files"]
struct Files;

/// The path of the style sheet: the files in `style`, joined, so that the first view takes fewer requests.
const STYLE_SHEET: &str = "style.css";
/// The files that it is joined from, in the order in which later rules win.
const STYLES: [&str; 7] = ["base", "shell", "controls", "library", "run", "jobs", "new"];

/// A file of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct File {
    /// The `Content-Type`.
    pub media_type: &'static str,
    /// The strong `ETag` of the content, in quotes.
    pub etag: String,
    /// The content.
    pub content: Bytes,
    /// The content compressed with gzip, where that is smaller.
    pub gzip: Option<Bytes>,
}

impl File {
    fn new(path: &str, content: Cow<'static, [u8]>) -> Option<Self> {
        let media_type = media_type(path)?;
        let content = match content {
            Cow::Borrowed(content) => Bytes::from_static(content),
            Cow::Owned(content) => content.into(),
        };
        let etag = format!("\"{}\"", hex(&Sha256::digest(&content)[..12]));
        let gzip = compress(&content).filter(|gzip| gzip.len() < content.len());
        Some(Self { media_type, etag, content, gzip: gzip.map(Bytes::from) })
    }
}

/// Every file by path, compressed once. A debug build reads from disk at each request instead.
static EMBEDDED: LazyLock<HashMap<String, Arc<File>>> = LazyLock::new(|| {
    let paths = Files::iter().chain([STYLE_SHEET.into()]);
    paths.filter_map(|path| Some((path.to_string(), Arc::new(read(&path)?)))).collect()
});

/// The digest of all files, which is part of their addresses.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut files: Vec<_> = EMBEDDED.iter().map(|(path, file)| (path, &file.etag)).collect();
    files.sort_unstable();
    let digest = files.iter().fold(Sha256::new(), |digest, (path, etag)| {
        digest.chain_update(path).chain_update([0]).chain_update(etag)
    });
    hex(&digest.finalize()[..8])
});

/// Returns the file at a path such as `style/base.css`, or `None` if the page has no such file.
pub fn file(path: &str) -> Option<Arc<File>> {
    if cfg!(debug_assertions) { read(path).map(Arc::new) } else { EMBEDDED.get(path).cloned() }
}

/// Returns the version in the addresses of files. It changes with any file, so that browsers may keep files for ever. In a
/// debug build, whose files change under the server, it is `dev`.
pub(crate) fn version() -> &'static str {
    if cfg!(debug_assertions) { "dev" } else { &VERSION }
}

fn read(path: &str) -> Option<File> {
    if path == STYLE_SHEET {
        return File::new(path, style_sheet().into());
    }
    File::new(path, Files::get(path)?.data)
}

fn style_sheet() -> Vec<u8> {
    let styles = STYLES.iter().filter_map(|name| Files::get(&format!("style/{name}.css")));
    styles.flat_map(|style| style.data.into_owned()).collect()
}

/// Returns the media type by the extension; `None` for files that are not served.
fn media_type(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

fn compress(content: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).ok()?;
    encoder.finish().ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn every_file_has_a_type_and_its_compressed_form_gives_the_content_again() {
        let mut seen = 0;
        for path in Files::iter() {
            let file = file(&path).unwrap_or_else(|| panic!("{path} is not served"));
            if let Some(gzip) = &file.gzip {
                let mut content = Vec::new();
                flate2::read::GzDecoder::new(&gzip[..]).read_to_end(&mut content).unwrap();
                assert_eq!(content, *file.content, "{path}");
                seen += 1;
            }
        }
        assert!(seen > 10);
    }

    #[test]
    fn the_style_sheet_has_every_file_of_the_folder_once() {
        let mut found: Vec<_> =
            Files::iter().filter_map(|path| Some(path.strip_prefix("style/")?.to_owned())).collect();
        let mut joined: Vec<_> = STYLES.iter().map(|name| format!("{name}.css")).collect();
        found.sort();
        joined.sort();
        assert_eq!(joined, found);
        let length: usize =
            found.iter().map(|name| file(&format!("style/{name}")).unwrap().content.len()).sum();
        assert_eq!(file(STYLE_SHEET).unwrap().content.len(), length);
    }

    #[test]
    fn a_path_that_leads_out_of_the_folder_is_no_file() {
        for path in ["../Cargo.toml", "/etc/passwd", "style/../../src/lib.rs", "", "nothing.js", "style"] {
            assert_eq!(file(path), None, "{path}");
        }
    }
}
