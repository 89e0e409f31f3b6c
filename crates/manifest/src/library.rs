//! A folder of workflows, each compiled on first use and again when its files change.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use crate::diagnostic::{Diagnostic, DiagnosticKind, Diagnostics};
use crate::gates::Gates;
use crate::manifest::{MANIFEST_FILE, Manifest, refuse_id};
use crate::nearest::nearest;
use crate::preset;
use crate::workflow_dir::WorkflowDir;

/// A type that a workflow's folder compiles to.
pub trait Compile: Sized {
    /// The data that compiling needs besides the files, such as node schemas. A library starts with the default;
    /// [`Library::set_context`] replaces it.
    type Context: Default + fmt::Debug;

    /// Compiles a workflow whose manifest is parsed. Other files are read through [`WorkflowDir::read`].
    ///
    /// # Errors
    /// Every diagnostic that could be found, including warnings.
    fn compile(
        manifest: Manifest,
        folder: &mut WorkflowDir,
        context: &Self::Context,
    ) -> Result<Compiled<Self>, Diagnostics>;

    /// Returns diagnostics about the other files of a workflow whose manifest has errors and is only partly read, so
    /// that all errors are reported at once. They must not depend on the missing parts of the manifest.
    fn inspect(manifest: &Manifest, folder: &mut WorkflowDir) -> Diagnostics;
}

/// A manifest alone, for programs that need no graph.
impl Compile for Manifest {
    type Context = ();

    fn compile(manifest: Manifest, _: &mut WorkflowDir, (): &()) -> Result<Compiled<Self>, Diagnostics> {
        Ok(Compiled { workflow: manifest, warnings: Diagnostics::new() })
    }

    fn inspect(_: &Manifest, _: &mut WorkflowDir) -> Diagnostics {
        Diagnostics::new()
    }
}

/// A compiled workflow and the diagnostics about it.
#[derive(Debug)]
pub struct Compiled<T> {
    /// The workflow.
    pub workflow: T,
    /// Diagnostics that do not prevent its use. Errors among them affect some requests only.
    pub warnings: Diagnostics,
}

/// A folder of workflows: each `<id>/manifest.yaml` with its graph or blocks.
///
/// Files may change at any time; the next request sees it. Unchanged files are not read again: a [`get`] costs one
/// `stat` for each file of the workflow. Any number of threads may call it at once: those that get a workflow while it is
/// compiled wait for the result, those that get another do not.
///
/// Reading and compiling block the thread. In an async program, call [`get`] and [`list`] on a thread that may block.
///
/// [`get`]: Library::get
/// [`list`]: Library::list
#[derive(Debug)]
pub struct Library<T: Compile> {
    root: PathBuf,
    /// The only workflow, when the library was opened by the folder of one workflow.
    only: Option<String>,
    entries: RwLock<HashMap<String, Arc<Entry<T>>>>,
    /// One gate for each workflow that is being read.
    gates: Gates,
    context: RwLock<Arc<T::Context>>,
}

#[derive(Debug)]
struct Entry<T: Compile> {
    folder: WorkflowDir,
    /// The context that it was compiled with.
    context: Arc<T::Context>,
    workflow: Result<Arc<T>, Arc<Diagnostics>>,
    warnings: Arc<Diagnostics>,
}

/// Why a workflow cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// No folder of this name has a manifest.
    #[error("there is no workflow \"{id}\"{}", .nearest.as_ref().map_or_else(String::new, |near| format!("; did you mean \"{near}\"?")))]
    NotFound {
        /// The requested id.
        id: String,
        /// The id that was probably meant.
        nearest: Option<String>,
    },
    /// The folder exists but its files have errors.
    #[error("workflow \"{id}\" is broken: {diagnostics}")]
    Broken {
        /// The workflow's id.
        id: String,
        /// The diagnostics, including warnings.
        diagnostics: Arc<Diagnostics>,
    },
    /// The folder of workflows itself cannot be read.
    #[error("the folder of workflows cannot be read")]
    Io(#[source] Arc<io::Error>),
}

/// All workflows of a library.
#[derive(Debug)]
#[non_exhaustive]
pub struct Listing<T> {
    /// The workflows in the order of their ids, broken ones included.
    pub workflows: Vec<Listed<T>>,
    /// Warnings about folders without a manifest, which are ignored.
    pub notes: Diagnostics,
}

/// One workflow of a [`Listing`].
#[derive(Debug)]
pub struct Listed<T> {
    /// The folder's name.
    pub id: String,
    /// The workflow, or the diagnostics that prevent its use (including warnings).
    pub workflow: Result<Arc<T>, Arc<Diagnostics>>,
    /// Diagnostics that do not prevent its use. Errors among them affect some requests only.
    pub warnings: Arc<Diagnostics>,
}

