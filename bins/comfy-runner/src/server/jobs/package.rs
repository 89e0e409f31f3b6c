//! A job with its files, as a ZIP that is written while it is sent.

use std::collections::HashSet;

use actix_web::http::Method;
use actix_web::http::header::{CONTENT_DISPOSITION, HeaderMap};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, Responder, web};
use async_zip::base::write::ZipFileWriter;
use async_zip::error::ZipError;
use async_zip::{Compression, ZipEntryBuilder};
use comfy_runner_client::{Client, ClientError, FileBody};
use comfy_runner_protocol::OutputFile;
use comfy_runner_store::Record;
use futures::{AsyncWriteExt as _, StreamExt as _, stream};
use tokio::io::DuplexStream;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt as _};
use tokio_util::io::ReaderStream;

use crate::server::State;
use crate::server::error::ApiError;

/// As much may be ahead of whoever reads.
const AHEAD: usize = 64 * 1024;

/// `GET /api/jobs/{prompt_id}/package`
pub async fn package(
    state: web::Data<State>,
    prompt_id: web::Path<String>,
) -> Result<impl Responder, ApiError> {
    let record = state.jobs.record(&prompt_id).await?;
    let name: String =
        prompt_id.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
    let (pipe, bytes) = tokio::io::duplex(AHEAD);
    let client = state.client.clone();
    let writing = actix_rt::spawn(async move { write(record, &client, pipe).await });
    // A package that breaks off must not look like one that is whole: the connection is cut.
    let end = stream::once(writing).filter_map(async |written| match written {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(Err(std::io::Error::other(error))),
        Err(error) => Some(Err(std::io::Error::other(error))),
    });
    let body = ReaderStream::new(bytes).chain(end).inspect(|piece| {
        if let Err(error) = piece {
            tracing::warn!(%error, "a package broke off");
        }
    });
    Ok(HttpResponse::Ok()
        .content_type("application/zip")
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.zip\"")))
        .streaming::<_, std::io::Error>(Box::pin(body)))
}

/// Why a package breaks off.
#[derive(Debug, thiserror::Error)]
enum PackageError {
    #[error(transparent)]
    Zip(#[from] ZipError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The caller left.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

type Zip = ZipFileWriter<Compat<DuplexStream>>;

/// Writes `job.json`, then each file as it comes from ComfyUI, and at last what ComfyUI does not have any more.
async fn write(record: Record, client: &Client, pipe: DuplexStream) -> Result<(), PackageError> {
    let mut zip = ZipFileWriter::new(pipe.compat_write());
    write_text(&mut zip, "job.json", &serde_json::to_vec_pretty(&record)?).await?;
    let mut missing = Vec::new();
    for (path, file) in contents(&record) {
        let reply = client.view((&file).into(), Method::GET, &HeaderMap::new()).await?;
        if reply.status.is_success() {
            write_file(&mut zip, path, reply.body).await?;
        } else {
            missing.push(path);
        }
    }
    if !missing.is_empty() {
        write_text(&mut zip, "missing.json", &serde_json::to_vec_pretty(&missing)?).await?;
    }
    zip.close().await?;
    Ok(())
}

async fn write_text(zip: &mut Zip, path: &str, text: &[u8]) -> Result<(), PackageError> {
    Ok(zip.write_entry_whole(entry(path.to_owned()), text).await?)
}

async fn write_file(zip: &mut Zip, path: String, mut body: FileBody) -> Result<(), PackageError> {
    let mut entry = zip.write_entry_stream(entry(path)).await?;
    while let Some(piece) = body.next().await {
        let piece: Bytes = piece?;
        entry.write_all(&piece).await?;
    }
    Ok(entry.close().await?)
}

/// Pictures and films are compressed already.
fn entry(path: String) -> ZipEntryBuilder {
    ZipEntryBuilder::new(path.into(), Compression::Stored)
}

/// The files of a job, and where they go: each once, and none outside the package.
fn contents(record: &Record) -> Vec<(String, OutputFile)> {
    let inputs = record.input_files.iter().map(|name| {
        let file = input_file(name);
        (format!("input/{}", inside(&file.subfolder, &file.filename)), file)
    });
    let folder = format!("{}/", record.summary.output_folder);
    let outputs = record.summary.outcome.outputs.values().flatten().map(|file| {
        // The job's own folder is what the package is.
        let subfolder = format!("{}/", file.subfolder);
        let below = subfolder.strip_prefix(&folder).unwrap_or(&subfolder);
        let top = if file.kind == "output" { "output" } else { "temp" };
        (format!("{top}/{}", inside(below, &file.filename)), file.clone())
    });
    let mut seen = HashSet::new();
    inputs.chain(outputs).filter(|(path, _)| seen.insert(path.clone())).collect()
}

/// A file of ComfyUI's input folder, unless its name says otherwise: `a.png [output]`.
fn input_file(name: &str) -> OutputFile {
    let annotated = ["input", "output", "temp"]
        .into_iter()
        .find_map(|kind| Some((name.strip_suffix(&format!(" [{kind}]"))?, kind)));
    let (path, kind) = annotated.unwrap_or((name, "input"));
    let (subfolder, filename) = path.rsplit_once('/').unwrap_or(("", path));
    OutputFile { filename: filename.to_owned(), subfolder: subfolder.to_owned(), kind: kind.to_owned() }
}

/// A path of plain names: whoever unpacks it stays in one folder.
fn inside(subfolder: &str, filename: &str) -> String {
    let parts = subfolder.split(['/', '\\']).chain(filename.split(['/', '\\']));
    let plain = parts.filter(|part| !matches!(*part, "" | "." | ".."));
    plain.map(|part| part.replace(':', "_")).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_package() {
        assert_eq!(inside("final", "a.png"), "final/a.png");
        assert_eq!(inside("../../etc", "..\\..\\passwd"), "etc/passwd");
        assert_eq!(inside("/C:/x", "a.png"), "C_/x/a.png");
        assert_eq!(inside("", "a.png"), "a.png");
    }

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
