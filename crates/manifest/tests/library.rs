//! A folder of workflows whose files come, change and go.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use comfy_runner_manifest::{
    Compile, Compiled, DiagnosticKind, Diagnostics, Library, LibraryError, Manifest, WorkflowDir,
};

/// The manifest's name and the text of its graph file.
#[derive(Debug)]
struct Plain {
    name: String,
    graph: String,
}

impl Compile for Plain {
    type Context = ();

    fn compile(manifest: Manifest, folder: &mut WorkflowDir, (): &()) -> Result<Compiled<Self>, Diagnostics> {
        let graph = folder.read(&manifest.workflow_file).map_err(|problem| vec![problem])?;
        Ok(Compiled { workflow: Self { name: manifest.name, graph }, warnings: Diagnostics::new() })
    }

    fn inspect(manifest: &Manifest, folder: &mut WorkflowDir) -> Diagnostics {
        folder.read(&manifest.workflow_file).err().into_iter().collect()
    }
}

/// Writes a file as if it had lain there for an hour: one that is new is read again at every request.
fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().write(true).open(&path).unwrap().set_modified(hour_ago).unwrap();
}

fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "plain/manifest.yaml", "id: plain\nname: First\n");
    write(root.path(), "plain/workflow.json", "{}");
    root
}

fn broken(error: LibraryError) -> Arc<Diagnostics> {
    match error {
        LibraryError::Broken { diagnostics, .. } => diagnostics,
        other => panic!("{other}"),
    }
}

#[test]
fn what_did_not_change_is_not_compiled_again() {
    let root = root();
    let library = Library::<Plain>::open(root.path()).unwrap();
    let first = library.get("plain").unwrap();
    assert!(Arc::ptr_eq(&first, &library.get("plain").unwrap()));
    assert_eq!((first.name.as_str(), first.graph.as_str()), ("First", "{}"));
}

#[test]
fn an_edit_of_any_file_is_seen_by_the_next_request() {
    let root = root();
    let library = Library::<Plain>::open(root.path()).unwrap();
    library.get("plain").unwrap();
    write(root.path(), "plain/workflow.json", "{ }");
    assert_eq!(library.get("plain").unwrap().graph, "{ }");
    // Same length, just now: the time alone must do.
    fs::write(root.path().join("plain/workflow.json"), "[ ]").unwrap();
    assert_eq!(library.get("plain").unwrap().graph, "[ ]");
    fs::write(root.path().join("plain/workflow.json"), "[!]").unwrap();
    assert_eq!(library.get("plain").unwrap().graph, "[!]");
    fs::remove_file(root.path().join("plain/workflow.json")).unwrap();
    assert_eq!(
        broken(library.get("plain").unwrap_err())[0].to_string(),
        "workflow.json: the file does not exist"
    );
    write(root.path(), "plain/workflow.json", "{}");
    assert_eq!(library.get("plain").unwrap().graph, "{}");
}

#[test]
fn folders_come_and_go() {
    let root = root();
    let library = Library::<Plain>::open(root.path()).unwrap();
    let error = library.get("plian").unwrap_err();
    assert_eq!(error.to_string(), "there is no workflow \"plian\"; did you mean \"plain\"?");
    write(root.path(), "plian/manifest.yaml", "id: plian\n");
    write(root.path(), "plian/workflow.json", "{}");
    assert!(library.get("plian").is_ok());
    fs::remove_dir_all(root.path().join("plian")).unwrap();
    assert!(matches!(library.get("plian").unwrap_err(), LibraryError::NotFound { .. }));
}

