//! An S3 server: moto's, behind a connection that can be cut.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

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
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { child, address: format!("127.0.0.1:{port}") };
        let started = Instant::now();
        // moto takes any signature, and none.
        while server.http().put(server.url("/bucket")).send().await.is_err() {
            assert!(started.elapsed() < PATIENCE, "moto_server does not start");
            actix_rt::time::sleep(std::time::Duration::from_millis(50)).await;
        }
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