impl<T: Compile> Library<T> {
    /// Opens a folder of workflows, or the folder of one workflow, which is then the only one in the library. Nothing
    /// is compiled until it is first used.
    ///
    /// # Errors
    /// The folder does not exist or cannot be read.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        fs::read_dir(&root)?;
        let (root, only) = match only_workflow(&root)? {
            Some((library, id)) => (library, Some(id)),
            None => (root, None),
        };
        Ok(Self {
            root,
            only,
            entries: RwLock::default(),
            gates: Gates::default(),
            context: RwLock::default(),
        })
    }

    /// Returns the folder of workflows; the parent folder if the library was opened by the folder of one workflow.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Returns the context that workflows are compiled with.
    pub fn context(&self) -> Arc<T::Context> {
        Arc::clone(&self.context.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets the context. Workflows that were compiled with another one are compiled again when they are next used.
    pub fn set_context(&self, context: T::Context) {
        *self.context.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(context);
    }

    /// Returns the workflow with this id, as its files are now.
    ///
    /// # Errors
    /// [`LibraryError::NotFound`] and [`LibraryError::Broken`].
    pub fn get(&self, id: &str) -> Result<Arc<T>, LibraryError> {
        self.entry(id).ok_or_else(|| self.not_found(id))?.workflow(id)
    }

    /// Returns what [`Library::get`] found before, if the files of the workflow are unchanged. This reads and compiles nothing:
    /// it costs one `stat` for each file of the workflow.
    pub fn unchanged(&self, id: &str) -> Option<Result<Arc<T>, LibraryError>> {
        Some(self.current(id)?.workflow(id))
    }

    /// Returns every workflow, as its files are now.
    ///
    /// # Errors
    /// [`LibraryError::Io`] when the library's own folder cannot be read.
    pub fn list(&self) -> Result<Listing<T>, LibraryError> {
        let mut listing = Listing { workflows: Vec::new(), notes: Diagnostics::new() };
        for id in self.folders()? {
            match self.listed(&id) {
                Some(listed) => listing.workflows.push(listed),
                None => {
                    let message = format!("this folder is not a workflow: it has no {MANIFEST_FILE}");
                    listing.notes.push(Diagnostic::warning(DiagnosticKind::File, id, message));
                }
            }
        }
        Ok(listing)
    }

    /// Returns the workflow with this id as [`Library::list`] lists it, or `None` if no folder of this name has a
    /// manifest.
    pub fn listed(&self, id: &str) -> Option<Listed<T>> {
        let entry = self.entry(id)?;
        let (workflow, warnings) = (entry.workflow.clone(), Arc::clone(&entry.warnings));
        Some(Listed { id: id.to_owned(), workflow, warnings })
    }

    /// Returns the text of a workflow's manifest, broken or not.
    ///
    /// # Errors
    /// [`LibraryError::NotFound`], and [`LibraryError::Broken`] if the file cannot be read.
    pub fn manifest_text(&self, id: &str) -> Result<String, LibraryError> {
        let mut folder = self.workflow_dir(id)?;
        folder.read(MANIFEST_FILE).map_err(|problem| LibraryError::Broken {
            id: id.to_owned(),
            diagnostics: Arc::new(problem.into()),
        })
    }

    /// Compiles the workflow with this id as if `manifest` were the text of its manifest.
    ///
    /// # Errors
    /// [`LibraryError::NotFound`], and [`LibraryError::Broken`] with the diagnostics of that text.
    pub fn compile_with(&self, id: &str, manifest: &str) -> Result<Compiled<T>, LibraryError> {
        let mut folder = self.workflow_dir(id)?;
        Entry::<T>::compile_manifest(&mut folder, manifest, &self.context()).map_err(|diagnostics| {
            LibraryError::Broken { id: id.to_owned(), diagnostics: Arc::new(diagnostics) }
        })
    }

    fn workflow_dir(&self, id: &str) -> Result<WorkflowDir, LibraryError> {
        if self.is_workflow(id) {
            Ok(WorkflowDir::new(id, self.root.join(id)))
        } else {
            Err(self.not_found(id))
        }
    }

    /// Returns the names of the library's folders, sorted, without hidden ones. Does not read any workflow.
    ///
    /// # Errors
    /// [`LibraryError::Io`] when the library's own folder cannot be read.
    pub fn folders(&self) -> Result<Vec<String>, LibraryError> {
        let names = self.read_names().map_err(|error| LibraryError::Io(Arc::new(error)))?;
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|id, _| names.binary_search(id).is_ok());
        drop(entries);
        Ok(names)
    }

    /// Returns the entry with this id as its files are now, or `None` if it has no manifest.
    fn entry(&self, id: &str) -> Option<Arc<Entry<T>>> {
        if let Some(entry) = self.current(id) {
            return Some(entry);
        }
        self.gates.pass(id, || match self.current(id) {
            // Another thread has read it in the meantime.
            Some(entry) => Some(entry),
            None => self.read_entry(id),
        })
    }

    /// Returns the cached entry with this id if its files and the context are unchanged.
    fn current(&self, id: &str) -> Option<Arc<Entry<T>>> {
        let entry = self.known(id)?;
        (Arc::ptr_eq(&entry.context, &self.context()) && entry.folder.is_unchanged()).then_some(entry)
    }

    fn known(&self, id: &str) -> Option<Arc<Entry<T>>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Reads the folder, and compiles it unless the contents of its files are unchanged.
    fn read_entry(&self, id: &str) -> Option<Arc<Entry<T>>> {
        let context = self.context();
        let same = self.known(id).filter(|known| Arc::ptr_eq(&known.context, &context));
        let entry = match same.and_then(|known| Some(known.with_folder(known.folder.reread()?))) {
            Some(entry) => Some(entry),
            None => self.is_workflow(id).then(|| Entry::compile(id, self.root.join(id), context)),
        };
        let entry = entry.map(Arc::new);
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        match &entry {
            Some(entry) => entries.insert(id.to_owned(), Arc::clone(entry)),
            None => entries.remove(id),
        };
        entry
    }

    /// Returns whether the folder exists and has a manifest. The name comes from a request: it must be one plain part.
    fn is_workflow(&self, id: &str) -> bool {
        let plain = !id.is_empty() && !id.starts_with('.') && !id.contains(['/', '\\', '\0', ':']);
        plain && self.has(id) && self.root.join(id).join(MANIFEST_FILE).exists()
    }

    /// Returns whether the library may have a folder of this name.
    fn has(&self, id: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == id)
    }

    fn read_names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for found in fs::read_dir(&self.root)? {
            let found = found?;
            let name = found.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') && self.has(&name) && found.path().is_dir() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn not_found(&self, id: &str) -> LibraryError {
        // Only a hint: a library that cannot be read has none.
        let known = self.read_names().unwrap_or_default();
        let known = known.iter().map(String::as_str).filter(|known| self.is_workflow(known));
        LibraryError::NotFound { id: id.to_owned(), nearest: nearest(id, known).map(str::to_owned) }
    }
}