#[test]
fn broken_folders_do_not_stop_the_others() {
    let root = root();
    write(root.path(), "bad/manifest.yaml", "id: bad\ninputs: 3\n");
    write(root.path(), "status/manifest.yaml", "id: status\n");
    write(root.path(), "with space/manifest.yaml", "id: with space\n");
    write(root.path(), "empty/notes.txt", "");
    write(root.path(), ".git/manifest.yaml", "id: x\n");
    write(root.path(), "README.md", "");
    let library = Library::<Plain>::open(root.path()).unwrap();
    let listing = library.list().unwrap();
    let ids: Vec<_> =
        listing.workflows.iter().map(|listed| (listed.id.as_str(), listed.workflow.is_ok())).collect();
    assert_eq!(ids, [("bad", false), ("plain", true), ("status", false), ("with space", false)]);
    assert_eq!(listing.notes.len(), 1);
    assert_eq!(listing.notes[0].file, "empty");
    let message = library.get("bad").unwrap_err().to_string();
    assert_eq!(
        message,
        "workflow \"bad\" is broken: manifest.yaml:2: `inputs` must be a list, this is a number; \
         workflow.json: the file does not exist"
    );
}

#[test]
fn no_id_leads_out_of_the_library() {
    let root = root();
    let library = Library::<Plain>::open(root.path().join("plain")).unwrap();
    write(root.path(), "manifest.yaml", "id: x\n");
    for id in ["..", ".", "", "../plain", "/etc", "a\0b", "..\\plain"] {
        assert!(matches!(library.get(id).unwrap_err(), LibraryError::NotFound { .. }), "{id}");
    }
}

#[test]
fn a_graph_file_must_stay_in_its_folder() {
    let root = root();
    write(root.path(), "secret.json", "{}");
    for file in ["../secret.json", "/etc/passwd", "a/../../secret.json", "''"] {
        write(root.path(), "plain/manifest.yaml", &format!("id: plain\nworkflow_file: {file}\n# {file}\n"));
        let problems = broken(Library::<Plain>::open(root.path()).unwrap().get("plain").unwrap_err());
        assert!(problems[0].message.contains("must be a plain path inside"), "{file}: {problems:?}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(root.path().join("secret.json"), root.path().join("plain/link.json"))
            .unwrap();
        write(root.path(), "plain/manifest.yaml", "id: plain\nworkflow_file: link.json\n");
        let problems = broken(Library::<Plain>::open(root.path()).unwrap().get("plain").unwrap_err());
        assert_eq!(problems[0].kind, DiagnosticKind::File);
        assert!(problems[0].message.contains("leads out"), "{problems:?}");
    }
}

#[test]
fn a_library_that_does_not_exist_is_told_at_once() {
    assert!(Library::<Manifest>::open("/nonexistent/workflows").is_err());
}

#[test]
fn a_wrong_manifest_does_not_hide_what_is_wrong_beside_it() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "w/manifest.yaml", "id: w\ninputs:\n- {id: steps, type: int, min: 5, max: 2}\n");
    let library = Library::<Plain>::open(root.path()).unwrap();
    let reported = library.get("w").err().unwrap().to_string();
    assert!(reported.contains("manifest.yaml:3") && reported.contains("workflow.json"), "{reported}");
}

/// A workflow whose compilation counts, and waits for the first one to be released.
#[derive(Debug)]
struct Watched;

#[derive(Debug, Default)]
struct Compilations {
    count: AtomicUsize,
    slow: Mutex<Option<Receiver<()>>>,
}

impl Compile for Watched {
    type Context = Arc<Compilations>;

    fn compile(
        manifest: Manifest,
        _: &mut WorkflowDir,
        compilations: &Arc<Compilations>,
    ) -> Result<Compiled<Self>, Diagnostics> {
        compilations.count.fetch_add(1, Ordering::SeqCst);
        if manifest.id == "slow"
            && let Some(release) = compilations.slow.lock().unwrap().take()
        {
            release.recv().unwrap();
        }
        Ok(Compiled { workflow: Self, warnings: Diagnostics::new() })
    }

    fn inspect(_: &Manifest, _: &mut WorkflowDir) -> Diagnostics {
        Diagnostics::new()
    }
}

fn watched() -> (tempfile::TempDir, Library<Watched>, Arc<Compilations>) {
    let root = tempfile::tempdir().unwrap();
    for id in ["slow", "quick"] {
        fs::create_dir(root.path().join(id)).unwrap();
        // Just now: a file system with a coarse clock could hide the next change.
        fs::write(root.path().join(id).join("manifest.yaml"), format!("id: {id}\n")).unwrap();
    }
    let library = Library::open(root.path()).unwrap();
    let compilations = Arc::default();
    library.set_context(Arc::clone(&compilations));
    (root, library, compilations)
}

