//! An S3 server: moto's, behind a connection that can be cut.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use comfy_runner_files::{Location, ObjectFiles};

use super::connection::Connection;
use super::{PATIENCE, Reply};

/// A server with an empty bucket. It ends with its owner.
pub struct S3 {
    child: Child,
    /// The address of the server itself.
    address: String,
}

impl S3 {
    /// Starts the server that `COMFY_RUNNER_TEST_S3` names: the path of `moto_server`, which
    /// `pip install 'moto[server]'` installs. Without it, says that the test is skipped.
    pub async fn start() -> Option<Self> {
        let Some(program) = std::env::var_os("COMFY_RUNNER_TEST_S3") else {
            eprintln!("skipped: COMFY_RUNNER_TEST_S3 does not name moto_server");
            return None;
        };
        // It chooses a free port, and says which when it listens.
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", "0"]);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.split_once("Running on http://")?.1.trim().to_owned()));
        let server = Self { child, address: address.expect("moto_server starts") };
        // A full pipe would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        // moto takes any signature, and none.
        let created = server.http().put(server.url("/bucket")).send().await.unwrap();
        assert_eq!(created.status(), 200);
        Some(server)
    }

    fn http(&self) -> awc::Client {
        awc::Client::builder().timeout(PATIENCE).finish()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns the names of all objects in the bucket, and of the uploads that are not complete.
    pub async fn listing(&self) -> (usize, usize) {
        let count = async |query: &str, tag: &str| {
            let reply = self.http().get(self.url(&format!("/bucket?{query}"))).send().await.unwrap();
            Reply::from_response(reply).await.text().matches(tag).count()
        };
        (count("list-type=2", "<Contents>").await, count("uploads", "<Upload>").await)
    }

    /// Opens a file store in the bucket through a connection.
    pub fn files(&self, through: &Connection) -> ObjectFiles {
        let location: Location = "s3://bucket/a/prefix".parse().unwrap();
        let endpoint = format!("http://{}", through.address);
        let settings = [
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
        ];
        ObjectFiles::open_with(&location, &settings).unwrap()
    }

    /// Opens a connection, which passes everything on until it is cut.
    pub async fn connect(&self) -> Connection {
        Connection::open(&self.address).await
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