/// Returns the parent and the name of a folder that has a manifest.
fn only_workflow(folder: &Path) -> io::Result<Option<(PathBuf, String)>> {
    if !folder.join(MANIFEST_FILE).is_file() {
        return Ok(None);
    }
    // Resolved, so that `.` has a name too.
    let folder = folder.canonicalize()?;
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(folder.parent().map(Path::to_owned).zip(name))
}

impl<T: Compile> Entry<T> {
    fn workflow(&self, id: &str) -> Result<Arc<T>, LibraryError> {
        let broken = |diagnostics| LibraryError::Broken { id: id.to_owned(), diagnostics };
        self.workflow.clone().map_err(broken)
    }

    /// Returns the same workflow, read from files with the same contents.
    fn with_folder(&self, folder: WorkflowDir) -> Self {
        let (context, workflow) = (Arc::clone(&self.context), self.workflow.clone());
        Self { folder, context, workflow, warnings: Arc::clone(&self.warnings) }
    }

    fn compile(id: &str, path: PathBuf, context: Arc<T::Context>) -> Self {
        let mut folder = WorkflowDir::new(id, path);
        let compiled = Self::compile_folder(&mut folder, &context);
        let (workflow, warnings) = match compiled {
            Ok(compiled) => (Ok(Arc::new(compiled.workflow)), compiled.warnings),
            Err(problems) => (Err(problems.into()), Diagnostics::new()),
        };
        Self { folder, context, workflow, warnings: warnings.into() }
    }

    fn compile_folder(folder: &mut WorkflowDir, context: &T::Context) -> Result<Compiled<T>, Diagnostics> {
        let text = folder.read(MANIFEST_FILE)?;
        Self::compile_manifest(folder, &text, context)
    }

    fn compile_manifest(
        folder: &mut WorkflowDir,
        text: &str,
        context: &T::Context,
    ) -> Result<Compiled<T>, Diagnostics> {
        if let Some(reason) = refuse_id(folder.id()) {
            return Err(Diagnostic::error(DiagnosticKind::WorkflowId, MANIFEST_FILE, reason).into());
        }
        let (manifest, mut warnings) = Manifest::parse_partly(text, folder.id());
        let Some(mut manifest) = manifest else { return Err(warnings) };
        warnings.extend(manifest.add_shared_lora_pairs(folder));
        if warnings.iter().any(Diagnostic::is_error) {
            warnings.extend(T::inspect(&manifest, folder));
            return Err(warnings);
        }
        warnings.extend(preset::load(&mut manifest, folder));
        match T::compile(manifest, folder, context) {
            Ok(compiled) => {
                warnings.extend(compiled.warnings);
                Ok(Compiled { warnings, ..compiled })
            }
            Err(problems) => {
                warnings.extend(problems);
                Err(warnings)
            }
        }
    }
}