#[test]
fn many_requests_for_a_changed_workflow_compile_it_once() {
    let (root, library, compilations) = watched();
    for round in 1..4 {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| library.get("quick").unwrap());
            }
        });
        assert_eq!(compilations.count.load(Ordering::SeqCst), round);
        fs::write(root.path().join("quick/manifest.yaml"), format!("id: quick\nversion: {round}\n")).unwrap();
    }
}

#[test]
fn files_that_are_written_again_with_the_same_content_are_not_compiled_again() {
    let (root, library, compilations) = watched();
    let first = library.get("quick").unwrap();
    write(root.path(), "quick/manifest.yaml", "id: quick\n");
    assert!(Arc::ptr_eq(&first, &library.get("quick").unwrap()));
    assert_eq!(compilations.count.load(Ordering::SeqCst), 1);
}

#[test]
fn a_folder_that_takes_long_does_not_delay_another() {
    let (_root, library, compilations) = watched();
    let (release, slow) = std::sync::mpsc::channel();
    *compilations.slow.lock().unwrap() = Some(slow);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| library.get("slow"));
        while compilations.count.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        assert!(library.get("quick").is_ok());
        assert!(library.get("quick").is_ok());
        release.send(()).unwrap();
        assert!(waiting.join().unwrap().is_ok());
    });
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_refused_without_being_opened() {
    use std::os::unix::net::UnixListener;
    let fifo = |path: &Path| {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    let root = root();
    let folder = |id: &str| {
        write(root.path(), &format!("{id}/manifest.yaml"), &format!("id: {id}\n"));
        root.path().join(id)
    };
    // A FIFO that no program writes to: opening it would wait for ever.
    let path = folder("fifo");
    fs::remove_file(path.join("manifest.yaml")).unwrap();
    fifo(&path.join("manifest.yaml"));
    fifo(&folder("graph-fifo").join("workflow.json"));
    fs::create_dir(folder("directory").join("workflow.json")).unwrap();
    let _listener = UnixListener::bind(folder("socket").join("workflow.json")).unwrap();
    fifo(&folder("link").join("real"));
    std::os::unix::fs::symlink("real", root.path().join("link/workflow.json")).unwrap();
    let library = Library::<Plain>::open(root.path()).unwrap();
    for id in ["fifo", "graph-fifo", "directory", "socket", "link"] {
        let problems = broken(library.get(id).unwrap_err());
        assert_eq!(problems[0].message, "this is not a regular file", "{id}");
        assert_eq!(problems[0].kind, DiagnosticKind::File);
    }
    std::os::unix::fs::symlink("/dev/zero", folder("device").join("workflow.json")).unwrap();
    assert!(broken(library.get("device").unwrap_err())[0].message.contains("leads out"));
    assert!(library.get("plain").is_ok());
    assert_eq!(library.list().unwrap().workflows.len(), 7);
}

#[test]
fn the_error_of_a_broken_workflow_shows_the_first_ten_problems_and_counts_the_others() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "w/manifest.yaml", &format!("id: w\ninputs: [{}]\n", "1, ".repeat(1000)));
    write(root.path(), "w/workflow.json", "{}");
    let error = Library::<Plain>::open(root.path()).unwrap().get("w").unwrap_err();
    let message = error.to_string();
    assert!(message.ends_with("; and 990 more") && message.len() < 2000, "{message}");
    assert_eq!(broken(error).len(), 1000);
}

#[test]
fn the_folder_of_one_workflow_is_a_library_of_that_workflow() {
    let root = root();
    write(root.path(), "other/manifest.yaml", "id: other\nname: Other\n");
    write(root.path(), "other/workflow.json", "{}");
    let library = Library::<Plain>::open(root.path().join("plain")).unwrap();
    assert_eq!(library.get("plain").unwrap().name, "First");
    assert_eq!(library.folders().unwrap(), ["plain"]);
    match library.get("other") {
        Err(LibraryError::NotFound { nearest: None, .. }) => {}
        found => panic!("{found:?}"),
    }
}
