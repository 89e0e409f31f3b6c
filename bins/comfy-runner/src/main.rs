//! comfy-runner: the command line and the HTTP server.
fn main() {}
