//! A job with its files, as a ZIP that is written while it is sent.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::{self, Write};
use std::rc::Rc;

use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, HeaderMap};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, Responder, web};
use comfy_runner_api::JobRecord;
use comfy_runner_client::ClientError;
use comfy_runner_files::FileError;
use comfy_runner_jobs::check_place;
use comfy_runner_protocol::OutputFile;
use comfy_runner_store::StoreError;
use futures::stream::LocalBoxStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zip::result::ZipError;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

use super::package_path::{Paths, inside};
use crate::server::State;
use crate::server::error::ApiError;

/// `GET /api/jobs/{prompt_id}/package`
pub async fn package(
    state: web::Data<State>,
    prompt_id: web::Path<String>,
) -> Result<impl Responder, ApiError> {
    let record = state.jobs.record(&prompt_id).await?;
    let mut package = Package::new(&record, state.clone())?;
    // A ComfyUI that does not answer is reported by the status.
    package.open_next().await?;
    // A truncated package must not look complete: after an error the connection is closed.
    let body = stream::try_unfold(package, Package::next).inspect_err(|error| {
        tracing::warn!(%error, "a package broke off");
    });
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name: String = prompt_id.chars().filter(plain).collect();
    Ok(HttpResponse::Ok()
        .content_type("application/zip")
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.zip\"")))
        .streaming(Box::pin(body)))
}

/// The reason why a package cannot be started or completed.
#[derive(Debug, thiserror::Error)]
enum PackageError {
    #[error(transparent)]
    Zip(#[from] ZipError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl From<PackageError> for ApiError {
    fn from(error: PackageError) -> Self {
        match &error {
            PackageError::Client(upstream) => Self::upstream(upstream, error.to_string()),
            PackageError::File(error) => error.into(),
            PackageError::Store(error) => Self::Unavailable(error.to_string()),
            _ => Self::Package(error.to_string()),
        }
    }
}

impl From<PackageError> for actix_web::Error {
    fn from(error: PackageError) -> Self {
        ApiError::from(error).into()
    }
}

/// A package that is being written: `job.json`, then each file as it arrives from the file store or from ComfyUI, and finally
/// the paths of missing files: neither has them any more, or their path is refused.
struct Package {
    state: web::Data<State>,
    /// The ComfyUI that ran the job, if it is known and configured.
    comfyui: Option<String>,
    /// None when the package is complete.
    zip: Option<ZipWriter<StreamWriter<Written>>>,
    written: Written,
    /// The end of the job, which is the modification time of the files.
    time: zip::DateTime,
    to_come: std::vec::IntoIter<(String, OutputFile)>,
    /// The file that is being written.
    file: Option<FileBytes>,
    missing: Vec<String>,
}

impl Package {
    fn new(record: &JobRecord, state: web::Data<State>) -> Result<Self, PackageError> {
        let comfyui = record.summary.comfyui.clone().filter(|name| state.clients.get(name).is_some());
        let written = Written::default();
        let mut zip = ZipWriter::new_stream(written.clone());
        let time = time_of(record);
        let to_come = contents(record).into_iter();
        let json = serde_json::to_vec_pretty(record)?;
        write_text(&mut zip, "job.json", &json, time)?;
        Ok(Self { state, comfyui, zip: Some(zip), written, time, to_come, file: None, missing: Vec::new() })
    }

    /// Returns the next bytes.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, PackageError> {
        loop {
            let written = self.written.0.take();
            if !written.is_empty() {
                return Ok(Some((written.into(), self)));
            }
            let Some(zip) = &mut self.zip else { return Ok(None) };
            if let Some(file) = &mut self.file {
                match file.next().await {
                    Some(piece) => zip.write_all(&piece?)?,
                    None => self.file = None,
                }
            } else if !self.open_next().await? {
                let Some(mut zip) = self.zip.take() else { return Ok(None) };
                if !self.missing.is_empty() {
                    write_text(
                        &mut zip,
                        "missing.json",
                        &serde_json::to_vec_pretty(&self.missing)?,
                        self.time,
                    )?;
                }
                zip.finish()?;
            }
        }
    }

    /// Starts the next file that can be had. Returns whether there is one.
    async fn open_next(&mut self) -> Result<bool, PackageError> {
        while let Some((path, file)) = self.to_come.next() {
            let opened = if check_place(&file).is_ok() { self.open(&file).await? } else { None };
            let Some((length, bytes)) = opened else {
                self.missing.push(path);
                continue;
            };
            if let Some(zip) = &mut self.zip {
                zip.start_file(path, stored(length, self.time))?;
            }
            self.file = Some(bytes);
            return Ok(true);
        }
        Ok(false)
    }

    /// Opens a file, and returns its length if that is known.
    async fn open(&self, file: &OutputFile) -> Result<Option<OpenFile>, PackageError> {
        if let Some(content) = self.state.jobs.stored_content(file).await?
            && let Some(files) = self.state.jobs.file_store()
            && let Some(found) = files.get(&content.hash, None).await?
        {
            return Ok(Some((Some(found.file.size), found.bytes.err_into().boxed_local())));
        }
        let reply =
            self.state.view(self.comfyui.as_deref(), file.into(), &Method::GET, &HeaderMap::new()).await?;
        let found = (reply.status == StatusCode::OK).then_some(reply);
        Ok(found.map(|reply| (length(&reply.headers), reply.body.err_into().boxed_local())))
    }
}

/// The bytes of a file.
type FileBytes = LocalBoxStream<'static, Result<Bytes, PackageError>>;

/// A file's length, if it is known, and its bytes.
type OpenFile = (Option<u64>, FileBytes);

/// Bytes that were written and not yet sent.
#[derive(Clone, Default)]
struct Written(Rc<RefCell<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_text<W: Write>(
    zip: &mut ZipWriter<StreamWriter<W>>,
    path: &str,
    text: &[u8],
    time: zip::DateTime,
) -> Result<(), PackageError> {
    zip.start_file(path, stored(Some(text.len() as u64), time))?;
    Ok(zip.write_all(text)?)
}

/// Stores files uncompressed, because images and videos are compressed already. Files that may exceed 4 GiB get ZIP64
/// fields.
fn stored(length: Option<u64>, time: zip::DateTime) -> SimpleFileOptions {
    let large = length.is_none_or(|length| length >= u64::from(u32::MAX));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    options.large_file(large).last_modified_time(time)
}

/// Returns the end of the job in UTC, because a ZIP has no time zones, or for an open job the time when it was queued.
fn time_of(record: &JobRecord) -> zip::DateTime {
    let time = record.summary.finished_at.as_ref().or(record.summary.queued_at.as_ref());
    let time = time.and_then(|time| OffsetDateTime::parse(time.as_str(), &Rfc3339).ok());
    let time = time.and_then(|time| {
        let year = u16::try_from(time.year()).ok()?;
        let (month, day) = (time.month().into(), time.day());
        zip::DateTime::from_date_and_time(year, month, day, time.hour(), time.minute(), time.second()).ok()
    });
    // A ZIP can represent the years from 1980 to 2107.
    time.unwrap_or_default()
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Returns the files of a job with their paths in the package, each file once.
fn contents(record: &JobRecord) -> Vec<(String, OutputFile)> {
    let inputs = record.input_files.iter().map(|name| ("input", input_file(name)));
    let outputs = record
        .summary
        .outputs
        .values()
        .flatten()
        .map(|file| (if file.kind == "output" { "output" } else { "temp" }, file.clone()));
    let (mut seen, mut paths) = (HashSet::new(), Paths::default());
    let each_once = inputs.chain(outputs).filter(|place| seen.insert(place.clone())).collect::<Vec<_>>();
    // The package itself represents the job's own folder.
    let own = format!("{}/", record.summary.output_folder);
    let placed = each_once.into_iter().map(|(top, file)| {
        let subfolder = format!("{}/", file.subfolder.replace('\\', "/"));
        let below = subfolder.strip_prefix(&own).unwrap_or(&subfolder);
        (paths.add(top, &inside(below, &file.filename)), file)
    });
    placed.collect()
}

/// Returns the file that a name in a graph refers to. It is in the input folder, unless the name has an annotation:
/// `a.png [output]`.
fn input_file(name: &str) -> OutputFile {
    let annotated = ["input", "output", "temp"]
        .into_iter()
        .find_map(|kind| Some((name.strip_suffix(&format!(" [{kind}]"))?, kind)));
    let (path, kind) = annotated.unwrap_or((name, "input"));
    let (subfolder, filename) = path.rsplit_once('/').unwrap_or(("", path));
    OutputFile { filename: filename.to_owned(), subfolder: subfolder.to_owned(), kind: kind.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_says_which_folder_it_is_in() {
        let file = |filename: &str, subfolder: &str, kind: &str| OutputFile {
            filename: filename.into(),
            subfolder: subfolder.into(),
            kind: kind.into(),
        };
        assert_eq!(input_file("a.png"), file("a.png", "", "input"));
        assert_eq!(input_file("x/y/a.png"), file("a.png", "x/y", "input"));
        assert_eq!(input_file("a b.png [output]"), file("a b.png", "", "output"));
    }
}
